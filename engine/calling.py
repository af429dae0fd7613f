"""What runs that call others need of each other: the words between `children.py`, `family.py` and the runtimes.

Stands apart so that none of these knows how another is made.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import msgspec

from engine.definition import Definition
from engine.pipeline import Pipeline
from store import Lease
from store.events import BudgetSet, Event, RunId, Spent
from store.state import RunState


class Callee(msgspec.Struct, frozen=True):
    """What a child run runs: the definition it pins, and the pipeline with the functions and types behind it.

    `target` and `cwd` say how another process finds it again; without a target, through its caller.
    """

    definition: Definition
    pipeline: Pipeline
    target: str | None = None
    cwd: str | None = None


class Call(msgspec.Struct, frozen=True):
    """One request for a child run, by a step's attempt. `callee` is the word for it where it is found only now."""

    request: int
    step: str
    attempt: int
    callee: Callee | str
    params: dict[str, Any]


class Driven(Protocol):
    """A child run while it is driven here."""

    lease: Lease
    definition: Definition
    parked: str | None

    @property
    def children(self) -> Calling: ...
    @property
    def state(self) -> RunState: ...
    async def drive(self) -> RunState: ...
    def command(self, kind: str, body: dict[str, Any]) -> None: ...
    def note(self, event: Event, step: str | None = None, attempt: int = 0) -> None: ...


class Calling(Protocol):
    """The child runs of a run, and `above`: who is told what the run and its child runs use, at once."""

    above: Callable[[tuple[Spent, ...]], None] | None


class Home(Protocol):
    """Where the runs are: the engine, seen from one run that calls others."""

    async def state(self, child: RunId) -> RunState | None:
        """A run's state, None if there is none."""
        ...

    async def begin(self, child: RunId, call: Call, caller: RunState) -> Driven:
        """Record a child run, with what is left of its caller's budgets; raises `EngineError` for what cannot be run."""
        ...

    async def take_up(self, child: RunId, call: Call, caller: RunState, *, unpause: bool) -> Driven | None:
        """Take a child run over, to drive it on; None while another process drives it."""
        ...

    async def stirred(self, child: RunId, seen: int) -> int:
        """Wait until something is recorded in the child or in runs below it; `seen` and the return are their events' number."""
        ...

    async def grown(self, child: RunId) -> int:
        """How many events the child and the runs below it have."""
        ...

    async def output(self, child: RunId, state: RunState) -> Any:
        """The final output of a child that has ended, None unless it completed."""
        ...

    async def used(self, child: RunId, state: RunState) -> tuple[Spent, ...]:
        """What a child and the runs below it used so far, by model."""
        ...

    def more(self, call: Call, caller: RunState, child: RunState, called: Definition) -> dict[str, float]:
        """The limits that the budgets around a child now raise for it."""
        ...

    def held(self, call: Call, caller: RunState, child: RunState) -> BudgetSet | None:
        """What stops a child where a budget around it is used up."""
        ...

    async def tell(self, child: RunId, kind: str, body: dict[str, Any]) -> None:
        """Give a command to a child that is not driven here."""
        ...

    async def unfinished(self) -> list[RunId]:
        """The caller's child runs that have not ended."""
        ...


class Caller(Protocol):
    """The run whose children these are."""

    @property
    def state(self) -> RunState: ...
    def note(self, event: Event, step: str | None = None, attempt: int = 0) -> None: ...
    def fail(self, error: BaseException) -> None: ...
