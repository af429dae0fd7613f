"""Samples of a driver's process and its steps' latest lines, on their way to watchers: no history, so nobody waits for them.

Stands apart from the log, which they pass through: here is when they are written, and that the newest line a step is enough.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable

from store.writer import Writer

DELAY = 0.25
"""Seconds from the first note to its being written."""


class Telemetry:
    """What was noted and is not written yet. `writer` gives who writes it, or raises in a store that is only read."""

    def __init__(self, writer: Callable[[], Writer]) -> None:
        self._writer, self._notes = writer, _Notes()
        self._timer: asyncio.TimerHandle | None = None

    def sample(self, run: str, at: float, cpu: float, rss: int) -> None:
        """Note what the process used."""
        self._notes.sample(run, at, cpu, rss)
        self._schedule()

    def line(self, run: str, step: str, text: str, at: float) -> None:
        """Note a step's latest line."""
        self._notes.line(run, step, text, at)
        self._schedule()

    def finish(self) -> None:
        """Write what there is now."""
        if self._timer is not None:
            self._timer.cancel()
            self._write()

    def _schedule(self) -> None:
        self._writer().refuse_closed()
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(DELAY, self._write)

    def _write(self) -> None:
        self._timer = None
        taken, self._notes = self._notes, _Notes()
        for run in taken.runs():
            self._writer().ride(taken.write, run)
            taken = _Notes()
        self._writer().wake()


class _Notes:
    """Samples and latest lines that wait for the next commit, the newest a step."""

    __slots__ = ("_lines", "_samples")

    def __init__(self) -> None:
        self._samples: list[tuple[float, float, int, str]] = []
        self._lines: dict[tuple[str, str], tuple[float, str]] = {}

    def __bool__(self) -> bool:
        return bool(self._samples or self._lines)

    def sample(self, run: str, at: float, cpu: float, rss: int) -> None:
        """Note what the process used."""
        self._samples.append((at, cpu, rss, run))

    def line(self, run: str, step: str, text: str, at: float) -> None:
        """Note a step's latest line."""
        self._lines[run, step] = (at, text.encode("utf-8", "replace").decode())

    def runs(self) -> set[str]:
        """The runs it is about."""
        return {run for run, _ in self._lines} | {sample[3] for sample in self._samples}

    def write(self, connection: sqlite3.Connection) -> None:
        """Into the tables; the caller holds the transaction. Unknown runs are passed over."""
        connection.executemany(
            "INSERT OR REPLACE INTO samples(at, cpu, rss, run) SELECT ?, ?, ?, run FROM runs WHERE id = ?", self._samples
        )
        connection.executemany(
            "INSERT OR REPLACE INTO live(run, step, at, text) SELECT run, ?, ?, ? FROM runs WHERE id = ? AND ended IS NULL",
            [(step, at, text, run) for (run, step), (at, text) in self._lines.items()],
        )
