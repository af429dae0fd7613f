"""Wishes of which only the newest counts: what a held key or a busy run asks for over and over is done once at a time.

Apart from its users (scrubbing, details) because the rule is the same: no queue, no work for a wish that was overtaken, and a rest
after each so that nothing runs hotter than a screen can show.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Newest(Generic[T]):
    """`grant` is awaited with the newest wish, and then rests: `rest` seconds, or `share` times as long as the grant took."""

    def __init__(self, grant: Callable[[T], Awaitable[None]], rest: float, share: float = 0.0) -> None:
        self.granted = 0
        self._grant, self._rest, self._share = grant, rest, share
        self._wish: list[T] = []
        self._wake = asyncio.Event()

    def want(self, wish: T) -> None:
        """The newest wish."""
        self._wish = [wish]
        self._wake.set()

    async def run(self) -> None:
        """Grant wishes until cancelled."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            if self._wish:
                wish, self._wish = self._wish[0], []
                began = time.monotonic()
                self.granted += 1
                await self._grant(wish)
                await asyncio.sleep(max(self._rest, (time.monotonic() - began) * self._share))
