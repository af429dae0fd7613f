"""What a path says of a file."""

import pytest

from engine.templates.repository.kinds import Mark, is_code, is_lock, language_of, marks_of


@pytest.mark.parametrize(
    ("name", "first", "language"),
    [
        ("a.py", b"", "Python"),
        ("A.PY", b"", "Python"),
        ("Dockerfile", b"", "Dockerfile"),
        ("Dockerfile.prod", b"", "Dockerfile"),
        ("go.mod", b"", "Go module"),
        ("a.d.ts", b"", "TypeScript"),
        ("run", b"#!/usr/bin/env python3", "Python"),
        ("run", b"#!/usr/bin/env -S A=1 node --x", "JavaScript"),
        ("run", b"#!/bin/sh -e", "Shell"),
        ("run", b"#!", "Other text"),
        ("run", b"#!/usr/bin/env", "Other text"),
        ("notes", b"hello", "Other text"),
        (".bashrc", b"", "Other text"),
        ("", b"", "Other text"),
    ],
)
def test_language(name: str, first: bytes, language: str) -> None:
    """The name decides, else the interpreter line, else it is other text."""
    assert language_of(name, first) == language


@pytest.mark.parametrize(
    "path",
    [
        "tests/x.py",
        "a/__tests__/b.js",
        "test_a.py",
        "a_test.go",
        "x/a.test.ts",
        "a.spec.tsx",
        "UserTest.java",
        "a_spec.rb",
        "conftest.py",
    ],
)
def test_paths_of_tests(path: str) -> None:
    """The usual names of tests are known in any folder."""
    assert marks_of(path) & Mark.TEST


@pytest.mark.parametrize("path", ["contest.py", "latest.go", "attest/x.py", "testimony.py", "a/protest.js", "src/testing_tools.py"])
def test_paths_that_only_sound_like_tests(path: str) -> None:
    """A word that merely contains `test` is no test."""
    assert not marks_of(path) & Mark.TEST


@pytest.mark.parametrize(
    ("path", "mark"),
    [
        ("vendor/a/b.go", Mark.VENDORED),
        ("web/node_modules/x/i.js", Mark.VENDORED),
        ("js/app.min.js", Mark.GENERATED),
        ("yarn.lock", Mark.GENERATED),
        ("api/x_pb2.py", Mark.GENERATED),
        ("docs/x.py", Mark.SAMPLE),
    ],
)
def test_paths_of_others(path: str, mark: Mark) -> None:
    """What nobody writes here by hand is marked."""
    assert marks_of(path) & mark


def test_locks_and_code() -> None:
    """Locks are known by name, programs by language."""
    assert is_lock("Cargo.lock")
    assert not is_lock("Cargo.toml")
    assert is_code("Python")
    assert is_code("SQL")
    assert not is_code("JSON")
    assert not is_code("")
