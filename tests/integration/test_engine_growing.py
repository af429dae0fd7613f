"""Steps added, enabled and disabled by a running step: recorded, found again after a crash, refused where they do not fit."""

from pathlib import Path
from typing import Any

import pytest

from engine import Dep, Pipeline, PipelineStep, StepContext
from engine.bodies import bodies_of, with_added
from engine.definition import StepDefinition
from store import Lease
from store.events import Recorded, RunId, StepAdded
from tests.crashing import ROOT
from tests.driving import drive, engine_at, history, typed, until
from tests.pipelines.growing import behind, behind_time, growing, square, summed, twice, undo


async def test_added_steps_run_and_what_they_come_before_waits_for_them() -> None:
    """Three steps are added while one runs; the sum waits for all of them and is given their outputs."""
    result, events = await history(growing())
    assert (result.status, result.output("total")) == ("completed", 9 + 16 + 25)
    order = typed(events, "step.added", "step.started", "step.completed")
    assert order.index("step.started total") > max(order.index(f"step.completed square{n}") for n in range(3))
    assert order.count("step.added fan_out") == 3


async def test_added_steps_survive_a_crash(tmp_path: Path) -> None:
    """A driver that dies after it added steps: the next one knows them, adds none twice, and finds their functions by name."""
    pipeline = growing(str(tmp_path))
    async with engine_at(tmp_path / "runs.db") as engine:
        run = await engine.start(pipeline, max_concurrent_steps=1)
        await until(lambda: (tmp_path / "added").exists(), "the steps are added")
    (tmp_path / "go").touch()
    async with engine_at(tmp_path / "runs.db") as engine:
        await engine.resume(run, pipeline)
        result = await engine.result(run)
        events = await engine.events(run)
    assert (result.status, result.output("total")) == ("completed", 50)
    assert typed(events).count("step.added fan_out") == 3
    assert len(pipeline.steps) == 3


async def test_a_step_added_while_a_resume_waits_for_the_lease_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The driver that lets go in that moment has added one more: the resume reads what was added once it holds the lease."""

    async def waits(ctx: StepContext) -> None:
        await ctx.sleep(0.2)

    pipeline, added = Pipeline("p").step("waits", run=waits), PipelineStep("square", run=behind_time).define()
    async with engine_at(tmp_path / "runs.db") as engine:
        run = await engine.start(pipeline)
    async with engine_at(tmp_path / "runs.db") as engine:
        acquire = engine.log.acquire

        async def after_another(run: RunId, **options: Any) -> Lease:
            lease = await acquire(run, **options)
            state = await engine.log.state(run)
            event = StepAdded("square", added.to_json(), added.kind, [])
            await lease.commit([Recorded(state.version + 1, state.last_at, event, "waits", 1)])
            await lease.release()
            return await acquire(run, **options)

        monkeypatch.setattr(engine.log, "acquire", after_another)
        await engine.resume(run, pipeline)
        assert (await engine.result(run)).output("square") == "in time"


async def test_added_steps_have_all_their_functions() -> None:
    """A nested pipeline runs as a child, a reducer merges, and a compensation undoes when a later step fails."""

    async def grows(ctx: StepContext) -> int:
        for added in behind():
            await ctx.add_step(added, before=["fails"])
        return 1

    def fails() -> None:
        raise ValueError("too late")

    pipeline = Pipeline("p").step("one", run=lambda: 1).step("grows", run=grows).step("fails", run=fails, max_retries=0)
    pipeline.steps[-1].depends_on = ["grows"]
    result, events = await history(pipeline, model="offline")
    assert (result.status, result.output("nested"), result.output("merged")) == ("failed", 8, 9)
    assert result.step_metadata["undone/compensate"]["status"] == "completed"
    assert "step.completed undone/compensate" in typed(events)


def test_all_functions_of_added_steps_are_found_again_by_name() -> None:
    """Read back from the log in another process, body, reducer, compensation and those of nested pipelines are there."""
    read = [(StepDefinition.from_json(added.define().to_json()), []) for added in behind()]
    bodies = bodies_of([step for step, _ in read], with_added(Pipeline("p"), read, ROOT))
    assert bodies.functions == {"merged": summed, "undone/compensate": undo}
    assert bodies.nested["nested"].steps[0].run is twice


REFUSED: list[tuple[PipelineStep, list[str], str]] = [
    (PipelineStep("new", run=lambda: 1), [], "could not be found again after a crash"),
    (PipelineStep("new", run=square, compensate=lambda: 1), [], "steps.new.compensate: could not be found again after a crash"),
    (
        PipelineStep("new", execution_mode="parallel_merge", merge=lambda all: 1, depends_on="end"),
        [],
        "steps.new.merge: could not be",
    ),
    (
        PipelineStep("new", pipeline=Pipeline("in").step("x", run=lambda: 1)),
        [],
        "steps.new.pipeline.steps.x.run: could not be found again after a crash",
    ),
    (
        PipelineStep("new", pipeline=Pipeline("in").step("x", run=square, timeout=-1)),
        [],
        "steps.new.pipeline.steps.x.timeout: is -1; give seconds greater than 0",
    ),
    (PipelineStep("new", run=square, depends_on=["nobody"]), [], "there is no step 'nobody'"),
    (PipelineStep("new", run=square, depends_on=["end"]), ["end"], "would wait for itself"),
    (PipelineStep("new", run=square), ["first"], "cannot come before first, which has started"),
    (PipelineStep("new", run=square), ["edn"], "did you mean 'end'"),
    (PipelineStep("first", run=square), [], "is there already"),
    (PipelineStep("new", run=square, timeout=-1), [], "give seconds greater than 0"),
    (PipelineStep("a b", run=square), [], "is not a step name"),
]


@pytest.mark.parametrize(("added", "before", "said"), REFUSED, ids=[said for _, _, said in REFUSED])
async def test_a_step_that_does_not_fit_is_refused(added: PipelineStep, before: list[str], said: str) -> None:
    """The adding step fails once, without retries, with the sentence that says what is wrong."""

    async def first(ctx: StepContext) -> None:
        await ctx.add_step(added, before=before)

    result = await drive(Pipeline("p").step("first", run=first).step("end", run=lambda: 1, depends_on="first"))
    assert result.step_metadata["first"]["attempts"] == 1
    assert said in result.failures[0].message


async def test_a_disabled_step_is_skipped_and_what_needs_it_goes_on() -> None:
    """Disabled before its turn it is skipped with the reason; enabled again in time it runs; unknown names are refused."""

    async def chooses(ctx: StepContext) -> None:
        await ctx.disable("left")
        await ctx.disable("right")
        await ctx.enable("right")
        await ctx.enable("off")

    def after(ctx: Any) -> list[str]:
        return sorted(ctx.inputs)

    pipeline = (
        Pipeline("p")
        .step("chooses", run=chooses)
        .step("left", run=lambda: 1, depends_on="chooses")
        .step("right", run=lambda: 2, depends_on="chooses")
        .step("after", run=after, depends_on=["left", "right"])
        .step("propagates", run=lambda: 3, depends_on="chooses", condition="false", skip="propagate")
        .step("blocked", run=lambda: 4, depends_on="propagates")
        .step("softly", run=after, depends_on=[Dep("blocked", "soft")])
    )
    pipeline.step("off", run=lambda: 5, enabled=True)
    result = await drive(pipeline)
    held = {name: step["status"] for name, step in result.step_metadata.items()}
    assert (held["left"], result.step_metadata["left"]["reason"]) == ("skipped", "disabled by chooses")
    assert result.output("after") == ["right"]
    assert (held["propagates"], held["blocked"]) == ("skipped", "skipped")
    assert result.output("softly") == []
    assert result.status == "completed"


@pytest.mark.parametrize(
    ("added", "said"),
    [
        (PipelineStep("new", run=square, fallback="spare"), "'spare' stands in for 'risky' already"),
        (PipelineStep("new", run=square, fallback="left"), "'left' is a branch that 'fork' chooses"),
        (PipelineStep("new", switch={"left": "params.n > 1", "end": "otherwise"}), "is a branch of 'fork' too"),
    ],
    ids=["fallback", "branch", "switch"],
)
async def test_a_branch_or_a_fallback_belongs_to_one_step(added: PipelineStep, said: str) -> None:
    """What a definition is refused for is refused at run time too."""

    async def first(ctx: StepContext) -> None:
        await ctx.add_step(added)

    pipeline = Pipeline("p", params={"n": 1}).step("first", run=first).step("end", run=lambda: 1, depends_on="first")
    pipeline.step("fork", switch={"left": "params.n > 5", "right": "otherwise"}, depends_on="first")
    pipeline.step("left", run=lambda: 1).step("right", run=lambda: 2)
    pipeline.step("risky", run=lambda: 1, fallback="spare", depends_on="first").step("spare", run=lambda: 3)
    result = await drive(pipeline)
    assert said in result.failures[0].message
