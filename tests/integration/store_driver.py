"""A process that writes to a store, for tests that kill, stop and fork real ones. It says on stdout what was acknowledged.

Run as `python -m tests.integration.store_driver WHAT DB …` from the top of the repository.
"""

from __future__ import annotations

import asyncio
import inspect
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parents[2]


class Process:
    """One such process, its lines read by a thread as they come."""

    def __init__(self, *arguments: str | Path) -> None:
        self.lines: list[str] = []
        self._ended: tuple[int, str] | None = None
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.integration.store_driver", *map(str, arguments)],
            cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.pid = self._process.pid
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.endswith("\n"):
                self.lines.append(line.strip())

    def said(self, start: str) -> Callable[[], bool]:
        """Whether a line beginning so came."""
        return lambda: any(line.startswith(start) for line in self.lines)

    def tell(self, line: str) -> None:
        """A line on its stdin."""
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

    def signal(self, number: int) -> None:
        """Send a signal."""
        self._process.send_signal(number)

    def end(self) -> tuple[int, str]:
        """Kill it if it is there still, read all it said; its exit code and what it said on stderr."""
        if self._ended is None and self._process.poll() is None:
            self._process.send_signal(signal.SIGCONT)
            self._process.kill()
        return self.wait()

    def wait(self) -> tuple[int, str]:
        """Wait for it to end by itself."""
        if self._ended is not None:
            return self._ended
        assert self._process.stderr is not None
        assert self._process.stdin is not None
        code = self._process.wait(60)
        self._reader.join(60)
        error = self._process.stderr.read()
        for stream in (self._process.stdin, self._process.stdout, self._process.stderr):
            if stream is not None:
                stream.close()
        self._ended = code, error
        return self._ended


def say(*words: object) -> None:
    """One line, at once."""
    os.write(1, (" ".join(map(str, words)) + "\n").encode())


async def heard() -> str:
    """A line from stdin."""
    return (await asyncio.to_thread(sys.stdin.readline)).strip()


async def load(db: str, run: str, producers: str) -> None:
    """Append for ever, `producers` at a time; say each version once it was acknowledged."""
    from store import Log, RunId, RunSummary
    from tests.happenings import created, lines, pinned
    from tests.stores import ME

    async with await Log.open(db) as log:
        lease = await log.create(RunId(run), [created()], pinned(), driver=ME)
        say("created")

        async def produce() -> None:
            number = 0
            while True:
                number += 1
                batch = lines(lease.head + 1, 1 + number % 4, text="x" * (number * 37 % 900))
                last = batch[-1].version
                await lease.commit(batch, row=RunSummary("running"))
                say("durable", last)

        await asyncio.gather(*(produce() for _ in range(int(producers))))


async def hold(db: str, run: str) -> None:
    """Take a run; then append at each line heard, and say what came of it."""
    from store import Log, RunId, StoreError
    from tests.happenings import created, lines, pinned
    from tests.stores import ME

    async with await Log.open(db) as log:
        try:
            row = await log.find(run)
            lease = await log.acquire(row.id, driver=ME)
        except StoreError:
            lease = await log.create(RunId(run), [created()], pinned(), driver=ME)
        say("holds", lease.token)
        while (line := await heard()) not in ("", "end"):
            if line == "fork":
                if os.fork() == 0:
                    say("child", os.getpid())
                    while True:
                        signal.pause()
                continue
            try:
                await lease.commit(lines(lease.head + 1, 2))
                say("wrote", lease.head)
            except StoreError as error:
                say("refused", type(error).__name__, error)
        if line == "end":
            await lease.release()
            say("released")


async def take(db: str, run: str) -> None:
    """Try to take a run; say whether it could."""
    from store import Log, RunId, StoreError
    from tests.stores import ME

    async with await Log.open(db) as log:
        try:
            lease = await log.acquire(RunId(run), driver=ME)
        except StoreError as error:
            say("refused", type(error).__name__, error)
            return
        say("holds", lease.token)
        await lease.release()


async def grow(db: str, run: str, count: str) -> None:
    """Append until the store refuses; say the last acknowledged version and the error."""
    from store import Log, RunId, StoreError
    from tests.happenings import created, lines, pinned
    from tests.stores import ME

    try:
        async with await Log.open(db) as log:
            lease = await log.create(RunId(run), [created()], pinned(), driver=ME)
            for _ in range(int(count)):
                await lease.commit(lines(lease.head + 1, 10, text="y" * 1000))
                say("durable", lease.head)
    except StoreError as error:
        say("refused", type(error).__name__, error)


def limited(size: str, *rest: str) -> None:
    """Do `rest` where no file may grow beyond `size` bytes."""
    import resource

    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(size), int(size)))
    main(*rest)


def unprivileged(*rest: str) -> None:
    """Do `rest` as a user who owns nothing here, not even the interpreter: what is imported late is imported before."""
    with tempfile.TemporaryDirectory() as folder:
        for rehearsed in ("write", "read"):
            main(rehearsed, f"{folder}/runs.db")
    import resource  # noqa: F401

    if os.getuid() == 0:
        os.setgid(65534)
        os.setuid(65534)
    say("begins")
    main(*rest)


async def read(db: str) -> None:
    """Open for reading; say the runs and their heads."""
    from store import Log, StoreError

    try:
        async with await Log.open(db, readonly=True) as log:
            for row in await log.runs():
                say("run", row.id, row.head, len(await log.events(row.id)))
    except StoreError as error:
        say("refused", type(error).__name__, error)


async def write(db: str) -> None:
    """Open for writing; say whether it could."""
    from store import Log, StoreError

    try:
        async with await Log.open(db, patience=0.3):
            say("opened")
    except StoreError as error:
        say("refused", type(error).__name__, error)


async def backup(db: str, target: str) -> None:
    """Copy a store over and over."""
    from store import Log

    async with await Log.open(db, readonly=True) as log:
        say("begins")
        while True:
            await log.backup(Path(target), overwrite=True)
            say("copied")


async def migrate(db: str) -> None:
    """Bring a store to a next version that takes its time, saying so inside."""
    import sqlite3

    from store import schema

    connection = sqlite3.connect(db, isolation_level=None)
    connection.execute("PRAGMA busy_timeout = 5000")
    connection.create_function("say", 1, lambda word: say(word) or 1)
    slow = "".join(f"INSERT INTO later VALUES (say('step {number}'), randomblob(4000));\n" for number in range(400))
    schema.migrate(connection, {schema.current() + 1: f"CREATE TABLE later(a, b);\n{slow}"})
    say("migrated")


def main(what: str, *rest: str) -> None:
    """Do it."""
    doing = globals()[what]
    if inspect.iscoroutinefunction(doing):
        asyncio.run(doing(*rest))
    else:
        doing(*rest)


if __name__ == "__main__":
    main(*sys.argv[1:])
