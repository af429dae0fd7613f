"""Pipelines that remember and talk, for tests that run and kill real processes over one store."""

from __future__ import annotations

from typing import Any

from engine import Pipeline, StepContext

SENT = 250


async def tell(ctx: StepContext, to: str, count: int) -> str:
    """Number messages from 0."""
    for number in range(count):
        await ctx.send(to, number)
    return ctx.run_id


async def gather(ctx: StepContext, role: str, count: int) -> list[list[Any]]:
    """Receive so many, and keep sender and body in order."""
    await ctx.offer(role)
    found = []
    for _ in range(count):
        message = await ctx.receive(timeout=60)
        found.append(None if message is None else [message.sender, message.body])
    return found


async def count_up(ctx: StepContext, times: int) -> int:
    """Add one to a shared number so often, by compare-and-set; how often somebody else was first."""
    space, lost = ctx.space("counter"), 0
    for _ in range(times):
        while True:
            held = await space.look("n")
            if await space.compare_and_set("n", held.version, (held.value or 0) + 1) is not None:
                break
            lost += 1
    return lost


async def everything(ctx: StepContext) -> dict[str, Any]:
    """One of each effect that leaves the run, and what it brought."""
    space = ctx.space("board")
    await ctx.offer("talker")
    sent = [await ctx.send("talker", number, topic="self", priority=number) for number in range(3)]
    versions = [await space.put("a", number) for number in range(2)]
    swapped = await space.compare_and_set("a", versions[-1], "swapped")
    await ctx.memory.put("total", 3)
    post = await ctx.publish("said", {"by": "everything"})
    kept = await ctx.remember("talking is recorded", tags=["test"])
    heard = [await ctx.receive(pattern="self") for _ in range(3)]
    seen = await ctx.wait_for("said", after="start")
    return {
        "sent": len(set(sent)), "versions": versions, "swapped": swapped, "total": await ctx.memory.get("total"), "post": post,
        "kept": kept, "heard": [message and message.body for message in heard], "seen": seen and seen.body,
        "gone": await space.delete("a"), "keys": await space.keys(),
    }  # fmt: skip


def teller(to: str = "gatherer", count: int = SENT) -> Pipeline:
    """Sends."""
    return Pipeline("teller", params={"to": to, "count": count}).step("tell", run=tell, max_retries=0)


def gatherer(role: str = "gatherer", count: int = 4 * SENT) -> Pipeline:
    """Receives."""
    return Pipeline("gatherer", params={"role": role, "count": count}).step("gather", run=gather, max_retries=0)


def counter(times: int = 100) -> Pipeline:
    """Counts."""
    return Pipeline("counter", params={"times": times}).step("count_up", run=count_up, max_retries=0)


def talker() -> Pipeline:
    """Does everything once."""
    return Pipeline("talker").step("everything", run=everything, max_retries=0)
