"""What differs between the definition a run was recorded with and the one it would go on with. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import msgspec

from engine.definition import AgentDefinition, Definition, StepDefinition
from engine.tools import ToolDefinition, without_source
from store import values


class Changes(msgspec.Struct, frozen=True):
    """`sentences` say what differs; `steps` are those whose meaning changed, `sources` those whose function's text did."""

    sentences: list[str] = []
    steps: list[str] = []
    added: list[str] = []
    removed: list[str] = []
    sources: list[str] = []


def compare(recorded: Definition, present: Definition, toolless: Collection[str] = ()) -> Changes:
    """The changes from one definition to the other. A function's text is told apart: it alone does not change the pipeline.

    `toolless` are steps whose functions are given no context, so that they can call no tool.
    """
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
    sentences += [f"the pipeline has another {field}" for field in whole if field != "agents"]
    sentences += _of_agents(recorded.agents, present.agents)
    asking = [step for step in present.steps if step.kind == "g" and step.name in old and step.name not in changed]
    if "constraints" in whole or "config" in whole:
        changed += [step.name for step in asking]
    elif "tools" in whole:
        changed += [g.name for g in asking if without_source(recorded.tools_of(old[g.name])) != without_source(present.tools_of(g))]

    def texts(whole: Definition, step: StepDefinition) -> list[Any]:
        return [*_texts(step), *([] if step.name in toolless else _marks(whole.tools_of(step)))]

    sources = [n for n in new if n in old and n not in changed and texts(recorded, old[n]) != texts(present, new[n])]
    return Changes(sentences, changed, added, removed, sources)


def _of_agents(old: Mapping[str, AgentDefinition], new: Mapping[str, AgentDefinition]) -> list[str]:
    """What changed in the agents that steps may name: those of steps that do are told there too."""
    found = [f"agent {name!r} was added" for name in new if name not in old]
    found += [f"agent {name!r} was removed" for name in old if name not in new]
    for name in (name for name in new if name in old):
        if fields := _fields(old[name], new[name]):
            found.append(f"agent {name!r} has another {' and '.join(fields)}")
    return found


def _told(name: str, fields: list[str], old: Definition | str | None, new: Definition | str | None) -> list[str]:
    """What changed in a step: of a nested pipeline what changed in it."""
    inner = []
    if "pipeline" in fields and isinstance(old, Definition) and isinstance(new, Definition):
        fields = [field for field in fields if field != "pipeline"]
        inner = [f"in the pipeline of step {name!r}: {sentence}" for sentence in compare(old, new).sentences]
    return [*([f"step {name!r} has another {' and '.join(fields)}"] if fields else []), *inner]


def _texts(step: StepDefinition) -> list[str | None]:
    """The hashes of the functions' texts behind a step."""
    if not isinstance(step.pipeline, Definition):
        return [step.source]
    inner = step.pipeline
    tools = [tool.source for _, one in inner.walk() for tool in (*one.tools, *_tools_in(one))]
    return [step.source, *(one.source for _, one in inner.walk()), *(tool.source for tool in inner.tools), *tools]


def _tools_in(step: StepDefinition) -> tuple[ToolDefinition, ...]:
    return step.pipeline.tools if isinstance(step.pipeline, Definition) else ()


def _marks(tools: list[ToolDefinition]) -> list[ToolDefinition]:
    """The tools a step may call, in the order of their names: another order changes nothing."""
    return sorted(tools, key=lambda one: one.name)


def _fields(old: msgspec.Struct, new: msgspec.Struct) -> list[str]:
    names = [name for name in new.__struct_fields__ if name not in ("source", "steps")]
    return [name for name in names if not _same(getattr(old, name), getattr(new, name)) or _reordered(old, new, name)]


def _reordered(old: msgspec.Struct, new: msgspec.Struct, name: str) -> bool:
    """Whether the cases of a switch are the same but asked in another order."""
    return name == "switch" and list(getattr(old, name) or ()) != list(getattr(new, name) or ())


def _same(old: Any, new: Any) -> bool:
    """Equal, or written alike: NaN is no other value than it was. Of nested pipelines and tools, without their functions' texts."""
    if isinstance(old, tuple) and isinstance(new, tuple) and all(isinstance(one, ToolDefinition) for one in (*old, *new)):
        return without_source(old) == without_source(new)
    if isinstance(old, Definition) and isinstance(new, Definition):
        return old.pinned().to_json() == new.pinned().to_json()
    return bool(old == new) or (isinstance(old, dict) and isinstance(new, dict) and values.encode(old) == values.encode(new))
