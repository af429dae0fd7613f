"""A definition with its indexes: who needs whom, both ways, and the place of every step. Pure.

Stands apart from the scheduler because the graph is the definition's, not the state's; it grows only when a step is added at run
time. A place is a number that orders steps as they are defined, the children of a group behind each other: one heap entry each.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence

import msgspec

from engine.definition import Budget, Definition, Dep, ExecutionMode, StepDefinition
from engine.reads import evaluates, looked_at, read_before, read_during
from store.state import COMPENSATE as COMPENSATE
from store.state import child_of, group_of, owner_of

RESCUE = "rescue"
"""The dependency of a fallback on the step it stands in for: met when that has failed for good."""
ROUTE = "route"
"""The dependency of a branch on the step that chooses it."""

_CHILD_BITS = 24
_CHILD = (1 << _CHILD_BITS) - 1
MAX_CHILDREN = _CHILD - 1


class Plan:
    """The steps of a run and their dependencies. `limit` is steps running at once.

    `deps` are the dependencies that count, those implied by a switch or a fallback last; `needs` the names among them whose outputs
    a step is given. `dependants` is the reverse of `deps`. `rescues` maps a fallback to what it stands in for, `routes` a branch to
    the step that chooses it. `plain` are steps whose inputs are simply the outputs of all they need, `simple` those of them with no
    implied dependency, `prompt` those of these that start as soon as their dependencies let them. `looks` are steps whose
    dependencies' contents have to be looked at first, with the steps that look reads; `words` those whose attempts evaluate
    expressions, and `reads` what these read besides their inputs. `marking`: checkpoints are made by themselves.
    """

    def __init__(self, definition: Definition, limit: int, added: Iterable[tuple[StepDefinition, Sequence[str]]] = ()) -> None:
        self.definition, self.limit = definition, limit
        self.steps: dict[str, StepDefinition] = {}
        self.names: list[str] = []
        self.place: dict[str, int] = {}
        self.deps: dict[str, tuple[Dep, ...]] = {}
        self.needs: dict[str, tuple[str, ...]] = {}
        self.dependants: dict[str, list[str]] = {}
        self.rescues: dict[str, str] = {}
        self.routes: dict[str, str] = {}
        self.serial: set[str] = set()
        self.plain: set[str] = set()
        self.compensable: list[str] = []
        self.looks: dict[str, frozenset[str]] = {}
        self.reads: dict[str, frozenset[str]] = {}
        self.words: set[str] = set()
        self.simple: set[str] = set()
        self.prompt: set[str] = set()
        self.budgets: dict[str, Budget] = {"": definition.budget} if definition.budget is not None else {}
        self.marking = bool(definition.checkpoints)
        for step in definition.steps:
            self._enter(step)
        for step in definition.steps:
            self._link(step)
        for step, before in added:
            self.add(step, before)

    def add(self, step: StepDefinition, before: Sequence[str] = ()) -> None:
        """A step that was added at run time; those in `before`, its branches and its fallback depend on it from now."""
        self._enter(step)
        self._link(step)
        for name in before:
            dep = Dep(step.name)
            self.steps[name] = msgspec.structs.replace(self.steps[name], depends_on=(*self.steps[name].depends_on, dep))
            self.needs[name] = (*self.needs[name], step.name)
            self._depend(name, dep)
        for branch in step.switch or ():
            if step.name not in self.needs[branch]:
                self._depend(branch, Dep(step.name, ROUTE))
        if step.fallback is not None:
            self._depend(step.fallback, Dep(step.name, RESCUE))

    def _depend(self, name: str, dep: Dep) -> None:
        """Let a step that was there depend on one that was added."""
        own = dep.type not in (ROUTE, RESCUE)
        self.deps[name] = (dep, *self.deps[name]) if own else (*self.deps[name], dep)
        self.dependants[dep.step].append(name)
        if not own or not self._plain(dep):
            for quick in (self.plain, self.simple, self.prompt):
                quick.discard(name)

    def _enter(self, step: StepDefinition) -> None:
        name = step.name
        self.place[name] = len(self.names) << _CHILD_BITS
        self.names.append(name)
        self.steps[name] = step
        self.dependants[name] = []
        if step.execution_mode is ExecutionMode.SERIAL:
            self.serial.add(name)
        if step.fallback is not None:
            self.rescues[step.fallback] = name
        for branch in step.switch or ():
            self.routes[branch] = name
        if step.compensate is not None:
            self.compensable.append(name)
        self.marking |= bool(step.checkpoint)
        if step.budget is not None:
            self.budgets[name] = step.budget

    def _link(self, step: StepDefinition) -> None:
        name = step.name
        self.needs[name] = tuple(dep.step for dep in step.depends_on)
        implied = []
        if name in self.rescues:
            implied.append(Dep(self.rescues[name], RESCUE))
        if name in self.routes and self.routes[name] not in self.needs[name]:
            implied.append(Dep(self.routes[name], ROUTE))
        self.deps[name] = (*step.depends_on, *implied)
        for dep in self.deps[name]:
            self.dependants[dep.step].append(name)
        if step.execution_mode is ExecutionMode.PARALLEL_MERGE:
            self.serial.difference_update(self.needs[name])  # its members run together
        if looked_at(step):
            self.looks[name] = read_before(step)
        if evaluates(step) or step.many:
            self.words.add(name)
            self.reads[name] = read_during(step)
        if step.join == "all" and all(self._plain(dep) for dep in step.depends_on):
            self.plain.add(name)
            if not implied:
                self.simple.add(name)
                if name not in self.looks and step.approval is None and step.enabled:
                    self.prompt.add(name)

    def _plain(self, dep: Dep) -> bool:
        return dep.type != "soft" and self.steps[dep.step].fallback is None

    def required(self, name: str) -> int:
        """How many of a step's own dependencies must be met before it may start."""
        step = self.steps[name]
        count = len(step.depends_on)
        if step.join == "all" or not count:
            return count
        return step.join if isinstance(step.join, int) else 1

    def width(self, group: str) -> int:
        """How many children of a group may be under way at once."""
        step = self.steps[group]
        return 1 if step.while_ is not None else step.max_concurrent or self.limit

    def standins(self, name: str) -> Iterator[str]:
        """What stands in for a step if it fails, what stands in for that, and so on."""
        standin = self.steps[name].fallback
        while standin is not None:
            yield standin
            standin = self.steps[standin].fallback

    def descendants(self, names: set[str], rescued: Callable[[str], bool] = lambda name: True) -> set[str]:
        """`names` and everything that depends on them, directly or not.

        What stands in for a step is needed by all that need that step: always, or where `rescued` says that it came to that.
        """
        found, todo = set(names), deque(names)
        while todo:
            needed: str | None = todo.popleft()
            while needed is not None:
                for name in self.dependants.get(needed, ()):
                    if name not in found:
                        found.add(name)
                        todo.append(name)
                needed = self.rescues.get(needed)
                if needed is not None and not rescued(needed):
                    needed = None
        return found

    def ancestors(self, name: str) -> set[str]:
        """Everything a step depends on, directly or not."""
        found: set[str] = set()
        todo = [name]
        while todo:
            for dep in self.deps.get(todo.pop(), ()):
                if dep.step not in found:
                    found.add(dep.step)
                    todo.append(dep.step)
        return found

    # -- paths and places

    def key(self, path: str) -> int:
        """The place of a step or a child: smaller is earlier in definition order."""
        group = group_of(path)
        return self.place[path] if group is None else self.place[group] + int(path[len(group) + 1 : -1]) + 1

    def path(self, key: int) -> str:
        """The path at a place."""
        name, index = self.names[key >> _CHILD_BITS], key & _CHILD
        return child_of(name, index - 1) if index else name

    def knows(self, path: str) -> bool:
        """Whether the definition has what the path is of."""
        return base_of(path) in self.steps

    def step_of(self, path: str) -> StepDefinition:
        """What is to be run at a path: a step's own definition for its children, its compensation for `NAME/compensate`."""
        step = self.steps.get(path)
        if step is not None:
            return step
        if path.endswith(COMPENSATE):
            return StepDefinition(path, run=self.steps[path.removesuffix(COMPENSATE)].compensate)
        return msgspec.structs.replace(self.steps[base_of(path)], switch=None)


def base_of(path: str) -> str:
    """The name in the definition that a path belongs to: `each` for `each[3]`, `pay` for `pay/compensate`."""
    return owner_of(path) or path
