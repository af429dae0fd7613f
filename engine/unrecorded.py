"""Effects that leave no events of their own: of bodies that can ask for none, and of what goes on inside a call of a tool.

Stands apart from `effects.py`, the gate that records: here nothing is recorded, so nothing is lived through again.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from engine.answers import Answer, Asked, Blob, Issue, Told
from engine.effects import Effects
from engine.errors import AttemptClosedError, EngineError
from engine.failures import error_of, failure_of
from engine.models.errors import ModelError
from engine.tape import Base
from store import values
from store.effect_rules import spent
from store.events import EffectRequested, Payload, Safety, Spent


class NoEffects(Effects):
    """The effects of a body that is given nothing to ask the world by: none, without what a gate costs (6 us an attempt)."""

    def __init__(self) -> None:
        self.closed = False

    def close(self) -> None:
        """Nothing waits and nothing can ask."""

    @property
    def unmade(self) -> list[EffectRequested]:
        """None."""
        return []

    @property
    def unsettled(self) -> list[str]:
        """None."""
        return []


ALONE = frozenset({"now", "random", "uuid", "sleep", "once", "model", "tool"})
"""Kinds of effects that need nothing of the record: what a tool may ask for, besides reading the run's memory."""


class InsideTool(NoEffects):
    """The effects of one call of a tool: done as they are asked for. The call is recorded as a whole, with what it `spent`."""

    def __init__(self, tool: str, outer: Effects, safety: str) -> None:
        super().__init__()
        self._tool, self._outer, self._safety = tool, outer, safety
        self.spent: list[Spent] = []

    def close(self) -> None:
        """The call has ended; a function that was left behind is refused from now on."""
        self.closed = True

    @property
    def replaying(self) -> bool:
        """Never."""
        return False

    def asks_first(self, kind: str, name: str, arguments: Any, question: Base) -> bool:
        """Always: nothing is known here of what was done before."""
        return True

    async def perform(
        self, kind: str, name: str, arguments: Any, safety: Safety, issue: Issue, *, key: str | None = None,
        stored: tuple[Payload, Sequence[Blob]] | None = None, paid: bool = False, told: Told | None = None, agreed: bool = False,
    ) -> Any:  # fmt: skip
        """Ask the world at once. Raises `EngineError` for what has to stand in the record itself, or is riskier than its tool."""
        if kind not in ALONE and not (kind == "memory" and safety is Safety.READ):
            raise EngineError(f"The tool {self._tool!r} asks for {kind} {name!r}, which only a step can; do that in a step.")
        if safety is Safety.IRREVERSIBLE and self._safety != Safety.IRREVERSIBLE.value:
            raise EngineError(
                f"The tool {self._tool!r} is marked {self._safety}, so it may be called again, but it asks for the irreversible "
                f"{kind} {name!r}; mark the tool irreversible, or this one as what it is."
            )
        if self.closed:
            raise AttemptClosedError(f"the call of the tool {self._tool!r} has ended; its effects are refused")
        self._outer.refuse_closed()
        try:
            answer = issue(Asked(0, time.time()))
            found = answer if isinstance(answer, Answer) else await answer
        except Exception as error:  # as any effect: whatever was raised, the body is told of a failure
            usage = error.usage if isinstance(error, ModelError) else None
            self.spent += [*([spent(usage)] if usage is not None else []), *getattr(error, "spent", ())]
            raise error_of(failure_of(error)) from error
        self.spent += [*([spent(found.usage)] if found.usage is not None else []), *found.spent]
        return values.decode(values.encode(found.value))
