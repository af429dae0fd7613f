"""Which keys the footer of the run screen tells, for each pane and in a replay.

Apart from the screen because it is a table: most used first, and what does not apply now is left out by the bindings themselves.
"""

from __future__ import annotations

from collections.abc import Sequence

from textual.screen import Screen

from tagent_tui.keys import footer_keys
from tagent_tui.shapes import HELP, Key

Entry = tuple[tuple[str, ...], str]
"""Binding ids whose keys stand together, and the word after them."""

_RUN: tuple[Entry, ...] = (
    (("run.replay",), "replay"),
    (("run.fork",), "fork"),
    (("run.resume",), "resume"),
    (("run.pause",), "pause"),
    (("run.cancel",), "cancel"),
)
_LEAVE: tuple[Entry, ...] = ((("run.branches",), "branches"), (("run.back",), "back"), (("app.quit",), "quit"))
_CARD: tuple[Entry, ...] = ((("run.approve",), "{approve}"), (("run.reject",), "reject"))
_STEP: tuple[Entry, ...] = ((("run.retry",), "try again"), (("run.budget",), "budget"))
_FAILURE: Entry = (("run.next-failure",), "next {failed}")
_SEARCH: Entry = (("run.search",), "search")

PANES: dict[int, tuple[Entry, ...]] = {
    1: (
        *_CARD,
        *_STEP,
        (("steps.fold",), "fold"),
        (("list.open",), "open"),
        _FAILURE,
        *_RUN,
        _SEARCH,
        (("run.metrics",), "metrics"),
        *_LEAVE,
    ),
    2: (
        *_CARD,
        (("run.tab-previous", "run.tab-next"), "tab"),
        (("run.copy",), "copy"),
        (("run.pager",), "pager"),
        _SEARCH,
        *_RUN,
        (("run.maximise",), "zoom"),
        *_LEAVE,
    ),
    3: ((("run.follow",), "follow"), (("run.filter",), "filter"), _SEARCH, _FAILURE, (("list.open",), "step"), *_RUN, *_LEAVE),
    4: (
        (("metrics.sort",), "sort"),
        (("metrics.zoom-in", "metrics.zoom-out"), "zoom"),
        (("list.open",), "open step"),
        _FAILURE,
        *_RUN,
        (("run.maximise",), "restore"),
        *_LEAVE,
    ),
}

PAST: tuple[Entry, ...] = (
    (("replay.previous", "replay.next"), "event"),
    (("replay.step-previous", "replay.step-next"), "step"),
    (("run.next-failure", "run.previous-failure"), "failure"),
    (("replay.goto",), "go to"),
    (("run.fork",), "fork here"),
    (("run.metrics",), "metrics"),
    _SEARCH,
    (("run.branches",), "branches"),
    (("run.copy",), "copy"),
    (("run.back",), "leave"),
    (("app.quit",), "quit"),
)


def run_keys(screen: Screen[None], pane: int, *, past: bool, failed: str = "failure", question: bool = False) -> list[Key]:
    """The footer's entries, most used first; help is always one of them. `question`: the card asks for an answer."""
    approve = "answer" if question else "approve once"
    return joined_keys(screen, PAST if past else PANES[pane], failed=failed, approve=approve)


def joined_keys(screen: Screen[None], wanted: Sequence[Entry], **words: str) -> list[Key]:
    """The footer's entries for these ids, keys of one word together; `words` fill what stands in braces; then help."""
    entries: list[Key] = []
    for ids, word in wanted:
        found = footer_keys(screen, [(one, word) for one in ids])
        if found:
            entries.append(Key(" ".join(key.key for key in found), word.format(**words)))
    help_keys = footer_keys(screen, [("app.help", HELP.word)])
    return [*entries, *help_keys]
