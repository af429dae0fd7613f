"""Expressions and templates with steps under other names.

Stands apart because it changes what is read, on the tree: a name inside a text is no name.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from engine.expressions.canonical import written
from engine.expressions.expression import Expression, parse
from engine.expressions.functions import STEP_QUESTIONS
from engine.expressions.templates import CLOSE, OPEN, Template
from engine.expressions.tree import Call, Const, Name, Path


def renamed(expression: Expression, names: Mapping[str, str]) -> str:
    """The canonical text of an expression that reads the steps under their new names."""
    return parse(written(_renamed(expression.tree, names))).text


def renamed_template(template: Template, names: Mapping[str, str]) -> str:
    """The text of a template whose expressions do."""
    pieces = [
        f"{OPEN} {renamed(piece, names)} {CLOSE}" if isinstance(piece, Expression) else piece.replace(OPEN, f"${OPEN}")
        for piece in template.pieces
    ]
    return "".join(pieces)


def _renamed(node: Any, names: Mapping[str, str]) -> Any:
    """A node, or a part of one, with the names of steps in it replaced."""
    if isinstance(node, tuple):
        return tuple(_renamed(item, names) for item in node)
    if not dataclasses.is_dataclass(node):
        return node
    changed = {field.name: _renamed(getattr(node, field.name), names) for field in dataclasses.fields(node)}
    if isinstance(node, Path) and node.base == Name("steps"):
        first = node.parts[0]
        changed["parts"] = (dataclasses.replace(first, key=_name(first.key, names)), *changed["parts"][1:])
    elif isinstance(node, Call) and node.name in STEP_QUESTIONS:
        changed["arguments"] = (_name(node.arguments[0], names), *changed["arguments"][1:])
    return dataclasses.replace(node, **changed)


def _name(key: Any, names: Mapping[str, str]) -> Any:
    if isinstance(key, Const) and isinstance(key.value, str):
        return dataclasses.replace(key, value=names.get(key.value, key.value))
    return _renamed(key, names)
