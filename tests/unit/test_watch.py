"""What the runs screen reads, how much of it, and what it makes of drivers that die."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from store import Driver, Log, RunRow
from store.events import RunId
from tagent_tui.runlist import Filter
from tagent_tui.watch import ALIVE_FOR, PAGE, Drivers, RunsWatch

NOW = 10_000.0


def run(place: int, status: str = "completed", pipeline: str = "audit", head: int = 5, pid: int = 7) -> RunRow:
    """A run whose id is its place."""
    return RunRow(
        place, RunId(f"{place:08x}"), pipeline, status, head, NOW, NOW if status == "completed" else None, NOW, None, None, None,
        0.5, 0, 10, 2, 2, 0, 0, False, "", Driver(pid, 1.0, "here"), 0, None,
    )  # fmt: skip


class TableLog:
    """A log that answers from a list of runs, and remembers what it was asked."""

    def __init__(self, runs: list[RunRow]) -> None:
        self.rows = runs
        self.asked: list[tuple[str, Any]] = []
        self.before_answer: Callable[[], None] = lambda: None

    async def runs(
        self, *, status: str | None = None, pipeline: str | None = None, limit: int, before: int | None = None
    ) -> list[RunRow]:
        """A page, newest first."""
        self.asked.append(("runs", (status, pipeline, before)))
        kept = [
            one
            for one in sorted(self.rows, key=lambda one: -one.row)
            if status in (None, one.status) and pipeline in (None, one.pipeline) and (before is None or one.row < before)
        ]
        self.before_answer()
        return kept[:limit]


def watch(alive: Callable[[RunRow], bool] = lambda _: False) -> RunsWatch:
    """A watch at a fixed time; `alive` says which drivers live."""
    return RunsWatch(lambda: NOW, Drivers(lambda: NOW, alive))


def rows(found: RunsWatch) -> list[int]:
    """The places of the listed runs."""
    return [entry.run.row for entry in found.list.entries]


async def test_one_page_is_read() -> None:
    """A look reads the newest page and nothing below it."""
    log, found = TableLog([run(place) for place in range(1, 501)]), watch()
    await found.read(cast("Log", log))
    assert rows(found) == list(range(500, 500 - PAGE, -1))
    assert log.asked == [("runs", (None, None, None))]


async def test_the_page_on_screen_is_read_again() -> None:
    """Further down, the rows on screen are read again too, so that a live run there moves."""
    log, found = TableLog([run(place) for place in range(1, 501)]), watch()
    await found.read(cast("Log", log))
    assert await found.read_older(cast("Log", log))
    log.rows[349] = run(350, head=99)
    await found.read(cast("Log", log), window=[352, 351, 350])
    assert found.list.runs["0000015e"].head == 99
    assert log.asked[-1] == ("runs", (None, None, 353))


async def test_a_filter_loads_on_until_it_has_a_page() -> None:
    """Words are looked for page after page; status and pipeline are asked of the store."""
    log, found = TableLog([run(place, pipeline="rare" if place == 3 else "audit") for place in range(1, 401)]), watch()
    found.narrow(Filter("rare"))
    await found.read(cast("Log", log))
    assert rows(found) == [3]
    found.narrow(Filter(pipeline="rare"))
    log.asked.clear()
    await found.read(cast("Log", log))
    assert rows(found) == [3]
    assert log.asked[0] == ("runs", (None, "rare", None))


async def test_a_page_that_answers_an_old_question_is_dropped() -> None:
    """A page asked for before the filter changed would leave gaps, so it is not taken."""
    log, found = TableLog([run(place) for place in range(1, 301)]), watch()
    log.before_answer = lambda: found.narrow(Filter(pipeline="other"))
    await found.read(cast("Log", log))
    assert found.list.runs == {}
    log.before_answer = lambda: None
    found.narrow(Filter())
    await found.read(cast("Log", log))

    def reset() -> None:
        found.list.take_newest([run(place) for place in range(600, 500, -1)], PAGE)

    log.before_answer = reset
    assert not await found.read_older(cast("Log", log))
    assert min(one.row for one in found.list.runs.values()) == 501


async def test_reading_the_list_asks_for_nothing_but_pages() -> None:
    """Who runs, waits or was interrupted is told from the list's own rows and who is alive."""
    log = TableLog([run(1, "waiting"), run(2), run(3, "running", pid=9), run(4, "running")])
    found = watch(lambda one: one.driver is not None and one.driver.pid == 9)
    await found.read(cast("Log", log))
    assert {asked[0] for asked in log.asked} == {"runs"}
    shown = {entry.run.row: entry.status for entry in found.list.entries}
    assert shown == {1: "waiting", 2: "completed", 3: "running", 4: "interrupted"}
    assert (found.live, found.waiting) == (1, 1)


def test_a_dead_driver_is_never_asked_again() -> None:
    """The system is asked about a living driver once a second, and never again about a dead one."""
    now, asked, lives = [0.0], [], [True]

    def ask(one: RunRow) -> bool:
        asked.append(one.row)
        return lives[0]

    drivers = Drivers(lambda: now[0], ask)
    one = run(1, "running")
    assert [drivers.alive(one) for _ in range(5)] == [True] * 5
    assert len(asked) == 1
    now[0] += ALIVE_FOR
    lives[0] = False
    assert not drivers.alive(one)
    now[0] += 100
    lives[0] = True
    assert not drivers.alive(one)
    assert len(asked) == 2


async def test_live_runs_have_a_pace_and_a_cost() -> None:
    """Heads and costs seen over time become the series of the peek."""
    now = [NOW]
    found = RunsWatch(lambda: now[0], Drivers(lambda: now[0], lambda _: True))
    log = TableLog([run(1, "running", head=10)])
    for step in range(4):
        now[0] = NOW + step
        log.rows = [run(1, "running", head=10 + 7 * step)]
        await found.read(cast("Log", log))
    now[0] = NOW + 4.5
    assert found.rates.series("00000001", now[0], 4) == [0, 7, 7, 7]
    assert found.busiest == 7
    assert found.peek(found.list.entries[0]).costs == [0.5] * 5
