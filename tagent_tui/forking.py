"""Forks from a screen: foreseen and made by `tagent-tui fork`, in a process of its own.

Apart from the dialog because a fork imports the user's modules, which must not happen in the process that draws: so the UI asks the
command line, as anybody would.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from tagent_tui.view.editing import Wish
from tagent_tui.view.foreseen import Foreseen

COMMAND: Sequence[str] = (sys.executable, "-P", "-m", "tagent_tui")
"""`-P` keeps a `store.py` of the user's in this folder from standing in for ours."""

PATIENCE = 60.0
"""Seconds a fork may take to be planned or made; importing the user's modules counts."""


class NotForkedError(Exception):
    """The fork was not foreseen or not made; the text is the one sentence that says why."""


def arguments(db: Path, wish: Wish, how: str) -> list[str]:
    """What follows `tagent-tui`; `how` is `--dry-run`, `--detach` or `--no-run`.

    Values stand behind `=` in one word, so that one that begins with a dash is no option.
    """
    words = ["--db", str(db.absolute()), "fork", wish.run, "--at", str(wish.version)]
    words += [f"--set={path}={value}" for path, value in wish.sets]
    words += [f"--again={step}" for step in wish.again]
    words += [f"--reason={wish.reason}"] if wish.reason else []
    words += [f"--definition={wish.definition}"] if wish.definition else []
    return [*words, how, "--json"]


async def foresee(db: Path, wish: Wish) -> Foreseen:
    """What the fork would run again; cancelled, it ends the process it asks."""
    data = await _ask(arguments(db, wish, "--dry-run"))
    try:
        return msgspec.convert(data, Foreseen)
    except msgspec.ValidationError as error:
        raise NotForkedError(f"What tagent-tui fork --dry-run said cannot be read: {error}.") from None


async def make(db: Path, wish: Wish, *, run: bool = True) -> str:
    """Make the fork and, with `run`, have it driven in a process of its own; its id."""
    data = await _ask(arguments(db, wish, "--detach" if run else "--no-run"))
    run_id = data.get("run_id") if isinstance(data, dict) else None
    if not isinstance(run_id, str):
        raise NotForkedError("tagent-tui fork did not say which run it made; look at the list of runs.")
    return run_id


async def _ask(words: Sequence[str]) -> Any:
    try:
        process = await asyncio.create_subprocess_exec(
            *COMMAND, *words,
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
    except (OSError, ValueError) as error:  # a value of more than 128 KiB is one word too long
        why = getattr(error, "strerror", None) or error
        raise NotForkedError(f"tagent-tui fork could not be started: {why}; a shorter value may help.") from None
    try:
        async with asyncio.timeout(PATIENCE):
            out, err = await process.communicate()
    except TimeoutError:
        raise NotForkedError(f"tagent-tui fork said nothing within {PATIENCE:g} s; a module may hang while imported.") from None
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    return _answer(out, err, process.returncode or 0)


def _answer(out: bytes, err: bytes, code: int) -> Any:
    """The `data` of what was said; modules may print before it, so the last line that is an object counts."""
    for text in (out, *reversed(out.splitlines())) if code == 0 else (err, *reversed(err.splitlines())):
        try:
            found = json.loads(text)
        except ValueError:
            continue
        if code == 0 and isinstance(found, dict) and "data" in found:
            return found["data"]
        error = found.get("error") if isinstance(found, dict) else None
        if isinstance(error, dict) and "message" in error:
            raise NotForkedError(" ".join(str(error[name]) for name in ("message", "hint") if error.get(name)))
    raise NotForkedError(f"tagent-tui fork ended with code {code} and said nothing; try it in a shell.")
