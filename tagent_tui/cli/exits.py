"""What an exception means to a shell: an exit code, a stable word, one sentence and what to do.

Stands apart because codes and words are promises to scripts; nothing else in the command line chooses a number.
"""

from __future__ import annotations

import difflib
from enum import IntEnum
from typing import NamedTuple

import click


class Exit(IntEnum):
    """The exit codes of every verb."""

    OK = 0
    FAILED = 1
    USAGE = 2
    NOT_FOUND = 3
    DIFFERENT = 4
    WAITS = 5
    BUDGET = 6
    CONFLICT = 7
    STORE = 8
    DEFECT = 70
    INTERRUPTED = 130


class Fault(NamedTuple):
    """An error as it is told: `code` is the word under `--json`, `hint` what to do (None where the sentence has no such part)."""

    exit: int
    code: str
    message: str
    hint: str | None = None


class InterruptedRunError(Exception):
    """A signal stopped the driving; the text says how to go on. `exit` is 130, or 128 and the signal's number."""

    def __init__(self, message: str, exit: int = Exit.INTERRUPTED) -> None:
        self.exit = exit
        super().__init__(message)


class RefusedError(Exception):
    """The command line itself refuses; the text is one sentence. `code` and `exit` default to those of wrong usage."""

    def __init__(self, message: str, *, exit: int = Exit.USAGE, code: str = "usage") -> None:
        self.exit, self.code = exit, code
        super().__init__(message)


_BY_CODE = {
    "not_found": Exit.NOT_FOUND,
    "conflict": Exit.CONFLICT,
    "lease_lost": Exit.CONFLICT,
    "changed": Exit.WAITS,
    "blob_missing": Exit.STORE,
    "unusable": Exit.STORE,
    "foreign": Exit.STORE,
    "newer": Exit.STORE,
    "damaged": Exit.STORE,
    "busy": Exit.STORE,
    "full": Exit.STORE,
    "read_only": Exit.STORE,
}
"""Exit codes by the word of an engine's or a store's error; every other word of theirs is wrong usage."""


def fault_of(error: BaseException) -> Fault:
    """How an exception is told. What nobody foresaw is a defect of ours (70)."""
    if isinstance(error, click.UsageError):
        return _usage(error)
    if isinstance(error, InterruptedRunError):
        return _fault(error.exit, "interrupted", str(error))
    if isinstance(error, KeyboardInterrupt | click.Abort):
        return Fault(Exit.INTERRUPTED, "interrupted", "interrupted")
    if isinstance(error, RefusedError):
        return _fault(error.exit, error.code, str(error))
    known = _known(error)
    return known or Fault(
        Exit.DEFECT,
        "defect",
        f"a defect of ours: {type(error).__name__}: {error}; please report it with what --debug prints",
        "please report it with what --debug prints",
    )


def _known(error: BaseException) -> Fault | None:
    from engine.errors import EngineError
    from store.errors import StoreError

    if isinstance(error, EngineError | StoreError):
        return _fault(_BY_CODE.get(error.code, Exit.USAGE), error.code, str(error))
    return None


def _fault(exit: int, code: str, message: str) -> Fault:
    return Fault(exit, code, message, hint_of(message))


def hint_of(message: str) -> str | None:
    """What to do: the last of several sentences, or what follows the last semicolon of one; None for a list of problems."""
    if "\n" in message:
        return None
    for mark in (". ", "; "):
        before, _, after = message.rstrip(".").rpartition(mark)
        if before:
            return after
    return None


def _usage(error: click.UsageError) -> Fault:
    place = error.ctx.command_path if error.ctx is not None else "tagent-tui"
    said = _said(error).strip().rstrip(".").replace("\n", " ")
    said = said[:1].lower() + said[1:]
    return Fault(Exit.USAGE, "usage", f"{said}; see {place} --help", f"see {place} --help")


def _said(error: click.UsageError) -> str:
    if not isinstance(error, click.NoSuchOption):
        return error.format_message()
    near = difflib.get_close_matches(error.option_name, error.possibilities or (), 1, 0.7)
    return error.message.rstrip(".") + (f"; did you mean {near[0]}?" if near else "")
