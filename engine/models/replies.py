"""A model's text as a value: parsed, checked against the schema that was asked for, and the question to ask when it does not fit.

Stands apart because a model's text is foreign: every limit on it (size, depth, numbers, keys, surrogates) is here, in pure
functions that refuse with a sentence the model itself can act on.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from dataclasses import dataclass
from typing import Any

from engine.models import schemas
from engine.models.port import Message

MAX_BYTES = 10_000_000
"""A reply longer than this is refused unread."""
MAX_DEPTH = 100
"""Levels of nesting in a reply; half of what the store keeps, so that an answer can stand inside a larger value."""

_FENCED = re.compile(r"```[a-zA-Z0-9_-]*[ \t]*\r?\n(.*)```", re.DOTALL)
_THINKING = re.compile(r"\A\s*<think>.*?</think>", re.DOTALL)
# Runs to the end where a string is not closed: the scan stays linear (7 MB of `\"` in 0.1 s) instead of restarting at each quote.
_STRINGS_AND_BRACKETS = re.compile(r'"(?:[^"\\]|\\.)*+(?:"|$)|[\[\]{}]', re.DOTALL)
_JSON_STARTS = (*'{["-0123456789', "true", "false", "null")


@dataclass(frozen=True)
class ReplyProblem:
    """Why a reply is not what was asked, as one sentence that names the place."""

    sentence: str

    def __str__(self) -> str:
        return self.sentence


class _UnfitError(ValueError):
    """Carries a problem's sentence out of json's hooks."""


def read(text: str, schema: dict[str, Any] | None) -> Any | ReplyProblem:
    """The value in `text`, parsed and (with a schema) checked; or the problem."""
    value = parse(text)
    if isinstance(value, ReplyProblem) or schema is None:
        return value
    problem = validate(value, schema)
    return value if problem is None else problem


def parse(text: str) -> Any | ReplyProblem:
    """The JSON value in `text`, alone, in a ``` fence, or after a `<think>` passage.

    Refused beyond what JSON itself refuses: NaN and infinities, integers outside -2**63..2**63-1, duplicate keys, lone surrogates,
    more than 100 levels, more than 10 MB. Line breaks inside strings are let pass; models write them.
    """
    try:
        _check_size(text)
        body = _unwrapped(text)
        _check_depth(body)
        value = json.loads(
            body,
            strict=False,
            parse_int=_integer,
            parse_float=_number,
            parse_constant=_constant,
            object_pairs_hook=_object,
        )
        if "\\u" in body:
            _check_text(value)
    except _UnfitError as unfit:
        return ReplyProblem(str(unfit))
    except json.JSONDecodeError as error:
        return ReplyProblem(
            f"The reply is not valid JSON at line {error.lineno}, column {error.colno} ({error.msg}); answer with one JSON value."
        )
    return value


def validate(value: Any, schema: dict[str, Any]) -> ReplyProblem | None:
    """The most telling way in which `value` does not fit `schema`, or None. Nothing is fetched, whatever the schema refers to."""
    misfit = schemas.misfit(value, schema)
    return None if misfit is None else ReplyProblem(f"The reply does not fit the schema at {misfit.place}: {misfit.text}.")


def repair_messages(messages: list[Message], reply_text: str, problem: ReplyProblem | str) -> list[Message]:
    """The conversation that asks for a reply once more: what was asked, what came, and what is wrong with it."""
    return [
        *messages,
        {"role": "assistant", "content": _excerpt(reply_text)},
        {
            "role": "user",
            "content": f"{problem} Answer again with the whole corrected JSON value only: no explanation, no code fence.",
        },
    ]


def _excerpt(text: str, limit: int = 20_000) -> str:
    """What of a bad reply is worth paying for again; without what no provider accepts."""
    clean = text.encode("utf-8", "replace").decode() or "(empty)"
    return clean if len(clean) <= limit else f"{clean[:limit]} [... {len(clean) - limit} more characters]"


def _check_size(text: str) -> None:
    try:
        size = len(text) if text.isascii() else len(text.encode())
    except UnicodeEncodeError as error:
        raise _UnfitError(f"The reply has a lone surrogate at character {error.start}; write valid Unicode text.") from None
    if size > MAX_BYTES:
        raise _UnfitError(f"The reply is {size:,} bytes long, more than the {MAX_BYTES:,} that are read; answer more briefly.")
    if not text.strip():
        raise _UnfitError("The reply is empty; answer with one JSON value.")


def _unwrapped(text: str) -> str:
    """The JSON in a reply. A reply that begins like JSON is taken as it is: its strings may hold fences of their own."""
    body = _THINKING.sub("", text).strip().removeprefix("\ufeff")
    if body.startswith(_JSON_STARTS):
        return body
    fenced = _FENCED.search(body)
    return fenced.group(1).strip() if fenced else body


def _check_depth(body: str) -> None:
    """Before parsing, because the parser recurses."""
    depth = 0
    for token in _STRINGS_AND_BRACKETS.finditer(body):
        match token.group()[0]:
            case "[" | "{":
                depth += 1
                if depth > MAX_DEPTH:
                    raise _UnfitError(f"The reply is nested deeper than {MAX_DEPTH} levels; answer with a flatter value.")
            case "]" | "}":
                depth -= 1


def _integer(digits: str) -> int:
    if len(digits) <= 20 and -(2**63) <= (number := int(digits)) < 2**63:
        return number
    raise _UnfitError(f"The reply has an integer beyond 64 bits ({digits[:24]}...); write it as text.")


def _number(digits: str) -> float:
    number = float(digits)
    if math.isfinite(number):
        return number
    raise _UnfitError(f"The reply has a number too large to hold ({digits[:24]}); write it as text.")


def _constant(word: str) -> Any:
    raise _UnfitError(f"The reply has {word}, which is not JSON; use null or a number.")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) == len(pairs):
        return found
    twice, _ = Counter(key for key, _ in pairs).most_common(1)[0]
    raise _UnfitError(f"The reply has the key {twice[:80]!r} twice in one object; use it once.")


def _check_text(value: Any) -> None:
    match value:
        case str():
            try:
                value.encode()
            except UnicodeEncodeError:
                raise _UnfitError("The reply has a lone surrogate in a string; write valid Unicode text.") from None
        case dict():
            for key, item in value.items():
                _check_text(key)
                _check_text(item)
        case list():
            for item in value:
                _check_text(item)
