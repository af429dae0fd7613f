"""`resume`, `pause` and `cancel`: steering a run from any process.

Stands apart from starting runs: these begin with what the log says, and may have to ask what to do about it.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import click

from engine.control import signal
from engine.engine import Engine
from engine.errors import DefinitionChangedError, TargetError
from store import RunId, RunRow
from store.state import RunStatus
from tagent_tui import terminal
from tagent_tui.cli.doubts import FORM, Resolutions, ask_doubts, resolutions_of
from tagent_tui.cli.driving import Ended, drive, look
from tagent_tui.cli.ending import conclude
from tagent_tui.cli.exits import Exit, RefusedError
from tagent_tui.cli.running import follow_up
from tagent_tui.cli.session import Session
from tagent_tui.cli.verbs import RUN, verb


class How(NamedTuple):
    """What a resume was told: by the names of `Engine.resume`."""

    on_change: str
    resolve: Resolutions
    retarget: str | None
    trust: bool


@verb("resume")
@RUN
@click.option(
    "--definition",
    type=click.Choice(["recorded", "migrate"]),
    help="If the pipeline changed: go on with the recorded one, or let changed steps run again.",
)
@click.option("--resolve", "words", multiple=True, metavar=FORM, help="What became of a step's effect in doubt.")
@click.option("--target", metavar="TARGET", help="Where the pipeline is now, if not where the run was started.")
@click.option("--trust", is_flag=True, help="Execute what an imported run names.")
@click.option("--ui/--no-ui", default=False, help="Open the run's screen; it runs in a process of its own.")
@click.option("--detach", is_flag=True, help="Go on in a process of its own.")
def resume(
    session: Session,
    run: str,
    definition: str | None,
    words: tuple[str, ...],
    target: str | None,
    trust: bool,
    ui: bool,
    detach: bool,
) -> int:
    """Drive an unfinished run on: nothing that was recorded is done again."""
    how = How(definition or "ask", resolutions_of(words), target, trust)
    if ui or detach:
        return _spawn(session, run, how, ui=ui, detach=detach)
    session.output.guard()
    return session.run(_resume(session, run, how))


@verb("pause")
@RUN
def pause(session: Session, run: str) -> int:
    """Start nothing new in a run; what runs is let finish."""
    return session.run(_signal(session, run, "pause", {}))


@verb("cancel")
@RUN
@click.option("--reason", default="", metavar="TEXT", help="Why, for the record.")
def cancel(session: Session, run: str, reason: str) -> int:
    """Stop a run for good."""
    return session.run(_signal(session, run, "cancel", {"reason": reason} if reason else {}))


COMMANDS = {"resume": resume, "pause": pause, "cancel": cancel}


async def _signal(session: Session, wanted: str, kind: str, body: dict[str, Any]) -> int:
    async with await session.writing() as log:
        row = await log.find(wanted)
        said = await signal(log, row.id, kind, body)
        now = await look(log, row.id)
    if session.json:
        session.output.document({"run_id": row.id, "status": now.status.word, "message": said})
    else:
        session.output.note(said)
    return Exit.OK


async def _resume(session: Session, wanted: str, how: How) -> int:
    await (await session.reading()).close()
    async with Engine(session.stored(), session.config, tee=False) as engine:
        row = await engine.log.find(wanted)
        while True:
            try:
                ended = await _driven(session, engine, row.id, how)
            except TargetError as error:
                if row.caller is None or not how.resolve:
                    raise
                return await _resolve(session, engine, row, how.resolve, error)
            if ended.status is RunStatus.WAITING and session.asks:
                how = how._replace(resolve=await ask_doubts(session, engine.log, ended.row, ended.state))
                if how.resolve:
                    continue
                return ended.exit
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


def _spawn(session: Session, wanted: str, how: How, *, ui: bool, detach: bool) -> int:
    from engine.driver import spawn_resume

    if ui and detach:
        raise RefusedError("--ui and --detach are both given; keep one")
    if ui and (session.json or not terminal.is_terminal()):
        raise RefusedError("--ui needs a terminal and no --json; leave it out, or use --detach")

    async def start() -> tuple[str, int]:
        async with await session.reading() as log:
            row = await log.find(wanted)
        spawned = await spawn_resume(session.stored(), row.id, **how._asdict(), config=session.config)
        return spawned.run_id, spawned.pid

    run, pid = session.run(start())
    return follow_up(session, run, pid, ui=ui)
