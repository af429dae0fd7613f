"""Tools end to end: the loop of a goal's model over a real HTTP server, what it is told of failures, permissions, `ctx.tool`."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pydantic
import pytest

from engine import (
    BreakerPolicy,
    EffectFailedError,
    Engine,
    EngineError,
    Pipeline,
    PipelineStep,
    RetryPolicy,
    StepContext,
    run_goal,
    tool,
)
from engine.models.errors import ModelError, ModelErrorKind
from store.events import EffectFailed, EffectRequested, EffectSucceeded, Recorded, Usage
from tests.driving import Scripted, drive, engine_at, until
from tests.integration.openai_server import MODEL, Hang, OpenAIServer, Text, ToolCall, ToolCalls, openai_server

CALLS: Counter[str] = Counter()
AT_ONCE = RetryPolicy(max_retries=2, delay=0.0, jitter=0.0)


class Place(pydantic.BaseModel):
    city: str

    @pydantic.field_validator("city")
    @classmethod
    def known(cls, city: str) -> str:
        if city == "Atlantis":
            raise ValueError("nobody knows where that is")
        return city


@tool(safety="read")
def weather(place: Place, days: int = 1) -> dict[str, Any]:
    """How the weather will be."""
    CALLS["weather"] += 1
    print(f"looking at {place.city}")
    return {"city": place.city, "days": days, "sky": "blue"}


@tool(safety="idempotent")
async def note(text: str) -> str:
    """Keep a note."""
    CALLS[f"note {text}"] += 1
    await asyncio.sleep(0)
    return f"noted {text}"


@tool
def broken(why: str) -> str:
    """Something that breaks."""
    CALLS["broken"] += 1
    raise LookupError(why)


@tool(permission="ask")
def send(to: str) -> str:
    """Send a letter."""
    CALLS["send"] += 1
    return f"sent to {to}"


@tool(permission="deny")
def destroy() -> str:
    """Never."""
    CALLS["destroy"] += 1
    return "gone"


@pytest.fixture(autouse=True)
def _counted() -> None:
    CALLS.clear()


@pytest.fixture
def server() -> Iterator[OpenAIServer]:
    with openai_server() as opened:
        yield opened


async def told(pipeline: Pipeline, *answers: Any, engine: Engine | None = None, **options: Any) -> tuple[Any, list[Any], Scripted]:
    """A run with a scripted model: its result, its events, and the model."""
    async with engine_at(model="scripted", **options) as opened:
        model = opened._models["scripted"] = Scripted(*answers)
        run = await opened.start(pipeline)
        return await opened.result(run), list(await opened.events(run)), model


def effects(events: list[Recorded]) -> list[str]:
    """The calls of tools among the events: `name: value` or `name: kind of failure`."""
    asked = {item.version: item.event for item in events if isinstance(item.event, EffectRequested)}
    found = []
    for item in events:
        if isinstance(item.event, EffectSucceeded | EffectFailed) and asked[item.event.request].kind == "tool":
            name = asked[item.event.request].name
            failed = isinstance(item.event, EffectFailed)
            found.append(f"{name}: {item.event.failure.kind if failed else bytes(item.event.value.json).decode()}")
    return found


def answers(model: Scripted) -> list[str]:
    """What the model was told in its last request by its tools."""
    return [message["content"] for message in model.asked[-1].messages if message["role"] == "tool"]


async def test_a_models_calls_are_made_in_order_and_told_to_it_over_http(server: OpenAIServer) -> None:
    """The server is offered the tools by the protocol, each call is one effect, results go back under their ids, and the last
    answer is the output; what a tool prints is in the log.
    """
    server.script(
        ToolCalls(ToolCall("weather", {"place": {"city": "Rome"}}), ToolCall("note", {"text": "sun"})),
        ToolCall("weather", {"place": {"city": "Oslo"}, "days": 2}),
        Text("Go to Rome."),
    )
    async with engine_at(api_base=server.base_url, api_key="key") as engine:
        pipeline = Pipeline("trip", tools=[weather]).step("plan", "Where to?", tools=[note])
        run = await engine.start(pipeline, model=f"openai/{MODEL}")
        result, events = await engine.result(run), list(await engine.events(run))
        assert (result.status, result.output("plan")) == ("completed", "Go to Rome.")
        first, _, third = (request.body for request in server.requests)
        assert [one["function"]["name"] for one in first["tools"]] == ["weather", "note"]
        assert first["tools"][0]["function"]["description"] == "How the weather will be."
        assert first["tools"][0]["function"]["parameters"]["required"] == ["place"]
        said = third["messages"][2:]
        assert [message["role"] for message in said] == ["assistant", "tool", "tool", "assistant", "tool"]
        assert [call["id"] for call in said[0]["tool_calls"]] == [message["tool_call_id"] for message in said[1:3]]
        assert json.loads(said[1]["content"]) == {"city": "Rome", "days": 1, "sky": "blue"}
        assert said[2]["content"] == "noted sun"
        rome, oslo = ('{"city":"Rome","days":1,"sky":"blue"}', '{"city":"Oslo","days":2,"sky":"blue"}')
        assert effects(events) == [f"weather: {rome}", 'note: "noted sun"', f"weather: {oslo}"]
        asked = next(item.event for item in events if isinstance(item.event, EffectRequested) and item.event.kind == "tool")
        assert (bytes(asked.arguments.json), asked.safety.value) == (b'{"place":{"city":"Rome"}}', "read")
        lines = [item.event.text for item in events if item.event.type == "log.written"]
        assert lines == ["looking at Rome", "looking at Oslo"]
        assert result.token_usage[f"openai/{MODEL}"]["calls"] == 3
        assert CALLS == {"weather": 2, "note sun": 1}
        found = await engine.verify(run, pipeline)
        assert (found.divergence, found.notes, found.attempts) == (None, [], 1)
        assert (CALLS.total(), server.count) == (3, 3)


async def test_one_goal_runs_with_tools(server: OpenAIServer) -> None:
    """`run_goal` gives its one step the tools."""
    server.script(ToolCall("note", {"text": "one"}), Text("Noted."))
    result = await run_goal(
        "Note it", tools=[note], db=":memory:", model=f"openai/{MODEL}", api_base=server.base_url, api_key="key"
    )
    assert (result.final_output, CALLS["note one"]) == ("Noted.", 1)


async def test_an_answer_of_a_schema_after_tools_is_repaired_with_the_whole_conversation(server: OpenAIServer) -> None:
    """The output schema holds for the final answer; the one repair carries what the tools said."""
    server.script(ToolCall("note", {"text": "one"}), Text("not json"), ToolCall("note", {"text": "two"}), Text('{"city": "Rome"}'))
    async with engine_at(api_base=server.base_url, api_key="key") as engine:
        pipeline = Pipeline("trip", tools=[note]).step("plan", "Where to?", output_schema=Place)
        result = await engine.result(await engine.start(pipeline, model=f"openai/{MODEL}"))
    assert result.output("plan", Place) == Place(city="Rome")
    last = server.requests[-1].body
    assert [message["role"] for message in last["messages"][2:]] == ["assistant", "tool", "assistant", "user", "assistant", "tool"]
    assert "fits this JSON Schema" in last["messages"][0]["content"]
    assert len(last["tools"]) == 1


async def test_what_goes_wrong_with_a_call_is_told_to_the_model_and_recorded() -> None:
    """Text that is no JSON, arguments that do not fit the schema or the type, a tool there is not, one that may not be called, one
    that raised: the model hears a sentence of each, the step goes on.
    """
    model_calls = [
        ("weather", "{oops"),
        ("weather", "[1]"),
        ("weather", {"place": {"city": 3}}),
        ("weather", {"place": {"city": "Atlantis"}}),
        ("wether", {}),
        ("destroy", {}),
        ("broken", {"why": "no luck"}),
        ("note", {"text": "fine"}),
    ]
    pipeline = Pipeline("p", tools=[weather, destroy, broken, note]).step("g", "Do")
    result, events, model = await told(pipeline, model_calls, "done")
    assert result.output("g") == "done"
    assert effects(events) == [
        *("weather: arguments",) * 4,
        "wether: unknown",
        "destroy: denied",
        "broken: error",
        'note: "noted fine"',
    ]
    heard = answers(model)
    assert heard[0].startswith("error: the arguments of weather are wrong: The text is not valid JSON at line 1")
    assert heard[1] == "error: the arguments of weather are wrong: they are no JSON object"
    assert heard[2] == "error: the arguments of weather are wrong: at $.place.city: 3 is not of type 'string'"
    assert heard[3].endswith("place: at city: Value error, nobody knows where that is")
    assert heard[4] == "error: there is no tool 'wether'; did you mean 'weather'?"
    assert heard[5] == "error: the tool 'destroy' may not be called"
    assert heard[6] == "error: LookupError: no luck"
    assert [one["function"]["name"] for one in model.asked[0].params["tools"]] == ["weather", "broken", "note"]
    said = [json.loads(call["function"]["arguments"]) for call in model.asked[1].messages[2]["tool_calls"]]
    assert said[:2] == [{"unreadable": "{oops"}, {"unreadable": "[1]"}]
    assert CALLS == {"broken": 1, "note fine": 1}


async def test_a_model_that_only_calls_tools_is_stopped() -> None:
    """After `max_iterations` answers the step fails with a sentence and a kind of its own, and is not tried again."""
    calls = [[("note", {"text": str(number)})] for number in range(9)]
    result, events, model = await told(Pipeline("p", tools=[note]).step("g", "Do"), *calls, max_iterations=3)
    assert len(model.asked) == 3
    failure = result.failures[0]
    assert (failure.kind, failure.attempts) == ("iterations", 1)
    assert failure.message == "The model still called tools after 3 turns; simplify the goal, or raise max_iterations."
    assert len(effects(events)) == 2  # what the last answer calls is not done: nobody would hear of it


async def test_a_step_without_tools_offers_none() -> None:
    """An empty filter leaves none, and then the request has no tools at all."""
    _, _, model = await told(Pipeline("p", tools=[note]).step("g", "Do", tools_filter=[]), "done")
    assert model.asked[0].params == {}
    assert "what your tools return" not in model.asked[0].messages[0]["content"]


async def test_a_long_result_is_cut_and_the_log_says_so() -> None:
    """The whole value is recorded; the model reads as much as of any other value."""

    @tool
    def long() -> str:
        return "x" * 30_000

    _, events, model = await told(Pipeline("p").step("g", "Do", tools=[long]), [("long", "")], "done")
    (heard,) = answers(model)
    assert heard.endswith("[cut: 6000 of 30000 characters left out]")
    lines = [item.event.text for item in events if item.event.type == "log.written"]
    assert lines == ["what long returned: 30000 characters of context cut to 24000"]


@pytest.mark.parametrize("answer", ["do it", "leave it"])
async def test_a_tool_that_asks_waits_for_a_person_who_sees_the_arguments(answer: str) -> None:
    """The question names the tool and its exact arguments; nobody's word, no call; the model is told either way."""
    pipeline = Pipeline("p", tools=[send]).step("g", "Do")
    async with engine_at(model="scripted") as engine:
        model = engine._models["scripted"] = Scripted([("send", {"to": "Ann"})], "done")
        run = await engine.start(pipeline)
        assert await engine.wait(run) == "waiting"
        asked = (await engine.events(run, types={"effect.requested"}))[-1].event
        question = json.loads(bytes(asked.arguments.json))
        assert (asked.kind, question["choices"]) == ("ask", ["do it", "leave it"])
        assert question["question"] == 'Shall the tool \'send\' be called with {"to":"Ann"}?'
        assert CALLS["send"] == 0
        await engine.answer(run, answer)
        await engine.resume(run, pipeline)
        assert (await engine.result(run)).output("g") == "done"
        said = "sent to Ann" if answer == "do it" else "error: somebody decided that send is not called so"
        assert answers(model) == [said]
        assert CALLS["send"] == (answer == "do it")
        assert (await engine.verify(run, pipeline)).divergence is None


async def test_a_person_is_not_asked_again_about_what_was_done() -> None:
    """A retry takes the call that a person allowed in the attempt before, and asks only about another one; forks of all of it ask
    nothing, and both verify.
    """
    pipeline = Pipeline("p", tools=[send]).step("g", "Do", retry=AT_ONCE)
    ann, ben = [("send", {"to": "Ann"})], [("send", {"to": "Ben"})]
    async with engine_at(model="scripted") as engine:
        engine._models["scripted"] = Scripted(ann, ConnectionError("lost"), ann, ben, "done")
        run = await engine.start(pipeline)
        for to in ("Ann", "Ben"):
            assert await engine.wait(run) == "waiting"
            asked = (await engine.events(run, types={"effect.requested"}))[-1].event
            assert (asked.kind, to in asked.name) == ("ask", True)
            await engine.answer(run, "do it")
            await engine.resume(run, pipeline)
        assert (await engine.result(run)).output("g") == "done"
        assert CALLS["send"] == 2
        questions = [item.event.kind for item in await engine.events(run, types={"effect.requested"})]
        assert questions.count("ask") == 2
        assert (await engine.verify(run, pipeline)).divergence is None
        for version in range(2, await engine.log.head(run)):
            fork = await engine.fork(run, version, pipeline=pipeline)
            assert await engine.wait(fork) is None, version
            assert (await engine.result(fork)).output("g") == "done"
            assert (await engine.verify(fork, pipeline)).divergence is None
        assert CALLS["send"] == 2


async def test_a_call_that_runs_out_of_time_is_told_and_an_irreversible_one_is_not_repeated() -> None:
    """A tool's timeout is the call's; after it an irreversible one may have happened, so the same call is refused."""

    @tool(timeout=0.05)
    async def slow() -> None:
        CALLS["slow"] += 1
        await asyncio.sleep(30)

    @tool(timeout=0.05, safety="read")
    def slow_read() -> None:
        CALLS["slow read"] += 1
        time.sleep(0.3)

    pipeline = Pipeline("p").step("g", "Do", tools=[slow, slow_read])
    calls = [("slow", {}), ("slow_read", {}), ("slow", {}), ("slow_read", {})]
    _, events, model = await told(pipeline, calls, "done")
    assert effects(events) == ["slow: timeout", "slow_read: timeout", "slow_read: timeout"]
    assert answers(model)[0] == "error: 'slow' was not done within 0.05 s; it may have happened all the same"
    assert answers(model)[2] == "error: 'slow' was asked for before; it may have happened, so it is not done again"
    assert CALLS == {"slow": 1, "slow read": 2}


async def test_what_was_done_but_left_nothing_to_record_is_not_done_again() -> None:
    """The model is told that it happened, and the same call is refused."""

    @tool
    def gone() -> Any:
        CALLS["gone"] += 1
        return [object()]

    _, events, model = await told(Pipeline("p").step("g", "Do", tools=[gone]), [("gone", {}), ("gone", {})], "done")
    assert effects(events) == ["gone: unrecorded"]
    assert answers(model)[0].startswith("error: It was done, and is not done again, but what came back cannot be recorded")
    assert "it is not done again" in answers(model)[1]
    assert CALLS["gone"] == 1


async def test_a_tool_cannot_hide_what_must_not_happen_twice() -> None:
    """A call of a tool marked `read` may be made again after a crash: an irreversible effect inside it is refused."""

    @tool
    def pay() -> str:
        CALLS["pay"] += 1
        return "paid"

    @tool(safety="read")
    async def look(ctx: StepContext) -> Any:
        return await ctx.tool(pay)

    @tool
    async def buy(ctx: StepContext) -> Any:
        return await ctx.tool(pay)

    _, _, model = await told(Pipeline("p").step("g", "Do", tools=[look, buy]), [("look", {}), ("buy", {})], "done")
    assert "The tool 'look' is marked read" in answers(model)[0]
    assert (answers(model)[1], CALLS["pay"]) == ("paid", 1)


async def test_a_tool_that_fails_again_and_again_is_left_alone() -> None:
    """The breaker counts the tool's own failures, not arguments that were wrong, and the model is told that it is open."""
    calls = [("broken", {"why": "a"}), ("broken", {}), ("broken", {"why": "b"}), ("broken", {"why": "c"})]
    pipeline = Pipeline("p", tools=[broken], breaker=BreakerPolicy(failures=2, seconds=60)).step("g", "Do")
    _, events, model = await told(pipeline, calls, "done")
    assert effects(events) == ["broken: error", "broken: arguments", "broken: error", "broken: circuit"]
    assert answers(model)[-1].startswith("error: The tool broken failed 2 times in a row and is left alone")
    assert CALLS["broken"] == 2


async def test_a_limit_of_a_tool_holds_over_steps_and_functions() -> None:
    """Only as many calls as the limit allows are under way at once, whoever makes them."""
    running: list[int] = []
    most = 0

    @tool
    async def busy(number: int) -> int:
        nonlocal most
        running.append(number)
        most = max(most, len(running))
        await asyncio.sleep(0.02)
        running.remove(number)
        return number

    async def many(ctx: StepContext) -> list[int]:
        return list(await asyncio.gather(*(ctx.tool("busy", number=number) for number in range(4))))

    pipeline = Pipeline("p", tools=[busy], limits={"tools": {"busy": {"concurrent": 1}}})
    pipeline.step("f", run=many, execution_mode="concurrent")
    pipeline.step("g", "Do", execution_mode="concurrent")
    result, _, _ = await told(pipeline, [("busy", {"number": 9}), ("busy", {"number": 8})], "done")
    assert (result.output("f"), result.output("g"), most) == ([0, 1, 2, 3], "done", 1)


async def test_a_retry_takes_what_an_irreversible_tool_did_for_good() -> None:
    """A new attempt asks the model anew; the same call of a tool that may not be repeated is taken from the attempt before."""

    @tool
    def pay(amount: int) -> str:
        CALLS["pay"] += 1
        return f"receipt {CALLS['pay']}"

    pipeline = Pipeline("p").step("g", "Do", tools=[pay], retry=AT_ONCE)
    calls = [("pay", {"amount": 3})]
    result, _, model = await told(pipeline, calls, ConnectionError("lost"), calls, "done")
    assert (result.output("g"), CALLS["pay"], answers(model)) == ("done", 1, ["receipt 1"])


async def test_what_a_tool_asks_of_its_context_is_part_of_its_call_and_paid_for() -> None:
    """Model calls inside a tool leave no events and count in the run's cost, also where the tool then fails; what needs the record
    is refused with a sentence. Sync tools use it without await.
    """

    @tool
    async def think(about: str, ctx: StepContext) -> Any:
        return [await ctx.model(about), ctx.step, await ctx.tool(note, text=about)]

    @tool
    def think_plainly(ctx: Any, about: str) -> Any:
        ctx.model(about)
        raise LookupError("in vain")

    @tool
    async def remember(ctx: StepContext) -> None:
        await ctx.memory.put("a", 1)

    @tool
    async def sends(ctx: StepContext) -> None:
        await ctx.tool(send, to="Ann")

    pipeline = Pipeline("p").step("g", "Do", tools=[think, think_plainly, remember, sends])
    calls = [("think", {"about": "bees"}), ("think_plainly", {"about": "ants"}), ("remember", {}), ("sends", {})]
    result, events, model = await told(pipeline, calls, "about bees", "about ants", "done")
    assert result.output("g") == "done"
    assert effects(events) == ['think: ["about bees","g","noted bees"]', "think_plainly: error", "remember: error", "sends: error"]
    assert answers(model)[1:3] == [
        "error: LookupError: in vain",
        "error: The tool 'remember' asks for memory 'put a', which only a step can; do that in a step.",
    ]
    assert answers(model)[3].startswith("error: The tool 'sends' asks for ask ")
    assert model.asked[1].params == {}
    assert result.total_cost == pytest.approx(0.04)
    assert result.token_usage["scripted"]["calls"] == 4


async def test_a_call_inside_a_tool_that_fails_is_caught_there_and_what_it_cost_is_paid() -> None:
    """A model that fails inside a tool raises as any effect does; a call that was metered counts. A function that was left behind
    by its timeout is refused what it asks from then on.
    """
    late: list[str] = []

    @tool
    async def careful(ctx: StepContext) -> str:
        try:
            return str(await ctx.model("x"))
        except EffectFailedError as error:
            return error.kind

    @tool(timeout=0.05, safety="read")
    def slow(ctx: Any) -> None:
        time.sleep(0.2)
        try:
            ctx.random()
        except Exception as error:
            late.append(f"{type(error).__name__}: {error}")

    failed = ModelError(ModelErrorKind.BAD_REPLY, "Cut off.", usage=Usage("scripted", 10, 0, 0.5))
    pipeline = Pipeline("p").step("g", "Do", tools=[careful, slow])
    async with engine_at(model="scripted") as engine:
        model = engine._models["scripted"] = Scripted([("careful", {}), ("slow", {})], failed, "done")
        run = await engine.start(pipeline)
        result = await engine.result(run)
        assert answers(model) == ["model.bad_reply", "error: 'slow' was not done within 0.05 s"]
        assert result.total_cost == pytest.approx(0.52)
        await until(lambda: late, "the thread went on")
    assert late == ["AttemptClosedError: the call of the tool 'slow' has ended; its effects are refused"]


async def test_a_function_calls_tools_by_itself_or_by_name() -> None:
    """`ctx.tool` validates, records and converts as a model's call does; a plain function works as one too, sync bodies without
    await. What may not be called or does not fit raises with a kind.
    """

    def double(x: int) -> int:
        return 2 * x

    async def body(ctx: StepContext) -> Any:
        found = [await ctx.tool("weather", place=Place(city="Rome"), days=2), await ctx.tool(double, x=4)]
        for name, arguments in (("destroy", {}), ("note", {"txt": "x"}), ("broken", {"why": "w"})):
            with pytest.raises(EffectFailedError) as caught:
                await ctx.tool(name, **arguments)
            found.append(caught.value.kind)
        with pytest.raises(EngineError, match="has no tool 'nte'; did you mean 'note'"):
            await ctx.tool("nte")
        with pytest.raises(EngineError, match="its parameter 'x' has no type"):
            await ctx.tool(untyped, x=1)
        return found

    def plain(ctx: Any) -> Any:
        return ctx.tool("note", text="plain")

    def untyped(x):  # type: ignore[no-untyped-def]
        return x

    pipeline = Pipeline("p", tools=[weather, destroy, note, broken]).step("f", run=body).step("s", run=plain, depends_on="f")
    result = await drive(pipeline)
    assert result.output("f") == [{"city": "Rome", "days": 2, "sky": "blue"}, 8, "denied", "arguments", "error"]
    assert result.output("s") == "noted plain"


async def test_items_added_steps_and_nested_pipelines_have_their_tools() -> None:
    """A goal for each item, a goal that is added at run time, and a pipeline inside one call the tools they name."""
    nested = Pipeline("inner", tools=[weather]).step("w", "Weather?")

    async def grow(ctx: StepContext) -> None:
        await ctx.add_step(PipelineStep("grown", "Grow", tools=[note], tools_filter=["note"]), before=["last"])
        with pytest.raises(EngineError, match="is the name of a tool there is already"):
            await ctx.add_step(PipelineStep("wrong", "Grow", tools=[weather]))

    pipeline = Pipeline("p", tools=[weather]).step("each", "Note ${{ item }}", for_each="[1, 2]", tools=[note], max_concurrent=1)
    pipeline.step("grow", run=grow, depends_on="each").step("last", pipeline=nested, depends_on="grow")
    calls = [[("note", {"text": "a"})], "a", [("note", {"text": "b"})], "b", [("note", {"text": "c"})], "c"]
    result, events, _ = await told(pipeline, *calls, [("weather", {"place": {"city": "Bonn"}})], "fine")
    assert result.success, result.summary
    assert result.output("each") == ["a", "b"]
    assert result.output("last") == "fine"
    assert effects(events) == ['note: "noted a"', 'note: "noted b"', 'note: "noted c"']
    assert CALLS["weather"] == 1


async def test_a_tool_that_hangs_is_cancelled_with_its_run(server: OpenAIServer) -> None:
    """Cancelling a run ends a call under way."""
    began = asyncio.Event()

    @tool
    async def hang() -> None:
        began.set()
        await asyncio.sleep(60)

    server.script(ToolCall("hang"))
    server.default = Hang()
    async with engine_at(api_base=server.base_url, api_key="key") as engine:
        run = await engine.start(Pipeline("p").step("g", "Do", tools=[hang]), model=f"openai/{MODEL}")
        await until(began.is_set, "the tool began")
        await engine.cancel(run)
        assert (await engine.result(run)).status == "cancelled"
