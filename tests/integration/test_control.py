"""Commands to a run from other processes: through the inbox to a live driver, or recorded by the one who commands."""

import asyncio
import os
import signal as signals
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from engine import CommandRefusedError, Engine, Pipeline, StepContext
from engine.control import signal
from engine.driver import Spawned, spawn_resume, spawn_start
from store.state import RunStatus, StepStatus
from tests.crashing import ROOT
from tests.driving import engine_at, typed, until


class Bench:
    """A store, a folder of gates, and an engine that only looks and commands."""

    def __init__(self, engine: Engine, folder: Path) -> None:
        self.engine, self.folder, self.db = engine, folder, folder / "runs.db"
        self.spawned: list[Spawned] = []

    async def start(self, name: str) -> str:
        """Start a pipeline in a driver process of its own."""
        self.spawned.append(
            await spawn_start(self.db, f"tests.pipelines.controlled:{name}", params={"folder": str(self.folder)}, cwd=ROOT)
        )
        return self.spawned[-1].run_id

    async def resume(self, run: str, **options: Any) -> None:
        """Drive a run on in a process of its own."""
        self.spawned.append(await spawn_resume(self.db, run, **options))

    def go(self, name: str) -> None:
        """Open a gate."""
        (self.folder / f"{name}.go").touch()

    async def runs(self, step: str) -> None:
        """Wait until a body runs."""
        await until(lambda: (self.folder / f"{step}.runs").exists(), f"{step} runs")

    async def gone(self) -> None:
        """Wait until the last driver has ended by itself."""
        await until(lambda: not alive(self.spawned[-1].pid), "the driver's end")

    async def state(self, run: str) -> Any:
        return await self.engine.view(run)

    def notes(self) -> list[str]:
        """Which noting steps ran."""
        path = self.folder / "notes"
        return [line.split()[0] for line in path.read_text().splitlines()] if path.exists() else []


def alive(pid: int) -> bool:
    """Whether the process is there and no zombie."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    """Leaves no driver behind."""
    async with engine_at(tmp_path / "runs.db") as engine:
        made = Bench(engine, tmp_path)
        yield made
        for spawned in made.spawned:
            if alive(spawned.pid):
                os.kill(spawned.pid, signals.SIGKILL)
            await until(lambda pid=spawned.pid: not alive(pid), "the driver's death")


async def test_a_paused_run_finishes_what_runs_then_its_driver_goes_and_resume_goes_on(bench: Bench) -> None:
    """The pause is recorded while a body hangs; its step completes, nothing new starts, the driver exits; a new one finishes."""
    run = await bench.start("gated")
    await bench.runs("first")
    assert await bench.engine.pause(run) == f"Run {run} starts nothing new now; what runs is let finish."
    assert (await bench.state(run)).status is RunStatus.PAUSED
    bench.go("first")
    await bench.gone()
    state = await bench.state(run)
    assert state.steps["first"].status is StepStatus.COMPLETED
    assert state.counts[StepStatus.PENDING] == 2
    assert (await bench.engine.log.find(run)).driver is None
    assert bench.notes() == []
    await bench.resume(run)
    await bench.gone()
    assert (await bench.state(run)).status is RunStatus.COMPLETED
    assert bench.notes() == ["third", "second"] or bench.notes() == ["second", "third"]


async def test_a_pause_taken_back_in_time_needs_no_new_driver(bench: Bench) -> None:
    """Resumed while its last step still runs, the same driver goes on."""
    run = await bench.start("gated")
    await bench.runs("first")
    await bench.engine.pause(run)
    await signal(bench.engine.log, (await bench.engine.log.find(run)).id, "resume", {})
    bench.go("first")
    await bench.gone()
    state = await bench.state(run)
    assert (state.status, state.attaches) == (RunStatus.COMPLETED, 1)


async def test_cancelling_stops_a_run_whose_body_hangs(bench: Bench) -> None:
    """A plain function that waits for ever in its thread holds nothing up: the run is cancelled and the driver exits."""
    run = await bench.start("gated")
    await bench.runs("first")
    assert await bench.engine.cancel(run, "enough") == f"Run {run} is cancelled."
    await bench.gone()
    state = await bench.state(run)
    assert state.status is RunStatus.CANCELLED
    assert {step.status for step in state.steps.values()} == {StepStatus.CANCELLED}
    with pytest.raises(CommandRefusedError, match="been cancelled"):
        await bench.engine.cancel(run)


async def test_a_body_that_swallows_its_cancellation_does_not_keep_the_driver(bench: Bench) -> None:
    """An async body that catches every CancelledError and goes on is left behind, and the driver process still ends."""
    run = await bench.start("forever")
    await bench.runs("stubborn")
    await bench.runs("stuck")
    await bench.engine.cancel(run)
    await bench.gone()
    assert (await bench.state(run)).status is RunStatus.CANCELLED


@pytest.mark.parametrize("kind", ["cancel", "pause"])
async def test_without_a_driver_the_commanding_process_records(bench: Bench, kind: str) -> None:
    """After kill -9 a command is recorded at once by the one who gives it, and the lease is let go again."""
    run = await bench.start("gated")
    await bench.runs("first")
    os.kill(bench.spawned[-1].pid, signals.SIGKILL)
    await bench.gone()
    said = await (bench.engine.cancel(run) if kind == "cancel" else bench.engine.pause(run))
    assert said.endswith("no driver was alive, so this was recorded here.")
    assert (await bench.state(run)).status is (RunStatus.CANCELLED if kind == "cancel" else RunStatus.PAUSED)
    if kind == "pause":
        bench.go("first")
        await bench.resume(run)
        await bench.gone()
        assert (await bench.state(run)).status is RunStatus.COMPLETED


async def test_a_stopped_driver_answers_when_it_can(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the driver's process is stopped the sender is told that there was no answer; continued, the driver obeys."""
    monkeypatch.setattr("engine.control.ANSWER_SECONDS", 0.3)
    run = await bench.start("gated")
    await bench.runs("first")
    os.kill(bench.spawned[-1].pid, signals.SIGSTOP)
    said = await bench.engine.cancel(run)
    assert "its driver has not answered for 0.3 s" in said
    assert (await bench.state(run)).status is RunStatus.RUNNING
    os.kill(bench.spawned[-1].pid, signals.SIGCONT)
    await bench.gone()
    assert (await bench.state(run)).status is RunStatus.CANCELLED


async def test_an_effect_in_doubt_is_resolved_through_the_inbox(bench: Bench) -> None:
    """After a crash inside an irreversible effect the next driver asks; told what became of it while another step runs, the same
    driver goes on with that value, and the effect was done once.
    """
    run = await bench.start("doubtful")
    await payment(bench)
    os.kill(bench.spawned[-1].pid, signals.SIGKILL)
    await bench.gone()
    await bench.resume(run)

    async def doubtful() -> bool:
        return bool((await bench.state(run)).counts[StepStatus.IN_DOUBT])

    await until(doubtful, "the doubt")
    body = {"step": "pays", "outcome": "succeeded", "value": "receipt 7", "note": "seen in the bank"}
    await signal(bench.engine.log, (await bench.engine.log.find(run)).id, "resolve", body)
    bench.go("beside")
    await bench.gone()
    result = await bench.engine.result(run)
    assert result.success, result.summary
    assert result.output("pays") == "receipt 7"
    assert (bench.folder / "paid").read_text() == "x"


@pytest.mark.parametrize("through", ["inbox", "resume"])
async def test_an_effect_in_doubt_is_issued_again_only_when_told(bench: Bench, through: str) -> None:
    """A driver with nothing but a doubt parks and exits, leaving the run waiting; told `again`, with no driver alive or with the
    resume, it is done a second time, and a third resume would not ask once more.
    """
    run = await bench.start("doubtful")
    await payment(bench)
    os.kill(bench.spawned[-1].pid, signals.SIGKILL)
    await bench.gone()
    bench.go("beside")
    await bench.resume(run)
    await bench.gone()
    assert (await bench.engine.result(run)).status == "waiting"
    assert (bench.folder / "paid").read_text() == "x"
    bench.go("pay")
    if through == "inbox":
        await signal(bench.engine.log, (await bench.engine.log.find(run)).id, "resolve", {"step": "pays", "outcome": "again"})
        await bench.resume(run)
    else:
        await bench.resume(run, resolve={"pays": {"outcome": "again"}})
    await bench.gone()
    result = await bench.engine.result(run)
    assert result.success, result.summary
    assert (bench.folder / "paid").read_text() == "xx"


async def payment(bench: Bench) -> None:
    """Wait until what was paid is written: the file is there a moment earlier."""
    paid = bench.folder / "paid"
    await until(lambda: paid.exists() and paid.read_text(), "the payment")


async def killed_inside(bench: Bench) -> str:
    """A run whose driver was killed while it paid; nobody has looked at it since."""
    run = await bench.start("doubtful")
    await payment(bench)
    os.kill(bench.spawned[-1].pid, signals.SIGKILL)
    await bench.gone()
    bench.go("beside")
    return run


@pytest.mark.parametrize("through", ["inbox", "resume"])
async def test_a_doubt_is_resolved_before_anybody_resumed(bench: Bench, through: str) -> None:
    """Right after the kill the first word about the effect is taken: the doubt is recorded by whoever resolves it."""
    run = await killed_inside(bench)
    body = {"outcome": "succeeded", "value": "receipt 9"}
    if through == "inbox":
        await signal(bench.engine.log, (await bench.engine.log.find(run)).id, "resolve", {"step": "pays", **body})
        assert (await bench.engine.log.find(run)).driver is None
        await bench.resume(run)
    else:
        await bench.resume(run, resolve={"pays": body})
    await bench.gone()
    result = await bench.engine.result(run)
    assert result.output("pays") == "receipt 9"
    assert (bench.folder / "paid").read_text() == "x"


async def test_a_doubt_resolved_as_failed_is_not_tried_again(bench: Bench) -> None:
    """`failed` is the word that it did not happen and shall not: the step fails at once, with its retries unused."""
    run = await killed_inside(bench)
    await bench.resume(run, resolve={"pays": {"outcome": "failed", "note": "the bank says no"}})
    await bench.gone()
    result = await bench.engine.result(run)
    assert (result.status, result.step_metadata["pays"]["attempts"]) == ("failed", 1)
    assert "the bank says no" in result.step_metadata["pays"]["reason"]
    assert (bench.folder / "paid").read_text() == "x"


async def test_a_live_effect_is_not_in_doubt(bench: Bench) -> None:
    """While its driver lives an irreversible effect under way cannot be resolved, and the driver keeps its run."""
    run = await bench.start("doubtful")
    await payment(bench)
    with pytest.raises(CommandRefusedError, match="nothing in this run is in doubt"):
        await signal(bench.engine.log, (await bench.engine.log.find(run)).id, "resolve", {"step": "pays", "outcome": "failed"})
    bench.go("pay")
    bench.go("beside")
    await bench.gone()
    assert (await bench.engine.result(run)).success


# -- in one process


def gated(gate: asyncio.Event) -> Pipeline:
    """A step that waits for an event, and one after it."""

    async def waits() -> int:
        await gate.wait()
        return 1

    return Pipeline("p").step("waits", run=waits).step("after", run=lambda: 2, depends_on="waits")


async def test_two_who_ask_the_same_at_once_are_told_apart() -> None:
    """Both pauses fit when they are sent; the one taken second is recorded as refused, and its sender hears so."""
    gate = asyncio.Event()
    async with engine_at() as engine:
        run = await engine.start(gated(gate))
        said = await asyncio.gather(engine.pause(run), engine.pause(run), return_exceptions=True)
        assert sorted(type(answer).__name__ for answer in said) == ["CommandRefusedError", "str"]
        assert "paused already" in str(next(answer for answer in said if not isinstance(answer, str)))
        kinds = [e.event.kind for e in await engine.events(run) if e.event.type == "signal.received"]
        assert kinds == ["pause", "pause.refused"]
        gate.set()
        assert await engine.wait(run) == "paused"


async def test_nonsense_in_the_inbox_is_recorded_and_harms_nothing(tmp_path: Path) -> None:
    """Unknown kinds and bodies that are no JSON, sent by who knows whom, are history; the run completes."""
    gate = asyncio.Event()
    async with engine_at(tmp_path / "runs.db") as engine:
        run = await engine.start(gated(gate))
        for kind, body in (("dance", b"{}"), ("resolve", b"\xff\xfe{"), ("resolve", b'{"step": [1]}'), ("cancel ", b"[[[[")):
            await engine.log.send(run, kind, body, actor="stranger", at=0.0)

        async def taken() -> bool:
            return len([e for e in await engine.events(run) if e.event.type == "signal.received"]) == 4

        await until(taken, "the signals to be taken")
        gate.set()
        assert (await engine.result(run)).success
        received = [e for e in await engine.events(run) if e.event.type == "signal.received"]
        assert all(e.event.kind.endswith(".refused") and e.actor == "stranger" for e in received)


async def test_a_command_after_the_end_is_refused() -> None:
    """Nothing can be asked of a run that completed."""
    async with engine_at() as engine:
        run = await engine.start(Pipeline("p").step("x", run=lambda: 1))
        await engine.wait(run)
        for command in (engine.pause, engine.cancel):
            with pytest.raises(CommandRefusedError, match="has completed"):
                await command(run)


async def test_cancelling_lets_async_bodies_clean_up() -> None:
    """A cancelled body gets its CancelledError and its `finally` runs before the engine is closed; its effects are refused."""
    cleaned: list[str] = []

    async def careful(ctx: StepContext) -> None:
        try:
            await ctx.sleep(60)
        finally:
            await asyncio.sleep(0.01)
            cleaned.append("cleaned")
            try:
                await ctx.now()
            except Exception as error:
                cleaned.append(type(error).__name__)

    async with engine_at() as engine:
        run = await engine.start(Pipeline("p").step("x", run=careful))
        await until(lambda: requested(engine, run), "the sleep")
        await engine.cancel(run)
        await engine.wait(run)
        events = await engine.events(run)
    assert cleaned == ["cleaned", "AttemptClosedError"]
    assert typed(events)[-3:] == ["signal.received", "step.cancelled x", "run.cancelled"]


async def requested(engine: Engine, run: str) -> bool:
    """Whether the run has asked for an effect."""
    return bool((await engine.view(run)).effects)


async def test_pauses_and_resumes_at_any_moment_lose_no_step(tmp_path: Path) -> None:
    """Forty runs are paused and resumed while their steps start and end: none hangs, none leaves a started step behind."""

    async def step(ctx: StepContext) -> int:
        await asyncio.sleep(0.004)
        return ctx.attempt

    pipeline = Pipeline("p")
    for number in range(8):
        pipeline.step(f"s{number}", run=step, execution_mode="concurrent" if number % 2 else "serial")

    async def one(engine: Engine, number: int) -> None:
        run = await engine.start(pipeline)
        await asyncio.sleep(0.002 * (number % 13))
        for _ in range(2):
            for kind in ("pause", "resume"):
                try:
                    await signal(engine.log, run, kind, {})
                except CommandRefusedError:
                    break
        async with asyncio.timeout(30):
            while await engine.wait(run) is not None:
                assert not (await engine.view(run)).counts[StepStatus.RUNNING]
                await engine.resume(run, pipeline)
        state = await engine.view(run)
        assert state.status is RunStatus.COMPLETED
        assert all(held.attempt == 1 for held in state.steps.values())

    async with engine_at(tmp_path / "runs.db") as engine:
        await asyncio.gather(*(one(engine, number) for number in range(40)))
