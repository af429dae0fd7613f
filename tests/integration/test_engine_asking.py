"""Asking models that fail: left alone, timed out, and others asked instead, end to end."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from engine import BreakerPolicy, CircuitOpenError, EffectFailedError, Pipeline, PipelineValidationError, RetryPolicy, StepContext
from engine.definition import Dep
from engine.models.errors import ModelError, ModelErrorKind
from engine.models.port import ModelReply, ModelRequest
from tests.driving import Scripted, engine_at, typed

AT_ONCE = RetryPolicy(max_retries=5, delay=0.0, jitter=0.0)


def down(kind: ModelErrorKind = ModelErrorKind.UNAVAILABLE, retry_after: float | None = None) -> ModelError:
    """A call that failed."""
    return ModelError(kind, f"The model is {kind.value}.", retry_after=retry_after)


class Hanging(Scripted):
    """Never answers."""

    async def complete(self, request: ModelRequest) -> ModelReply:
        self.asked.append(request)
        await asyncio.sleep(60)
        raise AssertionError("it answered")


async def ask(pipeline: Pipeline, models: dict[str, Any], **settings: Any) -> tuple[Any, list[Any]]:
    """A run with these models, the first one configured; its result and events."""
    async with engine_at(model=next(iter(models)), **settings) as engine:
        engine._models.update(models)
        run = await engine.start(pipeline)
        return await engine.result(run), list(await engine.events(run))


def asked(events: list[Any]) -> list[str]:
    """Which models were asked, in order, and what became of it."""
    outcomes = {item.event.request: item.event for item in events if item.event.type in ("effect.succeeded", "effect.failed")}
    requests = [item for item in events if item.event.type == "effect.requested" and item.event.kind == "model"]
    words = [getattr(getattr(outcomes[item.version], "failure", None), "kind", "answered") for item in requests]
    return [f"{item.event.name} {word}" for item, word in zip(requests, words, strict=True)]


async def test_a_model_that_fails_again_and_again_is_left_alone_and_tried_once_later() -> None:
    """After two failures in a row the third call is not made; the step waits for the time left and then gets its answer."""
    model = Scripted(down(), down(), "well again")
    pipeline = Pipeline("p", breaker=BreakerPolicy(failures=2, seconds=1.0)).step("g", "Go", retry=AT_ONCE)
    result, events = await ask(pipeline, {"m": model})
    assert result.output("g") == "well again"
    assert len(model.asked) == 3
    assert asked(events) == ["m model.unavailable", "m model.unavailable", "m circuit", "m answered"]
    failed = [item for item in events if item.event.type == "step.failed"]
    started = [item.at for item in events if item.event.type == "step.started"]
    assert 0.0 < failed[2].event.failure.retry_after <= 1.0
    opened = [item.at for item in events if item.event.type == "effect.failed"][1]  # a little before its step had failed of it
    assert started[3] - opened >= 1.0


async def test_waiting_for_a_model_that_is_left_alone_uses_up_no_retry() -> None:
    """A step with two retries that waits for the breaker twice fails only of its third real call; all of it is recorded."""
    model = Scripted(down(), down(), down())
    pipeline = Pipeline("p", breaker=BreakerPolicy(failures=1, seconds=0.7)).step("g", "Go", retry=RetryPolicy(2, delay=0.0))
    result, events = await ask(pipeline, {"m": model})
    assert (result.status, len(model.asked)) == ("failed", 3)
    assert asked(events) == ["m model.unavailable", "m circuit", "m model.unavailable", "m circuit", "m model.unavailable"]
    dues = [item.event.due - item.at for item in events if item.event.type == "step.retry_scheduled"]
    assert [due > 0.0 for due in dues] == [False, True, False, True]


@pytest.mark.parametrize("options", [{"total_timeout": 5.0}, {"max_retries": 0}], ids=str)
async def test_nothing_waits_for_a_breaker_longer_than_it_may(options: dict[str, Any]) -> None:
    """A step without that much time left, or without retries, fails at once of the breaker that another step's call opened."""
    pipeline = Pipeline("p", breaker=BreakerPolicy(failures=1, seconds=60)).step("first", "Go", max_retries=0)
    result, events = await ask(pipeline.step("second", "Go", **options), {"m": Scripted(down())})
    assert [(failure.step, failure.kind) for failure in result.failures] == [("first", "model.unavailable"), ("second", "circuit")]
    assert typed(events, "step.retry_scheduled") == []


async def test_steps_that_wait_for_one_trial_keep_their_retries() -> None:
    """Of three steps with one retry each whose model is down, two wait while one tries it and again while its answer is due."""
    model = Scripted(down(), "one", "two", "three")
    pipeline = Pipeline("p", breaker=BreakerPolicy(failures=1, seconds=0.7))
    pipeline.step("opens", "Go", max_retries=0)
    for name in ("a", "b", "c"):
        retry = RetryPolicy(1, delay=0.0)
        pipeline.step(name, "Go", execution_mode="concurrent", depends_on=[Dep("opens", "soft")], retry=retry)
    result, _ = await ask(pipeline, {"m": model})
    assert [result.step_metadata[name]["status"] for name in ("a", "b", "c")] == ["completed"] * 3


async def test_a_body_is_told_that_a_model_is_left_alone() -> None:
    """The refusal is a `CircuitOpenError` with the time left, in the sentence too; by the settings a breaker can be put off."""
    told = []

    async def body(ctx: StepContext) -> None:
        for _ in range(3):
            try:
                await ctx.model("Go")
            except EffectFailedError as error:
                told.append(error)

    await ask(Pipeline("p").step("g", run=body), {"m": Scripted(down(), down())}, breaker=BreakerPolicy(2, 50))
    assert [isinstance(error, CircuitOpenError) for error in told] == [False, False, True]
    assert str(told[2]) == "The model m failed 2 times in a row and is left alone; it is tried again in 50 s."
    assert told[2].retry_after is not None
    assert 49 < told[2].retry_after <= 50
    told.clear()
    await ask(Pipeline("p").step("g", run=body), {"m": Scripted(*(down() for _ in range(3)))}, breaker={"failures": 0})
    assert [error.kind for error in told] == ["model.unavailable"] * 3


KINDS = [ModelErrorKind.UNAVAILABLE, ModelErrorKind.RATE_LIMIT, ModelErrorKind.TIMEOUT, ModelErrorKind.UNKNOWN_MODEL]


@pytest.mark.parametrize("kind", KINDS)
async def test_where_a_model_cannot_answer_the_next_one_is_asked(kind: ModelErrorKind) -> None:
    """Each ask is an effect of its own with its own price; the log says why the next was asked, and the step does not fail."""
    models = {"first": Scripted(down(kind)), "second": Scripted(down(kind)), "third": Scripted("an answer")}
    result, events = await ask(Pipeline("p").step("g", "Go"), models, fallback_models=["second", "third"])
    assert result.output("g") == "an answer"
    assert asked(events) == [f"first model.{kind.value}", f"second model.{kind.value}", "third answered"]
    assert typed(events, "step.failed") == []
    assert set(result.token_usage) == {"third"}
    said = [item.event.text for item in events if item.event.type == "log.written"]
    assert said[0] == f"The model is {kind.value}. second is asked instead."


@pytest.mark.parametrize("kind", [ModelErrorKind.BAD_REQUEST, ModelErrorKind.AUTH, ModelErrorKind.BAD_REPLY])
async def test_what_would_fail_elsewhere_too_is_not_asked_elsewhere(kind: ModelErrorKind) -> None:
    """A wrong request, a missing key and an answer that is none fail the call."""
    models = {"first": Scripted(down(kind)), "second": Scripted("an answer")}
    result, events = await ask(Pipeline("p").step("g", "Go", fallback_models="second", max_retries=0), models)
    assert not result.success
    assert asked(events) == [f"first model.{kind.value}"]


async def test_a_model_that_is_left_alone_is_passed_over() -> None:
    """An open breaker makes the next model answer at once, for a step's own fallbacks before the run's."""
    models = {"first": Scripted(down(), down()), "second": Scripted("a", "b", "c"), "other": Scripted()}
    pipeline = Pipeline("p")
    for name in "abc":
        pipeline.step(name, "Go", fallback_models=["second"])
    result, events = await ask(pipeline, models, fallback_models=["other"], breaker=BreakerPolicy(2, 60))
    assert [result.output(name) for name in "abc"] == ["a", "b", "c"]
    down_twice = ["first model.unavailable", "second answered"] * 2
    assert asked(events) == [*down_twice, "first circuit", "second answered"]


async def test_a_repair_is_asked_of_the_model_that_answered() -> None:
    """The model whose answer does not fit is the one that repairs it."""
    models = {"first": Scripted(down()), "second": Scripted("no json", '{"n": 1}')}
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    result, events = await ask(Pipeline("p").step("g", "Go", output_schema=schema), models, fallback_models=["second"])
    assert result.output("g") == {"n": 1}
    assert asked(events) == ["first model.unavailable", "second answered", "second answered"]


async def test_a_resumed_attempt_takes_the_same_way(tmp_path: Path) -> None:
    """An attempt that fell back before its driver died gets the failure and the answer from the record and asks nobody again."""
    pipeline = Pipeline("p")

    async def body(ctx: StepContext) -> Any:
        answer = await ctx.model("Go", model="first")
        await ctx.sleep(0.3)
        return answer

    pipeline.step("g", run=body, fallback_models=["second"])
    async with engine_at(tmp_path / "runs.db") as engine:
        engine._models.update({"first": Scripted(down()), "second": Scripted("an answer")})
        run = await engine.start(pipeline)
        async for batch in engine.follow(run):
            if any(item.event.type == "effect.requested" and item.event.kind == "sleep" for item in batch):
                break
    async with engine_at(tmp_path / "runs.db") as engine:
        engine._models.update({"first": Scripted("now it would"), "second": Scripted()})
        await engine.resume(run, pipeline)
        result = await engine.result(run)
        assert result.output("g") == "an answer"
        events = list(await engine.events(run))
    assert asked(events) == ["first model.unavailable", "second answered"]
    assert len([item for item in events if item.event.type == "log.written"]) == 1


@pytest.mark.parametrize("settings", [{"model_timeout": 0.1}, {}], ids=["setting", "call"])
async def test_a_call_out_of_time_is_a_failure_the_body_may_catch(settings: dict[str, Any]) -> None:
    """By the call's own timeout or the setting, a model that hangs is stopped, and the failure says so."""
    told = []

    async def body(ctx: StepContext) -> str:
        try:
            await ctx.model("Go", timeout=None if settings else 0.1)
        except EffectFailedError as error:
            told.append((error.kind, error.retryable, str(error)))
        return "went on"

    result, events = await ask(Pipeline("p").step("g", run=body), {"m": Hanging()}, **settings)
    assert result.output("g") == "went on"
    sentence = "The model m did not answer in time (0.1 s); raise model_timeout, or check that the server is well."
    assert told == [("model.timeout", True, sentence)]
    assert asked(events) == ["m model.timeout"]


async def test_a_fallback_nobody_knows_is_refused_before_anything_runs() -> None:
    """A misspelt fallback model of a goal step is told when the run is started, with the step."""
    async with engine_at(model="offline") as engine:
        with pytest.raises(PipelineValidationError, match=r"steps.g.*No provider is known for the model gpt-nonsense"):
            await engine.start(Pipeline("p").step("g", "Go", fallback_models=["gpt-nonsense"]))
