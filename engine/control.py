"""Commands to a run from any process: through the inbox to its driver, or, with none alive, recorded by the one who commands."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import Any

from engine.commands import body_of, facts_of, question_of, refusal, unknown_step
from engine.definition import Definition
from engine.errors import CommandRefusedError, NoSuchStepError
from engine.graph import Plan
from engine.record import Record, added_to
from store import Driver, Lease, Log, values
from store.errors import RunConflictError
from store.events import RunAttached, RunId, Safety
from store.state import RunState, StepStatus

ANSWER_SECONDS = 10.0
"""How long a live driver may take to pick a signal up before we say that it did not."""
POLL_SECONDS = 0.03
HANDED_DOWN = ("pause", "cancel")
"""What holds for a run's child runs too; a driver that lives hands it down itself, and `resume` when it drives them on."""
MOST_CHILDREN = 1_000_000

_DONE = {
    "pause": "starts nothing new now; what runs is let finish",
    "resume": "goes on",
    "cancel": "is cancelled",
    "resolve": "was told what became of the effect in doubt",
    "skip": "skips the step",
    "retry": "tries the step again",
    "approve": "was told what was decided",
    "answer": "was given the answer",
    "budget": "has another budget",
}


def _done(kind: str, body: dict[str, Any]) -> str:
    if kind == "pause" and body.get("now"):
        return "stops now; what runs is driven again from its record on resume"
    if kind == "checkpoint":
        return f"has the checkpoint {body['name']!r} here"
    return _DONE[kind]


async def signal(log: Log, run: RunId, kind: str, body: dict[str, Any], *, actor: str = "user", lease: Lease | None = None) -> str:
    """Give a run a command (see `commands.KINDS`) and wait until it is recorded; returns a sentence about it.

    With `lease` it is recorded directly. Raises `CommandRefusedError` when it does not fit the run's state.
    """
    if lease is not None:
        if kind == "resolve":
            await _admit_doubts(log, lease)
        await _record(log, lease, kind, body, actor)
        return f"Run {run} {_done(kind, body)}."
    state = await log.state(run)
    if kind == "resolve" and unadmitted(state):
        state = await _after_a_dead_driver(log, run)
    if (unknown := unknown_step(state, body)) is not None:
        raise NoSuchStepError(f"Run {run}: {unknown}")
    why = refusal(state, kind, body)
    if why is not None:
        raise CommandRefusedError(f"Run {run}: {why}")
    if kind == "answer":
        await _refuse_unoffered(log, run, state, body)
    if kind == "retry":
        await _refuse_rescued(log, run, state, body["step"])
    sent = await log.send(run, kind, values.encode(body), actor=actor, at=time.time())
    deadline = time.monotonic() + ANSWER_SECONDS
    while True:
        try:
            own = await log.acquire(run, driver=Driver.current())
        except RunConflictError:
            if await _taken(log, run, sent):
                await _refuse_refused(log, run, sent, kind, body)
                return f"Run {run} {_done(kind, body)}."
            if time.monotonic() > deadline:
                return (
                    f"Run {run} was told to {kind}, but its driver has not answered for {ANSWER_SECONDS:g} s; it will when it can."
                )
            await asyncio.sleep(POLL_SECONDS)
            continue
        try:
            here = await _drain(log, own, sent)
        finally:
            await own.release()
        await _refuse_refused(log, run, sent, kind, body)
        return f"Run {run} {_done(kind, body)}{'; no driver was alive, so this was recorded here' if here else ''}."


async def _taken(log: Log, run: RunId, sent: int) -> bool:
    return (await log.state(run)).inbox >= sent


async def _refuse_refused(log: Log, run: RunId, sent: int, kind: str, body: dict[str, Any]) -> None:
    """What fitted when it was sent may not have fitted any more when it was taken: then it was recorded as refused."""
    for recorded in await log.events(run, types={"signal.received"}):
        if recorded.event.inbox == sent and recorded.event.kind != kind:
            why = refusal(await log.state(run, recorded.version - 1), kind, body)
            raise CommandRefusedError(f"Run {run}: {why or 'it did not fit the state the run was in by then.'}")


async def _open(log: Log, lease: Lease) -> Record:
    state = await log.state(lease.run)
    definition = Definition.from_json(await log.blob(state.definition))
    record = Record(lease, state, Plan(definition, 1, await added_to(log, lease.run, state)), time.time)
    record.schedule.may_start = False
    return record


async def _refuse_unoffered(log: Log, run: RunId, state: RunState, body: dict[str, Any]) -> None:
    """An answer must be among the choices of its question, which stand with the request."""
    request = question_of(state, body) or 0
    recorded = (await log.events(run, after=request - 1, upto=request))[0]
    choices = (await log.value(recorded.event.arguments) or {}).get("choices")
    value = values.encode(body.get("value"))  # compared as written: True is not 1
    if choices is not None and value not in map(values.encode, choices):
        raise CommandRefusedError(f"Run {run}: the answer must be one of {', '.join(str(choice) for choice in choices)}.")


async def _refuse_rescued(log: Log, run: RunId, state: RunState, step: str) -> None:
    """A step is not tried again where another has done its work: what depends on it has been given that."""
    fallbacks = {held.name: held.fallback for held in Definition.from_json(await log.blob(state.definition)).steps}
    standin = fallbacks.get(step)
    while standin is not None and state.steps[standin].status in (StepStatus.FAILED, StepStatus.TIMED_OUT):
        standin = fallbacks.get(standin)
    if standin is not None and state.steps[standin].status is StepStatus.COMPLETED:
        raise CommandRefusedError(
            f"Run {run}: {standin} stood in for {step}, and what depends on it was given that; start it anew."
        )


def unadmitted(state: RunState) -> bool:
    """Whether irreversible effects are under way that will be in doubt if the driver that issued them is gone."""
    return any(effect.safety == Safety.IRREVERSIBLE.value and not effect.in_doubt for effect in state.open.values())


async def _after_a_dead_driver(log: Log, run: RunId) -> RunState:
    """The state in which what a killed driver left open is in doubt; as it is while the driver lives."""
    try:
        own = await log.acquire(run, driver=Driver.current())
    except RunConflictError:
        return await log.state(run)
    try:
        await _admit_doubts(log, own)
    finally:
        await own.release()
    return await log.state(run)


async def _admit_doubts(log: Log, lease: Lease) -> None:
    """Record that the driver is gone, from which the doubts follow: a resolution needs one to resolve."""
    record = await _open(log, lease)
    if unadmitted(record.state):
        own = Driver.current()
        record.commit([(RunAttached(own.pid, own.started, own.host, lease.token, "resolve"), None, 0)], actor="user")
        await lease.flush()


async def _record(log: Log, lease: Lease, kind: str, body: dict[str, Any], actor: str) -> None:
    record = await _open(log, lease)
    facts, blobs = facts_of(record.state, kind, body, strict=True)
    record.commit(facts, blobs, actor=actor)
    await lease.flush()


async def _hand_down(log: Log, run: RunId, kind: str, body: dict[str, Any]) -> None:
    """Give a command to the child runs that have not ended, before it is recorded in their caller: after a crash between it is
    given again."""
    for row in await log.runs(caller=run, limit=MOST_CHILDREN):
        if row.ended is None:
            with contextlib.suppress(CommandRefusedError):  # it has ended by now, or is paused already
                await signal(log, row.id, kind, body, actor="caller")


async def _drain(log: Log, lease: Lease, sent: int) -> bool:
    """Record everything that waits in the inbox, in order; False when a driver that has just ended had taken `sent` already."""
    record = await _open(log, lease)
    here = record.state.inbox < sent
    for waiting in await log.inbox(lease.run, record.state.inbox):
        body = body_of(waiting.body)
        if waiting.kind in HANDED_DOWN and refusal(record.state, waiting.kind, body) is None:
            await _hand_down(log, lease.run, waiting.kind, body)
        facts, blobs = facts_of(record.state, waiting.kind, body, waiting.id, strict=False)
        record.commit(facts, blobs, actor=waiting.actor)
    await lease.flush()
    return here
