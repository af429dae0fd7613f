"""What people ask of single steps, carried out: cancel, skip, try again. Pure.

Stands apart from `scheduler.py` because a wish outlives the moment: it is carried out in steps, also in a run that has ended.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from engine.agenda import Agenda
from engine.joins import FAILURES
from store.events import Event, RunReopened, StepCancelled, StepReset, StepRetryScheduled, StepSkipped
from store.state import RunState, StepState, StepStatus, children_of

Decision = tuple[Event, str | None, int]
"""(event, step path or None for the run, attempt)"""


SKIPPED_BY_COMMAND = "skipped by a command"


class Wishes(Agenda):
    """The decisions that follow from `RunState.wishes`."""

    def wished(self, state: RunState, now: float) -> Decision | None:
        """The next decision that carries out what a person asked of a step."""
        for path in state.wishes:
            step = state.steps.get(path)
            if step is None or not self.plan.knows(path):
                continue
            if step.wish == "retry":
                decision = self._again(state, path, now)
            elif state.status.ended or step.status.settled:
                decision = None
            elif child := next(self._unsettled_children(state, path), None):
                decision = self.stop(state, child, f"{path} was {'cancelled' if step.wish == 'cancel' else 'skipped'}")
            elif step.wish == "cancel":
                decision = self.stop(state, path, "cancelled by a command")
            else:
                decision = StepSkipped(SKIPPED_BY_COMMAND, passes=True), path, step.attempt
            if decision is not None:
                return decision
        return None

    def _again(self, state: RunState, path: str, now: float) -> Decision | None:
        """Try a failed step again: first the run is open, then what fell with it is pending, then the next attempt is due.

        A step that was refused never began: it is pending again, so that it is judged anew.
        """
        step = state.steps[path]
        if step.status not in FAILURES:
            return None
        if state.status.ended:
            return RunReopened(), None, 0
        if self.fallen is None or self.fallen[0] != path:
            below = self.plan.descendants({path}) - {path}
            self.fallen = path, deque(sorted(below & state.steps.keys(), key=self.plan.place.__getitem__))
        while self.fallen[1]:
            name = self.fallen[1].popleft()
            if self._fell(state.steps[name]):
                return StepReset(f"{path} is tried again"), name, state.steps[name].attempt
        for child in children_of(state, path):
            held = state.steps[child]
            if held.status in FAILURES:
                return StepRetryScheduled(now), child, held.attempt
            if held.status is StepStatus.CANCELLED:
                return StepReset(f"{path} is tried again"), child, held.attempt
        if step.attempt < step.first_attempt:
            return StepReset("it is tried again"), path, step.attempt
        return StepRetryScheduled(now), path, step.attempt

    def _fell(self, step: StepState) -> bool:
        if step.status is StepStatus.PENDING:
            return bool(step.refused)  # it refused what is to come anew
        return step.status is StepStatus.CANCELLED or (step.status is StepStatus.SKIPPED and not step.passes)

    def _unsettled_children(self, state: RunState, path: str) -> Iterator[str]:
        for child in children_of(state, path):
            if not state.steps[child].status.settled:
                yield child

    def stop(self, state: RunState, path: str, reason: str) -> Decision:
        """Cancel a step or child, and say what it leaves behind."""
        return StepCancelled(f"{reason}{unknown(state, path)}"), path, state.steps[path].attempt


def unknown(state: RunState, name: str) -> str:
    """What a step leaves behind that may have happened or not."""
    left = [effect.name for effect in state.open.values() if effect.step == name and effect.safety == "irreversible"]
    return f"; {', '.join(map(repr, left))} has no known outcome" if left else ""
