"""The offline model and the port: the same question has the same answer, and it says that it is simulated."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from engine.config import TAgentConfig
from engine.models import ModelError, ModelErrorKind, ModelRequest, OfflineModel, choose, request_hash, schema_of
from engine.models.litellm_model import LitellmModel, asked_in_words
from engine.models.schemas import misfit
from engine.models.tokens import tokens_in

QUESTION = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "What is  an event?"}]


def request(**changes: Any) -> ModelRequest:
    return ModelRequest(**{"model": "offline", "messages": QUESTION, **changes})


async def test_a_free_answer_is_labelled_and_metered() -> None:
    """A text begins with the label, quotes the question, costs nothing, and its tokens are counted by the stated rule."""
    reply = await OfflineModel().complete(request())
    assert reply.text.startswith("[simulated] ")
    assert reply.text.endswith("to: What is an event?")
    assert reply.simulated
    assert reply.value is None
    assert reply.usage.model == "offline"
    assert reply.usage.cost == 0.0
    assert reply.usage.prompt_tokens == (4 + 3) + (4 + 5)
    assert reply.usage.completion_tokens == tokens_in(reply.text)


async def test_a_schema_is_answered_with_a_value() -> None:
    """With a schema the value fits it, the text is its JSON, and the reply is marked as simulated."""
    schema = schema_of(dict[str, list[int]])
    reply = await OfflineModel().complete(request(output_schema=schema))
    assert misfit(reply.value, schema) is None
    assert reply.simulated
    assert reply.problem is None


async def test_answers_follow_from_the_request_alone() -> None:
    """Equal requests have equal answers; another message, parameter, schema or seed has another."""
    model = OfflineModel()
    first = await model.complete(request())
    assert first == await OfflineModel().complete(request())
    for other in (request(seed=1), request(params={"temperature": 1}), request(messages=QUESTION[:1])):
        assert (await model.complete(other)).text != first.text


async def test_an_impossible_schema_is_refused_by_place() -> None:
    """What cannot be answered is a bad request in one sentence that names the position in the schema; retrying is no use."""
    schema = {"type": "object", "properties": {"a": {"type": "integer", "minimum": 2, "maximum": 1}}, "required": ["a"]}
    with pytest.raises(ModelError, match="at #/properties/a ") as refused:
        await OfflineModel().complete(request(output_schema=schema))
    assert refused.value.kind is ModelErrorKind.BAD_REQUEST
    assert not refused.value.retryable
    with pytest.raises(ModelError, match="not valid JSON Schema"):
        await OfflineModel().complete(request(output_schema={"type": 1}))


def test_the_hash_knows_equal_requests() -> None:
    """The order of keys does not count, every value does, and the hash of a request never changes."""
    one = request(params={"a": 1, "b": 2})
    assert request_hash(one) == request_hash(request(params={"b": 2, "a": 1}))
    assert request_hash(one) != request_hash(request(params={"a": 1, "b": 3}))
    assert request_hash(request()) == "7821405907103bd7656ffc2e7a691c03690a500d5f6f277a77afa0abe2b26344"


def test_models_are_chosen_by_name() -> None:
    """`offline` alone simulates; other names are litellm's; the same name, server and key is the same object."""
    config = TAgentConfig(model="offline")
    assert isinstance(choose("offline", config), OfflineModel)
    one = choose("openai/gpt-4o-mini", config)
    assert isinstance(one, LitellmModel)
    assert choose("openai/gpt-4o-mini", TAgentConfig()) is one
    assert choose("openai/gpt-4o-mini", TAgentConfig(api_base="http://127.0.0.1:1/v1")) is not one


def test_a_schema_in_words_joins_the_system_message() -> None:
    """Where a provider does not keep to schemas it stands in the first system message, and the request is not changed."""
    asked = asked_in_words(QUESTION, {"type": "integer"})
    assert asked[0]["content"].startswith("Be brief.\n\n")
    assert asked[0]["content"].endswith('{"type": "integer"}')
    assert QUESTION[0]["content"] == "Be brief."
    assert [message["role"] for message in asked_in_words(QUESTION[1:], {})] == ["system", "user"]


def test_importing_the_models_imports_no_provider() -> None:
    """`import engine.models`, an offline answer and closing an unused model bring in neither litellm nor an HTTP client."""
    script = (
        "import asyncio, sys\n"
        "from engine.models import ModelRequest, OfflineModel\n"
        "from engine.models.litellm_model import LitellmModel\n"
        "asyncio.run(OfflineModel().complete(ModelRequest('offline', [], {'type': 'integer'})))\n"
        "asyncio.run(LitellmModel('openai/gpt-4o-mini').aclose())\n"
        "print([name for name in ('litellm', 'openai', 'httpx', 'aiohttp', 'textual') if name in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert (done.stdout.strip(), done.stderr) == ("[]", "")


def test_a_broken_installation_is_one_sentence() -> None:
    """Where litellm cannot be imported, the call says so and what to do."""
    script = (
        "import asyncio, sys\n"
        "sys.modules['litellm'] = None\n"
        "from engine.models.litellm_model import LitellmModel\n"
        "from engine.models import ModelError, ModelRequest\n"
        "try:\n"
        "    asyncio.run(LitellmModel('openai/gpt-4o-mini').complete(ModelRequest('m', [])))\n"
        "except ModelError as error:\n"
        "    print(error.code, error)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.startswith("model.bad_request litellm cannot be imported")
    assert done.stdout.strip().endswith("install tagent-tui again, or use the model offline.")
