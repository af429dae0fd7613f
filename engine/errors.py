"""What can go wrong when pipelines are defined and run, by what it means to the caller.

`EngineError` and below is what our calls raise; the text is one sentence: what, where, what to do. A step that fails is an event,
not an exception: `StepExecutionError` and its kind are raised only where a caller asked for a value that a failed run cannot give.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import Any

import msgspec

from store.events import Spent


class Problem(msgspec.Struct, frozen=True):
    """One thing wrong with a definition: where (`steps.report.timeout`), what, and what to do."""

    where: str
    message: str

    def __str__(self) -> str:
        return f"{self.where}: {self.message}" if self.where else self.message


class EngineError(Exception):
    """Base of everything the engine refuses or reports."""

    code = "engine"


class PipelineValidationError(EngineError):
    """The definition cannot work; `problems` holds all that is wrong with it, in definition order."""

    code = "invalid"

    def __init__(self, name: str, problems: Sequence[Problem]) -> None:
        self.problems = list(problems)
        told = f": {self.problems[0]}" if len(self.problems) == 1 else _listed(self.problems)
        super().__init__(f"The pipeline {name!r}{told}")


class PipelineFileError(PipelineValidationError):
    """A pipeline file cannot be used; every problem names the file and the line."""

    def __init__(self, file: str, problems: Sequence[Problem]) -> None:
        super().__init__(file, problems)
        self.args = (str(self.problems[0]) if len(self.problems) == 1 else f"{file}{_listed(self.problems)}",)


def _listed(problems: Sequence[Problem]) -> str:
    return f" has {len(problems)} problems:\n" + "\n".join(f"  {problem}" for problem in problems)


class PipelineDeadlockError(EngineError):
    """Steps wait for each other; the text says who waits for whom."""

    code = "deadlock"


class TargetError(EngineError):
    """A pipeline could not be loaded from where the caller said it is."""

    code = "target"


class TargetNotFoundError(TargetError):
    """There is no such file, module or name."""

    code = "not_found"


class DefinitionChangedError(EngineError):
    """The pipeline is not the one the run was recorded with; `changes` says what differs. Choose: recorded, migrate, or stop."""

    code = "changed"

    def __init__(self, message: str, changes: Sequence[str]) -> None:
        self.changes = list(changes)
        super().__init__(message)


class ExpressionError(EngineError):
    """A condition or a `${{ ... }}` cannot be read or has no value; the sentence says where.

    `position` counts the characters of `text` from 1; `place` is where in nested values the text stands (`conditions[1].left`).
    """

    code = "expression"

    def __init__(self, message: str, position: int | None = None, text: str = "", place: str | None = None) -> None:
        self.message, self.position, self.text, self.place = message, position, text, place
        where = "" if position is None else f" (position {position}, {_near(text, position)})"
        super().__init__(f"{place}: {message}{where}" if place else f"{message}{where}")

    def at_place(self, place: str) -> ExpressionError:
        """The same, said of a text that stands at a place."""
        return ExpressionError(self.message, self.position, self.text, place)


def _near(text: str, position: int) -> str:
    """The surroundings of a position, with what cannot be printed escaped."""
    start, end = max(0, position - 11), position + 19
    if not text[start:end].strip():
        return "at the end" if text.strip() else "the text is empty"
    return f"near {'…' if start else ''}{text[start:end]!r}{'…' if end < len(text) else ''}"


class CommandRefusedError(EngineError):
    """A command does not fit the run's state (cancelling what has ended, resolving what is not in doubt)."""

    code = "refused"


class CheckpointNameError(EngineError):
    """A checkpoint cannot have this name: it could be taken for an event, a time or a boundary of a step."""

    code = "checkpoint_name"


class CheckpointNotFoundError(EngineError):
    """The run has no checkpoint of this name."""

    code = "not_found"


class PlaceError(EngineError):
    """A word says no place of the run: none at all, or one that there is not (yet)."""

    code = "place"


class NoSuchStepError(CommandRefusedError):
    """A command or a place is of a step that the run does not have."""

    code = "not_found"


class StepExecutionError(EngineError):
    """A value was asked of a step that failed, was skipped or never ran."""

    code = "step_failed"


class StepTimeoutError(StepExecutionError):
    """The step ran out of time."""

    code = "step_timeout"


class DependencyError(StepExecutionError):
    """The step never ran because one it needs failed."""

    code = "dependency"


class MergeError(Exception):
    """Raised in a merging step when the outputs cannot be merged as its strategy says; they would not be another time."""

    retryable = False


class ConditionFailedError(Exception):
    """Raised in an attempt whose output does not satisfy the step's own condition."""


class EffectFailedError(Exception):
    """Raised inside a step's body when an effect failed: the same whether it failed now or in the recording.

    `kind` is the failure's kind (`error`, or `model.rate_limit` and the like), `retryable` whether asking again may help,
    `retry_after` the seconds the other side asked for. The original exception is not kept, as a recording has none; `classes` are
    the names of its class and bases (`OSError`, `httpx.ConnectError`), the nearest first.
    """

    def __init__(
        self,
        message: str,
        *,
        kind: str = "effect",
        retryable: bool = True,
        retry_after: float | None = None,
        classes: Sequence[str] = (),
    ) -> None:
        self.kind, self.retryable, self.retry_after, self.classes = kind, retryable, retry_after, tuple(classes)
        super().__init__(message)


class CircuitOpenError(EffectFailedError):
    """The call was not made: what it asks failed too often in a row, and is left alone for `retry_after` seconds more."""


class PaidFailureError(EffectFailedError):
    """An effect that failed after others were paid for in it; `spent` is what was used all the same."""

    def __init__(self, message: str, *, spent: Sequence[Spent], **said: Any) -> None:
        self.spent = tuple(spent)
        super().__init__(message, **said)


class ChildFailedError(PaidFailureError):
    """A child run failed or was cancelled."""

    def __init__(self, message: str, *, retryable: bool, spent: Sequence[Spent]) -> None:
        super().__init__(message, spent=spent, kind="child", retryable=retryable)


class InputMissingError(Exception):
    """A function cannot be called: the step a parameter is named after has no output, and the parameter no default."""


class OutputInvalidError(Exception):
    """Raised inside a step's body when a model's answer does not fit the schema, after one repair."""


class DivergenceError(Exception):
    """Raised inside an attempt driven again that did not ask for what it had asked for when it was recorded."""


class AttemptClosedError(Exception):
    """Raised to a body that goes on after its attempt was closed (timed out, cancelled, superseded): its effects are refused."""


def suggestion(word: str, known: Sequence[str]) -> str:
    """`; did you mean 'x'?` for the nearest known word, else nothing."""
    near = difflib.get_close_matches(str(word), known, 1, 0.6)
    return f"; did you mean {near[0]!r}?" if near else ""
