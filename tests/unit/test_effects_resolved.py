"""What somebody said of an effect in doubt, as the body that is driven again hears it."""

import asyncio
import time
from typing import Any

import pytest

from engine.answers import Answer
from engine.errors import EffectFailedError
from engine.tape import arguments_hash
from store.events import EffectRequested, EffectResolved, EffectSucceeded, Payload, Recorded, Safety
from store.values import pack
from tests.recording import Recording, Touch, World, drive, names


def requested(
    version: int, name: str, *, kind: str = "once", safety: Safety = Safety.IRREVERSIBLE, occurrence: int = 0
) -> Recorded:
    """A request as `Touch` makes it."""
    digest = arguments_hash(pack(None)[0])
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
