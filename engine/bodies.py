"""What stands behind a run's steps: functions, output types, nested pipelines, joined to the definitions by name. Pure.

Stands apart from the engine because a definition is values and a pipeline has the user's objects: this is where they meet again.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

from engine import targets
from engine.agents import Agents
from engine.definition import StepDefinition
from engine.models.schemas import schema_of
from engine.pinning import step_of
from engine.pipeline import Pipeline
from engine.record import Added
from engine.steps import functions_of
from engine.tooling import Functions, functions_of_tools


class Bodies(NamedTuple):
    """By step: its function (and `NAME/compensate` for what undoes it), the type its output schema came from, its pipeline.

    `tools` are the functions of tools, `agents` those that steps may name.
    """

    functions: dict[str, Callable[..., Any]]
    schemas: dict[str, Any]
    nested: dict[str, Pipeline]
    tools: Functions
    agents: Agents


def bodies_of(definitions: Iterable[StepDefinition], pipeline: Pipeline) -> Bodies:
    """What of `pipeline` the steps as they are driven have behind them; another type than was recorded is left out."""
    driven = {step.name: step for step in definitions}
    found = Bodies({}, {}, {}, functions_of_tools("", pipeline.tools), pipeline.agents)
    for step in pipeline.played():
        as_driven = driven.get(step.name)
        if as_driven is None:
            continue
        found.functions.update(functions_of(step, as_driven))
        found.tools.update(functions_of_tools(step.name, step.tools))
        if isinstance(step.pipeline, Pipeline):
            found.nested[step.name] = step.pipeline.within(pipeline.agents)
        if step.output_schema is not None and schema_of(step.output_schema) == as_driven.output_schema:
            found.schemas[step.name] = step.output_schema
    return found


def with_added(pipeline: Pipeline, added: Iterable[Added], folder: Path) -> Pipeline:
    """The pipeline with the steps that were added at run time; their functions are found by the names they had then."""
    pipeline = pipeline.copy()
    known = {step.name for step in pipeline.steps}
    for definition, _ in added:
        if definition.name not in known:
            pipeline.add_step(step_of(definition, functools.partial(targets.find, folder=folder)))
    return pipeline
