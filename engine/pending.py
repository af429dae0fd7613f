"""One effect that an attempt waits for: its request, what came of it so far, and who wants to know.

Stands apart from the gate, which makes and settles these.
"""

from __future__ import annotations

import asyncio
from typing import Any

from engine.answers import Answer, Told
from engine.tape import Base
from store.events import Failure, Spent, Usage


class Call:
    """One request of this life of the attempt, and who waits for it. `wake`: its outcome is paid for and is flushed at once.

    `base` is set where running out of time leaves a doubt: an irreversible effect that is not a whole body.
    """

    __slots__ = ("base", "future", "outcome", "request", "source", "spent", "told", "usage", "wake")

    def __init__(
        self, request: int, future: asyncio.Future[Any], wake: bool, source: tuple[str, int] | None, base: Base | None
    ) -> None:
        self.request, self.future, self.wake, self.source, self.base = request, future, wake, source, base
        self.outcome: Answer | Failure | None = None
        self.usage: Usage | None = None
        self.told: Told | None = None
        self.spent: tuple[Spent, ...] = ()
