"""What the contents of outputs come to: conditions, items, iterations, gathered groups. Pure: values in, facts out.

Stands apart from the scheduler, which knows states and no contents. A look is recorded (`step.evaluated`), so that what follows
from it follows from the log.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from engine.definition import Dep, StepDefinition
from engine.errors import ExpressionError
from engine.expressions import parse
from engine.graph import MAX_CHILDREN, Plan
from engine.joins import FAILURES, provider
from engine.reads import asks
from engine.steps import items_of
from store import values
from store.errors import ValueEncodingError
from store.events import Failure, StepCompleted, StepEvaluated, StepFailed
from store.state import RunState, StepStatus, child_of

_ENDED_SHORT = (*FAILURES, StepStatus.CANCELLED)

Seen = tuple[StepEvaluated | StepCompleted | StepFailed, bytes | None]
"""The event a look comes to, and the blob that has to be stored with it."""


def before(plan: Plan, state: RunState, name: str, names: Mapping[str, Any]) -> Seen:
    """A look at a step whose dependencies are met: whether it runs, and for which items."""
    step = plan.steps[name]
    try:
        refused = [(dep.step, why) for dep in step.depends_on if (why := _unfit(plan, state, name, dep, names))]
        if refused:
            reason = "; ".join(why for _, why in refused)
            return StepEvaluated("wait", reason, [need for need, _ in refused]), None
        if step.condition is not None and step.condition_mode == "pre" and not asks(step):
            condition = parse(step.condition)
            if not condition.holds(names):
                return StepEvaluated("skip", f"its condition does not hold: {condition.text}"), None
        if step.for_each is not None:
            return _items(step.for_each, names)
    except ExpressionError as error:
        return StepEvaluated("fail", str(error)), None
    return StepEvaluated("run", items=1 if step.while_ is not None else None), None


def _unfit(plan: Plan, state: RunState, name: str, dep: Dep, names: Mapping[str, Any]) -> str | None:
    """Why the contents of a dependency do not do; None when they do, or there are none yet."""
    if dep.type not in ("data", "validation") or dep.step in state.steps[name].refused:
        return None
    if state.steps[provider(plan, state, dep.step)].status is not StepStatus.COMPLETED:
        return None
    there = {**names, "output": names["steps"][dep.step].get("output")}
    for path in dep.paths:
        if not parse(f"exists(output{path if path.startswith('[') else f'.{path}'})").holds(there):
            return f"needs {path} of {dep.step}, which is not in its output"
    if dep.when is not None and not parse(dep.when).holds(there):
        return f"needs an output of {dep.step} for which {dep.when} holds"
    return None


def _items(for_each: str, names: Mapping[str, Any]) -> Seen:
    found = items_of(for_each).evaluate(names)
    if isinstance(found, Mapping):
        found = [{"key": key, "value": value} for key, value in found.items()]
    if not isinstance(found, list | tuple):
        return StepEvaluated("fail", f"for_each needs a list, but {for_each} is {_kind(found)}"), None
    if len(found) > MAX_CHILDREN:
        return StepEvaluated("fail", f"for_each over {len(found):,} items is more than {MAX_CHILDREN:,}; split them"), None
    try:
        payload, blob = values.pack(list(found))
    except (ValueEncodingError, RecursionError) as error:
        return StepEvaluated("fail", str(error)), None
    return StepEvaluated("run", items=len(found), values=payload), blob


def _kind(value: Any) -> str:
    if value is None:
        return "null"
    return {bool: "true or false", str: "text", int: "a number", float: "a number"}.get(type(value), f"a {type(value).__name__}")


def after(plan: Plan, state: RunState, name: str, texts: Sequence[bytes | None], names: Mapping[str, Any]) -> Seen:
    """A look at a group whose children have all settled. `texts` are their outputs in order, None where there is none."""
    step, items = plan.steps[name], state.steps[name].items or 0
    if step.while_ is not None:
        return _iterated(state, step, name, items, texts[-1], names)
    failed = [index for index in range(items) if state.steps[child_of(name, index)].status in _ENDED_SHORT]
    if failed and step.item_failures == "fail":
        first = state.steps[child_of(name, failed[0])]
        more = f" (and {len(failed) - 1} more)" if len(failed) > 1 else ""
        return StepFailed(Failure("items", f"{child_of(name, failed[0])}: {first.reason or 'failed'}{more}", retryable=False)), None
    payload, blob = values.pack_json(b"[" + b",".join(text if text is not None else b"null" for text in texts) + b"]")
    return StepCompleted(payload), blob


def _iterated(state: RunState, step: StepDefinition, name: str, items: int, text: bytes | None, names: Mapping[str, Any]) -> Seen:
    last = state.steps[child_of(name, items - 1)]
    if last.status in _ENDED_SHORT:
        return StepFailed(Failure("items", f"{child_of(name, items - 1)}: {last.reason or 'failed'}", retryable=False)), None
    output = values.decode(text) if text is not None else None
    try:
        again = step.while_ is not None and parse(step.while_).holds({**names, "output": output, "iteration": items})
    except ExpressionError as error:
        return StepFailed(Failure("condition", str(error), retryable=False)), None
    if again and items >= step.max_iterations:
        said = f"{step.while_} still holds after {items} iterations; raise max_iterations or mend the condition"
        return StepFailed(Failure("loop", said, retryable=False)), None
    if again:
        return StepEvaluated("run", items=items + 1), None
    payload, blob = values.pack_json(text if text is not None else b"null")
    return StepCompleted(payload), blob
