"""Every other verb of the shell, with good and bad words: output, JSON, exit codes, one sentence for each mistake."""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

import pytest

from engine import Engine, Pipeline
from tests.shell import Shell


@pytest.fixture(scope="module")
def stocked(tmp_path_factory: pytest.TempPathFactory) -> Shell:
    """A store with a fine run and, before it, a failed one; only looked at."""
    shell = Shell(tmp_path_factory.mktemp("stocked"))
    shell.tui("run", "flow:fails", "-q")
    shell.tui("run", "flow:fine", "-q")
    return shell


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(tmp_path)


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["rnus"], 2, "there is no verb 'rnus'; did you mean 'runs'?"),
        (["show"], 2, "missing argument 'RUN'"),
        (["show", "last", "--att", "3"], 2, "no such option '--att'; did you mean --at?; see tagent-tui show --help"),
        (["events", "last", "--steps", "x"], 2, "no such option '--steps'; did you mean --step?"),
        (["events"], 2, "name a run, or say --all or --store"),
        (["events", "--store", "--type", "x"], 2, "--store takes --after only"),
        (["events", "last", "--all"], 2, "of RUN, --all and --store more than one is given; keep one"),
        (["events", "--all", "--since", "draft"], 2, "--since 'draft' is no time; with --all give one such as 14:03"),
        (["events", "last", "--until", "end", "--follow"], 2, "keep one"),
        (["events", "last", "--text", ""], 2, "--text takes 1 to 1000 letters"),
        (["events", "last", "--since", "draft"], 3, "has no checkpoint 'draft'"),
        (["show", "nothing"], 3, "There is no run nothing"),
        (["show", "\udcff"], 3, "there is no run"),
        (["runs", "--pipeline", "\udcff"], 3, "there is no pipeline"),
        (["show", "last", "--at", "999"], 2, "999 is not one of them"),
        (["show", "last", "--at", "-1"], 2, "'-1' is no place of a run"),
        (["show", "last", "--at", "two"], 3, "has no checkpoint 'two'"),
        (["events", "last", "--after", "999"], 2, "999 is not one of them"),
        (["result", "last", "nothing"], 3, "has no step 'nothing'"),
        (["runs", "--status", "odd"], 2, "odd"),
        (["runs", "--limit", "0"], 2, "0"),
        (["run", "nowhere:pipeline"], 3, "There is no module nowhere"),
        (["run", "nothing.yaml"], 3, "There is no file nothing.yaml"),
        (["run", "flow.py"], 2, "say which pipeline in it: flow:NAME"),
        (["run", "flow:fine", "--ui"], 2, "--ui needs a terminal"),
        (["run", "flow:asks", "--model", "m", "--offline"], 2, "keep one"),
        (["run", "flow:fine", "--params", "none.json"], 3, "there is no file none.json"),
        (["run", "flow:fine", "-p", "x"], 2, "name=value"),
        (["run", "flow:fine", "-p", "other=3"], 2, "The pipeline 'fine': params.other: nothing asks for it; it takes by"),
        (["run", "demo", "--offline", "-p", "roto=/"], 2, "params.roto: nothing asks for it; did you mean 'root'?"),
        (["resume", "last"], 2, "nothing to resume"),
        (["resume", "last", "--resolve", "x"], 2, "--resolve 'x'"),
        (["demo", "/nowhere/at/all"], 3, "there is no folder /nowhere/at/all"),
        (["demo", "flow.py"], 2, "flow.py is not a folder"),
        (["validate", "flow:fine"], 2, "--dry-run checks a pipeline in Python"),
        (["validate", "nothing.yaml"], 3, "There is no file nothing.yaml"),
        (["config", "shwo"], 2, "No such command"),
        (["completion", "tcsh"], 2, "tcsh"),
        (["--config", "none.toml", "config", "show"], 2, "does not exist"),
        (["--db", ":memory:", "show", "last"], 2, "keeps nothing"),
        (["--db", "/nowhere/at/all.db", "show", "last"], 3, "there is no store at /nowhere/at/all.db"),
    ],
)
def test_a_mistake_is_told_in_one_sentence_with_its_code(stocked: Shell, words: list[str], code: int, told: str) -> None:
    """A wrong word gives a stable exit code, one line on stderr that says what to do, nothing on stdout and no traceback."""
    done = stocked.tui(*words)
    assert (done.code, done.out) == (code, "")
    assert done.err.startswith("tagent-tui: ")
    assert told.lower() in done.err.lower()
    assert done.err.count("\n") == 1


def test_without_a_terminal_the_ui_is_not_opened(stocked: Shell) -> None:
    """Alone and without a terminal the help is shown on stderr, exit code 2."""
    done = stocked.tui()
    assert (done.code, done.out) == (2, "")
    assert "Verbs" in done.err


def test_a_group_without_its_command_shows_its_help(stocked: Shell) -> None:
    """`config` alone is wrong usage: its help on stderr, under --json one object that names its commands."""
    done = stocked.tui("config")
    assert (done.code, done.out) == (2, "")
    assert done.err == stocked.tui("config", "--help").out
    refused = stocked.tui("config", "--json")
    assert (refused.code, refused.out) == (2, "")
    assert refused.error["message"] == "a command is missing: path, show; see tagent-tui config --help"


def test_help_and_version(stocked: Shell) -> None:
    """Help lists the verbs, a verb's help its options and the global flags; the version is one line."""
    assert "completion" in stocked.tui("-h").out
    helped = stocked.tui("run", "--help").out
    assert "--dry-run" in helped
    assert "Global flags" in helped
    assert stocked.tui("--version").out.startswith("tagent-tui ")


def test_starting_imports_only_what_a_verb_needs(stocked: Shell) -> None:
    """Neither litellm nor textual, nor the engine where it is not asked for."""
    code = "import sys; from tagent_tui.cli import main; main({words}); print(sorted({{n.partition('.')[0] for n in sys.modules}}))"
    for words, absent in (
        (["--version"], ("litellm", "textual", "engine", "pydantic", "store")),
        (["runs"], ("litellm", "textual")),
    ):
        done = subprocess.run(
            [*stocked.command()[:1], "-c", code.format(words=words)], cwd=stocked.folder, env=stocked.env, capture_output=True,
            text=True, timeout=60,
        )  # fmt: skip
        loaded = done.stdout.splitlines()[-1]
        assert [name for name in absent if f"'{name}'" in loaded] == []


def test_global_flags_stand_before_or_after_the_verb(stocked: Shell) -> None:
    """--json and --db mean the same on both sides, and the later one wins."""
    assert stocked.tui("--json", "runs").data == stocked.tui("runs", "--json").data
    assert stocked.tui("--db", "other.db", "runs", "--json").data == []
    assert len(stocked.tui("--db", "other.db", "runs", "--json", "--db", "runs.db").data) == 2


def test_errors_are_json_under_json(stocked: Shell) -> None:
    """Errors of the engine and of usage have code, message and hint on stderr."""
    for words, code in ((["show", "nothing", "--json"], "not_found"), (["show", "--json"], "usage"), (["rnus", "--json"], "usage")):
        error = stocked.tui(*words).error
        assert (set(error), error["code"]) == ({"code", "message", "hint"}, code)
        assert error["hint"]


def test_debug_shows_the_traceback(stocked: Shell) -> None:
    """Only with --debug the traceback stands before the sentence."""
    (stocked.folder / "bad.py").write_text("raise RuntimeError('boom')\n")
    plain, full = stocked.tui("run", "bad:x"), stocked.tui("run", "bad:x", "--debug")
    assert plain.err == "tagent-tui: Importing bad failed at bad.py:1: RuntimeError: boom; mend it, or see all with --debug.\n"
    assert "Traceback" in full.err
    assert full.err.endswith(plain.err)
    assert (plain.code, full.code) == (2, 2)


def test_runs_are_listed_newest_first_and_filtered(stocked: Shell) -> None:
    """The list has both runs, filters by status and pipeline, and its steps come without their outputs."""
    listed = stocked.tui("runs", "--json").data
    assert [(run["pipeline"], run["status"]) for run in listed] == [("fine", "completed"), ("fails", "failed")]
    assert all("output" not in step for run in listed for step in run["steps"])
    assert [run["pipeline"] for run in stocked.tui("runs", "--status", "failed", "--json").data] == ["fails"]
    assert [run["pipeline"] for run in stocked.tui("runs", "--pipeline", "fine", "--json").data] == ["fine"]
    text = stocked.tui("runs", "--limit", "1").out
    assert "fine" in text
    assert "fails" not in text


def test_an_empty_store_has_no_runs_and_is_not_made(shell: Shell) -> None:
    """Listing where no store is yet is no error and leaves nothing behind."""
    done = shell.tui("runs")
    assert (done.code, done.out) == (0, "")
    assert "tagent-tui demo" in done.err
    assert not (shell.folder / "runs.db").exists()


def test_a_run_is_shown_now_and_at_an_event(stocked: Shell) -> None:
    """The state at an event is what stood then, also by a prefix of the id; replay without a terminal is the same."""
    run = stocked.tui("show", "last", "--json").data
    past = stocked.tui("show", run["run_id"][:9], "--at", "5", "--json").data
    assert [step["status"] for step in past["steps"]] == ["completed", "running"]
    assert (past["version"], past["status"]) == (5, "running")
    text = stocked.tui("show", "last", "--at", "5").out
    assert f"as of event 5 of {run['version']}" in text
    assert stocked.tui("replay", "last", "--at", "5").out == text


def test_an_ambiguous_prefix_names_the_candidates(shell: Shell) -> None:
    """A prefix of several runs is wrong usage (2), with the ids to choose from; one that fits none is not found (3)."""

    async def start() -> None:
        async with Engine(shell.folder / "runs.db") as engine:
            for run in ("twin1", "twin2"):
                await engine.result(await engine.start(Pipeline("p").step("a", run=lambda: 1), run_id=run))

    asyncio.run(start())
    done = shell.tui("show", "twi")
    assert (done.code, done.out) == (2, "")
    assert done.err == "tagent-tui: Several runs begin with twi: twin1, twin2; give more letters.\n"
    assert shell.tui("show", "twi", "--json").error["code"] == "ambiguous"
    assert shell.tui("show", "").code == 3


def test_events_are_lines_of_text_or_json(stocked: Shell) -> None:
    """Events after a version, of a type by pattern, in order, in both forms."""
    lines = stocked.tui("events", "last", "--json", "--after", "2", "--type", "step.*").lines
    assert [line["type"] for line in lines] == ["step.started", "step.completed", "step.started", "step.completed"]
    assert lines[1]["data"] == {"output": 1, "closes": None}
    text = stocked.tui("events", "last", "--type", "step.completed").out.splitlines()
    assert len(text) == 2
    assert "first" in text[0]
    nothing = stocked.tui("events", "last", "--type", "setp.*")
    assert (nothing.code, nothing.out) == (0, "")
    assert nothing.err.endswith(" fits --type setp.*; without it all are shown\n")


def test_results_of_runs_and_steps(stocked: Shell) -> None:
    """The run's result is its final output, a step's is its own; what a failed step has is why it has none."""
    assert stocked.tui("result", "last", "first").out == "1\n"
    assert stocked.tui("result", "last", "--json").data["output"] == {"n": 2}
    failed = stocked.tui("runs", "--status", "failed", "--json").data[0]["run_id"]
    done = stocked.tui("result", failed, "broken", "--json")
    assert (done.code, done.error["code"]) == (1, "step_failed")


def test_a_reader_that_leaves_early_is_no_error(stocked: Shell) -> None:
    """`tagent-tui events last | head -1` ends quietly with 0."""
    words = " ".join(f"'{word}'" for word in stocked.command("events", "last", "--json"))
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {words} | head -1 >/dev/null"], cwd=stocked.folder, env=stocked.env,
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("redirection", [">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_streams_leave_the_store_whole(stocked: Shell, redirection: str) -> None:
    """With a standard stream closed nothing is written into the store by mistake."""
    words = " ".join(f"'{word}'" for word in stocked.command("run", "flow:talks", "--db", "closed.db"))
    done = subprocess.run(
        ["bash", "-c", f"{words} {redirection}"], cwd=stocked.folder, env=stocked.env, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0
    assert stocked.tui("show", "last", "--db", "closed.db", "--json").data["status"] == "completed"


def test_a_full_output_is_told(stocked: Shell) -> None:
    """Where the results cannot be written, one sentence says so."""
    words = " ".join(f"'{word}'" for word in stocked.command("runs"))
    done = subprocess.run(
        ["bash", "-c", f"{words} >/dev/full"], cwd=stocked.folder, env=stocked.env, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 2
    assert "the output cannot be written" in done.stderr


def test_an_ascii_locale_gets_ascii_marks(stocked: Shell) -> None:
    """Without UTF-8 nothing but ASCII is written."""
    done = stocked.tui("runs", LC_ALL="C", PYTHONCOERCECLOCALE="0", PYTHONUTF8="0")
    assert done.code == 0
    assert done.out.isascii()


# --- pipeline files


def test_init_writes_files_that_run_offline_and_overwrites_nothing(shell: Shell) -> None:
    """The starter validates, imports and runs as written; a second init refuses."""
    made = shell.tui("init", "hello", "--json").data["files"]
    assert [Path(name).name for name in made] == ["pipeline.yaml", "tools.py"]
    assert shell.tui("validate", "hello/pipeline.yaml", "--import").code == 0
    done = shell.tui("run", "hello/pipeline.yaml", "--offline", "-p", "topic=bees", "-q")
    assert done.code == 0
    assert "[simulated]" in done.out
    again = shell.tui("init", "hello")
    assert (again.code, again.out) == (2, "")
    assert "are there already" in again.err


def test_validate_imports_nothing_unless_told(shell: Shell) -> None:
    """Checking a file runs none of its code and says what was not checked."""
    (shell.folder / "danger.py").write_text("open('ran', 'w').close()\ndef a(): return 1\ndef b(n: int): return n\n")
    agents = "agents:\n  who: {model: offline, tools: ['danger:b']}\n"
    (shell.folder / "p.yaml").write_text(f"name: p\n{agents}steps:\n  - {{name: a, run: danger:a}}\n")
    told = shell.tui("validate", "p.yaml", "--json")
    assert (told.code, told.data["valid"], told.data["not_imported"]) == (0, True, ["danger:a", "danger:b"])
    assert not (shell.folder / "ran").exists()
    assert shell.tui("validate", "p.yaml", "--import").code == 0
    assert (shell.folder / "ran").exists()


def test_validate_tells_all_problems_with_their_lines(shell: Shell) -> None:
    """Every problem is a line with file, line number, place and what to do."""
    (shell.folder / "p.yaml").write_text("name: p\nsteps:\n  - {name: a, gaol: x}\n  - {name: b, goal: x, depends_on: c}\n")
    done = shell.tui("validate", "p.yaml")
    assert (done.code, done.out) == (2, "")
    assert "p.yaml has 3 problems:" in done.err
    assert "p.yaml:3 steps.a: has the unknown field 'gaol'; did you mean 'goal'?" in done.err
    assert shell.tui("validate", "p.yaml", "--json").error["code"] == "invalid"


# --- surroundings


def test_doctor_says_what_it_found_and_no_secrets(stocked: Shell) -> None:
    """Versions, origin, settings, model, store and terminal are remarked; keys are only said to be set."""
    told = stocked.tui("doctor", "--json", TAGENT_MODEL="gpt-4.1", OPENAI_API_KEY="sk-very-secret")
    assert told.code == 0
    assert {one["topic"] for one in told.data} == {
        "python",
        "sqlite",
        "packages",
        "origin",
        "settings",
        "model",
        "store",
        "terminal",
    }
    assert "OPENAI_API_KEY" in told.out
    assert "very-secret" not in told.out
    assert "gpt-4.1 has no key" in stocked.tui("doctor", TAGENT_MODEL="gpt-4.1").out


def test_doctor_finds_a_shadowing_module_and_a_store_of_another_application(shell: Shell) -> None:
    """A store.py here is pointed out; a store that is not ours is a failure with 8."""
    (shell.folder / "store.py").write_text("")
    with closing(sqlite3.connect(shell.folder / "runs.db")) as connection:
        connection.execute("CREATE TABLE other(x)")
    command = [str(Path(shell.command()[0]).parent / "tagent-tui"), "doctor"]
    done = subprocess.run(command, cwd=shell.folder, env=shell.env, capture_output=True, text=True, timeout=60)
    assert done.returncode == 8
    assert "store.py has the name of our package" in done.stdout


def test_config_says_where_each_setting_is_from(shell: Shell) -> None:
    """Precedence shows: environment over the project's file over the default."""
    (shell.folder / "tagent.toml").write_text('model = "file-model"\nmax_concurrent_steps = 3\n')
    rows = {row["key"]: row for row in shell.tui("config", "show", "--json", TAGENT_MODEL="env-model").data}
    assert (rows["model"]["value"], rows["model"]["origin"]) == ("env-model", "TAGENT_MODEL")
    assert rows["max_concurrent_steps"]["value"] == 3
    assert rows["max_concurrent_steps"]["origin"].endswith("tagent.toml")
    assert rows["verbose"]["origin"] == "default"
    places = shell.tui("config", "path", "--json").data
    assert (places["project"]["exists"], places["store"]["exists"]) == (True, False)


def test_a_bad_settings_file_is_told(shell: Shell) -> None:
    """All that is wrong with the settings is told, a line each, with 2."""
    (shell.folder / "tagent.toml").write_text('modle = "x"\nmax_concurrent_steps = "many"\n')
    done = shell.tui("runs")
    assert (done.code, done.out) == (2, "")
    assert "did you mean model?" in done.err
    assert "max_concurrent_steps" in done.err


@pytest.mark.parametrize("name", ["bash", "zsh", "fish"])
def test_completion_scripts_source_cleanly(stocked: Shell, name: str) -> None:
    """A shell that is installed sources its script without a word; the others' scripts name the program."""
    script = stocked.tui("completion", name).out
    assert "tagent-tui" in script
    if (found := shutil.which(name)) is not None:
        done = subprocess.run(
            [found, "-c", script], capture_output=True, text=True, timeout=60, env={**os.environ, "HOME": "/nowhere"}
        )
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_completion_completes_verbs_and_options(stocked: Shell) -> None:
    """What the shell asks for is answered: verbs by their beginning, a verb's options."""
    asked = {"_TAGENT_TUI_COMPLETE": "bash_complete", "COMP_CWORD": "1", "COMP_WORDS": "tagent-tui re"}
    assert stocked.tui(**asked).out.split() == ["plain,resume", "plain,retry", "plain,result", "plain,replay"]
    asked |= {"COMP_CWORD": "2", "COMP_WORDS": "tagent-tui run --dry"}
    assert "plain,--dry-run" in stocked.tui(**asked).out
    asked |= {"COMP_CWORD": "2", "COMP_WORDS": "tagent-tui show "}
    assert stocked.tui(**asked).out.split()[0] == "plain,last"
    assert len(stocked.tui(**asked).out.split()) == 3
