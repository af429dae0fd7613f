"""`doctor`, `config` and `completion`: what the program stands on."""

from __future__ import annotations

import os
from pathlib import Path

import click

from tagent_tui.cli.exits import Exit, RefusedError
from tagent_tui.cli.session import Session
from tagent_tui.cli.verbs import CONTEXT, Verb, VerbGroup, say_help, verb
from tagent_tui.rows import Ink, Seg, pad
from tagent_tui.text import one_line


@verb("doctor")
def doctor(session: Session) -> int:
    """Check versions, settings, the store, the terminal, and where our packages come from."""
    from tagent_tui.cli.checkup import Level, checkup

    remarks = session.run(checkup(session))
    worst = max((remark.exit for remark in remarks if remark.level is Level.WRONG), default=Exit.OK)
    if session.json:
        session.output.document([{"level": one.level.value, "topic": one.topic, "text": one.text} for one in remarks])
        return worst
    out = session.output.out
    marks = {
        Level.FINE: (out.glyphs.completed, Ink.SUCCESS),
        Level.NOTE: (out.glyphs.pending, Ink.MUTED),
        Level.DOUBT: (out.glyphs.person, Ink.WARNING),
        Level.WRONG: (out.glyphs.failed, Ink.ERROR),
    }
    for remark in remarks:
        glyph, ink = marks[remark.level]
        out.segs([Seg(f"{glyph} ", ink), Seg(pad(remark.topic, 11), Ink.MUTED), Seg(one_line(remark.text, 4_000, out.glyphs).text)])
    return worst


@click.group("config", cls=VerbGroup, context_settings=CONTEXT, invoke_without_command=True)
@click.pass_context
def config(ctx: click.Context) -> int | None:
    """The settings and where each comes from."""
    return say_help(ctx) if ctx.invoked_subcommand is None else None


@config.command("show", cls=Verb, context_settings=CONTEXT)
@click.pass_obj
def show(session: Session) -> int:
    """Every setting, its value and where it was set. Secrets are only said to be set."""
    rows = session.loaded.rows()
    if session.json:
        session.output.document([{"key": row.key, "value": row.value, "origin": row.origin} for row in rows])
        return Exit.OK
    out = session.output.out
    width = max(len(row.key) for row in rows)
    for row in rows:
        value = "not set" if row.value is None else str(row.value).lower() if isinstance(row.value, bool) else str(row.value)
        shown = one_line(value, 2_000, out.glyphs).text
        quiet = Ink.MUTED if row.origin == "default" else Ink.TEXT
        out.segs([Seg(f"{pad(row.key, width)}  ", Ink.MUTED), Seg(pad(shown, 24), quiet), Seg(f"  {row.origin}", Ink.MUTED)])
    return Exit.OK


@config.command("path", cls=Verb, context_settings=CONTEXT)
@click.pass_obj
def path(session: Session) -> int:
    """The files that settings are read from, and the store."""
    from engine.config import PROJECT_FILE, USER_FILE, default_user_dir

    named = session.flags.get("config")
    project = Path(named).absolute() if named else Path.cwd() / PROJECT_FILE
    user = default_user_dir() / USER_FILE
    places = {"project": str(project), "user": str(user), "store": session.db}
    if session.json:
        session.output.document({key: {"path": place, "exists": os.path.lexists(place)} for key, place in places.items()})
        return Exit.OK
    out = session.output.out
    for key, place in places.items():
        there = "" if os.path.lexists(place) else "  (not there)"
        out.segs([Seg(f"{pad(key, 8)}", Ink.MUTED), Seg(one_line(place, 4_000, out.glyphs).text), Seg(there, Ink.MUTED)])
    return Exit.OK


@verb("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(session: Session, shell: str) -> int:
    """Print the completion script of a shell.

    bash: eval "$(tagent-tui completion bash)" in ~/.bashrc; zsh the same in ~/.zshrc; fish: tagent-tui completion fish >
    ~/.config/fish/completions/tagent-tui.fish
    """
    from click.shell_completion import get_completion_class

    from tagent_tui.cli.root import COMPLETE, PROGRAM, root

    found = get_completion_class(shell)
    if found is None:
        raise RefusedError(f"there is no completion for {shell}; use bash, zsh or fish")
    script = found(root, {}, PROGRAM, COMPLETE)
    if session.json:
        session.output.document({"shell": shell, "script": script.source_template % script.source_vars()})
    else:
        session.output.line(script.source_template % script.source_vars())
    return Exit.OK


COMMANDS = {"doctor": doctor, "config": config, "completion": completion}
