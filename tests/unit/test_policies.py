"""When a step is tried again: delays by value, bounded and reproducible."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.policies import BACKOFFS, GiveUp, Retry, RetryPolicy, decide_retry, fraction, problems_of
from engine.steps import PipelineStep


def delays(policy: RetryPolicy, count: int, **options: Any) -> list[float]:
    """The waits before retry 1, 2, ..."""
    found = []
    for tried in range(1, count + 1):
        verdict = decide(policy, tried, **options)
        assert isinstance(verdict, Retry)
        found.append(verdict.delay)
    return found


def decide(policy: RetryPolicy, tried: int, *, retryable: bool = True, after: float | None = None, seed: int = 1) -> Retry | GiveUp:
    """The decision after the `tried`-th failure."""
    return decide_retry(policy, tried=tried, retryable=retryable, retry_after=after, seed=seed, path="a", attempt=tried)


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


def test_an_irreversible_body_is_not_tried_again_unasked() -> None:
    """Without a word about retries an irreversible step has none; with one it has those."""
    assert PipelineStep("pay", run=print, irreversible=True).policy().max_retries == 0
    assert PipelineStep("pay", run=print, irreversible=True, max_retries=2).policy().max_retries == 2
    assert PipelineStep("look", run=print).policy().max_retries == 3
