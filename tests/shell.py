"""The command line as a user has it: real processes with a store, a home and a working folder of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

FLOW = """
import asyncio, subprocess, sys, time
from pathlib import Path
from engine import Pipeline, RetryPolicy

def one(): return 1
def double(first, by=2): return {"n": first * by}
def broken(first): raise ValueError("no \\x1b[31mluck [/x]")
def after(broken): return 1
def need(company): return company
def chatty(ctx):
    print("hello from a step"); ctx.log("said so"); subprocess.run(["echo", "hello from a child"])
    sys.__stdout__.write("hello past everything\\n"); return "line one\\nline \\x1b]0;evil\\x07 two"

async def hold(ctx):
    Path("held").touch()
    while not Path("go").exists():
        await asyncio.sleep(0.02)
    return "held"

def _pay(amount):
    Path("paying").touch()
    while not Path("go").exists():
        time.sleep(0.02)
    return {"paid": amount}

async def pay(ctx):
    return await ctx.once("pay", _pay, 12, safety="irreversible")

fine = Pipeline("fine", "Two steps").step("first", run=one).step("double", run=double, depends_on=["first"])
fails = (Pipeline("fails").step("first", run=one).step("broken", run=broken, depends_on=["first"], max_retries=0)
         .step("after", run=after, depends_on=["broken"]))
retried = Pipeline("retried").step("first", run=one).step(
    "broken", run=broken, depends_on=["first"], retry=RetryPolicy(max_retries=1, delay=0.01))
wants = Pipeline("wants").step("need", run=need)
talks = Pipeline("talks").step("chatty", run=chatty)
holds = (Pipeline("holds").step("first", run=one).step("hold", run=hold, depends_on=["first"])
         .step("last", run=one, depends_on=["hold"]))
pays = Pipeline("pays").step("pay", run=pay, max_retries=0)
payer = Pipeline("payer").step("pay", run=pay, max_retries=0)
nests = Pipeline("nests").step("call", pipeline=payer).step("last", run=one, depends_on=["call"])
async def make(ctx):
    return await ctx.child(payer)
makes = Pipeline("makes").step("make", run=make, max_retries=0)
asks = Pipeline("asks").step("answer", goal="Say something")
"""


def wait_for(path: Path) -> None:
    """Return when `path` exists; fails after 30 seconds."""
    end = time.monotonic() + 30
    while not path.exists():
        assert time.monotonic() < end, f"{path.name} did not appear"
        time.sleep(0.01)


@dataclass
class Done:
    """A command that ended."""

    code: int
    out: str
    err: str

    @property
    def data(self) -> Any:
        """What the one JSON object of the command holds."""
        told = json.loads(self.out)
        assert told["schema"] == 1
        return told["data"]

    @property
    def lines(self) -> list[Any]:
        """The objects of a JSON stream."""
        return [json.loads(line) for line in self.out.splitlines()]

    @property
    def error(self) -> Any:
        """The JSON error on stderr."""
        return json.loads(self.err)["error"]


@dataclass
class Shell:
    """A folder with a store; `tui(...)` is `tagent-tui ...` in it. `flow.py` there holds the pipelines of FLOW."""

    folder: Path
    env: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        (self.folder / "flow.py").write_text(FLOW)
        kept = {name: os.environ[name] for name in ("PATH", "LANG", "SYSTEMROOT") if name in os.environ}
        home = str(self.folder / "home")
        self.env = {**kept, "HOME": home, "TAGENT_DB": str(self.folder / "runs.db"), "TERM": "xterm", **self.env}

    def command(self, *words: str) -> list[str]:
        """The words of the process."""
        return [sys.executable, "-m", "tagent_tui", *words]

    def tui(self, *words: str, stdin: str | None = None, **env: str) -> Done:
        """Run a command to its end."""
        done = subprocess.run(
            self.command(*words), cwd=self.folder, env={**self.env, **env}, capture_output=True, text=True, timeout=60,
            input=stdin, stdin=subprocess.DEVNULL if stdin is None else None,
        )  # fmt: skip
        return Done(done.returncode, done.stdout, done.stderr)

    def start(self, *words: str, **env: str) -> subprocess.Popen[str]:
        """Start a command."""
        return subprocess.Popen(
            self.command(*words), cwd=self.folder, env={**self.env, **env}, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    def run_of(self, *words: str) -> str:
        """Run a pipeline to its end; its id."""
        return str(self.tui("run", *words, "--json").lines[-1]["run_id"])
