"""The bar above a run: its mode, what it is, how far it is, and the four things a person looks for first.

Apart from the screen so that what is said at which width, in which mode, is tested as text.
"""

from __future__ import annotations

from collections.abc import Iterator

from store.state import RunState, RunStatus, StepStatus
from tagent_tui.numbers import UNKNOWN, duration, run_cost, tokens
from tagent_tui.rows import Ink, Row, Seg
from tagent_tui.shapes import chip, progress
from tagent_tui.text import first_line, one_line
from tagent_tui.view.asking import waiting_for_person
from tagent_tui.view.critical import run_seconds
from tagent_tui.view.scene import Scene, run_ink, run_mark

WIDE, SMALL = 100, 60
BAR, SHORT_BAR = 28, 12
_COUNTED = (StepStatus.RUNNING, StepStatus.IN_DOUBT, StepStatus.WAITING, StepStatus.FAILED, StepStatus.SKIPPED)
_COUNT_WORDS = {
    StepStatus.RUNNING: "running",
    StepStatus.IN_DOUBT: "in doubt",
    StepStatus.WAITING: "retry",
    StepStatus.FAILED: "failed",
    StepStatus.SKIPPED: "skipped",
    StepStatus.PENDING: "pending",
    StepStatus.CANCELLED: "cancelled",
}


def mode_chip(scene: Scene) -> Seg:
    """` LIVE ` while it may go on by itself, the status word once it will not, ` REPLAY ` in the past."""
    if scene.replay:
        return chip("replay", Ink.ACCENT)
    if scene.status in (RunStatus.RUNNING, RunStatus.PENDING):
        return chip("live", Ink.ACCENT)
    if scene.status is RunStatus.COMPLETED:
        return chip("completed", Ink.MUTED)
    return chip("waits" if scene.status is RunStatus.WAITING else scene.status.word, run_ink(scene.status))


def first_row(scene: Scene, run_id: str, width: int, *, spinner: str = "", ended: tuple[RunStatus, float] | None = None) -> Row:
    """Name, id and purpose; at the right end whether it moves, for how long, and what it used.

    `ended` is how and after how many seconds the run ended, for the past.
    """
    state = scene.state
    left = [
        *one_line(state.pipeline or "run", 80, scene.glyphs).segs(Ink.STRONG, bold=True),
        Seg("  " + one_line(run_id, 40, scene.glyphs).text, Ink.MUTED),
    ]
    if scene.replay:
        return Row(left + _past(state, width, left), _leave(scene, width, ended))
    if state.description and width >= WIDE:
        left += [Seg("   "), *first_line(state.description, 200, scene.glyphs).segs(Ink.MUTED)]
    return Row(left, _present(scene, width, spinner))


def _past(state: RunState, width: int, left: list[Seg]) -> list[Seg]:
    if width < WIDE:
        return []
    return [
        Seg(f"    as of event {state.version:,}", Ink.ACCENT, bold=True),
        Seg("  nothing runs, nothing is paid", Ink.MUTED),
    ]


def _leave(scene: Scene, width: int, ended: tuple[RunStatus, float] | None) -> list[Seg]:
    leave = [Seg("esc", Ink.STRONG, bold=True), Seg(" leave", Ink.MUTED)]
    if width < SMALL:
        return [Seg(f"event {scene.state.version:,}", Ink.ACCENT, bold=True)]
    if width < WIDE:
        return [Seg(f"as of event {scene.state.version:,}", Ink.ACCENT, bold=True), Seg(f" {scene.glyphs.sep} ", Ink.MUTED), *leave]
    if ended is None:
        return [Seg("the run goes on", Ink.MUTED), Seg("   "), *leave]
    mark = run_mark(ended[0], scene.glyphs)
    how = "run ended " if ended[0].ended else f"run {mark.word} "
    return [
        Seg(how, Ink.MUTED),
        mark.seg(),
        Seg(f" {'in' if ended[0].ended else 'after'} {duration(ended[1])}", Ink.MUTED),
        Seg("   "),
        *leave,
    ]


def _present(scene: Scene, width: int, spinner: str) -> list[Seg]:
    segs: list[Seg] = []
    if scene.state.simulated and width >= SMALL:
        segs += [Seg("simulated model" if width >= WIDE else "simulated", Ink.MUTED), Seg("   ")]
    word, ink = _motion(scene)
    if word and (width >= SMALL or scene.status is not RunStatus.INTERRUPTED):
        segs += [Seg(f"{spinner} " if spinner else "", ink), Seg(word, ink), Seg("   ")]
    segs.append(Seg(duration(run_seconds(scene))))
    if width >= WIDE and scene.state.tokens:
        segs += [Seg("   "), Seg(tokens(scene.state.tokens)), Seg(" tok", Ink.MUTED)]
    return segs


def _motion(scene: Scene) -> tuple[str, Ink]:
    """What a running run is about to do; an ended one has said it in its chip."""
    state = scene.state
    if scene.status is RunStatus.INTERRUPTED:
        return "driver gone", Ink.WARNING
    if state.status.ended or scene.status is RunStatus.WAITING:
        return "", Ink.MUTED
    if state.cancelling:
        return "cancelling", Ink.MUTED
    if state.pausing and state.counts[StepStatus.RUNNING]:
        return "pausing", Ink.MUTED
    if scene.status is RunStatus.PENDING:
        return "starting", Ink.MUTED
    return ("running", Ink.ACCENT) if scene.status is RunStatus.RUNNING else ("", Ink.MUTED)


def second_row(scene: Scene, width: int) -> Row:
    """Progress, the counts that are not zero, and the cost."""
    state = scene.state
    total = state.total
    wide = width >= WIDE
    settled = state.settled
    share = settled / total if total else None
    left = progress(share, BAR if wide else SHORT_BAR if width >= SMALL else 0, _bar_ink(scene), scene.glyphs)
    left += [Seg("  "), Seg(f"{settled:,}", Ink.STRONG, bold=True), Seg(f"/{total:,}", Ink.MUTED)]
    for count, mark, ink, word in _counts(scene):
        if count:
            said = Seg(f" {word}" if wide else "", Ink.MUTED)
            left += [Seg("   " if wide else "  "), Seg(mark, ink), Seg(f" {count:,}"), said]
    right = [Seg(run_cost(state.cost) if state.cost else UNKNOWN)]
    most = state.budget.get("cost", scene.outline.budget.get("cost"))
    if most is not None and wide:
        right.append(Seg(f" of {run_cost(most)}", Ink.MUTED))
    if state.unpriced and wide and not state.simulated:
        right.insert(0, Seg(f"{state.unpriced:,} unpriced   ", Ink.MUTED))
    if scene.replay and wide and state.tokens:
        right = [Seg(tokens(state.tokens)), Seg(" tok   ", Ink.MUTED), *right]
    return Row(left, right)


def _counts(scene: Scene) -> Iterator[tuple[int, str, Ink, str]]:
    """How many steps are what: groups count by their children, and what waits for a person stands apart from timers."""
    counts, glyphs = scene.state.counts, scene.glyphs
    asking = len(waiting_for_person(scene.state))
    questions = asking - scene.state.approvals
    taken = {
        StepStatus.RUNNING: scene.state.groups + max(questions, 0),
        StepStatus.WAITING: scene.state.approvals,
        StepStatus.FAILED: -counts[StepStatus.TIMED_OUT],
    }
    for status in _counted(scene):
        mark, ink = _count_mark(scene, status)
        yield counts[status] - taken.get(status, 0), mark, ink, _COUNT_WORDS[status]
        if status is StepStatus.RUNNING:
            yield asking, glyphs.person, Ink.WARNING, "waits" if asking == 1 else "wait"


def _counted(scene: Scene) -> tuple[StepStatus, ...]:
    if scene.replay:
        return (*_COUNTED, StepStatus.CANCELLED, StepStatus.PENDING)
    return (*_COUNTED, StepStatus.CANCELLED)


def _count_mark(scene: Scene, status: StepStatus) -> tuple[str, Ink]:
    if status is StepStatus.RUNNING and scene.status is RunStatus.INTERRUPTED:
        return scene.glyphs.interrupted, Ink.WARNING
    ink = {StepStatus.RUNNING: Ink.ACCENT, StepStatus.FAILED: Ink.ERROR, StepStatus.IN_DOUBT: Ink.WARNING}.get(status, Ink.MUTED)
    return scene.glyphs.status(status.word), ink


def _bar_ink(scene: Scene) -> Ink:
    if scene.replay or scene.status in (RunStatus.RUNNING, RunStatus.PENDING):
        return Ink.ACCENT
    if scene.status is RunStatus.FAILED:
        return Ink.ERROR
    return Ink.WARNING if scene.status in (RunStatus.INTERRUPTED, RunStatus.WAITING) else Ink.GRAPH_QUIET
