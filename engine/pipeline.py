"""A pipeline as the user writes it: named steps, checked all at once before anything runs.

Stands apart from running: nothing here knows of stores or drivers. Its `Definition` is the same as plain values, which a run
pins by hash so that a changed pipeline is noticed when the run is resumed.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Never, Self

import msgspec

from engine.agents import NOBODY, Agent, Agents, played
from engine.definition import MAX_NESTING, Budget, Definition, Dep
from engine.errors import EngineError, PipelineValidationError, Problem, suggestion
from engine.model_config import ModelConfig, config_of
from engine.params import Param, split
from engine.policies import BreakerPolicy, limits_of, merged
from engine.signatures import tool_of
from engine.steps import PipelineStep, budget_of, listed, need_step, plain


class Pipeline:
    """A named set of steps; `.step(...)` adds one and returns the pipeline. A run works on a copy pinned when it starts.

    `params` are what a run may be given: a default each, or a `Param` with a type; function steps receive them by parameter name.
    The defaults are then in `params`, the types in `declared`. `maker_params` are the names that the function which made the
    pipeline takes, where a target names one: they are given with the run's. `on_failure` is `continue` or `fail_fast`. `breaker`
    says when models and tools that fail are left alone, `limits` how much of them all drivers of a store use together:
    `{"models": {"gpt-4.1": {"concurrent": 4, "per_minute": 60}}}`. Both stand before the settings of the same names.
    `config` says how models are asked (`temperature`, `max_tokens`, ...), before the settings and behind a step's.
    `checkpoints` says where the runs make checkpoints by themselves: `approval`, `irreversible`, `failure`, `end`.
    `tools` are what the models of its goals may call, and its functions by name (`ctx.tool`); pipelines in it have their own.
    `agents` are those that its steps may name, and those of pipelines in it that have none of the name.
    """

    def __init__(
        self,
        name: str,
        description: str = "",
        *,
        params: Mapping[str, Any] | None = None,
        on_failure: str = "continue",
        budget: Budget | float | None = None,
        breaker: BreakerPolicy | None = None,
        limits: Mapping[str, Any] | None = None,
        checkpoints: Iterable[str] | str = (),
        config: ModelConfig | Mapping[str, Any] | None = None,
        tools: Iterable[Callable[..., Any]] | Callable[..., Any] = (),
        agents: Mapping[str, Agent] | None = None,
    ) -> None:
        self.name, self.description, self.breaker, self.limits = name, description, breaker, limits or {}
        self.params: dict[str, Any]
        self.declared: dict[str, Param]
        given = {"params": params, "agents": agents}
        self.unfit = {name: held for name, held in given.items() if held is not None and not isinstance(held, Mapping)}
        self.agents: dict[str, Any] = dict(agents) if isinstance(agents, Mapping) else {}
        self.params, self.declared = split(params if isinstance(params, Mapping) else {})
        self.maker_params: tuple[str, ...] = ()
        self.steps: list[PipelineStep] = []
        self.constraints: list[str] = []
        self.on_failure = on_failure
        self.checkpoints: list[Any] = listed(checkpoints)
        self.budget, self.config = budget_of(budget), config_of(config)
        self.tools: list[Any] = listed(tools)
        self.shared_values: dict[str, Any] = {}

    def step(self, name: str, goal: str | None = None, **options: Any) -> Self:
        """Add a step; the options are those of `PipelineStep`. A `TypeError` names one that there is not, and the nearest."""
        try:
            return self.add_step(PipelineStep(name, goal, **options))
        except TypeError:
            known = inspect.signature(PipelineStep).parameters
            for option in options:
                if option not in known:
                    raise TypeError(f"step {name!r} has no option {option!r}{suggestion(option, list(known))}") from None
            raise

    def add_step(self, step: PipelineStep, **options: Never) -> Self:
        """Add a step made elsewhere."""
        need_step(step, options)
        self.steps.append(step)
        return self

    def agent(self, name: str, model: str | None = None, **options: Any) -> Self:
        """Add an agent that steps may name; the options are those of `Agent`. Raises `EngineError` where the name is taken."""
        if name in self.agents:
            raise EngineError(f"{self.name} has an agent {name!r} already; give this one another name.")
        self.agents[name] = Agent(model, **options)
        return self

    def constraint(self, *texts: str) -> Self:
        """Add rules that every goal step is told."""
        self.constraints.extend(texts)
        return self

    def shared(self, key: str, value: Any) -> Self:
        """Add a value that every step can read as `ctx.shared[key]`."""
        self.shared_values[key] = value
        return self

    def include(self, other: Pipeline, *, prefix: str = "", depends_on: Iterable[str | Dep] | str = ()) -> Self:
        """Add the steps of another pipeline, `prefix` before their names; those that wait for nothing depend on `depends_on`.

        Its params, shared values, limits, checkpoints, tools and agents come along; its constraints and config stay with its steps,
        and the goals of both keep to the tools they had. Its final step is final no more. Functions keep the parameters they have.
        Raises `PipelineValidationError` with all that they do not agree on.
        """
        from engine.composing import keep_tools, prefixed, sources

        need_pipeline(other, "Pipeline.include")
        made = prefixed(other.steps, prefix if prefix.isidentifier() else "")
        found = self._clashes(other, [step.name for step in made])
        if prefix and not prefix.isidentifier():
            found.append(
                Problem("prefix", f"is {prefix!r}; use letters, digits and '_', as functions have parameters of such names")
            )
        if found:
            raise PipelineValidationError(self.name, found)
        before = [depends_on] if isinstance(depends_on, str) else list(depends_on)
        for step in sources(made):
            step.depends_on = [*before, *step.depends_on]
        for step in made:
            step.final = False
            step.constraints = [*other.constraints, *step.constraints]
            if isinstance(step.config, ModelConfig) and isinstance(other.config, ModelConfig):
                step.config = step.config.over(other.config)
        whole = [*self.tools, *(one for one in other.tools if one not in self.tools)]
        keep_tools(self.steps, self.tools, self.agents, whole)
        keep_tools(made, other.tools, other.agents, whole)
        self.steps.extend(made)
        self.agents = {**other.agents, **self.agents}
        self.tools = whole
        self.params, self.declared = {**other.params, **self.params}, {**other.declared, **self.declared}
        self.shared_values = {**other.shared_values, **self.shared_values}
        if other.limits:
            self.limits = merged(limits_of(other.limits), limits_of(self.limits))
        self.checkpoints = list(dict.fromkeys([*self.checkpoints, *other.checkpoints]))
        self.maker_params = tuple(dict.fromkeys([*self.maker_params, *other.maker_params]))
        return self

    def then(self, other: Pipeline, *, prefix: str = "") -> Pipeline:
        """A new pipeline: this one, then `other`, whose first steps depend on the last ones of this and are given their outputs.

        The result is that of `other`; the constraints of each stay with its steps. Names that both have are refused unless
        `prefix` tells those of `other` apart.
        """
        from engine.composing import calling_self, sinks

        need_pipeline(other, "Pipeline.then")
        if found := list(calling_self(self.steps)):
            raise PipelineValidationError(self.name, found)
        made = self.copy()
        for step in made.steps:
            step.constraints = [*made.constraints, *step.constraints]
            step.final = False
        made.constraints = []
        finals = [f"{prefix}{step.name}" for step in other.steps if step.final]
        made.include(other, prefix=prefix, depends_on=sinks(self.steps))
        for step in made.steps:
            step.final = step.name in finals
        return made

    def with_params(self, **params: Any) -> Pipeline:
        """A copy with other defaults; a `Param` declares another type, or another param.

        Raises `PipelineValidationError` with the names of other values that nothing asks for.
        """
        made = self.copy()
        defaults, declared = split(params)
        if found := self._unknown([name for name in defaults if not isinstance(params[name], Param)]):
            raise PipelineValidationError(self.name, found)
        made.params, made.declared = {**self.params, **defaults}, {**self.declared, **declared}
        return made

    def _clashes(self, other: Pipeline, names: list[str]) -> list[Problem]:
        """What keeps another pipeline from being a part of this one."""
        from engine.composing import calling_self, clashes, clashing_limits

        taken = {step.name for step in self.steps}
        found = [Problem(f"steps.{name}", "is in both pipelines; give prefix=...") for name in names if name in taken]
        for title in ("params", "declared", "shared_values", "agents"):
            found += clashes("params" if title == "declared" else title, getattr(self, title), getattr(other, title))
        found += [*clashing_limits(self.limits, other.limits), *calling_self(other.steps)]
        if other.on_failure != self.on_failure:
            found.append(
                Problem("on_failure", f"is {self.on_failure!r} in one and {other.on_failure!r} in the other; make them agree")
            )
        apart = "of a part cannot be kept apart from the whole"
        if other.budget not in (None, self.budget):
            found.append(Problem("budget", f"{apart}; give its steps budgets, or this pipeline"))
        if other.breaker not in (None, self.breaker):
            found.append(Problem("breaker", f"{apart}; give this pipeline the same one"))
        return found

    def copy(self, made: Mapping[int, Pipeline] | None = None) -> Pipeline:
        """A copy, of nested pipelines too, that later changes do not reach. `made` are the copies it will stand in."""
        other = copy.copy(self)
        other.params, other.declared = dict(self.params), dict(self.declared)
        other.shared_values = dict(self.shared_values)
        other.steps, other.constraints = [copy.copy(step) for step in self.steps], list(self.constraints)
        other.checkpoints, other.tools, other.agents = list(self.checkpoints), list(self.tools), dict(self.agents)
        made = {**(made or {}), id(self): other}
        for step in other.steps:
            if isinstance(step.pipeline, Pipeline):
                step.pipeline = made.get(id(step.pipeline)) or step.pipeline.copy(made)
        return other

    def problems(
        self, params: Iterable[str] | None = None, *, model: str | None = "unchecked", around: Agents = NOBODY
    ) -> list[Problem]:
        """Everything wrong with the pipeline and those in it, in definition order, then with what it was given.

        `params` are what a run was given, or only the names (None: not known yet, so a free function parameter counts as one the
        run will be given); with a mapping its values are held against the declared types. `model` is the configured model, None
        when there is none. A name that nothing asks for is a problem if that can be known: the pipeline declares params, or no
        step is a goal or takes `ctx`, which see all of them. `around` are agents that its steps may name besides its own.
        """
        return self._flaws(params, model, around=around) + (self._unknown(params) if params else [])

    def hints(self) -> list[Problem]:
        """What is worth knowing about a pipeline without problems: its longest chain, what runs together, what nobody uses."""
        from engine.checks import hints

        return hints(self.steps)

    def check(self, params: Iterable[str] | None = None, *, model: str | None = "unchecked") -> None:
        """Raise `PipelineValidationError` with all problems if there are any."""
        if found := self.problems(params, model=model):
            raise PipelineValidationError(self.name, found)

    def define(self, params: Iterable[str] | None = None, *, model: str | None = "unchecked") -> Definition:
        """The pipeline as plain values; raises `PipelineValidationError` with all that is wrong with it.

        More params than it asks for are no hindrance: a resumed run keeps those that a changed pipeline no longer takes.
        """
        if found := self._flaws(params, model):
            raise PipelineValidationError(self.name, found)
        return self.plain()

    def played(self, around: Agents = NOBODY) -> list[PipelineStep]:
        """The steps as their agents carry them out; `around` are the agents of the pipelines it stands in."""
        return played(self.steps, {**around, **self.agents})

    def within(self, agents: Agents) -> Pipeline:
        """A copy whose steps may name these agents too."""
        made = self.copy()
        made.agents = {**agents, **self.agents}
        return made

    def nested(self, step: str) -> Pipeline | None:
        """The pipeline in a step, as it is run there; None where the step has none, or names it by a word."""
        found = next((held.pipeline for held in self.steps if held.name == step), None)
        return found.within(self.agents) if isinstance(found, Pipeline) else None

    def plain(self, agents: Agents | None = NOBODY) -> Definition:
        """The same for a pipeline that was checked, as it is read back from a log: a `minimum=1` there is 1.0.

        `agents` are those of pipelines it stands in; None makes it as it is written, without what agents say in its steps.
        A child run's request carries the hash of its definition's text, which must be the same in the first life and in the next
        (5.5 us a step).
        """
        known = self.agents if agents is None else {**agents, **self.agents}
        named = {*self.agents, *(str(step.agent) for step in self.steps)}  # of those around only what would change this one
        steps = self.steps if agents is None else played(self.steps, known)
        return Definition(
            name=self.name,
            description=self.description,
            steps=tuple(step.define(None if agents is None else known) for step in steps),
            constraints=tuple(self.constraints),
            params=plain(self.params),
            shared=plain(self.shared_values),
            on_failure=self.on_failure,
            budget=self.budget,
            breaker=self.breaker,
            limits=limits_of(self.limits),
            declared={name: _plain_param(param) for name, param in self.declared.items()},
            checkpoints=tuple(self.checkpoints),
            config=self.config,
            tools=tuple(tool_of(one) for one in self.tools),
            agents={name: agent.define() for name, agent in known.items() if name in named},
        ).as_read()

    def to_yaml(self) -> str:
        """The pipeline as the text of a file; `EngineError` where a file cannot hold it (a lambda has no name)."""
        from engine.dumping import dump

        self.check()
        return dump(self.plain(None))

    def to_json(self) -> str:
        """The same as JSON."""
        from engine.dumping import dump

        self.check()
        return dump(self.plain(None), json=True)

    def _misgiven(self, params: Mapping[str, Any]) -> list[Problem]:
        """What is wrong with what a step gives this pipeline, as it is written: names nothing asks for, values that do not fit."""
        from engine.checks import misfits_as_written

        return [*self._unknown(params), *misfits_as_written(self.declared, params)]

    def _unknown(self, params: Iterable[str]) -> list[Problem]:
        from engine.checks import unknown_params

        known = [*self.params, *self.declared, *self.maker_params]
        return list(unknown_params(self.steps, params, known, declared=bool(self.params or self.declared)))

    def _flaws(
        self, params: Iterable[str] | None, model: str | None, within: Sequence[Pipeline] = (), around: Agents = NOBODY
    ) -> list[Problem]:
        """What is wrong with the pipeline itself and with those in its steps; `within` are the pipelines it stands in."""
        from engine.checks import Asked, problems  # here, with the language it needs: 30 ms that importing does not pay

        given = params if params is None or isinstance(params, Mapping) else list(params)
        found = problems(
            Asked(
                self.name, self.steps, self.params, self.declared, self.shared_values, self.maker_params, self.on_failure,
                self.budget, given, model, self.breaker, self.limits, self.checkpoints,
                self.config, self.tools, self.description, self.constraints, self.unfit, self.agents, around,
            )
        )  # fmt: skip
        around = {**around, **self.agents}
        for step in self.steps:
            if isinstance(step.pipeline, Pipeline):
                found += self._nested(step, step.pipeline, given is not None, model, [*within, self], around)
        return found

    def _nested(
        self, step: PipelineStep, nested: Pipeline, known: bool, model: str | None, within: Sequence[Pipeline], around: Agents
    ) -> list[Problem]:
        place = f"steps.{step.name}.pipeline"
        if any(nested is outer for outer in within):
            return [Problem(place, "stands in itself; write pipeline='self', or the word by which it is found")]
        if len(within) > MAX_NESTING:
            return [Problem(place, f"is nested deeper than {MAX_NESTING} pipelines; name it by a word")]
        params = step.params if isinstance(step.params, Mapping) else {}
        given = {name: value for name, value in params.items() if isinstance(name, str)}
        found = nested._flaws(list(given) if known else None, step.model or model, within, around)
        return [
            *(Problem(f"{place}.{problem.where}" if problem.where else place, problem.message) for problem in found),
            *(Problem(f"steps.{step.name}.{problem.where}", problem.message) for problem in nested._misgiven(given)),
        ]


def _plain_param(param: Param) -> Param:
    return param if param.choices is None else msgspec.structs.replace(param, choices=tuple(plain(list(param.choices))))


def need_pipeline(given: object, who: str, kinds: str = "a Pipeline") -> None:
    """Refuse what is no pipeline where one is needed. `kinds` says what else may be given; raises `EngineError`."""
    if not isinstance(given, Pipeline):
        advice = "call it, if it makes one" if callable(given) else "make one with Pipeline(NAME)"
        raise EngineError(f"{who} needs {kinds}, not {given!r}; {advice}.")
