"""The question about an effect whose outcome nobody knows: did it happen, did it fail, shall it be done again.

Apart from the command it leads to because what it says of the effect is tested as text.
"""

from __future__ import annotations

from typing import ClassVar

from textual.binding import BindingType

from store.state import OpenEffect
from tagent_tui.rows import Ink, Seg
from tagent_tui.screens.choose import Answer, ChooseScreen, bindings_of
from tagent_tui.text import one_line
from tagent_tui.view.clock import time_of_day
from tagent_tui.view.effects import effect_name

ANSWERS = (
    Answer("s", "succeeded", "it happened: go on, with nothing as its value"),
    Answer("f", "failed", "it did not happen: the step is told that it failed"),
    Answer("a", "again", "do it once more, even if it happened already"),
)
LEAVE = "leave it in doubt"


class DoubtScreen(ChooseScreen):
    """Asks about one effect; dismissed with `succeeded`, `failed`, `again`, or None."""

    ANSWERS = ANSWERS
    LEAVE = LEAVE
    BINDINGS: ClassVar[list[BindingType]] = bindings_of("doubt", ANSWERS, LEAVE)

    def __init__(self, effect: OpenEffect) -> None:
        name = one_line(effect_name(effect.kind, effect.name), 100)
        said = (
            f"The step {effect.step} asked for it at {time_of_day(effect.requested_at)}, then its driver was gone. "
            "Nobody recorded whether it happened. Look there first, then say:"
        )
        super().__init__([*name.segs(Ink.STRONG, bold=True), Seg(" is in doubt", Ink.STRONG, bold=True)], said)
