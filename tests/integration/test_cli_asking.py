"""What waits for a person, from a shell: told, answered, gone on with; and commands to one step, by real processes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.shell import Shell

FLOW = (Path(__file__).parent.parent / "pipelines" / "asking.py").read_text()


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    (tmp_path / "asking.py").write_text(FLOW)
    return Shell(tmp_path)


def waiting(shell: Shell, target: str) -> str:
    """A run that waits for somebody; its id."""
    done = shell.tui("run", target, "--json")
    assert done.code == 5
    return str(done.lines[-1]["data"]["run_id"])


def test_a_run_that_waits_says_what_would_run_and_how_to_approve_it(shell: Shell) -> None:
    """Without a terminal the run exits with 5; the card with the exact inputs and the command are on stderr."""
    done = shell.tui("run", "asking:approves")
    assert (done.code, done.out) == (5, "")
    assert "Deploy the site?" in done.err
    assert "asking:deploy" in done.err
    assert '"site": "acme"' in done.err
    assert "approve" in done.err
    assert "deploy  (or with --reject --note WHY)" in done.err
    listed = shell.tui("runs").out
    assert "approve deploy" in listed
    assert "waits for your approval" in shell.tui("show", "last").out


def test_an_approved_step_runs_on_resume(shell: Shell) -> None:
    """`approve` records the word, with a note, and says how to go on; the result is that of the approved step."""
    run = waiting(shell, "asking:approves")
    done = shell.tui("approve", run, "deploy", "--note", "fine by me")
    assert done.code == 0
    assert f"tagent-tui resume {run} goes on" in done.err
    gone_on = shell.tui("resume", run)
    assert (gone_on.code, gone_on.out) == (0, "deployed acme\n")
    step = shell.tui("show", run, "--json").data["steps"][1]
    assert (step["approval"]["answer"], step["approval"]["note"]) == ("approved", "fine by me")


def test_a_rejected_step_fails_the_run(shell: Shell) -> None:
    """`--reject` needs no step where one waits; the note is the reason."""
    run = waiting(shell, "asking:approves")
    assert shell.tui("approve", run, "--reject", "--note", "not on a Friday").code == 0
    shown = shell.tui("show", run, "--json").data
    assert (shown["status"], shown["steps"][1]["status"]) == ("failed", "failed")
    assert "not on a Friday" in shown["steps"][1]["error"]["message"]


def test_questions_are_answered_one_after_the_other(shell: Shell) -> None:
    """An answer is one of the choices, else it is refused with them; JSON is read as JSON."""
    run = waiting(shell, "asking:asks")
    wait = shell.tui("show", run, "--json").data["waits"][0]
    assert (wait["kind"], wait["step"], wait["text"], wait["choices"]) == ("question", "choose", "Which colour?", ["red", "blue"])
    refused = shell.tui("answer", run, "green", "--json")
    assert refused.code == 2
    assert refused.error["hint"] == "answer one of red, blue"
    assert shell.tui("answer", run, "choose", "blue").code == 0
    assert shell.tui("resume", run).code == 5
    assert shell.tui("answer", run, "42").code == 0
    done = shell.tui("resume", run, "--json")
    assert [step["output"] for step in done.lines[-1]["data"]["steps"]] == ["blue", 42]
    assert shell.tui("answer", run, "7").code == 2


def test_a_dry_run_says_what_each_step_hangs_on(shell: Shell) -> None:
    """Loops, conditions and approvals are part of the plan."""
    planned = shell.tui("run", "asking:groups", "--dry-run").out
    assert "each: runs asking:double for each of steps.start.output.pages, after start" in planned
    assert 'skipped: runs asking:start, if steps.start.output.site == "other", after start' in planned
    assert "once approved, after start" in shell.tui("run", "asking:approves", "--dry-run").out


def test_a_group_is_shown_with_its_children(shell: Shell) -> None:
    """`show` nests the children, the JSON says how many there are and whose they are; top-level steps are counted."""
    done = shell.tui("run", "asking:groups", "--json")
    assert done.code == 0
    steps = {step["path"]: step for step in done.lines[-1]["data"]["steps"]}
    assert (steps["each"]["items"], steps["each"]["output"]) == (3, [2, 4, 6])
    assert (steps["each[2]"]["belongs_to"], steps["each[2]"]["output"]) == ("each", 6)
    assert steps["skipped"]["reason"].startswith("its condition does not hold")
    shown = shell.tui("show", "last").out
    assert "each  3 of 3" in shown
    assert 'skipped unless steps.start.output.site == "other"' in shown
    assert "3/3" in shell.tui("runs").out


def test_a_failed_step_is_retried_from_the_shell(shell: Shell) -> None:
    """`retry` reopens the run, `skip` and `cancel` refuse what has ended with a sentence."""
    run = shell.run_of("asking:fails")
    assert shell.tui("retry", run, "start").code == 2
    assert shell.tui("retry", run, "again").code == 0
    assert shell.tui("show", run, "--json").data["status"] == "interrupted"
    assert shell.tui("skip", run, "again").code == 0
    assert shell.tui("resume", run).code in (0, 2)
    assert {step["name"]: step["status"] for step in shell.tui("show", run, "--json").data["steps"]}["again"] == "skipped"
    assert "nothing left to cancel" in shell.tui("cancel", run, "start").err


def test_one_step_is_cancelled(shell: Shell) -> None:
    """`cancel RUN STEP` ends the step and not the run by itself."""
    run = waiting(shell, "asking:approves")
    assert shell.tui("cancel", run, "deploy").code == 0
    steps = {step["name"]: step["status"] for step in shell.tui("show", run, "--json").data["steps"]}
    assert steps == {"start": "completed", "deploy": "cancelled"}


def test_one_step_runs_alone(shell: Shell) -> None:
    """`--only` runs a step with the given outputs of what it depends on, and says what is missing."""
    missing = shell.tui("run", "asking:groups", "--only", "each")
    assert (missing.code, "inputs.start: each depends on it; give its output" in missing.err) == (2, True)
    (shell.folder / "inputs.json").write_text(json.dumps({"start": {"site": "x", "pages": [5, 6]}}))
    done = shell.tui("run", "asking:groups", "--only", "each", "--inputs", "inputs.json")
    assert (done.code, json.loads(done.out)) == (0, [10, 12])
    assert shell.tui("verify", "last").code == 0  # it is found again as it began: one step by itself
    assert shell.tui("fork", "last", "--set", 'start.output={"site": "y", "pages": [1]}').code == 0
    assert json.loads(shell.tui("result", "last", "--json").out)["data"]["output"] == [2]
    assert shell.tui("run", "asking:groups", "--inputs", "inputs.json").code == 2


def test_a_used_up_budget_exits_6(shell: Shell) -> None:
    """A run stands when its budget is used up, and says how it goes on; without more it is not gone on with."""
    (shell.folder / "paid.py").write_text(PAID)
    done = shell.tui("run", "paid:pipeline", "--offline")
    assert done.code == 6
    assert "--budget tokens=N goes on" in done.err
    shown = shell.tui("show", "last", "--json").data
    assert (shown["status"], [step["status"] for step in shown["steps"]]) == ("paused", ["completed", "ready"])
    assert shell.tui("resume", "last").code == 2
    for nonsense in ("tokens=", "tokens=0", "tokens=1.5", "money=3", "nan", "inf"):
        assert shell.tui("resume", "last", "--budget", nonsense).code == 2
    assert shell.tui("resume", "last", "--budget", "tokens=100000", "--budget", "3").code == 0
    failed = shell.tui("run", "paid:fails", "--offline", "--json")
    assert (failed.code, failed.lines[-1]["data"]["status"]) == (6, "failed")
    assert shell.tui("run", "paid:in_a_group", "--offline", "-q").code == 6


def test_a_step_that_is_not_there_exits_3(shell: Shell) -> None:
    """Whatever is asked of it; the nearest name is offered."""
    run = waiting(shell, "asking:approves")
    name = shell.tui("show", run, "--json").data["steps"][0]["name"]
    for verb, *words in (["approve"], ["cancel"], ["skip"], ["retry"], ["answer", "yes"]):
        done = shell.tui(verb, run, f"{name}x", *words)
        assert done.code == 3
        assert f"There is no step '{name}x'; did you mean '{name}'?\n" in done.err


def test_a_budget_given_to_a_run_is_recorded_before_anything_runs(shell: Shell) -> None:
    """`run --budget` and `resume --budget` are events of the run."""
    run = waiting(shell, "asking:approves")
    assert shell.tui("resume", run, "--budget", "2.5").code == 5
    assert shell.tui("run", "flow:fine", "--budget", "0.75").code == 0
    for wanted, cost in ((run, 2.5), ("last", 0.75)):
        events = shell.tui("events", wanted, "--type", "budget.set", "--json").lines
        assert [event["data"]["cost"] for event in events] == [cost]
    assert shell.tui("run", "flow:fine", "--budget", "0").code == 2


PAID = """
from engine import Pipeline
from engine.definition import Budget

def made(action):
    return (Pipeline("paid", budget=Budget(tokens=1, action=action))
            .step("first", goal="Say one thing").step("second", goal="Say another", depends_on=["first"]))

pipeline, fails = made("pause"), made("fail")
in_a_group = Pipeline("group", budget=Budget(tokens=1, action="fail")).step("each", goal="Say ${{ item }}", for_each="[1, 2, 3]")
"""
