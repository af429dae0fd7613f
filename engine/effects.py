"""Record or replay: the one gate through which a step's body touches the world.

A request is recorded when it is made, an outcome when it is delivered. Outcomes are delivered one at a time, each only when every
task of the body waits, so that what a body does next depends on the order of deliveries alone. An attempt that is driven again
gets its recorded outcomes in that same order, each after the requests recorded before it were made; then its open requests are
issued again and it goes on live. (Without the order, concurrent branches swapped values in 20 of 20 re-drives; with it in none.)
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from engine.answers import Answer, Asked, Blob, Issue, Recorder, Told, refusing
from engine.errors import AttemptClosedError, DivergenceError, EffectFailedError, PaidFailureError
from engine.failures import error_of, failure_of
from engine.models.errors import ModelError
from engine.pending import Call
from engine.quiet import quiet
from engine.recordings import DO_IT, NOTHING_KNOWN, Done, Recordings, consent
from engine.tape import Base, Identity, Tape, arguments_hash, packed
from engine.within import lost
from store import values
from store.errors import ValueEncodingError
from store.events import (
    EffectFailed,
    EffectRequested,
    EffectResolved,
    EffectSucceeded,
    Failure,
    Payload,
    Recorded,
    Safety,
)

GRACE_SECONDS = 5.0
"""How long a request that was not recorded waits for the recorded ones that were not made yet, before it goes live."""

STALL_SECONDS = 30.0
"""How long a body driven again may wait for something outside its effects before its missing request is called a divergence."""


Permit = Callable[[Asked], Awaitable[Answer]]
"""Waits for a person's answer to the question that was asked there."""


class Effects:
    """The effects of one attempt. `tape` are the attempt's own recorded effect events, oldest first; empty when it is new.

    `known` is what was recorded elsewhere and is taken from there, not done again: by earlier attempts of the step, by the run that
    this one was forked from. `permit` asks a person whether something may be done that the recordings do not have.
    """

    def __init__(
        self,
        recorder: Recorder,
        step: str,
        attempt: int,
        tape: Sequence[Recorded] = (),
        known: Recordings = NOTHING_KNOWN,
        permit: Permit | None = None,
    ) -> None:
        self._recorder, self._step, self._attempt, self._known, self._permit = recorder, step, attempt, known, permit
        self._loop, self._quiet = asyncio.get_running_loop(), quiet()
        self._tape = Tape(tape)
        self._replayed: dict[int, Call] = {}
        self._occurrences: dict[Base, int] = {}
        self._lost: set[Base] = set()
        self._unknown: deque[asyncio.Future[None]] = deque()
        self._outbox: deque[Call] = deque()
        self._tasks: set[asyncio.Task[None]] = set()
        self._risky: dict[int, str] = {}
        self._waiting = self._handing = False
        self._stall: asyncio.TimerHandle | None = None
        self.closed = False

    # -- asking

    async def perform(
        self, kind: str, name: str, arguments: Any, safety: Safety, issue: Issue, *, key: str | None = None,
        stored: tuple[Payload, Sequence[Blob]] | None = None, paid: bool = False, told: Told | None = None, agreed: bool = False,
    ) -> Any:  # fmt: skip
        """Ask the world for something, or be given what it answered when this attempt ran before.

        `stored` stands in for `arguments` where their stored form is special (conversations); `told` hears what became of it;
        `agreed` says that a person was asked already. Raises `EffectFailedError` when the effect failed, now or then.
        """
        self.refuse_closed()
        payload, blobs = stored if stored is not None else packed(arguments)
        base: Base = (kind, name, arguments_hash(payload), key)
        if base in self._lost:
            raise lost(name)
        identity = self._identify(base)
        done = (
            self._known.done.get(identity) if issue is self._permit else self._known.of(identity)
        )  # no policy stands for a person
        if done is not None:
            safety, issue = Safety.PURE, self._taken(done)
        elif self._known.forked and not (self._tape.knows(identity) and not self._asked_for(kind, name, safety, payload)):
            await self._refuse_unknown(kind, name, safety, payload, agreed=agreed)
        future, source = self._loop.create_future(), None if done is None else done.source
        doubtful = base if safety is Safety.IRREVERSIBLE and kind != "body" else None
        item = self._tape.make(identity, safety)
        if item is not None and not self._tape.again(item.version):
            call = self._replayed[item.version] = Call(item.version, future, paid, source, doubtful)
            if not self._tape.settled(item.version):
                refused = done is None and self._known.forked and self._known.unmatched(kind, name, safety) == "recorded"
                self._begin(call, refusing(_not_recorded(kind, name)) if refused else issue, item.at, told)
        else:
            if item is None and self._tape and not self._tape.live:
                await self._after_the_tape()
            if safety is Safety.IRREVERSIBLE:
                self._refuse_another(kind, name)
            call = Call(self._request(identity, safety, payload, blobs), future, paid, source, doubtful)
            if safety is Safety.IRREVERSIBLE:
                await self._recorder.flush()
                self.refuse_closed()
                self._risky[call.request] = name
            self._begin(call, issue, self._recorder.now(), told)
        self._wake()
        return await call.future

    def _taken(self, done: Done) -> Issue:
        """What was recorded elsewhere: its value is read, nothing is touched."""

        async def read(_: Asked) -> Answer:
            if done.failure is not None:
                raise error_of(done.failure)
            return Answer(await self._recorder.load(done.value), simulated=done.simulated)

        return read

    def asks_first(self, kind: str, name: str, arguments: Any, question: Base) -> bool:
        """Whether a person's word is needed for this: not where it is recorded elsewhere, nor where it was done here without."""
        identity = self._next((kind, name, arguments_hash(packed(arguments)[0]), None))
        if self._known.of(identity) is not None:
            return False
        return not self._tape.knows(identity) or self._tape.knows(self._next(question))

    def _asked_for(self, kind: str, name: str, safety: Safety, arguments: Payload) -> bool:
        """Whether a person was asked, before a crash, if this may be done."""
        return self._tape.knows(self._next(consent(kind, name, safety, arguments)[1]))

    async def _refuse_unknown(self, kind: str, name: str, safety: Safety, arguments: Payload, *, agreed: bool) -> None:
        """In a fork, what its past does not have is done as its policies say: at once, after a person's word, or not at all."""
        policy = self._known.unmatched(kind, name, safety)
        if policy == "recorded":
            raise _not_recorded(kind, name)
        if policy != "ask" or agreed or self._permit is None or kind.startswith("ask"):
            return
        asked, (_, question, _, _) = consent(kind, name, safety, arguments)
        if await self.perform("ask", question, asked, Safety.READ, self._permit) != DO_IT:
            raise EffectFailedError(
                f"somebody decided that {kind} {name!r} is not done in this fork", kind="declined", retryable=False
            )

    def refuse_closed(self) -> None:
        """Raise `AttemptClosedError` once the attempt has ended."""
        if self.closed:
            raise AttemptClosedError(f"step {self._step!r}: the attempt is closed; its effects are refused")

    def _refuse_another(self, kind: str, name: str) -> None:
        """A changed body that no longer asks for what it did for good must not do something like it once more."""
        left = self._tape.left_for_good
        if left is not None:
            raise DivergenceError(
                f"step {self._step!r}, attempt {self._attempt}: driven again it asks for the irreversible {kind} {name!r}, but at "
                f"event {left.version} it had asked for {left.event.kind} {left.event.name!r}; put its code back, or cancel the run"
            )

    def _identify(self, base: Base) -> Identity:
        identity = self._next(base)
        self._occurrences[base] = identity[-1] + 1
        return identity

    def _next(self, base: Base) -> Identity:
        return *base, self._occurrences.get(base, 0)

    async def _after_the_tape(self) -> None:
        """A request that was never recorded waits until what was recorded is lived through, or cannot be."""
        turn: asyncio.Future[None] = self._loop.create_future()
        self._unknown.append(turn)
        self._unwatch()
        self._wake()
        await turn
        self.refuse_closed()

    def _request(self, identity: Identity, safety: Safety, payload: Payload, blobs: Sequence[Blob]) -> int:
        kind, name, digest, key, occurrence = identity
        event = EffectRequested(kind, name, digest, safety, occurrence, key, payload)
        return self._recorder.record(event, self._step, self._attempt, blobs)

    def _begin(self, call: Call, issue: Issue, requested_at: float, told: Told | None) -> None:
        if told is not None:
            call.told = told
            call.future.add_done_callback(lambda future: told(call.request, False) if future.cancelled() else None)
        answer = issue(Asked(call.request, requested_at))
        if isinstance(answer, Answer):
            call.outcome = answer
            self._outbox.append(call)
            return
        task = self._loop.create_task(self._run(call, answer))
        self._keep(task)
        call.future.add_done_callback(lambda future: task.cancel() if future.cancelled() else None)

    def _keep(self, task: asyncio.Task[None]) -> None:
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self, call: Call, answer: Awaitable[Answer]) -> None:
        try:
            call.outcome = await answer
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                call.future.cancel()
                return
            call.outcome = failure_of(error)  # nobody cancelled: the function itself raised it
        except BaseException as error:  # the world may raise anything, SystemExit too; it becomes a recorded failure
            call.outcome = failure_of(error)
            call.usage = error.usage if isinstance(error, ModelError) else None
            call.spent = error.spent if isinstance(error, PaidFailureError) else ()
        self._outbox.append(call)
        self._wake()

    # -- delivering

    def _wake(self) -> None:
        if not self._waiting and (self._tape or self._outbox or self._unknown):
            self._waiting = True
            self._quiet.call(self._deliver_one)

    def _deliver_one(self) -> None:
        """The body waits: give it the next recorded outcome, let the next unknown request be made, or deliver a live outcome."""
        self._waiting = False
        if self.closed or self._handing:
            return
        outcome = self._tape.advance()
        if outcome is not None:
            self._unwatch()
            self._hand_over(self._replayed[outcome.event.request], outcome.event)
        elif self._tape:
            self._watch()
            return
        elif self._unknown:
            _let(self._unknown.popleft())
        elif self._outbox:
            self._deliver(self._outbox.popleft())
        self._wake()

    def _hand_over(self, call: Call, event: EffectSucceeded | EffectFailed | EffectResolved) -> None:
        if isinstance(event, EffectFailed):
            self._fail(call, event.failure)
        elif isinstance(event, EffectResolved) and event.outcome == "failed":
            _fail(call.future, Failure("effect", event.note or "somebody resolved it as failed", retryable=False))
        elif event.value.blob is None:
            if not call.future.done():
                call.future.set_result(values.decode(event.value.json) if event.value.size else None)
        else:
            self._handing = True
            self._keep(self._loop.create_task(self._hand_over_blob(call, event.value)))

    async def _hand_over_blob(self, call: Call, payload: Payload) -> None:
        try:
            value = await self._recorder.load(payload)
        except Exception as error:  # the content may be gone: the body that asked is told
            _fail(call.future, failure_of(error))
        else:
            if not call.future.done():
                call.future.set_result(value)
        self._handing = False
        self._wake()

    def _deliver(self, call: Call) -> None:
        """Record a live outcome and hand it over; also one that the body no longer waits for, because it is known."""
        if call.told is not None and call.future.cancelled():
            return  # what it was given goes back to where it came from: it must not stand in the record too
        try:
            value, failure = self._settle(call)
        except Exception as error:  # the attempt was closed or the store failed meanwhile: the body is told
            if call.told is not None:
                call.told(call.request, False)
            if not call.future.done():
                call.future.set_exception(error)
            return
        if call.told is not None:
            call.told(call.request, failure is None)
        self._risky.pop(call.request, None)
        if failure is not None:
            self._fail(call, failure)
        elif not call.future.done():
            call.future.set_result(value)

    def _fail(self, call: Call, failure: Failure) -> None:
        if call.base is not None and failure.kind in ("timeout", "unrecorded"):
            self._lost.add(call.base)
        _fail(call.future, failure)

    def _settle(self, call: Call) -> tuple[Any, Failure | None]:
        """Record the outcome; returns the value as it will be read back, or the failure."""
        outcome = call.outcome
        if isinstance(outcome, Answer):
            try:
                payload, blobs = packed(outcome.value)
            except (ValueEncodingError, RecursionError) as error:
                said, kind = f"What came back cannot be recorded: {error}", "output"
                if call.base is not None:
                    said, kind = f"It was done, and is not done again, but what came back cannot be recorded: {error}", "unrecorded"
                outcome = Failure(kind, said, retryable=False)
            else:
                event = EffectSucceeded(call.request, payload, outcome.usage, outcome.simulated, call.source, outcome.spent)
                self._recorder.record(event, self._step, self._attempt, blobs, wake=call.wake)
                return values.decode(blobs[0][1] if blobs else payload.json), None
        assert isinstance(outcome, Failure)  # noqa: S101 - what is in the outbox has an outcome
        failed = EffectFailed(call.request, outcome, call.usage, call.source, call.spent)
        self._recorder.record(failed, self._step, self._attempt, wake=call.wake)
        return None, outcome

    # -- noticing a body that does not ask again

    def _watch(self) -> None:
        if self._stall is None:
            self._stall = self._loop.call_later(GRACE_SECONDS if self._unknown else STALL_SECONDS, self._stalled)

    def _unwatch(self) -> None:
        if self._stall is not None:
            self._stall.cancel()
            self._stall = None

    def _stalled(self) -> None:
        """A recorded request is still missing: unknown ones go live; with none, whoever waits is told."""
        self._stall = None
        missing = self._tape.missing
        if self.closed or missing is None:
            return
        if self._unknown:
            self._tape.go_live()
            self._wake()
            return
        if self._tasks:
            self._watch()
            return
        error = DivergenceError(
            f"step {self._step!r}, attempt {self._attempt}: driven again it did not ask for {missing.event.kind} "
            f"{missing.event.name!r}, as it did at event {missing.version}; its code or something outside its effects changed"
        )
        for call in self._replayed.values():
            if not call.future.done():
                call.future.set_exception(error)

    # -- ending

    def close(self) -> None:
        """End the attempt: whatever still waits is cancelled, whatever still asks is refused."""
        self.closed = True
        self._unwatch()
        for task in self._tasks:
            task.cancel()
        for future in [*self._unknown, *(call.future for call in [*self._replayed.values(), *self._outbox])]:
            if not future.done():
                future.cancel()

    @property
    def replaying(self) -> bool:
        """Whether something recorded is still to be lived through."""
        return bool(self._tape)

    @property
    def unmade(self) -> list[EffectRequested]:
        """Recorded requests this life of the attempt has not made: divergences, if the body has ended."""
        return self._tape.unmade

    @property
    def unsettled(self) -> list[str]:
        """Names of irreversible effects without an outcome, or that ran out of time: they must not be asked again unasked."""
        return [*self._risky.values(), *(name for _, name, _, _ in self._lost)]


def _let(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def _fail(future: asyncio.Future[Any], failure: Failure) -> None:
    if not future.done():
        future.set_exception(error_of(failure))


def _not_recorded(kind: str, name: str) -> EffectFailedError:
    """What a fork that uses recorded outcomes only says of another."""
    return EffectFailedError(f"{kind} {name!r} is not in the recording, and only that is to be used", kind="not_recorded")
