"""Commands to a run from a screen: pause, resume, cancel, and what became of an effect in doubt.

Apart from the screens so that the engine is imported when a command is given. The screens' own store is open for reading only; a
command opens the file once more, for as long as it takes.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any


class RefusedError(Exception):
    """The command was not taken; the text is the one sentence that says why."""


async def tell(db: Path, run_id: str, kind: str, body: Mapping[str, Any] | None = None) -> str:
    """Give a run a command (`pause`, `resume`, `cancel`, `resolve`); a sentence about what came of it."""
    from engine.control import signal
    from engine.errors import EngineError
    from store.errors import StoreError
    from store.events import RunId
    from store.log import Log

    try:
        async with await Log.open(db, create=False) as log:
            return await signal(log, RunId(run_id), kind, dict(body or {}))
    except (EngineError, StoreError, OSError) as error:
        raise RefusedError(str(error)) from error
