"""The metrics pane: the waterfall, the tries of the selected step, the critical path, and plots of what the driver used.

Apart from the other panes because it is expensive to say and nobody looks at it all the time: nothing here is computed while it is
hidden, and at most twice a second while it is shown.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical

from tagent_tui.rows import BLANK, Ink, Row, Seg, cells
from tagent_tui.shapes import Tab, rule
from tagent_tui.view import critical, plots, tries, waterfall
from tagent_tui.view.critical import NO_PATH, Path
from tagent_tui.view.plots import Reading
from tagent_tui.view.scene import Scene
from tagent_tui.view.waterfall import SORTS, Axis, Columns, Heat
from tagent_tui.widgets.bars import Rows, Sheet, TabRow
from tagent_tui.widgets.lines import LineView

WIDE, TALL, LOW = 100, 30, 16
ZOOMS = 8


class WaterfallLines:
    """The steps in the order they are sorted by, as rows on one axis. A source of rows."""

    def __init__(self) -> None:
        self.scene: Scene | None = None
        self.names: list[str] = []
        self.path: Path = NO_PATH
        self.sort = SORTS[0]
        self.zoom = 0
        self.around: str | None = None
        self._on: tuple[int, Axis, Columns] | None = None
        self._critical: frozenset[str] = frozenset()
        self._heat = Heat(0.0, 0)

    def look(self, scene: Scene) -> None:
        """Take a new look at the run."""
        self.scene, self._on = scene, None
        self.names = waterfall.order(scene.state, self.sort)
        self.path = critical.critical_path(scene.state, scene.outline)
        self._critical, self._heat = frozenset(self.path.done), Heat.of(scene.state)

    def frame(self, scene: Scene, width: int) -> tuple[Axis, Columns]:
        """The axis and the columns at a width."""
        if self._on is None or self._on[0] != width:
            columns = Columns.of(width)
            self._on = (width, waterfall.axis(scene, columns.axis, zoom=self.zoom, around=self.around), columns)
        return self._on[1], self._on[2]

    def rezoom(self, zoom: int, around: str | None) -> None:
        """Another part of the time."""
        self.zoom, self.around, self._on = zoom, around, None

    def count(self) -> int:
        """How many steps there are."""
        return len(self.names)

    def row(self, index: int, width: int) -> Row:
        """One step."""
        if self.scene is None or index >= len(self.names):
            return BLANK
        on, columns = self.frame(self.scene, width)
        return waterfall.waterfall_row(self.scene, self.names[index], on, columns, self._critical, self._heat)


class Header(Rows):
    """The axis over the waterfall."""

    def __init__(self, lines: WaterfallLines) -> None:
        super().__init__(id="axis")
        self._lines = lines

    def layout_rows(self, width: int) -> Sequence[Row]:
        """One row."""
        if self._lines.scene is None:
            return ()
        return (waterfall.header(*self._lines.frame(self._lines.scene, width), self.glyphs),)


class Metrics(Vertical):
    """The pane. `look` is asked only while it is shown."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("s", "sort", "sort by start, time or cost", show=False, id="metrics.sort"),
        Binding("plus,equals_sign", "zoom(1)", "zoom in on the step", show=False, id="metrics.zoom-in"),
        Binding("minus", "zoom(-1)", "zoom out", show=False, id="metrics.zoom-out"),
    ]

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.lines = WaterfallLines()
        self.samples: Sequence[Reading] = ()
        self.looks = 0
        self._wanted: str | None = None
        self._rows_below = 0

    def compose(self) -> ComposeResult:
        """Tabs, axis, waterfall, and what is below it."""
        yield TabRow(id="metrics-tabs")
        yield Header(self.lines)
        yield LineView(self.lines, id="waterfall")
        yield Sheet(id="below")

    @property
    def view(self) -> LineView:
        """The waterfall."""
        return self.query_one("#waterfall", LineView)

    @property
    def step(self) -> str | None:
        """The step the cursor is on."""
        names = self.lines.names
        return names[self.view.cursor] if self.view.cursor < len(names) else None

    def look(self, scene: Scene, samples: Sequence[Reading]) -> None:
        """Show a new look at the run."""
        self.looks += 1
        kept, self.samples = self._wanted or self.step, samples
        self._wanted = None
        self.lines.look(scene)
        if kept is not None and kept in self.lines.names and self.step != kept:
            self.view.move_to(self.lines.names.index(kept))
        self.view.rows_changed()
        self.show_frame()

    def go_to(self, step: str) -> None:
        """Put the cursor on a step: now, and at the first look if there was none yet."""
        self._wanted = step
        if step in self.lines.names:
            self.view.move_to(self.lines.names.index(step))

    def show_frame(self) -> None:
        """What stands around the waterfall."""
        if self.lines.scene is None:
            return
        glyphs = self.view.glyphs
        scale = "whole run" if not self.lines.zoom else f"1/{2**self.lines.zoom} of it"
        legend = [
            Seg(glyphs.active, Ink.ACCENT),
            Seg(" critical path", Ink.MUTED),
            Seg(f"   sort: {self.lines.sort}", Ink.MUTED),
            Seg(f"   scale: {scale}", Ink.MUTED),
        ]
        self.query_one(TabRow).show([Tab("4", "Waterfall")], 0, legend, focused=self.view.has_focus)
        self.query_one("#axis", Header).refresh()
        below = self.query_one("#below", Sheet)
        rows = self._below(max(self.size.width - 2, 0))
        below.display = bool(rows)
        if rows and self._rows_below != len(rows):
            below.styles.height = self._rows_below = len(rows)
        below.show(rows)

    def _below(self, width: int) -> list[Row]:
        """What is said below the waterfall, as much as the height allows."""
        scene, height = self.lines.scene, self.size.height
        if scene is None or height < LOW or width <= 0:
            return []
        name = self.step or ""
        if width < WIDE - 2 or height < TALL:
            small = plots.plots(scene.state, self.samples, scene.now, plots.small_cells(width))
            said = [Row(rule(width, glyphs=scene.glyphs)), tries.sentence(scene, name), BLANK]
            return [*said, *plots.small_panel(small, width, scene.glyphs), BLANK]
        return [*self._selected(scene, name, width), *self._path(scene, width), *self._resources(scene, width)]

    def _selected(self, scene: Scene, name: str, width: int) -> list[Row]:
        found = tries.rows(scene, name, width - 2)
        return [Row(rule(width, tries.title(name, scene.glyphs), glyphs=scene.glyphs)), *_indented(found), BLANK]

    def _path(self, scene: Scene, width: int) -> list[Row]:
        row = critical.path_row(scene, self.lines.path)
        title = [Seg("Critical path", Ink.STRONG, bold=True), Seg(f"  {critical.path_time(scene, self.lines.path)}", Ink.MUTED)]
        rows = [row] if cells(row.left) + cells(row.right) + 4 <= width else [Row(row.left), Row(row.right)]
        return [Row(rule(width, title, glyphs=scene.glyphs)), *_indented([one for one in rows if one.left or one.right]), BLANK]

    def _resources(self, scene: Scene, width: int) -> list[Row]:
        found = plots.plots(scene.state, self.samples, scene.now, plots.plot_cells(width - 2))
        title = [Seg("Resources", Ink.STRONG, bold=True), Seg("  of the driver" if self.samples else "  no samples", Ink.MUTED)]
        return [
            Row(rule(width, title, glyphs=scene.glyphs)),
            BLANK,
            *_indented(plots.panel(found, width - 2, scene.glyphs)),
            BLANK,
        ]

    def on_resize(self) -> None:
        """More or less fits below."""
        self.show_frame()

    def on_line_view_moved(self) -> None:
        """Another step is selected."""
        self.show_frame()

    def action_sort(self) -> None:
        """The next order."""
        kept = self.step
        self.lines.sort = SORTS[(SORTS.index(self.lines.sort) + 1) % len(SORTS)]
        if self.lines.scene is not None:
            self.lines.look(self.lines.scene)
        if kept is not None:
            self.view.cursor = self.lines.names.index(kept)
        self.view.rows_changed()
        self.view.move_to(self.view.cursor)
        self.show_frame()

    def action_zoom(self, by: int) -> None:
        """Half or twice the time, around the selected step."""
        self.lines.rezoom(min(max(self.lines.zoom + by, 0), ZOOMS), self.step)
        self.view.rows_changed()
        self.show_frame()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Zooming out needs a zoom."""
        return not (action == "zoom" and parameters == (-1,) and self.lines.zoom == 0)


def _indented(rows: Sequence[Row]) -> list[Row]:
    return [Row([Seg("  "), *row.left], row.right) for row in rows]
