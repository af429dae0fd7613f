"""The event log as rows, the words it is narrowed by, and the pages of it that are in memory.

Apart from the log widget because what a line says, which lines a filter keeps and which page a line is on are questions of
values; the widget only fetches pages and scrolls.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from store.events import EVENTS, Recorded
from tagent_tui.glyphs import UNICODE, Glyphs
from tagent_tui.rows import Ink, Row, Seg, column
from tagent_tui.text import one_line
from tagent_tui.view.clock import time_of_day
from tagent_tui.view.describe import NOTHING_AROUND, Around, say

PAGE = 256
KEPT = 48
"""Pages in memory: 12,288 events, a few megabytes, and more than any screen shows."""


def log_row(recorded: Recorded, step_cells: int, around: Around = NOTHING_AROUND, glyphs: Glyphs = UNICODE) -> Row:
    """A line of a living log: time, step, type, words."""
    line = say(recorded, around)
    name = one_line(recorded.step or "run", 100, glyphs).segs(Ink.TEXT if recorded.step else Ink.MUTED)
    return Row(
        [
            Seg(time_of_day(recorded.at) + "  ", Ink.MUTED),
            *column(name, step_cells, glyphs.ellipsis),
            Seg("  "),
            Seg(line.type, line.ink),
            Seg("  "),
            *line.text.segs(Ink.MUTED),
        ]
    )


TYPE_CELLS = 20


def past_row(
    recorded: Recorded,
    playhead: int,
    digits: int,
    step_cells: int,
    around: Around = NOTHING_AROUND,
    glyphs: Glyphs = UNICODE,
) -> Row:
    """A line around the playhead: number, type, step, words; what is not reached yet is muted, and the playhead is strong."""
    line = say(recorded, around)
    here, ahead = recorded.version == playhead, recorded.version > playhead
    number = Seg(f"{recorded.version:>{digits}}  ", Ink.ACCENT if here else Ink.MUTED, bold=here)
    kind = Seg(line.type, Ink.MUTED if ahead else line.ink, bold=here)
    words = line.text.segs(Ink.MUTED)
    name = one_line(recorded.step or "run", 100, glyphs).segs(Ink.MUTED)
    return Row(
        [
            number,
            *column([kind], TYPE_CELLS, glyphs.ellipsis),
            Seg("  "),
            *column(name, step_cells, glyphs.ellipsis),
            Seg("  "),
            *words,
        ]
    )


def waiting_row(version: int, digits: int, glyphs: Glyphs = UNICODE) -> Row:
    """What stands in the place of a line that is being read."""
    return Row([Seg(f"{version:>{digits}}  {glyphs.ellipsis}", Ink.MUTED)])


def step_cells(longest: int, width: int) -> int:
    """The cells of the step column: what the longest name needs, but no more than a fifth of the pane."""
    return max(3, min(longest, max(width // 5, 10), 24))


@dataclass(frozen=True)
class LogFilter:
    """What a log is narrowed to: a step (`step:`), types by pattern (`type:`), and words that must all be in the line."""

    words: tuple[str, ...] = ()
    step: str | None = None
    types: frozenset[str] | None = None
    text: str = ""

    @property
    def on(self) -> bool:
        """Whether anything is left out."""
        return bool(self.words) or self.step is not None or self.types is not None

    def keeps(self, recorded: Recorded, around: Around = NOTHING_AROUND) -> bool:
        """Whether the line is in the narrowed log."""
        if self.step is not None and recorded.step != self.step:
            return False
        if self.types is not None and recorded.event.type not in self.types:
            return False
        return not self.words or has_words(recorded, self.words, around)


NO_FILTER = LogFilter()


def has_words(recorded: Recorded, words: Sequence[str], around: Around = NOTHING_AROUND) -> bool:
    """Whether step, type and text of the line have all the words, in lower case."""
    line = say(recorded, around)
    text = f"{recorded.step or 'run'} {line.type} {line.text.text}".lower()
    return all(word in text for word in words)


def read_filter(text: str, steps: Mapping[str, object]) -> LogFilter:
    """`step:legal type:step.* refused`: a bare word that is a step's name means that step; patterns have `*` and `?`."""
    step: str | None = None
    types: set[str] | None = None
    words: list[str] = []
    for word in text.split():
        if word.startswith("type:") and len(word) > 5:
            pattern = word[5:]
            found = {name for name in (*EVENTS, "unknown") if fnmatchcase(name, pattern) or name.startswith(pattern)}
            types = found if types is None else types & found
        elif word.startswith("step:") and len(word) > 5:
            step = _step_named(word[5:], steps)
        else:
            words.append(word.lower())
    return LogFilter(tuple(words), step, frozenset(types) if types is not None else None, text.strip())


def _step_named(wanted: str, steps: Mapping[str, object]) -> str:
    """The step of that name, or the only one that begins so; else the word itself, which no line has."""
    if wanted in steps:
        return wanted
    near = [name for name in steps if name.startswith(wanted)]
    return near[0] if len(near) == 1 else wanted


class EventPages:
    """The events in memory, by page of `PAGE` versions; the ones used longest ago go first."""

    def __init__(self) -> None:
        self._pages: OrderedDict[int, list[Recorded]] = OrderedDict()

    @staticmethod
    def page_of(version: int) -> int:
        """The page a version is on; page 0 begins with version 1."""
        return (version - 1) // PAGE

    def get(self, version: int) -> Recorded | None:
        """The event, if it is in memory."""
        page = (version - 1) // PAGE
        found = self._pages.get(page)
        place = (version - 1) % PAGE
        if found is None or place >= len(found):
            return None
        self._pages.move_to_end(page)
        return found[place]

    def put(self, page: int, found: Sequence[Recorded]) -> None:
        """A page that was read; one that holds more of it already is kept."""
        known = self._pages.get(page)
        if known is None or len(known) < len(found):
            self._pages[page] = list(found)
        self._pages.move_to_end(page)
        self._forget()

    def take(self, batch: Iterable[Recorded]) -> None:
        """Events that were just followed: they extend the pages they continue, so that a tail needs no reading."""
        for recorded in batch:
            page, place = divmod(recorded.version - 1, PAGE)
            known = self._pages.get(page)
            if known is None and place == 0:
                known = self._pages[page] = []
            if known is not None and len(known) == place:
                known.append(recorded)
        self._forget()

    def clear(self) -> None:
        """Forget everything."""
        self._pages.clear()

    def _forget(self) -> None:
        while len(self._pages) > KEPT:
            self._pages.popitem(last=False)
