"""Which keys the footer of the diff screen tells, most used first.

Apart from the screen because it is a table; what does not apply now is left out by the bindings themselves.
"""

from __future__ import annotations

from tagent_tui.screens.runkeys import Entry

_COMMON: tuple[Entry, ...] = (
    (("diff.words",), "words"),
    (("diff.open",), "open run"),
    (("diff.copy",), "copy"),
    (("diff.pager",), "pager"),
    (("diff.back",), "back"),
)
_DIFFERENCE: Entry = (("diff.next", "diff.previous"), "difference")
_TABS: Entry = (("diff.tab-previous", "diff.tab-next"), "tab")
KEYS: dict[int, tuple[Entry, ...]] = {
    1: ((("list.down", "list.up"), "pair"), _DIFFERENCE, (("diff.pane",), "text"), (("diff.same",), "{same}"), _TABS, *_COMMON),
    2: (_DIFFERENCE, _TABS, (("diff.pane",), "steps"), *_COMMON),
}
"""The keys of the table and of the text."""
