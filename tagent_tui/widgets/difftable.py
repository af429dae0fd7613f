"""The panes of the diff screen: the pairs of steps, and the texts of one pair with its tabs.

Apart from the screen because their rows come from values that it gives them: which are shown, and how they are laid out in a width.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from textual import events
from textual.strip import Strip

from engine.replay.difference import RunDiff, StepDiff
from store.state import owner_of
from tagent_tui.glyphs import UNICODE, Glyphs
from tagent_tui.rows import BLANK, Ink, Row, Seg, cells
from tagent_tui.shapes import tabs
from tagent_tui.view.diffrows import columns, divergence_row, pair_row, place_of
from tagent_tui.widgets.bars import TabRow
from tagent_tui.widgets.lines import LineView


class PairRows:
    """The table's rows: steps, and among them the first divergence. Of what belongs to a step only what differs has a row."""

    def __init__(self) -> None:
        self.diff: RunDiff | None = None
        self.glyphs = UNICODE
        self.steps: list[StepDiff] = []
        self.rule: int | None = None
        self.differing: list[int] = []
        """The rows of steps that are not the same."""
        self._places: dict[str, int] = {}

    def put(self, diff: RunDiff, glyphs: Glyphs, *, differing: bool) -> None:
        """Show this comparison; with `differing` without the steps that are the same."""
        self.diff, self.glyphs = diff, glyphs
        self.steps = [one for one in diff.steps if one.what != "same" or not (differing or owner_of(one.step))]
        self.rule = place_of(diff, self.steps)
        self._places = {one.step: index + (self.rule is not None and index >= self.rule) for index, one in enumerate(self.steps)}
        self.differing = [self._places[one.step] for one in self.steps if one.what != "same"]

    def count(self) -> int:
        """A row a step, and one for the rule."""
        return len(self.steps) + (self.rule is not None)

    def row(self, index: int, width: int) -> Row:
        """One row."""
        step = self.step(index)
        if self.diff is None or (step is None and index != self.rule):
            return BLANK
        if step is None:
            return divergence_row(self.diff, width, self.glyphs)
        return pair_row(step, columns(width), self.glyphs)

    def step(self, index: int) -> StepDiff | None:
        """The step of a row; None for the rule."""
        if index == self.rule:
            return None
        if self.rule is not None and index > self.rule:
            index -= 1
        return self.steps[index] if 0 <= index < len(self.steps) else None

    def find(self, name: str) -> int | None:
        """The row of a step."""
        return self._places.get(name)


class PairTable(LineView):
    """The table. The cursor passes over the rule."""

    def __init__(self, *, id: str | None = None) -> None:
        self.pairs = PairRows()
        super().__init__(self.pairs, id=id)

    def move_to(self, index: int, *, top: int | None = None) -> None:
        """Put the cursor on a step's row."""
        if index == self.pairs.rule:
            index += 1 if index > self.cursor or index == 0 else -1
        super().move_to(index, top=top)


class _Laid:
    """Rows of a layout, made once a width."""

    def __init__(self, layout: Callable[[int], Sequence[Row]]) -> None:
        self._layout = layout
        self._made: Sequence[Row] = ()
        self._width = -1

    def fit(self, width: int) -> None:
        if width != self._width:
            self._made, self._width = self._layout(width), width

    def count(self) -> int:
        return len(self._made)

    def row(self, index: int, width: int) -> Row:
        self.fit(width)
        return self._made[index] if index < len(self._made) else BLANK


class TextPane(LineView):
    """A text that scrolls. Another subject starts at the top, the same one keeps its place."""

    marked = False

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._about: object = None

    def put(self, about: object, layout: Callable[[int], Sequence[Row]]) -> None:
        """Show the rows that `layout` makes for a width."""
        top = self.top if about == self._about else 0
        self._about = about
        laid = _Laid(layout)
        laid.fit(max(self.size.width - 2, 0))
        self.show(laid)
        self.top = min(top, self._last_top())

    def on_resize(self, event: events.Resize) -> None:  # type: ignore[override]
        """Lay out for the new width."""
        del event
        if isinstance(self.source, _Laid):
            self.source.fit(max(self.size.width - 2, 0))
        self.rows_changed()


class NamedTabs(TabRow):
    """Tabs behind the name of what they are about."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._lead: tuple[Seg, ...] = ()

    def head(self, segs: Sequence[Seg]) -> None:
        """Say this before the tabs."""
        if tuple(segs) != self._lead:
            self._lead = tuple(segs)
            self.refresh()

    def render_line(self, y: int) -> Strip:
        """The name and the tabs (0) or the line (1)."""
        width, glyphs = self.size.width, self.glyphs
        taken = cells(self._lead)
        rows = tabs(self._entries, self._active, max(width - taken, 0), self._right, focused=self._focused, glyphs=glyphs)
        if y > 1:
            return self.palette.strip((), width, self.tint)
        lead = self._lead if y == 0 else (Seg(glyphs.hairline * taken, Ink.HAIRLINE),)
        return self.palette.strip([*lead, *rows[y]], width, self.tint)

    def on_click(self, event: events.Click) -> None:
        """A click on a name chooses it."""
        at = cells(self._lead) + 1
        for index, tab in enumerate(self._entries):
            if at <= event.x < at + len(tab.key) + bool(tab.key) + len(tab.name):
                event.prevent_default()
                self.post_message(self.Chosen(self, index))
                return
            at += len(tab.key) + bool(tab.key) + len(tab.name) + 3
        event.prevent_default()
