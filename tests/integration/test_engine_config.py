"""How models are asked: what a step, its pipeline and the settings say of it, at a server, in forks, in children, restarted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from engine import Engine, EngineError, ModelConfig, Pipeline, PipelineValidationError, StepContext, TAgentConfig, run_pipeline
from engine.config import ConfigError
from tests.driving import Scripted, engine_at
from tests.integration.openai_server import OpenAIServer, openai_server

MODEL = "openai/gpt-4o-mini"
ASKED = ("temperature", "top_p", "max_tokens", "stop", "reasoning_effort", "top_k")


def params_of(server: OpenAIServer) -> list[dict[str, Any]]:
    """What of a configuration each request carried."""
    return [{name: request.body[name] for name in ASKED if name in request.body} for request in server.requests]


async def finished(engine: Engine, pipeline: Pipeline) -> str:
    run = await engine.start(pipeline)
    await engine.wait(run)
    assert (await engine.result(run)).status == "completed"
    return str(run)


async def test_a_step_stands_before_its_pipeline_and_that_before_the_settings() -> None:
    """Each says what it says, the rest is as around it; parameters of a call itself stand before all of them."""

    async def calls(ctx: StepContext) -> Any:
        return await ctx.model("Go", temperature=0.9)

    pipeline = (
        Pipeline("p", config={"temperature": 0.5, "model_params": {"user": "p"}})
        .step("plain", "Go")
        .step("own", "Go", config=ModelConfig(temperature=0, stop=("END",), model_params={"seed": 3}), depends_on="plain")
        .step("calls", run=calls, depends_on="own")
    )
    with openai_server() as server:
        async with engine_at(api_base=server.base_url, api_key="key", model=MODEL, max_tokens=77, top_p=0.5) as engine:
            await finished(engine, pipeline)
    around = {"max_tokens": 77, "top_p": 0.5}
    assert params_of(server) == [
        {"temperature": 0.5, **around},
        {"temperature": 0.0, "stop": ["END"], **around},
        {"temperature": 0.9, **around},
    ]
    assert [request.body.get("user") for request in server.requests] == ["p", "p", "p"]


async def test_a_child_is_asked_as_the_step_that_calls_it_unless_it_says_otherwise() -> None:
    """What stands around a nested pipeline holds in it too, its own word before it."""
    inner = Pipeline("inner", config={"top_p": 0.2}).step("asks", "Go")
    pipeline = Pipeline("outer", config={"max_tokens": 50, "top_p": 0.9}).step("calls", pipeline=inner, config={"temperature": 1})
    model = Scripted("one")
    async with engine_at(model="m") as engine:
        engine._models["m"] = model
        await finished(engine, pipeline)
    assert [request.params for request in model.asked] == [{"temperature": 1.0, "top_p": 0.2, "max_tokens": 50}]


async def test_how_long_a_call_may_take_is_the_steps_word() -> None:
    """`model_timeout` of a step stands before the setting."""
    model = Scripted("one", "two")
    pipeline = Pipeline("p").step("a", "Go", config={"model_timeout": 7}).step("b", "Go", depends_on="a")
    async with engine_at(model="m", model_timeout=50) as engine:
        engine._models["m"] = model
        await finished(engine, pipeline)
    assert [request.timeout for request in model.asked] == [7.0, 50.0]


async def test_the_settings_a_run_began_with_stay_its_own(tmp_path: Path) -> None:
    """Whoever drives it on under other settings asks as before: the recorded calls stay the same calls."""
    pipeline = Pipeline("p").step("a", "Go").step("b", "Go on", depends_on="a")
    first, second = Scripted("one"), Scripted("two")
    async with engine_at(tmp_path / "runs.db", model="m", temperature=0.1) as engine:
        engine._models["m"] = first
        run = await engine.start(pipeline)
        await engine.pause(run)
        await engine.wait(run)
    async with engine_at(tmp_path / "runs.db", model="m", temperature=0.7) as engine:
        engine._models["m"] = second
        await engine.resume(run, pipeline)
        assert (await engine.result(run)).status == "completed"
    assert {request.params["temperature"] for request in (*first.asked, *second.asked)} == {0.1}


async def test_a_fork_with_another_temperature_pays_for_the_step_and_what_depends_on_it() -> None:
    """One value of a field is edited by its own name; undone again, nothing is asked."""
    pipeline = (
        Pipeline("p")
        .step("a", "Go", config={"temperature": 0, "max_tokens": 9})
        .step("b", "Go on", depends_on="a")
        .step("c", "Go elsewhere")
    )
    with openai_server() as server:
        async with engine_at(api_base=server.base_url, api_key="key", model=MODEL) as engine:
            run = await finished(engine, pipeline)
            assert server.count == 3
            fork = await engine.fork(run, None, {"a.config.temperature": 0.8}, pipeline=pipeline)
            assert (await engine.result(fork)).status == "completed"
            assert params_of(server)[3:] == [{"temperature": 0.8, "max_tokens": 9}]  # and b is given the same answer: it is taken
            (edit,) = [item.event for item in await engine.events(fork, types={"edit.applied"})]
            assert (edit.target, bytes(edit.value.json), bytes(edit.before.json)) == ("a.config.temperature", b"0.8", b"0.0")
            assert (await engine.verify(fork, pipeline)).divergence is None
            undone = await engine.fork(fork, None, {"a.config.temperature": 0}, pipeline=pipeline)
            assert (await engine.result(undone)).step_outputs == (await engine.result(run)).step_outputs
            assert server.count == 4


async def test_a_fork_that_asks_otherwise_asks_in_child_runs_too() -> None:
    """Another model, or another temperature of the step that calls a pipeline, pays for the goals in it; no edit, for none."""
    inner = Pipeline("inner").step("one", "Say one").step("two", "Say two", depends_on="one")
    pipeline = Pipeline("outer").step("kid", pipeline=inner, config={"temperature": 0.1})
    with openai_server() as server:
        async with engine_at(api_base=server.base_url, api_key="key", model=MODEL) as engine:
            run = await finished(engine, pipeline)
            for edits in ({"kid.config.temperature": 0.7}, {"model": "openai/gpt-4o"}):
                before = server.count
                fork = await engine.fork(run, None, edits, pipeline=pipeline)
                assert (await engine.result(fork)).status == "completed"
                assert server.count == before + 2, edits
                assert (await engine.verify(fork, pipeline)).divergence is None
            assert [one["temperature"] for one in params_of(server)] == [0.1, 0.1, 0.7, 0.7, 0.1, 0.1]
            await engine.result(await engine.fork(run, 1, pipeline=pipeline))
            assert server.count == 6


@pytest.mark.parametrize(
    ("target", "value", "said"),
    [
        ("a.config.temprature", 1, "there is no 'temprature' in it; did you mean 'temperature'?"),
        ("a.config.temperature", 9, "config.temperature: is 9.0; give a number from 0 to 2"),
        ("a.config", {"max_tokens": "x"}, "expected `int | null`, got `str`"),
        ("a.retry", {"max_retires": 1}, "there is no 'max_retires' in it; did you mean 'max_retries'?"),
        ("a.goal.text", "x", "a.goal.text cannot be 'x'"),
    ],
)
async def test_an_edit_that_would_change_nothing_is_refused(target: str, value: Any, said: str) -> None:
    """A misspelt or unfit value of a field is told with its place, before a fork is made."""
    pipeline = Pipeline("p").step("a", "Go")
    async with engine_at(model="offline") as engine:
        run = await finished(engine, pipeline)
        with pytest.raises(EngineError) as refused:
            await engine.fork(run, None, {target: value}, pipeline=pipeline)
        assert said in str(refused.value)
        assert len(await engine.runs()) == 1


async def test_a_script_that_gives_no_settings_has_those_of_its_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment before `./tagent.toml`, and what the call says before both; what is wrong there is told as anywhere."""
    (tmp_path / "tagent.toml").write_text('model = "offline"\nmax_concurrent_steps = 2\n')
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TAGENT_MAX_CONCURRENT_STEPS", "3")
    async with Engine(":memory:", tee=False) as engine:
        assert (engine.config.model, engine.config.max_concurrent_steps) == ("offline", 3)
    asked = Pipeline("p").step("g", "Say it")
    assert (await run_pipeline(asked, db=":memory:")).simulated
    with pytest.raises(PipelineValidationError, match="no model is configured"):
        await run_pipeline(asked, TAgentConfig(), db=":memory:")
    monkeypatch.setenv("TAGENT_MAX_CONCURRENT_STEPS", "many")
    with pytest.raises(ConfigError, match="TAGENT_MAX_CONCURRENT_STEPS has to be"):
        await run_pipeline(asked, db=":memory:")
