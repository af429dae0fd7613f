"""The widgets everything is made of, each fed with hostile text at every width."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from rich.cells import cell_len
from textual.app import App, ComposeResult

from tagent_tui.rows import Row, Seg
from tagent_tui.shapes import Key, Tab, chip
from tagent_tui.text import Line, one_line, wrap
from tagent_tui.widgets.bars import Divider, Footer, Rows, Rule, Sheet, TabRow, TitleBar
from tagent_tui.widgets.fields import Choice, Field
from tagent_tui.widgets.lines import LineView, Painted
from tests.acceptance.made_runs import HOSTILE

LINES: list[Line] = [one_line(text) for text in HOSTILE]


class Hostile:
    """A source whose rows are hostile text on both sides."""

    def count(self) -> int:
        """A row for each text."""
        return len(LINES)

    def row(self, index: int, width: int) -> Row:
        """The text, twice."""
        return Row(LINES[index].segs(bold=True), LINES[index].segs(), strong=(0,))


class Gallery(App[None]):
    """One of each widget."""

    CSS_PATH = "../../tagent_tui/app.tcss"

    def get_theme_variable_defaults(self) -> dict[str, str]:
        """The colours of the app."""
        from tagent_tui.theme import DARK

        return dict(DARK)

    def compose(self) -> ComposeResult:
        """All of them, one below the other."""
        yield TitleBar()
        yield TabRow()
        yield Rule()
        yield Divider()
        yield Rows(id="rows")
        yield Sheet(id="sheet")
        yield LineView(Hostile(), id="lines")
        yield Choice(LINES[0].text, [line.text for line in LINES], id="choice")
        yield Field(LINES[1].text, LINES[2].text[:20], id="field")
        yield Footer()

    def fill(self, line: Line) -> None:
        """Feed one hostile text to every widget."""
        segs: Sequence[Seg] = line.segs()
        self.query_one(TitleBar).show(chip(line.text[:20]), Row(segs, segs), Row(segs, segs))
        self.query_one(TabRow).show([Tab(line.text[:3], line.text), Tab("", line.text)], 1, segs, focused=True)
        self.query_one(Rule).show(segs, segs)
        self.query_one("#rows", Rows).show([Row(segs, segs)] * 3)
        self.query_one("#sheet", Sheet).show_layout(lambda width: [Row(piece.segs()) for piece in wrap(line, width)])
        self.query_one(Footer).show([Key(line.text, line.text), Key("?", "help")], segs)
        self.query_one(Field).complain(line.text)


@pytest.mark.parametrize("size", [(120, 40), (80, 24), (31, 12), (7, 30), (2, 5), (1, 1)])
async def test_every_widget_keeps_its_width_and_its_peace(size: tuple[int, int]) -> None:
    """Whatever text a widget is given, each of its lines is exactly as wide as the widget and has no control character."""
    app = Gallery()
    async with app.run_test(size=size) as pilot:
        for line in LINES:
            app.fill(line)
            await pilot.pause()
            for widget in app.query(Painted):
                for y in range(min(widget.size.height, 12)):
                    strip = widget.render_line(y)
                    assert cell_len(strip.text) == widget.size.width, (widget, line)
                    assert not [char for char in strip.text if ord(char) < 32 or char in "\x7f\x9b\u202e\u200b"]


async def test_a_list_without_rows_or_room() -> None:
    """Every key of a list does nothing harmful when it is empty or has no room."""
    app = Gallery()
    async with app.run_test(size=(1, 1)) as pilot:
        view = app.query_one(LineView)
        for source in (Hostile(), None):
            if source is None:
                view.source = LineView().source
                view.rows_changed()
            view.focus()
            await pilot.press("j", "k", "G", "g", "ctrl+d", "ctrl+u", "pagedown", "pageup", "enter", "end", "home")
        assert view.cursor == view.top == 0
