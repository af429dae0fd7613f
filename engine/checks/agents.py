"""The agents of a pipeline, and the steps that name one."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from engine.agents import Agent
from engine.checks import options, tools
from engine.checks.conditions import merges
from engine.checks.tools import Shelf
from engine.definition import NAME
from engine.errors import Problem, suggestion
from engine.kinds import FunctionName
from engine.steps import PipelineStep


class Known:
    """The agents that steps may name, those around the pipeline too, and what is wrong with its own. `sound` are those without."""

    def __init__(self, own: Mapping[Any, Any], around: Mapping[str, Agent], shared: Sequence[Any]) -> None:
        self.flaws: list[Problem] = []
        self.names = [*own, *(name for name in around if name not in own)]
        self.sound: dict[str, Agent] = {name: agent for name, agent in around.items() if name not in own}
        self._shared, self._shelves = shared, {"": Shelf(shared)}
        for name, agent in own.items():
            if found := list(self._of_agent(name, agent)):
                self.flaws += found
            else:
                self.sound[name] = agent

    def tools(self, step: PipelineStep) -> Sequence[Any]:
        """The tools that a step's agent brings."""
        agent = self.sound.get(step.agent) if isinstance(step.agent, str) else None
        return () if agent is None else agent.tools

    def shelf(self, step: PipelineStep) -> Shelf:
        """The tools that a step has besides its own: the pipeline's and its agent's."""
        if step.agent is None:
            return self._shelves[""]
        name = step.agent if isinstance(step.agent, str) and step.agent in self.sound else ""
        if name not in self._shelves:
            self._shelves[name] = Shelf([*self._shared, *self._extra(self.sound[name])])
        if not name:
            return Shelf([FunctionName()])  # what an agent that is not known would bring is not known either
        return self._shelves[name]

    def _extra(self, agent: Agent) -> list[Any]:
        """The tools of an agent that the pipeline does not have."""
        return [one for one in agent.tools if one not in self._shared]

    def _of_agent(self, name: Any, agent: Any) -> Iterator[Problem]:
        where = f"agents.{name}"
        if not isinstance(name, str) or not NAME.fullmatch(name):
            yield Problem("agents", f"{name!r} is not a name; use a letter, then letters, digits, '_' or '-'")
        if not isinstance(agent, Agent):
            yield Problem(where, f"is {agent!r}; give Agent(MODEL, system=..., tools=[...])")
            return
        yield from options.of_asking(agent, where)
        if agent.timeout is not None and not options.is_seconds(agent.timeout):
            yield Problem(f"{where}.timeout", f"is {agent.timeout!r}; give seconds greater than 0")
        yield from (Problem(f"{where}.budget", message) for message in options.of_budget(agent.budget))
        own = Shelf(self._extra(agent), f"{where}.tools", self._shelves[""].names)
        yield from own.flaws
        yield from tools.of_filter(agent.tools_filter, f"{where}.tools_filter", (self._shelves[""], own))


def of_agent(step: PipelineStep, where: str, known: Known) -> Iterator[Problem]:
    """What is wrong with a step's agent, and with what is for steps that ask a model only."""
    if step.agent is None and step.system is None and step.max_turns is None:
        return
    asks = step.goal is not None or step.run is not None or (merges(step) and step.merge == "model")
    said = [field for field in ("agent", "system") if getattr(step, field) is not None]
    if not asks:
        for field in said:
            yield Problem(f"{where}.{field}", "is for steps that ask a model; remove it, or name it in the steps that do")
    elif asks and step.goal is None and not merges(step) and _asks_nobody(step):
        for field in said:
            yield Problem(f"{where}.{field}", "is for a function that asks a model by its ctx, which this one does not take")
    if step.max_turns is not None and step.goal is None:
        yield Problem(f"{where}.max_turns", "is for goals, whose models call tools; remove it")
    if step.agent is None:
        return
    if not isinstance(step.agent, str) or not step.agent:
        yield Problem(f"{where}.agent", f"is {step.agent!r}; give the name of an agent")
    elif step.agent not in known.names:
        names = ", ".join(map(str, known.names[:8]))
        near = suggestion(step.agent, [*map(str, known.names)])
        others = near or (f"; there are {names}" if names else "; add it to the pipeline's agents")
        yield Problem(f"{where}.agent", f"is {step.agent!r}, and there is no such agent{others}")


def _asks_nobody(step: PipelineStep) -> bool:
    """Whether a function is given no context, and its condition asks no model either."""
    try:
        parameters = inspect.signature(step.run).parameters.values() if callable(step.run) else ()
    except (ValueError, TypeError):
        return False  # told elsewhere
    given = any(one.name == "ctx" or one.kind is inspect.Parameter.VAR_KEYWORD for one in parameters)
    return callable(step.run) and not given and "ask_model" not in str(step.condition)
