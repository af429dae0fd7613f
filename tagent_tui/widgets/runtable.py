"""The run list's rows for its widget, and the columns' names above them.

Apart from the screen because both lay out the same columns: what one width shows is decided once for all rows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from store import RunRow
from tagent_tui.glyphs import Glyphs
from tagent_tui.rows import BLANK, Row
from tagent_tui.runlist import LIVE_CELLS, Columns, Entry, columns, header, id_cells, row
from tagent_tui.watch import RunsWatch
from tagent_tui.widgets.bars import Rows

WIDE = 100
"""Columns of the screen from which a row has its sparkline, time and tokens."""


class RunSource:
    """The entries of the list as rows, laid out for the width they are asked for."""

    def __init__(self, known: RunsWatch, glyphs: Callable[[], Glyphs]) -> None:
        self._known = known
        self._glyphs = glyphs
        self._columns: Columns | None = None
        self._busiest = (0, 1.0)
        self.marked: dict[str, RunRow] = {}
        """Runs that are to be compared, in the order in which they were marked."""

    @property
    def entries(self) -> list[Entry]:
        """What passes the filter, in order."""
        return self._known.list.entries

    def count(self) -> int:
        """How many entries there are."""
        return len(self.entries)

    def columns(self, width: int) -> Columns:
        """The columns at this width, kept until the entries or the width change."""
        if self._columns is None or self._columns.width != width:
            steps = max((len(f"{entry.run.settled}/{entry.run.steps}") for entry in self.entries), default=0)
            ids = id_cells(entry.run.id for entry in self.entries)
            self._columns = columns(width, wide=width >= WIDE - 2, ids=ids, steps=steps)
        return self._columns

    def refit(self) -> bool:
        """The entries are others now; whether the columns are too."""
        before, self._columns = self._columns, None
        return before is not None and self.columns(before.width) != before

    def row(self, index: int, width: int) -> Row:
        """The entry's row."""
        if index >= len(self.entries):
            return BLANK
        entry, now = self.entries[index], self._known.now()
        if entry.status != "running":
            return row(entry, self.columns(width), now, self._glyphs(), marked=entry.run.id in self.marked)
        pulse = self._known.rates.series(entry.run.id, now, LIVE_CELLS)
        marked = entry.run.id in self.marked
        return row(entry, self.columns(width), now, self._glyphs(), pulse=pulse, top=self._top(now), marked=marked)

    def _top(self, now: float) -> float:
        """What fills a sparkline's cell; the same for all rows, and for a second."""
        if self._busiest[0] != int(now):
            self._busiest = (int(now), self._known.busiest)
        return self._busiest[1]


class Header(Rows):
    """The columns' names, over the columns of the list below."""

    def __init__(self, source: RunSource) -> None:
        super().__init__(id="columns")
        self._source = source

    def layout_rows(self, width: int) -> Sequence[Row]:
        """One row."""
        return (header(self._source.columns(width)),)
