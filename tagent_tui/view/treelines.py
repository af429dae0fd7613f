"""Which line of the step tree is what: steps in definition order, below them children and effects, as far as they are unfolded.

Apart from the widget so that folding is tested without a terminal. A group is a list of paths; of a long one the children that are
done and those to go are one line each, and become lines of their own when somebody unfolds them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from store.state import RunState, StepStatus, owner_of
from tagent_tui.rows import BLANK, Row
from tagent_tui.view.detail import Subject
from tagent_tui.view.effects import EffectLine
from tagent_tui.view.families import FEW, children, compensation, depth_of, roots
from tagent_tui.view.scene import Scene
from tagent_tui.view.steps import DONE, TO_GO, effect_row, folds, part_row, step_row

_FAILED = frozenset({StepStatus.FAILED, StepStatus.TIMED_OUT, StepStatus.IN_DOUBT})
_OPEN = frozenset({StepStatus.RUNNING, StepStatus.FAILED, StepStatus.TIMED_OUT})
"""Groups that are unfolded until somebody folds them: those in which something happens or went wrong."""

WORTH = (StepStatus.IN_DOUBT, StepStatus.RUNNING, StepStatus.FAILED, StepStatus.TIMED_OUT, StepStatus.WAITING)
"""Where the cursor stands first: what wants somebody, what runs, what failed."""


class StepLines:
    """The lines of the tree, a source of rows. `unfolded` are the effects shown, by step."""

    def __init__(self) -> None:
        self.scene: Scene | None = None
        self.unfolded: dict[str, Sequence[EffectLine]] = {}
        self._chosen: dict[Subject, bool] = {}
        self._roots: list[str] = []
        self._lines: list[Subject] | None = None
        self._places: dict[Subject, int] | None = None
        self._effects: dict[tuple[str, int], EffectLine] = {}
        self._shape: object = None

    def look(self, scene: Scene) -> bool:
        """Take a new look at the run; whether the lines are others now."""
        self.scene = scene
        state = scene.state
        shape = (len(state.steps), next(reversed(state.steps), ""), state.nested, state.version if state.nested else 0)
        if shape == self._shape:
            return False
        self._shape = shape
        before = self._lines if self._lines is not None else self._roots
        self._roots = roots(state)
        self._relist()
        return before != (self._lines if self._lines is not None else self._roots)

    def unfold(self, step: str, effects: Sequence[EffectLine] | None) -> None:
        """Show these effects below a step; None folds it again."""
        if effects is None:
            self.unfolded.pop(step, None)
        else:
            self.unfolded[step] = effects
        self._relist()

    def open(self, subject: Subject, on: bool) -> None:
        """Show the children of a group or of a part of it, or fold them."""
        self._chosen[Subject(subject.step, None, subject.part)] = on
        self._relist()

    def is_open(self, subject: Subject) -> bool:
        """Whether what belongs to the line is shown below it."""
        if subject.part:
            return self._chosen.get(subject, False)
        return subject.step in self.unfolded or self._group_open(subject.step)

    def _group_open(self, name: str) -> bool:
        step = self.scene.state.steps.get(name) if self.scene is not None else None
        return step is not None and bool(step.items) and self._chosen.get(Subject(name), step.status in _OPEN)

    def folds(self, subject: Subject) -> bool:
        """Whether there is something to show or to fold below the line."""
        step = self.scene.state.steps.get(subject.step) if self.scene is not None else None
        return bool(subject.part) or (step is not None and folds(step))

    def above(self, subject: Subject) -> Subject | None:
        """The line that this one belongs to."""
        if subject.effect is not None or subject.part:
            return Subject(subject.step)
        owner = owner_of(subject.step)
        return Subject(owner) if owner is not None else None

    def _relist(self) -> None:
        self._effects = {(step, line.version): line for step, lines in self.unfolded.items() for line in lines}
        self._places = None
        state = self.scene.state if self.scene is not None else None
        if state is None or not (self.unfolded or state.nested):
            self._lines = None
            return
        self._lines = [line for name in self._roots for line in self._below(state, name)]

    def _below(self, state: RunState, name: str) -> Iterator[Subject]:
        """A step's line, and all that is shown below it."""
        yield Subject(name)
        for line in self.unfolded.get(name, ()):
            yield Subject(name, line.version)
        if self._group_open(name):
            for path in self._children(state, name):
                if isinstance(path, Subject):
                    yield path
                else:
                    yield from self._below(state, path)
        undoing = compensation(state, name) if state.undoing is not None else None
        if undoing is not None:
            yield from self._below(state, undoing)

    def _children(self, state: RunState, name: str) -> Iterator[str | Subject]:
        step = state.steps[name]
        if (step.items or 0) <= FEW or self.scene is None:
            yield from children(state, name)
            return
        family = self.scene.family(name)
        for part, members in ((DONE, family.done), ("", family.others), (TO_GO, family.to_go)):
            if part and members:
                yield Subject(name, None, part)
            if not part or self._chosen.get(Subject(name, None, part), False):
                yield from members

    def count(self) -> int:
        """How many lines there are."""
        return len(self._roots) if self._lines is None else len(self._lines)

    def subject(self, index: int) -> Subject | None:
        """What a line is about."""
        if not 0 <= index < self.count():
            return None
        return Subject(self._roots[index]) if self._lines is None else self._lines[index]

    def effect(self, subject: Subject) -> EffectLine | None:
        """The effect a line is about."""
        return self._effects.get((subject.step, subject.effect)) if subject.effect is not None else None

    def index(self, subject: Subject) -> int | None:
        """The line of a step or effect; of one that is not shown, the line of what it belongs to."""
        if self._places is None:
            lines = self._lines if self._lines is not None else [Subject(name) for name in self._roots]
            self._places = {line: index for index, line in enumerate(lines)}
        wanted: Subject | None = subject
        while wanted is not None:
            found = self._places.get(wanted)
            if found is not None:
                return found
            wanted = self.above(wanted)
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
        if self.scene is None or subject.effect is not None or subject.part:
            return False
        step = self.scene.state.steps.get(subject.step)
        return step is not None and step.status in _FAILED

    def first_worth(self) -> int:
        """Where to look first: what wants somebody, runs or failed; of a completed run, what made its last artifact, or its end."""
        if self.scene is None:
            return 0
        state = self.scene.state
        asking = (
            next((name for name, step in state.steps.items() if self.scene.asks(name, step)), None) if state.approvals else None
        )
        if asking is not None:
            return self.index(Subject(asking)) or 0
        for status in WORTH:
            if state.counts[status]:
                found = next((name for name, step in state.steps.items() if step.status is status and step.items is None), None)
                return (self.index(Subject(found)) or 0) if found is not None else 0
        if state.status.ended and self._roots:
            made = state.artifacts[-1].step if state.artifacts else ""
            return (self.index(Subject(made)) or 0) if made in state.steps else self.index(Subject(self._roots[-1])) or 0
        return 0

    def row(self, index: int, width: int) -> Row:
        """A line as a row."""
        subject, scene = self.subject(index), self.scene
        if subject is None or scene is None:
            return BLANK
        if subject.part:
            return part_row(scene, subject.step, subject.part, width, unfolded=self.is_open(subject))
        line = self.effect(subject)
        if line is not None:
            return effect_row(scene, line, width, depth=1 + depth_of(subject.step))
        return step_row(scene, subject.step, width, unfolded=self.is_open(subject))
