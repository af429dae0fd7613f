"""A real HTTP server on loopback that speaks the OpenAI protocol (and Ollama's, for a plain chat), with a script of behaviours.

Stands apart from the tests because several of them need it, and because those that kill a driver need it as a process of its own:
`python tests/integration/openai_server.py --port-file F --count-file F`.

    with openai_server() as server:
        server.script(Status(429, retry_after=7), Text("hello"))   # one behaviour a request, in order; then the default again
        ...  # base URL: server.base_url; what came: server.requests
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import os
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

MODEL = "loopback-model"


@dataclasses.dataclass(frozen=True)
class Request:
    """One request as it came: the path, the headers (lower case), the decoded body and its text."""

    path: str
    headers: dict[str, str]
    body: dict[str, Any]
    text: str


@dataclasses.dataclass(frozen=True)
class Text:
    """A normal answer. None answers by the request: a value for a schema or a tool call where one is asked, else an echo."""

    content: str | None = None
    finish_reason: str = "stop"
    usage: bool = True


@dataclasses.dataclass(frozen=True)
class ToolCall:
    """An answer that calls a tool instead of saying something; arguments that are text go out as they are."""

    name: str
    arguments: dict[str, Any] | str = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class ToolCalls:
    """An answer that calls several tools."""

    calls: tuple[ToolCall, ...]

    def __init__(self, *calls: ToolCall) -> None:
        object.__setattr__(self, "calls", calls)


@dataclasses.dataclass(frozen=True)
class Status:
    """An error status in the protocol's form, `retry_after` seconds in its header where given."""

    status: int
    retry_after: float | None = None
    code: str = "error"
    message: str = "the loopback server was told to fail"


@dataclasses.dataclass(frozen=True)
class Raw:
    """Status 200 and these bytes, whatever they are."""

    body: bytes
    content_type: str = "application/json"


@dataclasses.dataclass(frozen=True)
class Half:
    """A response that promises its whole length, sends half, and hangs up."""


@dataclasses.dataclass(frozen=True)
class Hang:
    """No response until `release` is set (or the server closes): for timeouts, cancelling and killing."""

    release: threading.Event = dataclasses.field(default_factory=threading.Event)


@dataclasses.dataclass(frozen=True)
class Gone:
    """The connection is closed without a byte."""


Behaviour = Text | ToolCall | ToolCalls | Status | Raw | Half | Hang | Gone


class OpenAIServer:
    """The running server. `requests` grows in the order of arrival; `count` is its length; `most` were under way at a time."""

    def __init__(self, count_file: Path | None = None) -> None:
        self.requests: list[Request] = []
        self.default: Behaviour = Text()
        self.closing = threading.Event()
        self.most = self._under_way = 0
        self._script: deque[Behaviour] = deque()
        self._lock = threading.Condition()
        self._count_file = count_file
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (_Connection,), {"owner": self}))
        self._http.daemon_threads = True

    @property
    def port(self) -> int:
        return int(self._http.server_address[1])

    @property
    def base_url(self) -> str:
        """What `api_base` has to be."""
        return f"http://127.0.0.1:{self.port}/v1"

    @property
    def root_url(self) -> str:
        """What `api_base` has to be for Ollama."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def count(self) -> int:
        return len(self.requests)

    def script(self, *behaviours: Behaviour) -> None:
        """What the next requests get, in order of arrival."""
        with self._lock:
            self._script.extend(behaviours)

    def wait_for(self, count: int, timeout: float = 10) -> None:
        """Returns when `count` requests have arrived in all, and fails at the deadline."""
        with self._lock:
            if not self._lock.wait_for(lambda: len(self.requests) >= count, timeout):
                raise TimeoutError(f"{len(self.requests)} of {count} requests arrived within {timeout} s")

    def arrived(self, request: Request) -> Behaviour:
        """Records the request (on disk before it is answered, where a file was named) and draws its behaviour."""
        with self._lock:
            self.requests.append(request)
            self._under_way += 1
            self.most = max(self.most, self._under_way)
            if self._count_file is not None:
                with self._count_file.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(request.body) + "\n")
                    file.flush()
                    os.fsync(file.fileno())
            self._lock.notify_all()
            return self._script.popleft() if self._script else self.default

    def answered(self) -> None:
        """One request less is under way."""
        with self._lock:
            self._under_way -= 1

    def serve(self) -> None:
        self._http.serve_forever(poll_interval=0.02)

    def close(self) -> None:
        self.closing.set()
        self._http.shutdown()
        self._http.server_close()


class _Connection(BaseHTTPRequestHandler):
    owner: OpenAIServer
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        text = self.rfile.read(int(self.headers.get("content-length", 0))).decode()
        headers = {name.lower(): value for name, value in self.headers.items()}
        request = Request(self.path, headers, json.loads(text), text)
        behaviour = self.owner.arrived(request)
        try:
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                self._behave(behaviour, request)
        finally:
            self.owner.answered()

    def _behave(self, behaviour: Behaviour, request: Request) -> None:
        match behaviour:
            case Text():
                answer = _ollama_chat if request.path == "/api/chat" else _completion
                self._send(200, answer(request.body, behaviour))
            case ToolCall():
                self._send(200, _tool_calls(request.body, [behaviour]))
            case ToolCalls(calls):
                self._send(200, _tool_calls(request.body, calls))
            case Status():
                self._send(behaviour.status, _error(behaviour), behaviour.retry_after)
            case Raw(body, content_type):
                self._send_bytes(200, body, content_type=content_type)
            case Half():
                body = _completion(request.body, Text("This sentence is never heard to its"))
                self._send_bytes(200, body[: len(body) // 2], promised=len(body))
                self.close_connection = True
            case Hang(release):
                while not (release.wait(0.02) or self.owner.closing.is_set()):
                    pass
                self._send(200, _completion(request.body, Text()))
            case Gone():
                self.close_connection = True

    def _send(self, status: int, body: bytes, retry_after: float | None = None) -> None:
        self._send_bytes(status, body, retry_after=retry_after)

    def _send_bytes(
        self,
        status: int,
        body: bytes,
        *,
        content_type: str = "application/json",
        promised: int | None = None,
        retry_after: float | None = None,
    ) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body) if promised is None else promised))
        if retry_after is not None:
            self.send_header("Retry-After", f"{retry_after:g}")
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()

    def log_message(self, format: str, *arguments: Any) -> None:
        """Nothing is printed."""


def _completion(body: dict[str, Any], answer: Text) -> bytes:
    content = answer.content
    if content is None:
        wanted = body.get("response_format", {}).get("json_schema", {}).get("schema")
        last = body["messages"][-1].get("content")
        content = json.dumps(_example(wanted)) if wanted else f"You said: {last}"
    return _reply(body, {"role": "assistant", "content": content}, answer.finish_reason, answer.usage)


def _ollama_chat(body: dict[str, Any], answer: Text) -> bytes:
    """The same in Ollama's own protocol, which asks for a schema by `format`."""
    content = answer.content or (json.dumps(_example(body["format"])) if "format" in body else "You said something")
    message = {"role": "assistant", "content": content}
    counts = {"prompt_eval_count": 11, "eval_count": 7}
    return json.dumps(
        {"model": body["model"], "created_at": "", "message": message, "done": True, "done_reason": "stop", **counts}
    ).encode()


def _tool_calls(body: dict[str, Any], calls: Sequence[ToolCall]) -> bytes:
    """Ids count on over a conversation, as a real server's are never the same twice."""
    before = sum(len(message.get("tool_calls") or ()) for message in body["messages"])
    told = []
    for number, call in enumerate(calls, before + 1):
        arguments = call.arguments if isinstance(call.arguments, str) else json.dumps(call.arguments)
        told.append({"id": f"call_{number}", "type": "function", "function": {"name": call.name, "arguments": arguments}})
    return _reply(body, {"role": "assistant", "content": None, "tool_calls": told}, "tool_calls")


def _reply(body: dict[str, Any], message: dict[str, Any], finish_reason: str, usage: bool = True) -> bytes:
    reply = {
        "id": "chatcmpl-loopback",
        "object": "chat.completion",
        "created": 0,
        "model": body.get("model", MODEL),
        "choices": [{"index": 0, "message": message, "finish_reason": finish_reason}],
    }
    if usage:
        reply["usage"] = {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}
    return json.dumps(reply).encode()


def _error(status: Status) -> bytes:
    return json.dumps({"error": {"message": status.message, "type": status.code, "code": status.code, "param": None}}).encode()


def _example(schema: dict[str, Any]) -> Any:
    """The plainest value for a plain schema: enough for objects, arrays and scalars without bounds."""
    match schema.get("type"):
        case "object":
            return {name: _example(part) for name, part in schema.get("properties", {}).items()}
        case "array":
            return [_example(schema.get("items", {}))]
        case "integer" | "number":
            return schema.get("minimum", 1)
        case "boolean":
            return True
        case _:
            return schema.get("enum", ["text"])[0]


@contextlib.contextmanager
def openai_server(count_file: Path | None = None) -> Iterator[OpenAIServer]:
    """A server on a free port of 127.0.0.1, closed on the way out."""
    server = OpenAIServer(count_file)
    thread = threading.Thread(target=server.serve, name="openai-server", daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.close()
        thread.join(5)


def main() -> None:
    """Serves until killed. The port file appears complete, in one rename; the count file gets one line of JSON a request."""
    parser = argparse.ArgumentParser(description="A loopback server that speaks the OpenAI protocol.")
    parser.add_argument("--port-file", type=Path, required=True)
    parser.add_argument("--count-file", type=Path)
    parser.add_argument("--content", help="answer with this text to everything")
    options = parser.parse_args()
    server = OpenAIServer(options.count_file)
    server.default = Text(options.content)
    part = options.port_file.with_suffix(".part")
    part.write_text(f"{server.port}\n", encoding="utf-8")
    part.replace(options.port_file)
    server.serve()


if __name__ == "__main__":
    main()
