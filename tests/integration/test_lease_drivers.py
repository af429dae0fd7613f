"""Two drivers never drive one run: a live one keeps others out, a superseded one cannot write and stops."""

import asyncio
import os
import signal
from pathlib import Path

import psutil
import pytest

from engine import Engine, EngineError, Pipeline, RunConflictError, StepContext
from engine.driver import spawn_resume, spawn_start
from store import Driver, Log
from store.errors import LeaseLostError
from store.state import RunStatus
from tests.crashing import ROOT
from tests.driving import engine_at, until

GATED = "tests.pipelines.controlled:gated"


def alive(pid: int) -> bool:
    """Whether the process is there and no zombie."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def two_steps(gate: asyncio.Event, done: list[str]) -> Pipeline:
    """One that waits, one after it that says so."""

    async def waits(ctx: StepContext) -> float:
        await gate.wait()
        done.append("waits")
        return await ctx.random()

    return Pipeline("p").step("waits", run=waits).step("after", run=lambda: done.append("after"), depends_on="waits")


async def test_an_engine_of_the_same_process_is_kept_out(tmp_path: Path) -> None:
    """Two engines over one file in one process conflict like two processes, until the first lets go."""
    gate, done = asyncio.Event(), list[str]()
    pipeline = two_steps(gate, done)
    async with engine_at(tmp_path / "runs.db") as first, engine_at(tmp_path / "runs.db") as second:
        run = await first.start(pipeline)
        with pytest.raises(RunConflictError, match="already driven in this process"):
            await second.resume(run, pipeline)
        gate.set()
        await first.wait(run)
        with pytest.raises(EngineError, match="has ended"):
            await second.resume(run, pipeline)
    assert done == ["waits", "after"]


async def test_a_stopped_driver_still_holds_its_run(tmp_path: Path) -> None:
    """A process that is merely stopped keeps its kernel lock: nobody takes the run over unasked, and continued it finishes."""
    spawned = await spawn_start(tmp_path / "runs.db", GATED, params={"folder": str(tmp_path)}, cwd=ROOT)
    await until(lambda: (tmp_path / "first.runs").exists(), "the first step")
    os.kill(spawned.pid, signal.SIGSTOP)
    with pytest.raises(EngineError, match="driven by another process") as refused:
        await spawn_resume(tmp_path / "runs.db", spawned.run_id)
    assert refused.value.code == "conflict"
    (tmp_path / "first.go").touch()
    os.kill(spawned.pid, signal.SIGCONT)
    await until(lambda: not alive(spawned.pid), "the driver's end")
    async with engine_at(tmp_path / "runs.db") as engine:
        assert (await engine.view(spawned.run_id)).attaches == 1
        assert (await engine.result(spawned.run_id)).success


async def test_a_superseded_driver_that_continues_writes_nothing_and_stops(tmp_path: Path) -> None:
    """A stopped process whose run was taken from it by force, continued: not one of its events is accepted, it ends by itself with
    one sentence, its body is not gone on with, and the run is the new driver's alone.
    """
    db = tmp_path / "runs.db"
    spawned = await spawn_start(db, GATED, params={"folder": str(tmp_path)}, cwd=ROOT)
    await until(lambda: (tmp_path / "first.runs").exists(), "the first step")
    os.kill(spawned.pid, signal.SIGSTOP)
    async with engine_at(db) as engine:
        lease = await engine.log.acquire(spawned.run_id, driver=Driver.current(), force=True)
        await lease.release()
        (tmp_path / "first.go").touch()
        await engine.resume(spawned.run_id)
        result = await engine.result(spawned.run_id)
        head = await engine.log.head(spawned.run_id)
        os.kill(spawned.pid, signal.SIGCONT)
        await until(lambda: not alive(spawned.pid), "the stale driver's end")
        assert result.success
        assert await engine.log.head(spawned.run_id) == head
        assert (await engine.view(spawned.run_id)).status is RunStatus.COMPLETED
    assert "taken over by another driver" in (tmp_path / "runs.db-drivers.log").read_text()
    notes = [line.split() for line in (tmp_path / "notes").read_text().splitlines()]
    assert sorted(step for step, _ in notes) == ["second", "third"]
    assert str(spawned.pid) not in {pid for _, pid in notes}


async def test_a_lost_lease_ends_the_driving_within_a_tick(tmp_path: Path) -> None:
    """A driver whose token was passed on hears of it at its next commit, and issues nothing irreversible."""
    gate, paid = asyncio.Event(), list[str]()

    async def pays(ctx: StepContext) -> None:
        await gate.wait()
        await ctx.once("pay", paid.append, "paid", safety="irreversible")

    async with engine_at(tmp_path / "runs.db") as engine, await Log.open(tmp_path / "runs.db") as other:
        run = await engine.start(Pipeline("p").step("pays", run=pays))
        await until(lambda: started(engine, run), "the step")
        await other.writer.call(lambda connection: connection.execute("UPDATE runs SET token = token + 1"))
        head = await other.head(run)
        gate.set()
        with pytest.raises(LeaseLostError, match="taken over by another driver"):
            async with asyncio.timeout(10):
                await engine.wait(run)
        assert paid == []
        assert await other.head(run) == head


async def test_a_lost_lease_is_noticed_though_no_outcome_comes(tmp_path: Path) -> None:
    """A body that only asks for reads, and for ever, does not keep a superseded driver going: the watch ends it."""

    async def looks(ctx: StepContext) -> None:
        while True:
            await ctx.once("look", len, "x", safety="read")
            await asyncio.sleep(0.01)

    async with engine_at(tmp_path / "runs.db") as engine, await Log.open(tmp_path / "runs.db") as other:
        run = await engine.start(Pipeline("p").step("looks", run=looks))
        await until(lambda: started(engine, run), "the step")
        await other.writer.call(lambda connection: connection.execute("UPDATE runs SET token = token + 1"))
        with pytest.raises(LeaseLostError):
            async with asyncio.timeout(10):
                await engine.wait(run)


async def started(engine: Engine, run: str) -> bool:
    """Whether a step's start is durable."""
    return any(event.event.type == "step.started" for event in await engine.events(run))


async def test_ten_who_resume_at_once_are_one_driver(tmp_path: Path) -> None:
    """Of ten processes that resume an interrupted run in the same moment one drives it; nine are told of the conflict, or that it
    has ended; every step is done once.
    """
    db = tmp_path / "runs.db"
    spawned = await spawn_start(db, GATED, params={"folder": str(tmp_path)}, cwd=ROOT)
    await until(lambda: (tmp_path / "first.runs").exists(), "the first step")
    os.kill(spawned.pid, signal.SIGKILL)
    await until(lambda: not alive(spawned.pid), "the driver's death")
    answers = await asyncio.gather(*(spawn_resume(db, spawned.run_id) for _ in range(10)), return_exceptions=True)
    winners = [answer for answer in answers if not isinstance(answer, BaseException)]
    assert len(winners) == 1
    assert all(isinstance(a, EngineError) and a.code == "conflict" for a in answers if isinstance(a, BaseException))
    (tmp_path / "first.go").touch()
    await until(lambda: not alive(winners[0].pid), "the driver's end")
    async with engine_at(db) as engine:
        result = await engine.result(spawned.run_id)
        assert result.success
        assert (await engine.view(spawned.run_id)).attaches == 2
    assert sorted(line.split()[0] for line in (tmp_path / "notes").read_text().splitlines()) == ["second", "third"]
