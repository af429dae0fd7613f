"""What a fork would run again, as rows at two widths."""

from __future__ import annotations

import msgspec
import pytest

from tagent_tui.glyphs import ASCII
from tagent_tui.rows import beside, cells
from tagent_tui.view.foreseen import Again, Foreseen, Ground, foreseen_rows
from tests.acceptance.made_runs import HOSTILE

FOUND = Foreseen(
    [
        Again("report", "it was changed", True, 0.062, 0, 900, 1, 48.0, ["once upload_report", "tool send_mail"]),
        Again("notify", "it depends on report", False),
    ],
    ["score"],
    ["plan", "search"],
    ["The goal of report is another."],
)
GROUND = Ground("7f3a", 160, {"plan": 0.047, "search": 0.352, "score": 0.071})


def drawn(found: Foreseen, width: int, **options: object) -> list[str]:
    """The rows as they would stand on screen."""
    rows = foreseen_rows(found, GROUND, width, **options)  # type: ignore[arg-type]
    return ["".join(seg.text for seg in beside(row.left, row.right, width)).rstrip() for row in rows]


def test_a_wide_pane_puts_what_is_free_beside_what_is_paid() -> None:
    """Steps with reason, time and cost and their sum; names of reused steps and what they saved; then what asks, what changed."""
    said = "\n".join(drawn(FOUND, 106))
    assert "Would run again  2 of 160 steps" in said
    assert "Reused  3 steps, nothing paid" in said
    assert "◦ report  was changed" in said
    assert "as in 7f3a · 1 unknown" in said
    assert "✓ plan, search" in said
    assert "2 before the fork · 1 as recorded after it     $0.47" in said
    lines = said.split("\n")
    assert "   48.0 s   $0.062   ✓ plan" in lines[2]
    assert "◦ notify  depends on report              –        –   ✓ score" in lines[3]
    assert lines.index("Irreversible  these ask first, whatever was approved before") < lines.index(
        "Definition  what differs from the recorded one"
    )
    assert any(line.startswith("◆ report   upload_report") and line.endswith("asks before it is done again") for line in lines)
    assert "≠ The goal of report is another." in lines


def test_a_narrow_pane_has_what_costs_first() -> None:
    """In one column: what runs again, what asks, what is reused."""
    lines = drawn(FOUND, 78, glyphs=ASCII)
    heads = [next(index for index, line in enumerate(lines) if line.startswith(word)) for word in ("Would", "Irrev", "Reused")]
    assert heads == sorted(heads)
    assert "o report  was changed" in lines[2]
    known = drawn(Foreseen(FOUND.again[:1]), 78)
    assert any(line.startswith("at most, as it was in 7f3a") for line in known)


def test_a_fork_without_a_change_says_that_nothing_is_paid() -> None:
    """With nothing to run again there is no table; with nothing reused there is none either."""
    assert drawn(Foreseen(kept=["a"]), 78)[0] == "Would run again  nothing"
    assert "Reused  nothing" in drawn(Foreseen(again=[Again("a")]), 78)


def test_an_answer_of_another_version_is_read() -> None:
    """Fields that are not there have a default, unknown ones are passed over."""
    assert msgspec.convert({"again": [{"step": "a", "hue": 1}], "parent": "x"}, Foreseen) == Foreseen([Again("a")])


@pytest.mark.parametrize("width", [0, 12, 40, 91, 92, 106])
def test_rows_keep_their_width_whatever_stands_in_them(width: int) -> None:
    """Hostile names and reasons neither widen a row nor leave a control character in it."""
    found = Foreseen([Again(text, text, asks=[f"once {text}"]) for text in HOSTILE], [*HOSTILE], [*HOSTILE] * 100, [*HOSTILE])
    for row in foreseen_rows(found, GROUND, width):
        segs = beside(row.left, row.right, width)
        assert cells(segs) == width
        assert not any(ord(char) < 32 or char in "\u202e\u200b" for seg in segs for char in seg.text)
