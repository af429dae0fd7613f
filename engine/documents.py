"""YAML and JSON text as plain values that remember their lines; what makes a text unusable is told with its line.

Stands apart from `files.py`, which knows pipelines: here is only text. Scalars are resolved by a table of our own, so that `no`,
`on`, `012`, `1:30` and `2024-01-01` stay the words they are, whatever YAML version a file claims. Nothing in a text makes objects:
tags are refused, aliases are shared and counted, depth and size are limited.
"""

from __future__ import annotations

import codecs
import math
import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from json import JSONDecodeError, JSONDecoder
from typing import Any, NamedTuple

MAX_BYTES = 1_000_000
MAX_DEPTH = 100
MAX_VALUES = 250_000
"""Values in one text, those repeated by aliases counted again."""
MAX_DIGITS = 300

_INT = re.compile(r"[-+]?(?:0|[1-9][0-9]*)")
_FLOAT = re.compile(r"[-+]?(?:0|[1-9][0-9]*)?(?:\.[0-9]*)?(?:[eE][-+]?[0-9]+)?")
_WORDS: dict[str, Any] = {"": None, "~": None, ".nan": math.nan, ".inf": math.inf, "-.inf": -math.inf, "+.inf": math.inf}
for _word, _meaning in (("null", None), ("true", True), ("false", False)):
    _WORDS |= dict.fromkeys((_word, _word.capitalize(), _word.upper()), _meaning)
_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)


class Flaw(NamedTuple):
    """Something wrong with a text, on a line from 1: what, and what to do."""

    line: int
    message: str


class FlawError(Exception):
    """Reading cannot go on after this flaw."""

    def __init__(self, line: int, message: str) -> None:
        self.flaw = Flaw(line, message)
        super().__init__(message)


@dataclass(frozen=True, slots=True)
class Node:
    """A value and the line where it, or the key it belongs to, begins.

    `size` counts the values in it, itself included; a text counts once more for every 100 characters.
    """

    value: dict[str, Node] | list[Node] | str | int | float | bool | None
    line: int
    size: int = 1

    def plain(self) -> Any:
        """The value without lines."""
        if isinstance(self.value, dict):
            return {key: node.plain() for key, node in self.value.items()}
        if isinstance(self.value, list):
            return [node.plain() for node in self.value]
        return self.value


def decode_text(content: bytes) -> str:
    """The file's characters; raises `FlawError` for what is not UTF-8 text of at most `MAX_BYTES`."""
    if len(content) > MAX_BYTES:
        raise FlawError(1, f"is larger than {MAX_BYTES:,} bytes; split the pipeline or move values into params")
    if content.startswith(_UTF16) or (b"\0" in content[:4] and content.strip(b"\0")):
        raise FlawError(1, "is UTF-16 or UTF-32; save it as UTF-8")
    try:
        text = content.removeprefix(codecs.BOM_UTF8).decode()
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise FlawError(line, f"has the byte 0x{error.object[error.start]:02x}, which is not UTF-8; save it as UTF-8") from None
    if (at := text.find("\0")) >= 0:
        raise FlawError(text.count("\n", 0, at) + 1, "has a NUL character; remove it")
    return text


def read_json(text: str) -> tuple[Node | None, list[Flaw]]:
    """The root of a JSON text (None where it could not be read) and all that is wrong with it."""
    reader = _Json(text)
    try:
        return reader.document(), reader.flaws
    except FlawError as error:
        return None, [*reader.flaws, error.flaw]


def read_yaml(text: str) -> tuple[Node | None, list[Flaw]]:
    """The same for YAML."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import MarkedYAMLError, YAMLError

    reader = _Yaml(iter(YAML(typ="safe", pure=True).parse(text)))
    try:
        return reader.document(), reader.flaws
    except FlawError as error:
        flaw = error.flaw
    except MarkedYAMLError as error:
        flaw = _syntax(error, text)
    except (YAMLError, ValueError, OverflowError, IndexError, NotImplementedError) as error:
        # ruamel's scanner lets a few of these through on text that is no YAML (`%YAML x`, `"\UFFFFFFFF"`, control characters)
        flaw = Flaw(_line_of_control(text) or reader.line, f"is not YAML ({_first_line(error)}); mend or quote the text")
    return None, [*reader.flaws, flaw]


def scalar(text: str, line: int) -> str | int | float | bool | None:
    """What an unquoted YAML word means; everything but null, true, false and decimal numbers is the text itself."""
    if text in _WORDS:
        return _WORDS[text]  # type: ignore[no-any-return]
    if not text[-1:].isdigit() and text[-1:] != ".":
        return text
    if _INT.fullmatch(text):
        return _integer(text, line)
    if _FLOAT.fullmatch(text) and any(char.isdigit() for char in text.lower().split("e")[0]):
        return _real(text, line)
    return text


def _integer(text: str, line: int) -> int:
    if len(text) > MAX_DIGITS:
        raise FlawError(line, f"has a number of {len(text):,} digits; quote it to keep it as text")
    return int(text)


def _real(text: str, line: int) -> float:
    number = float(text)
    if math.isinf(number):
        raise FlawError(line, f"has the number {text[:20]}, which is too large; quote it to keep it as text")
    return number


def _too_deep(line: int) -> FlawError:
    return FlawError(line, f"is nested deeper than {MAX_DEPTH} levels; flatten it")


def _leaf(value: str | int | float | bool | None, line: int) -> Node:
    return Node(value, line, 1 + len(value) // 100 if isinstance(value, str) else 1)


def _collection(value: dict[str, Node] | list[Node], line: int) -> Node:
    size = 1 + sum(node.size for node in (value.values() if isinstance(value, dict) else value))
    if size > MAX_VALUES:
        raise FlawError(line, f"stands for more than {MAX_VALUES:,} values, those repeated by aliases included; make it smaller")
    return Node(value, line, size)


def _duplicate(key: str, line: int, first: int) -> Flaw:
    return Flaw(line, f"has the key {key[:80]!r} twice (first on line {first}); remove one")


class _Yaml:
    """Builds nodes from the parser's events; the library's own constructors are never used."""

    def __init__(self, events: Iterator[Any]) -> None:
        self.events, self.flaws, self.line = events, list[Flaw](), 1
        self.anchors: dict[str, Node | None] = {}

    def document(self) -> Node | None:
        root = None
        documents = 0
        for event in self.events:
            kind = type(event).__name__
            if kind == "DocumentStartEvent":
                documents += 1
                if documents > 1:
                    raise FlawError(event.start_mark.line + 1, "begins a second document; keep one in a file")
            elif kind not in ("StreamStartEvent", "DocumentEndEvent", "StreamEndEvent"):
                root = self.node(event, 0)
        return root

    def node(self, event: Any, depth: int, line: int = 0) -> Node:
        self.line = line = line or event.start_mark.line + 1
        kind = type(event).__name__
        if kind == "AliasEvent":
            return self.alias(event.anchor, line)
        if event.tag is not None:
            self.flaws.append(Flaw(line, f"uses the tag {_tag(event)}; only plain values are read, remove it"))
        if event.anchor is not None:
            self.anchors[event.anchor] = None
        if depth > MAX_DEPTH:
            raise _too_deep(line)
        if kind == "ScalarEvent":
            made = _leaf(scalar(event.value, line) if event.implicit[0] else event.value, line)
        elif kind == "SequenceStartEvent":
            made = self.sequence(line, depth)
        else:
            made = self.mapping(line, depth)
        if event.anchor is not None:
            self.anchors[event.anchor] = made
        return made

    def alias(self, name: str, line: int) -> Node:
        if name not in self.anchors:
            raise FlawError(line, f"uses the alias *{name[:80]}, which is not defined above; define it with &{name[:80]}")
        found = self.anchors[name]
        if found is None:
            raise FlawError(line, f"uses the alias *{name[:80]} inside itself; write the value out")
        return Node(found.value, line, found.size)

    def sequence(self, line: int, depth: int) -> Node:
        items: list[Node] = []
        total = 0
        for event in self.events:
            if type(event).__name__ == "SequenceEndEvent":
                break
            items.append(self.node(event, depth + 1))
            total += items[-1].size
            if total > MAX_VALUES:
                break
        return _collection(items, line)

    def mapping(self, line: int, depth: int) -> Node:
        items: dict[str, Node] = {}
        for event in self.events:
            if type(event).__name__ == "MappingEndEvent":
                break
            at = event.start_mark.line + 1
            if type(event).__name__ != "ScalarEvent":
                raise FlawError(at, "has a key that is not a word; write the key as text")
            key = event.value
            value = self.node(next(self.events), depth + 1, at)
            if key == "<<" and event.implicit[0]:
                self.flaws.append(Flaw(at, "merges with '<<', which is not read here; repeat the fields"))
            elif key in items:
                self.flaws.append(_duplicate(key, at, items[key].line))
            else:
                items[key] = value
        return _collection(items, line)


class _Json:
    """A strict JSON reader that knows lines; the standard one does not tell them for what it has read."""

    _space = re.compile(r"[ \t\n\r]*")
    _number = re.compile(r"(-?(?:0|[1-9][0-9]*))(\.[0-9]+)?([eE][-+]?[0-9]+)?")
    _standard = JSONDecoder()
    _literals = (("true", True), ("false", False), ("null", None))

    def __init__(self, text: str) -> None:
        self.text, self.at, self.flaws = text, 0, list[Flaw]()
        self.breaks = [match.start() for match in re.finditer("\n", text)]

    def document(self) -> Node | None:
        if not self.text.strip(" \t\n\r"):
            return None
        root = self.value(0)
        if self.peek():
            raise self.wrong("has text after the end of its value; keep one JSON object")
        return root

    def line(self, at: int | None = None) -> int:
        return bisect_right(self.breaks, (self.at if at is None else at) - 1) + 1

    def wrong(self, message: str) -> FlawError:
        return FlawError(self.line(), message)

    def peek(self) -> str:
        match = self._space.match(self.text, self.at)
        self.at = match.end() if match else self.at
        return self.text[self.at : self.at + 1]

    def value(self, depth: int, line: int = 0) -> Node:
        char = self.peek()
        line = line or self.line()
        if depth > MAX_DEPTH:
            raise _too_deep(line)
        if char == "{":
            return self.object(depth, line)
        if char == "[":
            return self.array(depth, line)
        if char == '"':
            return _leaf(self.string(), line)
        for word, meaning in self._literals:
            if self.text.startswith(word, self.at):
                self.at += len(word)
                return Node(meaning, line)
        return Node(self.number(line), line)

    def string(self) -> str:
        try:
            text, self.at = self._standard.raw_decode(self.text, self.at)
        except JSONDecodeError as error:
            raise FlawError(self.line(error.pos), f"is not JSON ({error.msg}); mend the text") from None
        return str(text)

    def number(self, line: int) -> int | float:
        match = self._number.match(self.text, self.at)
        if match is None:
            found = self.text[self.at : self.at + 10].split("\n")[0]
            raise self.wrong(f"is not JSON: a value should stand at {found!r}; mend the text" if found else "ends too early")
        self.at = match.end()
        return _integer(match[1], line) if match[2] is None and match[3] is None else _real(match[0], line)

    def array(self, depth: int, line: int) -> Node:
        items: list[Node] = []
        self.at += 1
        if self.peek() == "]":
            self.at += 1
            return Node(items, line)
        while True:
            items.append(self.value(depth + 1))
            if self.separator("]"):
                return _collection(items, line)

    def object(self, depth: int, line: int) -> Node:
        items: dict[str, Node] = {}
        self.at += 1
        if self.peek() == "}":
            self.at += 1
            return Node(items, line)
        while True:
            if self.peek() != '"':
                raise self.wrong('is not JSON: a key in double quotes should stand here; write "key": value')
            at = self.line()
            key = self.string()
            if self.peek() != ":":
                raise self.wrong(f"is not JSON: ':' should follow the key {key[:80]!r}; mend the text")
            self.at += 1
            value = self.value(depth + 1, at)
            if key in items:
                self.flaws.append(_duplicate(key, at, items[key].line))
            items.setdefault(key, value)
            if self.separator("}"):
                return _collection(items, line)

    def separator(self, end: str) -> bool:
        char = self.peek()
        if char not in (",", end) or not char:
            raise self.wrong(f"is not JSON: ',' or '{end}' should stand here; mend the text")
        self.at += 1
        return char == end


def _syntax(error: Any, text: str) -> Flaw:
    """A sentence for what the YAML scanner or parser says, at the line it means."""
    mark = error.problem_mark or error.context_mark
    line = mark.line + 1 if mark else 1
    problem = str(error.problem or error.context or "cannot be read")
    lines = text.split("\n")
    source = lines[min(line, len(lines)) - 1]
    if "\t" in source[: len(source) - len(source.lstrip())]:
        return Flaw(line, "is indented with a tab; use spaces")
    if ("end of stream" in problem or "<stream end>" in problem) and error.context_mark:
        what = str(error.context).removeprefix("while scanning ").removeprefix("while parsing ")
        return Flaw(error.context_mark.line + 1, f"opens {what} that is never closed; close it")
    advice = "quote the text, or mend the indentation" if "mapping values" in problem else "mend the line or quote the text"
    return Flaw(line, f"is not YAML ({problem}); {advice}")


def _tag(event: Any) -> str:
    return str(event.tag).replace("tag:yaml.org,2002:", "!!")[:80]


def _line_of_control(text: str) -> int:
    match = re.search("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ufffe\uffff\ud800-\udfff]", text)
    return text.count("\n", 0, match.start()) + 1 if match else 0


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).split("\n")[0][:120]
