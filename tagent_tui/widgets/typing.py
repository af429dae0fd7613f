"""A box to type a value in, and what is typed or pasted there made safe.

Apart from Textual's own because that draws its text as it is: a control character in it would reach the terminal.
"""

from __future__ import annotations

from collections.abc import Collection

from rich.color import Color
from rich.segment import Segment
from rich.style import Style
from textual.geometry import Offset
from textual.strip import Strip
from textual.widgets import TextArea

from tagent_tui.rows import Tint
from tagent_tui.text import typed_lines
from tagent_tui.theme import Palette


class ValueBox(TextArea):
    """Several lines, wrapped, without line numbers and without a highlight of its own. `tab` leaves it."""

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id, compact=True, highlight_cursor_line=False, show_line_numbers=False)
        self._fresh: frozenset[int] = frozenset()

    def put(self, text: str) -> None:
        """Show this text, without what would be named elsewhere."""
        self.load_text(typed_lines(text))
        self.move_cursor((0, 0))

    def mark(self, lines: Collection[int]) -> None:
        """These lines, from 0, are not as they were."""
        if self._fresh != frozenset(lines):
            self._fresh = frozenset(lines)
            self.refresh()

    def render_line(self, y: int) -> Strip:
        """A line on the tint of added ones where it is that; the cursor and what is selected keep their own ground."""
        strip = super().render_line(y)
        if not self._fresh or self.app.no_color or y + self.scroll_offset.y >= self.wrapped_document.height:
            return strip
        line, _ = self.wrapped_document.offset_to_location(Offset(0, y + self.scroll_offset.y))
        if line not in self._fresh:
            return strip
        ground = self.background_colors[1].rich_color
        tint = Style(bgcolor=Color.parse(Palette(self.app.current_theme.dark).ground(Tint.ADDED)))
        return Strip([_on(segment, ground, tint) for segment in strip], strip.cell_length)


def _on(segment: Segment, ground: Color, tint: Style) -> Segment:
    style = segment.style
    plain = style is None or style.bgcolor is None or style.bgcolor.triplet == ground.triplet
    return Segment(segment.text, style + tint if style is not None else tint, segment.control) if plain else segment
