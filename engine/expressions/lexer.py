"""One word, number, text or sign of an expression after another, with its place.

Stands apart from the parser because what a user may have meant by a foreign sign (`&&`, a fullwidth letter, `f"..."`) is said here.
Python's own tokenizer is not used: it takes fullwidth letters for plain ones, and its warnings differ between versions.
"""

from __future__ import annotations

import math
import re
from typing import NamedTuple, NoReturn

from engine.errors import ExpressionError
from engine.expressions.tree import MAX_BITS, Scalar

_BLANK = re.compile(r"[ \t\r\n]*")
_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_NUMBER = re.compile(r"(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_TEXT = re.compile(r'"(?:[^"\\\x00-\x08\x0a-\x1f]|\\.)*"' r"|'(?:[^'\\\x00-\x08\x0a-\x1f]|\\.)*'")
_ESCAPE = re.compile(r"\\(u[0-9a-fA-F]{4}|.)", re.DOTALL)
_SIGNS = re.compile(r"==|!=|<=|>=|//|[<>+\-*/%()\[\]{},.:]")
_NOT_IN = re.compile(r"not[ \t\r\n]+in(?![A-Za-z0-9_])")
_ESCAPES = {"\\": "\\", '"': '"', "'": "'", "/": "/", "n": "\n", "t": "\t", "r": "\r"}
_DIGITS = 309

FOREIGN = {
    "===": "write == to compare",
    "<>": "write != for different",
    "**": "powers are not part of the language; multiply with *",
    "||": "write or",
    "&&": "write and",
    ":=": "names cannot be assigned",
    "...": "it has no meaning here",
    "=": "write == to compare",
    "!": "write not, or != for different",
    "|": "write or",
    "&": "write and",
    "~": "write not",
    "?": "write (a if condition else b)",
    "$": "inside an expression a path is written without it, such as steps.a.output",
    ";": "one expression is enough; join conditions with and",
}
"""Signs of other languages, the longer before the shorter, and what to write instead."""
WORDS = {
    "is": "write ==",
    "for": "items cannot be gone through; use for_each, any, all, sum or join",
    "lambda": "functions cannot be made",
    "await": "nothing waits here",
    "AND": "write and",
    "OR": "write or",
    "NOT": "write not",
    "IN": "write in",
    "undefined": "write null",
    "nil": "write null",
}
"""Words of other languages that are no names here, and what to write instead."""


class Token(NamedTuple):
    """`kind` is `word`, `value` (a number or a text), `sign` or `end`; `at` and `end` are offsets in the text."""

    kind: str
    word: str
    value: Scalar
    at: int
    end: int


def refuse(message: str, text: str, at: int) -> NoReturn:
    """Refuses a text at an offset."""
    raise ExpressionError(message, at + 1, text)


def token_at(text: str, start: int) -> Token:
    """The token at or after an offset."""
    blank = _BLANK.match(text, start)
    at = blank.end() if blank else start
    if at >= len(text):
        return Token("end", "the end", None, at, at)
    character = text[at]
    if character in "\"'":
        return _quoted(text, at)
    if character.isascii() and character.isdigit():
        return _number(text, at)
    if word := _WORD.match(text, at):
        return _word(text, at, word[0])
    for sign, advice in FOREIGN.items():
        if text.startswith(sign, at) and not text.startswith("!=", at) and not (sign == "=" and text.startswith("==", at)):
            refuse(f"{sign!r} is not part of the language; {advice}", text, at)
    if sign_match := _SIGNS.match(text, at):
        return Token("sign", sign_match[0], None, at, sign_match.end())
    if character.isalnum():
        refuse(f'{character!r} is not a letter the language knows; use a-z, or the key in quotes: ["..."]', text, at)
    refuse(f"{character!r} is not part of the language; put text in quotes", text, at)


def _word(text: str, at: int, word: str) -> Token:
    end = at + len(word)
    if text[end : end + 1] in ("'", '"'):
        refuse(f"a letter before the quote ({word[:10]}{text[end]}) is not part of the language; write the plain text", text, at)
    if end < len(text) and not text[end].isascii() and text[end].isalnum():
        refuse(f'{text[end]!r} is not a letter the language knows; use a-z, or the key in quotes: ["..."]', text, end)
    if word == "not" and (both := _NOT_IN.match(text, at)):
        return Token("word", "not in", None, at, both.end())
    return Token("word", word, None, at, end)


def _number(text: str, at: int) -> Token:
    found = _NUMBER.match(text, at)
    end = found.end() if found else at
    if not found or text[end : end + 1].isalnum() or text.startswith(("_", "."), end):
        refuse("this is not a number; write digits such as 12, 0.5 or 1e3", text, at)
    if found[1] or found[2]:
        number = float(found[0])
        if not math.isfinite(number):
            refuse("the number is too large", text, at)
        return Token("value", "a number", number, at, end)
    if len(found[0]) > _DIGITS or int(found[0]).bit_length() > MAX_BITS:
        refuse(f"the number has {len(found[0])} digits, which is too large", text, at)
    return Token("value", "a number", int(found[0]), at, end)


def _quoted(text: str, at: int) -> Token:
    found = _TEXT.match(text, at)
    if not found:
        refuse("the text is not closed on its line; end it with the same quote, and write \\n for a new line", text, at)

    def meant(escape: re.Match[str]) -> str:
        if len(escape[1]) == 5:
            return chr(int(escape[1][1:], 16))
        if escape[1] not in _ESCAPES:
            refuse(f"\\{escape[1]} is not known in a text; write \\\\ for a backslash", text, at + 1 + escape.start())
        return _ESCAPES[escape[1]]

    value = _ESCAPE.sub(meant, found[0][1:-1])
    try:
        value = value.encode("utf-16-le", "surrogatepass").decode("utf-16-le")
    except UnicodeDecodeError:
        refuse("the text holds half a character (a lone surrogate); write the whole one", text, at)
    return Token("value", "a text", value, at, found.end())
