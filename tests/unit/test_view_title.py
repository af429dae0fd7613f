"""The bar above a run and the sentences below its tree: mode, counts, and why it waits or what came of it."""

from __future__ import annotations

import pytest

from store.events import ArtifactMade, Payload, RunCompleted, RunPaused, SignalReceived, StepCompleted
from store.projector import project
from store.state import RunStatus
from tagent_tui.rows import Ink, Row, beside, cells
from tagent_tui.view import title, waits
from tagent_tui.view.outline import read_outline
from tagent_tui.view.scene import Scene, look, look_back
from tests.acceptance.made_runs import Made, hostile, in_doubt, many_steps, research


def seen(made: Made, *, alive: bool = True) -> Scene:
    """A look at a made run two seconds after its last event."""
    state = project(made.events)
    return look(state, read_outline(made.blobs[state.definition]), alive=alive, now=made.at + 2)


def past(made: Made, upto: int) -> Scene:
    """The made run after an event."""
    state = project(made.events[:upto])
    return look_back(state, read_outline(made.blobs[state.definition]))


def text(row: Row, width: int = 118) -> str:
    """A row as text."""
    return "".join(seg.text for seg in beside(row.left, row.right, width, gap=2)).rstrip()


def reasons(scene: Scene, width: int = 90) -> list[str]:
    """The sentences below the tree."""
    return [" ".join(text(row, width).split()) for row in waits.rows(scene)]


@pytest.mark.parametrize(
    ("made", "alive", "word", "ink"),
    [
        (research(), True, " LIVE ", Ink.ACCENT),
        (research(), False, " INTERRUPTED ", Ink.WARNING),
        (research("completed"), False, " COMPLETED ", Ink.MUTED),
        (research("failed"), False, " FAILED ", Ink.ERROR),
        (in_doubt(), False, " WAITS ", Ink.WARNING),
    ],
)
def test_the_first_cells_say_the_mode(made: Made, alive: bool, word: str, ink: Ink) -> None:
    """A run that goes on is live; one that does not says its status word, in its colour, reversed."""
    chip = title.mode_chip(seen(made, alive=alive))
    assert (chip.text, chip.ink, chip.reverse) == (word, ink, True)


def test_a_live_title_says_what_it_is_and_how_far() -> None:
    """Name, id, purpose; spinner, time, tokens; then progress, counts that are not zero, and the cost."""
    scene = seen(research())
    assert text(title.first_row(scene, "7f3a19c2", 120, spinner="⠋")).startswith("company_research  7f3a19c2   Acme Robotics")
    assert text(title.first_row(scene, "7f3a19c2", 120, spinner="⠋")).endswith("⠋ running   1m 32s   4.9k tok")
    second = text(title.second_row(scene, 120))
    assert "5/9   ● 1 running   ◇ 1 retry   ✗ 1 failed   – 1 skipped" in second
    assert second.endswith("$0.01")


def test_a_narrow_title_keeps_glyphs_and_figures() -> None:
    """Below 100 columns words go, glyphs and figures stay."""
    scene = seen(research())
    assert "5/9  ● 1  ◇ 1  ✗ 1  – 1" in text(title.second_row(scene, 80), 78)
    assert "Acme" not in text(title.first_row(scene, "7f3a19c2", 80), 70)


def test_a_replay_says_that_nothing_runs() -> None:
    """The past has its event number, says that nothing is paid, how the run ended, and how to leave."""
    scene = past(research("completed"), 49)
    row = title.first_row(scene, "7f3a19c2", 120, ended=(RunStatus.COMPLETED, 117.0))
    assert "as of event 49  nothing runs, nothing is paid" in text(row)
    assert text(row).endswith("run ended ✓ in 1m 57s   esc leave")
    assert text(title.first_row(scene, "x", 120, ended=(RunStatus.INTERRUPTED, 9.0))).endswith(
        "run interrupted ◐ after 9.0 s   esc leave"
    )
    assert text(title.first_row(scene, "7f3a19c2", 80), 70).endswith("as of event 49 · esc leave")
    assert title.mode_chip(scene).text == " REPLAY "
    assert "· 3 pending" in text(title.second_row(scene, 120))


def test_simulated_models_are_said_in_the_title() -> None:
    """A run with simulated answers says so where it is seen first, and has no price."""
    scene = seen(research("completed", simulated=True))
    assert "simulated model" in text(title.first_row(scene, "x", 120))
    assert text(title.second_row(scene, 120)).endswith("–")


@pytest.mark.parametrize("width", [0, 1, 5, 20, 40, 80, 99, 100, 120, 300])
def test_titles_fit_any_width(width: int) -> None:
    """No title row is wider than its bar, whatever the names are."""
    for scene in (seen(hostile()), past(hostile(), 30), seen(many_steps(10_000))):
        for row in (title.first_row(scene, "x" * 40, width), title.second_row(scene, width)):
            assert cells(beside(row.left, row.right, width)) == width


def test_why_it_waits_names_retries_and_who_holds_whom() -> None:
    """The most urgent first: what goes on by itself and when, then what holds the rest up."""
    scene = seen(research())
    assert waits.title(scene) == "why it waits"
    found = reasons(scene)
    assert found[0].startswith("◇ pages HTTP 429 Too Many Requests goes on at ")
    assert found[1:] == ["· score held by pages, reviews; 1 step comes after it"]


def test_an_interrupted_run_says_what_helps() -> None:
    """Without a driver the first sentence names the key that goes on."""
    assert reasons(seen(research(), alive=False))[0] == "◐ its driver is gone R goes on; nothing recorded is done again"


def test_doubt_comes_first() -> None:
    """An effect in doubt is the first sentence, with the key that settles it."""
    assert reasons(seen(in_doubt(), alive=False))[0].startswith("? charge charge_card may have happened d say")


def test_pausing_and_paused_are_said() -> None:
    """A pause that waits for what is under way says for how much; a paused run says how it goes on."""
    made = research()
    made.add(SignalReceived(1, "pause"))
    assert "‖ it pauses when 1 step under way ended" in reasons(seen(made))
    made.add(RunPaused())
    assert "‖ it pauses when 1 step under way ended" in reasons(seen(made))
    made.add(StepCompleted(), "reviews", 1)
    assert reasons(seen(made))[0] == "‖ it is paused R goes on"


def test_many_ready_steps_are_one_sentence() -> None:
    """Steps that only wait for their turn are counted, not listed, and counting stops where nobody would read on."""
    assert reasons(seen(many_steps(60, settled=0.5)))[0] == "◦ 19 steps are ready and wait for their turn"
    assert reasons(seen(many_steps(5_000)))[0].startswith("◦ 1,000 or more steps are ready")


def test_an_ended_run_says_why_it_failed_or_what_it_made() -> None:
    """A failed run blames steps and says what did not run because of them; a completed one lists its artifacts."""
    scene = seen(research("failed"), alive=False)
    assert waits.title(scene) == "why it failed"
    assert reasons(scene)[0].startswith("✗ legal HTTP 403 Forbidden")
    assert reasons(scene)[1] == "1 step does not run because of it"
    done = seen(research("completed"), alive=False)
    assert (waits.title(done), reasons(done)) == ("what it made", ["✓ report.md 34 B by report"])


def test_hostile_artifacts_and_reasons_are_named() -> None:
    """What is said below the tree has no control characters of its own."""
    made = hostile()
    made.add(ArtifactMade("\x1b[31m\u202e", "x", Payload(1, blob="0")), "[/x]")
    made.add(RunCompleted())
    for row in waits.rows(seen(made, alive=False)):
        assert not {"\x1b", "\u202e"} & set(text(row, 400))
