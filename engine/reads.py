"""Which outputs a step's expressions read, before it starts and in its attempt. Pure.

Stands apart because the plan asks once a step: reading an expression costs more than evaluating it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.definition import OTHERWISE, StepDefinition
from engine.steps import items_of

if TYPE_CHECKING:
    from engine.expressions import Expression, Template


def looked_at(step: StepDefinition) -> bool:
    """Whether somebody has to look at contents before it can be decided how the step starts."""
    if step.many or any(dep.type in ("data", "validation") for dep in step.depends_on):
        return True
    return step.condition is not None and step.condition_mode == "pre" and not asks(step)


def asks(step: StepDefinition) -> bool:
    """Whether a step's condition asks a model: then it is judged in the attempt, where the answer is recorded."""
    return step.condition is not None and bool(_parse(step.condition).asks_model)


def evaluates(step: StepDefinition) -> bool:
    """Whether an attempt of the step evaluates any expression."""
    if step.condition is not None or step.switch is not None or step.read_data or step.params:
        return True
    return step.goal is not None and "${{" in step.goal


def read_before(step: StepDefinition) -> frozenset[str]:
    """The steps whose outputs a look before the start reads."""
    found = {dep.step for dep in step.depends_on if dep.type in ("data", "validation")}
    if step.condition is not None and step.condition_mode == "pre":
        found |= _steps(_parse(step.condition))
    if step.for_each is not None:
        found |= _steps(items_of(step.for_each))
    for dep in step.depends_on:
        if dep.when is not None:
            found |= _steps(_parse(dep.when))
    return frozenset(found)


def read_during(step: StepDefinition) -> frozenset[str]:
    """The steps whose outputs an attempt reads besides its inputs: in its goal, params, condition, switch, loop and `read_data`."""
    found: set[str] = set()
    if step.params or (step.goal is not None and "${{" in step.goal):
        from engine.expressions import map_templates

        map_templates([step.goal, step.params], lambda template, _: found.update(_steps(template)))
    texts = [step.condition, step.while_, *(step.switch or {}).values(), *step.read_data]
    for text in texts:
        if text is not None and text != OTHERWISE:
            found |= _steps(_parse(text))
    return frozenset(found)


def _parse(text: str) -> Expression:
    from engine.expressions import parse  # here: loading the language is what importing the engine does not pay

    return parse(text)


def _steps(asked: Expression | Template) -> set[str]:
    return {str(reference.path[1]) for reference in asked.references if reference.path[0] == "steps" and len(reference.path) > 1}
