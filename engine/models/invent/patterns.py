"""Text that a regular expression matches.

Stands apart as a small reader of the expressions people put into schemas: literals, classes, groups, alternatives, repetition.
Look-arounds are read over and back references are refused; whoever calls checks the text against the real `re` anyway.
"""

from __future__ import annotations

import re
import string
from collections.abc import Callable

from engine.models.invent.dice import Dice

Writer = Callable[[Dice, int], str]
"""Writes a matching text; the number says how often beyond the least an open repetition repeats."""

LONGEST = 10_000
"""Characters or repetitions beyond which a text is not made."""

_DIGITS = string.digits
_WORD = string.ascii_lowercase + string.ascii_uppercase + string.digits + "_"
_SPACE = " \t"
_ALL = _WORD + string.punctuation.replace("_", "") + " "
_CLASSES = {"d": _DIGITS, "w": _WORD, "s": _SPACE}
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "f": "\f", "v": "\v", "0": "\0"}
_REPEAT = re.compile(r"\{(\d*)(,?)(\d*)\}")


class UnreadablePatternError(ValueError):
    """The expression uses something this reader does not know."""


def matching(pattern: str, least: int, most: int | None, dice: Dice) -> str | None:
    """A text of `least` to `most` characters in which `pattern` is found, or None. Raises `UnreadablePatternError`."""
    write = _Reader(pattern).whole()
    expression = re.compile(pattern)
    for extra in [1, 0, *range(2, 24), *range(max(24, least - 8), least + 1)]:
        for _ in range(3):
            text = write(dice, extra)
            for candidate in (text, text + "x" * (least - len(text))):
                if least <= len(candidate) <= (most or LONGEST) and expression.search(candidate):
                    return candidate
    return None


class _Reader:
    """Recursive descent over one expression; every method reads from `at` and leaves it behind what it read."""

    def __init__(self, pattern: str) -> None:
        self.pattern = pattern
        self.at = 0

    def whole(self) -> Writer:
        write = self._alternatives()
        if self.at < len(self.pattern):
            raise UnreadablePatternError(self.pattern)
        return write

    def _alternatives(self) -> Writer:
        branches = [self._sequence()]
        while self._next("|"):
            branches.append(self._sequence())
        return lambda dice, extra: dice.pick(branches)(dice, extra)

    def _sequence(self) -> Writer:
        parts: list[Writer] = []
        while self.at < len(self.pattern) and self.pattern[self.at] not in "|)":
            parts.append(self._repeated(self._atom()))
        return lambda dice, extra: "".join(part(dice, extra) for part in parts)

    def _next(self, expected: str) -> bool:
        found = self.pattern.startswith(expected, self.at)
        self.at += len(expected) if found else 0
        return found

    def _take(self, count: int = 1) -> str:
        taken = self.pattern[self.at : self.at + count]
        if len(taken) < count:
            raise UnreadablePatternError(self.pattern)
        self.at += count
        return taken

    def _atom(self) -> Writer:
        match self._take():
            case "(":
                return self._group()
            case "[":
                return self._one_of(self._class())
            case "\\":
                return self._escape()
            case ".":
                return self._one_of(_WORD)
            case "^" | "$":
                return lambda dice, extra: ""
            case literal:
                return lambda dice, extra: literal

    def _one_of(self, characters: str) -> Writer:
        if not characters:
            raise UnreadablePatternError(self.pattern)
        return lambda dice, extra: dice.pick(characters)

    def _group(self) -> Writer:
        read_over = False
        if self._next("?"):
            if self._next("P<") or (self.pattern[self.at : self.at + 1] == "<" and self.pattern[self.at + 1] not in "=!"):
                self.at = self.pattern.index(">", self.at) + 1
            elif self._next("<=") or self._next("<!") or self._next("=") or self._next("!"):
                read_over = True
            elif not (self._next(":") or self._next(">")):
                raise UnreadablePatternError(self.pattern)
        inside = self._alternatives()
        if not self._next(")"):
            raise UnreadablePatternError(self.pattern)
        return (lambda dice, extra: "") if read_over else inside

    def _escape(self) -> Writer:
        letter = self._take()
        if letter in "bBAZzG":
            return lambda dice, extra: ""
        return self._one_of(self._escaped(letter))

    def _escaped(self, letter: str) -> str:
        """The characters an escape stands for, outside a class and inside one."""
        if letter.lower() in _CLASSES:
            members = _CLASSES[letter.lower()]
            return members if letter.islower() else "".join(c for c in _ALL if c not in members)
        if letter in _ESCAPES:
            return _ESCAPES[letter]
        if letter in "xu":
            return chr(int(self._take(2 if letter == "x" else 4), 16))
        if letter.isalnum():
            raise UnreadablePatternError(self.pattern)
        return letter

    def _class(self) -> str:
        negated = self._next("^")
        members = ""
        while not (members and self._next("]")):
            first = self._member()
            if len(first) == 1 and self.pattern[self.at : self.at + 1] == "-" and self.pattern[self.at + 1 : self.at + 2] != "]":
                self.at += 1
                last = self._member()
                first = "".join(map(chr, range(ord(first), min(ord(last), ord(first) + 200) + 1)))
            members += first
        return "".join(c for c in _ALL if c not in members) if negated else members

    def _member(self) -> str:
        character = self._take()
        return self._escaped(self._take()) if character == "\\" else character

    def _repeated(self, write: Writer) -> Writer:
        bounds = self._bounds()
        if bounds is None:
            return write
        least, most = bounds
        if least > LONGEST:
            raise UnreadablePatternError(self.pattern)
        if not self._next("?"):
            self._next("+")
        return lambda dice, extra: "".join(write(dice, extra) for _ in range(min(least + extra, most)))

    def _bounds(self) -> tuple[int, int] | None:
        for sign, least, most in (("*", 0, LONGEST), ("+", 1, LONGEST), ("?", 0, 1)):
            if self._next(sign):
                return least, most
        counted = _REPEAT.match(self.pattern, self.at)
        if counted is None or counted.group() in ("{}", "{,}"):
            return None
        self.at = counted.end()
        low, comma, high = counted.groups()
        least = int(low or 0)
        return least, int(high) if high else (LONGEST if comma else least)
