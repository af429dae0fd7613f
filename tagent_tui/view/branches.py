"""The branch tree of a run as values: what it was forked from, all forks of these, and what each row says.

Apart from the run list, which shows what is newest: here one family stands in the order in which it came apart.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from store import RunRow
from tagent_tui.glyphs import UNICODE, Glyphs
from tagent_tui.numbers import age, duration, plural
from tagent_tui.rows import Ink, Row, Seg, right_column
from tagent_tui.runlist import STATUS_INK, cost, elapsed
from tagent_tui.text import one_line

ID_CELLS = 8


class Edited(NamedTuple):
    """One edit of a fork: what was edited, and the beginning of what it is now as text (empty where it is too long)."""

    target: str
    value: str = ""


class Kin(NamedTuple):
    """A run of the family: its row, how it stands, what was edited where it came apart, and why."""

    run: RunRow
    status: str
    edits: Sequence[Edited] = ()
    reason: str = ""


class Branch(NamedTuple):
    """A run in its place. `guide` leads to it from its parent, as (more to come below?) for each level above it."""

    kin: Kin
    guide: tuple[bool, ...] = ()


def arrange(family: Iterable[Kin]) -> list[Branch]:
    """The family as a tree: the oldest ancestor first, forks below their parent in the order of the events they left at."""
    known = {one.run.id: one for one in family}
    below: dict[str, list[Kin]] = {}
    roots: list[Kin] = []
    for one in sorted(known.values(), key=lambda one: (one.run.parent_version or 0, one.run.row)):
        if one.run.parent in known and one.run.parent is not None:
            below.setdefault(one.run.parent, []).append(one)
        else:
            roots.append(one)
    out: list[Branch] = []
    waiting = [Branch(root) for root in reversed(roots)]
    while waiting:
        branch = waiting.pop()
        out.append(branch)
        forks = below.get(branch.kin.run.id, [])
        waiting += [Branch(fork, (*branch.guide, fork is not forks[-1])) for fork in reversed(forks)]
    return out


def branch_row(branch: Branch, width: int, now: float, glyphs: Glyphs = UNICODE, *, here: bool = False) -> Row:
    """One run: how it stands, where it left its parent, what was edited and why; steps, time and cost at the right end."""
    run = branch.kin.run
    mark = glyphs.person if branch.kin.status == "waiting" else glyphs.status(branch.kin.status)
    left = [Seg(mark, STATUS_INK.get(branch.kin.status, Ink.WARNING)), Seg(" ")]
    left += _guide(branch.guide, glyphs)
    name = len(left)
    left += [Seg(run.id[:ID_CELLS], Ink.TEXT), *([Seg(f" {glyphs.sep} this run", Ink.MUTED)] if here else [])]
    left += [Seg(f"  at {run.parent_version:,}", Ink.REPLAY)] if run.parent_version else []
    left += [Seg("  "), *_said(branch, glyphs)]
    return Row(left, _figures(branch, width, now, glyphs), None, (name,))


def _guide(guide: Sequence[bool], glyphs: Glyphs) -> list[Seg]:
    if not guide:
        return []
    lead = "".join(f"{glyphs.vertical}  " if more else "   " for more in guide[:-1])
    return [Seg(f"{lead}{glyphs.branch if guide[-1] else glyphs.last} ", Ink.GUIDE), Seg(f"{glyphs.fork} ", Ink.REPLAY)]


def _said(branch: Branch, glyphs: Glyphs) -> list[Seg]:
    kin = branch.kin
    if not kin.run.parent:
        return one_line(kin.run.pipeline, 80, glyphs).segs()
    segs: list[Seg] = []
    for index, edit in enumerate(kin.edits):
        segs += [*([Seg(", ", Ink.MUTED)] if index else []), *one_line(edit.target, 60, glyphs).segs()]
    segs = segs or [Seg("nothing edited", Ink.MUTED)]
    if kin.reason:
        segs += [Seg("  "), *one_line(kin.reason, 120, glyphs).segs(Ink.TEXT)]
    value = kin.edits[0].value if len(kin.edits) == 1 else ""
    return [*segs, Seg(f"  {glyphs.became} ", Ink.MUTED), *one_line(value, 60, glyphs).segs(Ink.MUTED)] if value else segs


def _figures(branch: Branch, width: int, now: float, glyphs: Glyphs) -> list[Seg]:
    run = branch.kin.run
    segs: list[Seg] = []
    if width >= 64:
        steps = [Seg(f"{run.settled:,}"), Seg(f"/{run.steps:,}", Ink.MUTED)]
        segs += right_column(steps, 9, glyphs.ellipsis)
    if width >= 90:
        segs += right_column([Seg(age(now - run.created), Ink.MUTED)], 6)
        segs += right_column([Seg(duration(elapsed(run, branch.kin.status, now)))], 10)
    return [*segs, *right_column([Seg(cost(run, glyphs))], 8)]


def header(width: int) -> Row:
    """The names over the columns."""
    names = [("steps", 9)] if width >= 64 else []
    names += [("age", 6), ("time", 10)] if width >= 90 else []
    right = [seg for name, size in (*names, ("cost", 8)) for seg in right_column([Seg(name, Ink.MUTED)], size)]
    return Row([Seg("  run, event, what was edited and why", Ink.MUTED)], right)


def title(branches: Sequence[Branch]) -> str:
    """How many there are, in words."""
    forks = sum(bool(one.guide) or bool(one.kin.run.parent) for one in branches)
    return plural(forks, "fork") if forks else "no forks"
