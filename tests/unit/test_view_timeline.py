"""The timeline of a replay: density, rail, times, the events one by one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from store.projector import project
from tagent_tui.glyphs import ASCII, UNICODE, Glyphs
from tagent_tui.rows import Ink, Seg, beside, cells
from tagent_tui.view.timeline import (
    FORK,
    Mark,
    Playhead,
    Timeline,
    density_row,
    rail_row,
    spread,
    times_row,
    title_row,
    track_cells,
    track_row,
)
from tests.acceptance.made_runs import BASE, research

MARKS = [
    Mark(2, BASE, "run.attached"),
    Mark(40, BASE + 50, "step.failed"),
    Mark(41, BASE + 50, "effect.in_doubt"),
    Mark(60, BASE + 90, "run.attached"),
]
LINE = Timeline(100, BASE, BASE + 100, (5, 0, 0, 0, 0, 20, 0, 0, 0, 5), MARKS)


def joined(segs: list[Seg]) -> str:
    """Pieces as text."""
    return "".join(seg.text for seg in segs)


def test_counts_keep_their_sum_however_wide() -> None:
    """Counts spread over more or fewer cells add up to the same."""
    for width in (1, 3, 7, 10, 78, 240):
        assert sum(spread(LINE.counts, width)) == pytest.approx(30)
    assert spread((), 5) == [0.0] * 5
    assert spread((1, 2), 0) == []


def test_density_shows_bursts_the_past_and_the_playhead() -> None:
    """Past cells have the accent, future ones are quiet, empty ones a hairline, the playhead is a bar of its own."""
    segs = density_row(LINE, Playhead(50, BASE + 45), 10)
    assert joined(segs) == "▄▁▁▁▌█▁▁▁▄"
    assert [seg.ink for seg in segs] == [Ink.ACCENT, Ink.HAIRLINE, Ink.STRONG, Ink.GRAPH_QUIET, Ink.HAIRLINE, Ink.GRAPH_QUIET]


def test_the_rail_marks_what_matters_most() -> None:
    """Where two marks meet the graver one shows; a first arrival has none, a resume has one; the playhead is above all."""
    segs = rail_row(LINE, Playhead(10, BASE + 20), 10)
    assert joined(segs) == "━━●──?───◐"
    assert joined(rail_row(LINE, Playhead(41, BASE + 50), 10)) == "━━━━━●───◐"


def test_the_title_says_where_we_stand_and_counts_marks() -> None:
    """Number, time and place in the run at the left; marks with words when wide, with figures alone when narrow."""
    wide = joined(title_row(LINE, Playhead(41, BASE + 50.25), 118))
    assert "event 41 of 100" in wide
    assert "50 s into 1m 40s" in wide
    assert "✗ 1 failure   ? 1 in doubt   ◐ 1 resume" in wide
    assert joined(title_row(LINE, Playhead(41, BASE), 90)).endswith("✗ 1   ? 1   ◐ 1 ──")


@given(st.integers(1, 10**7), st.floats(-1e9, 1e9), st.floats(0, 1e9), st.integers(0, 130), st.sampled_from([UNICODE, ASCII]))
def test_every_track_has_its_width(version: int, offset: float, length: float, width: int, glyphs: Glyphs) -> None:
    """Whatever the times, each row of the timeline has exactly its cells."""
    line = Timeline(version, BASE, BASE + length, (1, 2, 3), [Mark(1, BASE + offset, "step.failed")])
    head = Playhead(version, BASE + offset)
    for draw in (density_row, rail_row, times_row, title_row):
        assert cells(draw(line, head, width, glyphs)) == width


def test_forks_checkpoints_and_edits_have_marks_of_their_own() -> None:
    """Each has its glyph on the rail and its count in the legend; where the run itself was forked off is marked, not counted."""
    types = (FORK, FORK, "checkpoint.made", "edit.applied", "run.forked")
    marks = [Mark(number * 10, BASE + number * 20 - 5, type) for number, type in enumerate(types, 1)]
    line = Timeline(100, BASE, BASE + 100, (1, 2, 3), marks)
    assert joined(rail_row(line, Playhead(1, BASE), 20)) == "●──⑂───⑂───⚑───≠───⑂"
    assert "⑂ 2 forks   ⚑ 1 checkpoint   ≠ 1 edit ──" in joined(title_row(line, Playhead(1, BASE), 118))
    assert joined(rail_row(line, Playhead(1, BASE), 20, ASCII)) == "*--Y---Y---P---#---Y"


def test_the_chip_covers_no_other_time() -> None:
    """The playhead's number stands in reverse under it, whole, at both ends too."""
    for at, place in ((BASE, 0), (BASE + 50, 50), (BASE + 100, 112)):
        segs = times_row(LINE, Playhead(1_204, at), 118)
        chip = next(seg for seg in segs if seg.reverse)
        assert chip.text == " 1,204 "
        assert abs(joined(segs).index(chip.text) - place) <= 8


def test_the_lower_track_has_one_cell_an_event() -> None:
    """The playhead is in the middle, failures are crosses, steps are bigger than effects, what is to come is muted."""
    made = research()
    around = {one.version: one for one in made.events}
    row = track_row(around, Playhead(48, made.events[47].at), len(made.events), 118)
    shown = "".join(seg.text for seg in row.left)
    middle = len("one by one   ") + track_cells(118) // 2
    assert shown[middle : middle + 3] == "▌✗▌"
    assert shown[middle + 3] == "▮"
    assert "".join(seg.text for seg in row.right).endswith("– 79")
    assert cells(beside(row.left, row.right, 118)) == 118
    ahead = [seg for seg in row.left if seg.text.strip("· ▮") == "" and "▮" in seg.text]
    assert any(seg.ink is Ink.MUTED for seg in ahead)


def test_a_short_run_is_told_in_parts_of_a_second() -> None:
    """Below ten seconds the times have decimals, so that they differ."""
    line = Timeline(10, BASE, BASE + 0.4, (1, 1), ())
    assert "0.1 s into 0.4 s" in joined(title_row(line, Playhead(3, BASE + 0.1), 100))
    shown = joined(times_row(line, Playhead(3, BASE + 0.1), 100)).split()
    assert len(shown) == len(set(shown))
    assert any(word.endswith(".400") for word in shown)


def test_a_run_of_one_event_has_a_timeline() -> None:
    """Start and end may be the same moment."""
    line = Timeline(1, BASE, BASE, (1,), ())
    assert joined(rail_row(line, Playhead(1, BASE), 8)) == "●───────"
    assert project([]).version == 0
