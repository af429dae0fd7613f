"""A run goes on under the pipeline it was recorded with, or under another only when told so; nothing is skipped silently."""

import asyncio
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pydantic
import pytest

from engine import DefinitionChangedError, Engine, EngineError, Pipeline, PipelineValidationError, StepContext, TargetError
from store.state import StepStatus
from tests.driving import Scripted, drive, engine_at, typed, until


class Calls:
    """Functions that count themselves; `b` waits for its gate in the first life."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.gate = asyncio.Event()

    def a(self) -> str:
        self.counts["a"] += 1
        return "A"

    async def b(self, a: str) -> str:
        self.counts["b"] += 1
        await self.gate.wait()
        return f"{a}B"

    def c(self, b: str) -> str:
        self.counts["c"] += 1
        return f"{b}C"

    def other(self) -> str:
        self.counts["other"] += 1
        return "O"

    def pipeline(self) -> Pipeline:
        """a, then b, then c."""
        return Pipeline("p").step("a", run=self.a).step("b", run=self.b, depends_on="a").step("c", run=self.c, depends_on="b")


async def interrupted(db: Path, calls: Calls, pipeline: Pipeline | None = None, **options: Any) -> str:
    """A run whose driver went away while `b` ran: a is completed, b in flight, c pending."""
    async with engine_at(db) as engine:
        run = await engine.start(pipeline or calls.pipeline(), **options)
        await until(lambda: calls.counts["b"], "b")
    calls.gate.set()
    return run


def renamed(calls: Calls) -> Pipeline:
    return (
        Pipeline("p").step("a", run=calls.a).step("b2", run=calls.b, depends_on="a").step("c", run=lambda b2: b2, depends_on="b2")
    )


def removed(calls: Calls) -> Pipeline:
    return Pipeline("p").step("a", run=calls.a).step("c", run=calls.other, depends_on="a")


def added(calls: Calls) -> Pipeline:
    return calls.pipeline().step("d", run=calls.other)


def reordered(calls: Calls) -> Pipeline:
    return Pipeline("p").step("c", run=calls.c, depends_on="b").step("b", run=calls.b, depends_on="a").step("a", run=calls.a)


def retyped(calls: Calls) -> Pipeline:
    return Pipeline("p").step("a", run=calls.a).step("b", "Say B", depends_on="a").step("c", run=calls.c, depends_on="b")


def rewired(calls: Calls) -> Pipeline:
    return Pipeline("p").step("a", run=calls.a).step("b", run=calls.b, depends_on="a").step("c", run=calls.other, depends_on="a")


def another_name(calls: Calls) -> Pipeline:
    pipeline = calls.pipeline()
    pipeline.name = "q"
    return pipeline


CHANGES: list[tuple[Callable[[Calls], Pipeline], list[str]]] = [
    (renamed, ["step 'b2' was added", "step 'b' was removed", "step 'c' has another run and depends_on"]),
    (removed, ["step 'b' was removed", "step 'c' has another run and depends_on"]),
    (added, ["step 'd' was added"]),
    (reordered, ["the steps stand in another order"]),
    (retyped, ["step 'b' has another goal and run"]),
    (rewired, ["step 'c' has another run and depends_on"]),
    (another_name, ["the pipeline has another name"]),
]


@pytest.mark.parametrize(("change", "said"), CHANGES, ids=lambda value: getattr(value, "__name__", ""))
async def test_a_changed_pipeline_stops_the_resume_and_says_what_changed(
    tmp_path: Path, change: Callable[[Calls], Pipeline], said: list[str]
) -> None:
    """Renamed, removed, added, reordered, retyped, rewired: the error lists each change, names both ways on, and nothing ran or was
    recorded; the run can still be resumed as it was.
    """
    calls = Calls()
    run = await interrupted(tmp_path / "runs.db", calls, model="offline")
    async with engine_at(tmp_path / "runs.db") as engine:
        head = await engine.log.head((await engine.log.find(run)).id)
        with pytest.raises(DefinitionChangedError, match=r"--definition recorded.*--definition migrate") as refused:
            await engine.resume(run, change(calls))
        assert refused.value.changes == said
        assert calls.counts == {"a": 1, "b": 1}
        assert await engine.log.head((await engine.log.find(run)).id) == head
        await engine.resume(run, calls.pipeline())
        assert (await engine.result(run)).final_output == "ABC"


async def test_a_changed_goal_is_a_change(tmp_path: Path) -> None:
    """The words of a goal are part of what was recorded."""
    gate = asyncio.Event()

    def made(goal: str) -> Pipeline:
        return Pipeline("p").step("w", run=gate.wait).step("g", goal, depends_on="w")

    async with engine_at(tmp_path / "runs.db") as engine:
        run = await engine.start(made("Judge"), model="offline")
    async with engine_at(tmp_path / "runs.db") as engine:
        with pytest.raises(DefinitionChangedError, match="step 'g' has another goal"):
            await engine.resume(run, made("Judge well"))


async def test_a_changed_output_type_is_a_change(tmp_path: Path) -> None:
    """So is the schema of an output, as far as its JSON Schema tells."""

    class One(pydantic.BaseModel):
        score: float

    class Two(pydantic.BaseModel):
        score: float
        why: str

    gate = asyncio.Event()

    def made(schema: Any) -> Pipeline:
        return Pipeline("p").step("w", run=gate.wait).step("g", "Judge", depends_on="w", output_schema=schema)

    async with engine_at(tmp_path / "runs.db") as engine:
        run = await engine.start(made(One), model="offline")
    gate.set()
    async with engine_at(tmp_path / "runs.db") as engine:
        with pytest.raises(DefinitionChangedError, match="another output_schema"):
            await engine.resume(run, made(Two))
        await engine.resume(run, made(Two), on_change="recorded")
        assert set((await engine.result(run)).output("g")) == {"score"}


def needs_more(calls: Calls) -> Pipeline:
    return Pipeline("p").step("a", run=calls.a).step("b", run=calls.b, depends_on="a").step("c", run=calls.c, depends_on=["b", "a"])


@pytest.mark.parametrize("change", [added, reordered, needs_more, another_name], ids=lambda change: change.__name__)
async def test_going_on_with_the_recorded_one(tmp_path: Path, change: Callable[[Calls], Pipeline]) -> None:
    """The recorded steps, order and dependencies decide; the pipeline only gives the functions; what completed is not repeated."""
    calls = Calls()
    run = await interrupted(tmp_path / "runs.db", calls)
    changed = change(calls)
    async with engine_at(tmp_path / "runs.db") as engine:
        await engine.resume(run, changed, on_change="recorded")
        result = await engine.result(run)
        assert result.success
        assert result.final_output == "ABC"
        assert list(result.step_outputs) == ["a", "b", "c"]
    assert calls.counts == {"a": 1, "b": 2, "c": 1}


async def test_the_recorded_one_needs_its_functions(tmp_path: Path) -> None:
    """A step whose function is gone cannot be gone on with as recorded; the error names it and the other way."""
    calls = Calls()
    run = await interrupted(tmp_path / "runs.db", calls)
    async with engine_at(tmp_path / "runs.db") as engine:
        with pytest.raises(DefinitionChangedError, match=r"functions of b are gone from the pipeline.*--definition migrate"):
            await engine.resume(run, removed(calls), on_change="recorded")


def summed(outputs: list[str]) -> str:
    return "".join(outputs)


def undone(output: str) -> None:
    raise AssertionError(output)


@pytest.mark.parametrize(
    ("kept", "gone"), [({"merge": summed}, {"merge": "list"}), ({"merge": "list", "compensate": undone}, {"merge": "list"})]
)
async def test_the_recorded_one_needs_what_merges_and_undoes_too(tmp_path: Path, kept: Any, gone: Any) -> None:
    """A step whose reducer or compensation is gone cannot be gone on with as recorded either, before anything runs."""
    calls = Calls()
    merging = {"execution_mode": "parallel_merge", "depends_on": ["a", "b"]}
    run = await interrupted(tmp_path / "runs.db", calls, calls.pipeline().step("m", **merging, **kept))
    async with engine_at(tmp_path / "runs.db") as engine:
        with pytest.raises(DefinitionChangedError, match=r"functions of m are gone from the pipeline"):
            await engine.resume(run, calls.pipeline().step("m", **merging, **gone), on_change="recorded")
        await engine.resume(run, calls.pipeline().step("m", **merging, **kept))
        assert (await engine.result(run)).success


async def test_a_reducer_that_only_python_has_is_named_when_the_run_is_resumed_without_it(tmp_path: Path) -> None:
    """A run of goals and a reducer, started from Python, says which step's function is missing and how to go on."""
    pipeline = Pipeline("p").step("one", "Say 1", approval=True).step("two", "Say 2")
    pipeline.step("m", execution_mode="parallel_merge", merge=summed, depends_on=["one", "two"])
    async with engine_at(tmp_path / "runs.db") as engine:
        run = await engine.start(pipeline, model="offline")
        assert await engine.wait(run) == "waiting"
        with pytest.raises(TargetError, match=r"so its functions \(m\) can be found only there"):
            await engine.resume(run)


async def test_a_recorded_goal_stays_a_goal(tmp_path: Path) -> None:
    """A goal step that is a function in the changed pipeline is asked of the model, as recorded; the function is not called."""
    calls = Calls()
    pipeline = calls.pipeline().step("g", "Say G", depends_on="b")
    run = await interrupted(tmp_path / "runs.db", calls, pipeline, model="offline")
    async with engine_at(tmp_path / "runs.db") as engine:
        await engine.resume(run, calls.pipeline().step("g", run=calls.other, depends_on="b"), on_change="recorded")
        assert (await engine.result(run)).output("g").startswith("[simulated]")
    assert calls.counts["other"] == 0


async def test_migrating_runs_changed_steps_and_what_depends_on_them_again(tmp_path: Path) -> None:
    """Under the new definition: changed and added steps run, their dependants too, removed ones are gone, unchanged ones stand."""
    calls = Calls()
    run = await interrupted(tmp_path / "runs.db", calls)
    changed = (
        Pipeline("p")
        .step("a", run=calls.a)
        .step("b", run=calls.b, depends_on="a", timeout=60)
        .step("c", run=calls.c, depends_on="b")
        .step("d", run=calls.other)
    )
    async with engine_at(tmp_path / "runs.db") as engine:
        await engine.resume(run, changed, on_change="migrate")
        result = await engine.result(run)
        assert result.step_outputs == {"a": "A", "b": "AB", "c": "ABC", "d": "O"}
        events = await engine.events(run)
        assert typed(events, "run.migrated", "step.reset") == ["run.migrated", "step.reset b"]
        assert result.step_metadata["b"]["attempts"] == 2
    assert calls.counts == {"a": 1, "b": 2, "c": 1, "other": 1}


async def test_migrating_away_from_a_removed_step(tmp_path: Path) -> None:
    """A run whose running step was removed goes on without it."""
    calls = Calls()
    run = await interrupted(tmp_path / "runs.db", calls)
    async with engine_at(tmp_path / "runs.db") as engine:
        await engine.resume(run, removed(calls), on_change="migrate")
        result = await engine.result(run)
        assert result.step_outputs == {"a": "A", "c": "O"}
        state = await engine.view(run)
        assert list(state.steps) == ["a", "c"]
        assert state.counts[StepStatus.COMPLETED] == 2
        assert not state.counts[StepStatus.RUNNING]


async def test_a_migrated_run_resumes_under_its_new_definition(tmp_path: Path) -> None:
    """After a migration the new definition is the recorded one: resumed with it there is no change, with the old one there is."""
    calls = Calls()
    run = await interrupted(tmp_path / "runs.db", calls)
    calls.gate.clear()
    calls.counts.clear()
    async with engine_at(tmp_path / "runs.db") as engine:
        await engine.resume(run, added(calls), on_change="migrate")
        await until(lambda: calls.counts["b"], "b")
    calls.gate.set()
    async with engine_at(tmp_path / "runs.db") as engine:
        with pytest.raises(DefinitionChangedError, match="step 'd' was removed"):
            await engine.resume(run, calls.pipeline())
        await engine.resume(run, added(calls))
        assert (await engine.result(run)).step_outputs == {"a": "A", "b": "AB", "c": "ABC", "d": "O"}


async def test_a_migration_forgets_no_effect_of_unknown_outcome(tmp_path: Path) -> None:
    """A changed step with an irreversible effect in flight is not reset until somebody says what became of it."""
    paid: list[str] = []
    gate = asyncio.Event()

    async def pay() -> str:
        paid.append("x")
        await gate.wait()
        return "receipt"

    async def pays(ctx: StepContext) -> Any:
        return await ctx.once("pay", pay, safety="irreversible")

    def made(timeout: float) -> Pipeline:
        return Pipeline("p").step("pays", run=pays, timeout=timeout)

    async with engine_at(tmp_path / "runs.db") as engine:
        run = await engine.start(made(60))
        await until(lambda: paid, "the payment")
    gate.set()
    async with engine_at(tmp_path / "runs.db") as engine:
        with pytest.raises(EngineError, match="pays has an irreversible effect of unknown outcome"):
            await engine.resume(run, made(90), on_change="migrate")
        await engine.resume(run, made(60))
        assert await engine.wait(run) == "waiting"
        await engine.resume(run, made(90), on_change="migrate", resolve={"pays": {"outcome": "failed"}})
        assert (await engine.result(run)).final_output == "receipt"
    assert paid == ["x", "x"]


async def test_a_changed_function_text_goes_on_with_a_line_in_the_log(tmp_path: Path) -> None:
    """Another text of the same function is no other pipeline: the run goes on and its log says whose code changed."""
    module = tmp_path / "changing.py"
    text = (
        "from engine import Pipeline\nimport pathlib, time\n\n"
        "def x(folder):\n    return {}\n\n"
        "made = Pipeline('p').step('x', run=x)\n"
    )
    waiting = "[(pathlib.Path(folder) / 'runs').touch(), time.sleep(30)]"
    module.write_text(text.format(waiting))
    from engine.driver import spawn_start

    spawned = await spawn_start(tmp_path / "runs.db", "changing:made", params={"folder": str(tmp_path)}, cwd=tmp_path)
    await until(lambda: (tmp_path / "runs").exists(), "the step")
    await kill(spawned.pid)
    module.write_text(text.format("'new'"))
    from engine.driver import spawn_resume

    again = await spawn_resume(tmp_path / "runs.db", spawned.run_id)
    async with engine_at(tmp_path / "runs.db") as engine:
        await until(lambda: ended(engine, spawned.run_id), "the end")
        assert (await engine.result(spawned.run_id)).final_output == "new"
        lines = [e.event.text for e in await engine.events(spawned.run_id) if e.event.type == "log.written"]
    assert lines == ["the code of x changed since the run began; what they completed is kept"]
    assert again.pid != spawned.pid


async def ended(engine: Engine, run: str) -> bool:
    """Whether the run has ended and its driver let go."""
    return (await engine.view(run)).status.ended and (await engine.log.find(run)).driver is None


async def kill(pid: int) -> None:
    """End a driver by SIGKILL."""
    import os
    import signal

    import psutil

    os.kill(pid, signal.SIGKILL)
    await until(lambda: not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE, "its death")


async def test_a_run_started_from_python_says_where_its_functions_are_missed(tmp_path: Path) -> None:
    """Without the pipeline or a target such a run cannot be resumed; with only goals it needs neither."""
    calls = Calls()
    run = await interrupted(tmp_path / "runs.db", calls)
    async with engine_at(tmp_path / "runs.db") as engine:
        with pytest.raises(EngineError, match=r"its functions \(a, b, c\) can be found only there; .*--target module:name"):
            await engine.resume(run)


async def test_a_run_of_goals_alone_needs_no_pipeline(tmp_path: Path) -> None:
    """What it asks is recorded whole."""
    pipeline = Pipeline("p").step("g", "Say")

    class Hangs(Scripted):
        async def complete(self, request: Any) -> Any:
            self.asked.append(request)
            await asyncio.sleep(60)

    async with engine_at(tmp_path / "runs.db", model="scripted") as engine:
        hanging = engine._models["scripted"] = Hangs()
        run = await engine.start(pipeline)
        await until(lambda: hanging.asked, "the question")
    async with engine_at(tmp_path / "runs.db") as engine:
        engine._models["scripted"] = Scripted("fine")
        await engine.resume(run)
        assert (await engine.result(run)).final_output == "fine"


async def test_the_pipeline_of_a_run_is_the_copy_it_was_started_with() -> None:
    """Changing a pipeline after the start changes no run."""
    gate = asyncio.Event()
    pipeline = Pipeline("p", params={"n": 1}).step("w", run=gate.wait).step("n", run=lambda n: n, depends_on="w")
    async with engine_at() as engine:
        run = await engine.start(pipeline)
        pipeline.params["n"] = 2
        pipeline.steps[1].run = lambda n: -n
        pipeline.step("more", run=lambda: 3)
        gate.set()
        assert (await engine.result(run)).step_outputs == {"w": True, "n": 1}
    assert (await drive(pipeline)).output("n") == -2


async def test_a_pipeline_that_became_invalid_is_refused_with_its_problems(tmp_path: Path) -> None:
    """Resuming with a pipeline that cannot work says what is wrong with it."""
    calls = Calls()
    run = await interrupted(tmp_path / "runs.db", calls)
    async with engine_at(tmp_path / "runs.db") as engine:
        with pytest.raises(PipelineValidationError, match="there is no step 'zzz'"):
            await engine.resume(run, calls.pipeline().step("d", run=calls.other, depends_on="zzz"))
