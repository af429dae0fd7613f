"""`resume`: driving a run on, from whatever its log says.

Stands apart from starting runs: it may have to ask what to do about a changed pipeline, or about what waits for a person.
"""

from __future__ import annotations

from typing import NamedTuple

import click

from engine.control import signal
from engine.engine import Engine
from engine.errors import DefinitionChangedError, TargetError
from store import RunId, RunRow
from store.state import RunStatus
from tagent_tui import terminal
from tagent_tui.cli.asking import ask_waits
from tagent_tui.cli.doubts import FORM, Resolutions, resolutions_of
from tagent_tui.cli.driving import Ended, drive
from tagent_tui.cli.ending import conclude
from tagent_tui.cli.exits import Exit, RefusedError
from tagent_tui.cli.running import follow_up
from tagent_tui.cli.session import Session
from tagent_tui.cli.verbs import DEFINITION, DETACH, RUN, TRUST, UI, limits_of, verb


class How(NamedTuple):
    """What a resume was told: by the names of `Engine.resume`."""

    on_change: str
    resolve: Resolutions
    retarget: str | None
    trust: bool


@verb("resume")
@RUN
@DEFINITION
@click.option("--resolve", "words", multiple=True, metavar=FORM, help="What became of a step's effect in doubt.")
@click.option("--target", metavar="TARGET", help="Where the pipeline is now, if not where the run was started.")
@TRUST
@click.option(
    "--budget",
    multiple=True,
    callback=limits_of,
    metavar="USD|WHAT=N",
    help="What the run may cost in all from now on, or the tokens, calls or seconds it may use (tokens=20000).",
)
@UI
@DETACH
def resume(
    session: Session,
    run: str,
    definition: str | None,
    words: tuple[str, ...],
    target: str | None,
    trust: bool,
    budget: dict[str, float],
    ui: bool,
    detach: bool,
) -> int:
    """Drive an unfinished run on: nothing that was recorded is done again."""
    how = How(definition or "ask", resolutions_of(words), target, trust)
    if ui or detach:
        return _spawn(session, run, how, budget, ui=ui, detach=detach)
    session.output.guard()
    return session.run(_resume(session, run, how, budget))


COMMANDS = {"resume": resume}


async def _resume(session: Session, wanted: str, how: How, budget: dict[str, float]) -> int:
    await (await session.reading()).close()
    async with Engine(session.stored(), session.config, tee=False) as engine:
        row = await engine.log.find(wanted)
        if budget:
            await engine.set_budget(row.id, **budget)
        while True:
            try:
                ended = await _driven(session, engine, row.id, how)
            except TargetError as error:
                if row.caller is None or not how.resolve:
                    raise
                return await _resolve(session, engine, row, how.resolve, error)
            if ended.status is RunStatus.WAITING and session.asks:
                if not await ask_waits(session, engine.log, ended):
                    return ended.exit
                how = how._replace(resolve={})
                continue
            return ended.exit if session.json else await conclude(session, engine.log, ended)


async def _resolve(session: Session, engine: Engine, row: RunRow, said: Resolutions, error: TargetError) -> int:
    """Record what became of effects of a child run that only its caller can drive on."""
    for step, body in said.items():
        session.output.note(await signal(engine.log, row.id, "resolve", {"step": step, **body}))
    session.output.note(str(error))
    return Exit.WAITS


async def _driven(session: Session, engine: Engine, run: RunId, how: How) -> Ended:
    head = await engine.log.head(run)

    async def begin() -> RunId:
        try:
            return await engine.resume(run, **how._asdict())
        except DefinitionChangedError as error:
            if not session.asks:
                raise
            return await engine.resume(run, **how._replace(on_change=_ask_change(session, error))._asdict())

    return await drive(session, engine, begin, began=head)


def _ask_change(session: Session, error: DefinitionChangedError) -> str:
    session.output.err.write("The pipeline is not the one this run was recorded with:\n")
    for change in error.changes:
        session.output.note(f"  {change}")
    said = click.prompt(
        "Go on with the recorded one, migrate (what changed runs again), or stop?",
        type=click.Choice(["recorded", "migrate", "stop"]),
        default="stop",
        err=True,
    )
    if said == "stop":
        raise error
    return str(said)


def _spawn(session: Session, wanted: str, how: How, budget: dict[str, float], *, ui: bool, detach: bool) -> int:
    from engine.driver import spawn_resume

    if ui and detach:
        raise RefusedError("--ui and --detach are both given; keep one")
    if ui and (session.json or not terminal.is_terminal()):
        raise RefusedError("--ui needs a terminal and no --json; leave it out, or use --detach")

    async def start() -> tuple[str, int]:
        async with await session.reading() as log:
            row = await log.find(wanted)
        if budget:
            async with await session.writing() as log:
                await signal(log, row.id, "budget", budget)
        spawned = await spawn_resume(session.stored(), row.id, **how._asdict(), config=session.config)
        return spawned.run_id, spawned.pid

    run, pid = session.run(start())
    return follow_up(session, run, pid, ui=ui)
