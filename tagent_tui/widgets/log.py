"""The event log: a virtual list over the store, a page at a time, narrowed by a filter, followed at its end.

Apart from the other lists because its rows are not in memory: a line that is not there is a placeholder until its page was read,
and answers to questions nobody asks any more are dropped. A million events cost what a screen of them costs.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from textual.message import Message
from textual.strip import Strip

from store.errors import StoreError
from store.events import Recorded, RunId
from store.log import Log
from store.state import StepState
from tagent_tui.rows import BLANK, Row
from tagent_tui.theme import Palette
from tagent_tui.view.describe import Around
from tagent_tui.view.logrows import (
    NO_FILTER,
    PAGE,
    EventPages,
    LogFilter,
    has_words,
    log_row,
    past_row,
    step_cells,
    waiting_row,
)
from tagent_tui.widgets.later import later
from tagent_tui.widgets.lines import LineView

CHUNK = 2_000
"""Events a filter or a search reads at once: about 8 ms."""

MATCHES_KEPT = 4_000
"""Matching events kept in memory, so that a narrow filter needs no reading."""


class EventLines:
    """The lines of the log, in version order; with a filter, of the versions it found so far. A source of rows."""

    def __init__(self, want: Callable[[int], None]) -> None:
        self.pages = EventPages()
        self.head = 0
        self.playhead: int | None = None
        self.filter: LogFilter = NO_FILTER
        self.found = array("Q")
        self.step_of: Callable[[str], StepState | None] = lambda name: None
        self.longest = 3
        self._want = want
        self._matches: OrderedDict[int, Recorded] = OrderedDict()

    def count(self) -> int:
        """How many lines there are."""
        return len(self.found) if self.filter.on else self.head

    def version(self, index: int) -> int:
        """The version a line shows."""
        return self.found[index] if self.filter.on else index + 1

    def index(self, version: int) -> int:
        """The line of a version; of one that is filtered out, where it would be."""
        return bisect_left(self.found, version) if self.filter.on else version - 1

    def get(self, version: int) -> Recorded | None:
        """The event, if it is in memory."""
        return self._matches.get(version) or self.pages.get(version)

    def take(self, batch: Sequence[Recorded]) -> None:
        """Events that were just followed."""
        self.pages.take(batch)
        self.head = max(self.head, batch[-1].version) if batch else self.head
        if self.filter.on:
            around = self.around(batch)
            self.match([recorded for recorded in batch if self.filter.keeps(recorded, around)])

    def match(self, found: Sequence[Recorded], *, before: bool = False) -> None:
        """More of what the filter keeps, newer than what is known, or older."""
        versions = array("Q", [recorded.version for recorded in found])
        self.found = versions + self.found if before else self.found + versions
        for recorded in found:
            self._matches[recorded.version] = recorded
        while len(self._matches) > MATCHES_KEPT:
            self._matches.popitem(last=False)

    def around(self, batch: Sequence[Recorded]) -> Around:
        """What is known around events that were just read: themselves, and what is in memory."""
        near = {recorded.version: recorded for recorded in batch}
        return Around(lambda version: near.get(version) or self.get(version), self.step_of)

    def narrow(self, wanted: LogFilter) -> None:
        """Another filter: what it keeps has to be found first."""
        self.filter, self.found = wanted, array("Q")
        self._matches.clear()

    def row(self, index: int, width: int) -> Row:
        """A line as a row; a placeholder, and a wish, where its event is not in memory."""
        if not 0 <= index < self.count():
            return BLANK
        version = self.version(index)
        recorded = self.get(version)
        digits = len(f"{self.head}")
        if recorded is None:
            self._want(version)
            return waiting_row(version, digits)
        around = Around(self.get, self.step_of)
        cells = step_cells(self.longest, width)
        if self.playhead is not None:
            return past_row(recorded, self.playhead, max(digits, 3), min(cells, max(width // 6, 8)), around)
        return log_row(recorded, cells, around)


class EventLog(LineView):
    """The log of one run. `new` counts what came in since the reader left the end."""

    tail = True

    @dataclass
    class Changed(Message):
        """What stands in the log's rule is something else now."""

        log: EventLog

        @property
        def control(self) -> EventLog:
            """The log."""
            return self.log

    def __init__(self, *, id: str | None = None) -> None:
        self.lines = EventLines(self._want)
        super().__init__(self.lines, id=id)
        self.reads = 0
        """How often the store was asked: the measure of work in tests."""
        self.read_share: float | None = None
        """How much of the log a filter has looked at, from 0 to 1; None when it is done."""
        self._log: Log | None = None
        self._run = RunId("")
        self._wanted: set[int] = set()
        self._reading = False
        self._generation = 0
        self._search = 0
        self._left_at = 0

    # What the screen does

    def open(self, log: Log, run: RunId, head: int, names: Iterable[str]) -> None:
        """Show the log of a run that has `head` events."""
        self._log, self._run = log, run
        self._generation += 1
        self.lines.head, self.lines.longest = head, max((len(name) for name in names), default=3)
        self._left_at = head
        self.rows_changed()

    def take(self, batch: Sequence[Recorded]) -> None:
        """Show events that were just followed."""
        if not batch:
            return
        self.lines.take(batch)
        self.rows_grew()

    def rows_grew(self) -> None:
        """Lines were added at the end: what is painted stays as it is, unless the reader stands at the end."""
        if self.following and self.tail:
            self._left_at = self.lines.count()
            self.cursor = max(0, self.lines.count() - 1)
            top = self._last_top()
            self.top = top
            self.refresh()
        self.post_message(self.Changed(self))

    @property
    def new(self) -> int:
        """Lines that came in since the reader left the end."""
        return 0 if self.following else max(self.lines.count() - self._left_at, 0)

    def stand_at(self, version: int | None) -> None:
        """Put the playhead on a version (None: the log is alive again)."""
        self.lines.playhead = version
        self.tail = version is None
        if version is None:
            self.following = True
        else:
            index = min(self.lines.index(version), max(self.lines.count() - 1, 0))
            self.cursor = index
            third = max(self.size.height // 3, 1)
            self.top = max(index - third, 0)
        self.rows_changed()

    def rows_changed(self) -> None:
        """Everything may say something else now."""
        if self.following and self.tail:
            self._left_at = self.lines.count()
        super().rows_changed()

    def scroll_rows(self, rows: int) -> None:
        """Move the window."""
        self._leave_or_return(lambda: super(EventLog, self).scroll_rows(rows))

    def move_to(self, index: int, *, top: int | None = None) -> None:
        """Put the cursor on a line."""
        self._leave_or_return(lambda: super(EventLog, self).move_to(index, top=top))

    def _leave_or_return(self, move: Callable[[], None]) -> None:
        before = self.following
        move()
        if before != self.following:
            self._left_at = self.lines.count()
            self.post_message(self.Changed(self))

    def follow(self) -> None:
        """Go to the end and stay there."""
        self.following = True
        self.rows_changed()
        self.post_message(self.Changed(self))

    def _paint(self, row: Row, width: int, palette: Palette, selected: bool) -> Strip:
        """A living log marks no line while the keys are elsewhere: it moves by itself."""
        marked = selected and (self.has_focus or self.lines.playhead is not None)
        return super()._paint(row, width, palette, marked)

    # Reading pages

    def _want(self, version: int) -> None:
        self._wanted.add(EventPages.page_of(version))
        if not self._reading and self._log is not None:
            self._reading = True
            later(self, "log-pages", self._read, exclusive=False)

    async def _read(self) -> None:
        """Read the pages that are wanted and still on screen, until none is."""
        try:
            while self._wanted and (log := self._log) is not None:
                page = self._wanted.pop()
                if not self._on_screen(page):
                    continue
                self.reads += 1
                found = await log.events(self._run, after=page * PAGE, upto=(page + 1) * PAGE)
                if log is self._log:
                    self.lines.pages.put(page, found)
                    self._repaint(page)
        except StoreError:
            self._wanted.clear()  # the store is gone or damaged: the feed says so, the placeholders stay
        finally:
            self._reading = False

    def _repaint(self, page: int) -> None:
        for index in self.window:
            if EventPages.page_of(self.lines.version(index)) == page:
                self.row_changed(index)

    def _on_screen(self, page: int) -> bool:
        return any(EventPages.page_of(self.lines.version(index)) == page for index in self.window)

    # Narrowing

    def narrow(self, wanted: LogFilter) -> None:
        """Show only what the filter keeps; the newest is looked at first."""
        self._generation += 1
        self.lines.narrow(wanted)
        self.cursor = self.top = 0
        self.following = self.lines.playhead is None
        self.read_share = 0.0 if wanted.on else None
        self.rows_changed()
        self.post_message(self.Changed(self))
        if wanted.on:
            later(self, "log-filter", self._narrow, self._generation, self.lines.head)

    async def _narrow(self, generation: int, head: int) -> None:
        """Look through the log backwards, a chunk at a time; a step or types are left out by the store already."""
        wanted, high = self.lines.filter, head
        chunk = CHUNK
        while high > 0 and generation == self._generation and self._log is not None:
            low = max(high - chunk, 0)
            self.reads += 1
            found = await self._log.events(self._run, after=low, upto=high, step=wanted.step, types=wanted.types)
            if generation != self._generation:
                return
            around = self.lines.around(found)
            kept = [recorded for recorded in found if wanted.keeps(recorded, around)]
            self._found_older(kept)
            if len(found) * 4 < chunk and (wanted.step is not None or wanted.types is not None):
                chunk = min(chunk * 2, 8 * CHUNK)
            high = low
            self.read_share = (head - high) / head if high else None
            self.post_message(self.Changed(self))

    def _found_older(self, kept: Sequence[Recorded]) -> None:
        """Older lines come in above; what is read stays where it is."""
        if not kept:
            return
        self.lines.match(kept, before=True)
        if not self.following:
            self.cursor += len(kept)
            self.top += len(kept)
        self.rows_changed()

    # Searching

    async def search(self, words: Sequence[str], way: int) -> bool | None:
        """Move to the next line with all the words, forward (1) or back (-1); None if another search took over."""
        self._search += 1
        search, start = self._search, self.lines.version(self.cursor) if self.lines.count() else 0
        if self.lines.filter.on:
            return self._search_found(words, way)
        at = start
        while self._log is not None and (at < self.lines.head if way > 0 else at > 1):
            low, high = (at, at + CHUNK) if way > 0 else (max(at - 1 - CHUNK, 0), at - 1)
            self.reads += 1
            found = await self._log.events(self._run, after=low, upto=high)
            if search != self._search:
                return None
            around = self.lines.around(found)
            for recorded in found if way > 0 else reversed(found):
                if has_words(recorded, words, around):
                    self.move_to(self.lines.index(recorded.version))
                    return True
            at = high if way > 0 else low + 1
        return False

    def _search_found(self, words: Sequence[str], way: int) -> bool:
        """In a narrowed log only what is in memory is searched: the newest matches."""
        index = self.cursor + way
        while 0 <= index < self.lines.count():
            recorded = self.lines.get(self.lines.version(index))
            if recorded is not None and has_words(recorded, words, Around(self.lines.get, self.lines.step_of)):
                self.move_to(index)
                return True
            index += way
        return False
