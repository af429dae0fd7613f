"""The yardstick of control flow: a check plays a run, and must fail as soon as one rule of the engine is swapped for a wrong one.

Stands apart from `driving.py` because here bodies end when the check says so: the order of events is the check's, not the clock's.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any, NamedTuple

import pytest

from engine import Engine, Pipeline, StepContext
from store.state import RunState, StepStatus
from tests.driving import engine_at, typed

PATIENCE = 20.0
"""Seconds that something which must come may take."""
WRONG_PATIENCE = 0.25
"""The same under a wrong rule, where it mostly never comes."""


class Play:
    """One run on the stage. Bodies made by `held` end when `end` says so; `story` tells what happened, in order."""

    def __init__(self, engine: Engine, patience: float) -> None:
        self.engine, self.patience = engine, patience
        self.run = ""
        self.left: list[str] = []
        self._driving: asyncio.Task[str | None] | None = None
        self._cues: dict[str, asyncio.Future[Any]] = {}
        self._begun: set[str] = set()

    async def held(self, ctx: StepContext) -> Any:
        """The body of a step that goes on until the check ends it; `left` tells who was stopped instead."""
        self._begun.add(ctx.step)
        try:
            return await self._cue(ctx.step)
        except asyncio.CancelledError:
            self.left.append(ctx.step)
            raise

    def _cue(self, path: str) -> asyncio.Future[Any]:
        return self._cues.setdefault(path, asyncio.get_running_loop().create_future())

    async def start(self, pipeline: Pipeline, **params: Any) -> None:
        """Start the run that the other methods are about."""
        self.run = await self.engine.start(pipeline, params, max_concurrent_steps=20)
        self._driving = asyncio.create_task(self.engine.wait(self.run))

    async def until(self, holds: Callable[[RunState], bool], what: str) -> RunState:
        """Wait until the run's state is as it must become; fails at once when the run has ended otherwise.

        A wrong rule must be seen in the order of events: one that breaks the engine tells nothing about the check.
        """
        began = time.monotonic()
        while True:
            state = await self.engine.view(self.run)
            if holds(state):
                return state
            if self._driving is not None and self._driving.done() and (broken := self._driving.exception()):
                raise RuntimeError("the engine broke") from broken
            if state.status.ended or time.monotonic() - began > self.patience:
                raise AssertionError(f"{what} did not come; the run is {state.status.word}: {await self.story()}")
            await asyncio.sleep(0.005)

    async def running(self, *paths: str) -> None:
        """Wait until exactly these steps run, groups not counted."""

        def holds(state: RunState) -> bool:
            return {name for name, step in state.steps.items() if step.status is StepStatus.RUNNING and step.items is None} == set(
                paths
            )

        await self.until(holds, f"that {', '.join(paths)} run")

    async def begun(self, *paths: str) -> None:
        """Wait until the bodies of these steps have begun, which is a little after their steps started."""
        await self.until(lambda state: self._begun.issuperset(paths), f"that the bodies of {', '.join(paths)} begin")

    async def end(self, *paths: str, output: Any = None) -> None:
        """Let running bodies end, one after another, each with what follows from it."""
        for path in paths:
            await self.until(lambda state, path=path: _runs(state, path), f"the start of {path}")
            self._cue(path).set_result(output)
            await self.until(lambda state, path=path: state.steps[path].status.settled, f"the end of {path}")

    async def stopped(self, *paths: str) -> None:
        """Exactly the bodies of these steps were stopped; they hear of it a little after their steps were cancelled."""
        began = time.monotonic()
        while len(self.left) < len(paths) and time.monotonic() - began < self.patience:
            await asyncio.sleep(0.005)
        assert sorted(self.left) == sorted(paths)

    async def settled(self, path: str) -> None:
        """Wait until something has ended that no check ends."""
        await self.until(lambda state: path in state.steps and state.steps[path].status.settled, f"the end of {path}")

    async def finish(self) -> list[str]:
        """Wait for the run's end, and tell its story."""
        await self.until(lambda state: state.status.ended, "the end of the run")
        return await self.story()

    async def story(self) -> list[str]:
        """What happened to the run and its steps, in order: `started a`, `completed a`, `run.completed`."""
        recorded = await self.engine.events(self.run)
        told = [item for item in recorded if item.event.type.startswith(("step.", "run.", "approval."))]
        return [text.removeprefix("step.") for text in typed(told) if text not in ("run.created", "run.attached")]


def _runs(state: RunState, path: str) -> bool:
    return not state.status.ended and path in state.steps and state.steps[path].status is StepStatus.RUNNING


def about(story: Sequence[str], *paths: str) -> list[str]:
    """What a story tells of some steps only, in order: what runs beside them may come in between."""
    return [line for line in story if line.partition(" ")[2] in paths]


Check = Callable[[Play], Awaitable[None]]


class Mutation(NamedTuple):
    """A plausible wrong rule: `wrong` makes it of the right one, which is `owner`'s attribute `rule`."""

    name: str
    owner: Any
    rule: str
    wrong: Callable[[Any], Any]

    @contextlib.contextmanager
    def applied(self) -> Iterator[None]:
        """The wrong rule in the place of the right one, wherever the engine has imported it."""
        right = getattr(self.owner, self.rule)
        replaced = self.wrong(right)
        with pytest.MonkeyPatch.context() as patch:
            for module in [self.owner, *(module for name, module in sys.modules.items() if name.startswith("engine."))]:
                if getattr(module, self.rule, None) is right:
                    patch.setattr(module, self.rule, replaced)
            yield


def always(answer: Any) -> Callable[[Any], Any]:
    """A rule that answers the same whatever it is asked."""
    return lambda right: lambda *args, **kwargs: answer


def instead(rule: Callable[..., Any]) -> Callable[[Any], Any]:
    """A rule that is given the right one as its first argument."""
    return lambda right: functools.wraps(right)(lambda *args, **kwargs: rule(right, *args, **kwargs))


def pattern(number: int, *wrong: Mutation) -> Callable[[Check], Callable[..., Awaitable[None]]]:
    """Make a check the test of a pattern: it passes as the engine is, and fails under each wrong rule."""

    def test_of(check: Check) -> Callable[..., Awaitable[None]]:
        ways: Sequence[Mutation | None] = [None, *wrong]

        @pytest.mark.parametrize("mutation", ways, ids=lambda way: "right" if way is None else way.name.replace(" ", "-"))
        async def test(mutation: Mutation | None) -> None:
            if mutation is None:
                await played(check, PATIENCE)
                return
            with mutation.applied(), pytest.raises(AssertionError):
                await played(check, WRONG_PATIENCE)

        test.__name__, test.__qualname__, test.__doc__ = check.__name__, check.__name__, check.__doc__
        test.__module__, test.pattern = check.__module__, number
        return test

    return test_of


async def played(check: Check, patience: float) -> None:
    """One performance of a check, in a store of its own."""
    async with engine_at() as engine:
        await check(Play(engine, patience))
