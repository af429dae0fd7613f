"""Values as a person reads them: short ones on a line, long ones folded with what is left out counted."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagent_tui.view.folded import CHARACTERS, MEMBERS, ROWS, WIDTH, fold

plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**6), 10**6) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=8), inner, max_size=5),
    max_leaves=30,
)


@given(plain)
def test_a_value_that_is_not_cut_reads_back(value: Any) -> None:
    """Folding only lays out: what is whole is the JSON of the value."""
    folded = fold(value)
    assert not folded.cut
    assert json.loads(folded.text) == value


@pytest.mark.parametrize(
    ("value", "rows"),
    [
        (3, ["3"]),
        ([1, 2], ["[1, 2]"]),
        ({"a": [], "b": {"x": 1}}, ["{", '  "a": [],', '  "b": {"x": 1}', "}"]),
        ([[1, 2], "x"], ["[", "  [1, 2],", '  "x"', "]"]),
        ({(1, 2): b"\x00"}, ["{", '  "(1, 2)": "b\'\\\\x00\'"', "}"]),
    ],
)
def test_what_is_short_stands_on_one_line(value: Any, rows: list[str]) -> None:
    """A short list or object is not spread over lines, except the outermost object; keys of any kind are shown."""
    assert fold(value).text.split("\n") == rows


def test_numbers_fill_their_lines_and_are_folded() -> None:
    """A column of thousands of numbers is some lines, and the count of the rest."""
    folded = fold({"sizes": [7] * 2_400})
    assert folded.cut
    rows = folded.text.split("\n")
    assert len(rows) == 8
    assert all(len(row) <= WIDTH for row in rows)
    assert rows[2].startswith("    7, 7, 7,")
    assert sum(row.count("7") for row in rows) == MEMBERS
    assert rows[-3:] == ["    … 2,350 more", "  ]", "}"]


def test_long_texts_and_wide_objects_are_folded() -> None:
    """Characters and keys that are left out are counted as members are; the mark is the one asked for."""
    text = fold({"t": "x" * 5_000}, "~").text.split("\n")[1]
    assert text.endswith(f'{"x" * 9}" ~ {5_000 - CHARACTERS:,} more characters')
    assert fold({f"k{n:03}": n for n in range(60)}).text.split("\n")[-2] == "  … 10 more"


def test_rows_are_bounded_however_deep_the_lists() -> None:
    """Lists in lists in lists come to no more rows than are shown."""
    folded = fold([[["a long text of more than some characters" * 2] * 50] * 50] * 50)
    assert folded.cut
    assert folded.text.count("\n") == ROWS
