"""`events`: a run's history line by line, to its end or as it goes on."""

from __future__ import annotations

import fnmatch
from collections.abc import AsyncIterator, Sequence

import click

from store import Log, Recorded, RunRow
from store.events import UnknownEvent
from tagent_tui.cli.exits import Exit
from tagent_tui.cli.forms import event_form
from tagent_tui.cli.session import Session
from tagent_tui.cli.verbs import RUN, verb
from tagent_tui.rows import Ink, Seg, clip, pad
from tagent_tui.text import one_line
from tagent_tui.view.clock import exact_time
from tagent_tui.view.describe import Around, say

BATCH = 1_000
STEP_CELLS = 24
REMEMBERED = 5_000
"""Earlier events that are kept to name what an outcome is the outcome of."""


@verb("events")
@RUN
@click.option("--after", type=click.IntRange(0), default=0, metavar="N", help="Only events after version N.")
@click.option("--type", "globs", multiple=True, metavar="GLOB", help="Only types such as step.* (may be given again).")
@click.option("--follow", is_flag=True, help="Wait for more until the run ends.")
def events(session: Session, run: str, after: int, globs: tuple[str, ...], follow: bool) -> int:
    """What happened in a run, event by event."""
    return session.run(_events(session, run, after, globs, follow))


async def _events(session: Session, wanted: str, after: int, globs: Sequence[str], follow: bool) -> int:
    async with await session.reading() as log:
        row = await log.find(wanted)
        await log.state(row.id, min(after, row.head) if after <= row.head else after)
        writer = _Writer(session, row, globs)
        if follow and not row.alive() and not (await log.state(row.id)).status.ended:
            session.output.note(f"nobody drives run {row.id} now; waiting until somebody does")
        async for batch in _batches(log, row, after, follow=follow):
            writer.take(batch)
            if not session.output.out.open:
                break
        if globs and not writer.written:
            session.output.note(f"no event of run {row.id} after {after} fits {', '.join(globs)}; without --type all are shown")
    return Exit.OK


async def _batches(log: Log, row: RunRow, after: int, *, follow: bool) -> AsyncIterator[list[Recorded]]:
    """What is there, then with `follow` what comes, up to the run's end."""
    while batch := await log.events(row.id, after=after, limit=BATCH):
        yield batch
        after = batch[-1].version
    if not follow or (await log.state(row.id)).status.ended:
        return
    async for batch in log.follow(row.id, after):
        yield batch
        if (await log.state(row.id)).status.ended and batch[-1].version >= await log.head(row.id):
            return


class _Writer:
    """Writes events as lines, JSON or text."""

    def __init__(self, session: Session, row: RunRow, globs: Sequence[str]) -> None:
        self._session, self._run, self._globs = session, row.id, globs
        self._earlier: dict[int, Recorded] = {}
        self._digits = max(4, len(str(row.head)))
        self.written = 0

    def take(self, batch: Sequence[Recorded]) -> None:
        for recorded in batch:
            if len(self._earlier) > REMEMBERED:
                self._earlier.clear()
            self._earlier[recorded.version] = recorded
            if self._globs and not any(fnmatch.fnmatchcase(_type(recorded), glob) for glob in self._globs):
                continue
            self.written += 1
            if self._session.json:
                self._session.output.record(event_form(self._run, recorded))
            else:
                self._line(recorded)

    def _line(self, recorded: Recorded) -> None:
        out = self._session.output.out
        said = say(recorded, Around(earlier=self._earlier.get))
        step = pad(clip(one_line(recorded.step or "", glyphs=out.glyphs).text, STEP_CELLS, out.glyphs.ellipsis), 14)
        lead = f"{recorded.version:>{self._digits}}  {exact_time(recorded.at)}  "
        words = said.text.segs(Ink.MUTED)
        out.line([Seg(lead, Ink.MUTED), Seg(f"{pad(said.type, 20)}  ", said.ink), Seg(f"{step}  "), *words])


def _type(recorded: Recorded) -> str:
    event = recorded.event
    return event.name if isinstance(event, UnknownEvent) else str(event.type)
