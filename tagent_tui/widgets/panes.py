"""The panes of the run screen: the steps with what holds them up, the details with their tabs, the log in its rule.

Apart from the lists in them because a pane says what stands around a list: titles, tabs, counts. Each is given a look at the run
and posts what the reader wants.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from textual import on
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.message import Message

from tagent_tui import shapes
from tagent_tui.newest import Newest
from tagent_tui.rows import BLANK, Ink, Row, Seg, rpad
from tagent_tui.text import one_line
from tagent_tui.view import detail, waits
from tagent_tui.view.detail import Subject, Tab
from tagent_tui.view.document import Part
from tagent_tui.view.effects import EffectLine
from tagent_tui.view.scene import Scene
from tagent_tui.widgets.bars import Rows, Rule, TabRow
from tagent_tui.widgets.detail import DetailView
from tagent_tui.widgets.later import later
from tagent_tui.widgets.log import EventLog
from tagent_tui.widgets.tree import StepTree

HEADS = rpad("tries", 6) + rpad("time", 8) + rpad("cost", 8)


class StepsPane(Vertical):
    """The tree, and from 34 rows on why it waits."""

    DEFAULT_CSS = """
    StepsPane #waits { height: 6; }
    StepsPane #waits-rows { height: 5; }
    """

    def compose(self) -> ComposeResult:
        """Title, tree, reasons."""
        yield TabRow(id="steps-tab")
        yield StepTree(id="steps")
        with Vertical(id="waits"):
            yield Rule(id="waits-rule")
            yield Rows(id="waits-rows")

    @property
    def step_tree(self) -> StepTree:
        """The tree."""
        return self.query_one("#steps", StepTree)

    def look(self, scene: Scene) -> None:
        """Show a new look at the run."""
        self.step_tree.look(scene)
        width = max(self.size.width - 2, 0)
        heads = HEADS if width >= 44 else HEADS[:14] if width >= 34 else HEADS[6:14] if width >= 22 else ""
        when = [Seg(f"as of {scene.state.version:,}   ", Ink.MUTED)] if scene.replay and width >= 50 else []
        right = [*when, Seg(heads, Ink.MUTED)]
        self.query_one("#steps-tab", TabRow).show([shapes.Tab("1", "Steps")], 0, right, focused=self.step_tree.has_focus)

    def say_waits(self, scene: Scene) -> None:
        """Show what holds the run up, or what came of it."""
        rows = [] if scene.replay else waits.rows(scene)
        quiet = "nothing waits" if not scene.state.status.ended else ""
        said = rows or ([Row([Seg(quiet, Ink.MUTED)])] if quiet else [])
        self.query_one("#waits").display = bool(said) and self.screen.has_class("-tall") and not scene.replay
        self.query_one("#waits-rows", Rows).show([Row([Seg(waits.title(scene), Ink.MUTED)]), *said])


class Look(NamedTuple):
    """What the detail pane is asked to show: a subject under a tab, as it stands in a scene; `key` is what it depends on."""

    scene: Scene
    subject: Subject
    tab: Tab
    key: object
    upto: int | None = None
    touched: int = 0


Fetch = Callable[[Look], Awaitable[Sequence[Part]]]


class DetailPane(Vertical):
    """Tabs over a text. The text is fetched when what it depends on changed, the newest wish first."""

    @dataclass
    class TabChosen(Message):
        """The reader wants another tab."""

        tab: Tab

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.tabs: list[Tab] = [Tab.OUTPUT]
        self.tab = Tab.OUTPUT
        self.chosen: Tab | None = None
        """The tab the reader chose; None lets the step's status choose."""
        self.fetch: Fetch | None = None
        self.wishes: Newest[Look] = Newest(self._grant, rest=0.1, share=4.0)
        self._wished: object = None

    def compose(self) -> ComposeResult:
        """Tabs and text."""
        yield TabRow(id="detail-tabs")
        yield DetailView(id="detail")

    def on_mount(self) -> None:
        """Begin to grant wishes."""
        later(self, "details", self.wishes.run, exclusive=False)

    @property
    def view(self) -> DetailView:
        """The text."""
        return self.query_one("#detail", DetailView)

    def choose(self, tabs: Sequence[Tab], proposed: Tab) -> Tab:
        """Which tab to show now: the reader's if the subject has it, else the proposed one."""
        self.tabs = list(tabs)
        self.tab = self.chosen if self.chosen in self.tabs else proposed if proposed in self.tabs else self.tabs[0]
        number = "" if self.screen.has_class("-narrow") else "2"
        entries = [shapes.Tab("" if index else number, tab.value) for index, tab in enumerate(self.tabs)]
        self.query_one("#detail-tabs", TabRow).show(entries, self.tabs.index(self.tab), focused=self.view.has_focus)
        return self.tab

    def want(self, look: Look) -> None:
        """Show this, once it is fetched; nothing is done if it is what is shown or wished already."""
        if look.key != self._wished:
            self._wished = look.key
            self.wishes.want(look)

    def put(self, look: Look, parts: Sequence[Part]) -> None:
        """Show these parts, which needed no fetching."""
        self._wished = look.key
        self.view.put((look.subject, look.tab), [BLANK, *parts])

    async def _grant(self, look: Look) -> None:
        if self.fetch is None or look.key != self._wished:
            return
        parts = await self.fetch(look)
        if look.key == self._wished:
            self.view.put((look.subject, look.tab), parts)

    def turn(self, by: int) -> None:
        """The next or the previous tab."""
        index = (self.tabs.index(self.tab) + by) % len(self.tabs)
        self.post_message(self.TabChosen(self.tabs[index]))

    @on(TabRow.Chosen, "#detail-tabs")
    def _clicked(self, message: TabRow.Chosen) -> None:
        message.stop()
        if message.index < len(self.tabs):
            self.post_message(self.TabChosen(self.tabs[message.index]))


def proposed_tab(scene: Scene, subject: Subject, line: EffectLine | None) -> Tab:
    """What a reader most likely wants to see: the event in the past, why it failed, what is being said, what came out."""
    step = scene.state.steps.get(subject.step)
    if scene.replay:
        return Tab.EVENT
    if step is None:
        return Tab.OUTPUT
    if line is not None:
        return Tab.ERROR if line.failed else Tab.OUTPUT
    available = detail.tabs_of(scene, subject)
    if step.status.name in ("FAILED", "TIMED_OUT", "WAITING"):
        return Tab.ERROR
    return Tab.MESSAGES if step.status.name == "RUNNING" and Tab.MESSAGES in available else Tab.OUTPUT


class LogPane(Vertical):
    """The log below its rule, which says what it is narrowed to and how much is new."""

    def compose(self) -> ComposeResult:
        """Rule and log."""
        yield Rule(id="log-rule")
        yield EventLog(id="log")

    @property
    def log_view(self) -> EventLog:
        """The log."""
        return self.query_one("#log", EventLog)

    def say(self, *, key: str = "3") -> None:
        """What stands in the rule."""
        self.query_one("#log-rule", Rule).show(self.title(key), self.news())

    def title(self, key: str = "3") -> list[Seg]:
        """The name of the pane and what it is narrowed to."""
        lines = self.log_view.lines
        segs = [Seg(f"{key} ", Ink.MUTED)] if key else []
        if lines.playhead is not None:
            segs += [Seg("Events", Ink.STRONG, bold=True), Seg(f" around {lines.playhead:,}", Ink.MUTED)]
        elif key:
            segs.append(Seg("Log", Ink.STRONG, bold=True))
        if lines.filter.on:
            segs += [Seg("  & " if segs else "& ", Ink.MUTED), *one_line(lines.filter.text, 60).segs(Ink.STRONG)]
            share = self.log_view.read_share
            segs.append(Seg(f"  {lines.count():,} lines", Ink.MUTED))
            segs += [Seg(f", {share * 100:.0f} % read", Ink.MUTED)] if share is not None and share < 1 else []
        return segs

    def news(self) -> list[Seg]:
        """How much came in since the reader left the end."""
        log = self.log_view
        if log.lines.playhead is not None or log.following:
            return []
        new = log.new
        segs = [Seg(f"{log.glyphs.down} {new:,} new", Ink.ACCENT, bold=True), Seg("  ")] if new else []
        return [*segs, Seg("f", Ink.STRONG, bold=True), Seg(" follow", Ink.MUTED)]
