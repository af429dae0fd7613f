"""An expression as the engine holds it: read once, asked many times.

Stands apart from reading and evaluating as the face they have to the rest: what an expression reads, asks and is worth.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

import msgspec

from engine.errors import ExpressionError
from engine.expressions.canonical import written
from engine.expressions.evaluation import Evaluation
from engine.expressions.functions import ASK, SPECIAL, STEP_QUESTIONS
from engine.expressions.parser import read
from engine.expressions.tree import MAX_DEPTH, MAX_LENGTH, Call, Const, Name, Node, Path, children, height

Keys: TypeAlias = tuple[str | int, ...]


class Reference(msgspec.Struct, frozen=True):
    """A path an expression reads, up to the first index that is not written out; `position` counts from 1.

    `asked` says that a missing value is no error there: it stands in `exists` or `default`.
    """

    path: Keys
    position: int
    asked: bool = False


class Expression:
    """A condition or value of the language. Equal expressions have the same canonical `text`.

    `source` is what positions count in: the text as it was written, for a piece of a template the whole template.
    """

    def __init__(self, tree: Node, source: str, text: str) -> None:
        self.tree, self.source, self.text = tree, source, text

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return f"Expression({self.text!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Expression) and other.text == self.text

    def __hash__(self) -> int:
        return hash(self.text)

    @functools.cached_property
    def references(self) -> tuple[Reference, ...]:
        """The paths it reads, in the order of the text; `step_failed("a")` reads `("steps", "a", "status")`."""
        return tuple(sorted(_references(self.tree, False), key=lambda reference: reference.position))

    @functools.cached_property
    def asks_model(self) -> tuple[str, ...]:
        """The questions it puts to a model, each once."""
        found = [str(call.arguments[0].value) for call in _calls(self.tree, ASK) if isinstance(call.arguments[0], Const)]
        return tuple(dict.fromkeys(found))

    def evaluate(self, names: Mapping[str, Any], answers: Mapping[str, bool] | None = None) -> Any:
        """Its value. `names` are all it can see, `answers` the model's to the questions of `asks_model`.

        Values of `names` are plain: mappings, lists, texts, numbers. Raises `ExpressionError` where a path leads nowhere, a value
        does not fit or the result would be too large.
        """
        try:
            return Evaluation(self.source, names, answers or {}).value(self.tree)
        except RecursionError:
            raise ExpressionError("the values are nested too deep", self.tree.at + 1, self.source) from None

    def holds(self, names: Mapping[str, Any], answers: Mapping[str, bool] | None = None) -> bool:
        """Whether its value counts as true: anything but false, null, 0 and what is empty."""
        return bool(self.evaluate(names, answers))


@functools.lru_cache(maxsize=4096)  # reading takes 70 us for two comparisons, evaluating 4
def parse(text: str) -> Expression:
    """The expression of a text; `ExpressionError` with the position for anything that is not one."""
    return parse_at(text)[0]


def parse_at(text: str, start: int = 0, close: str = "") -> tuple[Expression, int]:
    """The expression at an offset of a text up to `close` (or its end), and the offset after it."""
    try:
        tree, end = read(text, start, close)
    except RecursionError:
        raise ExpressionError("the expression is nested too deep for where it is read", start + 1, text) from None
    if height(tree) > MAX_DEPTH:
        raise ExpressionError(f"the expression is nested deeper than {MAX_DEPTH}; compute parts of it in steps", start + 1, text)
    canonical = written(tree)
    if len(canonical) > MAX_LENGTH:
        raise ExpressionError(
            f"the expression has {len(canonical)} characters in its canonical form, more than {MAX_LENGTH}; "
            "compute parts of it in steps", start + 1, text,
        )  # fmt: skip
    return Expression(tree, text, canonical), end


def _calls(node: Node, name: str) -> Iterator[Call]:
    if isinstance(node, Call) and node.name == name:
        yield node
    for child in children(node):
        yield from _calls(child, name)


def _references(node: Node, asked: bool) -> Iterator[Reference]:
    if isinstance(node, Name):
        yield Reference((node.name,), node.at + 1, asked)
    elif isinstance(node, Path) and isinstance(node.base, Name):
        keys: list[str | int] = [node.base.name]
        for piece in node.parts:
            if not isinstance(piece.key, Const) or not isinstance(piece.key.value, str | int) or isinstance(piece.key.value, bool):
                break
            keys.append(piece.key.value)
        yield Reference(tuple(keys), node.at + 1, asked)
        for piece in node.parts:
            yield from _references(piece.key, asked)
    elif isinstance(node, Call) and node.name in STEP_QUESTIONS and isinstance(node.arguments[0], Const):
        yield Reference(("steps", str(node.arguments[0].value), "status"), node.arguments[0].at + 1)
    elif isinstance(node, Call) and node.name in SPECIAL:
        yield from _references(node.arguments[0], True)
        for argument in node.arguments[1:]:
            yield from _references(argument, asked)
    else:
        for child in children(node):
            yield from _references(child, asked)
