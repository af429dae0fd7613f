"""The part of an engine that makes forks: from any event, with edits, driven on at once or later.

Stands apart from `Engine`, whose part it is, because a fork is a run that begins in another's past.
"""

from __future__ import annotations

import abc
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.bodies import with_added
from engine.circumstances import circumstances, post_injected
from engine.definition import Definition
from engine.errors import EngineError
from engine.finding import find_again
from engine.graph import Plan
from engine.pipeline import Pipeline
from engine.record import Added
from engine.replay.foresight import Foreseen, foreseen
from engine.replay.forking import Fork, Wish, planned
from engine.replay.places import version_at
from engine.replay.verify import Verification, verified
from engine.runtime import Migration, Runtime
from engine.starting import new_id
from engine.steps import plain
from engine.taking import Taking, taking_of
from store import Driver, Lease, Log
from store.events import RunAttached, RunId
from store.state import RunState

if TYPE_CHECKING:
    from engine.config import TAgentConfig


class Forks(abc.ABC):
    """The part of an engine that makes forks and proves runs."""

    config: TAgentConfig

    @property
    @abc.abstractmethod
    def log(self) -> Log:
        """The open store."""

    @abc.abstractmethod
    def runtime(
        self, lease: Lease, state: RunState, definition: Definition, pipeline: Pipeline, params: Mapping[str, Any],
        settings: Mapping[str, Any], migrated: Migration | None = None, added: Sequence[Added] = (), taking: Taking | None = None,
    ) -> Runtime:  # fmt: skip
        """What drives a run."""

    @abc.abstractmethod
    def take_up(self, run: RunId, runtime: Runtime) -> None:
        """Drive a run in the background of this process."""

    async def fork(
        self,
        run: str,
        at: int | str | None = None,
        edits: Mapping[str, Any] | None = None,
        *,
        reason: str = "",
        author: str = "user",
        pipeline: Pipeline | None = None,
        changed: Pipeline | None = None,
        on_change: str = "ask",
        run_id: str | None = None,
        drive: bool = True,
        trust: bool = False,
    ) -> RunId:
        """Make a run that shares another's past up to the place `at` (default: all of it) and goes on with `edits`; returns its id.

        `edits` map what is edited to its value: `STEP.output`, `STEP.goal` (or another field), `STEP.again`, `params.NAME`,
        `effects.N.value`, `model`, `budget`, `policy.KIND` (`cached`, `live`, `recorded`, `ask`, `{"stub": VALUE}`). What an edit
        reaches runs again, taking effects whose identity is recorded; everything else comes to what it came to. `pipeline` is the
        run's own if it cannot be found again, `changed` another one. The source run is not changed. With `drive` the fork is driven
        in the background of this process. Raises `EngineError`, `PipelineValidationError`, `DefinitionChangedError`.
        """
        wish = Wish(dict(edits or {}), reason, author, changed, on_change)
        fork = await self.plan_fork(run, at, wish, pipeline=pipeline, trust=trust)
        return await self._make_fork(fork, RunId(run_id) if run_id else new_id(), drive=drive)

    async def reuse(
        self,
        run: str,
        pipeline: Pipeline,
        params: Mapping[str, Any] | None = None,
        *,
        model: str | None = None,
        target: str | None = None,
        cwd: str | None = None,
        drive: bool = True,
    ) -> RunId:
        """Run a pipeline again that was changed since `run`, taking what is the same: a fork from the beginning.

        What a changed step, function, param or model reaches runs; everything else comes to what it came to. Returns the id.
        """
        fork = await self.plan_reuse(run, pipeline, params, model=model, target=target, cwd=cwd)
        return await self._make_fork(fork, new_id(), drive=drive)

    async def plan_reuse(
        self, run: str, pipeline: Pipeline, params: Mapping[str, Any] | None = None, *, model: str | None = None,
        target: str | None = None, cwd: str | None = None,
    ) -> Fork:  # fmt: skip
        """A run that reuses another before it is made; raises as `reuse` does."""
        row = await self.log.find(run)
        if row.pipeline != pipeline.name:
            raise EngineError(f"Run {row.id} is one of {row.pipeline}, not of {pipeline.name}; name a run of the same pipeline.")
        begun = await self._whole(row.id, (await self.log.segments(row.id))[-1].first)
        found = await circumstances(self.log, row.id, begun)
        pipeline.check(dict(params or {}), model=model)
        given = {**pipeline.plain().params, **plain(dict(params or {}))}
        edits: dict[str, Any] = {
            f"params.{name}": value for name, value in given.items() if name not in found.params or found.params[name] != value
        }
        if model is not None and model != found.settings.get("model"):
            edits["model"] = model
        wish = Wish(edits, f"reuse of {row.id}", changed=pipeline, sources=True, target=target, cwd=cwd)
        return await self.plan_fork(row.id, begun, wish)

    async def _whole(self, run: RunId, version: int) -> int:
        """The event itself, or the last of those a fork was made with: what it is and what is different in it belong together."""
        held = next(one for one in reversed(await self.log.segments(run)) if one.first <= version)
        if held.first == 1:
            return version
        owner = RunId(held.id)
        attached = await self.log.events(owner, after=held.first - 1, types={RunAttached.type}, limit=1)
        begun = attached[0].version - 1 if attached else await self.log.head(owner)
        return max(version, begun if held.last is None else min(begun, held.last))

    async def _make_fork(self, fork: Fork, made: RunId, *, drive: bool) -> RunId:
        lease = await self.log.fork(made, fork.parent, fork.version, fork.batch, fork.blobs, driver=Driver.current())
        if drive:
            await self._drive_fork(made, lease, fork)
        else:
            await lease.release()
        return made

    async def _drive_fork(self, made: RunId, lease: Lease, fork: Fork) -> None:
        try:
            state = await self.log.state(made)
            found = await circumstances(self.log, made)
            await post_injected(self.log, made, found)
            taking = await taking_of(self.log, made, state, Plan(fork.definition, 1, fork.added), found)
            pipeline = with_added(fork.pipeline, fork.added, Path(state.cwd or "."))
        except BaseException:
            await lease.release()
            raise
        runtime = self.runtime(lease, state, fork.definition, pipeline, fork.params, fork.settings, None, fork.added, taking)
        self.take_up(made, runtime)

    async def plan_fork(
        self, run: str, at: int | str | None, wish: Wish, *, pipeline: Pipeline | None = None, trust: bool = False
    ) -> Fork:
        """A fork before it is made; raises as `fork` does."""
        row = await self.log.find(run)
        version = await self.log.head(row.id) if at is None else await version_at(self.log, row.id, at)
        if version < 1:
            raise EngineError("A run is forked at one of its events, from 1 on.")
        version = await self._whole(row.id, version)
        if row.imported and pipeline is None and wish.changed is None and not trust:
            raise EngineError(
                f"Run {row.id} came in a bundle, so nothing it names is executed unasked; look at it, and if you trust "
                f"{row.target or 'its pipeline'} on this machine, fork it with --trust."
            )
        if pipeline is None:
            pipeline = wish.changed
        if pipeline is None:
            state = await self.log.state(row.id, version)
            pipeline = await find_again(self.log, row.id, state, (await circumstances(self.log, row.id, version)).params)
        return await planned(self.log, row.id, version, pipeline, wish)

    async def verify(self, run: str, pipeline: Pipeline | None = None, *, trust: bool = False) -> Verification:
        """Prove a run again: today's engine and definition over its record, with recorded effects and no network.

        Decisions must follow and attempts must ask and come to what is recorded; the first divergence is told with both sides. The
        bodies of its steps run again over their recorded effects; those of an imported run only with `trust` or `pipeline`.
        """
        row = await self.log.find(run)
        execute = pipeline is not None or trust or not row.imported
        found = await verified(self.log, row.id, self.config, pipeline, execute=execute)
        if not execute:
            found.notes.append(f"attempts are not checked: run {row.id} came in a bundle; --trust executes what it names")
        return found

    async def foresee_fork(
        self, run: str, at: int | str | None = None, edits: Mapping[str, Any] | None = None, *, pipeline: Pipeline | None = None,
        changed: Pipeline | None = None, on_change: str = "ask", trust: bool = False,
    ) -> Foreseen:  # fmt: skip
        """What a fork would run again and what that cost in the past, without making it."""
        wish = Wish(dict(edits or {}), changed=changed, on_change=on_change)
        fork = await self.plan_fork(run, at, wish, pipeline=pipeline, trust=trust)
        return await foreseen(self.log, fork)
