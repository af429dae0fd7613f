"""Exceptions of any make become failures that can be recorded."""

from typing import Any

import msgspec
import pytest

from engine.errors import CircuitOpenError, EffectFailedError
from engine.failures import MESSAGE_LIMIT, error_of, failure_of
from engine.models.errors import ModelError, ModelErrorKind
from store import codec
from store.events import Failure, StepFailed


class Hostile(Exception):
    """Looks at nothing without raising."""

    def __str__(self) -> str:
        raise ValueError("no text")

    @property
    def retryable(self) -> bool:
        raise OSError("no flag")

    @property
    def retry_after(self) -> float:
        raise SystemError("no time")


class Odd(Exception):
    """Has our attributes with other types in them."""

    kind = "timeout"
    retryable = "no"
    retry_after = "30"


def with_retry_after(value: Any) -> Exception:
    """An error that says when to come back, in some way."""
    error = OSError("busy")
    error.retry_after = value  # type: ignore[attr-defined]
    return error


ERRORS = [
    Hostile(),
    Odd("x"),
    ValueError("\ud800 lone"),
    ValueError("nul \x00 and \x1b[31m"),
    ValueError("x" * 100_000),
    ValueError(),
    SystemExit(1),
    KeyboardInterrupt(),
    ExceptionGroup("several", [ValueError("a"), OSError("b")]),
    EffectFailedError("down", kind="model.unavailable"),
    *(with_retry_after(value) for value in (float("nan"), float("inf"), -1, 10**400, True, object())),
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_any_exception_is_a_failure_that_is_read_back_as_it_was(error: BaseException) -> None:
    """The failure is encodable, of our types, bounded, and equal after a trip through the log."""
    failure = failure_of(error)
    event = StepFailed(failure)
    assert codec.decode(*codec.encode(event)) == event
    assert msgspec.convert(msgspec.to_builtins(failure), type(failure)) == failure
    assert 0 < len(failure.message) <= MESSAGE_LIMIT


def test_the_classes_of_an_exception_are_named_for_the_rules() -> None:
    """Built-in classes by their name, others after their module, bases included; our own errors have kinds instead, and one that
    came out of an effect keeps the classes it had there.
    """
    assert failure_of(ConnectionRefusedError()).classes == ("ConnectionRefusedError", "ConnectionError", "OSError", "Exception")
    assert failure_of(Odd("x")).classes == (f"{__name__}.Odd", "Exception")
    assert failure_of(ModelError(ModelErrorKind.AUTH, "no key")).classes == ()
    assert failure_of(error_of(failure_of(OSError("busy")))) == failure_of(OSError("busy"))


def test_an_open_breaker_is_told_by_its_own_class() -> None:
    """A recorded failure of kind `circuit` is raised as `CircuitOpenError` with the time left, and is recorded as it was."""
    failure = Failure("circuit", "left alone", retry_after=3.0)
    error = error_of(failure)
    assert isinstance(error, CircuitOpenError)
    assert failure_of(error) == failure


def test_only_our_own_errors_say_their_kind() -> None:
    """An exception of the user's with a `kind` cannot pass for a timeout; a model's error keeps its word, flag and time."""
    assert failure_of(Odd("x")).kind == "error"
    limited = failure_of(ModelError(ModelErrorKind.RATE_LIMIT, "slow down", retry_after=7.0))
    assert (limited.kind, limited.retryable, limited.retry_after) == ("model.rate_limit", True, 7.0)
    assert not failure_of(ModelError(ModelErrorKind.AUTH, "no key")).retryable


def test_a_usable_retry_after_is_kept() -> None:
    """Whole and broken numbers of seconds are taken over, anything else is nothing."""
    assert [failure_of(with_retry_after(value)).retry_after for value in (3, 0.5, "3", None, -1)] == [3.0, 0.5, None, None, None]
