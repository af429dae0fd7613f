"""Execution plans: what is to be done as a model or a form would say it, checked, and mapped onto a pipeline.

Stands apart because a plan is foreign: it names kinds of work (`task_type`) and parameters, never code. What a kind of work is, the
caller says with a registry; nothing else can be reached.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Iterator, Mapping
from enum import Enum
from itertools import pairwise
from typing import Annotated, Any, TypeAlias

import msgspec
from pydantic import BaseModel, Field

from engine.agents import Agent
from engine.checks.conditions import EACH, ROOTS
from engine.checks.links import Links
from engine.definition import Dep, ExecutionMode
from engine.errors import ExpressionError, PipelineValidationError, Problem, suggestion
from engine.expressions import Scope, Template, map_templates
from engine.expressions import problems as problems_of_reading
from engine.pipeline import Pipeline
from engine.policies import RetryPolicy
from engine.rebinding import rebound
from engine.steps import PipelineStep, encodable, free_parameters
from store import values

Task: TypeAlias = str | Callable[..., Any]
"""What a kind of work is: a goal for a model, or a function. Both are given the step's parameters."""


class ExecutionStrategy(Enum):
    """How the steps of a plan run.

    SEQUENTIAL: one after another, in the order of the list. PARALLEL: together, as far as dependencies allow. CONDITIONAL: so
    too, and steps with conditions may be left out. LOOP: so too, and steps with a `loop` run once for each of its items.
    """

    SEQUENTIAL = "sequential"
    PARALLEL = "parallel"
    CONDITIONAL = "conditional"
    LOOP = "loop"


class PlanRetry(BaseModel, frozen=True, extra="forbid"):
    """How often and how far apart a step is tried again; see `RetryPolicy`."""

    max_retries: int = 3
    backoff: str = "exponential"
    delay: float = 1.0
    factor: float = 2.0
    max_delay: float = 60.0
    jitter: float = 0.1
    on: tuple[str, ...] = ()
    never: tuple[str, ...] = ()

    def policy(self) -> RetryPolicy:
        """The same for a pipeline."""
        return msgspec.convert(self.model_dump(), RetryPolicy)


class AgentStep(BaseModel, frozen=True, extra="forbid"):
    """A step of a plan: who does what kind of work with which parameters, and after whom.

    Texts in `parameters` may have `${{ ... }}`; `condition` is text or a mapping of the expression language; `loop` an expression
    whose items the step runs for, each the parameter `item`. `timeout` is in seconds. `agent_id` names one of the agents there are,
    or, where the caller knows none, is told to the model.
    """

    step_id: str
    agent_id: str = ""
    task_type: str
    parameters: dict[str, Any] = {}
    dependencies: list[str] = []
    condition: str | dict[str, Any] | None = None
    loop: str | None = None
    retry_policy: PlanRetry | None = None
    timeout: Annotated[float, Field(gt=0, lt=1e9)] | None = None


class ExecutionPlan(BaseModel, frozen=True, extra="forbid"):
    """What is to be done for an intent, in steps; the strategy is chosen by what they say where none is given."""

    plan_id: str
    intent: str
    steps: list[AgentStep]
    metadata: dict[str, Any] = {}
    strategy: ExecutionStrategy | None = None

    def problems(self, registry: Mapping[str, Task], agents: Mapping[str, Agent] | None = None) -> list[Problem]:
        """Everything wrong with the plan by itself and against the kinds of work and the agents there are, told at once."""
        found = [problem for step in self.steps for problem in _of_step(step, registry)]
        found += _of_strategy(self)
        unread = {step.task_type: "unread" for step in self.steps}
        told = self._readable()._pipeline({**unread, **registry}, agents).problems()
        broken = {problem.where.split(".")[1] for problem in found if problem.where.startswith("steps.")}
        return found + [_placed(problem) for problem in told if not _is_goal(problem, broken)]

    def to_pipeline(self, registry: Mapping[str, Task], agents: Mapping[str, Agent] | None = None) -> Pipeline:
        """The plan as a pipeline: `registry` says what each `task_type` is, `agents` who each `agent_id` is.

        Raises `PipelineValidationError` with all problems.
        """
        if found := self.problems(registry, agents):
            raise PipelineValidationError(self.plan_id, found)
        return self._pipeline(registry, agents)

    def _readable(self) -> ExecutionPlan:
        """The plan without parameters that cannot be kept, which are a problem of their own."""
        steps = [step if not encodable(step.parameters) else step.model_copy(update={"parameters": {}}) for step in self.steps]
        return self.model_copy(update={"steps": steps})

    def _pipeline(self, registry: Mapping[str, Task], agents: Mapping[str, Agent] | None) -> Pipeline:
        strategy = self.strategy or select_strategy(self)
        made = Pipeline(self.plan_id, self.intent, agents=agents)
        if self.metadata:
            made.shared("plan", self.metadata)
        before: str | None = None
        for step in self.steps:
            known = step.agent_id if agents is not None and step.agent_id else None
            made.add_step(_step(step, registry[step.task_type], strategy, before, known))
            before = step.step_id
        return made


def select_strategy(plan: ExecutionPlan) -> ExecutionStrategy:
    """How a plan's steps should run by what they say: loops first, then conditions, then whether any may run together."""
    if any(step.loop is not None for step in plan.steps):
        return ExecutionStrategy.LOOP
    if any(step.condition is not None for step in plan.steps):
        return ExecutionStrategy.CONDITIONAL
    links = Links([PipelineStep(step.step_id, depends_on=step.dependencies) for step in plan.steps])
    ids = [step.step_id for step in plan.steps]
    chained = all(earlier in links.ancestors(later) for earlier, later in pairwise(ids))
    return ExecutionStrategy.SEQUENTIAL if chained else ExecutionStrategy.PARALLEL


def _step(step: AgentStep, task: Task, strategy: ExecutionStrategy, before: str | None, agent: str | None) -> PipelineStep:
    """A step of the pipeline: in a sequence it waits for the one before it, whatever it depends on besides."""
    needs: list[str | Dep] = list(dict.fromkeys(step.dependencies))
    if strategy is ExecutionStrategy.SEQUENTIAL and before is not None and before not in needs:
        needs.append(before)
    acting = bool(step.agent_id and agent is None and isinstance(task, str))
    return PipelineStep(
        step.step_id,
        _goal(step, task) if isinstance(task, str) else None,
        agent=agent,
        run=None if isinstance(task, str) else _body(step, task),
        depends_on=needs,
        execution_mode=ExecutionMode.SERIAL if strategy is ExecutionStrategy.SEQUENTIAL else ExecutionMode.CONCURRENT,
        constraints=[f"You act as {step.agent_id}."] if acting else (),
        condition=step.condition,
        for_each=step.loop,
        retry=None if step.retry_policy is None else step.retry_policy.policy(),
        timeout=step.timeout,
    )


def _goal(step: AgentStep, task: str) -> str:
    """The kind of work with its parameters, a line for each value, so that a template stands alone on its line."""
    return "\n".join([task, *(f"{place}: {text}" for place, text in _leaves(step.parameters, ""))])


def _leaves(value: Any, place: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict) and value:
        for key, held in value.items():
            yield from _leaves(held, f"{place}.{key}" if place else key)
    elif isinstance(value, list) and value:
        for index, held in enumerate(value):
            yield from _leaves(held, f"{place}[{index}]")
    elif place:
        yield place, value if isinstance(value, str) else values.encode(value).decode()


def _body(step: AgentStep, task: Callable[..., Any]) -> Callable[..., Any]:
    """The function with the plan's parameters, their templates filled in when it runs."""
    if not step.parameters:
        return task
    free = [one for one in free_parameters(task) if one.name not in step.parameters]
    wants = "ctx" in inspect.signature(task).parameters
    group = EACH if step.loop is not None else ()

    def filled(given: dict[str, Any]) -> dict[str, Any]:
        ctx = given["ctx"]
        steps = {name: {"output": output, "status": "completed"} for name, output in ctx.inputs.items()}
        names = {"steps": steps, "params": ctx.params, "shared": ctx.shared, "attempt": ctx.attempt}
        names |= {name: given[name] for name in group}
        made = map_templates(step.parameters, lambda template, _: template.render(names))
        passed = {one.name for one in free} | ({"ctx"} if wants else set())
        return {**{name: value for name, value in given.items() if name in passed}, **made}

    optional = [one.name for one in free if one.default is not inspect.Parameter.empty]
    arguments = {name: values.encode(value).decode() for name, value in step.parameters.items()}
    return rebound(task, [*(one.name for one in free), *group, "ctx"], optional, filled, arguments)


def _of_step(step: AgentStep, registry: Mapping[str, Task]) -> Iterator[Problem]:
    """What is wrong with a step's kind of work and its parameters."""
    where = f"steps.{step.step_id}"
    task = registry.get(step.task_type)
    if task is None:
        near = suggestion(step.task_type, list(registry)) or f"; there are {', '.join(sorted(registry)) or 'none'}"
        yield Problem(f"{where}.task_type", f"there is no kind of work {step.task_type!r}{near}")
    elif not isinstance(task, str):
        yield from _of_arguments(step, task, f"{where}.parameters")
    scope = Scope((*ROOTS, *(EACH if step.loop is not None else ())), dependencies=step.dependencies, fields=("output", "status"))
    found: list[Problem] = []

    def judged(template: Template, place: str) -> None:
        here = f"{where}.parameters.{place}"
        found.extend(_placed(Problem(here, message)) for message in problems_of_reading(template, scope))

    try:
        map_templates(step.parameters, judged)
    except ExpressionError as error:
        found.append(Problem(f"{where}.parameters", str(error)))
    yield from found
    if why := encodable(step.parameters):
        yield Problem(f"{where}.parameters", why)


def _of_arguments(step: AgentStep, task: Callable[..., Any], where: str) -> Iterator[Problem]:
    kinds = {one.kind for one in inspect.signature(task).parameters.values()}
    taken = [one.name for one in free_parameters(task)]
    for name in step.parameters:
        if name not in taken and inspect.Parameter.VAR_KEYWORD not in kinds:
            near = suggestion(name, taken) or (f"; it takes {', '.join(taken)}" if taken else "; it takes none")
            yield Problem(f"{where}.{name}", f"is no parameter of {step.task_type}{near}")


def _of_strategy(plan: ExecutionPlan) -> Iterator[Problem]:
    """A strategy that is about something no step has."""
    if not plan.steps:
        return
    if plan.strategy is ExecutionStrategy.LOOP and all(step.loop is None for step in plan.steps):
        yield Problem("strategy", "is loop, but no step has a loop; give one a loop, or choose another strategy")
    if plan.strategy is ExecutionStrategy.CONDITIONAL and all(step.condition is None for step in plan.steps):
        yield Problem("strategy", "is conditional, but no step has a condition; give one a condition, or choose another strategy")


_PLACES = {
    "depends_on": "dependencies", "for_each": "loop", "retry": "retry_policy", "run": "task_type", "goal": "task_type",
    "agent": "agent_id",
}  # fmt: skip


def _is_goal(problem: Problem, broken: Collection[str]) -> bool:
    """Whether a problem is of a text made of parameters in which something is wrong already."""
    return any(problem.where == f"steps.{name}.goal" for name in broken)


def _placed(problem: Problem) -> Problem:
    """A problem of the pipeline in the words of the plan."""
    message = problem.message.replace("depends_on", "dependencies")
    if problem.where == "name":
        return Problem("plan_id", message)
    head, _, last = problem.where.rpartition(".")
    return Problem(f"{head}.{_PLACES[last]}" if head.startswith("steps.") and last in _PLACES else problem.where, message)
