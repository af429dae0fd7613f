"""The run list as values: which runs are loaded, in which order they stand, and what each row says.

Apart from the screen because the questions it answers (which fork hangs where, what *now* says, what is dropped at which
width) are asked of values, without a terminal. Rows come newest first in pages; nothing here counts the store.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from store import RunRow
from tagent_tui import numbers
from tagent_tui.glyphs import Glyphs
from tagent_tui.rows import Ink, Row, Seg, cells, column, right_column
from tagent_tui.shapes import progress, spark
from tagent_tui.text import first_line, one_line

SHORT_ID = 4
"""Characters of an id that are shown where they tell the runs on screen apart; up to `LONG_ID` where they do not."""

LONG_ID = 12

LIVE_CELLS = 8
"""Width of a live row's sparkline: the last eight seconds."""

STATUS_INK: Mapping[str, Ink] = {
    "pending": Ink.MUTED,
    "running": Ink.ACCENT,
    "waiting": Ink.WARNING,
    "paused": Ink.MUTED,
    "completed": Ink.SUCCESS,
    "failed": Ink.ERROR,
    "cancelled": Ink.MUTED,
    "interrupted": Ink.WARNING,
}

BRANCH, LAST, PASSING = "+", "`", "|"
"""What a guide is made of; a row draws them with the marks in use."""

ENDED = ("completed", "failed", "cancelled")

STATUSES = ("any", "running", "waiting", "failed", "interrupted", "paused", "completed", "cancelled")


class Entry(NamedTuple):
    """A run in its place in the list. `guide` is what leads to a fork from its parent, empty for a run on its own."""

    run: RunRow
    status: str
    guide: str = ""


@dataclass
class Filter:
    """What the list is narrowed to. `words` must all be in the run's id, pipeline or *now*; `pipeline` None is any."""

    words: str = ""
    status: str = "any"
    pipeline: str | None = None

    @property
    def on(self) -> bool:
        """Whether anything is left out."""
        return bool(self.words.strip()) or self.status != "any" or self.pipeline is not None

    def keeps(self, run: RunRow, status: str) -> bool:
        """Whether the run is in the narrowed list."""
        if self.status not in ("any", status):
            return False
        if self.pipeline is not None and run.pipeline != self.pipeline:
            return False
        text = f"{run.id} {run.pipeline} {run.now} {status}".lower()
        return all(word in text for word in self.words.lower().split())


@dataclass
class RunList:
    """The loaded runs. `more` says that older ones may follow; `alive` is asked of runs that did not end."""

    alive: Callable[[RunRow], bool] = RunRow.alive
    runs: dict[str, RunRow] = field(default_factory=dict)
    more: bool = True
    entries: list[Entry] = field(default_factory=list)
    filter: Filter = field(default_factory=Filter)
    names: set[str] = field(default_factory=set)

    def take_newest(self, page: Sequence[RunRow], limit: int) -> None:
        """The newest page was read (again). If it no longer meets what is loaded, the older rows go: they have a gap above."""
        full = len(page) >= limit
        oldest = page[-1].row if page else 0
        newest = max((run.row for run in self.runs.values()), default=None)
        if newest is None or not full or oldest > newest:
            self.runs, self.more = {}, full
        self.runs.update((run.id, run) for run in page)

    def take_older(self, page: Sequence[RunRow], limit: int) -> None:
        """A page below the oldest loaded row, or rows of it read again."""
        self.runs.update((run.id, run) for run in page)
        self.more = len(page) >= limit

    def refresh(self, page: Iterable[RunRow]) -> None:
        """Rows read again, wherever they are."""
        self.runs.update((run.id, run) for run in page if run.id in self.runs)

    @property
    def oldest(self) -> int | None:
        """The `row` below which the next page starts; None if nothing is loaded."""
        return min((run.row for run in self.runs.values()), default=None)

    def arrange(self) -> None:
        """Put the entries in order: newest first, forks below their parent, oldest fork first."""
        self.names.update(run.pipeline for run in self.runs.values())
        statuses = {run.id: self.status(run) for run in self.runs.values()}
        kept = {run.id: run for run in self.runs.values() if self.filter.keeps(run, statuses[run.id])}
        below: dict[str, list[RunRow]] = {}
        roots: list[RunRow] = []
        for run in sorted(kept.values(), key=lambda run: run.row):
            if run.parent is not None and run.parent in kept:
                below.setdefault(run.parent, []).append(run)
            else:
                roots.append(run)
        self.entries = []
        for root in reversed(roots):
            self.entries.append(Entry(root, statuses[root.id]))
            hanging = _hang(below.get(root.id, []), "")
            while hanging:
                run, lead, final = hanging.pop(0)
                self.entries.append(Entry(run, statuses[run.id], lead + (LAST if final else BRANCH)))
                hanging = _hang(below.get(run.id, []), lead + (" " if final else PASSING)) + hanging

    def status(self, run: RunRow) -> str:
        """The status to show of a run."""
        return run.status if run.status in ENDED else run.shown(self.alive(run))

    @property
    def pipelines(self) -> list[str]:
        """The names of pipelines of which runs were loaded, sorted; narrowing the list forgets none."""
        return sorted(self.names)

    def find(self, run_id: str) -> int | None:
        """Where the run stands in the list."""
        return next((index for index, entry in enumerate(self.entries) if entry.run.id == run_id), None)

    def count(self, status: str) -> int:
        """How many of the entries have this status."""
        return sum(entry.status == status for entry in self.entries)

    def spent_since(self, at: float) -> float | None:
        """Dollars of the runs created since then; None if older rows that are not loaded may belong to them."""
        if self.more and all(run.created >= at for run in self.runs.values()):
            return None
        return sum(run.cost for run in self.runs.values() if run.created >= at)


def _hang(forks: Sequence[RunRow], lead: str) -> list[tuple[RunRow, str, bool]]:
    """The forks of one run with what leads to them, and which is the last of them."""
    return [(fork, lead, fork is forks[-1]) for fork in forks]


def id_cells(ids: Iterable[str]) -> int:
    """How many characters of the ids tell them apart, from `SHORT_ID` to `LONG_ID`."""
    known = set(ids)
    for size in range(SHORT_ID, LONG_ID):
        if len({one[:size] for one in known}) == len(known):
            return size
    return LONG_ID


@dataclass(frozen=True)
class Columns:
    """How a row's cells are shared at one width. Zero cells: the column is left out."""

    width: int
    ids: int
    pipeline: int
    now: int
    spark: int
    bar: int
    steps: int
    age: int
    time: int
    tokens: int
    cost: int


def columns(width: int, *, wide: bool, ids: int = SHORT_ID, steps: int = 7) -> Columns:
    """The columns for a row of `width` cells; `wide` is the screen from 100 columns on."""
    steps = min(max(steps, 7), 13) + 1
    spark_cells, bar, age, time, tokens, cost = (LIVE_CELLS, 8, 6, 10, 9, 10) if wide else (0, 4, 5, 0, 0, 7)
    if width < 66:
        bar, steps = 0, 0
    if width < 48:
        age = cost = 0
    lead = 2 + ids + 2
    tail = bar + steps + age + time + tokens + cost + (2 if wide else 1 if bar else 0)
    room = max(width - lead - tail - (spark_cells + 1 if spark_cells else 0), 0)
    pipeline = min(room, 20 if not wide else max(14, min(21, room // 2)))
    now = max(room - pipeline - 1, 0)
    return Columns(width, ids, pipeline, now, spark_cells, bar, steps, age, time, tokens, cost)


def header(at: Columns) -> Row:
    """The names of the columns, over their columns."""
    segs = [
        *column([Seg("  run", Ink.MUTED)], 2 + at.ids + 2),
        *column([Seg("pipeline", Ink.MUTED)], at.pipeline + 1),
        *column([Seg("now", Ink.MUTED)], at.now + (at.spark + 1 if at.spark else 0)),
    ]
    tail: list[Seg] = []
    if at.steps:
        tail += [*_gap(at), *column([Seg("steps", Ink.MUTED)], at.bar + at.steps)]
    for name, size in (("age", at.age), ("time", at.time), ("tokens", at.tokens), ("cost", at.cost)):
        tail += right_column([Seg(name, Ink.MUTED)], size) if size else []
    return Row(segs, tail)


def to_compare(marked: Sequence[RunRow], run: RunRow | None) -> tuple[str, str] | None:
    """Which two runs are meant, the older first: the two marked, else the marked one and this one, else a fork and its parent."""
    found = list(marked)
    if len(found) == 1 and run is not None and run.id != found[0].id:
        found.append(run)
    if len(found) == 2:
        older, newer = sorted(found, key=lambda run: run.row)
        return older.id, newer.id
    one = found[0] if found else run
    return (one.parent, one.id) if one is not None and one.parent is not None else None


def row(
    entry: Entry,
    at: Columns,
    now: float,
    glyphs: Glyphs,
    *,
    pulse: Sequence[float] = (),
    top: float | None = None,
    marked: bool = False,
) -> Row:
    """One run as a row. `pulse` is events a second of a live run, drawn so that `top` fills a cell; `marked` to be compared."""
    run = entry.run
    ink = STATUS_INK.get(entry.status, Ink.WARNING)
    mark = Seg(glyphs.person if entry.status == "waiting" else glyphs.status(entry.status), ink)
    left = [
        mark,
        Seg(" "),
        Seg(run.id[: at.ids], Ink.MUTED),
        Seg(glyphs.differs if marked else " ", Ink.ACCENT, bold=marked),
        Seg(" "),
    ]
    name_at = len(left) + (1 if entry.guide else 0)
    left += column(_name(entry, glyphs), at.pipeline, glyphs.ellipsis)
    left.append(Seg(" "))
    live = entry.status == "running" and any(pulse)
    said = _said(entry, glyphs)
    room = at.now if live or not at.spark else at.now + at.spark + 1
    left += column(said, room, glyphs.ellipsis)
    if at.spark and live:
        left += [Seg(" "), Seg(spark(pulse, at.spark, top=top, glyphs=glyphs), Ink.GRAPH)]
    return Row(left, _figures(entry, at, now, glyphs), strong=(name_at,))


def _name(entry: Entry, glyphs: Glyphs) -> list[Seg]:
    run = entry.run
    if entry.guide:
        drawn = entry.guide.translate({ord(BRANCH): glyphs.branch, ord(LAST): glyphs.last, ord(PASSING): glyphs.vertical})
        return [Seg(f"{drawn} {glyphs.fork} ", Ink.GUIDE), Seg(f"at {run.parent_version}")]
    name = one_line(run.pipeline, 200, glyphs).segs()
    return [*name, Seg(f"  {glyphs.fork} at {run.parent_version}", Ink.MUTED)] if run.parent is not None else name


def _said(entry: Entry, glyphs: Glyphs) -> list[Seg]:
    """The *now* column: so what? Where it is, what it waits for, why it failed, what helps."""
    phrase = first_line(entry.run.now, 400, glyphs)
    separator = Seg(f" {glyphs.sep} ", Ink.MUTED)
    match entry.status:
        case "interrupted":
            return [Seg("interrupted", Ink.WARNING), separator, Seg("R", Ink.STRONG, bold=True), Seg(" resumes", Ink.MUTED)]
        case "waiting":
            return [Seg("waits for you", Ink.WARNING), *([separator, *phrase.segs(Ink.MUTED)] if phrase.text else [])]
        case "failed":
            return _split(phrase.segs(Ink.ERROR), Ink.MUTED, glyphs) or [Seg("failed", Ink.ERROR)]
        case "running":
            return _split(phrase.segs(), Ink.MUTED, glyphs) or [Seg("starts", Ink.MUTED)]
        case "pending":
            return [Seg("not started", Ink.MUTED), separator, Seg("R", Ink.STRONG, bold=True), Seg(" starts it", Ink.MUTED)]
        case status:
            return phrase.segs(Ink.MUTED) or [Seg(status, Ink.MUTED)]


def _split(segs: list[Seg], rest: Ink, glyphs: Glyphs) -> list[Seg]:
    """The first part keeps its ink; from the first separator (`: ` or ` · `) on the rest is quieter."""
    for index, seg in enumerate(segs):
        found = [place for place in (seg.text.find(": "), seg.text.find(" · ")) if place >= 0]
        if found and seg.ink is not Ink.WARNING:
            head, tail = seg.text[: min(found)], seg.text[min(found) :]
            tail = f" {glyphs.sep} " + tail[2 if tail.startswith(": ") else 3 :]
            quiet = [one if one.ink is Ink.WARNING else one._replace(ink=rest) for one in segs[index + 1 :]]
            return [*segs[:index], seg._replace(text=head), seg._replace(text=tail, ink=rest), *quiet]
    return segs


def _figures(entry: Entry, at: Columns, now: float, glyphs: Glyphs) -> list[Seg]:
    run = entry.run
    segs: list[Seg] = []
    if at.steps:
        share = run.settled / run.steps if run.steps else None
        segs += [*_gap(at), *progress(share, at.bar, bar_ink(entry.status), glyphs)]
        segs += right_column([Seg(str(run.settled)), Seg(f"/{run.steps}", Ink.MUTED)], at.steps, glyphs.ellipsis)
    if at.age:
        segs += right_column([Seg(numbers.age(now - run.created), Ink.MUTED)], at.age)
    if at.time:
        segs += right_column([Seg(numbers.duration(elapsed(run, entry.status, now)))], at.time)
    if at.tokens:
        segs += right_column([Seg(numbers.tokens_short(run.tokens) if run.tokens else glyphs.dash, Ink.MUTED)], at.tokens)
    if at.cost:
        segs += right_column([Seg(cost(run, glyphs))], at.cost)
    return segs


def _gap(at: Columns) -> list[Seg]:
    """Left and right parts of a row stand one cell apart by themselves; a wide row wants two before its figures."""
    return [Seg(" ")] if at.spark else []


def bar_ink(status: str) -> Ink:
    """The colour of a run's bar: a finished run is quiet."""
    match status:
        case "running":
            return Ink.ACCENT
        case "failed":
            return Ink.ERROR
        case "waiting" | "interrupted":
            return Ink.WARNING
        case _:
            return Ink.GRAPH_QUIET


def elapsed(run: RunRow, status: str, now: float) -> float:
    """Seconds from its creation to its end, to now while it is driven, else to the last thing that happened."""
    end = run.ended if run.ended is not None else now if status == "running" else run.last_at
    return max(end - run.created, 0.0)


def cost(run: RunRow, glyphs: Glyphs) -> str:
    """What the run cost; `–` where nothing was paid or no price is known."""
    return numbers.run_cost(run.cost) if run.cost else glyphs.dash


def filter_row(shown: Filter, loaded: int, *, more: bool, glyphs: Glyphs) -> Row:
    """The line above the list: what it is narrowed to, how many there are, in which order."""
    left = [Seg("/", Ink.MUTED), Seg(" ")]
    words = one_line(shown.words.strip(), 60, glyphs)
    left += words.segs(Ink.STRONG) if words.text else [Seg("filter", Ink.MUTED)]
    pipeline = "any" if shown.pipeline is None else one_line(shown.pipeline, 40, glyphs).text
    for name, value in (("status", shown.status), ("pipeline", pipeline)):
        left += [Seg(f"   {name} ", Ink.MUTED), Seg(value, Ink.TEXT if value == "any" else Ink.STRONG, bold=value != "any")]
    count = f"{numbers.events(loaded)}+ runs" if more else numbers.plural(loaded, "run")
    order = [Seg(f"{count} {glyphs.sep} newest first", Ink.MUTED)]
    return Row(left, order if cells(left) + cells(order) < 200 else ())
