"""A seed's run from start to end over the real engine: with drivers that die and people who command, or undisturbed."""

import asyncio
import contextlib
from functools import partial
from pathlib import Path
from random import Random
from typing import Any
from unittest.mock import patch

import msgspec

from engine import CommandRefusedError, DefinitionChangedError, Engine, EngineError, PipelineResult, TAgentConfig
from engine.commands import awaiting
from engine.definition import Definition
from engine.record import Added, added_to
from engine.replay.verify import Verification, verified
from engine.result import result_of
from engine.runtime import Runtime
from store.errors import LeaseLostError, StoreError
from store.events import Recorded, RunCreated, RunId, RunMigrated
from store.state import RunState, StepStatus
from tests.simulation import pipelines
from tests.simulation.clockwork import Loop, simulate
from tests.simulation.worlds import WORLDS, SimulatedModel, World, chance

EPOCH = 1_800_000_000.0
PATIENCE = 0.003
"""Real seconds a store's thread is waited for before the clock jumps."""
EDITED = {"n": 17, "items": [3], "go": True}
"""What an edited output is."""
PROVED = 20
"""Of so many seeds one is verified with its attempts, and its forks too."""
FORKS = 2
"""Events at which an undisturbed run is forked."""
LIVES = 12
"""Drivers that may die of one run."""
FAILED = (StepStatus.FAILED, StepStatus.TIMED_OUT)


class Branch(msgspec.Struct):
    """What a fork of a run at `version` came to, and what it did of itself; `step` is the one whose output was edited."""

    version: int
    result: PipelineResult
    state: RunState
    touched: list[tuple[int, str, int, str]]
    live: list[Recorded]
    step: str | None = None


class Story(msgspec.Struct):
    """All that came of a run. `deaths` are the versions that were durable when a driver had died, `definitions` what the run
    was defined by, by the version from which on.
    """

    seed: int
    racy: bool
    result: PipelineResult
    state: RunState
    events: list[Recorded]
    limit: int
    definitions: dict[int, Definition]
    added: list[Added]
    world: World
    deaths: list[int]
    forks: list[Branch] = []
    edited: Branch | None = None
    proofs: list[Verification] = []


class Life:
    """One run of a seed, driven until it ends."""

    def __init__(self, seed: int, loop: Loop, engine: Engine, *, disturbed: bool) -> None:
        self.seed, self.loop, self.engine, self.disturbed = seed, loop, engine, disturbed
        drawn = Random(seed)
        self.racy = drawn.random() < 0.5
        self.pipeline, self.limit = pipelines.drawn(drawn, self.racy), drawn.randint(1, 4)
        self.random = Random(seed + 1)
        self.world = WORLDS[seed] = World(seed)
        self.deaths: list[int] = []
        self.asked_again, self.pipelines = False, [self.pipeline]
        self.commanding: set[asyncio.Task[None]] = set()

    async def live(self) -> Story:
        """Drive it to its end, over every death."""
        engine = self.engine
        run = await engine.start(
            self.pipeline, {"world": self.seed}, model="sim", max_concurrent_steps=self.limit, run_id=f"{self.seed:012x}"
        )
        self._doom(run)
        for _ in range(60):
            try:
                await engine.wait(run)
            except (StoreError, asyncio.CancelledError):
                await asyncio.gather(*self.commanding)  # who commands a run without a driver holds it for a moment
                state = await engine.view(run)
                self.deaths.append(state.version)
                self.world.life += 1
                if state.status.ended:
                    break
                if self.racy and self.random.random() < 0.3:
                    self.pipeline = pipelines.changed(self.random, self.pipeline)
                    self.pipelines.append(self.pipeline)
                await self._go_on(run)
                continue
            await asyncio.gather(*self.commanding)
            state = await engine.view(run)
            if not state.status.ended:
                await self._decide(run, state)
            elif not await self._tried_again(run, state):
                break
        else:
            raise AssertionError(f"the run does not end: {await engine.view(run)}")
        return await self._told(run)

    async def _tried_again(self, run: RunId, state: RunState) -> bool:
        """Somebody asks once for a failed step of a run that has ended."""
        failed = [path for path, held in state.steps.items() if held.status in FAILED]
        if not (self.racy and self.disturbed and failed) or self.asked_again:
            return False
        self.asked_again = True
        with contextlib.suppress(CommandRefusedError):
            await self.engine.command(run, "retry", {"step": self.random.choice(failed)})
            await self._go_on(run)
            return True
        return False

    async def _told(self, run: RunId) -> Story:
        engine, log = self.engine, self.engine.log
        state = await engine.view(run)
        added = await added_to(log, run, state)
        events = list(await engine.events(run))
        result = await result_of(log, run)
        definitions = {
            item.version: Definition.from_json(await log.blob(item.event.definition))
            for item in events
            if isinstance(item.event, RunCreated | RunMigrated)
        }
        forks = [] if self.disturbed else [await self._fork(run, self.random.randint(1, len(events))) for _ in range(FORKS)]
        edited = None
        done = [step.name for step in self.pipeline.steps if step.name in state.steps]
        completed = [name for name in done if state.steps[name].status is StepStatus.COMPLETED]
        if forks and completed and state.undoing is None:
            edited = await self._fork(run, len(events), self.random.choice(completed))
        proofs = await self._proofs(run, definitions[max(definitions)]) if self.seed % PROVED == 0 else []
        return Story(
            self.seed, self.racy, result, state, events, self.limit, definitions, added, self.world, self.deaths, forks, edited,
            proofs,
        )  # fmt: skip

    async def _proofs(self, run: RunId, recorded: Definition) -> list[Verification]:
        """Of the run and its forks, with the pipeline the run last went on with: a changed one may have come too late for it."""
        pipeline = next(one for one in reversed(self.pipelines) if one.plain() == recorded)
        log, before = self.engine.log, len(self.world.touches)
        runs = [run, *(row.id for row in await log.runs(parent=run))]
        found = [await verified(log, one, TAgentConfig(), pipeline) for one in runs]
        assert len(self.world.touches) == before
        return found

    async def _fork(self, run: RunId, version: int, step: str | None = None) -> Branch:
        engine, before = self.engine, len(self.world.touches)
        edits = {} if step is None else {f"{step}.output": EDITED}
        fork = await engine.fork(run, version, edits, pipeline=self.pipeline)
        for _ in range(20):
            await engine.wait(fork)
            if (await engine.view(fork)).status.ended:
                break
            await self._decide(fork, await engine.view(fork))
        state = await engine.view(fork)
        own = await engine.events(fork, after=version, types={"effect.succeeded", "effect.failed"})
        live = [item for item in own if item.event.source is None]
        return Branch(version, await result_of(engine.log, fork), state, self.world.touches[before:], live, step)

    async def _go_on(self, run: RunId, **how: Any) -> None:
        """Drive it on: as the changed pipeline, or as the recorded one while something in doubt is in the way of that."""
        if (await self.engine.view(run)).status.ended:
            return
        with contextlib.suppress(CommandRefusedError):
            try:
                await self.engine.resume(run, self.pipeline, on_change="migrate", **how)
            except EngineError as error:
                if "cannot migrate" not in str(error):
                    raise
                await self._as_recorded(run)
        self._doom(run)

    async def _as_recorded(self, run: RunId) -> None:
        """As the newest of the pipelines so far that has every function of what was recorded."""
        for pipeline in reversed(self.pipelines):
            with contextlib.suppress(DefinitionChangedError):
                await self.engine.resume(run, pipeline, on_change="recorded")
                return

    async def _decide(self, run: RunId, state: RunState) -> None:
        """What a person does where the run waits for one."""
        if names := awaiting(state):
            approved = chance(self.seed, "approves", names[0]) < 0.7
            await self.engine.approve(run, names[0], approved=approved)
        for effect in list(state.open.values()):
            if effect.kind == "ask":
                with contextlib.suppress(CommandRefusedError):  # what was approved or not may have ended the run
                    await self.engine.answer(run, "do it", effect.step)
        doubts = {effect.step: self._what_became(effect) for effect in state.open.values() if effect.in_doubt}
        await self._go_on(run, resolve=doubts)

    def _what_became(self, effect: Any) -> dict[str, Any]:
        """What somebody who looks at the world would say."""
        place = effect.step, effect.attempt, effect.name
        if not self.world.counts[place]:
            return {"outcome": "again"}
        return {"outcome": "succeeded", "value": World(self.seed).touch(*place)}

    # -- what goes wrong

    def _doom(self, run: RunId) -> None:
        """Let the driver die at an event to come, and somebody command at another."""
        lease, random = self.engine._leases.get(run), self.random
        if lease is None or not self.disturbed:
            return
        dies = lease.head + random.randint(1, 30) if len(self.deaths) < LIVES and random.random() < 0.8 else None
        commands = lease.head + random.randint(1, 20) if self.racy and random.random() < 0.5 else None
        append = lease.append

        def appended(batch: Any, *arguments: Any, **options: Any) -> None:
            nonlocal commands
            if dies is not None and lease.head + len(batch) >= dies and lease.error is None:
                lease.error = LeaseLostError("the driver died")
                self.loop.call_soon(self.engine._tasks[run].cancel)
            if commands is not None and lease.head + len(batch) >= commands:
                commands = None
                task = self.loop.create_task(self._command(run))
                self.commanding.add(task)
                task.add_done_callback(self.commanding.discard)
            append(batch, *arguments, **options)

        lease.append = appended  # type: ignore[method-assign]

    async def _command(self, run: RunId) -> None:
        state = await self.engine.view(run)
        kind = self.random.choice(["pause", "cancel", "skip", "retry", "cancel step"])
        if kind == "cancel" and self.random.random() < 0.7:
            kind = "skip"
        body = {} if kind in ("pause", "cancel") else {"step": self.random.choice(list(state.steps))}
        with contextlib.suppress(CommandRefusedError, StoreError):
            await self.engine.command(run, kind.split()[0], body)


async def _lived(seed: int, disturbed: bool, db: str | Path, loop: Loop) -> Story:
    def clock() -> float:
        return EPOCH + loop.time()

    with patch("engine.engine.Runtime", partial(Runtime, clock=clock)), patch("time.time", clock):
        async with Engine(db, tee=False) as engine:
            engine._models["sim"] = SimulatedModel()
            try:
                return await Life(seed, loop, engine, disturbed=disturbed).live()
            finally:
                WORLDS.pop(seed, None)


def lived(seed: int, *, disturbed: bool, db: str | Path = ":memory:") -> Story:
    """The story of a seed in simulated time."""
    return simulate(lambda loop: _lived(seed, disturbed, db, loop), 0.0 if db == ":memory:" else PATIENCE)
