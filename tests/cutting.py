"""Killing a driver right after what it wrote into a stream is durable and before its own log says so, then resuming the run.

Run as `python -m tests.cutting TARGET FOLDER NUMBER ...`: each number is one story, whose driver dies after so many writes (sends,
claims, puts, posts, memories); the next one drives to the end, unless `CUT=cancel` says that the run is cancelled instead. Prints
one JSON line a story. Stands apart from `crashing.py`, which kills by events: between a write and its event there is none.
"""

import asyncio
import functools
import json
import os
import signal
import sqlite3
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

from engine import Engine
from store.mail import Mail
from store.memories import Memories
from store.posts import Posts
from store.spaces import Spaces
from tests.crashing import Story, forked

WRITES = ((Mail, "send"), (Mail, "claim"), (Spaces, "write"), (Posts, "publish"), (Memories, "remember"))
STREAMS = ("mail", "spaces", "posts", "memories", "memory_sources")


def die_after_write(number: int) -> None:
    """Install the kill: this process ends by SIGKILL when the write of that number, from 1, has returned."""
    done = []

    def fatal(write: Any) -> Any:
        @functools.wraps(write)
        async def written(*arguments: Any, **options: Any) -> Any:
            result = await write(*arguments, **options)
            done.append(write)
            if len(done) == number:
                os.kill(os.getpid(), signal.SIGKILL)
            return result

        return written

    for cls, name in WRITES:
        setattr(cls, name, fatal(getattr(cls, name)))


class Cut(Story):
    """One run, cut once between a write and its event."""

    def tell(self, deaths: list[int]) -> dict[str, Any]:
        """Live through it; how it ended and how many rows each stream has."""
        codes = [forked(self._drive, number)[0] for number in deaths]
        code, end = forked(self._cancel if os.environ.get("CUT") == "cancel" else self._drive, None)
        with closing(sqlite3.connect(self.db)) as connection:
            rows = {name: connection.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for name in STREAMS}
            settled = connection.execute("SELECT count(*) FROM mail WHERE settled = 1").fetchone()[0]
        return {"deaths": deaths, "codes": codes, "code": code, "end": end, "rows": rows, "settled": settled}

    def _drive(self, version: int | None) -> Any:
        if version is not None:
            die_after_write(version)
        return asyncio.run(self._to_the_end())

    def _cancel(self, _: None) -> Any:
        async def cancel() -> str:
            async with Engine(self.db, tee=False) as engine:
                return await engine.cancel("last")

        return asyncio.run(cancel())


def main() -> None:
    """One story for each number on the command line."""
    target, folder, *numbers = sys.argv[1:]
    for number in numbers:
        print(json.dumps(Cut(target, Path(folder) / number, exact=False).tell([int(number)])), flush=True)


if __name__ == "__main__":
    main()
