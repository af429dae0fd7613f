"""`diff`: what differs between two runs, as text for a person or as JSON, and as an exit code."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import click

from engine.replay.difference import RunDiff, StepDiff, StepTexts
from engine.replay.loading import diff as load
from engine.replay.texts import Change, TextDiff, TextLine, ValueDiff, hunks
from tagent_tui.cli.exits import Exit
from tagent_tui.cli.output import Stream
from tagent_tui.cli.session import Session
from tagent_tui.cli.verbs import StoredWord, complete_run, verb
from tagent_tui.numbers import events, plural, size
from tagent_tui.rows import Ink, Row, Seg
from tagent_tui.text import one_line
from tagent_tui.view.diffrows import (
    columns,
    count_segs,
    divergence,
    head_row,
    pair_row,
    runs_segs,
    total_row,
    verdict_segs,
)

MEASURE = 120
"""Cells across which a pair of steps still reads as one line."""
PLACES = 20
"""Changed places of a value that are shown."""
LINES = 200
"""Lines of one text's difference that are shown; --json has all of them."""


@verb("diff")
@click.argument("a", metavar="A", type=StoredWord(), shell_complete=complete_run)
@click.argument("b", metavar="B", type=StoredWord(), shell_complete=complete_run)
@click.option("--step", metavar="NAME", type=StoredWord(), help="Only this step.")
def diff(session: Session, a: str, b: str, step: str | None) -> int:
    """What differs from run A to run B; exit code 4 where anything does."""
    return session.run(_diff(session, a, b, step))


COMMANDS = {"diff": diff}


async def _diff(session: Session, a: str, b: str, step: str | None) -> int:
    async with await session.reading() as log:
        found = await load(log, a, b, step=step)
    different = found.different if step is None else bool(found.differing)
    if session.json:
        session.output.document(diff_form(found, different=different))
    else:
        _describe(session.output.out, found, whole=step is None)
    return Exit.DIFFERENT if different else Exit.OK


def _describe(out: Stream, found: RunDiff, *, whole: bool) -> None:
    glyphs = out.glyphs
    name = one_line(found.a.pipeline, glyphs=glyphs).segs(Ink.STRONG, bold=True)
    if found.b.pipeline != found.a.pipeline:
        name += [Seg(f" {glyphs.became} ", Ink.MUTED), *one_line(found.b.pipeline, glyphs=glyphs).segs(Ink.STRONG, bold=True)]
    out.segs([*name, Seg("   "), *runs_segs(found, glyphs)])
    if found.a.run == found.b.run:
        out.segs([Seg("the same run", Ink.MUTED)])
        return
    for segs in _headers(out, found) if whole else ():
        out.segs(segs)
    differing = found.differing
    if differing or not whole:
        at = columns(max(40, min(out.width, MEASURE) - 2))
        out.segs([])
        for row in (head_row(found, at, glyphs), *(pair_row(one, at, glyphs) for one in differing or found.steps)):
            out.row(row, widest=MEASURE)
        if whole:
            out.row(total_row(found, at, glyphs), widest=MEASURE)
    for one in found.steps:
        _step(out, one)


def _headers(out: Stream, found: RunDiff) -> Iterator[list[Seg]]:
    glyphs = out.glyphs
    verdict = verdict_segs(found)
    yield [*count_segs(found, glyphs), *([Seg("   "), *verdict] if verdict else [])]
    if found.first is None:
        yield [Seg("first divergence", Ink.MUTED), Seg("  none")]
    else:
        yield [Seg("first divergence", Ink.MUTED), Seg("  "), *divergence(found.first, glyphs)]
    changes = [
        *found.definition.sentences,
        *(f"the function of step {name!r} has another text" for name in found.definition.sources),
    ]
    for sentence in changes[:PLACES]:
        yield [Seg("pipeline", Ink.MUTED), Seg("  "), *one_line(sentence, glyphs=glyphs).segs()]
    if len(changes) > PLACES:
        yield [Seg(f"pipeline  and {plural(len(changes) - PLACES, 'change')} more", Ink.MUTED)]
    for what, values in (("params", found.params), ("settings", found.settings)):
        yield from _places(out, values, what)


def _places(out: Stream, values: ValueDiff, what: str) -> Iterator[list[Seg]]:
    for change in values.changes[:PLACES]:
        yield [Seg(f"{what}  ", Ink.MUTED), *_change(out, change)]
    more = len(values.changes) - len(values.changes[:PLACES]) + values.left_out
    if more:
        yield [Seg(f"{what}  and {plural(more, 'place')} more", Ink.MUTED)]


def _change(out: Stream, change: Change) -> list[Seg]:
    glyphs = out.glyphs
    path = one_line(change.path or "the value", 200, glyphs).segs()
    a = one_line(change.a, 80, glyphs).segs(Ink.ERROR) if change.a is not None else [Seg("nothing", Ink.MUTED)]
    b = one_line(change.b, 80, glyphs).segs(Ink.SUCCESS) if change.b is not None else [Seg("nothing", Ink.MUTED)]
    return [*path, Seg("  "), *a, Seg(f" {glyphs.became} ", Ink.MUTED), *b]


def _step(out: Stream, step: StepDiff) -> None:
    texts = step.texts
    if step.what == "same" and texts is not None and not any((texts.output, texts.input, texts.prompt)):
        return
    for index, one in enumerate(step.events[:3]):
        if not index:
            out.segs([])
            out.segs(one_line(step.step, glyphs=out.glyphs).segs(Ink.STRONG, bold=True))
        out.row(Row([Seg("  "), *divergence(one, out.glyphs, of_step=True)]), margin=0)
    more = len(step.events) - 3 + step.more
    if more > 0:
        out.segs([Seg(f"  and {plural(more, 'event')} more", Ink.MUTED)])
    if texts is None:
        return
    for what, text in (("output", texts.output), ("input", texts.input), ("prompt", texts.prompt)):
        if text:
            out.segs([])
            name = one_line(step.step, glyphs=out.glyphs).segs(Ink.STRONG, bold=True)
            out.segs([*name, Seg(f"  {what}   ", Ink.MUTED), Seg(f"- {events(text.removed)}", Ink.ERROR), Seg("  "), *_added(text)])
            if what == "output":
                for segs in _places(out, texts.value, " ") if _in_values(texts) else ():
                    out.segs(segs)
            text_lines(out, text)
    if texts.unread:
        out.segs([Seg(f"  {size(texts.unread)} more are not compared", Ink.MUTED)])


def _added(text: TextDiff) -> list[Seg]:
    return [Seg(f"+ {events(text.added)}", Ink.SUCCESS), Seg(" lines", Ink.MUTED)]


def _in_values(texts: StepTexts) -> bool:
    """Whether the places say more than the text: of one text there is one place, which is all of it."""
    return any(change.path for change in texts.value.changes)


def text_lines(out: Stream, text: TextDiff) -> None:
    """In which lines two texts differ, with a few around them."""
    written = 0
    for number, hunk in enumerate(hunks(text)):
        if number:
            out.segs([Seg(f"    {out.glyphs.ellipsis}", Ink.MUTED)])
        for line in hunk:
            written += 1
            if written <= LINES:
                out.segs(_line(out, line))
    left_out = max(0, written - LINES) + text.left_out
    if left_out:
        out.segs([Seg(f"    {plural(left_out, 'line')} more", Ink.MUTED)])


_INKS = {"-": Ink.ERROR, "+": Ink.SUCCESS, " ": Ink.MUTED}


def _line(out: Stream, line: TextLine) -> list[Seg]:
    number = line.a if line.a is not None else line.b
    ink = _INKS[line.sign]
    return [Seg(f"{number:>5} ", Ink.MUTED), Seg(f"{line.sign} ", ink), *one_line(line.text, glyphs=out.glyphs).segs(ink)]


def diff_form(found: RunDiff, *, different: bool) -> dict[str, Any]:
    """A comparison as JSON: the fields of `engine.RunDiff`, and of texts their unified form."""
    return {
        "different": different,
        "a": found.a,
        "b": found.b,
        "shared": found.shared,
        "first": found.first,
        "steps": [_step_form(one) for one in found.steps],
        "reused": found.reused,
        "seconds": found.seconds,
        "tokens": found.tokens,
        "cost": found.cost,
        "definition": found.definition,
        "params": found.params,
        "settings": found.settings,
    }


def _step_form(step: StepDiff) -> dict[str, Any]:
    form = {
        name: getattr(step, name) for name in ("step", "what", "a", "b", "reused", "seconds", "tokens", "cost", "events", "more")
    }
    texts = step.texts
    if texts is not None:
        form |= {name: text_form(getattr(texts, name)) for name in ("output", "input", "prompt")}
        form |= {"value": texts.value, "unread": texts.unread}
    return form


def text_form(text: TextDiff) -> dict[str, Any]:
    """A text's difference as JSON: `lines` begin with their sign, stretches that are equal in both are left out."""
    lines = [f"{line.sign}{line.text}" for hunk in hunks(text) for line in hunk]
    return {"removed": text.removed, "added": text.added, "left_out": text.left_out, "lines": lines}
