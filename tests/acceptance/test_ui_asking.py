"""What waits for a person on the run screen: cards, the queue, answers, and the commands to one step."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from store.events import ApprovalGiven, StepCompleted, StepStarted
from tagent_tui import command, drive
from tagent_tui.screens.cancel import CancelScreen
from tagent_tui.screens.confirm import ConfirmScreen
from tagent_tui.screens.run import RunScreen
from tagent_tui.view.detail import Subject, Tab
from tagent_tui.widgets import card
from tests.acceptance.asking_runs import deploying, used_up
from tests.acceptance.made_runs import Made
from tests.acceptance.piloting import misses, sees, until
from tests.acceptance.test_ui_run import shown

Told = tuple[str, dict[str, Any]]


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[Told]:
    """The commands that were given, instead of giving them."""
    given: list[Told] = []

    async def tell(db: Path, run_id: str, kind: str, body: Any = None) -> str:
        given.append((kind, dict(body or {})))
        return "told"

    monkeypatch.setattr(command, "tell", tell)
    return given


@asynccontextmanager
async def asking(tmp_path: Path, made: Made, size: tuple[int, int] = (120, 40)) -> AsyncIterator[tuple[Pilot[None], RunScreen]]:
    """A made run on its screen."""
    async with shown(tmp_path, made, size) as (pilot, screen, _, _):
        yield pilot, screen


async def awake(pilot: Pilot[None], screen: RunScreen) -> None:
    """Wait until the card hears its keys."""
    await until(pilot, lambda: screen.card_shown and screen.card.awake)


async def test_an_approval_stands_in_place_of_the_details(tmp_path: Path, told: list[Told]) -> None:
    """The card says what would run exactly, with line numbers and computed warnings; tree and log stay."""
    async with asking(tmp_path, deploying(question=False)) as (pilot, _):
        await sees(pilot, "◆ Approval   deploy   waiting", "rejects itself in 9m", "acme:deploy", "irreversible")
        await sees(pilot, "exactly as it would be used, 3 lines", " 1  rm -rf build⟨ESC⟩[2J", "⟨U+202E⟩txt.hs⟨U+202C⟩")
        await sees(pilot, "! 5 invisible or control characters", "! text that changes the reading order (U+202E, U+202C)")
        await sees(pilot, "deploy goes on; publish waits for it", "1 Steps", "3 Log", "◆ deploy  waits for your approval")
        await misses(pilot, "2 Output")
        assert told == []


async def test_a_card_is_approved_by_its_key(tmp_path: Path, told: list[Told]) -> None:
    """`enter` does nothing, `A` approves the step of the card."""
    async with asking(tmp_path, deploying(question=False)) as (pilot, screen):
        await awake(pilot, screen)
        await pilot.press("2", "enter")
        assert told == []
        await pilot.press("A")
        await until(pilot, lambda: bool(told))
        assert told == [("approve", {"step": "deploy", "approved": True})]


async def test_keys_are_not_heard_in_the_moment_a_card_appears(
    tmp_path: Path, told: list[Told], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A key that was meant for something else approves nothing."""
    monkeypatch.setattr(card, "DEAF", 3600.0)
    async with asking(tmp_path, deploying(question=False)) as (pilot, screen):
        await until(pilot, lambda: screen.card_shown)
        await pilot.press("A", "R")
        assert told == []
        assert not screen.card.typing


async def test_a_rejection_takes_a_note(tmp_path: Path, told: list[Told]) -> None:
    """`R` asks why, `esc` goes back to the card, `enter` sends the rejection with the note."""
    async with asking(tmp_path, deploying(question=False)) as (pilot, screen):
        await awake(pilot, screen)
        await pilot.press("R", "x", "escape")
        assert not screen.card.typing
        assert told == []
        await pilot.press("R")
        await sees(pilot, "why it is rejected", "enter  reject")
        screen.card.line.value = "not on a Friday"
        await pilot.press("enter")
        await until(pilot, lambda: bool(told))
        assert told == [("approve", {"step": "deploy", "approved": False, "note": "not on a Friday"})]


async def test_a_question_is_answered_with_a_choice(tmp_path: Path, told: list[Told]) -> None:
    """The choices are listed; a number answers with the choice, what is none of them is said and not sent."""
    async with asking(tmp_path, deploying(approval=False)) as (pilot, screen):
        await pilot.press("a")
        await awake(pilot, screen)
        await sees(pilot, "◆ Question   ask", "Which register shall be exported first?", "1  DE", "3  both")
        await pilot.press("A", "9", "enter")
        await sees(pilot, "type a number from 1 to 3")
        assert told == []
        screen.card.line.value = "2"
        await pilot.press("enter")
        await until(pilot, lambda: bool(told))
        kind, body = told[0]
        assert (kind, body["step"], body["value"]) == ("answer", "ask", "FR")
        assert isinstance(body["request"], int)


async def test_a_card_is_put_back_and_found_in_the_queue(tmp_path: Path, told: list[Told]) -> None:
    """`esc` shows the details again, the footer counts who waits, `a` shows one after the other."""
    async with asking(tmp_path, deploying()) as (pilot, screen):
        await awake(pilot, screen)
        await sees(pilot, "Question 1 of 2", "◆ 2 wait for you  a next")
        await pilot.press("escape")
        await sees(pilot, "2 Output", "◆ 2 wait for you  a show")
        await pilot.press("a")
        await sees(pilot, "Question 1 of 2")
        await pilot.press("a")
        await sees(pilot, "Approval 2 of 2   deploy")
        await pilot.press("a")
        await sees(pilot, "Question 1 of 2")


async def test_the_card_is_a_pane_of_its_own_where_it_is_narrow(tmp_path: Path, told: list[Told]) -> None:
    """At 80x24 the tree has the screen until `a`; the card's keys work only where it is seen."""
    async with asking(tmp_path, deploying(question=False), (80, 24)) as (pilot, screen):
        await sees(pilot, "◆ deploy  waits for your approval", "◆ 1 waits for you  a show")
        await pilot.press("A")
        assert told == []
        await pilot.press("a")
        await sees(pilot, "◆ Approval   deploy", "A  approve once", "R  reject")
        await awake(pilot, screen)
        await pilot.press("A")
        await until(pilot, lambda: bool(told))


async def test_a_group_folds_its_children(tmp_path: Path, told: list[Told]) -> None:
    """A running group is open, its done children one row that unfolds; `h` folds and goes up."""
    async with asking(tmp_path, deploying(approval=False, question=False)) as (pilot, screen):
        await sees(pilot, "▾ ● pages  109 of 142 · ✗ 2 · ◇ 1", "▸ ✓ 107 items done", "✗ #3  HTTP 404", "· 30 items to go")
        await sees(pilot, "▾ ● polish  iteration 2", "✓ #0", "2/9", "● 3 running")
        await pilot.press("g", "j", "j", "space")
        await sees(pilot, "▾ ✓ 107 items done", "✓ #12")
        await pilot.press("h")
        await misses(pilot, "✓ #12")
        await pilot.press("h")
        await sees(pilot, "▸ ● pages")
        await misses(pilot, "107 items done")
        assert screen.step_tree.subject is not None
        assert screen.step_tree.subject.step == "pages"


async def test_ten_thousand_children_cost_what_is_seen(tmp_path: Path, told: list[Told]) -> None:
    """Of a group with 10,000 children, unfolded, only rows on screen are laid out."""
    async with asking(tmp_path, deploying(10_000, approval=False, question=False)) as (pilot, screen):
        await pilot.press("g", "j", "j", "space", "G")
        await sees(pilot, "later  stands in if publish fails")
        assert screen.step_tree.lines.count() > 9_900
        assert screen.step_tree.painted_rows < 600


async def test_a_step_is_skipped_after_asking(tmp_path: Path, told: list[Told]) -> None:
    """`S` asks; the answer goes to the step under the cursor."""
    async with asking(tmp_path, deploying(approval=False, question=False)) as (pilot, _):
        await pilot.press("G", "S")
        await until(pilot, lambda: isinstance(pilot.app.screen, ConfirmScreen))
        await pilot.press("y")
        await until(pilot, lambda: bool(told))
        assert told == [("skip", {"step": "later"})]


async def test_a_failed_step_is_tried_again(tmp_path: Path, told: list[Told]) -> None:
    """`t` is a key on a failed step only."""
    async with asking(tmp_path, deploying(approval=False, question=False)) as (pilot, _):
        await pilot.press("g", "t")
        assert told == []
        await pilot.press("right_square_bracket")
        await sees(pilot, "t try again")
        await pilot.press("t")
        await until(pilot, lambda: bool(told))
        assert told == [("retry", {"step": "pages[3]"})]


async def test_cancelling_asks_for_the_run_or_the_step(tmp_path: Path, told: list[Told]) -> None:
    """`x` on a step that has not ended offers to cancel only that; on one that has ended, the run."""
    async with asking(tmp_path, deploying(approval=False, question=False)) as (pilot, _):
        await pilot.press("G", "x")
        await until(pilot, lambda: isinstance(pilot.app.screen, CancelScreen))
        await pilot.press("enter")
        assert isinstance(pilot.app.screen, CancelScreen)
        await pilot.press("s")
        await until(pilot, lambda: bool(told))
        assert told == [("cancel", {"step": "later"})]
        await pilot.press("g", "x")
        await until(pilot, lambda: isinstance(pilot.app.screen, ConfirmScreen))


async def test_a_used_up_budget_is_raised(tmp_path: Path, told: list[Told]) -> None:
    """The block below the tree says which budget it is; `b` takes another amount, and refuses what is no number."""
    async with asking(tmp_path, used_up()) as (pilot, screen):
        await sees(pilot, "◆ the budget of $0.50 is used up  b raises it", "$0.01 of $0.50")
        await pilot.press("b", "x", "enter")
        await sees(pilot, "'x' is not a number")
        await pilot.press("b", "2", "enter")
        await until(pilot, lambda: bool(told))
        assert told == [("budget", {"cost": 2.0})]
        assert not screen.has_class("-asking")


async def test_a_run_nobody_drives_is_driven_on_after_an_answer(
    tmp_path: Path, told: list[Told], monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the last thing it waited for was said, a driver is started."""
    resumed: list[str] = []

    async def resume(db: Path, run_id: str, config: Any = None) -> None:
        resumed.append(run_id)

    monkeypatch.setattr(drive, "resume", resume)
    made = deploying(question=False)
    async with shown(tmp_path, made, alive=False) as (pilot, screen, _, _):
        await until(pilot, lambda: screen.card_shown and screen.card.awake)
        await pilot.press("A")
        await until(pilot, lambda: bool(resumed))
        assert resumed == [made.run]
        assert "approve" in told[0]


async def test_waits_joins_and_skips_say_why(tmp_path: Path, told: list[Told]) -> None:
    """A join says how many it wants, a skip its condition, a fallback what it stands in for."""
    async with asking(tmp_path, deploying()) as (pilot, _):
        await sees(
            pilot, "score  needs 2 of pages, polish, ask", "skipped unless params.lang != 'en'", "stands in if publish fails"
        )
        await sees(pilot, "why it waits", "ask  asks: Which register", "deploy  wants to run: I need a clean")


async def test_one_key_resumes_or_rejects(tmp_path: Path, told: list[Told], monkeypatch: pytest.MonkeyPatch) -> None:
    """`R` rejects on a card, and goes on with an interrupted run where none is shown; the footer says which."""
    resumed: list[str] = []

    async def resume(db: Path, run_id: str, config: Any = None) -> None:
        resumed.append(run_id)

    monkeypatch.setattr(drive, "resume", resume)
    async with shown(tmp_path, deploying(question=False), alive=False) as (pilot, screen, _, _):
        await until(pilot, lambda: screen.card_shown and screen.card.awake)
        await sees(pilot, "INTERRUPTED", "R reject")
        await pilot.press("escape")
        await sees(pilot, "R resume")
        await pilot.press("R")
        await until(pilot, lambda: bool(resumed))
    assert told == []


async def test_a_child_shows_its_item_and_a_decided_step_what_was_decided(tmp_path: Path, told: list[Told]) -> None:
    """The input of a child is its item; a condition, an approval and who gave it stand before the output."""
    made = deploying(4, question=False)
    made.add(ApprovalGiven(True, "fine by me"), "deploy", 0)
    made.add(StepStarted(), "deploy", 1, after=0.5)
    made.add(StepCompleted(made.pack("deployed")), "deploy", 1, after=0.5)
    async with asking(tmp_path, made) as (pilot, screen):
        screen.step_tree.go_to(Subject("pages[2]"))
        screen.detail_pane.chosen = Tab.INPUT
        await sees(pilot, "pages[2]", "item", "plan")
        screen.detail_pane.chosen = Tab.OUTPUT
        screen.step_tree.go_to(Subject("translate"))
        await sees(pilot, "condition  params.lang != 'en'")
        screen.step_tree.go_to(Subject("deploy"))
        await sees(pilot, "asked      I need a clean folder", "approved   by driver", "fine by me", "deployed")
        screen.step_tree.go_to(Subject("pages"))
        await sees(pilot, "for each   steps.plan.output  4 items")
