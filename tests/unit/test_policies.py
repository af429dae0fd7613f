"""When a step is tried again: delays by value, bounded and reproducible."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.models.errors import ModelErrorKind
from engine.policies import (
    BACKOFFS,
    KINDS,
    MODEL_KINDS,
    GiveUp,
    Retry,
    RetryPolicy,
    decide_retry,
    fraction,
    problems_of,
    seconds_left,
)
from engine.steps import PipelineStep


def delays(policy: RetryPolicy, count: int, **options: Any) -> list[float]:
    """The waits before retry 1, 2, ..."""
    found = []
    for tried in range(1, count + 1):
        verdict = decide(policy, tried, **options)
        assert isinstance(verdict, Retry)
        found.append(verdict.delay)
    return found


def decide(
    policy: RetryPolicy, tried: int, *, retryable: bool = True, after: float | None = None, seed: int = 1, **failure: Any
) -> Retry | GiveUp:
    """The decision after the `tried`-th failure; `failure` are its kind and classes, and the seconds left."""
    return decide_retry(policy, tried=tried, retryable=retryable, retry_after=after, seed=seed, path="a", attempt=tried, **failure)


@pytest.mark.parametrize(
    ("backoff", "expected"),
    [("exponential", [2, 6, 18, 20, 20]), ("linear", [2, 4, 6, 8, 10]), ("fixed", [2, 2, 2, 2, 2])],
)
def test_the_wait_grows_as_the_policy_says(backoff: str, expected: list[float]) -> None:
    """Exponential multiplies by the factor, linear by the count, fixed stays, and none passes the greatest delay."""
    policy = RetryPolicy(max_retries=9, backoff=backoff, delay=2, factor=3, max_delay=20, jitter=0)
    assert delays(policy, 5) == expected


def test_n_retries_are_n_plus_one_attempts() -> None:
    """With two retries the first two failures are tried again and the third gives up."""
    policy = RetryPolicy(max_retries=2, jitter=0)
    assert [type(decide(policy, tried)) for tried in (1, 2, 3)] == [Retry, Retry, GiveUp]


def test_a_failure_that_would_come_again_gives_up() -> None:
    """A failure that is not retryable is given up although retries are left."""
    assert decide(RetryPolicy(), 1, retryable=False) == GiveUp("the failure would be the same again")


def test_a_server_that_says_when_is_not_asked_earlier() -> None:
    """A Retry-After longer than the policy's wait, even past its greatest delay, is kept to; a shorter one changes nothing."""
    policy = RetryPolicy(delay=5, jitter=0, max_delay=10)
    assert decide(policy, 1, after=90.0) == Retry(90.0)
    assert decide(policy, 1, after=1.0) == Retry(5.0)


REFUSED = ("ConnectionRefusedError", "ConnectionError", "OSError", "Exception")


@pytest.mark.parametrize(
    ("rules", "failure", "again"),
    [
        ({"on": ["timeout"]}, {"kind": "timeout"}, True),
        ({"on": ["timeout"]}, {"kind": "model.timeout"}, True),
        ({"on": ["timeout"]}, {"kind": "error", "classes": REFUSED}, False),
        ({"on": ["model"]}, {"kind": "model.unavailable"}, True),
        ({"on": ["model.rate_limit"]}, {"kind": "model.unavailable"}, False),
        ({"on": "OSError"}, {"kind": "error", "classes": REFUSED}, True),
        ({"on": ["httpx.ConnectError"]}, {"kind": "error", "classes": ("httpx.ConnectError", "Exception")}, True),
        ({"on": ["ConnectError"]}, {"kind": "error", "classes": ("httpx.ConnectError", "Exception")}, True),
        ({"on": ["nectError"]}, {"kind": "error", "classes": ("httpx.ConnectError", "Exception")}, False),
        ({"never": ["OSError"]}, {"kind": "error", "classes": REFUSED}, False),
        ({"never": ["OSError"]}, {"kind": "error", "classes": ("ValueError", "Exception")}, True),
        ({"on": ["error"], "never": ["OSError"]}, {"kind": "error", "classes": REFUSED}, False),
        ({"on": ["OSError"]}, {"kind": "error", "classes": REFUSED, "retryable": False}, False),
    ],
)
def test_rules_say_which_failures_are_tried_again(rules: dict[str, Any], failure: dict[str, Any], again: bool) -> None:
    """`on` and `never` match kinds, their parts, and classes with their bases; `never` wins, and what cannot help stays so."""
    assert isinstance(decide(RetryPolicy(**rules), 1, **failure), Retry) is again


def test_a_wait_that_would_end_after_the_total_timeout_is_not_begun() -> None:
    """The next attempt has to start before the time for all attempts is over, counted from the first start."""
    policy = RetryPolicy(delay=10, jitter=0)
    assert decide(policy, 1, left=10.5) == Retry(10.0)
    assert decide(policy, 1, left=10.0) == GiveUp("no time left")
    assert decide(policy, 1, left=30.0, after=60.0) == GiveUp("no time left")
    assert [seconds_left(30, 100.0, now) for now in (100.0, 120.0, 131.0)] == [30, 10, 0]
    assert seconds_left(None, 100.0, 120.0) is seconds_left(30, None, 120.0) is None


def test_the_kinds_a_rule_may_name_are_those_there_are() -> None:
    """Every kind of model failure can be named in a rule, and no other."""
    assert set(MODEL_KINDS) == {kind.value for kind in ModelErrorKind}
    assert problems_of(RetryPolicy(on=[*KINDS, *(f"model.{kind}" for kind in MODEL_KINDS), "OSError", "a.b.Error"])) == []


@given(
    st.builds(
        RetryPolicy,
        max_retries=st.integers(0, 1000),
        backoff=st.sampled_from(BACKOFFS),
        delay=st.floats(0, 999_999_999),
        factor=st.floats(0, 999_999_999),
        max_delay=st.floats(0, 999_999_999),
        jitter=st.floats(0, 1),
    ),
    st.integers(1, 1000),
    st.integers(0, 2**32),
)
def test_every_allowed_policy_gives_a_wait_within_its_bounds(policy: RetryPolicy, tried: int, seed: int) -> None:
    """No numbers that pass the check overflow or leave [0, max_delay + jitter]; the same failure decides the same again."""
    assert problems_of(policy) == []
    verdict = decide(policy, tried, seed=seed)
    assert verdict == decide(policy, tried, seed=seed)
    if isinstance(verdict, Retry):
        assert 0 <= verdict.delay <= policy.max_delay * (1 + policy.jitter) * (1 + 1e-9)
    else:
        assert tried > policy.max_retries


def test_jitter_spreads_by_seed_step_and_attempt() -> None:
    """Different runs, steps and attempts wait differently, within the share, and around the same mean."""
    policy = RetryPolicy(backoff="fixed", delay=10, jitter=0.5)
    waits = [verdict.delay for seed in range(500) if isinstance(verdict := decide(policy, 1, seed=seed), Retry)]
    assert len(set(waits)) == 500
    assert min(waits) >= 5
    assert max(waits) <= 15
    assert math.isclose(sum(waits) / 500, 10, abs_tol=0.5)
    assert len({fraction(1, path, attempt) for path in "abc" for attempt in (1, 2)}) == 6


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"max_retries": -1}, "max_retries"),
        ({"max_retries": "3"}, "max_retries"),
        ({"max_retries": True}, "max_retries"),
        ({"max_retries": 1.5}, "max_retries"),
        ({"backoff": "fibonacci"}, "backoff"),
        ({"delay": -1}, "delay"),
        ({"delay": "1"}, "delay"),
        ({"delay": math.nan}, "delay"),
        ({"factor": math.inf}, "factor"),
        ({"max_delay": None}, "max_delay"),
        ({"jitter": 1.5}, "jitter"),
        ({"jitter": "0.1"}, "jitter"),
    ],
)
def test_a_wrong_number_is_named(wrong: dict[str, Any], said: str) -> None:
    """Each field out of its range or of another type is one sentence that names it."""
    problems = problems_of(RetryPolicy(**wrong))
    assert len(problems) == 1
    assert problems[0].startswith(f"{said} is ")


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"on": [""]}, "on has ''; give kinds of failures"),
        ({"never": [3]}, "never has 3; give kinds of failures"),
        ({"on": 3}, "on has 3; give kinds of failures"),
        ({"on": ["no such thing"]}, "on has 'no such thing'; give kinds of failures"),
        ({"on": ["rate_limits"]}, "on has 'rate_limits', which is no kind of failure; did you mean 'rate_limit'?"),
        ({"never": ["model.time_out"]}, "never has 'model.time_out', which is no kind of failure; did you mean 'model.timeout'?"),
        ({"on": ["OSError", "timeout"], "never": ["timeout"]}, "on and never both name 'timeout'; keep it in one"),
    ],
)
def test_a_rule_that_cannot_be_meant_is_refused(wrong: dict[str, Any], said: str) -> None:
    """Empty words, misspelt kinds and words in both lists are one sentence each."""
    (problem,) = problems_of(RetryPolicy(**wrong))
    assert problem.startswith(said)


def test_an_irreversible_body_is_not_tried_again_unasked() -> None:
    """Without a word about retries an irreversible step has none; with one it has those."""
    assert PipelineStep("pay", run=print, irreversible=True).policy().max_retries == 0
    assert PipelineStep("pay", run=print, irreversible=True, max_retries=2).policy().max_retries == 2
    assert PipelineStep("look", run=print).policy().max_retries == 3
