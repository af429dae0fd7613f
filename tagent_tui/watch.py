"""What the runs screen knows: the loaded runs, who is alive, how fast they go, and the selected run's state.

Apart from the screen because it only reads, and can be asked without a terminal how much it read. Every read is a page or a
tail; nothing counts or skips rows in the store.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field

from store import Log, RunRow
from store.events import Recorded, RunId
from tagent_tui.feed import Rates, RunFollower
from tagent_tui.outlines import outline_from
from tagent_tui.peek import GRAPH, Peek
from tagent_tui.runlist import ENDED, Entry, Filter, RunList
from tagent_tui.view.outline import NO_OUTLINE, Outline

PAGE = 100
"""Runs read at a time: more than two screens of them."""

RECENT = 40
"""Last events kept of the selected run: more than are shown, because an outcome is told by its request before it."""

MOST = 5_000
"""Runs loaded at most while a filter looks for matches by itself."""

ALIVE_FOR = 1.0
"""Seconds for which a driver that was alive is taken to be."""


class Drivers:
    """Whether a run's driver lives. Asking the system costs 50 µs, so a living one is asked once a second, a dead one never."""

    def __init__(self, clock: Callable[[], float] = time.monotonic, lives: Callable[[RunRow], bool] = RunRow.alive) -> None:
        self._clock = clock
        self._lives = lives
        self._known: dict[object, tuple[float, bool]] = {}

    def alive(self, run: RunRow) -> bool:
        """Whether somebody drives the run now."""
        if run.driver is None:
            return False
        key = (run.driver.pid, run.driver.started, run.driver.host)
        at, lived = self._known.get(key, (float("-inf"), True))
        now = self._clock()
        if lived and now - at >= ALIVE_FOR:
            lived = self._lives(run)
            self._known[key] = (now, lived)
        return lived


@dataclass
class Selected:
    """The run whose peek is shown: what was read of it so far."""

    run: str
    follower: RunFollower
    outline: Outline = NO_OUTLINE
    recent: deque[Recorded] = field(default_factory=lambda: deque(maxlen=RECENT))

    async def read(self, log: Log, head: int) -> None:
        """Read on; the first time, the state and the last few events."""
        if self.follower.state is None:
            await self.follower.pull()
            state = self.follower.state
            head = state.version if state is not None else head
            self.recent.extend(await log.events(RunId(self.run), after=max(head - RECENT, 0), upto=head))
            self.outline = await outline_from(log, RunId(self.run), state)
            return
        while batch := await self.follower.pull():
            self.recent.extend(batch)
            await asyncio.sleep(0)


class RunsWatch:
    """The runs screen's knowledge. `loaded` says whether the store was read at all, `live` how many runs are driven now."""

    def __init__(self, now: Callable[[], float], drivers: Drivers | None = None) -> None:
        self.now = now
        self.drivers = drivers or Drivers()
        self.list = RunList(alive=self.drivers.alive)
        self.rates = Rates()
        self.costs: dict[str, deque[tuple[int, float]]] = {}
        self.loaded = False
        self.live = 0
        self.waiting = 0
        self.selected: Selected | None = None

    async def read(self, log: Log, window: Collection[int] = ()) -> None:
        """Read the newest page, the page of a window further down (`row` numbers on screen), and who lives."""
        asked = self._asked
        page = await self._page(log, None)
        if asked != self._asked:
            return
        self.list.take_newest(page, PAGE)
        oldest = page[-1].row if page else 0
        below = [row for row in window if row < oldest]
        if below:
            self.list.refresh(await self._page(log, max(below) + 1))
        await self._fill(log)
        self._count(await log.runs(status="running", limit=PAGE) if self.list.filter.on else list(self.list.runs.values()))
        self.loaded = True

    async def read_older(self, log: Log) -> bool:
        """Load one page more at the old end; whether there was one."""
        asked, before = self._asked, self.list.oldest
        if not self.list.more or before is None:
            return False
        page = await self._page(log, before)
        if asked != self._asked or before != self.list.oldest:
            return False
        self.list.take_older(page, PAGE)
        return True

    def narrow(self, wanted: Filter) -> None:
        """Narrow the list; what the store can narrow is read again."""
        before = self._asked
        self.list.filter = wanted
        if before != self._asked:
            self.list.runs, self.list.more = {}, True

    async def select(self, log: Log, run: RunRow) -> None:
        """Read the peek of this run; the same one again reads only what is new."""
        if self.selected is None or self.selected.run != run.id or self.selected.follower.log is not log:
            self.selected = Selected(run.id, RunFollower(log, run.id))
        await self.selected.read(log, run.head)

    def peek(self, entry: Entry) -> Peek:
        """What is known of an entry; its state only if it is the one that was read."""
        now = self.now()
        run = entry.run
        known = self.selected if self.selected is not None and self.selected.run == run.id else None
        return Peek(
            entry,
            known.follower.state if known else None,
            known.outline if known else NO_OUTLINE,
            alive=entry.status == "running",
            now=now,
            events=tuple(known.recent) if known else (),
            pulse=self.rates.series(run.id, now, GRAPH),
            costs=self._cost_series(run.id, now),
        )

    @property
    def busiest(self) -> float:
        """The most events a second of any live run lately: what fills a sparkline's cell, so that rows compare."""
        now = self.now()
        return max((max(self.rates.series(run, now, 8)) for run in self.rates.known), default=0) or 1.0

    @property
    def _asked(self) -> tuple[str | None, str | None]:
        """What the store is asked for. A page that was asked for before it changed is dropped: it would leave gaps."""
        shown = self.list.filter
        return shown.status if shown.status in ENDED else None, shown.pipeline

    async def _page(self, log: Log, before: int | None) -> list[RunRow]:
        status, pipeline = self._asked
        return await log.runs(status=status, pipeline=pipeline, limit=PAGE, before=before)

    async def _fill(self, log: Log) -> None:
        """Where a filter leaves little of what is loaded, load on until a page is full or the end is reached."""
        self.list.arrange()
        while self.list.filter.on and len(self.list.entries) < PAGE and len(self.list.runs) < MOST:
            if not await self.read_older(log):
                return
            self.list.arrange()

    def _count(self, runs: Sequence[RunRow]) -> None:
        now = self.now()
        self.live = self.waiting = 0
        for run in runs:
            if run.status in ENDED:
                continue
            alive = self.drivers.alive(run)
            self.waiting += self.list.status(run) == "waiting"
            if not alive:
                continue
            self.live += 1
            self.rates.seen(run.id, run.head, now)
            costs = self.costs.setdefault(run.id, deque(maxlen=GRAPH))
            if costs and costs[-1][0] == int(now):
                costs.pop()
            costs.append((int(now), run.cost))
        keep = {run.id for run in runs}
        self.rates.forget(keep)
        for gone in [run for run in self.costs if run not in keep]:
            del self.costs[gone]

    def _cost_series(self, run: str, now: float) -> list[float]:
        """What the run had cost at each of the last seconds that were seen."""
        known = self.costs.get(run, ())
        if not known:
            return []
        at = dict(known)
        first = min(at)
        series: list[float] = []
        cost = at[first]
        for second in range(max(first, int(now) - GRAPH + 1), int(now) + 1):
            cost = at.get(second, cost)
            series.append(cost)
        return series
