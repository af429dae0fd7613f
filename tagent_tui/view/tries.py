"""The tries of one step as a few words: how long each took, why it failed, how long was waited after it.

Apart from the waterfall, which draws them; here they are read.
"""

from __future__ import annotations

from typing import NamedTuple

from store.state import StepState, StepStatus
from tagent_tui.glyphs import UNICODE, Glyphs
from tagent_tui.numbers import duration, span
from tagent_tui.rows import Ink, Row, Seg, column, pad
from tagent_tui.text import first_line, one_line
from tagent_tui.view.scene import Scene, step_mark

SHOWN = 6
"""Tries that are listed; of more, the last ones."""


class Tried(NamedTuple):
    """One try: its number, status, seconds, why it failed, and the seconds waited after it (None: nothing followed)."""

    attempt: int
    status: StepStatus
    seconds: float
    reason: str
    wait: float | None = None


def tried(scene: Scene, step: StepState) -> list[Tried]:
    """All tries of a step, the running or last one included."""
    starts = [*(one.started_at for one in step.tries[1:]), step.started_at]
    found = [
        Tried(one.attempt, one.status, one.ended_at - one.started_at, one.reason, (after or one.ended_at) - one.ended_at)
        for one, after in zip(step.tries, starts, strict=False)
    ]
    if step.started_at is not None:
        end = step.ended_at if step.ended_at is not None else scene.now
        wait = step.due - end if step.due is not None else None
        status = StepStatus.FAILED if step.status is StepStatus.WAITING else step.status
        found.append(Tried(step.attempt, status, max(end - step.started_at, 0.0), step.reason or "", wait))
    return found


def title(name: str, glyphs: Glyphs = UNICODE) -> list[Seg]:
    """What the rule above the tries says."""
    return [*one_line(name, 60, glyphs).segs(Ink.STRONG, bold=True), Seg("  selected", Ink.MUTED)]


def rows(scene: Scene, name: str, width: int) -> list[Row]:
    """The tries in two columns, read downwards; a blank row where there is nothing to say."""
    step = scene.state.steps.get(name)
    found = tried(scene, step)[-SHOWN:] if step is not None else []
    cells = [_cell(scene, one, last=one is found[-1]) for one in found]
    half = (len(cells) + 1) // 2 if width >= 90 and len(cells) > 1 else len(cells)
    out = []
    for index in range(half):
        segs = list(cells[index])
        if half + index < len(cells):
            segs = [*column(segs, width // 2 - 2, scene.glyphs.ellipsis), Seg("  "), *cells[half + index]]
        out.append(Row(segs))
    return out or [Row([Seg("not started", Ink.MUTED)])]


def _cell(scene: Scene, one: Tried, *, last: bool) -> list[Seg]:
    mark = step_mark(one.status, scene.glyphs)
    segs = [Seg(f"try {one.attempt}  ", Ink.MUTED), mark.seg(), Seg(f" {pad(duration(one.seconds), 8)}")]
    then = ""
    if one.wait is not None:
        then = f"wait {span(one.wait)}"
    elif last and one.status in (StepStatus.FAILED, StepStatus.TIMED_OUT) and one.attempt > 1:
        then = "gave up"
    if then or one.reason:
        segs.append(Seg(pad(then, 12), Ink.MUTED))
    return [*segs, *first_line(one.reason, 200, scene.glyphs).segs(Ink.MUTED)] if one.reason else segs


def sentence(scene: Scene, name: str) -> Row:
    """The same on one row, for a narrow screen."""
    step = scene.state.steps.get(name)
    if step is None:
        return Row(())
    mark = scene.step_mark(name, step)
    segs = [mark.seg(), Seg(" "), *one_line(name, 40, scene.glyphs).segs(Ink.STRONG, bold=True), Seg("  ")]
    found = tried(scene, step)
    if not found:
        return Row([*segs, Seg("not started", Ink.MUTED)])
    total = sum(one.seconds for one in found)
    waited = sum(one.wait or 0.0 for one in found[:-1])
    words = f"{len(found)} {'try' if len(found) == 1 else 'tries'} {scene.glyphs.sep} {duration(total + waited)}"
    if waited:
        words += f", {duration(waited)} of it waiting to retry"
    segs.append(Seg(words, Ink.MUTED))
    reasons = list(dict.fromkeys(one.reason for one in found if one.reason))
    if reasons:
        same = "all " if len(reasons) == 1 and len(found) > 1 and all(one.reason for one in found) else ""
        segs.append(Seg(f" {scene.glyphs.sep} {same}", Ink.MUTED))
        segs += first_line(reasons[-1], 200, scene.glyphs).segs(Ink.MUTED)
    return Row(segs)
