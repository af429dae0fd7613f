"""What a driven run looks like in a shell: a line for each step that settled or is tried again, and one line that moves.

Stands apart from driving so that the lines are functions of events and a state, tested as text. Events come from the log, like
those of every other watcher.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Mapping, Sequence

from rich.cells import cell_len

from store import Recorded, RunState
from store.events import (
    ApprovalRequested,
    ArtifactMade,
    BudgetReached,
    EffectInDoubt,
    EffectRequested,
    LogWritten,
    RunAttached,
    RunMigrated,
    RunPaused,
    RunUnpaused,
    StepCancelled,
    StepCompleted,
    StepFailed,
    StepRefused,
    StepReset,
    StepRetryScheduled,
    StepReused,
    StepSkipped,
    StepStarted,
)
from store.projector import evolve
from store.state import StepStatus
from tagent_tui.cli.output import Output
from tagent_tui.glyphs import Glyphs
from tagent_tui.numbers import duration, events, plural, size, span
from tagent_tui.rows import Ink, Seg, clip, pad
from tagent_tui.text import first_line, one_line
from tagent_tui.view.describe import say
from tagent_tui.view.effects import ASK
from tagent_tui.view.scene import step_mark

NAME_CELLS = 28
MANY = 100
"""Steps from which on those that completed are counted instead of listed."""
TICK_SECONDS = 0.1
REASON_CELLS = 400

Line = list[Seg]


class Progress:
    """Writes what happens to stderr. `state` is where the run stood when driving began; it is folded on."""

    def __init__(self, output: Output, state: RunState) -> None:
        self.output, self.state = output, state
        self.glyphs: Glyphs = output.err.glyphs
        self._known = -1
        self.width = 0
        self._began = time.monotonic()
        self._told = 0
        self._moving = False

    @property
    def many(self) -> bool:
        """Whether there are too many steps to list each."""
        return len(self.state.steps) > MANY

    def take(self, batch: Sequence[Recorded]) -> None:
        """Fold events and write their lines."""
        after = _followers(batch)
        for index, recorded in enumerate(batch):
            evolve(self.state, recorded)
            self._measure()
            follower = after.get(index)
            if isinstance(recorded.event, StepFailed) and follower is not None:
                self._write([self._retry(recorded, follower)])
            else:
                self._write(self._lines(recorded))

    async def move(self, lives: Mapping[str, str]) -> None:
        """Draw the moving line for ever, where there is a terminal; `lives` holds the steps' latest words."""
        if not self.output.err.movable or self.output.quiet:
            return
        while True:
            await asyncio.sleep(TICK_SECONDS)
            self._draw(lives)

    def clear(self) -> None:
        """Take the moving line away."""
        if self._moving:
            self.output.err.write("\r\x1b[K")
            self._moving = False

    def _measure(self) -> None:
        """The cells that names take, found again when steps were added."""
        if len(self.state.steps) != self._known:
            self._known = len(self.state.steps)
            self.width = min(NAME_CELLS, max((cell_len(one_line(name).text) for name in self.state.steps), default=0))

    def _write(self, lines: Iterator[Line] | Sequence[Line]) -> None:
        for line in lines:
            self.clear()
            self.output.note_segs(line)

    def _lines(self, recorded: Recorded) -> Iterator[Line]:
        event, name = recorded.event, recorded.step or ""
        verbose = self.output.verbose
        match event:
            case StepCompleted() | StepReused():
                yield from self._completed(recorded)
            case StepFailed():
                yield self._settled(recorded, [Seg(_line(event.failure.message or event.failure.kind), Ink.ERROR)])
            case StepRefused():
                yield self._settled(recorded, [Seg(_line(event.reason or event.kind), Ink.ERROR)])
            case ApprovalRequested():
                yield self._waits(name, "waits for approval")
            case EffectRequested() if event.kind == ASK:
                yield self._waits(name, f"asks: {_line(event.name)}")
            case BudgetReached():
                yield [Seg(f"{self.glyphs.person} ", Ink.WARNING), Seg(_line(say(recorded).text.text), Ink.WARNING)]
            case StepSkipped() | StepCancelled():
                word = "skipped" if isinstance(event, StepSkipped) else "cancelled"
                yield self._settled(recorded, [Seg(f"{word}: {_line(event.reason)}" if event.reason else word, Ink.MUTED)])
            case EffectInDoubt():
                yield self._settled(recorded, [Seg("in doubt: an effect has no known outcome", Ink.WARNING)])
            case StepReset():
                yield self._said(name, f"runs again: {_line(event.reason)}")
            case LogWritten():
                yield self._said(name, _line(event.text), _LEVELS.get(event.level, Ink.TEXT))
            case RunPaused():
                yield [Seg(f"{self.glyphs.paused} ", Ink.MUTED), Seg("paused: nothing new starts")]
            case RunUnpaused() if verbose:
                yield [Seg(f"{self.glyphs.running} ", Ink.ACCENT), Seg("goes on after the pause")]
            case RunAttached() if self.state.attaches > 1:
                done = f"{events(self.state.settled)} of {plural(self.state.total, 'step')} done before"
                yield [Seg(f"{self.glyphs.running} ", Ink.ACCENT), Seg("goes on  "), Seg(done, Ink.MUTED)]
            case RunMigrated():
                yield [Seg("  the pipeline changed: what changed runs again", Ink.MUTED)]
            case StepStarted() if verbose:
                yield self._said(name, f"try {recorded.attempt}" if recorded.attempt > 1 else "starts")
            case ArtifactMade() if verbose:
                yield self._said(name, f"made {_line(event.name)} ({size(event.content.size)})")

    def _completed(self, recorded: Recorded) -> Iterator[Line]:
        if not self.many or self.output.verbose:
            step = self.state.steps[recorded.step or ""]
            yield self._settled(recorded, [Seg("simulated", Ink.MUTED)] if step.simulated else [])
            return
        total, done = self.state.total, self.state.settled
        if done * 10 // total > self._told:
            self._told = done * 10 // total
            yield [Seg(f"{self.glyphs.completed} ", Ink.SUCCESS), Seg(f"{events(done)} of {events(total)} steps")]

    def _settled(self, recorded: Recorded, words: Line) -> Line:
        """Mark, name, time and what else there is to say about a step that stopped moving."""
        name = recorded.step or ""
        step = self.state.steps[name]
        mark = step_mark(step.status, self.glyphs)
        spent = ""
        if step.first_started_at is not None and step.ended_at is not None and step.status is not StepStatus.SKIPPED:
            spent = duration(step.ended_at - step.first_started_at)
        made = step.attempt - step.first_attempt + 1
        if made > 1 and step.status is not StepStatus.SKIPPED:
            words = [Seg(f"after {made} tries  ", Ink.MUTED), *words]
        return [Seg(f"{mark.glyph} ", mark.ink), Seg(self._name(name)), Seg(f"  {spent:>7}", Ink.MUTED), Seg("  "), *words]

    def _retry(self, recorded: Recorded, due: float) -> Line:
        words = f"try {recorded.attempt} failed: {_line(recorded.event.failure.message)}; again in {duration(due - recorded.at)}"
        mark = Seg(f"{self.glyphs.waiting} ", Ink.MUTED)
        return [mark, Seg(self._name(recorded.step or "")), Seg("           "), Seg(words, Ink.MUTED)]

    def _waits(self, name: str, words: str) -> Line:
        return [Seg(f"{self.glyphs.person} ", Ink.WARNING), Seg(self._name(name)), Seg("           "), Seg(words, Ink.WARNING)]

    def _said(self, name: str, words: str, ink: Ink = Ink.MUTED) -> Line:
        return [Seg(f"  {self._name(name)}  ", Ink.MUTED), Seg(words, ink)]

    def _name(self, name: str) -> str:
        return pad(clip(one_line(name, glyphs=self.glyphs).text, NAME_CELLS, self.glyphs.ellipsis), self.width)

    def _draw(self, lives: Mapping[str, str]) -> None:
        state = self.state
        running = [name for name, step in state.steps.items() if step.status is StepStatus.RUNNING][:4] if state.steps else []
        said = next((lives[name] for name in running if name in lives), "")
        frames = self.glyphs.spinner
        mark = frames[int(time.monotonic() / TICK_SECONDS) % len(frames)]
        words = f"{events(state.settled)} of {plural(state.total, 'step')}"
        parts = [words, ", ".join(one_line(name).text for name in running), one_line(said).text]
        parts.append(span(time.monotonic() - self._began))
        text = f"{mark} " + f" {self.glyphs.sep} ".join(part for part in parts if part)
        painted = self.output.err.paint([Seg(clip(text, self.output.err.width - 1, self.glyphs.ellipsis), Ink.MUTED)])
        self.output.err.write(f"\r\x1b[K{painted}")
        self._moving = True


_LEVELS = {"warning": Ink.WARNING, "error": Ink.ERROR, "critical": Ink.ERROR}


def _followers(batch: Sequence[Recorded]) -> dict[int, float]:
    """For each failure in a batch that is tried again, when: the decision stands in the same commit, so in the same batch."""
    due: dict[int, float] = {}
    failed: dict[str | None, int] = {}
    for index, recorded in enumerate(batch):
        if isinstance(recorded.event, StepFailed):
            failed[recorded.step] = index
        elif isinstance(recorded.event, StepRetryScheduled) and recorded.step in failed:
            due[failed.pop(recorded.step)] = recorded.event.due
    return due


def _line(text: str) -> str:
    return first_line(text, REASON_CELLS).text
