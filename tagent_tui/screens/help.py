"""All keys that apply where `?` was pressed, made from the bindings themselves, with the ids they are remapped by."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen

from tagent_tui.keys import Told
from tagent_tui.rows import BLANK, Ink, Row, Seg, column
from tagent_tui.screens.confirm import stand_on_pane
from tagent_tui.widgets.bars import Rule
from tagent_tui.widgets.lines import LineView


class HelpRows:
    """The help as rows: keys, what they do, the id."""

    def __init__(self, lines: Sequence[Told]) -> None:
        self._lines: list[Told | None] = []
        for line in lines:
            if self._lines and self._lines[-1] is not None and _group(self._lines[-1]) != _group(line):
                self._lines.append(None)
            self._lines.append(line)

    def count(self) -> int:
        """The lines, with a blank one between groups."""
        return len(self._lines)

    def row(self, index: int, width: int) -> Row:
        """One line."""
        line = self._lines[index]
        if line is None:
            return BLANK
        keys = column([Seg(line.keys, Ink.STRONG, bold=True)], 18 if width >= 48 else 12)
        right = [Seg(line.id, Ink.MUTED)] if width >= 60 else []
        return Row([Seg(" "), *keys, Seg(line.does)], right)


def _group(line: Told) -> str:
    return line.id.split(".")[0]


class HelpScreen(ModalScreen[None]):
    """The help over the screen it is about."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,question_mark,q", "close", "close the help", show=False, id="help.close"),
    ]

    def __init__(self, lines: Sequence[Told]) -> None:
        super().__init__()
        self._rows = HelpRows(lines)

    def compose(self) -> ComposeResult:
        """A coloured rule and the lines below it."""
        with Vertical(id="dialog", classes="-wide"):
            yield Rule(id="dialog-rule")
            yield LineView(self._rows, id="help-lines")

    def on_mount(self) -> None:
        """The lines scroll where they do not fit."""
        stand_on_pane(self)
        lines = self.query_one("#help-lines", LineView)
        lines.marked = False
        title = [Seg("Keys", Ink.STRONG, bold=True), Seg("  ids can be given other keys under ui.keys", Ink.MUTED)]
        closing = [Seg("esc", Ink.STRONG, bold=True), Seg(" close", Ink.MUTED)]
        self.query_one("#dialog-rule", Rule).show(title, closing, ink=Ink.ACCENT)
        lines.focus()

    def on_resize(self) -> None:
        """As high as its lines, or as the screen."""
        height = min(self._rows.count() + 1, max(self.app.size.height - 1, 1))
        self.query_one("#help-lines", LineView).styles.height = height

    def action_close(self) -> None:
        """Back to where it was asked for."""
        self.dismiss(None)
