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
from engine.recordings import Policy, policy_of
from store import Log
from store.errors import RunNotFoundError
from store.events import EditApplied, RunCreated, RunForked, RunId
from store.mail import Mail, Message
from store.streams import Author


class Circumstances(msgspec.Struct, frozen=True):
    """`params` and `settings` as they hold now, and the edits along the run's lineage with their versions, oldest first.

    `around` are the policies of the forks that called this run, the outermost first.
    """

    run: RunId
    params: dict[str, Any]
    settings: dict[str, Any]
    edits: Sequence[tuple[int, Edit]] = ()
    around: Sequence[Policy] = ()

    def policies(self, upto: int | None = None) -> list[Policy]:
        """What is said about the run's effects, the last word last: by forks that called it, then by its edits until a version."""
        edits = [item for item in self.edits if upto is None or item[0] <= upto]
        own = [policy_of(edit.name, edit.value, (self.run, version)) for version, edit in edits if edit.kind == "policy"]
        return [*self.around, *own]


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
    return Circumstances(run, params, settings, edits, await _around(log, run))


async def _around(log: Log, run: RunId) -> list[Policy]:
    """What the run's caller, if it has one here, holds to."""
    begun = await log.events(run, types={RunCreated.type, RunForked.type})
    caller = getattr(begun[-1].event, "caller", None)
    try:
        return [] if caller is None else (await circumstances(log, RunId(caller))).policies()
    except RunNotFoundError:  # a child that was imported alone
        return []


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
