"""The fields a pipeline file may have: the one list that reading, writing and the published schema are made of.

Stands apart from `files.py` as the list of a file's words: a field added to `PipelineStep` is added here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from engine.agents import Agent
from engine.definition import (
    ACTIONS,
    CHECKPOINT_NAME,
    CHECKPOINTS,
    FAILURE_POLICIES,
    MERGES,
    OTHERWISE,
    Approval,
    Budget,
    Dep,
    DependencyType,
    ExecutionMode,
)
from engine.documents import Node
from engine.kinds import (
    ANY,
    CONDITION,
    FLAG,
    FUNCTION,
    LIST,
    NUMBER,
    OBJECT,
    REFERENCE,
    SECONDS,
    STEP_NAME,
    TEXT,
    WHOLE,
    Field,
    FunctionName,
    Kind,
    WrongError,
    either,
    named,
    one_or_many,
    record,
    said,
    word,
)
from engine.model_config import ModelConfig
from engine.params import WORDS, Param
from engine.policies import BACKOFFS, LIMITED, BreakerPolicy, Limit, RetryPolicy


def _dependency(node: Node) -> str | Dep:
    if not isinstance(node.value, str | dict):
        raise WrongError(f"has {said(node)}; write a step's name, or step: and type:")
    return _DEPENDENCY.read(node)  # type: ignore[no-any-return]


def _approval(node: Node) -> Any:
    if not isinstance(node.value, bool | str):
        raise WrongError(f"is {said(node)}; write true, a message, or a mapping with message:, timeout: or default:")
    return node.value


def _checkpoint(node: Node) -> bool | str:
    if not isinstance(node.value, bool | str):
        raise WrongError(f"is {said(node)}; write true or a name")
    return node.value


def _join(node: Node) -> str | int:
    if isinstance(node.value, bool) or not isinstance(node.value, str | int):
        raise WrongError(f"is {said(node)}; write all, any, first or a number")
    return node.value


def _merge(node: Node) -> str | FunctionName:
    text = TEXT.read(node)
    if text in MERGES:
        return str(text)
    if not REFERENCE.fullmatch(text):
        raise WrongError(f"is {text[:80]!r}, which is no way to merge; write {', '.join(MERGES)} or module:function")
    return FunctionName(text)


def _steps(node: Node) -> list[Node]:
    if not isinstance(node.value, list):
        raise WrongError(f"is {said(node)}; write a list of '- name: ...'")
    return node.value


def is_declaration(keys: Mapping[str, Any], kind: object) -> bool:
    """Whether a mapping below `params` declares a param: it has a type that we know, or a type and no words but ours."""
    return isinstance(kind, str) and (kind in WORDS or all(key in PARAM for key in keys))


def _pipeline(node: Node) -> str | Node:
    """A word by which a pipeline is found, or the mapping that is one, which the reader of files reads."""
    if isinstance(node.value, dict):
        return node
    if not isinstance(node.value, str):
        raise WrongError(f"is {said(node)}; write self, module:name, a file, or a mapping with steps:")
    return node.value


def _param(node: Node) -> Any:
    if isinstance(node.value, dict) and "type" in node.value and is_declaration(node.value, node.value["type"].value):
        return _DECLARED.read(node)
    return node.plain()


def _write_param(value: Any) -> Any:
    """A declaration, or a default; one that looks like a declaration is written as the default of a param of any type."""
    if isinstance(value, Param):
        default = {} if value.required else {"default": value.default}
        bare = msgspec.structs.replace(value, default=msgspec.UNSET)
        return {"type": value.type, **_DECLARED.write(bare), **default}
    if isinstance(value, dict) and "type" in value and is_declaration(value, value["type"]):
        return {"type": "any", "default": value}
    return value


RETRY: dict[str, Field] = {
    "max_retries": Field(WHOLE.limited(minimum=0, maximum=1000), "Tries after the first."),
    "backoff": Field(word(*BACKOFFS), "How the wait grows from try to try."),
    "delay": Field(NUMBER.limited(minimum=0), "Seconds before the first retry."),
    "factor": Field(NUMBER.limited(minimum=0), "What the wait is multiplied by (exponential)."),
    "max_delay": Field(NUMBER.limited(minimum=0), "Seconds that a wait has at most."),
    "jitter": Field(NUMBER.limited(minimum=0, maximum=1), "The share of a wait that is spread at random."),
    "on": Field(one_or_many(TEXT), "The only failures that are tried again: kinds or exception classes."),
    "never": Field(one_or_many(TEXT), "Failures that are not tried again: kinds or exception classes."),
}
BREAKER: dict[str, Field] = {
    "failures": Field(WHOLE.limited(minimum=0, maximum=1000), "Failures in a row after which it is left alone (0: never)."),
    "seconds": Field(NUMBER.limited(minimum=0), "How long it is left alone."),
}
LIMIT: dict[str, Field] = {
    "concurrent": Field(WHOLE.limited(minimum=1), "Calls at a time."),
    "per_minute": Field(WHOLE.limited(minimum=1), "Calls begun in any 60 seconds."),
}
CONFIG: dict[str, Field] = {
    "temperature": Field(NUMBER.limited(minimum=0, maximum=2), "How freely the model chooses its words."),
    "top_p": Field(NUMBER.limited(minimum=0, maximum=1), "The share of likely words it chooses from."),
    "max_tokens": Field(WHOLE.limited(minimum=1), "The longest answer."),
    "stop": Field(one_or_many(TEXT.limited(minLength=1)), "Texts at which it stops."),
    "reasoning_effort": Field(TEXT.limited(minLength=1), "How long it thinks, in the provider's word."),
    "model_timeout": Field(SECONDS, "Seconds that one call may take."),
    "model_params": Field(OBJECT, "What else the provider knows, by its own names."),
}
ASKING: dict[str, Field] = {
    "model": Field(TEXT, "The model that is asked."),
    "fallback_models": Field(one_or_many(TEXT), "Models that are asked in turn where the model cannot answer."),
    "system": Field(TEXT.limited(minLength=1), "What the model is told before all else."),
    "max_turns": Field(WHOLE.limited(minimum=1, maximum=10_000), "How often it is asked in one attempt that calls tools."),
}
DEPENDENCY: dict[str, Field] = {
    "step": Field(TEXT, "The step it depends on."),
    "type": Field(word(*(kind.value for kind in DependencyType)), "What is asked of that step."),
    "paths": Field(one_or_many(TEXT), "Paths its output must have (data), such as items[0].url."),
    "when": Field(CONDITION, "What must hold of its output (validation)."),
    "wait": Field(FLAG, "false: start with what it has published so far (soft)."),
}
APPROVAL: dict[str, Field] = {
    "message": Field(TEXT, "What the person is asked."),
    "timeout": Field(SECONDS, "Seconds after which the default holds."),
    "default": Field(word("approve", "reject"), "The answer when nobody answers in time."),
}
BUDGET: dict[str, Field] = {
    "cost": Field(NUMBER.limited(exclusiveMinimum=0), "US dollars."),
    "tokens": Field(WHOLE.limited(minimum=1), "Tokens of all model calls."),
    "calls": Field(WHOLE.limited(minimum=1), "Model calls."),
    "seconds": Field(NUMBER.limited(exclusiveMinimum=0), "Seconds since the beginning."),
    "action": Field(word(*ACTIONS), "What follows when one is used up."),
}
PARAM: dict[str, Field] = {
    "type": Field(word(*WORDS), "What it may be given."),
    "default": Field(ANY, "What is used if it is not given; without it, it has to be."),
    "description": Field(TEXT, "What it is for."),
    "choices": Field(LIST, "The only values allowed."),
    "minimum": Field(NUMBER, "The least number."),
    "maximum": Field(NUMBER, "The greatest number."),
}


def _config(**fields: Any) -> ModelConfig:
    return ModelConfig(**{**fields, "stop": tuple(fields["stop"])} if "stop" in fields else fields)


def _declared(**fields: Any) -> Param:
    return Param(**{**fields, "choices": tuple(fields["choices"])} if "choices" in fields else fields)


_DEPENDENCY = either(TEXT._replace(write=lambda dep: dep.step), record(Dep, DEPENDENCY, "step"), lambda dep: dep == Dep(dep.step))
_DECLARED = record(_declared, PARAM, "type")
_APPROVAL = either(
    Kind(_approval, {"type": ["boolean", "string"]}, lambda approval: approval.message or True),
    record(Approval, APPROVAL),
    lambda approval: approval == Approval(approval.message),
)
_BUDGET = either(
    NUMBER.limited(exclusiveMinimum=0)._replace(write=lambda budget: budget.cost),
    record(Budget, BUDGET).limited(minProperties=1),
    lambda budget: budget == Budget(budget.cost) and budget.cost is not None,
)
_CONFIG = record(_config, CONFIG)
_TOOLS = one_or_many(FUNCTION)._replace(write=lambda tools: [one.run for one in tools])
AGENT: dict[str, Field] = {
    **ASKING,
    "config": Field(_CONFIG, "How the model is asked."),
    "tools": Field(_TOOLS, "Functions that it may call besides the pipeline's and the step's, module:function."),
    "tools_filter": Field(one_or_many(TEXT), "The only ones of the pipeline's and its own that it may call, by name or pattern."),
    "timeout": Field(SECONDS, "Seconds for one attempt."),
    "budget": Field(_BUDGET, "The most a step of it may use: US dollars, or a mapping."),
}
_BREAKER = record(BreakerPolicy, BREAKER)
_LIMITED = named(record(Limit, LIMIT))
_LIMITS = record(dict, {group: Field(_LIMITED, f"By the names of {group}.") for group in LIMITED})
_LIMITS = _LIMITS._replace(write=lambda limits: {group: _LIMITED.write(held) for group, held in limits.items()})
_PIPELINE = Kind(_pipeline, {"anyOf": [{"type": "string", "minLength": 1}, {"$ref": "#/$defs/nested"}]})
_MERGE = Kind(_merge, {"anyOf": [{"enum": list(MERGES)}, FUNCTION.schema]})
_JOIN = Kind(_join, {"anyOf": [{"enum": ["all", "any", "first"]}, {"type": "integer", "minimum": 1}]})
_CHECKPOINT = Kind(_checkpoint, {"anyOf": [{"type": "boolean"}, {"type": "string", "pattern": f"^{CHECKPOINT_NAME.pattern}$"}]})
_SWITCH = named(CONDITION, minProperties=1)
_PARAMS = named(
    Kind(
        _param,
        {
            "if": {"type": "object", "properties": {"type": {"enum": list(WORDS)}}, "required": ["type"]},
            "then": _DECLARED.schema,
        },
        _write_param,
    )
)

PIPELINE: dict[str, Field] = {
    "name": Field(STEP_NAME._replace(read=TEXT.read), "The pipeline's name."),
    "description": Field(TEXT, "What it is for; goal steps are told."),
    "params": Field(_PARAMS, "What a run may be given: a default each, or a mapping with a type."),
    "constraints": Field(one_or_many(TEXT), "Rules that every goal step is told."),
    "shared": Field(OBJECT, "Values that every step can read."),
    "on_failure": Field(word(*FAILURE_POLICIES), "When a step has failed for good: go on with the rest, or stop it."),
    "budget": Field(_BUDGET, "The most a run may use: US dollars, or a mapping."),
    "breaker": Field(_BREAKER, "When a model or tool that fails again and again is left alone."),
    "limits": Field(_LIMITS, "How much of models and tools all drivers of a store use together."),
    "config": Field(_CONFIG, "How models are asked, where a step does not say it."),
    "checkpoints": Field(one_or_many(word(*CHECKPOINTS)), "Where runs make checkpoints by themselves."),
    "tools": Field(_TOOLS, "Functions that the models of goals may call, module:function."),
    "agents": Field(named(record(Agent, AGENT)), "Who carries out goals, by name: model, system, tools, limits."),
    "steps": Field(Kind(_steps, {"type": "array", "minItems": 1, "items": {"$ref": "#/$defs/step"}}), "The steps."),
}
STEP: dict[str, Field] = {
    "name": Field(STEP_NAME, "The step's name."),
    "goal": Field(TEXT.limited(minLength=1), "What a model should achieve; ${{ ... }} fills in values."),
    "run": Field(FUNCTION, "A Python function, module:function."),
    "pipeline": Field(_PIPELINE, "Another pipeline, run as a child: self, module:name, a file, or a mapping with steps."),
    "params": Field(OBJECT, "What the child run is given; ${{ ... }} fills in values."),
    "depends_on": Field(
        one_or_many(Kind(_dependency, _DEPENDENCY.schema, _DEPENDENCY.write)), "The steps that have to end before it starts."
    ),
    "join": Field(_JOIN, "How many of them it waits for: all, any, first (the rest is cancelled) or a number."),
    "execution_mode": Field(
        word(*(mode.value for mode in ExecutionMode))._replace(write=lambda mode: mode.value), "How it runs beside others."
    ),
    "condition": Field(CONDITION, "It runs only if this holds (or, post: its output counts only if this holds)."),
    "condition_mode": Field(word("pre", "post"), "When the condition is asked: before it runs, or of its output."),
    "skip": Field(word("settle", "propagate"), "Whether what depends on it runs when its condition does not hold."),
    "for_each": Field(TEXT, "An expression; the step runs once for each of its items, given as `item`."),
    "max_concurrent": Field(WHOLE.limited(minimum=1, maximum=10_000), "Items that run at once."),
    "item_failures": Field(word("fail", "keep"), "Whether a failed item fails the step."),
    "while": Field(CONDITION, "It runs again while this holds; `output` is the last one, `iteration` the count."),
    "max_iterations": Field(WHOLE.limited(minimum=1, maximum=100_000), "The most times it runs."),
    "switch": Field(_SWITCH, f"Branches and their conditions; the first that holds is run, else the one that says {OTHERWISE}."),
    "merge": Field(_MERGE, "How a parallel_merge step merges: list, dict, deep, model or a function of the outputs."),
    "fallback": Field(TEXT, "The step that stands in for this one if it fails."),
    "compensate": Field(FUNCTION, "A Python function that undoes the step if the run fails later."),
    "approval": Field(_APPROVAL, "A person has to approve before it starts: true, a message, or a mapping."),
    "budget": Field(_BUDGET, "The most the step may use: US dollars, or a mapping."),
    "read_data": Field(one_or_many(TEXT), "Paths of more values it is given, such as steps.search.output.links."),
    "enabled": Field(FLAG, "false: it is skipped unless a step enables it."),
    "constraints": Field(one_or_many(TEXT), "Rules that this step's model is told."),
    "timeout": Field(SECONDS, "Seconds for one attempt."),
    "total_timeout": Field(SECONDS, "Seconds for all attempts and the waits between, from the first start."),
    "max_retries": Field(WHOLE.limited(minimum=0, maximum=1000), "Tries after the first."),
    "retry": Field(record(RetryPolicy, RETRY), "How often and how far apart it is tried again."),
    "output_schema": Field(OBJECT, "The JSON Schema that its output has to fit."),
    "agent": Field(TEXT, "Who carries it out: an agent of the pipeline, whose model, tools and so on stand where this says none."),
    **ASKING,
    "config": Field(_CONFIG, "How models are asked."),
    "irreversible": Field(FLAG, "It must never run twice unasked."),
    "final": Field(FLAG, "Its output is the result of the run."),
    "checkpoint": Field(_CHECKPOINT, "A checkpoint when it has completed: true, or its name."),
    "tools": Field(_TOOLS, "Functions that the model of this goal may call besides the pipeline's, module:function."),
    "tools_filter": Field(one_or_many(TEXT), "The only tools it may call, by name or pattern such as web_*; an empty list: none."),
}
BODIES = ("goal", "run", "pipeline", "switch")
"""Fields of which a step that does not merge has one."""
FUNCTIONS = ("run", "merge", "compensate")
"""Fields that may name a function."""


def attribute(key: str) -> str:
    """The name in Python of a field: `while` is a word of the language there."""
    return "while_" if key == "while" else key
