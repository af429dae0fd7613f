"""Agents by name, as they are driven: what their models hear, their tools and limits, forks, changes, children, added steps."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engine import (
    Agent,
    Budget,
    DefinitionChangedError,
    Engine,
    EngineError,
    Pipeline,
    PipelineStep,
    PipelineValidationError,
    StepContext,
    tool,
)
from engine.definition import Definition
from tests.driving import Scripted, engine_at
from tests.integration.openai_server import OpenAIServer, Text, ToolCall, openai_server

CALLS: Counter[str] = Counter()


@tool(safety="read")
def look(text: str) -> str:
    """Look something up."""
    CALLS["look"] += 1
    return f"saw {text}"


@pytest.fixture(autouse=True)
def _counted() -> None:
    CALLS.clear()


@pytest.fixture
def server() -> Iterator[OpenAIServer]:
    with openai_server() as opened:
        yield opened


def scripted(engine: Engine, *answers: Any, name: str = "scripted") -> Scripted:
    """A model of that name that answers so."""
    model = engine._models[name] = Scripted(*answers)
    return model


async def test_a_goal_is_asked_as_its_agent_says(server: OpenAIServer) -> None:
    """Over HTTP: the agent's model and parameters, its text before ours, its tools offered and called; other goals as ever."""
    server.script(ToolCall("look", {"text": "it"}), Text("Bad."), Text("Good."))
    critic = Agent("openai/critical", system="You are a critic.", tools=[look], config={"temperature": 0.25})
    pipeline = Pipeline("p", agents={"critic": critic}).step("judge", "Judge it", agent="critic").step("tell", "Tell it")
    async with engine_at(api_base=server.base_url, api_key="key") as engine:
        run = await engine.start(pipeline, model="openai/plain")
        assert (await engine.result(run)).step_outputs == {"judge": "Bad.", "tell": "Good."}
        assert (await engine.verify(run, pipeline)).divergence is None
    first, second, third = (request.body for request in server.requests)
    assert [body["model"] for body in (first, second, third)] == ["critical", "critical", "plain"]
    assert [body.get("temperature") for body in (first, second, third)] == [0.25, 0.25, None]
    assert first["messages"][0]["content"].startswith("You are a critic.\n\nYou carry out one step, 'judge', of the pipeline 'p'.")
    assert third["messages"][0]["content"].startswith("You carry out one step, 'tell'")
    assert [one["function"]["name"] for one in first["tools"]] == ["look"]
    assert "tools" not in third
    assert CALLS == {"look": 1}


async def test_a_function_asks_as_its_agent_unless_it_says_otherwise() -> None:
    """`ctx.model` of a step with an agent is told its text; `system=` and a system message of the prompt stand before it."""

    async def body(ctx: StepContext) -> list[Any]:
        messages = [{"role": "system", "content": "mine"}, {"role": "user", "content": "c"}]
        return [
            await ctx.model("a"),
            await ctx.model("b", system="other"),
            await ctx.model(messages),
            await ctx.model("d", system=""),
        ]

    pipeline = Pipeline("p").agent("critic", "scripted", system="You are a critic.").step("f", run=body, agent="critic")
    async with engine_at() as engine:
        model = scripted(engine, *"1234")
        assert (await engine.result(await engine.start(pipeline))).final_output == list("1234")
    told = [[message["content"] for message in request.messages] for request in model.asked]
    assert told == [["You are a critic.", "a"], ["other", "b"], ["mine", "c"], ["d"]]


async def test_a_step_is_asked_as_often_as_its_agent_may_be() -> None:
    """`max_turns` of the agent stands before the settings' `max_iterations`, and the failure says which to raise."""
    pipeline = (
        Pipeline("p").agent("critic", "scripted", tools=look, max_turns=2).step("judge", "Judge", agent="critic", max_retries=0)
    )
    async with engine_at(max_iterations=5) as engine:
        scripted(engine, *([("look", {"text": str(number)})] for number in range(3)))
        result = await engine.result(await engine.start(pipeline))
    assert result.failures[0].message.endswith("simplify the goal, or raise max_turns.")
    assert CALLS == {"look": 1}


async def test_an_answer_is_repaired_however_few_turns_there_are() -> None:
    """A goal with tools whose model may be asked once is still told once what does not fit, as any other."""
    agents = {"critic": Agent("scripted", tools=look, max_turns=1)}
    pipeline = Pipeline("p", agents=agents).step("judge", "Judge", agent="critic", output_schema={"type": "integer"}, max_retries=0)
    async with engine_at() as engine:
        model = scripted(engine, "none", "7")
        result = await engine.result(await engine.start(pipeline))
        assert (result.output("judge"), len(model.asked)) == (7, 2)


async def test_a_budget_of_an_agent_holds_for_each_of_its_steps() -> None:
    """Two steps of one agent use up one each: neither uses the other's, and a step with its own has that."""
    pipeline = Pipeline("p").agent("critic", "scripted", budget=Budget(cost=0.015, action="warn"))
    for name in ("one", "two"):
        pipeline.step(name, "Judge", agent="critic", tools=look)
    pipeline.step("own", "Judge", agent="critic", budget=Budget(cost=5, action="warn"))
    async with engine_at() as engine:
        scripted(engine, "1", [("look", {"text": "2"})], "2", "3")
        run = await engine.start(pipeline)
        assert (await engine.result(run)).step_outputs == {"one": "1", "two": "2", "own": "3"}
        reached = [item.event for item in await engine.events(run, types={"budget.reached"})]
        assert [(event.scope, event.limit) for event in reached] == [("two", 0.015)]


async def test_a_fork_with_another_agent_runs_what_it_reaches() -> None:
    """`STEP.agent` and `STEP.system` are edits: that step and what depends on it run again, and one nobody knows is refused."""

    def made() -> Pipeline:
        agents = {"critic": Agent("a", system="Be hard."), "friend": Agent("b", system="Be kind.")}
        pipeline = Pipeline("p", agents=agents).step("judge", "Judge", agent="critic")
        return pipeline.step("tell", "Tell", agent="critic", depends_on="judge").step("apart", "Apart", agent="critic")

    async with engine_at() as engine:
        first, second = scripted(engine, *"12345678", name="a"), scripted(engine, *"xyz", name="b")
        run = await engine.start(made())
        assert (await engine.result(run)).step_outputs == {"judge": "1", "tell": "2", "apart": "3"}
        fork = await engine.fork(run, None, {"judge.agent": "friend"}, pipeline=made())
        assert (await engine.result(fork)).step_outputs == {"judge": "x", "tell": "4", "apart": "3"}
        assert second.asked[0].messages[0]["content"].startswith("Be kind.")
        edited = next(item.event for item in await engine.events(fork) if item.event.type == "edit.applied")
        assert (await engine.log.value(edited.before), await engine.log.value(edited.value)) == ("critic", "friend")
        told = await engine.fork(run, None, {"judge.system": "Be brief."}, pipeline=made())
        assert (await engine.result(told)).step_outputs == {"judge": "5", "tell": "6", "apart": "3"}
        assert first.asked[-2].messages[0]["content"].startswith("Be brief.")
        for each in (fork, told):
            assert (await engine.verify(each, made())).divergence is None
        with pytest.raises(PipelineValidationError, match=r"steps\.judge\.agent: is 'frend', and there is no such agent; did you"):
            await engine.fork(run, None, {"judge.agent": "frend"}, pipeline=made())


async def test_a_changed_agent_starts_its_steps_over_when_a_run_migrates(tmp_path: Path) -> None:
    """A run is not resumed silently under another agent; migrated, that agent's steps run again and no others."""

    async def parks(ctx: StepContext) -> Any:
        return await ctx.ask("Go on?")

    def made(system: str) -> Pipeline:
        agents = {"critic": Agent("a", system=system), "friend": Agent("a")}
        pipeline = Pipeline("p", agents=agents).step("judge", "Judge", agent="critic").step("praise", "Praise", agent="friend")
        return pipeline.step("parks", run=parks, depends_on=["judge", "praise"])

    async with engine_at(tmp_path / "runs.db") as engine:
        scripted(engine, "1", "2", name="a")
        run = await engine.start(made("Be hard."))
        assert await engine.wait(run) == "waiting"
        await engine.answer(run, "yes")
        with pytest.raises(DefinitionChangedError, match="step 'judge' has another system; agent 'critic' has another system"):
            await engine.resume(run, made("Be kind."))
        again = scripted(engine, "3", name="a")
        await engine.resume(run, made("Be kind."), on_change="migrate")
        assert await engine.wait(run) == "waiting"
        await engine.answer(run, "yes")
        await engine.resume(run, made("Be kind."))
        assert (await engine.result(run)).step_outputs == {"judge": "3", "praise": "2", "parks": "yes"}
        assert again.asked[0].messages[0]["content"].startswith("Be kind.")


async def test_nested_pipelines_are_driven_by_the_agents_around_them() -> None:
    """A step of a pipeline in a step: the agent is that of the pipeline around, its tools too, also when it is driven again."""
    inner = Pipeline("inner").step("judge", "Judge", agent="critic")
    pipeline = Pipeline("p").agent("critic", "scripted", system="Hard.", tools=look).step("child", pipeline=inner)
    async with engine_at() as engine:
        model = scripted(engine, [("look", {"text": "it"})], "done")
        run = await engine.start(pipeline)
        assert (await engine.result(run)).final_output == "done"
        assert model.asked[0].messages[0]["content"].startswith("Hard.")
        assert CALLS == {"look": 1}
        head = await engine.log.head(run)
        for version in range(2, head + 1):
            fork = await engine.fork(run, version, pipeline=pipeline)
            assert (await engine.result(fork)).final_output == "done"
        assert (len(model.asked), CALLS["look"]) == (2, 1)
        assert (await engine.verify(run, pipeline)).divergence is None


def judges(name: str = "judge") -> PipelineStep:
    """A step to be added: who carries it out, is known where it is added."""
    return PipelineStep(name, "Judge", agent="critic")


async def grows(ctx: StepContext) -> int:
    """Adds a step that names an agent, and a pipeline whose step does; then waits for somebody."""
    await ctx.add_step(judges())
    await ctx.add_step(PipelineStep("child", pipeline=Pipeline("inner").add_step(judges("inside"))))
    return 1


async def test_steps_added_at_run_time_name_agents(tmp_path: Path) -> None:
    """What is added is carried out by the pipeline's agent, in another process too; one that names nobody is refused."""

    def made() -> Pipeline:
        return Pipeline("p").agent("critic", "scripted", system="Hard.", tools=look).step("grows", run=grows)

    async with engine_at(tmp_path / "runs.db") as engine:
        model = scripted(engine, [("look", {"text": "it"})], "done", "inside")
        run = await engine.start(made())
        result = await engine.result(run)
        assert (result.status, result.output("judge"), result.output("child")) == ("completed", "done", "inside")
        assert all(request.messages[0]["content"].startswith("Hard.") for request in model.asked)
        head = await engine.log.head(run)
    async with engine_at(tmp_path / "runs.db") as engine:
        scripted(engine)  # it is asked nothing: all is on the tape
        for version in range(2, head + 1):
            fork = await engine.fork(run, version, pipeline=made())
            assert (await engine.result(fork)).output("judge") == "done", version
        assert (await engine.verify(run, made())).divergence is None
        assert CALLS == {"look": 1}

    async def wrong(ctx: StepContext) -> None:
        await ctx.add_step(PipelineStep("new", "Go", agent="critik"))

    async with engine_at() as engine:
        run = await engine.start(Pipeline("p").agent("critic", "scripted").step("wrong", run=wrong))
        failure = (await engine.result(run)).failures[0]
        assert "steps.new.agent: is 'critik', and there is no such agent; did you mean 'critic'?" in failure.message


def reviewed(judged: str = "Judge", told: str = "Tell") -> Pipeline:
    """A step of each of two agents, and one of none."""
    agents = {
        "critic": Agent("a", system="Be hard.", tools=[look], config={"temperature": 0.1}, max_turns=4),
        "friend": Agent("b", system="Be kind."),
    }
    pipeline = Pipeline("p", agents=agents).step("judge", judged, agent="critic", config={"top_p": 0.5})
    return pipeline.step("tell", told, agent="friend", depends_on="judge")


async def test_a_fork_of_what_was_recorded_is_recast_and_refused_as_any_other() -> None:
    """With the pipeline changed meanwhile and `recorded`: another agent brings all it says, and what is wrong is refused."""
    async with engine_at() as engine:
        scripted(engine, *"12345", name="a")
        second = scripted(engine, *"xyzw", name="b")
        run = await engine.start(reviewed())
        await engine.wait(run)
        now = reviewed(told="Tell more")
        fork = await engine.fork(run, None, {"judge.agent": "friend"}, pipeline=now, on_change="recorded")
        assert (await engine.result(fork)).step_outputs == {"judge": "y", "tell": "z"}
        asked = second.asked[1]
        assert asked.messages[0]["content"].startswith("Be kind.")
        assert ("tools" in asked.params, asked.params["top_p"], asked.params.get("temperature")) == (False, 0.5, None)
        state = await engine.view(fork)
        judge = Definition.from_json(await engine.log.blob(state.definition)).steps[0]
        assert (judge.agent, judge.model, judge.system, judge.tools, judge.max_turns) == ("friend", "b", "Be kind.", (), None)
        back = await engine.fork(fork, None, {"judge.agent": "critic"}, pipeline=now, on_change="recorded")
        assert (await engine.result(back)).step_outputs["judge"] == "1"
        for edits, said in (
            ({"judge.agent": "frend"}, "did you mean 'friend'"),
            ({"judge.max_turns": 0}, "give 1 to 10000"),
            ({"judge.system": " "}, "give text that the model is told"),
            ({"judge.config.temperature": 9}, "give a number from 0 to 2"),
        ):
            with pytest.raises(EngineError, match=said):
                await engine.foresee_fork(run, None, edits, pipeline=now, on_change="recorded")
            with pytest.raises(EngineError, match=said):
                await engine.foresee_fork(run, None, edits, pipeline=reviewed())
        with pytest.raises(EngineError, match=r"judge\.system cannot be null: the agent 'critic' says it"):
            await engine.foresee_fork(run, None, {"judge.system": None}, pipeline=reviewed())
        assert await engine.foresee_fork(run, None, {"judge.system": None}, pipeline=now, on_change="recorded")
        cheap = await engine.fork(run, None, {"judge.budget": 0.5}, pipeline=reviewed(), drive=False)
        steps = Definition.from_json(await engine.log.blob((await engine.view(cheap)).definition)).steps
        assert steps[0].budget == Budget(0.5)


async def test_an_edit_that_changes_nothing_is_foreseen_as_it_is_done() -> None:
    """It runs its step again, and what depends on it, and so it is foreseen."""
    async with engine_at() as engine:
        scripted(engine, *"12", name="a")
        scripted(engine, *"xy", name="b")
        run = await engine.start(reviewed())
        await engine.wait(run)
        foreseen = await engine.foresee_fork(run, None, {"judge.timeout": None}, pipeline=reviewed())
        assert [step.step for step in foreseen.again] == ["judge", "tell"]
        fork = await engine.fork(run, None, {"judge.timeout": None}, pipeline=reviewed())
        assert (await engine.result(fork)).step_outputs == {"judge": "1", "tell": "x"}
        started = [item.step for item in await engine.events(fork, after=await engine.log.head(run), types={"step.started"})]
        assert started == ["judge", "tell"]


async def test_the_fields_of_added_steps_are_not_edited() -> None:
    """What adds them says what they are: refused, in either case, instead of recorded and not done."""

    def made(end: str = "End") -> Pipeline:
        pipeline = Pipeline("p").agent("critic", "scripted", system="Hard.", tools=look).step("grows", run=grows)
        return pipeline.step("end", end, agent="critic", depends_on="grows")

    async with engine_at() as engine:
        scripted(engine, *"12345")
        run = await engine.start(made())
        assert (await engine.result(run)).status == "completed"
        for pipeline, options in ((made(), {}), (made("Other"), {"on_change": "recorded"})):
            with pytest.raises(EngineError, match=r"judge\.system cannot be set: judge was added while the run was going"):
                await engine.foresee_fork(run, None, {"judge.system": "x"}, pipeline=pipeline, **options)
        assert await engine.foresee_fork(run, None, {"judge.output": "x"}, pipeline=made())


async def adds_one_and_asks(ctx: StepContext) -> Any:
    await ctx.add_step(judges())
    return await ctx.ask("Go on?")


async def test_a_migration_says_which_added_steps_stay_with_an_agent_as_it_was(tmp_path: Path) -> None:
    """They are as they were added; the log says so."""

    def made(system: str) -> Pipeline:
        return Pipeline("p").agent("critic", "scripted", system=system).step("asks", run=adds_one_and_asks)

    async with engine_at(tmp_path / "runs.db") as engine:
        model = scripted(engine, "1", "2")
        run = await engine.start(made("Be hard."))
        await engine.wait(run)
        await engine.answer(run, "yes")
        await engine.resume(run, made("Be kind."), on_change="migrate")
        await engine.wait(run)
        said = [item.event.text for item in await engine.events(run, types={"log.written"})]
        assert said == ["the agent 'critic' is another now; judge, added before, stay with what it said then"]
        assert model.asked[0].messages[0]["content"].startswith("Be hard.")
