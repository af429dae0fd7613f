"""The run list: one row a run, kept in the same transaction as the append, so that a list of runs folds nothing.

Stands apart from the log because it is a read model: `RunSummary.of(state)` makes it again from events at any time.
"""

from __future__ import annotations

from typing import Any

import msgspec

from store.connections import Statements
from store.events import RunId
from store.locks import Driver
from store.state import RunState, RunStatus, StepStatus, waits_for_person, working

FAILED, TIMED_OUT = StepStatus.FAILED, StepStatus.TIMED_OUT


class RunSummary(msgspec.Struct, frozen=True):
    """What the list shows of a state. `now` is one short phrase: the running steps, or why it failed."""

    status: str
    ended: float | None = None
    cost: float = 0.0
    unpriced: int = 0
    tokens: int = 0
    steps: int = 0
    settled: int = 0
    failed: int = 0
    running: int = 0
    simulated: bool = False
    inbox: int = 0
    now: str = ""

    @classmethod
    def of(cls, state: RunState, now: str | None = None) -> RunSummary:
        """The summary of a state; `now` defaults to the reason it ended for."""
        counts = state.counts
        return cls(
            (RunStatus.WAITING if waits_for_person(state) else state.status).word,
            state.ended_at,
            state.cost,
            state.unpriced,
            state.prompt_tokens + state.completion_tokens,
            state.total,
            state.settled,
            counts[FAILED] + counts[TIMED_OUT],
            working(state),
            state.simulated,
            state.inbox,
            (state.reason or "") if now is None else now,
        )


class RunRow(msgspec.Struct):
    """One run as the list has it. Times are unix seconds; `status` is the folded word (see `alive` for the rest).

    `row` is its place in the list (the key for paging), `driver` the process that holds or, after a crash, held the lease.
    `imported` runs came in a bundle: nothing of theirs is executed until somebody says so. `caller` and `caller_step` are the run
    and the step that called a child run.
    """

    row: int
    id: RunId
    pipeline: str
    status: str
    head: int
    created: float
    ended: float | None
    last_at: float
    parent: str | None
    parent_version: int | None
    reuse_upto: int | None
    cost: float
    unpriced: int
    tokens: int
    steps: int
    settled: int
    failed: int
    running: int
    simulated: bool
    now: str
    driver: Driver | None
    inbox: int
    target: str | None
    imported: bool = False
    caller: str | None = None
    caller_step: str | None = None

    def alive(self) -> bool:
        """Whether the recorded driver lives on this host (same pid and start time)."""
        return self.driver is not None and self.driver.alive()

    def shown(self, alive: bool | None = None) -> str:
        """The status to show: a run that neither ended nor rests nor waits for somebody, and that nobody drives, is interrupted.

        `alive` spares the look at the process where the caller knows.
        """
        if self.status not in ("running", "paused") or (self.alive() if alive is None else alive):
            return self.status
        return "paused" if self.status == "paused" and not self.running else "interrupted"


COLUMNS = (
    "r.run, r.id, r.pipeline, r.status, r.head, r.created, r.ended, r.last_at, "
    "(SELECT p.id FROM runs p WHERE p.run = r.parent), r.parent_version, r.reuse_upto, r.cost, r.unpriced, r.tokens, r.steps, "
    "r.settled, r.failed, r.running, r.simulated, r.now, r.pid, r.started, r.host, r.inbox, r.target, r.imported, "
    "(SELECT k.caller FROM callers k WHERE k.run = r.run), (SELECT k.step FROM callers k WHERE k.run = r.run)"
)

ADVANCE = "UPDATE runs SET head = ?, last_at = ? WHERE run = ? AND token = ? AND head = ?"

ADVANCE_WITH_SUMMARY = (
    "UPDATE runs SET head = ?, last_at = ?, status = ?, ended = ?, cost = ?, unpriced = ?, tokens = ?, steps = ?, settled = ?, "
    "failed = ?, running = ?, simulated = ?, inbox = ?, now = ? WHERE run = ? AND token = ? AND head = ?"
)


def from_columns(columns: tuple[Any, ...]) -> RunRow:
    """The row read as `COLUMNS`."""
    simulated, now, pid, started, host, inbox, target, imported, *caller = columns[-10:]
    driver = Driver(pid, started, host) if pid is not None else None
    fields = [*columns[:-10], bool(simulated), now, driver, inbox, target, bool(imported), *caller]
    return RunRow(*fields)


def advance(connection: Statements, run: int, token: int, head: int, to: int, at: float, summary: RunSummary | None) -> bool:
    """Move a run's head; False when the token or the head is not the driver's any more. This is the fence."""
    if summary is None:
        return connection.execute(ADVANCE, (to, at, run, token, head)).rowcount == 1
    fields = msgspec.structs.astuple(summary)
    return connection.execute(ADVANCE_WITH_SUMMARY, (to, at, *fields, run, token, head)).rowcount == 1
