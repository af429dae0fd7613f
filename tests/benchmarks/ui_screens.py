"""The screens over a store of 1,000,000 events: start to first frame, key to paint, memory.

The limit of the start and of the memory is the smallest Textual app there is, started in turn. The store holds one run of 10,000
steps and 1,000,000 events and fifty small ones.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from _common import arguments, emit, folder, in_turn, report
from _terminal import empty, opened, run_screen, runs_list

from engine import Pipeline
from store import Driver, Log, RunSummary, values
from store.events import LogWritten, Recorded, RunAttached, RunCompleted, RunCreated, RunId, StepCompleted, StepStarted
from store.projector import evolve
from store.state import RunState

GONE = Driver(1, 1.0, "elsewhere")
LIST_WORDS, RUN_WORDS, EMPTY_WORDS = b"wide", b"step_0", b"hello there"
WIDE = "1000000fff"
KEYS = b"jkGg"
"""A row down and up, to the last row and back to the first."""


async def body() -> int:
    """The function that every step names."""
    return 1


def wide(steps: int, lines: int) -> Iterator[tuple[Any, str | None]]:
    """The events of a run that completed: each step started, said `lines` lines and completed."""
    payload, _ = values.pack({"score": 1})
    yield RunAttached(1, 1.0, "elsewhere", 1), None
    for place in range(steps):
        name = f"step_{place:05d}"
        yield StepStarted(), name
        for line in range(lines):
            yield LogWritten(f"line {line} of {name}: looked at https://example.org/{place}/{line}"), name
        yield StepCompleted(payload), name
    yield RunCompleted(), None


async def write(log: Log, run: str, steps: int, lines: int, at: float) -> None:
    """One run into the store, in batches of 2,000 events, with its snapshots."""
    pipeline = Pipeline("wide")
    for place in range(steps):
        pipeline.step(f"step_{place:05d}", run=body, execution_mode="concurrent")
    definition = pipeline.define()
    text = definition.to_json()
    names = [step.name for step in definition.steps]
    state = RunState()
    created = Recorded(1, at, RunCreated("wide", values.digest(text), names, "f" * steps), actor="user")
    evolve(state, created)
    lease = await log.create(RunId(run), [created], [(values.digest(text), text)], driver=GONE)
    batch: list[Recorded] = []
    for event, step in wide(steps, lines):
        recorded = Recorded(state.version + 1, at + state.version * 0.001, event, step, 1 if step else 0)
        evolve(state, recorded)
        batch.append(recorded)
        if len(batch) == 2_000:
            await lease.commit(batch, row=RunSummary.of(state))
            lease.snapshot(state)
            batch = []
    await lease.commit(batch, row=RunSummary.of(state))
    lease.snapshot(state)
    await lease.release()


async def build(db: Path, steps: int, lines: int) -> None:
    """The store that is measured."""
    began = time.time() - 90_000
    async with await Log.open(db) as log:
        for number in range(50):
            await write(log, f"{number:04x}aaaa", 3, 2, began + number)
        await write(log, WIDE, steps, lines, began + 100)


def first_frame(command: list[str], words: bytes) -> float:
    """Milliseconds from starting the process to the first frame with these words."""
    with opened(*command) as terminal:
        return terminal.until(words) * 1e3


def memory(command: list[str], words: bytes) -> float:
    """Megabytes resident once the screen is at rest, after a look at its end and back."""
    with opened(*command) as terminal:
        terminal.until(words)
        terminal.settle()
        terminal.send(b"G")
        terminal.send(b"g")
        return terminal.megabytes()


def paints(command: list[str], words: bytes, keys: bytes, times: int) -> list[float]:
    """Milliseconds from key to paint, each key `times` times, on a screen at rest, from its first row."""
    found = []
    with opened(*command) as terminal:
        terminal.until(words)
        terminal.settle()
        terminal.send(b"g")
        for _ in range(times):
            found += [terminal.press(bytes([key])) * 1e3 for key in keys]
    return found


def main() -> None:
    asked = arguments(__doc__ or "")
    repeats = asked.repeats
    steps, lines = (20, 5) if asked.small else (10_000, 98)
    with folder() as place:
        db = place / "runs.db"
        asyncio.run(build(db, steps, lines))
        emit(name="ui_store", events=steps * (lines + 2) + 3, megabytes=db.stat().st_size / 1e6, small=asked.small)
        screens = {"list": (runs_list(db), LIST_WORDS), "run": (run_screen(db, WIDE), RUN_WORDS)}
        first_frame(*screens["run"])
        for name, (command, words) in screens.items():
            bare, frames = in_turn(
                repeats, lambda: first_frame(empty(), EMPTY_WORDS), lambda command=command, words=words: first_frame(command, words)
            )
            report(
                f"ui_start_{name}", frames, unit="ms", gate=500.0 if name == "list" else None,
                limit=statistics.median(bare), limit_is="smallest Textual app",
                ratio=statistics.median(mine / less for mine, less in zip(frames, bare, strict=True)),
            )  # fmt: skip
        times = 1 if asked.small else 20
        report("ui_key_list", paints(*screens["list"], KEYS, times), unit="ms", gate=50.0, keys=" ".join(KEYS.decode()))
        report("ui_key_run", paints(*screens["run"], KEYS, times), unit="ms", gate=50.0, keys=" ".join(KEYS.decode()))
        bare, *sizes = in_turn(
            repeats, lambda: memory(empty(), EMPTY_WORDS), lambda: memory(*screens["list"]), lambda: memory(*screens["run"])
        )
        for (name, _), taken in zip(screens.items(), sizes, strict=True):
            over = [mine - less for mine, less in zip(taken, bare, strict=True)]
            report(f"ui_memory_{name}", over, unit="MB over the smallest app", gate=60.0, resident=max(taken))


if __name__ == "__main__":
    main()
