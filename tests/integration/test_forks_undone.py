"""Edit then undo, over random graphs: a fork of a fork with what held before comes to what the first run came to."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from engine import Pipeline, StepContext
from tests.driving import engine_at
from tests.integration.test_forks import CALLS, finished, outputs, touch


async def adds(ctx: StepContext) -> Any:
    """What it depends on, and one touch of the world that knows its arguments."""
    total = sum(ctx.inputs.values())
    return total + len(str(await touch(ctx, f"{ctx.step} of {total}")))


def drawn(random: Random) -> Pipeline:
    """Three to eight steps, each behind some of those before it."""
    pipeline = Pipeline("drawn")
    names = [f"s{number}" for number in range(random.randint(3, 8))]
    for number, name in enumerate(names):
        needs = random.sample(names[:number], random.randint(0, min(number, 3)))
        pipeline.step(name, run=adds, depends_on=needs, execution_mode=random.choice(["serial", "concurrent"]))
    return pipeline


@pytest.mark.parametrize("seed", range(25))
async def test_an_edit_undone_equals_the_original(seed: int) -> None:
    """At any event of a fork with an edited output the old one is put back: the same outputs, and nothing is touched again."""
    random = Random(seed)
    pipeline = drawn(random)
    async with engine_at() as engine:
        run = await finished(engine, pipeline)
        expected = await outputs(engine, run)
        step = random.choice(list(expected))
        fork = await engine.fork(run, None, {f"{step}.output": expected[step] + 100}, pipeline=pipeline)
        changed = await outputs(engine, fork)
        assert changed[step] == expected[step] + 100
        CALLS.clear()
        at = random.randint(1, await engine.log.head(fork))
        undone = await engine.fork(fork, at, {f"{step}.output": expected[step]}, pipeline=pipeline)
        assert await outputs(engine, undone) == expected
        assert not CALLS
        assert (await engine.verify(undone, pipeline)).divergence is None


@pytest.mark.parametrize("seed", range(60))
async def test_a_fork_of_an_edited_fork_is_what_held_at_its_event(seed: int) -> None:
    """Before the edit the first run, from it on the fork; through three forks one of another, and nothing is touched again."""
    random = Random(1_000 + seed)
    pipeline = drawn(random)
    async with engine_at() as engine:
        lived = {await finished(engine, pipeline): 0}  # each fork of the line, and the event it was made at
        results = [await outputs(engine, next(iter(lived)))]
        for _ in range(random.randint(1, 3)):
            parent = list(lived)[-1]
            at = random.randint(max(2, lived[parent]), await engine.log.head(parent))
            step = random.choice(list(results[0]))
            fork = await engine.fork(parent, at, {f"{step}.output": results[-1][step] + 1}, pipeline=pipeline)
            results.append(await outputs(engine, fork))
            lived[str(fork)] = (await engine.log.segments(fork))[-1].first
        CALLS.clear()
        last = list(lived)[-1]
        for at in random.sample(range(1, await engine.log.head(last) + 1), 4):
            held = sum(made <= at for made in lived.values()) - 1
            again = await engine.fork(last, at, pipeline=pipeline)
            assert await outputs(engine, again) == results[held], (at, held)
            assert (await engine.verify(again, pipeline)).divergence is None
        assert not CALLS
