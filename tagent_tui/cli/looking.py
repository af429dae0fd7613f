"""`runs`, `show`, `result` and `replay`: what is in the store, now or as it was at a place."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from typing import NamedTuple

import click

from engine.errors import StepExecutionError
from engine.replay.places import version_at
from engine.result import result_of
from store import Log, RunRow, RunState
from store.state import RunStatus
from tagent_tui import terminal
from tagent_tui.cli.asking import tell_waits
from tagent_tui.cli.driving import look
from tagent_tui.cli.ending import counted, print_result, print_value
from tagent_tui.cli.exits import Exit, RefusedError
from tagent_tui.cli.forms import run_form, stored
from tagent_tui.cli.happened import events
from tagent_tui.cli.listing import child_segs, write_list
from tagent_tui.cli.session import Session
from tagent_tui.cli.verbs import AT, RUN, StoredWord, verb
from tagent_tui.numbers import duration, plural, run_cost, tokens
from tagent_tui.outlines import outline_from
from tagent_tui.rows import Ink, Seg
from tagent_tui.text import first_line, one_line
from tagent_tui.view.clock import exact_time
from tagent_tui.view.scene import Scene, look_back, run_mark
from tagent_tui.view.scene import look as look_at
from tagent_tui.view.steps import unmarked
from tagent_tui.view.treelines import StepLines

PAGE = 200
MEASURE = 100
"""Cells across which a step's name and its figures still read as one line."""
CHILDREN = 1000
"""Child runs that `show` lists at most."""
STATUSES = [status.word for status in RunStatus]


@verb("runs")
@click.option("--status", type=click.Choice(STATUSES), help="Only runs of this status.")
@click.option("--pipeline", metavar="NAME", type=StoredWord(), help="Only runs of this pipeline.")
@click.option("--limit", type=click.IntRange(1, 100_000), default=50, show_default=True, help="At most so many.")
@click.option("--children", is_flag=True, help="Child runs too.")
@click.option("--caller", metavar="RUN", type=StoredWord(), help="Only the child runs of this run.")
def runs(session: Session, status: str | None, pipeline: str | None, limit: int, children: bool, caller: str | None) -> int:
    """List runs, newest first; child runs only where they are asked for."""
    return session.run(_runs(session, Wanted(status, pipeline, limit, children, caller)))


@verb("show")
@RUN
@AT
def show(session: Session, run: str, at: str | None) -> int:
    """A run and its steps, now or at a place of its past."""
    return session.run(_show(session, run, at))


@verb("result")
@RUN
@click.argument("step", required=False)
def result(session: Session, run: str, step: str | None) -> int:
    """The output of a run, or of one of its steps."""
    return session.run(_result(session, run, step))


@verb("replay")
@RUN
@AT
def replay(session: Session, run: str, at: str | None) -> int:
    """Step through a run's past in the terminal; elsewhere, its state at a place. Nothing is executed."""
    if session.json or not terminal.is_terminal():
        return session.run(_show(session, run, at))

    async def find() -> tuple[str, int]:
        async with await session.reading() as log:
            row = await log.find(run)
            return row.id, row.head if at is None else await version_at(log, row.id, at)

    found, event = session.run(find())
    from tagent_tui.app import run_app

    return run_app(session.db, session.config, found, at=event)


COMMANDS = {"runs": runs, "show": show, "events": events, "result": result, "replay": replay}


class Wanted(NamedTuple):
    """Which runs to list."""

    status: str | None
    pipeline: str | None
    limit: int
    children: bool
    caller: str | None


async def _runs(session: Session, wanted: Wanted) -> int:
    if not os.path.lexists(session.stored()):
        found: list[tuple[RunRow, RunStatus]] = []
    else:
        async with await session.reading() as log:
            found = await _listed(log, wanted)
            if session.json:
                forms = [await run_form(log, row, await log.state(row.id), alive=row.alive(), outputs=False) for row, _ in found]
                session.output.document(forms)
                return Exit.OK
    if session.json:
        session.output.document([])
    elif not found:
        what = "such runs" if wanted.status or wanted.pipeline or wanted.caller else "runs yet; tagent-tui demo makes one"
        session.output.note(f"no {what}")
    else:
        write_list(session.output.out, found, time.time())
    return Exit.OK


async def _listed(log: Log, wanted: Wanted) -> list[tuple[RunRow, RunStatus]]:
    """The newest runs with the status that is shown, which depends on who is alive, so pages are looked through."""
    caller = None if wanted.caller is None else (await log.find(wanted.caller)).id
    found: list[tuple[RunRow, RunStatus]] = []
    before = None
    while len(found) < wanted.limit:
        page = await log.runs(pipeline=wanted.pipeline, limit=PAGE, before=before, caller=caller, children=wanted.children)
        for row in page:
            shown = RunStatus[row.shown().upper()]
            if wanted.status in (None, shown.word) and len(found) < wanted.limit:
                found.append((row, shown))
        if len(page) < PAGE:
            break
        before = page[-1].row
    return found


async def _show(session: Session, wanted: str, place: str | None) -> int:
    async with await session.reading() as log:
        row = await log.find(wanted)
        at = None if place is None else await version_at(log, row.id, place)
        state = await log.state(row.id, at)
        if session.json:
            session.output.document(await run_form(log, row, state, alive=at is not None or row.alive()))
            return Exit.OK
        outline = await outline_from(log, row.id, state)
        out = session.output.out
        if at is None:
            lives = await log.lives(row.id)
            scene = look_at(state, outline, alive=row.alive(), now=time.time(), lives=lives, glyphs=out.glyphs)
        else:
            scene = look_back(state, outline, glyphs=out.glyphs)
        _describe(session, row, scene, at, [] if at is not None else await log.runs(caller=row.id, limit=CHILDREN))
        if at is None:
            await tell_waits(session, log, row, state)
    return Exit.OK


def _describe(session: Session, row: RunRow, scene: Scene, at: int | None, children: Sequence[RunRow]) -> None:
    out, state, sep = session.output.out, scene.state, scene.glyphs.sep
    mark = run_mark(scene.status, scene.glyphs)
    name = one_line(state.pipeline or row.pipeline, glyphs=scene.glyphs).text
    when = "" if at is None else f"  as of event {at:,} of {row.head:,}"
    out.segs([Seg(name, Ink.STRONG), Seg(f"  {row.id}  "), Seg(f"{mark.glyph} {mark.word}", mark.ink), Seg(when, Ink.REPLAY)])
    if state.description:
        out.segs([Seg(first_line(state.description, glyphs=scene.glyphs).text, Ink.MUTED)])
    spent = duration(state.lasted(scene.now))
    facts = [counted(state), spent, plural(state.version, "event")]
    if state.calls:
        facts += [f"{tokens(state.tokens)} tok", run_cost(None if state.unpriced else state.cost)]
    facts += ["simulated"] if state.simulated else []
    out.segs([Seg(f"{_when(state)}  {f' {sep} '.join(facts)}", Ink.MUTED)])
    if state.parent is not None:
        out.segs([Seg(f"{scene.glyphs.fork} of {state.parent} at event {state.parent_version}", Ink.MUTED)])
    if state.caller is not None:
        out.segs([Seg(f"called by step {one_line(state.caller_step or '').text} of {state.caller}", Ink.MUTED)])
    if state.reason and scene.status is not RunStatus.COMPLETED:
        out.segs([Seg(first_line(state.reason, glyphs=scene.glyphs).text, Ink.ERROR)])
    lines = StepLines()
    lines.look(scene)
    for index in range(lines.count()):
        out.row(unmarked(lines.row(index, max(44, min(out.width, MEASURE) - 2))), widest=MEASURE)
        subject = lines.subject(index)
        for child in reversed([child for child in children if subject is not None and child.caller_step == subject.step]):
            out.segs(child_segs(child, scene.glyphs))
    for ref in state.artifacts:
        out.segs(
            [Seg(f"made {one_line(ref.name, glyphs=scene.glyphs).text} ({one_line(ref.media_type).text}, {ref.size:,} bytes)")]
        )
    if scene.status in (RunStatus.INTERRUPTED, RunStatus.PAUSED):
        session.output.note(f"tagent-tui resume {row.id} goes on")


def _when(state: RunState) -> str:
    if not state.created_at:
        return "before its first event"
    try:
        day = time.strftime("%Y-%m-%d", time.localtime(state.created_at))
    except (OverflowError, ValueError, OSError):
        day = ""
    return f"{day} {exact_time(state.created_at)}".strip()


async def _result(session: Session, wanted: str, step: str | None) -> int:
    async with await session.reading() as log:
        ended = await look(log, (await log.find(wanted)).id)
        if step is not None:
            return await _step_result(session, log, ended.row, step)
        if session.json:
            held = await result_of(log, ended.row.id, alive=ended.row.alive())
            form = await run_form(log, ended.row, ended.state, alive=ended.row.alive(), outputs=False)
            about = {key: form[key] for key in ("run_id", "status", "simulated")}
            session.output.document({**about, "step": None, "output": stored(held.final_output)})
        elif ended.status is RunStatus.COMPLETED:
            await print_result(session, log, ended)
        if ended.status is RunStatus.COMPLETED:
            return Exit.OK
        if not ended.status.ended:
            raise RefusedError(
                f"run {ended.row.id} is {ended.status.word} and has no result yet; tagent-tui show {ended.row.id} says where it is",
                exit=Exit.NOT_FOUND,
                code="not_found",
            )
        why = f": {ended.state.reason}" if ended.state.reason else ""
        raise RefusedError(f"run {ended.row.id} {_PAST[ended.status]}{why}", exit=Exit.FAILED, code="run_failed")


_PAST = {RunStatus.FAILED: "failed", RunStatus.CANCELLED: "was cancelled"}


async def _step_result(session: Session, log: Log, row: RunRow, step: str) -> int:
    held = await result_of(log, row.id, alive=row.alive())
    if step not in held.step_metadata:
        known = ", ".join(list(held.step_metadata)[:20])
        raise RefusedError(f"run {row.id} has no step {step!r}; it has {known}", exit=Exit.NOT_FOUND, code="not_found")
    try:
        value = held.output(step)
    except StepExecutionError as error:
        raise RefusedError(str(error), exit=Exit.FAILED, code=error.code) from None
    simulated = bool(held.step_metadata[step]["simulated"])
    if session.json:
        about = {"run_id": row.id, "status": held.step_metadata[step]["status"], "simulated": simulated, "step": step}
        session.output.document({**about, "output": stored(value)})
    else:
        print_value(session, value, simulated=simulated)
    return Exit.OK
