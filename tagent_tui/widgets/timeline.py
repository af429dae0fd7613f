"""The timeline of a replay: title, density, rail and times, and on a wide screen the events one by one.

Apart from the screen because it is drawn from a few values whenever the playhead moves; a click on it is a wish to go there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from textual import events
from textual.message import Message
from textual.strip import Strip

from tagent_tui.past import Moment
from tagent_tui.rows import Ink, Seg, beside
from tagent_tui.text import one_line
from tagent_tui.view import timeline
from tagent_tui.view.describe import say
from tagent_tui.view.timeline import Playhead, Timeline
from tagent_tui.widgets.lines import Painted

WIDE = 100
HEIGHT = 5


class _Shown(NamedTuple):
    timeline: Timeline
    moment: Moment


class TimelineView(Painted):
    """Five rows; narrow screens say the event where wide ones show the events one by one."""

    @dataclass
    class Picked(Message):
        """A place on the upper tracks was clicked: a share of the run's time, from 0 to 1."""

        share: float

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._shown: _Shown | None = None

    def put(self, shown: Timeline, moment: Moment) -> None:
        """Draw this timeline with the playhead at a moment."""
        self._shown = _Shown(shown, moment)
        self.refresh()

    def render_line(self, y: int) -> Strip:
        """One of the rows."""
        width = self.size.width
        if self._shown is None or width <= 0:
            return self.palette.strip((), width)
        return self.palette.strip(self._segs(*self._shown, y, width), width)

    def _segs(self, shown: Timeline, moment: Moment, y: int, width: int) -> list[Seg]:
        head = Playhead(moment.version, moment.event.at)
        inner = max(width - 2, 0)
        order = ("title", "density", "rail", "times", "track") if width >= WIDE else ("title", "event", "density", "rail", "times")
        match order[y] if y < len(order) else "":
            case "title":
                return timeline.title_row(shown, head, width, self.glyphs)
            case "density":
                return [Seg(" "), *timeline.density_row(shown, head, inner, self.glyphs)]
            case "rail":
                return [Seg(" "), *timeline.rail_row(shown, head, inner, self.glyphs)]
            case "times":
                return [Seg(" "), *timeline.times_row(shown, head, inner, self.glyphs)]
            case "track":
                row = timeline.track_row(moment.around, head, shown.head, inner, self.glyphs)
                return [Seg(" "), *beside(row.left, row.right, inner)]
            case "event":
                return [Seg(" "), *self._said(moment, inner)]
        return []

    def _said(self, moment: Moment, width: int) -> list[Seg]:
        line = say(moment.event)
        name = one_line(moment.event.step or "run", 100, self.glyphs).segs()
        ink = line.ink if line.ink is not Ink.TEXT else Ink.STRONG
        return beside([Seg(line.type, ink, bold=True), Seg("  "), *name, Seg("  "), *line.text.segs(Ink.MUTED)], (), width)

    def on_click(self, event: events.Click) -> None:
        """A click on the density or the rail goes there."""
        last = max(self.size.width - 3, 1)
        if 0 < event.y < HEIGHT - 1:
            self.post_message(self.Picked(min(max((event.x - 1) / last, 0.0), 1.0)))
