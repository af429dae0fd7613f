"""`events`: what happened, line by line, in a run or in all of them, to its end or as it goes on."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Sequence
from typing import NamedTuple

import click
import msgspec

from engine.replay.places import moment, span
from store import Log, Recorded, RunId, RunRow, audit
from store.queries import Filters
from tagent_tui.cli.exits import Exit, RefusedError
from tagent_tui.cli.forms import event_form, stored
from tagent_tui.cli.session import Session
from tagent_tui.cli.verbs import MAYBE_RUN, StoredWord, verb
from tagent_tui.rows import Ink, Seg, clip, pad
from tagent_tui.text import one_line
from tagent_tui.view.clock import exact_time, on_day
from tagent_tui.view.describe import Around, say

BATCH = 1_000
STEP_CELLS = 24
REMEMBERED = 5_000
"""Earlier events that are kept to name what an outcome is the outcome of."""

WORDS = 1_000
"""Letters of a text that is looked for: SQLite refuses patterns of more than 50,000 bytes."""

Found = Sequence[tuple[RunId, Recorded]]


class Asked(NamedTuple):
    """What is wanted: of which run (None: all), after which version (of all: seq), between which places, as it comes."""

    run: str | None
    after: int
    since: str | None
    until: str | None
    follow: bool
    filters: Filters


@verb("events")
@MAYBE_RUN
@click.option("--all", "everything", is_flag=True, help="Of all runs, in the order they were recorded.")
@click.option("--store", "trail", is_flag=True, help="Of the store itself: imports, exports, backups, forced takeovers, damage.")
@click.option("--after", type=click.IntRange(0), default=0, metavar="N", help="Only events after version N (with --all: seq N).")
@click.option("--since", metavar="PLACE", type=StoredWord(), help="From an event, a checkpoint, STEP:start or a time on.")
@click.option("--until", metavar="PLACE", type=StoredWord(), help="Up to there.")
@click.option("--type", "globs", multiple=True, metavar="GLOB", help="Only types such as step.* (may be given again).")
@click.option("--step", metavar="PATH", type=StoredWord(), help="Only of this step, or an item of it: each[3].")
@click.option("--actor", metavar="GLOB", type=StoredWord(), help="Only what this one did: driver, user, or a name.")
@click.option("--text", metavar="WORD", type=StoredWord(), help="Only with this text in them, or in a small content they refer to.")
@click.option("--follow", is_flag=True, help="Wait for more until the run ends.")
def events(
    session: Session, run: str | None, everything: bool, trail: bool, after: int, since: str | None, until: str | None,
    globs: tuple[str, ...], step: str | None, actor: str | None, text: str | None, follow: bool,
) -> int:  # fmt: skip
    """What happened in a run, event by event; -v says who did it and because of which event."""
    if (run is not None) + everything + trail > 1:
        raise RefusedError("of RUN, --all and --store more than one is given; keep one")
    if run is None and not everything and not trail:
        raise RefusedError("name a run, or say --all or --store")
    if trail:
        if since or until or globs or step or actor or text or follow:
            raise RefusedError("--store takes --after only")
        return session.run(_trail(session, after))
    if follow and until is not None:
        raise RefusedError("--until ends what --follow would wait for; keep one")
    if text is not None and not 0 < len(text) <= WORDS:
        raise RefusedError(f"--text takes 1 to {WORDS} letters")
    filters: Filters = {"types": globs or None, "step": step, "actor": actor, "text": text}
    return session.run(_events(session, Asked(run, after, since, until, follow, filters)))


async def _events(session: Session, asked: Asked) -> int:
    async with await session.reading() as log:
        row = None if asked.run is None else await log.find(asked.run)
        writer = _Writer(session, log, row, filtered=any(asked.filters.values()))
        batches = _of_all(log, asked) if row is None else _of_run(session, log, row, asked)
        async for batch in batches:
            await writer.take(batch)
            if not session.output.out.open:
                break
        if not writer.written and (said := _said(asked)):
            session.output.note(
                f"no event of {'any run' if row is None else f'run {row.id}'} fits {said}; without it all are shown"
            )
    return Exit.OK


def _said(asked: Asked) -> str:
    """The filters as they were given."""
    given = asked.filters
    words = [("--type", kind) for kind in given.get("types") or ()]
    words += [("--step", given.get("step") or ""), ("--actor", given.get("actor") or ""), ("--text", given.get("text") or "")]
    words += [("--since", asked.since or ""), ("--until", asked.until or ""), ("--after", str(asked.after or ""))]
    return " ".join(f"{flag} {one_line(word).text}" for flag, word in words if word)


async def _of_run(session: Session, log: Log, row: RunRow, asked: Asked) -> AsyncIterator[Found]:
    """What is there, then with `follow` what comes, up to the run's end."""
    if asked.after > row.head:
        await log.state(row.id, asked.after)  # says which versions there are
    begin, upto = await span(log, row.id, asked.since, asked.until)
    after = max(asked.after, begin)
    if asked.follow and not row.alive() and not (await log.state(row.id)).status.ended:
        session.output.note(f"nobody drives run {row.id} now; waiting until somebody does")
    while batch := await log.events(row.id, after=after, upto=upto, limit=BATCH, **asked.filters):
        yield [(row.id, one) for one in batch]
        after = batch[-1].version
    if not asked.follow or (await log.state(row.id)).status.ended:
        return
    async for batch in log.follow(row.id, after):
        last = batch[-1].version
        yield [(row.id, one) for one in await log.events(row.id, after=after, upto=last, **asked.filters)]
        after = last
        if (await log.state(row.id)).status.ended and last >= await log.head(row.id):
            return


async def _of_all(log: Log, asked: Asked) -> AsyncIterator[Found]:
    """The same over all runs, by seq; a bare time of day is today's."""
    filters: Filters = {
        **asked.filters,
        "since": _time("--since", asked.since, begin=True),
        "until": _time("--until", asked.until, begin=False),
    }
    after = asked.after
    while batch := await log.tail(after, limit=BATCH, **filters):
        yield batch
        after = batch[-1][1].seq
    if not asked.follow:
        return
    async for seen in log.follow(None, after):
        low, high = seen[0][1].seq - 1, seen[-1][1].seq
        found = await log.tail(low, limit=len(seen), **filters)
        yield [(run, one) for run, one in found if one.seq <= high]


def _time(flag: str, word: str | None, *, begin: bool) -> float | None:
    if word is None:
        return None
    now = time.time()
    midnight = time.mktime((*time.localtime(now)[:3], 0, 0, 0, 0, 0, -1))
    at = None if word.startswith("+") else moment(word, midnight, midnight, begin=begin)
    if at is None:
        raise RefusedError(f"{flag} {word[:80]!r} is no time; with --all give one such as 14:03, 14:03:22 or 2025-10-09T14:03:22")
    return at


async def _trail(session: Session, after: int) -> int:
    """The store's own trail."""
    begin = after
    async with await session.reading() as log:
        while entries := await audit.trail(log.reader, after, BATCH):
            after = entries[-1].seq
            for entry in entries:
                _write_entry(session, entry)
    if after == begin:
        session.output.note("nothing more is on the store's trail" if begin else "nothing is on the store's trail yet")
    return Exit.OK


def _write_entry(session: Session, entry: audit.Entry) -> None:
    out = session.output.out
    if session.json:
        session.output.record({**msgspec.structs.asdict(entry), "detail": stored(entry.detail)})
        return
    told = one_line(", ".join(f"{name} {_brief(value)}" for name, value in entry.detail.items()), glyphs=out.glyphs)
    lead = f"{entry.seq:>4}  {on_day(entry.at, 0.0)}  "
    out.line([Seg(lead, Ink.MUTED), Seg(f"{pad(entry.action, 10)}  "), *told.segs(Ink.MUTED)])


def _brief(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


class _Writer:
    """Writes events as lines, JSON or text. `filtered`: what an event refers to need not have come by."""

    def __init__(self, session: Session, log: Log, row: RunRow | None, *, filtered: bool) -> None:
        self._session, self._log, self._filtered, self._all = session, log, filtered, row is None
        self._earlier: dict[tuple[str, int], Recorded] = {}
        self._digits = max(4, len(str(row.head)) if row is not None else 0)
        self.written = 0

    async def take(self, batch: Found) -> None:
        for run, recorded in batch:
            if len(self._earlier) > REMEMBERED:
                self._earlier.clear()
            self._earlier[run, recorded.version] = recorded
            self.written += 1
            if self._session.json:
                self._session.output.record(event_form(run, recorded))
            else:
                await self._recall(run, recorded)
                self._line(run, recorded)

    async def _recall(self, run: RunId, recorded: Recorded) -> None:
        """Fetch the request of an outcome that was filtered out, to say what it was of."""
        request = getattr(recorded.event, "request", None)
        if self._filtered and isinstance(request, int) and (run, request) not in self._earlier:
            for one in await self._log.events(run, after=request - 1, upto=request):
                self._earlier[run, request] = one

    def _line(self, run: RunId, recorded: Recorded) -> None:
        out = self._session.output.out
        said = say(recorded, Around(earlier=lambda version: self._earlier.get((run, version))))
        step = pad(clip(one_line(recorded.step or "", glyphs=out.glyphs).text, STEP_CELLS, out.glyphs.ellipsis), 14)
        lead = f"{run}  " if self._all else ""
        lead += f"{recorded.version:>{self._digits}}  {exact_time(recorded.at)}  "
        words = said.text.segs(Ink.MUTED)
        who = [Seg(f"  {_who(recorded)}", Ink.MUTED)] if self._session.output.verbose else []
        out.line([Seg(lead, Ink.MUTED), Seg(f"{pad(said.type, 20)}  ", said.ink), Seg(f"{step}  "), *words, *who])


def _who(recorded: Recorded) -> str:
    cause = "" if recorded.causation is None else f", because of {recorded.causation}"
    return f"by {one_line(recorded.actor).text}{cause}"
