"""Texts and numbers within a schema's bounds.

Stands apart from the walk over objects and arrays because nothing here looks further than one schema; what a schema asks for that
is not a matter of bounds (`not`, `oneOf`) is checked by the walk.
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

from engine.models.invent.dice import Dice
from engine.models.invent.patterns import LONGEST, UnreadablePatternError, matching
from engine.models.invent.refusal import UnsatisfiableError

Schema = dict[str, Any]


def text(schema: Schema, name: str, place: str, dice: Dice) -> str:
    """A text that says it is simulated where there is room; `name` is the property it stands in."""
    least, most = int(schema.get("minLength", 0)), schema.get("maxLength")
    most = None if most is None else int(most)
    if most is not None and most < least:
        raise UnsatisfiableError(place, f"minLength {least} is more than maxLength {most}")
    if least > LONGEST:
        raise UnsatisfiableError(place, f"texts of {least} characters and more are not made up (at most {LONGEST})")
    if "pattern" in schema:
        return _patterned(schema["pattern"], least, most, place, dice)
    made = _formatted(str(schema.get("format", "")), dice)
    if made is None:
        made = _prose(name, least, most, dice.word())
    return made


def _prose(name: str, least: int, most: int | None, word: str) -> str:
    """The label first, where it has room; where it has not, the part that differs."""
    made = f"simulated {name or 'text'} {word}"
    if most is not None and most < len(made):
        made = f"simulated {word}" if most > len(word) + 9 else word[:most]
    return (made + f" {made}" * math.ceil(max(0, least - len(made)) / (len(made) + 1)))[: max(least, len(made))]


def integer(schema: Schema, place: str, dice: Dice) -> int:
    """A whole number within the bounds."""
    step = _step(schema, place)
    whole = step if step.denominator == 1 else Fraction(step.numerator)
    return int(_multiple(schema, whole, place, dice))


def number(schema: Schema, place: str, dice: Dice) -> float | int:
    """A number within the bounds; whole where `multipleOf` says so."""
    if "multipleOf" in schema:
        made = _multiple(schema, _step(schema, place), place, dice)
        return int(made) if made.denominator == 1 else float(made)
    low, high, open_low, open_high = _range(schema)
    if low == high and not (open_low or open_high):
        return float(low)
    if low >= high:
        raise UnsatisfiableError(place, f"no number is between {float(low):g} and {float(high):g}")
    exact = low + (high - low) * Fraction(1 + dice.below(99), 100)
    rounded = round(float(exact), 2)
    return rounded if low < Fraction(rounded) < high else float(exact)


def _patterned(pattern: str, least: int, most: int | None, place: str, dice: Dice) -> str:
    try:
        made = matching(pattern, least, most, dice)
    except UnreadablePatternError:
        raise UnsatisfiableError(place, f"the pattern {pattern[:80]!r} is beyond what can be made up") from None
    if made is None:
        raise UnsatisfiableError(place, f"no text was found for the pattern {pattern[:80]!r} within the length bounds")
    return made


def _step(schema: Schema, place: str) -> Fraction:
    step = Fraction(str(schema.get("multipleOf", 1)))
    if step <= 0:
        raise UnsatisfiableError(place, "multipleOf has to be above zero")
    return step


def _range(schema: Schema) -> tuple[Fraction, Fraction, bool, bool]:
    """Lower and upper bound, and whether each is exclusive; an open side is given 100 of room."""
    lows = [(Fraction(str(schema[key])), key != "minimum") for key in ("minimum", "exclusiveMinimum") if key in schema]
    highs = [(Fraction(str(schema[key])), key == "maximum") for key in ("maximum", "exclusiveMaximum") if key in schema]
    low, open_low = max(lows) if lows else (None, False)
    high, closed_high = min(highs) if highs else (None, True)
    if low is None:
        low = Fraction(0) if high is None or high > 0 else high - 100
    if high is None:
        high = low + 100
    return low, high, open_low, not closed_high


def _multiple(schema: Schema, step: Fraction, place: str, dice: Dice) -> Fraction:
    low, high, open_low, open_high = _range(schema)
    first, last = math.ceil(low / step), math.floor(high / step)
    first += first * step == low and open_low
    last -= last * step == high and open_high
    if last < first and not {"maximum", "exclusiveMaximum"} & schema.keys():
        last = first + 10
    if last < first and not {"minimum", "exclusiveMinimum"} & schema.keys():
        first = last - 10
    if last < first:
        raise UnsatisfiableError(place, f"no multiple of {float(step):g} is between {float(low):g} and {float(high):g}")
    return (first + dice.below(min(last - first + 1, 2**62))) * step


def _formatted(name: str, dice: Dice) -> str | None:
    """A text of one of the formats that pydantic and msgspec write into schemas, recognisable as made up; None for others."""
    day, hour = f"2000-01-{1 + dice.below(28):02}", f"{dice.below(24):02}:{dice.below(60):02}:00"
    word, byte = dice.word(), 1 + dice.below(254)
    match name:
        case "date":
            return day
        case "date-time":
            return f"{day}T{hour}Z"
        case "time":
            return f"{hour}Z"
        case "duration":
            return f"PT{1 + dice.below(59)}M"
        case "email" | "idn-email" | "name-email":
            return f"simulated-{word}@example.com"
        case "uri" | "url" | "iri" | "uri-reference" | "http-url":
            return f"https://example.com/simulated/{word}"
        case "hostname":
            return f"simulated-{word}.example.com"
        case "ipv4" | "ipv4interface" | "ipvanyaddress" | "ipvanyinterface":
            return f"192.0.2.{byte}"
        case "ipv6" | "ipv6interface":
            return f"2001:db8::{byte:x}"
        case "ipv4network" | "ipvanynetwork":
            return f"192.0.2.{byte}/32"
        case "ipv6network":
            return f"2001:db8::{byte:x}/128"
        case "json-string":
            return f'"simulated {word}"'
        case "base64" | "base64url" | "byte":
            return "c2ltdWxhdGVk"
        case _ if name.startswith("uuid"):
            version = name.removeprefix("uuid") or "4"
            return f"{dice.below(16**8):08x}-{dice.below(16**4):04x}-{version}{dice.below(16**3):03x}-8{word[:3]}-{word}{word}"
        case _:
            return None
