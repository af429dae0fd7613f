"""Texts laid out in a width: values, messages, failures, and what a hostile or huge one becomes."""

from __future__ import annotations

import pytest

from store import values
from store.events import Failure, Payload, Usage
from store.projector import project
from store.state import StepStatus
from tagent_tui.rows import Ink, Row, beside, cells
from tagent_tui.view import detail, messages
from tagent_tui.view.detail import Failed, Subject, Tab, tabs_of
from tagent_tui.view.document import DECODED_CAP, Document, Para, Part, content_of, lay_out, text_part, value_part
from tagent_tui.view.effects import EffectLine
from tagent_tui.view.outline import read_outline
from tagent_tui.view.scene import Scene, look, look_back
from tests.acceptance.made_runs import HOSTILE, Made, in_doubt, research


def seen(made: Made) -> Scene:
    """A look at a made run while it is driven."""
    state = project(made.events)
    return look(state, read_outline(made.blobs[state.definition]), alive=True, now=made.at + 2)


def text(parts: list[Part], width: int = 60) -> list[str]:
    """Parts as lines of text."""
    return ["".join(seg.text for seg in beside(row.left, row.right, width)).rstrip() for row in lay_out(parts, width)]


def test_a_string_is_itself_and_other_values_are_indented() -> None:
    """A Markdown report is read as text; an object as JSON with its keys muted."""
    assert content_of(values.encode("# Title\nline")).text == "# Title\nline"
    content = content_of(b'{"a":1,"b":[true]}')
    rows = lay_out(value_part(content), 40)
    assert ["".join(seg.text for seg in row.left) for row in rows] == ["{", '  "a": 1,', '  "b": [true]', "}"]
    assert rows[1].left[0].ink is Ink.MUTED


@pytest.mark.parametrize(
    "stored", [b"", b"\xff\xfe", b"{", b"[" * 100_000, b'{"$int": "0x' + b"f" * 9_000 + b'"}', b'{"$map": [[1, 2]]}']
)
def test_what_is_no_value_is_shown_as_it_stands(stored: bytes) -> None:
    """Damaged or strange stored text is shown, never raised."""
    assert content_of(stored).size == len(stored)


def test_only_the_first_part_of_a_large_value_is_laid_out() -> None:
    """Of more than 64 KB the first part and the size are shown, and that the pager has the rest."""
    content = content_of(values.encode("x" * 1_000_000))
    assert content.cut
    said = text(value_part(content), 80)
    assert said[-1] == "a part of 1.0 MB  v pager"
    assert len(said) < 1_000
    beyond = content_of(b"[" + b"1," * DECODED_CAP + b"1]")
    assert (beyond.cut, beyond.text[:5]) == (True, "[1,1,")


def test_a_large_value_is_folded_and_not_cut() -> None:
    """Of lists with thousands of members the first are shown in their structure, with the count of the others, muted."""
    content = content_of(values.encode({"files": [{"path": f"f{n}.py"} for n in range(9_000)], "total": 9_000}))
    said = text(value_part(content), 60)
    assert said[:4] == ["{", '  "files": [', '    {"path": "f0.py"},', '    {"path": "f1.py"},']
    assert said[-6:] == ["    … 8,950 more", "  ],", '  "total": 9000', "}", "", "a part of 179 kB  v pager"]
    (row,) = [row for row in lay_out(value_part(content), 60) if "more" in "".join(seg.text for seg in row.left)]
    assert {seg.ink for seg in row.left} == {Ink.MUTED}


def test_paragraphs_hang_under_their_label() -> None:
    """The first line stands beside the label, the others under the text; a narrow pane drops the indent."""
    part = text_part("one two three four five", label=messages_label(), indent=8)
    assert text([part], 20) == ["model   one two", "        three four", "        five"]
    assert text([part], 12)[0].startswith("model")


def messages_label() -> object:
    """A label as messages have it."""
    from tagent_tui.rows import Seg

    return Seg("model", Ink.STRONG, bold=True)


@pytest.mark.parametrize("width", [0, 1, 3, 7, 9, 40, 200])
def test_layouts_have_no_row_wider_than_the_pane(width: int) -> None:
    """At any width every row of a text fits, whatever is in it."""
    for hostile in HOSTILE:
        for part in (text_part(hostile), text_part(hostile, label=messages_label(), indent=8)):  # type: ignore[arg-type]
            for row in lay_out([part], width):
                assert cells(beside(row.left, row.right, width)) == width


def test_a_conversation_says_who_said_what() -> None:
    """System text is one muted line with its length, the others stand in full; an assistant is called model."""
    found = [
        {"role": "system", "content": "You judge.\nBriefly."},
        {"role": "user", "content": [{"type": "text", "text": "Judge this"}, 7]},
        {"role": "assistant", "content": None, "tool_calls": [{"function": {"name": "look", "arguments": '{"at": 3}'}}]},
        {"role": "tool", "content": {"rows": 14}},
        {"content": 12},
    ]
    said = text(messages.messages(seen(research()), found), 60)
    assert said[0].startswith("system  You judge. …")
    assert said[0].endswith("19 characters")
    assert "user    Judge this" in said
    assert 'model   calls look({"at": 3})' in said
    assert 'tool    {"rows": 14}' in said
    assert "?       12" in said
    assert "system  You judge." in text(messages.messages(seen(research()), found, whole=True))


def test_an_answer_says_what_it_took_and_whether_it_was_simulated() -> None:
    """Below an answer stand time, tokens and cost; a simulated one says so and has no price."""
    line = EffectLine(
        3, "model", "m", 1, "idempotent", 10.0, status=StepStatus.COMPLETED, ended_at=12.0, usage=Usage("m", 400, 96, 0.002)
    )
    scene = seen(research())
    assert text(messages.reply(scene, line, "Well."))[-1] == "        2.0 s · 400 in, 96 out · $0.002"
    line.simulated = True
    assert text(messages.reply(scene, line, "Well."))[-1] == "        2.0 s · 400 in, 96 out · simulated"


def test_an_answer_that_calls_tools_shows_the_calls() -> None:
    """What the model called stands where its words would; words and calls may come together."""
    line = EffectLine(3, "model", "m", 1, "read", 10.0, status=StepStatus.COMPLETED, ended_at=12.0)
    calls = [{"id": "1", "name": "look", "arguments": '{"at": 3}'}, {"id": "2", "name": "send", "arguments": ""}]
    scene = seen(research())
    assert text(messages.reply(scene, line, "", calls=calls))[1:] == [
        'model   calls look({"at": 3})',
        "        calls send()",
        "        2.0 s",
    ]
    assert text(messages.reply(scene, line, "First I look.", calls=calls))[1:3] == [
        "model   First I look.",
        '        calls look({"at": 3})',
    ]


def test_an_answer_under_way_ends_with_a_cursor() -> None:
    """While the model answers, what is known of it ends with the block cursor; a failed call says why, in red."""
    scene = seen(research())
    line = EffectLine(3, "model", "m", 1, "idempotent", 10.0)
    assert text(messages.reply(scene, line, "", live="of foundi"))[-1] == "model   of foundi▌"
    line.status, line.ended_at, line.reason = StepStatus.FAILED, 11.0, "HTTP 500"
    assert text(messages.reply(scene, line, ""))[-1] == "model   HTTP 500"


def test_tabs_are_those_that_say_something() -> None:
    """Error only where something failed, input only with dependencies, prompt and messages only where a model is asked."""
    scene = seen(research())
    assert tabs_of(scene, Subject("plan")) == [Tab.OUTPUT, Tab.PROMPT, Tab.MESSAGES, Tab.EVENTS]
    assert tabs_of(scene, Subject("legal")) == [Tab.OUTPUT, Tab.ERROR, Tab.INPUT, Tab.EVENTS]
    assert tabs_of(scene, Subject("score")) == [Tab.OUTPUT, Tab.INPUT, Tab.EVENTS]
    assert tabs_of(scene, Subject("gone")) == [Tab.OUTPUT]
    past = look_back(scene.state, scene.outline)
    assert tabs_of(past, Subject("plan"))[0] is Tab.EVENT
    line = EffectLine(3, "model", "m", 1, "read", 1.0, status=StepStatus.FAILED)
    assert tabs_of(scene, Subject("plan", 3), line) == [Tab.OUTPUT, Tab.ERROR, Tab.INPUT, Tab.MESSAGES]


def test_a_step_without_output_says_how_it_stands() -> None:
    """Instead of an output: what it needs with how that stands, what it does, or why it failed."""
    scene = seen(research())
    assert text(detail.standing(scene, "score"))[1:] == ["needs  ◇ pages", "       ● reviews"]
    running = text(detail.standing(scene, "reviews", live="writing"))
    assert running[0].startswith("● running  41.3 s")
    assert running[1].startswith("  ● model gpt-4.1  12.9 s")
    assert running[-1] == "writing▌"
    assert text(detail.standing(scene, "legal"))[1].startswith("HTTP 403")
    doubt = in_doubt()
    state = project(doubt.events)
    assert (
        "no known outcome"
        in text(detail.standing(look(state, read_outline(doubt.blobs[state.definition]), alive=False, now=0), "charge"))[1]
    )


def test_failures_are_listed_latest_first_with_their_trace() -> None:
    """Each try says when it failed, of which kind, whether trying again may help, and where."""
    scene = seen(research())
    failure = Failure("error", "HTTP 403", False, detail=Payload(size=3))
    said = text(detail.errors(scene, [Failed(2, 1_760_004_547.0, failure, content_of(b'"Traceback\\n  line 41\\n"'))]))
    assert said[0].startswith("try 2   ")
    assert said[0].endswith("error   would fail again")
    assert said[1:] == ["HTTP 403", "", "Traceback", "  line 41"]


def test_inputs_are_the_outputs_of_the_dependencies() -> None:
    """Each dependency is a heading over its value; one without a value says how it stands."""
    scene = seen(research())
    steps = scene.state.steps
    said = text(detail.inputs(scene, [("social", steps["social"], content_of(b"3")), ("pages", steps["pages"], None)]))
    assert said == ["social", "  3", "", "pages", "  no output yet: waiting"]


def test_a_heading_says_try_model_pace_and_simulation() -> None:
    """What is seen first names the step, its try and who answered how fast."""
    scene = seen(research(simulated=True))
    line = EffectLine(5, "model", "gpt-4.1", 1, "read", 10.0, ended_at=20.0, usage=Usage("gpt-4.1", 10, 380), simulated=True)
    head = detail.heading(scene, Subject("plan", 5), line, model="gpt-4.1")
    assert "".join(seg.text for seg in head.left) == "plan › model gpt-4.1   38 tok/s   simulated"
    assert "".join(seg.text for seg in detail.heading(scene, Subject("legal")).left) == "legal   try 4 of 4"


def test_a_document_is_laid_out_once_a_width_and_copied_whole() -> None:
    """Asking for rows again costs nothing; the text for the clipboard is unwrapped and safe."""
    document = Document([Row(()), Para(text_part("a b c d\x1b e f").lines)])
    document.fit(4)
    rows = document.count()
    assert rows > 2
    for index in range(rows):
        document.row(index, 4)
    assert document.layouts == 1
    document.fit(40)
    assert (document.layouts, document.count()) == (2, 2)
    assert document.text() == "\na b c d⟨ESC⟩ e f"
