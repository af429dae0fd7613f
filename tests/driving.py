"""Runs driven for tests: an engine that prints nothing through, models by script, and waiting for conditions with a deadline."""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

from engine import Engine, Pipeline, PipelineResult, TAgentConfig
from engine.models.port import ModelReply, ModelRequest
from store.events import Recorded, Usage

DEADLINE = 20.0


@contextlib.asynccontextmanager
async def engine_at(db: str | Path = ":memory:", **settings: Any) -> AsyncIterator[Engine]:
    """An open engine that records what steps print without showing it."""
    async with Engine(db, TAgentConfig(**settings), tee=False) as engine:
        yield engine


async def drive(
    pipeline: Pipeline, db: str | Path = ":memory:", params: dict[str, Any] | None = None, **options: Any
) -> PipelineResult:
    """A run from start to end, and its result."""
    async with engine_at(db) as engine:
        return await engine.result(await engine.start(pipeline, params, **options))


async def history(pipeline: Pipeline, db: str | Path = ":memory:", **options: Any) -> tuple[PipelineResult, list[Recorded]]:
    """A run from start to end, its result and its events."""
    async with engine_at(db) as engine:
        run = await engine.start(pipeline, **options)
        result = await engine.result(run)
        return result, list(await engine.events(run))


def typed(events: Sequence[Recorded], *types: str) -> list[str]:
    """Events as `type step`, of the given types or all."""
    return [f"{item.event.type} {item.step or ''}".strip() for item in events if not types or item.event.type in types]


async def until(condition: Callable[[], Any] | Callable[[], Awaitable[Any]], what: str = "the condition") -> Any:
    """Wait until something is true and return it; fails after the deadline."""
    began = time.monotonic()
    while time.monotonic() - began < DEADLINE:
        found: Any = condition()
        if asyncio.iscoroutine(found):
            found = await found
        if found:
            return found
        await asyncio.sleep(0.005)
    raise AssertionError(f"{what} did not come true in {DEADLINE:g} s")


class Scripted:
    """A model that answers from a list: texts, calls of tools (name and arguments), or exceptions to raise.

    `asked` grows with every request.
    """

    def __init__(self, *answers: str | list[tuple[str, Any]] | BaseException, cost: float | None = 0.01) -> None:
        self.answers, self.cost = list(answers), cost
        self.asked: list[ModelRequest] = []

    async def complete(self, request: ModelRequest) -> ModelReply:
        self.asked.append(request)
        answer = self.answers.pop(0)
        if isinstance(answer, BaseException):
            raise answer
        usage = Usage("scripted", 10, 5, self.cost)
        if isinstance(answer, str):
            return ModelReply(answer, usage)
        texts = [(name, given if isinstance(given, str) else json.dumps(given)) for name, given in answer]
        calls = [{"id": f"call_{len(self.asked)}_{n}", "name": name, "arguments": text} for n, (name, text) in enumerate(texts)]
        return ModelReply("", usage, finish_reason="tool_calls", tool_calls=calls)

    async def aclose(self) -> None:
        """Nothing is open."""
