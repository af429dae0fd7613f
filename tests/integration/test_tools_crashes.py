"""Drivers killed between and inside calls of tools: what is recorded is not called again, what is in doubt waits for a person."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.openai_server import MODEL, OpenAIServer, Text, ToolCall, ToolCalls, openai_server
from tests.integration.test_crash_recovery import head_of, spread, stories
from tests.shell import Shell, wait_for

TOOLED = "tests.pipelines.crashing:tooled"

FILE = """
name: errand
tools: [errands:first]
limits: {tools: {second: {concurrent: 1}}}
steps:
  - name: go
    goal: Do both
    tools: [errands:second, errands:pay]
    max_retries: 0
"""

TOOLS = '''
import time
from pathlib import Path
from engine import tool

def called(name):
    with open("calls", "a") as file:
        file.write(name + "\\n")

def wait(name):
    Path(name).touch()
    while not Path("go").exists():
        time.sleep(0.02)

@tool
def first(text: str) -> str:
    """Do it once."""
    called("first")
    return f"first {text}"

@tool(safety="read")
def second(text: str) -> str:
    """Look."""
    print("about to look")
    called("second")
    wait("looking")
    return f"second {text}"

@tool
def pay(amount: int) -> str:
    """Pay."""
    called("pay")
    wait("paying")
    return f"paid {amount}"
'''


@pytest.fixture
def server() -> Iterator[OpenAIServer]:
    with openai_server() as opened:
        yield opened


@pytest.fixture
def shell(tmp_path: Path, server: OpenAIServer) -> Shell:
    (tmp_path / "errand.yaml").write_text(FILE)
    (tmp_path / "errands.py").write_text(TOOLS)
    model = {"TAGENT_MODEL": f"openai/{MODEL}", "TAGENT_API_BASE": server.base_url, "TAGENT_API_KEY": "key"}
    return Shell(tmp_path, model)


def calls(shell: Shell) -> list[str]:
    return (shell.folder / "calls").read_text().split()


def killed(shell: Shell, sign: str) -> None:
    """Run the errand and kill its driver once the tool that waits has begun."""
    process: subprocess.Popen[str] = shell.start("run", "errand.yaml", "--no-ui")
    wait_for(shell.folder / sign)
    process.kill()
    process.communicate()
    (shell.folder / "go").touch()


def test_a_crash_between_two_calls_does_not_make_the_first_again(shell: Shell, server: OpenAIServer) -> None:
    """The driver dies in the second call of one answer: the model is not asked for it again, the first tool is not called
    again, the second is, because it only looks; then the run verifies without a call.
    """
    both = ToolCalls(ToolCall("first", {"text": "a"}), ToolCall("second", {"text": "b"}))
    server.script(both, Text("Both are done."))
    killed(shell, "looking")
    assert (calls(shell), server.count) == (["first", "second"], 1)
    done = shell.tui("resume", "last")
    assert (done.code, done.out.strip()) == (0, "Both are done.")
    assert (calls(shell), server.count) == (["first", "second", "second"], 2)
    heard = [message["content"] for message in server.requests[-1].body["messages"] if message["role"] == "tool"]
    assert heard == ["first a", "second b"]
    assert shell.tui("verify", "last").code == 0
    assert (len(calls(shell)), server.count) == (3, 2)
    told = shell.tui("events", "last")
    assert "tool first" in told.out
    assert told.out.count("about to look") == 1


def test_an_irreversible_call_in_flight_is_in_doubt_and_not_repeated(shell: Shell, server: OpenAIServer) -> None:
    """Killed inside a call that must not happen twice: the run waits with its exact arguments; what a person says it returned is
    what the model is told.
    """
    server.script(ToolCall("pay", {"amount": 12}), Text("Paid."))
    killed(shell, "paying")
    waits = shell.tui("resume", "last")
    assert (waits.code, waits.out) == (5, "")
    assert '"amount":12' in waits.err.replace(" ", "")
    shown = shell.tui("show", "last", "--json").data
    assert (shown["status"], shown["in_doubt"][0]["arguments"]) == ("waiting", {"amount": 12})
    done = shell.tui("resume", "last", "--resolve", 'go=succeeded:"receipt 7"')
    assert (done.code, done.out.strip()) == (0, "Paid.")
    assert server.requests[-1].body["messages"][-1]["content"] == "receipt 7"
    assert (calls(shell), server.count) == (["pay"], 2)
    assert shell.tui("verify", "last").code == 0


def test_a_driver_killed_anywhere_among_calls_goes_on(tmp_path: Path) -> None:
    """Killed after events all over a run of function steps with tools: the same end, and the irreversible tool is called once."""
    head = head_of(TOOLED, tmp_path / "whole")
    whole, *told = stories(TOOLED, tmp_path / "each", [[version] for version in spread(head, 16)])
    assert whole["end"]["status"] == "completed"
    for story in told:
        about = f"killed at {story['deaths']}"
        assert story["end"]["outputs"] == whole["end"]["outputs"], about
        touched = story["last"]["touched"]
        assert {name: count for name, count in touched.items() if name.endswith("pay")} == {"pays 1 pay": 1, "again 1 pay": 1}, (
            about
        )
        again = {name: count - whole["last"]["touched"][name] for name, count in touched.items()}
        assert sum(again.values()) <= 2, (about, json.dumps(again))  # what was in flight side by side
    assert any(story["end"]["doubts"] for story in told)
