"""Starting and resuming runs from a screen: always in a driver process of their own, never in this one.

Apart from the screens so that the engine is imported when a run is started, not when the list is drawn, and so that user code
can neither freeze the screen nor print over it.
"""

from __future__ import annotations

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


def write_starter(folder: Path) -> list[Path]:
    """Put the commented starter pipeline into a folder, overwriting nothing; the files, the pipeline's first."""
    from tagent_tui.starter import FILES

    paths = [folder / name for name in FILES]
    taken = [path.name for path in paths if path.is_symlink() or path.exists()]
    if taken:
        raise NotStartedError(f"{' and '.join(taken)} {'is' if len(taken) == 1 else 'are'} in {folder} already; n starts one.")
    try:
        for path, text in zip(paths, FILES.values(), strict=True):
            with path.open("x", encoding="utf-8") as opened:
                opened.write(text)
    except OSError as error:
        raise NotStartedError(f"{folder} cannot be written to ({error.strerror}); open the UI in another folder.") from None
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
