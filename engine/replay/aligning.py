"""Which event of one run is which event of another: by what they are about, never by place or time. Pure.

Stands apart from `diff.py`, which tells what follows for steps and totals. The order of concurrent branches is no difference. A
step that either run took from a recording has no inside there, so of it only the end is compared.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import msgspec

from engine.replay.meaning import Key, Sense, sense, settles
from store.events import EffectRequested, Recorded, StepReset, StepReused

SAME, MISSING, EXTRA, OTHER = "", "missing", "extra", "other"
"""What a pair is, besides `arguments` and `outcome`: `missing` is only in A, `extra` only in B."""

_FAR = 1 << 60


class Meant(NamedTuple):
    """An event that is compared: its place among those of its run, and what it is about."""

    place: int
    recorded: Recorded
    key: Key
    sense: Sense


class Pair(NamedTuple):
    """The same thing in both runs, or a thing of one; `what` is empty where both say the same."""

    a: Meant | None
    b: Meant | None
    what: str = SAME

    @property
    def step(self) -> str | None:
        """Whose it is."""
        found = self.a or self.b
        return found.recorded.step if found is not None else None


class Alignment(NamedTuple):
    """All pairs in the order of A, what only B has after what it follows there; and which of them is the first to differ."""

    pairs: list[Pair]
    first: Pair | None


class History(NamedTuple):
    """What is compared of a run: its events after the shared past, earlier requests by version, a name for its definition.

    `earlier` are events of the shared past that count all the same: those of steps that the other run did again after it. `before`
    says, of steps that were begun again, how many attempts no longer count.
    """

    events: Sequence[Recorded]
    requests: Mapping[int, Recorded] = {}
    definition: str = ""
    earlier: Sequence[Recorded] = ()
    before: Mapping[str, int] = {}

    def counted(self, recorded: Recorded) -> Recorded | None:
        """The event with its attempt counted from where its step was begun again; None for one from before that."""
        before = self.before.get(recorded.step or "", 0)
        if not before or not recorded.attempt:
            return recorded
        return msgspec.structs.replace(recorded, attempt=recorded.attempt - before) if recorded.attempt > before else None


def requests_of(events: Iterable[Recorded]) -> dict[int, Recorded]:
    """The requests among events, by version."""
    return {recorded.version: recorded for recorded in events if isinstance(recorded.event, EffectRequested)}


def taken(*histories: History) -> frozenset[str]:
    """The steps that any of these took from a recording as a whole."""
    found = {recorded.step for one in histories for recorded in one.events if isinstance(recorded.event, StepReused)}
    return frozenset(step for step in found if step is not None)


def begun_again(history: History) -> frozenset[str]:
    """The steps that were reset in a run's own part."""
    return frozenset(one.step for one in history.events if isinstance(one.event, StepReset) and one.step is not None)


def align(a: History, b: History) -> Alignment:
    """Pair the events of two runs."""
    reused = taken(a, b)
    left, right = _meant(a, reused), _meant(b, reused)
    by_key = {meant.key: meant for meant in right}
    partner = {meant.key: by_key[meant.key] for meant in left if meant.key in by_key}
    free_left = [meant for meant in left if meant.key not in partner]
    known = {meant.key for meant in left}
    free_right = [meant for meant in right if meant.key not in known]
    partner |= _asked_otherwise(free_left, free_right)
    pairs = _in_order(left, right, partner)
    return Alignment(pairs, _first(pairs))


def _meant(history: History, reused: frozenset[str]) -> list[Meant]:
    counting = [(one, alike) for one in (*history.earlier, *history.events) if (alike := history.counted(one)) is not None]
    requests = {**history.requests, **requests_of(alike for _, alike in counting)}
    last = {one.step: one.version for one, _ in counting if one.step in reused and settles(one)}
    found: list[Meant] = []
    counts: dict[Key, int] = {}
    place = 0
    upto = history.earlier[-1].version if history.earlier else 0
    for recorded, alike in counting:
        if recorded.step in reused and last.get(recorded.step) != recorded.version:
            continue
        told = sense(alike, requests, history.definition)
        if told is None:
            continue
        key = ("settled", recorded.step) if recorded.step in reused else told.key
        counts[key] = counts.get(key, 0) + 1
        early = recorded.version <= upto
        found.append(Meant(_FAR if early else place, recorded, (*key, counts[key]), told))
        place += not early
    return found


def _asked_otherwise(left: Sequence[Meant], right: Sequence[Meant]) -> dict[Key, Meant]:
    """Of requests that only one run has, those of one step, attempt and kind, of one name if there are such, in order.

    Their outcomes go with them.
    """
    found: dict[Key, Meant] = {}
    for exact in (True, False):
        waiting: dict[Key, list[Meant]] = {}
        gone = {meant.key for meant in found.values()}
        for meant in right:
            if meant.key not in gone and meant.sense.loose is not None:
                waiting.setdefault(_loose(meant, exact=exact), []).append(meant)
        for meant in left:
            if meant.key in found or meant.sense.loose is None:
                continue
            others = waiting.get(_loose(meant, exact=exact))
            if others:
                found[meant.key] = others.pop(0)
    theirs = {meant.key: meant for meant in right}
    asked = {key[1:-1]: other.key[1:-1] for key, other in found.items()}
    for meant in left:
        other = theirs.get(("outcome", *asked.get(meant.key[1:-1], ()), meant.key[-1])) if meant.key[0] == "outcome" else None
        if other is not None:
            found[meant.key] = other
    return found


def _loose(meant: Meant, *, exact: bool) -> Key:
    """`key` of a request holds (word, step, attempt, kind, name, arguments, key, occurrence, count)."""
    loose = meant.sense.loose or ()
    return (*loose, meant.key[4], meant.key[6]) if exact else loose


def _in_order(left: Sequence[Meant], right: Sequence[Meant], partner: Mapping[Key, Meant]) -> list[Pair]:
    theirs = {meant.key for meant in partner.values()}
    after: dict[Key | None, list[Pair]] = {}
    owner = {other.key: key for key, other in partner.items()}
    before: Key | None = None
    for meant in right:
        if meant.key in theirs:
            before = owner[meant.key]
        else:
            after.setdefault(before, []).append(Pair(None, meant, EXTRA))
    pairs = after.pop(None, [])
    for meant in left:
        other = partner.get(meant.key)
        pairs.append(Pair(meant, None, MISSING) if other is None else Pair(meant, other, _what(meant, other)))
        pairs += after.get(meant.key, [])
    return pairs


def _what(a: Meant, b: Meant) -> str:
    if a.sense.content != b.sense.content:
        return a.sense.word
    asked_otherwise = isinstance(a.recorded.event, EffectRequested) and a.sense.key != b.sense.key
    return "arguments" if asked_otherwise else SAME


def _first(pairs: Iterable[Pair]) -> Pair | None:
    """The pair that differs nearest to the beginning of either run; where each goes on alone at the same place, both events."""
    differing = [pair for pair in pairs if pair.what != SAME]
    if not differing:
        return None
    nearest = min(_rank(pair) for pair in differing)
    found = [pair for pair in differing if _rank(pair) == nearest]
    alone_a = next((pair.a for pair in found if pair.what == MISSING), None)
    alone_b = next((pair.b for pair in found if pair.what == EXTRA), None)
    if alone_a is not None and alone_b is not None:
        return Pair(alone_a, alone_b, OTHER)
    return min(found, key=lambda pair: min(str(meant.key) for meant in (pair.a, pair.b) if meant is not None))


def _rank(pair: Pair) -> tuple[int, int]:
    places = sorted(meant.place for meant in (pair.a, pair.b) if meant is not None)
    return (places[0], places[1] if len(places) > 1 else _FAR)
