"""The seam to language models: what is asked, what comes back, and the one method every model has.

Stands apart so that the engine, the recordings and the tests know models by these values only; litellm, the offline model and
recorded models are behind it and can be exchanged by name.
"""

from __future__ import annotations

from typing import Any, Protocol

import msgspec

from store import values
from store.events import Usage

__all__ = ["Message", "Model", "ModelReply", "ModelRequest", "Usage", "request_hash"]

Message = dict[str, Any]
"""`{"role": "system" | "user" | "assistant" | "tool", "content": text, ...}`, JSON-like, as the OpenAI protocol has it."""


class ModelRequest(msgspec.Struct, frozen=True):
    """One question to a model.

    `output_schema` is a JSON Schema the answer has to fit, or None for free text. `params` go to the provider by their OpenAI
    names (`temperature`, `max_tokens`, `tools`, ...). `seed` makes an answer reproducible where the provider can do that.
    `timeout` are the seconds its caller waits for the answer, which say nothing of the question (None: as the model is set).
    """

    model: str
    messages: list[Message]
    output_schema: dict[str, Any] | None = None
    params: dict[str, Any] = {}
    seed: int = 0
    timeout: float | None = None


class ModelReply(msgspec.Struct, frozen=True):
    """One answer.

    `value` is the parsed answer where a schema was asked for and the answer fits it; where it does not, `problem` is the sentence
    that says why (`replies.repair_messages` asks again with it). Both are None for free text. `tool_calls` are
    `{"id", "name", "arguments"}` with the arguments as the text the model wrote. `simulated` is true for the offline model only.
    """

    text: str
    usage: Usage
    value: Any = None
    problem: str | None = None
    simulated: bool = False
    finish_reason: str = "stop"
    tool_calls: list[dict[str, str]] = []


class Model(Protocol):
    """Anything that answers. `complete` raises `ModelError`; it does not retry, because every attempt is an event of ours."""

    async def complete(self, request: ModelRequest) -> ModelReply:
        """The answer to one request."""

    async def aclose(self) -> None:
        """Lets go of connections; may be called twice, and a later `complete` opens new ones."""


def request_hash(request: ModelRequest) -> str:
    """SHA-256 in hex over the canonical JSON of the request: equal requests, however their keys are ordered, hash alike."""
    asked = {name: getattr(request, name) for name in request.__struct_fields__ if name != "timeout"}
    return values.digest(values.encode(asked))
