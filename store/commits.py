"""What goes to the disk together: pieces of work, and what leases put in; and who waits for it.

Stands apart from the writer, which says when and on which thread.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from typing import Any, Protocol

from store.errors import StoreError

Work = Callable[[sqlite3.Connection], Any]


class Batch(Protocol):
    """What a lease puts into a commit; `error` is why it was left out."""

    error: StoreError | None

    @property
    def run(self) -> str:
        """The id of the run that changes."""

    @property
    def light(self) -> bool:
        """Whether it is a few rows and nothing large."""

    def prepare(self) -> None:
        """Encode; runs on the writing thread before the transaction begins."""

    def apply(self, cursor: sqlite3.Cursor) -> None:
        """Write; runs inside the transaction."""

    def landed(self) -> None:
        """Durable, or `error` is set; runs on the loop."""


class Call:
    """One piece of work of its own inside a commit: creating, leasing, sending. Its failure leaves the others alone."""

    __slots__ = ("error", "result", "run", "work")

    def __init__(self, work: Work, run: str | None) -> None:
        self.work = work
        self.run = run
        self.result: Any = None
        self.error: Exception | None = None


class Commit:
    """What goes to the disk together: calls, then at most one batch a lease; and who waits for it."""

    __slots__ = ("batches", "calls", "error", "waiters")

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.batches: dict[object, Batch] = {}
        self.waiters: list[asyncio.Future[None]] = []
        self.error: StoreError | None = None

    def release(self) -> None:
        """Let everybody who waits go on."""
        for waiter in self.waiters:
            if not waiter.done():
                waiter.set_result(None)
