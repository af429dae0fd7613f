"""From whatever was raised to a recorded failure: a kind, one sentence, and whether asking again may help.

Stands apart because both attempts and their effects fail, and because an exception of somebody else's may do anything when looked
at: its text may raise, its attributes may be of any type. What comes out of here can always be recorded.
"""

from __future__ import annotations

import math

from engine.errors import AttemptClosedError, DivergenceError, EffectFailedError, OutputInvalidError
from engine.models.errors import ModelError
from store.errors import StoreError
from store.events import Failure

MESSAGE_LIMIT = 2000
"""Characters of a failure's sentence."""

_OURS = (EffectFailedError, DivergenceError, AttemptClosedError, OutputInvalidError, ModelError, StoreError)
"""Whose text is a sentence already; any other's needs its type to be understood (`KeyError: 'x'`)."""


def failure_of(error: BaseException) -> Failure:
    """The failure that an exception is. Only our own say their kind; others are of kind `error`."""
    if isinstance(error, EffectFailedError):
        kind = error.kind
    elif isinstance(error, ModelError):
        kind = error.code
    else:
        kind = "error"
    retryable = _attribute(error, "retryable")
    return Failure(
        kind=kind,
        message=_sentence(error),
        retryable=retryable if isinstance(retryable, bool) else True,
        retry_after=_seconds(_attribute(error, "retry_after")),
    )


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
