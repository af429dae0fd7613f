"""What a run was started with and what edits of a fork made of it: params, settings, edits. Read from the log.

Stands apart because whoever drives a run again, forks it or proves it needs the same, and none of them may forget the edits.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import msgspec

from engine.edits import Edit, parse
from engine.errors import EngineError
from store import Log
from store.events import EditApplied, RunId
from store.mail import Mail, Message
from store.streams import Author


class Circumstances(msgspec.Struct, frozen=True):
    """`params` and `settings` as they hold now, and the edits along the run's lineage with their versions, oldest first."""

    params: dict[str, Any]
    settings: dict[str, Any]
    edits: Sequence[tuple[int, Edit]] = ()


async def circumstances(log: Log, run: RunId, upto: int | None = None) -> Circumstances:
    """The circumstances of a run, as they were at a version if one is given."""
    created = (await log.events(run, limit=1))[0].event
    params, settings = await log.value(created.params) or {}, await log.value(created.config) or {}
    edits: list[tuple[int, Edit]] = []
    for recorded in await log.events(run, upto=upto, types={EditApplied.type}):
        edit = _read(recorded.event, await log.value(recorded.event.value), recorded.step)
        edits.append((recorded.version, edit))
        if edit.kind == "param":
            params = {**params, edit.name: edit.value}
        elif edit.kind == "model":
            settings = {**settings, "model": edit.value}
    return Circumstances(params, settings, edits)


async def post_injected(log: Log, run: RunId, found: Circumstances) -> None:
    """Send the messages that were put into a fork; each is sent once, however often this is asked."""
    own = (await log.segments(run))[-1].first
    for version, edit in found.edits:
        if edit.kind == "message" and version >= own:
            said = edit.value
            message = Message(
                "", "", str(said.get("to") or run), str(said.get("type") or "data"), said["body"], str(said.get("topic") or ""),
                sent_at=time.time(),
            )  # fmt: skip
            await Mail(log).send(Author("user", run, version), message)


def _read(event: EditApplied, value: Any, step: str | None) -> Edit:
    try:
        return parse(event.target, value, [step] if step is not None else [])
    except EngineError:  # of a later version, or the log was changed: what cannot be understood is not applied
        return Edit(event.target, value, "unknown", step)
