"""litellm's exceptions as ours: which kind, how long to wait, and one sentence.

Stands apart because litellm maps much to a 500 that is none (a reply that is not JSON, a refused connection); the cause is looked
up in the chain of exceptions.
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Iterator, Mapping
from types import ModuleType

from engine.models.errors import ModelError, ModelErrorKind

_OWN_PREFIX = re.compile(r"^(?:litellm\.)?[A-Za-z_]+(?:Error|Exception|Timeout)?(?::| -) ")
_KEY_LIKE = re.compile(r"\b(?:(?:sk|pk|gsk|xai|hf)[-_][A-Za-z0-9*_-]{6,}|AIza[A-Za-z0-9*_-]{6,})")
_WORDS_LIMIT = 240

_ADVICE = {
    ModelErrorKind.AUTH: "check the key, and that it may use this model",
    ModelErrorKind.RATE_LIMIT: "wait, or lower max_concurrent_steps",
    ModelErrorKind.TIMEOUT: "raise model_timeout, or check that the server is well",
    ModelErrorKind.UNAVAILABLE: "check the network and the server, or try again later",
    ModelErrorKind.BAD_REQUEST: "change the request accordingly",
    ModelErrorKind.CONTEXT_WINDOW: "send less, or use a model with a larger window",
    ModelErrorKind.UNKNOWN_MODEL: "check the model's name",
    ModelErrorKind.BAD_REPLY: "try again, or use another model",
}
_SAID = {
    ModelErrorKind.AUTH: "refused the key",
    ModelErrorKind.RATE_LIMIT: "is rate limited",
    ModelErrorKind.TIMEOUT: "did not answer in time",
    ModelErrorKind.UNAVAILABLE: "cannot be reached or failed",
    ModelErrorKind.BAD_REQUEST: "refused the request",
    ModelErrorKind.CONTEXT_WINDOW: "cannot hold a request this long",
    ModelErrorKind.UNKNOWN_MODEL: "is not known there",
    ModelErrorKind.BAD_REPLY: "sent a reply that cannot be read",
}


def failure(error: Exception, model: str, litellm: ModuleType, secret: str | None = None) -> ModelError:
    """The `ModelError` for what litellm raised; `secret` is kept out of the text."""
    kind = _kind(error, litellm)
    return ModelError(kind, sentence(kind, model, words(error, secret)), retry_after=_retry_after(error))


def sentence(kind: ModelErrorKind, model: str, said: str, advice: str | None = None) -> str:
    """What happened, with which model, and what to do."""
    return f"The model {model} {_SAID[kind]} ({said}); {advice or _ADVICE[kind]}."


def words(error: Exception, secret: str | None = None) -> str:
    """The provider's own words in one line: without litellm's prefixes, tracebacks, and anything that looks like a key."""
    text = str(getattr(error, "message", None) or error).strip()
    text = " ".join((text.splitlines() or [""])[0].split())
    while (shorter := _OWN_PREFIX.sub("", text)) != text:
        text = shorter
    if secret:
        text = text.replace(secret, "[key]")
    text = _KEY_LIKE.sub("[key]", text).rstrip(". ")
    return text if len(text) <= _WORDS_LIMIT else f"{text[:_WORDS_LIMIT]}…"


def _kind(error: Exception, litellm: ModuleType) -> ModelErrorKind:
    for kind, names in _CLASSES:
        if isinstance(error, tuple(getattr(litellm, name) for name in names)):
            return kind
    for cause in _chain(error):
        kind_of_cause = _kind_of_cause(cause)
        if kind_of_cause is not None:
            return kind_of_cause
    return ModelErrorKind.BAD_REPLY if isinstance(error, litellm.InternalServerError) else ModelErrorKind.UNAVAILABLE


_CLASSES: tuple[tuple[ModelErrorKind, tuple[str, ...]], ...] = (
    (ModelErrorKind.CONTEXT_WINDOW, ("ContextWindowExceededError",)),
    (ModelErrorKind.RATE_LIMIT, ("RateLimitError",)),
    (ModelErrorKind.TIMEOUT, ("Timeout",)),
    (ModelErrorKind.AUTH, ("AuthenticationError", "PermissionDeniedError")),
    (ModelErrorKind.UNKNOWN_MODEL, ("NotFoundError",)),
    (ModelErrorKind.BAD_REQUEST, ("BadRequestError", "UnprocessableEntityError", "InvalidRequestError", "UnsupportedParamsError")),
    (ModelErrorKind.BAD_REPLY, ("APIResponseValidationError",)),
)
"""litellm's classes that can be believed, the narrower before the wider."""


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    following: BaseException | None = error
    while following is not None and id(following) not in seen:
        seen.add(id(following))
        yield following
        following = following.__cause__ or following.__context__


def _kind_of_cause(cause: BaseException) -> ModelErrorKind | None:
    """By the class's name, because providers bring clients of their own; a response's status where there was a response."""
    name = type(cause).__name__
    if name == "HTTPStatusError":
        return _kind_of_status(int(cause.response.status_code))  # type: ignore[attr-defined]
    if name in ("JSONDecodeError", "DecodingError"):
        return ModelErrorKind.BAD_REPLY
    if name in ("RemoteProtocolError", "ReadError", "ClientPayloadError"):
        cut_off = "complete message body" in str(cause) or name == "ClientPayloadError"
        return ModelErrorKind.BAD_REPLY if cut_off else ModelErrorKind.UNAVAILABLE
    if name in ("ConnectError", "ClientConnectorError", "ServerDisconnectedError", "ConnectionError", "NetworkError"):
        return ModelErrorKind.UNAVAILABLE
    if name in ("ConnectTimeout", "ReadTimeout", "WriteTimeout", "PoolTimeout", "TimeoutError"):
        return ModelErrorKind.TIMEOUT
    return None


def _kind_of_status(status: int) -> ModelErrorKind | None:
    match status:
        case 401 | 403:
            return ModelErrorKind.AUTH
        case 404:
            return ModelErrorKind.UNKNOWN_MODEL
        case 408:
            return ModelErrorKind.TIMEOUT
        case 429:
            return ModelErrorKind.RATE_LIMIT
        case _ if 400 <= status < 500:
            return ModelErrorKind.BAD_REQUEST
        case _ if status >= 500:
            return ModelErrorKind.UNAVAILABLE
        case _:
            return None


def _retry_after(error: Exception) -> float | None:
    for source in (error, getattr(error, "response", None)):
        headers = getattr(source, "litellm_response_headers", None) or getattr(source, "headers", None)
        if isinstance(headers, Mapping):
            found = seconds(headers.get("retry-after"), time.time())
            if found is not None:
                return found
    return None


def seconds(retry_after: str | None, now: float) -> float | None:
    """The header `Retry-After`, which is a number of seconds or a date (RFC 9110, 10.2.3), as seconds from `now`."""
    if not retry_after:
        return None
    try:
        wait = float(retry_after)
    except ValueError:
        import email.utils  # 5 ms, for a rare form

        try:
            wait = email.utils.parsedate_to_datetime(retry_after).timestamp() - now
        except ValueError:
            return None
    return max(0.0, wait) if math.isfinite(wait) else None
