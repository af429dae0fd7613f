"""Pipelines of steps that do nothing, and how long the engine takes to drive them; shared by the engine's benchmarks.

Stands apart from `_common.py` because only these need the engine. What is timed is the driving, from the moment the run is
recorded to its durable end; recording it (checks, definition, hashes) is measured once, by `start`.
"""

from __future__ import annotations

import asyncio
import gc
import queue
import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import closing
from typing import Any, NamedTuple

from _common import RAW_INSERT, folder, raw

from engine import Engine, Pipeline, RunStatus, TAgentConfig

ROW = b"x" * 300


async def nothing() -> int:
    """The step that does nothing."""
    return 1


def nothing_sync() -> int:
    """The same as a plain function."""
    return 1


def chain(steps: int, body: Callable[..., Any] = nothing) -> Pipeline:
    """Each step after the one before."""
    pipeline = Pipeline("chain")
    for place in range(steps):
        pipeline.step(f"s{place}", run=body, depends_on=[f"s{place - 1}"] if place else [])
    return pipeline


def fan(steps: int, body: Callable[..., Any] = nothing) -> Pipeline:
    """All at once, up to the run's limit."""
    pipeline = Pipeline("fan")
    for place in range(steps):
        pipeline.step(f"s{place}", run=body, execution_mode="concurrent")
    return pipeline


def single(body: Callable[..., Any]) -> Pipeline:
    """One step."""
    return Pipeline("single").step("only", run=body)


class Took(NamedTuple):
    """Seconds to record a run, and to drive it."""

    start: float
    drive: float


def took(pipeline: Pipeline, *, memory: bool = False, limit: int = 5) -> Took:
    """Drive a pipeline once in a store of its own (a file under FULL, or in memory); it has to complete."""

    async def measure(db: str) -> Took:
        async with Engine(db, TAgentConfig(max_concurrent_steps=limit)) as engine:
            gc.collect()
            began = time.perf_counter()
            run = await engine.start(pipeline)
            started = time.perf_counter()
            await engine.wait(run)
            ended = time.perf_counter()
            state = await engine.view(run)
            assert state.status is RunStatus.COMPLETED, state.reason
        return Took(started - began, ended - started)

    if memory:
        return asyncio.run(measure(":memory:"))
    with folder() as place:
        return asyncio.run(measure(str(place / "runs.db")))


def per_step(pipeline: Pipeline, *, memory: bool = False, limit: int = 5) -> float:
    """Microseconds a step, driven."""
    return took(pipeline, memory=memory, limit=limit).drive / len(pipeline.steps) * 1e6


def raw_commit(commits: int, rows: int = 1) -> float:
    """Microseconds a durable commit of `rows` rows of 300 bytes, with the bare `sqlite3`."""
    with folder() as place:
        connection = raw(place / "raw.db")
        began = time.perf_counter()
        for base in range(0, commits * rows, rows):
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany(RAW_INSERT, [(base + offset, ROW) for offset in range(rows)])
            connection.execute("COMMIT")
        ended = time.perf_counter()
        connection.close()
    return (ended - began) / commits * 1e6


def bare_thread(steps: int) -> float:
    """Microseconds a step of the plainest durable loop with a writing thread: a task, two rows, one commit there, and back.

    What any engine pays that keeps commits off the loop: two hops between threads, whose cost is the machine's.
    """
    orders: queue.SimpleQueue[tuple[asyncio.Future[None], list[tuple[int, bytes]]] | None] = queue.SimpleQueue()

    async def measure(connection: sqlite3.Connection) -> float:
        loop = asyncio.get_running_loop()

        def write() -> None:
            while (order := orders.get()) is not None:
                landed, rows = order
                connection.execute("BEGIN IMMEDIATE")
                connection.executemany(RAW_INSERT, rows)
                connection.execute("COMMIT")
                loop.call_soon_threadsafe(landed.set_result, None)

        thread = threading.Thread(target=write, daemon=True)
        thread.start()
        began = time.perf_counter()
        for place in range(steps):
            await loop.create_task(nothing())
            landed: asyncio.Future[None] = loop.create_future()
            orders.put((landed, [(place, ROW), (place, ROW)]))
            await landed
        ended = time.perf_counter()
        orders.put(None)
        thread.join()
        return (ended - began) / steps * 1e6

    with folder() as place, closing(raw(place / "raw.db")) as connection:
        return asyncio.run(measure(connection))


def task(tasks: int) -> float:
    """Microseconds an awaited asyncio task that does nothing."""

    async def measure() -> float:
        loop = asyncio.get_running_loop()
        began = time.perf_counter()
        for _ in range(tasks):
            await loop.create_task(nothing())
        return (time.perf_counter() - began) / tasks * 1e6

    return asyncio.run(measure())
