"""Pipelines that are killed at every event: each effect leaves a line in a side file, so that a repeated one shows.

The side file is named by the environment (`WITNESS`), not by an argument, so that it is no part of any effect's identity.
"""

import asyncio
import json
import os
import random
import secrets
import time
from typing import Any

from engine import Dep, EffectFailedError, Pipeline, PipelineStep, RetryPolicy, StepContext, tool
from engine.definition import OTHERWISE

SOON = RetryPolicy(max_retries=2, backoff="fixed", delay=0.01, jitter=0.0)


def witness(step: str, attempt: int, name: str) -> str:
    """Leave a line, whole or not at all, and return the value in it, never given before."""
    value = secrets.token_hex(4)
    line = json.dumps({"step": step, "attempt": attempt, "name": name, "value": value}) + "\n"
    handle = os.open(os.environ["WITNESS"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        os.write(handle, line.encode())
    finally:
        os.close(handle)
    return value


def touch(step: str, attempt: int, name: str) -> str:
    """A plain function of the world, with a latency of its own; names that begin with `bad` fail after it happened."""
    time.sleep(random.choice([0.0, random.random() * 0.003]))
    value = witness(step, attempt, name)
    if name.startswith("bad"):
        raise OSError(name)
    return value


async def touch_async(step: str, attempt: int, name: str) -> str:
    """The same without a thread."""
    await asyncio.sleep(random.choice([0.0, random.random() * 0.003]))
    return witness(step, attempt, name)


async def ask(ctx: StepContext, name: str, **options: Any) -> Any:
    """One witnessed effect of an async body, by thread or not."""
    function = touch if sum(name.encode()) % 2 else touch_async
    return await ctx.once(name, function, place(ctx), ctx.attempt, name, **options)


def place(ctx: StepContext) -> str:
    """The step; in a child run with what its id adds to the caller's before it."""
    below = ctx.run_id.partition(".")[2]
    return f"{below}/{ctx.step}" if below else ctx.step


async def gathered(ctx: StepContext) -> Any:
    """Branches that ask twice each; the second question carries the first answer's branch, and a read that fails is caught."""

    async def branch(number: int) -> str:
        first = await ask(ctx, f"first {number}")
        try:
            await ask(ctx, f"bad {number}", safety="read")
        except EffectFailedError:
            await ask(ctx, f"second {number} {first}")
        return f"branch {number}"

    return await asyncio.gather(*(branch(number) for number in range(3)))


async def equal(ctx: StepContext) -> Any:
    """The same question in four branches; what each was told is confirmed by name, so that swapped answers show as new names."""

    async def branch(number: int) -> int:
        told = await ctx.once("same", touch_async, ctx.step, ctx.attempt, "same")
        await ask(ctx, f"confirm {number} {told}")
        return number

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(branch(number)) for number in range(4)]
    return sorted(task.result() for task in tasks)


async def raced(ctx: StepContext) -> Any:
    """The first of three wins, the others are cancelled."""
    tasks = [asyncio.ensure_future(ask(ctx, f"runner {number}")) for number in range(3)]
    _, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in pending:
        task.cancel()
    await asyncio.gather(*pending, return_exceptions=True)
    return await ask(ctx, "after the race") and "won"


def plain(ctx: Any) -> Any:
    """A sync body: effects one after another, lines, an artifact, time and chance."""
    print("plain begins")
    ctx.now(), ctx.random()
    told = [ctx.once(f"sync {number}", touch, ctx.step, ctx.attempt, f"sync {number}") for number in range(3)]
    ctx.log("plain has asked", count=len(told))
    ctx.artifact("plain.txt", "kept " * 500)
    ctx.sleep(0.002)
    return len(told)


async def flaky(ctx: StepContext) -> Any:
    """Fails once after an effect; the next attempt asks anew."""
    await ask(ctx, "try")
    if ctx.attempt == 1:
        raise ValueError("the first attempt fails")
    return ctx.attempt


async def pays(ctx: StepContext) -> Any:
    """An irreversible effect beside others."""

    async def pay() -> Any:
        return await ask(ctx, "pay", safety="irreversible")

    async def look(number: int) -> Any:
        return await ask(ctx, f"look {number}", safety="read")

    await asyncio.gather(look(1), pay(), look(2))
    return "paid"


def posts() -> str:
    """An irreversible body."""
    witness("posts", 1, "body")
    return "posted"


def bare() -> str:
    """A body without effects: at least once while in flight, never again once completed."""
    witness("bare", 1, "body")
    return "x" * 3000


def report(**_: Any) -> str:
    """The last step."""
    return "reported"


def small() -> Pipeline:
    """Every kind of body once."""
    pipeline = Pipeline("small")
    for body in (gathered, equal, raced, plain, pays, bare):
        pipeline.step(body.__name__, run=body, execution_mode="concurrent")
    pipeline.step("flaky", run=flaky, retry=SOON)
    pipeline.step("posts", run=posts, irreversible=True, depends_on=["bare"])
    pipeline.step("judge", "Say something about it", depends_on=["plain"])
    needs = ["gathered", "equal", "raced", "plain", "pays", "flaky", "posts", "judge"]
    return pipeline.step("report", run=report, depends_on=needs, final=True)


# -- pipelines inside


async def both(ctx: StepContext, depth: int) -> Any:
    """An effect of its own beside two children at once, of the same pipeline one deeper, or of a smaller one."""

    async def below(number: int) -> Any:
        return await ctx.child("self", {"depth": depth - 1}) if depth else await ctx.child(leaf(), {"number": number})

    told = await asyncio.gather(ask(ctx, f"beside {depth}"), below(0), below(1))
    return told[1:]


def posts_below(ctx: StepContext) -> str:
    """An irreversible body in a child run."""
    witness(place(ctx), 1, "body")
    return "posted"


async def leafs(ctx: StepContext, number: int) -> Any:
    """An effect, and a first attempt that fails after it."""
    await ask(ctx, f"leaf {number}")
    if ctx.attempt == 1:
        raise ValueError("the first attempt fails")
    return number


def leaf() -> Pipeline:
    """The smallest child."""
    pipeline = Pipeline("leaf").step("leafs", run=leafs, retry=SOON).step("posts", run=posts_below, irreversible=True)
    return pipeline.step("end", run=end, final=True)


def end(number: int) -> int:
    """What a leaf comes to."""
    return number


def nested() -> Pipeline:
    """Children of steps and of bodies, two calls deep."""
    small = Pipeline("mid", params={"depth": 0}).step("both", run=both)
    pipeline = Pipeline("nested").step("calls", pipeline=small, params={"depth": 1}, execution_mode="concurrent")
    pipeline.step("pays", run=pays, execution_mode="concurrent").step("flaky", run=flaky, retry=SOON)
    return pipeline.step("report", run=report, depends_on=["calls", "pays", "flaky"], final=True)


# -- sixty steps


async def busy(ctx: StepContext) -> Any:
    """Two to four effects together, then one, by the step's number."""
    number = int(ctx.step[1:])
    await asyncio.gather(*(ask(ctx, f"{ctx.step} {part}") for part in range(2 + number % 3)))
    if number % 7 == 3 and ctx.attempt == 1:
        raise OSError(f"{ctx.step} fails at first")
    await ask(ctx, f"{ctx.step} last")
    return number + sum(value for value in ctx.inputs.values() if isinstance(value, int))


def steady(ctx: Any) -> Any:
    """The same in a thread."""
    number = int(ctx.step[1:])
    ctx.once(f"{ctx.step} sync", touch, ctx.step, ctx.attempt, f"{ctx.step} sync")
    if number % 11 == 5 and ctx.attempt < 3:
        raise OSError(f"{ctx.step} fails twice")
    return number + sum(value for value in ctx.inputs.values() if isinstance(value, int))


def sixty() -> Pipeline:
    """Sixty steps in a graph drawn from a fixed seed, two thirds concurrent, a few that fail first."""
    drawn, pipeline = random.Random(60), Pipeline("sixty")
    for number in range(60):
        needs = drawn.sample(range(number), min(number, drawn.randint(0, 3))) if number else []
        pipeline.step(
            f"s{number}",
            run=steady if number % 3 == 0 else busy,
            depends_on=[f"s{need}" for need in sorted(needs)],
            execution_mode=drawn.choice(["serial", "concurrent", "concurrent"]),
            retry=SOON,
        )
    return pipeline


# -- every kind of step


async def lists(ctx: StepContext) -> Any:
    """What others go over."""
    await ask(ctx, "list")
    return {"items": [1, 2, 3], "n": 3}


async def item(ctx: StepContext, item: int, index: int) -> Any:
    """One item: an effect, for the first one an irreversible one; the second fails at first."""
    await ask(ctx, "item", safety="irreversible" if index == 0 else "idempotent")
    if index == 1 and ctx.attempt == 1:
        raise OSError("the second item fails at first")
    return item * 10


async def counts(ctx: StepContext, output: Any, iteration: int) -> Any:
    """One iteration: one more than the last."""
    await ask(ctx, "count")
    return {"n": iteration + 1 if output is None else output["n"] + 1}


async def asks(ctx: StepContext) -> str:
    """A step of one effect, that returns its name."""
    await ask(ctx, "ask")
    return ctx.step


async def breaks(ctx: StepContext) -> Any:
    """Fails for good after an effect."""
    await ask(ctx, "break")
    raise ValueError("it breaks")


async def adds(ctx: StepContext) -> str:
    """Adds a step that the last one then waits for."""
    await ask(ctx, "before adding")
    await ctx.add_step(PipelineStep("extra", run=asks, execution_mode="concurrent"), before=["last"])
    await ask(ctx, "after adding")
    return "added"


def ends(ctx: Any) -> list[str]:
    """What it was given, by name."""
    return sorted(ctx.inputs)


def full() -> Pipeline:
    """Groups, a loop, a switch, each type of dependency, two of three, a stand-in, a merge, and a step added at run time."""
    together: dict[str, Any] = {"execution_mode": "concurrent", "retry": SOON}
    data, validation = Dep("lists", "data", paths=("items",)), Dep("again", "validation", when="output.n > 2")
    return (
        Pipeline("full")
        .step("lists", run=lists)
        .step("each", run=item, depends_on=["lists"], for_each="steps.lists.output.items", max_concurrent=2, **together)
        .step("again", run=counts, depends_on=[data], while_="output.n < 3", **together)
        .step("chooses", switch={"left": "steps.lists.output.n == 3", "right": OTHERWISE}, depends_on=["lists"])
        .step("left", run=asks, **together)
        .step("right", run=asks, **together)
        .step("broken", run=breaks, fallback="standin", max_retries=0, execution_mode="concurrent")
        .step("standin", run=asks, **together)
        .step("rescued", run=asks, depends_on=["broken"], **together)
        .step("validated", run=asks, depends_on=[validation], condition="steps.lists.output.n > 1", **together)
        .step("two", run=asks, depends_on=["left", "standin", "again"], join=2, **together)
        .step("merged", merge="dict", depends_on=["left", "rescued"], execution_mode="parallel_merge")
        .step("adds", run=adds, **together)
        .step("last", run=ends, depends_on=["each", Dep("right", "soft"), "validated", "two", "merged", "adds"], final=True)
    )


async def undoes(ctx: StepContext, output: Any) -> str:
    """A compensation with an effect; fails at first for one of them."""
    await ask(ctx, f"undo {output}")
    if ctx.attempt == 1 and output == "second":
        raise OSError("it cannot be undone at first")
    return f"undid {output}"


def undone() -> Pipeline:
    """Two steps that are undone, last first, because the third fails."""
    pipeline = Pipeline("undone")
    for name in ("first", "second"):
        pipeline.step(name, run=asks, compensate=undoes)
    return pipeline.step("third", run=breaks, depends_on=["first", "second"], max_retries=0)


@tool
def pay(amount: int, ctx: Any) -> str:
    """An irreversible tool; what it asks of its context is part of its call."""
    return f"{amount} {witness(ctx.step, ctx.attempt, 'pay')} {ctx.random() < 1}"


@tool(safety="read", timeout=20)
async def look(number: int, ctx: StepContext) -> str:
    """A tool that only looks; the second one fails after it looked."""
    touched = await touch_async(ctx.step, ctx.attempt, "look")
    if number == 2:
        raise LookupError(touched)
    return touched


async def uses(ctx: StepContext) -> str:
    """Tools one after another and side by side, one that fails, arguments that do not fit, an irreversible one."""
    await ctx.tool("look", number=1)
    for arguments in ({"number": 2}, {"number": "three"}):
        try:
            await ctx.tool(look, **arguments)
        except EffectFailedError as error:
            ctx.log(error.kind)
    await asyncio.gather(ctx.tool("look", number=4), ctx.tool("pay", amount=5))
    return "used"


def tooled() -> Pipeline:
    """Function steps that call tools, one after the other."""
    return Pipeline("tooled", tools=[look, pay]).step("pays", run=uses).step("again", run=uses, depends_on="pays", retry=SOON)
