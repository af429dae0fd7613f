"""What the command line draws: Markdown in columns, progress lines, and text that a terminal may be given."""

from __future__ import annotations

import io
import json

import pytest
from rich.cells import cell_len

from store import Recorded, RunState
from store.events import (
    EffectInDoubt,
    Failure,
    LogWritten,
    Payload,
    RunCreated,
    StepCompleted,
    StepFailed,
    StepRetryScheduled,
    StepSkipped,
    StepStarted,
)
from tagent_tui.cli.ending import print_value
from tagent_tui.cli.listing import Column, fitting
from tagent_tui.cli.markdown import draw, inline
from tagent_tui.cli.output import Output, Stream, shown
from tagent_tui.cli.progress import Progress
from tagent_tui.cli.session import Session
from tagent_tui.glyphs import ASCII, UNICODE
from tagent_tui.rows import Ink, Seg

REPORT = """# A *title*: x\\_y

Some **bold** words and `code | here`, long enough that a narrow terminal has to wrap them at a space.

| # | where | what |
| ---: | --- | --- |
| 1 | `a\\|b.py:3` | a reason that is much too long for the column that is left for it in here |
| 10 | `c.py` | short |

> quoted **text**
- item one
"""


def plain(text: str, width: int = 60) -> list[str]:
    return ["".join(seg.text for seg in line).rstrip() for line in draw(text, width)]


def test_marks_of_markdown_are_taken_away() -> None:
    """Headings, bold, code and escapes lose their marks; a table keeps its bars inside code."""
    lines = plain(REPORT)
    assert lines[0] == "A *title*: x_y"
    assert "bold words and code | here" in lines[2]
    assert any("a|b.py:3" in line for line in lines)
    assert lines[-2:] == ["│ quoted text", "- item one"]


def test_tables_stand_in_columns() -> None:
    """Numbers stand right, cells wrap inside their column, and no line is wider than asked."""
    lines = plain(REPORT)
    first = next(index for index, line in enumerate(lines) if line.lstrip().startswith("#"))
    head, one, more = lines[first : first + 3]
    at = head.index("what")
    assert one.startswith(" 1  ")
    assert one[at:].startswith("a reason")
    assert more[:at].strip() == ""
    assert max(cell_len(line) for line in lines) <= 60


@pytest.mark.parametrize("width", [20, 30, 45, 80, 200])
def test_no_drawn_line_is_wider_than_the_terminal(width: int) -> None:
    """At any usual width everything is wrapped."""
    assert all(cell_len(line) <= max(width, 34) for line in plain(REPORT, width))


def test_foreign_controls_are_named_before_anything_is_drawn() -> None:
    """An escape sequence in a report reaches the terminal as a word."""
    assert plain("a \x1b[31mred\x07")[0] == "a ⟨ESC⟩[31mred⟨BEL⟩"


def test_bold_spans_are_known() -> None:
    """The parts between ** are spans of the result."""
    line = inline("a **b** c **d**")
    assert line.text == "a b c d"
    assert [line.text[start:end] for start, end in line.marks] == ["b", "d"]


def test_shown_text_is_whole() -> None:
    """Sanitising for the shell names what it must and cuts nothing."""
    text = "\x00" * 500 + "end"
    assert shown(text, UNICODE).endswith("⟨NUL⟩end")


def test_only_ascii_reaches_an_ascii_stream() -> None:
    """Marks of ours have ASCII forms and foreign letters are escaped."""
    raw = io.BytesIO()
    stream = Stream(io.TextIOWrapper(raw, encoding="ascii"), "never")
    assert stream.glyphs is ASCII
    stream.segs([Seg("– · …"), Seg(" é")])
    assert raw.getvalue() == b"- - ~ \\xe9\n"


@pytest.mark.parametrize("terminal", [False, True])
def test_a_long_result_is_folded_for_a_person_only(terminal: bool, capsys: pytest.CaptureFixture[str]) -> None:
    """At a terminal thousands of members are some rows and a note says so; anywhere else the value is whole."""
    session = Session()
    session.output.out.terminal = terminal
    print_value(session, {"sizes": list(range(9_000))}, simulated=False)
    out, err = capsys.readouterr()
    if terminal:
        assert out.splitlines()[-3:] == ["    … 8,950 more", "  ]", "}"]
        assert err == "a part of it; into a pipe, a file or with --json all of it is written\n"
    else:
        assert json.loads(out) == {"sizes": list(range(9_000))}
        assert err == ""


def test_colour_is_used_where_it_is_asked_for() -> None:
    """Colour follows the option, and without a terminal there is none by default."""
    for color, told in (("always", "\x1b[31mx\x1b[0m"), ("auto", "x"), ("never", "x")):
        assert Stream(io.StringIO(), color).paint([Seg("x", Ink.ERROR)]) == told


def test_a_reader_that_left_ends_the_writing_quietly() -> None:
    """A closed pipe is no error: what follows is not written."""

    class Gone(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError

    stream = Stream(Gone(), "never")
    stream.write("x")
    assert not stream.open
    stream.write("y")


def test_a_narrow_list_drops_figures_from_the_right() -> None:
    """What does not fit beside the last column goes, the rightmost first."""
    figures = [Column("steps", ["10/10"]), Column("age", ["2h"]), Column("cost", ["$12.41"])]
    assert [[one.title for one in fitting(figures, room)] for room in (0, 7, 12, 19, 20, 99)] == [
        [],
        ["steps"],
        ["steps", "age"],
        ["steps", "age"],
        ["steps", "age", "cost"],
        ["steps", "age", "cost"],
    ]


STEPS = ["fetch", "judge", "report"]


def told(*batches: list[Recorded], verbose: bool = False) -> list[str]:
    """The lines that progress writes for events of a run with three steps."""
    output = Output(verbose=verbose)
    written = io.StringIO()
    output.err = Stream(written, "never")
    output.err.glyphs = UNICODE
    progress = Progress(output, RunState())
    progress.take([Recorded(1, 0.0, RunCreated("p", "d", STEPS, "fff"))])
    for batch in batches:
        progress.take(batch)
    return written.getvalue().splitlines()


def event(version: int, at: float, what: object, step: str | None = "fetch", attempt: int = 1) -> Recorded:
    return Recorded(version, at, what, step, attempt)


def test_a_step_that_completed_has_one_line_with_its_time() -> None:
    """Starting is not told, completing is, in aligned columns."""
    lines = told([event(2, 10.0, StepStarted())], [event(3, 11.5, StepCompleted(Payload()))])
    assert lines == ["✓ fetch     1.5 s"]


def test_a_failure_that_is_tried_again_says_when() -> None:
    """A failed attempt and its retry are one line; the line of the last attempt says how many there were."""
    lines = told(
        [event(2, 10.0, StepStarted())],
        [event(3, 11.0, StepFailed(Failure("error", "no luck"))), event(4, 11.0, StepRetryScheduled(11.4))],
        [event(5, 11.4, StepStarted(), attempt=2)],
        [
            event(6, 12.0, StepFailed(Failure("error", "no luck\nat all")), attempt=2),
            event(7, 12.0, StepSkipped("needs fetch"), "judge"),
        ],
    )
    assert [" ".join(line.split()) for line in lines] == [
        "◇ fetch try 1 failed: no luck; again in 0.4 s",
        "✗ fetch 2.0 s after 2 tries no luck …",
        "– judge skipped: needs fetch",
    ]


def test_what_steps_print_is_shown_safely() -> None:
    """A line a step wrote stands behind its name, its control characters named."""
    assert told([event(2, 1.0, LogWritten("hi \x1b[2J"))]) == ["  fetch   hi ⟨ESC⟩[2J"]


def test_an_effect_in_doubt_is_said() -> None:
    """Doubt is told as soon as it is recorded."""
    lines = told([event(2, 1.0, StepStarted())], [event(3, 2.0, EffectInDoubt(2))])
    assert lines[0].startswith("? fetch")
    assert "no known outcome" in lines[0]


def test_many_steps_are_counted_instead_of_listed() -> None:
    """A run of a thousand steps has ten lines, not a thousand."""
    output = Output()
    written = io.StringIO()
    output.err = Stream(written, "never")
    progress = Progress(output, RunState())
    names = [f"s{index}" for index in range(1000)]
    progress.take([Recorded(1, 0.0, RunCreated("p", "d", names, "f" * 1000))])
    for index, name in enumerate(names):
        progress.take([event(2 * index + 2, 1.0, StepStarted(), name), event(2 * index + 3, 1.0, StepCompleted(), name)])
    lines = written.getvalue().splitlines()
    assert len(lines) == 10
    assert lines[-1].endswith("1,000 of 1,000 steps")
