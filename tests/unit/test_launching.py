"""The launch form as values."""

from __future__ import annotations

from pathlib import Path

import pytest

from tagent_tui.launching import Form, check, command, launch, read_params


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a pipeline file and something else."""
    (tmp_path / "good.yaml").write_text("name: x")
    (tmp_path / "notes.txt").write_text("x")
    return tmp_path


def test_the_demo_needs_a_folder(folder: Path) -> None:
    """A folder that is there is enough for the demo; a file or nothing is said under the field."""
    assert check(Form(folder=str(folder))) == {}
    assert check(Form(folder=str(folder / "good.yaml")))["folder"] == "this is a file; name its folder"
    assert check(Form(folder=str(folder / "gone")))["folder"] == "there is no such folder"


@pytest.mark.parametrize(
    ("target", "error"),
    [
        ("good.yaml", ""), ("pkg.mod:pipeline", ""), ("", "name a pipeline file"), ("gone.yaml", "there is no such file here"),
        ("gone", "neither a file here nor module:name"), (".", "this is a folder"), ("notes.txt", "a pipeline file ends in"),
        ("mod:not a name", "neither"), ("x\x00y", "neither"),
    ],
)  # fmt: skip
def test_targets(folder: Path, target: str, error: str) -> None:
    """A target is a pipeline file below the folder or module:name; what else it is, is said."""
    found = check(Form(demo=False, target=target, folder=str(folder))).get("target", "")
    assert found.startswith(error) if error else found == ""


def test_params_are_json_or_text() -> None:
    """Values are JSON where they parse, text where they do not, quoted as in a shell."""
    assert read_params("n=3 name='Acme Inc' flag=true list=[1,2] text=2023-02-30 empty=") == {
        "n": 3, "name": "Acme Inc", "flag": True, "list": [1, 2], "text": "2023-02-30", "empty": "",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("novalue", "write name=value"), ("a=1 a=2", "a is given twice"), ("a='b", "a quote is not closed"),
        ("9x=1", "write name=value"),
    ],
)  # fmt: skip
def test_wrong_params_are_said(text: str, error: str) -> None:
    """What cannot be read is said in the words of the field."""
    assert check(Form(demo=False, target="m:p", params=text))["params"].startswith(error)


def test_a_valid_form_is_a_launch(folder: Path) -> None:
    """The demo gets its folder as a parameter; a pipeline runs in it."""
    demo = launch(Form(folder=str(folder), model=" offline "))
    assert (demo.target, demo.params, demo.model) == ("demo", {"root": str(folder)}, "offline")
    other = launch(Form(demo=False, target="good.yaml", folder=str(folder), params="n=3"))
    assert (other.target, other.folder, other.params, other.model) == ("good.yaml", folder, {"n": 3}, None)


def test_the_same_from_a_shell() -> None:
    """The form says the command that does the same, quoted for a shell."""
    assert command(Form()) == "tagent-tui demo"
    assert command(Form(folder="a b")) == "tagent-tui demo 'a b'"
    form = Form(demo=False, target="x.yaml", params="name='Acme Inc' n=3", model="ollama/llama3.2")
    assert command(form) == "tagent-tui run x.yaml -p 'name=Acme Inc' -p n=3 --model ollama/llama3.2"
    assert command(Form(demo=False, target="x.yaml", model="offline")) == "tagent-tui run x.yaml --offline"


def test_a_model_is_one_word() -> None:
    """A model with spaces is refused before anything starts."""
    assert "no spaces" in check(Form(model="gpt 4"))["model"]
