"""The verbs about the store as a file: checked, copied, carried to another place; and stores that cannot be used."""

from __future__ import annotations

import os
import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import pytest

from tests.shell import Shell, wait_for


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    """A folder with a store that holds a fine run."""
    shell = Shell(tmp_path)
    shell.tui("run", "flow:fine", "-q")
    return shell


def flip(path: Path) -> None:
    """Change a byte of an event behind the store's back, leaving its structure as it was."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        guards = connection.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'").fetchall()
        for name, _ in guards:
            connection.execute(f"DROP TRIGGER {name}")
        connection.execute("UPDATE events SET data = replace(data, '\"n\":2', '\"n\":3') WHERE type = 'step.completed'")
        for _, sql in guards:
            connection.execute(sql)


def test_a_whole_store_checks_out(shell: Shell) -> None:
    """Nothing found is 0, in words and as JSON."""
    done = shell.tui("check")
    assert (done.code, done.err) == (0, "")
    assert "is whole: 1 run checked" in done.out
    assert shell.tui("check", "--json").data["findings"] == []


def test_a_flipped_byte_is_named(shell: Shell) -> None:
    """A changed payload is found by its checksum: the run and the event are named, exit code 8."""
    flip(shell.folder / "runs.db")
    run = shell.tui("runs", "--json").data[0]["run_id"]
    told = shell.tui("check", "--json")
    assert told.code == 8
    (finding,) = told.data["findings"]
    assert (finding["run_id"], finding["version"]) == (run, 6)
    done = shell.tui("check")
    assert done.code == 8
    assert f"run {run} event 6: " in done.out


def test_a_backup_is_a_store_of_its_own(shell: Shell) -> None:
    """The copy has the same runs, is readable by its owner only, and replaces nothing unasked."""
    assert shell.tui("backup", "copy.db").code == 0
    assert stat.S_IMODE((shell.folder / "copy.db").stat().st_mode) == 0o600
    assert shell.tui("runs", "--json", "--db", "copy.db").data == shell.tui("runs", "--json").data
    again = shell.tui("backup", "copy.db")
    assert (again.code, "--yes" in again.err) == (2, True)
    assert shell.tui("backup", "copy.db", "--yes", "--json").data["bytes"] > 0


@pytest.mark.parametrize(("target", "told"), [("nowhere/copy.db", "there is no folder nowhere"), (".", "is a folder")])
def test_a_backup_that_cannot_be_written_is_told(shell: Shell, target: str, told: str) -> None:
    """A target that cannot be is refused before anything is copied."""
    done = shell.tui("backup", target)
    assert (done.code, done.out) == (2, "")
    assert told in done.err


def test_runs_are_carried_to_another_store(shell: Shell) -> None:
    """What is exported here is imported there, whole, and once."""
    assert shell.tui("export", "last", "-o", "run.tagent").code == 0
    assert shell.tui("export", "last", "-o", "run.tagent").code == 2
    taken = shell.tui("import", "run.tagent", "--db", "other.db")
    run = shell.tui("runs", "--json").data[0]["run_id"]
    assert (taken.code, taken.out) == (0, f"{run}\n")
    here, there = (shell.tui("show", "last", "--json", "--db", db).data for db in ("runs.db", "other.db"))
    assert here == there
    assert shell.tui("check", "--db", "other.db").code == 0


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["export", "nothing", "-o", "x.tagent"], 3, "There is no run nothing"),
        (["export", "last", "-o", "nowhere/x.tagent"], 2, "there is no folder nowhere"),
        (["export", "last"], 2, "missing option"),
        (["import", "nothing.tagent"], 3, "there is no file nothing.tagent"),
        (["import", "flow.py"], 2, "flow.py"),
    ],
)
def test_mistakes_about_bundles_are_told(shell: Shell, words: list[str], code: int, told: str) -> None:
    """Runs that are not there, targets that cannot be written and files that are no bundle are one sentence each."""
    done = shell.tui(*words)
    assert (done.code, done.out) == (code, "")
    assert told.lower() in done.err.lower()
    assert done.err.count("\n") == 1
    assert not (shell.folder / "x.tagent").exists()


def foreign(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE other(x)")


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:5000])


def newer(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 9999")


@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        (lambda path: path.write_text("not a database at all, only text\n" * 100), 8),
        (lambda path: (path.unlink(), path.mkdir()), 8),
        (lambda path: (path.unlink(), foreign(path)), 8),
        (truncated, 8),
        (newer, 8),
    ],
    ids=["text", "directory", "foreign", "truncated", "newer"],
)
def test_a_store_that_cannot_be_used_is_left_as_it_is(shell: Shell, spoil: object, code: int) -> None:
    """Looking, running and steering refuse it in one sentence with 8, and its bytes stay the same."""
    path = shell.folder / "runs.db"
    assert callable(spoil)
    spoil(path)
    before = path.read_bytes() if path.is_file() else None
    for words in (["runs"], ["run", "flow:fine"], ["show", "last"], ["cancel", "last"]):
        done = shell.tui(*words)
        assert (done.code, done.out) == (code, ""), words
        assert done.err.count("\n") == 1
    assert shell.tui("runs", "--json").error["code"] in ("foreign", "damaged", "newer", "unusable")
    assert (path.read_bytes() if path.is_file() else None) == before


@pytest.mark.parametrize("words", [["run", "flow:fine"], ["run", "flow:fine", "--detach"]])
def test_a_store_in_a_folder_that_cannot_be_made_is_told(tmp_path: Path, words: list[str]) -> None:
    """A path below a file is refused with 8."""
    shell = Shell(tmp_path)
    done = shell.tui(*words, "--db", "flow.py/runs.db")
    assert (done.code, done.out) == (8, "")
    assert done.err.count("\n") == 1


def test_an_unwritable_folder_is_told(shell: Shell) -> None:
    """Where nothing may be written, running says so; as root, who may write everywhere, it runs."""
    (shell.folder / "runs.db").chmod(0o400)
    shell.folder.chmod(0o500)
    try:
        done = shell.tui("run", "flow:fine", "-q", PYTHONDONTWRITEBYTECODE="1")
        assert done.code == (0 if os.geteuid() == 0 else 8)
    finally:
        shell.folder.chmod(0o700)


def test_an_imported_run_executes_nothing_until_told_to(shell: Shell) -> None:
    """Resuming a run that came in a bundle is refused with the target's name; with --trust it goes on to its end."""
    run = shell.tui("run", "flow:holds", "--detach").out.split()[0]
    wait_for(shell.folder / "held")
    assert shell.tui("export", run, "-o", "run.tagent").code == 0
    assert shell.tui("cancel", run).code == 0
    assert shell.tui("import", "run.tagent", "--db", "other.db").code == 0
    refused = shell.tui("resume", run, "--db", "other.db")
    assert refused.code == 2
    assert "flow:holds" in refused.err
    assert "--trust" in refused.err
    assert len(shell.tui("events", run, "--db", "other.db", "--type", "run.attached", "--json").lines) == 1
    (shell.folder / "go").touch()
    assert shell.tui("resume", run, "--db", "other.db", "--trust").code == 0
