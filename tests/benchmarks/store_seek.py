"""Scrubbing a run of 1,000,000 events and 10,000 steps: any event, the next, the one before; and what a timeline asks.

These are felt in milliseconds, so the gates are absolute. As limit stands what a jump cannot do without: finding and reading the
nearest snapshot below, and decoding it.
"""

from __future__ import annotations

import asyncio
import random
import statistics
import time

from _common import arguments, emit, folder, report
from _runs import RUN, fill

from store import Log, folding


async def measure(small: bool, repeats: int) -> None:
    """All of it over one file."""
    steps, events = (50, 5_000) if small else (10_000, 1_000_000)
    dice = random.Random(1)
    with folder() as place:
        path = place / "runs.db"
        async with await Log.open(path) as log:
            await fill(log, steps, events)
        async with await Log.open(path, readonly=True) as log:
            ((count, size),) = await log.reader.all("SELECT count(*), sum(length(data)) FROM snapshots")
            emit(name="seek", events=events, steps=steps, snapshots=count, snapshot_bytes=size, small=small)
            places = [dice.randrange(1, events + 1) for _ in range(20 * repeats)]
            limit = await nearest(log, places)
            history = log.history(RUN)
            seeks = [await timed(history.seek(place)) for place in places]
            report("seek_anywhere", seeks, unit="ms", gate=50, worst=max(seeks), limit=statistics.median(limit))
            await history.seek(events // 2)
            moves = [await timed(history.step(1)) for _ in range(200 * repeats)]
            report("seek_next", moves, unit="ms", gate=1, worst=max(moves))
            moves = [await timed(history.step(-1)) for _ in range(1200 * repeats if not small else 100)]
            report("seek_previous", moves, unit="ms", gate=10, worst=max(moves), p99=sorted(moves)[len(moves) * 99 // 100])
            moves = [await timed(paused(history.step(-1))) for _ in range(600 * repeats if not small else 100)]
            report("seek_previous_key_held", moves, unit="ms", gate=10, worst=max(moves))
            asks = [await timed(log.state(RUN, place)) for place in places[: 5 * repeats]]
            report("state_at", asks, unit="ms", worst=max(asks))
            asks = [await timed(log.density(RUN, 120, 1.0, 1.0 + events / 1000)) for _ in range(5 * repeats)]
            report("timeline_density_120", asks, unit="ms", worst=max(asks))
            asks = [await timed(log.locate(RUN, at=1.0 + place / 1000)) for place in places]
            report("timeline_locate", asks, unit="ms", worst=max(asks))


async def nearest(log: Log, places: list[int]) -> list[float]:
    """Milliseconds to read and decode the snapshot below each place."""
    segments = await log.segments(RUN)
    return [await timed(folding.nearest(log.reader, segments, place)) for place in places]


async def timed(asked: object) -> float:
    """Milliseconds an awaitable takes, less the pause it contains."""
    started = time.perf_counter()
    pause = await asked  # type: ignore[misc]
    return (time.perf_counter() - started) * 1e3 - (pause * 1e3 if isinstance(pause, float) else 0)


async def paused(asked: object) -> float:
    """A move, and the time until a held key comes again (2 ms here; terminals send one each 30)."""
    await asked  # type: ignore[misc]
    started = time.perf_counter()
    await asyncio.sleep(0.002)
    return time.perf_counter() - started


def main() -> None:
    asked = arguments(__doc__ or "")
    asyncio.run(measure(asked.small, asked.repeats))


if __name__ == "__main__":
    main()
