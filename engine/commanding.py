"""Commands to a run, as methods: each says what happened in a sentence and raises `CommandRefusedError` where it does not fit.

Stands apart from `Engine`, whose part it is, because these drive nothing: they go through the run's inbox to whoever drives it.
"""

from __future__ import annotations

import abc
from collections.abc import Mapping
from typing import Any

from engine.control import signal
from store import Log


class Commanding(abc.ABC):
    """The part of an engine that steers runs, whichever process drives them."""

    @property
    @abc.abstractmethod
    def log(self) -> Log:
        """The open store."""

    async def command(self, run: str, kind: str, body: dict[str, Any] | None = None) -> str:
        """Give a run any command of `engine.commands.KINDS`."""
        return await signal(self.log, (await self.log.find(run)).id, kind, body or {})

    async def pause(self, run: str, *, now: bool = False) -> str:
        """Start nothing new; what runs is let finish, or with `now` is stopped and driven again from its record on resume."""
        return await self.command(run, "pause", {"now": True} if now else {})

    async def cancel(self, run: str, reason: str = "", *, step: str | None = None) -> str:
        """Stop the run for good, or one step of it: what needs that step is skipped, the rest goes on."""
        body = {"reason": reason, "step": step}
        return await self.command(run, "cancel", {key: value for key, value in body.items() if value})

    async def skip(self, run: str, step: str) -> str:
        """Let a step be skipped, whether it has begun or not; what depends on it runs without its output."""
        return await self.command(run, "skip", {"step": step})

    async def approve(self, run: str, step: str | None = None, *, approved: bool = True, note: str = "") -> str:
        """Approve the step that waits for it, or reject it; `step` may be left out where only one waits."""
        return await self.command(run, "approve", {"approved": approved, "note": note, **({"step": step} if step else {})})

    async def answer(self, run: str, value: Any, step: str | None = None, *, request: int | None = None) -> str:
        """Answer the question of `ctx.ask`; `step` and `request` (its event) may be left out where only one is open."""
        body = {"step": step, "request": request}
        return await self.command(run, "answer", {"value": value, **{key: held for key, held in body.items() if held}})

    async def checkpoint(self, run: str, name: str, metadata: Mapping[str, Any] | None = None) -> str:
        """Give the place where the run is now a name, also one that has ended; `metadata` are values kept with it."""
        return await self.command(run, "checkpoint", {"name": name, **({"metadata": dict(metadata)} if metadata else {})})

    async def set_budget(self, run: str, **limits: float) -> str:
        """Give the run another budget (`cost`, `tokens`, `calls`, `seconds`); a run that used its budget up goes on."""
        return await self.command(run, "budget", dict(limits))
