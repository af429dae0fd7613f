"""The body of a goal step: a question to the model, with what the step depends on as context and tools that it may call.

Stands apart because it is an ordinary body: everything it does goes through the context's effects. The answer is the step's output,
as text or, with an output schema, as the value that fits it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from engine.context import StepContext
from engine.definition import Definition, StepDefinition
from engine.merging import merged
from engine.tooling import shown

MERGE_RULES = (
    "You merge the outputs of steps that ran side by side. Leave nothing out that only one of them says; name contradictions."
)


async def run_goal(ctx: StepContext, step: StepDefinition, pipeline: Definition, schema: Any, names: Mapping[str, Any]) -> Any:
    """Ask the model for the step's goal and return its answer; `schema` is the user's own type where there is one.

    `names` are what `${{ ... }}` in the goal sees, besides the words of the moment.
    """
    from engine.expressions import Template

    goal = str(Template.parse(step.goal or "").render({**names, **ctx.given, "attempt": ctx.attempt}))
    ctx.equip(step, pipeline)
    return await ctx.model(_question(ctx, goal), schema=schema, system=_rules(step, pipeline))


async def merge(ctx: StepContext, step: StepDefinition, inputs: Mapping[str, Any]) -> Any:
    """The body of a merging step without a reducer of the user's: a strategy, or a model's summary."""
    if step.merge != "model":
        return merged(step.merge or "list", inputs)
    rules = "\n\n".join(filter(None, (step.system, MERGE_RULES)))
    return await ctx.model(_question(ctx, "Summarise these outputs as one."), system=rules)


def _rules(step: StepDefinition, pipeline: Definition) -> str:
    lines = [step.system, ""] if step.system else []
    lines.append(f"You carry out one step, {step.name!r}, of the pipeline {pipeline.name!r}.")
    if pipeline.description:
        lines.append(f"The pipeline's purpose: {pipeline.description}")
    tools = " and what your tools return" if pipeline.tools_of(step) else ""
    lines.append(f"Use only what you are given{tools}. Answer in the language of the goal.")
    constraints = [*pipeline.constraints, *step.constraints]
    if constraints:
        lines.append("Keep to these constraints:")
        lines.extend(f"- {constraint}" for constraint in constraints)
    if step.output_schema is not None:
        schema = msgspec.json.encode(step.output_schema, order="sorted").decode()
        lines.append(f"Answer with one JSON value that fits this JSON Schema, and nothing else:\n{schema}")
    return "\n".join(lines)


def _question(ctx: StepContext, goal: str) -> str:
    parts = [f"Goal: {goal}"]
    parts.extend(f"{name.capitalize()}:\n{_text(ctx, name, value)}" for name, value in ctx.given.items() if name == "item")
    if ctx.params:
        parts.append(f"Parameters:\n{_text(ctx, 'the parameters', dict(ctx.params))}")
    parts.extend(f"{path}:\n{_text(ctx, path, value)}" for path, value in ctx.data.items())
    parts.extend(f"Output of step {name!r}:\n{_text(ctx, name, output)}" for name, output in ctx.inputs.items())
    return "\n\n".join(parts)


def _text(ctx: StepContext, name: str, value: Any) -> str:
    return shown(ctx.log, name, value)
