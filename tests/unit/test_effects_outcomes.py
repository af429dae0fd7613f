"""Outcomes of every kind: raised, unencodable, large, cancelled, known too late, refused."""

import asyncio
from typing import Any

import pytest

from engine import effects as effects_module
from engine.answers import Answer
from engine.effects import Effects
from engine.errors import AttemptClosedError, EffectFailedError
from store.events import EffectFailed, EffectSucceeded, Failure, Safety
from tests.recording import Recording, Touch, World, drive, names


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


async def test_what_was_given_is_told_recorded_or_not() -> None:
    """`told` hears True when the outcome is recorded, and False of a failed one, one given up, and one of a closed attempt."""
    recording, heard = Recording(), []
    effects = Effects(recording, "step", 1)

    def ask(name: str, answer: Any, at: asyncio.Event | None = None) -> asyncio.Future[Any]:
        async def issue(_: Any) -> Answer:
            if at is not None:
                await at.wait()
            return Answer(answer)

        told = lambda request, recorded: heard.append((request, recorded))  # noqa: E731
        return asyncio.ensure_future(effects.perform("receive", name, None, Safety.IDEMPOTENT, issue, told=told))

    assert await ask("fine", 1) == 1
    with pytest.raises(EffectFailedError):
        await ask("unencodable", object())
    given_up = ask("given up", 2, never := asyncio.Event())
    await asyncio.sleep(0)
    given_up.cancel()
    ask("open", 3, never)
    for _ in range(3):
        await asyncio.sleep(0)
    effects.close()
    for _ in range(5):
        await asyncio.sleep(0)
    assert heard == [(1, True), (3, False), (5, False), (6, False)]
    assert names(recording)[4:] == ["effect.requested given up", "effect.requested open"]


async def test_what_comes_for_who_gave_it_up_is_not_recorded() -> None:
    """An outcome that waits to be delivered when the body gives it up goes back where it came from and is not recorded."""
    recording, heard = Recording(), []
    effects = Effects(recording, "step", 1)

    async def issue(_: Any) -> Answer:
        asking.cancel()
        return Answer("message")

    told = lambda request, recorded: heard.append((request, recorded))  # noqa: E731
    asking = asyncio.ensure_future(effects.perform("receive", "x", None, Safety.IDEMPOTENT, issue, told=told))
    with pytest.raises(asyncio.CancelledError):
        await asking
    for _ in range(5):
        await asyncio.sleep(0)
    assert heard == [(1, False)]
    assert names(recording) == ["effect.requested x"]
    effects.close()
