"""The first screen: all runs of the store, newest first, with what each is about now; or, with none, how to get one.

It owns the list and the filter, and shows what `watch.py` read. Text that is typed into the filter narrows at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.widgets import Input, Static

from tagent_tui.empty import empty_rows, trouble_rows
from tagent_tui.numbers import run_cost
from tagent_tui.peek import HEIGHT, peek_rows
from tagent_tui.rows import Ink, Row, Seg, clip_middle
from tagent_tui.runlist import STATUSES, Entry, Filter, filter_row, to_compare
from tagent_tui.screens.starting import Starting, at_home
from tagent_tui.shapes import Key, chip
from tagent_tui.text import safe
from tagent_tui.watch import RunsWatch
from tagent_tui.widgets.bars import Rows, Rule, Sheet
from tagent_tui.widgets.later import later
from tagent_tui.widgets.lines import LineView
from tagent_tui.widgets.runtable import Header, RunSource

TALL = 34
LOW = 14
WEEK = 7 * 86_400.0
CALM = 5
"""Seconds between two looks at the clock while no run is driven."""

REST = 0.08
"""Seconds the cursor rests on a run before its peek is read: holding `j` reads none of those it passes."""


class RunsScreen(Starting):
    """The run list."""

    AUTO_FOCUS = "#list"
    FOOTER: ClassVar[Sequence[tuple[str, str]]] = (
        ("list.open", "open"),
        ("runs.demo", "demo"),
        ("runs.new", "new"),
        ("runs.init", "init here"),
        ("runs.resume", "resume"),
        ("runs.diff", "diff"),
        ("runs.filter", "filter"),
        ("runs.status", "status"),
        ("runs.pipeline", "pipeline"),
        ("runs.clear", "all runs"),
        ("app.palette", "commands"),
        ("runs.mark", "mark"),
        ("app.help", "help"),
        ("app.quit", "quit"),
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("d", "demo", "the demo on this folder", show=False, id="runs.demo"),
        Binding("n", "new", "start a run", show=False, id="runs.new"),
        Binding("i", "init", "write a starter pipeline into this folder", show=False, id="runs.init"),
        Binding("R", "resume", "resume the selected run", show=False, id="runs.resume"),
        Binding("m", "mark", "mark the run to compare it, or take the mark off", show=False, id="runs.mark"),
        Binding(
            "D", "diff", "compare the two marked, the marked and this one, or a fork and its parent", show=False, id="runs.diff"
        ),
        Binding("B", "branches", "the tree of forks of the selected run", show=False, id="runs.branches"),
        Binding("/", "filter", "filter by words in id, pipeline or now", show=False, id="runs.filter"),
        Binding("s", "status", "narrow to the next status", show=False, id="runs.status"),
        Binding("p", "pipeline", "narrow to the next pipeline", show=False, id="runs.pipeline"),
        Binding("escape", "clear", "show all runs again, without marks", show=False, id="runs.clear"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self.known = RunsWatch(lambda: self.host.now())
        self.source = RunSource(self.known, lambda: self.host.glyphs)
        self._shown: list[Entry] = []
        self._chosen: str | None = None
        self._seconds = 0
        self.empty = Sheet(id="empty")
        self.filter_line = Rows(id="filter")
        self.words = Input(id="words", placeholder="words in id, pipeline or now", compact=True)
        self.columns = Header(self.source)
        self.view = LineView(self.source, id="list")
        self.over_peek = Rule(id="over-peek")
        self.peek = Sheet(id="peek")
        self.body = Vertical(
            self.filter_line,
            Horizontal(Static("/", id="slash"), self.words, id="typing"),
            self.columns,
            Rule(id="under-columns"),
            self.view,
            self.over_peek,
            self.peek,
            id="runs",
        )

    def compose_body(self) -> ComposeResult:
        """Filter, columns, list, peek; and the page that stands in for them while there is no run."""
        yield self.empty
        yield self.body

    def on_mount(self) -> None:
        """The list has the keys."""
        self.view.focus()
        self._show_frame()

    @property
    def chosen(self) -> Entry | None:
        """The entry the cursor is on."""
        entries = self.source.entries
        return entries[self.view.cursor] if self.view.cursor < len(entries) else None

    @property
    def is_empty(self) -> bool:
        """Whether the page without runs stands in for the list: there are none, or there is no store that could have any."""
        feed, known = self.host.feed, self.known
        absent = feed.log is None and feed.looks > 0
        return absent or (known.loaded and not known.list.runs and not self.filter.on)

    @property
    def filter(self) -> Filter:
        """What the list is narrowed to."""
        return self.known.list.filter

    # Reading

    async def look(self) -> None:
        """Read the newest page, the one on screen, and the selected run; show what changed."""
        log = self.host.feed.log
        if log is not None:
            window = [self.source.entries[index].run.row for index in self.view.window if index < self.source.count()]
            await self.known.read(log, window)
            await self._read_peek()
        self._show_entries()

    def second(self) -> None:
        """Ages, clocks and who lives; where nobody does, ages alone, which are in minutes."""
        self._seconds += 1
        if self.known.live or self._seconds % CALM == 0:
            self.known.list.arrange()
            self._show_entries(ticked=True)

    async def _read_peek(self) -> None:
        log, entry = self.host.feed.log, self.chosen
        if log is not None and entry is not None and self.peek.display:
            await self.known.select(log, entry.run)

    async def _read_more(self) -> None:
        log = self.host.feed.log
        if log is not None and await self.known.read_older(log):
            self.known.list.arrange()
            self._show_entries()

    # Showing

    def _show_entries(self, *, ticked: bool = False) -> None:
        entries, before = self.source.entries, self._shown
        self._shown = list(entries)
        moved = [entry.run.id for entry in entries] != [entry.run.id for entry in before]
        if self.source.refit() or moved:
            self._keep_cursor()
        elif ticked:
            self.view.rows_ticked()
        else:
            for index, (new, old) in enumerate(zip(entries, before, strict=True)):
                if new != old:
                    self.view.row_changed(index)
        self._show_frame()

    def _keep_cursor(self) -> None:
        """The cursor stays on its run when others come or go above it; at the top it stays at the top."""
        index = self.known.list.find(self._chosen) if self._chosen else None
        if index is not None and self.view.cursor != index and self.view.cursor > 0:
            self.view.top = max(0, self.view.top + index - self.view.cursor)
            self.view.cursor = index
        self.view.rows_changed()
        entry = self.chosen
        self._chosen = entry.run.id if entry is not None else None
        self.columns.refresh()

    def _show_frame(self) -> None:
        """Everything around the list."""
        if not self.is_mounted:
            return
        known = self.known
        self.empty.display = self.is_empty
        self.body.display = not self.empty.display
        if self.empty.display:
            self._show_empty()
        elif self.focused is None and self.is_current:
            self.view.focus()
        self.filter_line.show([filter_row(self.filter, len(known.list.entries), more=known.list.more, glyphs=self.host.glyphs)])
        self._show_title()
        self._show_peek()
        self.show_keys()

    def show_keys(self, right: Sequence[Seg] = ()) -> None:
        """The footer; while words are typed, what ends that; at its right end what is under way."""
        if self.has_class("-typing"):
            self.footer.show([Key("enter", "keep"), Key("esc", "all runs")], right)
            return
        super().show_keys(right or ([Seg("starting", Ink.ACCENT)] if self.starting else ()))

    def _show_empty(self) -> None:
        feed, glyphs = self.host.feed, self.host.glyphs
        if feed.trouble:
            trouble = safe(feed.trouble)
            self.empty.show_layout(lambda width: trouble_rows(trouble, width, self.empty.size.height))
        else:
            model = self.host.config.model if self.host.config is not None else None
            self.empty.show_layout(lambda width: empty_rows(width, self.empty.size.height, model, glyphs))

    def _show_title(self) -> None:
        known, glyphs = self.known, self.host.glyphs
        path = clip_middle(safe(at_home(self.host.feed.path)), max(self.size.width // 2 - 8, 8), glyphs.ellipsis)
        right: list[Seg] = []
        if known.live:
            right.append(Seg(f"{self.host.spinner()} {known.live} live", Ink.ACCENT))
        if known.waiting:
            waits = "waits" if known.waiting == 1 else "wait"
            right.append(Seg(f"{glyphs.person} {known.waiting} {waits} for you", Ink.WARNING))
        spent = known.list.spent_since(self.host.now() - WEEK) if not self.filter.on else None
        parts = [[seg] for seg in right]
        if spent:
            parts.append([Seg("7 days ", Ink.MUTED), Seg(run_cost(spent))])
        if not known.list.runs and not self.filter.on:
            parts = [[Seg("no runs yet", Ink.MUTED)]] if not self.host.feed.trouble else []
        line = [seg for index, part in enumerate(parts) for seg in ([Seg(f" {glyphs.sep} ", Ink.MUTED)] if index else []) + part]
        self.title_bar.show(chip("runs"), Row([Seg(path, Ink.MUTED)], line))
        self.spin(known.live > 0)

    def _show_peek(self) -> None:
        peek, entry = self.peek, self.chosen
        if not peek.display:
            return
        if entry is None:
            peek.show_layout(lambda width: ())
            return
        shown, glyphs = self.known.peek(entry), self.host.glyphs
        peek.show_layout(lambda width: peek_rows(shown, width, glyphs)[:HEIGHT])

    def spun(self) -> None:
        """The spinner turned."""
        self._show_title()

    def on_resize(self, event: events.Resize) -> None:
        """The peek needs 34 rows; below 14 the list takes them all."""
        tall = event.size.height >= TALL
        self.over_peek.display = self.peek.display = tall
        self.set_class(event.size.height < LOW, "-low")
        self._show_frame()

    # Keys

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Only what works now is a key: nothing to open or resume without runs, the demo only where nothing else is."""
        del parameters
        entry = self.chosen if self.is_mounted else None
        match action:
            case "filter" | "status":
                return bool(self.known.list.runs) or self.filter.on
            case "demo" | "init":
                return self.is_empty and not self.host.feed.trouble
            case "new":
                return not self.host.feed.trouble
            case "branches":
                return entry is not None
            case "resume":
                return entry is not None and entry.status in ("interrupted", "paused", "pending")
            case "pipeline":
                return len(self.known.list.pipelines) > 1 or self.filter.pipeline is not None
            case "mark":
                return entry is not None
            case "diff":
                return self._pair() is not None
            case "clear":
                return self.filter.on or bool(self.source.marked)
        return True

    @on(LineView.Moved)
    def _moved(self, message: LineView.Moved) -> None:
        entry = self.chosen
        self._chosen = entry.run.id if entry is not None else None
        self._show_frame()
        if message.view.window.stop >= self.source.count() - message.view.size.height:
            later(self, "more", self._read_more)
        later(self, "peek", self._peek_soon)

    async def _peek_soon(self) -> None:
        await asyncio.sleep(REST)
        await self._read_peek()
        self._show_peek()

    @on(LineView.Opened)
    async def _opened(self) -> None:
        entry = self.chosen
        if entry is not None:
            await self.host.open_run(entry.run.id)

    def action_status(self) -> None:
        """The next status, round and round."""
        place = STATUSES.index(self.filter.status) + 1
        self._narrow(replace(self.filter, status=STATUSES[place % len(STATUSES)]))

    def action_pipeline(self) -> None:
        """The next pipeline by name, then any."""
        names: list[str | None] = [None, *self.known.list.pipelines]
        place = names.index(self.filter.pipeline) + 1 if self.filter.pipeline in names else 0
        self._narrow(replace(self.filter, pipeline=names[place % len(names)]))

    def action_filter(self) -> None:
        """Type words."""
        self.add_class("-typing")
        self.words.value = self.filter.words
        self.words.focus()
        self.show_keys()

    def _pair(self) -> tuple[str, str] | None:
        entry = self.chosen if self.is_mounted else None
        return to_compare(list(self.source.marked.values()), entry.run if entry is not None else None)

    def action_mark(self) -> None:
        """Mark the selected run, or take its mark off; of three the first mark goes."""
        entry, marked = self.chosen, self.source.marked
        if entry is None:
            return
        if marked.pop(entry.run.id, None) is None:
            marked[entry.run.id] = entry.run
            if len(marked) > 2:
                del marked[next(iter(marked))]
        self.view.rows_changed()
        self._show_frame()

    async def action_diff(self) -> None:
        """Compare two runs."""
        pair = self._pair()
        if pair is not None:
            await self.host.open_diff(*pair)

    def action_clear(self) -> None:
        """All runs again; where none is left out, the marks go."""
        if not self.filter.on and not self.has_class("-typing"):
            self.source.marked.clear()
            self.view.rows_changed()
            self._show_frame()
            return
        self.words.value = ""
        self._narrow(Filter())
        self._leave_words()

    @on(Input.Changed, "#words")
    def _typed(self, message: Input.Changed) -> None:
        if message.value != self.filter.words:
            self._narrow(replace(self.filter, words=message.value))

    @on(Input.Submitted, "#words")
    def _leave_words(self) -> None:
        self.remove_class("-typing")
        self.view.focus()
        self.show_keys()

    def _narrow(self, wanted: Filter) -> None:
        self.known.narrow(wanted)
        self.known.list.arrange()
        self.view.cursor = self.view.top = 0
        self._show_entries()
        self.host.feed.poke()

    def action_resume(self) -> None:
        """Drive the selected run on."""
        entry = self.chosen
        if entry is not None:
            self.resume_run(entry.run.id)

    def action_branches(self) -> None:
        """The tree of forks around the selected run."""
        from tagent_tui.screens.branches import BranchesScreen

        entry = self.chosen
        if entry is not None:
            self.app.push_screen(BranchesScreen(entry.run.id))
