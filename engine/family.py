"""The runs around a run that calls others: its child runs are made, found and taken up again here.

Stands apart from `children.py`, which lives through a child's life and knows neither stores nor how runtimes are made, and from the
engine, of which it needs little.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from engine import targets
from engine.asking import handed_down
from engine.bodies import with_added
from engine.budgets import allowance, around, held, raises
from engine.calling import Call, Callee, Driven
from engine.circumstances import circumstances
from engine.control import MOST_CHILDREN, signal
from engine.definition import Definition
from engine.errors import CommandRefusedError, EngineError
from engine.files import ENDINGS
from engine.graph import Plan
from engine.pinning import need_bodies
from engine.pipeline import Pipeline
from engine.record import Added, added_to
from engine.recordings import Policy
from engine.replay.forking import settled_later
from engine.result import final_output, spent_by
from engine.runtime import Migration
from engine.starting import Order
from engine.steps import SELF, plain
from engine.taking import Taking, taking_of
from store import Driver, Lease, Log
from store.errors import RunConflictError, RunNotFoundError
from store.events import BudgetSet, Recorded, RunForked, RunId, Spent
from store.state import RunState, RunStatus


class Keeper(Protocol):
    """What this needs of the engine."""

    @property
    def log(self) -> Log: ...
    @property
    def max_depth(self) -> int: ...
    async def make(self, order: Order) -> Driven: ...
    def runtime(
        self, lease: Lease, state: RunState, definition: Definition, pipeline: Pipeline, params: Mapping[str, Any],
        settings: Mapping[str, Any], migrated: Migration | None = None, added: Sequence[Added] = (), taking: Taking | None = None,
        policies: Sequence[Policy] = (),
    ) -> Driven: ...  # fmt: skip


class Family:
    """See `children.Home`: `run` is the one that calls, `definition` and `pipeline` what it runs, `state` as it was taken up."""

    def __init__(
        self, keeper: Keeper, run: RunId, state: RunState, definition: Definition, pipeline: Pipeline, settings: Mapping[str, Any]
    ) -> None:
        self._keeper, self._run, self._definition, self._pipeline = keeper, run, definition, pipeline
        self._target, self._cwd, self._depth = state.target, state.cwd, state.depth
        self._is_fork = state.parent is not None
        self._settings, self._budgets = dict(settings), around(definition)

    async def state(self, child: RunId) -> RunState | None:
        """See `Home.state`."""
        log = self._keeper.log
        try:
            return await log.state(child)
        except RunNotFoundError:
            return await self._forked(child) if self._is_fork else None

    async def _forked(self, child: RunId) -> RunState | None:
        """A child that was called in the past that a fork shares is forked with it, at what it had come to by then."""
        log, request = self._keeper.log, int(child.rpartition(".")[2])
        segments = await log.segments(self._run)
        origin = next((segment for segment in reversed(segments) if segment.first <= request), None)
        if origin is None or origin.id == self._run:
            return None
        past = RunId(f"{origin.id}.{request}")
        point = segments[-1].first - 1
        (last,), (begun,), (asked,) = [await log.events(self._run, after=at - 1, upto=at) for at in (point, point + 1, request)]
        whole = getattr(begun.event, "reuse_upto", None) == point  # forked at all there was: so is the child
        try:
            version = await log.locate(past, at=begun.at if whole else last.at)
        except RunNotFoundError:
            return None
        if not version:
            return None
        state, head, now = await log.state(past, version), await log.head(past), max(time.time(), last.at)
        forked = RunForked(past, version, head, caller=self._run, caller_step=asked.step, away=now - state.last_at)
        facts = [(forked, None, 0), *await settled_later(log, past, state, version, head)]
        batch = [
            Recorded(version + number, now, event, step, attempt, actor="caller")
            for number, (event, step, attempt) in enumerate(facts, 1)
        ]
        lease = await log.fork(child, past, version, batch, driver=Driver.current())
        await lease.release()
        return await log.state(child)

    async def begin(self, child: RunId, call: Call, caller: RunState) -> Driven:
        """See `Home.begin`."""
        depth = self._depth + 1
        if depth > self._keeper.max_depth:
            raise EngineError(
                f"it would be {depth} calls deep and max_depth is {self._keeper.max_depth}; end the recursion sooner or raise it."
            )
        callee = self._found(call)
        settings = {**self._settings, **handed_down(self._definition, self._settings, call.step)}
        policies: list[Policy] = []
        if self._is_fork or settings.get("in_fork"):
            settings["in_fork"] = True
            policies = (await circumstances(self._keeper.log, self._run)).policies()
        if callee.definition.declared:
            callee.pipeline.check(call.params, model=settings["model"])
        given = plain({**callee.definition.params, **call.params})
        cwd, called = callee.cwd or self._cwd, (self._run, call.step)
        budget = allowance(self._budgets, caller, call.step, callee.definition.budget, _now(caller))
        return await self._keeper.make(
            Order(child, callee.definition, callee.pipeline, given, settings, callee.target, cwd, called, depth, budget, policies)
        )

    def more(self, call: Call, caller: RunState, child: RunState, called: Definition) -> dict[str, float]:
        """See `Home.more`."""
        return raises(allowance(self._budgets, caller, call.step, called.budget, _now(caller), child), child)

    def held(self, call: Call, caller: RunState, child: RunState) -> BudgetSet | None:
        """See `Home.held`."""
        return held(self._budgets, caller, call.step, child, _now(caller))

    def _found(self, call: Call) -> Callee:
        """What to run; raises `EngineError` where a word finds nothing, or nothing that can run."""
        word = call.callee
        if isinstance(word, Callee):
            return word
        if word == SELF:
            return Callee(self._definition, self._pipeline, self._target, self._cwd)
        loaded = targets.load(word, cwd=folder_of(word, self._target, self._cwd), params=call.params)
        definition = loaded.pipeline.define(call.params, model=handed_down(self._definition, self._settings, call.step)["model"])
        return Callee(definition, loaded.pipeline, loaded.target, self._cwd)

    async def take_up(self, child: RunId, call: Call, caller: RunState, *, unpause: bool) -> Driven | None:
        """See `Home.take_up`."""
        log = self._keeper.log
        try:
            lease = await log.acquire(child, driver=Driver.current())
        except RunConflictError:
            return None
        try:
            state = await log.state(child)
            recorded = Definition.from_json(await log.blob(state.definition))
            pipeline = self._found(call).pipeline
            need_bodies(child, recorded, pipeline)
            if not state.status.ended:
                await self._let_on(lease, state, self.more(call, caller, state, recorded), unpause=unpause)
                state = await log.state(child)
            added = await added_to(log, child, state)
            pipeline = with_added(pipeline, added, Path(state.cwd or "."))
            found = await circumstances(log, child)
            taking = await taking_of(log, child, state, Plan(recorded, 1, added), found)
        except BaseException:
            await lease.release()
            raise
        params, settings = found.params, found.settings
        return self._keeper.runtime(lease, state, recorded, pipeline, params, settings, None, added, taking, found.policies())

    async def _let_on(self, lease: Lease, state: RunState, raised: dict[str, float], *, unpause: bool) -> None:
        """Let a child go on, with what its caller's raised budget leaves it; it rests on where that is used up as it was."""
        if raised:
            await signal(self._keeper.log, lease.run, "budget", raised, lease=lease, actor="caller")
        if state.pausing and unpause:
            with contextlib.suppress(CommandRefusedError):
                await signal(self._keeper.log, lease.run, "resume", {}, lease=lease, actor="caller")

    async def stirred(self, child: RunId, seen: int) -> int:
        """See `Home.stirred`."""
        pulse = self._keeper.log.pulse
        while True:
            stamp = pulse.stamp(None)
            if (grown := await self.grown(child)) != seen:
                return grown
            await pulse.wait(None, stamp)

    async def grown(self, child: RunId) -> int:
        """See `Home.grown`."""
        return await self._keeper.log.grown(child)

    async def output(self, child: RunId, state: RunState) -> Any:
        """See `Home.output`."""
        return await final_output(self._keeper.log, child, state) if state.status is RunStatus.COMPLETED else None

    async def used(self, child: RunId, state: RunState) -> tuple[Spent, ...]:
        """See `Home.used`."""
        return await spent_by(self._keeper.log, child, state)

    async def tell(self, child: RunId, kind: str, body: dict[str, Any]) -> None:
        """See `Home.tell`."""
        await signal(self._keeper.log, child, kind, body, actor="caller")

    async def unfinished(self) -> list[RunId]:
        """See `Home.unfinished`."""
        rows = await self._keeper.log.runs(caller=self._run, limit=MOST_CHILDREN)
        return [row.id for row in rows if row.ended is None]


def _now(caller: RunState) -> float:
    return max(time.time(), caller.last_at)


def folder_of(word: str, target: str | None, cwd: str | None) -> Path:
    """Where a word is looked up: a file beside the caller's own file, anything else where the caller was asked for."""
    if target is not None and target.lower().endswith(ENDINGS) and word.lower().endswith(ENDINGS):
        return Path(target).parent
    return Path(cwd or ".")
