"""Numbers as people read them: durations, money, tokens, counts, ages, differences.

Pure and in one place, so that a column has one precision and a unit is never lost. Unknown is `–`; what is not due yet
is blank, which callers say by not asking.
"""

from __future__ import annotations

UNKNOWN = "–"
"""What stands for a figure that is not known, or is free."""


def duration(seconds: float | None) -> str:
    """`0.8 s`, `12.4 s`, `3m 04s`, `1h 12m`, `2d 3h`: one decimal below a minute."""
    if seconds is None or seconds != seconds:
        return UNKNOWN
    if seconds < 0:
        seconds = 0.0
    if round(seconds, 1) < 60:
        return f"{seconds:.1f} s"
    whole = round(min(seconds, 1e12))
    if whole < 3600:
        return f"{whole // 60}m {whole % 60:02d}s"
    minutes = whole // 60
    if minutes < 24 * 60:
        return f"{minutes // 60}h {minutes % 60:02d}m"
    hours = minutes // 60
    return f"{hours // 24}d {hours % 24}h"


def span(seconds: float | None) -> str:
    """A coarse length for a sentence (`8 s`, `3m 04s`): whole seconds below a minute."""
    if seconds is None or seconds != seconds:
        return UNKNOWN
    return f"{max(0, round(seconds))} s" if round(seconds) < 60 else duration(round(seconds))


def step_cost(dollars: float | None) -> str:
    """The cost of one step, to a tenth of a cent: `$0.041`."""
    return UNKNOWN if dollars is None else _money(dollars, 3)


def run_cost(dollars: float | None) -> str:
    """The cost of a run or a total, to the cent: `$0.41`."""
    return UNKNOWN if dollars is None else _money(dollars, 2)


def _money(dollars: float, places: int) -> str:
    sign = "-" if dollars < 0 and round(dollars, places) != 0 else ""
    return f"{sign}${abs(dollars):,.{places}f}"


def tokens(count: int | None) -> str:
    """`412`, `12.4k`, `412k`, `1.20M`: three figures that matter."""
    if count is None:
        return UNKNOWN
    if count < 0:
        return "-" + tokens(-count)
    if count < 1_000:
        return str(count)
    if count < 99_950:
        return f"{count / 1_000:.1f}k"
    if count < 999_500:
        return f"{count / 1_000:.0f}k"
    if count < 99_995_000:
        return f"{count / 1_000_000:.2f}M"
    return f"{count / 1_000_000:.0f}M"


def tokens_short(count: int | None) -> str:
    """Tokens for a column of whole runs: `412`, `9k`, `412k`, `1.20M`."""
    if count is None or count < 1_000 or count >= 99_950:
        return tokens(count)
    return f"{count / 1_000:.0f}k"


def events(count: int | None) -> str:
    """An exact count with separators: `96,310`."""
    return UNKNOWN if count is None else f"{count:,}"


def age(seconds: float | None) -> str:
    """How long ago: `now`, `3m`, `2h`, `1d`."""
    if seconds is None or seconds != seconds:
        return UNKNOWN
    if seconds < 60:
        return "now"
    if seconds < 3600:
        return f"{int(seconds // 60)}m"
    if seconds < 86400:
        return f"{int(seconds // 3600)}h"
    return f"{int(min(seconds, 1e12) // 86400)}d"


def rate(per_second: float | None) -> str:
    """Events a second: `38 /s`, `0.4 /s`, `2.1k /s`."""
    if per_second is None:
        return UNKNOWN
    if 0 < per_second < 9.95:
        return f"{per_second:.1f} /s"
    return f"{tokens(round(per_second))} /s"


def size(count: int | None) -> str:
    """Bytes in decimal units: `412 B`, `12.4 kB`, `212 MB`, `1.2 GB`."""
    if count is None:
        return UNKNOWN
    amount = float(abs(count))
    sign = "-" if count < 0 else ""
    for unit in ("B", "kB", "MB", "GB"):
        if amount < 999.5 or unit == "GB":
            places = 1 if unit != "B" and amount < 99.95 and (unit != "MB" or amount < 9.95) else 0
            return f"{sign}{amount:,.{places}f} {unit}"
        amount /= 1000
    return UNKNOWN


def percent(share: float | None) -> str:
    """A share of 1 as `36 %`."""
    return UNKNOWN if share is None else f"{share * 100:.0f} %"


def duration_delta(seconds: float | None) -> str:
    """A difference of time with its sign: `- 1m 21s`, `+ 0.4 s`; none is `0.0 s`."""
    if seconds is None:
        return UNKNOWN
    return _signed(seconds, duration(abs(seconds)), duration(0))


def cost_delta(dollars: float | None) -> str:
    """A difference of money with its sign: `+ $0.018`."""
    if dollars is None:
        return UNKNOWN
    return _signed(dollars, step_cost(abs(dollars)), step_cost(0))


def count_delta(count: int | None) -> str:
    """A difference of a count with its sign: `+ 1,204`."""
    if count is None:
        return UNKNOWN
    return _signed(count, events(abs(count)), "0")


def tokens_delta(count: int | None) -> str:
    """A difference of tokens with its sign: `- 41.0k`."""
    return UNKNOWN if count is None else _signed(count, tokens(abs(count)), "0")


def _signed(amount: float, text: str, zero: str) -> str:
    if text == zero:
        return zero
    return f"{'-' if amount < 0 else '+'} {text}"


def plural(count: int, one: str, many: str = "") -> str:
    """`1 run`, `12 runs`: a count with its noun."""
    return f"{events(count)} {one if count == 1 else many or one + 's'}"


def limit(what: str, amount: float) -> str:
    """An amount of what a budget limits: `$0.50`, `12,000 tokens`, `40 calls`, `5m 00s`."""
    if what == "cost":
        return run_cost(amount)
    return duration(amount) if what == "seconds" else f"{events(round(amount))} {what}"
