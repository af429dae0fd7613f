"""Watching a run of 10,000 steps that writes 1,000 events a second, and looking at one that does nothing.

What is measured is the processor time of the UI's process, as a share of one core, while another process drives the run.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from pathlib import Path

from _common import ROOT, arguments, emit, folder, report
from _terminal import Terminal, opened, run_screen, runs_list

from engine import Engine, Pipeline, TAgentConfig
from store import Log
from store.errors import StoreError

AT_ONCE = 64
EVENTS_A_SECOND = 1_000
RUN = "abcabc"


async def pause() -> None:
    """A step that keeps the pace: `AT_ONCE` of them at once, two events each."""
    await asyncio.sleep(2 * AT_ONCE / EVENTS_A_SECOND)


async def drive(db: str, steps: int) -> None:
    """The watched run, in this process."""
    pipeline = Pipeline("watched")
    for place in range(steps):
        pipeline.step(f"step_{place:05d}", run=pause, execution_mode="concurrent")
    async with Engine(db, TAgentConfig(max_concurrent_steps=AT_ONCE)) as engine:
        await engine.start(pipeline, run_id=RUN)
        await engine.wait(RUN)


async def head(db: Path) -> int:
    """How many events the watched run has; 0 before it began."""
    try:
        async with await Log.open(db, readonly=True) as log:
            return await log.head((await log.find(RUN)).id)
    except StoreError:
        return 0


def wait_for(db: Path, version: int) -> None:
    """Until the run has come so far."""
    ends = time.monotonic() + 60
    while asyncio.run(head(db)) < version:
        if time.monotonic() > ends:
            raise TimeoutError(f"the watched run did not reach event {version}")
        time.sleep(0.05)


def share(terminal: Terminal, seconds: float) -> float:
    """Percent of a core over some seconds."""
    before, began = terminal.cpu(), time.perf_counter()
    terminal.drain(seconds)
    return (terminal.cpu() - before) / (time.perf_counter() - began) * 100


def watch(steps: int, seconds: float, on_list: bool) -> tuple[float, float]:
    """Percent of a core while watching a running pipeline, and the events a second that were written meanwhile."""
    with folder() as place:
        db = place / "runs.db"
        driver = subprocess.Popen([sys.executable, __file__, "--drive", str(db), str(steps)], cwd=ROOT)
        try:
            wait_for(db, 10)
            with opened(*(runs_list(db) if on_list else run_screen(db, RUN))) as terminal:
                terminal.until(b"watched")
                terminal.drain(1.0)
                before, began = asyncio.run(head(db)), time.perf_counter()
                percent = share(terminal, seconds)
                rate = (asyncio.run(head(db)) - before) / (time.perf_counter() - began)
        finally:
            driver.kill()
            driver.wait()
    return percent, rate


def idle(seconds: float, on_list: bool) -> float:
    """Percent of a core of a screen over a run that ended."""
    with folder() as place:
        db = place / "runs.db"
        asyncio.run(drive(str(db), 20))
        with opened(*(runs_list(db) if on_list else run_screen(db, RUN))) as terminal:
            terminal.until(b"watched")
            terminal.settle()
            return share(terminal, seconds)


def main() -> None:
    asked = arguments(__doc__ or "")
    steps, seconds = (500, 1.0) if asked.small else (10_000, 8.0)
    emit(name="watch", steps=steps, seconds=seconds, small=asked.small)
    for name, on_list in (("run", False), ("list", True)):
        found = [watch(steps, seconds, on_list) for _ in range(asked.repeats)]
        rates = sorted(rate for _, rate in found)
        report(
            f"ui_watch_{name}", [percent for percent, _ in found], unit="% of a core", gate=15.0,
            events_a_second=rates[len(rates) // 2], driver="another process",
        )  # fmt: skip
        report(f"ui_idle_{name}", [idle(seconds, on_list) for _ in range(asked.repeats)], unit="% of a core", gate=0.5)


if __name__ == "__main__":
    if "--drive" in sys.argv:
        asyncio.run(drive(sys.argv[-2], int(sys.argv[-1])))
    else:
        main()
