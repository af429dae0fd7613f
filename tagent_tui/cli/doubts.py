"""Effects in doubt: shown with exactly what was asked for, and resolved by a person or by `--resolve`.

Stands apart because nothing else in the command line decides about the world: what was never known to have happened is repeated
only on a word of the user.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

import click

from engine.commands import OUTCOMES
from store import Log, RunRow, RunState, values
from tagent_tui.cli.exits import RefusedError
from tagent_tui.cli.forms import doubt_form, doubtful
from tagent_tui.cli.params import value_of
from tagent_tui.cli.session import Session
from tagent_tui.rows import Ink, Seg
from tagent_tui.text import one_line
from tagent_tui.view.clock import time_of_day
from tagent_tui.view.effects import effect_name

Resolutions = dict[str, dict[str, Any]]
"""What became of each step's effect: step -> `{"outcome", "value"?}`."""

FORM = "STEP=again|failed|succeeded[:JSON]"


def resolutions_of(words: Iterable[str]) -> Resolutions:
    """The `--resolve` words."""
    found: Resolutions = {}
    for word in words:
        step, equals, said = word.partition("=")
        outcome, colon, value = said.partition(":")
        if not equals or not step or outcome not in OUTCOMES:
            raise RefusedError(f"--resolve {word[:80]!r} is not of the form {FORM}; say what became of the step's effect")
        if colon and outcome != "succeeded":
            raise RefusedError(f"--resolve {word[:80]!r} gives a value, which only succeeded has; write {step}={outcome}")
        if colon and not value.strip():
            raise RefusedError(f"--resolve {word[:80]!r} has no value; write it behind the colon, or leave the colon out")
        if value.lstrip()[:1] in ("{", "[", '"') and value_of(value) == value:
            raise RefusedError(f"--resolve {word[:80]!r} has a value that begins like JSON and is none; mend it")
        found[step] = {"outcome": outcome, **({"value": value_of(value)} if colon else {})}
    return found


async def tell_doubts(session: Session, log: Log, row: RunRow, state: RunState) -> None:
    """Say which effects are in doubt, with their arguments, and how to go on; on stderr, quiet or not."""
    err = session.output.err
    steps = []
    for request, effect in doubtful(state):
        form = await doubt_form(log, row, request, effect)
        what = one_line(effect_name(effect.kind, effect.name)).text
        err.segs(
            [
                Seg(f"{err.glyphs.in_doubt} {one_line(effect.step).text}", Ink.WARNING),
                Seg(f"  {what} was asked for at {time_of_day(effect.requested_at)}; whether it happened is not known."),
            ]
        )
        for line in _arguments(form):
            err.write(f"    {one_line(line, 20_000).text}\n")
        steps.append(effect.step)
    for step in dict.fromkeys(steps):
        again = f"tagent-tui resume {row.id} --resolve {one_line(step).text}=again"
        err.write(f"  do it once more: {again}  (or =failed, or =succeeded:JSON with what it returned)\n")


async def ask_doubts(session: Session, log: Log, row: RunRow, state: RunState) -> Resolutions:
    """Ask the person at the terminal about each; empty where nothing was decided."""
    await tell_doubts(session, log, row, state)
    found: Resolutions = {}
    for step in dict.fromkeys(effect.step for _, effect in doubtful(state)):
        said = click.prompt(
            f"What became of {one_line(step).text}?", type=click.Choice([*OUTCOMES, "leave"]), default="leave", err=True
        )
        if said == "succeeded":
            value = click.prompt("What did it return (JSON, or text)?", default="null", err=True)
            found[step] = {"outcome": said, "value": value_of(value)}
        elif said != "leave":
            found[step] = {"outcome": said}
    return found


def _arguments(form: Mapping[str, Any]) -> list[str]:
    value = values.decode(form["arguments"])
    if value in (None, {}, []):
        return ["without arguments"]
    return json.dumps(value, indent=2, ensure_ascii=False, default=repr).split("\n")
