"""What was done for good is not done twice, whatever became of the body between crash and resume."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

import engine.effects
from engine import EffectFailedError, Engine, Pipeline, RetryPolicy, StepContext
from tests.driving import engine_at, history

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


def shop(body: Body, **options: Any) -> Pipeline:
    """One step that is tried again at once."""
    return Pipeline("shop").step("pay", run=body, retry=RetryPolicy(max_retries=2, delay=0), **options)


async def test_a_retry_takes_a_charge_from_the_attempt_that_made_it(charges: list[int]) -> None:
    """A step that charges and then fails is tried again without another charge, is given the same receipt, and the record says from
    where it was taken; what was only looked at is asked anew.
    """
    looks: list[int] = []

    async def pays(ctx: StepContext) -> Any:
        def charge(amount: int) -> dict[str, int]:
            charges.append(amount)
            return {"receipt": len(charges), "attempt": ctx.attempt}

        await ctx.once("look", looks.append, 1, safety="read")
        receipt = await ctx.once("charge", charge, 5, safety="irreversible")
        if ctx.attempt < 3:
            raise OSError("the shop is closed")
        return receipt

    result, events = await history(shop(pays))
    assert result.final_output == {"receipt": 1, "attempt": 1}
    assert (charges, len(looks)) == ([5], 3)
    made = next(e for e in events if e.event.type == "effect.succeeded" and e.attempt == 1 and e.event.value.size > 10)
    taken = [e.event.source for e in events if e.event.type == "effect.succeeded" and e.attempt > 1 and e.event.source]
    assert taken == [(result.run_id, made.version)] * 2


async def test_a_retry_makes_another_charge_and_one_that_failed(charges: list[int]) -> None:
    """A charge that failed, and one of another amount, are new ones in the next attempt; equal charges are told apart by number."""

    async def pays(ctx: StepContext) -> Any:
        def charge(amount: int) -> int:
            charges.append(amount)
            if amount == 7 and ctx.attempt == 1:
                raise OSError("card refused")
            return len(charges)

        first = [await ctx.once("charge", charge, 5, safety="irreversible") for _ in range(2)]
        return first, await ctx.once("charge", charge, 7, safety="irreversible")

    result, _ = await history(shop(pays))
    assert result.final_output == [[1, 2], 4]
    assert charges == [5, 5, 7, 7]


async def test_a_charge_taken_by_a_retry_survives_a_crash_of_that_retry(tmp_path: Path, charges: list[int]) -> None:
    """A second attempt that dies after it took the charge is driven again and takes it again; nothing is in doubt."""
    db, gate = tmp_path / "runs.db", asyncio.Event()

    async def pays(ctx: StepContext) -> Any:
        receipt = await ctx.once("charge", lambda: charges.append(1) or "receipt", safety="irreversible")
        if ctx.attempt == 1:
            raise OSError("the shop is closed")
        if not gate.is_set():
            await ctx.sleep(60)
        return receipt

    async with engine_at(db) as driver:
        run = await driver.start(shop(pays))
        async for batch in driver.follow(run):
            if any(e.event.type == "effect.succeeded" and e.attempt == 2 for e in batch):
                break
    gate.set()
    async with engine_at(db) as driver:
        await driver.resume(run, shop(pays))
        result = await driver.result(run)
        assert not [e for e in await driver.events(run) if e.event.type == "effect.in_doubt"]
    assert (result.status, result.final_output, charges) == ("completed", "receipt", [1])


async def test_a_charge_out_of_time_is_not_made_again(charges: list[int]) -> None:
    """An irreversible effect that ran out of time is a recorded failure of kind `timeout`; asking for it again in the same body is
    refused, and the step that fails for it is not tried again.
    """
    told: list[str] = []

    async def pays(ctx: StepContext) -> None:
        async def charge() -> None:
            charges.append(ctx.attempt)
            await asyncio.sleep(60)

        for _ in range(3):
            try:
                await ctx.once("charge", charge, safety="irreversible", timeout=0.05)
            except EffectFailedError as error:
                told.append(f"{error.kind} {error.retryable}: {error}")
        raise OSError("not paid")

    result, events = await history(shop(pays))
    assert charges == [1]
    assert told[0] == "timeout False: 'charge' was not done within 0.05 s; it may have happened all the same"
    assert told[1:] == ["timeout False: 'charge' was asked for before; it may have happened, so it is not done again"] * 2
    assert [event.event.failure.kind for event in events if event.event.type == "effect.failed"] == ["timeout"]
    assert "'charge' has no known outcome, so it is not tried again" in result.failures[0].message


async def test_a_charge_out_of_time_stays_in_doubt_after_a_crash(tmp_path: Path, charges: list[int]) -> None:
    """An attempt that is driven again after the timeout was recorded is told so from the record, and is refused the charge too."""
    db, gate, told = tmp_path / "runs.db", asyncio.Event(), list[str]()

    async def pays(ctx: StepContext) -> str:
        async def charge() -> None:
            charges.append(1)
            await asyncio.sleep(60)

        for _ in range(2):
            try:
                await ctx.once("charge", charge, safety="irreversible", timeout=0.05)
            except EffectFailedError as error:
                told.append(str(error))
        if not gate.is_set():
            await ctx.sleep(60)
        return "left open"

    async with engine_at(db) as driver:
        run = await driver.start(shop(pays))
        async for batch in driver.follow(run):
            if any(e.event.type == "effect.requested" and e.event.kind == "sleep" for e in batch):
                break
    first, gate_open = list(told), gate.set()
    told.clear()
    async with engine_at(db) as driver:
        await driver.resume(run, shop(pays))
        result = await driver.result(run)
    assert (gate_open, result.status, result.final_output, charges) == (None, "completed", "left open", [1])
    assert told == first


async def test_a_look_out_of_time_may_be_asked_again(charges: list[int]) -> None:
    """What is not irreversible fails with the kind `timeout`, is stopped, and is asked again by whoever likes to."""
    stopped, kinds = asyncio.Event(), list[tuple[str, bool]]()

    async def looks(ctx: StepContext) -> str:
        async def look() -> str:
            charges.append(1)
            if len(charges) > 1:
                return "seen"
            try:
                await asyncio.sleep(60)
            finally:
                stopped.set()
            return "never"

        try:
            return str(await ctx.once("look", look, safety="read", timeout=0.05))
        except EffectFailedError as error:
            kinds.append((error.kind, error.retryable))
            return str(await ctx.once("look", look, safety="read", timeout=5))

    result, _ = await history(shop(looks))
    assert (result.final_output, len(charges), stopped.is_set(), kinds) == ("seen", 2, True, [("timeout", True)])
