"""Form fields: a label, a line to type on with its kind at the right end, the error under it; and a choice of a few.

Apart from Textual's own look because a form here has no boxes: one bar in front says where the keys go.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget
from textual.widgets import Input

from tagent_tui.rows import Ink, Row, Seg, Tint
from tagent_tui.text import one_line
from tagent_tui.widgets.bars import Rows
from tagent_tui.widgets.lines import Painted

LABEL = 20
"""Cells of a label."""


class Mark(Painted):
    """The bar in front of a field: accent where the keys go."""

    lit: bool = False

    def light(self, lit: bool) -> None:
        """Whether the keys go here."""
        self.lit = lit
        self.refresh()

    def render_line(self, y: int) -> Strip:
        """One cell."""
        ink = Ink.ACCENT if self.lit else Ink.GUIDE
        mark = Seg(self.glyphs.focus if self.lit else self.glyphs.vertical, ink)
        return self.palette.strip([mark], self.size.width, Tint.PANEL if self.lit else Tint.SURFACE)


class Field(Widget):
    """A label, a text, what kind of text it wants, and under it the error or a note."""

    def __init__(self, label: str, kind: str, *, value: str = "", placeholder: str = "", id: str) -> None:
        super().__init__(id=id)
        self._label, self._kind = label, kind
        self._value, self._placeholder = value, placeholder
        self._error = ""

    def compose(self) -> ComposeResult:
        """One line to type on, one below for what is wrong."""
        with Horizontal(classes="line"):
            yield Rows(classes="label")
            yield Mark(classes="mark")
            yield Input(self._value, placeholder=self._placeholder, compact=True, select_on_focus=False)
            yield Rows(classes="kind")
        yield Rows(classes="error")

    def on_mount(self) -> None:
        """Say label and kind."""
        self.query_one(".label", Rows).show([Row([Seg(self._label)])])
        kind = self.query_one(".kind", Rows)
        kind.tint = Tint.SURFACE
        kind.styles.width = len(self._kind) + 2
        kind.show([Row([Seg(self._kind, Ink.MUTED)])])

    @property
    def input(self) -> Input:
        """The line to type on."""
        return self.query_one(Input)

    @property
    def value(self) -> str:
        """What is typed."""
        return self.input.value

    def complain(self, error: str) -> None:
        """What is wrong, under the field; empty takes the line away."""
        if error != self._error:
            self._error = error
            self.set_class(bool(error), "-wrong")
            line = self.query_one(".error", Rows)
            segs = [Seg(f"{line.glyphs.failed} ", Ink.ERROR), *one_line(error, 300).segs(Ink.ERROR)] if error else []
            line.show([Row(segs)])

    def on_descendant_focus(self) -> None:
        """The label is strong and the bar lit where the keys go."""
        self._lit(True)

    def on_descendant_blur(self) -> None:
        """Quiet again."""
        self._lit(False)

    def _lit(self, lit: bool) -> None:
        self.query_one(Mark).light(lit)
        self.query_one(".label", Rows).show([Row([Seg(self._label, Ink.STRONG if lit else Ink.TEXT, bold=lit)])])
        self.query_one(".kind", Rows).tint = Tint.PANEL if lit else Tint.SURFACE
        self.query_one(".kind", Rows).refresh()


class Choice(Painted, can_focus=True):
    """`(•) this  ( ) that`: one of a few, moved with the arrows or the space bar."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("right,l,space", "turn(1)", "next choice", show=False, id="form.next-choice"),
        Binding("left,h", "turn(-1)", "previous choice", show=False, id="form.previous-choice"),
    ]

    @dataclass
    class Changed(Message):
        """Another one is chosen."""

        choice: Choice
        index: int

        @property
        def control(self) -> Choice:
            """The choice."""
            return self.choice

    def __init__(self, label: str, options: Sequence[str], *, id: str, index: int = 0) -> None:
        super().__init__(id=id)
        self._label, self._options = label, tuple(options)
        self.index = index

    def action_turn(self, by: int) -> None:
        """The next one, round and round."""
        self.index = (self.index + by) % len(self._options)
        self.refresh()
        self.post_message(self.Changed(self, self.index))

    def on_click(self, event: events.Click) -> None:
        """A click takes the option it is on."""
        at = LABEL + 3
        for index, option in enumerate(self._options):
            at += len(option) + 6
            if event.x < at:
                if event.x > LABEL and index != self.index:
                    self.action_turn(index - self.index)
                return

    def on_focus(self) -> None:
        """The bar lights."""
        self.refresh()

    def on_blur(self) -> None:
        """The bar is quiet."""
        self.refresh()

    def render_line(self, y: int) -> Strip:
        """The options on one line."""
        width = self.size.width
        if y > 0:
            return self.palette.strip((), width, self.tint)
        lit = self.has_focus
        label = Seg(f" {self._label}".ljust(LABEL), Ink.STRONG if lit else Ink.TEXT, bold=lit)
        dot = "*" if self.glyphs.ascii else "•"
        mark = Seg(self.glyphs.focus if lit else self.glyphs.vertical, Ink.ACCENT if lit else Ink.GUIDE, tint=Tint.SURFACE)
        ground = Tint.PANEL if lit else Tint.SURFACE
        segs = [label, mark, Seg(" ", tint=ground)]
        for index, option in enumerate(self._options):
            chosen = index == self.index
            said = f"({dot}) {option}" if chosen else f"( ) {option}"
            segs += [Seg(said, Ink.STRONG if chosen else Ink.MUTED, bold=chosen, tint=ground), Seg("  ", tint=ground)]
        used = sum(len(seg.text) for seg in segs)
        return self.palette.strip([*segs, Seg(" " * max(width - used, 0), tint=ground)], width)
