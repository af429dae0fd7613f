"""The step tree: a virtual list of steps, and below unfolded ones what they did to the world.

Apart from the screen because folding and the mapping from lines to steps are its own; what a line says comes from `view`. Of
10,000 steps only those on screen become rows, and only rows that say something new are painted again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.message import Message

from store.state import StepStatus
from tagent_tui.rows import BLANK, Row
from tagent_tui.view.detail import Subject
from tagent_tui.view.effects import EffectLine
from tagent_tui.view.scene import Scene
from tagent_tui.view.steps import effect_row, step_row
from tagent_tui.widgets.lines import LineView

_FAILED = frozenset({StepStatus.FAILED, StepStatus.TIMED_OUT, StepStatus.IN_DOUBT})
LEAD = 1.0
"""Seconds the cursor stays at least on a step while it goes with what runs."""

_WORTH = (StepStatus.IN_DOUBT, StepStatus.RUNNING, StepStatus.FAILED, StepStatus.TIMED_OUT, StepStatus.WAITING)
"""Where the cursor stands first: what wants somebody, what runs, what failed."""


class StepLines:
    """The lines of the tree: steps in definition order, effects below the unfolded ones. A source of rows."""

    def __init__(self) -> None:
        self.scene: Scene | None = None
        self.unfolded: dict[str, Sequence[EffectLine]] = {}
        self._order: list[str] = []
        self._lines: list[Subject] | None = None
        self._effects: dict[tuple[str, int], EffectLine] = {}

    def look(self, scene: Scene) -> bool:
        """Take a new look at the run; whether the lines are others now."""
        before, self.scene = self._order, scene
        if len(before) != len(scene.state.steps) or (before and before[-1] != next(reversed(scene.state.steps))):
            self._order = list(scene.state.steps)
            self._relist()
            return True
        return False

    def unfold(self, step: str, effects: Sequence[EffectLine] | None) -> None:
        """Show these effects below a step; None folds it again."""
        if effects is None:
            self.unfolded.pop(step, None)
        else:
            self.unfolded[step] = effects
        self._relist()

    def _relist(self) -> None:
        self._effects = {(step, line.version): line for step, lines in self.unfolded.items() for line in lines}
        if not self.unfolded:
            self._lines = None
            return
        self._lines = []
        for name in self._order:
            self._lines.append(Subject(name))
            self._lines += [Subject(name, line.version) for line in self.unfolded.get(name, ())]

    def count(self) -> int:
        """How many lines there are."""
        return len(self._order) if self._lines is None else len(self._lines)

    def subject(self, index: int) -> Subject | None:
        """What a line is about."""
        if not 0 <= index < self.count():
            return None
        return Subject(self._order[index]) if self._lines is None else self._lines[index]

    def effect(self, subject: Subject) -> EffectLine | None:
        """The effect a line is about."""
        return self._effects.get((subject.step, subject.effect)) if subject.effect is not None else None

    def index(self, subject: Subject) -> int | None:
        """The line of a step or effect; of a folded effect, its step's."""
        lines: Sequence[Subject] = self._lines if self._lines is not None else ()
        if self._lines is None:
            return self._order.index(subject.step) if subject.step in self._order else None
        for wanted in (subject, Subject(subject.step)):
            if wanted in lines:
                return lines.index(wanted)
        return None

    def find(self, start: int, way: int, wanted: Callable[[Subject], bool]) -> int | None:
        """The next line in a direction, round the end, that is wanted."""
        count = self.count()
        for offset in range(1, count + 1):
            index = (start + way * offset) % count
            subject = self.subject(index)
            if subject is not None and wanted(subject):
                return index
        return None

    def failed(self, subject: Subject) -> bool:
        """Whether the line is a failure."""
        if self.scene is None or subject.effect is not None:
            return False
        step = self.scene.state.steps.get(subject.step)
        return step is not None and step.status in _FAILED

    def first_worth(self) -> int:
        """Where to look first: what wants somebody, runs or failed; of a completed run, what made its last artifact, or its end."""
        if self.scene is None:
            return 0
        state = self.scene.state
        for status in _WORTH:
            if state.counts[status]:
                return next((index for index, name in enumerate(self._order) if state.steps[name].status is status), 0)
        if state.status.ended and self._order:
            made = state.artifacts[-1].step if state.artifacts else ""
            return self._order.index(made) if made in state.steps else len(self._order) - 1
        return 0

    def row(self, index: int, width: int) -> Row:
        """A line as a row."""
        subject, scene = self.subject(index), self.scene
        if subject is None or scene is None:
            return BLANK
        line = self.effect(subject)
        if line is not None:
            return effect_row(scene, line, width)
        return step_row(scene, subject.step, width, unfolded=subject.step in self.unfolded)


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
        if here is None or here.status in _WORTH or not (scene.state.counts[StepStatus.RUNNING] or scene.state.status.ended):
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
        """Whether the step under the cursor did anything to the world."""
        subject, scene = self.subject, self.lines.scene
        step = scene.state.steps.get(subject.step) if subject is not None and scene is not None else None
        return step is not None and bool(step.effects)

    def action_fold(self) -> None:
        """Unfold the step under the cursor, or fold it."""
        subject = self.subject
        if subject is None:
            return
        if subject.step in self.lines.unfolded:
            self.unfold(subject.step, None)
        else:
            self.action_unfold()

    def action_unfold(self) -> None:
        """Unfold the step under the cursor."""
        subject, scene = self.subject, self.lines.scene
        if subject is not None and scene is not None and subject.step not in self.lines.unfolded:
            step = scene.state.steps.get(subject.step)
            if step is not None and step.effects:
                self.post_message(self.Unfold(subject.step))

    def action_shut(self) -> None:
        """Fold the step the cursor is in."""
        subject = self.subject
        if subject is not None and subject.step in self.lines.unfolded:
            self.unfold(subject.step, None)
