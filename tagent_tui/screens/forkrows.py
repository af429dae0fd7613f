"""The two lists of the fork's dialog: what is changed, and what was foreseen.

Apart from the dialog because they answer the painting, which waits for nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tagent_tui.glyphs import Glyphs
from tagent_tui.rows import BLANK, Ink, Row, Seg
from tagent_tui.view.editing import Draft, change_row
from tagent_tui.view.foreseen import Foreseen, Ground, foreseen_rows


class ChangeRows:
    """The collected changes as rows; one that says how to add some where there is none."""

    def __init__(self, draft: Draft, glyphs: Callable[[], Glyphs]) -> None:
        self._draft, self._glyphs = draft, glyphs

    def count(self) -> int:
        """At least one row."""
        return max(len(self._draft.changes), 1)

    def row(self, index: int, width: int) -> Row:
        """A change."""
        if index >= len(self._draft.changes):
            key = Seg("   a", Ink.STRONG, bold=True)
            return Row([Seg("nothing is changed", Ink.MUTED), key, Seg(" changes something", Ink.MUTED)])
        return change_row(self._draft.changes[index], self._glyphs())


class ForeseenRows:
    """What was foreseen as rows, laid out once a width. `found` is None before anything was."""

    def __init__(self, ground: Ground, glyphs: Callable[[], Glyphs]) -> None:
        self.found: Foreseen | None = None
        self._ground, self._glyphs = ground, glyphs
        self._width = 118
        self._made: tuple[Foreseen | None, int, Sequence[Row]] = (None, 0, ())

    def count(self) -> int:
        """How many rows it takes at the width last drawn."""
        return len(self._rows(self._width))

    def row(self, index: int, width: int) -> Row:
        """One of them."""
        self._width = width
        rows = self._rows(width)
        return rows[index] if index < len(rows) else BLANK

    def _rows(self, width: int) -> Sequence[Row]:
        if self.found is None:
            return ()
        if self._made[0] is not self.found or self._made[1] != width:
            self._made = (self.found, width, foreseen_rows(self.found, self._ground, width, self._glyphs()))
        return self._made[2]
