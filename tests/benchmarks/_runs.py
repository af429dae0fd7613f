"""Large made runs: steps that start, ask, get answers, write lines and complete, like real ones, at about 300 bytes an event."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from _common import PAYLOAD

from store import Driver, Log, Recorded, RunId, RunState, values
from store.events import (
    EffectRequested,
    EffectSucceeded,
    Event,
    LogWritten,
    RunAttached,
    RunCreated,
    Safety,
    StepCompleted,
    StepStarted,
    Usage,
)
from store.projector import project

TEXT = PAYLOAD.decode()[:230]
RUN = RunId("bench")


def happenings(steps: int, events: int) -> Iterator[tuple[Event, str | None]]:
    """`events` events over `steps` steps, after the run's first two: every step is in turn, several times if need be."""
    names = [f"group-{number // 100}.step-{number}" for number in range(steps)]
    yield RunCreated("bench", "0" * 64, names), None
    yield RunAttached(1, 1.0), None
    arguments, answer, line = values.pack({"prompt": TEXT})[0], values.pack({"answer": TEXT})[0], LogWritten(TEXT)
    version = 3
    inner = max(1, (events // steps - 3) // 3)
    while True:
        for name in names:
            yield StepStarted(), name
            version += 1
            for number in range(inner):
                yield EffectRequested("model", "acme/large", "0f" * 16, Safety.READ, number, None, arguments), name
                yield EffectSucceeded(version, answer, Usage("acme/large", 120, 30, 0.001)), name
                yield line, name
                version += 3
            yield StepCompleted(answer), name
            version += 1


async def fill(log: Log, steps: int, events: int, *, run: RunId = RUN, snapshots: bool = True) -> RunState:
    """Write a run of `events` events; returns its state."""
    stream = happenings(steps, events)
    created = Recorded(1, 1.0, next(stream)[0])
    state = project([created])
    lease = await log.create(run, [created], driver=Driver.current())
    version = 1
    while version < events:
        batch = []
        for event, step in islice(stream, min(1000, events - version)):
            version += 1
            batch.append(Recorded(version, 1.0 + version / 1000, event, step, 1 if step else 0))
        project(batch, state)
        lease.append(batch)
        if snapshots:
            lease.snapshot(state)
        await lease.flush()
    await lease.release()
    return state
