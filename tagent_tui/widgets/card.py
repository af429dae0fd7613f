"""The card in place of the details: what waits for a person, its keys, and a line for a note or an answer.

Apart from the detail pane because it wants something: it stands on a surface of its own below a coloured rule, is never sent off by
`enter`, and does not hear keys in the moment it appears, which may have been meant for something else.
"""

from __future__ import annotations

import time

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.widgets import Input

from tagent_tui.rows import Ink, Row, Seg, Tint
from tagent_tui.view import card
from tagent_tui.view.asking import Wait
from tagent_tui.view.card import Card
from tagent_tui.widgets.bars import Rows, Rule
from tagent_tui.widgets.lines import LineView

DEAF = 0.3
"""Seconds after a card appears in which its keys do nothing."""


class CardRows:
    """A card as a source of rows, laid out once a width."""

    def __init__(self, shown: Card) -> None:
        self.shown = shown
        self._laid: tuple[int, list[Row]] = (0, [])

    def fit(self, width: int) -> None:
        """Lay out for a width."""
        self._laid = (width, card.rows(self.shown, width))

    def count(self) -> int:
        """How many rows there are."""
        return len(self._laid[1])

    def row(self, index: int, width: int) -> Row:
        """A row of the card."""
        del width
        return self._laid[1][index]


class CardText(LineView):
    """The text of a card; it scrolls where there is no room for all of it."""

    marked = False
    tint = Tint.PANE

    def on_resize(self) -> None:
        """Lay out for the new width."""
        if isinstance(self.source, CardRows):
            self.source.fit(max(self.size.width - 2, 0))
            self.rows_changed()


class CardPane(Vertical):
    """The card. `wait` is what it is about, None while there is none."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.wait: Wait | None = None
        self._since = 0.0

    def compose(self) -> ComposeResult:
        """Rule, text, the line to type on, keys."""
        yield Rule(id="card-rule")
        yield CardText(id="card")
        yield Rows(id="card-label")
        yield Input(id="card-input", compact=True, select_on_focus=False)
        yield Rows(id="card-keys")

    def on_mount(self) -> None:
        """Everything stands on the surface of cards."""
        self.query_one("#card-rule", Rule).show(ink=Ink.WARNING)
        for name in ("#card-label", "#card-keys"):
            self.query_one(name, Rows).tint = Tint.PANE
        self.query_one("#card-rule", Rule).tint = Tint.PANE

    @property
    def text(self) -> CardText:
        """The text."""
        return self.query_one("#card", CardText)

    @property
    def line(self) -> Input:
        """The line for a note or an answer."""
        return self.query_one("#card-input", Input)

    @property
    def typing(self) -> bool:
        """Whether somebody types on its line."""
        return self.line.has_focus

    @property
    def awake(self) -> bool:
        """Whether its keys do something by now."""
        return self.wait is not None and time.monotonic() - self._since >= DEAF

    def show(self, shown: Card) -> None:
        """Show this card; another one than before is deaf for a moment, and begins with an empty line."""
        fresh = self.wait is None or self.wait[:2] != shown.asked.wait[:2] or self.wait.request != shown.asked.wait.request
        self.wait = shown.asked.wait
        source = CardRows(shown)
        source.fit(max(self.text.size.width - 2, 0))
        top = 0 if fresh else self.text.top
        self.text.show(source)
        self.text.scroll_rows(top)
        if fresh:
            self._since = time.monotonic()
            self.line.value = ""
            self.rest()

    def hide(self) -> None:
        """There is no card now."""
        self.wait = None

    def ask(self, label: str, placeholder: str) -> None:
        """Have something typed."""
        self.set_class(True, "-typing")
        self.query_one("#card-label", Rows).show([Row([Seg(label, Ink.MUTED)])])
        self.line.placeholder = placeholder
        self.line.focus()
        self._say_keys()

    def rest(self) -> None:
        """Nothing is typed now."""
        self.set_class(False, "-typing")
        self._say_keys()

    def complain(self, error: str) -> None:
        """What is wrong with what was typed."""
        self.query_one("#card-label", Rows).show([Row([Seg(error, Ink.ERROR)])])

    def _say_keys(self) -> None:
        wait = self.wait
        if wait is None:
            return
        if self.has_class("-typing"):
            entries = [("enter", "send" if wait.kind == "question" else "reject"), ("esc", "go back")]
        elif wait.kind == "question":
            entries = [("A", "answer"), ("esc", "later")]
        else:
            entries = [("A", "approve once"), ("R", "reject"), ("esc", "later")]
        segs: list[Seg] = []
        for key, word in entries:
            segs += [
                Seg(f" {key} ", Ink.STRONG, bold=True, tint=Tint.PANEL_QUIET),
                Seg(f" {word} ", tint=Tint.PANEL_QUIET),
                Seg("  "),
            ]
        self.query_one("#card-keys", Rows).show([Row(segs)])
