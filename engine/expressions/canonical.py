"""Writing a tree as the one text that reads back as the same tree.

Stands apart as the opposite of the parser: parentheses only where needed, one blank around operators, double quotes.
"""

from __future__ import annotations

import re
from typing import assert_never

from engine.expressions.tree import (
    PRIMARY,
    RANKS,
    UNARY,
    Call,
    Chain,
    Choice,
    Compare,
    Const,
    Items,
    Link,
    Logic,
    Name,
    Negate,
    Node,
    Not,
    Pairs,
    Part,
    Path,
    Scalar,
    is_number,
)

_KEY = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_ESCAPES = {
    **{code: f"\\u{code:04x}" for code in (*range(0x20), 0x7F)},
    ord("\\"): "\\\\", ord('"'): '\\"', ord("\n"): "\\n", ord("\t"): "\\t", ord("\r"): "\\r",
}  # fmt: skip
_WORDS = {None: "null", True: "true", False: "false"}


def written(node: Node) -> str:
    """The canonical text of a tree."""
    match node:
        case Const():
            return scalar(node.value)
        case Name():
            return node.name
        case Path():
            bare = not (isinstance(node.base, Const) and is_number(node.base.value))
            return (_in(node.base, PRIMARY) if bare else f"({written(node.base)})") + "".join(map(part, node.parts))
        case Not():
            return f"not {_in(node.operand, RANKS['not'])}"
        case Negate():
            return f"-{_in(node.operand, UNARY)}"
        case Logic():
            return f" {node.operator} ".join(_in(operand, RANKS[node.operator] + 1) for operand in node.operands)
        case Compare():
            return _in(node.first, RANKS["=="] + 1) + "".join(map(_link, node.links))
        case Chain():
            return _in(node.first, RANKS[node.links[0].operator] + 1) + "".join(map(_link, node.links))
        case Choice():
            return f"{_in(node.yes, RANKS['or'])} if {_in(node.test, RANKS['or'])} else {written(node.no)}"
        case Items():
            return f"[{', '.join(map(written, node.items))}]"
        case Pairs():
            return "{" + ", ".join(f"{scalar(key)}: {written(value)}" for key, value in node.pairs) + "}"
        case Call():
            return f"{node.name}({', '.join(map(written, node.arguments))})"
    assert_never(node)


def part(piece: Part) -> str:
    """One key of a path, with a dot where the key allows it."""
    if isinstance(piece.key, Const) and isinstance(piece.key.value, str) and _KEY.fullmatch(piece.key.value):
        return f".{piece.key.value}"
    return f"[{written(piece.key)}]"


def scalar(value: Scalar) -> str:
    """A value as it is written out."""
    if isinstance(value, str):
        return f'"{value.translate(_ESCAPES)}"'
    return repr(value) if isinstance(value, int | float) and not isinstance(value, bool) else _WORDS[value]


def rank(node: Node) -> int:
    """How tightly a node's outermost operator binds."""
    match node:
        case Choice():
            return RANKS["if"]
        case Logic():
            return RANKS[node.operator]
        case Not():
            return RANKS["not"]
        case Compare() | Chain():
            return RANKS[node.links[0].operator]
        case Negate():
            return UNARY
        case Const() | Name() | Path() | Items() | Pairs() | Call():
            return PRIMARY
    assert_never(node)


def _in(node: Node, least: int) -> str:
    """A node where only what binds at least so tightly may stand without parentheses."""
    return written(node) if rank(node) >= least else f"({written(node)})"


def _link(link: Link) -> str:
    return f" {link.operator} {_in(link.operand, RANKS[link.operator] + 1)}"
