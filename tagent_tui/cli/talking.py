"""`mail`, `space` and `memories`: what runs tell each other, share and learned.

Stands apart from the verbs that look at one run: these look at the streams beside the runs' own.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import click
import msgspec

from store import values
from store.mail import Mail, Posted
from store.memories import Memories, Memory
from store.spaces import Access, Change, Spaces
from store.streams import name as checked_name
from tagent_tui.cli.exits import Exit, RefusedError
from tagent_tui.cli.forms import stored
from tagent_tui.cli.session import Session
from tagent_tui.cli.verbs import RUN, StoredWord, verb
from tagent_tui.rows import Ink, Seg, pad
from tagent_tui.text import first_line, one_line
from tagent_tui.view.clock import exact_time, on_day

STATUS_INKS = {"waiting": Ink.TEXT, "taken": Ink.TEXT, "received": Ink.MUTED, "expired": Ink.WARNING}


@verb("mail")
@RUN
def mail(session: Session, run: str) -> int:
    """The messages of a run: sent, received, and those that wait for it."""
    return session.run(_mail(session, run))


@verb("space")
@click.argument("name", required=False, type=StoredWord())
@click.option("--access", is_flag=True, help="Who read and wrote what, instead of what is in it.")
def space(session: Session, name: str | None, access: bool) -> int:
    """What is in a shared memory space; without NAME, the spaces there are."""
    return session.run(_space(session, name, access))


@verb("memories")
@click.argument("query", required=False, default="", type=StoredWord())
@click.option("--kind", metavar="KIND", type=StoredWord(), help="Only of this kind (fact, failure, ...).")
@click.option("--limit", type=click.IntRange(1, 10_000), default=20, show_default=True, help="At most so many.")
def memories(session: Session, query: str, kind: str | None, limit: int) -> int:
    """What runs learned, best match first; without QUERY, the newest."""
    return session.run(_memories(session, query, kind, limit))


COMMANDS = {"mail": mail, "space": space, "memories": memories}


async def _mail(session: Session, wanted: str) -> int:
    async with await session.reading() as log:
        row = await log.find(wanted)
        state, now = await log.state(row.id), time.time()
        found: list[Posted] = []
        while page := await Mail(log).of_run(row.id, [row.id, state.pipeline, *state.roles], now, after=_last(found)):
            found += page
    if session.json:
        session.output.document([_posted_form(posted) for posted in found])
    elif not found:
        session.output.note(f"no messages of run {row.id}")
    out = session.output.out
    for posted in found if not session.json else ():
        message = posted.message
        head = f"{exact_time(message.sent_at)}  {pad(posted.status, 8)}  "
        ways = f"{_plain(session, message.sender)} {out.glyphs.became} {_plain(session, message.to)}  {message.type}  "
        out.line([Seg(head, STATUS_INKS[posted.status]), Seg(ways), *_value_segs(session, message.body)])
    return Exit.OK


def _last(found: Sequence[Posted]) -> int:
    return found[-1].number if found else 0


def _posted_form(posted: Posted) -> dict[str, Any]:
    message = msgspec.structs.asdict(posted.message)
    given = {"body": stored(posted.message.body), "headers": stored(posted.message.headers)}
    return {**message, **given, "status": posted.status, "taker": posted.taker, "request": posted.claim}


async def _space(session: Session, name: str | None, access: bool) -> int:
    async with await session.reading() as log:
        spaces = Spaces(log)
        if name is None:
            return _names(session, await spaces.names())
        if name not in await spaces.names():
            raise RefusedError(f"there is no space {name!r}; tagent-tui space lists all", exit=Exit.NOT_FOUND, code="not_found")
        if access:
            return _accesses(session, await spaces.access(checked_name(name, "the name of a space")))
        held: dict[str, Change] = {}
        last = 0
        while page := await spaces.changes(name, after=last):
            last = page[-1].version
            held |= {change.key: change for change in page}
    return _held(session, [change for _, change in sorted(held.items()) if change.op == "put"])


def _names(session: Session, names: Sequence[str]) -> int:
    if session.json:
        session.output.document(names)
    elif not names:
        session.output.note("no spaces yet")
    else:
        for name in names:
            session.output.line(name)
    return Exit.OK


def _held(session: Session, held: Sequence[Change]) -> int:
    if session.json:
        session.output.document([{**msgspec.structs.asdict(change), "value": stored(change.value)} for change in held])
        return Exit.OK
    width = max((len(change.key) for change in held), default=0)
    for change in held:
        lead = f"{pad(_plain(session, change.key), width)}  "
        session.output.out.line([Seg(lead), Seg(f"version {change.version}  ", Ink.MUTED), *_value_segs(session, change.value)])
    return Exit.OK


def _accesses(session: Session, found: Sequence[Access]) -> int:
    if session.json:
        session.output.document([msgspec.structs.asdict(access) for access in found])
        return Exit.OK
    for access in found:
        who = f"{access.run or access.actor} {access.step or ''}".strip()
        seen = f"  version {access.version}" if access.version is not None else ""
        lead = [Seg(f"{exact_time(access.at)}  ", Ink.MUTED), Seg(f"{_plain(session, who)}  ")]
        session.output.out.line([*lead, Seg(f"{access.op} {_plain(session, access.key)}"), Seg(seen, Ink.MUTED)])
    return Exit.OK


async def _memories(session: Session, query: str, kind: str | None, limit: int) -> int:
    async with await session.reading() as log:
        found = await Memories(log).search(query, limit=limit, kind=kind)
    if session.json:
        session.output.document([_memory_form(memory) for memory in found])
    elif not found:
        session.output.note("no such memories" if query or kind else "no memories yet")
    for memory in found if not session.json else ():
        source, now = memory.sources[0], time.time()
        times = f" {len(memory.sources)} times" if len(memory.sources) > 1 else ""
        where = f"{source.run} event {source.version}" if source.run is not None else "outside of runs"
        lead = [
            Seg(f"{_plain(session, memory.kind)}  ", Ink.MUTED),
            *first_line(memory.text, glyphs=session.output.out.glyphs).segs(),
        ]
        session.output.out.line([*lead, Seg(f"  {_plain(session, where)}, {on_day(memory.at, now)}{times}", Ink.MUTED)])
    return Exit.OK


def _memory_form(memory: Memory) -> dict[str, Any]:
    sources = [msgspec.structs.asdict(source) for source in memory.sources]
    return {**msgspec.structs.asdict(memory), "text": stored(memory.text), "fields": stored(memory.fields), "sources": sources}


def _plain(session: Session, text: str) -> str:
    return one_line(text, glyphs=session.output.out.glyphs).text


def _value_segs(session: Session, value: Any) -> list[Seg]:
    return first_line(values.encode(value).decode(), 400, session.output.out.glyphs).segs(Ink.MUTED)
