"""`pause`, `cancel`, `approve`, `answer`, `retry`, `skip`: commands to a run from any process; nothing is driven here.

Stands apart from `resume`, which drives: these record a wish through the run's inbox and say what came of it.
"""

from __future__ import annotations

from typing import Any

import click

from engine.control import signal
from store import Log, RunRow
from store.state import RunStatus
from tagent_tui.cli.asking import answer_body
from tagent_tui.cli.driving import look
from tagent_tui.cli.exits import Exit, RefusedError
from tagent_tui.cli.session import Session
from tagent_tui.cli.verbs import RUN, StoredWord, verb

STEP = click.argument("step", metavar="STEP", type=StoredWord())
MAYBE_STEP = click.argument("step", metavar="[STEP]", required=False, type=StoredWord())


@verb("pause")
@RUN
@click.option("--now", is_flag=True, help="Stop what runs too; it is driven again from its record on resume.")
def pause(session: Session, run: str, now: bool) -> int:
    """Start nothing new in a run; what runs is let finish."""
    return session.run(tell(session, run, "pause", {"now": True} if now else {}))


@verb("cancel")
@RUN
@MAYBE_STEP
@click.option("--reason", default="", metavar="TEXT", help="Why, for the record.")
def cancel(session: Session, run: str, step: str | None, reason: str) -> int:
    """Stop a run for good, or one step of it."""
    body = {"step": step, "reason": reason}
    return session.run(tell(session, run, "cancel", {name: value for name, value in body.items() if value}))


@verb("approve")
@RUN
@MAYBE_STEP
@click.option("--reject", is_flag=True, help="Reject it instead: the step fails.")
@click.option("--note", default="", metavar="TEXT", help="A word about it, for the record.")
def approve(session: Session, run: str, step: str | None, reject: bool, note: str) -> int:
    """Approve a step that waits for it (STEP may be left out where one waits)."""
    body = {"approved": not reject, "note": note, **({"step": step} if step else {})}
    return session.run(tell(session, run, "approve", body))


@verb("answer")
@RUN
@click.argument("words", metavar="[STEP] TEXT", nargs=-1, required=True, type=StoredWord())
def answer(session: Session, run: str, words: tuple[str, ...]) -> int:
    """Answer the question of a step: TEXT is JSON, or text where it does not parse, or one of its choices."""
    if len(words) > 2:
        raise RefusedError("more than a step and a text are given; put the answer in quotes")
    return session.run(_answer(session, run, words[0] if len(words) == 2 else None, words[-1]))


@verb("retry")
@RUN
@STEP
def retry(session: Session, run: str, step: str) -> int:
    """Try a failed step again, and what was skipped because of it."""
    return session.run(tell(session, run, "retry", {"step": step}))


@verb("skip")
@RUN
@STEP
def skip(session: Session, run: str, step: str) -> int:
    """Skip a step; what depends on it runs without its output."""
    return session.run(tell(session, run, "skip", {"step": step}))


COMMANDS = {"pause": pause, "cancel": cancel, "approve": approve, "answer": answer, "retry": retry, "skip": skip}


async def _answer(session: Session, wanted: str, step: str | None, text: str) -> int:
    async with await session.writing() as log:
        row = await log.find(wanted)
        body = await answer_body(log, row, await log.state(row.id), step, text)
        return await _say(session, log, row, "answer", body)


async def tell(session: Session, wanted: str, kind: str, body: dict[str, Any]) -> int:
    """Give a run a command and say what came of it."""
    async with await session.writing() as log:
        return await _say(session, log, await log.find(wanted), kind, body)


async def _say(session: Session, log: Log, row: RunRow, kind: str, body: dict[str, Any]) -> int:
    said = await signal(log, row.id, kind, body)
    now = await look(log, row.id)
    if session.json:
        session.output.document({"run_id": row.id, "status": now.status.word, "message": said})
        return Exit.OK
    session.output.note(said)
    if now.status is RunStatus.INTERRUPTED and kind not in ("pause", "cancel", "checkpoint"):
        session.output.note(f"tagent-tui resume {row.id} goes on")
    return Exit.OK
