"""What is printed when a run is no longer driven here: its result on stdout, how it went and what to try next on stderr."""

from __future__ import annotations

from collections import Counter
from typing import Any

from engine.result import result_of
from store import Log, RunState
from store.state import RunStatus, StepStatus
from tagent_tui.cli import markdown
from tagent_tui.cli.asking import tell_waits
from tagent_tui.cli.driving import Ended
from tagent_tui.cli.session import Session
from tagent_tui.numbers import duration, events, plural, run_cost
from tagent_tui.rows import Ink, Seg
from tagent_tui.text import one_line
from tagent_tui.view.folded import fold, whole_text
from tagent_tui.view.scene import run_mark

SIMULATED = "simulated: an offline model made up (part of) this"
REPORT_TYPE = "text/markdown"


async def conclude(session: Session, log: Log, ended: Ended) -> int:
    """Print the result and the last words; the exit code says how it ended. A report that was made is printed in any case."""
    reported = ended.status is RunStatus.FAILED and any(ref.media_type == REPORT_TYPE for ref in ended.state.artifacts)
    if ended.status is RunStatus.COMPLETED or reported:
        await print_result(session, log, ended)
    await _last_words(session, log, ended)
    return ended.exit


async def print_result(session: Session, log: Log, ended: Ended) -> None:
    """Print the last Markdown report the run made if there is one, else its final output."""
    reports = [ref for ref in ended.state.artifacts if ref.media_type == REPORT_TYPE]
    if reports:
        text = (await log.blob(reports[-1].blob)).decode("utf-8", "replace")
        markdown.write(session.output, text)
        return
    result = await result_of(log, ended.row.id)
    print_value(session, result.final_output, simulated=ended.state.simulated)


def print_value(session: Session, value: Any, *, simulated: bool) -> None:
    """A value on stdout: text as it is, everything else as JSON, for a person with what is long folded.

    That it is simulated is said whatever else is quiet.
    """
    output = session.output
    if simulated:
        (output.out if output.out.terminal else output.err).write(f"({SIMULATED})\n")
    if value is None:
        return
    if isinstance(value, str) or not output.out.terminal:
        output.text(whole_text(value))
        return
    folded = fold(value, output.out.glyphs.ellipsis)
    output.text(folded.text)
    if folded.cut:
        output.note("a part of it; into a pipe, a file or with --json all of it is written")


def counted(state: RunState) -> str:
    """`4 steps`, or how many there are of each status: `2 completed, 1 failed, 1 skipped`; items count with their step."""
    counts = Counter(step.status for step in state.steps.values() if not step.nested)
    if counts[StepStatus.COMPLETED] == state.total:
        return plural(state.total, "step")
    order = sorted(StepStatus, key=lambda status: (not status.settled, status))
    return ", ".join(f"{events(counts[status])} {status.word.replace('_', ' ')}" for status in order if counts[status])


async def _last_words(session: Session, log: Log, ended: Ended) -> None:
    output, state, run = session.output, ended.state, ended.row.id
    mark = run_mark(ended.status, output.err.glyphs)
    spent = duration(state.lasted(state.last_at))
    done = counted(state)
    cost = [] if not state.calls else [run_cost(None if state.unpriced else state.cost)]
    simulated = ["simulated"] if state.simulated else []
    facts = f" {output.err.glyphs.sep} ".join([mark.word, done, spent, *cost, *simulated])
    name = one_line(state.pipeline).text
    output.note_segs([Seg(f"{mark.glyph} ", mark.ink), Seg(name, Ink.STRONG), Seg(f"  {run}  "), Seg(facts, Ink.MUTED)])
    if state.reason and ended.status is not RunStatus.COMPLETED:
        output.note_segs([Seg("  "), Seg(one_line(state.reason).text, Ink.ERROR)])
    if ended.status is RunStatus.WAITING:
        await tell_waits(session, log, ended.row, state)
    elif ended.over_budget and not state.status.ended:
        used_up = [reached[1:] for reached in state.reached if reached[0] == ":"]
        more = " ".join("--budget USD" if what == "cost" else f"--budget {what}=N" for what in used_up)
        output.note(f"  its budget is used up; tagent-tui resume {run} {more} goes on".replace("  goes", " goes"))
    elif not state.status.ended:
        output.note(f"  tagent-tui resume {run} goes on")
    else:
        output.note(f"  next: tagent-tui show {run}, tagent-tui replay {run}")
