"""Messages between runs: each received once, in order, by who is meant; and what becomes of those that nobody takes."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from engine import Engine, Pipeline, StepContext
from store.mail import Mail
from tests.driving import drive, engine_at, until
from tests.pipelines.talking import SENT, gatherer, teller


def one(body: Any, name: str = "one") -> Pipeline:
    """A pipeline of one step, tried once."""
    return Pipeline(name).step("step", run=body, max_retries=0)


async def outputs(engine: Engine, *runs: str) -> list[Any]:
    """What the runs came to."""
    results = [await engine.result(run) for run in runs]
    assert [result.failures for result in results] == [[]] * len(runs)
    return [result.final_output for result in results]


async def listed(engine: Engine, run: str, *addresses: str) -> list[tuple[Any, str]]:
    """The bodies of a run's mail and how each stands."""
    found = await Mail(engine.log).of_run(run, addresses, asyncio.get_running_loop().time() + 4e9)
    return [(posted.message.body, posted.status) for posted in found]


async def test_a_message_has_what_was_sent(tmp_path: Path) -> None:
    """Type, topic, priority, tags, headers, sender, address and a body of any plain values arrive as they were given."""
    body = {"nan": float("nan"), "half": "\ud800", "bytes": b"\x00\xff", "big": "x" * 5000, "int": 2**70}

    async def step(ctx: StepContext) -> Any:
        sent = await ctx.send(
            ctx.run_id, body, "command", topic="a.b", priority=2, expires_in=60, tags=["t"], headers={"h": 1}, reply_to=None
        )
        got = await ctx.receive("command", "a.*", tags=["t"], sender=ctx.run_id)
        assert got is not None
        assert repr(sorted(got.body.items())) == repr(sorted(body.items()))
        return [got.id == sent, got.sender == got.to, got.topic, got.priority, got.tags, got.headers, got.expires is not None]

    result = await drive(one(step), tmp_path / "runs.db")
    assert result.failures == []
    assert result.final_output == [True, True, "a.b", 2, ["t"], {"h": 1}, True]


async def test_the_highest_priority_comes_first_then_the_order_of_sending() -> None:
    """Four messages of two priorities are received by priority, and in order within one."""

    async def step(ctx: StepContext) -> Any:
        for body, priority in (("a", 0), ("b", 5), ("c", 0), ("d", 5)):
            await ctx.send("one", body, priority=priority)
        return [got.body for _ in range(4) if (got := await ctx.receive()) is not None]

    assert (await drive(one(step))).final_output == ["b", "d", "a", "c"]


async def test_mail_waits_for_who_does_not_exist_yet(tmp_path: Path) -> None:
    """What is sent to a pipeline and to a role before any run of theirs is received when one comes, in a later process's life."""

    async def send(ctx: StepContext) -> None:
        await ctx.send("late", "by pipeline")
        await ctx.send("translator", "by role")

    async def take(ctx: StepContext) -> Any:
        first = await ctx.receive(timeout=10)
        nothing = await ctx.receive(timeout=0.01)
        await ctx.offer("translator")
        second = await ctx.receive(timeout=10)
        return [first and first.body, nothing, second and second.body]

    await drive(one(send), tmp_path / "runs.db")
    assert (await drive(one(take, "late"), tmp_path / "runs.db")).final_output == ["by pipeline", None, "by role"]


async def test_one_of_several_receivers_gets_a_message() -> None:
    """Of three runs of a pipeline that wait, each message goes to exactly one."""

    async def take(ctx: StepContext) -> Any:
        found = []
        while (got := await ctx.receive(timeout=0.5)) is not None:
            found.append(got.body)
        return found

    async def send(ctx: StepContext) -> None:
        for number in range(60):
            await ctx.send("workers", number)

    async with engine_at() as engine:
        runs = [await engine.start(one(take, "workers")) for _ in range(3)]
        await outputs(engine, await engine.start(one(send)))
        shares = await outputs(engine, *runs)
    assert sorted(number for share in shares for number in share) == list(range(60))
    assert all(share == sorted(share) for share in shares)


async def test_a_thousand_messages_of_four_senders_arrive_once_each_in_order(tmp_path: Path) -> None:
    """Four concurrent senders, one receiver: every message once, and each sender's in the order it sent them."""
    async with engine_at(tmp_path / "runs.db") as engine:
        taker = await engine.start(gatherer())
        senders = [await engine.start(teller()) for _ in range(4)]
        (found,) = await outputs(engine, taker)
        assert len(found) == 4 * SENT
        for sender in senders:
            assert [body for who, body in found if who == sender] == list(range(SENT))
        assert {status for _, status in await listed(engine, taker, "gatherer")} == {"received"}


async def test_a_query_is_answered_to_who_asked() -> None:
    """Two requests at once get their own answers, though a plain receive waits beside them; without an answer there is None."""

    async def ask(ctx: StepContext) -> Any:
        async with asyncio.TaskGroup() as group:
            other = group.create_task(ctx.receive(timeout=0.3))
            asked = [group.create_task(ctx.request("oracle", number, timeout=10)) for number in range(2)]
        answers = [task.result() for task in asked]
        nobody = await ctx.request("nobody", 1, timeout=0.01)
        return [[answer and answer.body for answer in answers], answers[0] and answers[0].type, other.result(), nobody]

    async def answer(ctx: StepContext) -> None:
        for _ in range(2):
            query = await ctx.receive("query")
            assert query is not None
            await ctx.reply(query, query.body * 10)

    async with engine_at() as engine:
        asking = await engine.start(one(ask))
        await outputs(engine, await engine.start(one(answer, "oracle")))
        assert await outputs(engine, asking) == [[[0, 10], "response", None, None]]


async def test_an_expired_message_is_never_received_and_says_so() -> None:
    """A message whose time is over is not delivered, the one after it is, and its standing is `expired`."""

    async def step(ctx: StepContext) -> Any:
        await ctx.send("one", "late", expires_in=0.001)
        await ctx.send("one", "fine", expires_in=60)
        await ctx.sleep(0.01)
        first, second = await ctx.receive(), await ctx.receive(timeout=0.01)
        return [first and first.body, second]

    async with engine_at() as engine:
        run = await engine.start(one(step))
        assert await outputs(engine, run) == [["fine", None]]
        assert await listed(engine, run, "one") == [("late", "expired"), ("fine", "received")]
        assert await engine.log.reader.all("SELECT count(*) FROM mail WHERE settled = 0") == [(0,)]


async def test_a_receive_that_is_given_up_gives_its_message_back() -> None:
    """Whenever a body stops waiting, the message is there for the next receive: raced 40 times, each message is received once."""

    async def step(ctx: StepContext) -> Any:
        found = []
        for number in range(40):
            waiting = asyncio.ensure_future(ctx.receive())
            await ctx.send("one", number)
            for _ in range(number % 20):
                await asyncio.sleep(0)
            if waiting.done():
                found.append(waiting.result())
                continue
            waiting.cancel()
            found.append(await ctx.receive(timeout=10))
        return [got and got.body for got in found]

    async with engine_at() as engine:
        run = await engine.start(one(step))
        assert await outputs(engine, run) == [list(range(40))]
        assert {status for _, status in await listed(engine, run, "one")} == {"received"}


async def test_a_timed_out_step_gives_its_message_back(tmp_path: Path) -> None:
    """An attempt that ends while it waits takes nothing with it: the next run of the pipeline receives the message."""

    async def wait(ctx: StepContext) -> None:
        await ctx.receive()

    async def take(ctx: StepContext) -> Any:
        got = await ctx.receive(timeout=10)
        return got and got.body

    async def send(ctx: StepContext) -> None:
        await ctx.send("taker", "kept")

    async with engine_at(tmp_path / "runs.db") as engine:
        waiting = await engine.start(Pipeline("taker").step("wait", run=wait, timeout=0.05, max_retries=0))
        assert not (await engine.result(waiting)).success
        await outputs(engine, await engine.start(one(send)))
        assert await outputs(engine, await engine.start(one(take, "taker"))) == ["kept"]


async def test_plain_functions_send_and_receive_without_await() -> None:
    """The same effects work in a worker thread."""

    def step(ctx: Any) -> Any:
        ctx.offer("sync")
        ctx.send("sync", 1)
        got = ctx.receive(timeout=5)
        ctx.space("s").put("k", got.body)
        ctx.memory.put("m", ctx.space("s").get("k"))
        return [ctx.memory.get("m"), ctx.space("s").keys()]

    assert (await drive(one(step))).final_output == [1, ["k"]]


async def test_what_cannot_be_a_name_is_refused_in_the_step() -> None:
    """Addresses, topics, tags and types that are none fail the step with a sentence, and nothing is sent."""
    refused = []

    async def step(ctx: StepContext) -> None:
        for to, options in (
            ("", {}),
            ("a\ud800", {}),
            ("a" * 300, {}),
            ("a", {"tags": "ab"}),
            ("a", {"type": "shout"}),
            ("a", {"topic": "\n"}),
        ):
            with pytest.raises(Exception, match=r"[.a-z]$") as problem:
                await ctx.send(to, 1, **options)
            refused.append(str(problem.value))
        with pytest.raises(Exception, match="more than 8 stars"):
            await ctx.receive(pattern="*a" * 9)

    async with engine_at() as engine:
        run = await engine.start(one(step))
        assert await outputs(engine, run) == [None]
        assert await listed(engine, run, "a") == []
    assert len(refused) == 6


async def test_the_registry_tells_who_lives_and_what_it_offers() -> None:
    """A live run is listed with its pipeline and roles; one that ended is not."""

    async def step(ctx: StepContext) -> None:
        await ctx.offer("judge")
        await ctx.receive()

    async with engine_at() as engine:
        run = await engine.start(one(step))

        async def offers() -> bool:
            return [(found.run_id, found.pipeline, found.roles) for found in await engine.registry()] == [(run, "one", ["judge"])]

        await until(offers, "the role")
        await engine.cancel(run)
        await engine.wait(run)
        assert await engine.registry() == []
