"""Steps that do nothing: what the engine adds to an asyncio task in memory, and to a durable commit on disk.

The limits: one awaited asyncio task a step; one bare `sqlite3` commit of two 300-byte rows a step (a step is two events, started
and completed) under `synchronous=FULL`. The absolute gates of the fan-outs were set on a machine whose raw commit took 135 us;
they are scaled by the raw commit measured here, in the same run.
"""

from __future__ import annotations

import statistics
import subprocess

from _common import arguments, compare, emit, folder, in_turn, report
from _engine import bare_thread, chain, fan, nothing_sync, per_step, raw_commit, task, took

COMMIT_US = 135.0
"""A raw commit on the machine the absolute gates come from."""

PEER = """
import sys, time
from burr.core import ApplicationBuilder, action, expr
from burr.core.persistence import SQLitePersister

@action(reads=["i"], writes=["i"])
def work(state):
    return state.update(i=state["i"] + 1)

steps = int(sys.argv[2])
persister = SQLitePersister(db_path=sys.argv[1], table_name="burr_state", connect_kwargs={"check_same_thread": False})
persister.initialize()
built = ApplicationBuilder().with_actions(work=work).with_transitions(("work", "work", expr(f"i < {steps + 1}")))
built = built.with_identifiers(app_id="bench").with_state(i=0).with_entrypoint("work").with_state_persister(persister)
app = built.build()
started = time.perf_counter()
for _ in range(steps):
    app.step()
print((time.perf_counter() - started) / steps * 1e6)
"""
"""The best peer at this, Burr 0.42 with its plain (quicker) persister, for an interpreter that has it (`--peer PYTHON`)."""


def peer(python: str, steps: int) -> float:
    """Microseconds a durable step of a chain takes the peer."""
    with folder() as place:
        asked = [python, "-c", PEER, str(place / "peer.db"), str(steps)]
        ran = subprocess.run(asked, capture_output=True, text=True, check=True)
    return float(ran.stdout)


def scaled(name: str, gate: float, commits: int, steps: int, limit: int, repeats: int) -> None:
    """A fan-out against a gate in microseconds that is scaled by the raw commit, measured in turn with it."""
    pipeline = fan(steps)
    raws, ours = in_turn(repeats, lambda: raw_commit(commits), lambda: per_step(pipeline, limit=limit))
    commit = statistics.median(raws)
    allowed = round(gate * commit / COMMIT_US, 1)
    report(
        name, ours, unit="us a step", gate=allowed, gate_unscaled=gate, raw_commit=commit, raw_commit_min=min(raws),
        ratio=statistics.median(mine / one for mine, one in zip(ours, raws, strict=True)),
    )  # fmt: skip


def growth(name: str, gate: float, few: int, repeats: int, make: str, limit: int) -> None:
    """Cost per step of ten times as many steps, against that of the few."""
    shape = {"chain": chain, "fan": fan}[make]
    small, large = shape(few), shape(10 * few)
    compare(
        name, lambda: per_step(small, limit=limit), lambda: per_step(large, limit=limit), repeats=repeats, unit="us a step",
        gate=gate, gate_is="at most", rate=False, limit_is=f"{few} steps", ours_is=f"{10 * few} steps",
    )  # fmt: skip


def main() -> None:
    asked = arguments(__doc__ or "")
    repeats, steps = (asked.repeats, 20) if asked.small else (max(9, asked.repeats), 1_000)
    line = chain(steps)
    emit(name="steps", steps=steps, small=asked.small)
    compare(
        "step_memory", lambda: task(10 * steps), lambda: per_step(line, memory=True), repeats=repeats, unit="us a step",
        gate=12.0, gate_is="at most", rate=False, limit_is="asyncio task",
    )  # fmt: skip
    compare(
        "step_durable_chain", lambda: raw_commit(steps, 2), lambda: per_step(line), repeats=repeats, unit="us a step",
        gate=1.5, gate_is="at most", rate=False, limit_is="sqlite3 commit of 2 rows, FULL",
    )  # fmt: skip
    if asked.peer:
        compare(
            "step_durable_chain_peer", lambda: peer(asked.peer, steps), lambda: per_step(line), repeats=repeats, unit="us a step",
            gate=3.0, limit_is="Burr 0.42 with SQLitePersister",
        )  # fmt: skip
    compare(
        "step_durable_chain_thread", lambda: bare_thread(steps), lambda: per_step(line), repeats=repeats, unit="us a step",
        rate=False, limit_is="the plainest loop with a writing thread; no gate",
    )  # fmt: skip
    scaled("step_durable_fan_64", 40.0, steps, steps, 64, repeats)
    scaled("step_durable_fan_5", 90.0, steps, steps, 5, repeats)
    growth("step_durable_chain_10x", 1.15, steps, repeats, "chain", 5)
    growth("step_durable_fan_10x_64", 1.25, steps, repeats, "fan", 64)
    growth("step_durable_fan_10x_5", 1.25, steps, repeats, "fan", 5)
    plain = chain(steps, nothing_sync)
    for name, memory in (("step_sync_durable", False), ("step_sync_memory", True)):
        compare(
            name, lambda memory=memory: per_step(line, memory=memory), lambda memory=memory: per_step(plain, memory=memory),
            repeats=repeats, unit="us a step", gate=2.5, gate_is="at most", rate=False, limit_is="async step",
        )  # fmt: skip
    starts = [took(line).start / steps * 1e6 for _ in range(repeats)]
    report(
        "start", starts, unit="us a step", note="checks, definition, hashes and the first commit; once a run, not part of the above"
    )


if __name__ == "__main__":
    main()
