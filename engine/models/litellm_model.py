"""Any provider, through litellm: one request, one attempt, with tokens and cost.

Stands apart from the port because everything particular to litellm ends here; the rest of the engine sees requests, replies and
`ModelError`. The key is used for the call and appears nowhere else.
"""

from __future__ import annotations

import asyncio
import json
import os
from typing import Any
from urllib.parse import urlsplit

from engine.model_config import RESERVED
from engine.models import replies
from engine.models.errors import ModelError, ModelErrorKind
from engine.models.litellm_failures import failure, sentence
from engine.models.litellm_setup import Connections, is_loaded, loaded, ready
from engine.models.port import Message, ModelReply, ModelRequest, Usage
from engine.models.tokens import tokens_in, tokens_in_messages

KEYLESS = frozenset({"ollama", "ollama_chat", "lm_studio", "hosted_vllm", "vllm", "llamafile", "xinference", "oobabooga", "triton"})
"""Providers that are servers of one's own and need no key."""
NO_KEY = "not-needed"
"""Sent where a client insists on a key and the server does not."""
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_KEY_ENDINGS = ("_API_KEY", "_API_TOKEN")
_OLLAMA = {
    "litellm_provider": "ollama_chat",
    "mode": "chat",
    "input_cost_per_token": 0.0,
    "output_cost_per_token": 0.0,
    "supports_function_calling": True,
    "supports_response_schema": True,
}
"""Put on litellm's list for Ollama's models; for those that are not on it, it asks the server, and waits, four times a call."""


class LitellmModel:
    """A `Model` by litellm's name (`openai/gpt-4o-mini`, `ollama/llama3.2`).

    `timeout` is in seconds and for the whole call, unless a request brings its own. With `api_base` and no provider in the name
    the server is taken to speak the OpenAI protocol.
    """

    def __init__(self, name: str, *, api_base: str | None = None, api_key: str | None = None, timeout: float = 120) -> None:
        self.name = name
        self._api_base = api_base
        self._api_key = api_key
        self._timeout = timeout

    async def ready(self) -> None:
        """Load what calls need (2 s once a process), so that no call has to."""
        await ready()

    async def complete(self, request: ModelRequest) -> ModelReply:
        """One attempt at one answer; raises `ModelError`."""
        await ready()
        provider, key = self._route()
        arguments = self._arguments(request, provider, key)
        connections = Connections.here()
        try:
            with connections.in_use():
                response = await self._answer(arguments, key)
        finally:
            await connections.settle()
        return self._reply(request, response, provider)

    async def aclose(self) -> None:
        """Closes this event loop's connections once no call uses them; a later `complete` opens new ones."""
        if is_loaded():
            await Connections.here().close()

    def check(self) -> None:
        """Raises the `ModelError` that `complete` would raise without asking anybody: an unknown provider, a missing key."""
        self._route()

    async def _answer(self, arguments: dict[str, Any], key: str | None) -> Any:
        litellm = loaded()
        try:
            async with asyncio.timeout(arguments["timeout"]):
                return await litellm.acompletion(**arguments)
        except TimeoutError:
            said = f"{arguments['timeout']:g} s"
            raise ModelError(ModelErrorKind.TIMEOUT, sentence(ModelErrorKind.TIMEOUT, self.name, said)) from None
        except Exception as error:
            raise failure(error, self.name, litellm, key) from None

    def _route(self) -> tuple[str, str | None]:
        """The provider, and the key to send (None: litellm finds the provider's own in the environment)."""
        litellm = loaded()
        try:
            _, provider, _, _ = litellm.get_llm_provider(self._full_name())
        except Exception:
            raise ModelError(
                ModelErrorKind.UNKNOWN_MODEL,
                f"No provider is known for the model {self.name}; write it as provider/name, for example "
                f"openai/gpt-4o-mini or ollama/llama3.2, or use offline.",
            ) from None
        if self._api_key:
            return provider, self._api_key
        if provider == "ollama_chat":
            litellm.model_cost.setdefault(self._full_name(), _OLLAMA)
        if provider in KEYLESS:
            return provider, None
        if provider == "openai" and self._api_base and (self._is_local() or not os.environ.get("OPENAI_API_KEY")):
            return provider, NO_KEY  # and the real key stays off servers that did not ask for it
        self._check_key(provider)
        return provider, None

    def _check_key(self, provider: str) -> None:
        """litellm answers a missing key with what looks like a 500, so it is looked for before."""
        missing = loaded().validate_environment(self._full_name(), api_base=self._api_base)["missing_keys"]
        own = f"{provider.upper()}_API_KEY"
        names = [name for name in missing if name.endswith(_KEY_ENDINGS)] or ([own] if os.environ.get(own) == "" else [])
        if names:
            raise ModelError(
                ModelErrorKind.AUTH,
                f"The model {self.name} needs a key; set {' or '.join(names)} (or TAGENT_API_KEY) in the environment.",
            )

    def _full_name(self) -> str:
        """litellm's name for it: `ollama/` is its older route, which flattens the messages into one prompt and takes no tools."""
        provider, _, rest = self.name.partition("/")
        if provider == "ollama" and rest:
            return f"ollama_chat/{rest}"
        if self._api_base and provider not in loaded().provider_list:
            return f"openai/{self.name}"
        return self.name

    def _is_local(self) -> bool:
        return urlsplit(self._api_base or "").hostname in _LOOPBACK

    def _arguments(self, request: ModelRequest, provider: str, key: str | None) -> dict[str, Any]:
        refused = sorted(RESERVED & request.params.keys())
        if refused:
            said = f"the parameters {', '.join(refused)} are set by the engine"
            raise ModelError(ModelErrorKind.BAD_REQUEST, sentence(ModelErrorKind.BAD_REQUEST, self.name, said, "leave them out"))
        litellm, model = loaded(), self._full_name()
        if request.params.get("tools") and "tools" not in (litellm.get_supported_openai_params(model, provider) or ()):
            said = "it takes no tools"
            raise ModelError(ModelErrorKind.BAD_REQUEST, sentence(ModelErrorKind.BAD_REQUEST, self.name, said, "use another model"))
        arguments: dict[str, Any] = {
            "seed": request.seed % 2**31,
            **request.params,
            "model": model,
            "messages": [dict(message) for message in request.messages],
            "api_base": self._api_base,
            "api_key": key,
            "timeout": self._timeout if request.timeout is None else request.timeout,
            "num_retries": 0,
            "max_retries": 0,
            "drop_params": True,  # of temperature, seed and the like; tools were checked above
        }
        if request.output_schema is not None:
            self._ask_for(request.output_schema, model, arguments)
        return arguments

    def _ask_for(self, schema: dict[str, Any], model: str, arguments: dict[str, Any]) -> None:
        """By `response_format` where the provider keeps to it (it takes objects only), else in words."""
        if schema.get("type") == "object" and loaded().supports_response_schema(model):
            arguments["response_format"] = {
                "type": "json_schema",
                "json_schema": {"name": "answer", "schema": schema, "strict": False},
            }
        else:
            arguments["messages"] = asked_in_words(arguments["messages"], schema)

    def _reply(self, request: ModelRequest, response: Any, provider: str) -> ModelReply:
        choice = response.choices[0]
        text = choice.message.content or ""
        calls = [
            {"id": call.id or "", "name": call.function.name or "", "arguments": call.function.arguments or ""}
            for call in choice.message.tool_calls or ()
        ]
        usage = self._usage(request, response, provider, text)
        finish_reason = str(choice.finish_reason or "stop")
        self._check_text(text, calls, finish_reason, usage)
        reply = ModelReply(text=text, usage=usage, finish_reason=finish_reason, tool_calls=calls)
        return reply if request.output_schema is None or calls else _with_value(reply, request.output_schema)

    def _check_text(self, text: str, calls: list[dict[str, str]], finish_reason: str, usage: Usage) -> None:
        if len(text) > replies.MAX_BYTES or len(text.encode("utf-8", "replace")) > replies.MAX_BYTES:
            kind, said, advice = ModelErrorKind.BAD_REPLY, f"more than {replies.MAX_BYTES:,} bytes", "ask for less"
        elif text.strip() or calls:
            return
        elif finish_reason == "content_filter":
            kind, said, advice = ModelErrorKind.BAD_REQUEST, "its content filter withheld the answer", "ask another way"
        elif finish_reason == "length":
            kind, said, advice = ModelErrorKind.BAD_REPLY, "empty, and cut off at the token limit", "raise max_tokens"
        else:
            kind, said, advice = ModelErrorKind.BAD_REPLY, "empty", "try again, or use another model"
        raise ModelError(kind, sentence(kind, self.name, said, advice), usage=usage)

    def _usage(self, request: ModelRequest, response: Any, provider: str, text: str) -> Usage:
        """As reported; estimated, and then without a price, where the server reports nothing."""
        reported = getattr(response, "usage", None)
        prompt, completion = getattr(reported, "prompt_tokens", 0) or 0, getattr(reported, "completion_tokens", 0) or 0
        if not prompt and not completion:
            return Usage(self.name, tokens_in_messages(request.messages), tokens_in(text), None)
        return Usage(self.name, prompt, completion, self._cost(response, provider))

    def _cost(self, response: Any, provider: str) -> float | None:
        """US dollars by litellm's local price list. It raises for unknown models, and says 0 for listed ones without a price."""
        litellm, name = loaded(), self._full_name()
        try:
            cost = float(litellm.completion_cost(response, model=name))
        except Exception:
            return None
        listed: dict[str, Any] = litellm.model_cost.get(name) or litellm.model_cost.get(name.removeprefix(f"{provider}/")) or {}
        return cost if cost > 0 or "input_cost_per_token" in listed else None


def asked_in_words(messages: list[Message], schema: dict[str, Any]) -> list[Message]:
    """The messages with the schema in the first system message (in one of its own where there is none)."""
    text = (
        f"Answer with one JSON value that fits this JSON Schema, and with nothing else:\n{json.dumps(schema, ensure_ascii=False)}"
    )
    if messages and messages[0].get("role") == "system":
        return [{**messages[0], "content": f"{messages[0].get('content') or ''}\n\n{text}"}, *messages[1:]]
    return [{"role": "system", "content": text}, *messages]


def _with_value(reply: ModelReply, schema: dict[str, Any]) -> ModelReply:
    value = replies.read(reply.text, schema)
    if not isinstance(value, replies.ReplyProblem):
        return ModelReply(text=reply.text, usage=reply.usage, value=value, finish_reason=reply.finish_reason)
    problem = str(value)
    if reply.finish_reason == "length":
        problem = f"The reply was cut off at the token limit; answer more briefly. {problem}"
    return ModelReply(text=reply.text, usage=reply.usage, problem=problem, finish_reason=reply.finish_reason)
