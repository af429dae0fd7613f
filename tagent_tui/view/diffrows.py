"""Two runs beside each other: a row a step, its pair on the same row, so that only what differs carries ink.

Apart from the screen and the command line because both show these rows. What a run reused it did not pay for, so there a word
stands in place of the time and nothing in place of a saving.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from engine.replay.difference import Divergence, Figures, Moment, RunDiff, RunSide, StepDiff
from store.state import RunStatus, StepStatus, owner_of
from tagent_tui.glyphs import Glyphs
from tagent_tui.numbers import cost_delta, duration, duration_delta, events, plural, tokens_delta
from tagent_tui.rows import Ink, Row, Seg, column, right_column
from tagent_tui.shapes import rule
from tagent_tui.text import first_line, one_line
from tagent_tui.view.families import short_name
from tagent_tui.view.scene import run_mark, step_mark

WIDE = 98
"""Cells from which both names stand on a row; below, a row has one name and both marks."""

TIME, SIGN, MORE, MUCH, PRICE = 9, 8, 10, 10, 11
_NAME, _NOTE = 200, 300


@dataclass(frozen=True, slots=True)
class Columns:
    """How the cells of a row are shared; `b` is 0 where a row has one name, a figure's is 0 where it is left out."""

    width: int
    a: int
    b: int
    tokens: int
    time_b: int = TIME
    more: int = MORE
    cost: int = PRICE


def columns(width: int) -> Columns:
    """The columns for rows of `width` cells."""
    if width >= WIDE:
        rest = width - SIGN - MORE - MUCH - PRICE
        a = (rest + 8) // 2
        return Columns(width, a, rest - a, MUCH)
    tokens, cost = (MUCH if width >= 84 else 0), (PRICE if width >= 64 else 0)
    more = MORE if width >= 52 else 0
    rest = max(width - tokens - cost - more - TIME - 7, 10)
    return Columns(width, rest, 0, tokens, TIME, more, cost)


def head_row(diff: RunDiff, at: Columns, glyphs: Glyphs) -> Row:
    """The names of the columns."""
    a, b = short_ids(diff)
    segs = [Seg("A  ", Ink.MUTED), *one_line(a, 40, glyphs).segs()]
    if at.b:
        left = _half(segs, [Seg("time", Ink.MUTED)], at.a, glyphs)
        names = [Seg("B  ", Ink.MUTED), *one_line(b, 40, glyphs).segs()]
        left += [Seg(" " * SIGN), *_half(names, [Seg("time", Ink.MUTED)], at.b, glyphs)]
    else:
        names = [Seg("A   B  step", Ink.MUTED)]
        left = [*_half(names, [Seg("A", Ink.MUTED)], at.a + 7, glyphs), *right_column([Seg("B", Ink.MUTED)], TIME)]
    for word, size in (("time", at.more), ("tokens", at.tokens), ("cost", at.cost)):
        left += right_column([Seg(f"{glyphs.delta} {word}", Ink.MUTED)], size) if size else []
    return Row(left)


def pair_row(step: StepDiff, at: Columns, glyphs: Glyphs) -> Row:
    """A step in both runs."""
    sign, quiet = _sign(step, glyphs), step.what == "same"
    a, b = _side(step, step.a, glyphs, quiet=quiet), _side(step, step.b, glyphs, quiet=quiet)
    strong: tuple[int, ...] = (6,)
    if at.b:
        left = [*_half(a, [_time(step.a)], at.a, glyphs), Seg("   "), sign, Seg(" " * (SIGN - 4))]
        strong = (2, len(left) + 2)
        left += _half(b, [_time(step.b)], at.b, glyphs)
    else:
        told = b if step.b is not None and step.b.reason and not (step.a and step.a.reason) else a if step.a is not None else b
        marks = [_mark(step.a, glyphs), Seg(" "), sign, Seg(" "), _mark(step.b, glyphs), Seg("  ")]
        left = [*marks, *_half(told[2:], [_time(step.a)], at.a, glyphs), *right_column([_time(step.b)], TIME)]
    left += _deltas(step, at) if not quiet else []
    return Row(left, strong=strong)


def total_row(diff: RunDiff, at: Columns, glyphs: Glyphs) -> Row:
    """What the runs took; where one of them reused steps, without those."""
    name = [Seg("total", Ink.STRONG, bold=True)]
    name += [Seg("  without the reused", Ink.MUTED)] if diff.reused else []
    a, b = (duration(side.total.seconds) for side in (diff.a, diff.b))
    if at.b:
        left = [*_half(name, [Seg(a)], at.a, glyphs), Seg(" " * SIGN), *_half([], [Seg(b)], at.b, glyphs)]
    else:
        left = [*_half(name, [Seg(a)], at.a + 7, glyphs), *right_column([Seg(b)], TIME)]
    deltas = _figures(at, diff.seconds, diff.tokens, diff.cost)
    return Row([*left, *(seg._replace(bold=bool(seg.text.strip())) for seg in deltas)])


def divergence_row(diff: RunDiff, width: int, glyphs: Glyphs) -> Row:
    """The first divergence, as a rule across the table at its place."""
    told = divergence(diff.first, glyphs) if diff.first is not None else []
    return Row(rule(width, [Seg("first divergence", Ink.ACCENT, bold=True), Seg("  "), *told], ink=Ink.ACCENT, glyphs=glyphs))


def place_of(diff: RunDiff, steps: Sequence[StepDiff]) -> int | None:
    """Before which of these steps the first divergence stands: its own, or where it is of none the first that differs."""
    if diff.first is None:
        return None
    step = None if _is_edit(diff.first) else diff.first.step  # an edited step may run long after others that need the edit
    own = next((index for index, one in enumerate(steps) if one.step == step), None)
    return own if own is not None else next((index for index, one in enumerate(steps) if one.what != "same"), 0)


def _is_edit(found: Divergence) -> bool:
    return any(one is not None and one.type == "edit.applied" for one in (found.a, found.b))


_WHAT = {
    "missing": "only in A",
    "extra": "only in B",
    "arguments": "with other arguments",
    "outcome": "came to something else",
    "other": "each went on with something else",
}


def divergence(found: Divergence, glyphs: Glyphs, *, of_step: bool = False) -> list[Seg]:
    """A divergence in one line: where it is in either run, what it is about, and in what it differs; `of_step`: of a known one."""
    moments = [one for one in (found.a, found.b) if one is not None]
    versions = " / ".join(dict.fromkeys(events(one.version) for one in moments))
    about = [Seg(f"event {versions}", Ink.TEXT)]
    for one in moments[: 2 if found.what == "other" else 1]:
        about += _named(one, glyphs, of_step=of_step)
    if found.what == "outcome" and len(moments) == 2 and moments[0].says != moments[1].says:
        about = [
            about[0],
            *_named(moments[0], glyphs, of_step=of_step),
            Seg(f" {glyphs.became} ", Ink.MUTED),
            *_words(moments[1], glyphs),
        ]
    said = _WHAT.get(found.what, "differs")
    if not _is_edit(found):
        about.append(Seg(f" {glyphs.sep} {said}", Ink.MUTED))
    return about


def _named(one: Moment, glyphs: Glyphs, *, of_step: bool) -> list[Seg]:
    told = (one.type, "" if of_step or one.type == "edit.applied" else one.step or "", one.says)
    parts = [one_line(part, _NAME, glyphs).segs(Ink.MUTED) for part in told if part]
    return [seg for part in parts for seg in (Seg(f" {glyphs.sep} ", Ink.MUTED), *part)]


def _words(one: Moment, glyphs: Glyphs) -> list[Seg]:
    return one_line(f"{one.type} {one.says}".strip(), _NAME, glyphs).segs(Ink.MUTED)


def short_ids(diff: RunDiff) -> tuple[str, str]:
    """Enough of both ids to tell them apart, at least four characters."""
    a, b = diff.a.run, diff.b.run
    size = next((size for size in range(4, max(len(a), len(b))) if a[:size] != b[:size]), max(len(a), len(b)))
    return a[:size], b[:size]


def runs_segs(diff: RunDiff, glyphs: Glyphs) -> list[Seg]:
    """Both runs: which, how they ended, and which is a fork of which."""
    a, b = short_ids(diff)
    return [
        *_run("A", a, diff.a, diff.b, "B", glyphs),
        Seg(f"  {glyphs.became}  ", Ink.MUTED),
        *_run("B", b, diff.b, diff.a, "A", glyphs),
    ]


def _run(letter: str, short: str, side: RunSide, other: RunSide, its: str, glyphs: Glyphs) -> list[Seg]:
    mark = run_mark(RunStatus[side.status.upper()], glyphs)
    said = mark.word
    if side.parent is not None and side.parent == other.run:
        said = f"fork of {its} at {side.at}"
    return [
        Seg(f"{letter} ", Ink.MUTED),
        *one_line(short, 40, glyphs).segs(Ink.STRONG),
        Seg(" "),
        mark.seg(),
        Seg(f" {said}", Ink.MUTED),
    ]


def verdict_segs(diff: RunDiff) -> list[Seg]:
    """`B is 1m 21s faster, $0.195 cheaper`; nothing where neither is known or differs."""
    parts: list[Seg] = []
    for amount, text, less, more in (
        (diff.seconds, duration(abs(diff.seconds)), "faster", "slower"),
        (diff.cost or 0.0, cost_delta(abs(diff.cost or 0.0)).lstrip("+ "), "cheaper", "dearer"),
    ):
        if text not in (duration(0), cost_delta(0)):
            parts += [Seg(", " if parts else "", Ink.MUTED), Seg(f"{text} {less if amount < 0 else more}", _better(amount))]
    return [Seg("B is ", Ink.MUTED), *parts] if parts else []


def count_segs(diff: RunDiff, glyphs: Glyphs, *, wide: bool = True) -> list[Seg]:
    """How many steps are the same, differ, and ran in one run only."""
    counts = {
        what: sum(one.what == what for one in diff.steps if owner_of(one.step) is None) for what in ("same", "changed", "a", "b")
    }
    gap = "   " if wide else "  "
    segs = [Seg(f"{counts['same']}"), Seg(" same", Ink.MUTED)]
    if counts["changed"]:
        segs += [Seg(f"{gap}{glyphs.differs} ", Ink.WARNING), Seg(f"{counts['changed']}"), Seg(" differ", Ink.MUTED)]
    for what, letter in (("a", "A"), ("b", "B")):
        segs += [Seg(f"{gap}{counts[what]}"), Seg(f" only in {letter}", Ink.MUTED)] if counts[what] else []
    return segs


def _half(segs: Sequence[Seg], figure: Sequence[Seg], width: int, glyphs: Glyphs) -> list[Seg]:
    return [*column(segs, width - TIME, glyphs.ellipsis), *right_column(figure, TIME, glyphs.ellipsis)]


def _sign(step: StepDiff, glyphs: Glyphs) -> Seg:
    match step.what:
        case "same":
            return Seg(glyphs.equal, Ink.GUIDE)
        case "a":
            return Seg("-", Ink.ERROR, bold=True)
        case "b":
            return Seg("+", Ink.SUCCESS, bold=True)
        case _:
            return Seg(glyphs.differs, Ink.WARNING)


def _mark(figures: Figures | None, glyphs: Glyphs) -> Seg:
    return Seg(" ") if figures is None else step_mark(StepStatus[figures.status.upper()], glyphs).seg()


def _side(step: StepDiff, figures: Figures | None, glyphs: Glyphs, *, quiet: bool) -> list[Seg]:
    """Mark, name, and why it came to what it did."""
    if figures is None:
        return [Seg(" "), Seg(" "), Seg("not a step", Ink.MUTED)]
    depth = "  " if owner_of(step.step) is not None else ""
    faint = quiet or not figures.ran
    segs = [
        _mark(figures, glyphs),
        Seg(f" {depth}"),
        *one_line(short_name(step.step), _NAME, glyphs).segs(Ink.MUTED if faint else Ink.TEXT),
    ]
    if figures.items is not None:
        segs.append(Seg(f"  {plural(figures.items, 'item')}", Ink.MUTED))
    if figures.reason:
        ink = Ink.ERROR if figures.status in ("failed", "timed_out") else Ink.MUTED
        segs += [Seg("  "), *first_line(figures.reason, _NOTE, glyphs).segs(ink)]
    if figures.attempts > 1:
        segs.append(Seg(f"  {figures.attempts} tries", Ink.MUTED))
    return segs


def _time(figures: Figures | None) -> Seg:
    if figures is None or not figures.ran:
        return Seg("")
    return Seg("reused", Ink.MUTED) if figures.reused else Seg(duration(figures.seconds), Ink.MUTED)


def _deltas(step: StepDiff, at: Columns) -> list[Seg]:
    if step.seconds is None:
        return []
    used = any(one is not None and one.calls for one in (step.a, step.b))
    return _figures(at, step.seconds, step.tokens if used else 0, step.cost if used else 0.0, blank=not used)


def _figures(at: Columns, seconds: float, tokens: int | None, cost: float | None, *, blank: bool = False) -> list[Seg]:
    told: list[Seg] = []
    for size, text, amount in (
        (at.more, duration_delta(seconds), seconds),
        (at.tokens, "" if blank else tokens_delta(tokens), tokens or 0),
        (at.cost, "" if blank else cost_delta(cost), cost or 0.0),
    ):
        told += right_column([Seg(text, _better(amount) if text[:1] in "+-" else Ink.MUTED)], size) if size else []
    return told


def _better(amount: float) -> Ink:
    return Ink.SUCCESS if amount < 0 else Ink.TEXT
