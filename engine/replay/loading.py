"""Reading what is compared of two runs, and of one step of them, from the store.

Stands apart from `diff.py` because it waits. What two runs share, one being forked from the other or both from a third, is
not read. Contents are read for one step at a time: equal ones have equal names, so finding what differs needs none.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import msgspec

from engine.changes import Changes
from engine.changes import compare as compare_definitions
from engine.definition import Definition
from engine.errors import EngineError, suggestion
from engine.replay.aligning import History, begun_again, taken
from engine.replay.diff import Side, compare
from engine.replay.difference import RunDiff, StepTexts
from engine.replay.meaning import said, unseeded
from engine.replay.texts import ValueDiff, readable, spoken, text_diff, value_diff
from store import Log, RunRow, values
from store.errors import BlobMissingError, StoreError
from store.events import EffectFailed, EffectRequested, EffectSucceeded, Payload, Recorded, RunCreated, StepEvaluated
from store.lineage import Segment
from store.state import RunState, StepState, group_of, owner_of, shown_status

TEXTS = 50
"""Differing steps whose texts are read; of the others it is told that and which events differ."""

VALUE = 4 * 1024 * 1024
"""Bytes of an output up to which it is compared as a value; of a larger one the text's beginning is."""

INPUTS = 50
"""Dependencies of a step whose outputs are compared."""


class NoSuchStepError(EngineError):
    """Neither run has a step of that name."""

    code = "not_found"


async def diff(log: Log, a: str, b: str, *, step: str | None = None) -> RunDiff:
    """Compare two runs by id, prefix or `last`; with `step` that one alone, which differs or not.

    Raises `RunNotFoundError`, `RunAmbiguousError`, `NoSuchStepError`.
    """
    compared = await Comparison.of(log, a, b)
    found = compared.diff
    names = [one.step for one in found.steps]
    if step is not None and step not in names:
        near = suggestion(step, names) or f"; they have {', '.join(names[:20])}."
        raise NoSuchStepError(f"Neither {found.a.run} nor {found.b.run} has a step {step!r}{near}")
    wanted = found.differing[:TEXTS] if step is None else tuple(one for one in found.steps if one.step == step)
    texts = {one.step: await compared.texts(one.step) for one in wanted}
    steps = found.steps if step is None else wanted
    return msgspec.structs.replace(found, steps=tuple(msgspec.structs.replace(one, texts=texts.get(one.step)) for one in steps))


class _Read(NamedTuple):
    """A run as it was read: what is compared, and its pipeline (None where that cannot be read)."""

    side: Side
    definition: Definition | None


class Comparison:
    """Two runs of one store, compared; the texts of a step are read when they are asked for."""

    def __init__(self, log: Log, a: _Read, b: _Read, diff: RunDiff) -> None:
        self._log, self._reads = log, (a, b)
        self.diff = diff

    @classmethod
    async def of(cls, log: Log, a: str, b: str) -> Comparison:
        """Compare two runs by id, prefix or `last`, without their texts."""
        rows = [await log.find(a), await log.find(b)]
        lines = [await log.segments(row.id) for row in rows]
        shared = shared_past(lines[0], lines[1], rows[0].head, rows[1].head)
        reads = [await _read(log, row, line, shared) for row, line in zip(rows, lines, strict=True)]
        one, other = await _with_earlier(log, reads[0], reads[1], shared)
        return cls(log, one, other, await asyncio.to_thread(_compared, one, other, shared))

    async def texts(self, step: str) -> StepTexts:
        """What a step was given, asked and returned in either run, compared."""
        payloads = [await _output(self._log, read.side, step) for read in self._reads]
        output, value, unread = text_diff("", ""), ValueDiff(), 0
        if said(payloads[0]) != said(payloads[1]):
            stored = [await self._text(payload) for payload in payloads]
            unread = sum(max(0, len(text) - VALUE) for text in stored)
            output = text_diff(readable(stored[0][:VALUE]), readable(stored[1][:VALUE]))
            if not unread and all(payload is not None for payload in payloads):
                value = value_diff(values.decode(stored[0]), values.decode(stored[1]))
        given = [await self._given(read, step) for read in self._reads]
        asked = [await _requests(self._log, read.side, step) for read in self._reads]
        conversations = ("", "")
        if _identities(asked[0]) != _identities(asked[1]):
            conversations = (await self._conversation(asked[0]), await self._conversation(asked[1]))
        return StepTexts(output, value, text_diff(given[0], given[1]), text_diff(*conversations), unread)

    async def _text(self, payload: Payload | None) -> bytes:
        if payload is None:
            return b""
        try:
            return await self._log.text(payload)
        except BlobMissingError as error:
            return values.encode(str(error))

    async def _given(self, read: _Read, step: str) -> str:
        """What a step was given, each under the name of where it came from."""
        state = read.side.state
        found = state.steps.get(step)
        if found is None or found.first_started_at is None:
            return ""
        parts = [("item", await self._item(read.side, step))] if group_of(step) is not None else []
        for name in _needs(read.definition, owner_of(step) or step)[:INPUTS]:
            version = (found.inputs or {}).get(name)
            parts.append((name, await self._text(await _output(self._log, read.side, name, version))))
        return "\n".join(f"{name}:\n{readable(text[:VALUE])}\n" for name, text in parts if text)

    async def _item(self, side: Side, path: str) -> bytes:
        group = group_of(path) or path
        version = side.state.steps[group].evaluated or 0 if group in side.state.steps else 0
        found = await self._log.events(side.run, after=version - 1, upto=version) if version else []
        event = found[0].event if found else None
        items = await self._log.value(event.values) if isinstance(event, StepEvaluated) else None
        index = int(path[len(group) + 1 : -1])
        return values.encode(items[index]) if isinstance(items, list) and index < len(items) else b""

    async def _conversation(self, requests: Sequence[Recorded]) -> str:
        """What models were told, in order; a request that goes on with the one before it tells only what is new."""
        lines: list[str] = []
        before: list[Any] = []
        for request in requests:
            messages = await self._messages(request.event.arguments)
            known = before == messages[: len(before)]
            for message in messages[len(before) if known else 0 :]:
                lines += spoken(message)
            before = messages
        return "\n".join(lines)

    async def _messages(self, arguments: Payload) -> list[Any]:
        try:
            asked = values.decode(await self._text(arguments) or b"null")
            chain = asked.get("messages") if isinstance(asked, dict) else None
            if isinstance(chain, dict) and isinstance(chain.get("chain"), str):
                return list(await self._log.messages(chain["chain"]))
        except StoreError as error:
            return [{"role": "missing", "content": str(error)}]
        return chain if isinstance(chain, list) else []


def _compared(a: _Read, b: _Read, shared: int) -> RunDiff:
    """In a thread: two runs of 10,000 steps take 0.7 s, in which a screen must answer."""
    changes = Changes()
    if a.definition is not None and b.definition is not None and a.side.state.definition != b.side.state.definition:
        changes = compare_definitions(a.definition, b.definition)
        if not changes.sentences:  # functions' texts alone do not make another pipeline
            a, b = (read._replace(side=_under(read.side, "")) for read in (a, b))
    return compare(a.side, b.side, shared=shared, definition=changes)


def _under(side: Side, definition: str) -> Side:
    return msgspec.structs.replace(side, history=side.history._replace(definition=definition))


def shared_past(a: Sequence[Segment], b: Sequence[Segment], head_a: int, head_b: int) -> int:
    """Up to which version two runs have the same events, because one was forked from the other or both from a third."""
    shared = 0
    for one, other in zip(a, b, strict=False):
        if (one.id, one.first) != (other.id, other.first):
            break
        ends = [head_a if one.last is None else one.last, head_b if other.last is None else other.last]
        shared = min(ends)
        if ends[0] != ends[1]:
            break
    return shared


async def _read(log: Log, row: RunRow, line: Sequence[Segment], shared: int) -> _Read:
    state = await log.state(row.id, row.head)
    events = [await _unseeded(log, recorded) for recorded in await log.events(row.id, after=shared, upto=row.head)]
    requests = {}
    for version in (await log.state(row.id, shared)).open if shared else ():
        found = await log.events(row.id, after=version - 1, upto=version)
        requests.update({recorded.version: await _unseeded(log, recorded) for recorded in found})
    first = (await log.events(row.id, limit=1))[0].event
    created = first if isinstance(first, RunCreated) else RunCreated("", "", [])
    definition = await _definition(log, state.definition)
    own = line[-1].first
    before = await log.state(row.id, own - 1) if own > 1 else RunState()
    alive = row.alive()
    side = Side(
        row.id,
        state,
        History(events, requests, created.definition),
        shown_status(state, alive).word,
        frozenset(_inherited(before, state)) | _recalled(events, own),
        await _value(log, created.params),
        await _value(log, created.config),
        time.time() if alive and not state.status.ended else 0.0,
    )
    return _Read(side, definition)


async def _unseeded(log: Log, recorded: Recorded) -> Recorded:
    event = recorded.event
    if not isinstance(event, EffectRequested) or event.kind != "model" or not event.arguments.size:
        return recorded
    try:
        text = await log.text(event.arguments)
    except BlobMissingError:
        return recorded
    return msgspec.structs.replace(recorded, event=unseeded(event, text))


def _inherited(before: RunState, now: RunState) -> Iterable[str]:
    """The steps that had settled in the past that was taken over, and were not begun again."""
    for name, step in before.steps.items():
        present = now.steps.get(name)
        if present is not None and step.status.settled and (step.ended_at, step.attempt) == (present.ended_at, present.attempt):
            yield name


def _recalled(events: Iterable[Recorded], own: int) -> frozenset[str]:
    """The steps that touched the world, and only by outcomes that were taken from a recording."""
    taken_from: dict[str, bool] = {}
    for recorded in events:
        if recorded.step is not None and recorded.version >= own and isinstance(recorded.event, EffectSucceeded | EffectFailed):
            taken_from[recorded.step] = taken_from.get(recorded.step, True) and recorded.event.source is not None
    return frozenset(name for name, whole in taken_from.items() if whole)


async def _with_earlier(log: Log, a: _Read, b: _Read, shared: int) -> tuple[_Read, _Read]:
    """A step that one run did again, or took from a recording, may have ended in the other before where they part.

    Its events there are compared then, and attempts counted from where it was begun again.
    """
    if not shared:
        return a, b
    again = begun_again(a.side.history) | begun_again(b.side.history)
    found = []
    for read, other in ((a, b), (b, a)):
        side, history = read.side, read.side.history
        here, there = ({one.step for one in of.side.history.events if one.step is not None} for of in (read, other))
        redone = {name for name in here | there if name in again or owner_of(name) in again}
        reused = taken(other.side.history)
        earlier: list[Recorded] = []
        for name in (redone | reused) & there - here:
            past = await log.events(side.run, step=name, upto=shared)
            earlier += [await _unseeded(log, recorded) for recorded in past]
        before = {name: side.state.steps[name].first_attempt - 1 for name in redone if name in side.state.steps}
        history = history._replace(earlier=sorted(earlier, key=lambda one: one.version), before=before)
        found.append(read._replace(side=msgspec.structs.replace(side, history=history)))
    return found[0], found[1]


async def _definition(log: Log, hash: str) -> Definition | None:
    """The pinned pipeline; None for one that is gone or of a shape this version does not know, which is compared by name alone."""
    try:
        return Definition.from_json(await log.blob(hash))
    except (StoreError, msgspec.ValidationError, TypeError, AttributeError, KeyError):
        return None


async def _value(log: Log, payload: Payload) -> Any:
    try:
        return await log.value(payload)
    except StoreError:
        return None


def _needs(definition: Definition | None, step: str) -> list[str]:
    found = next((one for one in definition.steps if one.name == step), None) if definition is not None else None
    return [dep.step for dep in found.depends_on] if found is not None else []


async def _output(log: Log, side: Side, step: str, version: int | None = None) -> Payload | None:
    found: StepState | None = side.state.steps.get(step)
    at = version if version is not None else found.output if found is not None else None
    if at is None:
        return None
    events = await log.events(side.run, after=at - 1, upto=at)
    output = getattr(events[0].event, "output", None) if events else None
    return output if isinstance(output, Payload) else None


async def _requests(log: Log, side: Side, step: str) -> list[Recorded]:
    """What the step's last attempt asked models, in order."""
    found = await log.events(side.run, step=step, types={EffectRequested.type}, upto=side.state.version)
    models = [await _unseeded(log, recorded) for recorded in found if recorded.event.kind == "model"]
    return [recorded for recorded in models if recorded.attempt == models[-1].attempt]


def _identities(requests: Sequence[Recorded]) -> list[tuple[str, str]]:
    """What was asked, whatever the order: that of concurrent branches says nothing."""
    return sorted((request.event.name, request.event.arguments_hash) for request in requests)
