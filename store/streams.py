"""What the streams beside the runs' own have in common: who writes to them, the fence, names, and how their readers are woken.

Stands apart because a memory space, a mailbox, the posts and the memories have many writers, while a run has one. A row that a run
wrote carries the request it came from: the same request carried out again, by a resumed driver or a fork, finds that row.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence

import msgspec

from store.errors import LeaseLostError, StreamNameError

NAME_LIMIT = 256
"""Letters of a key, a topic, an address, a role, a tag or the name of a space."""
STAR_LIMIT = 8
"""Stars in a pattern: matching takes time to the power of their number."""

SPACES, MAIL, POSTS = "\0spaces", "\0mail", "\0posts"
"""What `Pulse` calls these streams. No run is named so: an id is printable."""


class Author(msgspec.Struct, frozen=True):
    """Who writes: `run` and `request` name the effect, in a fork's past those of the run that asked first.

    `lease` is the (row, token) of the driver, which must still hold; None outside a run.
    """

    actor: str
    run: str | None = None
    request: int | None = None
    step: str | None = None
    lease: tuple[int, int] | None = None


def admit(connection: sqlite3.Connection, author: Author) -> None:
    """Pass the fence: a driver that was superseded writes nothing, here either."""
    if author.lease is not None:
        row, token = author.lease
        if connection.execute("SELECT 1 FROM runs WHERE run = ? AND token = ?", (row, token)).fetchone() is None:
            raise LeaseLostError(f"Run {author.run} was taken over by another driver; this one must stop.")


def name(text: object, what: str) -> str:
    """`text` as the name of something. Raises `StreamNameError` for what could not be shown, stored or asked for again."""
    if not isinstance(text, str) or not 0 < len(text) <= NAME_LIMIT or not text.isprintable():
        raise StreamNameError(f"{repr(text)[:60]} cannot be {what}; use 1 to {NAME_LIMIT} printable letters.")
    return text


def pattern(text: object, what: str) -> str:
    """`text` as a glob pattern (`*`, `?`, `[...]`; letter case counts)."""
    found = name(text, what)
    if found.count("*") > STAR_LIMIT:
        raise StreamNameError(f"{found[:60]!r} has more than {STAR_LIMIT} stars; use fewer.")
    return found


def labels(tags: Iterable[str]) -> list[str]:
    """Tags as they are stored and asked for: sorted, each once."""
    if isinstance(tags, str):
        raise StreamNameError(f"Tags are a list of texts, not the text {tags[:60]!r}.")
    return sorted({name(tag, "a tag") for tag in tags})


def text_of(found: Sequence[object]) -> str:
    """A list as JSON text, for `json_each`."""
    return msgspec.json.encode(found).decode()


TAGGED = "NOT EXISTS (SELECT value FROM json_each({wanted}) EXCEPT SELECT value FROM json_each({held}))"
"""SQL: whether all wanted tags (a JSON list) are held."""
