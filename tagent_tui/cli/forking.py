"""`fork`: going on from any event of a run, with edits; and what that would cost, before anything is made.

Stands apart from `run` and `resume`: what is typed here are edits of another run's past.
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import click

from engine.engine import Engine
from engine.replay.places import version_at
from store import RunId
from store.state import RunStatus
from tagent_tui import terminal
from tagent_tui.cli.asking import ask_waits
from tagent_tui.cli.driving import drive
from tagent_tui.cli.ending import conclude
from tagent_tui.cli.exits import Exit, RefusedError
from tagent_tui.cli.foreseeing import tell_foreseen
from tagent_tui.cli.params import value_of
from tagent_tui.cli.running import OFFLINE, follow_up
from tagent_tui.cli.session import Session
from tagent_tui.cli.verbs import DEFINITION, DETACH, RUN, TRUST, UI, verb


class How(NamedTuple):
    """What a fork was told besides where and what: by the names of `Engine.fork`."""

    on_change: str
    trust: bool


@verb("fork")
@RUN
@click.option("--at", metavar="PLACE", help="What it goes on from: an event's number, a checkpoint, ... (default: the last event).")
@click.option("--set", "words", multiple=True, metavar="PATH=VALUE", help="An edit; JSON, or text where it does not parse.")
@click.option("--again", multiple=True, metavar="STEP", help="A step that runs again and asks anew.")
@click.option("--policy", multiple=True, metavar="KIND=WORD", help="For effects (model, once:NAME, ...): cached live recorded ask.")
@click.option("--model", metavar="NAME", help="Another model for what asks the run's.")
@click.option("--offline", is_flag=True, help="The offline model instead: no network, answers labelled simulated.")
@click.option("--reason", default="", metavar="TEXT", help="Why; it stands in the fork's events.")
@DEFINITION
@TRUST
@click.option("--dry-run", is_flag=True, help="Show what would run again and what that cost before; nothing is recorded.")
@click.option("--no-run", is_flag=True, help="Make the fork and leave it; resume drives it on.")
@UI
@DETACH
def fork(
    session: Session,
    run: str,
    at: str | None,
    words: tuple[str, ...],
    again: tuple[str, ...],
    policy: tuple[str, ...],
    model: str | None,
    offline: bool,
    reason: str,
    definition: str | None,
    trust: bool,
    dry_run: bool,
    no_run: bool,
    ui: bool,
    detach: bool,
) -> int:
    """Go on from any event of a run, with edits.

    PATH is STEP.output, STEP.goal or another field of a step, params.NAME, effects.N.value (N: the event of the request), model,
    budget, or policy.KIND. Only what an edit reaches runs again; everything else is taken from the run. RUN itself stays as it is.
    """
    if model and offline:
        raise RefusedError("--model and --offline are both given; keep one")
    if sum((dry_run, no_run, ui, detach)) > 1:
        raise RefusedError("--dry-run, --no-run, --ui and --detach exclude each other; keep one")
    if ui and (session.json or not terminal.is_terminal()):
        raise RefusedError("--ui needs a terminal and no --json; leave it out, or use --detach")
    edits = edits_of(words, again, policy, OFFLINE if offline else model)
    how = How(definition or "ask", trust)
    if dry_run:
        return session.run(_foresee(session, run, at, edits, how))
    if no_run or ui or detach:
        return _apart(session, run, at, edits, reason, how, ui=ui, left=no_run)
    session.output.guard()
    return session.run(_fork(session, run, at, edits, reason, how))


COMMANDS = {"fork": fork}


def edits_of(words: tuple[str, ...], again: tuple[str, ...], policy: tuple[str, ...], model: str | None) -> dict[str, Any]:
    """The edits that were typed, by target; a later one wins."""
    found: dict[str, Any] = {}
    for option, given, prefix in (("--set", words, ""), ("--policy", policy, "policy.")):
        for word in given:
            name, equals, value = word.partition("=")
            if not equals or not name:
                raise RefusedError(f"{option} {word[:80]!r} is not of the form NAME=VALUE; write {option} NAME=VALUE")
            found[prefix + name] = value_of(value)
    found |= {f"{step}.again": True for step in again}
    return found | ({"model": model} if model is not None else {})


async def _foresee(session: Session, run: str, at: str | None, edits: dict[str, Any], how: How) -> int:
    async with Engine(session.stored(), session.config, tee=False) as engine:
        found = await engine.foresee_fork(run, at, edits, **how._asdict())
    tell_foreseen(session, found)
    return Exit.OK


async def _fork(session: Session, wanted: str, at: str | None, edits: dict[str, Any], reason: str, how: How) -> int:
    async with Engine(session.stored(), session.config, tee=False) as engine:
        row = await engine.log.find(wanted)
        began = await engine.log.head(row.id) if at is None else await version_at(engine.log, row.id, at)
        begin = functools.partial(engine.fork, row.id, began, edits, reason=reason, **how._asdict())
        ended = await drive(session, engine, begin, began=began)
        while ended.status is RunStatus.WAITING and session.asks and await ask_waits(session, engine.log, ended):
            ended = await drive(session, engine, functools.partial(engine.resume, ended.row.id), began=ended.state.version)
        session.output.note(
            f"fork {ended.row.id} of {row.id} at event {began:,}; tagent-tui diff {row.id} {ended.row.id} compares them"
        )
        return ended.exit if session.json else await conclude(session, engine.log, ended)


def _apart(
    session: Session, wanted: str, at: str | None, edits: dict[str, Any], reason: str, how: How, *, ui: bool, left: bool
) -> int:
    """Make the fork here; leave it, or have another process drive it."""
    from engine.driver import spawn_resume

    async def make() -> tuple[RunId, int]:
        async with Engine(session.stored(), session.config, tee=False) as engine:
            made = await engine.fork(wanted, at, edits, reason=reason, drive=False, **how._asdict())
        if left:
            return made, 0
        spawned = await spawn_resume(session.stored(), made, **how._asdict(), config=session.config)
        return spawned.run_id, spawned.pid

    made, pid = session.run(make())
    if not left:
        return follow_up(session, made, pid, ui=ui)
    if session.json:
        session.output.document({"run_id": made})
        return Exit.OK
    session.output.line(made)
    session.output.note(f"it waits to be driven: tagent-tui resume {made}")
    return Exit.OK
