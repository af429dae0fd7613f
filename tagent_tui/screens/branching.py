"""What the run screen does with other lives of its run: forks it here, shows the tree of its forks.

Apart from the commands because neither reaches this run: it stays as it is.
"""

from __future__ import annotations

from typing import ClassVar

from textual.binding import Binding, BindingType

from engine.graph import base_of
from tagent_tui.forkable import read_editable, request_of
from tagent_tui.screens.answering import AnswerScreen
from tagent_tui.screens.runlook import short_id
from tagent_tui.view.editing import Draft, targets_of
from tagent_tui.view.foreseen import Ground
from tagent_tui.widgets.later import later


class BranchingScreen(AnswerScreen):
    """Adds forking and the branch tree."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("F", "fork", "fork: go on from here with something changed", show=False, id="run.fork"),
        Binding("B", "branches", "the tree of forks", show=False, id="run.branches"),
    ]

    def __init__(self, run_id: str, at: int | None = None) -> None:
        super().__init__(run_id, at)
        self._left: tuple[int, Draft] | None = None
        """What was typed at an event and not made into a fork: there again when the dialog is opened at that event."""

    def action_fork(self) -> None:
        """The dialog, at the event that is looked at, for the step under the cursor."""
        later(self, "fork", self._fork)

    async def _fork(self) -> None:
        from tagent_tui.screens.fork import ForkScreen, Point

        scene, present, moment = self.scene(), self.present, self.moment if self.replaying else None
        if scene is None or present is None or scene.state.version < 1:
            return
        state, subject = scene.state, self.step_tree.subject
        if moment is None:  # the present one goes on while this reads
            state = await present.log.state(present.run, state.version)
        request = subject.effect if subject is not None and not subject.part else None
        if request is None and moment is not None and subject is not None and moment.event.step == subject.step:
            request = request_of(moment.event)
        found = await read_editable(present.log, present.run, state, subject.step if subject is not None else None, request)
        costs: dict[str, float] = {}
        for name, step in present.state.steps.items():
            costs[base_of(name)] = costs.get(base_of(name), 0.0) + step.cost
        ground = Ground(short_id(present.run), state.total, costs)
        draft = self._left[1] if self._left is not None and self._left[0] == state.version else Draft()
        self._left = (state.version, draft)
        point = Point(present.run, state.pipeline, state.version, state.last_at)
        await self.app.push_screen(ForkScreen(point, targets_of(found), ground, draft), self._forked)

    async def _forked(self, made: str | None) -> None:
        if self._left is not None and (made is not None or not self._left[1].made):
            self._left = None
        if made is not None:
            self.host.feed.poke()
            await self.host.open_run(made)

    def action_branches(self) -> None:
        """The run with what it was forked from and all that was forked from these."""
        from tagent_tui.screens.branches import BranchesScreen

        if self.present is not None:
            self.app.push_screen(BranchesScreen(self.present.run))
