"""Folding a run's events out of the file with the real rules, against the same query and decoding without folding.

The limit is sqlite3 and the codec on this thread: every row read with the same columns, every payload decoded, nothing done
with it. Ours is the state as anybody gets it without a snapshot: pages through the reading connection, the rules, the state.
"""

from __future__ import annotations

import asyncio
import sqlite3
import statistics
import subprocess
import time
from contextlib import closing
from pathlib import Path

from _common import arguments, compare, emit, folder, report
from _runs import RUN, fill

from store import Log, codec, folding
from store.state import RunState

PEER = """
import sys, time
from eventsourcing.application import Application
from eventsourcing.domain import Aggregate, event

class Run(Aggregate):
    @event("Started")
    def __init__(self, name):
        self.steps = 0
    @event("StepDone")
    def step(self, output):
        self.steps += 1

app = Application(env={"PERSISTENCE_MODULE": "eventsourcing.sqlite", "SQLITE_DBNAME": sys.argv[1]})
run = Run("r")
for _ in range(20_000):
    run.step("tagent-tui event payload " * 12)
app.save(run)
started = time.perf_counter()
assert app.repository.get(run.id).steps == 20_000
print(20_000 / (time.perf_counter() - started))
"""
"""The best peer at this, eventsourcing 9.5, rebuilding an aggregate; for an interpreter that has it (`--peer PYTHON`)."""


def limit_seconds(path: Path) -> float:
    """Read and decode all events."""
    sql = (
        "SELECT version, at, iif(schema = 1, type, type || '/' || schema), step, attempt, data FROM events "
        "WHERE run = 1 ORDER BY version"
    )
    decode = codec.decode_named
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        started = time.perf_counter()
        for _version, _at, kind, _step, _attempt, text in connection.execute(sql):
            decode(kind, text)
        return time.perf_counter() - started


async def our_seconds(path: Path, events: int) -> float:
    """The state from the first event on."""
    async with await Log.open(path, readonly=True) as log:
        segments = await log.segments(RUN)
        started = time.perf_counter()
        state = await folding.fold(log.reader, segments, None, RunState())
        took = time.perf_counter() - started
        assert state.version == events
    return took


def peer_rate(python: str, path: Path) -> float:
    """Events a second the peer folds on this machine."""
    return float(subprocess.run([python, "-c", PEER, str(path)], capture_output=True, text=True, check=True).stdout)


async def prepare(path: Path, steps: int, events: int) -> None:
    """Write the run."""
    async with await Log.open(path) as log:
        await fill(log, steps, events, snapshots=False)


def main() -> None:
    asked = arguments(__doc__ or "")
    steps, events = (50, 5_000) if asked.small else (10_000, 1_000_000)
    with folder() as place:
        path = place / "runs.db"
        asyncio.run(prepare(path, steps, events))
        emit(name="fold", events=events, steps=steps, bytes=path.stat().st_size, small=asked.small)
        rates: list[float] = []

        def ours() -> float:
            took = asyncio.run(our_seconds(path, events))
            rates.append(events / took)
            return took / events * 1e6

        compare("fold", lambda: limit_seconds(path) / events * 1e6, ours, repeats=asked.repeats, gate=0.65)
        report("fold_rate", rates, unit="events/s")
        if asked.peer:
            peers = [peer_rate(asked.peer, place / f"peer-{number}.db") for number in range(asked.repeats)]
            times = statistics.median(rates) / statistics.median(peers)
            report("fold_times_eventsourcing", [times], unit="times", gate=12, gate_is="at least", peer=statistics.median(peers))


if __name__ == "__main__":
    main()
