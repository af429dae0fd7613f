"""What differs between the definition a run was recorded with and the one it would go on with. Pure."""

from __future__ import annotations

from typing import Any

import msgspec

from engine.definition import Definition, StepDefinition
from store import values


class Changes(msgspec.Struct, frozen=True):
    """`sentences` say what differs; `steps` are those whose meaning changed, `sources` those whose function's text did."""

    sentences: list[str] = []
    steps: list[str] = []
    added: list[str] = []
    removed: list[str] = []
    sources: list[str] = []


def compare(recorded: Definition, present: Definition) -> Changes:
    """The changes from one definition to the other. A function's text is told apart: it alone does not change the pipeline."""
    old, new = {step.name: step for step in recorded.steps}, {step.name: step for step in present.steps}
    added, removed = [name for name in new if name not in old], [name for name in old if name not in new]
    sentences = [f"step {name!r} was added" for name in added] + [f"step {name!r} was removed" for name in removed]
    changed = []
    for name, step in new.items():
        if name in old and (fields := _fields(old[name], step)):
            changed.append(name)
            sentences += _told(name, fields, old[name].pipeline, step.pipeline)
    kept = [name for name in new if name in old]
    if kept != [name for name in old if name in new]:
        sentences.append("the steps stand in another order")
    whole = _fields(recorded, present)
    sentences += [f"the pipeline has another {field}" for field in whole]
    asking = [step.name for step in present.steps if step.kind == "g" and step.name in old and step.name not in changed]
    if "constraints" in whole or "config" in whole:
        changed += asking
    sources = [n for n in new if n in old and _texts(old[n]) != _texts(new[n]) and n not in changed]
    return Changes(sentences, changed, added, removed, sources)


def _told(name: str, fields: list[str], old: Definition | str | None, new: Definition | str | None) -> list[str]:
    """What changed in a step: of a nested pipeline what changed in it."""
    inner = []
    if "pipeline" in fields and isinstance(old, Definition) and isinstance(new, Definition):
        fields = [field for field in fields if field != "pipeline"]
        inner = [f"in the pipeline of step {name!r}: {sentence}" for sentence in compare(old, new).sentences]
    return [*([f"step {name!r} has another {' and '.join(fields)}"] if fields else []), *inner]


def _texts(step: StepDefinition) -> list[str | None]:
    """The hashes of the functions' texts behind a step."""
    nested = [inner.source for _, inner in step.pipeline.walk()] if isinstance(step.pipeline, Definition) else []
    return [step.source, *nested]


def _fields(old: msgspec.Struct, new: msgspec.Struct) -> list[str]:
    names = [name for name in new.__struct_fields__ if name not in ("source", "steps")]
    return [name for name in names if not _same(getattr(old, name), getattr(new, name)) or _reordered(old, new, name)]


def _reordered(old: msgspec.Struct, new: msgspec.Struct, name: str) -> bool:
    """Whether the cases of a switch are the same but asked in another order."""
    return name == "switch" and list(getattr(old, name) or ()) != list(getattr(new, name) or ())


def _same(old: Any, new: Any) -> bool:
    """Equal, or written alike: NaN is no other value than it was. Of a nested pipeline, without its functions' texts."""
    if isinstance(old, Definition) and isinstance(new, Definition):
        return old.pinned().to_json() == new.pinned().to_json()
    return bool(old == new) or (isinstance(old, dict) and isinstance(new, dict) and values.encode(old) == values.encode(new))
