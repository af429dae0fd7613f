"""Commands that all take the global flags, before or after the verb, and get the session they add up to.

Stands apart because click knows options of one command only: here each command has the global ones as well, told apart in its help.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ParamSpec, TypeVar

import click

from tagent_tui.cli.exits import Exit, RefusedError
from tagent_tui.cli.session import Session

P = ParamSpec("P")
R = TypeVar("R")

PREFIX = "global_"
COMPLETED_RUNS = 20
CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


def _flag(*names: str, help: str) -> click.Option:
    return click.Option([*names], is_flag=True, help=help)


GLOBALS: Sequence[click.Option] = (
    click.Option(["--db", "global_db"], metavar="PATH", help="The store (TAGENT_DB; default: the user's own)."),
    click.Option(["--config", "global_config"], metavar="FILE", help="Settings in place of ./tagent.toml."),
    _flag("--json", "global_json", help="Results as JSON, errors as JSON on stderr."),
    _flag("-q", "--quiet", "global_quiet", help="No progress, no notes."),
    _flag("-v", "--verbose", "global_verbose", help="More about what happens."),
    _flag("--debug", "global_debug", help="Tracebacks with errors."),
    click.Option(["--color", "global_color"], type=click.Choice(["auto", "always", "never"]), help="Colours (default: auto)."),
    _flag("--no-input", "global_no_input", help="Never ask."),
    _flag("--yes", "global_yes", help="Answer every question with yes."),
)


def take_globals(ctx: click.Context) -> None:
    """Move the global flags from the command's parameters to the session."""
    session = ctx.ensure_object(Session)
    given = {key: ctx.params.pop(key) for key in list(ctx.params) if key.startswith(PREFIX)}
    session.take({key.removeprefix(PREFIX): value for key, value in given.items()})


class _WithGlobals(click.Command):
    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """The command's own parameters and the global flags."""
        return [*super().get_params(ctx), *GLOBALS]

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command once the session knows the flags."""
        take_globals(ctx)
        return super().invoke(ctx)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The command's options, then the global ones under a title of their own."""
        own = [param.get_help_record(ctx) for param in self.get_params(ctx) if param not in GLOBALS]
        for title, records in (("Options", own), ("Global flags", [option.get_help_record(ctx) for option in GLOBALS])):
            rows = [record for record in records if record is not None]
            if rows:
                with formatter.section(title):
                    formatter.write_dl(rows)
        if isinstance(self, click.Group):
            self.format_commands(ctx, formatter)


class Verb(_WithGlobals):
    """A command."""


class VerbGroup(_WithGlobals, click.Group):
    """A command with commands below it (`config show`)."""

    command_class = Verb


def say_help(ctx: click.Context) -> int:
    """What a group without one of its commands comes to: its help on stderr, as wrong usage."""
    command, session = ctx.command, ctx.find_object(Session)
    if session is not None and session.json:
        names = command.list_commands(ctx) if isinstance(command, click.Group) else []
        raise click.UsageError(f"a command is missing: {', '.join(names)}", ctx)
    click.echo(ctx.get_help(), err=True)
    return Exit.USAGE


def verb(name: str, **options: Any) -> Callable[[Callable[..., Any]], Verb]:
    """Make a command of a function whose first argument is the session."""

    def make(function: Callable[..., Any]) -> Verb:
        return click.command(name, cls=Verb, context_settings=CONTEXT, **options)(click.pass_obj(function))

    return make


def complete_run(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Ids of the newest runs for the shell's completion; none where there is no store to ask."""
    from engine.errors import EngineError
    from store.errors import StoreError

    session = Session()
    session.take({"db": ctx.find_root().params.get("global_db") or ctx.params.get("global_db")})

    async def newest() -> list[str]:
        async with await session.reading() as log:
            return [row.id for row in await log.runs(limit=COMPLETED_RUNS)]

    try:
        found = ["last", *session.run(newest())]
    except (EngineError, StoreError, RefusedError, OSError):
        found = []
    return [run for run in found if run.startswith(incomplete)]


class StoredWord(click.types.StringParamType):
    """A word that is looked up in the store; bytes that are no text (a stray file name) cannot be one."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The word; refused as not found where it cannot be in a store."""
        try:
            value.encode()
        except UnicodeEncodeError:
            what = param.human_readable_name.lower() if param is not None else "word"
            raise RefusedError(
                f"there is no {what} {value!r}; tagent-tui runs lists all", exit=Exit.NOT_FOUND, code="not_found"
            ) from None
        return value


RUN = click.argument("run", metavar="RUN", type=StoredWord(), shell_complete=complete_run)
"""A run by its id, a unique prefix of it, or `last`."""

MAYBE_RUN = click.argument("run", metavar="[RUN]", required=False, type=StoredWord(), shell_complete=complete_run)
"""The same for a verb that has a meaning without one."""

AT = click.option(
    "--at",
    metavar="PLACE",
    type=StoredWord(),
    help="As it stood then: an event's number, a checkpoint, STEP:start, STEP:end, before:STEP, 14:03:22, +90s, or end.",
)
"""A place in a run; see `engine.replay.places`."""

UI = click.option("--ui/--no-ui", default=False, help="Open the run's screen; it runs in a process of its own.")
DETACH = click.option("--detach", is_flag=True, help="Drive it in a process of its own and print its id.")
TRUST = click.option("--trust", is_flag=True, help="Execute what an imported run names.")
DEFINITION = click.option(
    "--definition",
    type=click.Choice(["recorded", "migrate"]),
    help="If the pipeline changed: go on with the recorded one, or with what there is now; changed steps run again.",
)

BUDGET = click.FloatRange(0, min_open=True)
"""US dollars."""


def limits_of(ctx: click.Context, param: click.Parameter, words: tuple[str, ...]) -> dict[str, float]:
    """What a run may use by name, from words such as `2.50` (US dollars) and `tokens=20000`."""
    from engine.commands import LIMITS

    found: dict[str, float] = {}
    for word in words:
        named, _, number = word.rpartition("=")
        what = named or "cost"
        if what not in LIMITS:
            others = ", ".join(f"{limit}=N" for limit in LIMITS[1:])
            raise click.BadParameter(f"{what!r} is no limit; write US dollars, or {others}.", ctx, param)
        whole = what in ("tokens", "calls")
        try:
            found[what] = int(number) if whole else float(number)
        except ValueError:
            raise click.BadParameter(f"{number!r} is not a {'whole ' if whole else ''}number.", ctx, param) from None
        if not 0 < found[what] < 1e15:
            raise click.BadParameter(f"{number!r} is not a number greater than 0.", ctx, param)
    return found
