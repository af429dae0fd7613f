"""The question what to cancel: the run, or only the step under the cursor.

Apart from the yes-or-no question of a run without such a step because one key more decides about much less.
"""

from __future__ import annotations

from typing import ClassVar

from textual.binding import BindingType

from tagent_tui.rows import Ink, Seg
from tagent_tui.screens.choose import Answer, ChooseScreen, bindings_of
from tagent_tui.text import one_line

ANSWERS = (
    Answer("y", "run", "cancel the whole run; it cannot go on"),
    Answer("s", "step", "cancel this step only; what needs it is skipped, the rest goes on"),
)
LEAVE = "let it go on"


class CancelScreen(ChooseScreen):
    """Asks; dismissed with `run`, `step`, or None."""

    ANSWERS = ANSWERS
    LEAVE = LEAVE
    BINDINGS: ClassVar[list[BindingType]] = bindings_of("cancel", ANSWERS, LEAVE)

    def __init__(self, pipeline: str, step: str, sentence: str) -> None:
        name = one_line(pipeline, 80).segs(Ink.STRONG, bold=True)
        title = [Seg("Cancel ", Ink.STRONG, bold=True), *name, Seg(", or only ", Ink.STRONG, bold=True)]
        super().__init__([*title, *one_line(step, 60).segs(Ink.STRONG, bold=True), Seg("?", Ink.STRONG, bold=True)], sentence)
