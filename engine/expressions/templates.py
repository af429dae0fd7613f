"""Text with `${{ expression }}` in it: goals, tool arguments, params.

Stands apart from expressions because a template is text first: most have no expression at all and cost one search.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

from engine.errors import ExpressionError
from engine.expressions.arithmetic import RefusedError, limited_text
from engine.expressions.expression import Expression, Reference, parse_at
from engine.expressions.functions import as_text

OPEN, CLOSE = "${{", "}}"
_MAX_NESTING = 100


class Template:
    """A text and the expressions in it. `$${{` stands for `${{` itself; positions count in the whole text."""

    def __init__(self, text: str, pieces: tuple[str | Expression, ...]) -> None:
        self.text, self.pieces = text, pieces

    @staticmethod
    def parse(text: str) -> Template:
        """The template of a text; `ExpressionError` with the position for a broken `${{ ... }}`."""
        return _parsed(text)

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return f"Template({self.text!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Template) and other.text == self.text

    def __hash__(self) -> int:
        return hash(self.text)

    @property
    def expressions(self) -> tuple[Expression, ...]:
        """The expressions in it, in order."""
        return tuple(piece for piece in self.pieces if isinstance(piece, Expression))

    @property
    def references(self) -> tuple[Reference, ...]:
        """The paths its expressions read."""
        return tuple(reference for expression in self.expressions for reference in expression.references)

    @property
    def asks_model(self) -> tuple[str, ...]:
        """The questions its expressions put to a model, each once."""
        return tuple(dict.fromkeys(question for expression in self.expressions for question in expression.asks_model))

    @property
    def whole(self) -> Expression | None:
        """The expression, if there is nothing but one and blanks around it."""
        found = [piece for piece in self.pieces if isinstance(piece, Expression) or piece.strip()]
        return found[0] if len(found) == 1 and isinstance(found[0], Expression) else None

    def render(self, names: Mapping[str, Any], answers: Mapping[str, bool] | None = None) -> Any:
        """The value of a text that is nothing but one `${{ ... }}`; else the text with the values in it.

        Texts are put in as they are, other values as compact JSON.
        """
        if self.whole:
            return self.whole.evaluate(names, answers)
        parts: list[str] = []
        length = 0
        for piece in self.pieces:
            parts.append(piece if isinstance(piece, str) else self._inserted(piece, names, answers))
            length += len(parts[-1])
            self._checked(limited_text, length, 0)
        return "".join(parts)

    def _inserted(self, piece: Expression, names: Mapping[str, Any], answers: Mapping[str, bool] | None) -> str:
        return str(self._checked(as_text, piece.evaluate(names, answers), piece.tree.at))

    def _checked(self, call: Callable[[Any], Any], value: Any, at: int) -> Any:
        try:
            return call(value)
        except RefusedError as error:
            raise ExpressionError(str(error), at + 1, self.text) from None
        except RecursionError:
            raise ExpressionError("the value is nested too deep", at + 1, self.text) from None


@functools.lru_cache(maxsize=512)  # texts may be long
def _parsed(text: str) -> Template:
    pieces: list[str | Expression] = []
    at, plain = 0, ""
    while (found := text.find(OPEN, at)) >= 0:
        if found > at and text[found - 1] == "$":
            plain += text[at : found - 1] + OPEN
            at = found + len(OPEN)
            continue
        plain += text[at:found]
        if plain:
            pieces.append(plain)
            plain = ""
        expression, at = parse_at(text, found + len(OPEN), CLOSE)
        pieces.append(expression)
    if plain + text[at:]:
        pieces.append(plain + text[at:])
    return Template(text, tuple(pieces))


def map_templates(value: Any, use: Callable[[Template, str], Any], place: str = "") -> Any:
    """A copy of nested mappings and lists with each text that has `${{` in it replaced by `use(template, place)`.

    With `lambda template, place: template.render(names)` the values are put in. The place reads `urls[0].query`; keys of mappings
    are taken as they are. A broken text is refused with its place.
    """
    return _mapped(value, use, place, 0)


def _mapped(value: Any, use: Callable[[Template, str], Any], place: str, depth: int) -> Any:
    if depth > _MAX_NESTING:
        raise ExpressionError(f"nested deeper than {_MAX_NESTING} levels; flatten it", place=place[:80])
    if isinstance(value, str):
        if OPEN not in value:
            return value
        try:
            return use(Template.parse(value), place)
        except ExpressionError as error:
            if place and error.place is None:
                raise error.at_place(place) from None
            raise
    if isinstance(value, Mapping):
        return {key: _mapped(held, use, f"{place}.{key}" if place else str(key), depth + 1) for key, held in value.items()}
    if isinstance(value, list | tuple):
        return [_mapped(held, use, f"{place}[{index}]", depth + 1) for index, held in enumerate(value)]
    return value
