"""The moment when every task of the event loop waits: then an attempt may be given one more outcome.

Stands apart because it is one for all attempts of a loop: if each looked for itself they would see each other's looking and never
find the loop quiet. On a loop that is never quiet (other work goes on) an attempt waits a bounded number of turns, which is enough
for a body whose reaction to an outcome takes fewer turns than that before it asks for the next effect.
"""

from __future__ import annotations

import asyncio
import weakref
from collections import deque
from collections.abc import Callable
from typing import Any

MAX_TURNS = 64
"""Turns of the loop after which a body counts as waiting: a task, gather or group around it costs two or three each way."""

_quiets: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Quiet] = weakref.WeakKeyDictionary()


class Quiet:
    """Calls back when its loop is quiet; what is called must not raise. It does not keep the loop alive."""

    def __init__(self, ready: deque[Any] | None) -> None:
        self._ready = ready
        self._waiting: deque[tuple[int, Callable[[], None]]] = deque()
        self._turns = 0
        self._looking = False

    def call(self, back: Callable[[], None]) -> None:
        """Call `back` once all tasks wait, or after `MAX_TURNS` turns."""
        self._waiting.append((self._turns, back))
        if not self._looking:
            self._looking = True
            asyncio.get_running_loop().call_soon(self._look)

    def _look(self) -> None:
        self._turns += 1
        waiting = self._waiting
        latest = self._turns if self._ready is not None and not self._ready else self._turns - MAX_TURNS
        due = []
        while waiting and waiting[0][0] <= latest:
            due.append(waiting.popleft()[1])
        for back in due:
            back()
        self._looking = bool(waiting)
        if waiting:
            asyncio.get_running_loop().call_soon(self._look)


def quiet() -> Quiet:
    """The one of the running loop."""
    loop = asyncio.get_running_loop()
    found = _quiets.get(loop)
    if found is None:
        found = _quiets[loop] = Quiet(getattr(loop, "_ready", None))
    return found
