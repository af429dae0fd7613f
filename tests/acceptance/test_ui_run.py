"""The run screen on real stores: what is seen live, every key, panes at every size, control, hostile texts, budgets."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from textual.pilot import Pilot
from textual.widgets import Input

from engine.config import TAgentConfig, UiConfig
from store.events import ArtifactMade, LogWritten, Payload, Recorded, RunCompleted, StepCompleted, StepStarted
from store.lease import Lease
from store.log import Log
from store.projector import project
from store.state import StepStatus
from tagent_tui.screens.cancel import CancelScreen
from tagent_tui.screens.doubt import DoubtScreen
from tagent_tui.screens.run import RunScreen
from tagent_tui.screens.runs import RunsScreen
from tagent_tui.view.detail import Subject, Tab
from tests.acceptance.made_runs import HOSTILE, Made, hostile, in_doubt, log_lines, many_steps, research, write, write_long
from tests.acceptance.piloting import app_of, misses, opened, sees, text, until


@asynccontextmanager
async def shown(
    tmp_path: Path,
    made: Made,
    size: tuple[int, int] = (120, 40),
    *,
    alive: bool = True,
    at: int | None = None,
    config: TAgentConfig | None = None,
) -> AsyncIterator[tuple[Pilot[None], RunScreen, Lease, Log]]:
    """A made run on its screen, two seconds after its last event; its lease is held here."""
    path = tmp_path / "runs.db"
    async with await Log.open(path) as log:
        lease = await write(log, made, alive=alive)
        if not alive:
            await lease.release()
        async with opened(path, size, config, now=made.at + 2.0) as pilot:
            screen = RunScreen(made.run, at)
            await pilot.app.push_screen(screen)
            await until(pilot, lambda: screen.looks > 0)
            await pilot.pause()
            yield pilot, screen, lease, log
        if alive:
            await lease.release()


async def test_a_live_run_says_where_it_is(tmp_path: Path) -> None:
    """Title, tree, reasons, the conversation of the running step and the end of the log are seen at once."""
    async with shown(tmp_path, research()) as (pilot, _, _, _):
        await sees(pilot, "LIVE  company_research  7f3a19c2   Acme Robotics", "5/9   ● 1 running   ◇ 1 retry   ✗ 1 failed")
        await sees(pilot, "▸ ✓ plan", "▌▸ ● reviews", "✗ legal  HTTP 403", "– translate  skipped: its dependency legal failed")
        await sees(pilot, "why it waits", "· score  held by pages, reviews; 1 step comes after it")
        await sees(pilot, "2 Output", "Messages", "user    Judge the reviews", "Now answer as JSON")
        await sees(pilot, "3 Log", "step.retry_scheduled  in 8 s")


async def test_events_of_another_process_appear(tmp_path: Path) -> None:
    """What a driver appends is folded and shown: tree, counts, details and log, without a key."""
    made = research()
    async with shown(tmp_path, made) as (pilot, screen, lease, _):
        version = lease.head
        lease.append([Recorded(version + 1, made.at + 1, StepCompleted(made.pack({"score": 4})), "reviews", 1)])
        lease.append([Recorded(version + 2, made.at + 1, LogWritten("all is well"), "reviews", 1)])
        await lease.flush()
        await sees(pilot, "✓ reviews", "6/9", "all is well", '"score": 4')
        assert screen.present is not None
        assert screen.present.state.version == version + 2


async def test_the_fold_is_the_same_as_from_the_start(tmp_path: Path) -> None:
    """What the screen folded while following equals a fold of all events."""
    made = research()
    whole = research("completed")
    async with shown(tmp_path, made) as (pilot, screen, lease, log):
        for recorded in whole.events[len(made.events) :]:
            lease.append([recorded], whole.blobs.items())
            await lease.flush()
        await sees(pilot, "COMPLETED")
        assert screen.present is not None
        assert screen.present.state == project(whole.events)
        assert screen.present.state == await log.state(lease.run)


async def test_a_run_without_a_driver_is_interrupted(tmp_path: Path) -> None:
    """The chip, the half circle and the reason say that the driver is gone, and `R` is the key."""
    async with shown(tmp_path, research(), alive=False) as (pilot, _, _, _):
        await sees(pilot, "INTERRUPTED", "◐ reviews  was under way", "its driver is gone", "R resume")
        await misses(pilot, "p pause")


async def test_failures_are_found_by_their_key(tmp_path: Path) -> None:
    """`]` goes to the failed step, whose error opens; where nothing failed or folds, there are no such keys."""
    async with shown(tmp_path, research()) as (pilot, screen, _, _):
        await pilot.press("right_square_bracket")
        assert screen.step_tree.subject is not None
        assert screen.step_tree.subject.step == "legal"
        await sees(pilot, "Traceback (most recent call last):", "try 4 of 4")
    async with shown(tmp_path / "two", many_steps(20, settled=0.2)) as (pilot, _, _, _):
        await sees(pilot, "r replay")
        await misses(pilot, "next ✗", "space fold")


async def test_unfolding_shows_what_a_step_did(tmp_path: Path) -> None:
    """`space` shows the effects of a step below it, again hides them; one can be selected and its value read."""
    async with shown(tmp_path, research()) as (pilot, screen, _, _):
        await pilot.press("g", "j", "space")
        await sees(pilot, "▾ ✓ search", "✓ web_search 1", "✓ web_search 8")
        await pilot.press("j", "j")
        assert screen.step_tree.subject is not None
        assert screen.step_tree.subject.effect is not None
        await sees(pilot, "search › web_search 2", "https://acme-robotics.example/1/0")
        await pilot.press("h")
        await misses(pilot, "✓ web_search 1")
        assert screen.step_tree.subject.step == "search"
        await pilot.press("l")
        await sees(pilot, "✓ web_search 1")


async def test_unfolded_steps_grow_while_they_run(tmp_path: Path) -> None:
    """An effect that is requested while its step is unfolded appears below it."""
    made = research()
    async with shown(tmp_path, made) as (pilot, screen, lease, _):
        await pilot.press("space")
        await sees(pilot, "▾ ● reviews")
        before = screen.step_tree.lines.count()
        request = research("completed").events[lease.head]
        assert request.step == "pages"
        lease.append([Recorded(lease.head + 1, made.at, StepStarted(), "pages", 3)])
        follow = Made(made.run)
        follow.events, follow.at = [*made.events, Recorded(lease.head, made.at, StepStarted(), "pages", 3)], made.at
        follow.call("reviews", 1, "look_again", 3, took=0.1)
        lease.append(follow.events[-2:])
        await lease.flush()
        await sees(pilot, "✓ look_again")
        assert screen.step_tree.lines.count() == before + 1


async def test_tabs_turn_and_stay(tmp_path: Path) -> None:
    """`l` and `h` turn the tabs of the details; the chosen one stays for the next step that has it."""
    async with shown(tmp_path, research()) as (pilot, screen, _, _):
        await pilot.press("2")
        await pilot.press("l")
        await sees(pilot, "effect.requested  model gpt-4.1")
        assert screen.detail_pane.tab is Tab.EVENTS
        await pilot.press("1", "g")
        await until(pilot, lambda: screen.detail_pane.tab is Tab.EVENTS)
        await sees(pilot, "plan", "step.completed  12.3 s · 108 B")
        await pilot.press("2", "h", "h")
        await until(pilot, lambda: screen.detail_pane.tab is Tab.PROMPT)
        await sees(pilot, "goal    Plan how to research Acme Robotics", "model   gpt-4.1", 'with    {"temperature": 0.2}')
        await sees(pilot, "No preamble.")


async def test_input_is_what_the_dependencies_gave(tmp_path: Path) -> None:
    """The input tab has the outputs of the dependencies, named."""
    async with shown(tmp_path, research("completed")) as (pilot, screen, _, _):
        screen.detail_pane.chosen = Tab.INPUT
        await pilot.press("G", "k")
        await sees(pilot, "pages", '"facts": [', "score")


async def test_simulated_is_said_wherever_it_shows(tmp_path: Path) -> None:
    """Title, row, heading and answer of a simulated model say so."""
    async with shown(tmp_path, research("completed", simulated=True)) as (pilot, screen, _, _):
        screen.detail_pane.chosen = Tab.MESSAGES
        await pilot.press("g")
        await sees(pilot, "simulated model", "✓ plan  simulated", "plan   gpt-4.1   simulated", "in, 96 out · simulated")


async def test_panes_are_reached_by_number_and_maximised(tmp_path: Path) -> None:
    """`1` to `4` give a pane the keys, `z` shows one alone and puts it back, `esc` too."""
    async with shown(tmp_path, research()) as (pilot, screen, _, _):
        for key, name in (("2", "detail"), ("3", "log"), ("1", "steps"), ("4", "waterfall")):
            await pilot.press(key)
            assert screen.focused is not None
            assert screen.focused.id == name
        await sees(pilot, "4 Waterfall", "critical path", "Resources")
        await pilot.press("z")
        await sees(pilot, "1 Steps", "3 Log")
        await pilot.press("3", "z")
        await misses(pilot, "1 Steps", "2 Output")
        await sees(pilot, "3 Log", "read page 5 of 12")
        await pilot.press("escape")
        await sees(pilot, "1 Steps", "3 Log")


async def test_narrow_screens_have_tabs(tmp_path: Path) -> None:
    """At 80x24 one pane is seen at a time, every pane can be reached, and the rule says which part of it is seen."""
    async with shown(tmp_path, research(), (80, 24)) as (pilot, _, _, _):
        await sees(pilot, "1 Steps   2 Detail   3 Log   4 Metrics", "1–9 of 9", "space fold")
        await pilot.press("2")
        await sees(pilot, "Output   Input   Prompt   Messages", "user    Judge the reviews", "1–15 of 15")
        await pilot.press("3")
        await sees(pilot, "step.retry_scheduled", "of 79")
        await pilot.press("4")
        await sees(pilot, "│0 s", "cpu", "in flight")
        await pilot.press("1")
        await sees(pilot, "✗ legal  HTTP 403")


@pytest.mark.parametrize("at", [None, 49])
async def test_no_size_is_too_small(tmp_path: Path, at: int | None) -> None:
    """A storm of sizes down to 1x1 and up again, in every pane, live and in a replay, leaves a usable screen."""
    async with shown(tmp_path, research(), at=at) as (pilot, screen, _, _):
        for pane in "1234":
            await pilot.press(pane)
            for size in ((1, 1), (20, 5), (200, 60), (99, 33), (2, 50), (300, 3), (120, 40)):
                await pilot.resize_terminal(*size)
        await pilot.press("1")
        await sees(pilot, "company_research", "1 Steps")
        assert screen.present is not None


async def test_the_log_follows_until_one_leaves_its_end(tmp_path: Path) -> None:
    """At its end the log follows; elsewhere it counts what is new and keeps its place; `f` follows again."""
    made = research()
    async with shown(tmp_path, made) as (pilot, screen, lease, _):
        await pilot.press("3", "k", "k")
        await sees(pilot, "f follow")
        top = screen.log_view.top
        lease.append(log_lines(lease.head + 1, 12, made.at, "pages"))
        await lease.flush()
        await sees(pilot, "↓ 12 new")
        assert screen.log_view.top == top
        await pilot.press("f")
        await sees(pilot, "line 91")
        await misses(pilot, "new", "f follow ──")


async def test_a_filter_narrows_and_escape_widens(tmp_path: Path) -> None:
    """`&` keeps the lines of a step, a type and words; what comes in is filtered too; `esc` shows all again."""
    made = research()
    async with shown(tmp_path, made) as (pilot, screen, lease, _):
        await pilot.press("ampersand", *"step:legal type:step.failed", "enter")
        await sees(pilot, "3 Log  & step:legal type:step.failed  4 lines")
        lease.append([Recorded(lease.head + 1, made.at, LogWritten("not this"), "legal", 4)])
        await lease.flush()
        await pilot.pause(0.3)
        assert screen.log_view.lines.count() == 4
        await pilot.press("escape")
        await misses(pilot, "4 lines")
        assert screen.log_view.lines.count() == len(made.events) + 1


async def test_words_are_searched_in_each_pane(tmp_path: Path) -> None:
    """`/` finds in the pane with the keys, `n` and `N` go on, and nothing found is said."""
    async with shown(tmp_path, research()) as (pilot, screen, _, _):
        await pilot.press("slash", *"SCORE", "enter")
        await until(pilot, lambda: screen.step_tree.subject is not None and screen.step_tree.subject.step == "score")
        await pilot.press("3", "slash", *"web_search 3", "enter")
        await sees(pilot, "Nothing more with 'web_search 3'.")
        await pilot.press("N")
        await sees(pilot, "effect.succeeded  web_search 3")
        first = screen.log_view.cursor
        await pilot.press("N")
        await until(pilot, lambda: screen.log_view.cursor == first - 1)
        await pilot.press("n")
        await until(pilot, lambda: screen.log_view.cursor == first)
        await pilot.press("slash", "escape")
        assert not isinstance(screen.focused, Input)


async def test_the_line_of_the_log_opens_its_step(tmp_path: Path) -> None:
    """`enter` on a line goes to its step in the tree."""
    async with shown(tmp_path, research()) as (pilot, screen, _, _):
        await pilot.press("3", "g", "j", "j", "enter")
        await until(pilot, lambda: screen.step_tree.subject is not None and screen.step_tree.subject.step == "plan")
        assert screen.pane == 1


async def test_copying_takes_safe_text(tmp_path: Path) -> None:
    """`y` copies what is selected without control characters: a row, a line, the whole of the details."""
    async with shown(tmp_path, hostile()) as (pilot, screen, _, _):
        for keys in (("1", "g", "j", "j", "j"), ("3",), ("2",)):
            await pilot.press(*keys)
            await pilot.pause(0.3)
            await pilot.press("y")
            copied = pilot.app.clipboard
            assert copied
            assert not {"\x1b", "\x07", "\u202e", "\x00"} & set(copied)
        assert screen.present is not None


async def test_cancelling_asks_first(tmp_path: Path) -> None:
    """`x` on a step under way asks for the run or the step; `enter` does nothing, `n` leaves, `y` cancels the run and says so."""
    async with shown(tmp_path, research(), alive=False) as (pilot, screen, _, log):
        await pilot.press("x")
        await until(pilot, lambda: isinstance(pilot.app.screen, CancelScreen))
        await pilot.press("enter")
        assert isinstance(pilot.app.screen, CancelScreen)
        await pilot.press("n")
        await until(pilot, lambda: pilot.app.screen is screen)
        assert (await log.state(screen.present.run)).status.word == "running"  # type: ignore[union-attr]
        await pilot.press("x", "y")
        await sees(pilot, "CANCELLED", "is cancelled")


async def test_pausing_tells_the_run(tmp_path: Path) -> None:
    """`p` puts a signal into the inbox of a driven run; without its driver's answer the screen still lives."""
    made = research()
    async with shown(tmp_path, made) as (pilot, _, lease, log):
        await pilot.press("p")
        async with asyncio.timeout(10):
            while not await log.inbox(lease.run, 0):
                await asyncio.sleep(0.02)
        signal = (await log.inbox(lease.run, 0))[0]
        assert signal.kind == "pause"
        await sees(pilot, "company_research")


async def test_doubt_is_settled_by_a_person(tmp_path: Path) -> None:
    """`d` asks what became of the effect; `enter` does nothing; an answer is recorded and the step goes on."""
    async with shown(tmp_path, in_doubt(), alive=False) as (pilot, screen, _, _):
        await sees(pilot, "WAITS", "? 1 in doubt  d say", "may have happened")
        await pilot.press("d")
        await until(pilot, lambda: isinstance(pilot.app.screen, DoubtScreen))
        await sees(pilot, "charge_card is in doubt", "do it once more")
        await pilot.press("enter")
        assert isinstance(pilot.app.screen, DoubtScreen)
        await pilot.press("escape")
        await until(pilot, lambda: pilot.app.screen is screen)
        await pilot.press("d", "a")
        await sees(pilot, "effect.resolved  charge_card · again")
        assert screen.present is not None
        assert screen.present.state.counts[StepStatus.IN_DOUBT] == 0


async def test_escape_goes_back_to_the_runs(tmp_path: Path) -> None:
    """`esc` leaves the run as it is and shows the list."""
    async with shown(tmp_path, research()) as (pilot, _, _, _):
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(pilot.app.screen, RunsScreen))


async def test_an_unknown_run_is_said(tmp_path: Path) -> None:
    """A run that is not in the store is one sentence, and the list."""
    path = tmp_path / "runs.db"
    async with await Log.open(path):
        pass
    async with opened(path) as pilot:
        await app_of(pilot).push_screen(RunScreen("nope"))
        await sees(pilot, "There is no run nope")
        await until(pilot, lambda: isinstance(pilot.app.screen, RunsScreen))


@pytest.mark.parametrize("size", [(120, 40), (80, 24)])
async def test_hostile_texts_do_nothing_in_any_pane(tmp_path: Path, size: tuple[int, int]) -> None:
    """A run made of escapes, markup, bidi and floods is shown by name in every pane and tab, and nothing is obeyed."""
    async with shown(tmp_path, hostile(), size) as (pilot, screen, _, _):
        for key in "1234":
            await pilot.press(key)
            await pilot.pause(0.1)
            _is_safe(pilot)
        await pilot.press("1", "g")
        for _ in HOSTILE:
            await pilot.press("space")
            for tab in screen.detail_pane.tabs:
                screen.detail_pane.chosen = tab
                screen.show_look()
                await pilot.pause(0.12)
                _is_safe(pilot)
            await pilot.press("space", "j")
        assert app_of(pilot).return_code is None


def _is_safe(pilot: Pilot[None]) -> None:
    shown_text = text(pilot)
    assert not {"\x1b", "\x07", "\x00", "\r", "\t", "\u202e", "\u200b", "\ufeff"} & set(shown_text)


async def test_ascii_and_no_colour_say_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With ASCII glyphs and without colour every status still has its mark, and the selected row its reverse."""
    monkeypatch.setenv("NO_COLOR", "1")
    config = TAgentConfig(ui=UiConfig(glyphs="ascii"))
    async with shown(tmp_path, research(), config=config) as (pilot, _, _, _):
        await sees(pilot, "> + plan", "w pages  retry in 6 s", "* reviews", "x legal", "- translate")
        assert text(pilot).replace("⠋", "").isascii()
        for pane in "4":
            await pilot.press(pane)
            await sees(pilot, "critical path", "####")
            assert text(pilot).isascii()


async def test_ten_thousand_steps_build_only_what_is_seen(tmp_path: Path) -> None:
    """Opening and scrolling a run of 10,000 steps lays out a few screens of rows, not the run."""
    async with shown(tmp_path, many_steps(10_000)) as (pilot, screen, _, _):
        await sees(pilot, "5,000/10,000", "item_04999")
        assert screen.step_tree.painted_rows < 400
        before = screen.step_tree.painted_rows
        await pilot.press("G", "g", "ctrl+d")
        await pilot.pause()
        assert screen.step_tree.painted_rows - before < 300
        assert screen.step_tree.lines.count() == 10_000


async def test_a_changed_step_repaints_few_rows(tmp_path: Path) -> None:
    """One event a look repaints the rows that say something else, not the screen."""
    made = many_steps(2_000, settled=0.3)
    async with shown(tmp_path, made) as (pilot, screen, lease, _):
        await pilot.press("g")
        await sees(pilot, "item_00003")
        await pilot.pause(0.3)
        before, looks = screen.step_tree.painted_rows, screen.looks
        lease.append([Recorded(lease.head + 1, made.at, LogWritten("x"), "item_01000", 1)])
        await lease.flush()
        await until(pilot, lambda: screen.looks > looks)
        assert screen.step_tree.painted_rows - before <= 3


async def test_a_quiet_run_costs_nothing(tmp_path: Path) -> None:
    """While nothing happens in an ended run, nothing is laid out, read or looked at, but a look a second."""
    async with shown(tmp_path, research("completed"), alive=False) as (pilot, screen, _, _):
        await pilot.pause(1.2)
        rows, looks, reads = screen.step_tree.painted_rows + screen.log_view.painted_rows, screen.looks, screen.log_view.reads
        fetches = screen.details.fetches if screen.details is not None else -1
        await pilot.pause(1.5)
        assert screen.step_tree.painted_rows + screen.log_view.painted_rows == rows
        assert screen.looks - looks <= 3
        assert screen.log_view.reads == reads
        assert screen.details is not None
        assert screen.details.fetches == fetches


async def test_a_long_log_is_read_by_the_page(tmp_path: Path) -> None:
    """Jumping through 200,000 events reads a page or two a jump; following reads none."""
    path = tmp_path / "runs.db"
    async with await Log.open(path) as log:
        lease = await write_long(log, 200_000)
        async with opened(path, now=1.0) as pilot:
            screen = RunScreen(lease.run)
            await pilot.app.push_screen(screen)
            await sees(pilot, "line 200000")
            await pilot.press("3")
            before = screen.log_view.reads
            await pilot.press("g")
            await sees(pilot, "run.created", "line 10")
            screen.log_view.move_to(99_999)
            await sees(pilot, "line 100000")
            await pilot.press("pageup")
            await sees(pilot, "line 99987")
            assert screen.log_view.reads - before <= 4
            await pilot.press("f")
            await sees(pilot, "line 200000")
            reads = screen.log_view.reads
            lease.append(log_lines(lease.head + 1, 5_000, 5.0))
            await lease.flush()
            await sees(pilot, "line 205000")
            assert screen.log_view.reads - reads <= 1
        await lease.release()


async def test_holding_a_key_reads_none_of_the_steps_it_passes(tmp_path: Path) -> None:
    """Forty steps passed at once are a few fetches, and the details are those of the step where it stopped."""
    async with shown(tmp_path, many_steps(300, settled=1.0)) as (pilot, screen, _, _):
        await pilot.press("g")
        await pilot.pause(0.4)
        assert screen.details is not None
        before = screen.details.fetches
        for _ in range(40):
            screen.step_tree.action_move(1)
        await sees(pilot, '"item": 39')
        assert screen.details.fetches - before <= 6


async def test_a_large_output_is_shown_in_part(tmp_path: Path) -> None:
    """Of an output above 64 KB the first part and its size are shown, and that `v` has the rest."""
    made = Made("b16b00b5")
    made.create({"name": "large", "steps": [{"name": "only"}]})
    made.add(StepStarted(), "only", 1)
    made.add(StepCompleted(made.pack("word " * 400_000)), "only", 1, after=1.0)
    async with shown(tmp_path, made) as (pilot, screen, _, _):
        await sees(pilot, "word word word")
        await pilot.press("2", "G")
        await sees(pilot, "a part of 2.0 MB  v pager")
        await pilot.press("v")
        await sees(pilot, "There is no terminal to show a pager in.")
        assert screen.detail_pane.view.document.count() < 3_000


async def test_the_pager_has_all_that_is_folded(tmp_path: Path) -> None:
    """A list of thousands is folded and counted in the output, in the input of what needs it, and whole in the pager's text."""
    made = Made("f01dab1e")
    made.create({"name": "large", "steps": [{"name": "one"}, {"name": "two", "depends_on": [{"step": "one"}]}]})
    made.add(StepStarted(), "one", 1)
    made.add(StepCompleted(made.pack({"sizes": list(range(9_000))})), "one", 1, after=1.0)
    async with shown(tmp_path, made) as (pilot, screen, _, _):
        await sees(pilot, "… 8,950 more", "v pager")
        assert screen.details is not None
        for step, tab in (("one", Tab.OUTPUT), ("two", Tab.INPUT)):
            text = await screen.details.whole(screen.scene(), Subject(step), tab)
            assert text is not None
            assert json.loads(text.removeprefix("one\n")) == {"sizes": list(range(9_000))}


async def test_keys_of_the_run_screen_can_be_given_other_keys(tmp_path: Path) -> None:
    """Ids of the run, of a replay, of the tree and of the metrics are known to the settings, and a moved key works."""
    keys = {"run.cancel": "X", "replay.next": "t", "steps.fold": "o", "metrics.sort": "i"}
    config = TAgentConfig(ui=UiConfig(keys=keys))
    async with shown(tmp_path, research(), config=config) as (pilot, screen, _, _):
        await sees(pilot, "X cancel", "o fold")
        await misses(pilot, "names no binding")
        await pilot.press("o")
        await sees(pilot, "▾ ● reviews")
        screen.enter_past(10)
        await until(pilot, lambda: screen.moment is not None)
        await pilot.press("t")
        await until(pilot, lambda: screen.moment is not None and screen.moment.version == 11)


async def test_help_tells_the_keys_of_the_pane(tmp_path: Path) -> None:
    """`?` lists what applies in the run screen, with ids."""
    async with shown(tmp_path, research(), (120, 60)) as (pilot, _, _, _):
        await pilot.press("question_mark")
        await sees(pilot, "run.replay", "run.cancel", "steps.fold", "run.filter", "waterfall and resources")
        await misses(pilot, "replay.next")


async def test_the_cursor_goes_with_what_runs_until_somebody_uses_the_tree(tmp_path: Path) -> None:
    """When the watched step settles, the cursor goes to the next one that runs; after a key in the tree it stays."""
    made = many_steps(40, settled=0.3)
    async with shown(tmp_path, made) as (pilot, screen, lease, _):
        await until(pilot, lambda: screen.step_tree.subject is not None and screen.step_tree.subject.step == "item_00011")
        lease.append([Recorded(lease.head + 1, made.at, StepCompleted(), "item_00011", 1)])
        await lease.flush()
        await until(pilot, lambda: screen.step_tree.subject is not None and screen.step_tree.subject.step == "item_00012")
        await pilot.press("k")
        lease.append([Recorded(lease.head + 1, made.at, StepCompleted(), "item_00012", 1)])
        await lease.flush()
        await sees(pilot, "13/40")
        await pilot.pause(1.2)
        assert screen.step_tree.subject is not None
        assert screen.step_tree.subject.step == "item_00011"


async def test_a_completed_run_opens_at_what_it_made(tmp_path: Path) -> None:
    """Of a run that completed, the step of its last artifact is selected and the artifact is read beside it."""
    made = Made("ar7ifac7")
    made.create({"name": "two", "steps": [{"name": "write"}, {"name": "after", "depends_on": [{"step": "write"}]}]})
    content = b"# Findings\n\nNone.\n"
    made.add(StepStarted(), "write", 1)
    made.add(ArtifactMade("findings.md", "text/markdown", Payload(len(content), blob=made.keep(content))), "write", 1)
    made.add(StepCompleted(made.pack({"count": 0})), "write", 1, after=1.0)
    made.add(StepStarted(), "after", 1)
    made.add(StepCompleted(made.pack(None)), "after", 1, after=1.0)
    made.add(RunCompleted())
    async with shown(tmp_path, made, alive=False) as (pilot, screen, _, _):
        await sees(pilot, "▌  ✓ write", "findings.md  18 B", "# Findings", "output  11 B", '"count": 0')
        assert screen.step_tree.cursor == 0
