"""Pipelines as the text of a file, in the words of `fields.py`: what `files.py` reads back to the same definition.

Stands apart from reading because it needs nothing but a definition.
"""

from __future__ import annotations

import io
import math
from collections.abc import Iterable
from typing import Any

import msgspec

from engine.definition import Definition, ExecutionMode, StepDefinition
from engine.errors import EngineError
from engine.fields import PIPELINE, STEP, attribute
from engine.kinds import REFERENCE
from engine.policies import RetryPolicy

_STEP_DEFAULTS = {one.name: one.default for one in msgspec.structs.fields(StepDefinition)}
_PIPELINE_DEFAULTS = Definition("")


def dump(definition: Definition, *, json: bool = False) -> str:
    """The pipeline as YAML or JSON text. Raises `EngineError` for what a file cannot hold."""
    tree = _tree(definition)
    if place := _unwritable(tree, "", json=json):
        raise EngineError(f"The value at {place} cannot be written in a pipeline file; use text, numbers, lists and objects.")
    if json:
        return msgspec.json.format(msgspec.json.encode(tree), indent=2).decode() + "\n"
    from ruamel.yaml import YAML

    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style, yaml.width, yaml.sort_base_mapping_type_on_output = False, 10_000, False  # type: ignore[assignment]
    yaml.representer.add_representer(str, _as_text)
    yaml.representer.ignore_aliases = lambda value: True
    out = io.StringIO()
    yaml.dump(tree, out)
    return out.getvalue()


def _tree(definition: Definition) -> dict[str, Any]:
    """A definition in a file's words, without what is as by default."""
    tree: dict[str, Any] = {}
    for key, field in PIPELINE.items():
        value = getattr(definition, key)
        if key == "params":
            value = _params(definition)
        if key == "tools":
            _need_names("The pipeline has the tool", [one.run for one in value])
        if key == "agents":
            _need_names("An agent has the tool", [one.run for agent in value.values() for one in agent.tools])
        if key == "steps":
            tree[key] = [_step_tree(step) for step in value]
        elif value != getattr(_PIPELINE_DEFAULTS, key):
            tree[key] = field.kind.write(value)
    return tree


def _params(definition: Definition) -> dict[str, Any]:
    """Defaults and declarations together, as they are written."""
    defaults, declared = definition.params, definition.declared
    found: dict[str, Any] = {}
    for name in (*defaults, *(name for name in declared if name not in defaults)):
        param = declared.get(name)
        if param is None:
            found[name] = defaults[name]
        else:
            found[name] = msgspec.structs.replace(param, default=defaults.get(name, msgspec.UNSET))
    return found


def _step_tree(step: StepDefinition) -> dict[str, Any]:
    _need_names(f"The step {step.name!r} runs", step.functions.values())
    held = {key: getattr(step, attribute(key)) for key in STEP if key not in ("max_retries", "retry")} | _tries(step)
    if isinstance(step.pipeline, Definition):
        held["pipeline"] = _tree(step.pipeline)
    if step.merge == "list" and step.execution_mode is ExecutionMode.PARALLEL_MERGE:
        del held["merge"]
    return {
        key: STEP[key].kind.write(held[key])
        for key in STEP
        if key in held and held[key] != _STEP_DEFAULTS.get(attribute(key), msgspec.NODEFAULT)
    }


def _need_names(what: str, names: Iterable[str]) -> None:
    for name in names:
        if not REFERENCE.fullmatch(name):
            raise EngineError(f"{what} {name}, which a file cannot name; use a function of a module.")


def _tries(step: StepDefinition) -> dict[str, Any]:
    """The retry policy as `max_retries` where that says it all, and left out where it is as by default."""
    default = RetryPolicy(max_retries=0) if step.irreversible else RetryPolicy()
    if step.retry == default:
        return {}
    if step.retry == RetryPolicy(max_retries=step.retry.max_retries):
        return {"max_retries": step.retry.max_retries}
    return {"retry": step.retry}


def _unwritable(value: Any, place: str, *, json: bool) -> str | None:
    """The place of a value that has no word in a file (bytes, a key that is not text, half a surrogate pair), None if none.

    JSON has no word for infinity and what is not a number.
    """
    if isinstance(value, dict):
        for key, item in value.items():
            inside = f"{place}.{key}" if place else str(key)
            if not isinstance(key, str) or _unwritable(key, inside, json=json):
                return ascii(inside)
            if found := _unwritable(item, inside, json=json):
                return found
    elif isinstance(value, list):
        for index, item in enumerate(value):
            if found := _unwritable(item, f"{place}[{index}]", json=json):
                return found
    elif isinstance(value, str):
        return ascii(place) if any("\ud800" <= char <= "\udfff" for char in value) else None
    elif not isinstance(value, int | float | None) or (json and isinstance(value, float) and not math.isfinite(value)):
        return place
    return None


def _as_text(representer: Any, text: str) -> Any:
    """Texts of several lines as a block, words other YAML readers take for something else in quotes, the unprintable escaped."""
    style = None
    if not text.replace("\n", "").isprintable():
        style = '"'
    elif "\n" in text and not text.startswith((" ", "\n")):
        style = "|"
    elif text.lower() in ("y", "n", "yes", "no", "on", "off") or text[:1].isdigit() or text[:1] in "+-.":
        style = "'"
    return representer.represent_scalar("tag:yaml.org,2002:str", text, style=style)
