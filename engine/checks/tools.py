"""The tools of a pipeline and its steps: whether each can be called by a model, and whether their names and filters agree.

Stands apart because the pipeline's tools and a step's are one set to whoever calls them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from typing import Any

from engine.errors import Problem, suggestion
from engine.kinds import FunctionName
from engine.signatures import ToolError, name_of, tool_of
from engine.steps import PipelineStep


class Shelf:
    """Tools that stand together, read once: their names, what is wrong with them, and whether all of them are imported."""

    def __init__(self, tools: Sequence[Any], where: str = "tools", others: Sequence[str] = ()) -> None:
        self.names: list[str] = []
        self.flaws: list[Problem] = []
        self.read = not any(isinstance(one, FunctionName) for one in tools)
        for one in tools:
            name = name_of(one)
            self.flaws += _flaws(one, f"{where}.{name}")
            if isinstance(one, FunctionName):
                continue  # its author may have given it another name
            if name in self.names:
                self.flaws.append(
                    Problem(f"{where}.{name}", "is the name of two tools; give one of them another with @tool(name=...)")
                )
            elif name in others:
                advice = "remove it here, or give it another name with @tool(name=...)"
                self.flaws.append(Problem(f"{where}.{name}", f"is the name of a tool there is already; {advice}"))
            self.names.append(name)


def _flaws(tool: Any, where: str) -> Iterator[Problem]:
    try:
        tool_of(tool)
    except ToolError as error:
        for place, said in error.flaws:
            yield Problem(f"{where}.{place}" if place else where, said)


def of_tools(step: PipelineStep, where: str, shared: Shelf, brought: Sequence[Any] = ()) -> Iterator[Problem]:
    """What is wrong with a step's own tools, and with its filter; `shared` are those it has besides, `brought` its agent's."""
    own = Shelf([one for one in step.tools if one not in brought], f"{where}.tools", shared.names)
    yield from own.flaws
    if step.goal is None:
        advice = "a function asks for tools by ctx.tool(...)"
        for field, given in (("tools", bool(step.tools)), ("tools_filter", step.tools_filter is not None)):
            if given:
                yield Problem(f"{where}.{field}", f"is for goals, whose models call tools; {advice}")
        return
    yield from of_filter(step.tools_filter, f"{where}.tools_filter", (shared, own))


def of_filter(patterns: Sequence[Any] | None, where: str, shelves: Sequence[Shelf]) -> Iterator[Problem]:
    """What is wrong with patterns that choose among tools."""
    names = [name for shelf in shelves for name in shelf.names]
    for pattern in patterns or ():
        if not isinstance(pattern, str) or not pattern:
            yield Problem(where, f"has {pattern!r}; give names of tools, or patterns such as web_*")
        elif all(shelf.read for shelf in shelves) and not any(fnmatchcase(name, pattern) for name in names):
            near = suggestion(pattern, names) or (f"; there are {', '.join(names[:8])}" if names else "; it has no tools")
            yield Problem(where, f"has {pattern!r}, which is no tool{near}")
