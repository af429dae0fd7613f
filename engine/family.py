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
from engine.graph import Plan, base_of
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
from engine.tape import EFFECT_TYPES, identity_of
from store import Driver, Lease, Log
from store.errors import RunConflictError, RunNotFoundError
from store.events import BudgetSet, EffectRequested, Recorded, RunForked, RunId, Spent
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
        if (past := await self._begun_before(call)) is not None:
            await self._fork(child, past, call.step)
            driven = await self.take_up(child, call, caller, unpause=True)
            if driven is not None:
                return driven
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

    async def _begun_before(self, call: Call) -> RunId | None:
        """The same child run as the run that this was forked from began it after the point, and did not hear the end of.

        What a fork asks for anew is begun anew.
        """
        if not self._is_fork:
            return None
        log, line = self._keeper.log, self._run
        await log.writer.call(lambda _: None)  # what was asked for may still be on its way to the disk
        if (owner := await self._owner(line, call.request)) != line:
            return await self._known(owner, call.request)
        (mine,) = await log.events(line, after=call.request - 1, upto=call.request)
        while (first := (await log.segments(line))[-1].first) > 1:
            (begun,) = await log.events(line, after=first - 1, upto=first)
            if line == self._run and await self._anew(call.step, first):
                return None
            parent, after = RunId(begun.event.parent), begun.event.version
            events = await log.events(parent, after=after, upto=begun.event.reuse_upto, step=call.step, types=EFFECT_TYPES)
            settled = {getattr(item.event, "request", None) for item in events}
            for item in reversed(events):
                same = isinstance(item.event, EffectRequested) and identity_of(item.event) == identity_of(mine.event)
                if same and item.version not in settled:
                    return await self._known(await self._owner(parent, item.version), item.version)
            line = parent
        return None

    async def _anew(self, step: str, begun: int) -> bool:
        """Whether the fork, which begins at that event, asks for the step's child runs anew."""
        found = await circumstances(self._keeper.log, self._run)
        again = any(edit.kind == "again" and edit.step == base_of(step) and at > begun for at, edit in found.edits)
        policy = next((one for one in reversed(found.policies()) if one.fits("child", "")), None)
        return again or (policy is not None and policy.word == "live")

    async def _owner(self, run: RunId, version: int) -> RunId:
        """The run of the lineage that recorded an event."""
        return RunId(next(one.id for one in reversed(await self._keeper.log.segments(run)) if one.first <= version))

    async def _known(self, caller: RunId, request: int) -> RunId | None:
        """The child that a request called, if it was begun."""
        child = RunId(f"{caller}.{request}")
        try:
            return child if await self._keeper.log.head(child) else None
        except RunNotFoundError:
            return None

    async def _fork(self, child: RunId, past: RunId, step: str) -> None:
        """Begin a child as a fork of another at its beginning: all that one came to is taken."""
        log = self._keeper.log
        made = await log.events(past, limit=2)
        point = made[-1] if isinstance(made[-1].event, BudgetSet) else made[0]
        now = max(time.time(), point.at)
        forked = RunForked(past, point.version, await log.head(past), caller=self._run, caller_step=step)
        batch = [Recorded(point.version + 1, now, forked, actor="caller")]
        await (await log.fork(child, past, point.version, batch, driver=Driver.current())).release()

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
