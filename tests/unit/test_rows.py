"""Rows, and the shapes they are made of, keep their width."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagent_tui.glyphs import ASCII
from tagent_tui.rows import Ink, Seg, beside, cells, clip, clip_middle, column, fit, right_column
from tagent_tui.shapes import Key, Tab, key_row, level, progress, rule, spark, tabs

TEXTS = st.lists(st.text(st.sampled_from("ab日 é\u0301"), max_size=12).map(Seg), max_size=5)
WIDTHS = st.integers(min_value=0, max_value=40)


def said(segs: Iterable[Seg]) -> str:
    """The text of pieces."""
    return "".join(seg.text for seg in segs)


@given(TEXTS, WIDTHS)
def test_fitted_pieces_never_exceed_the_width(segs: list[Seg], width: int) -> None:
    """Cut pieces fit, and text that fits is not cut."""
    fitted = fit(segs, width)
    assert cells(fitted) <= width
    if cells(segs) <= width:
        assert said(fitted) == said(segs)


@given(TEXTS, TEXTS, WIDTHS)
def test_left_and_right_share_exactly_the_width(left: list[Seg], right: list[Seg], width: int) -> None:
    """Two parts side by side take the width to the cell, whatever is in them."""
    assert cells(beside(left, right, width)) == width


@given(TEXTS, WIDTHS)
def test_columns_take_exactly_their_width(segs: list[Seg], width: int) -> None:
    """A column is filled or cut to its width, on either side."""
    assert cells(column(segs, width)) == width
    assert cells(right_column(segs, width)) == width


def test_the_right_part_survives() -> None:
    """Where both do not fit the left part is cut, with a muted ellipsis."""
    segs = beside([Seg("a long name")], [Seg("1.0 s")], 12)
    assert said(segs) == "a lon… 1.0 s"
    assert next(seg for seg in segs if seg.text == "…").ink is Ink.MUTED


def test_wide_characters_are_not_cut_in_half() -> None:
    """A character of two cells that does not fit leaves a blank cell, not half of itself."""
    assert said(column([Seg("日本語")], 4)) == "日… "
    assert clip("日本語", 4) == "日…"


def test_paths_are_cut_in_the_middle() -> None:
    """A path keeps its root and its file name."""
    assert clip_middle("/home/user/projects/file.py", 17) == "/home…cts/file.py"
    assert clip_middle("short", 10) == "short"
    assert clip_middle("/a/long/path", 1) == "…"


@pytest.mark.parametrize(
    ("share", "bar"),
    [(0, "────────"), (0.001, "╸───────"), (0.5, "━━━━────"), (0.74, "━━━━━╸──"), (0.999, "━━━━━━━╸"), (1, "━━━━━━━━"),
     (7, "━━━━━━━━")],
)  # fmt: skip
def test_progress_is_in_half_cells(share: float, bar: str) -> None:
    """Anything begun shows and only a whole is full."""
    assert said(progress(share, 8)) == bar


def test_progress_in_ascii() -> None:
    """The ASCII bar is `==--`."""
    assert said(progress(0.5, 4, glyphs=ASCII)) == "==--"


def test_sparks_are_scaled_and_right_aligned() -> None:
    """The newest value is at the right end; the highest, or `top`, fills a cell."""
    assert spark([1, 2, 4], 5) == "  ▂▄█"
    assert spark([1, 2, 4], 3, top=8) == "▁▂▄"
    assert spark([0, 0], 2) == "▁▁"
    assert spark([], 3) == "   "
    assert spark([1, 2, 3], 0) == ""
    assert [level(share) for share in (0, 0.01, 0.5, 1)] == [" ", "▁", "▄", "█"]


@given(WIDTHS, TEXTS, TEXTS)
def test_rules_take_exactly_their_width(width: int, title: list[Seg], right: list[Seg]) -> None:
    """A rule with a title and a right end is as wide as its pane."""
    assert cells(rule(width, title, right)) == width


def test_a_rule_keeps_its_title_first() -> None:
    """Where there is no room for both, the right end goes."""
    assert said(rule(20, [Seg("3 Log")], [Seg("12 new")])) == "─ 3 Log ── 12 new ──"
    assert said(rule(12, [Seg("3 Log")], [Seg("12 new")])) == "─ 3 Log ────"


@given(st.integers(min_value=0, max_value=60), st.integers(min_value=0, max_value=3))
def test_tab_rows_take_exactly_their_width(width: int, active: int) -> None:
    """Names and line are as wide as the pane at any width."""
    entries = [Tab("1", "Steps"), Tab("2", "Detail"), Tab("3", "Log"), Tab("4", "Metrics")]
    for row in tabs(entries, active, width, [Seg("right")]):
        assert cells(row) == width


def test_the_active_tab_is_marked_on_the_line() -> None:
    """The line is heavy exactly under the active tab, accent only in the pane with the focus."""
    names, line = tabs([Tab("1", "Steps"), Tab("2", "Log")], 1, 24)
    assert said(names) == " 1 Steps   2 Log        "
    assert said(line) == "───────────━━━━━────────"
    assert line[1].ink is Ink.ACCENT
    assert tabs([Tab("", "Log")], 0, 10, focused=False)[1][1].ink is Ink.MUTED


def test_the_active_tab_is_never_dropped() -> None:
    """In a narrow pane the names start with the active one."""
    names, line = tabs([Tab("1", "Steps"), Tab("2", "Detail"), Tab("3", "Log")], 2, 9)
    assert said(names) == " 3 Log   "
    assert said(line) == "─━━━━━───"


KEYS = [Key("enter", "open"), Key("n", "new"), Key("R", "resume"), Key("?", "help")]


def test_a_footer_drops_from_the_end_but_keeps_help_and_the_right_end() -> None:
    """What does not fit goes; the key for help and what wants a person stay."""
    assert said(key_row(KEYS, 50)) == " enter open  n new  R resume  ? help              "
    assert said(key_row(KEYS, 30)) == " enter open  n new  ? help    "
    assert said(key_row(KEYS, 31, [Seg("◆ 1 waits")])) == " enter open  ? help  ◆ 1 waits "
    assert said(key_row(KEYS, 10)) == " ? help   "


@given(st.integers(min_value=0, max_value=60), TEXTS)
def test_footers_take_exactly_their_width(width: int, right: list[Seg]) -> None:
    """The footer is as wide as the screen."""
    assert cells(key_row(KEYS, width, right)) == width
