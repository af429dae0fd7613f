"""Tools: functions that a model may call, as their author marks them and as a definition keeps them. Pure.

Stands apart from `signatures.py`, which reads what a tool takes off its function, and from `tooling.py`, which calls it: marking a
function and reading a definition cost neither a schema nor the engine that drives runs.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from fnmatch import fnmatchcase
from typing import Any, TypeVar, overload

import msgspec

from engine.errors import EngineError, suggestion
from store.events import Safety

F = TypeVar("F", bound=Callable[..., Any])

PERMISSIONS = ("allow", "ask", "deny")
"""Whether a tool is called at once, after a person's word, or never."""

SAFETIES = tuple(safety.value for safety in Safety)

TOOL_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}")
"""What all providers take as the name of a tool."""

MARK = "tagent_tool"
"""The attribute of a function that holds what its author said of it as a tool."""


class ToolMark(msgspec.Struct, frozen=True):
    """What its author says of a tool. A function without one is irreversible and allowed."""

    safety: str = Safety.IRREVERSIBLE.value
    timeout: float | None = None
    permission: str = "allow"
    name: str | None = None
    description: str | None = None


class ToolDefinition(msgspec.Struct, frozen=True, omit_defaults=True):
    """A tool as plain values. `run` is `module:qualname`, `source` the hash of the function's text (not part of the pin).

    `parameters` is the JSON Schema of its arguments, an object; `timeout` is in seconds for one call.
    """

    name: str
    run: str
    description: str = ""
    parameters: dict[str, Any] = {}
    safety: str = Safety.IRREVERSIBLE.value
    permission: str = "allow"
    timeout: float | None = None
    source: str | None = None

    def offer(self) -> dict[str, Any]:
        """The tool as a model is told of it, by the OpenAI protocol."""
        told = {"name": self.name, "description": self.description, "parameters": self.parameters or {"type": "object"}}
        return {"type": "function", "function": {key: value for key, value in told.items() if value}}


@overload
def tool(function: F, /) -> F: ...
@overload
def tool(
    *,
    safety: Safety | str = ...,
    timeout: float | None = ...,
    permission: str = ...,
    name: str | None = ...,
    description: str | None = ...,
) -> Callable[[F], F]: ...
def tool(
    function: Any = None,
    /,
    *,
    safety: Safety | str = Safety.IRREVERSIBLE,
    timeout: float | None = None,
    permission: str = "allow",
    name: str | None = None,
    description: str | None = None,
) -> Any:
    """Say of a function how it may be called as a tool; the function stays as it is.

    `safety` says what may be done when a crash leaves a call's outcome unknown: `pure`, `read` and `idempotent` are called again,
    `irreversible` (the default) waits for somebody to say. `timeout` are the seconds of one call. `permission` is `allow`, `ask` (a
    person sees the exact arguments first) or `deny`. Unless given, `name` is the function's own and `description` its docstring.
    Raises `EngineError` with all values that are wrong.
    """
    said = safety.value if isinstance(safety, Safety) else safety
    mark = ToolMark(said, timeout, permission, name, description)
    if found := misfits_of(mark):
        raise EngineError(f"tool(...) {'; '.join(found)}.")

    def marked(target: Any) -> Any:
        if not callable(target):
            raise EngineError(f"tool(...) stands before a function, not before {target!r}.")
        try:
            setattr(target, MARK, mark)
        except AttributeError:
            raise EngineError(f"{target!r} cannot be marked as a tool; wrap it in a function.") from None
        return target

    return marked if function is None else marked(function)


def misfits_of(mark: ToolMark) -> list[str]:
    """What is wrong with what somebody said of a tool."""
    found = []
    for field, words in (("safety", SAFETIES), ("permission", PERMISSIONS)):
        value: Any = getattr(mark, field)
        if value not in words:
            found.append(f"has the {field} {value!r}; use {', '.join(words[:-1])} or {words[-1]}{suggestion(str(value), words)}")
    seconds: Any = mark.timeout
    if seconds is not None and not (isinstance(seconds, int | float) and not isinstance(seconds, bool) and 0 < seconds < 1e9):
        found.append(f"has the timeout {seconds!r}; give seconds greater than 0")
    if mark.name is not None and not is_name(mark.name):
        found.append(f"has the name {mark.name!r}; use a letter, then letters, digits, '_' or '-', at most 64")
    description: Any = mark.description
    if description is not None and not isinstance(description, str):
        found.append(f"has the description {description!r}; give text")
    return found


def is_name(name: Any) -> bool:
    """Whether a tool may be called so."""
    return isinstance(name, str) and TOOL_NAME.fullmatch(name) is not None


def kept(tools: Iterable[ToolDefinition], wanted: Sequence[str] | None) -> list[ToolDefinition]:
    """The tools whose names fit one of the patterns; without a filter all of them."""
    if wanted is None:
        return list(tools)
    return [one for one in tools if any(fnmatchcase(one.name, pattern) for pattern in wanted)]


def without_source(tools: Iterable[ToolDefinition]) -> tuple[ToolDefinition, ...]:
    """The tools without the hashes of their functions' texts."""
    return tuple(msgspec.structs.replace(one, source=None) for one in tools)
