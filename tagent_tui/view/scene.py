"""One look at a run: its state, its outline, the clock and the mode, from which every row of the run screen is made.

Apart so that rows never reach for a clock or a store. What depends on who is alive (interrupted) or on dependencies (ready)
is decided here, once a look.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, assert_never

from store.state import OpenEffect, RunState, RunStatus, StepState, StepStatus, shown_status
from tagent_tui.glyphs import UNICODE, Glyphs
from tagent_tui.rows import Ink, Seg
from tagent_tui.view.effects import ASK
from tagent_tui.view.families import Families, Family
from tagent_tui.view.outline import NO_OUTLINE, Outline, shown_step_status


class Mark(NamedTuple):
    """A status as it is drawn: glyph, ink and word."""

    glyph: str
    ink: Ink
    word: str

    def seg(self) -> Seg:
        """The glyph alone."""
        return Seg(self.glyph, self.ink)


@dataclass(frozen=True, slots=True)
class Scene:
    """`now` is unix seconds: the wall clock while a driver lives, else the time of the last event of this state.

    `families` adds up what belongs to a group, `lives` are latest progress lines by step. In the past (`replay`), `starts` holds
    the version at which each step first starts and `changed` what the event did to a step's status. `flight` is one effect under
    way for each step that has any.
    """

    state: RunState
    outline: Outline = NO_OUTLINE
    status: RunStatus = RunStatus.RUNNING
    now: float = 0.0
    replay: bool = False
    lives: Mapping[str, str] = field(default_factory=dict)
    starts: Mapping[str, int] = field(default_factory=dict)
    changed: Mapping[str, tuple[StepStatus, StepStatus]] = field(default_factory=dict)
    flight: Mapping[str, OpenEffect] = field(default_factory=dict)
    families: Families = field(default_factory=Families)
    glyphs: Glyphs = UNICODE

    def asks(self, name: str, step: StepState) -> bool:
        """Whether the step waits for a person: its approval, or the answer to what it asks."""
        if self.state.status.ended:
            return False
        if step.status is StepStatus.WAITING:
            return step.approval is not None and step.approval.answer == "asked"
        effect = self.flight.get(name) if step.status is StepStatus.RUNNING else None
        return effect is not None and effect.kind == ASK and effect.answer is None

    def family(self, group: str) -> Family:
        """What a group's children are and add up to."""
        return self.families.of(self.state, group)

    def step_mark(self, name: str, step: StepState) -> Mark:
        """How the step's status is drawn now."""
        if self.asks(name, step):
            return Mark(self.glyphs.person, Ink.WARNING, "waits for you")
        if step.status is StepStatus.RUNNING and self.status is RunStatus.INTERRUPTED:
            return Mark(self.glyphs.interrupted, Ink.WARNING, "interrupted")
        return step_mark(shown_step_status(self.state, self.outline, name, step), self.glyphs)


def look(
    state: RunState,
    outline: Outline,
    *,
    alive: bool,
    now: float,
    lives: Mapping[str, str] | None = None,
    families: Families | None = None,
    glyphs: Glyphs = UNICODE,
) -> Scene:
    """The present of a run; `alive` says whether a driver holds its lease."""
    status = shown_status(state, alive)
    moving = alive and not status.ended
    return Scene(
        state,
        outline,
        status,
        max(now, state.last_at) if moving else state.last_at,
        lives=lives or {},
        flight=flights(state),
        families=families or Families(),
        glyphs=glyphs,
    )


def look_back(
    state: RunState,
    outline: Outline,
    *,
    starts: Mapping[str, int] | None = None,
    changed: Mapping[str, tuple[StepStatus, StepStatus]] | None = None,
    glyphs: Glyphs = UNICODE,
) -> Scene:
    """The run as it stood after some event: the clock stands still there."""
    return Scene(
        state,
        outline,
        state.status,
        state.last_at,
        replay=True,
        starts=starts or {},
        changed=changed or {},
        flight=flights(state),
        glyphs=glyphs,
    )


def flights(state: RunState) -> dict[str, OpenEffect]:
    """For each step with effects under way, the latest of them."""
    return {effect.step: effect for effect in state.open.values()}


def step_mark(status: StepStatus, glyphs: Glyphs) -> Mark:
    """Glyph, ink and word of a step's status."""
    return Mark(glyphs.status(status.word), step_ink(status), status.word.replace("_", " "))


def step_ink(status: StepStatus) -> Ink:
    """Colour carries status: four statuses have one, the rest is quiet."""
    match status:
        case StepStatus.RUNNING:
            return Ink.ACCENT
        case StepStatus.COMPLETED:
            return Ink.SUCCESS
        case StepStatus.FAILED | StepStatus.TIMED_OUT:
            return Ink.ERROR
        case StepStatus.IN_DOUBT:
            return Ink.WARNING
        case StepStatus.PENDING | StepStatus.READY | StepStatus.WAITING | StepStatus.SKIPPED | StepStatus.CANCELLED:
            return Ink.MUTED
        case _:
            assert_never(status)


def run_mark(status: RunStatus, glyphs: Glyphs) -> Mark:
    """Glyph, ink and word of a run's status."""
    return Mark(glyphs.person if status is RunStatus.WAITING else glyphs.status(status.word), run_ink(status), status.word)


def run_ink(status: RunStatus) -> Ink:
    """The colour of a run's status, for its chip and its word."""
    match status:
        case RunStatus.RUNNING:
            return Ink.ACCENT
        case RunStatus.COMPLETED:
            return Ink.SUCCESS
        case RunStatus.FAILED:
            return Ink.ERROR
        case RunStatus.WAITING | RunStatus.INTERRUPTED:
            return Ink.WARNING
        case RunStatus.PENDING | RunStatus.PAUSED | RunStatus.CANCELLED:
            return Ink.MUTED
        case _:
            assert_never(status)


def step_span(scene: Scene, step: StepState) -> tuple[float, float] | None:
    """From the first attempt's start (or the wish for approval) to the end, or to now; None if nothing began."""
    start = step.first_started_at
    if start is None and step.status is StepStatus.WAITING and step.approval is not None:
        start = step.approval.requested_at
    if start is None:
        return None
    if step.status in _UNDER_WAY or step.ended_at is None:
        return start, max(start, scene.now)
    return start, max(start, step.ended_at)


_UNDER_WAY = frozenset({StepStatus.RUNNING, StepStatus.WAITING, StepStatus.IN_DOUBT})
