"""`verify`: a run proved again, and the first thing that would be otherwise today.

Stands apart from `fork`: nothing is made, and its exit code is an answer.
"""

from __future__ import annotations

import msgspec

from engine.engine import Engine
from engine.replay.verify import Verification
from tagent_tui.cli.comparing import text_lines
from tagent_tui.cli.exits import Exit
from tagent_tui.cli.session import Session
from tagent_tui.cli.verbs import RUN, TRUST, verb
from tagent_tui.numbers import duration, plural


@verb("verify")
@RUN
@TRUST
def verify(session: Session, run: str, trust: bool) -> int:
    """Prove that today's engine and pipeline do what a run recorded.

    Every decision is asked again, and every attempt lived through again over its recorded effects, with no network; the bodies of
    steps run again for that. Exits with 4 at the first divergence, which is shown with both sides.
    """
    session.output.guard()
    found = session.run(_verify(session, run, trust))
    if session.json:
        session.output.document({**msgspec.to_builtins(found), "clean": found.clean})
    else:
        _tell(session, found)
    return Exit.OK if found.clean else Exit.DIFFERENT


COMMANDS = {"verify": verify}


async def _verify(session: Session, run: str, trust: bool) -> Verification:
    await (await session.reading()).close()
    async with Engine(session.stored(), session.config, tee=False) as engine:
        return await engine.verify(run, trust=trust)


def _tell(session: Session, found: Verification) -> None:
    output = session.output
    counts = f"{plural(found.events, 'event')}, {plural(found.decisions, 'decision')}, {plural(found.attempts, 'attempt')}"
    if found.divergence is None:
        output.text(f"clean: {counts} of {found.run_id}, {duration(found.seconds)}")
    else:
        what = found.divergence
        where = f" in child run {what.run}" if what.run else ""
        step = f", step {what.step}, attempt {what.attempt}" if what.step else ""
        output.text(f"{what.kind} at event {what.version:,}{step}{where}")
        output.text(f"  recorded  {what.recorded}")
        output.text(f"  today     {what.today}")
        if what.text:
            text_lines(output.out, what.text)
    for note in found.notes:
        output.note(note)
