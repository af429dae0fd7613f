"""Runs that were really driven, compared: from Python with the store's contents, and in the shell with its exit codes."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from engine import Engine, Pipeline, RunDiff, RunNotFoundError, StepContext
from engine.replay import loading
from engine.replay.loading import NoSuchStepError
from store import Log
from store.events import EditApplied, Event, Recorded, RunForked, RunId, StepCompleted, StepReset, StepReused, StepStarted
from tests.acceptance.diff_runs import BEFORE, A, B, write_pair
from tests.driving import Scripted, engine_at
from tests.happenings import payload
from tests.shell import Shell
from tests.stores import branch


def shop(factor: int = 2) -> Pipeline:
    def price(shop: str) -> dict[str, Any]:
        return {"shop": shop, "prices": [10 * factor, 20], "note": "\x1b[31mred\u202e"}

    def total(price: dict[str, Any]) -> int:
        return sum(price["prices"])

    return Pipeline("shop").step("price", run=price).step("total", run=total, depends_on="price").step("end", run=lambda: "ended")


async def drive(engine: Engine, pipeline: Pipeline, **params: Any) -> str:
    run = await engine.start(pipeline, params)
    await engine.wait(run)
    return run


def whats(found: RunDiff) -> dict[str, str]:
    return {one.step: one.what for one in found.steps}


async def test_two_runs_of_the_same_are_the_same() -> None:
    """Driven twice with the same params nothing differs, nor does a run differ from itself."""
    async with engine_at() as engine:
        a, b = await drive(engine, shop(), shop="Acme"), await drive(engine, shop(), shop="Acme")
        found = await engine.diff(a, b)
        assert (found.different, found.first, found.shared) == (False, None, 0)
        assert set(whats(found).values()) == {"same"}
        again = await engine.diff(a, a)
        assert (again.different, again.seconds, again.tokens, again.cost) == (False, 0.0, 0, 0.0)
        assert again.shared == again.a.version


async def test_other_params_are_where_runs_part() -> None:
    """The first event differs, each changed param is told, and steps that came to the same in spite of it are the same."""
    async with engine_at() as engine:
        a, b = await drive(engine, shop(), shop="Acme"), await drive(engine, shop(), shop="Globex")
        found = await engine.diff(a, b)
        assert found.first is not None
        assert (found.first.what, found.first.a and found.first.a.type) == ("arguments", "run.created")
        assert [(change.path, change.a, change.b) for change in found.params.changes] == [("shop", '"Acme"', '"Globex"')]
        assert whats(found) == {"price": "changed", "total": "same", "end": "same"}
        texts = found.steps[0].texts
        assert texts is not None
        assert [change.path for change in texts.value.changes] == ["shop"]
        assert [line.text for line in texts.output.lines if line.sign != " "] == ['  "shop": "Acme"', '  "shop": "Globex"']


async def test_a_changed_function_is_told_and_what_follows_from_it() -> None:
    """The pipeline says which function has another text; the steps say what it led to, also what was given to the next."""

    def other(shop: str) -> dict[str, Any]:
        return {"shop": shop, "prices": [30, 20, 10]}

    async with engine_at() as engine:
        changed = shop()
        changed.steps[0].run = other
        a, b = await drive(engine, shop(), shop="Acme"), await drive(engine, changed, shop="Acme")
        found = await engine.diff(a, b)
        assert found.different
        assert whats(found)["total"] == "changed"
        texts = found.steps[1].texts
        assert texts is not None
        assert [line.text for line in texts.input.lines if line.sign == "+"] == ["    30,", "    10"]
        assert found.definition.sentences or found.definition.sources


async def test_another_answer_of_a_model() -> None:
    """The same prompt that was answered otherwise differs in its outcome alone; another prompt is shown as a conversation."""
    async with engine_at(model="scripted") as engine:
        engine._models["scripted"] = Scripted("It is good.", "It is bad.", "It is odd.", cost=None)
        judge = Pipeline("study", params={"topic": "bees"}).step("judge", "Judge ${{ params.topic }}")
        a, b = await drive(engine, judge), await drive(engine, judge)
        found = await engine.diff(a, b)
        assert found.first is not None
        assert (found.first.what, found.first.step) == ("outcome", "judge")
        assert (found.cost, found.steps[0].cost) == (None, None)
        assert found.steps[0].texts is not None
        assert not found.steps[0].texts.prompt
        c = await drive(engine, judge, topic="wasps")
        texts = (await engine.diff(a, c, step="judge")).steps[0].texts
        assert texts is not None
        told = [line.sign + line.text for line in texts.prompt.lines]
        assert any(line.startswith("-") and "bees" in line for line in told)
        assert any(line.startswith("+") and "wasps" in line for line in told)


async def test_a_group_differs_where_a_child_does() -> None:
    """Of children that ran for other items the items are their input; the group adds them up and differs with them."""

    def double(item: int) -> int:
        return abs(item) * 2

    async with engine_at() as engine:
        pipeline = Pipeline("each").step("double", run=double, for_each="params.numbers")
        a, b = await drive(engine, pipeline, numbers=[1, 2, 3]), await drive(engine, pipeline, numbers=[1, -2, 4, 5])
        found = await engine.diff(a, b)
        assert whats(found) == {
            "double": "changed", "double[0]": "same", "double[1]": "same", "double[2]": "changed", "double[3]": "b",
        }  # fmt: skip
        texts = (await engine.diff(a, b, step="double[1]")).steps[0].texts
        assert texts is not None
        assert [line.sign + line.text for line in texts.input.lines] == [" item:", "-2", "+-2"]
        assert not texts.output


async def test_large_outputs_are_compared_at_their_beginning(monkeypatch: pytest.MonkeyPatch) -> None:
    """Above the limit the text's beginning is compared and the rest is counted, not read as a value."""
    monkeypatch.setattr(loading, "VALUE", 1_000)
    async with engine_at() as engine:
        pipeline = Pipeline("large", params={"letter": "a"}).step("write", run=lambda letter: f"{letter} line\n" * 1_000)
        a, b = await drive(engine, pipeline, letter="x"), await drive(engine, pipeline, letter="y")
        texts = (await engine.diff(a, b)).steps[0].texts
        assert texts is not None
        assert texts.unread > 10_000
        assert not texts.value
        assert texts.output


async def test_a_conversation_that_is_gone_is_said(tmp_path: Path) -> None:
    """Where a request's messages are not in the store any more, the prompt says so instead of failing."""
    path = await write_pair(tmp_path / "runs.db")
    with closing(sqlite3.connect(path)) as store:
        guards = store.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'").fetchall()
        for name, _ in guards:
            store.execute(f"DROP TRIGGER {name}")
        store.execute("DELETE FROM blobs")
        for _, text in guards:
            store.execute(text)
        store.commit()
    async with Engine(path) as engine:
        found = await engine.diff(A, B)
        texts = next(one.texts for one in found.steps if one.step == "opportunity")
        assert texts is not None
        assert any("is not in the store" in line.text for line in texts.prompt.lines)
        assert found.definition.sentences == []


async def test_a_conversation_is_told_once() -> None:
    """Requests that go on with the one before add only what is new, in either run."""

    async def talk(ctx: StepContext, name: str) -> str:
        said: list[dict[str, Any]] = [{"role": "user", "content": f"I am {name}."}]
        for question in ("How are you?", "And now?"):
            said.append({"role": "user", "content": question})
            said.append({"role": "assistant", "content": str(await ctx.model(said))})
        return "talked"

    async with engine_at(model="offline") as engine:
        pipeline = Pipeline("talk").step("talk", run=talk)
        a, b = await drive(engine, pipeline, name="Ann"), await drive(engine, pipeline, name="Bob")
        texts = (await engine.diff(a, b)).steps[0].texts
        assert texts is not None
        left = [line.text for line in texts.prompt.lines if line.a is not None]
        assert (left.count("I am Ann."), left.count("How are you?"), left.count("And now?")) == (1, 1, 1)


async def test_a_fork_shares_its_past() -> None:
    """Only what came after the point is read; what had settled before it is reused; either way round."""
    async with engine_at() as engine:
        a = await drive(engine, shop(), shop="Acme")
        log: Log = engine.log
        events = await log.events(RunId(a))
        point = next(one.version for one in events if one.event.type == "step.completed" and one.step == "price")
        head = events[-1].version
        lease = await branch(log, "fork", a, point, head, at=events[-1].at + 1)
        await lease.release()
        found = await engine.diff(a, "fork")
        assert (found.shared, found.b.parent, found.b.at) == (point, a, point)
        assert [one.reused for one in found.steps] == [True, False, False]
        assert whats(found) == {"price": "same", "total": "a", "end": "a"}
        assert found.first is not None
        assert found.first.what == "missing"
        back = await engine.diff("fork", a)
        assert whats(back) == {"price": "same", "total": "b", "end": "b"}
        again = [one for one in events if one.version > point]
        forked = RunForked(a, point, head)
        rest = [type(one)(one.version + 1, one.at + 9, one.event, one.step, one.attempt) for one in again]
        lease = await branch(log, "same", a, point, forked.reuse_upto, at=events[-1].at + 1, more=rest)
        await lease.release()
        assert not (await engine.diff(a, "same")).different
        assert (await engine.diff("fork", "same")).shared == point


async def test_what_a_fork_did_again_is_compared_with_what_was_done_before_it() -> None:
    """Steps that an edit reset are compared with their like in the shared past; the same again is the same in any attempt."""
    async with engine_at() as engine:
        a = await drive(engine, shop(), shop="Acme")
        log: Log = engine.log
        events = await log.events(RunId(a))
        head, at = events[-1].version, events[-1].at + 1

        def own(*told: tuple[Event, str, int]) -> list[Recorded]:
            return [Recorded(head + 2 + place, at, event, step, attempt) for place, (event, step, attempt) in enumerate(told)]

        price = next(one.event for one in events if one.event.type == "step.completed" and one.step == "price")
        again = own(
            (EditApplied("params.shop", payload("Acme Ltd"), changed=["price"]), "price", 0),
            *((StepReset("an edit reached it"), name, 0) for name in ("price", "total", "end")),
            (StepStarted(), "price", 2),
            (StepCompleted(price.output), "price", 2),
            (StepStarted(), "total", 2),
            (StepCompleted(payload(41)), "total", 2),
            (StepReused((a, head - 1), payload("ended")), "end", 0),
        )
        lease = await branch(log, "again", a, head, head, at=at, more=again)
        await lease.release()
        found = await engine.diff(a, "again")
        assert whats(found) == {"price": "changed", "total": "changed", "end": "same"}
        price_diff, total_diff, end_diff = found.steps
        assert [one.what for one in price_diff.events] == ["extra"]
        assert [one.what for one in total_diff.events] == ["outcome"]
        assert total_diff.events[0].b is not None
        assert total_diff.events[0].b.attempt == 2
        assert (price_diff.reused, end_diff.reused) == (False, True)
        assert found.first is not None
        assert (found.first.what, found.first.b and found.first.b.type) == ("extra", "edit.applied")
        back = await engine.diff("again", a)
        assert whats(back) == whats(found)
        assert back.first is not None
        assert (back.first.what, back.first.a) == ("missing", found.first.b)


async def test_what_is_not_there_is_refused() -> None:
    """A run or a step that there is not is told by name, the step with the nearest one."""
    async with engine_at() as engine:
        a = await drive(engine, shop(), shop="Acme")
        with pytest.raises(RunNotFoundError):
            await engine.diff(a, "nothing")
        with pytest.raises(NoSuchStepError, match="did you mean 'price'"):
            await engine.diff(a, a, step="prise")


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Shell:
    """A store with a run that failed and its fork that did not; only looked at."""
    shell = Shell(tmp_path_factory.mktemp("diff"))
    asyncio.run(write_pair(Path(shell.env["TAGENT_DB"])))
    return shell


def test_the_shell_tells_a_person(shell: Shell) -> None:
    """Both runs, where they part, a row for each step that differs, and the texts; exit code 4."""
    done = shell.tui("diff", A[:4], B[:4])
    assert (done.code, done.err) == (4, "")
    lines = done.out.splitlines()
    assert lines[0] == "ecommerce_analysis   A 7d12 ✗ failed  →  B 7e41 ✓ fork of A at 25"
    assert "5 same   ≠ 2 differ   1 only in B   B is 1m 21s faster" in lines[1]
    assert lines[2].endswith("event 28 · edit.applied · report.prompt by you")
    rows = [line for line in lines if " ≠ " in line or " + " in line]
    assert any("competitors  HTTP 429" in row and "- 1m 30s" in row for row in rows)
    assert "total  without the reused" in done.out
    assert "   13 + 4. Watch Globex: it cut its price twice." in lines
    assert "archive" not in done.out
    assert "\x1b" not in done.out


def test_the_shell_tells_a_program(shell: Shell) -> None:
    """One JSON object with both runs, the first divergence, all steps and their texts."""
    done = shell.tui("diff", A, B, "--json")
    assert done.code == 4
    told = done.data
    assert (told["different"], told["shared"], told["first"]["what"], told["first"]["b"]["version"]) == (True, 25, "extra", 28)
    steps = {step["step"]: step for step in told["steps"]}
    assert (steps["plan"]["what"], steps["plan"]["reused"], steps["plan"]["cost"]) == ("same", True, None)
    judged = steps["opportunity"]
    assert (judged["output"]["removed"], judged["output"]["added"], judged["seconds"]) == (5, 5, -1.5)
    assert "-4 sources, 1 primary" in judged["output"]["lines"]
    one = shell.tui("diff", A, B, "--json", "--step", "archive")
    assert (one.code, [step["step"] for step in one.data["steps"]]) == (0, ["archive"])


def test_the_shell_s_codes(shell: Shell) -> None:
    """0 for a run and itself, 3 for what there is not, 2 for wrong usage; one sentence each."""
    same = shell.tui("diff", A, A)
    assert (same.code, same.out.splitlines()[1]) == (0, "the same run")
    gone = shell.tui("diff", A, "nothing")
    assert (gone.code, gone.out, gone.err.count("\n")) == (3, "", 1)
    step = shell.tui("diff", A, B, "--step", "oportunity")
    assert (step.code, step.out) == (3, "")
    assert "did you mean 'opportunity'?" in step.err
    assert shell.tui("diff", A).code == 2
    assert BEFORE.startswith("# Opportunity")


def test_foreign_text_cannot_reach_the_terminal(tmp_path: Path) -> None:
    """What steps return is named where it is shown, whether or not a terminal is there; --json has it as it is."""
    shell = Shell(tmp_path)
    (tmp_path / "bad.py").write_text(
        "from engine import Pipeline\n"
        "def evil(n): return f'\\x1b]0;evil{n}\\x07 \\u202e [/x]'\n"
        "pipeline = Pipeline('bad').step('evil', run=evil)\n"
    )
    a, b = (shell.run_of("bad:pipeline", "-p", f"n={n}") for n in (1, 2))
    done = shell.tui("diff", a, b)
    assert done.code == 4
    assert "⟨ESC⟩]0;evil1⟨BEL⟩ ⟨U+202E⟩ [/x]" in done.out
    assert "\x1b" not in done.out
    assert "\x1b]0;evil2\x07" in shell.tui("diff", a, b, "--json").data["steps"][0]["output"]["lines"][1]
