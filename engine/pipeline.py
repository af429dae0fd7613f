"""A pipeline as the user writes it: named steps, checked all at once before anything runs.

Stands apart from running: nothing here knows of stores or drivers. Its `Definition` is the same as plain values, which a run
pins by hash so that a changed pipeline is noticed when the run is resumed.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from typing import Any, Self

from engine.checks import problems, unknown_params
from engine.definition import Budget, Definition
from engine.errors import PipelineValidationError, Problem
from engine.policies import BreakerPolicy, limits_of
from engine.steps import PipelineStep, budget_of
from store import values


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

    def copy(self) -> Pipeline:
        """A copy that later changes of this pipeline do not reach."""
        other = copy.copy(self)
        other.params, other.shared_values = dict(self.params), dict(self.shared_values)
        other.steps, other.constraints = [copy.copy(step) for step in self.steps], list(self.constraints)
        return other

    def problems(self, params: Iterable[str] | None = None, *, model: str | None = "unchecked") -> list[Problem]:
        """Everything wrong with the pipeline, in definition order, then with what it was given.

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
        return Definition(
            name=self.name,
            description=self.description,
            steps=tuple(step.define() for step in self.steps),
            constraints=tuple(self.constraints),
            params=_plain(self.params),
            shared=_plain(self.shared_values),
            on_failure=self.on_failure,
            budget=self.budget,
            breaker=self.breaker,
            limits=limits_of(self.limits or {}),
        )

    def _flaws(self, given: list[str] | None, model: str | None) -> list[Problem]:
        return problems(self.name, self.steps, self.params, self.shared_values, given=given, model=model)


def _plain(value: Any) -> Any:
    return values.decode(values.encode(value))
