"""The process that drives a run: started by the screen and by `--detach`, so that user code cannot freeze or outlive anything else.

Speaks one JSON line on stdout when the run is recorded (or cannot be), then nothing: whoever is interested reads the log. The same
code paths as a script's `Engine`; only the process is another.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from engine import targets
from engine.config import TAgentConfig
from engine.engine import Engine
from engine.errors import EngineError
from store.errors import StoreError
from store.events import RunId

START_SECONDS = 60.0
"""How long a driver may take until its run is recorded; importing the user's modules counts."""
TRACE_LIMIT = 1_000_000


class Spawned(msgspec.Struct, frozen=True):
    """A driver process that drives `run_id`."""

    pid: int
    run_id: RunId


async def spawn_start(
    db: str | Path,
    target: str,
    *,
    params: Mapping[str, Any],
    cwd: Path,
    model: str | None = None,
    config: TAgentConfig | None = None,
) -> Spawned:
    """Start a run of `target` in a process of its own; returns when the run is recorded. Raises `EngineError` with its sentence."""
    asked = {"target": target, "params": dict(params), "model": model, "config": _public(config)}
    return await _spawn(db, "start", asked, cwd)


async def spawn_resume(
    db: str | Path,
    run_id: str,
    *,
    on_change: str = "ask",
    resolve: Mapping[str, Mapping[str, Any]] | None = None,
    config: TAgentConfig | None = None,
) -> Spawned:
    """Drive an unfinished run on in a process of its own; returns when it has taken the run over."""
    asked = {"run": run_id, "on_change": on_change, "resolve": dict(resolve or {}), "config": _public(config)}
    return await _spawn(db, "resume", asked, Path.cwd())


def _public(config: TAgentConfig | None) -> dict[str, Any]:
    """The settings without secrets, which the process finds in its environment."""
    return {} if config is None else config.model_dump(mode="json", exclude_unset=True)


async def _spawn(db: str | Path, verb: str, asked: dict[str, Any], cwd: Path) -> Spawned:
    trace = _trace_file(db)
    try:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "engine.driver", verb, "--db", str(Path(db).absolute()), "--ask", json.dumps(asked),
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=trace, cwd=cwd, start_new_session=True,
        )  # fmt: skip
    except OSError as error:
        raise EngineError(f"A driver could not be started in {cwd}: {error.strerror}; check the folder.") from None
    finally:
        if trace >= 0:
            os.close(trace)
    try:
        async with asyncio.timeout(START_SECONDS):
            line = await process.stdout.readline() if process.stdout is not None else b""
    except TimeoutError:
        process.terminate()
        raise EngineError(
            f"The driver did not record the run within {START_SECONDS:g} s; its module may hang while imported."
        ) from None
    try:
        answer = json.loads(line)
    except ValueError:
        await process.wait()
        raise EngineError(
            f"The driver ended with code {process.returncode} before the run was recorded; see {db}-drivers.log."
        ) from None
    if "error" in answer:
        await process.wait()
        refusal = EngineError(answer["error"])
        refusal.code = answer.get("code", refusal.code)  # what kind it is over there decides what the caller does about it
        raise refusal
    return Spawned(process.pid, RunId(answer["run_id"]))


def _trace_file(db: str | Path) -> int:
    """Where a driver's own last words go: a file beside the store, started over when it is large; nowhere if it cannot be made."""
    path = Path(f"{db}-drivers.log")
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0)
    try:
        if path.exists() and path.stat().st_size > TRACE_LIMIT:
            flags |= os.O_TRUNC
        return os.open(path, flags, 0o600)
    except OSError:
        return asyncio.subprocess.DEVNULL


async def _drive(verb: str, db: str, asked: dict[str, Any]) -> int:
    config = TAgentConfig(**{**asked.get("config", {}), **_secret()})
    async with Engine(db, config, tee=False) as engine:
        if verb == "start":
            loaded = targets.load(asked["target"], cwd=Path.cwd(), params=asked["params"])
            run = await engine.start(
                loaded.pipeline, asked["params"], model=asked.get("model"), target=loaded.target, cwd=loaded.cwd
            )
        else:
            run = await engine.resume(asked["run"], on_change=asked["on_change"], resolve=asked["resolve"])
        _say({"run_id": run})
        loop = asyncio.get_running_loop()
        task = asyncio.current_task()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            loop.add_signal_handler(number, lambda: task.cancel() if task is not None else None)
        await engine.wait(run)
    return 0


def _secret() -> dict[str, Any]:
    key = os.environ.get("TAGENT_API_KEY")
    return {"api_key": key} if key else {}


def _say(answer: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, sys.stdout.fileno())
    os.close(null)


def main() -> int:
    """`python -m engine.driver start|resume --db FILE --ask JSON`: not for people; `tagent-tui run` is."""
    parser = argparse.ArgumentParser(prog="engine.driver")
    parser.add_argument("verb", choices=["start", "resume"])
    parser.add_argument("--db", required=True)
    parser.add_argument("--ask", required=True)
    options = parser.parse_args()
    try:
        return asyncio.run(_drive(options.verb, options.db, json.loads(options.ask)))
    except (EngineError, StoreError) as error:
        _say({"error": str(error), "code": error.code})
        return 1
    except (KeyboardInterrupt, asyncio.CancelledError):
        return 130


if __name__ == "__main__":
    sys.exit(main())
