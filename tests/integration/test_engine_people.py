"""Steps that wait for people: approvals and questions, answered from any process, with time limits, over restarts."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from engine import CommandRefusedError, Pipeline, StepContext
from engine.definition import Approval
from tests.driving import engine_at, typed, until


def one() -> int:
    return 1


def deploying(**approval: Any) -> Pipeline:
    """A step that wants a word before it starts, beside one that does not, and one after it."""
    return (
        Pipeline("deploying")
        .step("build", run=one)
        .step("deploy", run=one, depends_on="build", approval=Approval("Deploy it?", **approval))
        .step("beside", run=one, execution_mode="concurrent")
        .step("report", run=one, depends_on="deploy")
    )


async def test_an_approval_is_asked_for_when_the_step_could_start_and_let_through_once_given(tmp_path: Path) -> None:
    """The run rests, waiting; approved with no driver alive it is recorded by who approves, and a resume goes on."""
    async with engine_at(tmp_path / "runs.db") as engine:
        run = await engine.start(deploying())
        assert await engine.wait(run) == "waiting"
        assert (await engine.result(run)).status == "waiting"
        with pytest.raises(CommandRefusedError, match="only deploy waits for approval"):
            await engine.approve(run, "build")
        assert "recorded here" in await engine.approve(run, note="looked at it")
        await engine.resume(run, deploying())
        assert (await engine.result(run)).success
        said = typed(await engine.events(run), "approval.requested", "approval.given", "step.started")
        assert said.index("approval.requested deploy") < said.index("approval.given deploy") < said.index("step.started deploy")
        with pytest.raises(CommandRefusedError, match="nothing left to approve"):
            await engine.approve(run)


async def test_a_rejected_step_fails_and_what_needs_it_is_skipped() -> None:
    """Rejected it never starts, is not tried again, and the note says why; a fallback may stand in for it."""
    async with engine_at() as engine:
        pipeline = deploying()
        pipeline.steps[1].fallback = "instead"
        pipeline.step("instead", run=one)
        for chosen, status, report in ((deploying(), "failed", "skipped"), (pipeline, "completed", "completed")):
            run = await engine.start(chosen)
            await engine.wait(run)
            await engine.approve(run, approved=False, note="not on a Friday")
            if status == "completed":
                await engine.resume(run, chosen)
            result = await engine.result(run)
            assert (result.status, result.step_metadata["report"]["status"]) == (status, report)
            assert result.step_metadata["deploy"]["reason"] == "rejected: not on a Friday"
            assert "step.started deploy" not in typed(await engine.events(run))


@pytest.mark.parametrize(("default", "status"), [("approve", "completed"), ("reject", "failed")])
async def test_without_an_answer_in_time_the_default_holds(default: str, status: str) -> None:
    """The driver stays for the time limit, then does what the definition says for silence."""
    async with engine_at() as engine:
        run = await engine.start(deploying(timeout=0.05, default=default))
        assert await engine.wait(run) is None
        assert (await engine.result(run)).status == status
        assert "approval.expired deploy" in typed(await engine.events(run))


async def asks(ctx: StepContext) -> Any:
    """Asks twice; the second question hangs on the first answer."""
    colour = await ctx.ask("Which colour?", choices=["red", "blue"])
    return colour, await ctx.ask(f"How much {colour}?")


async def test_questions_are_answered_one_by_one_over_restarts(tmp_path: Path) -> None:
    """Each question parks the run; the body goes on with the recorded answers and asks nothing twice."""
    pipeline = Pipeline("asking").step("asks", run=asks)
    async with engine_at(tmp_path / "runs.db") as engine:
        run = await engine.start(pipeline)
        assert await engine.wait(run) == "waiting"
        await engine.answer(run, "red")
    async with engine_at(tmp_path / "runs.db") as engine:
        await engine.resume(run, pipeline)
        assert await engine.wait(run) == "waiting"
        await engine.answer(run, {"litres": 3}, "asks")
        await engine.resume(run, pipeline)
        result = await engine.result(run)
        asked = [e.event.name for e in await engine.events(run) if e.event.type == "effect.requested"]
    assert result.output("asks") == ["red", {"litres": 3}]
    assert asked == ["Which colour?", "How much red?"]


async def test_an_answer_that_is_none_of_the_choices_is_refused() -> None:
    """What is not among the choices is refused with them, and the question stays open."""
    async with engine_at() as engine:
        run = await engine.start(Pipeline("asking").step("asks", run=asks))
        await engine.wait(run)
        with pytest.raises(CommandRefusedError, match="red, blue"):
            await engine.answer(run, "green")
        await engine.answer(run, "blue")


async def test_an_answer_is_compared_as_it_is_written() -> None:
    """True is not the choice 1, which Python takes for equal."""

    async def counts(ctx: StepContext) -> Any:
        return await ctx.ask("How many?", choices=[1, 2])

    async with engine_at() as engine:
        run = await engine.start(Pipeline("asking").step("counts", run=counts))
        await engine.wait(run)
        with pytest.raises(CommandRefusedError, match="1, 2"):
            await engine.answer(run, True)
        await engine.answer(run, 1)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"choices": []}, "has no choices"),
        ({"timeout": 0}, "has the timeout 0"),
        ({"timeout": float("nan")}, "has the timeout nan"),
        ({"choices": ["a"], "timeout": 9, "default": "b"}, "has the default 'b', which is none of its choices"),
    ],
)
async def test_a_question_that_cannot_be_answered_is_not_asked(options: dict[str, Any], said: str) -> None:
    """It fails its step at once, in a sentence, and nobody is asked."""

    async def misasks(ctx: StepContext) -> Any:
        return await ctx.ask("Well?", **options)

    async with engine_at() as engine:
        run = await engine.start(Pipeline("asking").step("misasks", run=misasks, max_retries=0))
        await engine.wait(run)
        assert said in (await engine.result(run)).failures[0].message
        assert not [e for e in await engine.events(run) if e.event.type == "effect.requested"]


async def test_a_live_driver_is_told_the_answer() -> None:
    """While another step runs the driver lives; the answer reaches the body without a restart."""
    gate = asyncio.Event()

    async def beside() -> None:
        await gate.wait()

    async def both(ctx: StepContext) -> Any:
        answer = await ctx.ask("Go on?")
        gate.set()
        return answer

    pipeline = Pipeline("p").step("both", run=both).step("beside", run=beside, execution_mode="concurrent")
    async with engine_at() as engine:
        run = await engine.start(pipeline)

        async def asked() -> bool:
            return any(effect.kind == "ask" for effect in (await engine.view(run)).open.values())

        await until(asked, "the question")
        await engine.answer(run, True)
        result = await engine.result(run)
        assert (result.status, result.output("both")) == ("completed", True)
        assert typed(await engine.events(run)).count("run.attached") == 1


async def test_a_question_without_an_answer_in_time_has_its_default() -> None:
    """The wait is counted from when it was first asked."""

    async def asks_briefly(ctx: StepContext) -> Any:
        return await ctx.ask("Anybody?", timeout=0.05, default="nobody")

    async with engine_at() as engine:
        run = await engine.start(Pipeline("p").step("asks", run=asks_briefly))
        result = await engine.result(run)
    assert (result.status, result.output("asks")) == ("completed", "nobody")


async def test_answers_nobody_waits_for_are_refused() -> None:
    """No question, an unknown step, and a run that ended are told apart."""
    gate = asyncio.Event()

    async def waits() -> None:
        await gate.wait()

    async with engine_at() as engine:
        run = await engine.start(Pipeline("p").step("waits", run=waits))
        with pytest.raises(CommandRefusedError, match="No step of the run has a question open"):
            await engine.answer(run, 1)
        with pytest.raises(CommandRefusedError, match="No step of the run waits for approval"):
            await engine.approve(run)
        gate.set()
        await engine.wait(run)
