"""A question before something that cannot be taken back: one sentence, yes or no, nothing preselected.

`enter` does nothing here: it is the key people press without reading.
"""

from __future__ import annotations

from typing import ClassVar, TypeVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen, Screen

from tagent_tui.rows import BLANK, Ink, Row, Seg, Tint
from tagent_tui.text import Line, one_line, wrap
from tagent_tui.widgets.bars import Rows, Rule
from tagent_tui.widgets.lines import Painted

T = TypeVar("T")
WIDTH = 64


def stand_on_pane(dialog: Screen[T]) -> None:
    """A dialog's widgets stand on the surface of cards, in the mode of the screen it lies over."""
    dialog.set_class(any(screen.has_class("-replay") for screen in dialog.app.screen_stack), "-replay")
    for widget in dialog.query(Painted):
        widget.tint = Tint.PANE


class ConfirmScreen(ModalScreen[bool]):
    """Asks; dismissed with the answer. `title` names the thing, `sentence` says what would happen, `yes` what the key does."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "answer(True)", "yes", show=False, id="confirm.yes"),
        Binding("n,escape", "answer(False)", "no", show=False, id="confirm.no"),
    ]

    def __init__(self, title: str, sentence: str, *, yes: str = "yes", no: str = "no") -> None:
        super().__init__()
        self._title = one_line(title, 200)
        self._sentence = one_line(sentence, 600)
        self._yes, self._no = yes, no

    def compose(self) -> ComposeResult:
        """A coloured rule, the question, the two keys."""
        with Vertical(id="dialog"):
            yield Rule(id="dialog-rule")
            yield Rows(id="dialog-rows")

    def on_mount(self) -> None:
        """Say it."""
        stand_on_pane(self)
        self.query_one("#dialog-rule", Rule).show(self._title.segs(Ink.STRONG, bold=True), ink=Ink.WARNING)
        self._lay_out()

    def on_resize(self) -> None:
        """The sentence wraps to the width there is."""
        self._lay_out()

    def _lay_out(self) -> None:
        room = max(min(WIDTH, self.app.size.width) - 4, 8)
        keys = [Seg("y", Ink.STRONG, bold=True), Seg(f"  {self._yes}", Ink.TEXT), Seg("      ")]
        keys += [Seg("n", Ink.STRONG, bold=True), Seg(f"  {self._no}", Ink.TEXT)]
        rows = [BLANK, *(Row(line.segs()) for line in _wrapped(self._sentence, room)), BLANK, Row(keys), BLANK]
        block = self.query_one("#dialog-rows", Rows)
        block.styles.height = len(rows)
        block.show(rows)

    def action_answer(self, yes: bool) -> None:
        """Leave with the answer."""
        self.dismiss(yes)


def _wrapped(sentence: Line, room: int) -> list[Line]:
    return wrap(sentence, room) or [sentence]
