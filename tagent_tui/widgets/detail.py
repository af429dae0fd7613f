"""The detail pane: a text of the selected step or effect, that scrolls, searches and copies.

Apart from the lists because it has no cursor: it shows one laid-out document, and keeps its place when the same text grows.
"""

from __future__ import annotations

from collections.abc import Sequence

from tagent_tui.view.document import Document, Part
from tagent_tui.widgets.lines import LineView


class DetailView(LineView):
    """A document in a width. `about` names what is shown: another name starts at the top, the same one keeps its place."""

    marked = False

    def __init__(self, *, id: str | None = None) -> None:
        self.document = Document()
        super().__init__(self.document, id=id)
        self.about: object = None

    def put(self, about: object, parts: Sequence[Part]) -> None:
        """Show these parts."""
        if about == self.about and parts == self.document.parts:
            return
        document = Document(parts)
        document.fit(max(self.size.width - 2, 0))
        top = self.top if about == self.about else 0
        self.about, self.document = about, document
        self.show(document)
        self.top = min(top, self._last_top())
        self.refresh()
        self.post_message(self.Moved(self, self.top))

    def on_resize(self) -> None:
        """Lay out for the new width."""
        self.document.fit(max(self.size.width - 2, 0))
        self.rows_changed()

    def find(self, words: Sequence[str], way: int) -> bool:
        """Bring the next row with all the words to the top."""
        count = self.document.count()
        for offset in range(1, count + 1):
            index = (self.top + way * offset) % count
            row = self.document.row(index, max(self.size.width - 2, 0))
            text = "".join(seg.text for seg in (*row.left, *row.right)).lower()
            if all(word in text for word in words):
                self.scroll_rows(index - self.top)
                return True
        return False
