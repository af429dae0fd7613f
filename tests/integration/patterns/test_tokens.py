"""Joins that are passed more than once in a run: branches send messages, which are kept, and a loop takes them in sets."""

from __future__ import annotations

from typing import Any

from engine import Pipeline, PipelineStep, StepContext
from engine.messaging import Messaging
from tests.patterning import Mutation, Play, about, instead, pattern


def whichever(right: Any, context: Messaging, type: Any = None, pattern: Any = None, timeout: Any = None, **wanted: Any) -> Any:
    """Receive a message, whatever it is about."""
    return right(context, type, None, timeout, **wanted)


ANY_MESSAGE = Mutation("whichever comes is taken", Messaging, "receive", instead(whichever))


def tokens(play: Play, join: Any, *names: str) -> Pipeline:
    """Steps `a1`, `a2`, `b1`, ... that each send a token of branch `a` or `b` when they end, and a join that is passed twice."""

    async def branch(ctx: StepContext) -> None:
        await play.held(ctx)
        await ctx.send(ctx.run_id, "token", topic=ctx.step[0])

    pipeline = Pipeline("tokens").step("join", run=join, execution_mode="concurrent", while_="iteration < 2")
    for name in names:
        pipeline.step(name, run=branch, execution_mode="concurrent")
    return pipeline


def collecting(play: Play, branches: str, needed: int) -> Any:
    """A join that starts what follows with the token of the `needed`-th branch, and begins anew once all have come."""

    async def join(ctx: StepContext, iteration: int) -> None:
        missing = branches
        while missing:
            token = await ctx.receive(pattern=f"[{missing}]")
            missing = missing.replace(token.topic if token else "", "")
            if len(branches) - len(missing) == needed:
                await ctx.add_step(PipelineStep(f"fire_{iteration}", run=play.held, execution_mode="concurrent"))

    return join


@pattern(28, ANY_MESSAGE)
async def test_blocking_discriminator(play: Play) -> None:
    """The first token starts what follows, the next only once all branches have sent one; wrong would be to use up early ones."""
    await play.start(tokens(play, collecting(play, "ab", 1), "a1", "a2", "a3", "b1", "b2"))
    await play.end("a1", "fire_0", "a2", "a3", "b1", "fire_1", "b2")
    assert about(await play.finish(), "a1", "a2", "a3", "b1", "b2", "fire_0", "fire_1")[5:] == [
        "completed a1", "started fire_0", "completed fire_0", "completed a2", "completed a3", "completed b1", "started fire_1",
        "completed fire_1", "completed b2",
    ]  # fmt: skip


@pattern(31, ANY_MESSAGE)
async def test_blocking_partial_join(play: Play) -> None:
    """Tokens of two branches start what follows, the next two once the third has come; wrong would be to use up early ones."""
    await play.start(tokens(play, collecting(play, "abc", 2), "a1", "b1", "a2", "b2", "a3", "c1", "c2"))
    await play.end("a1", "b1", "fire_0", "a2", "b2", "a3", "c1", "fire_1", "c2")
    assert about(await play.finish(), "a1", "b1", "a2", "b2", "a3", "c1", "c2", "fire_0", "fire_1")[7:] == [
        "completed a1", "completed b1", "started fire_0", "completed fire_0", "completed a2", "completed b2", "completed a3",
        "completed c1", "started fire_1", "completed fire_1", "completed c2",
    ]  # fmt: skip


@pattern(33, ANY_MESSAGE)
async def test_generalised_and_join(play: Play) -> None:
    """The join is passed once for each set of a token of every branch; wrong would be to take two of the same branch."""

    async def join(ctx: StepContext) -> None:
        await ctx.receive(pattern="a")
        await ctx.receive(pattern="b")

    await play.start(tokens(play, join, "a1", "a2", "b1", "b2"))
    await play.end("a1", "a2", "b1")
    await play.settled("join[0]")
    await play.end("b2")
    assert about(await play.finish(), "a1", "a2", "b1", "b2", "join[0]", "join[1]")[5:] == [
        "completed a1", "completed a2", "completed b1", "completed join[0]", "started join[1]", "completed b2", "completed join[1]",
    ]  # fmt: skip
