"""What was done for good is not done twice, whatever became of the body between crash and resume."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

import engine.effects
from engine import Engine, Pipeline, StepContext

Body = Callable[[StepContext], Awaitable[Any]]


async def driven_again(path: Path, first: Body, second: Body) -> tuple[str, str | None]:
    """Drive `first` until its charge is recorded, leave, and resume with `second`; the run's status and the step's reason."""
    db = path / "runs.db"
    async with Engine(db) as driver:
        run = await driver.start(Pipeline("shop").step("pay", run=first, max_retries=0))
        async for batch in driver.follow(run):
            if any(recorded.event.type == "effect.succeeded" for recorded in batch):
                break
    async with Engine(db) as driver:
        await driver.resume(run, Pipeline("shop").step("pay", run=second, max_retries=0), on_change="recorded")
        result = await driver.result(run)
        return result.status, result.step_metadata["pay"]["reason"]


@pytest.fixture
def charges(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    monkeypatch.setattr(engine.effects, "GRACE_SECONDS", 0.05)
    monkeypatch.setattr(engine.effects, "STALL_SECONDS", 0.05)
    return []


async def test_a_charge_behind_a_new_effect_is_taken_from_the_record(tmp_path: Path, charges: list[int]) -> None:
    """An effect put in front of a recorded irreversible one does not make it happen again."""

    async def first(ctx: StepContext) -> None:
        await ctx.once("charge", charges.append, 1, safety="irreversible")
        await ctx.sleep(60)

    async def second(ctx: StepContext) -> str:
        await ctx.random()
        await ctx.once("charge", charges.append, 1, safety="irreversible")
        return "paid"

    assert await driven_again(tmp_path, first, second) == ("completed", None)
    assert charges == [1]


async def test_another_charge_instead_of_the_recorded_one_is_refused(tmp_path: Path, charges: list[int]) -> None:
    """A body that no longer asks for the charge it made fails instead of making another, and says at which event it made it."""

    async def first(ctx: StepContext) -> None:
        await ctx.once("charge", charges.append, 1, safety="irreversible")
        await ctx.sleep(60)

    async def second(ctx: StepContext) -> str:
        await ctx.once("charge the card", charges.append, 2, safety="irreversible")
        return "paid"

    status, reason = await driven_again(tmp_path, first, second)
    assert status == "failed"
    assert reason is not None
    assert "it had asked for once 'charge'" in reason
    assert charges == [1]
