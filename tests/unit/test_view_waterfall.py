"""The waterfall: blocks in eighths of a cell, failed tries, waits, the axis, the critical path and what it says."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from store.events import StepCompleted, StepStarted
from store.projector import project
from store.state import RunState
from tagent_tui.glyphs import ASCII, UNICODE
from tagent_tui.rows import Ink, Row, beside, cells
from tagent_tui.view import tries
from tagent_tui.view.critical import NO_PATH, critical_path, path_row, path_time
from tagent_tui.view.outline import NO_OUTLINE, StepOutline, outline_of, read_outline
from tagent_tui.view.scene import Scene, look
from tagent_tui.view.waterfall import (
    Axis,
    Bar,
    Columns,
    Heat,
    Kind,
    axis,
    bars,
    header,
    order,
    paint,
    tick_step,
    ticks,
    waterfall_row,
)
from tests.acceptance.asking_runs import deploying
from tests.acceptance.made_runs import Made, in_doubt, many_steps, research

FULL = Axis(0.0, 10.0, 10, 0.0)


def scene_of(made: Made, *, alive: bool = True, later: float = 2.0) -> Scene:
    """A look at a made run."""
    state = project(made.events)
    return look(state, read_outline(made.blobs[state.definition]), alive=alive, now=made.at + later)


def drawn(*found: Bar, on: Axis = FULL) -> str:
    """Bars as text; cells that begin inside are in parentheses, as they are painted in reverse."""
    return "".join(f"({seg.text})" if seg.reverse else seg.text for seg in paint(found, on))


def text(row: Row, width: int) -> str:
    """A row as text."""
    return "".join(seg.text for seg in beside(row.left, row.right, width))


@pytest.mark.parametrize(
    ("start", "end", "shown"),
    [
        (0.0, 10.0, "██████████"),
        (0.0, 2.5, "██▌       "),
        (2.5, 5.0, "  (▌)██     "),
        (2.25, 3.75, "  (▎)▊      "),
        (2.5, 2.75, "  (▌)       "),
        (2.0, 2.25, "  ▎       "),
        (3.0, 3.0, "   ▏      "),
        (10.0, 10.0, "         (▉)"),
        (-5.0, 1.0, "█         "),
        (9.0, 99.0, "         █"),
        (11.0, 12.0, "          "),
    ],
)
def test_blocks_are_drawn_in_eighths(start: float, end: float, shown: str) -> None:
    """A block ends in an eighth of a cell, begins in the inverse of the eighth before it, and never vanishes while it overlaps."""
    assert drawn(Bar(start, end, Kind.RUN)) == shown


def test_waits_are_dotted_between_blocks() -> None:
    """A wait is a dotted line in the cells it fills, and does not cover a block."""
    found = [Bar(0.0, 2.0, Kind.FAILED), Bar(2.0, 6.0, Kind.WAIT), Bar(6.0, 7.0, Kind.RUN)]
    assert drawn(*found) == "██┄┄┄┄█   "
    assert [seg.ink for seg in paint(found, FULL) if seg.text.strip()] == [Ink.ERROR, Ink.MUTED, Ink.GRAPH]


@given(
    st.lists(st.tuples(st.floats(-1e6, 1e6), st.floats(0, 1e6), st.sampled_from(Kind)), max_size=8),
    st.integers(0, 60),
    st.sampled_from([UNICODE, ASCII]),
)
def test_any_bars_fill_exactly_the_axis(found: list[tuple[float, float, Kind]], width: int, glyphs: object) -> None:
    """Whatever is drawn, the pieces have the axis' width."""
    on = Axis(0.0, 100.0, width, 0.0)
    painted = paint([Bar(start, start + length, kind) for start, length, kind in found], on, glyphs)  # type: ignore[arg-type]
    assert cells(painted) == width


def test_ascii_has_no_parts_of_cells() -> None:
    """In the ASCII set a block is made of whole marks and nothing is painted in reverse."""
    painted = paint([Bar(2.5, 5.2, Kind.RUN)], FULL, ASCII)
    assert "".join(seg.text for seg in painted) == "  ####    "
    assert not any(seg.reverse for seg in painted)


def test_failed_tries_are_red_with_waits_between() -> None:
    """A step that failed four times has four red blocks and three waits; the next wait of a waiting step reaches its due time."""
    scene = scene_of(research())
    assert [bar.kind for bar in bars(scene, "legal")] == [Kind.FAILED, *(Kind.WAIT, Kind.FAILED) * 3]
    waiting = bars(scene, "pages")
    assert waiting[-1].kind is Kind.WAIT
    assert waiting[-1].end == scene.state.steps["pages"].due


def test_what_waits_for_a_person_is_amber() -> None:
    """From the request in doubt on, the line is dotted and in the warning colour."""
    assert [bar.kind for bar in bars(scene_of(in_doubt(), alive=False), "charge")] == [Kind.RUN, Kind.DOUBT]


@pytest.mark.parametrize("seconds", [0.0004, 0.05, 1.0, 9.0, 184.0, 7_200.0, 86_400.0 * 40, 1e12])
def test_ticks_fit_and_start_at_zero(seconds: float) -> None:
    """At any length of a run the axis fits its width, begins with zero and has few ticks."""
    for width in (0, 1, 5, 12, 44, 70):
        shown = "".join(seg.text for seg in ticks(Axis(0.0, seconds, width, 0.0)))
        assert len(shown) == width
        assert shown.count("│") <= width // 8 + 2
    assert "".join(seg.text for seg in ticks(Axis(0.0, seconds, 70, 0.0))).startswith("│0 s")
    assert tick_step(184.0, 70) == 30


def test_a_zoomed_axis_counts_from_the_start_of_the_run() -> None:
    """Zooming shows part of the time around a step, with labels that still count from the start."""
    scene = scene_of(research("completed"))
    whole, part = axis(scene, 70), axis(scene, 70, zoom=2, around="reviews")
    assert part.seconds == pytest.approx(whole.seconds / 4)
    step = scene.state.steps["reviews"]
    assert part.start <= (step.first_started_at + step.ended_at) / 2 <= part.end
    assert "│1m 10s" in "".join(seg.text for seg in ticks(part))


@pytest.mark.parametrize("width", [0, 3, 10, 29, 30, 49, 50, 60, 78, 96, 118, 300])
def test_rows_fit_every_width(width: int) -> None:
    """Header and rows have exactly the width of the pane, wide or not."""
    scene = scene_of(research())
    columns = Columns.of(width)
    on, heat, path = axis(scene, columns.axis), Heat.of(scene.state), critical_path(scene.state, scene.outline)
    assert columns.name + columns.axis + columns.figures <= max(width, columns.name)
    for row in [header(on, columns), *(waterfall_row(scene, name, on, columns, path.done, heat) for name in scene.state.steps)]:
        assert cells(beside(row.left, row.right, width)) == width
        assert cells(row.left) + (cells(row.right) + 1 if row.right else 0) <= max(width, cells(row.left)) or width < 30


def test_a_wide_row_says_time_cost_heat_and_tokens() -> None:
    """The figures stand right-aligned, with a bar before the cost that is full for the dearest step."""
    scene = scene_of(research())
    columns = Columns.of(118)
    on, heat = axis(scene, columns.axis), Heat.of(scene.state)
    assert text(waterfall_row(scene, "reviews", on, columns, (), heat), 118).endswith("  41.3 s █  $0.010    4.4k")
    assert text(waterfall_row(scene, "search", on, columns, (), heat), 118).endswith("  38.0 s         –       –")
    assert text(waterfall_row(scene, "score", on, columns, (), heat), 118).split() == ["·", "score", "needs", "pages,", "reviews"]


def test_the_order_is_by_start_time_or_cost() -> None:
    """What has not started comes last, as defined; by cost the dearest comes first."""
    state = project(research().events)
    assert order(state) == ["plan", "search", "pages", "reviews", "social", "legal", "translate", "score", "report"]
    assert order(state, "cost")[:2] == ["reviews", "plan"]
    assert order(state, "time")[0] in ("pages", "reviews")


def test_the_critical_path_follows_what_was_waited_for() -> None:
    """Each step of the path waited for the one before it; what is still to come hangs on its end."""
    scene = scene_of(research())
    path = critical_path(scene.state, scene.outline)
    assert path.done == ("plan", "search", "pages")
    assert path.ahead == ("score", "report")
    said = text(path_row(scene, path), 118)
    assert said.startswith("plan 12.3 s → search 38.0 s → pages 41.4 s → score → report")
    assert said.rstrip().endswith("pages is 45 % of the time")
    assert path_time(scene, path) == "1m 32s"


def test_an_ended_run_has_no_steps_ahead() -> None:
    """The path of an ended run is what happened."""
    scene = scene_of(research("completed"))
    path = critical_path(scene.state, scene.outline)
    assert path.done == ("plan", "search", "reviews", "score", "report")
    assert path.ahead == ()


def test_the_serial_lane_holds_up_without_a_dependency() -> None:
    """Of two serial steps that need nothing, the second waited for the first."""
    made = Made("ac")
    made.create({"name": "two", "steps": [{"name": "one"}, {"name": "two"}]})
    for name in ("one", "two"):
        made.add(StepStarted(), name, 1, after=0.1)
        made.add(StepCompleted(), name, 1, after=1.0)
    state = project(made.events)
    assert critical_path(state, outline_of([("one", StepOutline()), ("two", StepOutline())])).done == ("one", "two")
    apart = outline_of([("one", StepOutline(serial=False)), ("two", StepOutline(serial=False))])
    assert critical_path(state, apart).done == ("two",)


def test_no_path_without_a_start_and_no_end_in_a_circle() -> None:
    """A run that did not start has no path, and a definition that is a circle does not hang."""
    assert critical_path(RunState(), NO_OUTLINE) == NO_PATH
    made = many_steps(30)
    state = project(made.events)
    circle = outline_of((name, StepOutline(needs=tuple(state.steps))) for name in state.steps)
    assert critical_path(state, circle).done


def test_tries_are_listed_with_reason_and_wait() -> None:
    """Each try says how it ended, how long it took, and how long was waited after it; the last one that it was the last."""
    scene = scene_of(research())
    said = [text(row, 116).rstrip() for row in tries.rows(scene, "legal", 116)]
    assert said[0].startswith("try 1  ✗ 10.2 s  wait 2 s    HTTP 403 Forbidden")
    assert "try 3  ✗ 7.0 s   wait 7 s    HTTP 403" in said[0]
    assert "try 4  ✗ 3.0 s   gave up     HTTP 403" in said[1]
    assert text(tries.rows(scene, "score", 116)[0], 116).strip() == "not started"
    assert "4 tries · 38.0 s, 12.8 s of it waiting to retry · all HTTP 403 Forbidden" in text(tries.sentence(scene, "legal"), 118)


def test_waiting_for_a_person_has_a_bar_of_its_own() -> None:
    """An approval waits from when it was asked for, a question from within the step that asks."""
    made = deploying(4)
    scene = scene_of(made)
    assert [bar.kind for bar in bars(scene, "deploy")] == [Kind.DOUBT]
    assert [bar.kind for bar in bars(scene, "ask")] == [Kind.RUN, Kind.DOUBT]
