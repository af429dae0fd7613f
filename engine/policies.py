"""When to try again: a policy returns a decision, the scheduler records it, the runtime obeys.

Stands apart so that the decision is a pure function: the jitter comes from a hash of the run's seed, the step and the attempt, so a
run decided again decides the same.
"""

from __future__ import annotations

import hashlib

import msgspec

BACKOFFS = ("exponential", "linear", "fixed")


class RetryPolicy(msgspec.Struct, frozen=True, omit_defaults=True):
    """How often and how far apart a step is tried again.

    `max_retries` N means N + 1 attempts. The wait before retry k (from 1) is `delay` times `factor`^(k-1) (exponential), times k
    (linear) or `delay` (fixed), at most `max_delay`, all in seconds; `jitter` is the share of it spread at random, reproducibly.
    A failure that says when to come back (Retry-After) is not asked earlier.
    """

    max_retries: int = 3
    backoff: str = "exponential"
    delay: float = 1.0
    factor: float = 2.0
    max_delay: float = 60.0
    jitter: float = 0.1


class Retry(msgspec.Struct, frozen=True):
    """Try again after `delay` seconds."""

    delay: float


class GiveUp(msgspec.Struct, frozen=True):
    """Do not try again; `reason` is why."""

    reason: str


def decide_retry(
    policy: RetryPolicy, *, tried: int, retryable: bool, retry_after: float | None, seed: int, path: str, attempt: int
) -> Retry | GiveUp:
    """What follows the failure of a step's `tried`-th attempt since it was last reset (`attempt` is its number in the run)."""
    if not retryable:
        return GiveUp("the failure would be the same again")
    if tried > policy.max_retries:
        return GiveUp("no retries left")
    delay = policy.delay
    if policy.backoff == "exponential":
        delay = policy.delay * _power(policy.factor, tried - 1)
    elif policy.backoff == "linear":
        delay = policy.delay * tried
    delay = min(delay, policy.max_delay)
    delay *= 1.0 + policy.jitter * (2.0 * fraction(seed, path, attempt) - 1.0)
    return Retry(max(delay, retry_after or 0.0, 0.0))


def _power(factor: float, exponent: int) -> float:
    """`factor` to the `exponent`, at most 1e9: beyond lies `max_delay` for any delay that matters, and then the float's end."""
    try:
        return min(factor**exponent, 1e9)
    except OverflowError:
        return 1e9


def fraction(seed: int, path: str, attempt: int) -> float:
    """A reproducible number in [0, 1) for a run's seed, a step path and an attempt."""
    text = f"{seed}/{path}/{attempt}".encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.sha256(text).digest()[:6], "big") / 2**48


def problems_of(policy: RetryPolicy) -> list[str]:
    """What is wrong with a policy's numbers, a sentence each."""
    found = []
    if type(policy.max_retries) is not int or not 0 <= policy.max_retries <= 1_000:
        found.append(f"max_retries is {policy.max_retries!r}; give 0 to 1000")
    if policy.backoff not in BACKOFFS:
        found.append(f"backoff is {policy.backoff!r}; give one of {', '.join(BACKOFFS)}")
    for name in ("delay", "factor", "max_delay"):
        value = getattr(policy, name)
        if not _within(value, 1e9) or value == 1e9:
            found.append(f"{name} is {value!r}; give a number from 0 up")
    if not _within(policy.jitter, 1.0):
        found.append(f"jitter is {policy.jitter!r}; give a share from 0 to 1")
    return found


def _within(value: object, most: float) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= most
