"""When to try again: a policy returns a decision, the scheduler records it, the runtime obeys.

Stands apart so that the decision is a pure function: the jitter comes from a hash of the run's seed, the step and the attempt, so a
run decided again decides the same.
"""

from __future__ import annotations

import difflib
import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

BACKOFFS = ("exponential", "linear", "fixed")

MODEL_KINDS = (
    "auth", "rate_limit", "timeout", "unavailable", "bad_request", "context_window", "unknown_model", "bad_reply",
)  # fmt: skip
"""What `model.` stands before in the kinds of a model's failures; a test compares them with `ModelErrorKind`."""
KINDS = ("error", "output", "effect", "unrecorded", "circuit", "model", *MODEL_KINDS)
"""The words for kinds of failures that retry rules may use; all others are names of exception classes."""

_COMPOUND = frozenset(kind for kind in KINDS if "_" in kind)

_RULE = re.compile(r"[^\W\d]\w*(?:\.[^\W\d]\w*)*")


class RetryPolicy(msgspec.Struct, frozen=True, omit_defaults=True):
    """How often and how far apart a step is tried again.

    `max_retries` N means N + 1 attempts, besides those that an open breaker refused. The wait before retry k (from 1) is `delay`
    times `factor`^(k-1) (exponential), times k (linear) or `delay` (fixed), at most `max_delay`, all in seconds; `jitter` is the
    share of it spread at random, reproducibly.
    A failure that says when to come back (Retry-After) is not asked earlier.

    `on` are the only failures tried again (none: all that may help), `never` those that are not, which wins: kinds (`timeout`,
    `rate_limit`, `model.rate_limit`, `model`, ...) or exception classes by name (`OSError`, `httpx.ConnectError`), bases included.
    """

    max_retries: int = 3
    backoff: str = "exponential"
    delay: float = 1.0
    factor: float = 2.0
    max_delay: float = 60.0
    jitter: float = 0.1
    on: tuple[str, ...] = ()
    never: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """One word may be given as it is, several as any list."""
        if type(self.on) is tuple and type(self.never) is tuple:
            return
        for name in ("on", "never"):
            given: object = getattr(self, name)
            if not isinstance(given, tuple):
                msgspec.structs.force_setattr(self, name, tuple(given) if isinstance(given, list | set | frozenset) else (given,))


class BreakerPolicy(msgspec.Struct, frozen=True):
    """When a model or tool is left alone: after `failures` in a row (0: never), for `seconds`; then one call tries it."""

    failures: int = 5
    seconds: float = 60.0


class Limit(msgspec.Struct, frozen=True, omit_defaults=True):
    """How much of a model or tool all drivers of a store may use: calls at a time, and calls begun in any 60 seconds."""

    concurrent: int | None = None
    per_minute: int | None = None


Limits = dict[str, dict[str, Limit]]
"""`models` and `tools`: a limit by name."""

LIMITED = ("models", "tools")


class Retry(msgspec.Struct, frozen=True):
    """Try again after `delay` seconds."""

    delay: float


class GiveUp(msgspec.Struct, frozen=True):
    """Do not try again; `reason` is why."""

    reason: str


def decide_retry(
    policy: RetryPolicy,
    *,
    tried: int,
    retryable: bool,
    retry_after: float | None,
    seed: int,
    path: str,
    attempt: int,
    kind: str = "error",
    classes: Sequence[str] = (),
    left: float | None = None,
) -> Retry | GiveUp:
    """What follows the failure of a step's `tried`-th attempt since it was last reset (`attempt` is its number in the run).

    An attempt that an open breaker refused is none of those: nobody was asked. Without any retries it is not waited for either.
    `kind` and `classes` are the failure's; `left` are the seconds left for all attempts, None without such a limit.
    """
    if not retryable:
        return GiveUp("the failure would be the same again")
    if word := _named(policy.never, kind, classes):
        return GiveUp(f"{word} is never tried again")
    if policy.on and not _named(policy.on, kind, classes):
        return GiveUp(f"only {', '.join(policy.on)} is tried again")
    if not policy.max_retries or tried > policy.max_retries:
        return GiveUp("no retries left")
    delay = policy.delay
    if policy.backoff == "exponential":
        delay = policy.delay * _power(policy.factor, tried - 1)
    elif policy.backoff == "linear":
        delay = policy.delay * tried
    delay = min(delay, policy.max_delay)
    delay *= 1.0 + policy.jitter * (2.0 * fraction(seed, path, attempt) - 1.0)
    delay = max(delay, retry_after or 0.0, 0.0)
    if left is not None and delay >= left:
        return GiveUp("no time left")
    return Retry(delay)


def _named(words: Sequence[str], kind: str, classes: Sequence[str]) -> str | None:
    """The first word that names the failure: its kind or a part of that, or a class, with as much of its module as one likes."""
    names = (kind, *kind.split("."), *classes)
    return next((word for word in words if any(name == word or name.endswith(f".{word}") for name in names)), None)


def seconds_left(total: float | None, began: float | None, now: float) -> float | None:
    """What is left of a step's `total_timeout`, counted from its first start and never negative; None where it has none."""
    return None if total is None or began is None else max(0.0, began + total - now)


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
    if not _whole(policy.max_retries, 0, 1_000):
        found.append(f"max_retries is {policy.max_retries!r}; give 0 to 1000")
    if policy.backoff not in BACKOFFS:
        found.append(f"backoff is {policy.backoff!r}; give one of {', '.join(BACKOFFS)}")
    for name in ("delay", "factor", "max_delay"):
        value = getattr(policy, name)
        if not _within(value, 1e9) or value == 1e9:
            found.append(f"{name} is {value!r}; give a number from 0 up")
    if not _within(policy.jitter, 1.0):
        found.append(f"jitter is {policy.jitter!r}; give a share from 0 to 1")
    for name in ("on", "never"):
        found += [f"{name} {problem}" for word in getattr(policy, name) if (problem := _problem_of_rule(word))]
    both = [word for word in policy.on if word in policy.never]
    if both:
        found.append(f"on and never both name {both[0]!r}; keep it in one")
    return found


def _problem_of_rule(word: object) -> str | None:
    """A word in small letters without a dot can only be a kind, as `Rate_Limit` and `models.timeout`: no class is named so."""
    if not isinstance(word, str) or not _RULE.fullmatch(word):
        return f"has {word!r}; give kinds of failures ({', '.join(KINDS)}) or names of exception classes"
    group, _, kind = word.rpartition(".")
    known: Sequence[str] = KINDS if not group and (word.islower() or word.lower() in _COMPOUND) else ()
    if group == "model" or (kind.lower() in MODEL_KINDS and difflib.get_close_matches(group.lower(), ["model"], 1, 0.8)):
        known = [f"model.{kind}" for kind in MODEL_KINDS]
    if not known or word in known:
        return None
    near = difflib.get_close_matches(word.lower(), known, 1, 0.6)
    return f"has {word!r}, which is no kind of failure; " + (f"did you mean {near[0]!r}?" if near else f"use {', '.join(known)}")


def problems_of_breaker(policy: BreakerPolicy) -> list[str]:
    """What is wrong with a breaker's numbers, a sentence each."""
    found = []
    if not _whole(policy.failures, 0, 1_000):
        found.append(f"failures is {policy.failures!r}; give 0 to 1000 (0: never left alone)")
    if not _within(policy.seconds, 1e9):
        found.append(f"seconds is {policy.seconds!r}; give a number from 0 up")
    return found


def problems_of_limits(given: object) -> list[tuple[str, str]]:
    """What is wrong with limits as written, each with its place in them (`models.gpt-4.1`)."""
    if not isinstance(given, Mapping):
        return [("", f"is {given!r}; give a mapping with {' and '.join(LIMITED)}")]
    found = []
    for group, named in given.items():
        if group not in LIMITED or not isinstance(named, Mapping):
            found.append((str(group), f"cannot be limited so; give {' or '.join(LIMITED)}, each a mapping of names to limits"))
            continue
        found += [(f"{group}.{name}", problem) for name, limit in named.items() if (problem := _problem_of_limit(name, limit))]
    return found


def _problem_of_limit(name: object, limit: object) -> str | None:
    fields = msgspec.to_builtins(limit) if isinstance(limit, Limit) else limit
    known = Limit.__struct_fields__
    if not isinstance(name, str) or not name:
        return "is no name; write the name the model or tool is asked by"
    if not isinstance(fields, Mapping) or not fields or any(key not in known for key in fields):
        return f"is {limit!r}; give {' and '.join(known)}, or one of them"
    wrong = [key for key, value in fields.items() if not _whole(value, 1, 1_000_000)]
    return f"{wrong[0]} is {fields[wrong[0]]!r}; give a whole number from 1 up" if wrong else None


def limits_of(given: Mapping[str, Any]) -> Limits:
    """Limits as plain values; to be asked only of such as have no problems."""
    return msgspec.convert(msgspec.to_builtins(given), Limits)


def merged(limits: Limits, over: Limits) -> Limits:
    """Limits by name, those of `over` before the others."""
    return {group: {**limits.get(group, {}), **over.get(group, {})} for group in LIMITED}


def _whole(value: object, least: int, most: int) -> bool:
    return type(value) is int and least <= value <= most


def _within(value: object, most: float) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= most
