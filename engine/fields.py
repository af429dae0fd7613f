"""The fields a pipeline file may have and how each is read from a node of its text.

Stands apart from `files.py` as the one list of a file's words: a field added to `PipelineStep` is added here. A reader refuses with
`WrongError`, whose text goes on from the field's name (`is the text 'ten'; write a number`).
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from typing import Any, NoReturn

from engine.definition import NAME, Dep
from engine.documents import Node
from engine.errors import EngineError, suggestion
from engine.policies import RetryPolicy

REFERENCE = re.compile(r"[^\W\d]\w*(?:\.[^\W\d]\w*)*:[^\W\d]\w*(?:\.[^\W\d]\w*)*")


_ANYTHING = inspect.Signature(
    [inspect.Parameter("values", inspect.Parameter.VAR_POSITIONAL), inspect.Parameter("params", inspect.Parameter.VAR_KEYWORD)]
)


class FunctionName:
    """A function by its name `module:qualname`, not imported. It can be checked and written, not called."""

    UNREAD = "unread:unread"
    """Stands where a function's name could not be read."""

    def __init__(self, text: str = UNREAD) -> None:
        self.text = text
        self.__module__, _, self.__qualname__ = text.partition(":")
        self.__signature__ = _ANYTHING

    def __call__(self, *values: Any, **params: Any) -> NoReturn:
        raise EngineError(f"The function {self.text} was read from a file and not imported; load the pipeline to run it.")

    def __repr__(self) -> str:
        return self.text


class WrongError(Exception):
    """A field's value is not of the kind it must be."""


def _text(node: Node) -> str:
    if not isinstance(node.value, str):
        raise WrongError(f"is {said(node)}, not text; put it in quotes")
    return node.value


def _step_name(node: Node) -> str:
    if not NAME.fullmatch(_text(node)):
        raise WrongError(f"is {said(node)}, which is not a step name; use a letter, then letters, digits, '_' or '-'")
    return _text(node)


def _texts(node: Node) -> list[str]:
    return [_text(item) for item in node.value] if isinstance(node.value, list) else [_text(node)]


def _number(node: Node) -> int | float:
    if isinstance(node.value, bool) or not isinstance(node.value, int | float):
        raise WrongError(f"is {said(node)}; write a number")
    return node.value


def _whole(node: Node) -> int:
    if isinstance(node.value, bool) or not isinstance(node.value, int):
        raise WrongError(f"is {said(node)}; write a whole number")
    return node.value


def _flag(node: Node) -> bool:
    if not isinstance(node.value, bool):
        raise WrongError(f"is {said(node)}; write true or false")
    return node.value


def _object(node: Node) -> dict[str, Any]:
    if not isinstance(node.value, dict):
        raise WrongError(f"is {said(node)}; write a mapping of names to values")
    return {key: child.plain() for key, child in node.value.items()}


def _steps(node: Node) -> list[Node]:
    if not isinstance(node.value, list):
        raise WrongError(f"is {said(node)}; write a list of '- name: ...'")
    return node.value


def _function(node: Node) -> FunctionName:
    text = _text(node)
    if not REFERENCE.fullmatch(text):
        advice = "write module:function, such as tools:search (the file tools.py beside this one)"
        raise WrongError(f"is {text[:80]!r}, which names no function; {advice}")
    return FunctionName(text)


def _needs(node: Node) -> list[str | Dep]:
    if isinstance(node.value, list):
        return [_need(item) for item in node.value]
    return [_need(node)]


def _need(node: Node) -> str | Dep:
    if isinstance(node.value, str):
        return node.value
    if not isinstance(node.value, dict):
        raise WrongError(f"has {said(node)}; write a step's name, or step: and type:")
    if unknown := [key for key in node.value if key not in ("step", "type")]:
        raise WrongError(f"has the unknown field {unknown[0][:80]!r}{suggestion(unknown[0], ['step', 'type']) or '; remove it'}")
    if "step" not in node.value:
        raise WrongError("has an entry without step:; write the name of the step it depends on")
    return Dep(**{key: _text(child) for key, child in node.value.items()})


def _retry(node: Node) -> RetryPolicy:
    if not isinstance(node.value, dict):
        raise WrongError(f"is {said(node)}; write a mapping with {', '.join(_RETRY)}")
    fields: dict[str, Any] = {}
    for key, child in node.value.items():
        if key not in _RETRY:
            raise WrongError(f"has the unknown field {key[:80]!r}{suggestion(key, list(_RETRY)) or '; remove it'}")
        try:
            fields[key] = _RETRY[key](child)
        except WrongError as error:
            raise WrongError(f"{key} {error}") from None
    return RetryPolicy(**fields)


PIPELINE: dict[str, Callable[[Node], Any]] = {
    "name": _text,
    "description": _text,
    "params": _object,
    "constraints": _texts,
    "shared": _object,
    "steps": _steps,
}
STEP: dict[str, Callable[[Node], Any]] = {
    "name": _step_name,
    "goal": _text,
    "run": _function,
    "depends_on": _needs,
    "execution_mode": _text,
    "constraints": _texts,
    "timeout": _number,
    "max_retries": _whole,
    "retry": _retry,
    "output_schema": _object,
    "model": _text,
    "irreversible": _flag,
    "final": _flag,
}
_RETRY: dict[str, Callable[[Node], Any]] = {
    "max_retries": _whole,
    "backoff": _text,
    "delay": _number,
    "factor": _number,
    "max_delay": _number,
    "jitter": _number,
}
STANDINS: dict[str, Any] = {"goal": "unread", "run": FunctionName()}
"""What stands where a body could not be read, so that its absence is not told as a second problem."""


def said(node: Node) -> str:
    """A value as a sentence names it: `the text 'ten'`, `the number 12`, `a list`."""
    value = node.value
    if value is None:
        return "empty"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return f"the text {value[:40]!r}{'...' if len(value) > 40 else ''}"
    if isinstance(value, int | float):
        return f"the number {value}"
    return "a mapping" if isinstance(value, dict) else "a list"
