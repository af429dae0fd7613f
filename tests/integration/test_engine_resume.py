"""Going on after the driver went away: the same attempt, what was recorded not done again, what was written not written twice."""

import asyncio
import signal
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from engine import Engine, Pipeline, RetryPolicy, StepContext, run_agent
from store.state import RunStatus, StepStatus
from tests.driving import engine_at, typed, until


class World:
    """What bodies touch, and the gate at which the first life is interrupted."""

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()
        self.gate = asyncio.Event()

    def touch(self, name: str) -> str:
        """An effect."""
        self.calls[name] += 1
        return f"{name} {self.calls[name]}"

    async def wait(self) -> None:
        """Where the first life ends."""
        self.calls["waits"] += 1
        await self.gate.wait()


async def interrupted(db: Path, world: World, pipeline: Pipeline, count: int = 1) -> str:
    """A run whose driver went away while so many bodies waited at the gate."""
    async with engine_at(db) as engine:
        run = await engine.start(pipeline)
        await until(lambda: world.calls["waits"] >= count, "the gate")
    world.gate.set()
    return run


async def test_the_same_attempt_goes_on_with_what_it_was_told(tmp_path: Path) -> None:
    """No second start is recorded, recorded answers are given again, also large ones and failures, and only the rest is asked."""
    world = World()

    async def body(ctx: StepContext) -> Any:
        told = [await ctx.now(), await ctx.random(), await ctx.uuid(), await ctx.once("a", world.touch, "a")]
        big = await ctx.once("big", lambda: "x" * 9000)
        try:
            await ctx.once("bad", lambda: [][1])
        except Exception as error:
            told.append(str(error))
        told_first.append(list(told))
        await world.wait()
        return [*told, len(big), await ctx.once("b", world.touch, "b")]

    told_first: list[Any] = []
    pipeline = Pipeline("p").step("x", run=body)
    run = await interrupted(tmp_path / "runs.db", world, pipeline)
    async with engine_at(tmp_path / "runs.db") as engine:
        assert (await engine.result(run)).status == "interrupted"
        await engine.resume(run, pipeline)
        result = await engine.result(run)
        events = await engine.events(run)
    assert told_first[0] == told_first[1]
    assert result.final_output == [*told_first[0], 9000, "b 1"]
    assert (world.calls["a"], world.calls["b"]) == (1, 1)
    assert typed(events, "step.started", "run.attached") == ["run.attached", "step.started x", "run.attached"]


async def test_lines_and_artifacts_are_recorded_once(tmp_path: Path) -> None:
    """What the body printed, logged and made before the crash is not recorded again; what comes after is, equal or not."""
    world = World()

    async def body(ctx: StepContext) -> None:
        print("before")
        print("x" * 40_000)
        ctx.log("\ud800 odd")
        await ctx.artifact("a", "one")
        await ctx.now()
        await world.wait()
        print("before")
        await ctx.artifact("a", "two")

    pipeline = Pipeline("p").step("x", run=body)
    run = await interrupted(tmp_path / "runs.db", world, pipeline)
    async with engine_at(tmp_path / "runs.db") as engine:
        await engine.resume(run, pipeline)
        result = await engine.result(run)
        events = await engine.events(run)
    lines = [e.event.text for e in events if e.event.type == "log.written"]
    assert lines == ["before", "x" * 16_384, "x" * 16_384, "x" * 7_232, "\\ud800 odd", "before"]
    assert len([e for e in events if e.event.type == "artifact.made"]) == 2
    assert result.artifacts == {"a": b"two"}


async def test_a_sleep_is_not_started_over(tmp_path: Path) -> None:
    """The wait ends the asked time after it was first asked for, whoever waits then."""
    world = World()

    async def body(ctx: StepContext) -> None:
        world.calls["waits"] += 1
        await ctx.sleep(1.2)

    pipeline = Pipeline("p").step("x", run=body)
    run = await interrupted(tmp_path / "runs.db", world, pipeline)
    async with engine_at(tmp_path / "runs.db") as engine:
        await asyncio.sleep(1.0)  # time that passes while nobody drives
        began = time.monotonic()
        await engine.resume(run, pipeline)
        assert (await engine.result(run)).success
        assert time.monotonic() - began < 1.0


async def test_a_retry_that_came_due_meanwhile_starts_at_once(tmp_path: Path) -> None:
    """The due time is absolute: a run resumed after it tries again immediately."""
    calls: list[int] = []

    def flaky() -> int:
        calls.append(1)
        if len(calls) == 1:
            raise OSError("first")
        return len(calls)

    pipeline = Pipeline("p").step("x", run=flaky, retry=RetryPolicy(max_retries=1, delay=0.3, jitter=0))
    async with engine_at(tmp_path / "runs.db") as engine:
        run = await engine.start(pipeline)
        await until(lambda: waits(engine, run), "the retry's wait")
    await asyncio.sleep(0.3)  # time that passes while nobody drives
    async with engine_at(tmp_path / "runs.db") as engine:
        await engine.resume(run, pipeline)
        assert (await engine.result(run)).final_output == 2
        attached, started = (await engine.events(run))[-4:-2]
    assert (attached.event.type, started.event.type) == ("run.attached", "step.started")
    assert started.at == attached.at


async def waits(engine: Engine, run: str) -> bool:
    """Whether a step waits for its retry."""
    return bool((await engine.view(run)).counts[StepStatus.WAITING])


async def test_many_attempts_in_flight_go_on_together(tmp_path: Path) -> None:
    """Forty interrupted steps each go on over their own record, with the outputs of what they need read back from the store."""
    world = World()

    async def body(ctx: StepContext, first: str) -> Any:
        told = await ctx.once(ctx.step, world.touch, ctx.step)
        await world.wait()
        return [told, len(first)]

    pipeline = Pipeline("p").step("first", run=lambda: "y" * 5000)
    for number in range(40):
        pipeline.step(f"s{number}", run=body, depends_on="first", execution_mode="concurrent")
    async with engine_at(tmp_path / "runs.db") as engine:
        run = await engine.start(pipeline, max_concurrent_steps=40)
        await until(lambda: world.calls["waits"] >= 40, "the gate")
    world.gate.set()
    async with engine_at(tmp_path / "runs.db") as engine:
        await engine.resume(run, pipeline)
        result = await engine.result(run)
    assert all(result.output(f"s{number}") == [f"s{number} 1", 5000] for number in range(40))
    assert all(world.calls[f"s{number}"] == 1 for number in range(40))


async def test_a_body_that_no_longer_asks_is_told_in_the_log(tmp_path: Path) -> None:
    """A body that comes to its end without asking for what it had asked for completes, and the log names what was left out."""
    world, short = World(), False

    async def body(ctx: StepContext) -> str:
        await ctx.once("a", world.touch, "a")
        if short:
            return "early"
        await ctx.once("b", world.touch, "b")
        await world.wait()
        return "late"

    pipeline = Pipeline("p").step("x", run=body)
    run = await interrupted(tmp_path / "runs.db", world, pipeline)
    short = True
    async with engine_at(tmp_path / "runs.db") as engine:
        await engine.resume(run, pipeline)
        result = await engine.result(run)
        lines = [e.event.text for e in await engine.events(run) if e.event.type == "log.written"]
    assert result.final_output == "early"
    assert len(lines) == 1
    assert "did not ask for once 'b'" in lines[0]


async def test_a_run_whose_driving_never_began_can_be_resumed(tmp_path: Path) -> None:
    """Leaving the engine right after the start leaves a recorded run and no lease."""
    pipeline = Pipeline("p").step("x", run=lambda: 1)
    async with engine_at(tmp_path / "runs.db") as engine:
        run = await engine.start(pipeline)
    async with engine_at(tmp_path / "runs.db") as engine:
        assert (await engine.log.find(run)).driver is None
        await engine.resume(run, pipeline)
        assert (await engine.result(run)).success


async def test_a_run_is_found_by_prefix_and_as_the_last(tmp_path: Path) -> None:
    """`result`, `view` and `resume` take what a user would type, and wait for a run driven here all the same."""
    async with engine_at(tmp_path / "runs.db") as engine:
        run = await engine.start(Pipeline("p").step("x", run=lambda: 7))
        assert (await engine.result(run[:6])).final_output == 7
        assert (await engine.view("last")).status is RunStatus.COMPLETED


def test_an_interrupted_caller_stops_its_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C while `run_agent` drives in its own thread (inside a running loop) lets the run go: it can be resumed."""
    monkeypatch.setattr("engine.api._inside_a_loop", lambda: True)
    calls: list[str] = []
    main = threading.get_ident()

    async def body(ctx: StepContext) -> str:
        calls.append("body")
        if len(calls) == 1:
            signal.pthread_kill(main, signal.SIGINT)
            await asyncio.sleep(60)
        return "done"

    pipeline = Pipeline("p").step("x", run=body)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell starts what runs behind it with it ignored
    try:
        with pytest.raises(KeyboardInterrupt):
            run_agent(pipeline, db=tmp_path / "runs.db")
    finally:
        signal.signal(signal.SIGINT, before)

    async def go_on() -> Any:
        async with engine_at(tmp_path / "runs.db") as engine:
            run = (await engine.runs())[0]
            assert run.driver is None
            await engine.resume(run.id, pipeline)
            return (await engine.result(run.id)).final_output

    assert asyncio.run(go_on()) == "done"
