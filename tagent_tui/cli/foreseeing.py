"""What a fork would run again and what that cost before, as it is printed.

Stands apart because `fork --dry-run` and `run --reuse RUN --dry-run` say the same.
"""

from __future__ import annotations

import msgspec

from engine.replay.foresight import Again, Foreseen
from tagent_tui.cli.session import Session
from tagent_tui.numbers import duration, plural, step_cost


def tell_foreseen(session: Session, found: Foreseen) -> None:
    """What a fork would do: on stdout what runs again, one line a step."""
    if session.json:
        session.output.document({**msgspec.to_builtins(found), "cost": found.cost})
        return
    output = session.output
    output.text(f"fork of {found.parent} at event {found.version:,}")
    for change in found.changes:
        output.text(f"  {change}")
    for step in found.again:
        output.text(f"  {step.step} runs again: {step.why}{_price(step)}")
        for effect in step.asks:
            output.text(f"    asks first, unless it is the very same: {effect}")
    if not found.again:
        output.text("  nothing runs again")
    same = len(found.taken) + len(found.kept)
    at_most = f", at most {step_cost(found.cost)} by what they cost before" if found.cost else ""
    output.note(f"{plural(len(found.again), 'step')} of {len(found.again) + same} would run{at_most}; nothing was recorded")


def _price(step: Again) -> str:
    if not step.known:
        return " (it never ran, so its price is not known)"
    words = [duration(step.seconds)]
    if step.calls:
        words += [plural(step.calls, "call"), f"{step.tokens:,} tokens", step_cost(None if step.unpriced else step.cost)]
    return f" ({', '.join(words)} before)"
