"""litellm behind the port, against a real HTTP server on loopback: answers, prices, and every way to fail."""

from __future__ import annotations

import asyncio
import json
import logging
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from engine.models import ModelError, ModelErrorKind, ModelReply, ModelRequest, replies, request_hash
from engine.models.litellm_failures import seconds, words
from engine.models.litellm_model import LitellmModel
from tests.integration.openai_server import (
    Behaviour,
    Gone,
    Half,
    Hang,
    OpenAIServer,
    Raw,
    Status,
    Text,
    ToolCall,
    openai_server,
)

PRICED = "openai/gpt-4o-mini"
UNPRICED = "openai/loopback-model"
KEY = "sk-loopback-0123456789"
QUESTION = [{"role": "user", "content": "How many?"}]
SCHEMA = {"type": "object", "properties": {"count": {"type": "integer"}}, "required": ["count"]}
TOOL = {
    "type": "function",
    "function": {"name": "look", "parameters": {"type": "object", "properties": {"at": {"type": "string"}}}},
}


@pytest.fixture(scope="module")
def server() -> Iterator[OpenAIServer]:
    with openai_server() as running:
        yield running


@pytest.fixture
async def model(server: OpenAIServer) -> AsyncIterator[LitellmModel]:
    opened = LitellmModel(PRICED, api_base=server.base_url, api_key=KEY, timeout=10)
    yield opened
    await opened.aclose()


def request(**changes: Any) -> ModelRequest:
    return ModelRequest(**{"model": PRICED, "messages": QUESTION, **changes})


async def ask(server: OpenAIServer, name: str, *behaviours: Behaviour, **changes: Any) -> ModelReply:
    server.script(*behaviours)
    model = LitellmModel(name, api_base=server.base_url, timeout=10)
    try:
        return await model.complete(request(**changes))
    finally:
        await model.aclose()


async def test_an_answer_has_its_tokens_and_price(server: OpenAIServer, model: LitellmModel) -> None:
    """Text, reported tokens and the price by the local list come back; key, seed and parameters went out; nothing is simulated."""
    reply = await model.complete(request(params={"temperature": 0.5}, seed=2**31 + 7))
    assert reply.text == "You said: How many?"
    assert (reply.usage.model, reply.usage.prompt_tokens, reply.usage.completion_tokens) == (PRICED, 11, 7)
    assert reply.usage.cost == pytest.approx(11 * 0.15e-6 + 7 * 0.6e-6)
    assert not reply.simulated
    assert reply.finish_reason == "stop"
    sent = server.requests[-1]
    assert sent.path == "/v1/chat/completions"
    assert sent.headers["authorization"] == f"Bearer {KEY}"
    assert sent.body["model"] == "gpt-4o-mini"
    assert (sent.body["temperature"], sent.body["seed"]) == (0.5, 7)
    assert KEY not in sent.text


async def test_unknown_prices_are_unknown(server: OpenAIServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A model that is not on the price list has no cost, and a server that reports no usage has estimated tokens and no cost."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-real-key-0123456789")
    assert (await ask(server, UNPRICED)).usage.cost is None
    assert server.requests[-1].headers["authorization"] == "Bearer not-needed"
    unmetered = (await ask(server, PRICED, Text("abcdefgh", usage=False))).usage
    assert (unmetered.prompt_tokens, unmetered.completion_tokens, unmetered.cost) == (4 + 3, 2, None)


async def test_a_schema_goes_by_format_where_the_model_keeps_to_it(server: OpenAIServer, model: LitellmModel) -> None:
    """A model that supports schemas gets it as `response_format`, and the parsed value comes back."""
    reply = await model.complete(request(output_schema=SCHEMA))
    assert reply.value == {"count": 1}
    assert server.requests[-1].body["response_format"]["json_schema"]["schema"] == SCHEMA
    assert server.requests[-1].body["messages"] == QUESTION


async def test_a_schema_goes_in_words_elsewhere(server: OpenAIServer) -> None:
    """An unknown model, and a schema that is not an object's, get the schema in a system message."""
    reply = await ask(server, UNPRICED, Text('```json\n{"count": 3}\n```'), output_schema=SCHEMA)
    assert reply.value == {"count": 3}
    assert "response_format" not in server.requests[-1].body
    assert json.dumps(SCHEMA) in server.requests[-1].body["messages"][0]["content"]
    assert (await ask(server, PRICED, Text("[1]"), output_schema={"type": "array"})).value == [1]
    assert server.requests[-1].body["messages"][0]["role"] == "system"


async def test_a_misfit_is_an_answer_with_a_problem(server: OpenAIServer, model: LitellmModel) -> None:
    """A reply that does not fit is not an error: it was paid for, and carries the sentence for the repair."""
    server.script(Text('{"count": "three"}'), Text("three"), Text('{"count": ', finish_reason="length"))
    first, second, third = [await model.complete(request(output_schema=SCHEMA)) for _ in range(3)]
    assert first.value is None
    assert "$.count" in str(first.problem)
    assert "not valid JSON" in str(second.problem)
    assert "cut off at the token limit" in str(third.problem)
    assert first.usage.completion_tokens == 7
    repaired = replies.repair_messages(QUESTION, first.text, str(first.problem))
    assert (await model.complete(request(messages=repaired, output_schema=SCHEMA))).value == {"count": 1}


async def test_tools_can_be_passed(server: OpenAIServer, model: LitellmModel) -> None:
    """A call with `tools=` works with the bounded litellm, and the model's call comes back with its arguments as text."""
    server.script(ToolCall("look", {"at": "the door"}))
    reply = await model.complete(request(params={"tools": [TOOL]}))
    assert server.requests[-1].body["tools"] == [TOOL]
    assert reply.tool_calls == [{"id": "call_1", "name": "look", "arguments": '{"at": "the door"}'}]
    assert reply.finish_reason == "tool_calls"
    assert reply.text == ""


FAILURES: list[tuple[Behaviour, ModelErrorKind, bool]] = [
    (Status(401), ModelErrorKind.AUTH, False),
    (Status(403), ModelErrorKind.AUTH, False),
    (Status(429, retry_after=7), ModelErrorKind.RATE_LIMIT, True),
    (Status(500), ModelErrorKind.UNAVAILABLE, True),
    (Status(502), ModelErrorKind.UNAVAILABLE, True),
    (Status(503, retry_after=3), ModelErrorKind.UNAVAILABLE, True),
    (Status(400), ModelErrorKind.BAD_REQUEST, False),
    (Status(422), ModelErrorKind.BAD_REQUEST, False),
    (Status(404, code="model_not_found", message="The model `x` does not exist"), ModelErrorKind.UNKNOWN_MODEL, False),
    (
        Status(400, code="context_length_exceeded", message="This model's maximum context length is 4097 tokens."),
        ModelErrorKind.CONTEXT_WINDOW,
        False,
    ),
    (Gone(), ModelErrorKind.UNAVAILABLE, True),
    (Half(), ModelErrorKind.BAD_REPLY, True),
    (Raw(b'{"choices": ['), ModelErrorKind.BAD_REPLY, True),
    (Raw(b""), ModelErrorKind.BAD_REPLY, True),
    (Raw(b"{}"), ModelErrorKind.BAD_REPLY, True),
    (Raw(b'{"choices": []}'), ModelErrorKind.BAD_REPLY, True),
    (Raw(b'{"choices": [{"message": 3}]}'), ModelErrorKind.BAD_REPLY, True),
    (Raw(b"[" * 100_000), ModelErrorKind.BAD_REPLY, True),
    (Raw(b"<html>Not here</html>", "text/html"), ModelErrorKind.BAD_REPLY, True),
    (Text(""), ModelErrorKind.BAD_REPLY, True),
    (Text(" ", finish_reason="length"), ModelErrorKind.BAD_REPLY, True),
    (Text("", finish_reason="content_filter"), ModelErrorKind.BAD_REQUEST, False),
    (Text("x" * (replies.MAX_BYTES + 1)), ModelErrorKind.BAD_REPLY, True),
]


@pytest.mark.parametrize(("behaviour", "kind", "retryable"), FAILURES, ids=lambda part: repr(part)[:60])
async def test_every_failure_has_its_kind(
    server: OpenAIServer, model: LitellmModel, behaviour: Behaviour, kind: ModelErrorKind, retryable: bool
) -> None:
    """Each failure is asked for exactly once and has its kind, whether a retry may help, the server's wait, and one sentence."""
    before = server.count
    server.script(behaviour)
    with pytest.raises(ModelError) as failed:
        await model.complete(request())
    assert (failed.value.kind, failed.value.retryable) == (kind, retryable)
    assert server.count == before + 1
    assert failed.value.retry_after == (behaviour.retry_after if isinstance(behaviour, Status) else None)
    assert (failed.value.usage is not None) == isinstance(behaviour, Text)
    text = str(failed.value)
    assert text.startswith(f"The model {PRICED} ")
    assert text.endswith(".")
    assert "\n" not in text
    assert "litellm" not in text.lower()
    assert "Traceback" not in text
    assert KEY not in text


async def test_a_key_in_the_servers_words_is_not_repeated(server: OpenAIServer, model: LitellmModel) -> None:
    """A provider that quotes the key in its refusal does not get it into our logs."""
    server.script(Status(401, message=f"Incorrect API key provided: {KEY}."))
    with pytest.raises(ModelError) as failed:
        await model.complete(request())
    assert "Incorrect API key provided: [key]" in str(failed.value)


async def test_a_slow_server_times_out(server: OpenAIServer) -> None:
    """A server that does not answer is a timeout after the configured time, and can be retried."""
    hang = Hang()
    server.script(hang)
    model = LitellmModel(PRICED, api_base=server.base_url, api_key=KEY, timeout=0.3)
    started = time.monotonic()
    with pytest.raises(ModelError, match=r"did not answer in time") as failed:
        await model.complete(request())
    assert failed.value.kind is ModelErrorKind.TIMEOUT
    assert time.monotonic() - started < 5
    hang.release.set()
    await model.aclose()


async def test_a_request_brings_its_own_time(server: OpenAIServer) -> None:
    """A request's timeout stands before the model's, and does not change which request it is."""
    hang = Hang()
    server.script(hang)
    model = LitellmModel(PRICED, api_base=server.base_url, api_key=KEY, timeout=30)
    hurried = msgspec.structs.replace(request(), timeout=0.3)
    started = time.monotonic()
    with pytest.raises(ModelError, match=r"did not answer in time \(0.3 s\)"):
        await model.complete(hurried)
    assert time.monotonic() - started < 5
    assert request_hash(hurried) == request_hash(request())
    hang.release.set()
    await model.aclose()


async def test_a_cancelled_call_ends_at_once(server: OpenAIServer, model: LitellmModel) -> None:
    """Cancelling the caller cancels the call, is not turned into an error, and leaves the model usable."""
    hang = Hang()
    server.script(hang)
    before = server.count
    call = asyncio.create_task(model.complete(request()))
    await asyncio.to_thread(server.wait_for, before + 1)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    hang.release.set()
    assert (await model.complete(request())).text


async def test_a_refused_connection_is_unavailable() -> None:
    """With no server at the address the sentence says that it cannot be reached, and a retry may help."""
    with openai_server() as gone:
        address = gone.base_url
    model = LitellmModel("some-model", api_base=address, timeout=10)
    with pytest.raises(ModelError, match="cannot be reached") as failed:
        await model.complete(request())
    assert failed.value.kind is ModelErrorKind.UNAVAILABLE
    await model.aclose()


async def test_a_missing_key_is_found_before_calling(server: OpenAIServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a key nothing is sent, and the sentence names the variable to set, for a provider with one and with two names."""
    for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "GOOGLE_API_KEY", "GEMINI_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    for name, variable in (
        (PRICED, "set OPENAI_API_KEY (or TAGENT_API_KEY)"),
        ("anthropic/claude-sonnet-4-5", "set ANTHROPIC_API_KEY"),
        ("gemini/gemini-2.5-flash", "set GOOGLE_API_KEY or GEMINI_API_KEY"),
    ):
        with pytest.raises(ModelError) as failed:
            await LitellmModel(name).complete(request())
        assert failed.value.kind is ModelErrorKind.AUTH
        assert variable in str(failed.value)
    monkeypatch.setenv("OPENAI_API_KEY", "")
    with pytest.raises(ModelError, match="set OPENAI_API_KEY"):
        LitellmModel(PRICED).check()


async def test_servers_of_ones_own_need_no_key(server: OpenAIServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ollama, and any name with an address, pass the check without a key; the name may lack a provider."""
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    LitellmModel("ollama/llama3.2").check()
    LitellmModel("some-model", api_base="http://gpu.example:8000/v1").check()
    reply = await ask(server, "meta-llama/Llama-3")
    assert reply.text
    assert server.requests[-1].body["model"] == "meta-llama/Llama-3"


async def test_ollama_is_asked_once_in_its_own_words(server: OpenAIServer) -> None:
    """A model of Ollama's gets chat messages and the schema natively, costs nothing, and its server sees one request."""
    before = server.count
    model = LitellmModel("ollama/llama3.2", api_base=server.root_url)
    reply = await model.complete(request(output_schema=SCHEMA))
    await model.aclose()
    assert reply.value == {"count": 1}
    assert (reply.usage.model, reply.usage.cost, reply.usage.prompt_tokens) == ("ollama/llama3.2", 0.0, 11)
    assert [sent.path for sent in server.requests[before:]] == ["/api/chat"]
    assert server.requests[-1].body["format"] == SCHEMA


@pytest.mark.parametrize("name", ["nosuch", "nosuch/model"])
async def test_an_unknown_model_is_refused_with_examples(name: str) -> None:
    """A name no provider answers to is refused with how to write one."""
    with pytest.raises(ModelError, match="provider/name") as failed:
        await LitellmModel(name).complete(request())
    assert failed.value.kind is ModelErrorKind.UNKNOWN_MODEL
    assert "\n" not in str(failed.value)


async def test_the_engines_own_parameters_are_refused(server: OpenAIServer, model: LitellmModel) -> None:
    """A request cannot redirect the call or have it retried or streamed behind the engine's back."""
    before = server.count
    for name in ("api_base", "stream", "num_retries", "mock_response"):
        with pytest.raises(ModelError, match=name) as failed:
            await model.complete(request(params={name: 1}))
        assert failed.value.kind is ModelErrorKind.BAD_REQUEST
    assert server.count == before


async def test_closing_waits_for_calls_under_way(server: OpenAIServer, model: LitellmModel) -> None:
    """Closing one model does not cut off another's call, and a closed model opens again when it is asked."""
    hang = Hang()
    server.script(hang)
    before = server.count
    call = asyncio.create_task(model.complete(request()))
    await asyncio.to_thread(server.wait_for, before + 1)
    other = LitellmModel(UNPRICED, api_base=server.base_url)
    await other.aclose()
    hang.release.set()
    assert (await call).text
    assert (await other.complete(request())).text
    await other.aclose()
    await other.aclose()


async def test_nothing_is_left_behind(server: OpenAIServer, capfd: pytest.CaptureFixture[str]) -> None:
    """After success and failure and close no task goes on, no client is cached for this loop, and nothing was printed or logged."""
    import litellm

    model = LitellmModel(PRICED, api_base=server.base_url, api_key=KEY)
    records: list[logging.LogRecord] = []
    listener = logging.Handler()
    listener.emit = records.append  # type: ignore[method-assign]
    logging.getLogger().addHandler(listener)
    server.script(Text(), Status(500))
    await model.complete(request())
    with pytest.raises(ModelError):
        await model.complete(request())
    await model.aclose()
    logging.getLogger().removeHandler(listener)
    async with asyncio.timeout(5):
        while asyncio.all_tasks() - {asyncio.current_task()}:
            await asyncio.sleep(0)
    mine = f"-{id(asyncio.get_running_loop())}"
    assert not [key for key in litellm.in_memory_llm_clients_cache.cache_dict if str(key).endswith(mine)]
    assert capfd.readouterr() == ("", "")
    assert not [record.name for record in records if record.name.lower().startswith("litellm")]


def test_loops_one_after_another(server: OpenAIServer) -> None:
    """A model used in one event loop after another (also unclosed) never meets a dead loop's client."""
    model = LitellmModel(PRICED, api_base=server.base_url, api_key=KEY)

    async def once() -> str:
        try:
            return (await model.complete(request())).text
        finally:
            await model.aclose()

    assert [asyncio.run(once()) for _ in range(3)] == ["You said: How many?"] * 3


def test_a_fresh_process_stays_quiet_and_offline(server: OpenAIServer) -> None:
    """The first call of a process prints nothing, warns of nothing, fetches no price list and leaves `.env` files alone."""
    script = f"""
import asyncio, os, socket, sys
asked = []
real = socket.getaddrinfo
socket.getaddrinfo = lambda host, *rest, **more: (asked.append(host), real(host, *rest, **more))[1]
from engine.models.litellm_model import LitellmModel
from engine.models.port import ModelRequest
async def main():
    model = LitellmModel("openai/gpt-4o-mini", api_base={server.base_url!r}, timeout=30)
    assert (await model.complete(ModelRequest("openai/gpt-4o-mini", [{{"role": "user", "content": "hi"}}]))).text
    await model.aclose()
asyncio.run(main())
assert set(asked) <= {{"127.0.0.1"}}, asked
assert os.environ["LITELLM_MODE"] == "PRODUCTION"
"""
    done = subprocess.run([sys.executable, "-W", "error", "-c", script], capture_output=True, text=True, timeout=90)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_retry_after_is_seconds_or_a_date() -> None:
    """The header is read in both of its forms, a date in the past is no wait, and anything else is nothing."""
    now = 1_700_000_000.0
    assert seconds("2.5", now) == 2.5
    assert seconds("Tue, 14 Nov 2023 22:13:50 GMT", now) == 30.0
    assert seconds("Tue, 14 Nov 2022 22:13:50 GMT", now) == 0.0
    assert [seconds(text, now) for text in ("soon", "", "nan", None)] == [None] * 4


def test_words_are_the_providers_own() -> None:
    """Prefixes of libraries, further lines and long tails are taken off what a provider said."""
    assert words(ValueError("litellm.RateLimitError: RateLimitError: OpenAIException - Slow down.\nTraceback")) == "Slow down"
    assert len(words(ValueError("x" * 5000))) < 300
    assert words(ValueError("")) == ""


def test_the_server_runs_as_a_process(tmp_path: Path) -> None:
    """As a process the server writes its port, answers, and has recorded each request on disk before it answers."""
    port_file, count_file = tmp_path / "port", tmp_path / "count"
    here = Path(__file__).parent / "openai_server.py"
    server = subprocess.Popen([sys.executable, str(here), "--port-file", str(port_file), "--count-file", str(count_file)])
    try:
        deadline = time.monotonic() + 20
        while not port_file.exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        base = f"http://127.0.0.1:{int(port_file.read_text())}/v1"

        async def twice() -> None:
            model = LitellmModel(UNPRICED, api_base=base)
            await model.complete(request())
            await model.complete(request())
            await model.aclose()

        asyncio.run(twice())
        assert [json.loads(line)["messages"] for line in count_file.read_text().splitlines()] == [QUESTION] * 2
    finally:
        server.terminate()
        server.wait(10)
