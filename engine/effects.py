"""Record or replay: the one gate through which a step's body touches the world.

A request is recorded when it is made, an outcome when it is delivered. Outcomes are delivered one at a time, each only when every
task of the body waits, so that what a body does next depends on the order of deliveries alone. An attempt that is driven again
gets its recorded outcomes in that same order, each after the requests recorded before it were made; then its open requests are
issued again and it goes on live. (Without the order, concurrent branches swapped values in 20 of 20 re-drives; with it in none.)
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol

import msgspec

from engine.errors import AttemptClosedError, DivergenceError, EffectFailedError
from store import values
from store.errors import ValueEncodingError
from store.events import (
    EffectFailed,
    EffectRequested,
    EffectResolved,
    EffectSucceeded,
    Event,
    Failure,
    Payload,
    Recorded,
    Safety,
    Usage,
)

STALL_SECONDS = 5.0
"""How long a re-driven body may wait for something outside its effects before its missing request is called a divergence."""

MAX_HOPS = 16
"""Turns of the loop after which a body counts as waiting even if the loop is busy with other attempts."""

Identity = tuple[str, str, str, str | None, int]
"""(kind, name, hash of the canonical arguments, key, occurrence among equal ones)"""

Blob = tuple[str, bytes]


class Answer(msgspec.Struct):
    """What came back from the world: the value, what it used, and whether a simulation made it."""

    value: Any
    usage: Usage | None = None
    simulated: bool = False


class Recorder(Protocol):
    """What an attempt needs of the driver: to write its events, and to know they are safe."""

    def record(self, event: Event, step: str, attempt: int, blobs: Sequence[Blob] = (), *, wake: bool = False) -> int:
        """Record a fact of an attempt now, and return its version."""
        ...

    async def flush(self) -> None:
        """Wait until everything recorded so far is durable."""
        ...

    async def load(self, payload: Payload) -> Any:
        """The value of a payload."""
        ...

    def now(self) -> float:
        """Unix seconds."""
        ...


Issue = Callable[[float], Awaitable[Answer] | Answer]
"""Touches the world; gets the time of the request, so that a repeated one can go on where it was. One that need not wait answers
at once."""


class _Call:
    """One request of this life of the attempt, and who waits for it."""

    __slots__ = ("future", "outcome", "request", "wake")

    def __init__(self, request: int, future: asyncio.Future[Any], wake: bool) -> None:
        self.request, self.future, self.wake = request, future, wake
        self.outcome: Answer | Failure | None = None


class Effects:
    """The effects of one attempt. `tape` are the attempt's own recorded effect events, oldest first; empty when it is new."""

    def __init__(self, recorder: Recorder, step: str, attempt: int, tape: Sequence[Recorded] = ()) -> None:
        self._recorder, self._step, self._attempt = recorder, step, attempt
        self._loop = asyncio.get_running_loop()
        self._ready: deque[Any] | None = getattr(self._loop, "_ready", None)
        self._occurrences: dict[tuple[str, str, str, str | None], int] = {}
        self._outbox: deque[_Call] = deque()
        self._running: set[asyncio.Task[None]] = set()
        self._pumping = self._handing = False
        self._hops = 0
        self._stall: asyncio.TimerHandle | None = None
        self.closed = False
        self.live = not tape
        self._load_tape(tape)

    def _load_tape(self, tape: Sequence[Recorded]) -> None:
        self._tape = deque(item for item in tape if not _leaves_open(item.event))
        self._known: dict[Identity, Recorded] = {}
        self._settled: set[int] = set()
        for item in self._tape:
            event = item.event
            if isinstance(event, EffectRequested):
                self._known[_identity(event)] = item
            else:
                self._settled.add(event.request)
        self._made: dict[int, _Call] = {}

    # -- asking

    async def perform(
        self,
        kind: str,
        name: str,
        arguments: Any,
        safety: Safety,
        issue: Issue,
        *,
        key: str | None = None,
        packed: tuple[Payload, Sequence[Blob]] | None = None,
        paid: bool = False,
    ) -> Any:
        """Ask the world for something, or be given what it answered when this attempt ran before.

        `packed` stands in for `arguments` where their stored form is special (conversations). Raises `EffectFailedError` when the
        effect failed, now or then.
        """
        if self.closed:
            raise AttemptClosedError(f"step {self._step!r}: the attempt is closed; its effects are refused")
        payload, blobs = packed if packed is not None else _packed(arguments)
        identity = self._identify(kind, name, _hash(payload), key)
        item = self._known.pop(identity, None)
        if item is not None and not self._usable(item, safety):
            item = None
        if item is None:
            if not self.live:
                self._go_live()
            call = self._request(identity, safety, payload, blobs, paid)
            if safety is Safety.IRREVERSIBLE:
                await self._recorder.flush()
            self._begin(call, issue, self._recorder.now())
        else:
            call = _Call(item.version, self._loop.create_future(), paid)
            self._made[item.version] = call
            if item.version not in self._settled:
                self._begin(call, issue, item.at)
        self._wake()
        return await call.future

    def _identify(self, kind: str, name: str, digest: str, key: str | None) -> Identity:
        base = (kind, name, digest, key)
        occurrence = self._occurrences.get(base, 0)
        self._occurrences[base] = occurrence + 1
        return kind, name, digest, key, occurrence

    def _usable(self, item: Recorded, safety: Safety) -> bool:
        """After an unknown request was made live, only recorded outcomes that touched nothing are taken."""
        return not self.live or safety is Safety.PURE or item.version not in self._settled

    def _go_live(self) -> None:
        """An unknown request ends ordered delivery: what was asked for and recorded is delivered, the rest of the tape is not."""
        self.live = True
        self._tape = deque(item for item in self._tape if getattr(item.event, "request", None) in self._made)

    def _request(self, identity: Identity, safety: Safety, payload: Payload, blobs: Sequence[Blob], paid: bool) -> _Call:
        kind, name, digest, key, occurrence = identity
        event = EffectRequested(kind, name, digest, safety, occurrence, key, payload)
        version = self._recorder.record(event, self._step, self._attempt, blobs)
        return _Call(version, self._loop.create_future(), paid)

    def _begin(self, call: _Call, issue: Issue, requested_at: float) -> None:
        answer = issue(requested_at)
        if isinstance(answer, Answer):
            call.outcome = answer
            self._outbox.append(call)
            return
        task = self._loop.create_task(self._run(call, answer))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        call.future.add_done_callback(lambda future: task.cancel() if future.cancelled() else None)

    async def _run(self, call: _Call, answer: Awaitable[Answer]) -> None:
        try:
            call.outcome = await answer
        except asyncio.CancelledError:
            call.future.cancel()
            return
        except BaseException as error:  # the world may raise anything, SystemExit too; it becomes a recorded failure
            call.outcome = failure_of(error)
        self._outbox.append(call)
        self._wake()

    # -- delivering

    def _wake(self) -> None:
        if not self._pumping and (self._tape or self._outbox):
            self._pumping, self._hops = True, 0
            self._loop.call_soon(self._pump)

    def _pump(self) -> None:
        """Deliver one outcome once the body waits; come back for the next."""
        self._hops += 1
        if self._hops < MAX_HOPS and (self._ready is None or self._ready):
            self._loop.call_soon(self._pump)
            return
        self._pumping = False
        if self.closed or self._handing:
            return
        if self._tape and not self._replay_next():
            self._watch()
            return
        if not self._tape and self._outbox:
            call = self._outbox.popleft()
            try:
                self._deliver(call)
            except Exception as error:  # the attempt was closed or the store failed meanwhile: the body is told
                if not call.future.done():
                    call.future.set_exception(error)
        self._wake()

    def _replay_next(self) -> bool:
        """Move along the tape up to and including the next outcome; False when it waits for a request not yet made."""
        while self._tape:
            item = self._tape[0]
            if isinstance(item.event, EffectRequested):
                if item.version not in self._made:
                    return False
                self._tape.popleft()
                continue
            call = self._made.get(item.event.request)
            if call is None:
                return False
            self._tape.popleft()
            self._unwatch()
            self._hand_over(call, item.event)
            return True
        return True

    def _hand_over(self, call: _Call, event: EffectSucceeded | EffectFailed | EffectResolved) -> None:
        if isinstance(event, EffectFailed):
            _fail(call.future, event.failure)
        elif isinstance(event, EffectResolved) and event.outcome == "failed":
            _fail(call.future, Failure("effect", event.note or "somebody resolved it as failed"))
        elif event.value.blob is None:
            if not call.future.done():
                call.future.set_result(values.decode(event.value.json) if event.value.size else None)
        else:
            self._handing = True
            task = self._loop.create_task(self._hand_over_blob(call, event.value))
            self._running.add(task)
            task.add_done_callback(self._running.discard)

    async def _hand_over_blob(self, call: _Call, payload: Payload) -> None:
        try:
            value = await self._recorder.load(payload)
        except Exception as error:  # the content may be gone: the body that asked is told
            _fail(call.future, failure_of(error))
        else:
            if not call.future.done():
                call.future.set_result(value)
        self._handing = False
        self._wake()

    def _deliver(self, call: _Call) -> None:
        """Record a live outcome and hand it over."""
        outcome = call.outcome
        if call.future.done():
            return
        if isinstance(outcome, Answer):
            try:
                payload, blob = values.pack(outcome.value)
            except ValueEncodingError as error:
                outcome = Failure("output", f"What came back cannot be recorded: {error}", retryable=False)
            else:
                event: Event = EffectSucceeded(call.request, payload, outcome.usage, outcome.simulated)
                blobs = [(payload.blob, blob)] if payload.blob is not None and blob is not None else []
                self._recorder.record(event, self._step, self._attempt, blobs, wake=call.wake)
                call.future.set_result(values.decode(payload.json if blob is None else blob))
                return
        if isinstance(outcome, Failure):
            self._recorder.record(EffectFailed(call.request, outcome), self._step, self._attempt, wake=call.wake)
            _fail(call.future, outcome)

    # -- noticing a body that does not ask again

    def _watch(self) -> None:
        if self._stall is None and self._made:
            self._stall = self._loop.call_later(STALL_SECONDS, self._diverged)

    def _unwatch(self) -> None:
        if self._stall is not None:
            self._stall.cancel()
            self._stall = None

    def _diverged(self) -> None:
        self._stall = None
        if self.closed or not self._tape or self._tape[0].version in self._made:
            return
        if self._running:
            self._watch()
            return
        event = self._tape[0].event
        what = f"{event.kind} {event.name!r}" if isinstance(event, EffectRequested) else "an effect"
        error = DivergenceError(
            f"step {self._step!r}, attempt {self._attempt}: driven again it did not ask for {what}, as it did at event "
            f"{self._tape[0].version}; its code or something outside its effects changed"
        )
        for call in self._made.values():
            if not call.future.done():
                call.future.set_exception(error)

    def close(self) -> None:
        """End the attempt: whatever still waits is cancelled, whatever still asks is refused."""
        self.closed = True
        self._unwatch()
        for task in self._running:
            task.cancel()
        for call in [*self._made.values(), *self._outbox]:
            if not call.future.done():
                call.future.cancel()

    @property
    def unmade(self) -> list[Recorded]:
        """Recorded requests this life of the attempt has not made: divergences, if the body has ended."""
        return [item for item in self._tape if isinstance(item.event, EffectRequested) and item.version not in self._made]


def _leaves_open(event: Event) -> bool:
    return isinstance(event, EffectResolved) and event.outcome == "again"


def _identity(event: EffectRequested) -> Identity:
    return event.kind, event.name, event.arguments_hash, event.key, event.occurrence


def _packed(arguments: Any) -> tuple[Payload, Sequence[Blob]]:
    payload, blob = values.pack(arguments)
    return payload, [(payload.blob, blob)] if payload.blob is not None and blob is not None else []


def _hash(payload: Payload) -> str:
    """The arguments' hash: 16 hex digits are enough to tell a run's few requests apart, and are in every request's row."""
    if payload.blob is not None:
        return payload.blob[:16]
    return hashlib.sha256(bytes(payload.json)).hexdigest()[:16]


def _fail(future: asyncio.Future[Any], failure: Failure) -> None:
    if not future.done():
        error = EffectFailedError(failure.message, kind=failure.kind, retryable=failure.retryable, retry_after=failure.retry_after)
        future.set_exception(error)


def failure_of(error: BaseException) -> Failure:
    """A failure from what was raised: a kind, one sentence, and whether asking again may help."""
    kind = getattr(error, "kind", None)
    return Failure(
        kind=kind if isinstance(kind, str) else "error",
        message=_sentence(error),
        retryable=bool(getattr(error, "retryable", True)),
        retry_after=getattr(error, "retry_after", None),
    )


def _sentence(error: BaseException) -> str:
    text = str(error).strip() or "no message"
    text = text.encode("utf-8", "backslashreplace").decode()
    name = type(error).__name__
    first = text if isinstance(error, EffectFailedError | DivergenceError) else f"{name}: {text}"
    return first if len(first) <= 2000 else first[:1999] + "…"
