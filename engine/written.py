"""What an attempt wrote before a crash: its lines, artifacts and checkpoints are not recorded again when its body runs again. Pure.

Stands apart because lines are not effects: a body need not write the same again, and whatever it writes anew is recorded.
"""

from __future__ import annotations

from collections import Counter

from store.events import ArtifactMade, CheckpointMade, LogWritten, Recorded

Attempt = tuple[str, int]
"""(step path, attempt)"""

Wrote = LogWritten | ArtifactMade | CheckpointMade


class Written:
    """Counts of what is recorded and not yet written again, by attempt."""

    def __init__(self) -> None:
        self._counts: dict[Attempt, Counter[tuple[str, ...]]] = {}

    def remember(self, recorded: Recorded) -> None:
        """Take in something recorded."""
        if recorded.step is not None:
            self._counts.setdefault((recorded.step, recorded.attempt), Counter())[_said(recorded.event)] += 1

    def again(self, attempt: Attempt, event: Wrote) -> bool:
        """Whether this is recorded already; each recorded one answers once."""
        counts = self._counts.get(attempt)
        said = _said(event)
        if not counts or not counts[said]:
            return False
        counts[said] -= 1
        return True

    def forget(self, attempt: Attempt) -> None:
        """The attempt ended."""
        self._counts.pop(attempt, None)


def _said(event: Wrote) -> tuple[str, ...]:
    if isinstance(event, ArtifactMade):
        return "artifact", event.name, event.content.blob or ""
    if isinstance(event, CheckpointMade):
        return "checkpoint", event.kind, event.name, event.metadata.blob or bytes(event.metadata.json).decode()
    return event.stream, event.text
