"""Goal steps end to end: what the model is told, what becomes of its answers and its failures, and what they cost."""

import math
from typing import Any

import pydantic
import pytest

from engine import Engine, Pipeline, PipelineValidationError, RetryPolicy, StepContext
from engine.models.errors import ModelError, ModelErrorKind
from store.events import Usage
from tests.driving import Scripted, engine_at, typed

AT_ONCE = RetryPolicy(max_retries=2, delay=0.0, jitter=0.0)


class Score(pydantic.BaseModel):
    score: float
    why: str


async def ask(pipeline: Pipeline, model: Scripted, **params: Any) -> tuple[Any, list[Any]]:
    """A run with the scripted model; its result and events."""
    async with engine_at(model="scripted") as engine:
        engine._models["scripted"] = model
        run = await engine.start(pipeline, params)
        return await engine.result(run), list(await engine.events(run))


async def test_a_goal_step_asks_once_with_all_it_depends_on() -> None:
    """The prompt has the goal, the params and the dependencies' outputs; the rules have the pipeline and its constraints; the
    answer is the output.
    """
    model = Scripted("It is good.")
    pipeline = (
        Pipeline("study", "To learn", params={"topic": "bees"})
        .constraint("Be brief")
        .step("facts", run=lambda: {"count": 3})
        .step("other", run=lambda: "not needed")
        .step("judge", "Judge the facts", depends_on="facts", constraints=["No poetry"])
    )
    result, events = await ask(pipeline, model)
    assert result.output("judge") == "It is good."
    (request,) = model.asked
    system, user = (message["content"] for message in request.messages)
    assert all(text in system for text in ("'judge'", "'study'", "To learn", "- Be brief", "- No poetry"))
    assert all(text in user for text in ("Goal: Judge the facts", '"topic":"bees"', "Output of step 'facts':\n{\"count\":3}"))
    assert "not needed" not in user
    assert typed(events, "effect.requested", "effect.succeeded") == ["effect.requested judge", "effect.succeeded judge"]
    assert (result.total_cost, result.token_usage["scripted"]["calls"]) == (0.01, 1)
    assert result.cost_per_step["judge"] == 0.01


async def test_values_that_json_has_no_word_for_reach_the_prompt() -> None:
    """NaN, bytes, large integers and lone surrogates in inputs do not stop a goal step."""
    model = Scripted("fine")
    value = {"nan": math.nan, "bytes": b"\x00", "big": 2**100, "lone": "\ud800"}
    result, _ = await ask(Pipeline("p").step("odd", run=lambda: value).step("g", "Look", depends_on="odd"), model)
    assert result.success, result.summary


async def test_long_inputs_are_cut_and_it_is_said() -> None:
    """An input past the limit is cut in the prompt, with a mark there and a line in the log."""
    model = Scripted("fine")
    pipeline = Pipeline("p").step("long", run=lambda: "x" * 100_000).step("g", "Look", depends_on="long")
    _, events = await ask(pipeline, model)
    assert "[cut: 76000 of 100000 characters left out]" in model.asked[0].messages[1]["content"]
    assert [e.event.text for e in events if e.event.type == "log.written"] == ["long: 100000 characters of context cut to 24000"]


async def test_an_output_schema_gives_a_value_of_its_shape() -> None:
    """The answer is parsed, also out of a code fence, and `output(step, Model)` gives the user's own type."""
    model = Scripted('```json\n{"score": 4.5, "why": "solid"}\n```')
    result, _ = await ask(Pipeline("p").step("g", "Judge", output_schema=Score), model)
    assert result.output("g", Score) == Score(score=4.5, why="solid")
    assert "JSON Schema" in model.asked[0].messages[0]["content"]


async def test_an_answer_that_does_not_fit_is_repaired_once() -> None:
    """The second request carries the wrong answer and what was wrong with it; both calls are recorded and paid."""
    model = Scripted('{"score": "high"}', '{"score": 4, "why": "ok"}')
    result, events = await ask(Pipeline("p").step("g", "Judge", output_schema=Score), model)
    assert result.output("g") == {"score": 4, "why": "ok"}
    assert len(model.asked) == 2
    assert '{"score": "high"}' in str(model.asked[1].messages)
    assert len(typed(events, "effect.succeeded")) == 2
    assert result.total_cost == pytest.approx(0.02)


async def test_an_answer_that_is_wrong_twice_fails_the_attempt_and_a_retry_asks_anew() -> None:
    """After one repair the attempt fails with kind output; the next attempt starts over and may do better."""
    model = Scripted("nonsense", "more nonsense", '{"score": 1, "why": "third"}')
    result, events = await ask(Pipeline("p").step("g", "Judge", output_schema=Score, retry=AT_ONCE), model)
    assert result.output("g", Score).why == "third"
    assert [e.event.failure.kind for e in events if e.event.type == "step.failed"] == ["output"]


async def test_a_rate_limit_is_waited_out_as_the_server_says() -> None:
    """A 429 with Retry-After is retried after that time although the policy says at once; its words are in the history."""
    model = Scripted(ModelError(ModelErrorKind.RATE_LIMIT, "Slow down.", retry_after=0.2), "fine")
    result, events = await ask(Pipeline("p").step("g", "Say", retry=AT_ONCE), model)
    assert result.success
    failed = next(e for e in events if e.event.type == "step.failed")
    due = next(e for e in events if e.event.type == "step.retry_scheduled").event.due
    assert (failed.event.failure.kind, failed.event.failure.message) == ("model.rate_limit", "Slow down.")
    assert due - failed.at == pytest.approx(0.2)


async def test_an_error_that_will_not_go_away_is_not_retried() -> None:
    """A wrong key or an unknown model fails the step at once, with the model's sentence."""
    model = Scripted(ModelError(ModelErrorKind.AUTH, "The key is wrong; check TAGENT_API_KEY."))
    result, _ = await ask(Pipeline("p").step("g", "Say", retry=AT_ONCE), model)
    assert (result.failures[0].kind, result.failures[0].attempts) == ("model.auth", 1)
    assert result.failures[0].message == "The key is wrong; check TAGENT_API_KEY."


async def test_a_paid_failure_is_counted() -> None:
    """A call that failed but was metered adds its cost to the run's."""
    usage = Usage("scripted", 100, 0, 0.5)
    model = Scripted(ModelError(ModelErrorKind.BAD_REPLY, "Cut off.", usage=usage), "fine")
    result, _ = await ask(Pipeline("p").step("g", "Say", retry=AT_ONCE), model)
    assert result.total_cost == pytest.approx(0.51)


async def test_an_unknown_price_is_not_zero() -> None:
    """One call without a price makes the total unknown, not smaller."""
    result, _ = await ask(Pipeline("p").step("a", "Say").step("b", "Say"), Scripted("x", "y", cost=None))
    assert result.total_cost is None


async def test_a_body_may_ask_a_model_itself() -> None:
    """`ctx.model` takes text or messages, a schema, a model by name and parameters, and is one effect a call."""
    model = Scripted("one", '{"score": 1, "why": "w"}')

    async def body(ctx: StepContext) -> Any:
        first = await ctx.model("hello", system="be kind", temperature=0.5)
        return [first, await ctx.model([{"role": "user", "content": "and?"}], schema=Score, model="scripted")]

    result, _ = await ask(Pipeline("p").step("x", run=body), model)
    assert result.final_output == ["one", {"score": 1, "why": "w"}]
    assert model.asked[0].params == {"temperature": 0.5}
    assert model.asked[0].messages == [{"role": "system", "content": "be kind"}, {"role": "user", "content": "hello"}]


async def test_a_sync_body_may_ask_a_model_too() -> None:
    """The same without await."""

    def body(ctx: Any) -> Any:
        return ctx.model("hello")

    result, _ = await ask(Pipeline("p").step("x", run=body), Scripted("one"))
    assert result.final_output == "one"


async def test_asking_without_a_configured_model_is_refused() -> None:
    """A goal step with no model is refused before anything is recorded, with the ways to configure one; a body's `ctx.model`
    fails its step with the same advice; nothing is simulated unasked.
    """

    async def body(ctx: StepContext) -> Any:
        return await ctx.model("hello")

    async with engine_at() as engine:
        with pytest.raises(PipelineValidationError, match=r"no model is configured; give --model NAME .*TAGENT_MODEL.* --offline"):
            await engine.start(Pipeline("p").step("g", "Say"))
        assert await engine.runs() == []
        result = await engine.result(await engine.start(Pipeline("p").step("x", run=body, max_retries=0)))
        assert "none is configured; give --model NAME or --offline" in result.failures[0].message


async def test_offline_answers_are_labelled() -> None:
    """The offline model is used when named, and the run, the step and the text say that it was simulated."""
    async with engine_at() as engine:
        pipeline = Pipeline("p").step("g", "Say").step("h", run=lambda ctx: ctx.simulated("g"), depends_on="g")
        result = await engine.result(await engine.start(pipeline, model="offline"))
    assert result.simulated
    assert result.output("g").startswith("[simulated]")
    assert result.output("h") is True
    assert result.step_metadata["g"]["simulated"]
    assert not result.step_metadata["h"]["simulated"]
    assert result.total_cost == 0.0


async def test_a_model_without_its_key_is_refused_before_anything_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a provider would refuse unasked, a missing key or an unknown model, is a validation error that names its step."""
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("TAGENT_API_KEY", raising=False)
    pipeline = Pipeline("keyless").step("first", "Say hi", model="gpt-4o-mini").step("second", "Say hi", model="nonsense/model")
    async with Engine(":memory:") as engine:
        with pytest.raises(PipelineValidationError) as caught:
            await engine.start(pipeline)
        assert await engine.runs() == []
    assert [problem.where for problem in caught.value.problems] == ["steps.first", "steps.second"]
    assert "OPENAI_API_KEY" in str(caught.value)
