"""A virtual list of lines: the run list, the step tree and the event log are this widget with different sources.

Apart from Textual's own lists because those build every row; this one asks its source for the rows on screen and keeps
them painted until the source says they changed. A source answers from memory at once; it never reads a store here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Protocol

from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Region
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from tagent_tui.glyphs import UNICODE, Glyphs
from tagent_tui.rows import Ink, Row, Seg, Tint, beside
from tagent_tui.theme import Palette


class Painted(Widget):
    """A widget painted from rows: knows the palette and the glyphs of the app it is in, and the mode of its screen."""

    tint: Tint | None = None
    """What the widget stands on; None is the screen's own background."""

    @property
    def palette(self) -> Palette:
        """From inks to styles, in the app's theme; violet where the screen has the class `-replay`."""
        colour = not self.app.no_color
        return Palette(self.app.current_theme.dark, self.screen.has_class("-replay"), colour, self.glyphs.ascii)

    @property
    def glyphs(self) -> Glyphs:
        """The marks in use."""
        found = getattr(self.app, "glyphs", UNICODE)
        return found if isinstance(found, Glyphs) else UNICODE


class Source(Protocol):
    """Where rows come from. Both answer at once, from what is in memory."""

    def count(self) -> int:
        """How many rows there are."""
        ...

    def row(self, index: int, width: int) -> Row:
        """Row `index` (from 0) laid out for `width` cells."""
        ...


class NoRows:
    """The source of a list that has nothing yet."""

    def count(self) -> int:
        """None."""
        return 0

    def row(self, index: int, width: int) -> Row:
        """A blank row; asked only if rows vanish while painting."""
        return Row(())


MOVES: tuple[BindingType, ...] = (
    Binding("j,down", "move(1)", "next row", show=False, id="list.down"),
    Binding("k,up", "move(-1)", "previous row", show=False, id="list.up"),
    Binding("g,home", "first", "first row", show=False, id="list.first"),
    Binding("G,end", "last", "last row", show=False, id="list.last"),
    Binding("ctrl+d", "half(1)", "half a page down", show=False, id="list.half-down"),
    Binding("ctrl+u", "half(-1)", "half a page up", show=False, id="list.half-up"),
    Binding("pagedown", "page(1)", "a page down", show=False, id="list.page-down"),
    Binding("pageup", "page(-1)", "a page up", show=False, id="list.page-up"),
    Binding("enter", "open", "open the row", show=False, id="list.open"),
)


class LineView(Painted, can_focus=True):
    """A virtual list with a cursor row. With `marked = False` it has none and the keys scroll.

    With `tail = True` it stays at the last row while it is there, and reports with `following` when the reader left it.
    """

    BINDINGS: ClassVar[list[BindingType]] = list(MOVES)
    marked: bool = True
    tail: bool = False

    @dataclass
    class Moved(Message):
        """The cursor is on another row (or, without a cursor, another row is at the top)."""

        view: LineView
        index: int

        @property
        def control(self) -> LineView:
            """The list."""
            return self.view

    @dataclass
    class Opened(Message):
        """Enter, or a click on the row the cursor is on."""

        view: LineView
        index: int

        @property
        def control(self) -> LineView:
            """The list."""
            return self.view

    def __init__(self, source: Source | None = None, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self.source: Source = source or NoRows()
        self.top = 0
        self.cursor = 0
        self.following = True
        self.painted_rows = 0
        """How many rows were laid out since the start: the measure of work in tests."""
        self._kept: dict[int, Strip] = {}
        self._laid: dict[int, Row] = {}
        self._kept_for: tuple[object, ...] = ()

    # What the screen does

    def show(self, source: Source) -> None:
        """Take rows from another source, from its first row (with `tail`: its last)."""
        self.source = source
        self.cursor = self.top = 0
        self.following = True
        self.rows_changed()

    def rows_changed(self) -> None:
        """The source's rows are others now: forget what was painted and keep the place as well as it can be kept."""
        self._kept.clear()
        if self.tail and self.following:
            self.cursor = max(0, self.source.count() - 1)
            self.top = self._last_top()
        self._settle()
        self.refresh()

    def rows_ticked(self) -> None:
        """The clock moved: lay the rows on screen out again, and paint those that say something else now."""
        width = max(self.size.width - 2, 0)
        for index in self.window:
            if self._laid.get(index) != self.source.row(index, width):
                self.row_changed(index)

    def row_changed(self, index: int) -> None:
        """One row says something else now; nothing moved."""
        self._kept.pop(index, None)
        self._refresh_row(index)

    def move_to(self, index: int, *, top: int | None = None) -> None:
        """Put the cursor on a row and bring it into view; `top` also says which row comes first."""
        before, before_top = self.cursor, self.top
        self.cursor = index
        if top is not None:
            self.top = top
        self._settle()
        self._follow_cursor()
        self.following = self.cursor >= self.source.count() - 1
        if self.top != before_top:
            self.refresh()
        elif self.cursor != before:
            self._refresh_row(before)
            self._refresh_row(self.cursor)
        if self.cursor != before:
            self.post_message(self.Moved(self, self.cursor))

    def scroll_rows(self, rows: int) -> None:
        """Move the window over the rows; the cursor stays inside it."""
        before, before_cursor = self.top, self.cursor
        self.top = min(max(self.top + rows, 0), self._last_top())
        if self.top == before:
            return
        height = max(self.size.height, 1)
        self.cursor = min(max(self.cursor, self.top), self.top + height - 1)
        self._settle()
        self.following = self.top >= self._last_top()
        self.refresh()
        if not self.marked or self.cursor != before_cursor:
            self.post_message(self.Moved(self, self.cursor if self.marked else self.top))

    @property
    def window(self) -> range:
        """The indices of the rows on screen."""
        return range(self.top, min(self.top + self.size.height, self.source.count()))

    # Keys and mouse

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """A list without rows has nothing to open, and a footer does not say that it has."""
        del parameters
        return action != "open" or (self.marked and self.source.count() > 0)

    def action_move(self, by: int) -> None:
        """One row down or up."""
        self._step(by)

    def action_half(self, way: int) -> None:
        """Half a page."""
        self._step(way * max(1, self.size.height // 2))

    def action_page(self, way: int) -> None:
        """A page, keeping one row."""
        self._step(way * max(1, self.size.height - 1))

    def action_first(self) -> None:
        """The first row."""
        self._step(-self.source.count())

    def action_last(self) -> None:
        """The last row; a log follows again from there."""
        self._step(self.source.count())
        self.following = True

    def action_open(self) -> None:
        """Open the row the cursor is on."""
        if self.source.count():
            self.post_message(self.Opened(self, self.cursor))

    def on_click(self, event: events.Click) -> None:
        """A click moves the cursor; on the row it is on already, it opens."""
        index = self.top + event.y
        if not self.marked or index >= self.source.count():
            return
        if index == self.cursor:
            self.action_open()
        else:
            self.move_to(index)

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        """The wheel moves the window."""
        event.stop()
        self.scroll_rows(3)

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        """The wheel moves the window."""
        event.stop()
        self.scroll_rows(-3)

    def on_resize(self) -> None:
        """The window fits the new height, with the cursor in it."""
        if self.tail and self.following:
            self.top = self._last_top()
        self._settle()
        if self.marked:
            self._follow_cursor()
        self.refresh()

    def on_focus(self) -> None:
        """The focus mark appears."""
        self._refresh_row(self.cursor)

    def on_blur(self) -> None:
        """The focus mark goes; the row stays quietly marked."""
        self._refresh_row(self.cursor)

    def _step(self, by: int) -> None:
        if self.marked:
            self.move_to(min(max(self.cursor + by, 0), max(self.source.count() - 1, 0)))
        else:
            self.scroll_rows(by)

    # Painting

    def render_line(self, y: int) -> Strip:
        """Line `y` of the widget, from what is painted or from the source."""
        index = self.top + y
        width = self.size.width
        palette = self.palette
        self._forget_if_changed(width, palette)
        if index >= self.source.count() or width <= 0:
            return palette.strip((), width, self.tint)
        selected = self.marked and index == self.cursor
        if not selected and index in self._kept:
            return self._kept[index]
        row = self._laid[index] = self.source.row(index, max(width - 2, 0))
        strip = self._paint(row, width, palette, selected)
        self.painted_rows += 1
        if not selected:
            self._kept[index] = strip
        return strip

    def _paint(self, row: Row, width: int, palette: Palette, selected: bool) -> Strip:
        tint = row.tint or self.tint
        left = list(row.left)
        mark = Seg(" ")
        if selected:
            tint = Tint.WAITING if row.wants else Tint.PANEL if self.has_focus else Tint.PANEL_QUIET
            if self.has_focus:
                mark = Seg(self.glyphs.focus, Ink.WARNING if row.wants else Ink.ACCENT)
            for index in row.strong:
                if index < len(left):
                    left[index] = left[index]._replace(bold=True, ink=_stronger(left[index].ink))
        inner = beside(left, row.right, max(width - 2, 0), ellipsis=self.glyphs.ellipsis)
        return palette.strip([mark, *inner], width, tint, selected=selected)

    def _forget_if_changed(self, width: int, palette: Palette) -> None:
        shown_for = (width, palette, self.source)
        if shown_for != self._kept_for:
            self._kept.clear()
            self._laid.clear()
            self._kept_for = shown_for
        elif len(self._laid) > 4 * max(self.size.height, 50):
            self._kept.clear()
            self._laid.clear()

    def _refresh_row(self, index: int) -> None:
        y = index - self.top
        if 0 <= y < self.size.height:
            self.refresh(Region(0, y, self.size.width, 1))

    # Keeping the place

    def _last_top(self) -> int:
        return max(0, self.source.count() - max(self.size.height, 1))

    def _settle(self) -> None:
        self.cursor = min(max(self.cursor, 0), max(self.source.count() - 1, 0))
        self.top = min(max(self.top, 0), self._last_top())

    def _follow_cursor(self) -> None:
        height = max(self.size.height, 1)
        if self.cursor < self.top:
            self.top = self.cursor
        elif self.cursor >= self.top + height:
            self.top = self.cursor - height + 1


def _stronger(ink: Ink) -> Ink:
    """A selected name is strong; a coloured one keeps its colour, which says more."""
    return Ink.STRONG if ink in (Ink.TEXT, Ink.MUTED) else ink
