"""What an attempt need not ask the world again, because it was recorded elsewhere: by earlier attempts of its step, or in the run
that a fork was made of. Pure.

Stands apart from the tape, which is what the attempt itself recorded and lives through in order: here identity alone counts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

import msgspec

from engine.tape import Base, Identity, arguments_hash, identity_of, packed
from store import values
from store.events import EffectFailed, EffectRequested, EffectResolved, EffectSucceeded, Failure, Payload, Recorded, Safety

POLICIES = ("cached", "live", "recorded", "ask")
"""What a fork does for an effect: take it where it is recorded and else do it; do it anew; never do it; ask before doing it."""

DO_IT, LEAVE_IT = "do it", "leave it"
"""The answers to whether a fork may do something."""

MAY_IT = "Shall this fork do"
"""How the question begins whether it may; no policy answers that one."""

RECORDING = "recording"
"""The actor of what a fork took from its parent's tape."""

KINDS = (
    "model", "tool", "once", "child", "ask", "ask_until", "send", "receive", "publish", "wait_for", "space", "remember", "recall",
    "memory", "offer", "now", "random", "uuid", "sleep", "body",
)  # fmt: skip
"""The kinds of effects there are, those that people name most first."""

OWN = frozenset({"memory", "offer"})
"""Kinds of effects that change the run itself: always done, they touch nothing else."""


class Done(msgspec.Struct, frozen=True):
    """What an effect came back with elsewhere, and where that is recorded: (run id, version)."""

    source: tuple[str, int]
    value: Payload = Payload()
    simulated: bool = False
    failure: Failure | None = None


class Policy(msgspec.Struct, frozen=True):
    """What is done for effects whose `KIND` or `KIND:NAME` fits `pattern`; `stub`, where set, is what they come back with."""

    pattern: str
    word: str
    stub: Done | None = None

    def fits(self, kind: str, name: str) -> bool:
        """Whether it is about such an effect."""
        return fnmatchcase(kind, self.pattern) or fnmatchcase(f"{kind}:{name}", self.pattern)


class Recordings(msgspec.Struct, frozen=True):
    """Outcomes by identity, and, in a fork, what is done for effects that have none. The last policy that fits holds."""

    done: Mapping[Identity, Done] = {}
    policies: Sequence[Policy] = ()
    forked: bool = False

    def of(self, identity: Identity) -> Done | None:
        """The outcome to take for a request, if any."""
        policy = self._policy(identity[0], identity[1]) if self.policies else None
        if policy is not None and policy.stub is not None:
            return policy.stub
        if policy is not None and policy.word == "live":
            return None
        return self.done.get(identity)

    def unmatched(self, kind: str, name: str, safety: Safety) -> str:
        """What a fork does for an effect that has no recorded outcome: `live`, `ask` or `recorded` (refuse it)."""
        policy = self._policy(kind, name)
        if policy is not None and policy.word in ("live", "recorded", "ask"):
            return "live" if kind in OWN or safety is Safety.PURE else policy.word
        return "ask" if safety is Safety.IRREVERSIBLE else "live"

    def stands_in(self, kind: str, name: str) -> bool:
        """Whether a policy says what such an effect comes back with."""
        policy = None if name.startswith(MAY_IT) else self._policy(kind, name)
        return policy is not None and policy.stub is not None

    def _policy(self, kind: str, name: str) -> Policy | None:
        return next((policy for policy in reversed(self.policies) if policy.fits(kind, name)), None)


NOTHING_KNOWN = Recordings()


def consent(kind: str, name: str, safety: Safety, arguments: Payload) -> tuple[dict[str, Any], Base]:
    """The question whether a fork may do exactly this: its arguments, and what it is known by."""
    given = "" if arguments.size <= len("null") else f" with {arguments.size:,} bytes of arguments"
    if given and arguments.blob is None:
        given = f" with {bytes(arguments.json).decode()}"
    question = f"{MAY_IT} {kind} {name!r}{given} now? It is {safety.value}."
    asked = {"question": question, "choices": [DO_IT, LEAVE_IT], "about": arguments_hash(arguments)}
    return asked, ("ask", question[:80], arguments_hash(packed(asked)[0]), None)


def policy_of(pattern: str, value: Any, source: tuple[str, int]) -> Policy:
    """The policy that somebody wrote: a word of `POLICIES`, or `{"stub": VALUE}`. Raises `ValueError` with a sentence."""
    if isinstance(value, dict) and list(value) == ["stub"]:
        return Policy(pattern, "stub", Done(source, values.pack(value["stub"])[0], simulated=True))
    if value not in POLICIES:
        raise ValueError(f'is {value!r}; use one of {", ".join(POLICIES)}, or {{"stub": VALUE}}')
    return Policy(pattern, value)


def done_for_good(run: str, recorded: Iterable[Recorded]) -> Mapping[Identity, Done]:
    """The irreversible effects among a step's effect events that happened, by identity: a retry takes them from there.

    A whole body that is irreversible is not among them: its step is tried again only where its definition says so.
    """
    found = _outcomes(run, recorded, lambda event: event.safety is Safety.IRREVERSIBLE and event.kind != "body")
    return {identity: done for identity, (_, done) in found.items() if done.failure is None}


def done_in(run: str, recorded: Iterable[Recorded], attempt: int | None) -> dict[Identity, Done]:
    """What a fork may take of a step's effect events: successes of any attempt, and failures of `attempt` (None: of none)."""
    found = _outcomes(run, recorded, lambda event: event.kind not in OWN)
    return {key: done for key, (request, done) in found.items() if done.failure is None or request.attempt == attempt}


def taken_in(recorded: Iterable[Recorded]) -> dict[Identity, Done]:
    """What an attempt took of what was recorded elsewhere, by its own effect events."""
    found = _outcomes("", recorded, lambda event: True)
    return {identity: done for identity, (_, done) in found.items() if done.source[0]}


def _outcomes(
    run: str, recorded: Iterable[Recorded], wanted: Callable[[EffectRequested], bool]
) -> dict[Identity, tuple[Recorded, Done]]:
    """The last outcome of each wanted identity, a success before any failure, with its request."""
    requests: dict[int, Recorded] = {}
    found: dict[Identity, tuple[Recorded, Done]] = {}
    for item in recorded:
        event = item.event
        if isinstance(event, EffectRequested):
            if wanted(event):
                requests[item.version] = item
            continue
        request = requests.get(event.request)
        done = _done(run, item) if request is not None else None
        if request is None or done is None:
            continue
        identity = identity_of(request.event)
        if done.failure is None or identity not in found or found[identity][1].failure is not None:
            found[identity] = request, done
    return found


def _done(run: str, item: Recorded) -> Done | None:
    event, here = item.event, (run, item.version)
    if isinstance(event, EffectSucceeded):
        return Done(event.source or here, event.value, event.simulated)
    if isinstance(event, EffectFailed):
        return Done(event.source or here, failure=event.failure)
    if isinstance(event, EffectResolved) and event.outcome == "succeeded":
        return Done(here, event.value)
    return None
