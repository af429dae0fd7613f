"""Parameters from the command line: `-p name=value` words and a file of them.

Stands apart because they are foreign values read by one rule: JSON, or text where it does not parse.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from engine.documents import FlawError, decode_text, read_json, read_yaml
from engine.params import Param
from tagent_tui.cli.exits import Exit, RefusedError


def value_of(text: str) -> Any:
    """The JSON value a word is, or the word itself (`012`, `NaN` and `1:30` are words)."""
    root, flaws = read_json(text)
    return text if root is None or flaws else root.plain()


def pairs_of(words: Iterable[str]) -> dict[str, Any]:
    """`name=value` words as a mapping; a later one wins."""
    found: dict[str, Any] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or not name:
            raise RefusedError(f"-p {word[:80]!r} is not of the form name=value; write -p name=value")
        found[name] = value_of(value)
    return found


def file_of(path: str) -> dict[str, Any]:
    """The parameters of a JSON or YAML file."""
    try:
        content = Path(path).read_bytes()
    except FileNotFoundError:
        raise RefusedError(f"there is no file {path}; check the path", exit=Exit.NOT_FOUND, code="not_found") from None
    except OSError as error:
        raise RefusedError(f"{path} cannot be read ({error.strerror}); check it") from None
    try:
        text = decode_text(content)
        root, flaws = read_json(text) if path.lower().endswith(".json") else read_yaml(text)
    except FlawError as error:
        root, flaws = None, [error.flaw]
    if flaws:
        raise RefusedError("\n".join(f"{path}:{flaw.line}: {flaw.message}" for flaw in flaws), code="invalid")
    held = root.plain() if root is not None else None
    if not isinstance(held, dict):
        raise RefusedError(f"{path} does not hold names and values; write a mapping, such as company: Acme", code="invalid")
    return held


def as_declared(params: dict[str, Any], words: Iterable[str], declared: Mapping[str, Param]) -> dict[str, Any]:
    """The params with what is declared as text taken as the text that was typed: `-p zip=10115` is no number then."""
    typed = {name: text for name, _, text in (word.partition("=") for word in words)}
    texts = {name for name, param in declared.items() if param.type == "string"}
    return {
        name: typed[name] if name in typed and name in texts and not isinstance(held, str) else held
        for name, held in params.items()
    }


def params_of(words: Sequence[str], path: str | None) -> dict[str, Any]:
    """The file's parameters with the words over them."""
    return {**(file_of(path) if path else {}), **pairs_of(words)}
