"""Names, patterns, tags and words of the streams: what is one, and what is refused in one sentence."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from store import StreamNameError
from store.memories import QUERY_WORDS, WORD_LIMIT, words
from store.streams import NAME_LIMIT, STAR_LIMIT, labels, name, pattern


@pytest.mark.parametrize("text", ["a", "run:r 1", "größe/日本", "x" * NAME_LIMIT, "*"])
def test_printable_texts_are_names(text: str) -> None:
    """Any printable letters up to the limit are a name as they are."""
    assert name(text, "a key") == text


@pytest.mark.parametrize("text", ["", "x" * (NAME_LIMIT + 1), "a\nb", "\x00", "\ud800", "\x1b[0m", None, 3, b"a", ["a"]])
def test_others_are_refused(text: object) -> None:
    """What cannot be shown, stored and asked for again is refused, and the sentence names it shortly."""
    with pytest.raises(StreamNameError, match=rf"cannot be a key; use 1 to {NAME_LIMIT} printable letters\.$") as refused:
        name(text, "a key")
    assert len(str(refused.value)) < 160


def test_a_pattern_has_few_stars() -> None:
    """A pattern whose matching would take for ever is refused."""
    assert pattern("*a" * STAR_LIMIT, "a pattern") == "*a" * STAR_LIMIT
    with pytest.raises(StreamNameError, match=f"more than {STAR_LIMIT} stars"):
        pattern("*a" * (STAR_LIMIT + 1), "a pattern")


def test_tags_are_sorted_and_each_once() -> None:
    """Equal sets of tags are equal lists; a text alone is a mistake, not its letters."""
    assert labels(["b", "a", "b"]) == labels(("a", "b")) == ["a", "b"]
    with pytest.raises(StreamNameError, match="list of texts, not the text 'ab'"):
        labels("ab")


def test_words_are_found_whatever_their_case_and_accents() -> None:
    """A text and a question that mean the same word have it in common."""
    assert words("Müller, MULLER & Söhne: 3 Stück!", 10) == ["muller", "sohne", "3", "stuck"]
    assert words("", 10) == words("\ud800 ?", 10)[1:] == []


@given(st.text(max_size=300))
def test_words_of_any_text_are_bounded(text: str) -> None:
    """No text makes more or longer words than the index takes, and none raises."""
    found = words(text, QUERY_WORDS)
    assert len(found) <= QUERY_WORDS
    assert all(0 < len(word) <= WORD_LIMIT and word.encode() for word in found)
    assert len(set(found)) == len(found)
