"""A time limit that holds whatever is limited does: for attempts and for single effects.

Stands apart because `asyncio.timeout` waits for what it cancels, and user code may swallow its cancellation and go on, or raise a
`TimeoutError` of its own, which is none of ours.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any

from engine.errors import EffectFailedError

LEAVE_SECONDS = 1.0
"""How long what was cancelled may take to clean up; what goes on is left behind, its effects refused."""


class OutOfTimeError(Exception):
    """Our own limit, told apart from any `TimeoutError` of what was limited."""


async def within(seconds: float, work: Awaitable[Any]) -> Any:
    """What `work` returns or raises within `seconds`; raises `OutOfTimeError` even if it swallows its cancellation and goes on."""
    inner = asyncio.ensure_future(_caught(work))
    try:
        done, _ = await asyncio.wait({inner}, timeout=seconds)
        if not done:
            raise OutOfTimeError
    except BaseException:
        inner.cancel()
        await asyncio.wait({inner}, timeout=LEAVE_SECONDS)
        raise
    value, error = inner.result()
    if error is not None:
        raise error
    return value


async def effect_within(seconds: float | None, work: Awaitable[Any], name: str, *, again: bool) -> Any:
    """The same for one effect (None: without a limit): out of time it failed with kind `timeout`, to be tried `again` or not."""
    if seconds is None:
        return await work
    try:
        return await within(seconds, work)
    except OutOfTimeError:
        doubt = "" if again else "; it may have happened all the same"
        raise EffectFailedError(f"{name!r} was not done within {seconds:g} s{doubt}", kind="timeout", retryable=again) from None


def lost(name: str) -> EffectFailedError:
    """What a body is told that asks for an irreversible effect once more after it ran out of time, or left nothing to record."""
    text = f"{name!r} was asked for before; it may have happened, so it is not done again"
    return EffectFailedError(text, kind="timeout", retryable=False)


async def _caught(work: Awaitable[Any]) -> tuple[Any, BaseException | None]:
    """A task that raised SystemExit would take the loop with it."""
    try:
        return await work, None
    except BaseException as error:  # carried over to whoever waits
        return None, error
