"""Two runs beside each other: a table of pairs, the first divergence at its place, and below it the texts of the pair chosen.

It owns the comparison and which step of it is looked at; reading is the engine's. A run that goes on is compared again as it does.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import ClassVar

from textual import events, on
from textual.app import ComposeResult, SuspendNotSupported
from textual.binding import Binding, BindingType
from textual.containers import Vertical

from engine.replay.difference import RunDiff, StepDiff, StepTexts
from engine.replay.loading import Comparison
from store.errors import StoreError
from store.events import RunId
from store.log import Log
from tagent_tui import pager
from tagent_tui.numbers import plural
from tagent_tui.rows import BLANK, Ink, Row, Seg
from tagent_tui.screens.base import FedScreen
from tagent_tui.screens.diffkeys import KEYS
from tagent_tui.screens.runkeys import joined_keys
from tagent_tui.shapes import Tab as TabName
from tagent_tui.shapes import chip
from tagent_tui.text import one_line, safe
from tagent_tui.view.diffrows import columns, count_segs, divergence, head_row, runs_segs, total_row, verdict_segs
from tagent_tui.view.difftext import TABS, Tab, counted_segs, first_tab, plain_text, tab_rows, text_of
from tagent_tui.widgets.bars import Footer, Rule, Sheet, TabRow
from tagent_tui.widgets.difftable import NamedTabs, PairTable, TextPane
from tagent_tui.widgets.later import later
from tagent_tui.widgets.lines import LineView

WIDE = 100
ROOMY = 110
"""Columns from which the title says besides the runs what came of them, and how to go on."""

FIXED = 11
"""Rows above, between and below the table and the text."""

PAUSE = 0.5
"""Seconds between two comparisons while a run goes on."""

REST = 0.08
"""Seconds the cursor rests on a step before its texts are read: holding `j` reads none of those it passes."""


async def _is_all(log: Log, diff: RunDiff) -> bool:
    """Whether neither run has gone on since."""
    return [await log.head(RunId(side.run)) for side in (diff.a, diff.b)] == [diff.a.version, diff.b.version]


class DiffScreen(FedScreen):
    """Run `a` compared with run `b`."""

    CSS_PATH: ClassVar[str] = "diff.tcss"
    AUTO_FOCUS = "#table"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("n,right_square_bracket", "difference(1)", "next difference", show=False, id="diff.next"),
        Binding("N,left_square_bracket", "difference(-1)", "previous difference", show=False, id="diff.previous"),
        Binding("equals_sign", "same", "hide the steps that are the same, or show them", show=False, id="diff.same"),
        Binding("w", "words", "mark changed words", show=False, id="diff.words"),
        Binding("tab,shift+tab", "pane", "the table or the text", show=False, id="diff.pane"),
        Binding("1", "to_pane(1)", "the table", show=False, id="diff.table"),
        Binding("2", "to_pane(2)", "the text", show=False, id="diff.text"),
        Binding("l,right", "tab(1)", "next tab of the text", show=False, id="diff.tab-next"),
        Binding("h,left", "tab(-1)", "previous tab of the text", show=False, id="diff.tab-previous"),
        Binding("o", "open_run", "open run B, or A where the step is only there", show=False, id="diff.open"),
        Binding("y", "copy", "copy the difference", show=False, id="diff.copy"),
        Binding("v", "pager", "the difference in the pager", show=False, id="diff.pager"),
        Binding("escape", "back", "back", show=False, id="diff.back"),
    ]

    def __init__(self, a: str, b: str) -> None:
        super().__init__()
        self._wanted = (a, b)
        self.compared: Comparison | None = None
        self.texts: StepTexts | None = None
        self._texts_of = ""
        self.tab = Tab.OUTPUT
        self.pane = 1
        self.words = self.only_differing = self._comparing = False
        self._counts: Sequence[Seg] = ()
        self._names, self._total = Sheet(id="pair-names"), Sheet(id="total")
        self.table = PairTable(id="table")
        self.tabs = NamedTabs(id="diff-tabs")
        self.text = TextPane(id="text")

    def compose_body(self) -> ComposeResult:
        """The table with its head and total, and the text with its tabs."""
        yield TabRow(id="diff-panes")
        with Vertical(id="pairs"):
            yield self._names
            yield Rule(id="under-names")
            yield self.table
            yield Rule(id="over-total")
            yield self._total
        with Vertical(id="texts"):
            yield self.tabs
            yield self.text

    @property
    def diff(self) -> RunDiff | None:
        """The comparison, once it was read."""
        return self.compared.diff if self.compared is not None else None

    @property
    def step(self) -> StepDiff | None:
        """The step under the cursor."""
        return self.table.pairs.step(self.table.cursor)

    @property
    def narrow(self) -> bool:
        """Whether one pane is seen at a time."""
        return self.size.width < WIDE

    def on_mount(self) -> None:
        """Say what is being compared."""
        self.title_bar.show(chip("diff"), Row([Seg(safe(f"{self._wanted[0]} and {self._wanted[1]}"), Ink.MUTED)]))
        self._frame()

    # Reading

    async def look(self) -> None:
        """Compare, and again where one of the runs has gone on."""
        log, diff = self.host.feed.log, self.diff
        if log is None or self._comparing or (diff is not None and await _is_all(log, diff)):
            return
        later(self, "diff", self._compare_on, log, exclusive=False)

    async def _compare_on(self, log: Log) -> None:
        """Compare until nothing is new: a comparison that news cancelled would never end beside a busy run."""
        if self._comparing:
            return
        self._comparing = True
        try:
            await self._compare(log)
            while self.diff is not None and not await _is_all(log, self.diff):
                await asyncio.sleep(PAUSE)
                await self._compare(log)
        except StoreError as error:
            self.title_bar.show(chip("diff"), Row([Seg(safe(str(error)), Ink.ERROR)]))
        finally:
            self._comparing = False

    async def _compare(self, log: Log) -> None:
        self.compared, fresh, kept = await Comparison.of(log, *self._wanted), self.diff is None, self.step
        self._texts_of = ""
        self._show_table(kept.step if kept is not None else "")
        if fresh:
            differing = self.table.pairs.differing
            self.table.move_to(differing[0] if differing else 0)
        await self._read_texts()

    async def _texts_soon(self) -> None:
        await asyncio.sleep(REST)
        await self._read_texts()

    async def _read_texts(self) -> None:
        step, compared = self.step, self.compared
        if step is None or compared is None or step.step == self._texts_of:
            return
        texts = await compared.texts(step.step)
        if self.step is not step and (self.step is None or self.step.step != step.step):
            return
        self.texts, self._texts_of = texts, step.step
        if not text_of(texts, self.tab):
            self.tab = first_tab(step, texts)
        self._show_text()

    # Showing

    def _show_table(self, keep: str) -> None:
        diff, table = self.diff, self.table
        if diff is None or not self.is_mounted:
            return
        table.pairs.put(diff, self.host.glyphs, differing=self.only_differing)
        table.rows_changed()
        index = table.pairs.find(keep) if keep else None
        if index is not None or table.pairs.step(table.cursor) is None:
            table.move_to(index if index is not None else table.cursor)
        glyphs = self.host.glyphs
        self._counts = count_segs(diff, glyphs, wide=not self.narrow)  # of 10,000 steps not at every move of the cursor
        self._names.show_layout(lambda width: [head_row(diff, columns(width), glyphs)])
        self._total.show_layout(lambda width: [total_row(diff, columns(width), glyphs)])
        self._frame()
        self._show_title()

    def _show_title(self) -> None:
        diff, glyphs = self.diff, self.host.glyphs
        if diff is None:
            return
        name = one_line(diff.a.pipeline, 60, glyphs).segs(Ink.STRONG, bold=True)
        left = [*name, Seg("   "), *runs_segs(diff, glyphs)] if not self.narrow else runs_segs(diff, glyphs)
        roomy = self.size.width >= ROOMY
        verdict = verdict_segs(diff) if roomy else []
        differing = self.table.pairs.differing
        place = differing.index(self.table.cursor) + 1 if self.table.cursor in differing else 0
        right: list[Seg] = []
        if differing:
            at = f"{place} of {len(differing)}" if place else f"{len(differing)}"
            hint = [Seg("n", Ink.STRONG, bold=True), Seg(" next difference  ", Ink.MUTED)] if roomy else []
            right = [*hint, Seg(at)]
        said = [*self._counts]
        if not self.narrow:
            said = [Seg("first divergence  ", Ink.MUTED), *self._first(diff), Seg("   "), *said]
        self.title_bar.show(chip("diff"), Row(left, verdict), Row(said, right))

    def _first(self, diff: RunDiff) -> list[Seg]:
        """Where they part, short: the rule in the table says the rest."""
        if diff.first is None:
            return [Seg("none", Ink.STRONG, bold=True)]
        told = divergence(diff.first, self.host.glyphs)
        moment = diff.first.b or diff.first.a
        says = one_line(moment.says or moment.type, 40, self.host.glyphs).segs(Ink.MUTED) if moment is not None else []
        return [told[0]._replace(ink=Ink.STRONG, bold=True), Seg(" "), *says]

    def _show_text(self) -> None:
        step, texts, glyphs = self.step, self.texts, self.host.glyphs
        if not self.is_mounted:
            return
        if step is None or texts is None or step.step != self._texts_of:
            self.text.put(None, lambda width: [BLANK])
        else:
            tab, words = self.tab, self.words
            about = (step.step, tab)
            self.text.put(about, lambda width: tab_rows(step, texts, tab, width, glyphs, words=words))
        self._show_tabs()

    def _show_tabs(self) -> None:
        step, texts = self.step, self.texts
        known = step is not None and texts is not None and step.step == self._texts_of
        name = one_line(step.step, 28 if self.narrow else 40, self.host.glyphs).segs(Ink.STRONG, bold=True) if step else []
        right = counted_segs(text_of(texts, self.tab)) if known and texts is not None else []
        if not self.narrow and right:
            right += [
                Seg("   "),
                Seg("w", Ink.STRONG, bold=True),
                Seg(" whole lines" if self.words else " word by word", Ink.MUTED),
            ]
        self.tabs.head([Seg(" "), *name, Seg("   ")])
        entries = [TabName("", one.value) for one in TABS]
        self.tabs.show(entries, TABS.index(self.tab), right, focused=self.text.has_focus)
        panes = self.query_one("#diff-panes", TabRow)
        panes.show([TabName("1", "Steps"), TabName("2", "Text")], self.pane - 1, focused=True)
        self.show_keys()

    def _frame(self) -> None:
        """Which panes are seen, and how the rows are shared: the table has what it needs, up to less than half."""
        self.set_class(self.narrow, "-narrow")
        for pane in (1, 2):
            self.set_class(self.pane == pane, f"-pane-{pane}")
        if self.narrow:
            self.table.styles.height = "1fr"
        else:
            room = max(self.size.height - FIXED, 4)
            self.table.styles.height = max(1, min(self.table.pairs.count(), max(4, room * 45 // 100)))

    def on_resize(self, event: events.Resize) -> None:
        """The table above the text, or one of them."""
        del event
        self._frame()
        self._show_title()
        self._show_tabs()

    def show_keys(self, right: Sequence[Seg] = ()) -> None:
        """The footer, for the pane with the keys."""
        if self.is_mounted:
            same = "show all" if self.only_differing else "hide the same"
            self.footer.show(joined_keys(self, KEYS[self.pane], same=same), right)

    async def on_footer_pressed(self, message: Footer.Pressed) -> None:
        """A footer entry was clicked: of two keys it is the first."""
        message.key = message.key.split()[0]
        await super().on_footer_pressed(message)

    # Keys

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Only what works now is a key."""
        diff = self.diff
        if diff is None:
            return action == "back" or not hasattr(self, f"action_{action}")
        match action:
            case "difference":
                return bool(self.table.pairs.differing)
            case "words":
                return self.texts is not None and bool(text_of(self.texts, self.tab))
            case "same":
                return self.only_differing or any(one.what == "same" for one in diff.steps)
            case "copy" | "pager" | "tab":
                return self.step is not None
        return True

    @on(LineView.Moved, "#table")
    def _moved(self) -> None:
        self._show_title()
        self._show_text()
        later(self, "texts", self._texts_soon)

    @on(LineView.Opened, "#table")
    def _opened(self) -> None:
        self.action_to_pane(2)

    @on(events.DescendantFocus)
    def _focus_moved(self) -> None:
        self.pane = 2 if self.text.has_focus else 1
        self._frame()
        self._show_tabs()

    @on(TabRow.Chosen, "#diff-panes")
    def _pane_clicked(self, message: TabRow.Chosen) -> None:
        self.action_to_pane(message.index + 1)

    @on(TabRow.Chosen, "#diff-tabs")
    def _tab_clicked(self, message: TabRow.Chosen) -> None:
        self.tab = TABS[message.index]
        self._show_text()

    def action_difference(self, way: int) -> None:
        """The next or previous step that differs, round and round."""
        rows, here = self.table.pairs.differing, self.table.cursor
        if rows:
            beyond = [row for row in rows if (row > here if way > 0 else row < here)]
            self.table.move_to((beyond or rows)[0 if way > 0 else -1])

    def action_same(self) -> None:
        """Hide the steps that are the same, or show them again."""
        step = self.step
        self.only_differing = not self.only_differing
        self._show_table(step.step if step is not None else "")
        self._moved()

    def action_words(self) -> None:
        """Mark the words that changed, or whole lines again."""
        self.words = not self.words
        self._show_text()

    def action_pane(self) -> None:
        """From the table to the text and back."""
        self.action_to_pane(3 - self.pane)

    def action_to_pane(self, pane: int) -> None:
        """Bring a pane up and give it the keys."""
        self.pane = pane
        self._frame()
        (self.text if pane == 2 else self.table).focus()

    def action_tab(self, by: int) -> None:
        """The next or previous tab."""
        self.tab = TABS[(TABS.index(self.tab) + by) % len(TABS)]
        self._show_text()

    async def action_open_run(self) -> None:
        """The run of the step under the cursor."""
        diff, step = self.diff, self.step
        if diff is not None:
            await self.host.open_run(diff.a.run if step is not None and step.what == "a" else diff.b.run)

    def _told(self) -> str:
        step, texts = self.step, self.texts
        return plain_text(step, texts, self.tab) if step is not None and texts is not None and step.step == self._texts_of else ""

    def action_copy(self) -> None:
        """Copy the difference that is shown, made safe, to the clipboard (OSC 52)."""
        text = "\n".join(pager.safe_lines(self._told()))
        if text:
            self.app.copy_to_clipboard(text)
            self.host.say(f"Copied {plural(len(text), 'character')}.")

    def action_pager(self) -> None:
        """The difference in the reader's own pager."""
        try:
            pager.page(self.app, pager.safe_lines(self._told()))
        except OSError as error:
            self.host.say(str(error), wrong=True)
        except SuspendNotSupported:
            self.host.say("There is no terminal to show a pager in.", wrong=True)

    def action_back(self) -> None:
        """Out of the text, then out of the comparison."""
        if self.pane == 2 and self.narrow:
            self.action_to_pane(1)
        elif len(self.app.screen_stack) > 1:
            self.app.pop_screen()
