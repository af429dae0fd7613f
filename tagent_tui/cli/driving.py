"""Driving a run in this process to its end: watched, interruptible, its stream or its progress written as it goes.

Stands apart because `run`, `demo` and `resume` differ only in how the run begins and in what is printed after it.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, NamedTuple

from engine.budgets import failed_of_one
from store import Log, RunId, RunRow, RunState
from store.state import RunStatus, shown_status
from tagent_tui.cli.exits import Exit, InterruptedRunError
from tagent_tui.cli.forms import event_form, finished_form, run_form
from tagent_tui.cli.progress import Progress
from tagent_tui.cli.session import Session

if TYPE_CHECKING:
    from engine.engine import Engine

LIVES_SECONDS = 0.5
"""How often the steps' latest words are read for the moving line."""

EXITS = {
    RunStatus.COMPLETED: Exit.OK,
    RunStatus.PAUSED: Exit.WAITS,
    RunStatus.WAITING: Exit.WAITS,
    RunStatus.RUNNING: Exit.CONFLICT,
}
"""How a run that is no longer driven here ends the command; everything else failed."""


class Ended(NamedTuple):
    """A run as this process left it."""

    row: RunRow
    state: RunState
    status: RunStatus

    @property
    def exit(self) -> Exit:
        """The exit code it ends the command with."""
        return Exit.BUDGET if self.over_budget else EXITS.get(self.status, Exit.FAILED)

    @property
    def over_budget(self) -> bool:
        """Whether a budget stopped it: it waits until that is raised, or failed of it."""
        paused = self.status is RunStatus.PAUSED and any(reached.startswith(":") for reached in self.state.reached)
        return paused or failed_of_one(self.state)


async def drive(session: Session, engine: Engine, begin: Callable[[], Awaitable[RunId]], *, began: int = 0) -> Ended:
    """Begin a run, follow it while this process drives it, and say how it ended.

    `began` is the version up to which its events are known already. A first signal stops the driving and leaves the run to be
    resumed (`InterruptedRunError`), a second one ends the process at once.
    """
    async with _stoppable() as stop:
        run = None
        try:
            run = await begin()
            watcher = _Watcher(session, engine.log, run, began)
            async with watcher.watching():
                await engine.wait(run)
            await watcher.catch_up()
        except asyncio.CancelledError:
            if not stop:
                raise
            await engine.close()
            where = f"tagent-tui resume {run} goes on" if run is not None else "no run was recorded"
            raise InterruptedRunError(f"interrupted; {where}", 128 + stop[0]) from None
        ended = await look(engine.log, run)
        if session.json:
            form = await run_form(engine.log, ended.row, ended.state, alive=ended.row.alive())
            session.output.record(finished_form(form, ended.state))
        return ended


async def look(log: Log, run: RunId) -> Ended:
    """A run as it stands."""
    row = await log.find(run)
    state = await log.state(row.id)
    return Ended(row, state, shown_status(state, row.alive()))


class _Watcher:
    """Reads the run's events from the log and writes them: a JSON stream, or progress."""

    def __init__(self, session: Session, log: Log, run: RunId, after: int) -> None:
        self._session, self._log, self._run, self._seen = session, log, run, after
        self._progress: Progress | None = None
        self._lives: dict[str, str] = {}

    @asynccontextmanager
    async def watching(self) -> AsyncIterator[None]:
        if not self._session.json:
            self._progress = Progress(self._session.output, await self._log.state(self._run, self._seen))
        tasks = [asyncio.create_task(self._follow()), asyncio.create_task(self._move())]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            for task in tasks:
                with suppress(asyncio.CancelledError):
                    await task
            if self._progress is not None:
                self._progress.clear()

    async def catch_up(self) -> None:
        """Write what was recorded since the last batch that was followed."""
        while batch := await self._log.events(self._run, after=self._seen, limit=1000):
            self._take(batch)

    async def _follow(self) -> None:
        async for batch in self._log.follow(self._run, self._seen):
            self._take(batch)

    def _take(self, batch: list) -> None:  # type: ignore[type-arg]
        self._seen = batch[-1].version
        if self._progress is not None:
            self._progress.take(batch)
            return
        for recorded in batch:
            self._session.output.record(event_form(self._run, recorded))

    async def _move(self) -> None:
        if self._progress is None or not self._session.output.err.movable:
            return
        moving = asyncio.create_task(self._progress.move(self._lives))
        try:
            while True:
                self._lives.clear()
                self._lives.update(await self._log.lives(self._run))
                await asyncio.sleep(LIVES_SECONDS)
        finally:
            moving.cancel()


@asynccontextmanager
async def _stoppable() -> AsyncIterator[list[int]]:
    """While inside, the first signal cancels this task and stands in the list; the second ends the process."""
    loop, task, got = asyncio.get_running_loop(), asyncio.current_task(), list[int]()

    def on_signal(number: int) -> None:
        if got:
            os._exit(128 + number)
        got.append(number)
        if task is not None:
            task.cancel()

    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    for number in numbers:
        loop.add_signal_handler(number, on_signal, number)
    try:
        yield got
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)
