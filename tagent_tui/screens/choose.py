"""A question with a few answers, none of which is safe to guess: nothing is preselected and `enter` does nothing.

Apart from the yes-or-no question because each answer has a key and a sentence of its own.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar, NamedTuple

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen

from tagent_tui.rows import BLANK, Ink, Row, Seg
from tagent_tui.screens.confirm import WIDTH, stand_on_pane
from tagent_tui.text import Line, one_line, wrap
from tagent_tui.widgets.bars import Rows, Rule


class Answer(NamedTuple):
    """An answer: its key, the word the screen is dismissed with, and what follows."""

    key: str
    word: str
    does: str


def bindings_of(prefix: str, answers: Iterable[Answer], leave: str) -> list[BindingType]:
    """The keys of a dialog with these answers, under ids that begin with `prefix`."""
    keys: list[BindingType] = [
        Binding(one.key, f"answer({one.word!r})", one.does, show=False, id=f"{prefix}.{one.word}") for one in answers
    ]
    return [*keys, Binding("escape,n", "answer('')", leave, show=False, id=f"{prefix}.leave")]


class ChooseScreen(ModalScreen[str | None]):
    """Asks; dismissed with an answer's word, or None. A subclass has the answers and their bindings."""

    DEFAULT_CSS = "ChooseScreen { align: center middle; }"
    ANSWERS: ClassVar[tuple[Answer, ...]] = ()
    LEAVE: ClassVar[str] = "leave it"

    def __init__(self, title: list[Seg], sentence: str) -> None:
        super().__init__()
        self._title, self._sentence = title, sentence

    def compose(self) -> ComposeResult:
        """A coloured rule, the sentence, the answers."""
        with Vertical(id="dialog"):
            yield Rule(id="dialog-rule")
            yield Rows(id="dialog-rows")

    def on_mount(self) -> None:
        """Say it."""
        stand_on_pane(self)
        self.query_one("#dialog-rule", Rule).show(self._title, ink=Ink.WARNING)
        self._lay_out()

    def on_resize(self) -> None:
        """The sentence wraps to the width there is."""
        self._lay_out()

    def _lay_out(self) -> None:
        room = max(min(WIDTH, self.app.size.width) - 4, 8)
        rows = [BLANK, *(Row(line.segs()) for line in wrap(one_line(self._sentence), room)), BLANK]
        for one in self.ANSWERS:
            rows += _answer(one.key, one.does, room)
        rows += [*_answer("esc", self.LEAVE, room), BLANK]
        block = self.query_one("#dialog-rows", Rows)
        block.styles.height = len(rows)
        block.show(rows)

    def action_answer(self, word: str) -> None:
        """Leave with the answer."""
        self.dismiss(word or None)


def _answer(key: str, does: str, room: int) -> list[Row]:
    lines = wrap(Line(does), max(room - 5, 8))
    return [
        Row([Seg(f"{key if not index else '':<5}", Ink.STRONG, bold=True), *line.segs(Ink.TEXT)])
        for index, line in enumerate(lines)
    ]
