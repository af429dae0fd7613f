"""`tagent-tui` itself: the table of verbs, what happens without one, and the border where exceptions become exit codes.

Stands apart from the verbs so that starting is cheap: the table names modules, and only that of the verb typed is imported.
"""

from __future__ import annotations

import difflib
import importlib
import os
import sys
import traceback
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import click

from tagent_tui.cli.exits import Exit, RefusedError, fault_of
from tagent_tui.cli.session import Session
from tagent_tui.cli.verbs import CONTEXT, VerbGroup, say_help, take_globals

PROGRAM = "tagent-tui"
COMPLETE = "_TAGENT_TUI_COMPLETE"


class Entry(NamedTuple):
    """Where a verb is and what it does in one line; the modules are below this package."""

    module: str
    does: str


VERBS: Mapping[str, Entry] = {
    "demo": Entry("running", "Report on the files of a folder, with no key and no network."),
    "run": Entry("running", "Run a pipeline: a file or module:name."),
    "resume": Entry("control", "Drive an unfinished run on."),
    "pause": Entry("steering", "Let a run start nothing new."),
    "cancel": Entry("steering", "Stop a run for good, or one step of it."),
    "approve": Entry("steering", "Approve or reject a step that waits for it."),
    "answer": Entry("steering", "Answer the question of a step."),
    "retry": Entry("steering", "Try a failed step again."),
    "skip": Entry("steering", "Skip a step."),
    "runs": Entry("looking", "List runs, newest first."),
    "show": Entry("looking", "A run and its steps, now or in its past."),
    "events": Entry("looking", "What happened in a run, event by event."),
    "result": Entry("looking", "The output of a run or of one of its steps."),
    "replay": Entry("looking", "Step through a run's past in the terminal."),
    "checkpoints": Entry("checkpoints", "The named places of a run."),
    "verify": Entry("verifying", "Prove that today's engine and pipeline do what a run recorded."),
    "fork": Entry("forking", "Go on from any event of a run, with edits; what they do not reach is not paid again."),
    "diff": Entry("comparing", "What differs between two runs."),
    "mail": Entry("talking", "The messages of a run."),
    "space": Entry("talking", "What is in a shared memory space, and who read and wrote it."),
    "memories": Entry("talking", "Search what runs learned."),
    "init": Entry("definitions", "Write a commented starter pipeline."),
    "validate": Entry("definitions", "Check a pipeline file without running it."),
    "graph": Entry("definitions", "Draw a pipeline or a run as Mermaid or DOT."),
    "schema": Entry("definitions", "Print the JSON Schema of pipeline files, for editors."),
    "export": Entry("storing", "Write runs into one portable file."),
    "import": Entry("storing", "Take in the runs of such a file."),
    "backup": Entry("storing", "Copy the store while it is in use."),
    "check": Entry("storing", "Check every stored byte of the store."),
    "doctor": Entry("surroundings", "Check versions, settings, store and terminal."),
    "config": Entry("surroundings", "The settings and where each comes from."),
    "completion": Entry("surroundings", "Completion for bash, zsh or fish."),
}


class Root(VerbGroup):
    """The group that imports a verb when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All verbs, the first ones first."""
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The verb of that name."""
        entry = VERBS.get(cmd_name)
        if entry is None:
            return None
        module = importlib.import_module(f"tagent_tui.cli.{entry.module}")
        found: Mapping[str, click.Command] = module.COMMANDS
        return found[cmd_name]

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        """The verb of the first word, or what it was probably meant to be."""
        if args and args[0] not in VERBS and not ctx.resilient_parsing:
            near = difflib.get_close_matches(args[0], VERBS, 1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise click.UsageError(f"there is no verb {args[0][:80]!r}{hint}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The table, without importing anything."""
        with formatter.section("Verbs"):
            formatter.write_dl([(name, entry.does) for name, entry in VERBS.items()])


def _show_version(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    if not value or ctx.resilient_parsing:
        return
    from importlib.metadata import PackageNotFoundError, version

    try:
        click.echo(f"{PROGRAM} {version(PROGRAM)}")
    except PackageNotFoundError:
        click.echo(f"{PROGRAM} (not installed)")
    ctx.exit()


@click.command(
    PROGRAM,
    cls=Root,
    context_settings=CONTEXT,
    invoke_without_command=True,
    options_metavar="[FLAGS]",
    subcommand_metavar="VERB ...",
    epilog=f"Alone, {PROGRAM} opens the terminal UI. RUN is an id, a unique prefix of one, or `last`.",
)
@click.option("--version", is_flag=True, expose_value=False, is_eager=True, callback=_show_version, help="Print the version.")
@click.pass_context
def root(ctx: click.Context) -> int | None:
    """The flight recorder and time machine for agent pipelines, in one file and one terminal."""
    if ctx.invoked_subcommand is not None:
        return None
    take_globals(ctx)
    return _open_ui(ctx)


def _open_ui(ctx: click.Context) -> int:
    from tagent_tui import terminal

    session: Session = ctx.obj
    if session.json or not terminal.is_terminal():
        return say_help(ctx)
    db, config = session.db, session.config
    from tagent_tui.app import run_app

    return run_app(db, config)


def main(words: Sequence[str] | None = None) -> int:
    """Run the command line on `words` (default: the process's own); the exit code."""
    _fill_descriptors()
    given = list(sys.argv[1:] if words is None else words)
    session = Session()
    session.take({"json": "--json" in given[: given.index("--")] if "--" in given else "--json" in given})
    session.take({"debug": "--debug" in given})
    try:
        code: Any = root.main(given, prog_name=PROGRAM, standalone_mode=False, obj=session, complete_var=COMPLETE)
    except BaseException as error:  # the border: everything becomes one sentence and an exit code here
        return _told(session, error)
    return int(code or 0)


def _fill_descriptors() -> None:
    """Put the null device where a standard stream is closed.

    Its number is free otherwise, and the store's file would get it: what prints would be written there. User code may also count on
    the streams being there.
    """
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    for number, name in ((1, "stdout"), (2, "stderr")):
        if getattr(sys, name) is None:
            stream = os.fdopen(number, "w", encoding="utf-8", errors="backslashreplace", closefd=False)
            setattr(sys, name, stream)
            setattr(sys, f"__{name}__", stream)


def _told(session: Session, error: BaseException) -> int:
    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else Exit.OK
    fault = fault_of(error)
    try:
        if session.debug and not isinstance(error, click.ClickException):
            sys.stderr.write("".join(traceback.format_exception(error)))
        session.output.fault(fault)
    except (OSError, RefusedError):  # there is nowhere left to say it
        return fault.exit
    return fault.exit
