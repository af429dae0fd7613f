"""Pipelines that grow while they run; the functions they add are found again by name, from any process."""

from pathlib import Path
from typing import Any

from engine import Pipeline, PipelineStep, StepContext


def square(ctx: Any, numbers: list[int]) -> int:
    """One number's square, by the number in the step's name."""
    return numbers[int(str(ctx.step).removeprefix("square"))] ** 2


def numbers() -> list[int]:
    """What there is to do, known only at run time."""
    return [3, 4, 5]


async def fan_out(ctx: StepContext, numbers: list[int], folder: str | None = None) -> int:
    """Add a step a number, each before the sum; waits for a file in the first life if there is a folder."""
    for place in range(len(numbers)):
        step = PipelineStep(f"square{place}", run=square, depends_on=["numbers"], execution_mode="concurrent")
        await ctx.add_step(step, before=["total"])
    if folder is not None and not (Path(folder) / "go").exists():
        (Path(folder) / "added").touch()
        await ctx.sleep(60)
    return len(numbers)


def total(ctx: Any) -> int:
    """The sum of what the added steps came to."""
    return sum(output for name, output in ctx.inputs.items() if name.startswith("square"))


def twice(value: int) -> int:
    """What a step in an added pipeline does."""
    return value * 2


def summed(outputs: list[int]) -> int:
    """How an added step merges."""
    return sum(outputs)


def undo(output: int, ctx: Any) -> None:
    """How an added step is undone."""
    ctx.log(f"undid {output}")


def behind() -> list[PipelineStep]:
    """Steps with each kind of function behind them: in a nested pipeline, a merge, a compensation."""
    nested = Pipeline("nested", params={"value": 1}).step("twice", run=twice)
    return [
        PipelineStep("nested", pipeline=nested, params={"value": 4}),
        PipelineStep("merged", execution_mode="parallel_merge", merge=summed, depends_on=["nested", "one"]),
        PipelineStep("undone", "Say it", compensate=undo, depends_on="merged"),
    ]


def growing(folder: str | None = None) -> Pipeline:
    """Numbers, a step that adds one for each, and their sum."""
    return (
        Pipeline("growing", params={"folder": folder})
        .step("numbers", run=numbers)
        .step("fan_out", run=fan_out, depends_on="numbers")
        .step("total", run=total, depends_on="fan_out")
    )


def behind_time() -> str:
    """The body of a step that is added late."""
    return "in time"
