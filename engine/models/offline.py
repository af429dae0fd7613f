"""The offline model: answers without a network, the same answer to the same request, labelled as simulated.

Stands apart from recorded models: it invents. It is chosen by name (`offline`), never assumed: nothing simulated appears unasked.
"""

from __future__ import annotations

import json
from typing import Any

from engine.models import schemas
from engine.models.errors import ModelError, ModelErrorKind, OutputSchemaError
from engine.models.invent import UnsatisfiableError, invent
from engine.models.port import Message, ModelReply, ModelRequest, Usage, request_hash
from engine.models.tokens import tokens_in, tokens_in_messages

NAME = "offline"
LABEL = "[simulated]"
"""What every free text of this model begins with."""


class OfflineModel:
    """A `Model` that needs nothing. With a schema the reply is a value that fits it; without, one labelled sentence.

    It calls no tools, whatever it is offered: what would come of a call is nothing that can be invented.
    """

    async def complete(self, request: ModelRequest) -> ModelReply:
        """The answer that follows from the request's hash. Raises `ModelError` for a schema no value was found for."""
        seed = request_hash(request)
        if request.output_schema is None:
            value, text = None, _sentence(request.messages, seed)
        else:
            value = _value(request.output_schema, seed)
            text = json.dumps(value, ensure_ascii=False)
        usage = Usage(
            model=NAME,
            prompt_tokens=tokens_in_messages(request.messages),
            completion_tokens=tokens_in(text),
            cost=0.0,
        )
        return ModelReply(text=text, value=value, usage=usage, simulated=True)

    async def aclose(self) -> None:
        """Nothing is open."""


def _value(schema: dict[str, Any], seed: str) -> Any:
    try:
        return invent(schemas.schema_of(schema), seed)
    except (UnsatisfiableError, OutputSchemaError) as refusal:
        text = str(refusal)
        if isinstance(refusal, UnsatisfiableError):
            text = (
                f"The offline model has no answer for the output schema at {refusal.place} ({refusal.reason}); "
                f"simplify the schema there or use another model."
            )
        raise ModelError(ModelErrorKind.BAD_REQUEST, text) from None


def _sentence(messages: list[Message], seed: str) -> str:
    asked = next((str(m.get("content") or "") for m in reversed(messages) if m.get("role") == "user"), "")
    words = " ".join(asked.split())
    quoted = words if len(words) <= 80 else f"{words[:79]}…"
    return f"{LABEL} Answer {seed[:8]} of the offline model to: {quoted or 'nothing'}"
