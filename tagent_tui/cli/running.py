"""`run` and `demo`: starting runs, here or in a process of their own, and printing what they came to."""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import click
import msgspec

from engine import targets
from engine.alone import alone
from engine.definition import Definition, StepDefinition
from engine.engine import Engine
from engine.errors import suggestion
from engine.replay.foresight import foreseen
from engine.steps import free_parameters
from engine.targets import Loaded
from store import Log, RunId
from store.state import RunStatus
from tagent_tui import terminal
from tagent_tui.cli.asking import ask_waits
from tagent_tui.cli.driving import Ended, drive
from tagent_tui.cli.ending import conclude
from tagent_tui.cli.exits import Exit, RefusedError
from tagent_tui.cli.foreseeing import tell_foreseen
from tagent_tui.cli.params import as_declared, file_of, params_of
from tagent_tui.cli.session import Session
from tagent_tui.cli.verbs import BUDGET, DETACH, UI, verb
from tagent_tui.numbers import plural

OFFLINE = "offline"


@verb("run")
@click.argument("target")
@click.option(
    "-p", "--param", "words", multiple=True, metavar="NAME=VALUE", help="A parameter; JSON, or text where it does not parse."
)
@click.option("--params", "path", metavar="FILE", help="Parameters from a JSON or YAML file.")
@click.option("--model", metavar="NAME", help="The model of goal steps.")
@click.option("--offline", is_flag=True, help="Use the offline model: no network, answers labelled simulated.")
@click.option("--budget", type=BUDGET, metavar="USD", help="What the run may cost; it stands when that is used up.")
@click.option("--reuse", metavar="RUN", help="Take from an earlier run of the pipeline what is the same; pay for what changed.")
@click.option("--only", metavar="STEP", help="Run one step alone, with given outputs of what it depends on.")
@click.option("--inputs", metavar="FILE", help="With --only: a JSON or YAML file of outputs, by step.")
@click.option("--dry-run", is_flag=True, help="Check and show what would run; nothing is recorded.")
@UI
@DETACH
def run(
    session: Session,
    target: str,
    words: tuple[str, ...],
    path: str | None,
    model: str | None,
    offline: bool,
    budget: float | None,
    reuse: str | None,
    only: str | None,
    inputs: str | None,
    dry_run: bool,
    ui: bool,
    detach: bool,
) -> int:
    """Run a pipeline to its end.

    TARGET is a pipeline file (.yaml, .json), module:name, or demo.
    """
    if model and offline:
        raise RefusedError("--model and --offline are both given; keep one")
    if inputs and not only:
        raise RefusedError("--inputs needs --only STEP; name the step it is for")
    if only and (ui or detach):
        raise RefusedError("--only runs here, without --ui and --detach; leave them out")
    session.settings |= {"model": OFFLINE if offline else model, "budget": budget}
    if not ui:
        session.output.guard()
    params = params_of(words, path)
    loaded = targets.load(target, cwd=Path.cwd(), params=params)
    params = as_declared(params, words, loaded.pipeline.declared)
    if only is not None:
        loaded = msgspec.structs.replace(loaded, pipeline=alone(loaded.pipeline, only, file_of(inputs) if inputs else {}))
    _check(session, loaded, params)
    if reuse is not None:
        if only or ui or detach:
            raise RefusedError("--reuse goes with --dry-run only; leave --only, --ui and --detach out")
        return session.run(reused(session, loaded, params, reuse, dry_run=dry_run))
    if dry_run:
        return _plan(session, loaded, params)
    if ui or detach:
        return spawn(session, loaded, params, session.config.model, ui=ui, detach=detach)
    ended, code = session.run(_drive(session, loaded, params, session.config.model))
    return code or ended.exit


@verb("demo")
@click.argument("folder", metavar="[DIR]", default=".")
@click.option("--model", metavar="NAME", help="A real model for the judging step (default: the offline one).")
@click.option("--no-judge", is_flag=True, help="Leave the judging step out; no model is asked at all.")
@UI
def demo(session: Session, folder: str, model: str | None, no_judge: bool, ui: bool) -> int:
    """Report on the files of a folder (default: this one): languages, size, markers, history, dependencies, tests.

    With the offline model nothing leaves this machine; its judgement is labelled as simulated.
    """
    root = _folder(folder)
    if model and no_judge:
        raise RefusedError("--model and --no-judge are both given; keep one")
    session.settings["model"] = model or OFFLINE
    if not ui:
        session.output.guard()
    params: dict[str, Any] = {"root": str(root), **({"judge": False} if no_judge else {})}
    loaded = targets.load("demo", cwd=Path.cwd(), params=params)
    _check(session, loaded, params)
    if ui:
        return spawn(session, loaded, params, session.config.model, ui=True, detach=False)
    ended, code = session.run(_drive(session, loaded, params, session.config.model))
    return code or ended.exit


COMMANDS = {"run": run, "demo": demo}


def _folder(folder: str) -> Path:
    root = Path(folder).absolute()
    if not root.exists():
        raise RefusedError(f"there is no folder {folder}; check the path", exit=Exit.NOT_FOUND, code="not_found")
    if not root.is_dir():
        raise RefusedError(f"{folder} is not a folder; name the folder to report on")
    if not os.access(root, os.R_OK | os.X_OK):
        raise RefusedError(f"{folder} may not be read; change its permissions or name another folder")
    return root


def _check(session: Session, loaded: Loaded, params: dict[str, Any]) -> None:
    """Tell every problem of the pipeline, or of one step of it alone, before anything is recorded."""
    loaded.check(params, model=session.config.model)
    _warn_of_misspelt(session, loaded, params)


def _warn_of_misspelt(session: Session, loaded: Loaded, params: dict[str, Any]) -> None:
    """Where a parameter nothing asks for by name may still be read through `ctx.params`, it is only said."""
    known = [*loaded.pipeline.params, *loaded.pipeline.declared, *loaded.pipeline.maker_params]
    for step in loaded.pipeline.steps:
        known += [parameter.name for parameter in free_parameters(step.run)] if step.run is not None else []
    for name in params:
        if name not in known and (near := suggestion(name, known)):
            session.output.note(f"the pipeline has no parameter {name!r}{near}")


async def reused(session: Session, loaded: Loaded, params: dict[str, Any], earlier: str, *, dry_run: bool) -> int:
    """Run a pipeline, taking from an earlier run what is the same."""
    how: dict[str, Any] = {"model": session.config.model, "target": loaded.target, "cwd": loaded.cwd}
    async with Engine(session.stored(), session.config, tee=False) as engine:
        if dry_run:
            fork = await engine.plan_reuse(earlier, loaded.pipeline, params, **how)
            tell_foreseen(session, await foreseen(engine.log, fork))
            return Exit.OK
        begin = functools.partial(engine.reuse, earlier, loaded.pipeline, params, **how)
        ended = await _to_the_end(session, engine, begin, loaded, 1)
        return ended.exit if session.json else await conclude(session, engine.log, ended)


async def _to_the_end(session: Session, engine: Engine, begin: Callable[[], Awaitable[RunId]], loaded: Loaded, began: int) -> Ended:
    """Drive a run, asking whoever sits there what it waits for, for as long as something is answered."""
    ended = await drive(session, engine, begin, began=began)
    while ended.status is RunStatus.WAITING and session.asks and await ask_waits(session, engine.log, ended):
        again = functools.partial(engine.resume, ended.row.id, loaded.pipeline)
        ended = await drive(session, engine, again, began=ended.state.version)
    return ended


async def _drive(session: Session, loaded: Loaded, params: dict[str, Any], model: str | None) -> tuple[Ended, int]:
    async with Engine(session.db, session.config, tee=False) as engine:
        how: dict[str, Any] = {"model": model, "target": loaded.target, "cwd": loaded.cwd}
        ended = await _to_the_end(session, engine, functools.partial(engine.start, loaded.pipeline, params, **how), loaded, 0)
        if session.json:
            return ended, 0
        return ended, await conclude(session, engine.log, ended)


def spawn(session: Session, loaded: Loaded, params: dict[str, Any], model: str | None, *, ui: bool, detach: bool) -> int:
    """Start a driver process; open the run's screen, or print its id."""
    from engine.driver import spawn_start

    if ui and detach:
        raise RefusedError("--ui and --detach are both given; keep one")
    if ui and (session.json or not terminal.is_terminal()):
        raise RefusedError("--ui needs a terminal and no --json; leave it out, or use --detach")
    db = session.stored()

    async def start() -> tuple[str, int]:
        await (await Log.open(db)).close()  # what is wrong with the store is told from here, with its exit code
        spawned = await spawn_start(db, loaded.target, params=params, model=model, cwd=Path(loaded.cwd), config=session.config)
        return spawned.run_id, spawned.pid

    run, pid = session.run(start())
    return follow_up(session, run, pid, ui=ui)


def follow_up(session: Session, run: str, pid: int, *, ui: bool) -> int:
    """After a driver process took a run: its screen, or its id."""
    if ui:
        from tagent_tui.app import run_app

        return run_app(session.db, session.config, run)
    if session.json:
        session.output.document({"run_id": run, "pid": pid})
        return Exit.OK
    session.output.line(run)
    session.output.note(f"driven by process {pid}; tagent-tui events {run} --follow watches it")
    return Exit.OK


def _plan(session: Session, loaded: Loaded, params: dict[str, Any]) -> int:
    definition = loaded.pipeline.define(list(params), model=session.config.model)
    given = {**definition.params, **params}
    if session.json:
        tree = msgspec.to_builtins(definition)
        session.output.document({"pipeline": tree, "params": given, "model": session.config.model, "target": loaded.target})
        return Exit.OK
    output = session.output
    output.text(f"{definition.name}: {definition.description}" if definition.description else definition.name)
    for name, value in given.items():
        output.text(f"  {name} = {json.dumps(value, ensure_ascii=False, default=str)}")
    _steps(session, definition)
    return Exit.OK


def _steps(session: Session, definition: Definition) -> None:
    for step in definition.steps:
        what = _what(session, step)
        needs = ", ".join(dep.step for dep in step.depends_on)
        mode = "" if step.execution_mode.value == "serial" else f", {step.execution_mode.value}"
        session.output.text(f"  {step.name}: {what}{mode}{f', after {needs}' if needs else ''}")
    session.output.note(f"{plural(len(definition.steps), 'step')}; nothing was recorded")


def _what(session: Session, step: StepDefinition) -> str:
    """What a step does, and whether somebody has to approve it first."""
    does = {
        "f": f"runs {step.run}",
        "g": f"asks {step.model or session.config.model}{f' as {step.agent}' if step.agent is not None else ''}",
        "m": f"merges ({step.merge})",
        "s": f"chooses among {', '.join(step.switch or {})}",
    }.get(step.kind, "runs a pipeline")
    many = (
        f" for each of {step.for_each}" if step.for_each is not None else f" while {step.while_}" if step.while_ is not None else ""
    )
    when = f", if {step.condition}" if step.condition is not None else ""
    return f"{does}{many}{when}{', once approved' if step.approval is not None else ''}"
