"""What a step says to other runs and hears from them: messages, each to one receiver, and posts, to whoever waits for them.

Stands apart from `context.py`, which is given this to hang on. Sending happens once however often the body runs: the request is the
message's identity. Receiving gives a message to one request of one run, and to the same one again after a crash.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from engine.answers import Answer, Asked
from engine.effects import Effects
from engine.exchange import Reach, Sight
from store.events import Safety
from store.mail import TYPES, Message, Wanted
from store.posts import LIFE, Post
from store.streams import labels, name, pattern


class Messaging:
    """The part of a step's context that talks to other runs."""

    step: str
    _effects: Effects
    _around: Reach

    async def offer(self, role: str) -> None:
        """Answer to the name of a role from now on: messages to it may be received by any step of this run."""
        await self._effects.perform("offer", name(role, "a role"), None, Safety.IDEMPOTENT, lambda _: Answer(None))

    async def send(
        self,
        to: str,
        body: Any,
        type: str = "data",
        *,
        topic: str = "",
        priority: int = 0,
        expires_in: float | None = None,
        reply_to: str | None = None,
        tags: Iterable[str] = (),
        headers: Mapping[str, Any] | None = None,
    ) -> str:
        """Send a message, once, and return its id. It waits until somebody receives it, also if nobody is there yet.

        `to` is a run's id, a pipeline's name, or a role somebody offers. `type` is one of data, command, query, response,
        notification. A higher `priority` is received first. After `expires_in` seconds it is not received any more.
        """
        if type not in TYPES:
            raise ValueError(f"{type!r} is no type of message; use one of {', '.join(TYPES)}")
        exchange = self._around.exchange
        topic = topic and name(topic, "a topic")
        tagged = labels(tags)

        async def post(asked: Asked) -> Answer:
            expires = None if expires_in is None else asked.at + expires_in
            message = Message(
                "", "", to, type, body, topic, priority, asked.at, expires, reply_to, tagged, dict(headers or {})
            )  # fmt: skip
            return Answer(await exchange.mail.send(await exchange.author(asked, self.step), message))

        asked_for = {
            "body": body, "type": type, "topic": topic, "priority": priority, "expires_in": expires_in, "reply_to": reply_to,
            "tags": tagged, "headers": headers,
        }  # fmt: skip
        arguments = {key: value for key, value in asked_for.items() if key == "body" or value not in (None, "", 0, [])}
        return str(await self._effects.perform("send", name(to, "an address"), arguments, Safety.IDEMPOTENT, post))

    async def receive(
        self,
        type: str | None = None,
        pattern: str | None = None,
        timeout: float | None = None,
        *,
        sender: str | None = None,
        reply_to: str | None = None,
        tags: Iterable[str] = (),
    ) -> Message | None:
        """Wait for a message to this run, its pipeline or a role it offers; the highest priority first, then in order of sending.

        Only those of a `type`, with a topic that matches a glob `pattern`, from a run, with all `tags`. What answers a message is
        received by who asks for that answer (`reply_to=` its id) or for `type="response"`. None after `timeout` seconds.
        """
        wanted = Wanted(type, pattern and _pattern(pattern), sender, reply_to, labels(tags))
        exchange = self._around.exchange

        async def take(asked: Asked) -> Answer:
            return Answer(await exchange.take(asked, self.step, wanted, timeout))

        asked_for = {
            "type": type,
            "pattern": pattern,
            "sender": sender,
            "reply_to": reply_to,
            "timeout": timeout,
            "tags": wanted.tags,
        }
        arguments = {key: value for key, value in asked_for.items() if value not in (None, [])}
        found = await self._effects.perform(
            "receive", type or "receive", arguments or None, Safety.IDEMPOTENT, take, told=exchange.received
        )
        return None if found is None else Message.of(found)

    async def request(self, to: str, body: Any, timeout: float | None = None, **options: Any) -> Message | None:
        """Send a query and wait for its answer (`ctx.reply` there); None after `timeout` seconds. Options are those of `send`."""
        sent = await self.send(to, body, options.pop("type", "query"), **options)
        return await self.receive(reply_to=sent, timeout=timeout)

    async def reply(self, message: Message, body: Any, **options: Any) -> str:
        """Answer a message: to its sender, as a response to it. Options are those of `send`."""
        return await self.send(message.sender, body, options.pop("type", "response"), reply_to=message.id, **options)

    async def publish(self, topic: str, body: Any = None, tags: Iterable[str] = ()) -> int:
        """Tell whoever waits for the topic, once; returns the post's id. Nobody has to be there."""
        if name(topic, "a topic").startswith(LIFE):
            raise ValueError(f"{topic!r}: topics that begin with {LIFE!r} tell the life of runs; choose another")
        tagged = labels(tags)
        exchange = self._around.exchange

        async def post(asked: Asked) -> Answer:
            author = await exchange.author(asked, self.step)
            return Answer(await exchange.posts.publish(author, topic, body, tagged, exchange.clock))

        arguments = {"body": body, "tags": tagged}
        return int(await self._effects.perform("publish", topic, arguments, Safety.IDEMPOTENT, post))

    async def wait_for(
        self,
        pattern: str,
        tags: Iterable[str] = (),
        timeout: float | None = None,
        *,
        pipeline: str | None = None,
        after: str | int | Post = "now",
    ) -> Post | None:
        """Wait for the first post of a topic that matches a glob pattern, with all tags; None after `timeout` seconds.

        `after` says from where: `now` (when it was first asked), `start` (all there are), or a post (or its id) already seen.
        `run.completed`, `run.failed`, `run.cancelled` and `run.created` (or `run.*`) are about other runs, of `pipeline` if given.
        """
        if isinstance(after, str) and after not in ("now", "start"):
            raise ValueError(f"after is {after!r}; use 'now', 'start', or a post that was seen")
        place, tagged = _place(after), labels(tags)
        wanted = Sight(_pattern(pattern), tagged, pipeline, place)

        async def see(asked: Asked) -> Answer:
            return Answer(await self._around.exchange.see(asked, wanted, timeout))

        asked_for = {"tags": tagged, "timeout": timeout, "pipeline": pipeline, "after": place}
        arguments = {key: value for key, value in asked_for.items() if value not in (None, [])}
        found = await self._effects.perform("wait_for", pattern, arguments, Safety.READ, see)
        return None if found is None else Post(**found)


def _pattern(text: str) -> str:
    return pattern(text, "a pattern")


def _place(after: str | int | Post) -> str | int | float:
    """A post's id; the life of a run has none: there the next moment is the place to go on from."""
    if not isinstance(after, Post):
        return after
    return after.id or math.nextafter(after.at, math.inf)
