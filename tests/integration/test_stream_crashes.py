"""Streams and drivers that die: nothing is written twice, a message given is given to the same request again, nothing is lost."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from engine import Engine, Pipeline, StepContext
from engine.driver import spawn_start
from store import Log
from store.events import EffectRequested, RunId
from store.mail import Mail
from store.spaces import Spaces
from tests.crashing import ROOT
from tests.driving import engine_at, until
from tests.integration.test_crash_recovery import fixed, head_of, spread, stories
from tests.stores import branch

TALKER = "tests.pipelines.talking:talker"
WRITES, FIRST_CLAIM = 12, 9
"""What `everything` writes: three messages, three changes of a space, a post, a memory, then three claims and a change."""
WHOLE = {"mail": 3, "spaces": 4, "posts": 1, "memories": 1, "memory_sources": 1}
END = {
    "sent": 3, "versions": [1, 2], "swapped": 3, "total": 3, "post": 1, "kept": 1, "heard": [2, 1, 0], "seen": {"by": "everything"},
    "gone": 4, "keys": [],
}  # fmt: skip


def cut(folder: Path, numbers: list[int], target: str = TALKER, **environment: str) -> list[dict[str, Any]]:
    """Live through a story for each number of writes."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.cutting", target, str(folder), *map(str, numbers)],
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment}, capture_output=True, text=True, check=False, cwd=ROOT,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert all(story["code"] == 0 for story in told), done.stderr
    return told


def test_killed_between_a_write_and_its_record_nothing_is_written_twice(tmp_path: Path) -> None:
    """After each write of a run that does everything: resumed it sees what a whole run sees, and every stream has each row once."""
    told = cut(tmp_path, list(range(1, WRITES + 2)))
    for number, story in enumerate(told, 1):
        assert story["codes"] == [-9 if number <= WRITES else 0], number
        assert story["end"]["status"] == "completed", (number, story["end"])
        assert story["end"]["outputs"] == {"everything": END}, number
        assert story["rows"] == WHOLE, number
        assert story["settled"] == 3, number


def test_killed_at_events_all_over_it_it_ends_alike(tmp_path: Path) -> None:
    """The same killed after events, nothing later durable: the outputs are those of a whole run."""
    head = head_of(TALKER, tmp_path / "whole")
    whole, *told = stories(TALKER, tmp_path / "each", [[version] for version in spread(head, 14)])
    assert whole["end"]["outputs"] == {"everything": END}
    for story in told:
        assert story["end"]["status"] == "completed", story
        assert fixed(story) == fixed(whole), story["deaths"]


async def test_a_message_claimed_by_a_run_that_is_then_cancelled_goes_to_another(tmp_path: Path) -> None:
    """Killed between claim and record and then cancelled, by a process that drives nothing: the next receiver gets the message."""
    (story,) = cut(tmp_path, [FIRST_CLAIM], CUT="cancel")
    assert story["codes"] == [-9]
    assert story["settled"] == 0

    async def take(ctx: StepContext) -> Any:
        await ctx.offer("talker")
        found = [await ctx.receive(timeout=10) for _ in range(3)]
        return [message and message.body for message in found]

    async with engine_at(tmp_path / str(FIRST_CLAIM) / "runs.db") as engine:
        run = await engine.start(Pipeline("other").step("take", run=take, max_retries=0))
        assert (await engine.result(run)).final_output == [2, 1, 0]


async def completed(log: Log, *runs: RunId) -> None:
    """Wait for the end of runs that other processes drive."""
    for run in runs:

        async def ended(run: RunId = run) -> bool:
            return (await log.find(run)).status == "completed"

        await until(ended, f"the end of {run}")


async def test_processes_count_together_to_exactly_that(tmp_path: Path) -> None:
    """Two real processes that add to one number by compare-and-set lose no addition, and versions have no gaps."""
    db = tmp_path / "runs.db"
    runs = [(await spawn_start(db, "tests.pipelines.talking:counter", params={"times": 150}, cwd=ROOT)).run_id for _ in range(2)]
    async with await Log.open(db) as log:
        await completed(log, *runs)
        assert (await Spaces(log).look("counter", "n")).value == 300
        changes = await Spaces(log).changes("counter")
        assert [change.version for change in changes] == list(range(1, 301))
        assert {change.run for change in changes} == set(runs)
        access = await Spaces(log).access("counter")
        assert sum(one.op == "compare_and_set" and one.version is not None for one in access) == 300


async def test_processes_talk_over_one_file(tmp_path: Path) -> None:
    """Two sending processes and a receiving one: each message once, in each sender's order."""
    db, target = tmp_path / "runs.db", "tests.pipelines.talking"
    taker = (await spawn_start(db, f"{target}:gatherer", params={"count": 80}, cwd=ROOT)).run_id
    senders = [(await spawn_start(db, f"{target}:teller", params={"count": 40}, cwd=ROOT)).run_id for _ in range(2)]
    async with await Log.open(db) as log:
        await completed(log, taker, *senders)
        state = await log.state(taker)
        found = await log.output(taker, state.steps["gather"].output or 0)
    for sender in senders:
        assert [body for who, body in found if who == sender] == list(range(40))


@pytest.mark.parametrize("recorded", [False, True], ids=["in flight", "recorded"])
async def test_a_fork_does_not_send_again_what_its_past_sent(tmp_path: Path, recorded: bool) -> None:
    """Forked at or after the request of a send, a fork takes the message its past sent for its own and sends no other."""

    async def step(ctx: StepContext) -> list[Any]:
        return [await ctx.send("nobody", 1), await ctx.publish("said"), await ctx.space("s").put("k", 1), await ctx.remember("so")]

    pipeline = Pipeline("p").step("step", run=step, max_retries=0)
    async with engine_at(tmp_path / "runs.db") as engine:
        run = await engine.start(pipeline)
        past = (await engine.result(run)).final_output
        events = list(await engine.events(run))
        asked = [event.version for event in events if isinstance(event.event, EffectRequested)]
        for version in asked:
            point = version + recorded
            fork = f"fork-{version}"
            await (await branch(engine.log, fork, run, point, point, at=events[-1].at)).release()
            await engine.resume(fork, pipeline)
            assert (await engine.result(fork)).success
        sent = await Mail(engine.log).of_run(run, ["nobody"], 0.0)
        assert sum(posted.message.sender == run for posted in sent) == 1
        assert past[0] == f"{run}/{asked[0]}"
        last = f"fork-{asked[-1]}"
        assert (await engine.result(last)).final_output == past
        assert not [posted for posted in sent if posted.message.sender == last]
        rows = {name: (await engine.log.reader.all(f"SELECT count(*) FROM {name}"))[0][0] for name in WHOLE}
        assert rows == {"mail": 1, "posts": 2, "spaces": 3, "memories": 1, "memory_sources": 4}


async def test_a_resumed_wait_ends_when_it_would_have(tmp_path: Path) -> None:
    """A wait for a message and one for an event, interrupted and resumed after their time, end at once, with nothing."""

    async def step(ctx: StepContext) -> list[Any]:
        return [await ctx.receive(timeout=0.3), await ctx.wait_for("nothing", timeout=0.01)]

    pipeline = Pipeline("p").step("step", run=step, max_retries=0)
    db = tmp_path / "runs.db"
    async with Engine(db, tee=False) as engine:
        run = await engine.start(pipeline)
        await until(lambda: asked(engine, run), "the request")
    async with engine_at(db) as engine:
        began = (await engine.events(run, types={"effect.requested"}))[0].at

        await until(lambda: time.time() > began + 0.3, "the deadline")
        await engine.resume(run, pipeline)
        result = await engine.result(run)
        assert result.final_output == [None, None]


async def asked(engine: Engine, run: str) -> bool:
    """Whether the run asked for something."""
    return bool(await engine.events(run, types={"effect.requested"}))
