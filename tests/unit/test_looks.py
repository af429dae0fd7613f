"""Glyphs and colours keep the promises of the design language."""

from __future__ import annotations

import pytest
from rich.cells import cell_len

from store.state import RunStatus, StepStatus
from tagent_tui.glyphs import ASCII, UNICODE, choose, every_mark
from tagent_tui.rows import Ink, Seg, Tint
from tagent_tui.theme import DARK, LIGHT, THEMES, Palette

TEXT_INKS = (Ink.TEXT, Ink.STRONG, Ink.MUTED, Ink.ACCENT, Ink.SUCCESS, Ink.ERROR, Ink.WARNING)


def luminance(colour: str) -> float:
    """Relative luminance of `#RRGGBB` (WCAG 2)."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    """The contrast ratio of two colours (WCAG 2), from 1 to 21."""
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("dark", [True, False])
@pytest.mark.parametrize("replay", [True, False])
@pytest.mark.parametrize("tint", [None, *Tint])
@pytest.mark.parametrize("ink", TEXT_INKS)
def test_text_is_readable_everywhere(dark: bool, replay: bool, tint: Tint | None, ink: Ink) -> None:
    """Every text colour has at least 4.5:1 on every surface it can stand on, in both themes and modes."""
    palette = Palette(dark, replay)
    assert contrast(palette.hex(ink), palette.ground(tint)) >= 4.5


@pytest.mark.parametrize("dark", [True, False])
@pytest.mark.parametrize("replay", [True, False])
def test_graphics_are_visible(dark: bool, replay: bool) -> None:
    """Graphs have at least 3:1 on the ground they are drawn on; settled bars 2:1, as a figure always says the same."""
    palette = Palette(dark, replay)
    assert contrast(palette.hex(Ink.GRAPH), palette.ground(None)) >= 3
    assert contrast(palette.hex(Ink.GRAPH_QUIET), palette.ground(None)) >= 2


@pytest.mark.parametrize("dark", [True, False])
def test_the_chip_is_readable(dark: bool) -> None:
    """A reversed chip has the same contrast as its colour on the bar."""
    for ink in (Ink.ACCENT, Ink.SUCCESS, Ink.ERROR, Ink.WARNING, Ink.MUTED):
        assert contrast(Palette(dark).hex(ink), Palette(dark).ground(Tint.SURFACE)) >= 4.5


def test_both_themes_have_all_variables() -> None:
    """A variable of one theme is in the other, and both reach the stylesheet."""
    assert set(DARK) == set(LIGHT)
    for theme in THEMES:
        assert all(name in theme.variables or getattr(theme, name, None) for name in DARK)


def test_replay_takes_the_place_of_the_accent() -> None:
    """In the past the accent is violet and the surfaces are tinted."""
    live, replay = Palette(), Palette(replay=True)
    assert replay.hex(Ink.ACCENT) == live.hex(Ink.REPLAY) == DARK["replay"]
    assert replay.ground(None) == DARK["replay-background"]
    assert replay.ground(Tint.PANEL) == DARK["replay-panel"]


def test_without_colour_there_is_bold_and_reverse_only() -> None:
    """NO_COLOR leaves weight and reverse: a selected row is reversed, a chip on it stands out of it."""
    palette = Palette(colour=False)
    strip = palette.strip([Seg("a", Ink.ERROR), Seg("b", reverse=True)], 4, Tint.PANEL, selected=True)
    styles = [segment.style for segment in strip]
    assert all(style is not None and style.color is None and style.bgcolor is None for style in styles)
    assert [bool(style and style.reverse) for style in styles] == [True, False, True]


@pytest.mark.parametrize("glyphs", [UNICODE, ASCII])
def test_every_mark_is_one_cell(glyphs: object) -> None:
    """No mark is wider than a cell, and the ASCII ones are ASCII."""
    assert isinstance(glyphs, type(UNICODE))
    marks = every_mark(glyphs)
    assert all(cell_len(mark) == 1 for mark in marks)
    assert glyphs.ascii is marks.isascii()


def test_every_status_has_a_mark_of_its_own() -> None:
    """Statuses can be told apart without colour, in both sets."""
    words = {status.word for status in [*RunStatus, *StepStatus]}
    for glyphs in (UNICODE, ASCII):
        assert len({glyphs.status(word) for word in words}) == len(words)
    assert UNICODE.status("no such status") == UNICODE.in_doubt


@pytest.mark.parametrize(
    ("option", "encoding", "term", "ascii_"),
    [
        ("auto", "utf-8", "xterm-256color", False), ("auto", "UTF8", "xterm", False), ("auto", "iso-8859-1", "xterm", True),
        ("auto", "ascii", "xterm", True), ("auto", "no-such", "xterm", True), ("auto", "utf-8", "dumb", True),
        ("auto", "utf-8", "linux", True), ("ascii", "utf-8", "xterm", True), ("unicode", "ascii", "dumb", False),
    ],
)  # fmt: skip
def test_the_set_is_chosen_by_option_or_terminal(option: str, encoding: str, term: str, ascii_: bool) -> None:
    """An option decides; else encoding and kind of terminal do."""
    assert choose(option, encoding=encoding, environ={"TERM": term}).ascii is ascii_


def test_a_terminal_that_draws_a_mark_wide_gets_ascii() -> None:
    """One mark of two cells would shift every row, so all are replaced."""
    wide = choose("auto", environ={"TERM": "xterm"}, width_of=lambda mark: 2 if mark == "●" else 1)
    assert wide.ascii
