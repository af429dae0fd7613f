"""Triggers: signals that are gone when nobody waits for them, and signals that are kept until somebody does."""

from __future__ import annotations

from typing import Any

import engine.messaging
from engine import Pipeline, StepContext
from engine.messaging import Messaging
from tests.patterning import Mutation, Play, always, instead, pattern


def forgotten(right: Any, context: Messaging, to: str, body: Any, type: str = "data", **options: Any) -> Any:
    """A message that is gone when nobody waits for it."""
    return right(context, to, body, type, **{**options, "expires_in": 1e-9})


async def waiting(play: Play, kind: str) -> None:
    """Wait until the run waits for something of the world."""
    await play.until(lambda state: any(effect.kind == kind for effect in state.open.values()), f"that it waits ({kind})")


@pattern(23, Mutation("it is kept", engine.messaging, "_place", always("start")))
async def test_transient_trigger(play: Play) -> None:
    """A post that comes before somebody waits is lost, the next one is heard; wrong would be to keep it."""
    heard = []

    async def say(ctx: StepContext) -> None:
        await ctx.publish("go", await play.held(ctx))

    async def hear(ctx: StepContext) -> None:
        post = await ctx.wait_for("go")
        heard.append(None if post is None else post.body)

    step = {"execution_mode": "concurrent"}
    await play.start(
        Pipeline("transient")
        .step("early", run=say, **step)
        .step("hear", run=hear, **step, depends_on="early")
        .step("late", run=say, **step)
    )
    await play.end("early", output="too early")
    await waiting(play, "wait_for")
    await play.end("late", output="in time")
    assert sorted((await play.finish())[-3:]) == ["completed hear", "completed late", "run.completed"]
    assert heard == ["in time"]


@pattern(24, Mutation("it is gone when nobody waits", Messaging, "send", instead(forgotten)))
async def test_persistent_trigger(play: Play) -> None:
    """A message that comes before somebody waits is kept and heard once; wrong would be to lose it."""

    async def say(ctx: StepContext) -> None:
        await ctx.send(ctx.run_id, await play.held(ctx))

    async def hear(ctx: StepContext) -> None:
        await ctx.receive()

    await play.start(Pipeline("persistent").step("say", run=say).step("between", run=play.held).step("hear", run=hear))
    await play.end("say", output="early")
    await play.end("between")
    assert await play.finish() == [
        "started say", "completed say", "started between", "completed between", "started hear", "completed hear", "run.completed",
    ]  # fmt: skip
