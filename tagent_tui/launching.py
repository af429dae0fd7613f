"""The launch form as values: what was typed, what is wrong with it, and the shell command that does the same.

Apart from the form's screen because every rule about a field is a function of its text, tested without a terminal.
"""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import dataclass
from pathlib import Path

OFFLINE = "offline"
"""The model that needs neither key nor network; what it says is simulated and marked so."""

_MODULE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*\Z")
_FILES = frozenset({".yaml", ".yml", ".json"})


@dataclass(frozen=True)
class Form:
    """The fields as typed. `demo` means that the demo reads `folder`; else `target` runs there."""

    demo: bool = True
    target: str = ""
    folder: str = "."
    model: str = ""
    params: str = ""


@dataclass(frozen=True)
class Launch:
    """What is started when everything is valid. `model` None is the configured one."""

    target: str
    folder: Path
    params: dict[str, object]
    model: str | None


def check(form: Form) -> dict[str, str]:
    """What is wrong, by field, in words that fit under it; empty when the form can start."""
    wrong: dict[str, str] = {}
    folder = _folder(form)
    if not folder.is_dir():
        wrong["folder"] = "there is no such folder" if not folder.exists() else "this is a file; name its folder"
    if not form.demo:
        reason = _target_error(form.target.strip(), folder)
        if reason:
            wrong["target"] = reason
        try:
            read_params(form.params)
        except ValueError as error:
            wrong["params"] = str(error)
    if any(char.isspace() for char in form.model.strip()):
        wrong["model"] = "a model's name has no spaces, as in ollama/llama3.2"
    return wrong


def _target_error(target: str, folder: Path) -> str:
    if not target:
        return "name a pipeline file (.yaml, .json) or module:name"
    if _MODULE.match(target):
        return ""
    path = Path(target).expanduser()
    path = path if path.is_absolute() else folder / path
    if path.is_dir():
        return "this is a folder; name the file in it"
    if not path.exists():
        return "there is no such file here" if path.suffix in _FILES or "/" in target else "neither a file here nor module:name"
    return "" if path.suffix in _FILES else "a pipeline file ends in .yaml, .yml or .json; Python is named module:name"


def read_params(text: str) -> dict[str, object]:
    """`name=value` words, quoted as in a shell; a value is JSON, or text where it does not parse. ValueError says what is wrong."""
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise ValueError("a quote is not closed") from error
    params: dict[str, object] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or not name.isidentifier():
            raise ValueError(f"write name=value; {word[:40]} is not of that form")
        if name in params:
            raise ValueError(f"{name} is given twice")
        params[name] = _value(value)
    return params


def _value(text: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def launch(form: Form) -> Launch:
    """What a valid form starts."""
    folder = _folder(form)
    model = form.model.strip() or None
    if form.demo:
        return Launch("demo", folder, {"root": str(folder)}, model or OFFLINE)
    return Launch(form.target.strip(), folder, read_params(form.params), model)


def _folder(form: Form) -> Path:
    return Path(form.folder.strip() or ".").expanduser().absolute()


def command(form: Form) -> str:
    """The same from a shell."""
    words = ["tagent-tui"]
    if form.demo:
        words += ["demo", *([form.folder.strip()] if form.folder.strip() not in ("", ".") else [])]
    else:
        words += ["run", form.target.strip() or "FILE"]
        try:
            shlex.split(form.params)
        except ValueError:
            return "tagent-tui run"
        for word in shlex.split(form.params):
            words += ["-p", word]
    if form.model.strip() == OFFLINE:
        words.append("--offline")
    elif form.model.strip():
        words += ["--model", form.model.strip()]
    return shlex.join(words)
