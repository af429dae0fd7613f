"""The outputs that steps still to run need, as JSON text: in memory while needed, read from the log again after a crash.

Stands apart from the runtime because it is a cache: dropping all of it changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from engine.graph import Plan
from store import Lease, Log
from store.events import Recorded
from store.state import RunState, StepState, child_of, group_of

OUTPUTS = frozenset({"step.completed", "step.reused", "step.published", "edit.applied"})


class Outputs:
    """Outputs by the version that holds them. `state` is the driver's own and is only looked at.

    It may be ahead of the disk: whatever is read from the log is made durable first.
    """

    def __init__(self, log: Log, lease: Lease, plan: Plan, state: RunState) -> None:
        self._log, self._lease, self._plan, self._state = log, lease, plan, state
        self._texts: dict[int, bytes] = {}
        self._users: dict[str, int] = {}
        self._items: dict[int, list[msgspec.Raw]] = {}

    def at_hand(self, versions: Mapping[str, int]) -> dict[str, bytes] | None:
        """The texts of these versions by name, or None when one of them is not in memory."""
        texts = self._texts
        try:
            return {name: texts[version] for name, version in versions.items()}
        except KeyError:
            return None

    async def load(self, versions: Mapping[str, int]) -> dict[str, bytes]:
        """The texts of these versions by name; what is not in memory is read."""
        found = {}
        for name, version in versions.items():
            found[name] = self._texts[version] if version in self._texts else await self._read(version)
        return found

    async def _read(self, version: int) -> bytes:
        recorded = await self._recorded(version)
        return await self._log.text(recorded.event.output)

    async def _recorded(self, version: int) -> Recorded:
        await self._lease.flush()
        return (await self._log.events(self._lease.run, after=version - 1, upto=version))[0]

    async def of_children(self, name: str, count: int) -> list[bytes | None]:
        """The outputs of a group's first children, in order; None where one has none."""
        versions = [self._state.steps[child_of(name, index)].output for index in range(count)]
        missing = {version for version in versions if version is not None and version not in self._texts}
        texts: dict[int, bytes] = {}
        if missing:
            await self._lease.flush()
            for recorded in await self._log.events(self._lease.run, after=min(missing) - 1, upto=max(missing), types=OUTPUTS):
                if recorded.version in missing:
                    texts[recorded.version] = await self._log.text(recorded.event.output)
        return [None if version is None else self._texts.get(version, texts.get(version)) for version in versions]

    async def item(self, path: str) -> dict[str, bytes]:
        """What a child of a group is given besides its inputs: `item` and `index`, or `output` and `iteration`."""
        group = group_of(path)
        if group is None:
            return {}
        index, step = int(path[len(group) + 1 : -1]), self._plan.steps[group]
        if step.while_ is not None:
            last = await self.of_children(group, index)
            return {"iteration": str(index).encode(), "output": (last[-1] if last else None) or b"null"}
        items = await self._items_of(self._state.steps[group])
        return {"item": bytes(items[index]), "index": str(index).encode()}

    async def _items_of(self, group: StepState) -> list[msgspec.Raw]:
        version = group.evaluated or 0
        if version not in self._items:
            recorded = await self._recorded(version)
            self._items[version] = msgspec.json.decode(await self._log.text(recorded.event.values), type=list[msgspec.Raw])
        return self._items[version]

    def keep(self, path: str, version: int, text: bytes) -> None:
        """A step completed; its output is kept if somebody needs it, and it needs its own inputs no more."""
        dependants, steps = self._plan.dependants, self._state.steps
        if path not in dependants:
            self._texts[version] = text
            return
        if dependants[path]:
            self._texts[version] = text
        if (step := steps[path]).items is not None:
            self._let_go(step, path)
        for need in self._plan.needs[path]:
            left = self._users.pop(need, len(dependants[need])) - 1
            if left > 0:
                self._users[need] = left
            else:
                self._drop(steps[need])

    def _let_go(self, step: StepState, path: str) -> None:
        """A group completed: what its children returned is in its output."""
        for index in range(step.items or 0):
            self._drop(self._state.steps[child_of(path, index)])
        self._items.pop(step.evaluated or 0, None)

    def _drop(self, step: StepState) -> None:
        if step.output is not None:
            self._texts.pop(step.output, None)
