"""From whatever was raised to a recorded failure: a kind, one sentence, and whether asking again may help.

Stands apart because both attempts and their effects fail, and because an exception of somebody else's may do anything when looked
at: its text may raise, its attributes may be of any type. What comes out of here can always be recorded.
"""

from __future__ import annotations

import math

from engine.errors import (
    AttemptClosedError,
    CircuitOpenError,
    DivergenceError,
    EffectFailedError,
    EngineError,
    OutputInvalidError,
)
from engine.models.errors import ModelError
from store.errors import StoreError
from store.events import Failure

MESSAGE_LIMIT = 2000
"""Characters of a failure's sentence."""
CLASSES_LIMIT = 12
"""Classes of an exception that are named; of deeper hierarchies the nearest."""
CLASS_LIMIT = 120

_OURS = (EngineError, EffectFailedError, DivergenceError, AttemptClosedError, OutputInvalidError, ModelError, StoreError)
"""Whose text is a sentence already; any other's needs its type to be understood (`KeyError: 'x'`)."""


def failure_of(error: BaseException) -> Failure:
    """The failure that an exception is. Only our own say their kind; others are of kind `error`.

    What we refuse (a step that may not be added, an expression that has no value) would be refused again and is not tried again.
    """
    if isinstance(error, EffectFailedError):
        kind = error.kind
    elif isinstance(error, ModelError):
        kind = error.code
    else:
        kind = "error"
    retryable = False if isinstance(error, EngineError) else _attribute(error, "retryable")
    return Failure(
        kind=kind,
        message=_sentence(error),
        retryable=retryable if isinstance(retryable, bool) else True,
        retry_after=_seconds(_attribute(error, "retry_after")),
        classes=error.classes if isinstance(error, EffectFailedError) else () if isinstance(error, _OURS) else _classes(error),
    )


def error_of(failure: Failure) -> EffectFailedError:
    """What a body is told of a recorded failure of its effect: the way back from `failure_of`."""
    kind = CircuitOpenError if failure.kind == "circuit" else EffectFailedError
    return kind(
        failure.message,
        kind=failure.kind,
        retryable=failure.retryable,
        retry_after=failure.retry_after,
        classes=failure.classes,
    )


def _classes(error: BaseException) -> tuple[str, ...]:
    """The names retry rules may use: of built-in classes as they are, of others after their module."""
    found = []
    for cls in type(error).__mro__:
        if cls not in (BaseException, object):
            name = cls.__qualname__ if cls.__module__ == "builtins" else f"{cls.__module__}.{cls.__qualname__}"
            found.append(name.encode("utf-8", "backslashreplace").decode()[-CLASS_LIMIT:])
    return tuple(found[:CLASSES_LIMIT])


def _attribute(error: BaseException, name: str) -> object:
    try:
        return getattr(error, name, None)
    except Exception:  # a property of somebody else's class may raise anything; then it says nothing
        return None


def _seconds(value: object) -> float | None:
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    seconds = float(value) if abs(value) < 1e9 else math.inf
    return seconds if 0 <= seconds < math.inf else None


def _sentence(error: BaseException) -> str:
    try:
        text = str(error).strip() or "no message"
    except Exception:  # the same: its own text may be what is broken
        text = "no message (its text cannot be made)"
    text = text.encode("utf-8", "backslashreplace").decode()
    said = text if isinstance(error, _OURS) else f"{type(error).__name__}: {text}"
    return said if len(said) <= MESSAGE_LIMIT else f"{said[: MESSAGE_LIMIT - 1]}…"
