"""Pipelines whose steps wait for files, so that a test decides when they go on; `folder` is a param."""

import os
import time
from pathlib import Path
from typing import Any

from engine import Pipeline, StepContext


def wait_for(path: Path, seconds: float = 30.0) -> None:
    """Return when the file is there."""
    end = time.monotonic() + seconds
    while not path.exists():
        if time.monotonic() > end:
            raise TimeoutError(f"{path.name} did not come")
        time.sleep(0.005)


def gate(folder: str, ctx: Any) -> str:
    """Say that it runs, and wait to be let go."""
    (Path(folder) / f"{ctx.step}.runs").touch()
    wait_for(Path(folder) / f"{ctx.step}.go")
    return str(ctx.step)


def note(folder: str, ctx: Any) -> str:
    """Leave a line."""
    with (Path(folder) / "notes").open("a") as notes:
        notes.write(f"{ctx.step} {os.getpid()}\n")
    return str(ctx.step)


def gated(folder: str) -> Pipeline:
    """A step that waits, one after it, and one at its end."""
    return Pipeline("gated").step("first", run=gate).step("second", run=note, depends_on="first").step("third", run=note)


def doubtful(folder: str) -> Pipeline:
    """An irreversible effect that waits, beside a step that waits."""

    async def pays(ctx: StepContext) -> Any:
        def pay() -> str:
            with (Path(folder) / "paid").open("a") as paid:
                paid.write("x")
            wait_for(Path(folder) / "pay.go")
            return "receipt"

        return await ctx.once("pay", pay, safety="irreversible")

    return (
        Pipeline("doubtful")
        .step("pays", run=pays, execution_mode="concurrent")
        .step("beside", run=gate, execution_mode="concurrent")
        .step("after", run=note, depends_on=["pays", "beside"])
    )


def forever(folder: str) -> Pipeline:
    """A body that swallows its cancellation, and a plain one that never returns."""
    import asyncio

    async def stubborn(ctx: StepContext) -> None:
        while True:
            try:
                (Path(folder) / "stubborn.runs").touch()
                await asyncio.sleep(0.05)
            except asyncio.CancelledError:
                continue

    def stuck(ctx: Any) -> None:
        (Path(folder) / "stuck.runs").touch()
        while True:
            time.sleep(1)

    return (
        Pipeline("forever")
        .step("stubborn", run=stubborn, execution_mode="concurrent")
        .step("stuck", run=stuck, execution_mode="concurrent")
    )


def leaky(folder: str) -> Pipeline:
    """Leaves a thread and a child process behind, and is done."""
    import subprocess
    import sys
    import threading

    def leak() -> str:
        threading.Thread(target=time.sleep, args=(60,)).start()
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
        (Path(folder) / "child").write_text(str(child.pid))
        return "leaked"

    return Pipeline("leaky").step("leak", run=leak)


def vanishing(folder: str) -> Pipeline:
    """Ends its process in the first life."""

    def vanish() -> str:
        if not (Path(folder) / "vanished").exists():
            (Path(folder) / "vanished").touch()
            os._exit(3)
        return "still here"

    return Pipeline("vanishing").step("vanish", run=vanish)


def broken(folder: str) -> Pipeline:
    """Cannot be made."""
    raise ValueError("no pipeline today")


def nesting(folder: str) -> Pipeline:
    """Children that wait: of a step, and of a body."""
    nested = Pipeline("nested", params={"folder": folder}).step("first", run=gate)

    async def asks(ctx: StepContext) -> str:
        return str(await ctx.child(Pipeline("made", params={"folder": folder}).step("other", run=gate)))

    return (
        Pipeline("nesting")
        .step("calls", pipeline=nested, execution_mode="concurrent")
        .step("asks", run=asks, execution_mode="concurrent")
    )
