"""What a step remembers: the run's own memory, spaces shared with other runs, and memories that outlive the run.

Stands apart from `context.py`, which is given these to hang on: each is a few effects over the driver's `Exchange`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from engine.answers import Answer, Asked
from engine.effects import Effects
from engine.exchange import Exchange, Reach
from store.events import Safety
from store.memories import Memory
from store.spaces import Change, Held
from store.streams import SPACES, labels, name, pattern

SHARED = "run:"
"""How the space begins that belongs to a run: what others share with it."""


class RunMemory:
    """The run's own memory: plain values by key, seen by all its steps, kept over crashes, resumes and in forks."""

    def __init__(self, effects: Effects, exchange: Exchange, step: str) -> None:
        self._effects, self._exchange = effects, exchange
        self._shared = Space(f"{SHARED}{exchange.run}", effects, exchange, step)

    async def put(self, key: str, value: Any) -> None:
        """Keep a value under a key, in place of what was there."""
        arguments = {"key": name(key, "a key"), "value": value}
        await self._effects.perform("memory", f"put {key}", arguments, Safety.IDEMPOTENT, lambda _: Answer(None))

    async def get(self, key: str, default: Any = None) -> Any:
        """What was put under a key last, by any step of the run; `default` where nothing is."""

        async def read(_: Asked) -> Answer:
            return Answer(await self._exchange.recollect(key))

        name(key, "a key")
        found = await self._effects.perform("memory", f"get {key}", None, Safety.READ, read)
        return found["value"] if found["version"] else default

    async def delete(self, key: str) -> None:
        """Forget what is under a key, if anything."""
        name(key, "a key")
        await self._effects.perform("memory", f"delete {key}", None, Safety.IDEMPOTENT, lambda _: Answer(None))

    async def keys(self) -> list[str]:
        """The keys that hold something, sorted."""
        return list(await self._effects.perform("memory", "keys", None, Safety.READ, lambda _: Answer(self._exchange.keys())))

    async def shared(self, key: str, default: Any = None) -> Any:
        """What another run shared with this one under a key (`ctx.share`)."""
        return await self._shared.get(key, default)


class Space:
    """A memory space by name, shared by all runs of the store. Every write makes the space's next version."""

    def __init__(self, space: str, effects: Effects, exchange: Exchange, step: str) -> None:
        self.name = name(space, "the name of a space")
        self._effects, self._exchange, self._step = effects, exchange, step

    async def look(self, key: str) -> Held:
        """What is under a key, with its version: what `compare_and_set` expects. The version this run saw is in its log."""

        async def read(_: Asked) -> Answer:
            return Answer(await self._exchange.spaces.look(self.name, key))

        return Held(**await self._perform({"op": "get", "key": name(key, "a key")}, Safety.READ, read))

    async def get(self, key: str, default: Any = None) -> Any:
        """What is under a key; `default` where nothing is."""
        held = await self.look(key)
        return held.value if held.version else default

    async def keys(self, keys: str = "*") -> list[str]:
        """The keys that hold something and match a glob pattern, sorted."""

        async def read(_: Asked) -> Answer:
            return Answer(await self._exchange.spaces.keys(self.name, keys))

        return list(await self._perform({"op": "keys", "key": pattern(keys, "a pattern of keys")}, Safety.READ, read))

    async def put(self, key: str, value: Any) -> int:
        """Write a value, whatever was there; returns the version it made."""
        return await self._write("put", key, {"value": value}) or 0

    async def delete(self, key: str) -> int:
        """Take a key away; returns the version that made, 0 if nothing was there."""
        return await self._write("delete", key, {}) or 0

    async def compare_and_set(self, key: str, expected_version: int, value: Any) -> int | None:
        """Write only if the key is still at the version seen (0: it was not there).

        Returns the version it made, or None when somebody else was first: look again, and decide anew.
        """
        return await self._write("compare_and_set", key, {"expected": expected_version, "value": value})

    async def watch(self, keys: str = "*", *, after: int | None = None, timeout: float | None = None) -> Change | None:
        """Wait for the next change of keys that match a glob pattern: after a version of the space, or (None) after it was asked.

        None when `timeout` seconds have passed since it was first asked.
        """

        async def wait(asked: Asked) -> Answer:
            async def look() -> Change | None:
                since = asked.at if after is None else 0.0
                found = await self._exchange.spaces.changes(self.name, after=after or 0, since=since, pattern=keys, limit=1)
                return found[0] if found else None

            return Answer(await self._exchange.first(SPACES, look, None if timeout is None else asked.at + timeout))

        arguments = {"op": "watch", "key": pattern(keys, "a pattern of keys"), "after": after, "timeout": timeout}
        found = await self._perform(arguments, Safety.READ, wait)
        return None if found is None else Change(**found)

    async def _write(self, op: str, key: str, given: dict[str, Any]) -> int | None:
        change = "delete" if op == "delete" else "put"

        async def write(asked: Asked) -> Answer:
            author = await self._exchange.author(asked, self._step)
            made = await self._exchange.spaces.write(
                author, self.name, key, change, given.get("value"), self._exchange.clock, expected=given.get("expected")
            )
            return Answer({"version": made})

        arguments = {"op": op, "key": name(key, "a key"), **given}
        made: int | None = (await self._perform(arguments, Safety.IDEMPOTENT, write))["version"]
        return made

    async def _perform(self, arguments: dict[str, Any], safety: Safety, issue: Any) -> Any:
        return await self._effects.perform("space", self.name, arguments, safety, issue)


class Remembering:
    """The part of a step's context that remembers."""

    step: str
    attempt: int
    _effects: Effects
    _around: Reach

    @property
    def memory(self) -> RunMemory:
        """The run's own memory."""
        return RunMemory(self._effects, self._around.exchange, self.step)

    def space(self, name: str) -> Space:
        """A memory space that all runs of the store share."""
        return Space(name, self._effects, self._around.exchange, self.step)

    async def share(self, target: str, key: str, value: Any) -> int:
        """Put a value where the run `target` (its id) finds it: `await ctx.memory.shared(key)` there. Returns its version."""
        return await self.space(f"{SHARED}{target}").put(key, value)

    async def remember(self, text: str, kind: str = "fact", tags: Iterable[str] = (), **fields: Any) -> int | None:
        """Keep a text beyond this run (`kind`: `fact`, `failure`, ...), with where it came from; returns the memory's id.

        The same text of the same kind is kept once, with every run it came from. None where memories are switched off.
        """
        wanted = labels(tags)
        exchange = self._around.exchange

        async def keep(asked: Asked) -> Answer:
            if not exchange.remembers:
                return Answer({"id": None})
            author = await exchange.author(asked, self.step)
            return Answer({"id": await exchange.memories.remember(author, kind, text, wanted, fields, exchange.clock())})

        arguments = {"text": text, "kind": kind, "tags": wanted, "fields": fields}
        kept = await self._effects.perform("remember", name(kind, "a kind of memory"), arguments, Safety.IDEMPOTENT, keep)
        self._say_off("nothing is kept")
        found: int | None = kept["id"]
        return found

    async def recall(self, query: str, limit: int = 5, kind: str | None = None, tags: Iterable[str] = ()) -> list[Memory]:
        """The memories that share most words with a question, the best first; the newest for an empty one. Of all runs."""
        wanted = labels(tags)
        exchange = self._around.exchange

        async def search(_: Asked) -> Answer:
            if not exchange.remembers:
                return Answer([])
            return Answer(await exchange.memories.search(query, limit=limit, kind=kind, tags=wanted))

        arguments = {"query": query, "limit": limit, "kind": kind, "tags": wanted}
        found = await self._effects.perform("recall", "recall", arguments, Safety.READ, search)
        self._say_off("nothing is found")
        return [Memory.of(one) for one in found]

    def _say_off(self, what: str) -> None:
        if not self._around.exchange.remembers:
            text = f"memories are switched off (memories = false): {what}"
            self._around.write_log(self.step, self.attempt, text, "warning", "log", {})
