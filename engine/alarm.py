"""The driver's alarm clock: it rings when the next of a run's timers is due.

Stands apart from the runtime, which only sets it and is woken. Timers are moments of the wall clock, which may jump (a laptop that
slept), so they are looked at besides.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class Alarm:
    """Calls `ring` at the time it was set to, once. `clock` gives unix seconds."""

    def __init__(self, ring: Callable[[], None], clock: Callable[[], float]) -> None:
        self._ring, self._clock = ring, clock
        self._timer: asyncio.TimerHandle | None = None
        self._due: float | None = None

    def set(self, due: float | None) -> None:
        """Ring at `due` (unix seconds) instead of when it was to; None: not at all."""
        if due == self._due:
            return
        self.stop()
        self._due = due
        if due is not None:
            self._timer = asyncio.get_running_loop().call_later(max(0.0, due - self._clock()), self._rung)

    def look(self) -> None:
        """Ring if the time has come while nobody counted it."""
        if self._due is not None and self._clock() >= self._due:
            self._rung()

    def stop(self) -> None:
        """Not to ring any more."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._due = None

    def _rung(self) -> None:
        self.stop()
        self._ring()
