"""Reading an expression: text -> tree.

Stands apart as the one reader, for whole texts and for the pieces of templates. Operators are climbed by rank, so that a level of
nesting costs three frames, and depth is counted before Python's own limit is near.
"""

from __future__ import annotations

from typing import NoReturn

from engine.errors import suggestion
from engine.expressions.functions import ASK, FUNCTIONS, SPECIAL, STEP_QUESTIONS
from engine.expressions.lexer import WORDS, Token, refuse, token_at
from engine.expressions.tree import (
    MAX_DEPTH,
    MAX_LENGTH,
    RANKS,
    UNARY,
    Call,
    Choice,
    Compare,
    Const,
    Items,
    Link,
    Name,
    Node,
    Not,
    Pairs,
    Part,
    Path,
    chain,
    is_number,
    logic,
    negated,
    path,
)

CONSTANTS = {"true": True, "True": True, "false": False, "False": False, "null": None, "None": None}
KEYWORDS = frozenset({*CONSTANTS, "and", "or", "not", "in", "not in", "if", "else"})
_COMPARE, _SUM = RANKS["=="], RANKS["+"]


def read(text: str, start: int = 0, close: str = "") -> tuple[Node, int]:
    """The tree of the expression at `start`, and the offset after it: the text's end, or that after `close`."""
    if not close and len(text) > MAX_LENGTH:
        refuse(f"the expression has {len(text)} characters, more than {MAX_LENGTH}; compute parts of it in steps", text, 0)
    parser = _Parser(text, start)
    if parser.token.kind == "end" or (close and text.startswith(close, parser.token.at)):
        refuse("the expression is empty; write a condition such as steps.a.output.score > 3", text, parser.token.at)
    tree = parser.expression(0)
    if close:
        if not text.startswith(close, parser.token.at):
            parser.unexpected(f"{close} to end the expression")
        return tree, parser.token.at + len(close)
    if parser.token.kind != "end":
        parser.unexpected("an operator or the end")
    return tree, len(text)


class _Parser:
    """Stands before one token and reads on; every method leaves it behind what it read."""

    def __init__(self, text: str, start: int) -> None:
        self.text, self.start, self.depth = text, start, 0
        self.token = token_at(text, start)

    def advance(self) -> Token:
        """The token it stands before; then it stands before the next."""
        token = self.token
        if token.end - self.start > MAX_LENGTH:
            refuse(f"the expression has more than {MAX_LENGTH} characters; compute parts of it in steps", self.text, token.at)
        self.token = token_at(self.text, token.end)
        return token

    def is_at(self, word: str) -> bool:
        """Whether the next token is this sign or word."""
        return self.token.word == word and self.token.kind in ("sign", "word")

    def expect(self, word: str, wanted: str = "") -> Token:
        """Reads a sign or word that has to come; `wanted` is what a refusal says could come."""
        return self.advance() if self.is_at(word) else self.unexpected(wanted or repr(word))

    def unexpected(self, wanted: str) -> NoReturn:
        """Refuses the next token."""
        token = self.token
        if token.kind == "word" and token.word in WORDS:
            refuse(f"{token.word!r} is not part of the language; {WORDS[token.word]}", self.text, token.at)
        found = token.word if token.kind in ("end", "value") else repr(token.word[:40])
        refuse(f"{wanted} is expected here, not {found}", self.text, token.at)

    def expression(self, rank: int) -> Node:
        """An expression whose operators bind at least as tightly as `rank`."""
        self.depth += 1
        if self.depth > MAX_DEPTH:
            refuse(f"the expression is nested deeper than {MAX_DEPTH}; compute parts of it in steps", self.text, self.token.at)
        node = self.prefix(rank)
        while self.token.kind in ("word", "sign") and (found := RANKS.get(self.token.word, -1)) >= rank and not self.is_at("not"):
            node = self.infix(node, found)
        self.depth -= 1
        return node

    def prefix(self, rank: int) -> Node:
        """What an expression begins with."""
        at = self.token.at
        if self.is_at("not"):
            if rank > RANKS["not"]:
                refuse("'not' stands here inside a tighter operator; put it in parentheses: (not ...)", self.text, at)
            self.advance()
            return Not(self.expression(RANKS["not"]), at)
        if self.is_at("-"):
            self.advance()
            return negated(self.expression(UNARY), at)
        return self.postfix(self.primary())

    def infix(self, first: Node, rank: int) -> Node:
        """`first` with all that follows it by operators of one rank."""
        at = self.token.at
        if self.is_at("if"):
            self.advance()
            test = self.expression(RANKS["or"])
            self.expect("else")
            return Choice(test, first, self.expression(0), at)
        links: list[Link] = []
        while self.token.kind in ("word", "sign") and RANKS.get(self.token.word) == rank:
            operator = self.advance()
            links.append(Link(operator.word, self.expression(rank + 1), operator.at))
        if rank == _COMPARE:
            return Compare(first, tuple(links), at)
        if rank >= _SUM:
            self.no_texts(first, links)
            return chain(first, links, at)
        return logic(links[0].operator, [first, *(link.operand for link in links)], at)

    def no_texts(self, first: Node, links: list[Link]) -> None:
        """Refuses arithmetic with a text that is written out: only + takes texts."""
        for operator, operand in ((links[0].operator, first), *((link.operator, link.operand) for link in links)):
            if operator != "+" and isinstance(operand, Const) and not is_number(operand.value):
                refuse(f"{operator} takes numbers only", self.text, operand.at)

    def primary(self) -> Node:
        """A value, a name, a call, or something in brackets."""
        token = self.token
        if token.kind == "value":
            self.advance()
            return Const(token.value, token.at)
        if self.is_at("("):
            self.advance()
            node = self.expression(0)
            self.expect(")")
            return node
        if self.is_at("["):
            self.advance()
            return Items(tuple(self.items("]")), token.at)
        if self.is_at("{"):
            self.advance()
            return self.pairs(token)
        if token.kind == "word" and token.word not in KEYWORDS - CONSTANTS.keys() and token.word not in WORDS:
            self.advance()
            return self.named(token)
        return self.unexpected("a value")

    def named(self, token: Token) -> Node:
        """A constant, a call or a name."""
        if token.word in CONSTANTS:
            return Const(CONSTANTS[token.word], token.at)
        if self.is_at("("):
            return self.call(token)
        if token.word.startswith("_"):
            refuse("names that begin with _ are not read; rename it", self.text, token.at)
        return Name(token.word, token.at)

    def items(self, close: str) -> list[Node]:
        """Expressions separated by commas up to the closing bracket."""
        found: list[Node] = []
        while not self.is_at(close):
            found.append(self.expression(0))
            if not self.is_at(close):
                self.expect(",", f"',' or '{close}'")
        self.advance()
        return found

    def pairs(self, opened: Token) -> Node:
        """The rest of a mapping written out."""
        found: dict[str, Node] = {}
        while not self.is_at("}"):
            key = self.token
            if not isinstance(key.value, str):
                self.unexpected("a key in quotes")
            if key.value in found:
                refuse("the key is written twice; remove one", self.text, key.at)
            self.advance()
            self.expect(":")
            found[key.value] = self.expression(0)
            if not self.is_at("}"):
                self.expect(",", "',' or '}'")
        self.advance()
        return Pairs(tuple(found.items()), opened.at)

    def postfix(self, base: Node) -> Node:
        """A base with the keys and indexes that follow it."""
        parts: list[Part] = []
        while True:
            at = self.token.at
            if self.is_at("."):
                self.advance()
                parts.append(Part(Const(self.key(), at), at))
            elif self.is_at("["):
                self.advance()
                key = self.expression(0)
                if self.is_at(":"):
                    refuse("slices are not part of the language; use first, last or an index", self.text, self.token.at)
                self.expect("]")
                parts.append(Part(key, at))
            elif self.is_at("("):
                refuse("only functions are called, not values; write upper(x), not x.upper()", self.text, at)
            else:
                return path(base, parts, base.at) if parts else base

    def key(self) -> str:
        """The word after a dot; words of the language are keys there too."""
        token = self.token
        if token.kind != "word":
            self.unexpected('a name, or an index in brackets such as [0] or ["a key"],')
        if token.word.startswith("_"):
            refuse(f'names that begin with _ are not read with a dot; write ["{token.word[:40]}"]', self.text, token.at)
        if token.word == "not in":
            self.token = token_at(self.text, token.at + len("not"))
            return "not"
        return self.advance().word

    def call(self, function: Token) -> Node:
        """A call of a function of the language, its arguments counted and of the kind it can take."""
        name = function.word
        known = FUNCTIONS.get(name)
        if known is None:
            near = suggestion(name, list(FUNCTIONS)) or f"; there are {', '.join(sorted(FUNCTIONS))}"
            refuse(f"there is no function {name[:40]!r}{near}", self.text, function.at)
        self.advance()
        arguments = self.items(")")
        if not known.least <= len(arguments) <= known.most:
            refuse(f"{name} takes {known.takes}, not {len(arguments)}", self.text, function.at)
        if (name in STEP_QUESTIONS or name == ASK) and not (
            isinstance(arguments[0], Const) and isinstance(arguments[0].value, str) and arguments[0].value.strip()
        ):
            what = "a question" if name == ASK else "a step's name"
            refuse(f'{name} takes {what} written out in quotes: {name}("...")', self.text, arguments[0].at)
        if name in SPECIAL and not _is_path(arguments[0]):
            refuse(f"{name} asks about a path such as steps.a.output.url", self.text, arguments[0].at)
        return Call(name, tuple(arguments), function.at)


def _is_path(node: Node) -> bool:
    return isinstance(node, Name) or (isinstance(node, Path) and isinstance(node.base, Name))
