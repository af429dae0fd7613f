"""A pipeline as plain values: what a run pins, what screens and resumes read, with no Python function in it.

Stands apart from `pipeline.py` so that looking at a run never needs the user's code.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from enum import Enum
from typing import Any

import msgspec

from engine.model_config import UNSET, ModelConfig
from engine.params import Param
from engine.policies import BreakerPolicy, Limits, RetryPolicy
from engine.tools import ToolDefinition, kept, without_source
from store import values

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,99}")
MAX_STEPS = 100_000
MAX_NESTING = 16
"""Pipelines written one inside the other."""


class ExecutionMode(Enum):
    """How a step runs beside others.

    SERIAL: one after another, in definition order among the ready ones; the chain waits while one of them runs, waits for a
    retry or is in doubt. CONCURRENT: together, up to the run's limit. Neither waits for the other kind. CONDITIONAL is concurrent
    and must have a condition. PARALLEL_MERGE is concurrent and merges the outputs of the steps it depends on, which run together.
    """

    SERIAL = "serial"
    CONCURRENT = "concurrent"
    CONDITIONAL = "conditional"
    PARALLEL_MERGE = "parallel_merge"


class DependencyType(Enum):
    """What a dependency asks of the step it names.

    HARD: it must not have failed. SOFT: it must have settled, however; its output is used if there is one. DATA: it must have
    completed, with the named paths in its output. VALIDATION: it must have completed, with an output that satisfies the predicate.
    """

    HARD = "hard"
    SOFT = "soft"
    DATA = "data"
    VALIDATION = "validation"


class Dep(msgspec.Struct, frozen=True, omit_defaults=True):
    """A dependency on `step`; in files a bare name is the same as `Dep(name)`.

    `paths` are paths in its output that must be there (`data`), `when` is a condition in which `output` is that output
    (`validation`). A `soft` one with `wait=False` does not wait: it is given what the step has published so far.
    """

    step: str
    type: str = "hard"
    paths: tuple[str, ...] = ()
    when: str | None = None
    wait: bool = True


class Approval(msgspec.Struct, frozen=True, omit_defaults=True):
    """A person must approve the step before it starts; after `timeout` seconds without an answer `default` holds."""

    message: str = ""
    timeout: float | None = None
    default: str = "reject"


class Budget(msgspec.Struct, frozen=True, omit_defaults=True):
    """The most that may be used: US dollars, tokens, model calls, seconds since the beginning; and what follows when it is used up.

    `action`: `warn` (said in the log), `pause` (the run waits until it is raised) or `fail`. What is under way is let finish.
    """

    cost: float | None = None
    tokens: int | None = None
    calls: int | None = None
    seconds: float | None = None
    action: str = "pause"


ACTIONS = ("warn", "pause", "fail")
CHECKPOINTS = ("approval", "irreversible", "failure", "end")
"""Where a pipeline makes checkpoints by itself: before a step waits for approval, before an irreversible one starts, when one
failed for good, at the run's end."""

CHECKPOINT_NAME = re.compile(r"[^\W\d](?:[\w .-]{0,98}[\w.-])?")
"""No colon, `#` or `@`, and no digit first: a name is no event number, time or boundary of a step."""

MERGES = ("list", "dict", "deep", "model")
OTHERWISE = "otherwise"
"""The case of a switch that holds when none before it does."""


class AgentDefinition(msgspec.Struct, frozen=True, omit_defaults=True):
    """Who carries out goals, as plain values: see `engine.agents.Agent`."""

    model: str | None = None
    system: str | None = None
    tools: tuple[ToolDefinition, ...] = ()
    tools_filter: tuple[str, ...] | None = None
    fallback_models: tuple[str, ...] = ()
    config: ModelConfig = UNSET
    timeout: float | None = None
    budget: Budget | None = None
    max_turns: int | None = None

    def pinned(self) -> AgentDefinition:
        """See `Definition.pinned`."""
        return msgspec.structs.replace(self, tools=without_source(self.tools))


class StepDefinition(msgspec.Struct, frozen=True, omit_defaults=True):
    """A step as plain values. `run` is `module:qualname`, `source` the hash of the function's text (not part of the pin).

    Conditions stand as text of the expression language. `join` is `all`, `any`, a number, or `first` (the rest is cancelled).
    `compensate` is a function by name, as `run` is; `merge` a strategy or a function by name.
    `pipeline` is a nested definition, or the word by which one is found when the step runs; `params` is what its runs are given.
    `checkpoint` is the name of the one that is made when the step completed, True for the step's own. `tools` are those of the step
    besides the pipeline's; `tools_filter` are patterns of names that leave some of both (None: all, none: none). `agent` is the
    name of who carries it out, whose model, `system` and so on stand here already.
    """

    name: str
    goal: str | None = None
    run: str | None = None
    source: str | None = None
    depends_on: tuple[Dep, ...] = ()
    execution_mode: ExecutionMode = ExecutionMode.SERIAL
    constraints: tuple[str, ...] = ()
    timeout: float | None = None
    retry: RetryPolicy = RetryPolicy()
    output_schema: dict[str, Any] | None = None
    model: str | None = None
    irreversible: bool = False
    final: bool = False
    join: str | int = "all"
    condition: str | None = None
    condition_mode: str = "pre"
    skip: str = "settle"
    for_each: str | None = None
    max_concurrent: int | None = None
    item_failures: str = "fail"
    while_: str | None = None
    max_iterations: int = 100
    switch: dict[str, str] | None = None
    merge: str | None = None
    fallback: str | None = None
    compensate: str | None = None
    approval: Approval | None = None
    budget: Budget | None = None
    read_data: tuple[str, ...] = ()
    enabled: bool = True
    total_timeout: float | None = None
    fallback_models: tuple[str, ...] = ()
    config: ModelConfig = UNSET
    pipeline: Definition | str | None = None
    params: dict[str, Any] = {}
    checkpoint: bool | str = False
    tools: tuple[ToolDefinition, ...] = ()
    tools_filter: tuple[str, ...] | None = None
    agent: str | None = None
    system: str | None = None
    max_turns: int | None = None

    @property
    def kind(self) -> str:
        """`f` for a function step, `g` for a goal, `p` for another pipeline, `m` for a merge, `s` for one that only switches."""
        if self.run is not None:
            return "f"
        if self.goal is not None:
            return "g"
        if self.pipeline is not None:
            return "p"
        return "m" if self.merge is not None else "s"

    @property
    def functions(self) -> dict[str, str]:
        """The names of the functions behind the step, by field: `run`, a `merge` that is one, `compensate`, `tools.NAME`."""
        merge = self.merge if self.merge is not None and ":" in self.merge else None
        named = {
            "run": self.run,
            "merge": merge,
            "compensate": self.compensate,
            **{f"tools.{one.name}": one.run for one in self.tools},
        }
        return {field: name for field, name in named.items() if name is not None}

    @property
    def many(self) -> bool:
        """Whether the step is a group: run once for each item, or again and again."""
        return self.for_each is not None or self.while_ is not None

    def to_json(self) -> str:
        """Canonical JSON text; `from_json` reads it back."""
        return values.encode(_in_order(msgspec.to_builtins(self, builtin_types=(bytes,)))).decode()

    @staticmethod
    def from_json(text: str) -> StepDefinition:
        """The step that `to_json` wrote."""
        return msgspec.convert(_by_branch(values.decode(text.encode())), StepDefinition)

    def pinned(self) -> StepDefinition:
        """See `Definition.pinned`."""
        nested = self.pipeline.pinned() if isinstance(self.pipeline, Definition) else self.pipeline
        return msgspec.structs.replace(self, source=None, pipeline=nested, tools=without_source(self.tools))


def _in_order(step: dict[str, Any]) -> dict[str, Any]:
    """A step's values for canonical JSON, which sorts keys: the cases of a switch are asked in their order, so they are pairs."""
    return _with_nested(step, {"switch": [list(case) for case in step["switch"].items()]} if step.get("switch") else {}, _in_order)


def _by_branch(step: dict[str, Any]) -> dict[str, Any]:
    return _with_nested(step, {"switch": dict(step["switch"])} if step.get("switch") else {}, _by_branch)


def _with_nested(step: dict[str, Any], switch: dict[str, Any], turn: Callable[[dict[str, Any]], dict[str, Any]]) -> dict[str, Any]:
    """The step with its switch turned, and those of a pipeline in it."""
    nested = step.get("pipeline")
    if isinstance(nested, dict):
        switch = {**switch, "pipeline": {**nested, "steps": [turn(held) for held in nested.get("steps", ())]}}
    return {**step, **switch} if switch else step


FAILURE_POLICIES = ("continue", "fail_fast")


class Definition(msgspec.Struct, frozen=True, omit_defaults=True):
    """A pipeline as plain values: what a run pins. `params` are the defaults, `declared` the types of those that have one.

    `on_failure`: when a step has failed for good, what does not need it goes on (`continue`), or everything else is cancelled
    (`fail_fast`). `checkpoints` are words of `CHECKPOINTS`. `tools` are for all goals, and for functions by name. `agents` are
    those that steps may name, the ones that are added at run time too.
    """

    name: str
    description: str = ""
    steps: tuple[StepDefinition, ...] = ()
    constraints: tuple[str, ...] = ()
    params: dict[str, Any] = {}
    shared: dict[str, Any] = {}
    on_failure: str = "continue"
    budget: Budget | None = None
    breaker: BreakerPolicy | None = None
    limits: Limits = {}
    declared: dict[str, Param] = {}
    checkpoints: tuple[str, ...] = ()
    config: ModelConfig = UNSET
    tools: tuple[ToolDefinition, ...] = ()
    agents: dict[str, AgentDefinition] = {}

    def pinned(self) -> Definition:
        """The definition without the hashes of functions' texts: what must not change unnoticed."""
        steps = tuple(step.pinned() for step in self.steps)
        agents = {name: agent.pinned() for name, agent in self.agents.items()}
        return msgspec.structs.replace(self, steps=steps, tools=without_source(self.tools), agents=agents)

    def tools_of(self, step: StepDefinition) -> list[ToolDefinition]:
        """The tools that a step may use: a goal the pipeline's and its own by its filter, a function the pipeline's."""
        if step.kind == "g":
            own = (one for one in step.tools if one not in self.tools)  # an agent may bring one that the pipeline has
            return kept((*self.tools, *own), step.tools_filter)
        return list(self.tools) if step.kind == "f" else []

    def walk(self, place: str = "steps") -> Iterator[tuple[str, StepDefinition]]:
        """Every step and every nested pipeline's, with its place (`steps.child.pipeline.steps.x`)."""
        return walk(self.steps, place)

    def to_json(self) -> bytes:
        """Canonical JSON text; `from_json` reads it back."""
        plain = msgspec.to_builtins(self, builtin_types=(bytes,))
        return values.encode({**plain, "steps": [_in_order(step) for step in plain.get("steps", ())]})

    def as_read(self) -> Definition:
        """The same with numbers as `from_json` reads them."""
        return msgspec.convert(msgspec.to_builtins(self, builtin_types=(bytes,)), Definition)

    @staticmethod
    def from_json(text: bytes) -> Definition:
        """The definition that `to_json` wrote."""
        plain = values.decode(text)
        return msgspec.convert({**plain, "steps": [_by_branch(step) for step in plain.get("steps", ())]}, Definition)


def walk(steps: Iterable[StepDefinition], place: str = "steps") -> Iterator[tuple[str, StepDefinition]]:
    """See `Definition.walk`."""
    for step in steps:
        yield f"{place}.{step.name}", step
        if isinstance(step.pipeline, Definition):
            yield from walk(step.pipeline.steps, f"{place}.{step.name}.pipeline.steps")
