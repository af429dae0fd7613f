"""Names of runs and files as they reach the operating system: escaped, never paths."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from store.connections import READ, uri
from store.locks import file_name

ids = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=200)


@given(ids)
def test_a_lock_file_is_no_path(run: str) -> None:
    """Whatever a run is called, its lock file is one short name in the folder of locks."""
    name = file_name(run)
    assert 0 < len(name) <= 120
    assert Path("locks", name).name == name
    assert set(name) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_%")


@given(ids, ids)
def test_two_runs_have_two_lock_files(one: str, other: str) -> None:
    """Different runs never share a lock."""
    assert (file_name(one) == file_name(other)) == (one == other)


def test_any_file_name_reaches_sqlite(tmp_path: Path) -> None:
    """A file's name means nothing but itself in SQLite's URI."""
    for name in ("a b", "100%", "%41", "what?mode=rwc", "a#b", "a&b=c", "ünï", "a'b\"c", "a+b", "x\\y"):
        path = tmp_path / name
        with closing(sqlite3.connect(path)) as made:
            made.execute("CREATE TABLE t(a)")
        with closing(sqlite3.connect(uri(path, READ), uri=True)) as read:
            assert read.execute("SELECT name FROM sqlite_master").fetchall() == [("t",)]


def test_importing_the_store_is_light() -> None:
    """Neither reading connections, nor processes, nor archives, nor anything of the layers above is imported before it is used."""
    heavy = ("aiosqlite", "psutil", "zipfile", "pydantic", "litellm", "textual", "engine", "tagent_tui", "store.bundle")
    code = f"import sys, store; print([name for name in {heavy!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2])
    assert done.stdout.strip() == "[]"
