"""Driving the app through Pilot: a store on disk, a clock that stands still, waiting for what is on screen.

Apart from the tests because every screen's tests open the same app in the same way.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from textual.pilot import Pilot

from engine.config import TAgentConfig
from store.events import RunAttached, RunCompleted, RunCreated, StepStarted
from store.log import Log
from tagent_tui.app import TagentApp
from tests.acceptance.made_runs import BASE, Made, write

PATIENCE = 15.0
"""Seconds a condition may take on a busy machine."""

NOW = BASE + 3_600.0
"""Where the clock stands: an hour after the made runs began."""


def simple(number: int, *, name: str = "audit", ended: bool = True) -> Made:
    """A run of one step, created `number` seconds after the first; its id begins with its number."""
    made = Made(f"{number:04x}cafe", BASE + number)
    made.add(RunCreated(name, "0" * 64, ["scan"], "f"))
    made.add(RunAttached(4121, BASE, "desk", 1))
    if ended:
        made.add(RunCompleted(), after=1.0)
    else:
        made.add(StepStarted(), "scan", 1)
    return made


async def store(path: Path, *runs: Made) -> Path:
    """A store with these runs, none of them driven any more."""
    async with await Log.open(path) as log:
        for made in runs:
            lease = await write(log, made)
            await lease.release()
    return path


@asynccontextmanager
async def opened(
    path: Path, size: tuple[int, int] = (120, 40), config: TAgentConfig | None = None, run_id: str | None = None, now: float = NOW
) -> AsyncIterator[Pilot[None]]:
    """The app on a store, its first look done."""
    app = TagentApp(path, config or TAgentConfig(), run_id, now=lambda: now)
    try:
        async with app.run_test(size=size, notifications=True) as pilot:
            await until(pilot, lambda: app.feed.updates > 0)
            yield pilot
            app.exit()
    finally:
        await app.feed.close()  # as whoever starts it does


async def until(pilot: Pilot[None], condition: Callable[[], object]) -> None:
    """Wait until the condition holds; fail with what is on screen when it does not."""
    try:
        async with asyncio.timeout(PATIENCE):
            while not condition():
                await pilot.pause(0.02)
    except TimeoutError:
        raise AssertionError("the condition did not come to hold; on screen:\n" + text(pilot)) from None


def text(pilot: Pilot[None]) -> str:
    """What is on screen, as lines."""
    screen = pilot.app.screen
    return "\n".join(strip.text.rstrip() for strip in screen._compositor.render_strips())


async def sees(pilot: Pilot[None], *words: str) -> None:
    """Wait until all of these are on screen."""
    await until(pilot, lambda: all(word in text(pilot) for word in words))


async def misses(pilot: Pilot[None], *words: str) -> None:
    """Wait until none of these is on screen."""
    await until(pilot, lambda: not any(word in text(pilot) for word in words))


def app_of(pilot: Pilot[None]) -> TagentApp:
    """The app that is driven."""
    app = pilot.app
    assert isinstance(app, TagentApp)
    return app
