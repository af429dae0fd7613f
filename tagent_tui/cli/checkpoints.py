"""`checkpoints`: the named places of a run, and making one from outside."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import click
import msgspec

from engine.commands import checkpoint_name
from engine.replay.checkpoints import Checkpoint, checkpoints_of
from tagent_tui.cli.exits import Exit, RefusedError
from tagent_tui.cli.forms import stored
from tagent_tui.cli.output import Stream
from tagent_tui.cli.session import Session
from tagent_tui.cli.steering import tell
from tagent_tui.cli.verbs import RUN, StoredWord, verb
from tagent_tui.rows import Ink, Seg, cells, clip, pad
from tagent_tui.text import one_line
from tagent_tui.view.clock import exact_time

CELLS = 40
"""The widest a name or a step may be."""


@verb("checkpoints")
@RUN
@click.option("--add", "name", metavar="NAME", type=StoredWord(), help="Give the place where the run is now a name.")
@click.option("--note", default="", metavar="TEXT", help="A word about it, for the record.")
def checkpoints(session: Session, run: str, name: str | None, note: str) -> int:
    """The named places of a run, oldest first; with --add one more, also of a run that has ended."""
    if name is None:
        if note:
            raise RefusedError("--note is for a checkpoint that is made; give --add NAME too")
        return session.run(_list(session, run))
    body = {"name": checkpoint_name(name), **({"metadata": {"note": note}} if note else {})}
    return session.run(tell(session, run, "checkpoint", body))


COMMANDS = {"checkpoints": checkpoints}


async def _list(session: Session, wanted: str) -> int:
    async with await session.reading() as log:
        row = await log.find(wanted)
        found = await checkpoints_of(log, row.id)
        if session.json:
            session.output.document([_form(one) for one in found])
        elif found:
            _write(session.output.out, found)
        else:
            session.output.note(f"run {row.id} has no checkpoints; tagent-tui checkpoints {row.id} --add NAME makes one")
    return Exit.OK


def _form(one: Checkpoint) -> dict[str, Any]:
    return {**msgspec.structs.asdict(one), "metadata": stored(one.metadata)}


def _write(out: Stream, found: Sequence[Checkpoint]) -> None:
    """A head and a line for each."""
    rows = [
        (
            str(one.version),
            exact_time(one.at),
            _cell(one.name, out),
            one.kind,
            _cell(one.step or "", out),
            _said(one.metadata),
        )
        for one in found
    ]
    heads = ("event", "time", "name", "made by", "step", "")
    widths = [max(cells([Seg(row[column])]) for row in [heads, *rows]) for column in range(5)]
    for row in [heads, *rows]:
        words = [pad(text, width) for text, width in zip(row, widths, strict=False)]
        if row is heads:
            out.line([Seg("  ".join(words), Ink.MUTED)])
        else:
            out.line(
                [
                    Seg(f"{'  '.join(words[:2])}  ", Ink.MUTED),
                    Seg(words[2], Ink.ACCENT),
                    Seg(f"  {'  '.join(words[3:])}  "),
                    *one_line(row[5], glyphs=out.glyphs).segs(Ink.MUTED),
                ]
            )


def _cell(text: str, out: Stream) -> str:
    return clip(one_line(text, glyphs=out.glyphs).text, CELLS, out.glyphs.ellipsis)


def _said(metadata: dict[str, Any]) -> str:
    """What was kept with it: a note bare, everything else by name."""
    if list(metadata) == ["note"] and isinstance(metadata["note"], str):
        return metadata["note"]
    texts = {name: value if isinstance(value, str) else json.dumps(value, default=str) for name, value in metadata.items()}
    return ", ".join(f"{name}={text}" for name, text in texts.items())
