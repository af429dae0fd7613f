"""The log's lines, the words it is narrowed by, its pages in memory, and the plots of a run."""

from __future__ import annotations

import math
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from store.projector import project
from tagent_tui.rows import Ink, Row, beside, cells
from tagent_tui.view import plots
from tagent_tui.view.logrows import KEPT, NO_FILTER, PAGE, EventPages, log_row, past_row, read_filter, step_cells, waiting_row
from tests.acceptance.made_runs import BASE, log_lines, research

STEPS = {"legal": 1, "pages": 1, "page_two": 1}


def text(row: Row, width: int = 100) -> str:
    """A row as text."""
    return "".join(seg.text for seg in beside(row.left, row.right, width)).rstrip()


def test_a_line_says_time_step_type_and_words() -> None:
    """A living log has the time first; an event of the run itself says run."""
    made = research()
    failed = next(one for one in made.events if one.event.type == "step.failed" and one.step == "legal")
    assert text(log_row(failed, 9))[8:] == "  legal      step.failed  HTTP 403 Forbidden: the register refuses robots"
    assert text(log_row(made.events[0], 9))[8:].startswith("  run        run.created  company_research · 9 steps")


def test_lines_around_the_playhead_are_numbered_and_the_future_is_muted() -> None:
    """In a replay a line begins with its number; the playhead is strong, what is not reached yet muted, red included."""
    made = research()
    failed = next(one for one in made.events if one.event.type == "step.failed")
    here = past_row(failed, failed.version, 5, 9)
    assert text(here).startswith(f"{failed.version:>5}  step.failed")
    assert here.left[0].bold
    assert here.left[1].ink is Ink.ERROR
    ahead = past_row(failed, 3, 5, 9)
    assert {seg.ink for seg in ahead.left if seg.text.strip()} == {Ink.MUTED}
    assert text(waiting_row(12, 5)) == "   12  …"


def test_the_step_column_fits_names_and_pane() -> None:
    """The column is as wide as the longest name, within a fifth of the pane."""
    assert step_cells(9, 60) == 9
    assert step_cells(90, 60) == 12
    assert step_cells(90, 400) == 24
    assert step_cells(1, 10) == 3


def test_a_filter_is_read_from_words() -> None:
    """`step:` and `type:` narrow by those, with patterns and unique beginnings; other words must all be in the line."""
    found = read_filter("step:leg type:step.* Refused", STEPS)
    assert (found.step, found.words) == ("legal", ("refused",))
    assert found.types is not None
    assert "step.failed" in found.types
    assert "run.created" not in found.types
    assert read_filter("type:effect", STEPS).types >= {"effect.requested", "effect.failed"}  # type: ignore[operator]
    assert read_filter("step:page", STEPS).step == "page"
    assert read_filter("type:nonsense", STEPS).types == frozenset()
    assert not read_filter("   ", STEPS).on
    assert not NO_FILTER.on


def test_a_filter_keeps_what_has_all_it_asks_for() -> None:
    """Step, type and words are asked together, whatever their case."""
    made = research()
    kept = [one.event.type for one in made.events if read_filter("step:legal forbidden", {"legal": 1}).keeps(one)]
    assert kept == ["step.failed"] * 4
    assert sum(read_filter("type:log.written KEPT", {}).keeps(one) for one in made.events) == 1


def test_pages_keep_what_is_used_and_forget_the_rest() -> None:
    """A page that was read answers for its versions; of many pages only the last used ones stay."""
    pages = EventPages()
    assert pages.get(1) is None
    for page in range(KEPT + 10):
        pages.put(page, log_lines(page * PAGE + 1, PAGE, BASE))
    assert pages.get(1) is None
    last = (KEPT + 10) * PAGE
    assert pages.get(last) is not None
    assert pages.get(last + 1) is None


def test_followed_events_extend_their_page_without_reading() -> None:
    """A tail that begins with its page is complete; one that begins inside it waits for the page to be read."""
    pages = EventPages()
    pages.take(log_lines(PAGE + 1, 10, BASE))
    pages.take(log_lines(PAGE + 11, PAGE, BASE))
    assert pages.get(2 * PAGE + 10) is not None
    pages.take(log_lines(5 * PAGE + 7, 3, BASE))
    assert pages.get(5 * PAGE + 7) is None
    pages.put(5, log_lines(5 * PAGE + 1, 6, BASE))
    pages.take(log_lines(5 * PAGE + 7, 3, BASE))
    assert pages.get(5 * PAGE + 9) is not None
    pages.put(5, log_lines(5 * PAGE + 1, 2, BASE))
    assert pages.get(5 * PAGE + 9) is not None


class Sampled(NamedTuple):
    """A sample of the driver."""

    at: float
    cpu: float
    rss: int


def test_samples_become_one_value_a_cell() -> None:
    """The highest of a cell counts, gaps keep the value before, what is not sampled is unknown."""
    found = plots.over_time([(0.0, 1.0), (0.4, 5.0), (6.0, 2.0)], 0.0, 10.0, 10)
    assert found == [5.0, 5.0, 5.0, 5.0, 5.0, 5.0, 2.0, None, None, None]
    assert plots.over_time([], 0.0, 0.0, 4) == [None] * 4


def test_in_flight_counts_what_overlaps() -> None:
    """Each cell has the most steps under way at once in it."""
    assert plots.in_flight([(0, 4, 0), (2, 6, 0), (3, 3.5, 0)], 0, 8, 8) == [1, 1, 2, 3, 2, 1, 1, 0]


@given(st.lists(st.tuples(st.floats(0, 100), st.floats(0, 50), st.integers(0, 10_000)), max_size=20), st.integers(1, 40))
def test_tokens_are_shared_out_over_their_time(found: list[tuple[float, float, int]], cells_: int) -> None:
    """The area under the token curve is all tokens, however it is cut into cells."""
    spans = [(start, start + length, used) for start, length, used in found]
    rates = plots.token_rate(spans, 0.0, 150.0, cells_)
    assert math.isclose(
        sum(rate or 0 for rate in rates) * 150.0 / cells_, sum(used for _, _, used in found), rel_tol=1e-3, abs_tol=1e-3
    )


def test_plots_say_their_figures() -> None:
    """Four graphs with what is now and the most there was; without samples the driver's are unknown."""
    state = project(research().events)
    samples = [Sampled(BASE + i, 30.0 + i, 200_000_000) for i in range(60)]
    named = {plot.name: (plot.now, plot.most) for plot in plots.plots(state, samples, BASE + 92, 28)}
    assert named["cpu"] == ("89 %", "max 89 %")
    assert named["memory"] == ("200 MB", "max 200 MB")
    assert named["in flight"] == ("1", "max 4")
    assert plots.plots(state, [], BASE + 92, 28)[0].now == "–"


@pytest.mark.parametrize("width", [9, 40, 78, 116, 200])
def test_panels_fit(width: int) -> None:
    """Both panels have rows of at most their width, and bars as high as they are told."""
    state = project(research().events)
    for row in plots.panel(plots.plots(state, [], BASE + 92, plots.plot_cells(width)), width):
        assert cells(row.left) <= max(width, 13)
    for row in plots.small_panel(plots.plots(state, [], BASE + 92, plots.small_cells(width)), width):
        assert cells(beside(row.left, row.right, width)) == width
    assert plots.block([0.0, 1.0, 2.0, None], 2) == ["  █ ", "▁██ "]
