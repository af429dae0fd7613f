"""The branch tree: order, guides, what a row says at which width."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from store import RunRow
from tagent_tui.glyphs import ASCII, UNICODE, Glyphs
from tagent_tui.rows import beside, cells
from tagent_tui.view.branches import Edited, Kin, arrange, branch_row, title
from tests.acceptance.made_runs import HOSTILE

ROW: dict[str, Any] = {
    "pipeline": "research", "status": "completed", "head": 9, "created": 1000.0, "ended": 1042.0, "last_at": 1042.0,
    "parent": None, "parent_version": None, "reuse_upto": None, "cost": 0.41, "unpriced": 0, "tokens": 9, "steps": 9, "settled": 9,
    "failed": 0, "running": 0, "simulated": False, "now": "", "driver": None, "inbox": 0, "target": None,
}  # fmt: skip


def kin(number: int, parent: int | None = None, at: int | None = None, *edits: Edited, reason: str = "") -> Kin:
    """A completed run, or fork, by number."""
    named = f"{parent:04x}cafe" if parent is not None else None
    row = msgspec.convert({**ROW, "row": number, "id": f"{number:04x}cafe", "parent": named, "parent_version": at}, RunRow)
    return Kin(row, "completed", edits, reason)


def drawn(family: list[Kin], width: int = 100, glyphs: Glyphs = UNICODE) -> list[str]:
    """The tree as text."""
    rows = [branch_row(one, width, 1100.0, glyphs, here=one.kin.run.id == "0002cafe") for one in arrange(family)]
    return ["".join(seg.text for seg in beside(row.left, row.right, width)).rstrip() for row in rows]


FAMILY = [
    kin(4, 2, 7),
    kin(3, 1, 60, Edited("params.company", "Beta"), reason="what of Beta"),
    kin(1),
    kin(2, 1, 12, Edited("a.output", "1"), Edited("b.goal", "x")),
]


def test_forks_hang_below_their_parent_in_the_order_of_their_events() -> None:
    """Guides lead from each to its parent; edits, reason and value say what is different; figures stand right."""
    found = [line[:68].rstrip() for line in drawn(FAMILY)]
    assert found == [
        "✓ 0001cafe  research",
        "✓ ├ ⑂ 0002cafe · this run  at 12  a.output, b.goal",
        "✓ │  └ ⑂ 0004cafe  at 7  nothing edited",
        "✓ └ ⑂ 0003cafe  at 60  params.company  what of Beta  → Beta",
    ]
    assert drawn(FAMILY)[0].endswith("9/9    1m    42.0 s   $0.41")
    assert title(arrange(FAMILY)) == "3 forks"
    assert title(arrange([kin(1)])) == "no forks"


def test_the_tree_has_ascii_marks() -> None:
    """Every guide and glyph has its plain form."""
    assert drawn(FAMILY, 80, ASCII)[2].startswith("+ |  ` Y 0004cafe  at 7")


def test_a_fork_whose_parent_is_not_there_stands_on_its_own() -> None:
    """An imported fork without its parent still says where it left it."""
    assert drawn([kin(5, 9, 33)])[0].startswith("✓ 0005cafe  at 33  nothing edited")


@pytest.mark.parametrize("width", [0, 20, 63, 64, 89, 90, 118])
def test_a_row_keeps_its_width(width: int) -> None:
    """Hostile edits and reasons neither widen a row nor leave a control character in it."""
    family = [kin(1), *(kin(number, 1, number, Edited(text, text), reason=text) for number, text in enumerate(HOSTILE, 2))]
    for one in arrange(family):
        row = branch_row(one, width, 1100.0)
        segs = beside(row.left, row.right, width)
        assert cells(segs) == width
        assert not any(ord(char) < 32 or char in "\u202e\u200b" for seg in segs for char in seg.text)
