"""Checkpoints end to end: from steps, from outside and by themselves, over crashes, from Python and from the shell."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from engine import Approval, Checkpoint, CheckpointNotFoundError, CommandRefusedError, EngineError, Pipeline, StepContext
from tests.driving import engine_at, typed
from tests.integration.test_engine_resume import World, interrupted
from tests.shell import Shell, wait_for
from tests.stores import bytes_beside

KINDS = """
from engine import Pipeline
def one(): return 1
def broken(): raise ValueError("no luck")
def sync(ctx):
    ctx.checkpoint("in sync", n=1)
    return 1
marks = (Pipeline("marks", checkpoints=["approval", "irreversible", "failure", "end"])
         .step("one", run=sync, checkpoint=True)
         .step("pay", run=one, depends_on=["one"], irreversible=True, approval="Pay?", checkpoint="paid")
         .step("broken", run=broken, depends_on=["pay"], max_retries=0))
fine = Pipeline("fine").step("one", run=one, checkpoint=True).step("two", run=one, depends_on=["one"])
"""


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    made = Shell(tmp_path)
    (tmp_path / "kinds.py").write_text(KINDS)
    return made


@pytest.fixture(scope="module")
def fine(tmp_path_factory: pytest.TempPathFactory) -> Shell:
    """A store with one run that is only looked at."""
    made = Shell(tmp_path_factory.mktemp("fine"))
    (made.folder / "kinds.py").write_text(KINDS)
    made.run_of("kinds:fine")
    return made


async def test_a_checkpoint_of_a_step_is_made_once_over_a_crash(tmp_path: Path) -> None:
    """What the attempt marked before the crash is not marked again when its body runs again; what comes after is."""
    world = World()

    async def body(ctx: StepContext) -> None:
        await ctx.checkpoint("begun", at=1)
        await ctx.now()
        await world.wait()
        await ctx.checkpoint("begun", at=1)
        await ctx.checkpoint("big", text="x" * 5000)

    pipeline = Pipeline("p", checkpoints=["irreversible", "end"]).step("x", run=body, irreversible=True, checkpoint=True)
    run = await interrupted(tmp_path / "runs.db", world, pipeline)
    async with engine_at(tmp_path / "runs.db") as engine:
        state = await engine.view(run)
        assert state.steps["x"].status.word == "running"
        await engine.resume(run, pipeline, resolve={"x": {"outcome": "again"}})
        assert (await engine.result(run)).success
        found = await engine.checkpoints(run)
        events = await engine.events(run)
    assert [(one.name, one.kind, one.step) for one in found] == [
        ("irreversible.x", "irreversible", "x"),
        ("begun", "manual", "x"),
        ("begun", "manual", "x"),
        ("big", "manual", "x"),
        ("x", "step", "x"),
        ("end", "end", None),
    ]
    assert found[1].metadata == {"at": 1}
    assert found[3].metadata == {"text": "x" * 5000}
    assert all(events[one.version - 1].at == one.at for one in found)
    assert len(typed(events, "step.started")) == 1


async def test_a_plain_function_marks_without_await_and_a_bad_name_fails_its_step() -> None:
    """The same method works in a worker thread; a name that could be another place is refused there."""

    def body(ctx: StepContext) -> None:
        ctx.checkpoint("good", list=[1, 2])  # type: ignore[unused-coroutine]
        ctx.checkpoint("12")  # type: ignore[unused-coroutine]

    async with engine_at() as engine:
        run = await engine.start(Pipeline("p").step("x", run=body, max_retries=0))
        result = await engine.result(run)
        found = await engine.checkpoints(run)
    assert [(one.name, one.metadata) for one in found] == [("good", {"list": [1, 2]})]
    assert "is no name of a checkpoint" in str(result.failures)


async def test_a_run_is_marked_from_outside_while_it_waits_and_after_its_end(tmp_path: Path) -> None:
    """The command is recorded with who gave it, whether the run waits for somebody or has ended; it changes nothing else."""
    pipeline = Pipeline("p", checkpoints=["approval"]).step("x", run=lambda: 1, approval=Approval("Go?"))
    async with engine_at(tmp_path / "runs.db") as engine:
        run = await engine.start(pipeline)
        assert await engine.wait(run) == "waiting"
        assert "has the checkpoint 'asked' here" in await engine.checkpoint(run, "asked", {"why": "to look"})
        before = await engine.view(run)
        await engine.approve(run)
        await engine.resume(run, pipeline)
        assert (await engine.result(run)).success
        assert "has the checkpoint 'done'" in await engine.checkpoint(run, "done")
        found = await engine.checkpoints(run)
        events = await engine.events(run)
        with pytest.raises(CommandRefusedError, match="is no name"):
            await engine.checkpoint(run, "12")
        assert (await engine.view(run)).status.word == "completed"
    assert before.status.word == "running"
    assert [(one.name, one.kind) for one in found] == [("approval.x", "approval"), ("asked", "manual"), ("done", "manual")]
    assert found[1] == Checkpoint("asked", "manual", found[1].version, found[1].at, None, {"why": "to look"})
    assert [events[one.version - 1].actor for one in found] == ["driver", "user", "user"]
    assert issubclass(CommandRefusedError, EngineError)


def test_the_shell_marks_and_lists(shell: Shell) -> None:
    """Every kind is listed with its event, as a table and as JSON; a mark with a note is added to the ended run."""
    assert shell.tui("run", "kinds:marks", "-q").code == 5
    assert shell.tui("approve", "last", "-q").code == 0
    assert shell.tui("resume", "last", "-q").code == 1
    added = shell.tui("checkpoints", "last", "--add", "to keep", "--note", "see \x1b[31m this")
    assert (added.code, added.out) == (0, "")
    assert "has the checkpoint 'to keep' here" in added.err
    found = shell.tui("checkpoints", "last", "--json").data
    assert [(one["kind"], one["name"], one["step"]) for one in found] == [
        ("manual", "in sync", "one"),
        ("step", "one", "one"),
        ("approval", "approval.pay", "pay"),
        ("irreversible", "irreversible.pay", "pay"),
        ("step", "paid", "pay"),
        ("failure", "failure.broken", "broken"),
        ("end", "end", None),
        ("manual", "to keep", None),
    ]
    assert found[0]["metadata"] == {"n": 1}
    assert found[-1]["metadata"] == {"note": "see \x1b[31m this"}
    assert sorted(found[0]) == ["at", "kind", "metadata", "name", "step", "version"]
    table = shell.tui("checkpoints", "last").out.splitlines()
    assert table[0].split() == ["event", "time", "name", "made", "by", "step"]
    assert [line.split()[0] for line in table[1:]] == [str(one["version"]) for one in found]
    assert "\x1b" not in "".join(table)
    assert table[1].endswith("n=1")


def test_a_live_driver_takes_the_mark_and_a_dead_one_need_not(shell: Shell) -> None:
    """While the run is driven its driver records the mark; after it was killed the shell does, and the step goes on once."""
    shell.tui("run", "flow:holds", "--detach", "-q")
    wait_for(shell.folder / "held")
    assert shell.tui("checkpoints", "last", "--add", "driven", "--json").data["status"] == "running"
    pid = next(one["data"]["pid"] for one in shell.tui("events", "last", "--json").lines if one["type"] == "run.attached")
    os.kill(pid, signal.SIGKILL)
    dead = shell.tui("checkpoints", "last", "--add", "alone", "--json")
    assert dead.code == 0
    assert "no driver was alive, so this was recorded here" in dead.data["message"]
    (shell.folder / "go").touch()
    assert shell.tui("resume", "last", "-q").code == 0
    assert [one["name"] for one in shell.tui("checkpoints", "last", "--json").data] == ["driven", "alone"]


def test_mistakes_are_one_sentence(shell: Shell) -> None:
    """A bad name, a note without a name, and a run that has none yet."""
    run = shell.run_of("flow:fine")
    bad = shell.tui("checkpoints", run, "--add", "12")
    assert (bad.code, bad.err.count("\n")) == (2, 1)
    assert "'12' is no name of a checkpoint; give a letter" in bad.err
    assert "give --add NAME too" in shell.tui("checkpoints", run, "--note", "x").err
    none = shell.tui("checkpoints", run)
    assert (none.code, none.out) == (0, "")
    assert f"run {run} has no checkpoints; tagent-tui checkpoints {run} --add NAME makes one" in none.err
    assert shell.tui("checkpoints", run, "--json").data == []


def test_every_place_is_shown_and_nothing_is_written(shell: Shell) -> None:
    """`show` and `replay` take the same words; looking leaves every byte of the store as it was."""
    run = shell.run_of("kinds:fine")
    events = shell.tui("events", run, "--json").lines
    at = {word: next(e["version"] for e in events if e["type"] == word) for word in ("step.completed", "checkpoint.made")}
    before = bytes_beside(shell.folder / "runs.db")
    for word, version in (
        ("one", at["checkpoint.made"]),
        ("@one#1", at["checkpoint.made"]),
        ("one:end", at["step.completed"]),
        ("end", len(events)),
        ("+1h", len(events)),
        ("7", 7),
    ):
        for verb in ("show", "replay"):
            assert shell.tui(verb, run, "--at", word, "--json").data["version"] == version, (verb, word)
    assert shell.tui("show", run, "--at", "before:two", "--json").data["steps"][1]["status"] in ("pending", "ready")
    assert f"as of event {at['checkpoint.made']} of {len(events)}" in shell.tui("show", run, "--at", "one").out
    assert bytes_beside(shell.folder / "runs.db") == before


@pytest.mark.parametrize(
    ("word", "code", "said"),
    [
        ("onne", 3, "has no checkpoint 'onne'; did you mean 'one'?"),
        ("two", 3, "has no checkpoint 'two'; for the step say two:start or two:end."),
        ("thre:end", 3, "has no step 'thre'; show lists them."),
        ("!", 2, "'!' is no place of a run; say an event's number"),
        ("999", 2, "999 is not one of them"),
        ("00:00:00.000001", 2, "had not begun at"),
    ],
)
def test_a_place_that_is_not_there_is_one_sentence(fine: Shell, word: str, code: int, said: str) -> None:
    """Not found is 3, no place at all is wrong usage."""
    for verb in ("show", "replay"):
        done = fine.tui(verb, "last", "--at", word)
        assert (done.code, done.out, done.err.count("\n")) == (code, "", 1)
        assert said in done.err


async def test_the_engine_takes_the_same_words() -> None:
    """`Engine.view` at an event, a checkpoint and a boundary."""
    async with engine_at() as engine:
        run = await engine.start(Pipeline("p").step("x", run=lambda: 1, checkpoint="there"))
        await engine.wait(run)
        there = (await engine.checkpoints(run))[0].version
        assert (await engine.view(run, "there")).version == (await engine.view(run, there)).version == there
        assert (await engine.view(run, "x:end")).version == there - 1
        with pytest.raises(CheckpointNotFoundError, match="did you mean 'there'"):
            await engine.view(run, "three")
