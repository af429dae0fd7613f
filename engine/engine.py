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
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from engine import capture, targets
from engine.changes import Changes, compare
from engine.commanding import Commanding
from engine.control import signal
from engine.definition import Definition, StepDefinition
from engine.errors import DefinitionChangedError, EngineError, PipelineValidationError, Problem, TargetError
from engine.graph import COMPENSATE, Plan
from engine.models.choose import choose
from engine.models.errors import ModelError
from engine.models.litellm_model import LitellmModel
from engine.models.port import Model
from engine.models.schemas import schema_of
from engine.pipeline import Pipeline
from engine.record import Added, added_to
from engine.registry import Offering, live_runs
from engine.result import PipelineResult, result_of
from engine.runtime import Migration, Runtime
from engine.steps import PipelineStep
from store import Driver, Lease, Log, RunRow, values
from store.errors import RunConflictError, StoreError
from store.events import Recorded, RunCreated, RunId, RunMigrated
from store.projector import project
from store.state import RunState

if TYPE_CHECKING:
    from engine.config import TAgentConfig


class Engine(Commanding):
    """A store and the runs this process drives in it: `async with Engine(db) as engine`.

    `db` is a path, `":memory:"`, or None for the configured or the user's store. `tee` shows what steps print as well as recording
    it. Leaving the block stops the runs still driven here; they can be resumed.
    """

    def __init__(self, db: str | Path | None = None, config: TAgentConfig | None = None, *, tee: bool = True) -> None:
        from engine.config import TAgentConfig, default_db

        self.config = config or TAgentConfig()
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
        run, lease, state, runtime = await self._create(pipeline, params or {}, model, target, cwd, max_concurrent_steps, run_id)
        del lease, state
        self._take_up(run, runtime)
        return run

    async def _create(
        self, pipeline: Pipeline, params: Mapping[str, Any], model: str | None, target: str | None, cwd: str | None,
        limit: int | None, run_id: str | None,
    ) -> tuple[RunId, Lease, RunState, Runtime]:  # fmt: skip
        pipeline = pipeline.copy()
        model = model or self.config.model
        if params:
            pipeline.check(params, model=model)
        definition = pipeline.define(list(params), model=model)
        await self._check_models(definition, model)
        given = values.decode(values.encode({**definition.params, **params}))
        limit = self.config.max_concurrent_steps if limit is None else limit
        if limit < 1:
            raise EngineError(f"max_concurrent_steps is {limit}; give at least 1, or nothing could run.")
        text = definition.to_json()
        digest = values.digest(text)
        packed, blob = values.pack(given)
        kept = {"model": model, "max_concurrent_steps": limit, "api_base": self.config.api_base}
        settings, settings_blob = values.pack(kept)
        created = RunCreated(
            pipeline=definition.name,
            definition=digest,
            steps=[step.name for step in definition.steps],
            kinds="".join(step.kind for step in definition.steps),
            description=definition.description,
            params=packed,
            config=settings,
            target=target,
            cwd=cwd or str(Path.cwd()),
            seed=secrets.randbits(32),
            engine=version(),
        )
        run = RunId(run_id or new_id())
        batch = [Recorded(1, time.time(), created, actor="user")]
        state = project(batch)
        payloads = ((packed, blob), (settings, settings_blob))
        blobs = [(digest, text), *((p.blob, content) for p, content in payloads if p.blob is not None and content is not None)]
        lease = await self.log.create(run, batch, blobs, driver=self._driver)
        runtime = self._runtime(lease, state, definition, pipeline, given, kept)
        return run, lease, state, runtime

    def _runtime(
        self, lease: Lease, state: RunState, definition: Definition, pipeline: Pipeline, params: Mapping[str, Any],
        settings: Mapping[str, Any], migrated: Migration | None = None, added: Sequence[Added] = (),
    ) -> Runtime:  # fmt: skip
        """`definition` decides what each step is; `pipeline` gives the functions and types behind it."""
        driven = {step.name: step for step in (*definition.steps, *(step for step, _ in added))}
        bodies: dict[str, Callable[..., Any]] = {}
        schemas: dict[str, Any] = {}
        for step in pipeline.steps:
            as_driven = driven.get(step.name)
            if as_driven is None:
                continue
            if as_driven.run is not None and step.run is not None:
                bodies[step.name] = step.run
            if as_driven.kind == "m" and callable(step.merge):
                bodies[step.name] = step.merge
            if as_driven.compensate is not None and step.compensate is not None:
                bodies[f"{step.name}{COMPENSATE}"] = step.compensate
            if step.output_schema is not None and schema_of(step.output_schema) == as_driven.output_schema:
                schemas[step.name] = step.output_schema
        return Runtime(
            self.log, lease, state, definition, bodies, schemas,
            params=params, model=settings.get("model"), models=functools.partial(self._model, settings.get("api_base")),
            limit=int(settings.get("max_concurrent_steps") or self.config.max_concurrent_steps), driver=self._driver,
            migrated=migrated, memories=self.config.memories, added=added,
        )  # fmt: skip

    async def _check_models(self, definition: Definition, model: str | None) -> None:
        """Refuse what a provider would refuse without being asked (an unknown model, a missing key), before anything runs."""
        users: dict[str, str] = {}
        for step in definition.steps:
            name = step.model or model
            if step.run is None and name is not None:
                users.setdefault(name, step.name)
        problems = []
        for name, user in users.items():
            chosen = self._model(None, name)
            if isinstance(chosen, LitellmModel):
                try:
                    await asyncio.to_thread(chosen.check)  # imports litellm: 2 s the first call would take anyway
                except ModelError as error:
                    problems.append(Problem(f"steps.{user}", str(error)))
        if problems:
            raise PipelineValidationError(definition.name, problems)

    def _model(self, api_base: str | None, name: str) -> Model:
        """A model by name, at the server that is configured now, else at the one the run was started with."""
        server = self.config.api_base or api_base
        key = name if server is None else f"{name} at {server}"
        if key not in self._models:
            self._models[key] = choose(name, self.config.model_copy(update={"api_base": server}))
        return self._models[key]

    def _take_up(self, run: RunId, runtime: Runtime) -> None:
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
        created = (await self.log.events(row.id, limit=1))[0].event
        settings = await self.log.value(created.config)
        params = await self.log.value(created.params) or {}
        if pipeline is None:
            pipeline = await self._find_again(row, state, recorded, params, retarget)
        definition, migrated, changes = await self._pin(row.id, recorded, pipeline, params, settings.get("model"), on_change)
        pinned = state.definition
        added = await added_to(self.log, row.id, state)
        pipeline = _with_added(pipeline, added, Path(state.cwd or "."))
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
            if migrated is not None:
                _refuse_doubtful(row.id, state, Plan(definition, 1).descendants({*changes.steps, *changes.removed}))
        except BaseException:
            await lease.release()
            raise
        runtime = self._runtime(lease, state, definition, pipeline, params, settings, migrated, added)
        runtime.note_sources(changes.sources)
        self._take_up(row.id, runtime)
        return row.id

    async def _find_again(
        self, row: RunRow, state: RunState, recorded: Definition, params: Mapping[str, Any], retarget: str | None
    ) -> Pipeline:
        target = retarget or state.target
        if target is None:
            missing = [step.name for step in recorded.steps if step.run is not None]
            if not missing:
                return pipeline_of(recorded, {})
            raise TargetError(
                f"Run {row.id} was started from Python, so its functions ({', '.join(missing[:3])}) can be found only there; "
                f"resume it with Engine.resume(run, pipeline) or name where they are: --target module:name."
            )
        return targets.load(target, cwd=Path(state.cwd or "."), params=dict(params)).pipeline

    async def _pin(
        self, run: RunId, recorded: Definition, pipeline: Pipeline, params: Mapping[str, Any], model: str | None, on_change: str
    ) -> tuple[Definition, Migration | None, Changes]:
        present = pipeline.define(list(params), model=model)
        changes = compare(recorded, present)
        if not changes.sentences or on_change == "recorded":
            if changes.sentences:
                self._need_bodies(run, recorded, pipeline)
            return recorded, None, changes
        if on_change != "migrate":
            what = "; ".join(changes.sentences[:5]) + ("; ..." if len(changes.sentences) > 5 else "")
            raise DefinitionChangedError(
                f"The pipeline is not the one run {run} was recorded with: {what}. Go on with the recorded one "
                f"(--definition recorded), or let changed steps and what depends on them run again (--definition migrate).",
                changes.sentences,
            )
        text = present.to_json()
        digest = values.digest(text)
        event = RunMigrated(
            definition=digest,
            steps=[step.name for step in present.steps],
            kinds="".join(step.kind for step in present.steps),
            changed=changes.steps,
            added=changes.added,
            removed=changes.removed,
        )
        return present, (event, (digest, text)), changes

    def _need_bodies(self, run: RunId, recorded: Definition, pipeline: Pipeline) -> None:
        known = {step.name for step in pipeline.steps if step.run is not None}
        missing = [step.name for step in recorded.steps if step.run is not None and step.name not in known]
        if missing:
            raise DefinitionChangedError(
                f"Run {run} cannot go on as recorded: the functions of {', '.join(missing)} are gone from the pipeline; put them "
                f"back, or use --definition migrate.",
                [f"step {name!r} was removed" for name in missing],
            )

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

    async def view(self, run: str, at: int | None = None) -> RunState:
        """The run's state at event `at` (default: now); the caller owns it."""
        return await self.log.state((await self.log.find(run)).id, at)

    async def events(self, run: str, after: int = 0, **filters: Any) -> Sequence[Recorded]:
        """The run's events after a version; filters are those of `Log.events`."""
        return await self.log.events((await self.log.find(run)).id, after=after, **filters)

    def follow(self, run: str, after: int = 0) -> AsyncIterator[list[Recorded]]:
        """Batches of the run's events as they come; never ends by itself."""
        return self.log.follow(RunId(run), after)

    async def registry(self) -> list[Offering]:
        """The runs that a live process drives now: what they offer, and when they were last heard of."""
        return await live_runs(self.log)

    async def runs(self, **filters: Any) -> list[RunRow]:
        """The runs of the store, newest first; filters are those of `Log.runs`."""
        return await self.log.runs(**filters)


def _refuse_doubtful(run: RunId, state: RunState, reset: set[str]) -> None:
    """A reset forgets a step's effects; one of unknown outcome would be done again without anybody having said so."""
    if state.undoing is not None:
        raise EngineError(
            f"Run {run} cannot migrate any more: it has failed and undoes what it did; resume with --definition recorded."
        )
    names = sorted({effect.step for effect in state.open.values() if effect.safety == "irreversible" and effect.step in reset})
    if names:
        raise EngineError(
            f"Run {run} cannot migrate yet: {', '.join(names)} has an irreversible effect of unknown outcome and would run again; "
            f"resume with --definition recorded and say what became of it (--resolve {names[0]}=succeeded|failed|again) first."
        )


def _with_added(pipeline: Pipeline, added: Sequence[Added], folder: Path) -> Pipeline:
    """The pipeline with the steps that were added at run time; their functions are found by the names they had then."""
    pipeline = pipeline.copy()
    known = {step.name for step in pipeline.steps}
    for definition, _ in added:
        if definition.name not in known:
            body = None if definition.run is None else targets.find(definition.run, folder)
            pipeline.add_step(step_of(definition, body))
    return pipeline


def pipeline_of(definition: Definition, bodies: Mapping[str, Callable[..., Any]]) -> Pipeline:
    """A pipeline from its plain values and the functions of its steps."""
    pipeline = Pipeline(definition.name, definition.description, params=definition.params)
    pipeline.constraints, pipeline.shared_values = list(definition.constraints), dict(definition.shared)
    pipeline.on_failure, pipeline.budget = definition.on_failure, definition.budget
    for step in definition.steps:
        pipeline.add_step(step_of(step, bodies.get(step.name)))
    return pipeline


def step_of(step: StepDefinition, body: Callable[..., Any] | None) -> PipelineStep:
    """A step from its plain values and its function."""
    options = {name: getattr(step, name) for name in step.__struct_fields__ if name not in ("run", "source", "compensate")}
    return PipelineStep(run=body, **options)


def new_id() -> str:
    """A run id: 12 random hex digits, so that a few of them already name a run."""
    return secrets.token_hex(6)


@functools.cache
def version() -> str:
    """Our version, as installed."""
    from importlib import metadata  # 13 ms, and only a run's first event needs it

    try:
        return metadata.version("tagent-tui")
    except metadata.PackageNotFoundError:
        return "unknown"
