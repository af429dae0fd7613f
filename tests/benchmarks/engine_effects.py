"""Effects: one that only rides in the next commit, one that must be durable before the world is touched, a model call that grows.

The limit of the irreversible effect is one bare `sqlite3` commit under FULL. The conversation asks a scripted model a thousand
times with everything said so far, in one step; what counts is what one more turn adds to the store.
"""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

from _common import arguments, bytes_of, compare, emit, folder, report
from _engine import raw_commit, single

from engine import Engine, Pipeline, RunStatus, StepContext
from engine.models.port import Model, ModelReply, ModelRequest, Usage


async def touched() -> int:
    """The world, untouched."""
    return 1


class Scripted:
    """A model that answers at once, every turn the same number of bytes."""

    async def complete(self, request: ModelRequest) -> ModelReply:
        """The next line of the script."""
        text = f"answer {len(request.messages):06d} " + "words of an answer " * 12
        return ModelReply(text=text, usage=Usage(request.model, 100, 50, 0.001))

    async def aclose(self) -> None:
        """Nothing is open."""


class ScriptedEngine(Engine):
    """An engine whose every model is the scripted one."""

    def _model(self, *_: Any) -> Model:
        return Scripted()


async def driven(pipeline: Pipeline, db: Path | str) -> None:
    """Drive a pipeline to its end."""
    async with ScriptedEngine(db) as engine:
        run = await engine.start(pipeline, model="scripted")
        await engine.wait(run)
        state = await engine.view(run)
        assert state.status is RunStatus.COMPLETED, state.reason


def effect_us(count: int, name: str, *, memory: bool = False, **options: Any) -> float:
    """Microseconds an effect, `count` of them one after another in one step; timed from inside the body."""
    spent: list[float] = []

    async def body(ctx: StepContext) -> None:
        ask = getattr(ctx, name)
        arguments = ("k", touched) if name == "once" else ()
        began = time.perf_counter()
        for _ in range(count):
            await ask(*arguments, **options)
        spent.append(time.perf_counter() - began)

    with folder() as place:
        asyncio.run(driven(single(body), ":memory:" if memory else place / "runs.db"))
    return spent[0] / count * 1e6


def stored(turns: int) -> int:
    """Bytes of the store after a conversation of `turns` turns."""

    async def body(ctx: StepContext) -> int:
        said: list[dict[str, Any]] = []
        for turn in range(turns):
            said.append({"role": "user", "content": f"question {turn:06d} " + "words of a question " * 10})
            said.append({"role": "assistant", "content": await ctx.model(said)})
        return len(said)

    with folder() as place:
        db = place / "runs.db"
        asyncio.run(driven(single(body), db))
        return bytes_of(db)


def turn_bytes(at: int, half: int) -> float:
    """Bytes that one turn adds around turn `at`: over a window of turns, because a file grows by pages."""
    return (stored(at + half) - stored(at - half)) / (2 * half)


def turn_us(turns: int) -> tuple[float, float]:
    """Microseconds a turn takes, at a tenth of a conversation and at its end."""
    marks: list[float] = []

    async def body(ctx: StepContext) -> None:
        said: list[dict[str, Any]] = []
        for turn in range(turns):
            said.append({"role": "user", "content": f"question {turn:06d}"})
            began = time.perf_counter()
            said.append({"role": "assistant", "content": await ctx.model(said)})
            marks.append(time.perf_counter() - began)

    with folder() as place:
        asyncio.run(driven(single(body), place / "runs.db"))
    tenth, few = turns // 10, max(1, turns // 20)
    return sum(marks[tenth : tenth + few]) / few * 1e6, sum(marks[-few:]) / few * 1e6


def main() -> None:
    asked = arguments(__doc__ or "")
    count, repeats = (100, asked.repeats) if asked.small else (1_000, asked.repeats)
    emit(name="effects", effects=count, small=asked.small)
    report("effect_lazy", [effect_us(count, "now") for _ in range(repeats)], unit="us", gate=50.0)
    report("effect_lazy_memory", [effect_us(count, "now", memory=True) for _ in range(repeats)], unit="us", gate=50.0)
    report("effect_lazy_once", [effect_us(count, "once", safety="read") for _ in range(repeats)], unit="us",
           note="a coroutine of the user's, in a task of its own; no gate")  # fmt: skip
    compare(
        "effect_irreversible", lambda: raw_commit(count),
        lambda: effect_us(count, "once", safety="irreversible") - effect_us(count, "once", safety="read"),
        repeats=repeats, unit="us more than a lazy one", gate=2.0, gate_is="at most", rate=False, limit_is="sqlite3 commit, FULL",
    )  # fmt: skip
    half = count // 20
    compare(
        "conversation_bytes", lambda: turn_bytes(count // 10, half), lambda: turn_bytes(count, half),
        repeats=1 if asked.small else 2, unit="bytes a turn", gate=1.05, gate_is="at most", rate=False,
        limit_is=f"turn {count // 10}", ours_is=f"turn {count}",
        note="bytes do not vary with the machine: fewer repeats",
    )  # fmt: skip
    pairs = [turn_us(count) for _ in range(repeats)]
    report(
        "conversation_turn", [late for _, late in pairs], unit="us", at=count, early=sorted(p[0] for p in pairs)[len(pairs) // 2]
    )


if __name__ == "__main__":
    main()
