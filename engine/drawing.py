"""Pictures of a pipeline, or of a run by the statuses of its steps, as the text of Mermaid and DOT. Pure.

Stands apart because both are drawn from one list of nodes and edges: what is in one picture is in the other.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from engine.definition import OTHERWISE, Definition, Dep, StepDefinition

LABEL_LIMIT = 60
"""Characters of a label that are drawn; conditions may be long."""
WHITE = "#ffffff"
_COLOURS = {
    "completed": "#d7f0d7", "failed": "#f6d0d0", "timed_out": "#f6d0d0", "running": "#d3e4f8", "waiting": "#fbeac6",
    "in_doubt": "#fbeac6", "skipped": "#eeeeee", "cancelled": "#eeeeee", "pending": WHITE, "ready": WHITE,
}  # fmt: skip
_SHAPES = {
    "f": ("[", "]", "box"),
    "g": ("([", "])", "ellipse"),
    "m": ("[/", "\\]", "trapezium"),
    "p": ("[[", "]]", "box3d"),
    "s": ("{", "}", "diamond"),
}
"""By kind of step, Mermaid's brackets and DOT's shape: a goal is round, a merge narrows, a pipeline is a box in a box."""


class Node(NamedTuple):
    """A step, or the compensation of one: its path, its kind, what is written in it, and its status in a run."""

    name: str
    kind: str
    lines: tuple[str, ...]
    status: str | None = None


class Edge(NamedTuple):
    """From what comes before to what comes after; `dashed` where the later one runs whatever became of the earlier."""

    before: str
    after: str
    label: str = ""
    dashed: bool = False


def nodes_of(definition: Definition, statuses: Mapping[str, str] | None = None) -> Iterator[Node]:
    """The boxes of the picture."""
    known = statuses or {}
    for step in definition.steps:
        yield Node(step.name, step.kind, (step.name, *_notes(step)), known.get(step.name))
        if step.compensate is not None:
            path = f"{step.name}/compensate"
            yield Node(path, "f", (path,), known.get(path))


def edges_of(definition: Definition) -> Iterator[Edge]:
    """The arrows of the picture."""
    routes = {(step.name, branch) for step in definition.steps for branch in step.switch or ()}
    for step in definition.steps:
        for dep in step.depends_on:
            if dep == Dep(dep.step) and (dep.step, step.name) in routes:
                continue  # the edge of the case says more
            yield Edge(dep.step, step.name, _of_dependency(dep), dep.type == "soft")
        for branch, case in (step.switch or {}).items():
            yield Edge(step.name, branch, case if case == OTHERWISE else f"if {case}")
        if step.many:
            yield Edge(step.name, step.name, f"each of {step.for_each}" if step.for_each is not None else f"while {step.while_}")
        if step.fallback is not None:
            yield Edge(step.name, step.fallback, "if it fails", True)
        if step.compensate is not None:
            yield Edge(step.name, f"{step.name}/compensate", "if the run fails", True)


def mermaid(definition: Definition, statuses: Mapping[str, str] | None = None) -> str:
    """The picture as a Mermaid flowchart; statuses are classes of its nodes."""
    nodes = list(nodes_of(definition, statuses))
    ids = {node.name: f"n{index}" for index, node in enumerate(nodes)}
    lines = [f"%% {_flat(definition.name)}", "flowchart TD"]
    for node in nodes:
        left, right, _ = _SHAPES[node.kind]
        mark = f":::{node.status}" if node.status else ""
        lines.append(f'    {ids[node.name]}{left}"{"<br/>".join(map(_for_mermaid, node.lines))}"{right}{mark}')
    for edge in edges_of(definition):
        arrow = "-.->" if edge.dashed else "-->"
        label = f'|"{_for_mermaid(edge.label)}"|' if edge.label else ""
        lines.append(f"    {ids[edge.before]} {arrow}{label} {ids[edge.after]}")
    lines += [f"    classDef {status} fill:{_COLOURS.get(status, WHITE)},stroke:#555555,color:#111111" for status in _used(nodes)]
    return "\n".join(lines) + "\n"


def dot(definition: Definition, statuses: Mapping[str, str] | None = None) -> str:
    """The picture as a DOT digraph; statuses are classes and colours of its nodes."""
    lines = [
        f"digraph {_for_dot(definition.name)} {{",
        "    rankdir=TB;",
        '    node [fontname="sans-serif", style=filled, fillcolor=white];',
    ]
    for node in nodes_of(definition, statuses):
        rounded = ', style="filled,dashed"' if node.name.endswith("/compensate") else ""
        mark = f', class={_for_dot(node.status)}, fillcolor="{_COLOURS.get(node.status, WHITE)}"' if node.status else ""
        label = "\\n".join(_for_dot(_cut(line))[1:-1] for line in node.lines)
        lines.append(f'    {_for_dot(node.name)} [label="{label}", shape={_SHAPES[node.kind][2]}{rounded}{mark}];')
    for edge in edges_of(definition):
        style = ", style=dashed" if edge.dashed else ""
        lines.append(f"    {_for_dot(edge.before)} -> {_for_dot(edge.after)} [label={_for_dot(_cut(edge.label))}{style}];")
    return "\n".join([*lines, "}"]) + "\n"


def _notes(step: StepDefinition) -> Iterator[str]:
    """What is written below a step's name."""
    if step.agent is not None:
        yield f"by {step.agent}"
    if step.condition is not None:
        yield f"{'if' if step.condition_mode == 'pre' else 'then'} {step.condition}"
    if step.join != "all":
        yield f"{step.join} of {len(step.depends_on)}"
    if step.merge is not None:
        yield f"merge: {step.merge}"
    if step.approval is not None:
        yield "asks for approval"
    if not step.enabled:
        yield "disabled"


def _of_dependency(dep: Dep) -> str:
    if dep.type == "data":
        return f"data: {', '.join(dep.paths)}"
    if dep.type == "validation":
        return f"valid: {dep.when}"
    if dep.type == "soft":
        return "soft" if dep.wait else "soft, does not wait"
    return ""


def _used(nodes: list[Node]) -> list[str]:
    return list(dict.fromkeys(node.status for node in nodes if node.status))


def _flat(text: str) -> str:
    """A text on one line, without what a picture cannot show."""
    return "".join(char if char.isprintable() else " " for char in text)


def _cut(text: str) -> str:
    return text if len(text) <= LABEL_LIMIT else f"{text[: LABEL_LIMIT - 1]}…"


def _for_mermaid(text: str) -> str:
    """A text inside double quotes: everything but letters, digits and harmless marks as a character code."""
    return "".join(char if char.isalnum() or char in " _-.,:/=+'" else f"#{ord(char)};" for char in _flat(_cut(text)))


def _for_dot(text: str) -> str:
    """A text as a quoted string; a backslash would begin one of DOT's own escapes."""
    escaped = _flat(text).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
