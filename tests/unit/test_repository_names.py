"""Names as text and back, and foreign text in Markdown."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from engine.templates.repository.names import bytes_of, code, counted, markdown, shortened, shortened_path, text_of, visible
from tests.trees import ODD_NAMES

RENDERER = MarkdownIt("gfm-like")


@given(st.binary())
def test_any_name_survives_the_way_through_text(name: bytes) -> None:
    """Whatever bytes a name has, its text is encodable and leads back to the same bytes."""
    text = text_of(name)
    text.encode("utf-8")
    assert bytes_of(text) == name


@pytest.mark.parametrize("name", ODD_NAMES)
def test_odd_names_survive_and_show_nothing_invisible(name: bytes) -> None:
    """Odd names come back, and what is shown of them has no control or bidi character left."""
    assert bytes_of(text_of(name)) == name
    assert all(char.isprintable() for char in visible(text_of(name)))


@pytest.mark.parametrize(
    ("name", "text"),
    [(b"a\xe9b", "a\\xe9b"), (b"a\\xe9b", "a\\\\xe9b"), ("é".encode(), "é"), (b"\xed\xa0\x80", "\\xed\\xa0\\x80")],
)
def test_names_that_look_alike_stay_apart(name: bytes, text: str) -> None:
    """A byte that is no UTF-8 and a name that spells such a byte are written differently."""
    assert text_of(name) == text


def test_controls_and_directions_are_named() -> None:
    """Every character that does not show itself is spelled out."""
    assert visible("a\x1b[31m\u202e\x07\nb\u200b\ud800") == "a⟨ESC⟩[31m⟨U+202E⟩⟨BEL⟩⟨LF⟩b⟨U+200B⟩⟨U+D800⟩"


def test_ordinary_text_is_left_alone() -> None:
    """Letters, spaces of any width, signs and emoji are shown as they are."""
    assert visible("naïve\u00a0text 中文 🐍 -- ok") == "naïve\u00a0text 中文 🐍 -- ok"


def _shown(tokens: list) -> str:
    return "".join(_shown(token.children) if token.children else token.content for token in tokens)


@given(st.text(max_size=60))
def test_markdown_shows_exactly_the_text(text: str) -> None:
    """In a table cell, any text renders as itself: no markup, no link, no HTML, no second cell."""
    source = f"| a |\n| --- |\n| x{markdown(text)}x |\n"
    tokens = RENDERER.parse(source)
    kinds = {child.type for token in tokens for child in token.children or ()}
    assert kinds <= {"text", "text_special"}
    cells = [token for token in tokens if token.type == "inline"]
    assert len(cells) == 2
    assert _shown([cells[1]]) == f"x{visible(text)}x"


@given(st.text(max_size=60))
def test_code_spans_hold_any_text_in_a_cell(text: str) -> None:
    """In a table cell, a code span contains the whole text and nothing outside it."""
    tokens = RENDERER.parse(f"| a |\n| --- |\n| {code(text, in_table=True)} |\n")
    cell = [token for token in tokens if token.type == "inline"][-1]
    assert [child.type for child in cell.children or ()] == ["code_inline"]
    assert _shown([cell]).strip() == visible(text).strip()


@pytest.mark.parametrize(
    "text", ["http://evil.example/x", "www.evil.example", "a@b.example", "HTTPS://EVIL.example", "mailto:a@b.c"]
)
def test_addresses_do_not_become_links(text: str) -> None:
    """An address in foreign text stays text."""
    assert "<a" not in RENDERER.render(markdown(text))


def test_texts_are_cut_where_it_hurts_least() -> None:
    """Texts lose their end, paths their middle; what fits is not touched."""
    assert shortened("abcdef", 4) == "abc…"
    assert shortened("abcd", 4) == "abcd"
    cut = shortened_path("folder/" * 30 + "name.py", 40)
    assert len(cut) == 40
    assert cut.startswith("folder/")
    assert cut.endswith("name.py")


def test_counts_have_the_right_number() -> None:
    """One is singular, everything else plural, thousands are grouped."""
    assert [counted(n, "dependency") for n in (0, 1, 1200)] == ["0 dependencies", "1 dependency", "1,200 dependencies"]
