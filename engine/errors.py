"""What can go wrong when pipelines are defined and run, by what it means to the caller.

`EngineError` and below is what our calls raise; the text is one sentence: what, where, what to do. A step that fails is an event,
not an exception: `StepExecutionError` and its kind are raised only where a caller asked for a value that a failed run cannot give.
"""

from __future__ import annotations

from collections.abc import Sequence

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
        count = len(self.problems)
        lines = "\n".join(f"  {problem}" for problem in self.problems)
        super().__init__(f"The pipeline {name!r} has {count} problem{'s' if count != 1 else ''}:\n{lines}")


class PipelineFileError(PipelineValidationError):
    """A pipeline file cannot be used; every problem names the file and the line."""

    def __init__(self, file: str, problems: Sequence[Problem]) -> None:
        super().__init__(file, problems)
        if len(self.problems) == 1:
            self.args = (str(self.problems[0]),)
        else:
            self.args = (f"{file} has {len(self.problems)} problems:\n" + "\n".join(f"  {problem}" for problem in self.problems),)


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


class CommandRefusedError(EngineError):
    """A command does not fit the run's state (cancelling what has ended, resolving what is not in doubt)."""

    code = "refused"


class StepExecutionError(EngineError):
    """A value was asked of a step that failed, was skipped or never ran."""

    code = "step_failed"


class StepTimeoutError(StepExecutionError):
    """The step ran out of time."""

    code = "step_timeout"


class DependencyError(StepExecutionError):
    """The step never ran because one it needs failed."""

    code = "dependency"


class EffectFailedError(Exception):
    """Raised inside a step's body when an effect failed: the same whether it failed now or in the recording.

    `kind` is the failure's kind (`error`, or `model.rate_limit` and the like), `retryable` whether asking again may help,
    `retry_after` the seconds the other side asked for. The original exception's type is not kept: a recording has none.
    """

    def __init__(self, message: str, *, kind: str = "effect", retryable: bool = True, retry_after: float | None = None) -> None:
        self.kind, self.retryable, self.retry_after = kind, retryable, retry_after
        super().__init__(message)


class ChildFailedError(EffectFailedError):
    """A child run failed or was cancelled; `spent` is what it used all the same."""

    def __init__(self, message: str, *, retryable: bool, spent: Sequence[Spent]) -> None:
        self.spent = tuple(spent)
        super().__init__(message, kind="child", retryable=retryable)


class OutputInvalidError(Exception):
    """Raised inside a step's body when a model's answer does not fit the schema, after one repair."""


class DivergenceError(Exception):
    """Raised inside an attempt driven again that did not ask for what it had asked for when it was recorded."""


class AttemptClosedError(Exception):
    """Raised to a body that goes on after its attempt was closed (timed out, cancelled, superseded): its effects are refused."""
