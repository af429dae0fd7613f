"""What was decided about a step around its attempts: condition, items, approval, inputs that are not simply outputs, fallback.

Apart from the details because it is the same beside an output, an error and nothing yet; who said what is read from the events.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from store.events import ApprovalExpired, ApprovalGiven, ApprovalRequested, Recorded
from store.state import StepState, StepStatus
from tagent_tui.numbers import plural
from tagent_tui.rows import Ink, Row, Seg
from tagent_tui.text import one_line
from tagent_tui.view.clock import time_of_day
from tagent_tui.view.scene import Scene

DECIDED_TYPES = frozenset({"approval.requested", "approval.given", "approval.expired"})
"""What is read of a step's events to say who decided."""

LABEL = 11
_VERDICTS = {"run": "holds", "skip": "does not hold", "fail": "could not be told"}


def decided(scene: Scene, name: str) -> bool:
    """Whether there is anything to say that was decided about the step."""
    step = scene.state.steps.get(name)
    return step is not None and (
        bool(step.verdict) or step.approval is not None or bool(step.inputs) or _stand_in(scene, name) != ""
    )


def about(scene: Scene, name: str, events: Sequence[Recorded]) -> list[Row]:
    """The decisions as labelled rows; `events` are the step's of `DECIDED_TYPES`."""
    step = scene.state.steps.get(name)
    return list(_rows(scene, name, step, events)) if step is not None else []


def _rows(scene: Scene, name: str, step: StepState, events: Sequence[Recorded]) -> Iterator[Row]:
    outline = scene.outline.step(name)
    for label, text in (("condition", outline.condition), ("for each", outline.each), ("while", outline.again)):
        if text:
            said = f"  {_VERDICTS.get(step.verdict, 'not looked at yet')}" if label == "condition" else ""
            items = f"  {plural(step.items, 'item')}" if label == "for each" and step.items is not None else ""
            yield _row(scene, label, text, said or items)
    for recorded in events:
        yield from _approval(scene, recorded)
    for need, version in sorted((step.inputs or {}).items())[:20]:
        yield _row(scene, "given", need, f"  event {version:,}")
    stood_in = _stand_in(scene, name)
    if stood_in:
        yield _row(scene, "stood in", stood_in, "  its output counts as this step's")


def _approval(scene: Scene, recorded: Recorded) -> Iterator[Row]:
    event, at = recorded.event, time_of_day(recorded.at)
    if isinstance(event, ApprovalRequested):
        yield _row(scene, "asked", event.message or "for approval", f"  at {at}")
    elif isinstance(event, ApprovalGiven):
        note = f"  {one_line(event.note, 300, scene.glyphs).text}" if event.note else ""
        yield _row(scene, "approved" if event.approved else "rejected", f"by {recorded.actor}", f"  at {at}{note}")
    elif isinstance(event, ApprovalExpired):
        yield _row(scene, "approved" if event.approved else "rejected", "nobody answered in time", f"  at {at}")


def _row(scene: Scene, label: str, text: str, after: str) -> Row:
    return Row([Seg(label.ljust(LABEL), Ink.MUTED), *one_line(text, 400, scene.glyphs).segs(), Seg(after, Ink.MUTED)])


def _stand_in(scene: Scene, name: str) -> str:
    """What completed in the place of a failed step."""
    fallback = scene.outline.step(name).fallback
    step, other = scene.state.steps.get(name), scene.state.steps.get(fallback) if fallback else None
    failed = step is not None and step.status in (StepStatus.FAILED, StepStatus.TIMED_OUT)
    return fallback if failed and other is not None and other.status is StepStatus.COMPLETED else ""
