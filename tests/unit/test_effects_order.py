"""Driving an attempt again makes the same requests and gives the same values to the same branches, however concurrent it is."""

import asyncio
import random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.errors import EffectFailedError
from store.events import EffectFailed, EffectRequested, EffectSucceeded
from tests.recording import Body, Recording, Touch, World, drive


async def gathered(touch: Touch) -> Any:
    """Branches that each ask twice; the second question depends on the first answer."""

    async def branch(number: int) -> Any:
        first = await touch(f"first {number}")
        return first, await touch(f"then {first}")

    return await asyncio.gather(*(branch(number) for number in range(5)))


async def equal(touch: Touch) -> Any:
    """Concurrent branches that ask exactly the same, at different times."""

    async def branch(number: int) -> Any:
        return [number, [await touch("same") for _ in range(number % 3 + 1)]]

    return await asyncio.gather(*(branch(number) for number in range(6)))


async def equal_with_keys(touch: Touch) -> Any:
    """The same question in concurrent branches, told apart by a key."""

    async def branch(number: int) -> Any:
        await touch(f"before {number}")
        return [number, await touch("same", key=str(number))]

    return await asyncio.gather(*(branch(number) for number in range(5)))


async def grouped(touch: Touch) -> Any:
    """Task groups in task groups."""
    found: list[Any] = []

    async def leaf(name: str) -> None:
        found.append(await touch(name))

    async def branch(number: int) -> None:
        async with asyncio.TaskGroup() as group:
            for leafs in range(3):
                group.create_task(leaf(f"leaf {number} {leafs}"))
        found.append(await touch("branch done"))

    async with asyncio.TaskGroup() as group:
        for number in range(3):
            group.create_task(branch(number))
    return found


async def as_they_come(touch: Touch) -> Any:
    """What comes first is asked about first."""
    found = []
    for coming in asyncio.as_completed([touch(f"race {number}") for number in range(5)]):
        answer = await coming
        found.append((answer, await touch(f"about {answer}")))
    return found


async def first_of(touch: Touch) -> Any:
    """The first of several wins, the others are cancelled, twice over."""
    found = []
    for round_ in range(2):
        tasks = [asyncio.ensure_future(touch(f"runner {round_} {number}")) for number in range(4)]
        done, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in pending:
            task.cancel()
        await asyncio.gather(*pending, return_exceptions=True)
        found.append(sorted(task.result() for task in done))
        await touch("next round")
    return found


async def failing(touch: Touch) -> Any:
    """Effects that fail, are caught and asked again."""

    async def stubborn(number: int) -> str:
        for _ in range(3):
            try:
                await touch(f"bad {number % 2}")
            except EffectFailedError as error:
                last = str(error)
        return last

    return await asyncio.gather(*(stubborn(number) for number in range(4)))


async def pooled(touch: Touch) -> Any:
    """Workers that take from one queue: who gets what depends on who is done first."""
    queue: asyncio.Queue[int] = asyncio.Queue()
    for number in range(9):
        queue.put_nowait(number)
    found: dict[int, list[Any]] = {0: [], 1: [], 2: []}

    async def worker(mine: int) -> None:
        while not queue.empty():
            found[mine].append(await touch(f"item {queue.get_nowait()}"))

    await asyncio.gather(*(worker(mine) for mine in found))
    return found


async def limited(touch: Touch) -> Any:
    """A semaphore lets two in at a time."""
    gate, found = asyncio.Semaphore(2), []

    async def branch(number: int) -> None:
        async with gate:
            found.append((number, await touch("same")))

    await asyncio.gather(*(branch(number) for number in range(6)))
    return found


async def nested(touch: Touch) -> Any:
    """A reaction that needs many turns of the loop, beside one that needs few: both ask the same."""

    async def deep(levels: int) -> Any:
        return (await asyncio.gather(deep(levels - 1)))[0] if levels else await touch("deep")

    async def slow_to_react() -> Any:
        return await deep(8), await touch("same")

    async def quick() -> Any:
        return await touch("quick"), await touch("same")

    return await asyncio.gather(slow_to_react(), quick(), slow_to_react(), quick())


BODIES = [gathered, equal, equal_with_keys, grouped, as_they_come, first_of, failing, pooled, limited, nested]


def effect_outcomes(recording: Recording) -> set[int]:
    """The requests that have a recorded outcome."""
    return {item.event.request for item in recording.events if isinstance(item.event, EffectSucceeded | EffectFailed)}


async def spin(done: asyncio.Event) -> None:
    """Keeps the loop busy."""
    while not done.is_set():
        await asyncio.sleep(0)


@pytest.mark.parametrize("busy", [0, 2], ids=["quiet", "busy"])
@pytest.mark.parametrize("body", BODIES, ids=lambda body: body.__name__)
async def test_driven_again_20_times_it_makes_the_same_requests(body: Body, busy: int) -> None:
    """Twenty lives over the whole record touch nothing, ask for all of it and nothing else, and return the same; also beside
    other tasks that never let the loop be quiet, as long as a reaction takes fewer turns than are waited.
    """
    done = asyncio.Event()
    noise = [asyncio.create_task(spin(done)) for _ in range(busy)]
    recording, world = Recording(), World(seed=1)
    returned, _ = await drive(body, recording, world)
    for life in range(20):
        again, untouched = Recording(recording.events), World(seed=life)
        repeated, effects = await drive(body, again, untouched)
        cancelled = body is first_of  # those have no outcome: they are in flight again, and are cancelled again
        assert repeated == returned
        assert again.new == []
        assert effects.unmade == []
        assert cancelled or untouched.touched == []
    done.set()
    await asyncio.gather(*noise)


@pytest.mark.parametrize("body", BODIES, ids=lambda body: body.__name__)
async def test_a_life_cut_off_anywhere_goes_on_where_it_was(body: Body) -> None:
    """From every prefix of the record the next life repeats no recorded outcome, makes every recorded request, and what both
    lives recorded together drives again to the same end.
    """
    whole = Recording()
    await drive(body, whole, World(seed=2))
    for cut in range(len(whole.events) + 1):
        second, world = Recording(whole.events[:cut]), World(seed=cut)
        settled = effect_outcomes(second)
        open_names = [i.event.name for i in second.events if isinstance(i.event, EffectRequested) and i.version not in settled]
        returned, effects = await drive(body, second, world)
        assert effects.unmade == []
        asked = [item.event.name for item in second.new if isinstance(item.event, EffectRequested)]
        assert sorted(world.touched) == sorted(open_names + asked)
        third, untouched = Recording(second.events), World(seed=99)
        repeated, _ = await drive(body, third, untouched)
        assert repeated == returned
        assert third.new == []


# -- any shape of concurrency


@st.composite
def programs(draw: st.DrawFn, depth: int = 3) -> Any:
    """A body as a tree: ask, in sequence, together in one of several ways, the first of several, or caught."""
    kinds = ["ask", "ask", "bad"] if depth == 0 else ["ask", "seq", "gather", "group", "race", "come"]
    kind = draw(st.sampled_from(kinds))
    if kind in ("ask", "bad"):
        return kind, draw(st.sampled_from(["x", "y", "z"]))
    return kind, draw(st.lists(programs(depth=depth - 1), min_size=1, max_size=3))


async def follow(touch: Touch, program: Any) -> Any:
    """Live through a program; the result has the shape of what happened, in the order in which it did."""
    kind, parts = program
    if kind == "ask":
        return await touch(parts)
    if kind == "bad":
        try:
            return await touch(f"bad {parts}")
        except EffectFailedError as error:
            return str(error)
    if kind == "seq":
        return [await follow(touch, part) for part in parts]
    if kind == "gather":
        return await asyncio.gather(*(follow(touch, part) for part in parts))
    if kind == "come":  # tasks, not coroutines: those `as_completed` starts in the order of their addresses
        started = [asyncio.ensure_future(follow(touch, part)) for part in parts]
        return [await coming for coming in asyncio.as_completed(started)]
    tasks = []
    if kind == "group":
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(follow(touch, part)) for part in parts]
        return [task.result() for task in tasks]
    tasks = [asyncio.ensure_future(follow(touch, part)) for part in parts]
    done, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in pending:
        task.cancel()
    await asyncio.gather(*pending, return_exceptions=True)
    return [task.result() for task in tasks if task in done]


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(programs(), st.integers(0, 2**32))
def test_any_body_cut_off_anywhere_lives_on_the_same(program: Any, seed: int) -> None:
    """For any tree of effects and any cut: no recorded outcome is repeated, every recorded request is made, and the record of
    both lives drives again to the same result.
    """

    async def body(touch: Touch) -> Any:
        return await follow(touch, program)

    async def check() -> None:
        whole = Recording()
        await drive(body, whole, World(seed, slow=0.001))
        second, world = Recording(whole.events[: random.Random(seed).randint(0, len(whole.events))]), World(seed + 1, slow=0.001)
        settled = effect_outcomes(second)
        requests = [item for item in second.events if isinstance(item.event, EffectRequested)]
        returned, effects = await drive(body, second, world)
        assert effects.unmade == []
        asked = [item.event.name for item in second.new if isinstance(item.event, EffectRequested)]
        assert sorted(world.touched) == sorted([*asked, *(item.event.name for item in requests if item.version not in settled)])
        third = Recording(second.events)
        repeated, _ = await drive(body, third, World(seed + 2, slow=0.0))
        assert repeated == returned
        assert third.new == []

    asyncio.run(check())
