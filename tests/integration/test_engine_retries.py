"""Retry rules and time limits end to end: which failures are tried again, and how long a step may take in all."""

import asyncio
from pathlib import Path

from engine import EffectFailedError, Pipeline, RetryPolicy, StepContext
from tests.driving import drive, engine_at, history, typed


def refused() -> None:
    raise ConnectionRefusedError("nobody listens")


def wrong() -> None:
    raise ValueError("no number")


async def test_only_what_the_rules_name_is_tried_again() -> None:
    """A step is tried again on a class its exception descends from, also when it was raised inside an effect, and on no other."""

    async def inside(ctx: StepContext) -> None:
        await ctx.once("ask", refused)

    rules = RetryPolicy(max_retries=2, delay=0.0, on=["OSError"])
    pipeline = (
        Pipeline("p")
        .step("named", run=refused, retry=rules)
        .step("inside", run=inside, retry=rules)
        .step("other", run=wrong, retry=rules)
        .step("never", run=refused, retry=RetryPolicy(max_retries=2, delay=0.0, never=["ConnectionError"]))
    )
    result = await drive(pipeline)
    assert {failure.step: failure.attempts for failure in result.failures} == {"named": 3, "inside": 3, "other": 1, "never": 1}


async def test_all_attempts_of_a_step_share_its_total_timeout() -> None:
    """A body that fails at once and would be tried for ever ends when the next wait passes the time for all attempts."""
    policy = RetryPolicy(max_retries=1000, backoff="fixed", delay=0.05, jitter=0.0)
    result, events = await history(Pipeline("p").step("x", run=refused, retry=policy, total_timeout=0.3))
    assert result.status == "failed"
    assert 2 <= result.failures[0].attempts <= 6
    started = [event.at for event in events if event.event.type == "step.started"]
    assert started[-1] - started[0] < 0.3


async def test_an_attempt_is_stopped_when_the_time_for_all_is_over() -> None:
    """The attempt that runs then is timed out and not tried again; an attempt's own shorter timeout is said as such."""

    async def sleeps() -> None:
        await asyncio.sleep(60)

    at_once = RetryPolicy(max_retries=9, delay=0.0)
    pipeline = Pipeline("p").step("x", run=sleeps, timeout=0.12, total_timeout=0.2, retry=at_once)
    result, events = await history(pipeline)
    messages = [event.event.failure.message for event in events if event.event.type == "step.failed"]
    assert messages == ["timed out after 0.12 s", "ran out of its 0.2 s for all attempts"]
    assert result.step_metadata["x"]["status"] == "timed_out"


async def test_the_time_for_all_attempts_goes_on_while_nobody_drives(tmp_path: Path) -> None:
    """An attempt that is resumed after the step's time is over is timed out without its body being called again."""
    lives = []

    async def sleeps() -> None:
        lives.append("begun")
        await asyncio.sleep(60)

    pipeline = Pipeline("p").step("x", run=sleeps, total_timeout=0.4)
    async with engine_at(tmp_path / "runs.db") as engine:
        run = await engine.start(pipeline)
        async for batch in engine.follow(run):
            if any(event.event.type == "step.started" for event in batch):
                break
    await asyncio.sleep(0.5)  # the time that has to be over, not a wait for something
    async with engine_at(tmp_path / "runs.db") as engine:
        await engine.resume(run, pipeline)
        result = await engine.result(run)
        assert typed(await engine.events(run), "step.started", "step.failed") == ["step.started x", "step.failed x"]
    assert result.step_metadata["x"]["status"] == "timed_out"
    assert len(lives) <= 1


async def test_a_failed_effect_says_its_classes_to_the_body() -> None:
    """A body can tell what kind of exception its effect raised, although the exception itself is not kept."""
    seen = []

    async def body(ctx: StepContext) -> None:
        try:
            await ctx.once("ask", refused)
        except EffectFailedError as error:
            seen.append(error.classes)

    await drive(Pipeline("p").step("x", run=body))
    assert seen == [("ConnectionRefusedError", "ConnectionError", "OSError", "Exception")]
