"""What a replay says of the event it stands at: type, place, cause, and a before/after table of what it changed.

Apart from the step's details because it is about a moment, not about a step.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from store.events import Recorded
from tagent_tui.numbers import duration, events, size
from tagent_tui.rows import BLANK, Ink, Row, Seg, column
from tagent_tui.text import one_line
from tagent_tui.view.changes import Change
from tagent_tui.view.clock import exact_time
from tagent_tui.view.describe import NOTHING_AROUND, Around, Said, say
from tagent_tui.view.document import Content, Para, Part, value_part
from tagent_tui.view.scene import Scene


class Happening(NamedTuple):
    """An event with what surrounds it, for the event tab of a replay."""

    recorded: Recorded
    cause: Recorded | None
    decided: Sequence[Recorded]
    changes: Sequence[Change]
    content: Content | None = None


def event(scene: Scene, happening: Happening, around: Around = NOTHING_AROUND) -> list[Part]:
    """Type, place and cause of an event, then what it changed, then its own content."""
    line = say(happening.recorded, around)
    parts: list[Part] = [_type_row(happening.recorded, line), _place_row(happening.recorded, scene), BLANK]
    parts += _cause(happening, around)
    parts.append(Row([Seg("actor   ", Ink.MUTED), *one_line(happening.recorded.actor, 100, scene.glyphs).segs()]))
    if line.text.text:
        failed = line.ink is Ink.ERROR
        parts.append(Para([line.text], Ink.ERROR if failed else Ink.TEXT, Seg("error" if failed else "says", Ink.MUTED), 8))
    parts += [BLANK, _changed_head(happening), *(_change_row(change, scene) for change in happening.changes)]
    if happening.content is not None:
        parts += [BLANK, Row([Seg("What it carries", Ink.STRONG, bold=True), Seg(f"   {size(happening.content.size)}", Ink.MUTED)])]
        parts += value_part(happening.content, glyphs=scene.glyphs)
    return parts


def _type_row(recorded: Recorded, line: Said) -> Row:
    return Row(
        [
            Seg(line.type, line.ink if line.ink is not Ink.TEXT else Ink.STRONG, bold=True),
            Seg("   version ", Ink.MUTED),
            Seg(f"{recorded.version:,}"),
            Seg("   seq ", Ink.MUTED),
            Seg(f"{recorded.seq:,}"),
            Seg("   decision" if recorded.event.decision else "   fact", Ink.MUTED),
        ]
    )


def _place_row(recorded: Recorded, scene: Scene) -> Row:
    place = one_line(recorded.step, 100, scene.glyphs).segs() if recorded.step else [Seg("run")]
    attempt = f"   try {recorded.attempt}" if recorded.attempt else ""
    return Row([*place, Seg(f"{attempt}   {exact_time(recorded.at)}", Ink.MUTED)])


def _cause(happening: Happening, around: Around) -> list[Part]:
    cause = happening.cause
    if cause is None:
        return []
    line = say(cause, around)
    lag = happening.recorded.at - cause.at
    before = [Seg(f"{duration(lag)} before  ", Ink.MUTED)] if lag >= 0.05 else []
    head = [Seg("cause   ", Ink.MUTED), Seg(f"{cause.version:,} {line.type}"), Seg("  ")]
    return [Row([*head, *before, *line.text.segs(Ink.MUTED)])]


def _changed_head(happening: Happening) -> Row:
    head = [Seg("What it changed" if happening.changes else "It changed nothing a screen shows", Ink.STRONG, bold=True)]
    if happening.decided:
        names = ", ".join(f"{one.version:,} {one.event.type}" for one in happening.decided[:3])
        more = f" and {events(len(happening.decided) - 3)} more" if len(happening.decided) > 3 else ""
        head.append(Seg(f"   decided with it: {names}{more}", Ink.MUTED))
    return Row(head)


def _change_row(change: Change, scene: Scene) -> Row:
    where = column([Seg(change.where)], 22, scene.glyphs.ellipsis)
    before = column(change.before, 12, scene.glyphs.ellipsis)
    return Row([*where, *before, Seg(f" {scene.glyphs.became} ", Ink.MUTED), *change.after])
