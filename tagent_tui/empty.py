"""The page of a store without runs: what can be done here, each line a key that works; and the page of a store in trouble.

Apart from the runs screen because it is words and where they stand, nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence

from tagent_tui.glyphs import Glyphs
from tagent_tui.rows import BLANK, Ink, Row, Seg, pad
from tagent_tui.text import Line, one_line, wrap

BLOCK = 74
"""Cells of the block that stands in the middle."""


def empty_rows(width: int, height: int, model: str | None, glyphs: Glyphs) -> list[Row]:
    """No runs yet, and what to press."""
    separator = Seg(f" {glyphs.sep} ", Ink.MUTED)
    rows: list[list[Seg]] = [[Seg("No runs yet.", Ink.STRONG, bold=True)], []]
    for key, does, how in (
        ("d", "see one in 20 seconds", "the demo reads this folder; no key, no network"),
        ("n", "start your own", "a pipeline file or module, with its parameters"),
        ("i", "write a pipeline", "a commented starter is put into this folder"),
    ):
        rows += [[Seg(pad(key, 4), Ink.ACCENT, bold=True), Seg(pad(does, 24)), Seg(how, Ink.MUTED)], []]
    rows += [[], [Seg(glyphs.hairline * min(BLOCK, width), Ink.HAIRLINE)]]
    rows.append([Seg("From a shell: ", Ink.MUTED), Seg("tagent-tui demo"), separator, Seg("run FILE"), separator, Seg("init")])
    rows.append([Seg("Model: ", Ink.MUTED), *_model(model, glyphs), separator, Seg("tagent-tui doctor")])
    return centred(rows, width, height, BLOCK)


def _model(model: str | None, glyphs: Glyphs) -> list[Seg]:
    if model:
        return one_line(model, 60, glyphs).segs()
    return [Seg("none configured", Ink.WARNING), Seg(f" {glyphs.sep} the demo does not need one", Ink.MUTED)]


def trouble_rows(trouble: str, width: int, height: int) -> list[Row]:
    """The store cannot be used: the sentence that says why, and that it was left alone."""
    block = min(BLOCK, max(width - 2, 1))
    rows: list[list[Seg]] = [[Seg("This store cannot be used.", Ink.STRONG, bold=True)], []]
    rows += [line.segs() for line in wrap(Line(trouble), block)]
    rows += [[], [Seg("It is looked at again every second.", Ink.MUTED)]]
    return centred(rows, width, height, block)


def centred(rows: Sequence[Sequence[Seg]], width: int, height: int, block: int) -> list[Row]:
    """Rows as a block of `block` cells in the middle of the page."""
    margin = Seg(" " * max((width - block) // 2, 0))
    above = max((height - len(rows)) // 2 - 2, 0)
    return [*[BLANK] * above, *(Row([margin, *row]) for row in rows)]
