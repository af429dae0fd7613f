"""Bodies that raise, hang, time out or lie: a step that fails is an event, the run goes on around it, and nothing else breaks."""

import asyncio
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from engine import (
    CommandRefusedError,
    DependencyError,
    EffectFailedError,
    Engine,
    Pipeline,
    RetryPolicy,
    StepContext,
    StepExecutionError,
    StepTimeoutError,
)
from tests.driving import drive, engine_at, history, typed, until

AT_ONCE = RetryPolicy(max_retries=2, delay=0.0)


class Unprintable(Exception):
    """Its text raises."""

    def __str__(self) -> str:
        raise RuntimeError("no text")


def raises(error: BaseException) -> Callable[[], Any]:
    """A body that raises."""

    def body() -> Any:
        raise error

    return body


def exits() -> None:
    sys.exit(3)


def endless(n: int = 0) -> int:
    return endless(n + 1) + 1


def stops() -> None:
    raise StopIteration("odd")


ERRORS = {
    "value": (raises(ValueError("bad\nvalue")), "ValueError: bad"),
    "exit": (exits, "SystemExit: 3"),
    "interrupt": (raises(KeyboardInterrupt()), "KeyboardInterrupt"),
    "recursion": (endless, "RecursionError: maximum recursion depth exceeded"),
    "memory": (raises(MemoryError()), "MemoryError"),
    "unprintable": (raises(Unprintable()), "Unprintable: no message"),
    "surrogate": (raises(ValueError("\ud800")), r"ValueError: \ud800"),
    "group": (raises(ExceptionGroup("several", [ValueError("a")])), "ExceptionGroup: several (1 sub-exception)"),
    "stop": (stops, "StopIteration"),
    "cancelled": (raises(asyncio.CancelledError()), "CancelledError"),
    "generator_exit": (raises(GeneratorExit()), "GeneratorExit"),
    "timeout": (raises(TimeoutError("inner")), "TimeoutError: inner"),
    "long": (raises(ValueError("x" * 1_000_000)), "ValueError: xxx"),
}


@pytest.mark.parametrize("kind", ["sync", "async", "timed"])
@pytest.mark.parametrize("name", ERRORS)
async def test_whatever_a_body_raises_is_a_failed_step(name: str, kind: str) -> None:
    """Sync, async or under a timeout: the step fails with the exception's type and text, the others run, the run fails."""
    body, said = ERRORS[name]

    async def async_body() -> Any:
        return body()

    pipeline = (
        Pipeline("p")
        .step("x", run=body if kind == "sync" else async_body, max_retries=0, timeout=30 if kind == "timed" else None)
        .step("after", run=lambda: 1, depends_on="x")
        .step("beside", run=lambda: 2)
    )
    result = await drive(pipeline)
    assert result.status == "failed"
    assert result.failures[0].kind == "error"
    assert said in result.failures[0].message
    assert result.step_outputs == {"beside": 2}
    assert result.step_metadata["after"]["status"] == "skipped"


async def test_the_traceback_is_kept_with_the_failure() -> None:
    """The event's detail is the traceback's text, with the user's own line in it."""
    async with engine_at() as engine:
        run = await engine.start(Pipeline("p").step("x", run=raises(ValueError("here")), max_retries=0))
        await engine.wait(run)
        failed = next(event for event in await engine.events(run) if event.event.type == "step.failed")
        assert "ValueError: here" in await engine.log.value(failed.event.failure.detail)


async def test_a_flaky_step_is_tried_again_and_its_tries_are_history() -> None:
    """Two failures, then success: three attempts, each with its own start, the waits in the log, and one output."""
    calls = []

    def flaky(ctx: StepContext) -> int:
        calls.append(ctx.attempt)
        if len(calls) < 3:
            raise OSError(f"try {len(calls)}")
        return len(calls)

    result, events = await history(Pipeline("p").step("x", run=flaky, retry=AT_ONCE))
    assert result.final_output == 3
    assert calls == [1, 2, 3]
    cycle = ["step.started x", "step.failed x", "step.retry_scheduled x"]
    assert typed(events)[2:] == [*cycle, *cycle, "step.started x", "step.completed x", "run.completed"]


async def test_backoff_is_waited_out() -> None:
    """The second attempt does not start before its recorded due time, and that lies the policy's delay after the failure."""
    retry = RetryPolicy(max_retries=1, delay=0.15, jitter=0.0)
    _, events = await history(Pipeline("p").step("x", run=raises(ValueError("x")), retry=retry))
    failed = next(e for e in events if e.event.type == "step.failed")
    scheduled = next(e for e in events if e.event.type == "step.retry_scheduled")
    started = [e for e in events if e.event.type == "step.started"]
    assert scheduled.event.due == pytest.approx(failed.at + 0.15)
    assert started[1].at >= scheduled.event.due


async def test_a_due_retry_at_the_limit_costs_no_cpu() -> None:
    """While a step waits for room to be tried again the driver sleeps; it does not spin on a timer that lies in the past."""
    gate = asyncio.Event()

    async def holds() -> None:
        await gate.wait()

    async def held(engine: Engine, run: str) -> bool:
        return (await engine.view(run)).steps["holds"].status.word == "running"

    pipeline = (
        Pipeline("p")
        .step("x", run=raises(ValueError("x")), retry=RetryPolicy(max_retries=1, delay=0.0), execution_mode="concurrent")
        .step("holds", run=holds, execution_mode="concurrent")
    )
    async with engine_at() as engine:
        run = await engine.start(pipeline, max_concurrent_steps=1)
        await until(lambda: held(engine, run), "the second step's start")
        began = time.process_time()
        await asyncio.sleep(0.3)  # the interval that is measured, not a wait for something
        assert time.process_time() - began < 0.15
        gate.set()
        await engine.wait(run)


async def test_a_step_out_of_time_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    """An async body is cancelled, a sync one left behind, one that swallows its cancellation too; each is `timed_out` in time."""
    monkeypatch.setattr("engine.within.LEAVE_SECONDS", 0.05)
    cancelled, release = [], threading.Event()

    async def sleeps() -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            cancelled.append("sleeps")
            raise

    async def stubborn() -> None:
        while not release.is_set():
            try:
                await asyncio.sleep(0.02)
            except asyncio.CancelledError:
                cancelled.append("stubborn")

    def blocks() -> None:
        release.wait(30)

    pipeline = Pipeline("p")
    for body in (sleeps, stubborn, blocks):
        pipeline.step(body.__name__, run=body, timeout=0.1, max_retries=0, execution_mode="concurrent")
    pipeline.step("after", run=lambda: 1, depends_on="blocks").step("beside", run=lambda: 2)
    began = time.monotonic()
    result = await drive(pipeline)
    assert time.monotonic() - began < 5
    release.set()
    assert {name: held["status"] for name, held in result.step_metadata.items()} == {
        "sleeps": "timed_out",
        "stubborn": "timed_out",
        "blocks": "timed_out",
        "after": "skipped",
        "beside": "completed",
    }
    assert set(cancelled) == {"sleeps", "stubborn"}
    assert result.failures[0].message == "timed out after 0.1 s"
    with pytest.raises(StepTimeoutError, match="timed out after"):
        result.output("sleeps")
    with pytest.raises(DependencyError, match="needs blocks, which timed out"):
        result.output("after")
    await asyncio.sleep(0.03)


async def test_a_timeout_of_the_bodys_own_is_not_the_steps() -> None:
    """A `TimeoutError` from inside (a socket, an inner `asyncio.timeout`) is an error like any other."""

    async def inner() -> None:
        async with asyncio.timeout(0.01):
            await asyncio.sleep(60)

    result = await drive(Pipeline("p").step("x", run=inner, timeout=30, max_retries=0))
    assert (result.failures[0].kind, result.step_metadata["x"]["status"]) == ("error", "failed")


async def test_a_timed_out_attempt_is_tried_again() -> None:
    """A timeout is retried like a failure; what the attempt left behind does in its thread no longer counts."""
    release, told = threading.Event(), []

    def slow(ctx: Any) -> str:
        if ctx.attempt == 1:
            release.wait(30)
            try:
                ctx.once("late", told.append, "late")
            except Exception as error:
                told.append(type(error).__name__)
            ctx.log("late")
            print("late")
        return f"attempt {ctx.attempt}"

    async with engine_at() as engine:
        run = await engine.start(Pipeline("p").step("x", run=slow, timeout=0.1, retry=AT_ONCE).step("y", run=lambda: release.set()))
        result = await engine.result(run)
        await until(lambda: told, "the late effect's refusal")
        events = await engine.events(run)
    assert result.output("x") == "attempt 2"
    assert told == ["AttemptClosedError"]
    assert not any(e.event.type in ("log.written", "effect.requested") for e in events)


async def test_an_irreversible_effect_in_flight_forbids_another_try() -> None:
    """An attempt that ends with an irreversible effect of unknown outcome, in time or by error, is not tried again and says so."""
    paid: list[int] = []

    async def pay() -> None:
        paid.append(1)
        await asyncio.sleep(60)

    async def late(ctx: StepContext) -> None:
        await ctx.once("pay", pay, safety="irreversible")

    async def broken(ctx: StepContext) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(ctx.once("pay", pay, safety="irreversible"))
            await asyncio.sleep(0.05)
            raise ValueError("elsewhere")

    for body, kind in ((late, "timed_out"), (broken, "failed")):
        paid.clear()
        result = await drive(Pipeline("p").step("x", run=body, timeout=0.3, retry=AT_ONCE))
        assert paid == [1]
        assert result.step_metadata["x"]["status"] == kind
        assert "'pay' has no known outcome, so it is not tried again" in result.failures[0].message


async def test_an_irreversible_body_runs_once_unless_told_otherwise() -> None:
    """Its failure is not tried again by default; with retries asked for it is; out of time it never is."""
    for options, calls in (({}, 1), ({"retry": AT_ONCE}, 3)):
        called: list[int] = []

        def body(called: Any = called) -> None:
            called.append(1)
            raise OSError("declined")

        result = await drive(Pipeline("p").step("pay", run=body, irreversible=True, **options))
        assert len(called) == calls
        assert "declined" in result.failures[0].message

    async def hangs() -> None:
        await asyncio.sleep(60)

    timed = await drive(Pipeline("p").step("pay", run=hangs, irreversible=True, timeout=0.1, retry=AT_ONCE))
    assert timed.failures[0].attempts == 1


async def test_effects_that_fail_are_caught_and_tried_inside_the_attempt() -> None:
    """A body may catch a failed effect and ask again: that is a new request of the same attempt."""
    calls, told = [], []

    def unsure() -> int:
        calls.append(1)
        if len(calls) < 3:
            raise OSError("busy")
        return 42

    async def patient(ctx: StepContext) -> Any:
        for _ in range(3):
            try:
                return await ctx.once("unsure", unsure)
            except EffectFailedError as error:
                told.append(str(error))
        return None

    result, events = await history(Pipeline("p").step("x", run=patient))
    assert result.final_output == 42
    assert told == ["OSError: busy"] * 2
    effects = [e for e in typed(events) if e.startswith("effect")]
    assert effects == ["effect.requested x", "effect.failed x"] * 2 + ["effect.requested x", "effect.succeeded x"]


async def test_a_body_that_cancels_itself_fails() -> None:
    """Cancelling its own task is a failure of the step, never a run that hangs or a driver that leaves."""

    async def suicidal() -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        await asyncio.sleep(60)

    for timeout in (None, 30):
        result = await drive(Pipeline("p").step("x", run=suicidal, max_retries=0, timeout=timeout))
        assert result.status == "failed"
        assert "cancelled itself" in result.failures[0].message


async def test_a_hanging_sync_body_blocks_no_other() -> None:
    """While thirty plain functions hang in threads, others run and finish: no pool is exhausted."""
    release = threading.Event()

    def hangs() -> None:
        release.wait(30)

    async with engine_at() as engine:
        pipeline = Pipeline("p")
        for number in range(30):
            pipeline.step(f"hangs{number}", run=hangs, execution_mode="concurrent")
        stuck = await engine.start(pipeline, max_concurrent_steps=30)
        other = await engine.start(Pipeline("q").step("x", run=lambda: 1))
        async with asyncio.timeout(10):
            assert (await engine.result(other)).final_output == 1
        release.set()
        assert (await engine.result(stuck)).success


async def test_skips_spread_but_not_to_others() -> None:
    """What needs a failed step is skipped with the reason, and so on down; a step with only good needs still runs."""
    pipeline = (
        Pipeline("p")
        .step("bad", run=raises(ValueError("x")), max_retries=0)
        .step("good", run=lambda: 1)
        .step("both", run=lambda: 1, depends_on=["bad", "good"])
        .step("below", run=lambda: 1, depends_on="both")
        .step("fine", run=lambda: 2, depends_on="good")
    )
    result = await drive(pipeline)
    assert result.failed_steps == ["bad"]
    assert result.step_metadata["both"]["reason"] == "needs bad, which failed"
    assert result.step_metadata["below"]["reason"] == "needs both, which was skipped"
    assert result.output("fine") == 2
    with pytest.raises(StepExecutionError, match="has no output: it failed"):
        result.output("bad")
    with pytest.raises(StepExecutionError, match="There is no step 'nowhere'"):
        result.output("nowhere")


async def test_an_output_that_does_not_fit_its_schema_fails_with_the_place() -> None:
    """A function step with an output schema returns what fits, or fails once, saying where it does not."""
    schema = {"type": "object", "properties": {"score": {"type": "number"}}, "required": ["score"]}
    fits = await drive(Pipeline("p").step("x", run=lambda: {"score": 1}, output_schema=schema))
    assert fits.success
    wrong = await drive(Pipeline("p").step("x", run=lambda: {"score": "high"}, output_schema=schema))
    assert wrong.failures[0].kind == "output"
    assert wrong.failures[0].attempts == 1
    assert "score" in wrong.failures[0].message


async def test_prints_of_threads_left_behind_go_where_they_always_went(capsys: pytest.CaptureFixture[str]) -> None:
    """Printing outside any step is not caught."""
    await drive(Pipeline("p").step("x", run=lambda: print("inside")))
    print("outside")
    assert "outside" in capsys.readouterr().out


async def test_a_parameter_that_nothing_can_be_given_for_fails_at_once() -> None:
    """What needs the output of a step that was skipped says so, once; with a default it runs."""

    def needs(left: int) -> int:
        return left

    def may(left: int = 7) -> int:
        return left

    pipeline = Pipeline("p").step("left", run=lambda: 1, enabled=False)
    pipeline.step("needs", run=needs, depends_on="left").step("may", run=may, depends_on="left")
    async with engine_at() as engine:
        result = await engine.result(await engine.start(pipeline))
    said = "there is nothing to give its parameter 'left': left came to no output; give it a default"
    assert [(held.step, held.kind, held.message) for held in result.failures] == [("needs", "input", said)]
    assert (result.step_metadata["needs"]["attempts"], result.output("may")) == (1, 7)


async def test_outputs_that_cannot_be_merged_are_merged_once() -> None:
    """They would be the same another time."""
    pipeline = Pipeline("p").step("one", run=lambda: 1).step("two", run=lambda: {"a": 1})
    pipeline.step("both", execution_mode="parallel_merge", merge="deep", depends_on=["one", "two"])
    async with engine_at() as engine:
        result = await engine.result(await engine.start(pipeline))
    assert result.step_metadata["both"]["attempts"] == 1


async def test_a_step_whose_fallback_did_its_work_is_not_tried_again(tmp_path: Any) -> None:
    """What depends on it was given the fallback's output; where the fallback failed too it is tried, and that decides the run."""
    broken = {"pay", "ship", "ship_later", "other"}

    def made(name: str) -> Callable[[], str]:
        def body() -> str:
            if name in broken:
                raise OSError(name)
            return name

        return body

    pipeline = Pipeline("p")
    for name, fallback in (
        ("pay", "pay_later"),
        ("pay_later", None),
        ("ship", "ship_later"),
        ("ship_later", None),
        ("other", None),
    ):
        pipeline.step(name, run=made(name), fallback=fallback, max_retries=0)
    async with engine_at(tmp_path / "runs.db") as engine:
        run = await engine.start(pipeline)
        assert (await engine.result(run)).status == "failed"
        with pytest.raises(CommandRefusedError, match="pay_later stood in for pay, and what depends on it was given that"):
            await engine.retry(run, "pay", pipeline)
        broken.clear()
        await engine.retry(run, "other", pipeline)
        assert (await engine.result(run)).status == "failed"
        await engine.retry(run, "ship", pipeline)
        result = await engine.result(run)
    assert (result.status, result.output("ship")) == ("completed", "ship")
