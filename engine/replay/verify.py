"""A run proved again: today's engine and definition over its record, with nothing done and no network.

Stands apart from what it puts together: the decisions, which are pure, and the attempts, which need the user's code. Nothing is
written.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import msgspec

from engine import capture
from engine.changes import compare
from engine.circumstances import Circumstances, circumstances
from engine.config import TAgentConfig
from engine.definition import Definition
from engine.edits import edited
from engine.errors import EngineError
from engine.finding import find_again
from engine.graph import base_of
from engine.pipeline import Pipeline
from engine.preparing import Preparing
from engine.record import added_to
from engine.recordings import RECORDING
from engine.replay.decisions import Decisions, Divergence, words
from engine.replay.offline import no_network
from engine.replay.reliving import Past, ReadLease, Reliving
from store import Log, values
from store.events import (
    EditApplied,
    Recorded,
    RunCreated,
    RunId,
    RunMigrated,
    StepCompleted,
    StepEvaluated,
    StepFailed,
    StepReused,
    StepStarted,
)

CHILDREN = 10_000
"""Child runs of one run that are proved with it."""


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


class Verifying:
    """One run being proved."""

    def __init__(self, log: Log, run: RunId, config: TAgentConfig) -> None:
        self._log, self._run, self._config = log, run, config
        self.notes: list[str] = []
        self.attempts = 0
        self.pipeline: Pipeline | None = None
        self._preparing: Preparing | None = None

    async def verify(self, pipeline: Pipeline | None, *, execute: bool) -> tuple[Decisions, int, Divergence | None]:
        """The fold, how many events there were, and the first divergence."""
        events = await self._log.events(self._run)
        definitions = {
            item.version: Definition.from_json(await self._log.blob(item.event.definition))
            for item in events
            if isinstance(item.event, RunCreated | RunMigrated)
        }
        whole = await circumstances(self._log, self._run)
        pipeline = await self._present(whole, pipeline) if execute else None
        last = max(definitions)
        if pipeline is not None:
            present = pipeline.plain()
            if changed := _other_steps(definitions[last], present):
                return Decisions({}, 1), len(events), Divergence("arguments", last, None, 0, "the recorded definition", changed)
            definitions[last] = present
        decisions = Decisions(definitions, int(whole.settings.get("max_concurrent_steps") or self._config.max_concurrent_steps))
        past = Past(decisions)
        if pipeline is None:
            return decisions, len(events), await self._walk(decisions, events, past, None)
        state = await self._log.state(self._run)
        added = await added_to(self._log, self._run, state)
        folder = Path(state.cwd or ".")
        reliving = Reliving(self._log, past, self._config, definitions[last], pipeline, whole, added, folder, events, self._run)
        try:
            return decisions, len(events), await self._walk(decisions, events, past, reliving)
        finally:
            self.attempts = reliving.attempts
            if reliving.gone:
                gone = ", ".join(sorted(reliving.gone))
                self.notes.append(f"attempts of {gone} are not checked: what they ran is no longer in the pipeline of {self._run}")
            reliving.close()

    async def _walk(
        self, decisions: Decisions, events: Sequence[Recorded], past: Past, reliving: Reliving | None
    ) -> Divergence | None:
        """The first divergence from the first event to the last, with the circumstances of each moment."""
        found = await circumstances(self._log, self._run, 1)
        for index, item in enumerate(events):
            divergence = decisions.check(item, events[index + 1 : index + 65])
            if divergence is None and item.actor != RECORDING and _is_look(decisions, item):
                divergence = await self._looked(decisions, self._prepare(past, found), item)
            if divergence is None and isinstance(item.event, StepReused):
                divergence = await self._taken(item)
            if divergence is not None:
                return divergence
            decisions.fold(item)
            past.at = item.at
            if isinstance(item.event, EditApplied):
                found, self._preparing = await circumstances(self._log, self._run, item.version), None
            if reliving is not None and isinstance(item.event, StepStarted) and not _is_group(decisions, item):
                divergence = await reliving.attempt(item, self._prepare(past, found), found)
                if divergence is not None:
                    return divergence
        return decisions.rest()

    def _prepare(self, past: Past, found: Circumstances) -> Preparing:
        if self._preparing is None:
            given = {name: values.encode(value) for name, value in found.params.items()}
            self._preparing = Preparing(self._log, ReadLease(self._run), past, given)  # type: ignore[arg-type]
        return self._preparing

    # -- looks and what was taken

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

    async def _present(self, found: Circumstances, pipeline: Pipeline | None) -> Pipeline | None:
        """The pipeline there is now, with the edits of the run's forks; None where it cannot be found."""
        state = await self._log.state(self._run)
        try:
            pipeline = pipeline or await find_again(self._log, self._run, state, found.params)
        except EngineError as error:
            self.notes.append(f"attempts of {self._run} are not checked: {error}")
            return None
        self.pipeline = edited(pipeline, [edit for _, edit in found.edits])
        return self.pipeline


def _is_look(decisions: Decisions, item: Recorded) -> bool:
    return isinstance(item.event, StepEvaluated) or (
        isinstance(item.event, StepCompleted | StepFailed) and _is_group(decisions, item)
    )


def _is_group(decisions: Decisions, item: Recorded) -> bool:
    step = decisions.state.steps.get(item.step or "")
    return step is not None and step.items is not None


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
    return caller.nested(step) if caller is not None else None
