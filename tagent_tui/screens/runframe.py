"""The frame of the run screen: its panes, which of them are seen at which size, and which has the keys.

Apart from what is shown in them because the frame depends on the terminal alone: two panes above each other beside the steps from
100 columns on, one at a time below or when maximised.
"""

from __future__ import annotations

from typing import ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.widgets import Input

from tagent_tui.screens.base import FedScreen
from tagent_tui.widgets.bars import Divider, Rows, Rule, TabRow
from tagent_tui.widgets.card import CardPane
from tagent_tui.widgets.log import EventLog
from tagent_tui.widgets.metrics import Metrics
from tagent_tui.widgets.panes import DetailPane, LogPane, StepsPane
from tagent_tui.widgets.timeline import TimelineView
from tagent_tui.widgets.tree import StepTree

WIDE, TALL, LOW = 100, 34, 12
PANES = ("Steps", "Detail", "Log", "Metrics")
FOCUS = {1: "#steps", 2: "#detail", 3: "#log", 4: "#waterfall"}


class RunFrame(FedScreen):
    """The panes. `pane` is the one with the keys, `maximised` whether it stands alone on a wide screen."""

    CSS_PATH: ClassVar[str] = "run.tcss"

    def __init__(self) -> None:
        super().__init__()
        self.pane = 1
        self.maximised = False

    def compose_body(self) -> ComposeResult:
        """The panes, the timeline, and the line that is typed on."""
        yield TabRow(id="panes")
        with Horizontal(id="split"):
            yield StepsPane(id="left")
            yield Divider(id="between")
            with Vertical(id="right"):
                yield DetailPane(id="details")
                yield CardPane(id="asking-card")
                yield LogPane(id="logs")
        yield Metrics(id="metrics")
        yield TimelineView(id="timeline")
        yield Rule(id="position")
        with Horizontal(id="asking"):
            yield Rows(id="asked")
            yield Input(id="ask", compact=True, select_on_focus=False)

    # The parts

    @property
    def steps_pane(self) -> StepsPane:
        """The tree with its frame."""
        return self.query_one("#left", StepsPane)

    @property
    def step_tree(self) -> StepTree:
        """The step tree."""
        return self.query_one("#steps", StepTree)

    @property
    def detail_pane(self) -> DetailPane:
        """The details with their tabs."""
        return self.query_one("#details", DetailPane)

    @property
    def log_pane(self) -> LogPane:
        """The log in its rule."""
        return self.query_one("#logs", LogPane)

    @property
    def log_view(self) -> EventLog:
        """The log."""
        return self.query_one("#log", EventLog)

    @property
    def metrics(self) -> Metrics:
        """The metrics pane."""
        return self.query_one("#metrics", Metrics)

    @property
    def narrow(self) -> bool:
        """Whether one pane is seen at a time, because the screen is narrow."""
        return self.size.width < WIDE

    @property
    def replaying(self) -> bool:
        """Whether the past is shown."""
        return self.has_class("-replay")

    @property
    def whole(self) -> bool:
        """Whether the panes are there: not yet before they are mounted, and not any more while the app closes."""
        return self.is_mounted and bool(self.query("#steps")) and bool(self.query("#log"))

    # Panes

    def show_pane(self, pane: int) -> None:
        """Bring a pane up and give it the keys."""
        if pane != self.pane and pane == 4:
            self.maximised = False
        self.pane = pane
        self._frame()
        self.query_one(self.focus_of(pane)).focus()
        self.show_all()

    def focus_of(self, pane: int) -> str:
        """The widget that has the keys of a pane."""
        return FOCUS[pane]

    def _frame(self) -> None:
        single = self.narrow or self.maximised
        self.set_class(self.narrow, "-narrow")
        self.set_class(single, "-single")
        self.set_class(self.size.height >= TALL, "-tall")
        self.set_class(self.size.height < LOW, "-low")
        for pane in FOCUS:
            self.set_class(self.pane == pane, f"-pane-{pane}")

    def on_resize(self, event: events.Resize) -> None:
        """Panes beside each other from 100 columns on, else one at a time."""
        self._frame()
        self.show_all()

    @on(events.DescendantFocus)
    def _focus_moved(self) -> None:
        """The pane with the keys is the pane one is in."""
        focused = f"#{self.focused.id}" if self.focused is not None else ""
        found = next((pane for pane in FOCUS if focused in (FOCUS[pane], self.focus_of(pane))), None)
        if found is not None and found != self.pane and not (self.narrow or self.pane == 4):
            self.pane = found
            self._frame()
            self.show_all()
        else:
            self.show_look()

    @on(TabRow.Chosen, "#panes")
    def _pane_clicked(self, message: TabRow.Chosen) -> None:
        self.show_pane(message.index + 1)

    def show_look(self) -> None:
        """Show the run as it is known now."""

    def show_all(self) -> None:
        """Show the run now, also what is expensive to say."""
