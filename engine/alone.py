"""One step of a pipeline by itself, with given outputs of what it depends on: for trying a step out. Pure.

Stands apart from running because it only makes another pipeline: the step as it is, and before it steps that return what was given.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from typing import Any

from engine.definition import Definition, ExecutionMode
from engine.errors import PipelineValidationError, Problem, suggestion
from engine.pipeline import Pipeline
from engine.steps import PipelineStep

GIVEN = "given outputs"
"""The shared value that holds what was given, by step."""


def alone(pipeline: Pipeline, only: str, inputs: Mapping[str, Any] | None = None) -> Pipeline:
    """A pipeline of the step `only`, its dependencies replaced by steps that return `inputs[NAME]`.

    Outputs of other steps may be given too: conditions can read them. Branches the step chooses among are there, and do nothing.
    Raises `PipelineValidationError` with all that is missing or unknown.
    """
    given = dict(inputs or {})
    step = next((step for step in pipeline.steps if step.name == only), None)
    if step is None:
        raise PipelineValidationError(pipeline.name, [_unknown("only", only, pipeline)])
    if problems := list(_problems(pipeline, step, given)):
        raise PipelineValidationError(pipeline.name, problems)
    needs = [dep.step for dep in step.dependencies]
    made = pipeline.copy()
    beside = [name for name in given if name not in needs]
    made.steps = [_returning(name, []) for name in beside]
    made.steps += [_returning(name, beside) for name in needs]
    trial = copy.copy(step)
    trial.final, trial.fallback = True, None
    if not needs and beside:
        trial.depends_on = list(beside)
    made.steps.append(trial)
    made.steps += [_returning(branch, []) for branch in step.switch or {} if branch not in given and branch not in needs]
    return made.shared(GIVEN, given)


def as_begun(pipeline: Pipeline, recorded: Definition) -> Pipeline:
    """The pipeline as a run of it began: one step of it by itself, where that is what ran."""
    if GIVEN not in recorded.shared or GIVEN in pipeline.shared_values:
        return pipeline
    return alone(pipeline, next(step.name for step in recorded.steps if step.final), recorded.shared[GIVEN])


def _problems(pipeline: Pipeline, step: PipelineStep, given: Mapping[str, Any]) -> Iterator[Problem]:
    names = {step.name for step in pipeline.steps}
    for name in given:
        if name not in names:
            yield _unknown(f"inputs.{name}", name, pipeline)
    if step.name in given:
        yield Problem(f"inputs.{step.name}", "it is the step that is to run; give the outputs of what it depends on")
    for dep in step.dependencies:
        if dep.step not in given and dep.type != "soft":
            yield Problem(f"inputs.{dep.step}", f"{step.name} depends on it; give its output")


def _unknown(where: str, name: str, pipeline: Pipeline) -> Problem:
    return Problem(where, f"there is no step {name!r}{suggestion(name, [step.name for step in pipeline.steps])}")


def _returning(name: str, after: list[str]) -> PipelineStep:
    return PipelineStep(name, run=_given, depends_on=after, execution_mode=ExecutionMode.CONCURRENT)


def _given(ctx: Any) -> Any:
    """What was given as the output of this step, None where nothing was."""
    return ctx.shared[GIVEN].get(ctx.step)
