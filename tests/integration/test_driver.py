"""The process that drives a run: it says in one line that the run is recorded, or why not, and outlives whoever started it."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from engine import EngineError, Pipeline
from engine.driver import spawn_resume, spawn_start
from store.state import RunStatus
from tests.crashing import ROOT
from tests.driving import engine_at, until

TARGET = "tests.pipelines.controlled:gated"


def alive(pid: int) -> bool:
    """Whether the process is there and no zombie."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


async def ended(pid: int) -> None:
    """Wait for a driver's own end."""
    await until(lambda: not alive(pid), "the driver's end")


async def test_a_spawned_run_is_recorded_before_it_is_announced(tmp_path: Path) -> None:
    """When `spawn_start` returns the run is in the store under the announced id, driven by the announced process."""
    (tmp_path / "first.go").touch()
    spawned = await spawn_start(tmp_path / "runs.db", TARGET, params={"folder": str(tmp_path)}, cwd=ROOT)
    async with engine_at(tmp_path / "runs.db") as engine:
        row = await engine.log.find(spawned.run_id)
        assert row.pipeline == "gated"
        assert row.target == TARGET
        await ended(spawned.pid)
        assert (await engine.view(spawned.run_id)).status is RunStatus.COMPLETED
        assert (await engine.log.find(spawned.run_id)).driver is None


def test_a_driver_outlives_the_loop_and_the_process_that_started_it(tmp_path: Path) -> None:
    """The starter's event loop is closed, and then the starter ends: the driver goes on to the end of its run."""
    starter = (
        "import asyncio, sys\n"
        "from pathlib import Path\n"
        "from engine.driver import spawn_start\n"
        "folder, root = sys.argv[1:]\n"
        f"spawned = asyncio.run(spawn_start(folder + '/runs.db', {TARGET!r}, params={{'folder': folder}}, cwd=Path(root)))\n"
        "print(spawned.pid, spawned.run_id)\n"
    )
    done = subprocess.run([sys.executable, "-c", starter, str(tmp_path), str(ROOT)], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    pid, run = done.stdout.split()
    assert alive(int(pid))

    async def finish() -> None:
        await until(lambda: (tmp_path / "first.runs").exists(), "the first step")
        (tmp_path / "first.go").touch()
        await ended(int(pid))
        async with engine_at(tmp_path / "runs.db") as engine:
            assert (await engine.view(run)).status is RunStatus.COMPLETED

    asyncio.run(finish())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
async def test_a_signal_lets_the_run_go_in_order(tmp_path: Path, number: signal.Signals) -> None:
    """Told to end, a driver lets the lease go although a body hangs in a thread; the run is interrupted and can be resumed."""
    spawned = await spawn_start(tmp_path / "runs.db", TARGET, params={"folder": str(tmp_path)}, cwd=ROOT)
    await until(lambda: (tmp_path / "first.runs").exists(), "the first step")
    os.kill(spawned.pid, number)
    await ended(spawned.pid)
    async with engine_at(tmp_path / "runs.db") as engine:
        row = await engine.log.find(spawned.run_id)
        assert (row.driver, row.alive()) == (None, False)
        assert (await engine.result(spawned.run_id)).status == "interrupted"
        (tmp_path / "first.go").touch()
        again = await spawn_resume(tmp_path / "runs.db", spawned.run_id)
        await ended(again.pid)
        result = await engine.result(spawned.run_id)
        assert result.success
        assert result.step_metadata["first"]["attempts"] == 1


async def test_threads_and_children_left_behind_do_not_keep_the_driver(tmp_path: Path) -> None:
    """A body that leaves a running thread and a child process completes, and the driver process ends all the same."""
    target = "tests.pipelines.controlled:leaky"
    spawned = await spawn_start(tmp_path / "runs.db", target, params={"folder": str(tmp_path)}, cwd=ROOT)
    await ended(spawned.pid)
    os.kill(int((tmp_path / "child").read_text()), signal.SIGKILL)
    async with engine_at(tmp_path / "runs.db") as engine:
        assert (await engine.result(spawned.run_id)).final_output == "leaked"


async def test_a_body_that_ends_the_process_is_a_crash_like_any_other(tmp_path: Path) -> None:
    """`os._exit` inside a body leaves an interrupted run, and a new driver goes on with it."""
    target = "tests.pipelines.controlled:vanishing"
    spawned = await spawn_start(tmp_path / "runs.db", target, params={"folder": str(tmp_path)}, cwd=ROOT)
    await ended(spawned.pid)
    async with engine_at(tmp_path / "runs.db") as engine:
        assert (await engine.result(spawned.run_id)).status == "interrupted"
        again = await spawn_resume(tmp_path / "runs.db", spawned.run_id)
        await ended(again.pid)
        assert (await engine.result(spawned.run_id)).final_output == "still here"


REFUSALS = [
    ("tests.pipelines.controlled:nowhere", "nowhere"),
    ("tests.pipelines.absent:x", "absent"),
    ("tests.pipelines.controlled:broken", "no pipeline today"),
    ("missing.yaml", "missing.yaml"),
]


@pytest.mark.parametrize(("target", "said"), REFUSALS)
async def test_a_driver_that_cannot_start_says_why_in_one_sentence(tmp_path: Path, target: str, said: str) -> None:
    """The starter gets the driver's own sentence, and no run is recorded."""
    with pytest.raises(EngineError, match=said) as refused:
        await spawn_start(tmp_path / "runs.db", target, params={"folder": str(tmp_path)}, cwd=ROOT)
    assert "Traceback" not in str(refused.value)
    async with engine_at(tmp_path / "runs.db") as engine:
        assert await engine.runs() == []


async def test_a_driver_refuses_a_param_that_nothing_asks_for(tmp_path: Path) -> None:
    """A misspelt param of a form that starts a driver is told before a run is recorded, with the code of a wrong definition."""
    (tmp_path / "flow.yaml").write_text("name: p\nparams: {name: x}\nsteps:\n  - {name: g, goal: Say}\n")
    with pytest.raises(EngineError, match=r"flow\.yaml:2 params.nmae: nothing asks for it; did you mean 'name'") as refused:
        await spawn_start(tmp_path / "runs.db", "flow.yaml", params={"nmae": "y"}, cwd=tmp_path, model="offline")
    assert refused.value.code == "invalid"


async def test_a_folder_that_is_not_there_is_said(tmp_path: Path) -> None:
    """Nothing can be started in a folder that does not exist."""
    with pytest.raises(EngineError, match=r"could not be started in .*absent"):
        await spawn_start(tmp_path / "runs.db", TARGET, params={}, cwd=tmp_path / "absent")


async def test_a_driver_of_a_foreign_store_says_so_and_leaves_it(tmp_path: Path) -> None:
    """A file that is no store of ours is refused with the store's sentence, and not touched."""
    db = tmp_path / "runs.db"
    db.write_text("not a database, " * 100)
    with pytest.raises(EngineError, match="not") as refused:
        await spawn_start(db, TARGET, params={"folder": str(tmp_path)}, cwd=ROOT)
    assert refused.value.code == "foreign"
    assert db.read_text() == "not a database, " * 100


async def test_a_second_driver_is_refused_with_the_conflict_code(tmp_path: Path) -> None:
    """While one process drives a run another cannot take it, whichever way it asks."""
    spawned = await spawn_start(tmp_path / "runs.db", TARGET, params={"folder": str(tmp_path)}, cwd=ROOT)
    try:
        with pytest.raises(EngineError, match="driven by another process") as refused:
            await spawn_resume(tmp_path / "runs.db", spawned.run_id)
        assert refused.value.code == "conflict"
    finally:
        os.kill(spawned.pid, signal.SIGKILL)
        await ended(spawned.pid)


async def test_an_ended_run_is_not_resumed(tmp_path: Path) -> None:
    """There is nothing to drive on."""
    async with engine_at(tmp_path / "runs.db") as engine:
        run = await engine.start(Pipeline("p").step("x", run=lambda: 1))
        await engine.wait(run)
    with pytest.raises(EngineError, match=r"has ended \(completed\)"):
        await spawn_resume(tmp_path / "runs.db", run)


async def test_what_steps_print_in_a_driver_is_in_the_log_only(tmp_path: Path) -> None:
    """A driver's standard output is its one line; what bodies print is recorded, and nothing reaches the starter's terminal."""
    module = tmp_path / "talking.py"
    module.write_text(
        "import sys\n"
        "from engine import Pipeline\n"
        "def talk():\n    print('hello'); print('oops', file=sys.stderr)\n"
        "pipeline = Pipeline('talking').step('talk', run=talk)\n"
    )
    asked = {"target": "talking:pipeline", "params": {}, "model": None, "config": {}}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "engine.driver", "start", "--db", str(tmp_path / "runs.db"), "--ask", json.dumps(asked),
        cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    out, err = await process.communicate()
    lines = out.decode().splitlines()
    assert err == b""
    assert "run_id" in json.loads(lines[-1])
    async with engine_at(tmp_path / "runs.db") as engine:
        events = await engine.events(json.loads(lines[-1])["run_id"])
    assert [(e.event.stream, e.event.text) for e in events if e.event.type == "log.written"] == [
        ("stdout", "hello"),
        ("stderr", "oops"),
    ]


async def test_a_module_that_prints_while_imported_does_not_break_the_announcement(tmp_path: Path) -> None:
    """Whatever a user's module prints when it is imported, the starter still gets the run."""
    (tmp_path / "noisy.py").write_text(
        "from engine import Pipeline\nprint('loading...', flush=True)\npipeline = Pipeline('noisy').step('x', run=lambda: 1)\n"
    )
    spawned = await spawn_start(tmp_path / "runs.db", "noisy:pipeline", params={}, cwd=tmp_path)
    await ended(spawned.pid)
    async with engine_at(tmp_path / "runs.db") as engine:
        assert (await engine.result(spawned.run_id)).success
