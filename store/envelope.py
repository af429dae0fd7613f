"""What every event stands in: ids, payloads, failures, and the envelope it is recorded in.

Stands apart from `events.py`, which is the list of what can happen, because these are the words that list is written in.
"""

from __future__ import annotations

from enum import Enum
from typing import Any, ClassVar, NewType

import msgspec

RunId = NewType("RunId", str)
StepPath = NewType("StepPath", str)
Version = NewType("Version", int)
Seq = NewType("Seq", int)
BlobHash = NewType("BlobHash", str)

INLINE_LIMIT = 1024
"""Bytes of JSON up to which a value stands in its event; a larger one is a blob, stored once by content."""


class Safety(Enum):
    """What may be done with an effect whose outcome is unknown after a crash.

    PURE touches nothing outside (time, random numbers), READ only looks, IDEMPOTENT may be repeated: all three are issued
    again. IRREVERSIBLE is never repeated unasked: it becomes in doubt.
    """

    PURE = "pure"
    READ = "read"
    IDEMPOTENT = "idempotent"
    IRREVERSIBLE = "irreversible"


NO_JSON = msgspec.Raw()
"""A payload without inline text (`bool(payload.json)` is False): the content is in a blob, or there is none."""


class Payload(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """A value as it stands in an event: JSON text (see `values.py`) up to `INLINE_LIMIT`, else the hash of a blob.

    `size` is the length of the JSON text in bytes. `json` is the text itself and is decoded only when somebody looks.
    """

    size: int = 0
    json: msgspec.Raw = NO_JSON
    blob: str | None = None


class Usage(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a model call used: tokens, and US dollars (None: the price is not known, which is not zero)."""

    model: str
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost: float | None = None


class Spent(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a child run used of one model, all its calls together.

    `cost` adds the calls whose price is known, `unpriced` counts the others.
    """

    model: str
    calls: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost: float = 0.0
    unpriced: int = 0


class Failure(msgspec.Struct, frozen=True, omit_defaults=True):
    """Why something failed: a stable kind, one sentence, and whether asking again may help.

    Kinds in use: `error` (the body raised), `timeout`, `output` (not encodable or not of the schema), `model.` and a word,
    `effect`, `circuit` (not asked: its breaker is open), `condition`, `items` (of a `for_each` some failed), `loop` (a `while` did
    not end), `rejected`, `child` (a child run failed), `divergence` (a re-driven attempt asked for something else). `retry_after`
    is in seconds. `detail` is the traceback, as text; `classes` are the names of the exception's class and its bases, the nearest
    first.
    """

    kind: str
    message: str
    retryable: bool = True
    retry_after: float | None = None
    detail: Payload | None = None
    classes: tuple[str, ...] = ()


class Event(msgspec.Struct, frozen=True, omit_defaults=True):
    """Base of all events. `type` is the stable name, `decision` tells decisions from facts, `schema` the payload's version."""

    type: ClassVar[str] = ""
    decision: ClassVar[bool] = False
    schema: ClassVar[int] = 1


class Recorded(msgspec.Struct, frozen=True, gc=False):
    """An event in its place: the envelope. `version` counts from 1 in the run, `seq` in the whole log (0: not yet committed).

    `at` is unix seconds: the `now` given to the decision, never before the event it follows. `step` and `attempt` say whose it
    is; `causation` is the version that led to it; `actor` who did it (`driver`, `user`, an inbox sender).
    """

    version: int
    at: float
    event: Any
    step: str | None = None
    attempt: int = 0
    causation: int | None = None
    actor: str = "driver"
    seq: int = 0
