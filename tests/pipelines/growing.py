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


def growing(folder: str | None = None) -> Pipeline:
    """Numbers, a step that adds one for each, and their sum."""
    return (
        Pipeline("growing", params={"folder": folder})
        .step("numbers", run=numbers)
        .step("fan_out", run=fan_out, depends_on="numbers")
        .step("total", run=total, depends_on="fan_out")
    )
