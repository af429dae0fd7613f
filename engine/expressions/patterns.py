"""`matches`: regular expressions whose search takes time in proportion to the text, whatever the pattern.

Stands apart because Python's `re` tries alternatives one after another: `(a+)+$` on 30 letters takes minutes, and refusing nested
repetition does not help against `a*a*a*a*$`. Here all alternatives go through the text together, a set of places in the pattern at
each character; the sets met are remembered. Known: literals, `.`, classes, `\\d \\w \\s \\b` and their opposites, `^ $`, groups,
`| * + ? {m,n}` (lazy forms mean the same to a yes or no). Not known: back references, looking around, flags.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple, NoReturn

from engine.expressions.arithmetic import Spend

MAX_PATTERN = 1_000
MAX_REPEAT = 1_000
MAX_PLACES = 2_000
"""Places of a pattern with its counted repetitions written out."""
_MAX_GROUPS = 20
_MAX_REMEMBERED = 5_000

_CLASSES: dict[str, Callable[[str], bool]] = {
    "d": str.isdecimal,
    "w": lambda c: c.isalnum() or c == "_",
    "s": str.isspace,
    "D": lambda c: not c.isdecimal(),
    "W": lambda c: not (c.isalnum() or c == "_"),
    "S": lambda c: not c.isspace(),
}
_CONTROLS = {"n": "\n", "t": "\t", "r": "\r", "f": "\f", "v": "\v"}
_ANCHORS = {"^": "start", "$": "end", "b": "edge", "B": "inside"}
_BITS = {"start": 1, "end": 2, "edge": 4, "inside": 8}


class PatternError(Exception):
    """The pattern is not one of those that can be searched for."""


class Place(NamedTuple):
    """A place in the pattern: `accepts` a character and goes on, or goes on without one, if `anchor` holds."""

    accepts: Callable[[str], bool] | None
    anchor: str
    then: tuple[int, ...]


class _Step(NamedTuple):
    """The places after one more character (None once the pattern has matched), and the work it takes, remembered or not."""

    after: frozenset[int] | None
    work: int


@dataclass(slots=True)
class _Pattern:
    """A compiled pattern: its places (the last is the match), where it begins, and the steps remembered."""

    places: list[Place]
    start: int
    steps: dict[tuple[frozenset[int], int, str], _Step] = field(default_factory=dict)

    def step(self, current: frozenset[int], anchors: int, character: str) -> _Step:
        """What one more character does. `anchors`: bits of what holds here."""
        key = (current, anchors, character)
        known = self.steps.get(key)
        if known is None:
            if len(self.steps) >= _MAX_REMEMBERED:
                self.steps.clear()
            known = self.steps[key] = self._step(current, anchors, character)
        return known

    def _step(self, current: frozenset[int], anchors: int, character: str) -> _Step:
        reached, rest, after = set(current), list(current), {self.start}
        while rest:
            place = self.places[rest.pop()]
            if not place.then:
                return _Step(None, 1)
            if place.accepts is not None:
                if character and place.accepts(character):
                    after.update(place.then)
            elif not place.anchor or anchors & _BITS[place.anchor]:
                fresh = [then for then in place.then if then not in reached]
                reached.update(fresh)
                rest += fresh
        return _Step(frozenset(after), 1 + len(reached) // 4)


def matched(pattern: str, text: str, spend: Spend) -> bool:
    """Whether `pattern` is found anywhere in `text`; `spend` is told of the work and may refuse it. Raises `PatternError`."""
    compiled = _compiled(pattern)
    current = frozenset((compiled.start,))
    size, before = len(text), False
    for index in range(size + 1):
        character = text[index : index + 1]
        word = bool(character) and (character.isalnum() or character == "_")
        anchors = (index == 0) | (index == size or (index == size - 1 and character == "\n")) << 1 | (4 if word != before else 8)
        after, work = compiled.step(current, anchors, character)
        spend(work)
        if after is None:
            return True
        current, before = after, word
    return False


@functools.lru_cache(maxsize=256)
def _compiled(pattern: str) -> _Pattern:
    if len(pattern) > MAX_PATTERN:
        raise PatternError(f"it has {len(pattern)} characters, more than {MAX_PATTERN}")
    tree = _Reader(pattern).whole()
    builder = _Builder()
    end = builder.place(None, "", ())
    return _Pattern(builder.places, builder.build(tree, end))


class _Builder:
    """Writes the places of a tree from its end to its beginning."""

    def __init__(self) -> None:
        self.places: list[Place] = []
        self.calls = 0

    def place(self, accepts: Callable[[str], bool] | None, anchor: str, then: tuple[int, ...]) -> int:
        """A new place."""
        self.places.append(Place(accepts, anchor, then))
        return len(self.places) - 1

    def build(self, tree: Any, then: int) -> int:
        """The place where `tree` begins, if after it comes `then`."""
        self.calls += 1
        if self.calls > MAX_PLACES:
            raise PatternError(f"its repetitions written out have more than {MAX_PLACES} places; use smaller counts")
        match tree:
            case ("one", accepts):
                return self.place(accepts, "", (then,))
            case ("anchor", anchor):
                return self.place(None, anchor, (then,))
            case ("all", items):
                for item in reversed(items):
                    then = self.build(item, then)
                return then
            case ("either", options):
                return self.place(None, "", tuple(self.build(option, then) for option in options))
            case (_, item, least, most):
                return self.repeated(item, least, most, then)
        raise AssertionError(tree)

    def repeated(self, item: Any, least: int, most: int | None, then: int) -> int:
        """A repetition, written out as often as it is counted."""
        start = then
        if most is None:
            start = self.place(None, "", ())
            self.places[start] = Place(None, "", (self.build(item, start), then))
        for _ in range((most or least) - least):
            start = self.place(None, "", (self.build(item, start), then))
        for _ in range(least):
            start = self.build(item, start)
        return start


class _Reader:
    """Recursive descent over one pattern; every method reads from `at` and leaves it behind what it read."""

    def __init__(self, pattern: str) -> None:
        self.pattern, self.at, self.groups = pattern, 0, 0

    def whole(self) -> Any:
        """The tree of the whole pattern."""
        tree = self.either()
        if self.at < len(self.pattern):
            self.refuse("a ) closes nothing; write \\) for the sign")
        return tree

    def refuse(self, message: str) -> NoReturn:
        """Refuses the pattern, with the character it stands at."""
        raise PatternError(f"{message} (character {self.at + 1} of the pattern)")

    def peek(self) -> str:
        """The next character, empty at the end."""
        return self.pattern[self.at : self.at + 1]

    def take(self) -> str:
        """The next character, read."""
        character = self.peek()
        if not character:
            self.refuse("it ends too early")
        self.at += 1
        return character

    def either(self) -> Any:
        """Alternatives."""
        options = [self.sequence()]
        while self.peek() == "|":
            self.at += 1
            options.append(self.sequence())
        return options[0] if len(options) == 1 else ("either", options)

    def sequence(self) -> Any:
        """What comes one after another."""
        items: list[Any] = []
        while self.peek() not in ("", "|", ")"):
            items.append(self.repetition(self.item()))
        return ("all", items)

    def repetition(self, item: Any) -> Any:
        """An item with what says how often."""
        counts = {"*": (0, None), "+": (1, None), "?": (0, 1)}
        sign = self.peek()
        if sign in counts:
            self.at += 1
            least, most = counts[sign]
        elif sign == "{":
            self.at += 1
            least, most = self.counts()
        else:
            return item
        if item[0] == "anchor":
            self.refuse("an anchor cannot be repeated")
        if self.peek() == "?":
            self.at += 1
        if self.peek() and self.peek() in "*+?{":
            self.refuse("repetition of a repetition; put it in a group: (?:...)")
        return ("repeat", item, least, most)

    def counts(self) -> tuple[int, int | None]:
        """The inside of `{m}`, `{m,}`, `{,n}` or `{m,n}`."""
        end = self.pattern.find("}", self.at)
        least, comma, most = self.pattern[self.at : end].partition(",")
        if end < 0 or not (least or most) or any(not (n.isascii() and n.isdigit() and len(n) < 5) for n in (least, most) if n):
            self.refuse("{ begins a count such as {2,5}; write \\{ for the sign")
        lower = int(least or 0)
        upper = (int(most) if most else None) if comma else lower
        if max(lower, upper or 0) > MAX_REPEAT or (upper is not None and upper < lower):
            self.refuse(f"a count goes up, to {MAX_REPEAT} at most")
        self.at = end + 1
        return lower, upper

    def item(self) -> Any:
        """One character, class, anchor or group."""
        character = self.take()
        if character == "(":
            return self.group()
        if character == "[":
            return ("one", self.klass())
        if character == ".":
            return ("one", lambda c: c != "\n")
        if character in "^$":
            return ("anchor", _ANCHORS[character])
        if character in "*+?{":
            self.at -= 1
            self.refuse(f"{character} repeats nothing; write \\{character} for the sign")
        if character == "\\":
            escape = self.take()
            return ("anchor", _ANCHORS[escape]) if escape in "bB" else ("one", self.escaped(escape))
        return ("one", character.__eq__)

    def group(self) -> Any:
        """The rest of a group."""
        self.groups += 1
        if self.groups > _MAX_GROUPS:
            self.refuse(f"groups are nested deeper than {_MAX_GROUPS}")
        if self.peek() == "?":
            if not self.pattern.startswith("?:", self.at):
                self.refuse("(? begins something that is not known; use ( or (?: and lower(...) for any case")
            self.at += 2
        tree = self.either()
        if self.peek() != ")":
            self.refuse("a group is not closed")
        self.at += 1
        self.groups -= 1
        return tree

    def escaped(self, escape: str) -> Callable[[str], bool]:
        """What a backslash and a character accept."""
        if escape in _CLASSES:
            return _CLASSES[escape]
        return self.sign(escape).__eq__

    def sign(self, escape: str) -> str:
        """The character a backslash and a character stand for."""
        if escape in _CONTROLS:
            return _CONTROLS[escape]
        if escape.isalnum():
            self.refuse(f"\\{escape} is not known")
        return escape

    def klass(self) -> Callable[[str], bool]:
        """The rest of a class in square brackets."""
        negated = self.peek() == "^"
        self.at += negated
        parts: list[Callable[[str], bool]] = []
        first = True
        while first or self.peek() != "]":
            first = False
            parts.append(self.member())
        self.at += 1
        accepting = tuple(parts)
        return lambda c: any(part(c) for part in accepting) is not negated

    def member(self) -> Callable[[str], bool]:
        """One character, range or class inside square brackets."""
        low = self.take()
        if low == "\\":
            low = self.take()
            if low in _CLASSES:
                return _CLASSES[low]
            low = self.sign(low)
        if self.peek() != "-" or self.pattern[self.at + 1 : self.at + 2] in ("]", ""):
            return low.__eq__
        self.at += 1
        high = self.take()
        if high == "\\":
            high = self.sign(self.take())
        if high < low:
            self.refuse("a range goes down")
        return lambda c: low <= c <= high
