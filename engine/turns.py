"""A fork's driver over its parent's tape: what waits for its turn there, and what comes of it when the turn has come.

Stands apart from the runtime, which drives whatever is started, and from taking, which knows the tape and records nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from engine.commands import Fact
from engine.intake import Intake
from engine.preparing import Preparing
from engine.record import Record
from engine.taking import Taking
from engine.written import Written
from store import Lease
from store.events import Recorded

if TYPE_CHECKING:
    from engine.looks import Seen


class Run(NamedTuple):
    """An attempt that runs here after all, and what it recorded so far."""

    path: str
    attempt: int
    tape: Sequence[Recorded]


class Turns:
    """The turns of one fork."""

    def __init__(
        self, taking: Taking, record: Record, lease: Lease, preparing: Preparing, intake: Intake, written: Written
    ) -> None:
        self._taking, self._record, self._lease = taking, record, lease
        self._preparing, self._intake, self._written = preparing, intake, written

    def keeps(self, path: str, attempt: int) -> bool:
        """Whether an attempt that starts waits for its turn; else it runs, and what depends on it cannot be taken."""
        if self._taking.offer(path, attempt):
            return True
        self._taking.went_live(self._record.plan, path)
        return False

    def keeps_look(self, path: str, seen: Seen) -> bool:
        """Whether what a look came to waits for its turn."""
        return self._taking.hold(path, self._record.state.steps[path].attempt, seen)

    def has_look(self, path: str) -> bool:
        """Whether a look at a step has been taken and waits."""
        return self._taking.holds(path)

    async def recall(self, names: Sequence[str]) -> None:
        """What attempts of these steps left here before this driver came is not left again."""
        await self._taking.recall(names)

    async def rest_of_the_point(self, interrupted: set[str]) -> list[Fact]:
        """What shared a commit with the event the run was forked at: it comes before anything is decided.

        Attempts that wait for their turn leave `interrupted`.
        """
        taking, record = self._taking, self._record
        await taking.recall(interrupted)
        interrupted.difference_update([name for name in interrupted if taking.offer(name, record.running[name])])
        for path in taking.looks_of_the_point():
            if path in record.schedule.looking:
                self.keeps_look(path, await self._preparing.look(path))
        facts, looks = taking.rest(record)
        self._intake.seen += [(turn.path, turn.seen) for turn in looks if turn.seen is not None]
        return facts

    async def next(self) -> tuple[list[Fact], list[Run]] | None:
        """What comes next: what is recorded of it, and what runs; looks go where all looks go. None: nothing waits."""
        turns = self._taking.next(self._record.state)
        if not turns:
            return None
        facts, live = self._taking.come(turns, self._record)
        runs: list[Run] = []
        for turn in live:
            if turn.seen is not None:
                self._intake.seen.append((turn.path, turn.seen))
                continue
            self._taking.went_live(self._record.plan, turn.path)
            await self._lease.flush()
            attempt, tape = (await self._preparing.tapes([turn.path], self._written)).get(turn.path, (0, []))
            if attempt == turn.attempt:  # else somebody stopped it while its tape was read
                runs.append(Run(turn.path, attempt, tape))
        return facts, runs
