"""One recorded attempt lived through again, alone: its body must ask for what it asked for and come to what it came to.

Nothing is done: outcomes come from the record, a request that is not there is the divergence, and what was under way when the
driver went away is not gone on with. Stands apart from the decisions, which need no code of the user's.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from types import MappingProxyType
from typing import Any

from engine.answers import Answer, Asked, Blob, Issue, Told
from engine.effects import Effects
from engine.executor import Completed, Executor, Failed, Outcome, StepTask
from engine.pending import Call
from engine.replay.decisions import Divergence, said, words
from engine.replay.otherwise import Fresh, asked_otherwise, came_otherwise
from engine.replay.texts import TextDiff
from engine.surroundings import RunSurroundings
from store import Log
from store.events import (
    EffectRequested,
    EffectResolved,
    Event,
    Payload,
    Recorded,
    StepCompleted,
    StepFailed,
    StepSkipped,
)

SECONDS = 20.0
"""How long a body may be busy outside its effects before it counts as one that does not end, or five times as long as then."""

GRACE = 1.0
"""How long a body may be busy outside its effects before it counts as one that does not ask for what it asked for."""


class _AskedOtherwiseError(BaseException):
    """The body asked for something that is not on its record; nothing of it goes on."""


class Witness(RunSurroundings):
    """The surroundings of an attempt that is lived through again: what it would record is compared or dropped, never written."""

    asked: EffectRequested | None = None
    fresh: Fresh = MappingProxyType({})

    @property
    def log(self) -> Log:
        """Where the run is."""
        return self._log

    def record(self, event: Event, step: str, attempt: int, blobs: Sequence[Blob] = (), *, wake: bool = False) -> int:
        """A request that is recorded anew was not asked for then."""
        if isinstance(event, EffectRequested):
            if self.asked is None:
                self.asked, self.fresh = event, dict(blobs)
            raise _AskedOtherwiseError(event.name)
        return 0

    async def load(self, payload: Payload) -> Any:
        """The value of a payload."""
        return await self._log.value(payload)


class ProvingEffects(Effects):
    """Effects that come from the record alone. `over` is set when nothing more can come of it, or the body does not ask on."""

    over: asyncio.Event

    @property
    def made(self) -> set[int]:
        """The recorded requests that were made again, by version."""
        return set(self._replayed)

    async def _after_the_tape(self) -> None:
        """What was never recorded is told at once: there is nothing to wait for."""

    def _begin(self, call: Call, issue: Issue, requested_at: float, told: Told | None) -> None:
        """What had no outcome has none now."""

    def _wake(self) -> None:
        if not self._waiting and not self.closed and not self.over.is_set():
            self._waiting = True
            self._quiet.call(self._deliver_one)

    def _deliver_one(self) -> None:
        super()._deliver_one()
        if not self._tape and not self._handing:
            self.over.set()

    def _watch(self) -> None:
        if self._stall is None:
            self._stall = self._loop.call_later(GRACE, self.over.set)


class ProvingExecutor(Executor):
    """An executor whose attempts touch nothing."""

    effects: ProvingEffects | None = None

    def _effects(self, task: StepTask) -> Effects:
        async def permit(_: Asked) -> Answer:
            return Answer(None)

        self.effects = ProvingEffects(self._recorder, task.path, task.attempt, task.tape, task.known, permit)
        self.effects.over = asyncio.Event()
        self.effects._wake()  # so that an attempt which asks for nothing is over too
        return self.effects


async def relived(
    executor: ProvingExecutor, witness: Witness, task: StepTask, started: Recorded, outcome: Recorded | None
) -> Divergence | None:
    """The first thing in which an attempt lived through again differs from its record. `outcome` is None where it had no end."""
    _forget(executor, witness)
    body = asyncio.ensure_future(executor.run(task))
    took = outcome.at - started.at if outcome is not None else 0.0
    found = await _until_over(executor, body, 0.0 if outcome is None else max(SECONDS, 5 * took))
    effects = executor.effects
    if witness.asked is not None:
        cut_off = outcome is None and not (effects is not None and effects.unmade)  # it would have asked, had it not been stopped
        return None if cut_off or _issued_again(task) else await _asked(witness, witness.asked, effects, task, started)
    if effects is not None and effects.unmade:
        return _missing(effects, task, found)
    if outcome is None:
        return None
    if found is None:
        return Divergence("missing", outcome.version, task.path, task.attempt, words(outcome), "it does not end")
    return await _compared(witness.log, outcome, found)


def _missing(effects: ProvingEffects, task: StepTask, found: Outcome | None) -> Divergence:
    """The first recorded request that was not made: it asks for a later one first, or ended without it."""
    missing = effects.unmade[0]
    version = next(item.version for item in task.tape if item.event is missing)
    then = said(missing, None, 0)
    ahead = [item for item in task.tape if item.version > version and item.version in effects.made]
    if ahead and found is None:
        return Divergence("order", version, task.path, task.attempt, then, f"first {said(ahead[0].event, None, 0)}")
    today = "it does not ask for that" if found is None else f"{_end(found)}, without asking for that"
    return Divergence("missing", version, task.path, task.attempt, then, today)


def _end(found: Outcome) -> str:
    """What an attempt came to, in words."""
    if isinstance(found, Failed):
        return f"step.failed: {found.failure.message}"
    return (
        said(StepCompleted(found.output, found.closes), None, 0)
        if isinstance(found, Completed)
        else f"step.skipped: {found.reason}"
    )


def _forget(executor: ProvingExecutor, witness: Witness) -> None:
    executor.effects = witness.asked = None


async def _until_over(executor: ProvingExecutor, body: asyncio.Task[Outcome], patience: float) -> Outcome | None:
    """What the body came to; None if it did not end by itself. `patience` is for a body that is to end."""
    await asyncio.sleep(0)  # it begins, and says whether it is given anything to ask by
    effects = executor.effects
    waits: list[asyncio.Future[Any]] = [body]
    if effects is not None:
        waits.append(asyncio.ensure_future(effects.over.wait()))
    await asyncio.wait(waits, timeout=max(patience, GRACE), return_when=asyncio.FIRST_COMPLETED)
    for other in waits[1:]:
        other.cancel()
    if patience and not body.done() and effects is not None and not effects.unmade:
        await asyncio.wait([body], timeout=patience)
    if body.done():
        return body.result()
    body.cancel()
    await asyncio.gather(body, return_exceptions=True)
    return None


def _issued_again(task: StepTask) -> bool:
    return any(isinstance(item.event, EffectResolved) and item.event.outcome == "again" for item in task.tape)


async def _asked(
    witness: Witness, asked: EffectRequested, effects: Effects | None, task: StepTask, started: Recorded
) -> Divergence:
    """A request that is not on the record: with other arguments, in another order, or new."""
    left = {id(event) for event in effects.unmade} if effects is not None else set()
    alike = [item for item in task.tape if id(item.event) in left and _name(item.event) == _name(asked)]
    today = said(asked, None, 0)
    same = next((item for item in alike if item.event.arguments_hash == asked.arguments_hash), None)
    if same is not None:
        return Divergence("order", same.version, task.path, task.attempt, said(same.event, None, 0), today)
    if alike:
        then = alike[0].event
        text = await asked_otherwise(witness.log, then.arguments, asked.arguments, witness.fresh)
        return Divergence("arguments", alike[0].version, task.path, task.attempt, said(then, None, 0), today, text=text)
    instead = next((item for item in task.tape if id(item.event) in left), None)
    if instead is not None:
        return Divergence("missing", instead.version, task.path, task.attempt, said(instead.event, None, 0), today)
    return Divergence("extra", started.version, task.path, task.attempt, "no such request", today)


def _name(event: EffectRequested) -> tuple[str, str, str | None]:
    return event.kind, event.name, event.key


async def _compared(log: Log, outcome: Recorded, found: Outcome) -> Divergence | None:
    """Whether an attempt came to what is recorded."""
    event, path, attempt, text = outcome.event, outcome.step, outcome.attempt, TextDiff()
    if isinstance(found, Completed):
        same = isinstance(event, StepCompleted) and (found.output, found.closes) == (event.output, event.closes)
        today = said(StepCompleted(found.output, found.closes), None, 0)
        if isinstance(event, StepCompleted) and not same:
            fresh = {found.output.blob: found.blob} if found.output.blob is not None and found.blob is not None else {}
            text = await came_otherwise(log, event.output, found.output, fresh)
    elif isinstance(found, Failed):
        failure = found.failure
        same = isinstance(event, StepFailed) and (failure.kind, _plain(failure.message)) == (
            event.failure.kind,
            _plain(event.failure.message),
        )
        today = _end(found)
    else:
        same, today = isinstance(event, StepSkipped), _end(found)
    return None if same else Divergence("arguments", outcome.version, path, attempt, said(event, None, 0), today, text=text)


def _plain(message: str) -> str:
    """A message without the addresses of objects, which are others every time."""
    return re.sub(r"0x[0-9a-f]+", "0x", message)
