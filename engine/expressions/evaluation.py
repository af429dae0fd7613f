"""What an expression is worth, given the values of its names.

Stands apart as the one place where a tree meets values. It reads keys of mappings and items of lists, never attributes of Python
objects; every step is counted, and every refusal names the place in the text.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

from engine.errors import ExpressionError, suggestion
from engine.expressions.arithmetic import RefusedError, bounded, calculate, compare, kind
from engine.expressions.canonical import part, written
from engine.expressions.functions import ASK, FUNCTIONS, STEP_QUESTIONS
from engine.expressions.tree import (
    MAX_WORK,
    Call,
    Chain,
    Choice,
    Compare,
    Const,
    Items,
    Logic,
    Name,
    Negate,
    Node,
    Not,
    Pairs,
    Part,
    Path,
    is_number,
)


class MissingError(ExpressionError):
    """A path leads nowhere; `exists` and `default` ask about this."""


class Evaluation:
    """One evaluation of one expression: the names, the model's answers, and the work left."""

    def __init__(self, text: str, names: Mapping[str, Any], answers: Mapping[str, bool]) -> None:
        self.text, self.names, self.answers, self.left = text, names, answers, MAX_WORK

    def value(self, node: Node) -> Any:
        """The value of a node."""
        self.left -= 1
        try:
            return _RULES[type(node)](self, node)
        except RefusedError as error:
            self.refuse(str(error), node.at)

    def refuse(self, message: str, at: int) -> NoReturn:
        """Refuses at an offset of the text."""
        raise ExpressionError(message, at + 1, self.text)

    def spend(self, work: int) -> None:
        """Counts work; refuses when there has been too much."""
        self.left -= work
        if self.left < 0:
            raise RefusedError(f"this takes more than {MAX_WORK} steps; compute it in a step of its own")

    def const(self, node: Const) -> Any:
        return node.value

    def name(self, node: Name) -> Any:
        if node.name in self.names:
            return self.names[node.name]
        raise MissingError(f"there is no {node.name}{suggestion(node.name, list(self.names))}", node.at + 1, self.text)

    def path(self, node: Path) -> Any:
        value = self.value(node.base)
        for index, piece in enumerate(node.parts):
            value = self.found(value, self.value(piece.key), node, index)
        return value

    def found(self, value: Any, key: Any, node: Path, index: int) -> Any:
        """What a key leads to in a value."""
        self.left -= 1
        at = node.parts[index].at
        if isinstance(key, bool) or not isinstance(key, str | int):
            self.refuse(f"{kind(key)} is no key; use text or a whole number", at)
        if isinstance(value, Mapping):
            if key in value:
                return value[key]
        elif isinstance(value, str | list | tuple) and isinstance(key, int) and -len(value) <= key < len(value):
            return value[key]
        raise MissingError(_missing(value, key, node, index), at + 1, self.text)

    def opposite(self, node: Not) -> bool:
        return not self.value(node.operand)

    def negate(self, node: Negate) -> Any:
        value = self.value(node.operand)
        if not is_number(value):
            raise RefusedError(f"- takes a number, not {kind(value)}")
        return -bounded(value)

    def logic(self, node: Logic) -> Any:
        deciding, value = node.operator == "or", None
        for operand in node.operands:
            value = self.value(operand)
            if bool(value) is deciding:
                break
        return value

    def compare(self, node: Compare) -> bool:
        left = self.value(node.first)
        for link in node.links:
            right = self.value(link.operand)
            try:
                if not compare(link.operator, left, right, self.spend):
                    return False
            except RefusedError as error:
                self.refuse(str(error), link.at)
            left = right
        return True

    def chain(self, node: Chain) -> Any:
        value = self.value(node.first)
        for link in node.links:
            operand = self.value(link.operand)
            try:
                self.spend(_size(value) + _size(operand))
                value = calculate(link.operator, value, operand)
            except RefusedError as error:
                self.refuse(str(error), link.at)
        return value

    def choice(self, node: Choice) -> Any:
        return self.value(node.yes if self.value(node.test) else node.no)

    def items(self, node: Items) -> list[Any]:
        return [self.value(item) for item in node.items]

    def pairs(self, node: Pairs) -> dict[str, Any]:
        return {key: self.value(value) for key, value in node.pairs}

    def call(self, node: Call) -> Any:
        special = _SPECIAL.get(node.name)
        if special:
            return special(self, node)
        if node.name in STEP_QUESTIONS:
            return self.status(node) in STEP_QUESTIONS[node.name]
        arguments = [self.value(argument) for argument in node.arguments]
        try:
            self.spend(sum(map(_size, arguments)))
            value = FUNCTIONS[node.name].call(arguments, self.spend)
            self.spend(_size(value))
        except RefusedError as error:
            said = str(error)
            self.refuse(f"{node.name} {said}" if said.startswith("takes ") else said, node.at)
        return value

    def exists(self, node: Call) -> bool:
        try:
            return self.value(node.arguments[0]) is not None
        except MissingError:
            return False

    def default(self, node: Call) -> Any:
        try:
            value = self.value(node.arguments[0])
        except MissingError:
            value = None
        return self.value(node.arguments[1]) if value is None else value

    def ask(self, node: Call) -> bool:
        question = self.value(node.arguments[0])
        if question not in self.answers:
            self.refuse(f"no model has answered the question {question[:60]!r} here", node.at)
        return self.answers[question]

    def status(self, node: Call) -> Any:
        """The status of the step a question names."""
        at = node.arguments[0].at
        return self.path(Path(Name("steps", at), (Part(node.arguments[0], at), Part(Const("status", at), at)), at))


_RULES: dict[type[Any], Callable[[Evaluation, Any], Any]] = {
    Const: Evaluation.const,
    Name: Evaluation.name,
    Path: Evaluation.path,
    Not: Evaluation.opposite,
    Negate: Evaluation.negate,
    Logic: Evaluation.logic,
    Compare: Evaluation.compare,
    Chain: Evaluation.chain,
    Choice: Evaluation.choice,
    Items: Evaluation.items,
    Pairs: Evaluation.pairs,
    Call: Evaluation.call,
}
_SPECIAL: dict[str, Callable[[Evaluation, Call], Any]] = {
    "exists": Evaluation.exists,
    "default": Evaluation.default,
    ASK: Evaluation.ask,
}


def _size(value: Any) -> int:
    """The work of looking at a value once."""
    if isinstance(value, str):
        return len(value) // 100
    return len(value) if isinstance(value, Mapping | list | tuple) else 0


def _missing(value: Any, key: Any, node: Path, index: int) -> str:
    """Why a key leads nowhere, and how to ask."""
    holder = _cut(written(Path(node.base, node.parts[:index])) if index else written(node.base))
    whole = _cut(holder + part(node.parts[index]))
    if not isinstance(value, Mapping | str | list | tuple):
        return f"{whole} is not there, {holder} is {kind(value)}; ask with exists(...)"
    if isinstance(value, Mapping):
        known = [name for name in itertools.islice(value, 200) if isinstance(name, str)]
        near = suggestion(key[:100], known) if isinstance(key, str) else ""
        return f"{whole} is not there{near or '; ask with exists(...)'}"
    if isinstance(key, int):
        return f"{whole} is not there, {holder} has {len(value)} {'characters' if isinstance(value, str) else 'items'}"
    return f"{whole} is not there, {holder} is {kind(value)}, which has numbers as keys; ask with exists(...)"


def _cut(text: str) -> str:
    return text if len(text) <= 80 else f"{text[:40]}…{text[-30:]}"
