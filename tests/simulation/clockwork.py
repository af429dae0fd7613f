"""A loop whose time jumps: where nothing is ready, the next timer is, at once.

Stands apart because whole runs with retries, timeouts and sleeps of seconds are driven in milliseconds by it. Threads (a store in a
file has one) are given a little real time to answer before the clock jumps; a slow one merely finds that more has passed.
"""

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

STUCK = 5.0
"""Real seconds after which a thread's answer is not waited for any more."""


class NothingHappensError(AssertionError):
    """Nothing is ready and nothing is due: what is waited for never comes."""


class _Selector(selectors.DefaultSelector):
    """Waits `patience` seconds at most, and then says that as much time as it was to wait has passed."""

    passed = 0.0

    def __init__(self, patience: float) -> None:
        super().__init__()
        self._patience = patience

    def select(self, timeout: float | None = None) -> list[Any]:
        ready = super().select(0 if timeout == 0 else self._patience)
        if ready or timeout == 0:
            return ready
        if timeout is None:
            if self._patience and (ready := super().select(STUCK)):
                return ready
            raise NothingHappensError("the loop would wait for ever")
        self.passed += timeout
        return []


class Loop(asyncio.SelectorEventLoop):
    """An event loop in simulated time, which begins at 0."""

    def __init__(self, patience: float) -> None:
        self._waits = _Selector(patience)
        super().__init__(self._waits)

    def time(self) -> float:
        return self._waits.passed


def simulate(work: Callable[[Loop], Coroutine[Any, Any, Any]], patience: float = 0.0) -> Any:
    """What `work` returns, in simulated time."""
    with asyncio.Runner(loop_factory=partial(Loop, patience)) as runner:
        loop = runner.get_loop()
        assert isinstance(loop, Loop)
        return runner.run(work(loop))
