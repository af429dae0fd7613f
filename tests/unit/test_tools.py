"""Tools before they run: what a function's signature says, what is refused, what a definition keeps and what changes it."""

import datetime
import functools
from collections.abc import Callable
from typing import Annotated, Any, Literal

import msgspec
import pydantic
import pytest

from engine import EngineError, Pipeline, PipelineStep, StepContext, tool
from engine.changes import compare
from engine.definition import Definition, StepDefinition
from engine.edits import FIELDS, parse
from engine.files import parse as parse_file
from engine.pinning import pipeline_of
from engine.signatures import ArgumentsError, ToolError, converted, tool_of
from engine.tools import ToolDefinition, kept


class Place(pydantic.BaseModel):
    city: str = pydantic.Field(min_length=2)
    near: list["Place"] = []


class Size(msgspec.Struct):
    width: int
    height: int = 1


WIDE = Size(2)


@tool(safety="read", timeout=3)
def web_search(
    query: str,
    place: Place,
    on: datetime.date,
    size: Size = WIDE,
    most: Annotated[int, pydantic.Field(ge=1, description="how many")] = 3,
    kind: Literal["new", "old"] | None = None,
    *,
    ctx: Any = None,
) -> list[str]:
    """Search the web."""
    return [query]


async def send(to: str, about: StepContext) -> str:
    """Send something."""
    return to


def test_the_schema_says_what_a_signature_says() -> None:
    """Types of pydantic, msgspec and the standard library become JSON Schema, defaults make parameters optional, and a context is
    not asked of a model.
    """
    found = tool_of(web_search)
    assert (found.name, found.description, found.safety, found.timeout) == ("web_search", "Search the web.", "read", 3.0)
    assert found.run.endswith("test_tools:web_search")
    assert found.source is not None
    properties = found.parameters["properties"]
    assert list(properties) == ["query", "place", "on", "size", "most", "kind"]
    assert properties["most"] == {"type": "integer", "minimum": 1, "description": "how many", "default": 3}
    assert (properties["place"], properties["on"]["format"]) == ({"$ref": "#/$defs/Place"}, "date")
    assert properties["size"]["default"] == {"width": 2, "height": 1}
    assert set(found.parameters["$defs"]) == {"Place", "Size"}
    assert found.parameters["required"] == ["query", "place", "on"]
    assert found.parameters["additionalProperties"] is False
    assert found.offer()["function"]["parameters"] == found.parameters
    assert list(tool_of(send).parameters["properties"]) == ["to"]


def test_types_of_one_name_keep_apart() -> None:
    """Two types that share a name are two definitions, and each parameter points to its own."""

    def first() -> type:
        class Thing(pydantic.BaseModel):
            a: int

        return Thing

    def second() -> type:
        class Thing(pydantic.BaseModel):
            b: str
            more: list["Thing"] = []

        return Thing

    def body(one: Any, two: Any) -> None: ...

    body.__annotations__ = {"one": list[first()], "two": list[second()]}  # type: ignore[misc]
    parameters = tool_of(body).parameters
    pointed = [parameters["properties"][name]["items"]["$ref"].rpartition("/")[2] for name in ("one", "two")]
    assert [list(parameters["$defs"][name]["properties"]) for name in pointed] == [["a"], ["b", "more"]]
    assert parameters["$defs"][pointed[1]]["properties"]["more"]["items"]["$ref"].endswith(f"/{pointed[1]}")


def test_a_function_without_a_mark_is_irreversible_and_allowed() -> None:
    """That is the default, also of a bare `@tool`; the function itself stays what it was."""

    @tool
    def bare(x: int) -> int:
        return x + 1

    assert [(one.safety, one.permission, one.timeout) for one in map(tool_of, (send, bare))] == [
        ("irreversible", "allow", None)
    ] * 2
    assert bare(1) == 2


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"safety": "reed"}, "has the safety 'reed'; use pure, read, idempotent or irreversible; did you mean 'read'?"),
        ({"permission": "maybe"}, "has the permission 'maybe'; use allow, ask or deny"),
        ({"timeout": 0}, "has the timeout 0; give seconds greater than 0"),
        ({"timeout": True}, "has the timeout True"),
        ({"name": "two words"}, "has the name 'two words'; use a letter"),
        ({"description": 3}, "has the description 3; give text"),
        ({"safety": [], "permission": None}, "has the permission None"),
    ],
)
def test_wrong_values_of_the_mark_are_refused_at_once(options: dict[str, Any], said: str) -> None:
    """The decorator raises with all that is wrong, and with the nearest word."""
    with pytest.raises(EngineError) as caught:
        tool(**options)
    assert said in str(caught.value)


def positional(x: int, /) -> None: ...
def several(x, *args: int, **named: int) -> None: ...  # type: ignore[no-untyped-def]
def unknown(x: "Nowhere") -> None: ...  # type: ignore[name-defined]  # noqa: F821
def without_schema(x: Callable[[], int]) -> None: ...


@pytest.mark.parametrize(
    ("function", "flaws"),
    [
        (positional, {"x": "takes by position only"}),
        (several, {"x": "has no type", "args": "takes any number of values", "named": "takes any number of values"}),
        (unknown, {"x": "which is not found"}),
        (without_schema, {"x": "has a type that has no JSON Schema"}),
        (lambda x=1: x, {"": "has the name '<lambda>', which no model can call; give it one with @tool(name=...)"}),
        (3, {"": "is 3, which cannot be called"}),
    ],
)
def test_what_no_json_can_give_is_refused_with_its_place(function: Any, flaws: dict[str, str]) -> None:
    """Every parameter that a model cannot fill is told, all of a function at once."""
    with pytest.raises(ToolError) as caught:
        tool_of(function)
    assert [place for place, _ in caught.value.flaws] == list(flaws)
    for place, said in caught.value.flaws:
        assert flaws[place] in said


def test_arguments_become_what_the_function_takes() -> None:
    """Plain values become models, Structs and dates; what fits the schema but not the type is refused with its place."""
    given = {"query": "q", "place": {"city": "Rome", "near": [{"city": "Ostia"}]}, "on": "2020-02-03", "size": {"width": 4}}
    taken = converted(web_search, given)
    assert taken["place"].near[0].city == "Ostia"
    assert (taken["on"], taken["size"]) == (datetime.date(2020, 2, 3), Size(4))
    with pytest.raises(ArgumentsError, match=r"on: .*date"):
        converted(web_search, {**given, "on": "soon"})


def test_every_callable_kind_can_be_a_tool() -> None:
    """Methods, callable objects and partial functions are read too, where they have a name."""

    class Desk:
        def look(self, at: str) -> str:
            return at

        def __call__(self, at: "str") -> str:
            return at

    named = tool(name="half")(functools.partial(web_search, most=1))
    assert [tool_of(one).name for one in (Desk().look, Desk(), named)] == ["look", "Desk", "half"]
    assert tool_of(Desk()).parameters["properties"] == {"at": {"type": "string"}}
    assert tool_of(named).description == "Search the web."


def problems(pipeline: Pipeline) -> list[str]:
    return [str(problem) for problem in pipeline.problems(model="m")]


def test_all_that_is_wrong_with_tools_is_told_at_once() -> None:
    """Names given twice, filters that fit nothing, tools where no model calls them, functions that cannot be tools."""

    def again() -> Any:
        def send(to: str) -> None: ...

        return send

    pipeline = (
        Pipeline("p", tools=[send, again(), several])
        .step("a", "A", tools=[web_search, send], tools_filter=["web_*", "sand", 3])
        .step("b", run=lambda: 1, tools=[send], tools_filter=["send"])
        .step("c", "C", tools_filter=[])
    )
    found = problems(pipeline)
    taken = "is the name of a tool there is already; remove it here, or give it another name with @tool(name=...)"
    assert found == [
        "tools.send: is the name of two tools; give one of them another with @tool(name=...)",
        "tools.several.x: has no type, so no model can know what to give; write x: str",
        "tools.several.args: takes any number of values, which a model cannot give; write parameters with names and types",
        "tools.several.named: takes any number of values, which a model cannot give; write parameters with names and types",
        f"steps.a.tools.send: {taken}",
        "steps.a.tools_filter: has 'sand', which is no tool; did you mean 'send'?",
        "steps.a.tools_filter: has 3; give names of tools, or patterns such as web_*",
        f"steps.b.tools.send: {taken}",
        "steps.b.tools: is for goals, whose models call tools; a function asks for tools by ctx.tool(...)",
        "steps.b.tools_filter: is for goals, whose models call tools; a function asks for tools by ctx.tool(...)",
    ]
    assert problems(Pipeline("p").step("a", "A", tools_filter="x")) == [
        "steps.a.tools_filter: has 'x', which is no tool; it has no tools"
    ]


def test_a_goal_uses_the_pipelines_tools_and_its_own_by_its_filter() -> None:
    """Without a filter all, with an empty one none; patterns leave what fits one of them."""
    steps = {"all": None, "none": [], "web": ["web_*"], "both": ["send", "web_search"]}
    pipeline = Pipeline("p", tools=[send])
    for name, wanted in steps.items():
        pipeline.step(name, "Do", tools=[web_search], tools_filter=wanted)
    definition = pipeline.step("f", run=lambda: 1).define(model="m")
    names = {step.name: [one.name for one in definition.tools_of(step)] for step in definition.steps}
    assert names == {
        "all": ["send", "web_search"],
        "none": [],
        "web": ["web_search"],
        "both": ["send", "web_search"],
        "f": ["send"],
    }


def test_a_definition_with_tools_is_read_back_and_its_functions_are_found_by_name() -> None:
    """JSON text and back changes nothing, and a pipeline made of it has the same definition."""
    functions = {tool_of(one).run: one for one in (send, web_search)}
    definition = Pipeline("p", tools=[send]).step("a", "A", tools=[web_search], tools_filter=[]).define(model="m")
    read = Definition.from_json(definition.to_json())
    assert read == definition
    assert StepDefinition.from_json(read.steps[0].to_json()) == definition.steps[0]
    assert pipeline_of(read, functions.__getitem__).define(model="m") == definition
    assert definition.pinned().tools[0].source is None
    assert definition.pinned().steps[0].tools[0].source is None


def test_files_name_tools_and_keep_them() -> None:
    """`tools` and `tools_filter` in YAML and JSON, one or many, come back as they were; an empty filter is no missing one."""
    text = "name: p\ntools: t:look\nsteps:\n- {name: a, goal: A, tools: [t:send, t.u:C.d], tools_filter: ['l*']}\n"
    pipeline = parse_file(text + "- {name: b, goal: B, tools_filter: []}\n- {name: c, goal: C}\n").pipeline
    assert problems(pipeline) == []
    definition = pipeline.define(model="m")
    assert definition.tools == (ToolDefinition("look", "t:look"),)
    assert [one.run for one in definition.steps[0].tools] == ["t:send", "t.u:C.d"]
    assert [step.tools_filter for step in definition.steps] == [("l*",), (), None]
    for json in (False, True):
        written = pipeline.to_json() if json else pipeline.to_yaml()
        assert parse_file(written, json=json).pipeline.define(model="m") == definition
    flaws = parse_file("name: p\ntools: [1]\nsteps: [{name: a, goal: A, tools: 'no function', tools_filter: {}}]").flaws
    assert len(flaws) == 3


def test_composed_pipelines_bring_their_tools() -> None:
    """`include` and copies have the tools of the parts, of which each goal still calls those it could; later changes do not reach a
    copy.
    """
    part = Pipeline("part", tools=[web_search]).step("a", "A").step("b", "B", tools_filter=["web_*"])
    mine = Pipeline("mine").step("c", "C").step("d", "D", tools=[send])
    whole = mine.then(part)
    copied = whole.copy()
    whole.tools.append(tool(name="late")(lambda: None))
    definition = copied.define(model="m")
    assert [one.name for one in definition.tools] == ["web_search"]
    names = {step.name: [one.name for one in definition.tools_of(step)] for step in definition.steps}
    assert names == {"a": ["web_search"], "b": ["web_search"], "c": [], "d": ["send"]}
    same = Pipeline("same", tools=[web_search]).step("e", "E").include(part)
    assert [step.tools_filter for step in same.steps] == [None, None, ["web_*"]]
    with pytest.raises(EngineError, match=r"The pipeline has the tool .*<locals>.*, which a file cannot name"):
        Pipeline("p", tools=[tool(name="local")(lambda: None)]).step("a", "A").to_yaml()


def pinned(*tools: Any, **options: Any) -> Definition:
    pipeline = Pipeline("p", tools=tools).step("a", "A", **options).step("none", "N", tools_filter=[])
    return pipeline.step("f", run=lambda ctx: ctx).step("g", run=lambda: 1).define(model="m")


def other_text(definition: Definition) -> Definition:
    """The same pipeline, the text of its tools' functions changed."""
    tools = tuple(msgspec.structs.replace(one, source="another") for one in definition.tools)
    return msgspec.structs.replace(definition, tools=tools)


def test_a_tool_with_another_text_is_seen_in_the_steps_that_may_use_it() -> None:
    """It does not change the pipeline; goals that may call it and functions with a context have another source."""
    old = pinned(send)
    changes = compare(old, other_text(old), {"g"})
    assert (changes.sentences, changes.steps, changes.sources) == ([], [], ["a", "f"])
    assert compare(old, old).sources == []


def test_a_tool_that_is_another_changes_the_pipeline_and_its_goals() -> None:
    """Another safety, description or parameter is a change of the pipeline; the goals that may call it have changed with it."""
    old, new = pinned(send), pinned(tool(name="send", safety="read")(functools.partial(send)))
    changes = compare(old, new, {"g"})
    assert (changes.sentences, changes.steps, changes.sources) == (["the pipeline has another tools"], ["a"], ["f"])
    own = compare(pinned(tools=[send]), pinned(tools=[web_search]))
    assert (own.sentences, own.steps) == (["step 'a' has another tools"], ["a"])


def test_the_filter_can_be_edited_and_the_tools_cannot() -> None:
    """`STEP.tools_filter` is an edit; functions are changed in the pipeline."""
    assert "tools_filter" in FIELDS
    assert parse("a.tools_filter", ["x"], ["a"]).kind == "field"
    with pytest.raises(EngineError, match="change it in the pipeline"):
        parse("a.tools", [], ["a"])


def test_filters_are_patterns() -> None:
    """Case counts, and a pattern fits whole names."""
    tools = [ToolDefinition(name, "m:f") for name in ("web_a", "Web_b", "a_web")]
    assert [one.name for one in kept(tools, ["web_*"])] == ["web_a"]
    assert PipelineStep("a", "A", tools_filter="web_*").tools_filter == ["web_*"]
