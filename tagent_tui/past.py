"""A run as it was: the state after some event, and what that event did; moved by wishes that do not queue up.

Apart from the run screen so that scrubbing is tested without one. A held key sets the target over and over; only the newest
target is sought, at most 20 times a second, so letting go stops at once.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field

from store.errors import BlobMissingError, StoreError
from store.events import ArtifactMade, Payload, Recorded, RunId, RunMigrated
from store.log import Log
from store.state import RunState, StepStatus
from tagent_tui.feed import Pace
from tagent_tui.glyphs import Glyphs
from tagent_tui.newest import Newest
from tagent_tui.text import TOTAL_CAP
from tagent_tui.view.changes import Before, Change, changes, remember, status_changes
from tagent_tui.view.document import Content, content_of
from tagent_tui.view.happening import Happening
from tagent_tui.view.outline import Outline
from tagent_tui.view.scene import Scene, look_back

AROUND = 64
"""Events read on both sides of the playhead: what the lower track shows, and where causes and decisions mostly are."""

CARRIED = ("output", "value", "arguments", "content", "body", "params", "fields", "metadata")
"""The fields an event may carry a value in."""


@dataclass
class Moment:
    """The run after event `version`. `around` are the events near it by version."""

    version: int
    state: RunState
    event: Recorded
    around: dict[int, Recorded] = field(default_factory=dict)
    before: Before | None = None
    cause: Recorded | None = None
    content: Content | None = None

    @property
    def changed(self) -> dict[str, tuple[StepStatus, StepStatus]]:
        """The steps whose status the event changed, before and after."""
        return status_changes(self.before, self.state) if self.before is not None else {}

    def happening(self, outline: Outline, glyphs: Glyphs) -> Happening:
        """What to say of the event."""
        decided = [one for one in self.around.values() if one.causation == self.version]
        found: list[Change] = changes(self.before, self.state, outline, glyphs) if self.before is not None else []
        return Happening(self.event, self.cause, decided, found, self.content)

    def scene(self, outline: Outline, starts: dict[str, int], glyphs: Glyphs) -> Scene:
        """The look back from which rows are made."""
        return look_back(self.state, outline, starts=starts, changed=self.changed, glyphs=glyphs)


class Past:
    """One run's history, and where in it we stand.

    `show` is awaited with every moment that is reached, `refuse` is told in a sentence why one was not.
    """

    def __init__(
        self, log: Log, run: RunId, head: int, show: Callable[[Moment], Awaitable[None]], refuse: Callable[[str], None]
    ) -> None:
        self.log, self.run, self.head = log, run, max(head, 1)
        self.moment: Moment | None = None
        self.target = self.head
        self.seeks = 0
        self._history = log.history(run)
        self._show, self._refuse = show, refuse
        self._wishes: Newest[int] = Newest(self._reach, Pace.SCRUBBING.value)

    def go(self, version: int) -> None:
        """Wish to stand at a version; the newest wish counts."""
        wanted = min(max(version, 1), self.head)
        if wanted != self.target or self.moment is None:
            self.target = wanted
            self._wishes.want(wanted)

    def grow(self, head: int) -> None:
        """The run went on meanwhile."""
        self.head = max(self.head, head)

    async def keep_up(self) -> None:
        """Follow the wishes until cancelled."""
        await self._wishes.run()

    async def _reach(self, target: int) -> None:
        if self.moment is None or self.moment.version != target:
            try:
                self.moment = await self.stand_at(target)
            except StoreError as error:
                self._refuse(str(error))
                return
            await self._show(self.moment)

    async def stand_at(self, version: int) -> Moment:
        """The run after event `version`, and what that event changed."""
        self.seeks += 1
        low, high = max(version - AROUND - 1, 0), version + AROUND
        around = {one.version: one for one in await self.log.events(self.run, after=low, upto=high)}
        event = around[version]
        earlier = await self._history.seek(version - 1) if version > 1 else RunState()
        before = remember(earlier, _touched(event, earlier))
        state = await self._history.seek(version)
        cause = await self._event(event.causation, around)
        return Moment(version, state, event, around, before, cause, await self._carried(event))

    async def _event(self, version: int | None, around: dict[int, Recorded]) -> Recorded | None:
        if version is None:
            return None
        if version in around:
            return around[version]
        found = await self.log.events(self.run, after=version - 1, upto=version)
        return found[0] if found else None

    async def _carried(self, recorded: Recorded) -> Content | None:
        """The value the event carries, unless it is too large to read in passing."""
        payloads = (getattr(recorded.event, name, None) for name in CARRIED)
        payload = next((one for one in payloads if isinstance(one, Payload) and one.size > len("null")), None)
        if payload is None or payload.size > TOTAL_CAP:
            return None
        try:
            if isinstance(recorded.event, ArtifactMade):
                text = await self.log.blob(payload.blob or "")
                return Content(text.decode("utf-8", "replace"), payload.size)
            return content_of(await self.log.text(payload))
        except BlobMissingError:
            return None


def _touched(recorded: Recorded, earlier: RunState) -> Iterable[str]:
    """The steps an event may change: its own, or all of them when the definition changes."""
    if isinstance(recorded.event, RunMigrated):
        return list(earlier.steps)
    return [recorded.step] if recorded.step is not None else []
