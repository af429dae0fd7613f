"""The gate to the world, rule by rule: what is recorded when, what is refused, and what happens to a body that changed."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest

from engine import effects as effects_module
from engine.effects import Answer, Effects
from engine.errors import AttemptClosedError, DivergenceError, EffectFailedError
from store.events import EffectFailed, EffectRequested, EffectResolved, EffectSucceeded, Failure, Payload, Recorded, Safety
from store.values import pack
from tests.recording import Recording, Touch, World, drive


def names(recording: Recording) -> list[str]:
    """New events as short texts."""
    return [f"{item.event.type} {getattr(item.event, 'name', getattr(item.event, 'request', ''))}" for item in recording.new]


async def test_a_request_is_recorded_when_made_and_its_outcome_when_delivered() -> None:
    """Two effects in sequence are request, outcome, request, outcome; the outcome names its request's version."""
    recording = Recording()

    async def body(touch: Touch) -> list[str]:
        return [await touch("a"), await touch("b")]

    await drive(body, recording, World())
    assert names(recording) == ["effect.requested a", "effect.succeeded 1", "effect.requested b", "effect.succeeded 3"]


async def test_identity_is_kind_name_arguments_key_and_occurrence() -> None:
    """Equal arguments hash alike however their keys are ordered; equal effects are counted; a key counts apart."""
    recording = Recording()

    async def body(touch: Touch) -> None:
        await touch("a", arguments={"x": 1, "y": 2})
        await touch("a", arguments={"y": 2, "x": 1})
        await touch("a", arguments={"x": 1, "y": 3})
        await touch("a", arguments={"x": 1, "y": 2}, key="k")

    await drive(body, recording, World())
    asked = [item.event for item in recording.new if isinstance(item.event, EffectRequested)]
    assert len({event.arguments_hash for event in asked}) == 2
    assert [(event.occurrence, event.key) for event in asked] == [(0, None), (1, None), (0, None), (0, "k")]


async def test_an_irreversible_request_is_durable_before_it_is_issued() -> None:
    """The record is flushed between an irreversible request and its touch, and not for any other."""
    recording, world = Recording(), World()
    flushed_at_touch: list[int] = []

    async def body(touch: Touch) -> None:
        async def issue(_: float) -> Answer:
            flushed_at_touch.extend(recording.flushed)
            return Answer(1)

        await touch("a")
        await touch("b", safety=Safety.IDEMPOTENT)
        await touch.effects.perform("once", "pay", None, Safety.IRREVERSIBLE, issue)

    await drive(body, recording, world)
    assert flushed_at_touch == [5]
    assert recording.flushed == [5]


async def test_an_attempt_closed_while_flushing_issues_nothing() -> None:
    """A worker thread's irreversible request whose attempt ended during the flush is refused and never touches the world."""
    recording, touched = Recording(), []
    effects = Effects(recording, "step", 1)

    async def issue(_: float) -> Answer:
        touched.append("pay")
        return Answer(1)

    asking = asyncio.ensure_future(effects.perform("once", "pay", None, Safety.IRREVERSIBLE, issue))
    await asyncio.sleep(0)
    effects.close()
    with pytest.raises(AttemptClosedError):
        await asking
    assert touched == []


async def test_effects_of_a_closed_attempt_are_refused() -> None:
    """After the end of its attempt a body that goes on gets an error and nothing is recorded."""
    recording = Recording()
    _, effects = await drive(lambda touch: touch("a"), recording, World())
    with pytest.raises(AttemptClosedError):
        await Touch(effects, World())("b")
    assert len(recording.events) == 2


async def test_an_outcome_waits_for_the_requests_recorded_before_it() -> None:
    """A branch that does something unrecorded for a while keeps its place: the other's recorded answer, though at hand, is given
    only after it asked, so both get what they got.
    """

    def body(pause: float) -> Callable[[Touch], Any]:
        async def both(touch: Touch) -> Any:
            async def unrecorded() -> Any:
                await asyncio.sleep(pause)
                return await touch("same")

            async def recorded() -> Any:
                return await touch("slow"), await touch("same")

            return await asyncio.gather(unrecorded(), recorded())

        return both

    class Slow(World):
        async def answer(self, name: str) -> Any:
            if name == "slow":
                await asyncio.sleep(0.02)
            return await super().answer(name)

    recording = Recording()
    returned, _ = await drive(body(0.0), recording, Slow())
    repeated, _ = await drive(body(0.05), Recording(recording.events), World(seed=9))
    assert repeated == returned


async def test_a_new_request_does_not_drop_what_is_recorded() -> None:
    """A branch that asks something not recorded, before the others asked what is, waits for them: nothing is repeated."""

    async def before(touch: Touch) -> Any:
        return [await touch("a"), await touch("pay", safety=Safety.IRREVERSIBLE)]

    async def after(touch: Touch) -> Any:
        async def late() -> Any:
            await asyncio.sleep(0.02)
            return await before(touch)

        return await asyncio.gather(touch("new"), late())

    recording = Recording()
    returned, _ = await drive(before, recording, World())
    again, world = Recording(recording.events), World(seed=5)
    repeated, _ = await drive(after, again, world)
    assert repeated[1] == returned
    assert world.touched == ["new"]


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Divergences are called at once."""
    monkeypatch.setattr(effects_module, "GRACE_SECONDS", 0.02)
    monkeypatch.setattr(effects_module, "STALL_SECONDS", 0.02)


@pytest.mark.usefixtures("impatient")
async def test_a_changed_body_goes_live_and_reuses_only_pure_outcomes() -> None:
    """Asking for something else instead of what is recorded goes live after a grace; then a recorded read is asked anew, and a
    recorded pure outcome still stands.
    """

    async def before(touch: Touch) -> Any:
        return [await touch("old"), await touch("read"), await touch("pure", safety=Safety.PURE)]

    async def after(touch: Touch) -> Any:
        return [await touch("new"), await touch("read"), await touch("pure", safety=Safety.PURE)]

    recording = Recording()
    returned, _ = await drive(before, recording, World())
    again, world = Recording(recording.events), World(seed=5)
    repeated, effects = await drive(after, again, world)
    assert world.touched == ["new", "read"]
    assert repeated[2] == returned[2]
    assert repeated[1] != returned[1]
    assert effects.unmade == []


@pytest.mark.usefixtures("impatient")
async def test_a_body_that_does_not_ask_again_is_a_divergence_not_a_hang() -> None:
    """Where every task waits for a recorded request that is not made, the waiting ones are told which, and at which event."""

    async def before(touch: Touch) -> Any:
        return await asyncio.gather(touch("a"), touch("b"))

    class SlowA(World):
        async def answer(self, name: str) -> Any:
            await asyncio.sleep(0.01 if name == "a" else 0)
            return await super().answer(name)

    recording = Recording()
    await drive(before, recording, SlowA())
    with pytest.raises(DivergenceError, match=r"did not ask for once 'b', as it did at event 2"):
        await drive(lambda touch: touch("a"), Recording(recording.events), World())


async def test_a_body_that_ends_without_asking_leaves_its_requests_unmade() -> None:
    """Ending early is possible; what was recorded and not asked for is told, in order."""

    async def before(touch: Touch) -> Any:
        return [await touch("a"), await touch("b"), await touch("c")]

    recording = Recording()
    await drive(before, recording, World())
    _, effects = await drive(lambda touch: touch("a"), Recording(recording.events), World())
    assert [event.name for event in effects.unmade] == ["b", "c"]


# -- outcomes of every kind


@pytest.mark.parametrize("error", [ValueError("x"), SystemExit(3), KeyboardInterrupt(), RecursionError("deep"), MemoryError()])
async def test_whatever_an_effect_raises_is_the_same_failure_now_and_again(error: BaseException) -> None:
    """The body gets an `EffectFailedError` with the same text, kind and flags from the world and from the record."""

    async def body(touch: Touch) -> tuple[object, ...]:
        async def issue(_: float) -> Answer:
            raise error

        try:
            await touch.effects.perform("once", "f", None, Safety.READ, issue)
        except EffectFailedError as failed:
            return str(failed), failed.kind, failed.retryable, failed.retry_after
        return ()

    recording = Recording()
    told, _ = await drive(body, recording, World())
    again, _ = await drive(body, Recording(recording.events), World())
    assert told == again
    assert str(told[0]).startswith(type(error).__name__)


async def test_what_cannot_be_recorded_is_a_failure_of_kind_output() -> None:
    """An answer that is no plain value fails the effect, says where, and is not worth asking again."""

    async def body(touch: Touch) -> Any:
        async def issue(_: float) -> Answer:
            return Answer({"a": [object()]})

        await touch.effects.perform("once", "f", None, Safety.READ, issue)

    recording = Recording()
    with pytest.raises(EffectFailedError, match=r"cannot be recorded: The value at \.a\[0\]"):
        await drive(body, recording, World())
    assert recording.new[-1].event.failure.kind == "output"
    assert not recording.new[-1].event.failure.retryable


async def test_the_body_gets_what_a_recording_would_give_it() -> None:
    """An answer is handed over as it reads back (a tuple as a list), a copy of its own, also when it is large."""
    answer = {"t": (1, 2), "big": "x" * 5000}

    async def body(touch: Touch) -> Any:
        async def issue(_: float) -> Answer:
            return Answer(answer)

        return await asyncio.gather(*(touch.effects.perform("once", "f", None, Safety.READ, issue) for _ in range(3)))

    recording = Recording()
    first, _ = await drive(body, recording, World())
    again = Recording(recording.events)
    again.blobs = recording.blobs
    second, _ = await drive(body, again, World())
    assert first == second == [{"t": [1, 2], "big": "x" * 5000}] * 3
    assert len({id(value) for value in [*first, *second]}) == 6


async def test_an_answer_whose_content_is_gone_fails_the_effect() -> None:
    """A recorded answer that can no longer be read is a failure the body hears of, not a hang and not a second touch."""
    recording = Recording()

    async def body(touch: Touch) -> Any:
        async def issue(_: float) -> Answer:
            return Answer("x" * 5000)

        return await touch.effects.perform("once", "f", None, Safety.READ, issue)

    await drive(body, recording, World())
    again = Recording(recording.events)
    with pytest.raises(EffectFailedError, match="KeyError"):
        await drive(body, again, World())
    assert again.new == []


async def test_a_cancelled_effect_has_no_outcome() -> None:
    """A body that stops waiting cancels what it asked for; the request stays without an outcome."""

    async def body(touch: Touch) -> str:
        async def issue(_: float) -> Answer:
            await asyncio.sleep(60)
            return Answer(1)

        try:
            async with asyncio.timeout(0.01):
                await touch.effects.perform("once", "long", None, Safety.READ, issue)
        except TimeoutError:
            return "gave up"
        return "?"

    recording = Recording()
    returned, _ = await drive(body, recording, World())
    assert returned == "gave up"
    assert names(recording) == ["effect.requested long"]


async def test_an_effect_that_raises_cancelled_by_itself_failed() -> None:
    """A function that raises CancelledError though nobody cancelled it is a failure the body can catch, and is recorded."""

    async def body(touch: Touch) -> Any:
        async def issue(_: float) -> Answer:
            raise asyncio.CancelledError

        await touch.effects.perform("once", "odd", None, Safety.READ, issue)

    recording = Recording()
    with pytest.raises(EffectFailedError, match="CancelledError"):
        await drive(body, recording, World())
    assert isinstance(recording.new[-1].event, EffectFailed)


async def test_a_known_outcome_is_recorded_though_nobody_waits() -> None:
    """A function that answers although it was cancelled has its answer recorded: it happened, and may have been paid for."""

    async def body(touch: Touch) -> None:
        async def issue(_: float) -> Answer:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                return Answer("done all the same")
            return Answer("?")

        asking = asyncio.ensure_future(touch.effects.perform("once", "stubborn", None, Safety.READ, issue))
        await touch("other")
        asking.cancel()
        await touch("another")
        await touch("a third")

    recording = Recording()
    await drive(body, recording, World(slow=0))
    assert any(isinstance(item.event, EffectSucceeded) and item.event.request == 1 for item in recording.new)
    again = Recording(recording.events)
    await drive(body, again, World())
    assert again.new == []


async def test_an_irreversible_effect_in_flight_is_known_at_the_end() -> None:
    """What was issued and not answered when the attempt ends can be asked for by name; what was answered is not in it."""
    recording = Recording()
    effects = Effects(recording, "step", 1)
    touch = Touch(effects, World())

    async def never(_: float) -> Answer:
        await asyncio.sleep(60)
        return Answer(1)

    await touch("paid", safety=Safety.IRREVERSIBLE)
    asking = asyncio.ensure_future(effects.perform("once", "pay", None, Safety.IRREVERSIBLE, never))
    await asyncio.sleep(0.01)
    assert effects.unsettled == ["pay"]
    effects.close()
    await asyncio.gather(asking, return_exceptions=True)


async def test_a_refused_record_reaches_the_body() -> None:
    """When the driver refuses to record an outcome the waiting body is told instead of waiting for ever."""
    recording = Recording()

    async def body(touch: Touch) -> None:
        async def issue(_: float) -> Answer:
            recording.refuse = True
            return Answer(1)

        await touch.effects.perform("once", "f", None, Safety.READ, issue)

    with pytest.raises(AttemptClosedError):
        await drive(body, recording, World())


# -- resolved by somebody


def requested(
    version: int, name: str, *, kind: str = "once", safety: Safety = Safety.IRREVERSIBLE, occurrence: int = 0
) -> Recorded:
    """A request as `Touch` makes it."""
    digest = effects_module._hash(pack(None)[0])
    return Recorded(version, 1000.0, EffectRequested(kind, name, digest, safety, occurrence), "step", 1)


def resolved(version: int, request: int, outcome: str, value: Any = None) -> Recorded:
    """What somebody said of a request."""
    return Recorded(version, 1000.0, EffectResolved(request, outcome, pack(value)[0], "seen by hand"), "step", 1)


async def pay(touch: Touch) -> Any:
    """One irreversible effect."""
    return await touch("pay", safety=Safety.IRREVERSIBLE)


async def test_resolved_as_succeeded_gives_the_value_that_was_said() -> None:
    """The body gets the value without touching the world."""
    world = World()
    returned, _ = await drive(pay, Recording([requested(1, "pay"), resolved(2, 1, "succeeded", {"id": 7})]), world)
    assert returned == {"id": 7}
    assert world.touched == []


async def test_resolved_as_failed_raises_with_the_note() -> None:
    """The body gets an error that carries what was noted."""
    with pytest.raises(EffectFailedError, match="seen by hand"):
        await drive(pay, Recording([requested(1, "pay"), resolved(2, 1, "failed")]), World())


async def test_resolved_as_again_is_a_new_request() -> None:
    """It is recorded and flushed before it is issued once more, so that the next crash finds it in flight, not forgotten."""
    recording, world = Recording([requested(1, "pay"), resolved(2, 1, "again")]), World()
    returned, _ = await drive(pay, recording, world)
    assert world.touched == ["pay"]
    assert names(recording) == ["effect.requested pay", "effect.succeeded 3"]
    assert recording.flushed == [3]
    third = Recording(recording.events)
    repeated, _ = await drive(pay, third, World())
    assert (repeated, third.new) == (returned, [])


async def test_again_and_again() -> None:
    """Resolved as again twice, with a crash in between, it is issued a third time and then stands."""
    tape = [requested(1, "pay"), resolved(2, 1, "again"), requested(3, "pay"), resolved(4, 3, "again")]
    recording, world = Recording(tape), World()
    await drive(pay, recording, world)
    assert world.touched == ["pay"]
    assert names(recording) == ["effect.requested pay", "effect.succeeded 5"]


async def test_again_beside_other_branches_keeps_their_outcomes() -> None:
    """The one to be issued again waits its turn and the recorded ones are not repeated."""

    async def body(touch: Touch) -> Any:
        async def other() -> Any:
            return [await touch("a"), await touch("b")]

        return await asyncio.gather(pay(touch), other())

    a, b = pack("A")[0], pack("B")[0]
    tape = [
        requested(1, "pay"),
        requested(2, "a", safety=Safety.READ),
        Recorded(3, 1000.0, EffectSucceeded(2, a), "step", 1),
        requested(4, "b", safety=Safety.READ),
        Recorded(5, 1000.0, EffectSucceeded(4, b), "step", 1),
        resolved(6, 1, "again"),
    ]
    world = World()
    returned, _ = await drive(body, Recording(tape), world)
    assert returned[1] == ["A", "B"]
    assert world.touched == ["pay"]


@pytest.mark.parametrize("how", ["succeeded", "resolved"])
async def test_a_body_that_is_settled_is_not_entered_again(how: str) -> None:
    """Where the whole body is one effect and has its outcome, the effects inside it are history: nothing waits for them."""
    inside = [requested(2, "a", safety=Safety.READ), Recorded(3, 1000.0, EffectSucceeded(2, Payload()), "step", 1)]
    if how == "succeeded":
        end = Recorded(4, 1000.0, EffectSucceeded(1, pack("whole")[0]), "step", 1)
    else:
        end = resolved(4, 1, "succeeded", "whole")
    world = World()

    async def body(touch: Touch) -> Any:
        async def issue(_: float) -> Answer:
            return Answer(await touch("a"))

        return await touch.effects.perform("body", "step", None, Safety.IRREVERSIBLE, issue)

    began = time.monotonic()
    returned, _ = await drive(body, Recording([requested(1, "step", kind="body"), *inside, end]), world)
    assert returned == "whole"
    assert world.touched == []
    assert time.monotonic() - began < 2


async def test_a_body_issued_again_keeps_the_outcomes_inside_it() -> None:
    """A body that was in doubt and is driven again takes what is recorded inside it and asks only for the rest."""
    tape = [
        requested(1, "step", kind="body"),
        requested(2, "a", safety=Safety.READ),
        Recorded(3, 1000.0, EffectSucceeded(2, pack("A")[0]), "step", 1),
        resolved(4, 1, "again"),
    ]
    world = World()

    async def body(touch: Touch) -> Any:
        async def issue(_: float) -> Answer:
            return Answer([await touch("a"), await touch("b")])

        return await touch.effects.perform("body", "step", None, Safety.IRREVERSIBLE, issue)

    async with asyncio.timeout(2):
        returned, _ = await drive(body, Recording(tape), world)
    assert returned[0] == "A"
    assert world.touched == ["b"]


def test_a_failure_keeps_retry_after_through_an_effect() -> None:
    """What a failed effect said about coming back is on the error the body gets."""
    failure = Failure("model.rate_limit", "slow down", True, 7.0)

    async def told() -> EffectFailedError:
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        effects_module._fail(future, failure)
        error = future.exception()
        assert isinstance(error, EffectFailedError)
        return error

    error = asyncio.run(told())
    assert (str(error), error.kind, error.retry_after) == ("slow down", "model.rate_limit", 7.0)
