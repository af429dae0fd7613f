"""The step tree: a virtual list of steps, and below unfolded ones their children and what they did to the world.

Apart from the screen because the cursor and the keys are its own; which line is what comes from `view/treelines.py`. Of 10,000
steps only those on screen become rows, and only rows that say something new are painted again.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.message import Message

from store.state import StepStatus
from tagent_tui.view.detail import Subject
from tagent_tui.view.effects import EffectLine
from tagent_tui.view.scene import Scene
from tagent_tui.view.treelines import WORTH, StepLines
from tagent_tui.widgets.lines import LineView

LEAD = 1.0
"""Seconds the cursor stays at least on a step while it goes with what runs."""


class StepTree(LineView):
    """The tree. Messages say which step is to be unfolded; the screen reads its effects and gives them to `unfold`."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("space", "fold", "fold or unfold", show=False, id="steps.fold"),
        Binding("l,right", "unfold", "unfold", show=False, id="steps.unfold"),
        Binding("h,left", "shut", "fold, or go to the step", show=False, id="steps.shut"),
    ]

    @dataclass
    class Unfold(Message):
        """The effects of a step are wanted below it."""

        step: str

    def __init__(self, *, id: str | None = None) -> None:
        self.lines = StepLines()
        super().__init__(self.lines, id=id)
        self._attended = False
        self._led_at = 0.0

    @property
    def subject(self) -> Subject | None:
        """What the cursor is on."""
        return self.lines.subject(self.cursor)

    def look(self, scene: Scene) -> None:
        """Show a new look at the run; only lines that say something else are painted again."""
        fresh = self.lines.scene is None
        kept = self.subject
        if self.lines.look(scene) or fresh:
            if fresh:
                self.cursor = self.lines.first_worth()
                self.top = max(self.cursor - self.size.height // 3, 0)
            elif kept is not None:
                self.cursor = self.lines.index(kept) or 0
            self.rows_changed()
            return
        self._lead(scene)
        self.rows_ticked()

    def _lead(self, scene: Scene) -> None:
        """Until somebody uses the tree, the cursor goes with what runs, at most once a second."""
        now = time.monotonic()
        if self._attended or scene.replay or now - self._led_at < LEAD:
            return
        here = scene.state.steps.get(self.subject.step) if self.subject is not None else None
        if here is None or here.status in WORTH or not (scene.state.counts[StepStatus.RUNNING] or scene.state.status.ended):
            return
        worth = self.lines.first_worth()
        if worth != self.cursor:
            self._led_at = now
            self.move_to(worth)

    def on_key(self) -> None:
        """Somebody uses the tree: it moves by itself no more."""
        self._attended = True

    def on_mouse_down(self) -> None:
        """The same with the mouse."""
        self._attended = True

    def go_to(self, subject: Subject) -> None:
        """Put the cursor on a step or effect."""
        self._attended = True
        index = self.lines.index(subject)
        if index is not None and index != self.cursor:
            self.move_to(index)

    def unfold(self, step: str, effects: Sequence[EffectLine] | None) -> None:
        """Show these effects below a step; None folds it. The cursor stays where it was, or goes to the step."""
        kept = self.subject
        self.lines.unfold(step, effects)
        if kept is not None:
            self.cursor = self.lines.index(kept) or 0
        self.rows_changed()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Folding needs something to fold."""
        return self.foldable if action in ("fold", "unfold", "shut") else super().check_action(action, parameters)

    @property
    def foldable(self) -> bool:
        """Whether there is something to unfold or to fold under the cursor."""
        return self.subject is not None and self.lines.folds(self.subject)

    def action_fold(self) -> None:
        """Unfold what is under the cursor, or fold it."""
        if self.subject is not None and self.lines.is_open(self.subject):
            self._shut(self.subject)
        else:
            self.action_unfold()

    def action_unfold(self) -> None:
        """Unfold what is under the cursor."""
        subject, scene = self.subject, self.lines.scene
        if subject is None or scene is None or self.lines.is_open(subject):
            return
        step = scene.state.steps.get(subject.step)
        if subject.part or (step is not None and step.items):
            self.lines.open(subject, True)
            self._stay(subject)
        if not subject.part and step is not None and step.effects:
            self.post_message(self.Unfold(subject.step))

    def action_shut(self) -> None:
        """Fold what the cursor is in; on what is folded, go to what it belongs to."""
        subject = self.subject
        if subject is None:
            return
        if subject.effect is None and self.lines.is_open(subject):
            self._shut(subject)
            return
        above = self.lines.above(subject)
        if above is not None:
            self.go_to(above)
            if subject.effect is not None or subject.part:
                self._shut(above)

    def _shut(self, subject: Subject) -> None:
        self.lines.open(subject, False)
        if not subject.part:
            self.lines.unfold(subject.step, None)
        self._stay(subject)

    def _stay(self, subject: Subject) -> None:
        self.cursor = self.lines.index(subject) or 0
        self.rows_changed()
