"""A loop whose time jumps: where nothing is ready, the next timer is, at once.

Stands apart because whole runs with retries, timeouts and sleeps of seconds are driven in milliseconds by it. Only for what has no
threads (a store in memory): a thread's answer would find that hours have passed.
"""

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from typing import Any


class NothingHappensError(AssertionError):
    """Nothing is ready and nothing is due: what is waited for never comes."""


class _Selector(selectors.DefaultSelector):
    """Never waits; says how long it would have."""

    passed = 0.0

    def select(self, timeout: float | None = None) -> list[Any]:
        ready = super().select(0)
        if ready or timeout == 0:
            return ready
        if timeout is None:
            raise NothingHappensError("the loop would wait for ever")
        self.passed += timeout
        return []


class Loop(asyncio.SelectorEventLoop):
    """An event loop in simulated time, which begins at 0."""

    def __init__(self) -> None:
        self._waits = _Selector()
        super().__init__(self._waits)

    def time(self) -> float:
        return self._waits.passed


def simulate(work: Callable[[Loop], Coroutine[Any, Any, Any]]) -> Any:
    """What `work` returns, in simulated time."""
    with asyncio.Runner(loop_factory=Loop) as runner:
        loop = runner.get_loop()
        assert isinstance(loop, Loop)
        return runner.run(work(loop))
