"""The step tree: what a row says in each status, at which width, and how it is drawn when nobody drives the run."""

from __future__ import annotations

import pytest

from store.events import EffectRequested, Failure, LogWritten, RunAttached, Safety, StepCompleted, StepFailed, StepStarted
from store.projector import project
from store.state import RunState, RunStatus, StepStatus
from store.values import pack
from tagent_tui.glyphs import ASCII, UNICODE
from tagent_tui.rows import Ink, Row, Seg, Tint, beside, cells
from tagent_tui.view.effects import EFFECT_TYPES, EffectLine, effect_lines
from tagent_tui.view.outline import NO_OUTLINE, Outline, read_outline
from tagent_tui.view.scene import Scene, look, look_back, run_mark, step_ink, step_mark
from tagent_tui.view.steps import effect_row, step_row
from tests.acceptance.made_runs import HOSTILE, Made, hostile, in_doubt, many_steps, research

WIDTH = 55


def seen(made: Made, *, alive: bool = True, later: float = 2.0) -> Scene:
    """A look at a made run, some seconds after its last event."""
    state = project(made.events)
    return look(state, outline(made, state), alive=alive, now=made.at + later)


def outline(made: Made, state: RunState) -> Outline:
    """The outline of a made run's definition."""
    return read_outline(made.blobs[state.definition])


def text(row: Row, width: int = WIDTH) -> str:
    """A row as it would stand on screen."""
    return "".join(seg.text for seg in beside(row.left, row.right, width)).rstrip()


def line(scene: Scene, name: str, width: int = WIDTH) -> str:
    """A step's row as text."""
    return text(step_row(scene, name, width), width)


def test_each_status_says_what_matters() -> None:
    """A live run's rows say why, how often, how long and for how much, right-aligned."""
    scene = seen(research())
    said = {name: line(scene, name, 100).split() for name in scene.state.steps}
    assert said["plan"] == ["▸", "✓", "plan", "12.3", "s", "$0.002"]
    assert " ".join(said["pages"]) == "▸ ◇ pages retry in 6 s · HTTP 429 Too Many Requests 2/4 41.4 s –"
    assert " ".join(said["legal"]) == "✗ legal HTTP 403 Forbidden: the register refuses robots, gave up 4/4 38.0 s –"
    assert " ".join(said["translate"]) == "– translate skipped: its dependency legal failed"
    assert " ".join(said["score"]) == "· score needs pages, reviews"


def test_the_reason_survives_a_narrow_pane() -> None:
    """Where a note is cut, its beginning stays and the figures keep their place."""
    scene = seen(research())
    assert line(scene, "pages", 40).startswith("▸ ◇ pages  retry in 6 s")
    assert line(scene, "pages", 40).endswith("2/4  41.4 s")
    assert "$" not in line(scene, "plan", 40)
    assert line(scene, "plan", 24).endswith("12.3 s")
    assert line(scene, "plan", 12) == "▸ ✓ plan"


@pytest.mark.parametrize("width", [0, 1, 2, 5, 21, 22, 33, 34, 43, 44, 55, 118])
def test_a_row_never_exceeds_its_width(width: int) -> None:
    """At any width a row has exactly that many cells, whatever its texts are."""
    for made in (research(), hostile()):
        scene = seen(made)
        for name in scene.state.steps:
            row = step_row(scene, name, width)
            assert cells(beside(row.left, row.right, width)) == width


def test_only_unmet_dependencies_are_named() -> None:
    """`needs` lists what is missing, and only a few names of very many."""
    assert "needs pages, reviews" in line(seen(research()), "score")
    assert line(seen(many_steps(200, settled=0.0)), "join", 100) == "  · join  needs item_00000, item_00001, item_00002, …"


def test_a_pending_step_without_missing_dependencies_is_ready() -> None:
    """READY is shown for a pending step whose dependencies are all there, and not once the run has ended."""
    scene = seen(many_steps(50, settled=0.2))
    assert line(scene, "item_00047") == "  ◦ item_00047  ready"


def test_a_running_step_of_an_interrupted_run_is_half_a_circle() -> None:
    """Without a driver what was under way is amber and says so, and the clock stands at the last event."""
    made = research()
    scene = seen(made, alive=False, later=3600.0)
    assert scene.status is RunStatus.INTERRUPTED
    assert scene.now == made.at
    row = step_row(scene, "reviews", 100)
    assert row.left[1] == Seg("◐", Ink.WARNING)
    assert "was under way" in text(row, 100)
    assert "retry due" in line(scene, "pages", 100)


def test_a_running_step_says_what_it_does() -> None:
    """The latest progress line, else the effect under way, stands after a running step's name."""
    made = research()
    assert "model gpt-4.1" in line(seen(made), "reviews")
    state = project(made.events)
    scene = look(state, outline(made, state), alive=True, now=made.at, lives={"reviews": "page 3 of 9"})
    assert "page 3 of 9" in line(scene, "reviews")


def test_simulated_output_is_labelled() -> None:
    """A step whose output came from the offline model says so, while it runs and when it is done."""
    scene = seen(research("completed", simulated=True))
    assert "simulated" in line(scene, "plan")
    assert "simulated" not in line(scene, "search")
    assert "simulated" in line(seen(research(simulated=True)), "reviews", 100)


def test_an_effect_in_doubt_is_amber() -> None:
    """A step in doubt has the warning colour and names the effect."""
    row = step_row(seen(in_doubt(), alive=False), "charge", 100)
    assert row.left[1] == Seg("?", Ink.WARNING)
    assert "in doubt: charge_card has no known outcome" in text(row, 100)


def test_a_changed_step_is_tinted_and_says_what_became_of_it() -> None:
    """In a replay, the row an event changed shows `● → ✗` on its own ground."""
    made = research()
    state = project(made.events)
    change = {"legal": (StepStatus.RUNNING, StepStatus.FAILED)}
    row = step_row(look_back(state, outline(made, state), changed=change), "legal", 100)
    assert row.tint is Tint.CHANGED
    assert "legal  ● → ✗  HTTP 403" in text(row, 100)


def test_a_replay_says_where_a_step_will_start() -> None:
    """A pending step that misses nothing says at which event it starts."""
    made = many_steps(20, settled=0.5)
    upto = project(made.events[:4])
    scene = look_back(upto, outline(made, upto), starts={"item_00003": 11})
    assert "starts at event 11" in line(scene, "item_00003")


def test_attempts_of_a_reset_step_count_from_its_reset() -> None:
    """Tries are counted since the step was last reset, not since the run began."""
    made = research()
    state = project(made.events)
    state.steps["legal"].first_attempt = 4
    assert " 1/4 " in line(look(state, outline(made, state), alive=True, now=made.at), "legal", 100)


def test_effects_are_children_with_what_they_used() -> None:
    """An unfolded step's effects say name, tokens, time and cost; safe ones say nothing of safety."""
    made = research()
    scene = seen(made)
    lines = effect_lines(one for one in made.events if one.step == "reviews" and one.event.type in EFFECT_TYPES)
    assert [text(effect_row(scene, one, 70), 70).split() for one in lines] == [
        ["✓", "model", "gpt-4.1", "4,392", "tok", "7.5", "s", "$0.010"],
        ["●", "model", "gpt-4.1", "12.9", "s", "–"],
    ]


def test_effects_end_with_the_attempt_that_made_them() -> None:
    """An effect that was under way when its attempt failed is not shown as running for ever."""
    made = research()
    lines = effect_lines(one for one in made.events if one.step == "pages")
    assert lines[-1].status is StepStatus.CANCELLED
    assert effect_lines((one for one in made.events if one.step == "pages"), upto=41)[-1].version <= 41


def test_an_irreversible_effect_says_so_and_what_became_of_it() -> None:
    """What must not happen twice is labelled, and in doubt it says that nothing is known."""
    made = in_doubt()
    lines = effect_lines(one for one in made.events if one.step == "charge")
    assert text(effect_row(seen(made), lines[0], 90), 90).startswith("    ? charge_card  no known outcome  irreversible")


def test_hostile_names_do_nothing() -> None:
    """No row of a run made of hostile texts contains a control, bidi or zero-width character."""
    scene = seen(hostile())
    forbidden = {"\x1b", "\x07", "\x00", "\r", "\n", "\t", "\u202e", "\u200b", "\ufeff"}
    for name in scene.state.steps:
        row = step_row(scene, name, 200)
        assert not forbidden & set("".join(seg.text for seg in (*row.left, *row.right)))
    assert len(scene.state.steps) == len(HOSTILE)


def test_every_status_has_a_mark_in_both_sets() -> None:
    """No status of a step or a run is drawn without a glyph, and ASCII glyphs are ASCII."""
    for status in StepStatus:
        assert step_mark(status, UNICODE).glyph != UNICODE.in_doubt or status is StepStatus.IN_DOUBT
        assert step_mark(status, ASCII).glyph.isascii()
        assert step_ink(status) is step_mark(status, ASCII).ink
    for run_status in RunStatus:
        assert run_mark(run_status, UNICODE).glyph


def test_a_step_the_run_does_not_know_is_a_name() -> None:
    """A row for a step that vanished (a migration) is its name, not an error."""
    assert line(look(RunState(), NO_OUTLINE, alive=False, now=0.0), "gone").strip() == "gone"


def test_damaged_definitions_are_empty_outlines() -> None:
    """Bytes that are no definition give an outline without steps, never an error."""
    for content in (b"", b"\xff", b"[1]", b'{"steps": 3}', b'{"steps": [1, {"name": 2}]}', b"[" * 100_000, b'{"$map": 3}'):
        assert not read_outline(content).steps


def test_an_outline_reads_needs_tries_and_lane() -> None:
    """Dependencies are names or objects, retries default to three, the mode says whether a step is in the serial lane."""
    found = read_outline(
        b'{"steps": [{"name": "a", "depends_on": ["x", {"step": "y"}, 7], "retry": {"max_retries": 1}, "timeout": 3},'
        b' {"name": "b", "execution_mode": "concurrent", "goal": "g", "depends_on": [{"step": "a"}]}]}'
    )
    assert found.step("a").needs == ("x", "y")
    assert (found.step("a").tries, found.step("a").timeout, found.step("a").serial) == (2, 3.0, True)
    assert (found.step("b").tries, found.step("b").goal, found.step("b").serial) == (4, "g", False)
    assert found.after["a"] == ("b",)


def test_a_call_of_a_tool_says_what_it_was_given() -> None:
    """The arguments stand after what is always said; of a call that failed its reason stands alone."""
    scene = seen(research())
    call = EffectLine(3, "tool", "send", 1, "irreversible", 10.0, pack({"to": "Ann"})[0], StepStatus.COMPLETED, 12.0)
    assert text(effect_row(scene, call, 90), 90).lstrip().startswith('✓ tool send  irreversible  {"to":"Ann"}  ')
    call.status, call.reason = StepStatus.FAILED, "no luck"
    assert text(effect_row(scene, call, 90), 90).lstrip().startswith("✗ tool send  no luck  irreversible  ")


def test_a_running_step_without_effects_says_nothing_more() -> None:
    """A row has no note where nothing is known."""
    made = Made("aa")
    made.create({"name": "one", "steps": [{"name": "only"}]})
    made.add(StepStarted(), "only", 1)
    assert line(seen(made, later=1.0), "only", 60).split() == ["●", "only", "1.0", "s", "–"]


def test_a_timeout_has_its_own_mark() -> None:
    """A try that ran out of time is a quarter circle, not a cross."""
    made = Made("ab")
    made.create({"name": "one", "steps": [{"name": "only", "retry": {"max_retries": 0}}]})
    made.add(StepStarted(), "only", 1)
    made.add(StepFailed(Failure("timeout", "timed out after 30 s", False)), "only", 1, after=30.0)
    assert "◔ only  timed out after 30 s" in line(seen(made), "only", 80)


def test_logs_and_drivers_change_no_row() -> None:
    """Events that are not about a step's state leave its row as it is."""
    made = research()
    before = line(seen(made, later=0.0), "plan", 90)
    made.add(LogWritten("x"), "plan", 1)
    made.add(RunAttached(1, 1.0))
    made.add(EffectRequested("now", "now", "h", Safety.PURE), "pages", 3)
    made.add(StepCompleted(), "score", 1)
    assert line(seen(made, later=0.0), "plan", 90) == before


def test_what_no_work_of_this_run_made_says_whence_it_comes() -> None:
    """A reused and an edited outcome have a glyph and a word each, also in ASCII."""
    state = project(research("completed").events)
    state.steps["search"].reused = True
    state.steps["plan"].edited = True
    scene = look(state, NO_OUTLINE, alive=False, now=0.0)
    assert "search  = reused" in line(scene, "search")
    assert "plan  ≠ edited" in line(scene, "plan")
    assert "plan  # edited" in line(look(state, NO_OUTLINE, alive=False, now=0.0, glyphs=ASCII), "plan")
