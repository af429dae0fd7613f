"""Agents by name: who carries out a goal, as a pipeline keeps them, and how a step is carried out by one. Pure.

Stands apart from steps because an agent is described once and named by many. What it says stands in a step that does not say so
itself before the definition is made, so that nothing that runs, edits or compares knows more of it than its name.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any

import msgspec

from engine.definition import AgentDefinition, Budget, StepDefinition
from engine.errors import EngineError, suggestion
from engine.model_config import UNSET, ModelConfig, config_of
from engine.signatures import name_of, tool_of
from engine.steps import PipelineStep, budget_of, listed

Agents = Mapping[str, "Agent"]
NOBODY: Agents = MappingProxyType({})


class Agent:
    """Who carries out goals: a model, what it is told of itself (`system`), tools, and limits, under a name in a pipeline.

    All of it stands where a step that names the agent does not say so itself, so before what the pipeline and the settings say.
    `tools` are offered besides the pipeline's and the step's; `tools_filter` is that of a step. `config` is how the model is asked,
    `timeout` the seconds of one attempt, `budget` US dollars or `Budget(...)` for each step, `max_turns` how often the model is
    asked in one attempt that calls tools.
    """

    def __init__(
        self,
        model: str | None = None,
        *,
        system: str | None = None,
        tools: Iterable[Callable[..., Any]] | Callable[..., Any] = (),
        tools_filter: Iterable[str] | str | None = None,
        fallback_models: Iterable[str] | str = (),
        config: ModelConfig | Mapping[str, Any] | None = None,
        timeout: float | None = None,
        budget: Budget | float | None = None,
        max_turns: int | None = None,
    ) -> None:
        self.model, self.system, self.timeout, self.max_turns = model, system, timeout, max_turns
        self.tools: list[Any] = listed(tools)
        self.tools_filter: list[Any] | None = None if tools_filter is None else listed(tools_filter)
        self.fallback_models: list[Any] = listed(fallback_models)
        self.config, self.budget = config_of(config), budget_of(budget)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Agent) and vars(self) == vars(other)

    __hash__ = None  # type: ignore[assignment]  # it is compared by what it says, which may change

    def __repr__(self) -> str:
        said = {name: value for name, value in vars(self).items() if value not in (None, [], UNSET)}
        return f"Agent({', '.join(f'{name}={value!r}' for name, value in said.items())})"

    def plays(self, step: PipelineStep) -> PipelineStep:
        """The step with what this agent says where the step does not; tools are for goals."""
        made = copy.copy(step)
        for field in ("model", "system", "timeout", "budget", "max_turns"):
            if getattr(step, field) is None:
                setattr(made, field, getattr(self, field))
        made.fallback_models = step.fallback_models or list(self.fallback_models)
        if isinstance(step.config, ModelConfig):
            made.config = step.config.over(self.config)
        if step.goal is not None:
            made.tools = [*self.tools, *(one for one in step.tools if one not in self.tools)]
            if step.tools_filter is None and self.tools_filter is not None:  # what the step brings itself is no part of it
                made.tools_filter = [*self.tools_filter, *(name_of(one) for one in step.tools)]
        return made

    def define(self) -> AgentDefinition:
        """The agent as plain values; to be asked only of one that was checked."""
        return AgentDefinition(
            model=self.model,
            system=self.system,
            tools=tuple(tool_of(one) for one in self.tools),
            tools_filter=None if self.tools_filter is None else tuple(self.tools_filter),
            fallback_models=tuple(self.fallback_models),
            config=self.config,
            timeout=None if self.timeout is None else float(self.timeout),
            budget=self.budget,
            max_turns=self.max_turns,
        )


def played(steps: Iterable[PipelineStep], agents: Agents) -> list[PipelineStep]:
    """The steps as their agents carry them out; a step whose agent is not known stays as it is."""
    return [step if step.agent is None or (who := agents.get(str(step.agent))) is None else who.plays(step) for step in steps]


def agent_of(definition: AgentDefinition, find: Callable[[str], Callable[..., Any]]) -> Agent:
    """An agent from its plain values; `find` gives the functions of its tools by their names."""
    said = {name: getattr(definition, name) for name in definition.__struct_fields__}
    return Agent(**{**said, "tools": [find(one.run) for one in definition.tools]})


def recast(step: StepDefinition, agents: Mapping[str, AgentDefinition], name: str | None) -> StepDefinition:
    """A step of a definition as another agent carries it out: what it had of its own agent gives way to what that one says.

    What the step says itself stays, unless its own agent says just the same. Raises `EngineError` for an agent there is not.
    """
    if name is not None and name not in agents:
        near = suggestion(str(name), list(agents)) or (f"; there are {', '.join(agents)}" if agents else "; the pipeline has none")
        raise EngineError(f"{step.name}.agent cannot be {name!r}, and there is no such agent{near}")
    old, new = agents.get(step.agent or "", AgentDefinition()), agents.get(name or "", AgentDefinition())
    unsaid = {field: getattr(AgentDefinition(), field) for field in _PLAIN}
    own = {field: unsaid[field] if (held := getattr(step, field)) == getattr(old, field) else held for field in _PLAIN}
    made = {field: getattr(new, field) if held == unsaid[field] else held for field, held in own.items()}
    asked = {key: getattr(step.config, key) for key in ModelConfig.__struct_fields__}
    config = ModelConfig(**{key: value for key, value in asked.items() if value != getattr(old.config, key)}).over(new.config)
    brought = [one for one in step.tools if one not in old.tools]
    names = tuple(one.name for one in brought)
    filtered = step.tools_filter
    if filtered == (None if old.tools_filter is None else (*old.tools_filter, *names)):
        filtered = None if new.tools_filter is None else (*new.tools_filter, *names)
    tools = (*new.tools, *(one for one in brought if one not in new.tools)) if step.kind == "g" else ()
    return msgspec.structs.replace(step, agent=name, config=config, tools=tools, tools_filter=filtered, **made)


_PLAIN = ("model", "system", "timeout", "budget", "max_turns", "fallback_models")
