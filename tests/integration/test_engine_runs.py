"""The ways to run, and what a run's history looks like."""

import asyncio
import itertools
import threading
from pathlib import Path

import pydantic
import pytest

from engine import Engine, Pipeline, PipelineValidationError, StepContext, run_agent, run_goal, run_pipeline
from engine.errors import EngineError
from tests.driving import drive, engine_at, history, typed


class Judgement(pydantic.BaseModel):
    name: str
    tags: list[str] = []


@pytest.fixture(params=["memory", "file"])
def db(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A store in memory, and one in a file."""
    return ":memory:" if request.param == "memory" else str(tmp_path / "runs.db")


def test_run_agent_is_synchronous(tmp_path: Path) -> None:
    """It runs a pipeline, or a goal with the offline model, and returns the result."""
    assert run_agent(Pipeline("p").step("x", run=lambda: 5), db=tmp_path / "runs.db").final_output == 5
    goal = run_agent("Say something", model="offline", db=tmp_path / "runs.db")
    assert goal.simulated
    assert goal.final_output.startswith("[simulated]")


async def test_run_agent_works_inside_a_running_loop() -> None:
    """Called from a coroutine (as in a notebook) it drives in a thread of its own and the loop's other tasks are left alone."""
    result = run_agent(Pipeline("p").step("x", run=lambda: threading.current_thread().name), db=":memory:")
    assert result.success


async def test_run_agent_inside_a_loop_passes_errors_on() -> None:
    """What is refused is raised in the caller, not lost in the thread."""
    with pytest.raises(PipelineValidationError):
        run_agent(Pipeline("p"), db=":memory:")


async def test_the_async_forms() -> None:
    """`run_pipeline` and `run_goal` are awaited; an output schema gives a value of its shape."""
    assert (await run_pipeline(Pipeline("p").step("x", run=lambda: 5), db=":memory:")).final_output == 5
    result = await run_goal("Judge", model="offline", db=":memory:", output_schema=Judgement)
    assert isinstance(result.output("answer", Judgement), Judgement)


async def test_an_unknown_setting_is_named_with_a_suggestion() -> None:
    """A misspelt override says which settings there are; a wrong value says which and why."""
    with pytest.raises(EngineError, match="'modle'; did you mean 'model'"):
        await run_pipeline(Pipeline("p").step("x", run=lambda: 5), db=":memory:", modle="x")
    with pytest.raises(EngineError, match="max_concurrent_steps"):
        await run_pipeline(Pipeline("p").step("x", run=lambda: 5), db=":memory:", max_concurrent_steps=0)


async def test_a_param_that_nothing_asks_for_is_refused() -> None:
    """A misspelt param would be left unread in silence, so no run is recorded with it."""
    with pytest.raises(PipelineValidationError, match=r"'p': params\.nmae: nothing asks for it; did you mean 'name'"):
        await run_pipeline(Pipeline("p").step("x", run=lambda name="y": name), params={"nmae": "z"}, db=":memory:")


async def test_a_limit_below_one_is_refused() -> None:
    """Starting with no room for any step is said, not a run that waits for ever."""
    async with engine_at() as engine:
        with pytest.raises(EngineError, match="max_concurrent_steps is 0"):
            await engine.start(Pipeline("p").step("x", run=lambda: 5), max_concurrent_steps=0)


async def test_many_runs_in_one_engine(db: str) -> None:
    """Twenty runs started together in one engine all complete, each with its own outputs."""

    async def echo(number: int, ctx: StepContext) -> int:
        await ctx.sleep(0.001)
        return number

    async with engine_at(db) as engine:
        runs = [await engine.start(Pipeline("p").step("echo", run=echo), {"number": number}) for number in range(20)]
        results = await asyncio.gather(*(engine.result(run) for run in runs))
    assert [result.final_output for result in results] == list(range(20))


async def test_the_limit_of_concurrent_steps_is_kept() -> None:
    """With a limit of three, never more than three bodies run at once, and three do."""
    running, most = 0, 0

    async def body(ctx: StepContext) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.005)
        running -= 1

    pipeline = Pipeline("p")
    for number in range(12):
        pipeline.step(f"s{number}", run=body, execution_mode="concurrent")
    async with engine_at() as engine:
        assert (await engine.result(await engine.start(pipeline, max_concurrent_steps=3))).success
    assert most == 3


async def test_the_history_of_a_small_run_reads_as_it_happened() -> None:
    """Created, attached, then each start with the completion it follows from, and the end."""
    _, events = await history(Pipeline("p").step("a", run=lambda: 1).step("b", run=lambda: 2))
    assert typed(events) == [
        "run.created",
        "run.attached",
        "step.started a",
        "step.completed a",
        "step.started b",
        "step.completed b",
        "run.completed",
    ]
    assert [event.version for event in events] == list(range(1, 8))
    assert all(a.at <= b.at for a, b in itertools.pairwise(events))


async def test_an_engine_that_is_not_open_says_how_to_open_it() -> None:
    """Using it outside `async with` is one sentence."""
    with pytest.raises(EngineError, match="async with Engine"):
        await Engine(":memory:").runs()


async def test_a_result_tells_what_ran_how_long_and_all_data_as_one() -> None:
    """Steps in the order they started, seconds, and outputs merged: mappings deep, the rest by name; a group's children in it."""
    pipeline = (
        Pipeline("p")
        .step("first", run=lambda: {"a": {"x": 1}, "list": [1]})
        .step("second", run=lambda: {"a": {"y": 2}, "list": [2]}, depends_on="first")
        .step("each", run=lambda item: item * 2, for_each="[1, 2]", depends_on="second")
        .step("never", run=lambda: 1, condition="false")
    )
    result = await drive(pipeline)
    assert result.merged_data == {"a": {"x": 1, "y": 2}, "list": [1, 2], "each": [2, 4]}
    assert list(result.step_outputs) == ["first", "second", "each"]
    assert [name for name in result.steps_executed if "[" not in name] == ["first", "second", "each"]
    assert {"each[0]", "each[1]"} < set(result.timings)
    assert all(seconds >= 0 for seconds in result.timings.values())
