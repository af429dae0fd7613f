"""What a run or a step may use, and what follows when it is used up: decisions as values. Pure.

Stands apart because budgets are read off the state alone: what was used is folded from the outcomes, so that a run that is resumed,
forked or looked at later comes to the same. A budget is noticed after the outcome that used it up; what is under way is let finish.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from engine.definition import Budget, Definition
from engine.graph import base_of
from store.events import BudgetReached, BudgetSet
from store.state import RunState, RunStatus, StepState, children_of

WHATS = ("cost", "tokens", "calls", "seconds")
_USED_UP = "the budget of "
_ROUNDED = 1e-6
"""Clock times have 2e-7 s of rounding in them."""
_UNITS = {"cost": "${:g}", "tokens": "{:,.0f} tokens", "calls": "{:,.0f} calls", "seconds": "{:g} s"}


def breach(budgets: Mapping[str, Budget], state: RunState, now: float) -> BudgetReached | None:
    """The next budget that is used up and not recorded as such."""
    for scope, what, limit, action in _limits(budgets, state):
        if f"{scope}:{what}" in state.reached:
            continue
        used = _used(state, scope, what, now)
        if used is not None and used >= limit:
            return BudgetReached(scope, what, limit, used, action)
    return None


def over(budgets: Mapping[str, Budget], state: RunState) -> str | None:
    """Why the run fails, if a budget that says so is used up."""
    if not state.reached:
        return None
    for scope, what, limit, action in _limits(budgets, state):
        if action == "fail" and f"{scope}:{what}" in state.reached:
            return f"{_USED_UP}{said(what, limit)}{f' of {scope}' if scope else ''} is used up"
    return None


def failed_of_one(state: RunState) -> bool:
    """Whether a run failed because a budget was used up, whatever that made of its steps."""
    return state.status is RunStatus.FAILED and bool(state.reached) and (state.reason or "").startswith(_USED_UP)


def allowance(
    budgets: Mapping[str, Budget], state: RunState, path: str, own: Budget | None, now: float, child: RunState | None = None
) -> BudgetSet | None:
    """What a child run called at `path` may use in all: what it used, and what is left of the budgets around it; None if any.

    It may use no more than its own. What live children use is counted in the caller's state as they use it.
    """
    left: dict[str, float] = {}
    actions = set()
    for scope, what, limit, action in _limits(budgets, state):
        if action != "warn" and scope in ("", base_of(path)):
            had = 0.0 if child is None else _used(child, "", what, now) or 0.0
            rest = had + max(limit - (_used(state, scope, what, now) or 0.0), 0.0)
            left[what] = min(rest, left.get(what, rest), getattr(own, what, None) or rest)
            actions.add(action)
    if not left:
        return None
    return _set(left, "fail" if "fail" in actions else "pause")


def raises(allowed: BudgetSet | None, child: RunState) -> dict[str, float]:
    """The limits of a child run that an allowance raises; what its own rounding adds to a sum is no more than there was."""
    found = ((what, getattr(allowed, what, None)) for what in WHATS)
    return {what: limit for what, limit in found if limit and limit > child.budget.get(what, limit) * (1 + _ROUNDED)}


def held(budgets: Mapping[str, Budget], state: RunState, path: str, child: RunState, now: float) -> BudgetSet | None:
    """What a child run at `path` may use where a budget around it is used up: no more than it did; None where none is.

    A step's budget that paused the run, which somebody let go on since, holds nothing any more.
    """
    used, actions = dict[str, float](), set[str]()
    for scope, what, _, action in _limits(budgets, state):
        stops = action == "fail" or (action == "pause" and state.pausing)
        if stops and scope in ("", base_of(path)) and f"{scope}:{what}" in state.reached and f":{what}" not in child.reached:
            used[what] = _used(child, "", what, now) or 0.0
            actions.add(action)
    return _set(used, "fail" if "fail" in actions else "pause") if used else None


def around(definition: Definition) -> dict[str, Budget]:
    """A pipeline's budgets by scope: the step, or empty for the run."""
    found = {step.name: step.budget for step in definition.steps if step.budget is not None}
    return found if definition.budget is None else {**found, "": definition.budget}


def _set(limits: Mapping[str, float], action: str) -> BudgetSet:
    tokens, calls = (int(limits[what]) if what in limits else None for what in ("tokens", "calls"))
    return BudgetSet(limits.get("cost"), tokens, calls, limits.get("seconds"), action)


def next_deadline(budgets: Mapping[str, Budget], state: RunState) -> float | None:
    """When the run's time is used up, in unix seconds."""
    times = [limit for scope, what, limit, _ in _limits(budgets, state) if what == "seconds" and not scope]
    return state.created_at + state.away + times[0] if times and ":seconds" not in state.reached else None


def said(what: str, limit: float) -> str:
    """A limit as text: `$0.5`, `12,000 tokens`."""
    return _UNITS[what].format(limit)


def _limits(budgets: Mapping[str, Budget], state: RunState) -> Iterator[tuple[str, str, float, str]]:
    """(scope, what, limit, action); what somebody set anew for the run stands above its definition."""
    whole = budgets.get("")
    for what in WHATS:
        limit = state.budget.get(what, getattr(whole, what, None))
        if limit is not None:
            yield "", what, limit, state.budget_action or (whole.action if whole is not None else "pause")
    for scope, budget in budgets.items():
        if scope:
            for what in WHATS:
                if (limit := getattr(budget, what)) is not None:
                    yield scope, what, limit, budget.action


def _used(state: RunState, scope: str, what: str, now: float) -> float | None:
    if not scope:
        return now - state.created_at - state.away if what == "seconds" else float(getattr(state, what))
    step = state.steps.get(scope)
    if step is None:
        return None
    if what == "seconds":
        began = step.first_started_at
        return None if began is None or step.status.settled else now - began
    return float(sum(_of(spender, what) for spender in _spenders(state, scope, step)))


def _spenders(state: RunState, scope: str, step: StepState) -> Iterator[StepState]:
    yield step
    for path in children_of(state, scope):
        yield state.steps[path]


def _of(step: StepState, what: str) -> float:
    return step.prompt_tokens + step.completion_tokens if what == "tokens" else float(getattr(step, what))
