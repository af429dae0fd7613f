"""What can go wrong between us and a model, by what the caller may do about it.

Stands apart so that retry policies and step bodies can tell the kinds from each other without knowing which library or provider
raised them. The texts are one sentence, and contain no key, no prompt and no traceback.
"""

from __future__ import annotations

import enum

from store.events import Usage


class ModelErrorKind(enum.Enum):
    """Why a model call failed; the value is the stable word that events and `--json` carry."""

    AUTH = "auth"  # no key, a wrong key, or a key without the right to this model
    RATE_LIMIT = "rate_limit"  # 429; `retry_after` when the server said how long
    TIMEOUT = "timeout"  # no answer in time; whether the provider counts (and bills) it is unknown
    UNAVAILABLE = "unavailable"  # refused connection, 5xx, overloaded
    BAD_REQUEST = "bad_request"  # the provider will not answer this request, however often it is sent
    CONTEXT_WINDOW = "context_window"  # the messages do not fit the model
    UNKNOWN_MODEL = "unknown_model"  # no provider, or the provider has no such model
    BAD_REPLY = "bad_reply"  # an answer came, and is none: not JSON, cut off, empty, too large


RETRYABLE = frozenset({ModelErrorKind.RATE_LIMIT, ModelErrorKind.TIMEOUT, ModelErrorKind.UNAVAILABLE, ModelErrorKind.BAD_REPLY})
"""The kinds for which the same request, sent again, may be answered."""


class ModelError(Exception):
    """A model call failed.

    `retry_after` is in seconds, None where the server said nothing. `usage` is set where the failed call was metered
    nevertheless (an empty reply has been paid for), else None.
    """

    def __init__(
        self,
        kind: ModelErrorKind,
        message: str,
        *,
        retry_after: float | None = None,
        usage: Usage | None = None,
    ) -> None:
        super().__init__(message)
        self.kind = kind
        self.retry_after = retry_after
        self.usage = usage

    @property
    def code(self) -> str:
        """The stable word of the kind, `model.` before it."""
        return f"model.{self.kind.value}"

    @property
    def retryable(self) -> bool:
        """Whether the same request, sent again, may be answered."""
        return self.kind in RETRYABLE


class OutputSchemaError(ValueError):
    """What was given as an output schema is none we can ask a model for; the text names the place in it."""

    code = "output_schema"
