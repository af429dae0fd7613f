"""Pipelines from YAML and JSON files.

Stands apart because a file is foreign until its author runs it: reading one imports nothing. Functions are kept as their names
(`FunctionName`) until `targets.py` finds them; all that can be known to be wrong without them is told at once, with its line.
"""

from __future__ import annotations

import stat
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from engine.agents import Agent
from engine.documents import MAX_BYTES, Flaw, FlawError, Node, decode_text, read_json, read_yaml
from engine.errors import PipelineFileError, Problem, TargetNotFoundError, suggestion
from engine.fields import BODIES, PIPELINE, STEP, attribute
from engine.kinds import Field, FunctionName, WrongError, joined, said
from engine.pipeline import Pipeline
from engine.steps import PipelineStep

ENDINGS = (".yaml", ".yml", ".json")


class PipelineFile(msgspec.Struct):
    """What a file holds: the pipeline, its functions still names, the lines of its parts, and what is wrong with its text.

    `lines` maps a place (`steps.report.timeout`) to a line from 1; `file` is the path as it is told to the user.
    """

    file: str
    pipeline: Pipeline
    lines: dict[str, int] = {}
    flaws: list[Problem] = []

    def locate(self, problem: Problem) -> Problem:
        """The problem with file and line before its place."""
        place = problem.where
        while place and place not in self.lines:
            place = place.rpartition(".")[0]
        return Problem(_where(self.file, self.lines.get(place, 1), problem.where), problem.message)

    def problems(self, params: Iterable[str] | None = None, *, model: str | None = "unchecked") -> list[Problem]:
        """Everything wrong with the text and with the pipeline, in the order of the lines."""
        found = [*self.flaws, *map(self.locate, self.pipeline.problems(params, model=model))]
        return sorted(found, key=lambda problem: _line_of(problem, self.file))

    def check(self, params: Iterable[str] | None = None, *, model: str | None = "unchecked") -> None:
        """Raise `PipelineFileError` with all problems if there are any."""
        if found := self.problems(params, model=model):
            raise PipelineFileError(self.file, found)


def read(path: Path, shown: str | None = None) -> PipelineFile:
    """Read a file; raises `TargetNotFoundError` or, where it cannot be read as a pipeline at all, `PipelineFileError`.

    What can be read comes back with its flaws, so that a caller can tell them together with what else is wrong.
    """
    file = shown or str(path)
    content = _content(path, file)
    try:
        return parse(decode_text(content), file, json=path.suffix.lower() == ".json")
    except FlawError as error:
        raise _refusal(file, [error.flaw]) from None


def parse(text: str, file: str = "pipeline.yaml", *, json: bool = False) -> PipelineFile:
    """The same for text: YAML, or JSON."""
    root, flaws = read_json(text) if json else read_yaml(text)
    if root is None and flaws:
        raise _refusal(file, flaws)
    if root is None or root.value is None:
        raise _refusal(file, [Flaw(1, "is empty; write name: and steps: (tagent-tui init makes an example)")])
    if not isinstance(root.value, dict):
        raise _refusal(file, [Flaw(root.line, f"is {said(root)}; write a mapping with name: and steps:")])
    reader = _Reader(file)
    reader.found += [Problem(_where(file, flaw.line, ""), flaw.message) for flaw in flaws]
    return PipelineFile(file, reader.pipeline(root.value, root.line), reader.lines, reader.found)


def _content(path: Path, file: str) -> bytes:
    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            raise PipelineFileError(file, [Problem(file, "is a directory; name a file in it")])
        if not stat.S_ISREG(status.st_mode):
            raise PipelineFileError(file, [Problem(file, "is not a regular file; give a .yaml or .json file")])
        with path.open("rb") as opened:
            return opened.read(MAX_BYTES + 1)
    except (FileNotFoundError, NotADirectoryError):
        raise TargetNotFoundError(f"There is no file {file}; check the path.") from None
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise PipelineFileError(file, [Problem(file, f"cannot be read ({why}); check the path and its permissions")]) from None


RULES = ("params", "on_failure", "budget", "breaker", "limits", "checkpoints", "config", "tools")
"""Fields of a file that are options of a `Pipeline`."""


class _Reader:
    """Makes a pipeline of nodes and collects what is wrong on the way. `prefix` is the place of a pipeline inside another."""

    def __init__(self, file: str, prefix: str = "") -> None:
        self.file, self.prefix, self.found, self.lines = file, prefix, list[Problem](), dict[str, int]()

    def pipeline(self, root: dict[str, Node], line: int, name: str | None = None) -> Pipeline:
        """`name` is that of a pipeline that need not say its own."""
        fields = self.take({key: child for key, child in root.items() if key != "agents"}, "", PIPELINE)
        if name is None and "name" not in fields and ("name" not in root or root["name"].value is None):
            self.tell(line, "name", "is missing; write name: and a word")
        rules = {key: fields[key] for key in RULES if key in fields}
        if (agents := root.get("agents")) is not None and agents.value is not None:
            rules["agents"] = self.agents(agents)
        made = Pipeline(fields.get("name", name or "unnamed"), fields.get("description", ""), **rules)
        made.constraint(*fields.get("constraints", ()))
        made.shared_values.update(fields.get("shared", {}))
        steps: list[Node] = fields.get("steps", [])
        if "steps" in fields and not steps:
            self.tell(root["steps"].line, "steps", "is an empty list; add a step: - name: ...")
        elif "steps" not in fields and ("steps" not in root or root["steps"].value is None):
            self.tell(line, "steps", "is missing; write steps: and a list of '- name: ...'")
        for index, node in enumerate(steps):
            self.step(made, index, node)
        if not made.steps:
            made.add_step(PipelineStep("unnamed", run=FunctionName()))
        return made

    def agents(self, node: Node) -> dict[str, Any]:
        """Each by itself, so that what is wrong with one hides nothing of the others; one that cannot be read says nothing."""
        if not isinstance(node.value, dict):
            self.take({"agents": node}, "", PIPELINE)
            return {}
        found: dict[str, Any] = {}
        for name, child in node.value.items():
            read = self.take({"agents": Node({name: child}, node.line)}, "", PIPELINE)
            found |= read.get("agents") or {name: Agent(tools=FunctionName())}
        return found

    def step(self, pipeline: Pipeline, index: int, node: Node) -> None:
        place = f"steps[{index}]"
        if not isinstance(node.value, dict):
            self.tell(node.line, place, f"is {said(node)}; write '- name: ...' with the step's fields below it")
            return
        name = node.value.get("name")
        if name is None or name.value is None:
            self.tell(node.line, place, "has no name; write name: and a word")
        elif isinstance(name.value, str):
            place = f"steps.{name.value}"
        self.lines[self.prefix + place] = node.line
        fields = self.take(node.value, place, STEP)
        nested = fields.get("pipeline")
        if isinstance(nested, Node) and isinstance(nested.value, dict):
            inside = _Reader(self.file, f"{self.prefix}{place}.pipeline.")
            fields["pipeline"] = inside.pipeline(nested.value, nested.line, str(fields.get("name", "unnamed")))
            self.found += inside.found
            self.lines |= inside.lines
        if not any(key in fields for key in BODIES) and any(key in node.value for key in BODIES):
            fields["run"] = FunctionName()  # for one that could not be read, so that its absence is no second problem
        if isinstance(fields.get("name"), str):
            pipeline.add_step(PipelineStep(**{attribute(key): value for key, value in fields.items()}))

    def take(self, found: dict[str, Node], place: str, fields: Mapping[str, Field]) -> dict[str, Any]:
        """The fields of a mapping, read by the table; null is as if the field were not there."""
        taken: dict[str, Any] = {}
        for key, child in found.items():
            inside = f"{place}.{key}" if place else key
            self.lines[self.prefix + inside] = child.line
            self.mark(child, self.prefix + inside)
            if key not in fields:
                near = suggestion(key, list(fields))
                self.tell(child.line, place, f"has the unknown field {key[:80]!r}{near or '; remove it'}")
            elif child.value is not None:
                try:
                    taken[key] = fields[key].kind.read(child)
                except WrongError as error:
                    for one in error.found:
                        self.tell(one.line or child.line, joined(inside, one.place), one.message)
        return taken

    def mark(self, node: Node, place: str, deep: int = 2) -> None:
        """Remember the lines of what is in a mapping."""
        if isinstance(node.value, dict) and deep:
            for name, child in node.value.items():
                self.lines[f"{place}.{name}"] = child.line
                self.mark(child, f"{place}.{name}", deep - 1)

    def tell(self, line: int, place: str, message: str) -> None:
        self.found.append(Problem(_where(self.file, line, self.prefix + place), message))


def _where(file: str, line: int, place: str) -> str:
    return f"{file}:{line} {place}".rstrip()


def _line_of(problem: Problem, file: str) -> int:
    number = problem.where.removeprefix(f"{file}:").partition(" ")[0]
    return int(number) if number.isdigit() else 0


def _refusal(file: str, flaws: Sequence[Flaw]) -> PipelineFileError:
    return PipelineFileError(file, [Problem(_where(file, flaw.line, ""), flaw.message) for flaw in flaws])
