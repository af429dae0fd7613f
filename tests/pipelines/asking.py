"""Pipelines that want somebody: an approval, a question, a budget; and groups, for the command line."""

from typing import Any

from engine import Pipeline, StepContext


def start() -> dict[str, Any]:
    return {"site": "acme", "pages": [1, 2, 3]}


def deploy(start: dict[str, Any]) -> str:
    return f"deployed {start['site']}"


def double(item: int) -> int:
    return item * 2


async def choose(ctx: StepContext) -> Any:
    return await ctx.ask("Which colour?", choices=["red", "blue"])


async def talk(ctx: StepContext) -> Any:
    return await ctx.ask("How many?")


def again() -> int:
    raise ValueError("not today")


approves = (
    Pipeline("approves", "Waits for a word")
    .step("start", run=start)
    .step("deploy", run=deploy, depends_on=["start"], approval="Deploy the site?", max_retries=0)
)
asks = Pipeline("asks").step("choose", run=choose).step("talk", run=talk, depends_on=["choose"])
groups = (
    Pipeline("groups")
    .step("start", run=start)
    .step("each", run=double, depends_on=["start"], for_each="steps.start.output.pages")
    .step("skipped", run=start, depends_on=["start"], condition="steps.start.output.site == 'other'")
)
fails = Pipeline("fails").step("start", run=start).step("again", run=again, depends_on=["start"], max_retries=0)
