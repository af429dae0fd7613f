"""Agents by name: what stands in a step that names one, what is wrong with one, and that files and nested pipelines know them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from engine import Agent, Budget, EngineError, ModelConfig, Pipeline, PipelineStep, PipelineValidationError, tool
from engine.changes import compare
from engine.definition import Definition
from engine.dumping import dump
from engine.files import parse
from engine.pinning import pipeline_of
from engine.schema import file_schema
from engine.steps import StepDefinition


@tool(safety="read")
def search(text: str) -> str:
    """Search."""
    return text


@tool(safety="read")
def calculate(text: str) -> str:
    """Calculate."""
    return text


@tool(name="search")
def other(text: str) -> str:
    """Search elsewhere."""
    return text


FUNCTIONS = {f"{__name__}:{one.__qualname__}": one for one in (search, calculate)}
CRITIC = Agent(
    "m1",
    system="You are a critic.",
    tools=[search],
    fallback_models=["m2"],
    config={"temperature": 0, "top_p": 0.5},
    timeout=30,
    budget=0.5,
    max_turns=4,
)


def only(pipeline: Pipeline) -> StepDefinition:
    """The one step as it is driven."""
    (step,) = pipeline.define().steps
    return step


def wrong(pipeline: Pipeline) -> list[str]:
    """What is wrong, as it is told."""
    return [str(problem) for problem in pipeline.problems()]


def test_what_an_agent_says_stands_in_its_step() -> None:
    """A step that says nothing but the agent's name has all of it."""
    step = only(Pipeline("p", agents={"critic": CRITIC}).step("judge", "Judge", agent="critic"))
    assert (step.agent, step.model, step.system, step.timeout, step.max_turns) == ("critic", "m1", "You are a critic.", 30.0, 4)
    assert (step.fallback_models, step.budget, step.config) == (("m2",), Budget(0.5), ModelConfig(temperature=0.0, top_p=0.5))
    assert [one.name for one in step.tools] == ["search"]


def test_what_a_step_says_stands_before_its_agent() -> None:
    """Each option of the step's wins; configurations are merged value by value."""
    made = Pipeline("p", agents={"critic": CRITIC}).step(
        "judge", "Judge", agent="critic", model="own", system="You are kind.", timeout=5, max_turns=2, budget=Budget(tokens=9),
        fallback_models="f", config={"temperature": 1},
    )  # fmt: skip
    step = only(made)
    assert (step.model, step.system, step.timeout, step.max_turns) == ("own", "You are kind.", 5.0, 2)
    assert (step.fallback_models, step.budget, step.config) == (("f",), Budget(tokens=9), ModelConfig(temperature=1.0, top_p=0.5))


def test_the_tools_of_pipeline_agent_and_step_are_together_and_filtered() -> None:
    """An agent's filter is for the pipeline's tools and its own, what a step brings stays; a step's filter is for all."""
    agents = {"a": Agent(tools=[search]), "f": Agent(tools=[search], tools_filter="search"), "same": Agent(tools=[calculate])}

    def names(agent: str, **options: Any) -> list[str]:
        definition = Pipeline("p", tools=[calculate], agents=agents).step("g", "Go", agent=agent, **options).define()
        return [one.name for one in definition.tools_of(definition.steps[0])]

    assert names("a") == ["calculate", "search"]
    assert names("f") == ["search"]
    assert names("same") == ["calculate"]
    assert names("a", tools_filter=["calc*"]) == ["calculate"]
    bare = Pipeline("p", agents={"f": Agent(tools=[search], tools_filter="search")}).step("g", "Go", agent="f", tools=calculate)
    assert [one.name for one in bare.define().tools_of(bare.define().steps[0])] == ["search", "calculate"]


def test_functions_and_model_merges_are_carried_out_by_agents_too() -> None:
    """A function's and a merge's model is the agent's; its tools are for goals."""

    def body(ctx: Any) -> int:
        return 1

    made = Pipeline("p").agent("critic", "m1", system="You are a critic.", tools=search).step("f", run=body, agent="critic")
    made.step("m", execution_mode="parallel_merge", depends_on="f", merge="model", agent="critic")
    function, merge = made.define().steps
    assert (function.model, function.system, function.tools) == ("m1", "You are a critic.", ())
    assert (merge.model, merge.system) == ("m1", "You are a critic.")


def test_a_goal_needs_no_other_model_than_its_agents() -> None:
    """Validation knows the agent's model; without it, it asks for one."""
    assert Pipeline("p", agents={"a": CRITIC}).step("g", "Go", agent="a").problems(model=None) == []
    (problem,) = Pipeline("p", agents={"a": Agent(system="x")}).step("g", "Go", agent="a").problems(model=None)
    assert "has a goal but no model is configured" in str(problem)
    (problem,) = Pipeline("p", agents={"a": Agent("m")}).step("g", "Go", agent="b").problems(model=None)
    assert str(problem) == "steps.g.agent: is 'b', and there is no such agent; there are a"


def test_all_that_is_wrong_with_agents_is_told_at_once() -> None:
    """Each value of each agent, a name that is none, tools that clash, filters that fit nothing, steps that name nobody."""
    taken = "is the name of a tool there is already; remove it here, or give it another name with @tool(name=...)"
    broken: Any = {
        "5x": Agent(),
        "a": Agent(5, system=" ", timeout=-1, budget=-2, max_turns=0, config={"temperature": 9}, fallback_models=[""]),  # type: ignore[arg-type]
        "b": "gpt",
        "c": Agent(tools=[other], tools_filter=["serch"]),
        "d": Agent(system="Talk of ${{ params.x }}"),
    }
    made = Pipeline("p", tools=[search], agents=broken)
    made.step("one", "Go", agent="cc").step("two", "Go", agent=7).step("three", "Go", agent="a")  # type: ignore[arg-type]
    assert wrong(made) == [
        "agents: '5x' is not a name; use a letter, then letters, digits, '_' or '-'",
        "agents.a.model: is 5; give the name of a model",
        "agents.a.fallback_models: '' is not the name of a model",
        "agents.a.config.temperature: is 9.0; give a number from 0 to 2",
        "agents.a.system: is ' '; give text that the model is told",
        "agents.a.max_turns: is 0; give 1 to 10000",
        "agents.a.timeout: is -1; give seconds greater than 0",
        "agents.a.budget: has the cost -2.0; give a number greater than 0",
        "agents.b: is 'gpt'; give Agent(MODEL, system=..., tools=[...])",
        f"agents.c.tools.search: {taken}",
        "agents.c.tools_filter: has 'serch', which is no tool; did you mean 'search'?",
        "agents.d.system: is told as it stands; put ${{ ... }} into the goal, where it is filled in",
        "steps.one.agent: is 'cc', and there is no such agent; did you mean 'c'?",
        "steps.two.agent: is 7; give the name of an agent",
    ]
    assert wrong(Pipeline("p").step("one", "Go", agent="critic")) == [
        "steps.one.agent: is 'critic', and there is no such agent; add it to the pipeline's agents"
    ]
    assert wrong(Pipeline("p", agents={"critic": CRITIC}).step("one", "Go", agent="critik"))[0].endswith("did you mean 'critic'?")
    assert wrong(Pipeline("p", agents=["x"]).step("one", "Go")) == [  # type: ignore[arg-type]
        "agents: is ['x']; give a mapping of names, or leave it out"
    ]


def test_steps_that_ask_no_model_have_no_agent() -> None:
    """A pipeline in a step has its own; a switch and a plain merge ask nobody."""
    inner = Pipeline("inner").step("g", "Go")
    made = Pipeline("p", agents={"a": CRITIC}).step("child", pipeline=inner, agent="a").step("x", "Go").step("y", "Go")
    made.step("plain", run=lambda: 1, agent="a")
    made.step("choose", switch={"x": "params.n == 1", "y": "otherwise"}, system="s", max_turns=3)
    advice = "is for steps that ask a model; remove it, or name it in the steps that do"
    assert wrong(made) == [
        f"steps.child.agent: {advice}",
        "steps.plain.agent: is for a function that asks a model by its ctx, which this one does not take",
        f"steps.choose.system: {advice}",
        "steps.choose.max_turns: is for goals, whose models call tools; remove it",
    ]


def test_a_function_without_a_context_may_have_a_condition_that_asks() -> None:
    """Its agent is who answers that."""

    def body() -> int:
        return 1

    made = Pipeline("p", agents={"a": CRITIC}).step("f", run=body, agent="a", condition='ask_model("Is it so?")')
    assert wrong(made) == []


def test_a_name_is_given_once() -> None:
    """A second agent of a name would silently be the one that counts."""
    with pytest.raises(EngineError, match="p has an agent 'a' already; give this one another name"):
        Pipeline("p").agent("a", "m").agent("a", "n")


@pytest.mark.parametrize("as_json", [False, True])
def test_files_hold_agents_without_loss(as_json: bool) -> None:
    """The text says each agent once; what is read back is the same definition, and the same text again."""
    made = Pipeline("p", agents={"critic": CRITIC, "plain": Agent("m3")})
    made.step("judge", "Judge", agent="critic").step("also", "Judge", agent="critic", model="own", max_turns=9)
    text = made.to_json() if as_json else made.to_yaml()
    assert text.count("You are a critic.") == 1
    file = parse(text, json=as_json)
    assert file.problems() == []
    back = pipeline_of(_unread(file.pipeline), FUNCTIONS.__getitem__)
    assert back.define() == made.define()
    assert (back.to_json() if as_json else back.to_yaml()) == text
    again = pipeline_of(_unread(parse(dump(made.define(), json=as_json), json=as_json).pipeline), FUNCTIONS.__getitem__)
    assert again.define() == made.define()


def _unread(pipeline: Pipeline) -> Any:
    """What a file says as a definition, its functions still names."""
    return pipeline.plain(None)


def test_what_is_wrong_in_a_file_is_told_with_its_line() -> None:
    """A field there is not, a value that is none, and a step that names nobody."""
    text = """name: p
agents:
  critic:
    model: m1
    sistem: x
    config: {temperature: hot, top: 1}
  b:
    max_turns: many
steps:
  - {name: a, goal: Go, agent: critc, tools_filter: search}
"""
    assert [str(problem) for problem in parse(text).problems()] == [
        "pipeline.yaml:5 agents.critic: has the unknown field 'sistem'; did you mean 'system'?",
        "pipeline.yaml:6 agents.critic.config: has the unknown field 'top'; did you mean 'stop'?",
        "pipeline.yaml:6 agents.critic.config.temperature: is the text 'hot'; write a number",
        "pipeline.yaml:8 agents.b.max_turns: is the text 'many'; write a whole number",
        "pipeline.yaml:10 steps.a.agent: is 'critc', and there is no such agent; did you mean 'critic'?",
    ]
    text = "name: p\nagents:\n  b:\n    timeout: -1\nsteps:\n  - name: a\n    goal: Go\n    agent: b\n"
    assert [str(problem) for problem in parse(text).problems()] == [
        "pipeline.yaml:4 agents.b.timeout: is -1; give seconds greater than 0"
    ]


def test_what_cannot_be_read_of_one_agent_hides_nothing_of_the_others() -> None:
    """Each agent is read by itself: shapes and values are told together, and a step of the unread one has no second problem."""
    text = """name: p
agents:
  a: {model: m1, tool: x}
  b: {timeout: -1, system: "Talk of ${{ params.x }}"}
  c: 5
steps:
  - {name: a, goal: Go, agent: a, tools_filter: [search]}
  - {name: b, goal: Go, agent: b}
"""
    assert [str(problem) for problem in parse(text).problems()] == [
        "pipeline.yaml:3 agents.a: has the unknown field 'tool'; did you mean 'tools'?",
        "pipeline.yaml:4 agents.b.system: is told as it stands; put ${{ ... }} into the goal, where it is filled in",
        "pipeline.yaml:4 agents.b.timeout: is -1; give seconds greater than 0",
        "pipeline.yaml:5 agents.c: is the number 5; write a mapping with model, fallback_models, system, max_turns, config, tools, "
        "tools_filter, timeout, budget",
    ]
    (told,) = parse("name: p\nagents: [a]\nsteps:\n  - {name: a, goal: Go}\n").problems()
    assert str(told) == "pipeline.yaml:2 agents: is a list; write a mapping of names to values"


def test_the_published_schema_has_agents() -> None:
    """Editors know the fields of an agent and of a step that names one."""
    text = json.dumps(file_schema())
    assert all(f'"{word}"' in text for word in ("agents", "agent", "system", "max_turns"))


def test_nested_pipelines_name_the_agents_around_them() -> None:
    """What is not found inside is found outside; inside stands before outside."""
    inner = Pipeline("inner", agents={"own": Agent("inner-own")}).step("a", "Go", agent="critic").step("b", "Go", agent="own")
    outer = Pipeline("p", agents={"critic": CRITIC, "own": Agent("outer-own")}).step("child", pipeline=inner)
    assert wrong(outer) == []
    (child,) = outer.define().steps
    assert isinstance(child.pipeline, Definition)
    assert [step.model for step in child.pipeline.steps] == ["m1", "inner-own"]
    assert list(child.pipeline.agents) == ["critic", "own"]
    again = Pipeline("p", agents={**outer.agents, "more": Agent("x")}).step("child", pipeline=inner)
    assert again.define().steps == outer.define().steps  # an agent that is not named there changes nothing in it
    assert wrong(inner) == ["steps.a.agent: is 'critic', and there is no such agent; there are own"]


def test_pipelines_put_together_bring_their_agents() -> None:
    """Each step keeps its agent and the tools it had; two agents of one name that differ are refused."""
    first = Pipeline("one", agents={"critic": CRITIC}).step("judge", "Judge", agent="critic")
    second = Pipeline("two", tools=[calculate], agents={"plain": Agent("m3")}).step("tell", "Tell", agent="plain")
    whole = first.then(second)
    definition = whole.define()
    assert list(definition.agents) == ["plain", "critic"]
    assert [[one.name for one in definition.tools_of(step)] for step in definition.steps] == [["search"], ["calculate"]]
    with pytest.raises(
        PipelineValidationError, match=r"agents.critic: is Agent\(model='m1', .* in one and Agent\(model='m9'\) in the"
    ):
        first.then(Pipeline("two", agents={"critic": Agent("m9")}).step("tell", "Tell", agent="critic"))
    assert first.then(Pipeline("two", agents={"critic": CRITIC}).step("tell", "Tell", agent="critic")).problems() == []


def test_what_changed_in_an_agent_is_told_and_reaches_its_steps() -> None:
    """Its steps start over under a changed definition, others do not; one nobody names is told of all the same."""

    def made(system: str, more: str = "m3") -> Pipeline:
        agents = {"critic": Agent("m1", system=system), "more": Agent(more)}
        return Pipeline("p", agents=agents).step("judge", "Judge", agent="critic").step("tell", "Tell")

    changes = compare(made("a").define(), made("b").define())
    assert changes.steps == ["judge"]
    assert changes.sentences == ["step 'judge' has another system", "agent 'critic' has another system"]
    assert compare(made("a").define(), made("a", "m4").define()).sentences == ["agent 'more' has another model"]
    fewer = Pipeline("p", agents={"critic": Agent("m1", system="a")}).step("judge", "Judge", agent="critic").step("tell", "Tell")
    assert compare(made("a").define(), fewer.define()).sentences == ["agent 'more' was removed"]
    assert compare(fewer.define(), made("a").define()).sentences == ["agent 'more' was added"]


def test_a_copy_has_its_own_agents() -> None:
    """A pipeline changed later does not change the copy a run works on."""
    made = Pipeline("p").agent("a", "m1").add_step(PipelineStep("g", "Go", agent="a"))
    kept = made.copy()
    made.agents["a"] = Agent("m2")
    assert only(kept).model == "m1"
