"""Forks on a real store: what is taken, what runs again, what it costs, at every event of several pipelines."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

import engine as engine_package
from engine import Engine, EngineError, Pipeline, RetryPolicy, StepContext
from engine.context import SyncStepContext
from engine.preparing import Preparing
from engine.recordings import KINDS
from store.mail import Mail, Message
from store.state import RunState, StepStatus
from store.streams import Author
from tests.driving import engine_at, until
from tests.integration.openai_server import openai_server

CALLS: Counter[str] = Counter()


@pytest.fixture(autouse=True)
def nothing_called() -> None:
    CALLS.clear()


async def touch(ctx: StepContext, name: str, value: Any = None) -> Any:
    """One recorded touch of the world, counted when it is really made."""

    async def world() -> Any:
        CALLS[name] += 1
        return value if value is not None else f"{name} answered"

    return await ctx.once(name, world)


async def first(ctx: StepContext) -> Any:
    await ctx.memory.put("seen", ["first"])
    return await touch(ctx, "first", 1)


async def left(ctx: StepContext, first: int) -> Any:
    return first + len(await touch(ctx, "left", "ab"))


async def right(ctx: StepContext, first: int) -> Any:
    await touch(ctx, "right")
    return {"first": first, "memory": await ctx.memory.get("seen")}


async def last(ctx: StepContext, left: int, right: Any) -> Any:
    return [left, right, await touch(ctx, "last")]


def diamond() -> Pipeline:
    return (
        Pipeline("diamond")
        .step("first", run=first)
        .step("left", run=left, depends_on=["first"], execution_mode="concurrent")
        .step("right", run=right, depends_on=["first"], execution_mode="concurrent")
        .step("last", run=last, depends_on=["left", "right"])
    )


async def finished(engine: Engine, pipeline: Pipeline, **options: Any) -> str:
    run = await engine.start(pipeline, **options)
    await engine.wait(run)
    return str(run)


async def outputs(engine: Engine, run: str) -> dict[str, Any]:
    await engine.wait(run)
    return (await engine.result(run)).step_outputs


async def test_a_fork_with_no_edit_ends_the_same_at_every_event_and_pays_for_nothing() -> None:
    """Whatever event it is forked at, also inside a step, it comes to the same outputs without one touch of the world."""
    async with engine_at() as engine:
        run = await finished(engine, diamond())
        expected, head = await outputs(engine, run), await engine.log.head(run)
        CALLS.clear()
        for at in range(1, head + 1):
            fork = await engine.fork(run, at, pipeline=diamond())
            assert await outputs(engine, fork) == expected, at
            assert (await engine.result(fork)).status == "completed"
        assert not CALLS


async def test_an_edited_output_runs_only_what_depends_on_it() -> None:
    """Descendants run with the edited output; siblings stay recorded; the source run is untouched."""
    async with engine_at() as engine:
        run = await finished(engine, diamond())
        before = await engine.events(run)
        CALLS.clear()
        fork = await engine.fork(run, None, {"left.output": 40}, reason="what if", pipeline=diamond())
        assert (await outputs(engine, fork))["last"][0] == 40
        assert dict(CALLS) == {}  # the effect of `last` has the same identity
        state = await engine.view(fork)
        assert (state.steps["left"].edited, state.steps["right"].status) == (True, StepStatus.COMPLETED)
        assert await engine.events(run) == before


async def test_an_edit_says_what_held_before() -> None:
    """The event has both, the value now and the one before, of a field, a param and the model."""
    pipeline = Pipeline("p", params={"word": "a"}).step("a", goal="Say ${{ params.word }}")
    async with engine_at() as engine:
        run = await finished(engine, pipeline, model="offline")
        edits = {"a.goal": "Sing ${{ params.word }}", "params.word": "b", "model": "openai/gpt-4o-mini"}
        fork = await engine.fork(run, None, edits, pipeline=pipeline, drive=False)
        found = [item.event for item in await engine.events(fork, types={"edit.applied"})]
        assert [(e.target, await engine.log.value(e.before), await engine.log.value(e.value)) for e in found] == [
            ("a.goal", "Say ${{ params.word }}", "Sing ${{ params.word }}"),
            ("params.word", "a", "b"),
            ("model", "offline", "openai/gpt-4o-mini"),
        ]


async def test_an_edit_of_a_field_runs_the_step_again() -> None:
    """A goal that is another asks the model again, and only it."""
    pipeline = (
        Pipeline("goals")
        .step("one", goal="Say one")
        .step("two", goal="Say two", depends_on=["one"])
        .step("three", goal="Say three", depends_on=["one"])
    )
    async with engine_at() as engine:
        run = await finished(engine, pipeline, model="offline")
        fork = await engine.fork(run, None, {"two.goal": "Say deux"})
        await engine.wait(fork)
        live = [e.step for e in await engine.events(fork, after=await engine.log.head(run)) if e.event.type == "effect.succeeded"]
        result = await engine.result(fork)
        assert (live, result.status) == (["two"], "completed")
        assert result.step_outputs["three"] == (await engine.result(run)).step_outputs["three"]


async def charge(amount: int) -> Any:
    """Irreversible; counted when it is really done."""
    CALLS["charge"] += 1
    return {"charged": amount}


async def pay(ctx: StepContext, price: int) -> Any:
    return await ctx.once("charge", charge, price, safety="irreversible")


async def price(ctx: StepContext) -> int:
    return int(await touch(ctx, "price", 10))


def shop() -> Pipeline:
    return Pipeline("shop").step("price", run=price).step("pay", run=pay, depends_on=["price"], max_retries=0)


async def test_an_irreversible_effect_that_would_be_done_again_asks_first() -> None:
    """With other arguments the charge waits for a person's word; with a yes it is done, with a no it fails unpaid."""
    for answer, status, charges in (("do it", "completed", 1), ("leave it", "failed", 0)):
        async with engine_at() as engine:
            run = await finished(engine, shop())
            CALLS.clear()
            fork = await engine.fork(run, None, {"price.output": 12}, pipeline=shop())
            assert await engine.wait(fork) == "waiting"
            assert CALLS["charge"] == 0
            await engine.answer(fork, answer)
            await engine.resume(fork, shop())
            result = await engine.result(fork)
            assert (result.status, CALLS["charge"]) == (status, charges)


async def test_a_charge_with_the_same_arguments_is_taken_and_not_asked_about() -> None:
    """A step that runs again takes what was done for good, whatever made it run again."""
    async with engine_at() as engine:
        run = await finished(engine, shop())
        CALLS.clear()
        fork = await engine.fork(run, None, {"pay.again": True}, pipeline=shop())
        assert (await outputs(engine, fork))["pay"] == {"charged": 10}
        assert not CALLS


async def test_an_effects_value_is_edited() -> None:
    """The tool's answer is another: its step runs again with it, and so does what depends on the step, at any event after it."""
    async with engine_at() as engine:
        run = await finished(engine, shop())
        (asked, *_) = [e.version for e in await engine.events(run, types={"effect.requested"}) if e.event.name == "price"]
        CALLS.clear()
        for at in range(asked, await engine.log.head(run) + 1):
            edits = {f"effects.{asked}.value": 99, "policy.once:charge": {"stub": {"charged": "not really"}}}
            fork = await engine.fork(run, at, edits, pipeline=shop())
            found = await outputs(engine, fork)
            assert found == {"price": 99, "pay": {"charged": "not really"}}, at
        assert not CALLS


async def shout(ctx: StepContext, word: str) -> str:
    return f"{word.upper()} {await touch(ctx, 'shout', '!')}"


async def test_a_param_runs_what_reads_it() -> None:
    """Only steps that read the param run again."""
    pipeline = Pipeline("words").step("shout", run=shout).step("other", run=price)
    async with engine_at() as engine:
        run = await finished(engine, pipeline, params={"word": "a"})
        CALLS.clear()
        fork = await engine.fork(run, None, {"params.word": "b"}, pipeline=pipeline)
        assert await outputs(engine, fork) == {"shout": "B !", "other": 10}
        assert (await engine.result(await engine.fork(fork, 1, pipeline=pipeline))).step_outputs["shout"] == "A !"


async def test_policies_say_what_is_recorded_and_what_is_live() -> None:
    """`live` makes matching effects anew with the rest recorded; `recorded` refuses what the recording does not have."""
    async with engine_at() as engine:
        run = await finished(engine, diamond())
        CALLS.clear()
        fork = await engine.fork(run, None, {"policy.once:left": "live"}, pipeline=diamond())
        assert (await outputs(engine, fork), dict(CALLS)) == (await outputs(engine, run), {"left": 1})
        strict = await engine.fork(
            run, 1, {"policy.*": "recorded", "first.output": 7, "policy.once:right": "live"}, pipeline=diamond()
        )
        assert (await outputs(engine, strict))["left"] == 9


async def test_a_killed_fork_goes_on_with_its_edits(tmp_path: Any) -> None:
    """A fork left by its driver and resumed elsewhere still has its edits, its policies and its tape."""
    async with engine_at(tmp_path / "runs.db") as engine:
        run = await finished(engine, diamond())
        CALLS.clear()
        fork = await engine.fork(run, 1, {"left.output": 50}, pipeline=diamond(), drive=False)
    async with engine_at(tmp_path / "runs.db") as engine:
        await engine.resume(fork, diamond())
        found = await outputs(engine, fork)
        assert (found["last"][0], dict(CALLS)) == (50, {})


async def test_reuse_pays_for_changed_steps_and_what_depends_on_them() -> None:
    """A changed function runs, and its descendants; the others come to what they came to."""

    async def other(ctx: StepContext, first: int) -> Any:
        return first * 100 + len(await touch(ctx, "other", "abc"))

    changed = diamond()
    changed.steps[1].run = other
    async with engine_at() as engine:
        run = await finished(engine, diamond())
        CALLS.clear()
        again = await engine.reuse(run, changed)
        found = await outputs(engine, again)
        assert (found["left"], dict(CALLS)) == (103, {"other": 1})
        assert (await engine.view(again)).steps["right"].reused


async def inner_one(ctx: StepContext) -> Any:
    return await touch(ctx, "inner one", 1)


async def inner_two(ctx: StepContext, one: int) -> Any:
    return one + await touch(ctx, "inner two", 1)


def nested() -> Pipeline:
    inner = Pipeline("inner").step("one", run=inner_one).step("two", run=inner_two, depends_on=["one"])
    return Pipeline("outer").step("child", pipeline=inner).step("after", run=after, depends_on=["child"])


async def after(ctx: StepContext, child: int) -> Any:
    return child + await touch(ctx, "after", 1)


async def test_children_fork_with_their_caller() -> None:
    """At every event, also while the child run is under way, a fork ends the same and touches nothing."""
    async with engine_at() as engine:
        run = await finished(engine, nested())
        expected, head = await outputs(engine, run), await engine.log.head(run)
        CALLS.clear()
        for at in range(1, head + 1):
            fork = await engine.fork(run, at, pipeline=nested())
            assert await outputs(engine, fork) == expected, at
        assert not CALLS


async def flaky(ctx: StepContext) -> Any:
    if ctx.attempt < 3:
        await touch(ctx, f"try {ctx.attempt}")
        raise RuntimeError("not yet")
    return await touch(ctx, "flaky", 3)


async def of_item(ctx: StepContext, item: int) -> int:
    return item * int(await touch(ctx, f"item {item}", 2))


async def make(ctx: StepContext) -> list[int]:
    return list(await touch(ctx, "make", [1, 2, 3]))


def busy() -> Pipeline:
    retry = RetryPolicy(max_retries=3, delay=0.001)
    return (
        Pipeline("busy")
        .step("flaky", run=flaky, retry=retry, execution_mode="concurrent")
        .step("make", run=make, execution_mode="concurrent")
        .step("each", run=of_item, for_each="${{ steps.make.output }}", depends_on=["make"], max_concurrent=2)
        .step("any", run=last_of, depends_on=["flaky", "each"], join="any")
        .step("off", run=make, depends_on=["make"], condition="steps.make.output[0] > 5")
    )


async def last_of(ctx: StepContext, flaky: Any = None, each: Any = None) -> Any:
    return [flaky, each, await touch(ctx, "any")]


async def test_retries_loops_joins_and_conditions_are_taken_in_their_order() -> None:
    """Failed attempts, children of a loop, joins and skips come to what they came to, at every event, with nothing touched."""
    async with engine_at() as engine:
        run = await finished(engine, busy())
        past = await engine.view(run)
        expected, head = await outputs(engine, run), await engine.log.head(run)
        CALLS.clear()
        for at in range(1, head + 1):
            fork = await engine.fork(run, at, pipeline=busy())
            assert await outputs(engine, fork) == expected, at
            state = await engine.view(fork)
            assert {n: s.status for n, s in state.steps.items()} == {n: s.status for n, s in past.steps.items()}, at
        assert not CALLS


def nine() -> Pipeline:
    """Nine goals: the seventh is the one that goes wrong, the ninth alone hangs on it."""
    pipeline = Pipeline("nine")
    for number in range(1, 7):
        pipeline.step(f"s{number}", goal=f"Do {number}", depends_on=[f"s{number - 1}"] if number > 1 else [])
    pipeline.step("s7", goal="Be wrong", depends_on=["s6"])
    pipeline.step("s8", goal="Do 8", depends_on=["s6"])
    return pipeline.step("s9", goal="Sum up", depends_on=["s7", "s8"])


async def test_what_a_fork_pays_for_is_counted_at_the_server() -> None:
    """A run of nine goals whose seventh went wrong: with its goal mended, two requests arrive; with no edit, none."""
    with openai_server() as server:
        async with engine_at(api_base=server.base_url, api_key="key") as engine:
            run = await finished(engine, nine(), model="openai/gpt-4o-mini")
            assert server.count == 9
            foreseen = await engine.foresee_fork(run, None, {"s7.goal": "Be right"})
            assert [step.step for step in foreseen.again] == ["s7", "s9"]
            assert server.count == 9
            for at in (1, 20, await engine.log.head(run)):
                assert await outputs(engine, await engine.fork(run, at)) == await outputs(engine, run)
            assert server.count == 9
            fork = await engine.fork(run, None, {"s7.goal": "Be right"})
            assert (await engine.result(fork)).status == "completed"
            assert server.count == 11
            assert ["Sum up" in request.text for request in server.requests[9:]] == [False, True]
            assert (await engine.result(fork)).total_cost < (await engine.result(run)).total_cost * 2
            undone = await engine.fork(fork, None, {"s7.goal": "Be wrong"})
            assert await outputs(engine, undone) == await outputs(engine, run)
            assert server.count == 11


async def listen(ctx: StepContext) -> Any:
    early = await ctx.receive(timeout=5)
    late = await ctx.receive(timeout=0.01)
    return [early and early.body, late and late.body]


async def test_a_message_is_put_into_a_fork() -> None:
    """What the step received before the point stays; what it waited for then is the message that was put in, once."""
    pipeline = Pipeline("ear").step("listen", run=listen)
    async with engine_at() as engine:
        run = await engine.start(pipeline)
        await Mail(engine.log).send(Author("user"), Message("", "", run, "data", "first"))
        assert await outputs(engine, run) == {"listen": ["first", None]}
        received = [e.version for e in await engine.events(run, types={"effect.succeeded"})]
        fork = await engine.fork(run, received[0], {"message": "put in"}, pipeline=pipeline)
        assert await outputs(engine, fork) == {"listen": ["first", "put in"]}
        assert await outputs(engine, await engine.fork(run, received[0], pipeline=pipeline)) == {"listen": ["first", None]}


async def charge_inside(ctx: StepContext) -> Any:
    return await ctx.once("charge", charge, 5, safety="irreversible")


async def charge_param(ctx: StepContext, amount: int) -> Any:
    return await ctx.once("charge", charge, amount, safety="irreversible")


async def test_what_was_done_for_good_is_known_wherever_a_fork_begins() -> None:
    """Forked while a charge is under way, in a child run too, its outcome is taken from the parent: no doubt, no question."""
    inner = Pipeline("inner").step("charge", run=charge_inside, max_retries=0)
    for pipeline in (inner, Pipeline("outer").step("child", pipeline=inner)):
        async with engine_at() as engine:
            run = await finished(engine, pipeline)
            expected = await outputs(engine, run)
            CALLS.clear()
            for at in range(1, await engine.log.head(run) + 1):
                fork = await engine.fork(run, at, pipeline=pipeline)
                assert await outputs(engine, fork) == expected, at
            assert not CALLS


async def charge_then_wait(ctx: StepContext, price: int) -> Any:
    done = await ctx.once("charge", charge, price, safety="irreversible")
    await ctx.ask("Go on?")
    return done


async def test_a_fork_killed_after_a_yes_does_not_ask_again(tmp_path: Any) -> None:
    """What was allowed and done before the driver died is lived through again: one question, one charge."""
    pipeline = Pipeline("shop").step("price", run=price).step("pay", run=charge_then_wait, depends_on=["price"], max_retries=0)
    async with engine_at(tmp_path / "runs.db") as engine:
        run = await engine.start(pipeline)
        assert await engine.wait(run) == "waiting"
        fork = await engine.fork(run, None, {"price.output": 12}, pipeline=pipeline)
        await engine.wait(fork)
        await engine.answer(fork, "do it")
        await engine.resume(fork, pipeline)
        assert await engine.wait(fork) == "waiting"
    CALLS.clear()
    async with engine_at(tmp_path / "runs.db") as engine:
        await engine.answer(fork, "yes")
        await engine.resume(fork, pipeline)
        assert await outputs(engine, fork) == {"price": 12, "pay": {"charged": 12}}
        asked = [e.event.name for e in await engine.events(fork, types={"effect.requested"}) if e.event.kind == "ask"]
        assert (len(asked), dict(CALLS)) == (3, {})


async def test_a_child_that_a_fork_calls_anew_asks_before_it_does_what_is_irreversible() -> None:
    """A child run of its own is no fork, but it is called by one: its charge waits for a person's word all the same."""
    inner = Pipeline("inner", params={"amount": 1}).step("charge", run=charge_param, max_retries=0)
    pipeline = Pipeline("outer", params={"amount": 5}).step("child", pipeline=inner, params={"amount": "${{ params.amount }}"})
    async with engine_at() as engine:
        run = await finished(engine, pipeline)
        CALLS.clear()
        fork = await engine.fork(run, None, {"params.amount": 7}, pipeline=pipeline)
        assert await engine.wait(fork) == "waiting"
        (child,) = [row for row in await engine.runs(caller=fork) if row.status == "waiting"]
        assert not CALLS
        await engine.answer(child.id, "do it")
        await engine.resume(fork, pipeline)
        assert (await engine.result(fork)).final_output == {"charged": 7}
        assert CALLS["charge"] == 1
        assert (await engine.verify(fork, pipeline)).divergence is None


@pytest.mark.parametrize("deep", [1, 3])
async def test_a_fork_s_policies_hold_in_the_child_runs_it_calls(deep: int) -> None:
    """What stands in for a charge does so in a child called anew, and in one below that; `recorded` lets nothing be done there."""
    pipeline = Pipeline("innermost", params={"amount": 1}).step("charge", run=charge_param, max_retries=0)
    for level in range(deep):
        given = {"amount": "${{ params.amount }}"}
        pipeline = Pipeline(f"around{level}", params={"amount": 1}).step("child", pipeline=pipeline, params=given, max_retries=0)
    async with engine_at() as engine:
        run = await finished(engine, pipeline)
        CALLS.clear()
        stub = {"params.amount": 7, "policy.once:charge": {"stub": {"charged": "not really"}}}
        fork = await engine.fork(run, None, stub, pipeline=pipeline)
        assert (await engine.result(fork)).final_output == {"charged": "not really"}
        assert (await engine.verify(fork, pipeline)).divergence is None
        refused = await engine.fork(run, None, {"params.amount": 8, "policy.once": "recorded"}, pipeline=pipeline)
        result = await engine.result(refused)
        assert (result.status, result.failures[0].kind) == ("failed", "child")
        lowest = [one async for one in below(engine, refused)][-1]
        assert (await engine.result(lowest)).failures[0].kind == "not_recorded"
        assert (await engine.verify(refused, pipeline)).divergence is None
        assert not CALLS


async def below(engine: Engine, run: str) -> AsyncIterator[str]:
    """The child runs of a run, each before its own."""
    for row in await engine.runs(caller=run):
        yield row.id
        async for one in below(engine, row.id):
            yield one


async def hangs_once(ctx: StepContext, one: int) -> Any:
    async def world() -> int:
        CALLS["hangs"] += 1
        if CALLS["hangs"] == 1:
            await asyncio.sleep(60)
        return 1

    return [one, await ctx.once("hangs", world, safety="read"), await touch(ctx, "two", 1)]


@pytest.mark.parametrize(("deep", "stubbed"), [(0, [5, 5, 5]), (1, [1, 5, 5])])
async def test_a_fork_s_policies_hold_for_what_was_under_way(tmp_path: Path, deep: int, stubbed: list[int]) -> None:
    """The driver died in an effect. In a fork, what stands in for it does, in a child under way too, which has its past; with
    `recorded` it is not done.
    """
    pipeline = Pipeline("inner").step("one", run=inner_one).step("two", run=hangs_once, depends_on=["one"], max_retries=0)
    if deep:
        pipeline = Pipeline("outer").step("child", pipeline=pipeline, max_retries=0)
    async with engine_at(tmp_path / "runs.db") as engine:
        run = await engine.start(pipeline)
        await until(lambda: CALLS["hangs"] == 1, "the effect is under way")
    async with engine_at(tmp_path / "runs.db") as engine:
        fork = await engine.fork(run, None, {"policy.once": {"stub": 5}}, pipeline=pipeline)
        assert (await engine.result(fork)).final_output == stubbed
        refused = await engine.fork(run, None, {"policy.once": "recorded"}, pipeline=pipeline)
        assert (await engine.result(refused)).status == "failed"
        assert CALLS == {"inner one": 1, "hangs": 1}
        for each in (fork, refused):
            assert (await engine.verify(each, pipeline)).divergence is None
        plain = await engine.fork(run, None, pipeline=pipeline)
        assert (await engine.result(plain)).final_output == [1, 1, 1]
        assert CALLS == {"inner one": 1, "hangs": 2, "two": 1}


@pytest.mark.parametrize("deep", [0, 1])
async def test_what_stands_in_for_an_answer_needs_nobody(deep: int) -> None:
    """A fork of a run that waits for a person, with the answer given as a policy: it goes on by itself, in a child run too."""
    pipeline = Pipeline("asks").step("one", run=inner_one).step("two", run=asks_then_touches, depends_on=["one"], max_retries=0)
    if deep:
        pipeline = Pipeline("outer", params={"n": 1}).step("child", pipeline=pipeline, max_retries=0)
    async with engine_at() as engine:
        run = await engine.start(pipeline)
        assert await engine.wait(run) == "waiting"
        for at in range(1, await engine.log.head(run) + 1):
            fork = await engine.fork(run, at, {"policy.ask": {"stub": "yes"}}, pipeline=pipeline)
            assert await engine.wait(fork) is None, at
            assert (await engine.result(fork)).final_output == [1, "yes", 1]
            assert (await engine.verify(fork, pipeline)).divergence is None


async def asks_then_touches(ctx: StepContext, one: int) -> Any:
    return [one, await ctx.ask("Go on?"), await touch(ctx, "two", 1)]


async def test_an_attempt_stopped_while_its_tape_is_read_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a fork of a run whose driver died: a caller may cancel a step in the moment its past is read; the others go on."""
    pipeline = Pipeline("p").step("two", run=hangs_alone, max_retries=0, execution_mode="concurrent").step("one", run=inner_one)
    async with engine_at(tmp_path / "runs.db") as engine:
        run = await engine.start(pipeline)
        await until(lambda: CALLS["hangs"] == 1, "the effect is under way")
    runtimes: list[Any] = []
    take_up, tapes = Engine.take_up, Preparing.tapes

    def taken_up(self: Engine, run: Any, runtime: Any) -> None:
        runtimes.append(runtime)
        take_up(self, run, runtime)

    async def stopped_meanwhile(self: Preparing, names: Any, written: Any) -> Any:
        if runtimes and runtimes[-1].state.steps["two"].status is StepStatus.RUNNING:
            runtimes[-1].command("cancel", {"step": "two"})
        return await tapes(self, names, written)

    monkeypatch.setattr(Engine, "take_up", taken_up)
    monkeypatch.setattr(Preparing, "tapes", stopped_meanwhile)
    async with engine_at(tmp_path / "runs.db") as engine:
        fork = await engine.fork(run, None, pipeline=pipeline)
        await engine.wait(fork)
        state = await engine.view(fork)
        assert (state.status.ended, state.steps["two"].status, state.steps["one"].status) == (
            True, StepStatus.CANCELLED, StepStatus.COMPLETED,
        )  # fmt: skip
        assert CALLS["hangs"] == 1


async def hangs_alone(ctx: StepContext) -> Any:
    return await hangs_once(ctx, 0)


async def reads_pays_asks(ctx: StepContext, one: int) -> Any:
    read = await ctx.once("read", counted("read"), one, safety="read")
    paid = await ctx.once("paid", counted("paid"), one, safety="irreversible")
    return [read, paid, await ctx.ask("Go on?")]


def counted(name: str) -> Any:
    def world(given: int) -> int:
        CALLS[name] += 1
        return CALLS[name]

    return world


async def calls_child(ctx: StepContext) -> Any:
    return await ctx.child(Pipeline("within").step("one", run=inner_one).step("two", run=reads_pays_asks, depends_on=["one"]))


@pytest.mark.parametrize("deep", [1, 2, 3])
async def test_a_fork_takes_what_a_child_has_done_that_began_after_its_point(deep: int) -> None:
    """The child waits for a person: wherever its caller is forked, before it was called too, nothing of it is done again."""
    pipeline = Pipeline("p").step("child", run=calls_child, max_retries=0)
    for level in range(deep - 1):
        pipeline = Pipeline(f"around{level}").step("child", pipeline=pipeline, max_retries=0)
    async with engine_at() as engine:
        run = await engine.start(pipeline)
        assert await engine.wait(run) == "waiting"
        assert CALLS == {"inner one": 1, "read": 1, "paid": 1}
        for at in range(1, await engine.log.head(run) + 1):
            fork = await engine.fork(run, at, pipeline=pipeline)
            assert await engine.wait(fork) == "waiting", at
            lowest = [one async for one in below(engine, fork)][-1]
            assert questions(await engine.view(lowest)) == ["Go on?"], at
            await engine.answer(lowest, "yes")
            await engine.resume(fork, pipeline)
            assert (await engine.result(fork)).final_output == [1, 1, "yes"], at
            assert (await engine.verify(fork, pipeline)).divergence is None
        assert CALLS == {"inner one": 1, "read": 1, "paid": 1}
        anew = await engine.fork(run, 1, {"child.again": True}, pipeline=pipeline)
        await engine.wait(anew)
        assert CALLS["read"] == 2


async def test_a_policy_is_about_a_kind_of_effects_that_there_is() -> None:
    """A misspelt kind would hold for nothing, and say nothing."""
    async with engine_at() as engine:
        run = await finished(engine, diamond())
        with pytest.raises(EngineError, match=r"policy\.modle is about no kind of effect; did you mean 'model'\?"):
            await engine.fork(run, None, {"policy.modle": "live"}, pipeline=diamond())
        for pattern in ("policy.*", "policy.once:l*", "policy.mod*"):
            await engine.foresee_fork(run, None, {pattern: "live"}, pipeline=diamond())


def test_all_kinds_of_effects_can_be_named_in_policies() -> None:
    """Whatever kind the engine asks for is among those a policy may be about."""
    asked = {kind for path in Path(engine_package.__file__).parent.glob("*.py") for kind in KIND.findall(path.read_text())}
    assert {"model", "tool", "once", "child", "receive"} <= asked <= set(KINDS)


KIND = re.compile(r'\.perform\(\s*"([a-z_]+)"')


async def puts(ctx: StepContext) -> str:
    def world() -> str:
        CALLS["puts"] += 1
        return f"word {CALLS['puts']}"

    await ctx.memory.put("word", await ctx.once("puts", world))
    return "put"


async def passes_on(ctx: StepContext) -> str:
    await touch(ctx, "passes on")
    await ctx.memory.put("passed", f"{await ctx.memory.get('word')}!")
    return "passed"


async def hears(ctx: StepContext) -> Any:
    await touch(ctx, "hears")
    return await ctx.memory.get("passed")


async def lists(ctx: StepContext) -> list[str]:
    await touch(ctx, "lists")
    return list(await ctx.memory.keys())


async def apart(ctx: StepContext) -> Any:
    await touch(ctx, "apart")
    await ctx.memory.put("own", 1)
    return await ctx.memory.get("other", "nothing")


async def test_what_an_edit_reaches_through_the_run_s_memory_runs_again() -> None:
    """A step that read what the edited one had put, and one that read what that put then; one that read before it, or something
    else, is taken. It is foreseen, and said why.
    """

    def early(ctx: SyncStepContext) -> Any:
        return ctx.memory.get("word", "not yet")

    pipeline = Pipeline("remembers").step("early", run=early).step("puts", run=puts)
    for body in (passes_on, hears, lists, apart):
        pipeline.step(body.__name__, run=body)
    async with engine_at() as engine:
        run = await finished(engine, pipeline)
        expected = {
            "early": "not yet",
            "puts": "put",
            "passes_on": "passed",
            "hears": "word 1!",
            "lists": ["passed", "word"],
            "apart": "nothing",
        }
        assert await outputs(engine, run) == expected
        foreseen = await engine.foresee_fork(run, None, {"puts.again": True}, pipeline=pipeline)
        left = "had put into the run's memory"
        assert {step.step: step.why for step in foreseen.again} == {
            "puts": "it was changed", "passes_on": f"it read what puts {left}", "hears": f"it read what passes_on {left}",
            "lists": f"it read what puts {left}",
        }  # fmt: skip
        assert (foreseen.kept, foreseen.taken) == (["early", "apart"], [])
        fork = await engine.fork(run, None, {"puts.again": True}, pipeline=pipeline)
        found = await outputs(engine, fork)
        assert found == {**expected, "hears": "word 2!", "lists": ["own", "passed", "word"]}  # what was put in its past is there
        assert (await engine.verify(fork, pipeline)).divergence is None
        middle = next(item.version for item in await engine.events(run, step="puts") if item.event.type == "step.started")
        early_on = await engine.fork(run, middle, {"puts.again": True}, pipeline=pipeline)
        assert await outputs(engine, early_on) == {**expected, "hears": "word 3!"}
        assert CALLS == {"puts": 3, "passes on": 1, "hears": 1, "lists": 1, "apart": 1}
        assert (await engine.verify(early_on, pipeline)).divergence is None


async def test_a_param_reaches_every_goal() -> None:
    """Goals are told all params, so all of them are asked again."""
    pipeline = Pipeline("p", params={"x": 1}).step("a", "Say A").step("b", "Say ${{ params.x }}", depends_on="a")
    with openai_server() as server:
        async with engine_at(api_base=server.base_url, api_key="key") as engine:
            run = await finished(engine, pipeline, model="openai/gpt-4o-mini")
            assert await outputs(engine, await engine.fork(run, None, {"params.x": 2}, pipeline=pipeline))
            assert server.count == 4


async def test_a_run_has_no_event_0_to_be_forked_at() -> None:
    """Said as what it is, not as a damaged store."""
    async with engine_at() as engine:
        run = await finished(engine, diamond())
        with pytest.raises(EngineError, match="A run is forked at one of its events, from 1 on"):
            await engine.fork(run, 0, pipeline=diamond())


async def test_a_step_that_is_to_run_again_asks_anew() -> None:
    """`again` touches the world once more, but takes what was done for good; what depends on the step takes what is the same."""
    async with engine_at() as engine:
        run = await finished(engine, diamond())
        CALLS.clear()
        fork = await engine.fork(run, None, {"left.again": True}, pipeline=diamond())
        assert (await outputs(engine, fork), dict(CALLS)) == (await outputs(engine, run), {"left": 1})


def versions(word: str) -> Pipeline:
    """A goal whose model is told a word, and after it a plain function, an irreversible effect, and what hangs on neither."""
    pipeline = Pipeline("v").step("y", "Say Y", system=f"Say {word}.").step("pay", run=pays, depends_on=["y"], max_retries=0)
    return pipeline.step("note", run=notes).step("last", run=last_of_two, depends_on=["pay", "note"])


async def pays(ctx: StepContext, y: str) -> Any:
    return await ctx.once("pay", charge, 1, safety="irreversible")


def notes() -> str:
    CALLS["note"] += 1
    return "noted"


async def last_of_two(ctx: StepContext, pay: Any, note: str) -> Any:
    return [pay, note, await touch(ctx, "last", 1)]


async def test_a_reuse_of_a_reuse_takes_what_that_took(tmp_path: Path) -> None:
    """Nothing changed between two of them: nothing runs. Something changed: that runs, and what was done for good in the first run
    is not asked about again, however many lie between.
    """
    async with engine_at(tmp_path / "runs.db", model="offline") as engine:
        first = await finished(engine, versions("one"), model="offline")
        second = await engine.reuse(first, versions("two"), model="offline")
        assert (await engine.result(second)).status == "completed"
        CALLS.clear()
        third = await engine.reuse(second, versions("two"), model="offline")
        fork = await engine.plan_reuse(second, versions("two"), model="offline")
        assert (list(fork.affected), fork.sentences) == ([], [])
        assert await outputs(engine, third) == await outputs(engine, second)
        assert not CALLS
        same = await engine.reuse(first, versions("one"), model="offline")
        await engine.wait(same)
        fourth = await engine.reuse(same, versions("three"), model="offline")
        assert await engine.wait(fourth) is None
        assert (await engine.result(fourth)).status == "completed"
        assert not CALLS
        for each in (second, third, same, fourth):
            assert (
                await engine.verify(each, versions({second: "two", third: "two", same: "one"}.get(each, "three")))
            ).divergence is None


async def test_a_person_s_word_is_for_exactly_what_was_asked() -> None:
    """One yes lets one charge be made: another amount asks anew, in a fork, in a reuse, at the beginning; the question shows it."""
    pipeline = Pipeline("shop", params={"amount": 1}).step("pay", run=charge_param, max_retries=0)
    async with engine_at() as engine:
        run = await finished(engine, pipeline)
        agreed = await engine.reuse(run, pipeline, {"amount": 5})
        assert await engine.wait(agreed) == "waiting"
        assert questions(await engine.view(agreed)) == [
            """Shall this fork do once 'charge' with {"args":[5]} now? It is irreversible."""
        ]
        await engine.answer(agreed, "do it")
        await engine.resume(agreed, pipeline)
        assert (await engine.result(agreed)).final_output == {"charged": 5}
        assert CALLS["charge"] == 2
        same = await engine.reuse(agreed, pipeline, {"amount": 5})
        assert (await engine.result(same)).final_output == {"charged": 5}
        for other in (
            await engine.reuse(agreed, pipeline, {"amount": 1_000}),
            await engine.fork(agreed, None, {"params.amount": 2_000}, pipeline=pipeline),
            await engine.fork(agreed, 1, {"params.amount": 2_500}, pipeline=pipeline),
            await engine.fork(agreed, None, {"params.amount": 3_000, "policy.ask": {"stub": "do it"}}, pipeline=pipeline),
        ):
            assert await engine.wait(other) == "waiting"
        assert CALLS["charge"] == 2


def questions(state: RunState) -> list[str]:
    return [effect.name for effect in state.open.values()]


async def test_a_reuse_of_a_run_with_other_params_compares_with_those() -> None:
    """The params that hold are those of the run that is reused, not of the one that was reused for it."""
    pipeline = Pipeline("p", params={"n": 1}).step("n", run=doubled)
    async with engine_at() as engine:
        first = await finished(engine, pipeline)
        second = await engine.reuse(first, pipeline, {"n": 2})
        assert await outputs(engine, second) == {"n": 4}
        CALLS.clear()
        third = await engine.reuse(second, pipeline, {"n": 2})
        assert await outputs(engine, third) == {"n": 4}
        assert not CALLS
        assert await outputs(engine, await engine.reuse(third, pipeline, {"n": 1})) == {"n": 2}


def doubled(n: int) -> int:
    CALLS["doubled"] += 1
    return 2 * n


async def test_a_fork_of_an_edited_fork_at_an_event_before_the_edit_knows_nothing_of_it() -> None:
    """What came of the edit is no part of its history: it ends as the first run did, and pays for nothing."""
    pipeline = Pipeline("p").step("a", "Do A").step("judge", "Judge", depends_on="a").step("end", "End", depends_on="judge")
    with openai_server() as server:
        async with engine_at(api_base=server.base_url, api_key="key") as engine:
            run = await finished(engine, pipeline, model="openai/gpt-4o-mini")
            edited = await engine.fork(run, 3, {"judge.goal": "Judge hard"}, pipeline=pipeline)
            assert (await outputs(engine, edited))["judge"] != (await outputs(engine, run))["judge"]
            assert server.count == 5
            again = await engine.fork(edited, 2, pipeline=pipeline)
            assert await outputs(engine, again) == await outputs(engine, run)
            assert (await engine.verify(again, pipeline)).divergence is None
            for at in range(4, await engine.log.head(edited) + 1):
                assert await outputs(engine, await engine.fork(edited, at, pipeline=pipeline)) == await outputs(engine, edited), at
            assert server.count == 5


async def test_a_fork_takes_what_only_the_fork_between_has_done() -> None:
    """A run that was stopped, a fork that finished it: forked again at the beginning, all of it is taken."""
    pipeline = Pipeline("p").step("one", run=inner_one).step("two", run=inner_two, depends_on=["one"])
    async with engine_at() as engine:
        run = await finished(engine, pipeline)
        half = await engine.fork(run, 3, {"two.output": 5}, pipeline=pipeline, drive=False)
        whole = await engine.fork(half, None, {"one.again": True}, pipeline=pipeline)
        expected = await outputs(engine, whole)
        CALLS.clear()
        assert await outputs(engine, await engine.fork(whole, None, pipeline=pipeline)) == expected
        assert await outputs(engine, await engine.fork(whole, 2, pipeline=pipeline)) == await outputs(engine, run)
        assert not CALLS
