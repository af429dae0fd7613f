"""Numbers as the design language writes them."""

from __future__ import annotations

import math

import pytest

from tagent_tui import numbers


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0, "0.0 s"), (0.04, "0.0 s"), (0.8, "0.8 s"), (12.4, "12.4 s"), (59.94, "59.9 s"), (59.96, "1m 00s"), (60, "1m 00s"),
        (184, "3m 04s"), (3599.4, "59m 59s"), (3599.6, "1h 00m"), (4320, "1h 12m"), (86_399, "23h 59m"), (86_400, "1d 0h"),
        (183_600, "2d 3h"), (-3, "0.0 s"), (None, "–"), (math.nan, "–"), (math.inf, "11574074d 1h"),
    ],
)  # fmt: skip
def test_durations(seconds: float | None, shown: str) -> None:
    """One decimal below a minute, then two units; unknown is a dash."""
    assert numbers.duration(seconds) == shown


@pytest.mark.parametrize(
    ("count", "shown"),
    [
        (0, "0"), (412, "412"), (999, "999"), (1_000, "1.0k"), (12_400, "12.4k"), (99_949, "99.9k"), (99_950, "100k"),
        (412_000, "412k"), (999_499, "999k"), (999_500, "1.00M"), (1_200_000, "1.20M"), (123_456_789, "123M"), (-1_500, "-1.5k"),
        (None, "–"),
    ],
)  # fmt: skip
def test_tokens(count: int | None, shown: str) -> None:
    """Three figures that matter, with k and M."""
    assert numbers.tokens(count) == shown


def test_tokens_of_whole_runs_have_one_precision() -> None:
    """In the column of whole runs thousands have no decimal."""
    assert [numbers.tokens_short(count) for count in (412, 9_400, 38_000, 412_000, 1_200_000, None)] == [
        "412", "9k", "38k", "412k", "1.20M", "–",
    ]  # fmt: skip


def test_money() -> None:
    """A tenth of a cent for steps, cents for runs, the sign before the dollar."""
    assert [numbers.step_cost(cost) for cost in (0, 0.041, 12, None)] == ["$0.000", "$0.041", "$12.000", "–"]
    assert [numbers.run_cost(cost) for cost in (0.41, 1234.5, -0.5, -0.001)] == ["$0.41", "$1,234.50", "-$0.50", "$0.00"]


def test_ages() -> None:
    """Now, minutes, hours, days; a time in the future is now."""
    assert [numbers.age(seconds) for seconds in (-5, 0, 59, 60, 3_599, 3_600, 86_399, 86_400, 1e9, None)] == [
        "now", "now", "now", "1m", "59m", "1h", "23h", "1d", "11574d", "–",
    ]  # fmt: skip


def test_counts() -> None:
    """Counts of events are exact, with separators, and agree with their noun."""
    assert numbers.events(96_310) == "96,310"
    assert numbers.plural(1, "run") == "1 run"
    assert numbers.plural(12_000, "run") == "12,000 runs"
    assert numbers.plural(2, "try", "tries") == "2 tries"


def test_deltas_carry_a_sign() -> None:
    """A difference says its sign apart from the figure; what rounds to nothing has none."""
    assert numbers.duration_delta(-81) == "- 1m 21s"
    assert numbers.duration_delta(0.01) == "0.0 s"
    assert numbers.cost_delta(0.018) == "+ $0.018"
    assert numbers.cost_delta(-0.0001) == "$0.000"
    assert numbers.count_delta(1204) == "+ 1,204"
    assert numbers.count_delta(0) == "0"
    assert numbers.duration_delta(None) == "–"


def test_rates_sizes_and_shares() -> None:
    """Rates, sizes and shares keep their unit."""
    assert [numbers.rate(value) for value in (0, 0.4, 38, 2_100, None)] == ["0 /s", "0.4 /s", "38 /s", "2.1k /s", "–"]
    assert [numbers.size(count) for count in (412, 12_400, 212_000_000, 1_200_000_000, None)] == [
        "412 B", "12.4 kB", "212 MB", "1.2 GB", "–",
    ]  # fmt: skip
    assert numbers.percent(0.357) == "36 %"
    assert [numbers.span(seconds) for seconds in (8.2, 59.6, 184)] == ["8 s", "1m 00s", "3m 04s"]
