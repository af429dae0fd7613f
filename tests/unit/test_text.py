"""Foreign text becomes lines that a terminal can only draw."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from tagent_tui import text
from tagent_tui.glyphs import ASCII
from tagent_tui.rows import Ink
from tagent_tui.text import Line, first_line, lines, one_line, wrap

HOSTILE = [
    "\x1b[31mred\x1b[0m",
    "\x1b]52;c;aGVsbG8=\x07",
    "\x1b]0;title\x1b\\",
    "\x9b31m",
    "a\x00b\x7fc\x08d",
    "\u202eevil\u202c \u2066iso\u2069 \u200f",
    "zero\u200bwidth\u200d\u2060\ufeff",
    "tags\U000e0041\U000e007f",
    "selectors a\ufe00b\U000e0100",
    "lone \ud800 and \udfff",
    "z" + "\u0301" * 500,
    "\u0301\u0302 starts with marks",
    "[/x] [@click=app.quit]go[/] [bold",
    "日本語テキスト 한국어 \u3000 wide",
    "👨\u200d👩\u200d👧 ❤\ufe0f",
    "\u2028\u2029\x0b\x0c\x85",
    "\ufffe\uffff\U0010ffff",
    "\u115f\u1160\u3164\uffa0\u2800",
    "a\tb\r\nc\rd",
    "\u00ad\u061c\u180e\u034f",
]


@pytest.mark.parametrize("hostile", HOSTILE)
def test_nothing_that_a_terminal_obeys_is_left(hostile: str) -> None:
    """Of hostile text only printable characters and a few combining marks come out."""
    shown = one_line(hostile).text
    for char in shown:
        assert unicodedata.category(char) not in ("Cc", "Cf", "Cs", "Cn", "Zl", "Zp"), hex(ord(char))


@given(st.text())
def test_any_text_is_drawable(foreign: str) -> None:
    """For any text the result has no control or format character, and its marked spans lie within it in order."""
    for line in [one_line(foreign), *lines(foreign).lines]:
        assert not [char for char in line.text if unicodedata.category(char) in ("Cc", "Cf", "Cs", "Zl", "Zp")]
        at = 0
        for start, end in line.marks:
            assert at <= start < end <= len(line.text)
            at = end


@given(st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=200))
def test_plain_text_is_itself(plain: str) -> None:
    """Printable ASCII comes out unchanged and unmarked."""
    assert one_line(plain) == Line(plain)


@pytest.mark.parametrize(
    ("char", "name"),
    [("\x1b", "⟨ESC⟩"), ("\x07", "⟨BEL⟩"), ("\x00", "⟨NUL⟩"), ("\x7f", "⟨DEL⟩"), ("\x9b", "⟨U+009B⟩"), ("\u202e", "⟨U+202E⟩"),
     ("\ud800", "⟨U+D800⟩")],
)  # fmt: skip
def test_controls_are_named_and_marked(char: str, name: str) -> None:
    """A control character is named where it stood, and the name is marked."""
    line = one_line(f"a{char}b")
    assert line == Line(f"a{name}b", ((1, 1 + len(name)),))


def test_names_are_drawn_in_the_warning_colour() -> None:
    """The pieces of a line keep its ink except for what was named."""
    segs = one_line("a\x1bb").segs(Ink.MUTED)
    assert [(seg.text, seg.ink) for seg in segs] == [("a", Ink.MUTED), ("⟨ESC⟩", Ink.WARNING), ("b", Ink.MUTED)]


def test_names_in_ascii() -> None:
    """The ASCII set names controls with ASCII brackets."""
    assert one_line("\x1b", glyphs=ASCII).text == "<ESC>"


def test_neighbouring_names_are_one_span() -> None:
    """Names in a row are one span, so that a flood of controls is one piece."""
    assert one_line("\x1b\x1b\x1b").marks == ((0, 15),)


def test_lines_split_at_line_breaks_only() -> None:
    """LF, CR, CRLF and the two Unicode separators split; VT and FF are controls and are named."""
    found = [line.text for line in lines("a\nb\r\nc\rd\u2028e\u2029f\x0bg\x0ch").lines]
    assert found == ["a", "b", "c", "d", "e", "f⟨VT⟩g⟨FF⟩h"]


def test_a_line_break_in_a_single_line_is_named() -> None:
    """Where one line is wanted a line break cannot start another."""
    assert one_line("a\nb").text == "a⟨LF⟩b"


def test_first_line_says_that_more_follows() -> None:
    """The first line with anything in it is taken; an ellipsis stands for what follows, if anything does."""
    assert first_line("\n\n  HTTP 429 \nretry later").text == "HTTP 429 …"
    assert first_line("HTTP 429\n\n").text == "HTTP 429"
    assert first_line("").text == ""


def test_tabs_expand_to_stops() -> None:
    """A tab fills up to the next multiple of four cells."""
    assert one_line("a\tb\t\tc").text == "a   b       c"


def test_floods_of_combining_marks_are_capped_and_counted() -> None:
    """Three marks stay on a character, the rest are counted."""
    line = one_line("z" + "\u0301" * 50 + "y")
    assert line.text == "z" + "\u0301" * 3 + "⟨+47 marks⟩y"
    assert one_line("e\u0301").text == "e\u0301"


def test_marks_without_a_base_do_not_join_what_stands_before() -> None:
    """Marks at the start of a text have nothing to stand on and are left out, so they cannot ride on the label before it."""
    assert not one_line("\u0301abc").text.startswith("\u0301")


def test_presentation_selectors_are_dropped() -> None:
    """VS15 and VS16 only choose a form that terminals measure differently; the text form is kept, one cell wide."""
    assert one_line("❤\ufe0f").text == "❤"


def test_total_is_capped_and_says_how_much_is_missing() -> None:
    """Of a text over 64 KB the rest is counted, in words that can be shown below it."""
    found = lines("x\n" * 40_000)
    assert found.cut == 80_000 - text.TOTAL_CAP + (text.TOTAL_CAP // 2 + 1 - text.LINES_CAP) * 2 - 1
    assert found.note() == f"{found.cut:,} more characters are not shown"
    assert lines("short").note() == ""


def test_long_lines_are_capped() -> None:
    """A line keeps at most its cap of cells, and an ellipsis says that there was more."""
    for foreign in ("x" * 10_000, "日" * 10_000, "\x1b" * 10_000):
        line = lines(foreign).lines[0]
        assert text.LINE_CAP <= cell_len(line.text) <= text.LINE_CAP + 12
        assert line.text.endswith("…")


def test_markup_is_text() -> None:
    """Square brackets come out as they are: nothing here is markup."""
    assert one_line("[/x] [@click=app.quit]").text == "[/x] [@click=app.quit]"


@given(st.text(st.sampled_from("ab 日\u0301"), max_size=80), st.integers(min_value=2, max_value=20))
def test_wrapping_keeps_the_text_and_the_width(foreign: str, width: int) -> None:
    """Wrapped pieces fit the width, and together they are the line without the spaces broken at."""
    line = one_line(foreign)
    pieces = wrap(line, width)
    assert all(cell_len(piece.text) <= width for piece in pieces)
    assert "".join(piece.text for piece in pieces).replace(" ", "") == line.text.replace(" ", "")


def test_wrapping_carries_marks() -> None:
    """A marked span that is broken is marked in both pieces."""
    pieces = wrap(one_line("ab\x1bcd"), 4)
    assert [(piece.text, piece.marks) for piece in pieces] == [("ab⟨E", ((2, 4),)), ("SC⟩c", ((0, 3),)), ("d", ())]


@pytest.mark.parametrize("hostile", HOSTILE)
def test_what_is_typed_has_nothing_to_obey(hostile: str) -> None:
    """A line to type on takes text without controls, breaks or tabs; plain text is taken as it is."""
    kept = text.typed(hostile)
    assert not [char for char in kept if unicodedata.category(char) in ("Cc", "Cf", "Cs", "Cn", "Zl", "Zp")]
    assert text.typed("a b") == "a b"
    assert text.typed("日本\té\n") == "日本 é "
