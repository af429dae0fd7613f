"""The run list: order, forks, filter, what each row says, what is dropped at which width."""

from __future__ import annotations

from typing import Any

import pytest

from store import Driver, RunRow
from store.events import EffectInDoubt, LogWritten, Recorded, RunId, Version
from store.state import RunState, StepState, StepStatus
from tagent_tui.glyphs import ASCII, UNICODE
from tagent_tui.peek import EVENTS, HEIGHT, Peek, peek_rows, pick
from tagent_tui.rows import Ink, Row, cells
from tagent_tui.runlist import Entry, Filter, RunList, columns, filter_row, header, id_cells, row, to_compare

NOW = 10_000.0


def run(place: int, **changes: Any) -> RunRow:
    """A completed run; the id is made from its place."""
    fields: dict[str, Any] = {
        "row": place, "id": RunId(f"{place:04x}aaaa"), "pipeline": "audit", "status": "completed", "head": 9,
        "created": NOW - 200.0, "ended": NOW - 16.0, "last_at": NOW - 16.0, "parent": None,
        "parent_version": None, "reuse_upto": None, "cost": 0.41,
        "unpriced": 0, "tokens": 412_000, "steps": 4, "settled": 4, "failed": 0, "running": 0, "simulated": False, "now": "",
        "driver": Driver(1, 1.0, "here"), "inbox": 0, "target": None,
    }  # fmt: skip
    return RunRow(**{**fields, **changes})


def listed(*runs: RunRow, alive: bool = False) -> RunList:
    """A list with these runs loaded."""
    made = RunList(alive=lambda _: alive)
    made.take_newest(sorted(runs, key=lambda one: -one.row), 100)
    made.arrange()
    return made


def said(shown: Row) -> str:
    """The text of a row."""
    return "".join(seg.text for seg in [*shown.left, *shown.right])


def line(entry: Entry, width: int = 118, *, wide: bool = True, **more: Any) -> str:
    """An entry's row as text."""
    return said(row(entry, columns(width, wide=wide), NOW, UNICODE, **more))


@pytest.mark.parametrize(
    ("status", "running", "alive", "shown"),
    [
        ("completed", 0, False, "completed"), ("failed", 0, True, "failed"), ("running", 2, True, "running"),
        ("running", 2, False, "interrupted"), ("waiting", 0, False, "waiting"), ("paused", 0, False, "paused"),
        ("paused", 1, False, "interrupted"), ("pending", 0, False, "pending"), ("cancelled", 0, False, "cancelled"),
    ],
)  # fmt: skip
def test_shown_statuses(status: str, running: int, alive: bool, shown: str) -> None:
    """What depends on who is alive is shown, whatever was folded."""
    assert RunList(alive=lambda _: alive).status(run(1, status=status, running=running)) == shown


def test_newest_first_and_forks_below_their_parent() -> None:
    """Forks hang under their parent, oldest first, and a fork of a fork one level deeper."""
    found = listed(
        run(1), run(2), run(3, parent="0001aaaa"), run(4, parent="0001aaaa"), run(5, parent="0003aaaa"), run(6)
    )  # fmt: skip
    assert [(entry.run.row, entry.guide) for entry in found.entries] == [
        (6, ""), (2, ""), (1, ""), (3, "+"), (5, "|`"), (4, "`"),
    ]  # fmt: skip


def test_a_fork_whose_parent_is_not_loaded_stands_alone() -> None:
    """It keeps its name and says that it is a fork."""
    entry = listed(run(3, parent="0001aaaa", parent_version=12)).entries[0]
    assert entry.guide == ""
    assert "audit  ⑂ at 12" in line(entry)


def test_runs_that_point_at_each_other_do_not_hang() -> None:
    """A damaged list of parents loses no other run and ends."""
    found = listed(run(1, parent="0002aaaa"), run(2, parent="0001aaaa"), run(3))
    assert [entry.run.row for entry in found.entries] == [3]


def test_a_gap_above_drops_what_is_below() -> None:
    """When more new runs came than a page holds, the older rows go, for between them some are missing."""
    found = RunList(alive=lambda _: False)
    found.take_newest([run(2), run(1)], 2)
    found.take_newest([run(9), run(8)], 2)
    assert (sorted(one.row for one in found.runs.values()), found.more) == ([8, 9], True)
    found.take_older([run(7)], 2)
    assert (found.oldest, found.more) == (7, False)
    found.take_newest([run(10), run(9)], 2)
    assert sorted(one.row for one in found.runs.values()) == [7, 8, 9, 10]


@pytest.mark.parametrize(
    ("wanted", "rows"),
    [
        (Filter("AUD"), [2, 1]), (Filter("audit failed"), [1]), (Filter(status="failed"), [1]), (Filter("0003"), [3]),
        (Filter(pipeline="other"), [3]), (Filter("audit", pipeline="other"), []), (Filter("[/x]"), []), (Filter("  "), [3, 2, 1]),
    ],
)  # fmt: skip
def test_filters(wanted: Filter, rows: list[int]) -> None:
    """All words must be in id, pipeline, status or now, whatever their case."""
    found = listed(run(1, status="failed", now="HTTP 429"), run(2), run(3, pipeline="other"))
    found.filter = wanted
    found.arrange()
    assert [entry.run.row for entry in found.entries] == rows


def test_now_says_so_what() -> None:
    """Where a run is, why it failed, what helps; the first part in the colour of its status, the rest quiet."""
    failed = listed(run(1, status="failed", now="competitors: HTTP 429, 4 tries")).entries[0]
    shown = row(failed, columns(118, wide=True), NOW, UNICODE)
    texts = [(seg.text.strip(), seg.ink) for seg in shown.left]
    assert ("competitors", Ink.ERROR) in texts
    assert ("· HTTP 429, 4 tries", Ink.MUTED) in texts
    assert "interrupted · R resumes" in line(listed(run(1, status="running")).entries[0])
    assert "waits for you" in line(Entry(run(1, status="running", now="pay"), "waiting"))
    assert "◆" in line(Entry(run(1, status="running"), "waiting"))
    assert "not started · R starts it" in line(listed(run(1, status="pending")).entries[0])


def test_a_row_at_120_says_all_and_at_80_what_matters() -> None:
    """At 80 columns tokens and time go and the bar has four cells; both rows keep their width."""
    entry = listed(run(1)).entries[0]
    assert line(entry).split() == ["✓", "0001", "audit", "completed", "━━━━━━━━", "4/4", "3m", "3m", "04s", "412k", "$0.41"]
    narrow = line(entry, 78, wide=False)
    assert "412k" not in narrow
    assert "3m 04s" not in narrow
    assert " ━━━━ " in narrow


@pytest.mark.parametrize("width", [0, 1, 5, 20, 40, 47, 48, 60, 65, 66, 78, 97])
def test_narrow_rows_and_headers_fit(width: int) -> None:
    """At any width below the wide layout, columns are dropped until the rest fits."""
    at = columns(width, wide=False)
    assert cells(header(at).right) <= max(width, 12)
    row(listed(run(1)).entries[0], at, NOW, UNICODE)


def test_the_header_stands_over_its_columns() -> None:
    """Each name ends or starts where its column does."""
    at = columns(118, wide=True)
    names, shown = header(at), row(listed(run(1, now="findings")).entries[0], at, NOW, UNICODE)
    left, over = said(Row(shown.left)), said(Row(names.left))
    assert left.index("audit") == over.index("pipeline")
    assert left.index("findings") == over.index("now")
    assert cells(shown.right) == cells(names.right)
    assert said(Row(names.right)).endswith("cost")


def test_a_sparkline_only_for_live_rows() -> None:
    """A live row shows its events a second; with none, the words have the room."""
    live = Entry(run(1, status="running", ended=None), "running")
    assert "▁▁▂▃▄▅▆█" in line(live, pulse=[0, 1, 2, 3, 4, 5, 6, 8], top=8)
    assert "▁" not in line(live, pulse=[0] * 8)


def test_time_runs_only_while_somebody_drives() -> None:
    """An interrupted run stands at its last event, a running one at now, an ended one at its end."""
    assert "3m 20s" in line(Entry(run(1, ended=None, status="running"), "running"))
    assert "3m 04s" in line(Entry(run(1, ended=None, status="running"), "interrupted"))


def test_hostile_names_are_named_in_the_row() -> None:
    """Control characters in names and reasons become tokens; nothing else of the row moves."""
    one = run(1, pipeline="a\x1b[2Jb", status="failed", now="[/x]\x07 \u202eboom\nline two")
    shown = line(listed(one).entries[0])
    assert "a⟨ESC⟩[2Jb" in shown
    assert "[/x]⟨BEL⟩ ⟨U+202E⟩boom …" in shown
    assert len(shown) == len(line(listed(run(1)).entries[0]))


def test_ids_are_as_long_as_it_takes() -> None:
    """Four characters where they tell the runs apart, more where they do not."""
    assert id_cells(["7f3a0001", "7e3a0001"]) == 4
    assert id_cells(["7f3a0001", "7f3a0101"]) == 6
    assert id_cells([]) == 4


def test_ascii_rows_are_ascii() -> None:
    """With the ASCII set a row of plain names has no other characters."""
    found = listed(run(1, status="failed", now="a: b"), run(2, parent="0001aaaa", parent_version=3), run(3, status="running"))
    for entry in found.entries:
        assert said(row(entry, columns(118, wide=True), NOW, ASCII, pulse=[1] * 8)).isascii()


def test_money_of_the_last_days_is_only_said_if_it_is_known() -> None:
    """With older rows not loaded the sum might be short, so there is none."""
    found = listed(run(1), run(2))
    assert found.spent_since(0.0) == pytest.approx(0.82)
    found.more = True
    assert found.spent_since(0.0) is None
    assert found.spent_since(NOW - 100.0) == 0


def test_the_filter_row_says_what_is_narrowed() -> None:
    """Words, status, pipeline and how many there are; a plus where more may follow."""
    assert said(filter_row(Filter(), 1, more=False, glyphs=UNICODE)) == "/ filter   status any   pipeline any1 run · newest first"
    assert said(filter_row(Filter("x y", "failed", "p"), 200, more=True, glyphs=UNICODE)).startswith(
        "/ x y   status failed   pipeline p200+ runs"
    )


def state_of(**steps: StepStatus) -> RunState:
    """A state with these steps."""
    state = RunState(version=3, steps={name: StepState(status=status) for name, status in steps.items()})
    for status in steps.values():
        state.counts[status] += 1
    return state


def test_the_peek_picks_what_matters() -> None:
    """Of many steps those that wait for somebody, run or failed are shown, in their order; the others are counted."""
    steps = {f"s{number}": StepStatus.COMPLETED for number in range(50)}
    state = state_of(
        **steps, broken=StepStatus.FAILED, doubt=StepStatus.IN_DOUBT, runs=StepStatus.RUNNING, later=StepStatus.PENDING
    )
    assert pick(state, 5) == ["broken", "doubt", "runs", "later"]
    peek = Peek(Entry(run(1), "completed"), state, now=NOW)
    assert any("45 settled" in said(shown) for shown in peek_rows(peek, 118, UNICODE))


@pytest.mark.parametrize("width", [0, 10, 40, 89, 90, 118, 200])
def test_the_peek_fits(width: int) -> None:
    """The peek has at most its height of rows, at any width, with events of any kind."""
    recorded = [
        Recorded(Version(number), NOW, event, "step\x1b", 1, None, "driver")
        for number, event in enumerate([LogWritten("a\nb\x1b[31m"), EffectInDoubt(1)] * EVENTS)
    ]
    state = state_of(**{f"s{number}": StepStatus.RUNNING for number in range(30)})
    entry = Entry(run(1, status="running"), "running")
    rows = peek_rows(Peek(entry, state, alive=True, now=NOW, events=recorded, pulse=[3] * 28, costs=[0.1, 0.2]), width, UNICODE)
    assert len(rows) <= HEIGHT
    assert not any("\x1b" in said(shown) for shown in rows)


def test_a_peek_without_a_state_is_a_heading() -> None:
    """Until the state is read there is the run's name and nothing invented."""
    rows = peek_rows(Peek(Entry(run(1), "completed"), now=NOW), 118, UNICODE)
    assert len(rows) == 2
    assert "audit" in said(rows[0])


def test_which_runs_are_compared() -> None:
    """Two marked; the marked one and this one; a fork and its parent; the older first; else none."""
    old, new = run(1), run(2)
    fork = run(3, parent=old.id, parent_version=5)
    assert to_compare([new, old], fork) == (old.id, new.id)
    assert to_compare([new], old) == (old.id, new.id)
    assert to_compare([], fork) == to_compare([fork], fork) == (old.id, fork.id)
    assert to_compare([], old) is None
    assert to_compare([], None) is None


def test_a_marked_run_has_a_glyph_and_nothing_moves() -> None:
    """The mark stands behind the id, where a space was."""
    entry = listed(run(1)).entries[0]
    plain, marked = line(entry), line(entry, marked=True)
    assert [(a, b) for a, b in zip(plain, marked, strict=True) if a != b] == [(" ", "≠")]
