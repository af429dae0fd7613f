"""What travels beside the history of a run: signals in its inbox, samples of its process, its steps' latest lines.

Stands apart because none of it is history: a signal becomes history when the driver records it, the rest never does.
"""

from __future__ import annotations

import sqlite3

import msgspec

from store.errors import RunNotFoundError
from store.events import RunId


class Signal(msgspec.Struct, frozen=True):
    """A wish that came through the inbox. `id` grows over the whole store; `body` is JSON; `at` is unix seconds."""

    id: int
    run: RunId
    kind: str
    body: bytes
    actor: str
    at: float


class Sample(msgspec.Struct, frozen=True):
    """What the driver's process used at a moment: `cpu` in percent of one core, `rss` in bytes."""

    at: float
    cpu: float
    rss: int


SELECT_INBOX = (
    "SELECT id, kind, body, actor, at FROM inbox WHERE run = (SELECT run FROM runs WHERE id = ?) AND id > ? ORDER BY id LIMIT 1000"
)
SELECT_SAMPLES = (
    "SELECT at, cpu, rss FROM samples WHERE run = (SELECT run FROM runs WHERE id = ?) AND at > ? ORDER BY at LIMIT 20000"
)
SELECT_LIVES = "SELECT step, text FROM live WHERE run = (SELECT run FROM runs WHERE id = ?)"


def send(connection: sqlite3.Connection, run: str, kind: str, body: bytes, actor: str, at: float) -> int:
    """Put a signal into a run's inbox; its id. The caller holds the transaction."""
    row = number(connection, run)
    cursor = connection.execute(
        "INSERT INTO inbox(run, kind, body, actor, at) VALUES (?, ?, ?, ?, ?)", (row, kind, body, actor, at)
    )
    assert cursor.lastrowid is not None  # noqa: S101 - an INSERT always has one
    return cursor.lastrowid


def number(connection: sqlite3.Connection, run: str) -> int:
    """The row of a run. Raises `RunNotFoundError`."""
    found = connection.execute("SELECT run FROM runs WHERE id = ?", (run,)).fetchone()
    if found is None:
        raise RunNotFoundError(f"There is no run {run} in this store; `runs` lists what there is.")
    return int(found[0])


class Telemetry:
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
