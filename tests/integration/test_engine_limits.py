"""Limits that hold across processes: real drivers over one store, against a server that counts."""

import asyncio
import os
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest

from engine import Engine, Pipeline, TAgentConfig
from engine.driver import Spawned, spawn_start
from engine.models.port import ModelReply, ModelRequest
from tests.driving import Scripted, engine_at, until
from tests.integration.openai_server import Hang, OpenAIServer, openai_server

MODEL = "openai/loopback"
PIPELINE = """
name: many
limits: {models: {openai/loopback: LIMIT}}
steps:
  - {name: a, goal: Say a, execution_mode: concurrent}
  - {name: b, goal: Say b, execution_mode: concurrent}
  - {name: c, goal: Say c, execution_mode: concurrent}
"""


@pytest.fixture
def server() -> Iterator[OpenAIServer]:
    with openai_server() as opened:
        yield opened


class Drivers:
    """Two driver processes, each with a run of three goal steps that start together."""

    def __init__(self, folder: Path, server: OpenAIServer, limit: str) -> None:
        self.folder, self.db = folder, folder / "runs.db"
        self.config = TAgentConfig(api_base=server.base_url, model=MODEL)
        (folder / "many.yaml").write_text(PIPELINE.replace("LIMIT", limit))
        self.started: list[Spawned] = []

    async def start(self) -> None:
        for _ in range(2):
            self.started.append(await spawn_start(self.db, "many.yaml", params={}, cwd=self.folder, config=self.config))

    async def waiting(self, engine: Engine) -> int:
        """How many steps are seen to wait for a slot."""
        lines = [text for driver in self.started for text in (await engine.log.lives(driver.run_id)).values()]
        return lines.count(f"waits for a slot of {MODEL}")

    def holders(self) -> list[int]:
        """The processes that hold a place, once a place."""
        with closing(sqlite3.connect(f"file:{self.db}?mode=ro", uri=True)) as connection:
            rows = connection.execute("SELECT pid FROM slots WHERE taken IS NOT NULL AND freed IS NULL")
            return [int(pid) for (pid,) in rows]

    def kill(self) -> None:
        for driver in self.started:
            with suppress(ProcessLookupError):
                os.kill(driver.pid, signal.SIGKILL)


async def test_a_limit_holds_across_drivers_and_outlives_one_that_is_killed(tmp_path: Path, server: OpenAIServer) -> None:
    """Of six calls of two processes two are under way at a time, the others are seen to wait; when a holder dies by SIGKILL its
    places go to the other, and its run is resumed to the end.
    """
    hang = Hang()
    server.default = hang
    drivers = Drivers(tmp_path, server, "{concurrent: 2}")
    try:
        await drivers.start()
        async with Engine(drivers.db, drivers.config) as engine:

            async def four_wait() -> bool:
                return await drivers.waiting(engine) == 4

            await until(four_wait, "four steps wait for a slot")
            await until(lambda: server.count == 2, "two calls arrived")
            assert server.most == 2
            held = drivers.holders()
            assert len(held) == 2
            victim = next(driver for driver in drivers.started if driver.pid == held[0])
            other = next(driver for driver in drivers.started if driver is not victim)
            os.kill(victim.pid, signal.SIGKILL)
            await until(lambda: drivers.holders() == [other.pid] * 2, "the places of the dead one were taken by the other")
            hang.release.set()

            async def other_ended() -> bool:
                return (await engine.log.find(other.run_id)).status == "completed"

            await until(other_ended, "the other run ended")
            await engine.resume(victim.run_id)
            result = await engine.result(victim.run_id)
            assert result.success, result.summary
            assert drivers.holders() == []
    finally:
        drivers.kill()


async def test_a_rate_holds_across_drivers(tmp_path: Path, server: OpenAIServer) -> None:
    """Of six calls of two processes four are made within the minute; the other two are seen to wait while nothing is done."""
    drivers = Drivers(tmp_path, server, "{per_minute: 4}")
    try:
        await drivers.start()
        async with engine_at(drivers.db) as engine:

            async def two_wait() -> bool:
                return await drivers.waiting(engine) == 2 and not drivers.holders()

            await until(two_wait, "two steps wait for a slot and nobody holds one")
            assert server.count == 4
    finally:
        drivers.kill()


class Slow(Scripted):
    """Takes its time over each answer, and counts who asks at a time."""

    under_way = most = 0

    async def complete(self, request: ModelRequest) -> ModelReply:
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        await asyncio.sleep(0.15)  # the time the call takes, half of what it may
        self.under_way -= 1
        return await super().complete(request)


async def test_waiting_for_a_slot_does_not_count_in_the_calls_time(tmp_path: Path) -> None:
    """Calls that wait longer for their slot than a call may take are made all the same, one at a time, and none fails."""
    pipeline, model = Pipeline("p"), Slow(*"abcd")
    for number in range(4):
        pipeline.step(f"s{number}", "Go", execution_mode="concurrent", max_retries=0)
    limits = {"models": {"scripted": {"concurrent": 1}}}
    async with engine_at(tmp_path / "runs.db", model="scripted", model_timeout=0.3, limits=limits) as engine:
        engine._models["scripted"] = model
        result = await engine.result(await engine.start(pipeline))
    assert result.success, result.summary
    assert model.most == 1
    assert result.execution_time > 0.5


async def test_a_call_without_a_limit_pays_nothing(tmp_path: Path) -> None:
    """A model that no limit names never touches the table of places, even where another model is limited."""
    async with engine_at(tmp_path / "runs.db", model="scripted", limits={"models": {"other": {"concurrent": 1}}}) as engine:
        engine._models["scripted"] = Scripted("a")
        result = await engine.result(await engine.start(Pipeline("p").step("g", "Go")))
        assert result.success
        assert await engine.log.reader.all(
            "SELECT count(*), (SELECT seq FROM sqlite_sequence WHERE name = 'slots') FROM slots"
        ) == [(0, None)]
