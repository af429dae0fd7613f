"""Starting and resuming from the screens: real driver processes, which outlive the screen that started them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from textual.pilot import Pilot

from store import Log, RunRow
from tagent_tui.screens.launch import LaunchScreen
from tagent_tui.screens.runs import RunsScreen
from tests.acceptance.piloting import opened, sees, text, until

SLOW = """
import time
from engine import Pipeline

def wait(ctx):
    ctx.log("waiting")
    time.sleep({seconds})
    return 1

def after(wait):
    return wait + 1

pipeline = Pipeline("slow").step("wait", run=wait).step("after", run=after, depends_on=["wait"])
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a module whose pipeline takes half a minute, and one whose pipeline is quick."""
    made = tmp_path / "work"
    made.mkdir()
    (made / "slow_module.py").write_text(SLOW.format(seconds=30))
    (made / "quick_module.py").write_text(SLOW.format(seconds=0.01))
    (made / "readme.md").write_text("# A project\n\nTODO: everything\n")
    return made


async def newest(path: Path) -> RunRow:
    """The newest run of a store."""
    async with await Log.open(path, readonly=True) as log:
        return (await log.runs(limit=1))[0]


async def fill(pilot: Pilot[None], folder: Path, target: str) -> None:
    """Fill the form for a pipeline."""
    await pilot.press("n")
    await sees(pilot, "NEW RUN", "same as")
    await pilot.press("right", "tab", *target)
    await pilot.press("tab")
    screen = pilot.app.screen
    assert isinstance(screen, LaunchScreen)
    field = screen.field("folder")
    assert field.input.has_focus
    field.input.value = str(folder)
    await sees(pilot, target)


async def test_the_demo_from_the_empty_page(tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`d` on the empty page runs the demo on this folder without key or network, and shows its run."""
    monkeypatch.chdir(folder)
    path = tmp_path / "runs.db"
    async with opened(path) as pilot:
        await sees(pilot, "No runs yet.")
        await pilot.press("d")
        await until(pilot, lambda: not isinstance(pilot.app.screen, RunsScreen))
        await sees(pilot, "repository_report", "COMPLETED")
    assert (await newest(path)).status == "completed"


async def test_a_pipeline_from_the_form(tmp_path: Path, folder: Path) -> None:
    """A module with a pipeline is started in its folder with F5, and its run comes to its end."""
    path = tmp_path / "runs.db"
    async with opened(path) as pilot:
        await fill(pilot, folder, "quick_module:pipeline")
        await pilot.press("f5")
        await until(pilot, lambda: not isinstance(pilot.app.screen, RunsScreen | LaunchScreen))
        await sees(pilot, "slow", "COMPLETED")
        await pilot.press("escape")
        await sees(pilot, "2/2", "1 run ·")


async def test_errors_stand_under_their_field(tmp_path: Path, folder: Path) -> None:
    """What is wrong is said under the field, counted, repeated in the footer, and nothing starts."""
    path = tmp_path / "runs.db"
    async with opened(path, (100, 30)) as pilot:
        await pilot.press("n")
        await sees(pilot, "NEW RUN")
        await pilot.press("right", "f5")
        await sees(pilot, "✗ name a pipeline file", "1 to correct", "start needs a valid pipeline")
        assert "✗ pipeline name a" in text(pilot).splitlines()[-1]
        await pilot.press(*"gone.yaml")
        await sees(pilot, "✗ there is no such file here")
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(pilot.app.screen, RunsScreen))
    assert not path.exists()


async def test_what_the_driver_refuses_is_said_in_the_form(tmp_path: Path, folder: Path) -> None:
    """A pipeline that cannot be loaded leaves the form open with the driver's sentence in it."""
    async with opened(tmp_path / "runs.db") as pilot:
        await fill(pilot, folder, "quick_module:nothing_here")
        await pilot.press("f5")
        await sees(pilot, "nothing_here", "1 to correct")
        assert isinstance(pilot.app.screen, LaunchScreen)


async def test_resuming_an_interrupted_run(tmp_path: Path, folder: Path) -> None:
    """A run whose driver was killed is shown as interrupted, and `R` drives it on."""
    path = tmp_path / "runs.db"
    async with opened(path) as pilot:
        await fill(pilot, folder, "slow_module:pipeline")
        await pilot.press("f5")
        await until(pilot, lambda: not isinstance(pilot.app.screen, RunsScreen | LaunchScreen))
        await pilot.press("escape")
        await sees(pilot, "1 live", "wait")
        run = await newest(path)
        assert run.driver is not None
        os.kill(run.driver.pid, signal.SIGKILL)
        await sees(pilot, "interrupted · R resumes", "R resume")
        (folder / "slow_module.py").write_text(SLOW.format(seconds=0.01))
        await pilot.press("R")
        await sees(pilot, "2/2")
    assert (await newest(path)).status == "completed"


LEAVE_IT = """
import asyncio, sys
from pathlib import Path
from tagent_tui import drive

async def main():
    print(await drive.start(Path(sys.argv[1]), "slow_module:pipeline", {}, None, Path(sys.argv[2])))

asyncio.run(main())
"""


async def test_a_started_run_outlives_who_started_it(tmp_path: Path, folder: Path) -> None:
    """The driver goes on after the process that started it, as a screen does, has ended."""
    path = tmp_path / "runs.db"
    words = [sys.executable, "-c", LEAVE_IT, str(path), str(folder)]
    started = subprocess.run(words, capture_output=True, text=True, timeout=60, check=True)
    run = await newest(path)
    assert started.stdout.strip() == run.id
    assert run.driver is not None
    driver = psutil.Process(run.driver.pid)
    try:
        assert run.alive()
        assert driver.status() != psutil.STATUS_ZOMBIE
    finally:
        driver.kill()


async def test_a_starter_pipeline_from_the_empty_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`i` writes the starter into this folder and opens the form on it, ready to start; a second time nothing is overwritten."""
    made = tmp_path / "new"
    made.mkdir()
    monkeypatch.chdir(made)
    async with opened(tmp_path / "runs.db") as pilot:
        await sees(pilot, "write a pipeline")
        await pilot.press("i")
        await sees(pilot, "NEW RUN", "tagent-tui run pipeline.yaml --offline")
        written = {path.name: path.read_text() for path in made.iterdir()}
        assert "pipeline.yaml" in written
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(pilot.app.screen, RunsScreen))
        await pilot.press("i")
        await sees(pilot, "already")
        assert {path.name: path.read_text() for path in made.iterdir()} == written
        assert isinstance(pilot.app.screen, RunsScreen)


async def test_the_starter_runs_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After `i`, F5 alone runs the starter offline to its end."""
    monkeypatch.chdir(tmp_path)
    async with opened(tmp_path / "runs.db") as pilot:
        await sees(pilot, "write a pipeline")
        await pilot.press("i")
        await sees(pilot, "NEW RUN", "same as")
        await pilot.press("f5")
        await sees(pilot, "starter", "COMPLETED")


async def test_a_folder_with_modules_named_like_ours(tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A `store.py`, `engine.py` or `json.py` in the folder the demo reads is read, not run."""
    for name in ("store", "engine", "tagent_tui", "json"):
        (folder / f"{name}.py").write_text("raise SystemExit('the wrong module')\n")
    monkeypatch.chdir(folder)
    async with opened(tmp_path / "runs.db") as pilot:
        await sees(pilot, "No runs yet.")
        await pilot.press("d")
        await sees(pilot, "repository_report", "COMPLETED")
