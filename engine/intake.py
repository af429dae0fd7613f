"""What comes back to the driver between two turns: outcomes of attempts and of looks, as the facts they are recorded as.

Stands apart from the runtime because it only turns values into events: nothing is started or stopped here.
"""

from __future__ import annotations

from collections import deque
from collections.abc import MutableMapping
from typing import TYPE_CHECKING, Any

from engine.answers import Blob
from engine.commands import Fact
from engine.executor import Completed, Outcome, Skipped
from engine.record import Record
from engine.written import Written
from store.events import Payload, StepCompleted, StepFailed, StepSkipped

if TYPE_CHECKING:
    from engine.looks import Seen


class Intake:
    """`outcomes` are (path, attempt, what it came to), `seen` are (path, what a look came to); true while there is any."""

    def __init__(self, record: Record, written: Written) -> None:
        self._record, self._written = record, written
        self.outcomes: deque[tuple[str, int, Outcome]] = deque()
        self.seen: deque[tuple[str, Seen]] = deque()

    def __bool__(self) -> bool:
        return bool(self.outcomes or self.seen)

    def take(self, tasks: MutableMapping[str, Any], blobs: list[Blob], kept: dict[str, bytes]) -> list[Fact]:
        """The facts of everything that came; of attempts that are closed and looks that nobody wants any more, nothing.

        Attempts that ended leave `tasks`; contents to store are added to `blobs`, outputs by path to `kept`.
        """
        facts: list[Fact] = []
        while self.outcomes:
            path, attempt, outcome = self.outcomes.popleft()
            tasks.pop(path, None)
            if self._record.running.get(path) == attempt:
                facts.append(self._settle(path, attempt, outcome, blobs, kept))
        while self.seen:
            self._take_look(*self.seen.popleft(), facts, blobs, kept)
        return facts

    def _settle(self, name: str, attempt: int, outcome: Outcome, blobs: list[tuple[str, bytes]], kept: dict[str, bytes]) -> Fact:
        self._written.forget((name, attempt))
        if isinstance(outcome, Completed):
            if outcome.blob is not None and outcome.output.blob is not None:
                blobs.append((outcome.output.blob, outcome.blob))
            kept[name] = outcome.blob if outcome.blob is not None else bytes(outcome.output.json)
            return StepCompleted(outcome.output, outcome.closes), name, attempt
        if isinstance(outcome, Skipped):
            return StepSkipped(outcome.reason, None, self._record.plan.step_of(name).skip != "propagate"), name, attempt
        if outcome.blob is not None:
            blobs.append(outcome.blob)
        return StepFailed(outcome.failure), name, attempt

    def _take_look(self, path: str, seen: Seen, facts: list[Fact], blobs: list[tuple[str, bytes]], kept: dict[str, bytes]) -> None:
        """Record what a look came to, if it is still wanted."""
        event, blob = seen
        if path not in self._record.schedule.looking:
            return
        payload = event.output if isinstance(event, StepCompleted) else getattr(event, "values", Payload())
        if payload.blob is not None and blob is not None:
            blobs.append((payload.blob, blob))
        if isinstance(event, StepCompleted):
            kept[path] = blob if blob is not None else bytes(payload.json)
        facts.append((event, path, self._record.state.steps[path].attempt))
