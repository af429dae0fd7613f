"""The patterns of `matches`: what is known, what is refused, and that no pattern hangs."""

from __future__ import annotations

import time

import pytest

from engine.errors import ExpressionError
from engine.expressions import parse
from engine.expressions.patterns import PatternError, matched


def found(pattern: str, text: str) -> bool:
    """Whether a pattern is found, with no limit to the work."""
    return matched(pattern, text, lambda work: None)


@pytest.mark.parametrize(
    ("pattern", "yes", "no"),
    [
        ("gap", "a gap here", "a ga p"),
        ("^a.c$", "abc\n", "a\nc"),
        ("", "", None),
        ("a|b|", "c", None),
        ("^(?:ab|c){2,3}$", "abcab", "ab"),
        ("^x{3}$", "xxx", "xxxx"),
        ("^x{2,}$", "xxxxx", "x"),
        ("^x{,2}$", "", "xxx"),
        ("^a*?b+?$", "aab", "aa"),
        ("[]a-c.^-]", "-", "d"),
        ("[^\\d\\s]", "1 x", "1 2"),
        ("[\\.\\]]", "]", "x"),
        ("^[\\.-]$", "-", "x"),
        ("\\$\\(\\)\\\\\\{", "$()\\{", "$()"),
        ("\\n\\t", "a\n\t", "a\\n"),
        ("\\bé\\b", "un é.", "née"),
        ("\\D\\W\\S", "a-b", "1-b"),
        ("(a*)*b", "aab", "aa"),
    ],
)  # fmt: skip
def test_what_a_pattern_finds(pattern: str, yes: str, no: str | None) -> None:
    """A pattern is found anywhere in the text it fits and not in the one it does not."""
    assert found(pattern, yes)
    assert no is None or not found(pattern, no)


@pytest.mark.parametrize(
    ("pattern", "says"),
    [
        ("a)", "a ) closes nothing; write \\) for the sign (character 2 of the pattern)"),
        ("(a", "a group is not closed"),
        ("[a", "it ends too early"),
        ("a\\", "it ends too early"),
        ("*a", "* repeats nothing; write \\* for the sign (character 1"),
        ("a**", "repetition of a repetition"),
        ("a+{2}", "repetition of a repetition"),
        ("^*", "an anchor cannot be repeated"),
        ("a{x}", "{ begins a count such as {2,5}"),
        ("a{,}", "{ begins a count"),
        ("a{2", "{ begins a count"),
        ("a{3,2}", "a count goes up"),
        ("a{1001}", "a count goes up, to 1000"),
        ("[b-a]", "a range goes down"),
        ("[a-\\d]", "\\d is not known"),
        ("\\1", "\\1 is not known"),
        ("\\p{L}", "\\p is not known"),
        ("(?i)a", "use ( or (?: and lower(...) for any case"),
        ("(?=a)", "(? begins something that is not known"),
        ("(" * 21 + ")" * 21, "groups are nested deeper than 20"),
        ("((a{100}){100}){100}", "more than 2000 places"),
        ("((){1000}){1000}", "more than 2000 places"),
        ("a" * 1001, "1001 characters, more than 1000"),
    ],
    ids=lambda value: value[:30],
)
def test_what_is_no_pattern(pattern: str, says: str) -> None:
    """A pattern that is broken or not known is refused with what and where."""
    with pytest.raises(PatternError) as refused:
        found(pattern, "a")
    assert says in str(refused.value)


@pytest.mark.parametrize(
    "pattern", ["(a+)+$", "^(a|a)*$", "(a|aa)+$", "^a*a*a*a*a*a*$", "(.*)*x", "(a?){50}a{50}$", "^(a*)*(a*)*$"]
)
def test_no_pattern_hangs(pattern: str) -> None:
    """The patterns that hang backtracking searches are answered on ten thousand letters within two seconds."""
    began = time.perf_counter()
    assert found(pattern, "a" * 10_000 + "!") is False
    assert time.perf_counter() - began < 2


def test_the_work_does_not_depend_on_what_was_searched_before() -> None:
    """A search that is refused for its work is refused again, although its steps are remembered."""
    names = {"text": "ab" * 400_000}
    expression = parse('matches(text, "(a|b)*(b|a)*(a|b)*c")')
    for _ in range(2):
        with pytest.raises(ExpressionError, match="more than 2000000 steps"):
            expression.evaluate(names)


def test_what_is_remembered_is_bounded() -> None:
    """A text with more different characters than steps are remembered is searched all the same."""
    assert found("[^a]{3}b$", "".join(map(chr, range(0x4E00, 0x4E00 + 6_000))) + "b")
