"""The marks the screens are drawn with, in two sets: Unicode and ASCII.

In one place so that no screen spells a glyph of its own: every state has a mark beside its colour, and one choice at the
start swaps all of them. Every Unicode mark is one cell wide and has no emoji form.
"""

from __future__ import annotations

import codecs
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields

from rich.cells import cell_len


@dataclass(frozen=True, slots=True)
class Glyphs:
    """One set of marks. Fields named like a status are that status's mark; `status()` finds them by word."""

    ascii: bool
    pending: str
    ready: str
    running: str
    completed: str
    failed: str
    timed_out: str
    skipped: str
    cancelled: str
    in_doubt: str
    paused: str
    interrupted: str
    person: str
    waiting: str
    checkpoint: str
    fork: str
    open: str
    shut: str
    focus: str
    differs: str
    equal: str
    became: str
    delta: str
    ellipsis: str
    sep: str
    dash: str
    times: str
    down: str
    chevron: str
    cursor: str
    hairline: str
    active: str
    half: str
    vertical: str
    dotted: str
    small: str
    medium: str
    large: str
    branch: str
    last: str
    eighths: str
    """Left-filled, 1/8 to 8/8 of a cell's width."""
    levels: str
    """Bottom-filled, 1/8 to 8/8 of a cell's height."""
    spinner: str

    def status(self, word: str) -> str:
        """The mark of a step's or run's status by its word, as in `completed`; unknown words get the mark of doubt."""
        return str(getattr(self, word)) if word in STATUSES else self.in_doubt


_STEP_STATUSES = ("pending", "ready", "running", "waiting", "completed", "failed", "timed_out", "skipped", "cancelled")
STATUSES = frozenset((*_STEP_STATUSES, "in_doubt", "paused", "interrupted"))

UNICODE = Glyphs(
    ascii=False,
    pending="·",
    ready="◦",
    running="●",
    completed="✓",
    failed="✗",
    timed_out="◔",
    skipped="–",
    cancelled="⊗",
    in_doubt="?",
    paused="‖",
    interrupted="◐",
    person="◆",
    waiting="◇",
    checkpoint="⚑",
    fork="⑂",
    open="▾",
    shut="▸",
    focus="▌",
    differs="≠",
    equal="=",
    became="→",
    delta="Δ",
    ellipsis="…",
    sep="·",
    dash="–",
    times="×",
    down="↓",
    chevron="›",
    cursor="▌",
    hairline="─",
    active="━",
    half="╸",
    vertical="│",
    dotted="┄",
    small="·",
    medium="▮",
    large="█",
    branch="├",
    last="└",
    eighths="▏▎▍▌▋▊▉█",
    levels="▁▂▃▄▅▆▇█",
    spinner="⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏",
)

ASCII = Glyphs(
    ascii=True,
    pending=".",
    ready="o",
    running="*",
    completed="+",
    failed="x",
    timed_out="T",
    skipped="-",
    cancelled="/",
    in_doubt="?",
    paused="=",
    interrupted="%",
    person="!",
    waiting="w",
    checkpoint="P",
    fork="Y",
    open="v",
    shut=">",
    focus="|",
    differs="#",
    equal="=",
    became=">",
    delta="d",
    ellipsis="~",
    sep="-",
    dash="-",
    times="x",
    down="v",
    chevron=">",
    cursor="_",
    hairline="-",
    active="=",
    half="-",
    vertical="|",
    dotted=".",
    small=".",
    medium="o",
    large="#",
    branch="|",
    last="`",
    eighths="  ==####",
    levels="..::==##",
    spinner="|/-\\",
)


PROBE = "●◆✓…━█▌‖⚑"
"""Marks whose width a terminal is asked for: of each kind that some terminals draw two cells wide."""


def to_ascii() -> dict[int, str]:
    """For `str.translate`: every Unicode mark, and the few signs that stand in words and numbers, to its ASCII one."""
    table = {ord("⟨"): "<", ord("⟩"): ">", ord("•"): "*", ord("’"): "'", ord("“"): '"', ord("”"): '"', ord("—"): "-"}
    for field in fields(UNICODE):
        one, other = getattr(UNICODE, field.name), getattr(ASCII, field.name)
        if field.name not in ("ascii", "spinner"):
            table.update({ord(mark): plain for mark, plain in zip(one, other, strict=True)})
    table[ord(UNICODE.sep)] = ASCII.sep
    return table


def every_mark(glyphs: Glyphs) -> str:
    """All marks of a set in one string, for measuring and for tests."""
    return "".join(str(getattr(glyphs, field.name)) for field in fields(glyphs) if field.name != "ascii")


def choose(
    option: str = "auto",
    *,
    encoding: str = "utf-8",
    environ: Mapping[str, str] | None = None,
    width_of: Callable[[str], int] = cell_len,
) -> Glyphs:
    """The set for a terminal: as asked (`unicode`, `ascii`), or by itself ASCII where a mark would not be one cell.

    `width_of` measures one mark in cells as this terminal draws it.
    """
    if option in ("unicode", "ascii"):
        return ASCII if option == "ascii" else UNICODE
    env = os.environ if environ is None else environ
    if env.get("TERM", "") in ("dumb", "linux", "vt100", "vt220"):
        return ASCII
    try:
        known = codecs.lookup(encoding).name
    except LookupError:
        return ASCII
    if not known.startswith("utf"):
        return ASCII
    return UNICODE if all(width_of(mark) == 1 for mark in set(every_mark(UNICODE))) else ASCII
