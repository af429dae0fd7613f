"""The question about an effect whose outcome nobody knows: did it happen, did it fail, shall it be done again.

Apart from the yes-or-no question because it has three answers and none of them is safe to guess: nothing is preselected and
`enter` does nothing.
"""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen

from store.state import OpenEffect
from tagent_tui.rows import BLANK, Ink, Row, Seg
from tagent_tui.screens.confirm import WIDTH, stand_on_pane
from tagent_tui.text import Line, one_line, wrap
from tagent_tui.view.clock import time_of_day
from tagent_tui.view.effects import effect_name
from tagent_tui.widgets.bars import Rows, Rule

ANSWERS = (
    ("s", "succeeded", "it happened: go on, with nothing as its value"),
    ("f", "failed", "it did not happen: the step is told that it failed"),
    ("a", "again", "do it once more, even if it happened already"),
)


class DoubtScreen(ModalScreen[str | None]):
    """Asks about one effect; dismissed with `succeeded`, `failed`, `again`, or None."""

    DEFAULT_CSS = "DoubtScreen { align: center middle; }"
    BINDINGS: ClassVar[list[BindingType]] = [
        *(Binding(key, f"answer({outcome!r})", does, show=False, id=f"doubt.{outcome}") for key, outcome, does in ANSWERS),
        Binding("escape,n", "answer('')", "leave it in doubt", show=False, id="doubt.leave"),
    ]

    def __init__(self, effect: OpenEffect) -> None:
        super().__init__()
        self._effect = effect

    def compose(self) -> ComposeResult:
        """A coloured rule, what is not known, the answers."""
        with Vertical(id="dialog"):
            yield Rule(id="dialog-rule")
            yield Rows(id="dialog-rows")

    def on_mount(self) -> None:
        """Say it."""
        stand_on_pane(self)
        name = one_line(effect_name(self._effect.kind, self._effect.name), 100)
        title = [*name.segs(Ink.STRONG, bold=True), Seg(" is in doubt", Ink.STRONG, bold=True)]
        self.query_one("#dialog-rule", Rule).show(title, ink=Ink.WARNING)
        self._lay_out()

    def on_resize(self) -> None:
        """The sentence wraps to the width there is."""
        self._lay_out()

    def _lay_out(self) -> None:
        room = max(min(WIDTH, self.app.size.width) - 4, 8)
        effect = self._effect
        said = one_line(
            f"The step {effect.step} asked for it at {time_of_day(effect.requested_at)}, then its driver was gone. "
            "Nobody recorded whether it happened. Look there first, then say:"
        )
        rows = [BLANK, *(Row(line.segs()) for line in wrap(said, room)), BLANK]
        for key, _, does in ANSWERS:
            rows += _answer(key, does, room)
        rows += [*_answer("esc", "leave it in doubt", room), BLANK]
        block = self.query_one("#dialog-rows", Rows)
        block.styles.height = len(rows)
        block.show(rows)

    def action_answer(self, outcome: str) -> None:
        """Leave with the answer."""
        self.dismiss(outcome or None)


def _answer(key: str, does: str, room: int) -> list[Row]:
    lines = wrap(Line(does), max(room - 5, 8))
    return [
        Row([Seg(f"{key if not index else '':<5}", Ink.STRONG, bold=True), *line.segs(Ink.TEXT)])
        for index, line in enumerate(lines)
    ]
