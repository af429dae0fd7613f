"""Whether a failed step is tried again, by its policy and what its attempts came to. Pure.

Stands apart from the scheduler because checkpoints ask it too: what failed for good is a place to mark.
"""

from __future__ import annotations

from engine.graph import Plan
from engine.policies import Retry, decide_retry, seconds_left
from store.state import RunState


def retry_of(plan: Plan, state: RunState, path: str, now: float) -> Retry | None:
    """The retry that follows a step's failure, None where it failed for good."""
    step, definition = state.steps[path], plan.step_of(path)
    verdict = decide_retry(
        definition.retry,
        tried=step.attempt - step.first_attempt + 1 - step.spared,
        retryable=step.retryable,
        retry_after=step.retry_after,
        seed=state.seed,
        path=path,
        attempt=step.attempt,
        kind=step.failure_kind or "error",
        classes=step.failure_classes,
        left=seconds_left(definition.total_timeout, step.first_started_at, now),
    )
    return verdict if isinstance(verdict, Retry) else None
