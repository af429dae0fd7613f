"""Why no value could be made: for the schema (another branch may do), or at all.

Stands apart because every other file of this package raises or catches it.
"""

from __future__ import annotations


class UnsatisfiableError(Exception):
    """No value was found for the schema at `place` (`#/properties/age`); another branch of a parent's may still do."""

    def __init__(self, place: str, reason: str) -> None:
        super().__init__(f"{place}: {reason}")
        self.place = place
        self.reason = reason


class ExhaustedError(UnsatisfiableError):
    """The effort allowed for one value is used up; no branch is tried any more."""
