"""What a definition keeps of a Python function: the name it is found by, and the hash of its text. Pure.

Stands apart from steps because tools are functions too, and both stand in a definition.
"""

from __future__ import annotations

import functools
import hashlib
import inspect
from collections.abc import Callable
from typing import Any

from engine.rebinding import ARGUMENTS


def reference(function: Callable[..., Any]) -> str:
    """`module:qualname` of a function; a lambda or a local one cannot be found by it: then only its own process can run it.

    The same holds for one under another signature (see `rebinding.py`); what is different follows in parentheses.
    """
    target = inspect.unwrap(function)
    name = getattr(target, "__qualname__", None) or type(target).__qualname__
    rebound = ", ".join(f"{name}={what}" for name, what in getattr(function, ARGUMENTS, {}).items())
    module = getattr(target, "__module__", None) or type(target).__module__
    return f"{module}:{name}({rebound})" if rebound else f"{module}:{name}"


def source_hash(function: Callable[..., Any]) -> str | None:
    """Hash of a function's text as it was when first asked for, None where there is none to read."""
    try:
        return _source_hash(function)
    except TypeError:  # a callable object that cannot be hashed
        return _source_hash.__wrapped__(function)


@functools.lru_cache(maxsize=4096)  # finding and cutting the text out costs 50 us and more, of 75 a step is defined in
def _source_hash(function: Callable[..., Any]) -> str | None:
    try:
        text = inspect.getsource(inspect.unwrap(function))
    except (OSError, TypeError):
        return None
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]
