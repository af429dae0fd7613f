"""What a step may do to its own run: ask a person, publish what it has so far, add steps, enable and disable others.

Stands apart from the context because these are about the run and not about the world.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Never, Protocol

from engine.answers import Answer, Asked
from engine.effects import Effects
from engine.errors import EngineError
from engine.steps import PipelineStep, need_step
from store.events import Safety


class Steerer(Protocol):
    """The driver as these need it."""

    def publish(self, step: str, attempt: int, value: Any) -> None: ...
    def add_step(self, step: str, attempt: int, added: PipelineStep, before: Sequence[str]) -> None: ...
    def enable(self, step: str, attempt: int, target: str, *, on: bool) -> None: ...
    async def answer(self, request: int, due: float | None) -> Any: ...


def _misasked(choices: list[Any] | None, timeout: float | None, default: Any) -> str | None:
    """What no answer could mend; nobody need have chosen, so no default is always right."""
    if choices is not None and not choices:
        return "has no choices; name some, or leave them out for any answer"
    if timeout is not None and not 0 < timeout < 1e15:
        return f"has the timeout {timeout!r}; give seconds greater than 0"
    if choices is not None and default is not None and default not in choices:
        return f"has the default {default!r}, which is none of its choices"
    return None


class Steering:
    """The part of a context that steers its run."""

    step: str
    attempt: int
    _effects: Effects
    _steerer: Steerer

    async def ask(
        self, question: str, *, choices: Sequence[Any] | None = None, timeout: float | None = None, default: Any = None
    ) -> Any:
        """Ask a person and wait for the answer, however long and over restarts: from `tagent-tui answer` or the screen.

        `choices` are shown and an answer must be one of them. After `timeout` seconds from when it was first asked the answer is
        `default`. A run in which nothing else goes on is waiting; unless there is a time limit, its driver goes home.
        """
        offered = None if choices is None else list(choices)
        said = {"question": str(question), "choices": offered, "timeout": timeout}
        if wrong := _misasked(offered, timeout, default):
            raise EngineError(f"The question {str(question)[:80]!r} {wrong}.")
        kind = "ask" if timeout is None else "ask_until"  # one with a time limit keeps its driver

        async def wait(asked: Asked) -> Answer:
            try:
                return Answer(await self._steerer.answer(asked.version, None if timeout is None else asked.at + timeout))
            except TimeoutError:
                return Answer(default)

        arguments = {key: value for key, value in said.items() if value is not None}
        return await self._effects.perform(kind, str(question)[:80], arguments, Safety.READ, wait)

    async def publish_partial(self, value: Any) -> None:
        """Publish what there is so far, for steps that depend on this one softly and do not wait (`wait=False`)."""
        self._steerer.publish(self.step, self.attempt, value)

    async def add_step(self, step: PipelineStep, *, before: Sequence[str] = (), **options: Never) -> None:
        """Add a step to this run. Those in `before` depend on it from now, and so do its branches and its fallback.

        None of these may have started. Adding the same again (after a crash) changes nothing. Its function must be one that is
        found again by its name: not a lambda and not inside another function. Raises `PipelineValidationError` where it does not
        fit.
        """
        need_step(step, options)
        self._steerer.add_step(self.step, self.attempt, step, before)

    async def disable(self, step: str) -> None:
        """Let a step be skipped when its turn comes; one that has started is not stopped."""
        self._steerer.enable(self.step, self.attempt, step, on=False)

    async def enable(self, step: str) -> None:
        """Let a step run that was disabled, if its turn has not come yet."""
        self._steerer.enable(self.step, self.attempt, step, on=True)
