"""YAML and JSON text as plain values with lines."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.documents import MAX_BYTES, FlawError, Node, decode_text, read_json, read_yaml


def plain(text: str, as_json: bool = False) -> object:
    root, flaws = read_json(text) if as_json else read_yaml(text)
    assert flaws == []
    assert root is not None
    return root.plain()


@pytest.mark.parametrize(
    "word", ["no", "on", "yes", "off", "012", "1:30", "0x10", "0o7", "1_000", "2024-01-01", "1e", ".", "--", "=", "0.1.2"]
)
def test_words_that_other_yaml_readers_change_stay_text(word: str) -> None:
    """Every word but null, true, false and decimal numbers is taken literally."""
    assert plain(f"value: {word}\n") == {"value": word}


@pytest.mark.parametrize(
    ("word", "meaning"),
    [
        ("1", 1),
        ("-3", -3),
        ("+1", 1),
        ("1.5", 1.5),
        (".5", 0.5),
        ("1e3", 1000.0),
        ("true", True),
        ("False", False),
        ("~", None),
        ("null", None),
    ],
)
def test_numbers_truth_and_nothing_are_read(word: str, meaning: object) -> None:
    """Decimal numbers, true, false and null are values."""
    assert plain(f"value: {word}\n") == {"value": meaning}


def test_quoted_words_are_text() -> None:
    """A quoted word is text whatever it says."""
    assert plain("- '1'\n- \"true\"\n- 'null'\n") == ["1", "true", "null"]


def test_not_a_number_is_a_float() -> None:
    """The YAML word .nan is that float, and is left for the field's own check."""
    value = plain("x: .nan\n")
    assert isinstance(value, dict)
    assert math.isnan(value["x"])


def test_a_node_knows_the_line_of_its_key() -> None:
    """A value is said to stand where its key stands."""
    root, _ = read_yaml("a: 1\nb:\n  - x\n  - c:\n      long\n")
    assert root is not None
    assert isinstance(root.value, dict)
    assert root.value["b"].line == 2
    assert isinstance(root.value["b"].value, list)
    item = root.value["b"].value[1]
    assert isinstance(item.value, dict)
    assert (item.line, item.value["c"].line) == (4, 4)


@pytest.mark.parametrize(
    ("text", "line", "part"),
    [
        ("a: &x [*x]\n", 1, "inside itself"),
        ("a: *y\n", 1, "not defined above"),
        ("a: 1\nb: !!python/object/apply:os.system [x]\n", 2, "the tag !!python/object/apply:os.system"),
        ("a: 1\nb: 2\na: 3\n", 3, "the key 'a' twice (first on line 1)"),
        ("a:\n\t- b\n", 2, "indented with a tab"),
        ("a: 1\n---\nb: 2\n", 2, "second document"),
        ("[" * 500, 1, "nested deeper than 100"),
        ("a: " + "9" * 5000, 1, "5,000 digits"),
        ("a: 1e999", 1, "too large"),
        ("? [a]\n: b\n", 1, "key that is not a word"),
        ("a: 1\nb: \x07\n", 2, "not YAML"),
        ("a: 1\nb: 'x\n", 2, "never closed"),
        ("a: b: c\n", 1, "quote the text"),
        ("x: {a: 1}\ny:\n  <<: {b: 2}\n", 3, "merges with '<<'"),
        ('"\\UFFFFFFFF"', 1, "not YAML"),
        ("%YAML x\n---\na\n", 1, "not YAML"),
    ],
)
def test_what_is_wrong_with_yaml_is_told_with_its_line(text: str, line: int, part: str) -> None:
    """Each unusable text gives a flaw on the line where it stands."""
    _, flaws = read_yaml(text)
    assert [(flaw.line, part in flaw.message) for flaw in flaws] == [(line, True)], flaws


def test_an_alias_bomb_is_counted_not_expanded() -> None:
    """Nested aliases that stand for a billion values are refused at once."""
    text = "a0: &a0 [x]\n" + "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 10))
    _, flaws = read_yaml(text)
    assert "250,000 values" in flaws[0].message


def test_a_long_text_repeated_by_aliases_is_counted_by_its_length() -> None:
    """Repeating a large text thousands of times is refused too: it would have to be stored that often."""
    _, flaws = read_yaml(f"a: &a {'x' * 100_000}\nb: [{'*a, ' * 1000}]\n")
    assert "250,000 values" in flaws[0].message


def test_a_yaml_1_1_directive_changes_nothing() -> None:
    """A file that claims YAML 1.1 still keeps its words."""
    assert plain("%YAML 1.1\n---\na: no\n") == {"a": "no"}


@pytest.mark.parametrize(
    ("text", "line", "part"),
    [
        ('{"a": 1,\n"a": 2}', 2, "the key 'a' twice"),
        ('{"a": NaN}', 1, "NaN"),
        ('{"a": 1}\nx', 2, "after the end"),
        ("{", 1, "a key in double quotes"),
        ('{"a":\n[1,\n2', 3, "',' or ']'"),
        ("[1,]", 1, "a value should stand"),
        ("[" * 500, 1, "nested deeper"),
        ('["a\nb"]', 1, "control character"),
        ("[" + "1" * 400 + "]", 1, "400 digits"),
        ('{"a"  1}', 1, "':' should follow"),
        ("[01]", 1, "',' or ']'"),
        ("[", 1, "ends too early"),
    ],
)
def test_what_is_wrong_with_json_is_told_with_its_line(text: str, line: int, part: str) -> None:
    """Each unusable JSON text gives a flaw on its line."""
    _, flaws = read_json(text)
    assert [(flaw.line, part in flaw.message) for flaw in flaws] == [(line, True)], flaws


@pytest.mark.parametrize(
    ("content", "line", "part"),
    [
        ("a: 1".encode("utf-16"), 1, "save it as UTF-8"),
        ("a: 1".encode("utf-16-le"), 1, "save it as UTF-8"),
        ("a: 1".encode("utf-32"), 1, "save it as UTF-8"),
        (b"a: 1\nb: \xff\n", 2, "0xff"),
        (b"a: 1\n\0", 2, "NUL"),
        (b"x" * (MAX_BYTES + 1), 1, "1,000,000 bytes"),
    ],
)
def test_bytes_that_are_not_a_text_are_told(content: bytes, line: int, part: str) -> None:
    """Other encodings, broken ones, NUL and floods are named."""
    with pytest.raises(FlawError) as caught:
        decode_text(content)
    assert caught.value.flaw.line == line
    assert part in caught.value.flaw.message


def test_a_utf8_byte_order_mark_is_skipped() -> None:
    """A file saved with a UTF-8 mark reads like one without."""
    assert decode_text(b"\xef\xbb\xbfa: 1") == "a: 1"


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**20), 10**20) | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(value=json_values, indent=st.sampled_from([None, 2]))
def test_json_reads_as_the_standard_reader_does(value: object, indent: int | None) -> None:
    """Whatever the standard library writes is read back the same."""
    assert plain(json.dumps(value, indent=indent), as_json=True) == value


@given(st.text(alphabet="ab1.:-?[]{}&*!|>'\"%@`#,\n \t\\~<=\x00\x85\ufeff\ud800", max_size=60))
@settings(max_examples=300)
def test_any_text_gives_values_or_flaws(text: str) -> None:
    """No text makes a reader raise."""
    for read in (read_yaml, read_json):
        root, flaws = read(text)
        assert root is None or isinstance(root, Node)
        assert all(flaw.line >= 1 and flaw.message for flaw in flaws)
