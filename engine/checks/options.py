"""The numbers and words of a step's options, and which of them go together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from engine.checks.conditions import has_body
from engine.definition import ACTIONS, CHECKPOINT_NAME, Approval, Budget, ExecutionMode
from engine.errors import Problem, suggestion
from engine.model_config import problems_of_config
from engine.models.schemas import schema_of
from engine.policies import BreakerPolicy, RetryPolicy, problems_of, problems_of_breaker, problems_of_limits
from engine.steps import PipelineStep, encodable

MAX_ITERATIONS = 100_000
MAX_CONCURRENT = 10_000
MAX_TURNS = 10_000


def of_options(step: PipelineStep, where: str) -> Iterator[Problem]:
    """What is wrong with a step's options, each by itself and together."""
    yield from of_unfit(step.unfit, f"{where}.")
    yield from _mode(step, where)
    yield from _tries(step, where)
    yield from of_asking(step, where)
    for constraint in step.constraints:
        if not isinstance(constraint, str):
            yield Problem(f"{where}.constraints", f"{constraint!r} is not text")
    if step.params and step.pipeline is None:
        yield Problem(f"{where}.params", "are given to a step that runs no pipeline; remove them")
    if not isinstance(step.params, Mapping):
        yield Problem(f"{where}.params", f"is {step.params!r}; give a mapping of names to values")
    for key, value in step.params.items() if isinstance(step.params, Mapping) else ():
        if not isinstance(key, str) or (why := encodable(value)):
            yield Problem(f"{where}.params.{key}", f"{key!r} is not text" if not isinstance(key, str) else str(why))
    if step.output_schema is not None:
        try:
            schema_of(step.output_schema)
        except Exception as error:  # a schema comes from the user's own classes, which may raise anything
            yield Problem(f"{where}.output_schema", f"cannot be read as a schema ({error}); give a pydantic model or a JSON Schema")
    yield from _condition(step, where)
    yield from _loops(step, where)
    yield from _approval(step.approval, f"{where}.approval")
    if not isinstance(step.checkpoint, bool) and (why := of_checkpoint(step.checkpoint)):
        yield Problem(f"{where}.checkpoint", why)
    for message in of_budget(step.budget):
        yield Problem(f"{where}.budget", message)


def of_asking(said: Any, where: str) -> Iterator[Problem]:
    """What is wrong with how a step or an agent has models asked."""
    if said.model is not None and not (isinstance(said.model, str) and said.model):
        yield Problem(f"{where}.model", f"is {said.model!r}; give the name of a model")
    for name in said.fallback_models:
        if not isinstance(name, str) or not name:
            yield Problem(f"{where}.fallback_models", f"{name!r} is not the name of a model")
    yield from of_config(said.config, f"{where}.config")
    if said.system is not None and not (isinstance(said.system, str) and said.system.strip()):
        yield Problem(f"{where}.system", f"is {said.system!r}; give text that the model is told")
    elif said.system is not None and "${{" in said.system:
        yield Problem(f"{where}.system", "is told as it stands; put ${{ ... }} into the goal, where it is filled in")
    most = said.max_turns
    if most is not None and not (_whole(most) and 1 <= most <= MAX_TURNS):
        yield Problem(f"{where}.max_turns", f"is {most!r}; give 1 to {MAX_TURNS}")


def of_unfit(unfit: Mapping[str, Any], before: str) -> Iterator[Problem]:
    """What was given where a mapping of names belongs, and is none."""
    for name, value in unfit.items():
        yield Problem(f"{before}{name}", f"is {value!r}; give a mapping of names, or leave it out")


def of_checkpoint(name: Any) -> str | None:
    """What is wrong with the name of a checkpoint."""
    if isinstance(name, str) and CHECKPOINT_NAME.fullmatch(name):
        return None
    return f"is {name!r}; give True or a name: a letter, then letters, digits, spaces, '_', '-' or '.', at most 100"


def of_budget(budget: Any) -> list[str]:
    """What is wrong with a budget, a sentence each."""
    if budget is None:
        return []
    if not isinstance(budget, Budget):
        return [f"is {budget!r}; give US dollars or Budget(...)"]
    found = []
    limits = {name: getattr(budget, name) for name in ("cost", "tokens", "calls", "seconds")}
    for name, limit in limits.items():
        whole = name in ("tokens", "calls")
        if limit is not None and not (_number(limit) and 0 < limit < 1e15 and (not whole or isinstance(limit, int))):
            found.append(f"has the {name} {limit!r}; give a {'whole ' if whole else ''}number greater than 0")
    if all(limit is None for limit in limits.values()):
        found.append(f"limits nothing; give one of {', '.join(limits)}")
    if budget.action not in ACTIONS:
        found.append(f"has the action {budget.action!r}; use {_or(ACTIONS)}{suggestion(str(budget.action), ACTIONS)}")
    return found


def of_calls(breaker: Any, limits: Any) -> Iterator[Problem]:
    """What is wrong with the rules around models and tools."""
    if breaker is not None and not isinstance(breaker, BreakerPolicy):
        yield Problem("breaker", f"is {breaker!r}; give BreakerPolicy(failures=5, seconds=60)")
    elif breaker is not None:
        yield from (Problem("breaker", message) for message in problems_of_breaker(breaker))
    for place, message in problems_of_limits(limits or {}):
        yield Problem(f"limits.{place}".rstrip("."), message)


def of_config(config: Any, where: str) -> Iterator[Problem]:
    """What is wrong with how models are to be asked."""
    for place, message in problems_of_config(config):
        yield Problem(f"{where}.{place}".rstrip("."), message)


def _mode(step: PipelineStep, where: str) -> Iterator[Problem]:
    modes = [mode.value for mode in ExecutionMode]
    mode = step.execution_mode
    if not isinstance(mode, ExecutionMode) and mode not in modes:
        yield Problem(f"{where}.execution_mode", f"is {mode!r}; use {_or(modes)}{suggestion(str(mode), modes)}")
    elif ExecutionMode(mode) is ExecutionMode.CONDITIONAL and step.condition is None and step.switch is None:
        yield Problem(f"{where}.execution_mode", "is conditional, but there is no condition; add condition=... or switch=...")
    yield from of_word(step.skip, ("settle", "propagate"), f"{where}.skip")
    for name in ("irreversible", "final", "enabled"):
        if not isinstance(getattr(step, name), bool):
            yield Problem(f"{where}.{name}", f"is {getattr(step, name)!r}; give True or False")


def _tries(step: PipelineStep, where: str) -> Iterator[Problem]:
    retry: Any = step.retry
    for name in ("timeout", "total_timeout"):
        seconds = getattr(step, name)
        if seconds is not None and not is_seconds(seconds):
            yield Problem(f"{where}.{name}", f"is {seconds!r}; give seconds greater than 0")
    if step.max_retries is not None and not _whole(step.max_retries):
        yield Problem(f"{where}.max_retries", f"is {step.max_retries!r}; give a whole number")
    elif retry is not None and not isinstance(retry, RetryPolicy):
        yield Problem(f"{where}.retry", f"is {retry!r}; give RetryPolicy(...)")
    else:
        for message in problems_of(step.policy()):
            yield Problem(f"{where}.retry", message)


def _condition(step: PipelineStep, where: str) -> Iterator[Problem]:
    yield from of_word(step.condition_mode, ("pre", "post"), f"{where}.condition_mode")
    if step.condition_mode == "post":
        if step.condition is None:
            yield Problem(f"{where}.condition_mode", "is 'post', but there is no condition; add condition=...")
        elif not has_body(step):
            yield Problem(f"{where}.condition_mode", "is 'post', but the step has no output to judge; use 'pre'")


def _loops(step: PipelineStep, where: str) -> Iterator[Problem]:
    if step.for_each is not None and step.while_ is not None:
        yield Problem(where, "has both for_each and while_; keep one, or put the other into a step of its own")
    most: Any = step.max_concurrent
    if most is not None:
        if step.for_each is None:
            yield Problem(f"{where}.max_concurrent", "is for the items of for_each; add that, or remove it")
        elif not _whole(most) or not 1 <= most <= MAX_CONCURRENT:
            yield Problem(f"{where}.max_concurrent", f"is {most!r}; give 1 to {MAX_CONCURRENT}")
    if not _whole(step.max_iterations) or not 1 <= step.max_iterations <= MAX_ITERATIONS:
        yield Problem(f"{where}.max_iterations", f"is {step.max_iterations!r}; give 1 to {MAX_ITERATIONS}")
    yield from of_word(step.item_failures, ("fail", "keep"), f"{where}.item_failures")
    if step.item_failures == "keep" and step.for_each is None:
        yield Problem(f"{where}.item_failures", "is for the items of for_each; add that, or remove it")


def _approval(approval: Any, where: str) -> Iterator[Problem]:
    if approval is None:
        return
    if not isinstance(approval, Approval):
        yield Problem(where, f"is {approval!r}; give True, a message or Approval(...)")
        return
    message: Any = approval.message
    if not isinstance(message, str):
        yield Problem(where, f"has the message {message!r}; give text")
    if approval.timeout is not None and not is_seconds(approval.timeout):
        yield Problem(where, f"has the timeout {approval.timeout!r}; give seconds greater than 0")
    if approval.default not in ("approve", "reject"):
        near = suggestion(str(approval.default), ("approve", "reject"))
        yield Problem(where, f"has the default {approval.default!r}; use approve or reject{near}")


def of_word(value: Any, words: Sequence[str], where: str) -> Iterator[Problem]:
    """What is wrong with one of a few words."""
    if value not in words:
        yield Problem(where, f"is {value!r}; use {_or(words)}{suggestion(str(value), words)}")


def _or(words: Sequence[str]) -> str:
    return f"{', '.join(words[:-1])} or {words[-1]}"


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def is_seconds(value: Any) -> bool:
    """Whether a value is a time that something may take."""
    return _number(value) and 0 < value < 1e9
