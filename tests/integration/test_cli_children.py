"""Child runs on the command line: listed where they are asked for, shown below their steps, resolved by their own ids."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.shell import Done, Shell, wait_for


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(tmp_path)


def killed(shell: Shell, target: str) -> str:
    """A run whose driver was killed while its child paid."""
    process = shell.start("run", target)
    wait_for(shell.folder / "paying")
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=30)
    (shell.folder / "go").touch()
    (run,) = shell.tui("runs", "--json").data
    return str(run["run_id"])


def child_of(shell: Shell, run: str) -> str:
    """The id of a run's only child."""
    (child,) = shell.tui("runs", "--caller", run, "--json").data
    return str(child["run_id"])


def test_children_are_listed_where_they_are_asked_for(shell: Shell) -> None:
    """`runs` has top-level runs, `--children` all, `--caller` those of a run; `show` has them below their step."""
    (shell.folder / "go").touch()
    run = shell.run_of("flow:nests")
    child = child_of(shell, run)
    assert [row["run_id"] for row in shell.tui("runs", "--json").data] == [run]
    assert [row["run_id"] for row in shell.tui("runs", "--children", "--json").data] == [child, run]
    shown = [line.split() for line in shell.tui("show", "last").out.splitlines()]
    place = next(number for number, words in enumerate(shown) if child in words)
    assert "call" in shown[place - 1]
    assert shown[place][-2:] == ["payer", "completed"]
    form = shell.tui("show", child, "--json").data
    assert (form["caller"], form["caller_step"], form["status"]) == (run, "call", "completed")
    assert f"called by step call of {run}" in shell.tui("show", child).out
    assert shell.tui("show", run[:6]).code == 0


def test_a_doubt_in_a_child_is_told_and_resolved_by_the_child_s_id(shell: Shell) -> None:
    """Resuming the caller exits 5 and names the child's command; that command ends the child; the caller then takes the result."""
    run = killed(shell, "flow:nests")
    waits: Done = shell.tui("resume", run)
    child = child_of(shell, run)
    assert waits.code == 5
    assert f"tagent-tui resume {child} --resolve pay=again" in waits.err
    assert f"then: tagent-tui resume {run}" in waits.err
    assert shell.tui("show", run, "--json").data["status"] == "waiting"
    assert shell.tui("resume", child, "--resolve", 'pay=succeeded:{"paid": 12}').code == 0
    assert shell.tui("resume", run).code == 0
    assert shell.tui("result", run, "call", "--json").data["output"] == {"paid": 12}


def test_a_doubt_in_a_child_that_only_its_caller_can_drive_is_resolved_all_the_same(shell: Shell) -> None:
    """A body made the child: the word is recorded, and the sentence says that the caller drives it on."""
    run = killed(shell, "flow:makes")
    assert shell.tui("resume", run).code == 5
    said = shell.tui("resume", child_of(shell, run), "--resolve", "pay=succeeded:1")
    assert said.code == 5
    assert f"resume {run}, which drives it on" in said.err
    assert shell.tui("resume", run).code == 0
    assert shell.tui("result", run, "make", "--json").data["output"] == 1
