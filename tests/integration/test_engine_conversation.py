"""A growing conversation: every request can be read back whole, however it came about, and costs only what is new."""

import asyncio
import contextvars
from pathlib import Path
from typing import Any

import pytest

from engine import Pipeline, StepContext
from store.errors import ValueEncodingError
from store.events import EffectRequested, RunId
from store.log import Log
from tests.driving import Scripted, drive, engine_at, until


def spoken(monkeypatch: pytest.MonkeyPatch, *answers: str) -> Scripted:
    """A scripted model in the place of every other."""
    model = Scripted(*answers)
    monkeypatch.setattr("engine.engine.choose", lambda *_: model)
    return model


async def asked(log: Log, run: str) -> list[list[dict[str, Any]]]:
    """The messages of every recorded model request, oldest first, read from the store alone."""
    found = []
    for recorded in await log.events(RunId(run), types={"effect.requested"}):
        assert isinstance(recorded.event, EffectRequested)
        arguments = await log.value(recorded.event.arguments)
        found.append(await log.messages(arguments["messages"]["chain"]))
    return found


def said(*texts: str) -> list[dict[str, Any]]:
    return [{"role": "user", "content": text} for text in texts]


async def test_every_turn_of_a_conversation_reads_back_whole(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Each of thirty requests holds everything said before it, and the store each message once."""
    model = spoken(monkeypatch, *(f"answer {turn}" for turn in range(30)))

    async def body(ctx: StepContext) -> None:
        messages = []
        for turn in range(30):
            messages += said(f"question {turn}")
            messages.append({"role": "assistant", "content": await ctx.model(messages)})

    async with engine_at(tmp_path / "runs.db", model="any") as engine:
        run = await engine.start(Pipeline("p").step("x", run=body))
        assert (await engine.result(run)).success
        assert await asked(engine.log, run) == [request.messages for request in model.asked]
        assert [len(messages) for messages in await asked(engine.log, run)] == list(range(1, 60, 2))
        assert (await engine.log.reader.all("SELECT count(*) FROM blobs"))[0][0] < 130  # 59 messages, 59 links, the definition


async def test_a_message_that_cannot_be_kept_leaves_no_gap(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A body that catches the refusal of one message and goes on has a conversation that reads back whole."""
    spoken(monkeypatch, "one", "two")

    async def body(ctx: StepContext) -> None:
        await ctx.model(said("a"))
        with pytest.raises(ValueEncodingError):
            await ctx.model([*said("a", "b"), {"role": "user", "content": object()}])
        await ctx.model(said("a", "b", "c"))

    async with engine_at(tmp_path / "runs.db", model="any") as engine:
        run = await engine.start(Pipeline("p").step("x", run=body))
        assert (await engine.result(run)).success
        assert await asked(engine.log, run) == [said("a"), said("a", "b", "c")]


async def test_a_conversation_goes_on_whole_after_its_driver_stopped(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Driven again in another process's place, the new turns refer to messages that are in the store."""
    spoken(monkeypatch, "one", "two", "three")
    gate = asyncio.Event()
    reached: list[int] = []

    async def body(ctx: StepContext) -> None:
        messages = said("a")
        for turn, text in enumerate("bcd"):
            messages.append({"role": "assistant", "content": await ctx.model(messages)})
            messages += said(text)
            reached.append(turn)
            if turn == 1:
                await gate.wait()

    pipeline = Pipeline("p").step("x", run=body)
    async with engine_at(tmp_path / "runs.db", model="any") as engine:
        run = await engine.start(pipeline)
        await until(lambda: len(reached) == 2, "the second turn")
    gate.set()
    async with engine_at(tmp_path / "runs.db", model="any") as engine:
        await engine.resume(run, pipeline)
        assert (await engine.result(run)).success
        texts = [[message["content"] for message in messages] for messages in await asked(engine.log, run)]
    assert texts == [["a"], ["a", "one", "b"], ["a", "one", "b", "two", "c"]]


async def test_a_lone_steps_variables_do_not_reach_the_next(tmp_path: Path) -> None:
    """What a body sets in its context is gone when the step after it runs, though its outcome was taken in on the spot."""
    held: contextvars.ContextVar[str] = contextvars.ContextVar("held", default="nothing")

    async def first() -> str:
        held.set("something")
        return held.get()

    async def second() -> str:
        return held.get()

    result = await drive(Pipeline("p").step("a", run=first).step("b", run=second, depends_on="a"), tmp_path / "runs.db")
    assert result.step_outputs == {"a": "something", "b": "nothing"}
