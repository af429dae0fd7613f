"""Rows of two runs compared, as text: pairs of steps, the first divergence, and texts beside each other or one below the other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from engine.replay.difference import Divergence, Figures, Moment, RunDiff, RunSide, StepDiff, StepTexts, Total
from engine.replay.texts import TextDiff, text_diff
from tagent_tui.glyphs import ASCII, UNICODE
from tagent_tui.rows import Ink, Row, Seg, Tint, beside, cells
from tagent_tui.view import diffrows, difftext
from tagent_tui.view.difftext import Tab, pairs, tab_rows, text_rows
from tagent_tui.widgets.difftable import PairRows
from tests.acceptance.made_runs import HOSTILE

DONE = Figures("completed", True, seconds=2.0)


def step(name: str, what: str = "changed", a: Figures | None = DONE, b: Figures | None = DONE, **fields: Any) -> StepDiff:
    return StepDiff(name, what, a, b, **fields)


def whole(*steps: StepDiff, **fields: Any) -> RunDiff:
    a, b = (RunSide(run, "shop", "completed", 9, total=Total(10.0, 100, cost)) for run, cost in (("7d12aa", 0.5), ("7e41aa", 0.25)))
    return RunDiff(a, b, steps=steps, **fields)


def said(row: Row, width: int = 118) -> str:
    return "".join(seg.text for seg in beside(row.left, row.right, width)).rstrip()


def ink_of(row: Row, word: str) -> Ink:
    return next(seg.ink for seg in row.left if word in seg.text)


def pair(one: StepDiff, width: int = 118) -> Row:
    return diffrows.pair_row(one, diffrows.columns(width), UNICODE)


def test_a_step_that_is_the_same_is_quiet() -> None:
    """Its names are muted and its deltas blank, whatever the times."""
    row = pair(step("plan", "same", b=Figures("completed", True, seconds=9.0)))
    assert said(row).split() == ["✓", "plan", "2.0", "s", "=", "✓", "plan", "9.0", "s"]
    assert ink_of(row, "plan") is Ink.MUTED


def test_what_a_fork_reused_has_no_figures() -> None:
    """The word stands in place of the time and no saving is shown."""
    row = pair(step("plan", a=Figures("completed", True, cost=0.5, calls=1), b=Figures("completed", True, True)))
    assert said(row).endswith("reused")


def test_better_is_green_and_unknown_is_a_dash() -> None:
    """Less time is better; a price that is not known leaves a dash; steps without a model have no tokens."""
    a = Figures("completed", True, seconds=100.0, calls=2, tokens=41_000, cost=0.25)
    row = pair(step("find", a=a, b=Figures("failed", True, seconds=10.0, calls=1, tokens=500, cost=None, reason="HTTP 429")))
    assert said(row).endswith("- 1m 30s   - 40.5k          –")
    assert ink_of(row, "- 1m 30s") is Ink.SUCCESS
    assert ink_of(row, "HTTP 429") is Ink.ERROR
    assert said(pair(step("plain", b=Figures("completed", True, seconds=3.5)))).endswith("+ 1.5 s")


def test_steps_of_one_run_have_a_sign_of_their_own() -> None:
    """What ran only in one run is `-` or `+`; what is no step of the other says so."""
    assert " + " in said(pair(step("report", "b", Figures("skipped", reason="find failed"))))
    gone = said(pair(step("report", "a", b=None)))
    assert " - " in gone
    assert gone.rstrip().split("-")[1].strip().startswith("not a step")


@pytest.mark.parametrize("width", [20, 38, 60, 78, 98, 118, 200])
@pytest.mark.parametrize("name", HOSTILE)
def test_rows_fit_every_width_and_hostile_names_do_nothing(width: int, name: str) -> None:
    """A row is never wider than its pane, at whatever width, and holds no control characters."""
    one = step(name, a=Figures("failed", True, seconds=1.0, reason=name, attempts=3), events=(Divergence("missing", None, None),))
    first = Divergence("outcome", Moment(3, "step.failed", name, 1, name), Moment(4, "step.completed", name, 1, ""))
    diff = whole(one, first=first, reused=True)
    at = diffrows.columns(width)
    rows = [diffrows.head_row(diff, at, UNICODE), diffrows.pair_row(one, at, UNICODE), diffrows.total_row(diff, at, UNICODE)]
    rows.append(diffrows.divergence_row(diff, width, UNICODE))
    texts = StepTexts(output=text_diff(name, "other\n" + name * 2), prompt=text_diff("", name))
    for tab in Tab:
        rows += tab_rows(one, texts, tab, width, UNICODE, words=True)
    for row in rows:
        told = beside(row.left, row.right, width)
        assert cells(told) == width
        assert not [char for seg in told for char in seg.text if ord(char) < 32 or char in "\u202e\u200b\ufeff"]


def test_the_first_divergence_stands_before_its_step() -> None:
    """Where it is an edit, or of no step, before the first that differs; where nothing differs nowhere."""
    steps = (step("plan", "same"), step("find"), step("tell"))
    of_tell = Divergence("outcome", Moment(7, "step.failed", "tell", 1, "no"), Moment(8, "step.completed", "tell", 1, ""))
    edit = Divergence("extra", None, Moment(5, "edit.applied", "tell", 0, "tell.prompt by you"))
    created = Divergence("arguments", Moment(1, "run.created", None, 0, "shop"), Moment(1, "run.created", None, 0, "shop"))
    assert diffrows.place_of(whole(*steps, first=of_tell), steps) == 2
    assert diffrows.place_of(whole(*steps, first=edit), steps) == 1
    assert diffrows.place_of(whole(*steps, first=created), steps) == 1
    assert diffrows.place_of(whole(*steps), steps) is None
    told = said(Row(diffrows.divergence(of_tell, UNICODE)))
    assert told == "event 7 / 8 · step.failed · tell · no → step.completed · came to something else"


def test_the_verdict_is_said_in_words() -> None:
    """Faster or slower, cheaper or dearer, without what is equal or not known."""
    assert "".join(seg.text for seg in diffrows.verdict_segs(whole())) == "B is $0.250 cheaper"
    a, b = (RunSide(run, "shop", "completed", 9, total=Total(took, 0, None)) for run, took in (("x", 3.0), ("y", 90.0)))
    assert "".join(seg.text for seg in diffrows.verdict_segs(RunDiff(a, b))) == "B is 1m 27s slower"
    assert diffrows.verdict_segs(RunDiff(a, a)) == []


def test_rows_of_a_table_with_a_rule() -> None:
    """Children have rows only where they differ; hidden equal steps keep the rule at its place."""
    steps = (step("plan", "same"), step("each"), step("each[0]", "same"), step("each[1]"), step("end", "same"))
    first = Divergence("outcome", Moment(7, "step.failed", "each[1]", 1, ""), Moment(8, "step.completed", "each[1]", 1, ""))
    rows = PairRows()
    rows.put(whole(*steps, first=first), UNICODE, differing=False)
    assert [(one.step if one is not None else None) for one in map(rows.step, range(rows.count()))] == [
        "plan", "each", None, "each[1]", "end",
    ]  # fmt: skip
    assert (rows.differing, rows.find("end"), rows.find("each[0]")) == ([1, 3], 4, None)
    rows.put(whole(*steps, first=first), UNICODE, differing=True)
    assert [(one.step if one is not None else None) for one in map(rows.step, range(rows.count()))] == ["each", None, "each[1]"]


def shown(rows: Sequence[Row]) -> list[str]:
    return ["".join(seg.text for seg in row.left).rstrip() for row in rows]


def test_lines_stand_level_with_those_in_their_place() -> None:
    """Removed and added lines share a row, the side without one is filled; numbers are each text's own."""
    diff = text_diff("one\ntwo\nthree", "one\n2\nzwei\nthree")
    assert [(a and a.text, b and b.text) for a, b in pairs(diff.lines)] == [
        ("one", "one"), ("two", "2"), (None, "zwei"), ("three", "three"),
    ]  # fmt: skip
    rows = text_rows(diff, 95)
    assert shown(rows)[1].split() == ["2", "-", "two", "│", "2", "+", "2"]
    tints = [[seg.tint for seg in row.left if seg.tint is not None] for row in rows]
    assert set(tints[1]) == {Tint.REMOVED, Tint.ADDED}
    assert set(tints[2]) == {Tint.PANE, Tint.ADDED}
    assert shown(text_rows(diff, 40)) == ["  1   one", "  2 - two", "  2 + 2", "  3 + zwei", "  4   three"]


def test_long_lines_wrap_on_their_own_side() -> None:
    """A wrapped line keeps its number and sign on its first row, and its colour on all of them."""
    rows = text_rows(text_diff("short", "word " * 30), 95)
    assert len(rows) > 2
    assert shown(rows)[1].lstrip().startswith("│")
    assert {seg.tint for row in rows for seg in row.left[-2:]} == {Tint.ADDED}


def test_words_that_changed_are_strong() -> None:
    """With words marked, what both lines share is muted and the rest strong."""
    (row,) = text_rows(text_diff("Score: 3.1 of 5", "Score: 4.2 of 5"), 95, words=True)
    strong = [seg.text for seg in row.left if seg.ink is Ink.STRONG]
    assert strong == ["3", "1", "4", "2"]


def test_what_was_left_out_is_said() -> None:
    """Lines before and after what is compared, and bytes of outputs, are counted; no difference is a sentence."""
    head = "same\n" * 3_000
    rows = shown(text_rows(text_diff(head + "a\n" + "x\n" * 5_000, head + "b\n" + "x\n" * 5_001), 95))
    assert rows[0] == "2,997 lines before these are the same"
    assert rows[-1].endswith("lines more are not compared")
    one = step("find", a=Figures("completed", True, calls=1))
    assert shown(tab_rows(one, StepTexts(), Tab.OUTPUT, 95))[1] == "the output is the same in both runs"
    assert shown(tab_rows(step("find"), StepTexts(), Tab.PROMPT, 95))[1] == "no model was asked in either run"
    assert shown(tab_rows(one, StepTexts(unread=5_000_000), Tab.OUTPUT, 95))[-1] == "5.0 MB more are not compared"


def test_the_first_tab_is_the_first_that_differs() -> None:
    """Output before input before prompt; events where no text differs."""
    some = text_diff("a", "b")
    told = step("find", events=(Divergence("extra", None, Moment(3, "step.started", "find", 1, "")),))
    assert difftext.first_tab(told, StepTexts(prompt=some)) is Tab.PROMPT
    assert difftext.first_tab(told, StepTexts(input=some, prompt=some)) is Tab.INPUT
    assert difftext.first_tab(told, StepTexts()) is Tab.EVENTS
    assert difftext.plain_text(told, StepTexts(output=some), Tab.OUTPUT) == "- a\n+ b"
    assert "step.started" in difftext.plain_text(told, StepTexts(), Tab.EVENTS)
    assert difftext.counted_segs(TextDiff()) == []


def test_ascii_says_the_same() -> None:
    """Signs and rules have plain marks."""
    row = diffrows.pair_row(step("find"), diffrows.columns(78), ASCII)
    assert "".join(seg.text for seg in row.left).startswith("+ # +  find")
    assert Seg("#", Ink.WARNING) in row.left
