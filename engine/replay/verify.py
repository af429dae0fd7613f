"""A run proved again: today's engine and definition over its record, with nothing done and no network.

Stands apart from what it puts together: the decisions, which are pure, and the attempts, which need the user's code. Nothing is
written.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from engine import capture
from engine.asking import Asking, rules_of
from engine.bodies import bodies_of, with_added
from engine.changes import compare
from engine.children import Children
from engine.circumstances import Circumstances, circumstances
from engine.config import TAgentConfig
from engine.definition import Definition
from engine.edits import edited
from engine.errors import EngineError
from engine.exchange import Exchange
from engine.finding import find_again
from engine.graph import base_of
from engine.pipeline import Pipeline
from engine.preparing import Preparing
from engine.record import Added, added_to
from engine.recordings import Recordings
from engine.replay.attempts import ProvingExecutor, Witness, relived
from engine.replay.decisions import RECORDING, Decisions, Divergence, words
from engine.replay.offline import no_network
from engine.tape import EFFECT_TYPES
from engine.threads import Threads
from engine.wishes import SKIPPED_BY_COMMAND
from store import Log, values
from store.events import (
    Recorded,
    RunCreated,
    RunId,
    RunMigrated,
    StepCompleted,
    StepEvaluated,
    StepFailed,
    StepReused,
    StepSkipped,
    StepStarted,
)

CHILDREN = 10_000
"""Child runs of one run that are proved with it."""

OUTCOMES = frozenset({"step.completed", "step.failed", "step.skipped", "step.reused"})


class Verification(msgspec.Struct, frozen=True):
    """What was proved of a run and its child runs: how many events, decisions and attempts, and the first divergence, if any.

    `notes` say what could not be proved, and why. `seconds` is how long it took.
    """

    run_id: str
    events: int
    decisions: int
    attempts: int
    seconds: float
    divergence: Divergence | None = None
    notes: list[str] = []

    @property
    def clean(self) -> bool:
        """Whether today's engine does what was recorded."""
        return self.divergence is None


class _Lease:
    """A run that is only read, where a lease is looked for."""

    def __init__(self, run: RunId) -> None:
        self.run = run
        self.row = self.token = 0

    async def flush(self) -> None:
        """Nothing waits to be written."""


class _Past:
    """The place of a `Record`: the fold as it stands, and the attempt that is lived through again."""

    def __init__(self, decisions: Decisions) -> None:
        self._decisions = decisions
        self.running: dict[str, int] = {}
        self.at = 0.0

    @property
    def state(self) -> Any:
        return self._decisions.state

    @property
    def plan(self) -> Any:
        return self._decisions.plan

    def now(self) -> float:
        return self.at

    clock = now


class Verifying:
    """One run being proved."""

    def __init__(self, log: Log, run: RunId, config: TAgentConfig) -> None:
        self._log, self._run, self._config = log, run, config
        self._threads = Threads()
        self.notes: list[str] = []
        self.attempts = 0
        self.pipeline: Pipeline | None = None
        self._added: Sequence[Added] = ()
        self._folder = Path()

    async def verify(self, pipeline: Pipeline | None, *, execute: bool) -> tuple[Decisions, int, Divergence | None]:
        """The fold, how many events there were, and the first divergence."""
        events = await self._log.events(self._run)
        definitions = {
            item.version: Definition.from_json(await self._log.blob(item.event.definition))
            for item in events
            if isinstance(item.event, RunCreated | RunMigrated)
        }
        found = await circumstances(self._log, self._run)
        pipeline = await self._present(found, pipeline) if execute else None
        if pipeline is not None:
            last = max(definitions)
            present = pipeline.plain()
            if changed := _other_steps(definitions[last], present):
                return Decisions({}, 1), len(events), Divergence("arguments", last, None, 0, "the recorded definition", changed)
            definitions[last] = present
        decisions = Decisions(definitions, int(found.settings.get("max_concurrent_steps") or self._config.max_concurrent_steps))
        past, lease = _Past(decisions), _Lease(self._run)
        given = {name: values.encode(value) for name, value in found.params.items()}
        prover = self._prover(past, lease, found, definitions[max(definitions)], pipeline) if pipeline is not None else None
        preparing: Preparing | None = None
        for index, item in enumerate(events):
            divergence = decisions.check(item, events[index + 1 : index + 65])
            if divergence is None and item.actor != RECORDING and self._is_look(decisions, item):
                preparing = preparing or Preparing(self._log, lease, past, given)  # type: ignore[arg-type]
                divergence = await self._looked(decisions, preparing, item)
            if divergence is None and isinstance(item.event, StepReused):
                divergence = await self._taken(item)
            if divergence is not None:
                return decisions, len(events), divergence
            decisions.fold(item)
            past.at = item.at
            if prover is not None and isinstance(item.event, StepStarted) and decisions.state.steps[item.step or ""].items is None:
                preparing = preparing or Preparing(self._log, lease, past, given)  # type: ignore[arg-type]
                divergence = await self._attempt(prover, preparing, past, item, events[index + 1 :], bool(found.edits))
                if divergence is not None:
                    return decisions, len(events), divergence
        return decisions, len(events), decisions.rest()

    # -- looks and what was taken

    def _is_look(self, decisions: Decisions, item: Recorded) -> bool:
        if isinstance(item.event, StepEvaluated):
            return True
        step = decisions.state.steps.get(item.step or "") if isinstance(item.event, StepCompleted | StepFailed) else None
        return step is not None and step.items is not None

    async def _looked(self, decisions: Decisions, preparing: Preparing, item: Recorded) -> Divergence | None:
        if item.step not in decisions.plan.looks:
            return Divergence("extra", item.version, item.step, item.attempt, words(item), "there is nothing to look at")
        event, _ = await preparing.look(item.step or "")
        if event == item.event:
            return None
        return Divergence("arguments", item.version, item.step, item.attempt, words(item), f"the contents come to {event}"[:400])

    async def _taken(self, item: Recorded) -> Divergence | None:
        """Whether what a fork took stands where it says."""
        run, version = item.event.source
        found = await self._log.events(RunId(run), after=version - 1, upto=version)
        if found and getattr(found[0].event, "output", None) == item.event.output:
            return None
        return Divergence("arguments", item.version, item.step, item.attempt, words(item), f"event {version} of {run} has not that")

    # -- attempts

    async def _present(self, found: Circumstances, pipeline: Pipeline | None) -> Pipeline | None:
        """The pipeline there is now, with the edits of the run's forks; None where it cannot be found."""
        state = await self._log.state(self._run)
        try:
            pipeline = pipeline or await find_again(self._log, self._run, state, found.params)
        except EngineError as error:
            self.notes.append(f"attempts of {self._run} are not checked: {error}")
            return None
        self.pipeline = edited(pipeline, [edit for _, edit in found.edits])
        self._added = await added_to(self._log, self._run, state)
        self._folder = Path(state.cwd or ".")
        return self.pipeline

    def _prover(
        self, past: _Past, lease: _Lease, found: Circumstances, definition: Definition, pipeline: Pipeline
    ) -> tuple[ProvingExecutor, Witness]:
        whole = with_added(pipeline, self._added, self._folder)
        bodies = bodies_of((*definition.steps, *(step for step, _ in self._added)), whole)
        children = Children(self._run, None, bodies.nested, found.settings.get("model"))  # type: ignore[arg-type]
        rules = rules_of(definition, found.settings, self._config)
        witness = Witness(
            self._log, lease, past, dict(bodies.functions),  # type: ignore[arg-type]
            exchange=Exchange(self._log, lease, past.state, past.now, memories=self._config.memories),  # type: ignore[arg-type]
            asking=Asking(rules, None, lambda path: past.plan.step_of(path), None), children=children,  # type: ignore[arg-type]
            threads=self._threads, changed=lambda: None, fail=lambda error: None,
        )  # fmt: skip
        return ProvingExecutor(definition, witness.bodies, bodies.schemas, witness, witness, self._threads), witness

    async def _attempt(
        self, prover: tuple[ProvingExecutor, Witness], preparing: Preparing, past: _Past, started: Recorded,
        after: Sequence[Recorded], forked: bool,
    ) -> Divergence | None:  # fmt: skip
        executor, witness = prover
        path, attempt = started.step or "", started.attempt
        own = [item for item in after if item.step == path and item.attempt == attempt]
        outcome = next((item for item in own if item.event.type in OUTCOMES), None)
        if outcome is not None and isinstance(outcome.event, StepSkipped) and outcome.event.reason == SKIPPED_BY_COMMAND:
            outcome = None
        if outcome is not None and getattr(outcome.event, "source", None) is not None:
            return None  # taken from the parent: it was not lived through here
        tape = [item for item in own if item.event.type in EFFECT_TYPES]
        task = await preparing.task(path, attempt, tape)
        task.left = None
        task.step = msgspec.structs.replace(task.step, timeout=None, total_timeout=None)
        if past.state.parent is not None:
            task.known = Recordings(forked=True)
        past.running = {path: attempt}
        self.attempts += 1
        if outcome is not None and isinstance(outcome.event, StepFailed) and outcome.event.failure.kind == "timeout":
            outcome = None
        return await relived(executor, witness, task, started, outcome)


def _other_steps(recorded: Definition, present: Definition) -> str | None:
    """What differs where steps came or went, so that nothing of the record can be asked again."""
    names = [step.name for step in recorded.steps], [step.name for step in present.steps]
    return "; ".join(compare(recorded, present).sentences[:5]) if names[0] != names[1] else None


async def verified(
    log: Log, run: RunId, config: TAgentConfig, pipeline: Pipeline | None = None, *, execute: bool = True
) -> Verification:
    """Prove a run and its child runs; `execute` says whether attempts are lived through again, which runs the user's code."""
    began = time.monotonic()
    events = decisions = attempts = 0
    notes: list[str] = []
    divergence = None
    with no_network(), capture.captured(tee=False):
        todo: list[tuple[RunId, Pipeline | None]] = [(run, pipeline)]
        while todo and divergence is None:
            one, its = todo.pop(0)
            verifying = Verifying(log, one, config)
            fold, count, divergence = await verifying.verify(its, execute=execute)
            events, decisions, attempts = events + count, decisions + fold.decided, attempts + verifying.attempts
            notes += verifying.notes
            if divergence is not None and one != run:
                divergence = msgspec.structs.replace(divergence, run=one)
            todo += [(row.id, await _nested(log, row.id, verifying.pipeline)) for row in await log.runs(caller=one, limit=CHILDREN)]
    return Verification(run, events, decisions, attempts, time.monotonic() - began, divergence, notes)


async def _nested(log: Log, child: RunId, caller: Pipeline | None) -> Pipeline | None:
    """The pipeline of a child run, where a step of its caller's pipeline has it."""
    step = base_of((await log.state(child)).caller_step or "")
    held = next((held.pipeline for held in caller.steps if held.name == step), None) if caller is not None else None
    return held if isinstance(held, Pipeline) else None
