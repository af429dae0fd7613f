"""Starting and resuming runs from a screen: always in a driver process of their own, never in this one.

Apart from the screens so that the engine is imported when a run is started, not when the list is drawn, and so that user code
can neither freeze the screen nor print over it.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from engine.config import TAgentConfig


class NotStartedError(Exception):
    """The run did not start; the text is the one sentence that says why."""


async def start(
    db: Path, target: str, params: Mapping[str, object], model: str | None, cwd: Path, config: TAgentConfig | None = None
) -> str:
    """Record a run of `target` and drive it in a process of its own; its id."""
    from engine import driver
    from engine.errors import EngineError
    from store.errors import StoreError

    try:
        spawned = await driver.spawn_start(db, target, params=dict(params), model=model, cwd=cwd, config=config)
    except (EngineError, StoreError, OSError) as error:
        raise NotStartedError(str(error)) from error
    return str(spawned.run_id)


async def write_starter(folder: Path) -> list[Path]:
    """Put the commented starter pipeline into a folder, overwriting nothing; its files, the pipeline's first.

    It is `tagent-tui init`, asked as anybody would: the command line starts this UI, so the UI does not import it. `-P` keeps a
    `store.py` of the user's in this folder from standing in for ours.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-P", "-m", "tagent_tui", "--json", "init", str(folder),
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, err = await process.communicate()
    try:
        answer = json.loads(out if process.returncode == 0 else err)
        if process.returncode != 0:
            raise NotStartedError(str(answer["error"]["message"]))
        paths = [Path(name) for name in answer["data"]["files"]]
    except (ValueError, KeyError, TypeError):
        raise NotStartedError(f"tagent-tui init {folder} ended with code {process.returncode}; try it in a shell.") from None
    return sorted(paths, key=lambda path: path.suffix != ".yaml")


async def resume(db: Path, run_id: str, config: TAgentConfig | None = None) -> None:
    """Drive an unfinished run on in a process of its own."""
    from engine import driver
    from engine.errors import EngineError
    from store.errors import StoreError

    try:
        await driver.spawn_resume(db, run_id, config=config)
    except (EngineError, StoreError, OSError) as error:
        raise NotStartedError(str(error)) from error
