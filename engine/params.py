"""The declaration of a param: its type, its default, its limits; and what is wrong with a value.

Stands apart because forms, files and checks all read it, and a run that is being looked at has it without the user's code. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeGuard

import msgspec

from engine.errors import suggestion

WORDS: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "number": (int, float),
    "integer": (int,),
    "boolean": (bool,),
    "array": (list, tuple),
    "object": (dict,),
    "any": (object,),
}
"""The types, in the words of JSON Schema, and what they are in Python."""
_SAID = {
    "string": "text", "number": "a number", "integer": "a whole number", "boolean": "true or false", "array": "a list",
    "object": "a mapping", "any": "any value",
}  # fmt: skip
_NUMBERS = ("number", "integer")


class Param(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a run may be given under a name: `Pipeline(params={"company": Param("string", default="Acme")})`.

    Without a default it has to be given. `choices` are the only values allowed; `minimum` and `maximum` are limits of a number.
    """

    type: str = "any"
    default: Any = msgspec.UNSET
    description: str = ""
    choices: tuple[Any, ...] | None = None
    minimum: float | None = None
    maximum: float | None = None

    @property
    def required(self) -> bool:
        """Whether it has no default."""
        return self.default is msgspec.UNSET


def split(params: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Param]]:
    """Params as they are written, as the defaults and the declarations without them."""
    defaults = {name: held for name, held in params.items() if not isinstance(held, Param)}
    declared = {}
    for name, held in params.items():
        if isinstance(held, Param):
            if not held.required:
                defaults[name] = held.default
            bare = msgspec.structs.replace(held, default=msgspec.UNSET)
            if bare != Param() or held.required:
                declared[name] = bare
    return {name: defaults[name] for name in params if name in defaults}, declared


def misfit(param: Param, value: Any) -> str | None:
    """How a value does not fit, going on from the param's name; None where it does."""
    types = WORDS.get(param.type, (object,))
    if not isinstance(value, types) or (isinstance(value, bool) and param.type in _NUMBERS):
        return f"is {_shown(value)}; give {_SAID[param.type]}"
    if param.choices and not any(_same(value, choice) for choice in param.choices):
        near = suggestion(value, [choice for choice in param.choices if isinstance(choice, str)]) if isinstance(value, str) else ""
        return f"is {_shown(value)}; give one of {', '.join(map(_shown, param.choices))}{near}"
    if param.minimum is not None and _is_number(value) and not value >= param.minimum:
        return f"is {_shown(value)}; give at least {param.minimum:g}"
    if param.maximum is not None and _is_number(value) and not value <= param.maximum:
        return f"is {_shown(value)}; give at most {param.maximum:g}"
    return None


def problems_of(param: Param) -> list[str]:
    """What is wrong with a declaration itself, a sentence each."""
    choices = param.choices
    if choices is not None and (not isinstance(choices, list | tuple | set | frozenset) or not choices):
        if not choices:
            return ["has no choices, so nothing fits; name some, or leave choices out for any value"]
        return [f"has the choices {_shown(choices)}; give a list of values"]
    if param.type not in WORDS:
        return [f"has the type {param.type!r}{suggestion(str(param.type), list(WORDS)) or '; use ' + ', '.join(WORDS)}"]
    found = []
    limits = [(name, getattr(param, name)) for name in ("minimum", "maximum") if getattr(param, name) is not None]
    for name, limit in limits:
        if not _is_number(limit):
            found.append(f"has the {name} {limit!r}; give a number")
        elif param.type not in _NUMBERS:
            found.append(f"has a {name} but is of type {param.type}; limits are for numbers")
    if not found and len(limits) == 2 and limits[0][1] > limits[1][1]:
        found.append(f"has a minimum of {limits[0][1]:g} above its maximum of {limits[1][1]:g}; exchange them")
    plain = Param(param.type)
    found += [f"has a choice that {why}" for choice in choices or () if (why := misfit(plain, choice))]
    return found


def _same(value: Any, choice: Any) -> bool:
    """Equal, and true is not 1."""
    return bool(value == choice) and isinstance(value, bool) == isinstance(choice, bool)


def _is_number(value: Any) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _shown(value: Any) -> str:
    text = {None: "null", True: "true", False: "false"}.get(value) if value is None or isinstance(value, bool) else None
    text = text or repr(value)
    return text if len(text) <= 60 else f"{text[:60]}..."
