"""A pipeline as the user writes it: named steps, checked all at once before anything runs.

Stands apart from running: nothing here knows of stores or drivers. Its `Definition` is the same as plain values, which a run
pins by hash so that a changed pipeline is noticed when the run is resumed.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Self

from engine.checks import problems
from engine.definition import MAX_NESTING, Definition
from engine.errors import PipelineValidationError, Problem
from engine.steps import PipelineStep, plain


class Pipeline:
    """A named set of steps; `.step(...)` adds one and returns the pipeline. A run works on a copy pinned when it starts.

    `params` are the defaults of what a run may be given; function steps receive them by parameter name.
    """

    def __init__(self, name: str, description: str = "", *, params: Mapping[str, Any] | None = None) -> None:
        self.name, self.description = name, description
        self.params: dict[str, Any] = dict(params or {})
        self.steps: list[PipelineStep] = []
        self.constraints: list[str] = []
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

    def problems(
        self, params: Iterable[str] | None = None, *, model: str | None = "unchecked", within: Sequence[Pipeline] = ()
    ) -> list[Problem]:
        """Everything wrong with the pipeline, in definition order.

        `params` are the names a run was given (None: not known yet, so a free function parameter counts as one the run will be
        given); `model` is the configured model, None when there is none. `within` are the
        pipelines it stands in.
        """
        given = None if params is None else list(params)
        found = problems(self.name, self.steps, self.params, self.shared_values, given=given, model=model)
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
        found = nested.problems(list(step.params) if known else None, model=step.model or model, within=within)
        return [Problem(f"{place}.{problem.where}" if problem.where else place, problem.message) for problem in found]

    def define(self, params: Iterable[str] | None = None, *, model: str | None = "unchecked") -> Definition:
        """The pipeline as plain values; raises `PipelineValidationError` with all problems."""
        found = self.problems(params, model=model)
        if found:
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
        )
