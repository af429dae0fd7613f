"""What the command line understands and how it says it, by values: parameters, resolutions, faults, remarks."""

from __future__ import annotations

import json
from pathlib import Path

import click
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import CommandRefusedError, DefinitionChangedError, TargetNotFoundError
from store.errors import (
    BundleError,
    LeaseLostError,
    RunAmbiguousError,
    RunConflictError,
    RunNotFoundError,
    StoreDamagedError,
    StoreFullError,
    StoreNewerError,
    VersionRangeError,
)
from tagent_tui.cli import root
from tagent_tui.cli.checkup import Level, filesystem, judged
from tagent_tui.cli.doubts import resolutions_of
from tagent_tui.cli.exits import InterruptedRunError, RefusedError, fault_of, hint_of
from tagent_tui.cli.output import as_json
from tagent_tui.cli.params import pairs_of, params_of, value_of


@pytest.mark.parametrize(
    ("text", "value"),
    [("3", 3), ("1.5", 1.5), ("true", True), ("null", None), ('"x"', "x"), ("[1, 2]", [1, 2]), ('{"a": 1}', {"a": 1})],
)
def test_a_parameter_that_is_json_is_that_value(text: str, value: object) -> None:
    """Values that parse as JSON are JSON."""
    assert value_of(text) == value


@pytest.mark.parametrize("text", ["Acme", "012", "NaN", "1:30", "{", "", "no", "a=b", '{"a": 1, "a": 2}', "9" * 5000])
def test_a_parameter_that_is_no_json_is_text(text: str) -> None:
    """Everything else is the text as typed."""
    assert value_of(text) == text


@given(st.text())
def test_any_parameter_has_a_value(text: str) -> None:
    """No text makes reading a parameter fail."""
    assert pairs_of([f"name={text}"]) == {"name": value_of(text)}


def test_words_stand_over_the_file(tmp_path: Path) -> None:
    """-p wins over --params, and a later -p over an earlier one."""
    (tmp_path / "p.yaml").write_text("a: 1\nb: no\n")
    assert params_of(["a=2", "a=3", "c=x=y"], str(tmp_path / "p.yaml")) == {"a": 3, "b": "no", "c": "x=y"}


@pytest.mark.parametrize("word", ["novalue", "=3", ""])
def test_a_parameter_without_a_name_or_value_is_refused(word: str) -> None:
    """-p needs name=value."""
    with pytest.raises(RefusedError, match="not of the form name=value"):
        pairs_of([word])


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("p.json", b"[1]", "does not hold names and values"),
        ("p.yaml", b"a: 1\na: 2\n", r"p\.yaml:2: has the key 'a' twice"),
        ("p.yaml", b"\xff\xfea\x00", "UTF-16"),
        ("p.yaml", b"", "does not hold names and values"),
    ],
)
def test_a_bad_parameter_file_is_told(tmp_path: Path, name: str, content: bytes, told: str) -> None:
    """What is wrong with a file of parameters is said with its place."""
    (tmp_path / name).write_bytes(content)
    with pytest.raises(RefusedError, match=told):
        params_of([], str(tmp_path / name))


def test_resolutions_are_read() -> None:
    """--resolve names a step, what became of its effect, and for a success what it returned."""
    assert resolutions_of(["a=again", "b=failed", 'c=succeeded:{"x": 1}', "d=succeeded"]) == {
        "a": {"outcome": "again"},
        "b": {"outcome": "failed"},
        "c": {"outcome": "succeeded", "value": {"x": 1}},
        "d": {"outcome": "succeeded"},
    }


@pytest.mark.parametrize("word", ["a", "a=maybe", "=again", "a=failed:3", "a=again:", "a=succeeded:", "a=succeeded: ", ""])
def test_a_resolution_of_another_form_is_refused(word: str) -> None:
    """Everything else about an effect in doubt is refused rather than guessed."""
    with pytest.raises(RefusedError, match="--resolve"):
        resolutions_of([word])


@pytest.mark.parametrize(
    ("error", "exit", "code"),
    [
        (click.UsageError("No such option"), 2, "usage"),
        (CommandRefusedError("x"), 2, "refused"),
        (TargetNotFoundError("x"), 3, "not_found"),
        (RunNotFoundError("x"), 3, "not_found"),
        (RunAmbiguousError("x"), 2, "ambiguous"),
        (VersionRangeError("x"), 2, "range"),
        (BundleError("x"), 2, "bundle"),
        (DefinitionChangedError("x", []), 5, "changed"),
        (RunConflictError("x"), 7, "conflict"),
        (LeaseLostError("x"), 7, "lease_lost"),
        (StoreDamagedError("x"), 8, "damaged"),
        (StoreFullError("x"), 8, "full"),
        (StoreNewerError("x"), 8, "newer"),
        (KeyboardInterrupt(), 130, "interrupted"),
        (click.Abort(), 130, "interrupted"),
        (InterruptedRunError("x", 143), 143, "interrupted"),
        (RuntimeError("x"), 70, "defect"),
    ],
)
def test_every_kind_of_error_has_its_exit_code(error: BaseException, exit: int, code: str) -> None:
    """Scripts can tell errors apart by exit code and by word."""
    fault = fault_of(error)
    assert (fault.exit, fault.code) == (exit, code)


@pytest.mark.parametrize(
    ("message", "hint"),
    [
        ("there is no run x; see runs", "see runs"),
        ("It changed: a; b. Go on with --yes.", "Go on with --yes"),
        ("nothing to do about it", None),
        ("two problems:\n  a; b", None),
    ],
)
def test_the_hint_is_what_to_do(message: str, hint: str | None) -> None:
    """Under --json what to do stands apart from what happened."""
    assert hint_of(message) == hint


def test_json_output_is_one_line_whatever_a_text_holds() -> None:
    """Half a surrogate pair, a stored raw value and line breaks stay valid JSON on one line."""
    told = as_json({"a": "\ud800\n", "b": msgspec.Raw(b'{"x":1}')})
    assert b"\n" not in told
    assert json.loads(told) == {"a": "\ud800\n", "b": {"x": 1}}


@pytest.mark.parametrize(
    ("version", "told"),
    [
        ("1.82.7", "malicious"),
        ("1.82.8", "malicious"),
        ("1.98.0", "below 1.98"),
        ("1.106.2", "below 1.98"),
        ("1.80.0", "1.86.2 or later"),
    ],
)
def test_banned_releases_are_named(version: str, told: str) -> None:
    """The doctor knows which releases of litellm must not be used, and why."""
    (remark,) = judged("litellm", version)
    assert remark.level is Level.WRONG
    assert told in remark.text


@pytest.mark.parametrize("version", ["1.86.2", "1.97.0", "1.97.1rc1"])
def test_good_releases_are_not_remarked(version: str) -> None:
    """A release inside the bounds is fine."""
    assert list(judged("litellm", version)) == []


def test_the_file_system_of_a_folder_is_told(tmp_path: Path) -> None:
    """A folder is on the file system of the longest mount point above it."""
    assert filesystem(tmp_path).isprintable()


def test_every_verb_of_the_table_exists() -> None:
    """The table of verbs and the modules it names agree, in both directions."""
    context = click.Context(root.root)
    for name in root.VERBS:
        command = root.root.get_command(context, name)
        assert command is not None
        assert command.name == name
        assert command.help
