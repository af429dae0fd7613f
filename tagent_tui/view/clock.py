"""Times of day as the screens write them: local, or a mark where a recorded time cannot be one.

Apart because a log may hold any number: an `at` of 1e300 or NaN must show as unknown, not end the screen.
"""

from __future__ import annotations

import time
from functools import lru_cache

from tagent_tui.numbers import UNKNOWN

_LIMIT = 4e11
"""Seconds: past the year 14000 the platform's conversion may refuse."""


@lru_cache(maxsize=512)
def _second(at: int) -> str:
    return time.strftime("%H:%M:%S", time.localtime(at))


def time_of_day(at: float | None) -> str:
    """`10:12:18` in local time."""
    if at is None or not -_LIMIT < at < _LIMIT:
        return UNKNOWN
    return _second(int(at // 1))


def exact_time(at: float | None) -> str:
    """`10:12:18.114`: to the millisecond."""
    if at is None or not -_LIMIT < at < _LIMIT:
        return UNKNOWN
    thousandths = round(at * 1000)
    return f"{_second(thousandths // 1000)}.{thousandths % 1000:03d}"


def on_day(at: float, of_day: float) -> str:
    """`10:12:18`, with the date before it where it is another day than that of `of_day`."""
    if not (-_LIMIT < at < _LIMIT and -_LIMIT < of_day < _LIMIT):
        return time_of_day(at)
    day = time.strftime("%Y-%m-%d", time.localtime(at))
    return time_of_day(at) if day == time.strftime("%Y-%m-%d", time.localtime(of_day)) else f"{day} {time_of_day(at)}"
