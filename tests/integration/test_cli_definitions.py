"""`schema`, `graph` and the hints of `validate`, from the shell."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.shell import Shell

BRANCHED = """
name: branched
params: {limit: {type: integer, default: 3, minimum: 1}}
steps:
  - {name: look, run: nowhere:look}
  - name: route
    depends_on: look
    switch: {big: steps.look.output > params.limit, small: otherwise}
  - {name: big, goal: "Say why ${{ steps.look.output }} is much"}
  - {name: small, run: nowhere:small, fallback: big2}
  - {name: big2, goal: Say nothing}
"""


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    (tmp_path / "branched.yaml").write_text(BRANCHED)
    return Shell(tmp_path)


def test_schema_prints_what_an_editor_reads(shell: Shell) -> None:
    """The schema alone is on stdout; how to use it is said beside it."""
    told = shell.tui("schema")
    assert told.code == 0
    schema = json.loads(told.out)
    assert schema["$schema"].startswith("https://json-schema.org/")
    assert "for_each" in schema["$defs"]["step"]["properties"]
    assert "# yaml-language-server: $schema=" in told.err
    assert shell.tui("schema", "--json").data == schema


def test_graph_draws_a_file_without_importing_anything(shell: Shell) -> None:
    """The module that the file names does not exist, and the picture is there in both formats."""
    mermaid = shell.tui("graph", "branched.yaml")
    assert mermaid.code == 0
    assert '    n1{"route"}\n' in mermaid.out
    assert '-->|"otherwise"|' in mermaid.out
    dot = shell.tui("graph", "branched.yaml", "--format", "dot", "--json").data
    assert (dot["pipeline"], dot["format"]) == ("branched", "dot")
    assert '"small" -> "big2" [label="if it fails", style=dashed];' in dot["text"]


def test_graph_draws_pipelines_of_python_and_runs(shell: Shell) -> None:
    """A pipeline by its name, and a run with the statuses of its steps."""
    assert "n0 --> n1" in shell.tui("graph", "flow:fine").out
    shell.tui("run", "flow:fails", "-q")
    drawn = shell.tui("graph", "last").out
    assert '    n0["first"]:::completed\n    n1["broken"]:::failed\n    n2["after"]:::skipped\n' in drawn


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["graph", "none.yaml"], 3, "There is no file none.yaml"),
        (["graph", "flow:nothing"], 3, "There is no 'nothing' in the module flow"),
        (["graph", "nothing"], 3, "there is no store"),
        (["graph", "branched.yaml", "--format", "png"], 2, "png"),
    ],
)
def test_what_cannot_be_drawn_is_one_sentence(shell: Shell, words: list[str], code: int, told: str) -> None:
    """What is wrong with the words, on stderr, and nothing on stdout."""
    done = shell.tui(*words)
    assert (done.code, done.out) == (code, "")
    assert told in done.err


def test_validate_gives_hints_and_names_every_function(shell: Shell) -> None:
    """Hints are beside the verdict, with their lines; a valid file stays valid."""
    done = shell.tui("validate", "branched.yaml")
    assert (done.code, done.out) == (0, "branched.yaml is valid: branched, 5 steps\n")
    assert "hint: branched.yaml:4 steps: the longest chain has 4 of 5 steps: look -> route -> small -> big2" in done.err
    assert "nowhere:look, nowhere:small" in done.err
    assert shell.tui("validate", "branched.yaml", "--json").data["hints"]


@pytest.mark.parametrize("verb", ["validate", "graph"])
def test_files_named_by_steps_are_looked_into(shell: Shell, verb: str) -> None:
    """A nested file that is missing or wrong is told without running anything, with the line that names it."""
    (shell.folder / "outer.yaml").write_text("name: outer\nsteps:\n  - {name: inner, pipeline: inner.yaml}\n")
    done = shell.tui(verb, "outer.yaml")
    assert (done.code, done.out) == (2, "")
    assert "outer.yaml:3 steps.inner.pipeline" in done.err
    (shell.folder / "inner.yaml").write_text("name: inner\nsteps:\n  - {name: a, run: flow:one, depends_on: [b]}\n")
    done = shell.tui(verb, "outer.yaml")
    assert (done.code, "inner.yaml:3 steps.a.depends_on" in done.err) == (2, True)


def test_a_value_that_does_not_fit_its_type_is_refused_before_the_run(shell: Shell) -> None:
    """The type and the limits of a declared param hold for `-p`."""
    (shell.folder / "typed.yaml").write_text(
        "name: typed\nparams: {by: {type: integer, minimum: 1, default: 2}, who: {type: string, description: whose}}\n"
        "steps:\n  - {name: first, run: flow:one}\n"
    )
    done = shell.tui("run", "typed.yaml", "-p", "by=0")
    assert done.code == 2
    assert "params.by: is 0; give at least 1" in done.err
    assert "params.who: has to be given (whose); give it with -p who=..." in done.err
    assert shell.tui("run", "typed.yaml", "-p", "who=10115", "-q").code == 0
