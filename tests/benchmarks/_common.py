"""How the benchmarks measure: the limit and ours in turn, in one process, and a JSON line with their ratio.

Absolute times move by a factor of two to three on a shared machine; what counts is the ratio taken side by side. The limit is what
the disk or the interpreter does bare; it stands in each script as the plainest code that does the same work.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import json
import os
import shutil
import sqlite3
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

PAYLOAD = (b"tagent-tui event payload " * 12)[:300]
"""The 300 bytes every append is measured with."""

RAW_TABLE = (
    "CREATE TABLE events(seq INTEGER PRIMARY KEY, run INTEGER NOT NULL, kind INTEGER NOT NULL, ts INTEGER NOT NULL, "
    "data BLOB NOT NULL)"
)
RAW_INSERT = "INSERT INTO events(run, kind, ts, data) VALUES (1, 2, ?, ?)"


def arguments(what: str) -> argparse.Namespace:
    """`--small` (to see that it works), `--repeats`."""
    parser = argparse.ArgumentParser(description=what)
    parser.add_argument("--small", action="store_true", help="small sizes, to see that it works; the numbers mean nothing")
    parser.add_argument("--repeats", type=int, default=0, help="how often each is measured (at least 5 unless --small)")
    parser.add_argument("--peer", metavar="PYTHON", help="an interpreter that has the peer, to measure it here too")
    parsed = parser.parse_args()
    parsed.repeats = parsed.repeats or (1 if parsed.small else 5)
    return parsed


@contextlib.contextmanager
def folder() -> Iterator[Path]:
    """A scratch folder; BENCH_DIR chooses the disk that is measured."""
    path = tempfile.mkdtemp(prefix="bench-", dir=os.environ.get("BENCH_DIR"))
    try:
        yield Path(path)
    finally:
        shutil.rmtree(path, ignore_errors=True)


def rounded(value: Any) -> Any:
    """Five digits are more than the noise allows."""
    return float(f"{value:.5g}") if isinstance(value, float) else value


def emit(**fields: Any) -> None:
    """One measurement, one JSON line."""
    print(json.dumps({key: rounded(value) for key, value in fields.items()}), flush=True)


def in_turn(repeats: int, *measured: Callable[[], float]) -> list[list[float]]:
    """Each measured `repeats` times, in turn, so that a slow minute of the machine hits all of them."""
    samples: list[list[float]] = [[] for _ in measured]
    for _ in range(repeats):
        for kept, measure in zip(samples, measured, strict=True):
            gc.collect()
            kept.append(measure())
    return samples


def compare(
    name: str,
    limit: Callable[[], float],
    ours: Callable[[], float],
    *,
    repeats: int,
    unit: str = "us",
    gate: float | None = None,
    gate_is: str = "at least",
    rate: bool = True,
    **notes: Any,
) -> float:
    """Measure both and print the line; returns the ratio.

    With `rate` the ratio is limit / ours (1.0: as fast as the limit), without it ours / limit (how often the limit's time).
    It is the median of the ratios taken pair by pair; `ratio_best` is that of the best times, which a busy machine moves least.
    """
    limits, mine = in_turn(repeats, limit, ours)
    ratios = [(a / b if rate else b / a) for a, b in zip(limits, mine, strict=True)]
    ratio = statistics.median(ratios)
    best = min(limits) / min(mine) if rate else min(mine) / min(limits)
    reached = None if gate is None else (ratio >= gate if gate_is == "at least" else ratio <= gate)
    emit(
        name=name, unit=unit, limit=statistics.median(limits), ours=statistics.median(mine), ours_min=min(mine), ours_max=max(mine),
        ratio=ratio, ratio_min=min(ratios), ratio_max=max(ratios), ratio_best=best, repeats=repeats,
        gate=None if gate is None else f"{gate_is} {gate}", reached=reached, **notes,
    )  # fmt: skip
    return ratio


def report(
    name: str, samples: list[float], *, unit: str, gate: float | None = None, gate_is: str = "at most", **notes: Any
) -> None:
    """A measurement that stands alone, against an absolute gate."""
    middle = statistics.median(samples)
    reached = None if gate is None else (middle <= gate if gate_is == "at most" else middle >= gate)
    emit(
        name=name, unit=unit, ours=middle, ours_min=min(samples), ours_max=max(samples), repeats=len(samples),
        gate=None if gate is None else f"{gate_is} {gate}", reached=reached, **notes,
    )  # fmt: skip


def raw(path: Path, synchronous: str = "FULL") -> sqlite3.Connection:
    """The plainest durable table there is: one index-free table, WAL."""
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute(f"PRAGMA synchronous={synchronous}")
    connection.execute(RAW_TABLE)
    return connection


def bytes_of(path: Path) -> int:
    """Bytes of a closed database, its write-ahead log folded back."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return path.stat().st_size
