"""Runs with tools in time travel: forks take what tools returned, changed tools are called anew, edits and policies reach them."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest

from engine import Engine, EngineError, Pipeline, PipelineValidationError, StepContext, tool
from engine.models.port import ModelReply, ModelRequest
from store.events import Usage
from tests.driving import engine_at

CALLS: Counter[str] = Counter()


class Agent:
    """A model that calls what its goal names (`call NAME TEXT; ...`), one after another, and then says what it was told."""

    def __init__(self) -> None:
        self.asked = 0

    async def complete(self, request: ModelRequest) -> ModelReply:
        self.asked += 1
        goal = request.messages[1]["content"].partition("\n")[0].removeprefix("Goal: ")
        wanted = [word.split(" ", 2)[1:] for word in goal.split("; ") if word.startswith("call ")]
        heard = [message["content"] for message in request.messages if message["role"] == "tool"]
        offered = [one["function"]["name"] for one in request.params.get("tools", ())]
        left = [one for one in wanted if one[0] in offered][len(heard) :]
        usage = Usage("agent", 10, 5, 0.01)
        if not left:
            return ModelReply(" + ".join(heard) or "nothing", usage)
        call = {"id": f"call_{len(heard)}", "name": left[0][0], "arguments": json.dumps({"text": left[0][1]})}
        return ModelReply("", usage, finish_reason="tool_calls", tool_calls=[call])

    async def aclose(self) -> None:
        """Nothing is open."""


def look(text: str) -> str:
    """Look something up."""
    CALLS["look"] += 1
    return f"saw {text} ({CALLS['look']})"


def pay(text: str) -> str:
    """Pay."""
    CALLS["pay"] += 1
    return f"paid {text} ({CALLS['pay']})"


LOOK, PAY = tool(safety="read")(look), tool(pay)


def other_look(answer: str) -> Any:
    """`look` with another text."""

    def look(text: str) -> str:
        """Look something up."""
        CALLS["look"] += 1
        return f"{answer} {text}"

    look.__module__, look.__qualname__ = LOOK.__module__, LOOK.__qualname__
    return tool(safety="read")(look)


def pure_look() -> Any:
    """`look` with another safety."""

    def look(text: str) -> str:
        """Look something up."""
        return text

    return tool(safety="pure")(look)


def other_pay() -> Any:
    def pay(text: str) -> str:
        """Pay."""
        CALLS["pay"] += 1
        return f"paid otherwise {text}"

    pay.__module__, pay.__qualname__ = PAY.__module__, PAY.__qualname__
    return pay


def shop(*tools: Any, goal: str = "call look price; call pay bill", **options: Any) -> Pipeline:
    pipeline = Pipeline("shop", tools=tools or (LOOK, PAY)).step("buy", goal, **options)
    return pipeline.step("other", "call nothing now", tools_filter=[]).step("tell", run=tell, depends_on="buy")


def tell(buy: str) -> str:
    CALLS["tell"] += 1
    return buy.upper()


@pytest.fixture(autouse=True)
def _counted() -> None:
    CALLS.clear()


def opened(agent: Agent, engine: Engine) -> Engine:
    engine._models["agent"] = agent
    return engine


async def finished(engine: Engine, pipeline: Pipeline) -> str:
    run = await engine.start(pipeline, model="agent")
    await engine.wait(run)
    return str(run)


async def output(engine: Engine, run: str, step: str = "buy") -> Any:
    await engine.wait(run)
    return (await engine.result(run)).output(step)


async def test_a_fork_takes_what_tools_returned_at_every_event() -> None:
    """Wherever it is forked, inside the loop of a goal too, no model and no tool is asked again, and it verifies."""
    async with engine_at() as engine:
        agent = Agent()
        run = await finished(opened(agent, engine), shop())
        assert await output(engine, run) == "saw price (1) + paid bill (1)"
        asked, head = agent.asked, await engine.log.head(run)
        for version in range(2, head + 1):
            fork = await engine.fork(run, version, pipeline=shop())
            assert await output(engine, fork) == "saw price (1) + paid bill (1)", version
            assert (await engine.verify(fork, shop())).divergence is None
        assert (agent.asked, CALLS["look"], CALLS["pay"]) == (asked, 1, 1)


async def test_a_fork_with_another_filter_runs_the_step_and_what_depends_on_it() -> None:
    """`tools_filter` is an edit: the step asks again without the tool, others stay; one that fits nothing is refused."""
    async with engine_at() as engine:
        agent = Agent()
        run = await finished(opened(agent, engine), shop())
        fork = await engine.fork(run, None, {"buy.tools_filter": ["look"]}, pipeline=shop())
        assert await output(engine, fork) == "saw price (1)"
        assert await output(engine, fork, "tell") == "SAW PRICE (1)"
        assert CALLS == {"look": 1, "pay": 1, "tell": 2}
        assert (await engine.verify(fork, shop())).divergence is None
        with pytest.raises(PipelineValidationError, match="did you mean 'look'"):
            await engine.fork(run, None, {"buy.tools_filter": ["lok"]}, pipeline=shop())
        with pytest.raises(EngineError, match="cannot be set"):
            await engine.fork(run, None, {"buy.tools": []}, pipeline=shop())


async def test_a_changed_result_of_a_tool_is_edited_in() -> None:
    """`effects.N.value` of a tool's call: the model goes on from another result, the call after it is taken, as its
    arguments are the same.
    """
    async with engine_at() as engine:
        run = await finished(opened(Agent(), engine), shop())
        requests = await engine.events(run, types={"effect.requested"})
        version = next(item.version for item in requests if item.event.name == "look")
        fork = await engine.fork(run, None, {f"effects.{version}.value": "edited"}, pipeline=shop())
        assert await output(engine, fork) == "edited + paid bill (1)"
        assert CALLS == {"look": 1, "pay": 1, "tell": 2}


async def test_policies_name_tools() -> None:
    """`policy.tool:NAME` calls it anew, stands in for it, or refuses what is not recorded, which then ends the step."""
    async with engine_at() as engine:
        run = await finished(opened(Agent(), engine), shop())
        live = await engine.fork(run, None, {"policy.tool:look": "live"}, pipeline=shop())
        assert await output(engine, live) == "saw price (2) + paid bill (1)"
        stub = await engine.fork(run, None, {"policy.tool:*": {"stub": "stubbed"}}, pipeline=shop())
        assert await output(engine, stub) == "stubbed + stubbed"
        edits = {"policy.tool": "recorded", "buy.goal": "call look elsewhere"}
        fork = await engine.fork(run, None, edits, pipeline=shop())
        await engine.wait(fork)
        assert (await engine.result(fork)).failures[0].kind == "not_recorded"
        assert CALLS["look"] == 2


@pytest.mark.parametrize("answer", ["do it", "leave it"])
async def test_a_fork_asks_before_an_irreversible_tool_is_called_with_other_arguments(answer: str) -> None:
    """What its past does not have is asked first; left undone the model is told so."""
    async with engine_at() as engine:
        run = await finished(opened(Agent(), engine), shop())
        edits = {"buy.goal": "call pay more"}
        fork = await engine.fork(run, None, edits, pipeline=shop())
        assert await engine.wait(fork) == "waiting"
        await engine.answer(fork, answer)
        await engine.resume(fork, shop())
        said = await output(engine, fork)
        assert said == (
            "paid more (2)" if answer == "do it" else "error: somebody decided that tool 'pay' is not done in this fork"
        )
        assert CALLS["pay"] == 1 + (answer == "do it")
        assert (await engine.verify(fork, shop())).divergence is None


async def test_a_tool_that_asks_anyway_asks_once_in_a_fork() -> None:
    """A person who has agreed to the exact arguments is not asked a second time because it is a fork, and not after a crash."""

    @tool(permission="ask", name="pay")
    def pay_asking(text: str) -> str:
        """Pay."""
        return pay(text)

    async with engine_at() as engine:
        run = await opened(Agent(), engine).start(shop(LOOK, pay_asking), model="agent")
        assert await engine.wait(run) == "waiting"
        await engine.answer(run, "do it")
        await engine.resume(run, shop(LOOK, pay_asking))
        assert await output(engine, run) == "saw price (1) + paid bill (1)"
        head = await engine.log.head(run)
        fork = await engine.fork(run, None, {"buy.goal": "call pay more"}, pipeline=shop(LOOK, pay_asking))
        assert await engine.wait(fork) == "waiting"
        await engine.answer(fork, "do it")
        await engine.resume(fork, shop(LOOK, pay_asking))
        assert await output(engine, fork) == "paid more (2)"
        asked = [item for item in await engine.events(fork, after=head, types={"effect.requested"}) if item.event.kind == "ask"]
        assert [item.event.name for item in asked] == ["""Shall the tool 'pay' be called with {"text":"more"}?"""]
        assert (await engine.verify(fork, shop(LOOK, pay_asking))).divergence is None
        assert CALLS["pay"] == 2


async def test_a_changed_tool_is_called_anew_when_its_pipeline_is_run_again() -> None:
    """`reuse` runs the steps that may use a tool whose text changed: that tool is called, the others are taken; an irreversible one
    asks first. Steps that cannot use it stay.
    """
    async with engine_at() as engine:
        agent = Agent()
        run = await finished(opened(agent, engine), shop())
        changed = shop(other_look("now"), PAY)
        again = await engine.reuse(run, changed, model="agent")
        assert await output(engine, again) == "now price + paid bill (1)"
        assert CALLS == {"look": 2, "pay": 1, "tell": 2}
        reused = [item.step for item in await engine.events(again, types={"step.reused"})]
        assert reused == ["other"]
        assert (await engine.verify(again, changed)).divergence is None
        careful = await engine.reuse(run, shop(LOOK, other_pay()), model="agent")
        assert await engine.wait(careful) == "waiting"
        assert CALLS["pay"] == 1


async def test_a_tool_of_a_function_that_changed_reaches_only_bodies_with_a_context() -> None:
    """A function that is given no context can call no tool, so it is reused."""

    async def asks(ctx: StepContext) -> Any:
        return await ctx.tool("look", text="by hand")

    def made(*tools: Any) -> Pipeline:
        return Pipeline("p", tools=tools).step("asks", run=asks).step("blind", run=lambda: CALLS.update(["blind"]))

    async with engine_at() as engine:
        run = await finished(engine, made(LOOK))
        again = await engine.reuse(run, made(other_look("now")))
        assert await output(engine, again, "asks") == "now by hand"
        assert CALLS == {"look": 2, "blind": 1}


async def test_a_run_is_resumed_with_a_changed_tool_only_when_somebody_says_how() -> None:
    """Another safety is another definition: the resume says what changed; another text alone is a note in the log."""

    async def waits(ctx: StepContext) -> Any:
        return await ctx.ask("Go on?")

    def made(look: Any) -> Pipeline:
        return Pipeline("p", tools=[look]).step("ask", run=waits).step("buy", "call look price", depends_on="ask")

    async with engine_at() as engine:
        run = await finished(opened(Agent(), engine), made(LOOK))
        await engine.answer(run, "yes")
        without = Pipeline("p").step("ask", run=waits).step("buy", "call look price", depends_on="ask")
        with pytest.raises(EngineError, match="another tools"):
            await engine.resume(run, made(pure_look()))
        with pytest.raises(EngineError, match=r"the functions of tools.look are gone"):
            await engine.resume(run, without, on_change="recorded")
        await engine.resume(run, made(other_look("newly")))
        assert await output(engine, run) == "newly price"
        lines = [item.event.text for item in await engine.events(run, types={"log.written"})]
        assert any("buy" in line for line in lines), lines


async def test_verify_tells_what_a_changed_tool_set_would_ask() -> None:
    """A definition proves with the tools it had; no tool is called."""
    async with engine_at() as engine:
        run = await finished(opened(Agent(), engine), shop())
        found = await engine.verify(run, shop())
        assert (found.divergence, found.notes, found.attempts) == (None, [], 3)
        assert CALLS == {"look": 1, "pay": 1, "tell": 2}
