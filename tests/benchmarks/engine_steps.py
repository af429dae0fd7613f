"""Steps that do nothing: what the engine adds to an asyncio task in memory, and to a durable commit on disk.

The limits: one awaited asyncio task a step; one bare `sqlite3` commit of two 300-byte rows a step (a step is two events, started
and completed) under `synchronous=FULL`. The absolute gates of the fan-outs were set on a machine whose raw commit took 135 us;
they are scaled by the raw commit measured here, in the same run.
"""

from __future__ import annotations

import statistics

from _common import arguments, compare, emit, in_turn, report
from _engine import bare_thread, chain, fan, nothing_sync, per_step, raw_commit, task, took

COMMIT_US = 135.0
"""A raw commit on the machine the absolute gates come from."""


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
