"""Finding events: by type, step, actor, place and text, in one run and in all, from Python and from the shell."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from engine import Pipeline
from store import Log, values
from store.blobs import chain
from store.events import (
    ArtifactMade,
    CheckpointMade,
    EffectRequested,
    Event,
    LogWritten,
    Payload,
    Recorded,
    RunId,
    Safety,
    SignalReceived,
    StepCompleted,
    StepStarted,
)
from store.queries import SMALL
from tests.driving import engine_at
from tests.shell import Shell
from tests.stores import branch, lead

RUN = RunId("run")
LONG = {"note": "the Needle in it " + "x" * 2000}
HUGE = {"note": "needle " + "y" * SMALL}


@pytest.fixture
async def log() -> AsyncIterator[Log]:
    """A run of which each event has something of its own to be found by, and a fork of it with one more."""
    async with await Log.open(":memory:") as log:
        lease = await lead(log, steps=["a", "b", "each"], at=100.0)
        long, long_text = values.pack(LONG)
        huge, huge_text = values.pack(HUGE)
        head, links = chain([{"role": "user", "content": "old words"}, {"role": "user", "content": "asked for a thimble"}])
        asked = EffectRequested("model", "m", "0", Safety.READ, arguments=values.pack({"messages": {"chain": head}})[0])
        art = values.digest(b"raw bytes of a bobbin \xff")
        events: list[tuple[Event, str | None, str]] = [
            (SignalReceived(1, "pause"), None, "user"),  # 2
            (StepStarted(), "a", "driver"),  # 3
            (LogWritten('50% of "it" \\ done\nnext'), "a", "driver"),  # 4
            (StepCompleted(long), "a", "driver"),  # 5
            (StepCompleted(huge), "b", "driver"),  # 6
            (CheckpointMade("draft"), None, "anna"),  # 7
            (asked, "each[3]", "driver"),  # 8
            (ArtifactMade("art", "text/plain", Payload(23, blob=art)), "each[3]", "driver"),  # 9
            (LogWritten("Ünïcode 50x", fields=values.pack({"chain": "0" * 64, "blob": art})[0]), "b", "caller"),  # 10
        ]
        batch = [
            Recorded(place, 100.0 + place, event, step, 1 if step else 0, None, actor)
            for place, (event, step, actor) in enumerate(events, 2)
        ]
        kept: list[tuple[str, bytes]] = [(art, b"raw bytes of a bobbin \xff"), *links]
        kept += [(one.blob, text) for one, text in ((long, long_text), (huge, huge_text)) if one.blob and text is not None]
        lease.append(batch, kept)
        await lease.flush()
        more = [Recorded(6 + n, 200.0, LogWritten(f"needle {n}"), "a", 1) for n in (1, 2)]
        await (await branch(log, "fork", "run", 5, 10, at=200.0, more=more)).release()
        yield log


@pytest.mark.parametrize(
    ("filters", "versions"),
    [
        ({}, [*range(1, 11)]),
        ({"types": ["step.*"]}, [3, 5, 6]),
        ({"types": ["step.started", "check*"]}, [3, 7]),
        ({"types": ["[!sl]*"]}, [1, 7, 8, 9]),
        ({"types": []}, []),
        ({"step": "each[3]"}, [8, 9]),
        ({"step": "a", "attempt": 1, "types": {"step.completed"}}, [5]),
        ({"actor": "driver"}, [1, 3, 4, 5, 6, 8, 9]),
        ({"actor": "[au]*"}, [2, 7]),
        ({"text": "50%"}, [4]),
        ({"text": "50_"}, []),
        ({"text": '"it" \\ done\nnext'}, [4]),
        ({"text": "ünïcode"}, []),
        ({"text": "Ünïcode 50X"}, [10]),
        ({"text": "needle"}, [5]),
        ({"text": "thimble"}, [8]),
        ({"text": "old words"}, []),
        ({"text": "bobbin"}, [9, 10]),
        ({"text": "bobbin", "actor": "caller", "step": "b", "types": ["log.*"]}, [10]),
        ({"since": 105.0, "until": 107.0}, [5, 6, 7]),
    ],
)
async def test_each_filter_and_all_together(log: Log, filters: dict[str, Any], versions: list[int]) -> None:
    """A text is found in the event and in small contents it leads to (of a conversation its last message), by its letters alone."""
    found = await log.events(RUN, **filters)
    assert [one.version for one in found] == versions


async def test_pages_and_limits_hold_with_filters(log: Log) -> None:
    """A limit counts what fits, the next page goes on after it, and a fork's past is its parent's."""
    first = await log.events(RUN, types=["step.*"], limit=2)
    assert [one.version for one in first] == [3, 5]
    assert [one.version for one in await log.events(RUN, types=["step.*"], limit=2, after=5)] == [6]
    assert [one.version for one in await log.events(RunId("fork"), text="needle")] == [5, 7, 8]


async def test_the_whole_log_is_filtered_by_seq(log: Log) -> None:
    """The same filters over all runs, in pages, each event with its run."""
    found = await log.tail(0, text="needle", limit=2)
    assert [(run, one.version) for run, one in found] == [("run", 5), ("fork", 7)]
    assert [(run, one.version) for run, one in await log.tail(found[-1][1].seq, text="needle", limit=2)] == [("fork", 8)]
    assert {run for run, _ in await log.tail(0, since=150.0)} == {"fork"}


async def test_the_engine_takes_places(log: Log) -> None:
    """`since` and `until` are places, what is at either included; the filters are those of the log."""
    async with engine_at() as engine:
        run = await engine.start(Pipeline("p").step("x", run=lambda: 1, checkpoint="there").step("y", run=lambda: 2))
        await engine.wait(run)
        there = (await engine.checkpoints(run))[0].version
        found = await engine.events(run, since="there", until="y:start")
        assert found[0].version == there
        assert found[-1].event.type == "step.started"
        assert [one.event.type for one in await engine.events(run, since="there", types=["run.*"])] == ["run.completed"]
        assert len(await engine.events(run, since="+0s")) == len(await engine.events(run, until="23:59:59"))
        everything = await engine.events_of_all(types=["step.completed"], step="y")
        assert [(of, one.step) for of, one in everything] == [(run, "y")]


@pytest.fixture(scope="module")
def stocked(tmp_path_factory: pytest.TempPathFactory) -> Shell:
    """Two runs; the older one was marked by hand."""
    shell = Shell(tmp_path_factory.mktemp("stocked"))
    shell.tui("run", "flow:fine", "-q")
    shell.tui("checkpoints", "last", "--add", "good", "--note", "a thimble")
    shell.tui("run", "flow:talks", "-q")
    return shell


def test_the_shell_filters_a_run(stocked: Shell) -> None:
    """All filters together; an outcome that is shown alone is still named; with -v each line says who and because of what."""
    run = stocked.tui("runs", "--json").data[1]["run_id"]
    lines = stocked.tui("events", run, "--since", "first:end", "--until", "double:start", "--type", "step.*", "--json").lines
    assert [(one["type"], one["step"]) for one in lines] == [("step.completed", "first"), ("step.started", "double")]
    assert lines[1]["causation"] == lines[0]["version"]
    by_user = stocked.tui("events", run, "--actor", "us*", "--text", "thimble", "-v").out.splitlines()
    assert [line.split()[2] for line in by_user] == ["signal.received", "checkpoint.made"]
    assert all("by user" in line for line in by_user)
    shown = stocked.tui("events", run, "--step", "double", "-v").out
    assert f"by driver, because of {lines[0]['version']}" in shown
    none = stocked.tui("events", run, "--step", "dubble", "--since", "good")
    assert (none.code, none.out) == (0, "")
    assert f"no event of run {run} fits --step dubble --since good; without it all are shown" in none.err


def test_the_shell_looks_through_all_runs(stocked: Shell) -> None:
    """Lines of all runs in the order they were recorded, each with its run; times may be given, in the future nothing fits."""
    ids = [one["run_id"] for one in stocked.tui("runs", "--json").data][::-1]
    created = stocked.tui("events", "--all", "--type", "run.created", "--json").lines
    assert [one["run_id"] for one in created] == ids
    assert stocked.tui("events", "--all", "--after", str(created[0]["seq"]), "--type", "run.created", "--json").lines == created[1:]
    human = stocked.tui("events", "--all", "--text", "thimble").out.splitlines()
    assert {line.split()[0] for line in human} == {ids[0]}
    assert stocked.tui("events", "--all", "--since", "2000-01-01T00:00", "--type", "run.created", "--json").lines == created
    later = stocked.tui("events", "--all", "--since", "2999-01-01T00:00")
    assert "no event of any run fits --since 2999-01-01T00:00" in later.err
