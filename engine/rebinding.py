"""Functions under another signature: parameters with other names, or with values already known.

Stands apart because composed pipelines and plans both need it, and because the name of such a function has to say it: the text of
the function alone no longer tells what is called.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any

ARGUMENTS = "rebound_arguments"
"""The attribute with what is different from the function itself, by parameter: part of the function's reference."""


def rebound(
    body: Callable[..., Any],
    names: Iterable[str],
    optional: Iterable[str],
    values: Callable[[dict[str, Any]], dict[str, Any]],
    arguments: Mapping[str, str],
) -> Callable[..., Any]:
    """A function that takes `names` (those in `optional` may be left out) and calls `body` with what `values` makes of them.

    It is async if `body` is. `arguments` says in a word what each changed parameter stands for.
    """
    if inspect.iscoroutinefunction(body) or inspect.iscoroutinefunction(getattr(body, "__call__", None)):  # noqa: B004

        @functools.wraps(body)
        async def called(**given: Any) -> Any:
            return await body(**values(given))
    else:

        @functools.wraps(body)
        def called(**given: Any) -> Any:
            return body(**values(given))

    absent = set(optional)
    parameters = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None if name in absent else inspect.Parameter.empty)
        for name in dict.fromkeys(names)
    ]
    vars(called).update({"__signature__": inspect.Signature(parameters), ARGUMENTS: dict(arguments)})
    return called
