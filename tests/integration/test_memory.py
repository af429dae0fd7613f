"""What runs remember: their own memory, shared spaces, posts, and memories that outlive them."""

from __future__ import annotations

import asyncio
import itertools
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from engine import Pipeline, StepContext
from store import Log
from store.errors import LeaseLostError
from store.events import RunId
from store.memories import Memories
from store.spaces import Spaces
from store.streams import Author
from tests.driving import drive, engine_at
from tests.pipelines.talking import counter
from tests.stores import ME, branch, lead


def one(body: Any, name: str = "one") -> Pipeline:
    """A pipeline of one step, tried once."""
    return Pipeline(name).step("step", run=body, max_retries=0)


async def test_a_runs_memory_is_seen_by_its_later_steps_only(tmp_path: Path) -> None:
    """What a step puts later steps get, in its last value, of any plain kind; another run has a memory of its own."""
    hostile = {"nan": float("nan"), "half": "\ud800", "bytes": b"\x00", "big": ["x" * 3000]}

    async def first(ctx: StepContext) -> None:
        await ctx.memory.put("a", 1)
        await ctx.memory.put("a", hostile)
        await ctx.memory.put("b", None)
        await ctx.memory.put("c", 1)
        await ctx.memory.delete("c")

    async def second(ctx: StepContext) -> Any:
        found = await ctx.memory.get("a")
        assert repr(sorted(found.items())) == repr(sorted(hostile.items()))
        return [await ctx.memory.keys(), await ctx.memory.get("b", "default"), await ctx.memory.get("c", "gone")]

    async def other(ctx: StepContext) -> Any:
        return await ctx.memory.keys()

    result = await drive(Pipeline("p").step("first", run=first).step("second", run=second), tmp_path / "runs.db")
    assert result.failures == []
    assert result.output("second") == [["a", "b"], None, "gone"]
    assert (await drive(one(other), tmp_path / "runs.db")).final_output == []


async def test_memory_is_a_fold_of_the_log(tmp_path: Path) -> None:
    """The state at any event says what the memory held then, also scrubbing back, and a fork begins with it."""

    async def step(ctx: StepContext) -> None:
        await ctx.memory.put("a", 1)
        await ctx.memory.put("b", 2)
        await ctx.memory.put("a", 3)
        await ctx.memory.delete("b")
        await ctx.offer("role")

    async with engine_at(tmp_path / "runs.db") as engine:
        run = await engine.start(one(step))
        assert (await engine.result(run)).success
        head = (await engine.view(run)).version
        states = [await engine.view(run, at) for at in range(1, head + 1)]
        history = engine.log.history(run)
        await history.seek(head)
        for at in range(head, 0, -1):
            state = await history.seek(at)
            assert (state.memory, state.roles) == (states[at - 1].memory, states[at - 1].roles)
        forked = await branch(engine.log, "fork", run, head - 3, head)
        state = await engine.view("fork")
        assert (state.memory, state.roles) == (states[head - 4].memory, states[head - 4].roles)
        await forked.release()
    seen = [keys for keys, _ in itertools.groupby(sorted(state.memory) for state in states)]
    assert seen == [[], ["a"], ["a", "b"], ["a"]]
    assert states[-1].roles == ["role"]


async def test_sharing_puts_a_value_where_the_other_run_sees_it() -> None:
    """`share` is found by the target under its key, and by nobody else."""

    async def take(ctx: StepContext) -> Any:
        await ctx.receive()
        return [await ctx.memory.shared("hint"), await ctx.memory.shared("none", "default")]

    async with engine_at() as engine:
        taker = await engine.start(one(take, "taker"))

        async def give(ctx: StepContext) -> Any:
            await ctx.share(taker, "hint", {"n": 1})
            await ctx.send(taker, "look")
            return await ctx.memory.shared("hint")

        giver = await engine.start(one(give, "giver"))
        assert (await engine.result(taker)).final_output == [{"n": 1}, "default"]
        assert (await engine.result(giver)).final_output is None


async def test_a_space_keeps_versions_without_gaps_and_a_log_of_access() -> None:
    """Put, delete and compare-and-set make one version each; who read and wrote what, and the versions they saw, can be asked."""

    async def step(ctx: StepContext) -> Any:
        space = ctx.space("board")
        return [
            await space.put("a", 1), await space.put("b", 2), await space.compare_and_set("a", 1, 10),
            await space.compare_and_set("a", 1, 11), await space.compare_and_set("new", 0, 3), await space.delete("b"),
            await space.delete("b"), (await space.look("a")).version, await space.keys("*"), await space.get("b", "none"),
        ]  # fmt: skip

    async with engine_at() as engine:
        run = await engine.start(one(step))
        result = await engine.result(run)
        assert result.final_output == [1, 2, 3, None, 4, 5, 0, 3, ["a", "new"], "none"]
        changes = await Spaces(engine.log).changes("board")
        assert [(one.version, one.key, one.op, one.value) for one in changes] == [
            (1, "a", "put", 1), (2, "b", "put", 2), (3, "a", "put", 10), (4, "new", "put", 3), (5, "b", "delete", None),
        ]  # fmt: skip
        assert await Spaces(engine.log).names() == ["board"]
        access = await Spaces(engine.log).access("board")
        assert {(one.run, one.step) for one in access} == {(run, "step")}
        assert [(one.op, one.key, one.version) for one in access] == [
            ("put", "a", 1), ("put", "b", 2), ("compare_and_set", "a", 3), ("compare_and_set", "a", None),
            ("compare_and_set", "new", 4), ("delete", "b", 5), ("delete", "b", 0), ("get", "a", 3), ("keys", "*", None),
            ("get", "b", 0),
        ]  # fmt: skip
        assert await Spaces(engine.log).access("boar") == []


async def test_counting_together_counts_to_exactly_that(tmp_path: Path) -> None:
    """Four runs that add to one number by compare-and-set lose no addition."""
    async with engine_at(tmp_path / "runs.db") as engine:
        runs = [await engine.start(counter(25)) for _ in range(4)]
        for run in runs:
            assert (await engine.result(run)).success
        assert (await Spaces(engine.log).look("counter", "n")).value == 100


async def test_a_watcher_sees_each_change_in_turn() -> None:
    """Watching on from the version last seen brings every matching change; without one, only what comes after it was asked."""

    async def watch(ctx: StepContext) -> Any:
        space, found, after = ctx.space("s"), [], 0
        assert await space.watch("w*", timeout=0.01) is None
        await ctx.publish("watching")
        while len(found) < 3:
            change = await space.watch("w*", after=after)
            assert change is not None
            after = change.version
            found.append([change.key, change.op, change.value])
        return found

    async def write(ctx: StepContext) -> None:
        await ctx.wait_for("watching", after="start")
        space = ctx.space("s")
        await space.put("w1", 1)
        await space.put("other", 0)
        await space.put("w2", 2)
        await space.delete("w1")

    async with engine_at() as engine:
        watching = await engine.start(one(watch))
        await engine.start(one(write, "writer"))
        assert (await engine.result(watching)).final_output == [["w1", "put", 1], ["w2", "put", 2], ["w1", "delete", None]]


async def test_posts_are_seen_by_all_who_wait_for_their_topic_and_tags() -> None:
    """Two runs see the same post; a topic or tag that does not match is passed over; going on after a post brings the next."""

    async def wait(ctx: StepContext) -> Any:
        first = await ctx.wait_for("order.*", tags=["eu"], after="start")
        assert first is not None
        second = await ctx.wait_for("order.*", after=first)
        return [first.topic, first.body, second and second.body, first.pipeline]

    async def publish(ctx: StepContext) -> None:
        await ctx.publish("orders", 0, ["eu"])
        await ctx.publish("order.new", 1, ["us"])
        await ctx.publish("order.new", 2, ["eu", "big"])
        await ctx.publish("order.paid", 3)

    async with engine_at() as engine:
        waiting = [await engine.start(one(wait, f"w{number}")) for number in range(2)]
        await engine.start(one(publish, "shop"))
        for run in waiting:
            assert (await engine.result(run)).final_output == ["order.new", 2, 3, "shop"]


async def test_the_life_of_other_runs_can_be_waited_for() -> None:
    """A run waits for the end of a run of another pipeline, well or not, and nobody can publish such a topic."""

    async def wait(ctx: StepContext) -> Any:
        done = await ctx.wait_for("run.completed", pipeline="good")
        failed = await ctx.wait_for("run.*", pipeline="bad", after=done) if done else None
        ended = await ctx.wait_for("run.failed", pipeline="bad", after="start", timeout=10)
        with pytest.raises(ValueError, match="choose another"):
            await ctx.publish("run.completed")
        return [done and done.run, failed and failed.topic, ended and ended.body["status"]]

    async def bad(ctx: StepContext) -> None:
        raise OSError("no")

    async with engine_at() as engine:
        waiting = await engine.start(one(wait))
        await asyncio.sleep(0)
        good = await engine.start(one(lambda: 1, "good"))
        await engine.result(good)
        await engine.result(await engine.start(one(bad, "bad")))
        assert (await engine.result(waiting)).final_output == [good, "run.created", "failed"]


async def test_memories_outlive_their_run_and_say_where_they_came_from(tmp_path: Path) -> None:
    """What one run remembered another recalls by words, the best first, with run, event, step and time; the same text is one."""
    text = "The \ud800 supplier Müller & Söhne delivers late in August"

    async def learn(ctx: StepContext) -> Any:
        return [
            await ctx.remember(text, tags=["supply"], days=12),
            await ctx.remember("Late invoices are paid twice", kind="failure"),
            await ctx.remember(text.upper()),
        ]

    async def use(ctx: StepContext) -> Any:
        best, *rest = await ctx.recall("does MULLER deliver late in august?")
        assert best.text == text
        only = await ctx.recall("late", kind="failure")
        tagged = await ctx.recall("", tags=["supply"])
        source = best.sources[0]
        return [best.fields, len(best.sources), source.run, source.step, len(rest), len(only), len(tagged), source.version]

    async with engine_at(tmp_path / "runs.db") as engine:
        first = await engine.start(one(learn))
        result = await engine.result(first)
        assert result.final_output == [1, 2, 1]
        assert result.learned_facts == [text]
        assert [memory.kind for memory in result.saved_memories] == ["fact", "failure"]
    async with engine_at(tmp_path / "runs.db") as engine:
        result = await engine.result(await engine.start(one(use)))
        assert result.failures == []
        assert result.final_output[:7] == [{"days": 12}, 2, first, "step", 1, 1, 1]
        (asked,) = await engine.log.events(RunId(first), after=result.final_output[7] - 1, upto=result.final_output[7])
        assert (asked.event.kind, asked.event.name) == ("remember", "fact")


async def test_memories_can_be_switched_off() -> None:
    """With `memories=False` nothing is kept and nothing found, and the log says so."""

    async def step(ctx: StepContext) -> Any:
        return [await ctx.remember("something"), await ctx.recall("something")]

    async with engine_at(memories=False) as engine:
        run = await engine.start(one(step))
        result = await engine.result(run)
        assert result.final_output == [None, []]
        assert result.saved_memories == []
        said = [event.event.text for event in await engine.events(run) if event.event.type == "log.written"]
        assert said == [f"memories are switched off (memories = false): nothing is {what}" for what in ("kept", "found")]
        assert await Memories(engine.log).search("something") == []


async def test_a_stream_is_fenced_from_a_driver_that_was_superseded(tmp_path: Path) -> None:
    """Whoever lost the lease writes nothing into a space either."""
    async with await Log.open(tmp_path / "runs.db") as log:
        lease = await lead(log)
        stale = Author("driver", "run", 7, "search", (lease.row, lease.token))
        assert await Spaces(log).write(stale, "s", "a", "put", 1, lambda: 1.0) == 1
        assert await Spaces(log).write(stale, "s", "a", "put", 2, lambda: 2.0) == 1
        await lease.release()
        await (await log.acquire(RunId("run"), driver=ME)).release()
        with pytest.raises(LeaseLostError, match="must stop"):
            await Spaces(log).write(Author("driver", "run", 9, None, (lease.row, lease.token)), "s", "a", "put", 2, lambda: 3.0)
        assert [change.value for change in await Spaces(log).changes("s")] == [1]


async def test_a_space_that_lost_a_change_is_told_by_the_check(tmp_path: Path) -> None:
    """A gap in a space's versions is found and named; a whole space is not."""
    path = tmp_path / "runs.db"
    async with await Log.open(path) as log:
        for key in ("a", "b", "c"):
            await Spaces(log).write(Author("user"), "whole", key, "put", 1, lambda: 1.0)
            await Spaces(log).write(Author("user"), "torn", key, "put", 1, lambda: 1.0)
        assert await log.check() == []
    with closing(sqlite3.connect(path)) as other, other:
        other.execute("DELETE FROM spaces WHERE space = 'torn' AND version = 2")
    async with await Log.open(path) as log:
        assert [finding.what for finding in await log.check()] == ["the memory space 'torn' lacks 1 of its changes"]
        assert [(one.op, one.key, one.actor) for one in await Spaces(log).access("whole")] == [
            ("put", key, "user") for key in "abc"
        ]
