"""An event that starts a pipeline: a run for each post of a topic, or for each turn in other runs' lives, and only one.

Stands apart because no rule is kept anywhere: the run's id follows from the pipeline and the event, so whoever looks at the same
events, again after a crash or from several processes at once, starts each run once.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from engine.errors import EngineError
from engine.exchange import LIFE_SECONDS, first
from store import Log, values
from store.errors import RunConflictError, RunNotFoundError
from store.events import RunId
from store.posts import LIFE, Post, Posts
from store.streams import POSTS, labels
from store.streams import pattern as checked

if TYPE_CHECKING:
    from engine.pipeline import Pipeline

PARAM = "event"
"""The param in which a started run finds its event: `topic, body, tags, run, pipeline, at`."""
PAGE = 100
RETRY_SECONDS = 0.05


class Starter(Protocol):
    """What this needs of an engine."""

    @property
    def log(self) -> Log: ...
    @property
    def start(self) -> Callable[..., Awaitable[RunId]]: ...


async def on(
    engine: Starter,
    topic: str,
    pipeline: Pipeline,
    *,
    tags: Iterable[str] = (),
    after: str | Post = "now",
    **options: Any,
) -> AsyncIterator[RunId]:
    """Start a run for each post whose topic matches a glob pattern and that has all tags; yields the runs started here, for ever.

    `after="start"` begins with all there are: those whose run exists are passed over, so nothing is missed while nobody looked.
    A topic such as `run.completed` is about other runs; runs of the pipeline itself start none. The event is the param `event`;
    options are those of `Engine.start`. Raises `PipelineValidationError` at once.
    """
    if isinstance(after, str) and after not in ("now", "start"):
        raise EngineError(f"after is {after!r}; use 'now', 'start', or a post that was seen.")
    pipeline.define([PARAM], model=options.get("model"))
    watch = _Watch(engine.log, checked(topic, "a pattern"), labels(tags), pipeline.name, after)
    while True:
        for post in await watch.next():
            run = RunId(values.digest(f"{pipeline.name}\0{post.topic}\0{post.id or post.run}".encode())[:12])
            if await _started(engine, run, pipeline, post, options):
                yield run


async def _started(engine: Starter, run: RunId, pipeline: Pipeline, post: Post, options: dict[str, Any]) -> bool:
    """Start the run of an event; False when it exists."""
    event = {name: value for name, value in msgspec.structs.asdict(post).items() if name not in ("id", "sender")}
    while True:
        try:
            await engine.log.head(run)
            return False
        except RunNotFoundError:
            pass
        try:
            await engine.start(pipeline, {PARAM: event}, run_id=run, **options)
            return True
        except RunConflictError:  # another process starts it; should it die before it did, it is ours
            await asyncio.sleep(RETRY_SECONDS)


class _Watch:
    """Where in the posts, or in the lives of runs, we are."""

    def __init__(self, log: Log, topic: str, tags: list[str], own: str, after: str | Post) -> None:
        self._log, self._topic, self._tags, self._own = log, topic, tags, own
        self._number, self._since = 0, time.time() if after == "now" else 0.0
        self._seen: set[tuple[str, str | None]] = set()
        if isinstance(after, Post):
            self._number, self._since = after.id, 0.0 if after.id else after.at

    async def next(self) -> list[Post]:
        """The next ones, once there are any."""
        life = self._topic.startswith(LIFE)
        look = self._lives if life else self._posts
        return await first(self._log, time.time, None if life else POSTS, look, pause=LIFE_SECONDS if life else 0.0) or []

    async def _posts(self) -> list[Post] | None:
        found = await Posts(self._log).after(self._number, since=self._since, pattern=self._topic, tags=self._tags, limit=PAGE)
        if found:
            self._number, self._since = found[-1].id, 0.0
        return found or None

    async def _lives(self) -> list[Post] | None:
        """From the last moment seen on, itself included: runs that ended in the same one are told apart by name."""
        found = await Posts(self._log).lives(self._since, self._topic, None, "", len(self._seen) + PAGE)
        fresh = [post for post in found if post.pipeline != self._own and (post.topic, post.run) not in self._seen]
        if found:
            self._since = found[-1].at
            self._seen = {(post.topic, post.run) for post in found if post.at == self._since}
        return fresh or None
