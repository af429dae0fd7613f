"""Running from the shell: what is written where, in which shape, and the exit code, by real processes."""

from __future__ import annotations

import json
import signal
import subprocess
from pathlib import Path

import pytest

from tests.shell import Shell, wait_for

DEADLINE = 30.0

EVENT_KEYS = {"seq", "run_id", "version", "type", "at", "step", "attempt", "actor", "causation", "data"}
RUN_KEYS = {
    "run_id", "pipeline", "status", "created_at", "ended_at", "parent_run", "parent_version", "version", "cost", "tokens", "steps",
}  # fmt: skip
STEP_KEYS = {"name", "path", "status", "attempts", "started_at", "ended_at", "output", "error", "cost", "tokens"}


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(tmp_path)


def finish(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=DEADLINE)
    return process.returncode, out, err


def test_a_run_prints_its_result_on_stdout_and_the_rest_on_stderr(shell: Shell) -> None:
    """Standard output holds the result and nothing else."""
    done = shell.tui("run", "flow:fine")
    assert (done.code, json.loads(done.out)) == (0, {"n": 2})
    assert "double" in done.err
    assert "completed" in done.err
    assert shell.tui("run", "flow:fine", "-q").err == ""


def test_a_json_run_is_a_stream_that_ends_with_the_run(shell: Shell) -> None:
    """Every line is an event; the last one is run.finished and carries the run with its steps."""
    done = shell.tui("run", "flow:fine", "--json")
    assert (done.code, done.err) == (0, "")
    lines = done.lines
    assert all(set(line) == EVENT_KEYS for line in lines)
    assert [line["version"] for line in lines[:-1]] == list(range(1, len(lines)))
    assert (lines[0]["type"], lines[-2]["type"], lines[-1]["type"]) == ("run.created", "run.completed", "run.finished")
    run = lines[-1]["data"]
    assert set(run) >= RUN_KEYS
    assert (run["pipeline"], run["status"], run["cost"]) == ("fine", "completed", 0.0)
    assert all(set(step) >= STEP_KEYS for step in run["steps"])
    assert [(step["name"], step["status"], step["attempts"], step["output"]) for step in run["steps"]] == [
        ("first", "completed", 1, 1),
        ("double", "completed", 1, {"n": 2}),
    ]


def test_a_failed_run_exits_1_and_says_why(shell: Shell) -> None:
    """The failing step, its reason (made safe) and what was skipped are told; the JSON form has the same."""
    done = shell.tui("run", "flow:fails")
    assert (done.code, done.out) == (1, "")
    assert "no ⟨ESC⟩[31mluck [/x]" in done.err
    assert "1 completed, 1 failed, 1 skipped" in done.err
    told = shell.tui("run", "flow:fails", "--json")
    assert told.code == 1
    run = told.lines[-1]["data"]
    assert run["status"] == "failed"
    assert [(step["status"], step["output"]) for step in run["steps"]] == [("completed", 1), ("failed", None), ("skipped", None)]
    assert run["steps"][1]["error"]["message"].startswith("ValueError: no ")
    result = shell.tui("result", "last")
    assert (result.code, result.out) == (1, "")
    assert "failed" in result.err


def test_retries_are_told(shell: Shell) -> None:
    """A failed attempt is announced with when it is tried again, the last one with how often it was."""
    done = shell.tui("run", "flow:retried")
    assert done.code == 1
    assert "try 1 failed" in done.err
    assert "after 2 tries" in done.err


def test_what_steps_print_is_recorded_and_kept_off_stdout(shell: Shell) -> None:
    """A step's prints are events and progress, its children's go to stderr; the result is raw where no terminal is."""
    done = shell.tui("run", "flow:talks")
    assert done.out == "line one\nline \x1b]0;evil\x07 two\n"
    for told in ("hello from a step", "hello from a child", "hello past everything"):
        assert told in done.err
    written = shell.tui("events", "last", "--type", "log.*", "--json").lines
    assert [line["data"]["text"] for line in written] == ["hello from a step", "said so"]


def test_params_reach_the_steps(shell: Shell) -> None:
    """-p and --params fill function parameters by name; one that is missing is told with what to do."""
    (shell.folder / "p.json").write_text('{"company": "File"}')
    assert shell.tui("run", "flow:wants", "-p", "company=Acme").out == "Acme\n"
    assert shell.tui("run", "flow:wants", "--params", "p.json").out == "File\n"
    missing = shell.tui("run", "flow:wants")
    assert (missing.code, missing.out) == (2, "")
    assert "give it with -p company=..." in missing.err


def test_a_goal_without_a_model_is_refused_and_nothing_is_recorded(shell: Shell) -> None:
    """No model is ever assumed: the ways to choose one are told, and the store is not even made."""
    done = shell.tui("run", "flow:asks")
    assert done.code == 2
    for way in ("--model", "TAGENT_MODEL", "tagent.toml", "--offline"):
        assert way in done.err
    assert not (shell.folder / "runs.db").exists()


def test_offline_answers_are_labelled_as_simulated(shell: Shell) -> None:
    """What the offline model says is labelled in the text, in the summary, in the list and in JSON."""
    done = shell.tui("run", "flow:asks", "--offline", "-q")
    assert done.out.startswith("[simulated]")
    assert "simulated" in done.err
    assert "simulated" in shell.tui("runs").out
    assert shell.tui("show", "last", "--json").data["simulated"] is True


def test_a_dry_run_shows_the_plan_and_records_nothing(shell: Shell) -> None:
    """The steps, what they run and what they wait for are shown; no store is made."""
    done = shell.tui("run", "flow:fine", "--dry-run")
    assert done.code == 0
    assert "double: runs flow:double, after first" in done.out
    told = shell.tui("run", "flow:fine", "--dry-run", "--json").data
    assert [step["name"] for step in told["pipeline"]["steps"]] == ["first", "double"]
    assert not (shell.folder / "runs.db").exists()


def test_a_pipeline_file_runs(shell: Shell) -> None:
    """A YAML file with functions beside it runs like Python, and is found again by its absolute path."""
    (shell.folder / "sub").mkdir()
    (shell.folder / "sub" / "beside.py").write_text("def shout(word): return word.upper()\n")
    (shell.folder / "sub" / "p.yaml").write_text("name: p\nparams: {word: no}\nsteps:\n  - {name: a, run: beside:shout}\n")
    done = shell.tui("run", "sub/p.yaml", "--json")
    assert done.code == 0
    assert done.lines[-1]["data"]["steps"][0]["output"] == "NO"
    assert done.lines[0]["data"]["target"] == str(shell.folder / "sub" / "p.yaml")


def test_what_a_module_prints_while_imported_does_not_spoil_json(shell: Shell) -> None:
    """Chatter at import time goes to stderr."""
    (shell.folder / "loud.py").write_text("print('loud')\nfrom flow import fine\n")
    done = shell.tui("run", "loud:fine", "--json")
    assert done.lines[-1]["type"] == "run.finished"
    assert "loud" in done.err


def test_ctrl_c_leaves_a_run_that_resume_goes_on_with(shell: Shell) -> None:
    """A first interrupt stops the driving with 130 and how to go on; resuming repeats nothing that was done."""
    process = shell.start("run", "flow:holds")
    wait_for(shell.folder / "held")
    process.send_signal(signal.SIGINT)
    code, out, err = finish(process)
    assert (code, out) == (130, "")
    run = shell.tui("runs", "--json").data[0]
    assert run["status"] == "interrupted"
    assert f"tagent-tui resume {run['run_id']} goes on" in err
    (shell.folder / "go").touch()
    done = shell.tui("resume", "last", "--json")
    assert done.code == 0
    assert {line["step"] for line in done.lines if line["type"] == "step.started"} == {"last"}
    assert done.lines[-1]["data"]["status"] == "completed"
    again = shell.tui("resume", "last")
    assert again.code == 2
    assert "nothing to resume" in again.err


def test_sigterm_stops_a_run_as_cleanly(shell: Shell) -> None:
    """A terminated driver exits with 143 and the run can be resumed."""
    process = shell.start("run", "flow:holds")
    wait_for(shell.folder / "held")
    process.terminate()
    code, _, err = finish(process)
    assert code == 143
    assert "interrupted" in err
    assert shell.tui("show", "last", "--json").data["status"] == "interrupted"


def test_a_run_driven_elsewhere_can_be_watched_paused_and_not_taken(shell: Shell) -> None:
    """Another process sees the run, is refused its lease (7), pauses it, and the paused driver leaves with 5."""
    process = shell.start("run", "flow:holds", "--json")
    wait_for(shell.folder / "held")
    assert shell.tui("runs", "--status", "running", "--json").data[0]["pipeline"] == "holds"
    for words in (["resume", "last"], ["resume", "last", "--detach"]):
        taken = shell.tui(*words)
        assert (taken.code, "another process" in taken.err) == (7, True)
    follower = shell.start("events", "last", "--follow", "--type", "run.*", "--json")
    paused = shell.tui("pause", "last", "--json")
    assert (paused.code, set(paused.data)) == (0, {"run_id", "status", "message"})
    assert shell.tui("pause", "last").code == 2
    (shell.folder / "go").touch()
    code, out, _ = finish(process)
    assert code == 5
    assert json.loads(out.splitlines()[-1])["data"]["status"] == "paused"
    assert shell.tui("resume", "last", "-q").code == 0
    code, out, _ = finish(follower)
    assert code == 0
    assert [json.loads(line)["type"] for line in out.splitlines()][-1] == "run.completed"


def test_cancel_ends_a_run_for_good(shell: Shell) -> None:
    """A run nobody drives is cancelled by the command itself; after that it is refused."""
    process = shell.start("run", "flow:holds")
    wait_for(shell.folder / "held")
    process.send_signal(signal.SIGINT)
    finish(process)
    assert shell.tui("cancel", "last", "--reason", "enough").code == 0
    assert shell.tui("show", "last", "--json").data["status"] == "cancelled"
    assert shell.tui("cancel", "last").code == 2


def test_detached_runs_print_their_id(shell: Shell) -> None:
    """--detach returns at once with the id; the driver goes on by itself."""
    (shell.folder / "go").touch()
    done = shell.tui("run", "flow:holds", "--detach")
    run = done.out.strip()
    assert done.code == 0
    followed = shell.tui("events", run, "--follow", "--json")
    assert followed.lines[-1]["type"] == "run.completed"


def test_an_effect_in_doubt_waits_for_a_person(shell: Shell) -> None:
    """Killed inside an irreversible call: resume shows its exact arguments, waits with 5, and obeys what it is told."""
    process = shell.start("run", "flow:pays")
    wait_for(shell.folder / "paying")
    process.kill()
    finish(process)
    waits = shell.tui("resume", "last")
    assert (waits.code, waits.out) == (5, "")
    assert "12" in waits.err
    assert "--resolve pay=again" in waits.err
    run = shell.tui("show", "last", "--json").data
    assert (run["status"], run["in_doubt"][0]["arguments"]["args"]) == ("waiting", [12])
    assert shell.tui("resume", "last", "--resolve", "other=again").code == 2
    done = shell.tui("resume", "last", "--resolve", 'pay=succeeded:{"paid": 7}')
    assert (done.code, json.loads(done.out)) == (0, {"paid": 7})


def test_a_changed_pipeline_is_told_before_anything_runs(shell: Shell) -> None:
    """Resuming under another definition says what changed and asks; recorded and migrate are the answers."""
    process = shell.start("run", "flow:holds")
    wait_for(shell.folder / "held")
    process.send_signal(signal.SIGINT)
    finish(process)
    flow = shell.folder / "flow.py"
    flow.write_text(flow.read_text().replace('.step("last"', '.step("final"'))
    (shell.folder / "go").touch()
    asked = shell.tui("resume", "last", "--json")
    assert (asked.code, asked.out, asked.error["code"]) == (5, "", "changed")
    assert "'final' was added" in asked.error["message"]
    done = shell.tui("resume", "last", "--definition", "migrate", "--json")
    assert done.code == 0
    assert [step["name"] for step in done.lines[-1]["data"]["steps"]] == ["first", "hold", "final"]


def test_a_step_that_ends_the_process_is_not_taken_for_success(shell: Shell) -> None:
    """`os._exit(0)` in a step is said in one sentence and is no exit code 0; the run can be resumed. A forked child may."""
    (shell.folder / "leaver.py").write_text(
        "import os\nfrom engine import Pipeline\n"
        "def leave():\n"
        "    child = os.fork()\n"
        "    if not child: os._exit(0)\n"
        "    os.waitpid(child, 0)\n"
        "    if not os.path.exists('left'):\n"
        "        open('left', 'w').close()\n"
        "        os._exit(0)\n"
        "    return 'stayed'\n"
        "p = Pipeline('p').step('leave', run=leave)\n"
    )
    done = shell.tui("run", "leaver:p")
    assert done.code == 130
    assert done.err.count("A step ended this process with os._exit(0); the run is interrupted and can be resumed.") == 1
    again = shell.tui("resume", "last")
    assert (again.code, again.out.strip()) == (0, "stayed")
