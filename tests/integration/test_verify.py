"""Verify on real runs: clean where nothing changed, and each of ten seeded mutations told at its event."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from engine import Engine, Pipeline, RetryPolicy, StepContext
from engine.replay.decisions import Decisions, Divergence
from engine.replay.verify import Verification
from engine.scheduler import Schedule
from store.events import Recorded, RunCompleted
from tests.driving import engine_at
from tests.integration.test_forks import busy, diamond, finished, nested, price, shop, shout, touch
from tests.shell import Shell

FLOW = """
name: flow
steps:
  - {name: a, goal: Say one thing}
  - {name: b, goal: Say another, depends_on: [a]}
"""


async def proved(engine: Engine, run: str, pipeline: Pipeline | None = None) -> Verification:
    """A run proved with a pipeline."""
    return await engine.verify(run, pipeline)


@pytest.mark.parametrize("make", [diamond, busy, shop, nested])
async def test_an_unedited_run_and_its_forks_are_clean(make: Callable[[], Pipeline]) -> None:
    """Whatever a pipeline is made of, its run and forks of it verify, child runs included."""
    async with engine_at() as engine:
        run = await finished(engine, make())
        head = await engine.log.head(run)
        for one in (run, await engine.fork(run, head // 2, pipeline=make()), await engine.fork(run, 1, pipeline=make())):
            await engine.wait(one)
            found = await proved(engine, one, make())
            assert (found.divergence, found.notes) == (None, [])
            assert found.decisions
        assert (await proved(engine, run, make())).attempts


async def clean_fork(engine: Engine, run: str, edits: dict[str, Any], pipeline: Pipeline, answer: str | None = None) -> str:
    """A fork with edits that was driven to its end, answering once where it asks, and that verifies."""
    fork = await engine.fork(run, None, edits, pipeline=pipeline)
    await engine.wait(fork)
    if answer is not None:
        await engine.answer(fork, answer)
        await engine.resume(fork, pipeline)
        await engine.wait(fork)
    found = await proved(engine, fork, pipeline)
    assert (found.divergence, found.notes) == (None, [])
    assert found.attempts
    return fork


async def test_forks_with_edits_are_clean_each_attempt_under_what_held_when_it_ran() -> None:
    """Edited params and models hold from the edit on, also of a fork of a fork; what came before was run with those before."""
    words = Pipeline("words").step("shout", run=shout).step("other", run=price)
    goals = Pipeline("goals").step("a", goal="Say one").step("b", goal="Say another", depends_on=["a"])
    async with engine_at() as engine:
        run = await finished(engine, words, params={"word": "a"})
        fork = await clean_fork(engine, run, {"params.word": "b"}, words)
        await clean_fork(engine, fork, {"params.word": "c"}, words)
        await clean_fork(engine, await finished(engine, goals, model="offline"), {"model": "openai/gpt-4o-mini"}, goals)


@pytest.mark.parametrize("answer", ["do it", "leave it"])
async def test_what_a_fork_asked_before_it_went_on_is_clean(answer: str) -> None:
    """The question of a policy, or of an irreversible effect, is asked of the record again, whatever the answer was."""
    async with engine_at() as engine:
        run = await finished(engine, diamond())
        await clean_fork(engine, run, {"policy.once:left": "ask", "left.again": True}, diamond(), answer)
        run = await finished(engine, shop())
        await clean_fork(engine, run, {"price.output": 12}, shop(), answer)


@pytest.mark.parametrize("policy", ["recorded", {"stub": {"charged": "not"}}])
async def test_what_a_fork_refused_or_stood_in_for_is_clean(policy: Any) -> None:
    """An effect that only the recording may answer is refused again; one that was stubbed comes to the same."""
    async with engine_at() as engine:
        await clean_fork(engine, await finished(engine, shop()), {"policy.once:charge": policy, "price.output": 12}, shop())


async def pays_twice(ctx: StepContext, n: int) -> list[Any]:
    return [await ctx.once("pay", lambda amount: amount, amount, safety="irreversible") for amount in (1, n)]


async def test_what_was_taken_is_told_from_what_was_asked_about() -> None:
    """An attempt that takes one charge from the past and asks about another of the same name is clean, answered or not yet."""
    pipeline = Pipeline("twice", params={"n": 2}).step("pays", run=pays_twice)
    async with engine_at() as engine:
        run = await finished(engine, pipeline)
        fork = await engine.fork(run, None, {"params.n": 3}, pipeline=pipeline)
        assert await engine.wait(fork) == "waiting"
        assert (await proved(engine, fork, pipeline)).divergence is None
        await engine.answer(fork, "do it")
        await engine.resume(fork, pipeline)
        assert (await engine.result(fork)).final_output == [1, 3]
        assert (await proved(engine, fork, pipeline)).divergence is None


def test_shipped_pipelines_verify_from_the_shell(tmp_path: Path) -> None:
    """The demo, the starter and a file of goals are clean, and the words say what was proved."""
    shell = Shell(tmp_path)
    (tmp_path / "flow.yaml").write_text(FLOW)
    (tmp_path / "seen").mkdir()
    (tmp_path / "seen" / "a.py").write_text("# TODO: one\n")
    assert shell.tui("init", "starter").code == 0
    for words in (["demo", "seen"], ["run", "flow.yaml", "--offline"], ["run", "starter/pipeline.yaml", "--offline"]):
        assert shell.tui(*words, "-q").code == 0
        done = shell.tui("verify", "last")
        assert (done.code, done.out.startswith("clean: ")) == (0, True), done.out
    assert shell.tui("verify", "last", "--json").data["clean"] is True


def test_a_changed_goal_exits_with_4_and_shows_both_sides(tmp_path: Path) -> None:
    """The first divergence is the model's request, with what was asked then and what would be asked now."""
    shell = Shell(tmp_path)
    flow = tmp_path / "flow.yaml"
    flow.write_text(FLOW)
    assert shell.tui("run", "flow.yaml", "--offline", "-q").code == 0
    flow.write_text(FLOW.replace("another", "a third"))
    done = shell.tui("verify", "last")
    assert done.code == 4
    assert done.out.startswith("arguments at event 8, step b, attempt 1\n  recorded  effect.requested: model 'offline'\n")
    lines = [line[6:] for line in done.out.splitlines() if line[6:8] in ("- ", "+ ")]
    assert [(line[:2], "another" in line, "a third" in line) for line in lines] == [("- ", True, False), ("+ ", False, True)]


# -- ten mutations


async def events_of(engine: Engine, run: str) -> tuple[list[Recorded], Decisions]:
    """A run's events, and a checker of its decisions."""
    from engine.definition import Definition

    events = list(await engine.events(run))
    definition = Definition.from_json(await engine.log.blob(events[0].event.definition))
    return events, Decisions({1: definition}, 5)


def first(events: list[Recorded], decisions: Decisions) -> Divergence | None:
    """The first divergence of decisions, by pure folding."""
    for index, item in enumerate(events):
        if found := decisions.check(item, events[index + 1 :]):
            return found
        decisions.fold(item)
    return decisions.rest()


def at(events: list[Recorded], type_: str, step: str | None = None) -> int:
    """The place of an event in the list."""
    return next(place for place, item in enumerate(events) if item.event.type == type_ and item.step == step)


async def test_mutations_of_the_log_are_told_at_their_event() -> None:
    """An event left out, put in, moved, or with other contents is told where it stands."""
    async with engine_at() as engine:
        run = await finished(engine, diamond())
        events, _ = await events_of(engine, run)
        start = at(events, "step.started", "left")
        without = events[:start] + events[start + 1 :]
        found = first(without, (await events_of(engine, run))[1])
        assert found is not None
        assert (found.version, found.kind) in ((events[start + 1].version, "missing"), (events[start + 1].version, "order"))
        again = [*events[:start], events[start], msgspec.structs.replace(events[start], attempt=2), *events[start + 1 :]]
        found = first(again, (await events_of(engine, run))[1])
        assert found is not None
        assert (found.step, found.attempt, found.version) == ("left", 2, events[start].version)
        swapped = [*events]
        swapped[start], swapped[start + 1] = events[start + 1], events[start]
        found = first(swapped, (await events_of(engine, run))[1])
        assert found is not None
        assert (found.kind, found.version) == ("order", events[start + 1].version)
        early = [*events[:start], msgspec.structs.replace(events[start], event=RunCompleted(), step=None, attempt=0)]
        found = first(early, (await events_of(engine, run))[1])
        assert found is not None
        assert (found.kind, found.version) == ("missing", events[start].version)


async def test_an_output_that_was_changed_is_told() -> None:
    """A log whose outputs were written over is not what the code comes to."""

    def fixed() -> int:
        return 1

    async with engine_at() as engine:
        run = await finished(engine, Pipeline("p").step("fixed", run=fixed))

        def other() -> int:
            return 2

        found = (await proved(engine, run, Pipeline("p").step("fixed", run=other))).divergence
        assert found is not None
        assert (found.kind, found.step, found.version) == ("arguments", "fixed", 4)
        assert (found.recorded, found.today) == ("step.completed: output 1", "step.completed: output 2")
        assert [(line.sign, line.text) for line in found.text.lines] == [("-", "1"), ("+", "2")]


async def two(ctx: StepContext) -> list[Any]:
    return [await touch(ctx, "one", 1), await touch(ctx, "two", 2)]


async def one_less(ctx: StepContext) -> list[Any]:
    return [await touch(ctx, "one", 1), 2]


async def one_more(ctx: StepContext) -> list[Any]:
    found = await two(ctx)
    await touch(ctx, "three", 3)
    return found


async def otherwise(ctx: StepContext) -> list[Any]:
    return [await ctx.once("one", len, "abc"), await touch(ctx, "two", 2)]


@pytest.mark.parametrize(
    ("body", "kind", "version"),
    [(one_less, "missing", 6), (one_more, "extra", 3), (otherwise, "arguments", 4)],
)
async def test_mutations_of_a_function_are_told_at_their_request(body: Any, kind: str, version: int) -> None:
    """A request that is not made, that is new, or that has other arguments is told."""
    async with engine_at() as engine:
        run = await finished(engine, Pipeline("p").step("two", run=two))
        found = (await proved(engine, run, Pipeline("p").step("two", run=body))).divergence
        assert found is not None
        assert (found.kind, found.step, found.version) == (kind, "two", version)


async def test_the_request_that_is_another_is_told_among_others_of_its_name() -> None:
    """Of three calls of one name the last has other arguments: its event is named, and only what differs in it is shown."""

    async def calls(ctx: StepContext, last: int) -> list[Any]:
        return [await ctx.once("same", lambda given: given, {"n": number, "deep": ["x", number]}) for number in (1, 2, last)]

    async def third(ctx: StepContext) -> list[Any]:
        return await calls(ctx, 3)

    async def fourth(ctx: StepContext) -> list[Any]:
        return await calls(ctx, 4)

    async with engine_at() as engine:
        run = await finished(engine, Pipeline("p").step("calls", run=third))
        found = (await proved(engine, run, Pipeline("p").step("calls", run=fourth))).divergence
        assert found is not None
        assert (found.kind, found.version) == ("arguments", 8)
        assert found.recorded == """effect.requested: once 'same' with {"args": [{"deep": ["x", 3], "n": 3}]}"""
        changed = [(line.sign, line.text.strip()) for line in found.text.lines if line.sign != " "]
        assert changed == [("-", "3"), ("+", "4"), ("-", '"n": 3'), ("+", '"n": 4')]


async def swapped(ctx: StepContext) -> list[Any]:
    second = await touch(ctx, "two", 2)
    return [await touch(ctx, "one", 1), second]


async def breaks_first(ctx: StepContext) -> list[Any]:
    raise LookupError("nowhere")


async def renamed(ctx: StepContext) -> list[Any]:
    return [await touch(ctx, "one", 1), await touch(ctx, "deux", 2)]


@pytest.mark.parametrize(
    ("body", "kind", "version", "today"),
    [
        (swapped, "order", 4, "first effect.requested: once 'two'"),
        (breaks_first, "missing", 4, "step.failed: LookupError: nowhere, without asking for that"),
        (one_less, "missing", 6, "step.completed: output [1, 2], without asking for that"),
        (renamed, "missing", 6, "effect.requested: once 'deux'"),
    ],
)
async def test_what_is_done_instead_is_told(body: Any, kind: str, version: int, today: str) -> None:
    """Another order, an error before, an end without it, another call in its place: the recorded request, and what comes today."""
    async with engine_at() as engine:
        run = await finished(engine, Pipeline("p").step("two", run=two))
        found = (await proved(engine, run, Pipeline("p").step("two", run=body, max_retries=0))).divergence
        assert found is not None
        assert (found.kind, found.version, found.today) == (kind, version, today)
        assert found.recorded == f"effect.requested: once '{'one' if version == 4 else 'two'}'"


async def test_a_body_that_hangs_is_waited_for_at_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its time is given to it, and no core to the waiting."""
    monkeypatch.setattr("engine.replay.attempts.SECONDS", 1.5)

    async def hangs(ctx: StepContext) -> list[Any]:
        found = await two(ctx)
        await asyncio.sleep(60)
        return found

    async with engine_at() as engine:
        run = await finished(engine, Pipeline("p").step("two", run=two))
        used = time.process_time()
        found = (await proved(engine, run, Pipeline("p").step("two", run=hangs))).divergence
        assert found is not None
        assert (found.kind, found.today) == ("missing", "it does not end")
        assert time.process_time() - used < 0.7


async def test_a_conversation_that_is_another_is_told_message_by_message() -> None:
    """What a tool returned is kept, so the second request is another where the goal is: the message that differs is shown."""

    async def asks(ctx: StepContext, words: str) -> Any:
        first = await ctx.model("Begin.")
        return await ctx.model([{"role": "user", "content": f"You said {first}.\n{words}"}, {"role": "user", "content": "End."}])

    async def then(ctx: StepContext) -> Any:
        return await asks(ctx, "Go on.")

    async def now(ctx: StepContext) -> Any:
        return await asks(ctx, "Stop here." + "x" * 3000)

    async with engine_at(model="offline") as engine:
        run = await finished(engine, Pipeline("p").step("asks", run=then))
        found = (await proved(engine, run, Pipeline("p").step("asks", run=now))).divergence
        assert found is not None
        assert (found.kind, found.version) == ("arguments", 6)
        changed = [f"{line.sign}{line.text}"[:11] for line in found.text.lines if line.sign != " "]
        assert changed == ["-Go on.", "+Stop here."]


async def test_a_scheduler_that_breaks_its_rules_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that starts more than the limit, tries once less, or skips what should run decides otherwise at that event."""
    async with engine_at() as engine:
        retried = Pipeline("p").step("fails", run=fails, retry=RetryPolicy(max_retries=1, delay=0.0))
        run = await finished(engine, retried)
        events, _ = await events_of(engine, run)
        monkeypatch.setattr(Schedule, "_after_failure", lambda self, state, path, now: self.give_up(state, path))
        found = first(events, (await events_of(engine, run))[1])
        assert found is not None
        assert (found.version, found.recorded.partition(" ")[0]) == (5, "step.retry_scheduled")
        monkeypatch.undo()
        wide = Pipeline("p")
        for number in range(3):
            wide.step(f"s{number}", run=quick, execution_mode="concurrent")
        run = await finished(engine, wide, max_concurrent_steps=2)
        events, decisions = await events_of(engine, run)
        assert first(events, Decisions(decisions._definitions, 2)) is None
        found = first(events, Decisions(decisions._definitions, 3))
        assert found is None  # the third start would come earlier, but what is recorded in between are facts
        monkeypatch.setattr(Schedule, "_below_limit", lambda self, state: False)
        found = first(events, Decisions(decisions._definitions, 2))
        assert found is not None
        assert found.version == 3
        monkeypatch.undo()
        monkeypatch.setattr(Schedule, "_end", lambda self, state: None)
        found = first(events, Decisions(decisions._definitions, 2))
        assert found is not None
        assert (found.kind, found.version) == ("extra", events[-1].version)


async def fails(ctx: StepContext) -> None:
    raise RuntimeError("always")


async def quick(ctx: StepContext) -> int:
    return int(await touch(ctx, ctx.step, 1))


async def test_a_definition_that_was_changed_decides_otherwise() -> None:
    """With another condition, with a step more, or with another graph, that is told where it was decided."""

    def choose(limit: int) -> Pipeline:
        return Pipeline("p").step("n", run=number).step("big", run=number, depends_on=["n"], condition=f"steps.n.output > {limit}")

    async with engine_at() as engine:
        run = await finished(engine, choose(5))
        assert (await proved(engine, run, choose(5))).clean
        found = (await proved(engine, run, choose(50))).divergence
        assert found is not None
        assert (found.kind, found.step, found.recorded.partition(" ")[0]) == ("arguments", "big", "step.evaluated")
        found = (await proved(engine, run, choose(5).step("more", run=number))).divergence
        assert found is not None
        assert (found.kind, found.version, found.today) == ("arguments", 1, "step 'more' was added")
        flat = Pipeline("p").step("n", run=number).step("big", run=number)
        found = (await proved(engine, run, flat)).divergence
        assert found is not None
        assert (found.version, found.step) == (5, "big")


def number() -> int:
    return 7


async def test_a_step_that_reaches_out_is_refused_and_told() -> None:
    """What a body asks of the network outside its effects is refused, so that the attempt does not come to what it came to."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        place = server.getsockname()

        def dials() -> str:
            with socket.socket() as caller:
                caller.connect(place)
            return "reached"

        async with engine_at() as engine:
            run = await finished(engine, Pipeline("p").step("dials", run=dials))
            found = (await proved(engine, run, Pipeline("p").step("dials", run=dials))).divergence
            assert found is not None
            assert "socket.connect is refused" in found.today
            assert dials() == "reached"


async def test_nothing_is_written() -> None:
    """Proving a run leaves its log as it was."""
    async with engine_at() as engine:
        run = await finished(engine, diamond())
        before = list(await engine.events(run))
        await proved(engine, run, diamond())
        assert (list(await engine.events(run)), len(await engine.runs())) == (before, 1)
