"""The kinds of values in a pipeline file: how each is read from a node of the text, written, and described to an editor.

Stands apart from `fields.py`, which says what each field is of: here is how kinds are made. A reader refuses with `WrongError`,
whose sentences go on from the field's name (`is the text 'ten'; write a number`).
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple, NoReturn

import msgspec

from engine.definition import NAME
from engine.documents import Node
from engine.errors import EngineError, suggestion

REFERENCE = re.compile(r"[^\W\d]\w*(?:\.[^\W\d]\w*)*:[^\W\d]\w*(?:\.[^\W\d]\w*)*")
_ANYTHING = inspect.Signature(
    [inspect.Parameter("values", inspect.Parameter.VAR_POSITIONAL), inspect.Parameter("params", inspect.Parameter.VAR_KEYWORD)]
)


class FunctionName:
    """A function by its name `module:qualname`, not imported. It can be checked and written, not called."""

    UNREAD = "unread:unread"
    """Stands where a function's name could not be read."""

    def __init__(self, text: str = UNREAD) -> None:
        self.text = text
        self.__module__, _, self.__qualname__ = text.partition(":")
        self.__signature__ = _ANYTHING

    def __call__(self, *values: Any, **params: Any) -> NoReturn:
        raise EngineError(f"The function {self.text} was read from a file and not imported; load the pipeline to run it.")

    def __repr__(self) -> str:
        return self.text

    def __eq__(self, other: object) -> bool:
        return isinstance(other, FunctionName) and self.text == other.text

    def __hash__(self) -> int:
        return hash(self.text)


class Wrong(NamedTuple):
    """One thing wrong in a field's value: the place in it, the line if that is another than the field's, and what."""

    place: str
    line: int | None
    message: str


class WrongError(Exception):
    """A field's value is not of the kind it must be; `found` is all that is wrong with it."""

    def __init__(self, *found: str | Wrong) -> None:
        self.found = [Wrong("", None, one) if isinstance(one, str) else one for one in found]
        super().__init__(self.found[0].message)


def _each(parts: Iterable[tuple[str, Node, Kind]]) -> Iterator[tuple[str, Any]]:
    """What was read of each part of a value; at the end raises `WrongError` with all that is wrong with any."""
    wrong: list[Wrong] = []
    for place, node, kind in parts:
        try:
            yield place, kind.read(node)
        except WrongError as error:
            wrong += [Wrong(joined(place, one.place), one.line or node.line, one.message) for one in error.found]
    if wrong:
        raise WrongError(*wrong)


def joined(place: str, inside: str) -> str:
    """A place and one in it: `retry` and `delay`, `depends_on` and `[0]`."""
    return f"{place[:80]}{'.' if inside and not inside.startswith('[') else ''}{inside}"


def _same(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


class Kind(NamedTuple):
    """How a value is read from a node, what JSON Schema says of it, and how the definition's value is written."""

    read: Callable[[Node], Any]
    schema: dict[str, Any]
    write: Callable[[Any], Any] = _same

    def limited(self, **rules: Any) -> Kind:
        """The same with more rules of JSON Schema, which the checks of the pipeline know too."""
        return self._replace(schema={**self.schema, **rules})


class Field(NamedTuple):
    """A field of a mapping: its kind, and what an editor shows of it."""

    kind: Kind
    about: str


def said(node: Node) -> str:
    """A value as a sentence names it: `the text 'ten'`, `the number 12`, `a list`."""
    value = node.value
    if value is None:
        return "empty"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return f"the text {value[:40]!r}{'...' if len(value) > 40 else ''}"
    if isinstance(value, int | float):
        return f"the number {value}"
    return "a mapping" if isinstance(value, dict) else "a list"


def _text(node: Node) -> str:
    if not isinstance(node.value, str):
        raise WrongError(f"is {said(node)}, not text; put it in quotes")
    return node.value


def _step_name(node: Node) -> str:
    if not NAME.fullmatch(_text(node)):
        raise WrongError(f"is {said(node)}, which is not a step name; use a letter, then letters, digits, '_' or '-'")
    return _text(node)


def _number(node: Node) -> int | float:
    if isinstance(node.value, bool) or not isinstance(node.value, int | float):
        raise WrongError(f"is {said(node)}; write a number")
    return node.value


def _whole(node: Node) -> int:
    if isinstance(node.value, bool) or not isinstance(node.value, int):
        raise WrongError(f"is {said(node)}; write a whole number")
    return node.value


def _flag(node: Node) -> bool:
    if not isinstance(node.value, bool):
        raise WrongError(f"is {said(node)}; write true or false")
    return node.value


def mapping_of(node: Node) -> dict[str, Node]:
    """The nodes of a mapping."""
    if not isinstance(node.value, dict):
        raise WrongError(f"is {said(node)}; write a mapping of names to values")
    return node.value


def _object(node: Node) -> dict[str, Any]:
    return {key: child.plain() for key, child in mapping_of(node).items()}


def _list(node: Node) -> list[Any]:
    if not isinstance(node.value, list):
        raise WrongError(f"is {said(node)}; write a list")
    return [child.plain() for child in node.value]


def _function(node: Node) -> FunctionName:
    text = _text(node)
    if not REFERENCE.fullmatch(text):
        advice = "write module:function, such as tools:search (the file tools.py beside this one)"
        raise WrongError(f"is {text[:80]!r}, which names no function; {advice}")
    return FunctionName(text)


def _condition(node: Node) -> Any:
    """A condition as text or as a mapping; `true` and `false` are conditions too."""
    if isinstance(node.value, bool):
        return "true" if node.value else "false"
    if not isinstance(node.value, str | dict):
        raise WrongError(f"is {said(node)}; write a condition as text, or a mapping with operator:")
    return node.plain()


TEXT = Kind(_text, {"type": "string"})
STEP_NAME = Kind(_step_name, {"type": "string", "pattern": f"^{NAME.pattern}$"})
NUMBER = Kind(_number, {"type": "number"})
SECONDS = NUMBER.limited(exclusiveMinimum=0, exclusiveMaximum=1e9)
WHOLE = Kind(_whole, {"type": "integer"})
FLAG = Kind(_flag, {"type": "boolean"})
OBJECT = Kind(_object, {"type": "object"})
ANY = Kind(Node.plain, {})
LIST = Kind(_list, {"type": "array"})
FUNCTION = Kind(_function, {"type": "string", "pattern": "^[^:]+:[^:]+$"})
CONDITION = Kind(_condition, {"$ref": "#/$defs/condition"})


def word(*words: str) -> Kind:
    """Text that is one of these; another is told by the checks of the pipeline."""
    return TEXT.limited(enum=list(words))


def one_or_many(kind: Kind) -> Kind:
    """A list of values, or one of them bare."""

    def read(node: Node) -> list[Any]:
        if not isinstance(node.value, list):
            return [kind.read(node)]
        return [value for _, value in _each((f"[{index}]", item, kind) for index, item in enumerate(node.value))]

    schema = {"anyOf": [kind.schema, {"type": "array", "items": kind.schema}]}
    return Kind(read, schema, lambda values: [kind.write(value) for value in values])


def named(kind: Kind, **rules: Any) -> Kind:
    """A mapping of names to values of one kind."""

    def read(node: Node) -> dict[str, Any]:
        return dict(_each((key, child, kind) for key, child in mapping_of(node).items()))

    schema = {"type": "object", "additionalProperties": kind.schema, **rules}
    return Kind(read, schema, lambda values: {key: kind.write(value) for key, value in values.items()})


def record(make: Callable[..., Any], fields: Mapping[str, Field], *required: str) -> Kind:
    """A mapping with these fields, made into an object of ours; written without what is as by default."""

    def read(node: Node) -> Any:
        if not isinstance(node.value, dict):
            raise WrongError(f"is {said(node)}; write a mapping with {', '.join(fields)}")
        strange = [
            Wrong("", child.line, f"has the unknown field {key[:80]!r}{suggestion(key, list(fields)) or '; remove it'}")
            for key, child in node.value.items()
            if key not in fields
        ]
        strange += [] if strange else [Wrong("", None, f"is without {key}:; write it") for key in required if key not in node.value]
        known = {key: child for key, child in node.value.items() if key in fields}
        try:
            taken = dict(_each((key, child, fields[key].kind) for key, child in known.items()))
        except WrongError as error:
            raise WrongError(*strange, *error.found) from None
        if strange:
            raise WrongError(*strange)
        return make(**taken)

    def write(value: Any) -> dict[str, Any]:
        held = msgspec.structs.asdict(value)
        defaults = {one.name: one.default for one in msgspec.structs.fields(value)}
        return {key: fields[key].kind.write(held[key]) for key in fields if held[key] != defaults[key]}

    return Kind(read, object_schema(fields, *required), write)


def object_schema(fields: Mapping[str, Field], *required: str) -> dict[str, Any]:
    """The JSON Schema of a mapping with these fields and no others."""
    properties = {key: {**field.kind.schema, "description": field.about} for key, field in fields.items()}
    needed = {"required": list(required)} if required else {}
    return {"type": "object", "properties": properties, "additionalProperties": False, **needed}


def either(short: Kind, long: Kind, is_short: Callable[[Any], bool]) -> Kind:
    """A bare value, or a mapping that says more; `is_short` tells which of the two a definition's value is written as."""

    def read(node: Node) -> Any:
        return (long if isinstance(node.value, dict) else short).read(node)

    return Kind(
        read,
        {"anyOf": [short.schema, long.schema]},
        lambda value: short.write(value) if is_short(value) else long.write(value),
    )
