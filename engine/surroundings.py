"""What the attempts of a run need of its driver: to record their events, to ask models, to write lines, to steer their run.

Stands apart from the runtime's loop, which decides when attempts run: this is the side that they see. It implements `Recorder`,
`Surroundings` and `Steerer`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any

from engine.adding import misfits
from engine.agents import played
from engine.asking import Asking
from engine.children import Children
from engine.errors import AttemptClosedError, PipelineValidationError, Problem, suggestion
from engine.exchange import Exchange
from engine.pipeline import Pipeline
from engine.record import Record
from engine.steps import PipelineStep, functions_of
from engine.threads import Threads
from engine.tooling import Toolbox
from engine.written import Written
from store import Lease, Log, values
from store.effect_rules import paid
from store.errors import StoreError
from store.events import (
    ArtifactMade,
    CheckpointMade,
    EffectFailed,
    EffectRequested,
    EffectSucceeded,
    Event,
    LogWritten,
    Payload,
    StepAdded,
    StepEnabled,
    StepPublished,
)
from store.state import RunState

LINE_LIMIT = 16_384
"""Characters of one log event; a longer line becomes several."""

STEERING = (StepAdded, StepEnabled, StepPublished)


class RunSurroundings:
    """The driver of one run as its attempts see it. `changed` is called after what decisions may follow from was recorded.

    `bodies` are the functions of the run's steps, to which those of added steps come.
    """

    def __init__(
        self,
        log: Log,
        lease: Lease,
        record: Record,
        bodies: dict[str, Callable[..., Any]],
        *,
        exchange: Exchange,
        asking: Asking,
        children: Children,
        tools: Toolbox,
        threads: Threads,
        changed: Callable[[], None],
        fail: Callable[[BaseException], None],
    ) -> None:
        self.exchange, self.asking, self.children, self.bodies = exchange, asking, children, bodies
        self.tools, self.written = tools, Written()
        self._log, self._lease, self._record = log, lease, record
        self._threads = threads
        self._changed, self._fail = changed, fail
        self._asked: dict[int, asyncio.Future[int]] = {}
        self.asks = any(effect.kind == "ask" for effect in record.state.open.values())
        """Whether a question was ever open while this driver lives: then resting steps are looked for."""

    @property
    def steerer(self) -> RunSurroundings:
        """Itself: what steers the run."""
        return self

    @property
    def _state(self) -> RunState:
        return self._record.state

    def record(self, event: Event, step: str, attempt: int, blobs: Sequence[tuple[str, bytes]] = (), *, wake: bool = False) -> int:
        """See `Recorder.record`. An attempt that is not the step's running one is refused."""
        if self._record.running.get(step) != attempt:
            raise AttemptClosedError(f"step {step!r}: attempt {attempt} is closed; its effects are refused")
        try:
            version = self._record.fact(event, step, attempt, blobs, wake=wake)
        except StoreError as error:
            self._fail(error)
            raise
        if isinstance(event, EffectRequested) and event.kind == "ask":
            self.asks = True
        if self.children.resting or self.asks or self._leads_to_decisions(event):
            self._changed()  # what was recorded may have been all that its step did besides waiting for somebody
        if self.children.above is not None and (used := paid(event)):
            self.children.paid(used)
        return version

    def _leads_to_decisions(self, event: Event) -> bool:
        if isinstance(event, STEERING):
            return True
        budgeted = self._record.plan.budgets or self._state.budget
        return bool(budgeted) and isinstance(event, EffectSucceeded | EffectFailed)

    def flush(self) -> Coroutine[Any, Any, None]:
        """See `Recorder.flush`."""
        return self._lease.flush()

    async def load(self, payload: Payload) -> Any:
        """See `Recorder.load`."""
        return await self._log.value(payload)

    def now(self) -> float:
        """See `Recorder.now`."""
        return self._record.now()

    def write_log(self, step: str, attempt: int, text: str, level: str, stream: str, fields: Mapping[str, Any]) -> None:
        """Record a line; a line of a closed attempt, or one recorded before the crash, is not."""
        if self._record.running.get(step) != attempt:
            return
        payload, blob = values.pack(dict(fields)) if fields else (None, None)
        blobs = [(payload.blob, blob)] if payload is not None and payload.blob is not None and blob is not None else []
        safe = text.encode("utf-8", "backslashreplace").decode()
        for start in range(0, max(len(safe), 1), LINE_LIMIT):
            event = LogWritten(safe[start : start + LINE_LIMIT], level, stream, payload)
            if not self.written.again((step, attempt), event):
                self.record(event, step, attempt, blobs)

    def make_artifact(self, step: str, attempt: int, name: str, content: bytes, media_type: str) -> None:
        """Record an artifact, unless this attempt recorded the same before the crash."""
        digest = values.digest(content)
        event = ArtifactMade(name, media_type, Payload(size=len(content), blob=digest))
        if not self.written.again((step, attempt), event):
            self.record(event, step, attempt, [(digest, content)])

    def make_checkpoint(self, step: str, attempt: int, name: str, metadata: Mapping[str, Any]) -> None:
        """Record a checkpoint, unless this attempt recorded the same before the crash."""
        payload, blob = values.pack(dict(metadata)) if metadata else (Payload(), None)
        event = CheckpointMade(name, metadata=payload)
        if not self.written.again((step, attempt), event):
            self.record(event, step, attempt, [(payload.blob, blob)] if payload.blob and blob is not None else [])

    def was_simulated(self, step: str) -> bool:
        """Whether a step's output came from a simulated model."""
        held = self._state.steps.get(step)
        return held is not None and held.simulated

    async def in_thread(self, function: Callable[[], Any]) -> Any:
        """Call a plain function in a worker thread."""
        return await self._threads.run(function)

    # -- steering

    def publish(self, step: str, attempt: int, value: Any) -> None:
        """Record what a step has so far."""
        payload, blob = values.pack(value)
        self.record(StepPublished(payload), step, attempt, [(payload.blob, blob)] if payload.blob and blob is not None else [])

    def enable(self, step: str, attempt: int, target: str, *, on: bool) -> None:
        """Record that a step shall run, or be skipped; what is so already is not recorded again."""
        plan, held = self._record.plan, self._state.steps.get(target)
        if target not in plan.steps or held is None:
            raise PipelineValidationError(
                plan.definition.name, [Problem(f"steps.{step}", f"there is no step {target!r}{suggestion(target, plan.names)}")]
            )
        if (held.disabled is None) != on:
            self.record(StepEnabled(target, on), step, attempt)

    def add_step(self, step: str, attempt: int, added: PipelineStep, before: Sequence[str]) -> None:
        """Record another step of the run, unless this attempt or an earlier one added the same."""
        plan = self._record.plan
        found = misfits(plan, self._state, step, added, before, self.asking.model, self.tools.agents)
        if found:
            raise PipelineValidationError(plan.definition.name, found)
        (added,) = played([added], self.tools.agents)
        definition = added.define(self.tools.agents)
        self.bodies.update(functions_of(added, definition))
        self.tools.know(added)
        if isinstance(added.pipeline, Pipeline):
            self.children.know(added.name, added.pipeline.within(self.tools.agents))
        if added.name not in plan.steps:
            self.record(StepAdded(added.name, definition.to_json(), definition.kind, list(before)), step, attempt)

    async def answer(self, request: int, due: float | None) -> Any:
        """A person's answer to the question at version `request`; raises `TimeoutError` when `due` passes without one."""
        effect = self._state.open.get(request)
        version = effect.answer if effect is not None else None
        if version is None:
            future = self._asked[request] = asyncio.get_running_loop().create_future()
            self._changed()
            try:
                async with asyncio.timeout(None if due is None else max(due - self._record.clock(), 0.0)):
                    version = await future
            finally:
                self._asked.pop(request, None)
        await self._lease.flush()
        recorded = (await self._log.events(self._lease.run, after=version - 1, upto=version))[0]
        said = await self._log.value(recorded.event.body)
        return said.get("value") if isinstance(said, dict) else None

    def tell_answers(self) -> None:
        """Wake the questions whose answers have come."""
        for request, future in list(self._asked.items()):
            effect = self._state.open.get(request)
            if effect is not None and effect.answer is not None and not future.done():
                future.set_result(effect.answer)
