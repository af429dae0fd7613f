"""What a run wants of a person, in a shell: told with how to answer, and asked at a terminal.

Stands apart because approvals, questions and effects in doubt are one queue to whoever sits there; each is shown whole.
"""

from __future__ import annotations

from typing import Any

import click

from engine.control import signal
from engine.errors import CommandRefusedError
from store import Log, RunRow, RunState
from tagent_tui.cli.doubts import ask_doubts, tell_doubts
from tagent_tui.cli.driving import Ended
from tagent_tui.cli.exits import RefusedError
from tagent_tui.cli.forms import doubtful
from tagent_tui.cli.session import Session
from tagent_tui.details import Details
from tagent_tui.outlines import outline_from
from tagent_tui.rows import Ink, Row, Seg
from tagent_tui.text import one_line
from tagent_tui.view.asking import Wait, waiting_for_person
from tagent_tui.view.card import Asked, Card, rows, value_of
from tagent_tui.view.scene import look

MEASURE = 100
LATER = "later"


async def tell_waits(session: Session, log: Log, row: RunRow, state: RunState) -> None:
    """Say what waits for somebody, also in child runs, with what exactly it is about and how to answer; on stderr, quiet or not."""
    await _tell_children(session, log, row, state)
    for wait in waiting_for_person(state):
        await _show(session, log, row, state, wait)
        step = one_line(wait.step).text
        if wait.kind == "approval":
            session.output.err.write(f"  tagent-tui approve {row.id} {step}  (or with --reject --note WHY)\n")
        else:
            session.output.err.write(f"  tagent-tui answer {row.id} {step} TEXT\n")
    if doubtful(state):
        await tell_doubts(session, log, row, state)


async def _tell_children(session: Session, log: Log, row: RunRow, state: RunState) -> None:
    err = session.output.err
    for request, effect in state.open.items():
        if effect.parked is None:
            continue
        child = await log.find(f"{row.id}.{request}")
        why = "is paused" if effect.parked == "paused" else "waits for somebody"
        name = one_line(effect.step).text
        err.segs([Seg(f"{err.glyphs.person} {name}", Ink.WARNING), Seg(f"  its child run {child.id} {why}.")])
        await tell_waits(session, log, child, await log.state(child.id))
        err.write(f"  then: tagent-tui resume {row.id}\n")


async def ask_waits(session: Session, log: Log, ended: Ended) -> bool:
    """Ask the person at the terminal about all of it; whether anything was decided, so that the run can go on."""
    row, decided = ended.row, False
    await _tell_children(session, log, row, ended.state)
    for wait in waiting_for_person(ended.state):
        asked = await _show(session, log, row, ended.state, wait)
        found = _ask_approval(wait) if wait.kind == "approval" else _ask_question(wait, asked)
        if found is not None:
            await _signal(session, log, row, *found)
            decided = True
    if doubtful(ended.state):
        for step, body in (await ask_doubts(session, log, row, ended.state)).items():
            await _signal(session, log, row, "resolve", {"step": step, **body})
            decided = True
    return decided


async def _signal(session: Session, log: Log, row: RunRow, kind: str, body: dict[str, Any]) -> None:
    """What was answered meanwhile from elsewhere is said, and no error."""
    try:
        await signal(log, row.id, kind, body)
    except CommandRefusedError as error:
        session.output.note(str(error))


def _ask_approval(wait: Wait) -> tuple[str, dict[str, Any]] | None:
    step = one_line(wait.step).text
    said = click.prompt(f"Approve {step}?", type=click.Choice(["y", "n", LATER]), default=LATER, err=True)
    if said == LATER:
        return None
    note = click.prompt("Why not (optional)?", default="", show_default=False, err=True) if said == "n" else ""
    return "approve", {"step": wait.step, "approved": said == "y", "note": note}


def _ask_question(wait: Wait, asked: Asked) -> tuple[str, dict[str, Any]] | None:
    while True:
        said = click.prompt(f"Answer for {one_line(wait.step).text} (empty: later)", default="", show_default=False, err=True)
        if not said:
            return None
        try:
            return "answer", {"step": wait.step, "request": wait.request, "value": value_of(said, asked.choices)}
        except ValueError as error:
            click.echo(f"{error}", err=True)


async def _show(session: Session, log: Log, row: RunRow, state: RunState, wait: Wait) -> Asked:
    """The wait's card on stderr."""
    err = session.output.err
    scene = look(state, await outline_from(log, row.id, state), alive=False, now=state.last_at, glyphs=err.glyphs)
    asked = await Details(log, row.id).asked(scene, wait)
    for line in rows(Card(scene, asked, 1, 1), min(err.width, MEASURE) - 2):
        err.row(Row(line.left, line.right), widest=MEASURE)
    return asked


async def answer_body(log: Log, row: RunRow, state: RunState, step: str | None, text: str) -> dict[str, Any]:
    """The body of an answer typed as a word: one of the choices where there are any, else JSON or text."""
    found = [wait for wait in waiting_for_person(state) if wait.kind == "question" and step in (None, wait.step)]
    body: dict[str, Any] = {} if step is None else {"step": step}
    if len(found) != 1:
        return {**body, "value": value_of(text, ())}  # refused with who asks, or for the first question of that step
    scene = look(state, await outline_from(log, row.id, state), alive=False, now=state.last_at)
    asked = await Details(log, row.id).asked(scene, found[0])
    try:
        return {"step": found[0].step, "request": found[0].request, "value": value_of(text, asked.choices)}
    except ValueError:
        listed = ", ".join(one_line(str(choice)).text for choice in asked.choices)
        raise RefusedError(f"{text[:80]!r} is none of the choices of {found[0].step}; answer one of {listed}") from None
