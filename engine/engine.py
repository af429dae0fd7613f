"""Runs for long-lived use: start, watch, steer and read them, all from one object over one store.

Stands apart from the runtime, which drives one run: this opens the store, pins definitions, holds the tasks of the runs that this
process drives, and finds a run's pipeline again when it is resumed.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import secrets
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from engine import capture
from engine.asking import asked_by, handed_down, rules_of
from engine.bodies import bodies_of, with_added
from engine.children import Children
from engine.circumstances import circumstances, post_injected
from engine.commanding import Commanding
from engine.control import signal
from engine.definition import Definition
from engine.edits import edited
from engine.errors import EngineError, PipelineValidationError, Problem
from engine.family import Family
from engine.finding import find_again
from engine.forks import Forks
from engine.graph import Plan
from engine.models.choose import choose
from engine.models.errors import ModelError
from engine.models.litellm_model import LitellmModel
from engine.models.port import Model
from engine.pinning import pin, refuse_doubtful, remarks
from engine.pipeline import Pipeline, need_pipeline
from engine.record import Added, added_to
from engine.recordings import Policy
from engine.registry import Offering, live_runs
from engine.replay.checkpoints import Checkpoint, checkpoints_of
from engine.replay.places import span
from engine.replay.view import view
from engine.result import PipelineResult, result_of
from engine.runtime import Migration, Runtime
from engine.starting import Order, first, new_id
from engine.steps import plain
from engine.taking import Taking, taking_of
from engine.tooling import Toolbox
from engine.triggers import on
from store import Driver, Lease, Log, RunRow
from store.errors import RunConflictError, StoreError
from store.events import BudgetSet, Recorded, RunId
from store.limits import Slots
from store.projector import project
from store.state import RunState

if TYPE_CHECKING:
    from engine.config import TAgentConfig
    from engine.replay.difference import RunDiff


class Engine(Commanding, Forks):
    """A store and the runs this process drives in it: `async with Engine(db) as engine`.

    `db` is a path, `":memory:"`, or None for the configured or the user's store; without `config` the settings are those of the
    environment, `./tagent.toml` and the user's file. `tee` shows what steps print as well as recording
    it. Leaving the block stops the runs still driven here; they can be resumed.
    """

    def __init__(self, db: str | Path | None = None, config: TAgentConfig | None = None, *, tee: bool = True) -> None:
        from engine.config import configured, default_db

        self.config = config or configured()
        self._db = str(db if db is not None else self.config.db or default_db(os.environ))
        self._tee = tee
        self._log: Log | None = None
        self._driver = Driver.current()
        self._tasks: dict[RunId, asyncio.Task[str | None]] = {}
        self._leases: dict[RunId, Lease] = {}
        self._models: dict[str, Model] = {}

    @property
    def log(self) -> Log:
        """The open store."""
        if self._log is None:
            raise EngineError("The engine is not open; use it as `async with Engine(...) as engine`.")
        return self._log

    async def __aenter__(self) -> Self:
        self._log = await Log.open(self._db)
        self._slots = Slots(self._log.writer, self._driver)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Stop what is still driven here (it can be resumed), and close the store."""
        tasks = [task for task in self._tasks.values() if not task.done()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for lease in list(self._leases.values()):  # of a task that was cancelled before its first step
            with contextlib.suppress(StoreError):
                await lease.release()
        self._leases.clear()
        for model in self._models.values():
            await model.aclose()
        self._models.clear()
        if self._log is not None:
            await self._log.close()
            self._log = None

    # -- starting and resuming

    async def start(
        self,
        pipeline: Pipeline,
        params: Mapping[str, Any] | None = None,
        *,
        model: str | None = None,
        target: str | None = None,
        cwd: str | None = None,
        max_concurrent_steps: int | None = None,
        run_id: str | None = None,
    ) -> RunId:
        """Record a run and drive it in the background of this process; returns its id once it is durable.

        `target` and `cwd` say how another process finds the pipeline again to resume it. Raises `PipelineValidationError`.
        """
        need_pipeline(pipeline, "Engine.start")
        pipeline = pipeline.copy()
        model = model or self.config.model
        given = dict(params or {})
        pipeline.check(given, model=model)
        definition = pipeline.plain()
        limit = self.config.max_concurrent_steps if max_concurrent_steps is None else max_concurrent_steps
        if limit < 1:
            raise EngineError(f"max_concurrent_steps is {limit}; give at least 1, or nothing could run.")
        kept = self.config.model_dump(include={"api_base", "fallback_models", "max_iterations"})
        settings = {"model": model, "max_concurrent_steps": limit, "config": self.config.asked().plain(), **kept}
        run, cwd = RunId(run_id) if run_id else new_id(), cwd or str(Path.cwd())
        order = Order(run, definition, pipeline, plain({**definition.params, **given}), settings, target, cwd)
        self.take_up(run, await self.make(order))
        return run

    async def make(self, order: Order) -> Runtime:
        """Record a run, durably; what comes back drives it. Raises `PipelineValidationError` for a model that cannot be asked."""
        await self._check_models(order.definition, order.settings.get("model"))
        created, blobs = first(order, time.time(), secrets.randbits(32), version())
        batch = [created]
        budget = order.budget
        if budget is None and order.caller is None and self.config.budget is not None:
            budget = BudgetSet(cost=self.config.budget)
        if budget is not None:
            batch.append(Recorded(2, created.at, budget, actor=created.actor))
        lease = await self.log.create(order.run, batch, blobs, driver=self._driver)
        return self.runtime(
            lease, project(batch), order.definition, order.pipeline, order.params, order.settings, policies=order.policies
        )

    def runtime(
        self, lease: Lease, state: RunState, definition: Definition, pipeline: Pipeline, params: Mapping[str, Any],
        settings: Mapping[str, Any], migrated: Migration | None = None, added: Sequence[Added] = (), taking: Taking | None = None,
        policies: Sequence[Policy] = (),
    ) -> Runtime:  # fmt: skip
        """What drives a run. `definition` decides what each step is; `pipeline` gives the functions and types behind it."""
        bodies = bodies_of((*definition.steps, *(step for step, _ in added)), pipeline)
        most = int(settings.get("max_iterations") or self.config.max_iterations)
        family = Family(self, lease.run, state, definition, pipeline, settings)
        return Runtime(
            self.log, lease, state, definition, bodies.functions, bodies.schemas,
            params=params, rules=rules_of(definition, settings, self.config), slots=self._slots,
            models=functools.partial(self._model, settings.get("api_base")),
            limit=int(settings.get("max_concurrent_steps") or self.config.max_concurrent_steps), driver=self._driver,
            children=Children(lease.run, family, bodies.nested, functools.partial(handed_down, definition, settings)),
            migrated=migrated, policies=policies if settings.get("in_fork") else None,
            memories=self.config.memories, added=added, taking=taking,
            tools=Toolbox(definition, bodies.tools, most, bodies.agents),
        )  # fmt: skip

    @property
    def max_depth(self) -> int:
        """How many calls deep child runs may be."""
        return self.config.max_depth

    async def _check_models(self, definition: Definition, model: str | None) -> None:
        """Refuse what a provider would refuse without being asked (an unknown model, a missing key), before anything runs."""
        problems = []
        for name, user in asked_by(definition, model, self.config.fallback_models).items():
            chosen = self._model(None, name)
            if isinstance(chosen, LitellmModel):
                try:
                    await asyncio.to_thread(chosen.check)  # imports litellm: 2 s the first call would take anyway
                except ModelError as error:
                    problems.append(Problem(user, str(error)))
        if problems:
            raise PipelineValidationError(definition.name, problems)

    def _model(self, api_base: str | None, name: str) -> Model:
        """A model by name, at the server that is configured now, else at the one the run was started with."""
        server = self.config.api_base or api_base
        key = name if server is None else f"{name} at {server}"
        if key not in self._models:
            self._models[key] = choose(name, self.config.model_copy(update={"api_base": server}))
        return self._models[key]

    def take_up(self, run: RunId, runtime: Runtime) -> None:
        """Drive a run in the background of this process."""
        self._leases[run] = runtime.lease
        self._tasks[run] = asyncio.get_running_loop().create_task(self._drive(runtime))

    async def _drive(self, runtime: Runtime) -> str | None:
        """Drive to the end; returns why it is parked, and holds on to nothing else of the run."""
        try:
            with capture.captured(tee=self._tee):
                await runtime.drive()
        finally:
            await runtime.lease.release()
            self._leases.pop(runtime.lease.run, None)
        return runtime.parked

    async def resume(
        self,
        wanted: str,
        pipeline: Pipeline | None = None,
        *,
        on_change: str = "ask",
        resolve: Mapping[str, Mapping[str, Any]] | None = None,
        retarget: str | None = None,
        trust: bool = False,
    ) -> RunId:
        """Drive an unfinished run on in the background of this process; returns its id.

        The pipeline is found again from where the run was started unless it is given. If it is not the one recorded, `on_change`
        says what to do: `ask` (raise `DefinitionChangedError`), `recorded` (go on with what was recorded), `migrate` (changed steps
        and what depends on them run again). `resolve` says what became of effects in doubt: step -> `{"outcome", "value"?}`.
        A run that was imported is driven only with `trust`, unless its pipeline is given here.
        """
        row = await self.log.find(wanted)
        if row.imported and pipeline is None and not trust:
            raise EngineError(
                f"Run {row.id} came in a bundle, so nothing it names is executed unasked; look at it, and if you trust "
                f"{row.target or 'its pipeline'} on this machine, resume it with --trust."
            )
        state = await self.log.state(row.id)
        if state.status.ended:
            raise EngineError(f"Run {row.id} has ended ({state.status.word}); there is nothing to resume.")
        recorded = Definition.from_json(await self.log.blob(state.definition))
        found = await circumstances(self.log, row.id)
        params, settings = found.params, found.settings
        if pipeline is None:
            pipeline = await find_again(self.log, row.id, state, params, retarget)
        pipeline = edited(pipeline, [edit for _, edit in found.edits])
        definition, migrated, changes = pin(row.id, recorded, pipeline, params, settings.get("model"), on_change)
        pinned = state.definition
        lease = await self.log.acquire(row.id, driver=self._driver)
        try:
            state = await self.log.state(row.id)
            if state.status.ended or state.definition != pinned:
                raise RunConflictError(f"Run {row.id} was driven on by another process meanwhile; look at it, then try again.")
            for step, body in (resolve or {}).items():
                await signal(self.log, row.id, "resolve", {"step": step, **body}, lease=lease)
            if state.pausing:
                await signal(self.log, row.id, "resume", {}, lease=lease)
            state = await self.log.state(row.id)
            added = await added_to(self.log, row.id, state)  # only now: whoever let go of the lease may have added more
            pipeline = with_added(pipeline, added, Path(state.cwd or "."))
            if migrated is not None:
                refuse_doubtful(row.id, state, Plan(definition, 1).descendants({*changes.steps, *changes.removed}))
        except BaseException:
            await lease.release()
            raise
        await post_injected(self.log, row.id, found)
        taking = await taking_of(self.log, row.id, state, Plan(definition, 1, added), found)
        runtime = self.runtime(lease, state, definition, pipeline, params, settings, migrated, added, taking, found.policies())
        runtime.remark(remarks(changes, recorded, definition, added))
        self.take_up(row.id, runtime)
        return row.id

    # -- steering and looking

    async def wait(self, run: str) -> str | None:
        """Wait until this process no longer drives the run; returns why it is parked (`paused`, `waiting`) or None if it ended."""
        task = self._tasks.get(RunId(run))
        if task is None:
            return None
        return await asyncio.shield(task)

    async def result(self, run: str) -> PipelineResult:
        """The run's result, after its end if this process drives it; otherwise what its log says now."""
        row = await self.log.find(run)
        await self.wait(row.id)
        return await result_of(self.log, row.id, alive=row.alive())

    async def retry(self, run: str, step: str, pipeline: Pipeline | None = None) -> RunId:
        """Try a failed step again, and what was skipped because of it; drives the run on here unless somebody drives it."""
        row = await self.log.find(run)
        await self.command(row.id, "retry", {"step": step})
        if (await self.log.find(row.id)).driver is None:
            await self.resume(row.id, pipeline)
        return row.id

    async def view(self, run: str, at: int | str | None = None) -> RunState:
        """The run's state at a place (default: now): an event, a checkpoint, `STEP:end`, a time; the caller owns it."""
        return await view(self.log, (await self.log.find(run)).id, at)

    async def checkpoints(self, run: str) -> list[Checkpoint]:
        """The named places of the run, oldest first; of one name the newest counts."""
        return await checkpoints_of(self.log, (await self.log.find(run)).id)

    async def events(
        self, run: str, after: int = 0, *, since: int | str | None = None, until: int | str | None = None, **filters: Any
    ) -> Sequence[Recorded]:
        """The run's events after a version, between two places; filters are those of `Log.events` (`types`, `step`, ...)."""
        found = (await self.log.find(run)).id
        begin, upto = await span(self.log, found, since, until)
        return await self.log.events(found, after=max(after, begin), upto=upto, **filters)

    async def events_of_all(self, after: int = 0, *, limit: int = 1000, **filters: Any) -> list[tuple[RunId, Recorded]]:
        """Events of all runs after a `seq`, with the run each is of; filters are those of `Log.tail`."""
        return await self.log.tail(after, limit=limit, **filters)

    async def diff(self, a: str, b: str, *, step: str | None = None) -> RunDiff:
        """What differs from run `a` to run `b` (ids, prefixes or `last`), or in one step of them; see `engine.replay`."""
        from engine.replay.loading import diff

        return await diff(self.log, a, b, step=step)

    def follow(self, run: str, after: int = 0) -> AsyncIterator[list[Recorded]]:
        """Batches of the run's events as they come; never ends by itself."""
        return self.log.follow(RunId(run), after)

    def on(self, topic: str, pipeline: Pipeline, **options: Any) -> AsyncIterator[RunId]:
        """Start a run for each post of a topic; see `triggers.on`, which has the options."""
        return on(self, topic, pipeline, **options)

    async def registry(self) -> list[Offering]:
        """The runs that a live process drives now: what they offer, and when they were last heard of."""
        return await live_runs(self.log)

    async def runs(self, **filters: Any) -> list[RunRow]:
        """The runs of the store, newest first; filters are those of `Log.runs`."""
        return await self.log.runs(**filters)


@functools.cache
def version() -> str:
    """Our version, as installed."""
    from importlib import metadata  # 13 ms, and only a run's first event needs it

    try:
        return metadata.version("tagent-tui")
    except metadata.PackageNotFoundError:
        return "unknown"
