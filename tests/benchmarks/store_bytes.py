"""Bytes on disk: an event beyond its encoding, snapshots beside the events, and a growing conversation.

`encoded` is what an event is: its payload and the text of its envelope (type, step, actor). What is beyond it is the price of
keeping it in order, found by run and version, with its time and checksum.
"""

from __future__ import annotations

import asyncio
from itertools import pairwise
from pathlib import Path

from _common import arguments, bytes_of, emit, folder, report
from _runs import RUN, fill

from store import Driver, Log, Recorded, RunId, blobs, values
from store.events import EffectRequested, EffectSucceeded, RunCreated, Safety, StepStarted


async def events_and_snapshots(place: Path, steps: int, events: int) -> None:
    """One run with and without its snapshots."""
    async with await Log.open(place / "bare.db") as log:
        await fill(log, steps, events, snapshots=False)
        ((payload, encoded),) = await log.reader.all(
            "SELECT sum(length(CAST(data AS BLOB))), sum(length(CAST(data AS BLOB)) + length(type) + coalesce(length(step), 0) "
            "+ coalesce(length(actor), 0)) FROM events"
        )
    async with await Log.open(place / "full.db") as log:
        await fill(log, steps, events)
        ((count, kept),) = await log.reader.all("SELECT count(*), coalesce(sum(length(data)), 0) FROM snapshots")
    bare, full = bytes_of(place / "bare.db"), bytes_of(place / "full.db")
    emit(name="bytes", events=events, steps=steps, file=bare, payload_an_event=payload / events, encoded_an_event=encoded / events)
    report("bytes_beyond_encoded", [(bare - encoded) / events], unit="B/event", gate=90)
    report("bytes_beyond_payload", [(bare - payload) / events], unit="B/event")
    report("bytes_snapshots", [(full - bare) / bare], unit="of the events", gate=0.5, snapshots=count, bytes=kept)


async def conversation(place: Path, turns: int) -> None:
    """A step that sends its whole conversation at every turn: what turn 1,000 adds against turn 100."""
    sizes: list[int] = []
    async with await Log.open(place / "chat.db") as log:
        created = Recorded(1, 1.0, RunCreated("chat", "0" * 64, ["talk"]))
        lease = await log.create(RunId("chat"), [created, Recorded(2, 1.0, StepStarted(), "talk", 1)], driver=Driver.current())
        cache, messages = blobs.ChainCache(), list[dict[str, str]]()
        for turn in range(turns):
            messages.append({"role": "user", "content": f"question {turn:05} " + "why is that so? " * 20})
            head, contents = blobs.chain(messages, cache)
            arguments, _ = values.pack({"messages": {"chain": head, "count": len(messages)}})
            answer, _ = values.pack(f"answer {turn:05} " + "because of this. " * 20)
            asked = EffectRequested("model", "acme/large", "0f" * 16, Safety.READ, turn, None, arguments)
            head_now = lease.head
            await lease.commit(
                [
                    Recorded(head_now + 1, 2.0, asked, "talk", 1),
                    Recorded(head_now + 2, 2.0, EffectSucceeded(head_now + 1, answer), "talk", 1),
                ],
                contents,
            )
            messages.append({"role": "assistant", "content": f"answer {turn:05} " + "because of this. " * 20})
            if turn % 50 == 49:
                ((pages,),) = await log.reader.all("PRAGMA page_count")
                sizes.append(pages * 4096)
    grown = [after - before for before, after in pairwise(sizes)]
    early, late = grown[0] / 50, grown[-1] / 50
    emit(name="conversation", turns=turns, bytes_a_turn_early=early, bytes_a_turn_late=late, file=bytes_of(place / "chat.db"))
    report("conversation_late_over_early", [late / early], unit="times", gate=1.05)


async def measure(small: bool) -> None:
    """All of it."""
    with folder() as place:
        await events_and_snapshots(place, *((50, 5_000) if small else (2_000, 200_000)))
        await conversation(place, 200 if small else 1_000)


def main() -> None:
    asked = arguments(__doc__ or "")
    assert RUN == "bench"
    asyncio.run(measure(asked.small))


if __name__ == "__main__":
    main()
