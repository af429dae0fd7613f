"""The fixed parts of a screen: title bar, footer, tab row, a rule with a title, blocks of rows that do not scroll.

Apart from the lists because they have no cursor and no source: a screen tells them what to say, and they repaint only when
that differs from what they said.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from textual import events
from textual.message import Message
from textual.strip import Strip

from tagent_tui.rows import Ink, Row, Seg, Tint, beside, cells
from tagent_tui.shapes import Key, Tab, chip, key_row, rule, tabs
from tagent_tui.widgets.lines import Painted


class Rows(Painted):
    """A block of rows, drawn from the top, without a cursor. Rows laid out for a width come from `layout`."""

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self._rows: Sequence[Row] = ()

    def show(self, rows: Sequence[Row]) -> None:
        """Say this; nothing is repainted if it is what is shown."""
        if rows != self._rows:
            self._rows = rows
            self.refresh()

    def layout_rows(self, width: int) -> Sequence[Row]:
        """The rows for a width of cells; one that depends on the width overrides this."""
        return self._rows

    def render_line(self, y: int) -> Strip:
        """Line `y`: a row with one cell of margin on both sides, or blank."""
        width = self.size.width
        rows = self.layout_rows(max(width - 2, 0))
        if y >= len(rows):
            return self.palette.strip((), width, self.tint)
        row = rows[y]
        inner = beside(row.left, row.right, max(width - 2, 0), ellipsis=self.glyphs.ellipsis)
        return self.palette.strip([Seg(" "), *inner], width, row.tint or self.tint)


class Sheet(Rows):
    """A block of rows laid out when drawn, by a function from a width to rows."""

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self._layout: Callable[[int], Sequence[Row]] | None = None
        self._made: tuple[int, Sequence[Row]] | None = None

    def show_layout(self, layout: Callable[[int], Sequence[Row]]) -> None:
        """Take the rows from this function from now on, asked once a width; the same rows are not painted again."""
        self._layout, before = layout, self._made
        self._made = None
        if before is None or self.layout_rows(before[0]) != before[1]:
            self.refresh()

    def layout_rows(self, width: int) -> Sequence[Row]:
        """The function's rows, kept until it or the width changes."""
        if self._layout is None:
            return self._rows
        if self._made is None or self._made[0] != width:
            self._made = (width, self._layout(width))
        return self._made[1]


class TitleBar(Painted):
    """The bar above: the mode chip, what one is in, and at its right end what matters most. One row, or two."""

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self._chip = chip("")
        self._rows: tuple[Row, ...] = (Row(()),)

    def show(self, mode: Seg, first: Row, second: Row | None = None) -> None:
        """`mode` as `chip()` makes it; `first` stands beside it, `second` on a row of its own."""
        rows = (first,) if second is None else (first, second)
        if (mode, rows) != (self._chip, self._rows):
            if len(rows) != len(self._rows):
                self.styles.height = len(rows)
            self._chip, self._rows = mode, rows
            self.refresh()

    def render_line(self, y: int) -> Strip:
        """Row `y` of the bar, on the surface of bars."""
        width = self.size.width
        if y >= len(self._rows):
            return self.palette.strip((), width, Tint.SURFACE)
        row = self._rows[y]
        start = [self._chip, Seg(" ")] if y == 0 else [Seg(" ")]
        segs = beside([*start, *row.left], row.right, max(width - 1, 0), gap=2, ellipsis=self.glyphs.ellipsis)
        return self.palette.strip(segs, width, row.tint or Tint.SURFACE)


class Footer(Painted):
    """The bar below: the keys that apply, most used first, and at its right end the one thing that wants a person.

    A click on an entry is the key.
    """

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self._keys: tuple[Key, ...] = ()
        self._right: tuple[Seg, ...] = ()

    def show(self, keys: Sequence[Key], right: Sequence[Seg] = ()) -> None:
        """Say these keys, and this at the right end."""
        if (tuple(keys), tuple(right)) != (self._keys, self._right):
            self._keys, self._right = tuple(keys), tuple(right)
            self.refresh()

    def render_line(self, y: int) -> Strip:
        """The keys, on the surface of bars."""
        width = self.size.width
        return self.palette.strip(self._segs(width), width, Tint.SURFACE)

    def _segs(self, width: int) -> list[Seg]:
        return key_row(self._keys, width, self._right, glyphs=self.glyphs)

    def on_click(self, event: events.Click) -> None:
        """A click on a key's entry presses it."""
        at = 0
        pressed = ""
        for seg in self._segs(self.size.width):
            if seg.ink is Ink.STRONG and seg.bold:
                pressed = seg.text
            at += cells([seg])
            if event.x < at:
                if seg.text.strip() and seg.ink in (Ink.STRONG, Ink.MUTED) and pressed:
                    self.post_message(self.Pressed(pressed))
                return

    class Pressed(Message):
        """An entry was clicked; `key` as it is written in the footer."""

        def __init__(self, key: str) -> None:
            super().__init__()
            self.key = key


class TabRow(Painted):
    """Names above a hairline that is `━` under the active one: accent while its pane has the focus, muted else."""

    class Chosen(Message):
        """A name was clicked."""

        def __init__(self, row: TabRow, index: int) -> None:
            super().__init__()
            self.row = row
            self.index = index

        @property
        def control(self) -> TabRow:
            """The tab row."""
            return self.row

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self._entries: tuple[Tab, ...] = ()
        self._active = 0
        self._right: tuple[Seg, ...] = ()
        self._focused = False

    def show(self, entries: Sequence[Tab], active: int, right: Sequence[Seg] = (), *, focused: bool = False) -> None:
        """Say these names, the active one, and what stands at the right end."""
        said = (tuple(entries), active, tuple(right), focused)
        if said != (self._entries, self._active, self._right, self._focused):
            self._entries, self._active, self._right, self._focused = said
            self.refresh()

    def render_line(self, y: int) -> Strip:
        """The names (0) or the line (1)."""
        width = self.size.width
        rows = tabs(self._entries, self._active, width, self._right, focused=self._focused, glyphs=self.glyphs)
        return self.palette.strip(rows[y] if y < 2 else (), width, self.tint)

    def on_click(self, event: events.Click) -> None:
        """A click on a name chooses it."""
        at = 1
        for index, tab in enumerate(self._entries):
            size = len(tab.key) + bool(tab.key) + len(tab.name)
            if at <= event.x < at + size:
                self.post_message(self.Chosen(self, index))
                return
            at += size + 3


class Rule(Painted):
    """A hairline across, perhaps with a title in it and something at its right end."""

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self._title: tuple[Seg, ...] = ()
        self._right: tuple[Seg, ...] = ()
        self._ink = Ink.HAIRLINE

    def show(self, title: Sequence[Seg] = (), right: Sequence[Seg] = (), *, ink: Ink = Ink.HAIRLINE) -> None:
        """Say this in the rule."""
        said = (tuple(title), tuple(right), ink)
        if said != (self._title, self._right, self._ink):
            self._title, self._right, self._ink = said
            self.refresh()

    def render_line(self, y: int) -> Strip:
        """The rule."""
        width = self.size.width
        segs = rule(width, self._title, self._right, ink=self._ink, glyphs=self.glyphs) if y == 0 else ()
        return self.palette.strip(segs, width, self.tint)


class Divider(Painted):
    """A hairline column between two panes."""

    def render_line(self, y: int) -> Strip:
        """One cell of the line."""
        return self.palette.strip([Seg(self.glyphs.vertical, Ink.HAIRLINE)], self.size.width)
