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
import subprocess
import sys
import threading
import traceback
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
    retarget: str | None = None,
    trust: bool = False,
    config: TAgentConfig | None = None,
) -> Spawned:
    """Drive an unfinished run on in a process of its own; returns when it has taken the run over."""
    how = {"on_change": on_change, "resolve": dict(resolve or {}), "retarget": retarget, "trust": trust}
    asked = {"run": run_id, "how": how, "config": _public(config)}
    return await _spawn(db, "resume", asked, Path.cwd())


def _public(config: TAgentConfig | None) -> dict[str, Any]:
    """The settings without secrets, which the process finds in its environment."""
    return {} if config is None else config.model_dump(mode="json", exclude_unset=True)


async def _spawn(db: str | Path, verb: str, asked: dict[str, Any], cwd: Path) -> Spawned:
    process = _launch(db, verb, asked, cwd)
    try:
        async with asyncio.timeout(START_SECONDS):
            line = await asyncio.to_thread(_first_line, process)
    except TimeoutError:
        process.kill()
        raise EngineError(
            f"The driver did not record the run within {START_SECONDS:g} s; its module may hang while imported."
        ) from None
    finally:
        threading.Thread(target=process.wait, name="driver-reaper", daemon=True).start()
    try:
        answer = json.loads(line)
    except ValueError:
        code = await asyncio.to_thread(process.wait)
        raise EngineError(f"The driver ended with code {code} before the run was recorded; see {db}-drivers.log.") from None
    if "error" in answer:
        refusal = EngineError(answer["error"])
        refusal.code = answer.get("code", refusal.code)  # what kind it is over there decides what the caller does about it
        raise refusal
    return Spawned(process.pid, RunId(answer["run_id"]))


def _launch(db: str | Path, verb: str, asked: dict[str, Any], cwd: Path) -> subprocess.Popen[bytes]:
    """Not asyncio's: from Python 3.12 on that kills its child when the loop which started it closes, and a driver outlives us."""
    trace = _trace_file(db)
    try:
        return subprocess.Popen(
            [sys.executable, "-P", "-m", "engine.driver", verb, "--db", str(Path(db).absolute()), "--ask", json.dumps(asked)],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=trace, cwd=cwd, start_new_session=True,
        )  # fmt: skip
    except OSError as error:
        raise EngineError(f"A driver could not be started in {cwd}: {error.strerror}; check the folder.") from None
    finally:
        if trace >= 0:
            os.close(trace)


def _first_line(process: subprocess.Popen[bytes]) -> bytes:
    assert process.stdout is not None  # noqa: S101 - it is a pipe
    with process.stdout as answers:
        return answers.readline()


def _trace_file(db: str | Path) -> int:
    """Where a driver's own last words go: a file beside the store, started over when it is large; nowhere if it cannot be made."""
    path = Path(f"{db}-drivers.log")
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0)
    try:
        if path.exists() and path.stat().st_size > TRACE_LIMIT:
            flags |= os.O_TRUNC
        return os.open(path, flags, 0o600)
    except OSError:
        return subprocess.DEVNULL


async def _drive(verb: str, db: str, asked: dict[str, Any]) -> int:
    config = TAgentConfig(**{**asked.get("config", {}), **_secret()})
    async with Engine(db, config, tee=False) as engine:
        if verb == "start":
            loaded = targets.load(asked["target"], cwd=Path.cwd(), params=asked["params"])
            loaded.check(asked["params"], model=asked.get("model") or config.model)
            run = await engine.start(
                loaded.pipeline, asked["params"], model=asked.get("model"), target=loaded.target, cwd=loaded.cwd
            )
        else:
            run = await engine.resume(asked["run"], **asked["how"])
        _say({"run_id": run})
        loop = asyncio.get_running_loop()
        task = asyncio.current_task()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            loop.add_signal_handler(number, lambda: task.cancel() if task is not None else None)
        await engine.wait(run)
    if len(asyncio.all_tasks()) > 1:  # a body that swallows its cancellation; ending the loop would wait for it for ever
        os._exit(0)
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
        sys.stderr.write(f"{error}\n")  # where the trace file keeps it, should the run have been under way
        return 1
    except (KeyboardInterrupt, asyncio.CancelledError):
        return 130
    except Exception:  # a defect of ours; told where the trace file keeps it, and the process still ends
        traceback.print_exc()
        return 70


def _leave(code: int) -> None:
    """End the process, also past threads that user code left running: Python would wait for them, the run is over."""
    left = [thread for thread in threading.enumerate() if thread is not threading.main_thread() and not thread.daemon]
    if left:
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


if __name__ == "__main__":
    _leave(main())
