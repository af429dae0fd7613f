"""What a run's pinned definition says that its state does not: who needs whom, how many tries, the goal.

Apart from the engine's pipeline because a screen only reads: it takes the stored JSON as it is, from any version and even if
it is damaged, and never refuses it. Step names here are keys; they are made safe where a row is made.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec

from engine.policies import BreakerPolicy, RetryPolicy
from store import values
from store.errors import ValueEncodingError
from store.events import StepAdded
from store.state import RunState, StepState, StepStatus, group_of, owner_of


@dataclass(frozen=True, slots=True)
class StepOutline:
    """One step of the definition. `tries` is the most attempts it may have (None: not said), `timeout` in seconds.

    `serial`: it shares the one serial lane, so the step before it there can hold it up without being a dependency. `runs` is its
    function. `soft` are the needs that may fail, `required` how many of the needs have to be met (None: all). `condition` has to
    hold before it starts, `each` and `again` make it a group. `fallback` stands in for it, `rescues` is what it stands in for;
    `route` is the step that chooses whether it runs, `agent` who carries it out.
    """

    needs: tuple[str, ...] = ()
    tries: int | None = None
    timeout: float | None = None
    goal: str = ""
    serial: bool = True
    runs: str = ""
    soft: frozenset[str] = frozenset()
    required: int | None = None
    condition: str = ""
    each: str = ""
    again: str = ""
    fallback: str = ""
    rescues: str = ""
    route: str = ""
    compensate: str = ""
    irreversible: bool = False
    agent: str = ""


_BREAKER = BreakerPolicy()


@dataclass(frozen=True, slots=True)
class Outline:
    """All steps by name, who comes after whom, what the run may use (`cost`, `tokens`, `calls`, `seconds`), and its breaker."""

    steps: Mapping[str, StepOutline] = field(default_factory=dict)
    after: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    budget: Mapping[str, float] = field(default_factory=dict)
    breaker: BreakerPolicy = _BREAKER

    def step(self, name: str) -> StepOutline:
        """The step's outline; a child has its group's but needs nothing, an unknown name an empty one."""
        found = self.steps.get(name)
        if found is not None:
            return found
        owner = owner_of(name)
        if owner is None:
            return _EMPTY
        held = self.steps.get(owner, _EMPTY)
        if group_of(name) is None:
            return StepOutline(runs=held.compensate, tries=1)
        return StepOutline(tries=held.tries, timeout=held.timeout, goal=held.goal, serial=False, runs=held.runs, agent=held.agent)


_EMPTY = StepOutline()
NO_OUTLINE = Outline()

_RETRIES = RetryPolicy().max_retries
_SETTLED_WELL = frozenset({StepStatus.COMPLETED, StepStatus.SKIPPED})


def read_outline(text: bytes, added: Iterable[StepAdded] = ()) -> Outline:
    """The outline of a definition's JSON text, and of the steps that were added to it; an empty one if it is not of that shape."""
    found = _decoded(text)
    entries = found.get("steps") if isinstance(found, dict) else None
    if not isinstance(entries, list):
        return NO_OUTLINE
    known = [dict(entry) for entry in entries if _is_step(entry)]
    for event in added:
        fresh = _decoded(event.definition.encode())
        known += [fresh] if _is_step(fresh) else []
        for entry in known:
            if entry["name"] in event.before and isinstance(entry.get("depends_on", []), list):
                entry["depends_on"] = [*entry.get("depends_on", []), event.name]
    _turn_round(known)
    outline = outline_of((entry["name"], _step(entry)) for entry in known)
    return replace(outline, budget=_budget(found.get("budget")), breaker=_breaker(found.get("breaker")))


def _breaker(found: Any) -> BreakerPolicy:
    """The pipeline's breaker; one that has none goes by the settings of who drives it, here by what holds without any."""
    try:
        return msgspec.convert(found, type=BreakerPolicy)
    except msgspec.ValidationError:
        return _BREAKER


def _budget(found: Any) -> dict[str, float]:
    limits = found.items() if isinstance(found, dict) else ()
    return {what: float(most) for what, most in limits if isinstance(most, int | float)}


def _decoded(text: bytes) -> Any:
    try:
        return values.decode(text)
    except ValueEncodingError:
        return None


def _turn_round(entries: Iterable[dict[str, Any]]) -> None:
    """Tell fallbacks what they stand in for, and branches who chooses them."""
    known = {entry["name"]: entry for entry in entries}
    for name, entry in known.items():
        fallback, switch = entry.get("fallback"), entry.get("switch")
        if isinstance(fallback, str) and fallback in known:
            known[fallback]["rescues"] = name
        for case in switch if isinstance(switch, list) else ():  # pairs, in the order in which they are asked
            branch = case[0] if isinstance(case, list) and case else None
            if isinstance(branch, str) and branch in known:
                known[branch]["route"] = name


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
        soft=frozenset(_soft(entry.get("depends_on"))),
        required=_required(entry.get("join")),
        irreversible=entry.get("irreversible") is True,
        **{field: word for field, key in _WORDS.items() if isinstance(word := entry.get(key), str)},
    )


_WORDS = {
    "runs": "run",
    "agent": "agent",
    "condition": "condition",
    "each": "for_each",
    "again": "while_",
    "fallback": "fallback",
    "rescues": "rescues",
    "route": "route",
    "compensate": "compensate",
}
"""Fields that are one text in the definition, by the key they stand under."""


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


def _soft(found: Any) -> Iterable[str]:
    """The dependencies that may fail."""
    for entry in found if isinstance(found, list) else ():
        if isinstance(entry, dict) and entry.get("type") == "soft" and isinstance(entry.get("step"), str):
            yield entry["step"]


def _required(join: Any) -> int | None:
    if isinstance(join, int) and not isinstance(join, bool):
        return join
    return 1 if join in ("any", "first") else None


def unmet(state: RunState, outline: Outline, name: str, limit: int = 4) -> list[str]:
    """What a pending step still waits for, at most `limit` steps; nothing once as many are there as it requires."""
    step = outline.step(name)
    missing: list[str] = []
    open_needs = len(step.needs) - step.required if step.required is not None else 0
    for need in step.needs:
        if not _met(state, outline, need, soft=need in step.soft):
            missing.append(need)
            if len(missing) >= limit and not open_needs:
                return missing
    if step.required is not None and len(missing) <= open_needs:
        missing = []
    return missing[:limit]


def _met(state: RunState, outline: Outline, need: str, *, soft: bool) -> bool:
    """Whether a dependency is there: it went well, or something stands in for it, or it only had to end."""
    held = state.steps.get(need)
    for _ in range(len(outline.steps) + 1):
        if held is None:
            return False
        if held.status in _SETTLED_WELL or (soft and held.status.settled):
            return True
        stands_in = outline.step(need).fallback
        if not stands_in or held.status not in (StepStatus.FAILED, StepStatus.TIMED_OUT):
            return False
        need, held = stands_in, state.steps.get(stands_in)
    return False


def implied(state: RunState, outline: Outline, name: str) -> str:
    """The step whose end decides whether this one is wanted at all: what it stands in for, or what chooses it; else nothing."""
    step = outline.step(name)
    for one in (step.rescues, step.route):
        held = state.steps.get(one) if one else None
        if held is not None and not held.status.settled:
            return one
    return ""


def shown_step_status(state: RunState, outline: Outline, name: str, step: StepState) -> StepStatus:
    """The status to show: a pending step whose dependencies are all there is ready; one that belongs to another waits its turn."""
    if step.status is not StepStatus.PENDING or step.nested:
        return step.status
    return StepStatus.PENDING if unmet(state, outline, name, 1) or implied(state, outline, name) else StepStatus.READY
