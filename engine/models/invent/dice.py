"""Choices that follow from a seed and nothing else.

Stands apart from `random` because the same seed has to make the same choices in every Python version and on every machine.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


class Dice:
    """An endless row of numbers: SHA-256 of the seed and a counter."""

    def __init__(self, seed: str) -> None:
        self._seed = seed
        self._drawn = 0

    def below(self, limit: int) -> int:
        """A number from 0 to `limit - 1`. Slightly uneven for huge limits, which matters to nobody here."""
        self._drawn += 1
        digest = hashlib.sha256(f"{self._seed}/{self._drawn}".encode()).digest()
        return int.from_bytes(digest[:16], "big") % limit

    def pick(self, choices: Sequence[T]) -> T:
        """One of `choices`."""
        return choices[self.below(len(choices))]

    def rotated(self, choices: Sequence[T]) -> list[T]:
        """All of `choices`, in their order, beginning anywhere."""
        start = self.below(len(choices)) if choices else 0
        return [*choices[start:], *choices[:start]]

    def word(self) -> str:
        """Six hexadecimal characters."""
        return f"{self.below(16**6):06x}"
