"""A run as it is now: its state followed through the log, who drives it, and what its definition says.

Apart from the run screen so that following is tested without one. Nothing here is drawn; `scene` is what rows are made from.
"""

from __future__ import annotations

from collections.abc import Sequence

from store.events import LogWritten, Recorded, RunId
from store.log import Log
from store.runs import RunRow
from store.state import RunState, StepStatus
from tagent_tui.feed import RunFollower
from tagent_tui.glyphs import Glyphs
from tagent_tui.outlines import outline_from
from tagent_tui.view.describe import STEP_TYPES
from tagent_tui.view.families import Families
from tagent_tui.view.outline import NO_OUTLINE, Outline
from tagent_tui.view.scene import Scene, look

PULL = 2_000
LINE_KEPT = 400
"""Characters of a step's last log line that are kept to be shown beside it."""


class Present:
    """One run, followed. `alive` says whether a driver holds its lease; it is asked again at most once a second."""

    def __init__(self, log: Log, row: RunRow) -> None:
        self.log = log
        self.row = row
        self.run: RunId = row.id
        self.alive = row.alive()
        self.outline: Outline = NO_OUTLINE
        self.lives: dict[str, str] = {}
        """The latest line of each step that runs: what it streams, or the last it logged since we look."""
        self.touched: dict[str, int] = {}
        """The version of the last event of each step that was followed."""
        self._follower = RunFollower(log, row.id)
        self._outlined = ("", 0)
        self._families = Families()
        self._logged: dict[str, str] = {}

    @classmethod
    async def open(cls, log: Log, wanted: str) -> Present:
        """The run with that id or prefix, folded as far as it is."""
        present = cls(log, await log.find(wanted))
        await present.pull()
        return present

    @property
    def state(self) -> RunState:
        """The state as far as it was read."""
        return self._follower.state or RunState()

    async def pull(self) -> Sequence[Recorded]:
        """Read on; what is new. A full batch means that there is more."""
        batch = await self._follower.pull(PULL)
        for recorded in batch:
            if recorded.step is not None:
                self.touched[recorded.step] = recorded.version
                if isinstance(recorded.event, LogWritten):
                    self._logged[recorded.step] = recorded.event.text[:LINE_KEPT]
                elif recorded.event.type in STEP_TYPES:
                    self._logged.pop(recorded.step, None)
        if (self.state.definition, self.state.added) != self._outlined:
            self._outlined = (self.state.definition, self.state.added)
            self.outline = await outline_from(self.log, self.run, self.state)
        if self.state.counts[StepStatus.RUNNING]:
            self.lives = {**self._logged, **await self.log.lives(self.run)}
        elif self.lives:
            self.lives = {}
        return batch

    async def look_at_driver(self) -> None:
        """Ask again who drives the run."""
        self.row = await self.log.find(self.run)
        self.alive = not self.state.status.ended and self.row.alive()

    def scene(self, now: float, glyphs: Glyphs) -> Scene:
        """One look at it."""
        return look(self.state, self.outline, alive=self.alive, now=now, lives=self.lives, families=self._families, glyphs=glyphs)
