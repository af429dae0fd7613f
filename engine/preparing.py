"""What an attempt or a look is given: inputs read from the log, the names its expressions see, what was done for good.

Stands apart from the runtime, which decides when attempts run and looks are taken: here is only reading.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from engine.commands import QUESTIONS
from engine.executor import StepTask
from engine.graph import COMPENSATE, base_of
from engine.names import Decoded, given_versions, known_texts, names_of
from engine.outputs import Outputs
from engine.policies import seconds_left
from engine.record import Record
from engine.recordings import NOTHING_KNOWN, Done, Policy, Recordings, done_for_good
from engine.taking import Taking
from engine.tape import EFFECT_TYPES, Identity
from engine.written import Written
from store import Lease, Log
from store.events import Recorded
from store.state import StepStatus

if TYPE_CHECKING:
    from engine.looks import Seen

REPLAYED_TYPES = EFFECT_TYPES | {"log.written", "artifact.made", "checkpoint.made"}
NOTHING: Mapping[str, Any] = {}


class Preparing:
    """Makes attempts ready and takes looks. `given` are the run's params as JSON text; `outputs` is what it keeps at hand.

    `policies` are those of the fork that called this run, None where none did: what is irreversible asks first in it too.
    """

    def __init__(
        self, log: Log, lease: Lease, record: Record, given: Mapping[str, bytes], taking: Taking | None = None,
        policies: Sequence[Policy] | None = None,
    ) -> None:  # fmt: skip
        self._log, self._lease, self._record, self._given, self._taking = log, lease, record, given, taking
        self._unknown = NOTHING_KNOWN if policies is None else Recordings(policies=policies, forked=True)
        self._state = record.state
        self.outputs = Outputs(log, lease, record.plan, record.state)

    def stood_in(self) -> set[str]:
        """The steps whose open question a policy answers: they wait for nobody."""
        known = self._unknown if self._taking is None else Recordings(policies=self._taking.policies)
        asked = (effect for effect in self._state.open.values() if effect.kind in QUESTIONS)
        return {effect.step for effect in asked if known.stands_in(effect.kind, effect.name)} if known.policies else set()

    async def task(self, path: str, attempt: int, tape: Sequence[Recorded]) -> StepTask:
        """One attempt as a value: its inputs, the words of the moment, and what earlier attempts did for good."""
        plan, state, outputs = self._record.plan, self._state, self.outputs
        held = state.steps[path]
        versions = given_versions(plan, state, path)
        inputs = outputs.at_hand(versions)
        if inputs is None:
            inputs = await outputs.load(versions)
        step, base = plan.step_of(path), path
        given: Mapping[str, bytes] = NOTHING
        names: Mapping[str, Any] = NOTHING
        if path not in plan.steps:
            base = base_of(path)
            given = await outputs.item(path)
            if path.endswith(COMPENSATE):
                inputs, given = {}, inputs
        if base in plan.words:
            names = await self._names(plan.reads[base], inputs, given)
        known = self._unknown
        if self._taking is not None:
            known = await self._taking.recordings(path, attempt)
        if attempt != held.first_attempt and held.effects:
            done = await self._done_before(path, attempt)
            known = msgspec.structs.replace(known, done={**known.done, **done})
        left = None
        if step.total_timeout is not None:
            left = seconds_left(step.total_timeout, held.first_started_at, self._record.now())
        run = self._lease.run
        return StepTask(run, step, path, attempt, inputs, self._given, given, names, state.seed, tape, known, left)

    async def _names(self, reads: frozenset[str], inputs: Mapping[str, bytes], given: Mapping[str, bytes]) -> Mapping[str, Any]:
        """What expressions see; outputs that are no inputs are read only where an expression names them."""
        plan, texts = self._record.plan, inputs
        if reads:
            versions = known_texts(plan, self._state, (name for name in reads if name not in inputs))
            texts = {**inputs, **await self.outputs.load(versions)}
        return names_of(plan, self._state, texts, Decoded(self._given), Decoded(given))

    async def _done_before(self, name: str, attempt: int) -> Mapping[Identity, Done]:
        """What a step's earlier attempts did for good."""
        step = self._state.steps[name]
        await self._lease.flush()
        recorded = await self._log.events(self._lease.run, step=name, types=EFFECT_TYPES)
        return done_for_good(self._lease.run, [item for item in recorded if step.first_attempt <= item.attempt < attempt])

    async def tapes(self, names: Sequence[str], written: Written) -> dict[str, tuple[int, list[Recorded]]]:
        """Of the running ones among these steps: the attempt, and its effect events; `written` is told what else it left."""
        steps = self._state.steps
        found: dict[str, tuple[int, list[Recorded]]] = {
            name: (steps[name].attempt, []) for name in names if steps[name].status is StepStatus.RUNNING
        }
        only = next(iter(found)) if len(found) == 1 else None
        for recorded in await self._log.events(self._lease.run, step=only, types=REPLAYED_TYPES):
            attempt, tape = found.get(recorded.step or "", (0, []))
            if attempt != recorded.attempt or not attempt:
                continue
            if recorded.event.type in EFFECT_TYPES:
                tape.append(recorded)
            else:
                written.remember(recorded)
        return found

    async def look(self, path: str) -> Seen:
        """What the contents come to that a step's start, or a group's end, hangs on."""
        from engine.looks import after, before

        plan, state = self._record.plan, self._state
        names = await self._names(plan.looks[path] | plan.reads.get(path, frozenset()), NOTHING, NOTHING)
        step = state.steps[path]
        if step.status is StepStatus.RUNNING and step.items is not None:
            return after(plan, state, path, await self.outputs.of_children(path, step.items), names)
        return before(plan, state, path, names)
