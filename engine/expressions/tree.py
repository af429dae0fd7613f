"""The one form every condition and interpolation takes: an immutable tree, and the limits it and its values keep.

Stands apart so that reading, writing and evaluating agree on it and know nothing of each other. Chains (`a and b and c`,
`1 + 2 - 3`, `a.b[0]`) are one node each, so the depth of a tree is that of its brackets, not of its length.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias, assert_never

MAX_LENGTH = 10_000
"""Characters of an expression, as written and in its canonical form."""
MAX_DEPTH = 80
"""Operators and brackets inside each other, and levels of the tree: three frames each, far from Python's limit of 1,000."""
MAX_BITS = 1024
"""Size of whole numbers in arithmetic: that of the largest floating-point number."""
MAX_TEXT = 10_000_000
"""Characters of a text an expression makes."""
MAX_ITEMS = 1_000_000
"""Items of a list an expression makes."""
MAX_WORK = 2_000_000
"""Steps of one evaluation (a node, an item looked at, a hundred characters): about a second."""

Scalar: TypeAlias = bool | int | float | str | None


@dataclass(frozen=True, slots=True)
class Const:
    """`null`, `true`, a number or a text."""

    value: Scalar
    at: int = field(default=0, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Name:
    """A name the caller gives: `steps`, `params`, `item`."""

    name: str
    at: int = field(default=0, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Part:
    """One `.key` or `[key]` of a path."""

    key: Node
    at: int = field(default=0, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Path:
    """What is found in `base` by one key after another. The base is never a path."""

    base: Node
    parts: tuple[Part, ...]
    at: int = field(default=0, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Not:
    """The opposite of a truth."""

    operand: Node
    at: int = field(default=0, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Negate:
    """Unary minus; of a number written out it is part of the number."""

    operand: Node
    at: int = field(default=0, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Logic:
    """`and` or `or` of two or more; none of the operands is of the same kind. Its value is the operand that decided."""

    operator: str
    operands: tuple[Node, ...]
    at: int = field(default=0, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Link:
    """An operator and what stands right of it."""

    operator: str
    operand: Node
    at: int = field(default=0, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Compare:
    """`a < b <= c`: true when every link holds."""

    first: Node
    links: tuple[Link, ...]
    at: int = field(default=0, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Chain:
    """Arithmetic of one rank, from left to right: sums (`+ -`) or products (`* / // %`). The first is not of the same rank."""

    first: Node
    links: tuple[Link, ...]
    at: int = field(default=0, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Choice:
    """`yes if test else no`."""

    test: Node
    yes: Node
    no: Node
    at: int = field(default=0, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Items:
    """A list written out."""

    items: tuple[Node, ...]
    at: int = field(default=0, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Pairs:
    """A mapping written out; its keys are texts."""

    pairs: tuple[tuple[str, Node], ...]
    at: int = field(default=0, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Call:
    """A function of the language by its name."""

    name: str
    arguments: tuple[Node, ...]
    at: int = field(default=0, compare=False, repr=False)


Node: TypeAlias = Const | Name | Path | Not | Negate | Logic | Compare | Chain | Choice | Items | Pairs | Call

RANKS = {
    "if": 0, "or": 1, "and": 2, "not": 3,
    "==": 4, "!=": 4, "<": 4, "<=": 4, ">": 4, ">=": 4, "in": 4, "not in": 4,
    "+": 5, "-": 5, "*": 6, "/": 6, "//": 6, "%": 6,
}  # fmt: skip
"""How tightly an operator binds; a greater rank binds tighter."""
UNARY, PRIMARY = 7, 8


def is_number(value: object) -> bool:
    """Whether a value counts as a number: truth values do not."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def negated(operand: Node, at: int = 0) -> Node:
    """Unary minus of a node; a number takes the sign itself, so that `-1` is one node however it came about."""
    if isinstance(operand, Const) and isinstance(operand.value, int | float) and not isinstance(operand.value, bool):
        return Const(-operand.value, at)
    return Negate(operand, at)


def logic(operator: str, operands: list[Node], at: int = 0) -> Logic:
    """`and` or `or` of nodes, with nested ones of the same kind laid flat."""
    flat: list[Node] = []
    for operand in operands:
        flat += operand.operands if isinstance(operand, Logic) and operand.operator == operator else [operand]
    return Logic(operator, tuple(flat), at)


def chain(first: Node, links: list[Link], at: int = 0) -> Chain:
    """Arithmetic of one rank, taking in a first operand of the same rank."""
    if isinstance(first, Chain) and RANKS[first.links[0].operator] == RANKS[links[0].operator]:
        return Chain(first.first, (*first.links, *links), at)
    return Chain(first, tuple(links), at)


def path(base: Node, parts: list[Part], at: int = 0) -> Path:
    """A path, taking in a base that is one."""
    if isinstance(base, Path):
        return Path(base.base, (*base.parts, *parts), at)
    return Path(base, tuple(parts), at)


def children(node: Node) -> tuple[Node, ...]:
    """What a node is made of, in the order of the text."""
    match node:
        case Const() | Name():
            return ()
        case Path():
            return (node.base, *(piece.key for piece in node.parts))
        case Not() | Negate():
            return (node.operand,)
        case Logic():
            return node.operands
        case Compare() | Chain():
            return (node.first, *(link.operand for link in node.links))
        case Choice():
            return (node.yes, node.test, node.no)
        case Items():
            return node.items
        case Pairs():
            return tuple(value for _, value in node.pairs)
        case Call():
            return node.arguments
    assert_never(node)


def height(tree: Node) -> int:
    """Levels of a tree, counted without climbing into it."""
    levels, row = 0, [tree]
    while row:
        levels, row = levels + 1, [child for node in row for child in children(node)]
    return levels
