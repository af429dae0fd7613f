"""What somebody wants to be different in a fork: parsed from `PATH=VALUE`, put into a pipeline, read again from the log. Pure.

Stands apart from forking because a fork that is resumed has to apply them once more: its pipeline is found as it is in the user's
files, which know nothing of the edits.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

import msgspec

from engine.definition import StepDefinition
from engine.errors import EngineError, suggestion
from engine.pipeline import Pipeline
from engine.recordings import KINDS, POLICIES

FIXED = frozenset({"name", "run", "source", "merge", "compensate", "pipeline", "switch", "depends_on", "fallback", "tools"})
"""Fields that no edit changes: functions come from the pipeline, and what makes the graph is changed there too."""

FIELDS = tuple(name for name in StepDefinition.__struct_fields__ if name not in FIXED)
OTHERS = ("output", "again")
BUDGET = ("cost", "tokens", "calls", "seconds")


class Edit(msgspec.Struct, frozen=True):
    """One thing that is to be different. `kind` says what: an `output`, a `field` of a step, a `param`, an `effect`, a `policy`,
    the `model`, a `budget`, a `message` to the fork, or only that a step runs `again`.

    `step` and `name` (a field, a param, a policy's pattern) and `request` (an effect's version) are set where the kind has one.
    """

    target: str
    value: Any
    kind: str
    step: str | None = None
    name: str = ""
    request: int | None = None

    @property
    def field(self) -> str:
        """The field of a step that is changed, also where only one of its values is."""
        return self.name.partition(".")[0]


def parse(target: str, value: Any, steps: Sequence[str]) -> Edit:
    """The edit that `target` names, of a run with these steps. Raises `EngineError` with what can be edited."""
    head, _, rest = target.partition(".")
    step, _, field = target.rpartition(".")
    outer, _, struct = step.rpartition(".")
    if outer in steps and struct in FIELDS:  # STEP.FIELD.KEY: one value of a field that has several
        return Edit(target, value, "field", outer, f"{struct}.{field}")
    if step in steps:
        return _of_step(target, value, step, "while_" if field == "while" else field)
    if target == "model":
        if not isinstance(value, str) or not value:
            raise EngineError(f"model cannot be set to {value!r}; give the name of a model.")
        return Edit(target, value, "model")
    if target == "budget":
        return Edit(target, _budget(value), "budget")
    if target == "message":
        return Edit(target, value if isinstance(value, dict) and "body" in value else {"body": value}, "message")
    if head == "params" and rest:
        return Edit(target, value, "param", name=rest)
    if head == "policy" and rest:
        if value not in POLICIES and not (isinstance(value, dict) and list(value) == ["stub"]):
            raise EngineError(f'{target} cannot be {value!r}; use one of {", ".join(POLICIES)}, or {{"stub": VALUE}}.')
        kind = rest.partition(":")[0]
        if not any(fnmatchcase(known, kind) for known in KINDS):
            near = suggestion(kind, KINDS) or f"; there are {', '.join(KINDS)}"
            raise EngineError(f"{target} is about no kind of effect{near}")
        return Edit(target, value, "policy", name=rest)
    if head == "effects":
        number, _, last = rest.partition(".")
        if number.isdecimal() and last == "value":
            return Edit(target, value, "effect", request=int(number))
    if step and field in (*FIELDS, *OTHERS):
        raise EngineError(f"There is no step {step!r} to set {field} of{suggestion(step, steps) or '.'}")
    raise EngineError(
        f"{target!r} is nothing that can be set; use STEP.output, STEP.goal (or another field of a step), params.NAME, "
        f"effects.N.value, model, budget, message or policy.KIND."
    )


def _of_step(target: str, value: Any, step: str, field: str) -> Edit:
    if field in OTHERS:
        return Edit(target, value, field, step)
    if field in FIELDS:
        return Edit(target, value, "field", step, field)
    if field in FIXED:
        raise EngineError(
            f"{target} cannot be set; change it in the pipeline, and fork with the changed one (--definition migrate)."
        )
    raise EngineError(f"A step has no {field!r}{suggestion(field, [*FIELDS, *OTHERS]) or '.'}")


def _budget(value: Any) -> dict[str, Any]:
    if isinstance(value, int | float) and not isinstance(value, bool):
        value = {"cost": value}
    if not isinstance(value, dict) or not value or not set(value) <= set(BUDGET):
        raise EngineError(f"budget cannot be {value!r}; give US dollars, or an object with some of {', '.join(BUDGET)}.")
    for name, limit in value.items():
        whole = name in ("tokens", "calls")
        if isinstance(limit, bool) or not isinstance(limit, int if whole else int | float) or not 0 < limit < 1e15:
            raise EngineError(f"The budget's {name} is {limit!r}; give a {'whole ' if whole else ''}number greater than 0.")
    return value


def edited(pipeline: Pipeline, edits: Iterable[Edit]) -> Pipeline:
    """The pipeline with the fields of its steps that were edited. Raises `EngineError` for a value that does not fit its field."""
    found = pipeline.copy()
    for edit in edits:
        if edit.kind != "field":
            continue
        step = next((held for held in found.steps if held.name == edit.step), None)
        if step is None:
            continue  # the pipeline there is now has no such step: what is compared with the record says so
        setattr(step, edit.field, converted(step.define(), edit))
    return found


def converted(step: StepDefinition, edit: Edit) -> Any:
    """The value of an edited field as a definition has it. Raises `EngineError` where it does not fit."""
    plain = msgspec.to_builtins(step, builtin_types=(bytes,))
    if isinstance(plain.get("pipeline"), dict):
        plain["pipeline"] = None
    field, _, key = edit.name.partition(".")
    value = edit.value
    if field == "budget" and isinstance(value, int | float) and not isinstance(value, bool):
        value = {"cost": value}
    if key:
        held = plain.get(field) or {}
        value = {**held, key: value} if isinstance(held, dict) else None
    try:
        found = getattr(msgspec.convert({**plain, field: value}, StepDefinition), field)
    except msgspec.ValidationError as error:
        said = str(error).partition(" - at ")[0]
        raise EngineError(f"{edit.target} cannot be {edit.value!r}: {said[:1].lower()}{said[1:]}.") from None
    _refuse_strange(edit, value, found)
    return found


def _refuse_strange(edit: Edit, value: Any, found: Any) -> None:
    """A misspelt value of a field would change nothing and say nothing."""
    known = getattr(found, "__struct_fields__", None)
    strange = [key for key in value if key not in known] if isinstance(value, dict) and known is not None else []
    if strange or ("." in edit.name and not isinstance(value, dict)):
        word = strange[0] if strange else edit.name.partition(".")[2]
        near = suggestion(word, known or ()) or "."
        raise EngineError(f"{edit.target} cannot be {edit.value!r}: there is no {word!r} in it{near}")


def before(edit: Edit, step: StepDefinition | None, params: Mapping[str, Any], model: str | None) -> Any:
    """What held where the edit changes a field, a param or the model; None where that is not known here."""
    if edit.kind == "field" and step is not None:
        field, _, key = edit.name.partition(".")
        held = msgspec.to_builtins(getattr(step, field), builtin_types=(bytes,))
        return held.get(key) if key and isinstance(held, dict) else held
    if edit.kind == "param":
        return params.get(edit.name)
    return model if edit.kind == "model" else None
