"""A list of what can be edited, to pick one from.

Apart from the fork's dialog because it stands over it for the length of one answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen

from tagent_tui.glyphs import Glyphs
from tagent_tui.rows import Ink, Row, Seg
from tagent_tui.screens.confirm import stand_on_pane
from tagent_tui.view.editing import Target, target_row
from tagent_tui.widgets.bars import Rule
from tagent_tui.widgets.lines import LineView


class TargetRows:
    """The targets as rows."""

    def __init__(self, targets: Sequence[Target], glyphs: Glyphs) -> None:
        self._targets, self._glyphs = targets, glyphs

    def count(self) -> int:
        """How many there are."""
        return len(self._targets)

    def row(self, index: int, width: int) -> Row:
        """One of them."""
        return target_row(self._targets[index], self._glyphs)


class PickScreen(ModalScreen[Target | None]):
    """Dismissed with what was picked, or None."""

    DEFAULT_CSS = "PickScreen { align: center middle; } #pick { height: auto; }"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q", "leave", "pick nothing", show=False, id="fork.pick-nothing"),
    ]

    def __init__(self, targets: Sequence[Target], glyphs: Glyphs) -> None:
        super().__init__()
        self._targets = targets
        self._rows = TargetRows(targets, glyphs)

    def compose(self) -> ComposeResult:
        """A coloured rule and the list."""
        with Vertical(id="dialog", classes="-wide"):
            yield Rule(id="dialog-rule")
            yield LineView(self._rows, id="pick")

    def on_mount(self) -> None:
        """The list has the keys."""
        stand_on_pane(self)
        title = [Seg("What to change", Ink.STRONG, bold=True), Seg("  in the fork", Ink.MUTED)]
        keys = [Seg("enter", Ink.STRONG, bold=True), Seg(" pick  ", Ink.MUTED)]
        self.query_one("#dialog-rule", Rule).show(
            title, [*keys, Seg("esc", Ink.STRONG, bold=True), Seg(" leave", Ink.MUTED)], ink=Ink.ACCENT
        )
        self.query_one("#pick", LineView).focus()

    def on_resize(self) -> None:
        """As high as the list, or as the screen."""
        self.query_one("#pick", LineView).styles.height = min(len(self._targets), max(self.app.size.height - 2, 1))

    @on(LineView.Opened, "#pick")
    def _picked(self, message: LineView.Opened) -> None:
        self.dismiss(self._targets[message.index])

    def action_leave(self) -> None:
        """Pick nothing."""
        self.dismiss(None)
