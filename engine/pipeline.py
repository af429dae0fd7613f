"""A pipeline as the user writes it: named steps, checked all at once before anything runs.

Stands apart from running: nothing here knows of stores or drivers. Its `Definition` is the same as plain values, which a run
pins by hash so that a changed pipeline is noticed when the run is resumed.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Self

from engine.checks import problems, unknown_params
from engine.definition import MAX_NESTING, Budget, Definition
from engine.errors import PipelineValidationError, Problem
from engine.policies import BreakerPolicy, limits_of
from engine.steps import PipelineStep, budget_of, plain


class Pipeline:
    """A named set of steps; `.step(...)` adds one and returns the pipeline. A run works on a copy pinned when it starts.

    `params` are the defaults of what a run may be given; function steps receive them by parameter name. `maker_params` are the
    names that the function which made the pipeline takes, where a target names one: they are given with the run's.
    `params` are the defaults of what a run may be given; function steps receive them by parameter name. `breaker` says when models
    and tools that fail are left alone, `limits` how much of them all drivers of a store use together:
    `{"models": {"gpt-4.1": {"concurrent": 4, "per_minute": 60}}}`. Both stand before the settings of the same names.
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
    ) -> None:
        self.name, self.description, self.breaker, self.limits = name, description, breaker, limits
        self.params: dict[str, Any] = dict(params or {})
        self.maker_params: tuple[str, ...] = ()
        self.steps: list[PipelineStep] = []
        self.constraints: list[str] = []
        self.on_failure = on_failure
        self.budget = budget_of(budget)
        self.shared_values: dict[str, Any] = {}

    def step(self, name: str, goal: str | None = None, **options: Any) -> Self:
        """Add a step; the options are those of `PipelineStep`."""
        return self.add_step(PipelineStep(name, goal, **options))

    def add_step(self, step: PipelineStep) -> Self:
        """Add a step made elsewhere."""
        self.steps.append(step)
        return self

    def constraint(self, *texts: str) -> Self:
        """Add rules that every goal step is told."""
        self.constraints.extend(texts)
        return self

    def shared(self, key: str, value: Any) -> Self:
        """Add a value that every step can read as `ctx.shared[key]`."""
        self.shared_values[key] = value
        return self

    def copy(self, made: Mapping[int, Pipeline] | None = None) -> Pipeline:
        """A copy, of nested pipelines too, that later changes do not reach. `made` are the copies it will stand in."""
        other = copy.copy(self)
        other.params, other.shared_values = dict(self.params), dict(self.shared_values)
        other.steps, other.constraints = [copy.copy(step) for step in self.steps], list(self.constraints)
        made = {**(made or {}), id(self): other}
        for step in other.steps:
            if isinstance(step.pipeline, Pipeline):
                step.pipeline = made.get(id(step.pipeline)) or step.pipeline.copy(made)
        return other

    def problems(self, params: Iterable[str] | None = None, *, model: str | None = "unchecked") -> list[Problem]:
        """Everything wrong with the pipeline and those in it, in definition order, then with what it was given.

        `params` are the names a run was given (None: not known yet, so a free function parameter counts as one the run will be
        given); `model` is the configured model, None when there is none. A name that nothing asks for is a problem if that can be
        known: the pipeline declares params, or no step is a goal or takes `ctx`, which see all of them.
        """
        given = None if params is None else list(params)
        found = self._flaws(given, model)
        if given:
            known = [*self.params, *self.maker_params]
            found += unknown_params(self.steps, given, known, declared=bool(self.params))
        return found

    def check(self, params: Iterable[str] | None = None, *, model: str | None = "unchecked") -> None:
        """Raise `PipelineValidationError` with all problems if there are any."""
        if found := self.problems(params, model=model):
            raise PipelineValidationError(self.name, found)

    def define(self, params: Iterable[str] | None = None, *, model: str | None = "unchecked") -> Definition:
        """The pipeline as plain values; raises `PipelineValidationError` with all that is wrong with it.

        More params than it asks for are no hindrance: a resumed run keeps those that a changed pipeline no longer takes.
        """
        if found := self._flaws(None if params is None else list(params), model):
            raise PipelineValidationError(self.name, found)
        return self.plain()

    def plain(self) -> Definition:
        """The same for a pipeline that was checked."""
        return Definition(
            name=self.name,
            description=self.description,
            steps=tuple(step.define() for step in self.steps),
            constraints=tuple(self.constraints),
            params=plain(self.params),
            shared=plain(self.shared_values),
            on_failure=self.on_failure,
            budget=self.budget,
            breaker=self.breaker,
            limits=limits_of(self.limits or {}),
        )

    def _flaws(self, given: list[str] | None, model: str | None, within: Sequence[Pipeline] = ()) -> list[Problem]:
        """What is wrong with the pipeline itself and with those in its steps; `within` are the pipelines it stands in."""
        found = problems(
            self.name, self.steps, self.params, self.shared_values,
            given=given, model=model, breaker=self.breaker, limits=self.limits,
        )  # fmt: skip
        for step in self.steps:
            if isinstance(step.pipeline, Pipeline):
                found += self._nested(step, step.pipeline, given is not None, model, [*within, self])
        return found

    def _nested(
        self, step: PipelineStep, nested: Pipeline, known: bool, model: str | None, within: Sequence[Pipeline]
    ) -> list[Problem]:
        place = f"steps.{step.name}.pipeline"
        if any(nested is outer for outer in within):
            return [Problem(place, "stands in itself; write pipeline='self', or the word by which it is found")]
        if len(within) > MAX_NESTING:
            return [Problem(place, f"is nested deeper than {MAX_NESTING} pipelines; name it by a word")]
        found = nested._flaws(list(step.params) if known else None, step.model or model, within)
        return [Problem(f"{place}.{problem.where}" if problem.where else place, problem.message) for problem in found]
