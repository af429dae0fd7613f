"""The gate to the world, rule by rule: what is recorded when, what is refused, and what happens to a body that changed."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from engine import effects as effects_module
from engine.answers import Answer
from engine.effects import Effects
from engine.errors import AttemptClosedError, DivergenceError
from store.events import EffectRequested, Safety
from tests.recording import Recording, Touch, World, drive, names


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
