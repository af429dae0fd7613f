"""What an attempt recorded before, to be lived through again in the same order. Pure.

Stands apart from `effects.py` because it is a value and rules: which recorded request a new one is, and which outcome comes next.
An outcome comes only after all requests recorded before it were made, so that concurrent branches meet as they met then.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any

from store import values
from store.events import EffectRequested, EffectResolved, Payload, Recorded, Safety

EFFECT_TYPES = frozenset({"effect.requested", "effect.succeeded", "effect.failed", "effect.resolved"})

Base = tuple[str, str, str, str | None]
"""(kind, name, hash of the canonical arguments, key)"""

Identity = tuple[str, str, str, str | None, int]
"""A `Base`, and the occurrence among equal ones."""


def packed(arguments: Any) -> tuple[Payload, list[tuple[str, bytes]]]:
    """Arguments as they stand in a request, and the blob to be stored with it."""
    payload, blob = values.pack(arguments)
    return payload, [(payload.blob, blob)] if payload.blob is not None and blob is not None else []


def arguments_hash(payload: Payload) -> str:
    """The arguments' hash: 16 hex digits are enough to tell a run's few requests apart, and are in every request's row."""
    if payload.blob is not None:
        return payload.blob[:16]
    return hashlib.sha256(bytes(payload.json)).hexdigest()[:16]


class Tape:
    """The effect events of one attempt, oldest first. It is true while there is something left to live through.

    `live` is set once a request was made that is not on it: from then on recorded outcomes are taken only for pure requests.
    """

    def __init__(self, recorded: Sequence[Recorded] = ()) -> None:
        self._again: set[int] = set()
        self._items = deque(self._kept(recorded)) if recorded else deque()
        self._requests: dict[Identity, Recorded] = {}
        self._outcomes: dict[int, Recorded] = {}
        self._made: set[int] = set()
        self.live = False
        for item in self._items:
            if isinstance(item.event, EffectRequested):
                self._requests[identity_of(item.event)] = item
            else:
                self._outcomes[item.event.request] = item

    def _kept(self, recorded: Sequence[Recorded]) -> list[Recorded]:
        """Without requests that were said to be issued again and were, and without the insides of a body that is settled."""
        again = {item.event.request for item in recorded if _issue_again(item)}
        latest = {identity_of(item.event): item.version for item in recorded if isinstance(item.event, EffectRequested)}
        dropped = {
            item.version
            for item in recorded
            if item.version in again and isinstance(item.event, EffectRequested) and latest[identity_of(item.event)] != item.version
        }
        self._again = again - dropped
        settled = {item.event.request for item in recorded if not isinstance(item.event, EffectRequested)} - again
        bodies = {
            item.version
            for item in recorded
            if isinstance(item.event, EffectRequested) and item.event.kind == "body" and item.version in settled
        }
        return [
            item
            for item in recorded
            if not _issue_again(item) and _request(item) not in dropped and (not bodies or _request(item) in bodies)
        ]

    def __bool__(self) -> bool:
        return bool(self._items)

    def make(self, identity: Identity, safety: Safety) -> Recorded | None:
        """The recorded request that is made again now; None for an unknown one, and for one whose outcome is not taken any more."""
        item = self._requests.get(identity)
        if item is None:
            return None
        outcome = self._outcomes.get(item.version)
        if self.live and outcome is not None:
            if safety not in (Safety.PURE, Safety.IRREVERSIBLE):
                return None  # what was only looked at may be another now; what was done for good is not done twice
            self._items.append(outcome)
        del self._requests[identity]
        self._made.add(item.version)
        return item

    def knows(self, identity: Identity) -> bool:
        """Whether a request of that identity is recorded and not made again yet."""
        return identity in self._requests

    def again(self, version: int) -> bool:
        """Whether somebody said that the request of that version shall be issued again: that is a new request."""
        return version in self._again

    def settled(self, version: int) -> bool:
        """Whether the request of that version has a recorded outcome."""
        return version in self._outcomes

    def advance(self) -> Recorded | None:
        """The next outcome to deliver; None when a request has to be made first (`missing`) or the tape is at its end."""
        while self._items and _request(self._items[0]) in self._made:
            item = self._items.popleft()
            if not isinstance(item.event, EffectRequested):
                return item
        return None

    @property
    def left_for_good(self) -> Recorded | None:
        """An irreversible request of the record that this life did not make, once the recorded order was given up."""
        if not self.live:
            return None
        return next((item for item in self._requests.values() if item.event.safety is Safety.IRREVERSIBLE), None)

    def go_live(self) -> None:
        """Give up the recorded order: outcomes of what was made are still delivered, the rest of the tape is not."""
        self.live = True
        self._items = deque(
            item for item in self._items if not isinstance(item.event, EffectRequested) and item.event.request in self._made
        )

    @property
    def missing(self) -> Recorded | None:
        """The recorded request that everything waits for, if any."""
        return next(self._unmade(), None)

    @property
    def unmade(self) -> list[EffectRequested]:
        """Recorded requests that were not made, in order; divergences if the body has ended."""
        return [item.event for item in self._unmade()]

    def _unmade(self) -> Iterator[Recorded]:
        return (item for item in self._items if isinstance(item.event, EffectRequested) and item.version not in self._made)


def _request(item: Recorded) -> int:
    return item.version if isinstance(item.event, EffectRequested) else int(item.event.request)


def hash_of(arguments: Payload) -> str:
    """The arguments' hash: 16 hex digits are enough to tell a run's few requests apart, and are in every request's row."""
    if arguments.blob is not None:
        return arguments.blob[:16]
    return hashlib.sha256(bytes(arguments.json)).hexdigest()[:16]


def _issue_again(item: Recorded) -> bool:
    return isinstance(item.event, EffectResolved) and item.event.outcome == "again"


def identity_of(event: EffectRequested) -> Identity:
    """What makes a request the same as another."""
    return event.kind, event.name, event.arguments_hash, event.key, event.occurrence
