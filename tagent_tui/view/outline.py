"""What a run's pinned definition says that its state does not: who needs whom, how many tries, the goal.

Apart from the engine's pipeline because a screen only reads: it takes the stored JSON as it is, from any version and even if
it is damaged, and never refuses it. Step names here are keys; they are made safe where a row is made.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from engine.policies import RetryPolicy
from store import values
from store.errors import ValueEncodingError
from store.state import RunState, StepState, StepStatus


@dataclass(frozen=True, slots=True)
class StepOutline:
    """One step of the definition. `tries` is the most attempts it may have (None: not said), `timeout` in seconds.

    `serial`: it shares the one serial lane, so the step before it there can hold it up without being a dependency.
    """

    needs: tuple[str, ...] = ()
    tries: int | None = None
    timeout: float | None = None
    goal: str = ""
    serial: bool = True


@dataclass(frozen=True, slots=True)
class Outline:
    """All steps by name, and who comes after whom."""

    steps: Mapping[str, StepOutline] = field(default_factory=dict)
    after: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def step(self, name: str) -> StepOutline:
        """The step's outline; an empty one for a name the definition does not have."""
        return self.steps.get(name, _EMPTY)


_EMPTY = StepOutline()
NO_OUTLINE = Outline()

_RETRIES = RetryPolicy().max_retries
_SETTLED_WELL = frozenset({StepStatus.COMPLETED, StepStatus.SKIPPED})


def read_outline(text: bytes) -> Outline:
    """The outline of a definition's JSON text; an empty one if it is not of that shape."""
    try:
        found = values.decode(text)
    except ValueEncodingError:
        return NO_OUTLINE
    entries = found.get("steps") if isinstance(found, dict) else None
    if not isinstance(entries, list):
        return NO_OUTLINE
    return outline_of((entry["name"], _step(entry)) for entry in entries if _is_step(entry))


def outline_of(steps: Iterable[tuple[str, StepOutline]]) -> Outline:
    """The outline of these steps, with the dependants turned round from the dependencies."""
    known = dict(steps)
    after: dict[str, list[str]] = {}
    for name, step in known.items():
        for need in step.needs:
            after.setdefault(need, []).append(name)
    return Outline(known, {name: tuple(followers) for name, followers in after.items()})


def _is_step(entry: Any) -> bool:
    return isinstance(entry, dict) and isinstance(entry.get("name"), str)


def _step(entry: dict[str, Any]) -> StepOutline:
    timeout, goal = entry.get("timeout"), entry.get("goal")
    return StepOutline(
        needs=tuple(_needs(entry.get("depends_on"))),
        tries=_tries(entry.get("retry")),
        timeout=float(timeout) if isinstance(timeout, int | float) else None,
        goal=goal if isinstance(goal, str) else "",
        serial=entry.get("execution_mode", "serial") == "serial",
    )


def _tries(retry: Any) -> int | None:
    """A retry policy is written without what is as by default."""
    retries = retry.get("max_retries", _RETRIES) if isinstance(retry, dict) else _RETRIES
    return retries + 1 if isinstance(retries, int) and 0 <= retries < 10**6 else None


def _needs(found: Any) -> Iterable[str]:
    """Dependencies are names, or objects that have one."""
    for entry in found if isinstance(found, list) else ():
        name = entry.get("step") if isinstance(entry, dict) else entry
        if isinstance(name, str):
            yield name


def unmet(state: RunState, needs: Collection[str], limit: int = 4) -> list[str]:
    """The dependencies that are not there yet, at most `limit` of them."""
    missing: list[str] = []
    for name in needs:
        step = state.steps.get(name)
        if step is None or step.status not in _SETTLED_WELL:
            missing.append(name)
            if len(missing) >= limit:
                break
    return missing


def shown_step_status(state: RunState, outline: Outline, name: str, step: StepState) -> StepStatus:
    """The status to show: a pending step whose dependencies are all there is ready."""
    if step.status is StepStatus.PENDING and not unmet(state, outline.step(name).needs, 1):
        return StepStatus.READY
    return step.status
