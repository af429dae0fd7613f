"""Pipelines inside pipelines: child runs, what they give and cost their callers, and how they share their callers' fate."""

import asyncio
import sys
from pathlib import Path
from typing import Any

import pytest

from engine import (
    DefinitionChangedError,
    EffectFailedError,
    Engine,
    Param,
    Pipeline,
    PipelineValidationError,
    RetryPolicy,
    StepContext,
    TargetError,
    targets,
)
from engine.control import signal
from engine.definition import Budget
from store.bundle import export_runs
from store.errors import RunAmbiguousError
from store.events import RunId
from store.state import RunStatus, StepStatus
from store.unbundling import import_bundle
from tests.crashing import ROOT
from tests.driving import Scripted, drive, engine_at, history, typed, until

ONCE = RetryPolicy(max_retries=0)


def raised(n: int) -> int:
    """One more."""
    return n + 1


def tenfold(raised: int) -> int:
    """Ten times that."""
    return raised * 10


def keeps() -> None:
    """Does nothing."""


def inner() -> Pipeline:
    """Two steps, a param with a default."""
    return Pipeline("inner", params={"n": 1}).step("raised", run=raised).step("tenfold", run=tenfold, depends_on=["raised"])


async def asks(ctx: StepContext) -> Any:
    return await ctx.child(inner(), {"n": 5})


def asks_plainly(ctx: Any) -> Any:
    return ctx.child(inner())


async def test_a_step_and_bodies_of_both_kinds_run_other_pipelines() -> None:
    """`pipeline=` with `params=`, `await ctx.child` and a plain `ctx.child` give the child's final output."""
    pipeline = Pipeline("outer").step("step", pipeline=inner(), params={"n": 2}).step("awaits", run=asks)
    result = await drive(pipeline.step("plain", run=asks_plainly))
    assert result.step_outputs == {"step": 30, "awaits": 60, "plain": 20}


async def test_a_child_is_a_run_of_its_own_found_by_its_request() -> None:
    """Its id is its caller's, a dot and the request's version; it has its own log, and the list tells who called it."""
    async with engine_at() as engine:
        run = await engine.start(Pipeline("outer").step("step", pipeline=inner()))
        await engine.result(run)
        events = await engine.events(run)
        request = next(item.version for item in events if item.event.type == "effect.requested")
        (child,) = await engine.runs(caller=run)
        assert (child.id, child.caller, child.caller_step) == (f"{run}.{request}", run, "step")
        created = (await engine.events(child.id))[0].event
        assert (created.caller, created.caller_step, created.depth) == (run, "step", 1)
        assert typed(events, "step.started", "step.completed") == ["step.started step", "step.completed step"]
        assert [row.id for row in await engine.runs()] == [run]
        assert {row.id for row in await engine.runs(children=True)} == {run, child.id}


async def test_the_newest_run_and_a_prefix_are_never_a_child() -> None:
    """`last` is the newest run nobody called, and a prefix is not ambiguous because of a run's own children."""
    async with engine_at() as engine:
        pipeline = (
            Pipeline("outer").step("one", pipeline=inner()).step("two", pipeline=Pipeline("mid").step("in", pipeline=inner()))
        )
        await engine.result(await engine.start(pipeline, run_id="abc123"))
        below = [row.id for row in await engine.runs(children=True)]
        assert len(below) == 4
        assert (await engine.log.find("last")).id == (await engine.log.find("abc")).id == "abc123"
        deepest = max(below, key=len)
        assert (await engine.log.find(deepest)).id == deepest
        with pytest.raises(RunAmbiguousError, match=r"Several runs begin with abc123\.: ") as refused:
            await engine.log.find("abc123.")
        assert deepest not in str(refused.value)


async def test_a_failed_child_fails_its_step_with_its_name_and_its_failed_step() -> None:
    """The step that called, and a body that catches it, are told which child failed where and why."""

    def breaks() -> None:
        raise ValueError("no such luck")

    broken = Pipeline("broken").step("breaks", run=breaks, retry=ONCE)

    async def catches(ctx: StepContext) -> Any:
        try:
            return await ctx.child(broken)
        except EffectFailedError as error:
            return [error.kind, str(error)]

    result = await drive(Pipeline("outer").step("catches", run=catches).step("fails", pipeline=broken, retry=ONCE))
    kind, sentence = result.step_outputs["catches"]
    assert kind == "child"
    assert sentence == f"Child run {result.run_id}.4 (broken) failed at breaks: ValueError: no such luck"
    assert [(failure.step, failure.kind) for failure in result.failures] == [("fails", "child")]


async def test_a_retried_attempt_makes_a_new_child() -> None:
    """The first child fails, the second attempt's is another run that succeeds."""
    tries: list[int] = []

    def second_time() -> str:
        tries.append(1)
        if len(tries) == 1:
            raise ValueError("not yet")
        return "done"

    flaky = Pipeline("flaky").step("second_time", run=second_time, retry=ONCE)
    async with engine_at() as engine:
        run = await engine.start(Pipeline("outer").step("step", pipeline=flaky, retry=RetryPolicy(max_retries=1, delay=0.001)))
        assert (await engine.result(run)).step_outputs == {"step": "done"}
        assert [row.status for row in await engine.runs(caller=run)] == ["completed", "failed"]


async def test_the_children_s_cost_and_tokens_count_once_by_model() -> None:
    """A caller's totals are its own calls and its children's, theirs included, each once; also of a child that failed."""
    deepest = Pipeline("deepest").step("asks", "Say it", model="small")
    middle = Pipeline("middle").step("asks", "Say it").step("below", pipeline=deepest)

    def breaks() -> None:
        raise ValueError("after paying")

    failing = Pipeline("failing").step("asks", "Say it").step("breaks", run=breaks, depends_on=["asks"], retry=ONCE)

    async def catches(ctx: StepContext) -> str:
        try:
            return str(await ctx.child(failing))
        except EffectFailedError:
            return "caught"

    async with engine_at() as engine:
        engine._models["large"] = Scripted(*["text"] * 3, cost=0.25)
        engine._models["small"] = Scripted("text", cost=None)
        outer = Pipeline("outer").step("own", "Say it").step("middle", pipeline=middle).step("catches", run=catches)
        run = await engine.start(outer, model="large")
        result = await engine.result(run)
        state = await engine.view(run)
        assert (state.calls, state.unpriced, state.cost, state.tokens) == (4, 1, 0.75, 60)
        assert result.token_usage == {
            "large": {"calls": 3, "prompt_tokens": 30, "completion_tokens": 15},
            "small": {"calls": 1, "prompt_tokens": 10, "completion_tokens": 5},
        }
        assert (state.steps["middle"].calls, state.steps["middle"].cost) == (2, 0.25)
        row = await engine.log.find(run)
        assert (row.cost, row.unpriced, row.tokens) == (0.75, 1, 60)


async def test_a_pipeline_that_names_itself_ends_at_the_depth_limit() -> None:
    """`self` counts down through child runs; without an end it is refused by one sentence at `max_depth`."""

    async def counts(ctx: StepContext, n: int) -> Any:
        return [n, *(await ctx.child("self", {"n": n - 1}) if n else [])]

    pipeline = Pipeline("counting").step("counts", run=counts, retry=ONCE)
    assert (await drive(pipeline, params={"n": 3})).final_output == [3, 2, 1, 0]
    async with engine_at(max_depth=2) as engine:
        run = await engine.start(pipeline, {"n": 9})
        result = await engine.result(run)
        assert result.status == "failed"
        deep = "it would be 3 calls deep and max_depth is 2; end the recursion sooner or raise it."
        assert result.failures[0].message == f"Child run {run}.4.4.4 cannot begin: {deep}"
        assert len(await engine.runs(children=True)) == 3


async def test_a_word_that_finds_nothing_fails_the_step_for_good() -> None:
    """A module that is not there is no reason to try again; the sentence says what is missing."""
    result = await drive(Pipeline("outer").step("step", pipeline="no_such_module:pipeline"))
    (failure,) = result.failures
    assert (failure.kind, failure.attempts) == ("child", 1)
    assert "There is no module no_such_module" in failure.message


async def test_problems_of_a_nested_pipeline_have_their_place() -> None:
    """What is wrong inside is told with the outer pipeline's problems, by its place."""
    nested = Pipeline("nested").step("x", run=lambda unknown: unknown).step("y", run=raised, depends_on=["z"])
    with pytest.raises(PipelineValidationError) as refused:
        await drive(Pipeline("outer").step("child", pipeline=nested, params={"n": 1}))
    places = [problem.where for problem in refused.value.problems]
    assert places == ["steps.child.pipeline.steps.x.run", "steps.child.pipeline.steps.y.depends_on"]


async def test_what_a_child_is_given_is_held_against_its_types_when_it_begins() -> None:
    """A value that is known only then fails the step that calls, in the words of a run's start; so does one from a body."""
    nested = Pipeline("nested", params={"n": Param("integer", minimum=1)}).step("x", run=lambda n: n)

    async def calls(ctx: StepContext) -> object:
        return await ctx.child(nested, {"n": 0})

    outer = Pipeline("outer").step("says", run=lambda: "many").step("calls", run=calls, execution_mode="concurrent", retry=ONCE)
    outer.step("step", pipeline=nested, params={"n": "${{ steps.says.output }}"}, depends_on="says", retry=ONCE)
    result = await drive(outer)
    told = {failure.step: failure.message for failure in result.failures}
    assert "params.n: is 'many'; give a whole number" in told["step"]
    assert "params.n: is 0; " in told["calls"]


class Gate:
    """Bodies that wait, and how often each began."""

    def __init__(self) -> None:
        self.opened, self.began = asyncio.Event(), list[str]()

    def nested(self) -> Pipeline:
        """A step that waits, then one that does not."""

        async def waits(ctx: StepContext) -> str:
            self.began.append("waits")
            await self.opened.wait()
            return str(await ctx.once("effect", lambda: self.began.append("effect") or "told"))

        async def after(ctx: StepContext) -> str:
            self.began.append("after")
            return "end"

        return Pipeline("nested").step("waits", run=waits).step("after", run=after, depends_on=["waits"])

    def outer(self) -> Pipeline:
        """A step that calls it."""
        return Pipeline("outer").step("calls", pipeline=self.nested())


async def child_of(engine: Engine, run: str) -> RunId:
    """The run's only child, once its first step has begun."""

    async def found() -> Any:
        rows = await engine.runs(caller=RunId(run))
        return rows and (await engine.view(rows[0].id)).counts[StepStatus.RUNNING] and rows[0].id

    return RunId(await until(found, "the child"))


async def test_pausing_pauses_the_child_at_its_boundary_and_resuming_drives_it_on(tmp_path: Path) -> None:
    """The child's running step is let finish, then child and caller rest as paused; the resumed caller drives both to the end."""
    gate = Gate()
    async with engine_at(tmp_path / "runs.db") as engine:
        run = await engine.start(gate.outer())
        child = await child_of(engine, run)
        await engine.pause(run)
        gate.opened.set()
        assert await engine.wait(run) == "paused"
        for paused in (run, child):
            assert (await engine.view(paused)).status is RunStatus.PAUSED
            assert (await engine.log.find(paused)).shown() == "paused"
        assert gate.began == ["waits", "effect"]
        await engine.resume(run, gate.outer())
        assert (await engine.result(run)).step_outputs == {"calls": "end"}
        assert gate.began == ["waits", "effect", "after"]


async def test_a_pause_taken_back_in_time_drives_the_child_on() -> None:
    """Beside a step that keeps the caller's driver busy, the parked child goes on when the caller is resumed in place."""
    gate, busy = Gate(), asyncio.Event()

    async def keeps_busy() -> None:
        await busy.wait()

    async with engine_at() as engine:
        outer = Pipeline("outer").step("calls", pipeline=gate.nested(), execution_mode="concurrent")
        run = await engine.start(outer.step("busy", run=keeps_busy, execution_mode="concurrent"))
        await child_of(engine, run)
        await engine.pause(run)
        gate.opened.set()

        async def parked() -> bool:
            return any(effect.parked for effect in (await engine.view(run)).open.values())

        await until(parked, "the parked child")
        await signal(engine.log, run, "resume", {})
        await until(lambda: "after" in gate.began, "the child's second step")
        busy.set()
        assert (await engine.result(run)).step_outputs["calls"] == "end"


async def test_cancelling_cancels_the_children() -> None:
    """Cancelled from outside, the caller and its child end as cancelled, and what the child still had to do is not done."""
    gate = Gate()
    async with engine_at() as engine:
        run = await engine.start(gate.outer())
        child = await child_of(engine, run)
        await engine.cancel(run)
        await engine.wait(run)
        assert (await engine.view(run)).status is RunStatus.CANCELLED
        assert (await engine.view(child)).status is RunStatus.CANCELLED
        assert gate.began == ["waits"]


async def test_a_child_nobody_waits_for_any_more_is_cancelled() -> None:
    """The step that called it times out: its child ends, the next attempt has another."""
    gate = Gate()
    async with engine_at() as engine:
        pipeline = Pipeline("outer").step("calls", pipeline=gate.nested(), timeout=0.2, retry=ONCE)
        run = await engine.start(pipeline)
        result = await engine.result(run)
        assert [failure.kind for failure in result.failures] == ["timeout"]
        (row,) = await engine.runs(caller=run)
        assert row.status == "cancelled"


async def test_a_cancelled_child_fails_the_step_that_called_it() -> None:
    """A child cancelled by itself is a failure that is not tried again."""
    gate = Gate()
    async with engine_at() as engine:
        run = await engine.start(gate.outer())
        child = await child_of(engine, run)
        await engine.cancel(child)
        (failure,) = (await engine.result(run)).failures
        assert (failure.kind, failure.attempts) == ("child", 1)
        assert failure.message.startswith(f"Child run {child} (nested) was cancelled")


async def test_an_interrupted_caller_takes_its_child_up_again(tmp_path: Path) -> None:
    """The driver goes away while the child waits: the same child is driven on, and nothing it recorded is done again."""
    gate = Gate()
    async with engine_at(tmp_path / "runs.db") as engine:
        run = await engine.start(gate.outer())
        child = await child_of(engine, run)
    gate.opened.set()
    async with engine_at(tmp_path / "runs.db") as engine:
        await engine.resume(run, gate.outer())
        assert (await engine.result(run)).step_outputs == {"calls": "end"}
        assert [row.id for row in await engine.runs(caller=run)] == [child]
        assert gate.began.count("effect") == gate.began.count("after") == 1


async def test_a_child_resumed_alone_gives_its_result_later(tmp_path: Path) -> None:
    """Only the child is driven; the caller, resumed after, takes what it came to."""
    gate = Gate()
    async with engine_at(tmp_path / "runs.db") as engine:
        run = await engine.start(gate.outer())
        child = await child_of(engine, run)
    gate.opened.set()
    async with engine_at(tmp_path / "runs.db") as engine:
        await engine.resume(child, gate.nested())
        await engine.wait(child)
        assert (await engine.view(child)).status is RunStatus.COMPLETED
        assert (await engine.view(run)).status is RunStatus.RUNNING
        await engine.resume(run, gate.outer())
        assert (await engine.result(run)).step_outputs == {"calls": "end"}
        assert gate.began.count("after") == 1


class Doubt:
    """An irreversible effect in a child, cut off in the middle."""

    def __init__(self) -> None:
        self.paid, self.opened = 0, asyncio.Event()

    def nested(self) -> Pipeline:
        async def pays(ctx: StepContext) -> Any:
            return await ctx.once("pay", self._pay, safety="irreversible")

        return Pipeline("nested").step("pays", run=pays)

    async def _pay(self) -> str:
        self.paid += 1
        await self.opened.wait()
        return "receipt"

    def outer(self) -> Pipeline:
        return Pipeline("outer").step("calls", pipeline=self.nested())

    async def interrupted(self, db: Path) -> tuple[str, RunId]:
        """A run whose driver went away while its child paid."""
        async with engine_at(db) as engine:
            run = await engine.start(self.outer())
            await until(lambda: self.paid, "the payment")
            (child,) = await engine.runs(caller=run)
        return run, child.id


async def test_a_doubt_in_a_child_makes_the_caller_wait_and_is_resolved_on_the_child(tmp_path: Path) -> None:
    """The resumed caller parks as waiting; a word on the child's id, with no driver alive, lets both end, paid once."""
    doubt = Doubt()
    run, child = await doubt.interrupted(tmp_path / "runs.db")
    async with engine_at(tmp_path / "runs.db") as engine:
        await engine.resume(run, doubt.outer())
        assert await engine.wait(run) == "waiting"
        assert (await engine.log.find(run)).status == (await engine.log.find(child)).status == "waiting"
        await signal(engine.log, child, "resolve", {"step": "pays", "outcome": "succeeded", "value": "found"})
        await engine.resume(run, doubt.outer())
        assert (await engine.result(run)).step_outputs == {"calls": "found"}
    assert doubt.paid == 1


async def test_a_doubt_resolved_while_the_caller_is_driven_lets_it_go_on(tmp_path: Path) -> None:
    """Beside a busy step the caller's driver lives: the word on the child, recorded by whoever gives it, is noticed."""
    doubt, busy = Doubt(), asyncio.Event()

    def outer() -> Pipeline:
        async def keeps_busy() -> None:
            await busy.wait()

        made = Pipeline("outer").step("calls", pipeline=doubt.nested(), execution_mode="concurrent")
        return made.step("busy", run=keeps_busy, execution_mode="concurrent")

    async with engine_at(tmp_path / "runs.db") as engine:
        run = await engine.start(outer())
        await until(lambda: doubt.paid, "the payment")
        (child,) = await engine.runs(caller=run)
    async with engine_at(tmp_path / "runs.db") as engine, engine_at(tmp_path / "runs.db") as other:
        await engine.resume(run, outer())

        async def parked() -> bool:
            return any(effect.parked == "waiting" for effect in (await engine.view(run)).open.values())

        await until(parked, "the parked child")
        await signal(other.log, child.id, "resolve", {"step": "pays", "outcome": "succeeded", "value": "found"})

        async def completed() -> bool:
            return (await engine.view(run)).steps["calls"].status is StepStatus.COMPLETED

        await until(completed, "the step's end")
        busy.set()
        assert (await engine.result(run)).step_outputs["calls"] == "found"
    assert doubt.paid == 1


async def test_children_count_in_their_own_limit() -> None:
    """With one step at a time a caller and its children to any depth do not wait for each other."""
    nested = Pipeline("two").step("deeper", pipeline=inner())
    async with engine_at(max_concurrent_steps=1) as engine:
        run = await engine.start(Pipeline("outer").step("calls", pipeline=nested))
        assert (await engine.result(run)).step_outputs == {"calls": 20}


async def test_what_a_child_prints_is_its_own() -> None:
    """A line printed in a child's step is in the child's log and not in its caller's."""

    def says() -> None:
        print("heard")

    async with engine_at() as engine:
        run = await engine.start(Pipeline("outer").step("calls", pipeline=Pipeline("nested").step("says", run=says)))
        await engine.result(run)
        (child,) = await engine.runs(caller=run)
        assert [item.event.text for item in await engine.events(child.id, types={"log.written"})] == ["heard"]
        assert not await engine.events(run, types={"log.written"})


async def test_two_children_at_once_keep_their_answers() -> None:
    """Gathered children with equal and with other params each give their own output."""

    async def both(ctx: StepContext) -> Any:
        return await asyncio.gather(*(ctx.child(inner(), {"n": n}) for n in (1, 1, 2)))

    result, events = await history(Pipeline("outer").step("both", run=both))
    assert result.final_output == [20, 20, 30]
    assert len(typed(events, "effect.requested")) == 3


async def test_a_caller_waits_when_the_last_thing_besides_a_parked_child_ends(tmp_path: Path) -> None:
    """Of two gathered children one is in doubt and parked first, the other ends later: then the caller rests and is listed so."""
    doubt, gate = Doubt(), Gate()

    async def both(ctx: StepContext) -> Any:
        return await asyncio.gather(ctx.child(doubt.nested()), ctx.child(gate.nested()))

    pipeline = Pipeline("outer").step("both", run=both)
    async with engine_at(tmp_path / "runs.db") as engine:
        run = await engine.start(pipeline)
        await until(lambda: doubt.paid and gate.began, "both children")
    async with engine_at(tmp_path / "runs.db") as engine:
        await engine.resume(run, pipeline)

        async def parked() -> bool:
            return any(effect.parked for effect in (await engine.view(run)).open.values())

        await until(parked, "the parked child")
        gate.opened.set()
        assert await engine.wait(run) == "waiting"
        assert (await engine.log.find(run)).shown() == "waiting"
    assert (doubt.paid, gate.began.count("after")) == (1, 1)


async def test_a_file_names_another_beside_it_and_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file's word is looked up beside that file, whatever the folder it was asked from; its child can be found again alone."""
    folder = tmp_path / "pipelines"
    folder.mkdir()
    (folder / "counting_tools.py").write_text(
        "async def count(ctx, n):\n    return [n, *(await ctx.child('inner.yaml', {'n': n - 1}) if n else [])]\n"
    )
    (folder / "outer.yaml").write_text("name: outer\nsteps: [{name: calls, pipeline: inner.yaml, params: {n: 2}}]\n")
    (folder / "inner.yaml").write_text("name: inner\nsteps: [{name: count, run: 'counting_tools:count'}]\n")
    monkeypatch.setattr("sys.path", [*sys.path])
    loaded = targets.load("pipelines/outer.yaml", cwd=tmp_path)
    async with engine_at() as engine:
        run = await engine.start(loaded.pipeline, target=loaded.target, cwd=loaded.cwd)
        assert (await engine.result(run)).final_output == [2, 1, 0]
        rows = await engine.runs(children=True)
        assert {row.target for row in rows} == {loaded.target, str(folder / "inner.yaml")}


async def test_a_child_resumed_alone_is_found_through_its_caller(tmp_path: Path) -> None:
    """The nested pipeline of a step is found in the caller's pipeline; one that a body made is driven by its caller only."""
    gates = tmp_path / "gates"
    gates.mkdir()
    loaded = targets.load("tests.pipelines.controlled:nesting", cwd=ROOT, params={"folder": str(gates)})
    params = {"folder": str(gates)}
    async with engine_at(tmp_path / "runs.db") as engine:
        run = await engine.start(loaded.pipeline, params, target=loaded.target, cwd=loaded.cwd)
        await until(lambda: len(list(gates.glob("*.runs"))) == 2, "both children")
    (gates / "first.go").touch()
    (gates / "other.go").touch()
    async with engine_at(tmp_path / "runs.db") as engine:
        rows = {row.caller_step: row.id for row in await engine.runs(caller=run)}
        await engine.resume(rows["calls"])
        await engine.wait(rows["calls"])
        assert (await engine.view(rows["calls"])).status is RunStatus.COMPLETED
        with pytest.raises(TargetError, match=f"was called by a function of run {run}"):
            await engine.resume(rows["asks"])
        await engine.resume(run)
        assert (await engine.result(run)).success


async def test_a_bundle_takes_child_runs_along(tmp_path: Path) -> None:
    """Exporting a run exports the runs below it; taken in elsewhere they are its children again."""
    middle = Pipeline("middle").step("in", pipeline=inner())
    async with engine_at(tmp_path / "runs.db") as engine:
        run = await engine.start(Pipeline("outer").step("calls", pipeline=middle))
        await engine.result(run)
        assert await export_runs(engine.log, [run], tmp_path / "out.bundle") == 3
    async with engine_at(tmp_path / "other.db") as engine:
        assert len(await import_bundle(engine.log, tmp_path / "out.bundle")) == 3
        assert [row.id for row in await engine.runs()] == [run]
        (child,) = await engine.runs(caller=run)
        assert (child.caller_step, child.status, child.imported) == ("calls", "completed", True)
        assert [row.caller_step for row in await engine.runs(caller=child.id)] == ["in"]


async def test_a_changed_nested_pipeline_is_a_change_of_its_step(tmp_path: Path) -> None:
    """What changed inside is said with the step it is in; a function's text alone is told as its step's."""
    gate = Gate()
    async with engine_at(tmp_path / "runs.db") as engine:
        run = await engine.start(gate.outer())
        await child_of(engine, run)
    gate.opened.set()
    changed = Pipeline("outer").step("calls", pipeline=gate.nested().step("new", run=keeps))
    async with engine_at(tmp_path / "runs.db") as engine:
        with pytest.raises(DefinitionChangedError, match="in the pipeline of step 'calls': step 'new' was added"):
            await engine.resume(run, changed)
        await engine.resume(run, changed, on_change="recorded")
        assert (await engine.result(run)).step_outputs == {"calls": "end"}


@pytest.mark.parametrize(("kind", "status"), [("pause", RunStatus.PAUSED), ("cancel", RunStatus.CANCELLED)])
async def test_with_no_driver_alive_a_command_reaches_the_children_too(kind: str, status: RunStatus, tmp_path: Path) -> None:
    """Recorded by the one who commands, a pause or cancellation is recorded in the unfinished child as well."""
    gate = Gate()
    async with engine_at(tmp_path / "runs.db") as engine:
        run = await engine.start(gate.outer())
        child = await child_of(engine, run)
    async with engine_at(tmp_path / "runs.db") as engine:
        await signal(engine.log, RunId(run), kind, {})
        assert [(await engine.view(one)).status for one in (run, child)] == [status, status]


async def test_a_child_that_a_crash_left_behind_is_cancelled(tmp_path: Path) -> None:
    """A child that nothing in its caller asks for any more (its step was reset by a migration) ends when the caller is resumed."""
    gate = Gate()
    async with engine_at(tmp_path / "runs.db") as engine:
        run = await engine.start(gate.outer())
        left = await child_of(engine, run)
    gate.opened.set()
    changed = Pipeline("outer").step("calls", pipeline=gate.nested().step("new", run=keeps), params={})
    async with engine_at(tmp_path / "runs.db") as engine:
        await engine.resume(run, changed, on_change="migrate")
        await engine.result(run)

        async def cancelled() -> bool:
            return (await engine.view(left)).status is RunStatus.CANCELLED

        await until(cancelled, "the end of what was left behind")
        assert sorted(row.status for row in await engine.runs(caller=RunId(run))) == ["cancelled", "completed"]


@pytest.mark.parametrize(
    ("of_step", "of_pipeline"),
    [({"retry": RetryPolicy(delay=1)}, {}), ({"budget": Budget(seconds=99)}, {}), ({}, {"budget": Budget(cost=9)})],
)
async def test_a_caller_taken_up_again_finds_the_child_it_called(
    tmp_path: Path, of_step: dict[str, Any], of_pipeline: dict[str, Any]
) -> None:
    """A whole number where a definition has a fraction is the same number in the next life: the child is not called twice."""
    gate = asyncio.Event()

    async def waits() -> str:
        await gate.wait()
        return "done"

    nested = Pipeline("nested", **of_pipeline).step("waits", run=waits, **of_step)
    pipeline = Pipeline("outer").step("calls", pipeline=nested, max_retries=0)
    async with engine_at(tmp_path / "runs.db") as engine:
        run = await engine.start(pipeline)
        (child,) = await until(lambda: engine.runs(caller=run), "the child")
    gate.set()
    async with engine_at(tmp_path / "runs.db") as engine:
        await engine.resume(run, pipeline)
        assert (await engine.result(run)).final_output == "done"
        assert [row.id for row in await engine.runs(caller=run)] == [child.id]
