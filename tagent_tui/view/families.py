"""Which steps belong to which: a group's children and a step's compensation, and what a group's children add up to.

Apart from the rows because adding up costs as much as a group has children: it is done once for each version of a state, and only
for a group that somebody looks at.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from store.state import COMPENSATE, RunState, StepStatus, child_of, group_of, owner_of

FEW = 12
"""Children that are all shown; of more, those that are done and those to go are one row each."""

_DONE = frozenset({StepStatus.COMPLETED, StepStatus.SKIPPED})
_GAVE_UP = frozenset({StepStatus.FAILED, StepStatus.TIMED_OUT})


@dataclass(slots=True)
class Family:
    """The children of a group by what they are: done (at `done_cost`), to go, and the others in their order."""

    count: int = 0
    done: list[str] = field(default_factory=list)
    others: list[str] = field(default_factory=list)
    to_go: list[str] = field(default_factory=list)
    failed: int = 0
    waiting: int = 0
    cost: float = 0.0
    done_cost: float = 0.0

    @property
    def settled(self) -> int:
        """How many children nothing more will happen to."""
        return len(self.done) + self.failed


class Families:
    """The families of one state, each added up once a version."""

    def __init__(self) -> None:
        self._version = -1
        self._known: dict[str, Family] = {}

    def of(self, state: RunState, group: str) -> Family:
        """The family of a group as it stands."""
        if state.version != self._version:
            self._version, self._known = state.version, {}
        known = self._known.get(group)
        if known is None:
            known = self._known[group] = _add_up(state, group)
        return known


def _add_up(state: RunState, group: str) -> Family:
    family = Family()
    for name in children(state, group):
        step = state.steps[name]
        family.count += 1
        family.cost += step.cost
        if step.status in _DONE:
            family.done.append(name)
            family.done_cost += step.cost
        elif step.status is StepStatus.PENDING:
            family.to_go.append(name)
        else:
            family.others.append(name)
            family.failed += step.status in _GAVE_UP or step.status is StepStatus.CANCELLED
            family.waiting += step.status is StepStatus.WAITING
    return family


def children(state: RunState, group: str) -> Iterator[str]:
    """The paths of a group's children, in order."""
    step = state.steps.get(group)
    for index in range(step.items or 0) if step is not None else ():
        path = child_of(group, index)
        if path in state.steps:
            yield path


def compensation(state: RunState, name: str) -> str | None:
    """The path of a step's compensation, once the run is being undone."""
    path = name + COMPENSATE
    return path if path in state.steps else None


def roots(state: RunState) -> list[str]:
    """The steps that belong to no other, in definition order."""
    return list(state.steps) if not state.nested else [name for name, step in state.steps.items() if not step.nested]


def depth_of(path: str) -> int:
    """How many steps a path stands below."""
    return 0 if owner_of(path) is None else 1


def short_name(path: str) -> str:
    """A nested step as it is called below its own: `#3` of `each[3]`, `compensate` of `pay/compensate`."""
    group = group_of(path)
    if group is not None:
        return f"#{path[len(group) + 1 : -1]}"
    return COMPENSATE[1:] if path.endswith(COMPENSATE) else path
