"""Durable appends against the bare disk: one awaited event, 64 and 1,000 producers, bulk. `synchronous=FULL` throughout.

The limit is sqlite3 with one plain table, 300-byte rows, on this thread. Ours carries the same 300 bytes as an event of the log:
encoded, with a checksum, fenced by the lease, with the unique (run, version), through the writing thread, and awaited.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import closing

from _common import PAYLOAD, RAW_INSERT, arguments, compare, emit, folder, raw

from store import Driver, Lease, Log, Recorded, RunId
from store.codec import encode
from store.events import LogWritten, RunCreated

TEXT = PAYLOAD.decode()[: 300 - len(encode(LogWritten(""))[2])]
assert len(encode(LogWritten(TEXT))[2]) == len(PAYLOAD)


def raw_seconds(rows: int, batch: int) -> float:
    """Seconds a row, `batch` rows a commit."""
    with folder() as place, closing(raw(place / "raw.db")) as connection:
        started = time.perf_counter()
        if batch == 1:
            for number in range(rows):
                connection.execute(RAW_INSERT, (number, PAYLOAD))
        else:
            for base in range(0, rows, batch):
                connection.execute("BEGIN IMMEDIATE")
                connection.executemany(RAW_INSERT, [(base + offset, PAYLOAD) for offset in range(batch)])
                connection.execute("COMMIT")
        return (time.perf_counter() - started) / rows


async def produce(lease: Lease, commits: int, batch: int) -> None:
    """One producer: append and await, again and again."""
    for _ in range(commits):
        head = lease.head
        await lease.commit([Recorded(head + 1 + offset, 3.5, LogWritten(TEXT), "step-12", 1) for offset in range(batch)])


def our_seconds(producers: int, commits: int, batch: int = 1) -> float:
    """Seconds an event, `producers` of them awaiting durability `commits` times each."""

    async def measure() -> float:
        with folder() as place:
            async with await Log.open(place / "ours.db") as log:
                created = Recorded(1, 1.0, RunCreated("bench", "0" * 64, ["step-12"]))
                lease = await log.create(RunId("bench"), [created], driver=Driver.current())
                started = time.perf_counter()
                async with asyncio.TaskGroup() as group:
                    for _ in range(producers):
                        group.create_task(produce(lease, commits, batch))
                took = time.perf_counter() - started
                await lease.release()
        return took / (producers * commits * batch)

    return asyncio.run(measure())


def main() -> None:
    asked = arguments(__doc__ or "")
    few, many = (20, 2_000) if asked.small else (2_000, 50_000)
    emit(name="append", payload_bytes=len(PAYLOAD), small=asked.small)

    def one() -> float:
        return raw_seconds(few, 1) * 1e6

    each = 2 if asked.small else 60
    compare("append_one", one, lambda: our_seconds(1, few) * 1e6, repeats=asked.repeats, gate=0.70)
    compare("append_64", one, lambda: our_seconds(64, each) * 1e6, repeats=asked.repeats, gate=12.0)
    compare(
        "append_1000",
        lambda: raw_seconds(many, 1_000) * 1e6,
        lambda: our_seconds(1_000, max(2, many // 1_000)) * 1e6,
        repeats=asked.repeats,
        gate=0.3,
    )
    compare(
        "append_bulk_100",
        lambda: raw_seconds(many, 100) * 1e6,
        lambda: our_seconds(1, many // 100, 100) * 1e6,
        repeats=asked.repeats,
        gate=0.6,
    )


if __name__ == "__main__":
    main()
