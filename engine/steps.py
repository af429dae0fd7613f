"""A step as the user writes it: options and a Python function, and what can be read off that function.

Stands apart from `pipeline.py` so that the checks can look at steps without knowing pipelines.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import msgspec

from engine.definition import OTHERWISE, Approval, Budget, Definition, Dep, ExecutionMode, StepDefinition
from engine.errors import EngineError, ExpressionError
from engine.model_config import ModelConfig, config_of
from engine.models.schemas import schema_of
from engine.policies import RetryPolicy
from engine.references import reference, source_hash
from engine.signatures import tool_of
from store import values
from store.errors import ValueEncodingError
from store.state import COMPENSATE

if TYPE_CHECKING:
    from engine.expressions import ConditionDSL, Expression

Condition: TypeAlias = "str | ConditionDSL | Mapping[str, Any]"
"""A condition as it may be written: text, objects, or a mapping. The language is loaded when there is one to read: 23 ms."""

SELF = "self"
"""The word for the pipeline that the step stands in."""


class Nested(Protocol):
    """A pipeline in a step of another."""

    def plain(self, agents: Mapping[str, Any] | None) -> Definition:
        """It as plain values, once it was checked; `agents` are those around it (None: as it is written)."""
        ...


class PipelineStep:
    """A step of a pipeline: a goal for a model, a Python function (`run`) or another pipeline, and its options.

    `timeout` is in seconds for one attempt, `total_timeout` for all of them and the waits between, counted from the first start
    whatever happens meanwhile; `max_retries` N means N + 1 attempts; `output_schema` is a pydantic model (or anything with
    fields) or a JSON Schema. `fallback_models` are asked in turn where `model` cannot answer (none: the run's).
    `config` says how models are asked: `{"temperature": 0, "max_tokens": 500}` or `ModelConfig(...)`, before the pipeline's.
    `irreversible=True` marks a body that must never run twice unasked: without `retry` or `max_retries` it is not tried again.
    `pipeline` is a `Pipeline`, which becomes part of this one's definition, or a word by which one is found when the step runs
    (`self`, `module:name`, a file); it is run as a child run that is given `params`, in which `${{ ... }}` is filled in.

    Conditions (`condition`, `while_`, the cases of `switch`, `when` of a `Dep`) are text, `ConditionDSL` or mappings, in the
    language of `engine.expressions`. `for_each` is an expression whose items the step is run for; each is the parameter `item`.
    `join` is `all`, `any`, a number, or `first` (the rest is cancelled); what was skipped counts for `all` only. `merge` is a
    strategy (`list`, `dict`, `deep`, `model`) or a function of the list of outputs. `approval` is True, a message, or
    `Approval(...)`; `budget` US dollars, or `Budget(...)`. `fallback` names the step that stands in for this one if it fails,
    `compensate` is a function that undoes it if the run fails later. `enabled=False` skips it unless another enables it in time.
    `checkpoint` (True, or a name) marks the place where it has completed. `tools` are functions that the model of a goal may call,
    besides the pipeline's; `tools_filter` leaves those whose names fit one of its patterns (None: all, an empty list: none).
    `agent` names one of the pipeline's agents, whose model, system text, tools and limits stand where this says none. `system` is
    what the model is told before all else; `max_turns` how often it is asked in one attempt that calls tools (None: the settings').
    """

    def __init__(
        self,
        name: str,
        goal: str | None = None,
        *,
        run: Callable[..., Any] | None = None,
        depends_on: Iterable[str | Dep] | str | Dep = (),
        execution_mode: ExecutionMode | str = ExecutionMode.SERIAL,
        constraints: Iterable[str] = (),
        timeout: float | None = None,
        max_retries: int | None = None,
        retry: RetryPolicy | None = None,
        output_schema: Any = None,
        model: str | None = None,
        irreversible: bool = False,
        final: bool = False,
        join: str | int = "all",
        condition: Condition | None = None,
        condition_mode: str = "pre",
        skip: str = "settle",
        for_each: str | None = None,
        max_concurrent: int | None = None,
        item_failures: str = "fail",
        while_: Condition | None = None,
        max_iterations: int = 100,
        switch: Mapping[str, Condition] | None = None,
        merge: str | Callable[..., Any] | None = None,
        fallback: str | None = None,
        compensate: Callable[..., Any] | None = None,
        approval: Approval | str | bool | None = None,
        budget: Budget | float | None = None,
        read_data: Iterable[str] = (),
        enabled: bool = True,
        total_timeout: float | None = None,
        fallback_models: Iterable[str] | str = (),
        config: ModelConfig | Mapping[str, Any] | None = None,
        pipeline: Nested | str | None = None,
        params: Mapping[str, Any] | None = None,
        checkpoint: bool | str = False,
        tools: Iterable[Callable[..., Any]] | Callable[..., Any] = (),
        tools_filter: Iterable[str] | str | None = None,
        agent: str | None = None,
        system: str | None = None,
        max_turns: int | None = None,
    ) -> None:
        self.name, self.goal, self.run = name, goal, run
        self.agent, self.system, self.max_turns = agent, system, max_turns
        self.depends_on: list[Any] = listed(depends_on)
        self.execution_mode = execution_mode
        self.constraints: list[Any] = listed(constraints)
        self.timeout, self.total_timeout, self.max_retries, self.retry = timeout, total_timeout, max_retries, retry
        self.output_schema, self.model = output_schema, model
        self.irreversible, self.final, self.join, self.skip, self.enabled = irreversible, final, join, skip, enabled
        self.condition, self.condition_mode = condition, condition_mode
        self.for_each, self.max_concurrent, self.item_failures = for_each, max_concurrent, item_failures
        self.while_, self.max_iterations, self.pipeline, self.checkpoint = while_, max_iterations, pipeline, checkpoint
        self.unfit: dict[str, Any] = {} if switch is None or isinstance(switch, Mapping) else {"switch": switch}
        self.switch = dict(switch) if isinstance(switch, Mapping) else None
        self.merge, self.fallback, self.compensate = merge, fallback, compensate
        self.approval, self.budget, self.config = approval_of(approval), budget_of(budget), config_of(config)
        self.read_data: list[Any] = listed(read_data)
        self.fallback_models: list[Any] = listed(fallback_models)
        self.tools: list[Any] = listed(tools)
        self.tools_filter: list[Any] | None = None if tools_filter is None else listed(tools_filter)
        self.params: Any = {} if params is None else dict(params) if isinstance(params, Mapping) else params

    @property
    def dependencies(self) -> list[Dep]:
        """`depends_on` with bare names made dependencies."""
        return [dep if isinstance(dep, Dep) else Dep(dep) for dep in self.depends_on if isinstance(dep, str | Dep)]

    @property
    def needs(self) -> list[str]:
        """The names of the steps it depends on, those that are names at all."""
        return [dep.step for dep in self.dependencies if isinstance(dep.step, str)]

    def policy(self) -> RetryPolicy:
        """The retry policy: `retry`, with `max_retries` over it if given; irreversible bodies have none unless said."""
        policy = self.retry or RetryPolicy(max_retries=0 if self.irreversible else RetryPolicy().max_retries)
        return policy if self.max_retries is None else msgspec.structs.replace(policy, max_retries=self.max_retries)

    def define(self, agents: Mapping[str, Any] | None = None) -> StepDefinition:
        """The step as it is written, as plain values, once it was checked; `agents` are for a pipeline in it."""
        mode = ExecutionMode(self.execution_mode)
        merge = "list" if self.merge is None and mode is ExecutionMode.PARALLEL_MERGE else self.merge
        return StepDefinition(
            name=self.name,
            goal=self.goal,
            run=None if self.run is None else reference(self.run),
            source=None if self.run is None else source_hash(self.run),
            depends_on=tuple(_plain_dep(dep) for dep in self.dependencies),
            execution_mode=mode,
            constraints=tuple(self.constraints),
            timeout=None if self.timeout is None else float(self.timeout),
            retry=self.policy(),
            output_schema=None if self.output_schema is None else schema_of(self.output_schema),
            model=self.model,
            irreversible=self.irreversible,
            final=self.final,
            join=self.join,
            condition=text_of(self.condition),
            condition_mode=self.condition_mode,
            skip=self.skip,
            for_each=None if self.for_each is None else items_of(self.for_each).text,
            max_concurrent=self.max_concurrent,
            item_failures=self.item_failures,
            while_=text_of(self.while_),
            max_iterations=self.max_iterations,
            switch=None if self.switch is None else {branch: text_of(case) or "" for branch, case in self.switch.items()},
            merge=reference(merge) if callable(merge) else merge,
            fallback=self.fallback,
            compensate=None if self.compensate is None else reference(self.compensate),
            approval=self.approval,
            budget=self.budget,
            read_data=tuple(self.read_data),
            enabled=self.enabled,
            total_timeout=None if self.total_timeout is None else float(self.total_timeout),
            fallback_models=tuple(self.fallback_models),
            config=self.config,
            pipeline=self.pipeline if self.pipeline is None or isinstance(self.pipeline, str) else self.pipeline.plain(agents),
            params=plain(self.params) if self.params else {},
            checkpoint=self.checkpoint,
            tools=tuple(tool_of(one) for one in self.tools),
            tools_filter=None if self.tools_filter is None else tuple(self.tools_filter),
            agent=self.agent,
            system=self.system,
            max_turns=self.max_turns,
        )


def listed(given: Any) -> list[Any]:
    """One value as it is, or several; what is neither is kept for the checks to tell of."""
    return list(given) if isinstance(given, Iterable) and not isinstance(given, str) else [given]


def need_step(step: object, options: Iterable[str]) -> None:
    """Refuse what was meant for `.step(...)`: a name, and options beside. Raises `EngineError`."""
    wrong = [] if isinstance(step, PipelineStep) else [repr(step)]
    if wrong := [*wrong, *(f"{option}=..." for option in options)]:
        given = ", ".join(wrong)
        raise EngineError(f"add_step was given {given}; make the step first: add_step(PipelineStep(NAME, GOAL, OPTIONS...)).")


def approval_of(asked: Approval | str | bool | None) -> Approval | None:
    """`approval=True` and `approval="message"` as what they stand for."""
    if isinstance(asked, str):
        return Approval(asked)
    return Approval() if asked is True else (asked or None)


def budget_of(asked: Budget | float | None) -> Budget | None:
    """`budget=0.5` as what it stands for: US dollars."""
    return Budget(cost=float(asked)) if isinstance(asked, int | float) else asked


def text_of(condition: Condition | None) -> str | None:
    """A condition in the canonical text of the expression language; the word `otherwise` of a switch stays as it is."""
    if condition is None or (isinstance(condition, str) and condition == OTHERWISE):
        return condition
    from engine.expressions import condition_of

    return condition_of(condition).text


def items_of(for_each: str) -> Expression:
    """The expression of a `for_each`: bare, or the whole of one `${{ ... }}`."""
    from engine.expressions import Template, parse

    if "${{" not in for_each:
        return parse(for_each)
    whole = Template.parse(for_each).whole
    if whole is None:
        raise ExpressionError("for_each is one expression; write it without text around it", 1, for_each)
    return whole


def _plain_dep(dep: Dep) -> Dep:
    paths: Any = dep.paths
    if dep.when is None and type(paths) is tuple:
        return dep
    return msgspec.structs.replace(dep, when=text_of(dep.when), paths=(paths,) if isinstance(paths, str) else tuple(paths))


def functions_of(step: PipelineStep, driven: StepDefinition) -> dict[str, Callable[..., Any]]:
    """The functions of a step by the path each runs at, of those that `driven` names: its body or merge, and what undoes it."""
    body = step.run if driven.run is not None else step.merge if driven.kind == "m" else None
    undo = step.compensate if driven.compensate is not None else None
    return {path: found for path, found in ((step.name, body), (f"{step.name}{COMPENSATE}", undo)) if callable(found)}


def plain(value: Any) -> Any:
    """A value as it is read back from a recording."""
    return values.decode(values.encode(value))


def encodable(value: Any) -> str | None:
    """Why a value cannot be kept, None when it can."""
    try:
        values.encode(value)
    except ValueEncodingError as error:
        return str(error)
    return None


def free_parameters(body: Callable[..., Any] | inspect.Signature) -> list[inspect.Parameter]:
    """The parameters a body (or its signature) asks for by name, without `ctx`, `*args` and `**kwargs`."""
    signature = body if isinstance(body, inspect.Signature) else inspect.signature(body)
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return [p for p in signature.parameters.values() if p.kind in kinds and p.name != "ctx"]
