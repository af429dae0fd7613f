"""Killing a driver right after an event and resuming the run, many times, from one warm process that forks.

Run as `python -m tests.crashing PIPELINE FOLDER INDEX[,INDEX] ...`: each argument is one story, a list of events at which one
driver after another is killed; the last one drives to the end. Events are counted over the run and its child runs together.
Prints one JSON line a story. A process of its own because forking is safe only where no thread was ever started, and because each
driver must die alone.

With `exact` in the environment's `CRASH` the events after the fatal one never become durable, although they were in the same
commit: stricter than any real crash. Without it the kill comes right after the commit that holds it.
"""

import asyncio
import hashlib
import json
import os
import signal
import sqlite3
import sys
import traceback
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from engine import Engine, control, targets
from store import Lease, Log
from store.events import EffectRequested, Recorded

ROOT = Path(__file__).parent.parent


def die_after(fatal: int, exact: bool, there: int) -> None:
    """Install the kill: this process ends by SIGKILL once the event `fatal` is durable, and acknowledges nothing after it.

    `there` are the events that the store has already.
    """
    create, append, flush, snapshot = Log.create, Lease.append, Lease.flush, Lease.snapshot
    killers: list[asyncio.Task[None] | None] = []
    count = there

    async def created(self: Log, *arguments: Any, **options: Any) -> Lease:
        nonlocal count
        if killers:
            return await asyncio.get_running_loop().create_future()
        count += 1
        if count >= fatal:
            killers.append(asyncio.current_task())
            await create(self, *arguments, **options)
            os.kill(os.getpid(), signal.SIGKILL)
        return await create(self, *arguments, **options)

    def appended(self: Lease, batch: Sequence[Recorded], blobs: Any = (), **options: Any) -> None:
        nonlocal count
        if killers:
            return
        keep = fatal - count
        if keep > len(batch):
            count += len(batch)
            append(self, batch, blobs, **options)
            return
        if exact and keep < len(batch):
            batch, options = batch[:keep], {}
        append(self, batch, blobs, **{**options, "wake": True})
        killers.append(asyncio.get_running_loop().create_task(killed(self)))

    async def killed(lease: Lease) -> None:
        await flush(lease)
        os.kill(os.getpid(), signal.SIGKILL)

    async def flushed(self: Lease) -> None:
        await (asyncio.Event().wait() if killers else flush(self))

    def offered(self: Lease, state: Any) -> None:
        if not killers:
            snapshot(self, state)

    Log.create, Lease.append, Lease.flush, Lease.snapshot = created, appended, flushed, offered  # type: ignore[assignment]


def forked(work: Any, *arguments: Any) -> tuple[int, Any]:
    """Run `work` in a forked child; its exit code (negative: the signal that ended it) and what it returned."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        code = 1
        try:
            os.write(writing, json.dumps(work(*arguments)).encode())
            code = 0
        except BaseException:  # a child must never come back into the parent's code
            traceback.print_exc()
        finally:
            os._exit(code)
    os.close(writing)
    with os.fdopen(reading, "rb") as answers:
        answer = answers.read()
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status), json.loads(answer) if answer else None


class Story:
    """One run, its deaths, and its end."""

    def __init__(self, target: str, folder: Path, exact: bool) -> None:
        self.target, self.exact = target, exact
        folder.mkdir(parents=True)
        self.db, self.lines = folder / "runs.db", folder / "witness"
        self.lines.touch()

    def tell(self, deaths: list[int]) -> dict[str, Any]:
        """Live through it; everything a test wants to know."""
        crashes = []
        for version in deaths:
            code, _ = forked(self._drive, version)
            crashes.append({"version": version, "code": code, **self._at_rest()})
        code, end = forked(self._drive, None)
        return {"deaths": deaths, "crashes": crashes, "code": code, "end": end, "last": self._at_rest()}

    def _drive(self, version: int | None) -> Any:
        os.environ["WITNESS"] = str(self.lines)
        if version is not None:
            die_after(version, self.exact, len(self._rows()))
        return asyncio.run(self._to_the_end())

    async def _to_the_end(self) -> dict[str, Any]:
        async with Engine(self.db, tee=False) as engine:
            runs = await engine.runs()
            if runs:
                run = runs[0].id
                state = await engine.view(run)
                if not state.status.ended:
                    await engine.resume(run)
            else:
                loaded = targets.load(self.target, cwd=ROOT, params=self._params())
                run = await engine.start(loaded.pipeline, self._params(), target=loaded.target, cwd=loaded.cwd, model="offline")
            doubts = 0
            while await engine.wait(run) == "waiting":
                doubts += 1
                for row in await engine.runs(children=True):
                    if row.caller is not None:
                        for step, said in (await self._resolutions(engine, row.id)).items():
                            await control.signal(engine.log, row.id, "resolve", {"step": step, **said})
                await engine.resume(run, resolve=await self._resolutions(engine, run))
            result = await engine.result(run)
            made = {name: hashlib.sha256(content).hexdigest() for name, content in result.artifacts.items()}
            told = {"status": result.status, "outputs": result.step_outputs, "artifacts": made}
            return {**told, "doubts": doubts, "reason": result.summary}

    def _params(self) -> dict[str, Any]:
        return json.loads(os.environ.get("CRASH_PARAMS", "{}"))

    async def _resolutions(self, engine: Engine, run: str) -> dict[str, dict[str, Any]]:
        """What somebody who looks at the side file would say: it happened, with this value, or it did not, so do it."""
        told = {(line["step"], line["name"]): line["value"] for line in self._witnessed()}
        said = {}
        for effect in (await engine.view(run)).open.values():
            if effect.in_doubt:
                name = "body" if effect.kind == "body" else effect.name
                key = place(run, effect.step), name
                happened = key in told
                value = "posted" if name == "body" else told.get(key)
                said[effect.step] = {"outcome": "succeeded", "value": value} if happened else {"outcome": "again"}
        return said

    def _witnessed(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.lines.read_text().splitlines()]

    def _at_rest(self) -> dict[str, Any]:
        """What the log and the side file hold now: touches, requests and settled requests by `step attempt name`."""
        touched = Counter(f"{line['step']} {line['attempt']} {line['name']}" for line in self._witnessed())
        requested: Counter[str] = Counter()
        settled: Counter[str] = Counter()
        names: dict[tuple[str, int], str] = {}
        versions: dict[str, list[int]] = {}
        done: list[str] = []
        rows = self._rows()
        for run, version, type_, own, attempt, data in rows:
            versions.setdefault(run, []).append(version)
            step = place(run, own)
            if type_ == "effect.requested":
                event = msgspec.json.decode(data, type=EffectRequested)
                name = "body" if event.kind == "body" else event.name
                names[run, version] = f"{step} {attempt} {name}"
                requested[names[run, version]] += 1
            elif type_ in ("effect.succeeded", "effect.failed", "effect.resolved"):
                outcome = json.loads(data)
                if outcome.get("outcome") == "again":
                    requested[names[run, outcome["request"]]] -= 1
                else:
                    settled[names[run, outcome["request"]]] += 1
            elif type_ == "step.completed":
                done.append(step)
                settled[f"{step} {attempt} body"] += 0 if f"{step} {attempt} body" in requested else 1
        gapless = all(found == list(range(1, len(found) + 1)) for found in versions.values())
        counts = {"touched": touched, "requested": requested, "settled": settled}
        return {"head": len(rows), "gapless": gapless, "done": done, **counts}

    def _rows(self) -> list[tuple[Any, ...]]:
        if not self.db.exists():
            return []
        connection = sqlite3.connect(f"file:{self.db}?mode=ro", uri=True)
        asked = "SELECT run_id, version, type, step, attempt, data FROM log_view ORDER BY run_id, version"
        rows = connection.execute(asked).fetchall()
        connection.close()
        return rows


def place(run: str, step: str) -> str:
    """A step as the side file names it: in a child run with what its id adds to the caller's before it."""
    below = run.partition(".")[2]
    return f"{below}/{step}" if below else step


def main() -> None:
    """One story for each list of indices on the command line."""
    target, folder, *stories = sys.argv[1:]
    exact = os.environ.get("CRASH", "exact") == "exact"
    for number, text in enumerate(stories):
        deaths = [int(word) for word in text.split(",") if word]
        print(json.dumps(Story(target, Path(folder) / str(number), exact).tell(deaths)), flush=True)


if __name__ == "__main__":
    main()
