"""Who comes before whom by the names in a definition that may still be wrong, implied edges included. Pure.

Stands apart from `graph.py`, which indexes only what is right: here names may be unknown, steps may wait for each other.
"""

from __future__ import annotations

import graphlib
from collections import deque
from collections.abc import Collection, Iterator, Sequence

from engine.steps import PipelineStep


class Links:
    """The steps by name and the edges between them.

    `before` maps a step to those it waits for: its dependencies, the switch that chooses it, the step it stands in for.
    `switches` maps a branch to the steps that choose it, `rescued` a fallback to the steps that name it.
    """

    def __init__(self, steps: Sequence[PipelineStep]) -> None:
        self.steps = {step.name: step for step in steps if isinstance(step.name, str)}
        self.before: dict[str, dict[str, None]] = {name: {} for name in self.steps}
        self.switches: dict[str, list[str]] = {}
        self.rescued: dict[str, list[str]] = {}
        self._ancestors: dict[str, set[str]] = {}
        for step in steps:
            name = step.name if isinstance(step.name, str) else ""
            for earlier in step.needs:
                self._edge(earlier, name)
            for branch in step.switch or ():
                self.switches.setdefault(str(branch), []).append(name)
                self._edge(name, branch)
            if isinstance(step.fallback, str):
                self.rescued.setdefault(step.fallback, []).append(name)
                self._edge(name, step.fallback)

    def _edge(self, earlier: object, later: object) -> None:
        known = isinstance(earlier, str) and isinstance(later, str) and earlier in self.steps and later in self.steps
        if known and earlier != later:
            self.before[str(later)][str(earlier)] = None

    def ancestors(self, name: str) -> set[str]:
        """Everything that a step waits for, directly or not; without itself unless it waits for itself."""
        if name not in self._ancestors:
            self._ancestors[name] = set(self._walk(list(self.before.get(name, ()))))
        return self._ancestors[name]

    def needs(self, later: str, earlier: str) -> bool:
        """Whether a step waits for another by its own dependencies, whatever it stands in for."""
        own = [name for name in self.steps[later].needs if name in self.steps and name != later]
        return earlier in self._walk(own)

    def _walk(self, names: list[str]) -> Iterator[str]:
        found, todo = set(names), deque(names)
        while todo:
            name = todo.popleft()
            yield name
            for earlier in self.before.get(name, ()):
                if earlier not in found:
                    found.add(earlier)
                    todo.append(earlier)

    def cycle(self) -> list[str]:
        """Steps that wait for each other, the first again at the end; empty when there are none.

        Who waits for a step also waits for what stands in for it, should it fail; a stand-in that needs the very step it is for is
        told by itself.
        """
        waits: dict[str, dict[str, None]] = self.before
        if self.rescued:
            waits = {name: {**before, **self._standins(name)} for name, before in self.before.items()}
        try:
            graphlib.TopologicalSorter(waits).prepare()
        except graphlib.CycleError as error:
            return list(reversed(error.args[1]))
        return []

    def _standins(self, name: str) -> dict[str, None]:
        found: dict[str, None] = {}
        for needed in (*self.steps[name].needs, *self.switches.get(name, ())):
            failed, passed = needed, {needed}
            while failed in self.steps:
                standin = self.steps[failed].fallback
                if not isinstance(standin, str) or standin not in self.steps or standin in passed:
                    break
                if not self.needs(standin, failed):
                    found[standin] = None
                passed.add(standin)
                failed = standin
        return found

    def in_order(self) -> list[str]:
        """All names, each after what it waits for. Only where there is no cycle."""
        return list(graphlib.TopologicalSorter(self.before).static_order())


class Earlier(Collection[str]):
    """The steps that a step may read: itself, and what it waits for. The walk is made only if a name is no direct dependency."""

    def __init__(self, links: Links, name: str) -> None:
        self._links, self._name = links, name

    def __contains__(self, name: object) -> bool:
        if name == self._name or name in self._links.before.get(self._name, ()):
            return True
        return name in self._links.ancestors(self._name)

    def __iter__(self) -> Iterator[str]:
        return iter({self._name, *self._links.ancestors(self._name)})

    def __len__(self) -> int:
        return len({self._name, *self._links.ancestors(self._name)})
