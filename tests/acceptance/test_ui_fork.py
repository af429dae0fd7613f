"""The fork's dialog: what it offers, how it is typed, what it shows beforehand, and a real fork from it to its end."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widgets import TextArea

from engine.config import TAgentConfig
from store.log import Log
from tagent_tui import editor, forking
from tagent_tui.app import TagentApp
from tagent_tui.screens import fork
from tagent_tui.screens.fork import ForkScreen
from tagent_tui.screens.run import RunScreen
from tagent_tui.view.detail import Subject
from tagent_tui.view.editing import Wish
from tagent_tui.view.foreseen import Again, Foreseen
from tests.acceptance.forked_runs import family
from tests.acceptance.made_runs import HOSTILE, Made, hostile, in_doubt, research
from tests.acceptance.piloting import NOW, misses, opened, sees, store, text, until

FOUND = Foreseen(
    [Again("report", "it was changed", True, 0.0193, 0, 7040, 1, 14.2, ["once upload_report"])],
    ["score"],
    ["plan", "search", "pages", "reviews", "social"],
)


class Asked:
    """Stands in for the command line: what it was asked, and what it says."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.foreseen: list[Wish] = []
        self.made: list[tuple[Wish, bool]] = []
        self.refusal = ""
        monkeypatch.setattr(forking, "foresee", self.foresee)
        monkeypatch.setattr(forking, "make", self.make)
        monkeypatch.setattr(fork, "DEBOUNCE", 0.05)

    async def foresee(self, db: Path, wish: Wish) -> Foreseen:
        """The same answer to everything."""
        del db
        self.foreseen.append(wish)
        if self.refusal:
            raise forking.NotForkedError(self.refusal)
        return FOUND

    async def make(self, db: Path, wish: Wish, *, run: bool = True) -> str:
        """A fork that is there already."""
        del db
        self.made.append((wish, run))
        return "7e41aa00"


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Asked:
    """No process is started."""
    return Asked(monkeypatch)


@asynccontextmanager
async def forking_at(
    path: Path, made: Made, step: str, at: int | None = None, size: tuple[int, int] = (120, 40), effect: int | None = None
) -> AsyncIterator[tuple[Pilot[None], ForkScreen]]:
    """The dialog over a run, or over its past, for one of its steps."""
    async with opened(path, size) as pilot:
        screen = RunScreen(made.run, at)
        await pilot.app.push_screen(screen)
        await until(pilot, lambda: screen.looks > 0 and (at is None or screen.moment is not None))
        screen.step_tree.go_to(Subject(step, effect))
        await pilot.press("F")
        await until(pilot, lambda: isinstance(pilot.app.screen, ForkScreen) and pilot.app.screen.query("#fork-keys"))
        dialog = pilot.app.screen
        assert isinstance(dialog, ForkScreen)
        yield pilot, dialog


async def test_a_goal_is_changed_beside_what_it_was(tmp_path: Path, asked: Asked) -> None:
    """The present value stands at the left; what is typed is foreseen once, made with `F5`, and the fork's screen opens."""
    path = await family(tmp_path / "runs.db", research("completed"))
    async with forking_at(path, research("completed"), "report", 92) as (pilot, dialog):
        await sees(pilot, "Fork company_research 7f3a19c2", "at event 92", "the original is not touched")
        await sees(pilot, "change   report.goal", "not changed yet", "Would run again  1 of 9 steps", "Reused  6 steps")
        await pilot.press("end", *" less")
        await sees(pilot, "- Write the report on Acme Robotics", "- 1  + 1 lines")
        await until(pilot, lambda: len(asked.foreseen) == 2 and not dialog.looking)
        assert dialog.has_class("-replay")
        await pilot.press("tab", "tab", *"shorter", "f5")
        await sees(pilot, "7e41aa00")
    edits = (("report.goal", '"Write the report on Acme Robotics less"'),)
    assert asked.made == [(Wish("7f3a19c2", 92, edits, (), "shorter"), True)]
    assert asked.foreseen == [Wish("7f3a19c2", 92), Wish("7f3a19c2", 92, edits)]


async def test_several_changes_are_collected(tmp_path: Path, asked: Asked) -> None:
    """`a` adds one of what can be edited, `x` leaves one out again; moving between them keeps what was typed."""
    path = await store(tmp_path / "runs.db", research("completed"))
    async with forking_at(path, research("completed"), "score", size=(80, 24)) as (pilot, dialog):
        await sees(pilot, "change   score.output", "3.9")
        await pilot.press("backspace", "delete", "delete", "delete", "5")
        await pilot.press("ctrl+n")
        await sees(pilot, "What to change", "params.company")
        await pilot.press("G", "k", "k", "enter")
        await sees(pilot, "change   params.company", "Acme Robotics")
        await pilot.press("ctrl+n", *"j" * [one.form.value for one in dialog.targets].index(""), "enter")
        await sees(pilot, "score   run it again", "runs again")
        assert dialog.focused is dialog.changes
        await pilot.press("k", "k")
        assert dialog.box.text == "5"
        await until(pilot, lambda: asked.foreseen[-1] == Wish("7f3a19c2", 93, (("score.output", "5"),), ("score",)))
        await pilot.press("x", "x", "x")
        await sees(pilot, "nothing is changed   a changes something")
        await until(pilot, lambda: asked.foreseen[-1] == Wish("7f3a19c2", 93))
        await pilot.press("a", "enter", "ctrl+s")
        await until(pilot, lambda: asked.made)
    assert asked.made == [(Wish("7f3a19c2", 93), False)]


async def test_the_effect_at_the_playhead_can_be_given_another_value(tmp_path: Path, asked: Asked) -> None:
    """Where the event is an effect's, its value comes first, named by its request."""
    made = research("completed")
    answered = next(one for one in made.events if one.event.type == "effect.succeeded" and one.step == "social")
    path = await store(tmp_path / "runs.db", made)
    async with forking_at(path, made, "social", answered.version) as (pilot, dialog):
        await sees(pilot, f"effects.{answered.version - 1}.value   result of search_posts", '"rows": 31')
        assert dialog.draft.current is not None


async def test_what_is_wrong_is_one_line_and_makes_nothing(tmp_path: Path, asked: Asked) -> None:
    """Broken JSON and a refusal stand above the keys; a fork is not made from the first."""
    path = await store(tmp_path / "runs.db", research("completed"))
    async with forking_at(path, research("completed"), "search", size=(80, 24)) as (pilot, _):
        await pilot.press("delete")
        await sees(pilot, "✗ search.output is no JSON at line 2")
        await pilot.press("f5")
        asked.refusal = "The pipeline changed; say --definition."
        await pilot.press("{")
        await pilot.press("f3")
        await sees(pilot, "✗ The pipeline changed; say --definition.")
        assert asked.foreseen[-1].definition == "recorded"
        asked.refusal = ""
        await pilot.press("f3")
        await sees(pilot, "the pipeline as it is now")
        assert not asked.made
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(pilot.app.screen, RunScreen))


async def test_the_editor_gets_the_value_and_gives_it_back(tmp_path: Path, asked: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    """`F4` hands the value out as a file and shows what comes back, without what a terminal would act on."""
    path = await store(tmp_path / "runs.db", research("completed"))
    given: list[tuple[str, str]] = []

    def edit(app: Any, value: str, suffix: str) -> str:
        given.append((value, suffix))
        return "Write\nless\x1b[31m"

    monkeypatch.setattr(editor, "edit", edit)
    async with forking_at(path, research("completed"), "report") as (pilot, dialog):
        await pilot.press("f4")
        assert dialog.box.text == "Write\nless[31m"
        assert dialog.draft.wish("x", 1).sets == (("report.goal", '"Write\\nless[31m"'),)
    assert given == [("Write the report on Acme Robotics", ".txt")]


async def test_hostile_values_do_nothing_in_the_box(tmp_path: Path, asked: Asked) -> None:
    """For every step of the hostile run the dialog draws no control character, and nothing is changed by showing it."""
    path = await store(tmp_path / "runs.db", hostile())
    for step in (HOSTILE[3], HOSTILE[4], HOSTILE[7]):
        async with forking_at(path, hostile(), step, size=(80, 24)) as (pilot, dialog):
            await sees(pilot, "change   ", "Would run again")
            assert not any(ord(char) < 32 for line in text(pilot).splitlines() for char in line)
            assert dialog.draft.made == []


async def test_a_step_without_an_output_and_an_open_effect(tmp_path: Path, asked: Asked) -> None:
    """What has no value yet says so, and an open effect can be given one."""
    made = in_doubt()
    path = await store(tmp_path / "runs.db", made)
    request = next(one.version for one in made.events if one.event.type == "effect.requested")
    async with forking_at(path, made, "charge", request) as (pilot, _):
        await sees(pilot, f"effects.{request}.value   result of charge_card", "there is none yet")
        await pilot.press(*"12", "f5")
        await until(pilot, lambda: asked.made)
    assert asked.made[0][0].sets == ((f"effects.{request}.value", "12"),)


async def test_keys_of_the_dialog_are_told(tmp_path: Path, asked: Asked) -> None:
    """The footer and `F1` name them; the run's footer tells `F` and `B`."""
    path = await store(tmp_path / "runs.db", research("completed"))
    async with forking_at(path, research("completed"), "plan", 30) as (pilot, _):
        await sees(pilot, "ctrl+n add a change  F5 fork and run")
        await pilot.press("f1")
        await sees(pilot, "fork.make", "fork.definition", "fork.make-only")
        await pilot.press("escape", "escape")
        await sees(pilot, "F fork here", "B branches")


@pytest.mark.parametrize("size", [(20, 6), (40, 12), (250, 70)])
async def test_any_size_will_do(tmp_path: Path, asked: Asked, size: tuple[int, int]) -> None:
    """However small or large the terminal is, the dialog is typed in and made."""
    path = await family(tmp_path / "runs.db", research("completed"))
    async with forking_at(path, research("completed"), "report", 60, size=size) as (pilot, _):
        await pilot.press("x", "f5")
        await until(pilot, lambda: asked.made)
    assert asked.made[0][0].sets == (("report.goal", '"xWrite the report on Acme Robotics"'),)


async def test_without_colour_the_dialog_says_the_same(tmp_path: Path, asked: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    """With NO_COLOR a line that goes has a sign, and how many go and come is said."""
    monkeypatch.setenv("NO_COLOR", "1")
    path = await store(tmp_path / "runs.db", research("completed"))
    async with forking_at(path, research("completed"), "report", 60) as (pilot, _):
        await pilot.press("x")
        await sees(pilot, "- Write the report on Acme Robotics", "- 1  + 1 lines")


async def test_what_was_typed_is_there_again(tmp_path: Path, asked: Asked) -> None:
    """`esc` loses nothing: at the same event the dialog opens with it, at another one it is a new one."""
    path = await store(tmp_path / "runs.db", research("completed"))
    async with forking_at(path, research("completed"), "report", 92) as (pilot, _):
        await pilot.press("x", "tab", "tab", *"why", "escape")
        await until(pilot, lambda: isinstance(pilot.app.screen, RunScreen))
        await pilot.press("F")
        await sees(pilot, "xWrite the report", "reason  │ why", "- 1  + 1 lines")
        await pilot.press("escape", "comma")
        await sees(pilot, "as of event 91")
        await pilot.press("F")
        await sees(pilot, "at event 91", "not changed yet")


async def test_an_answer_to_a_dialog_that_was_left_changes_nothing(
    tmp_path: Path, asked: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The dialog is left while what would run again is being asked, and the answer comes while it goes: the app goes on."""
    path = await store(tmp_path / "runs.db", research("completed"))
    async with forking_at(path, research("completed"), "report", 92) as (pilot, dialog):

        async def left_first(db: Path, wish: Wish) -> Foreseen:
            dialog.action_back()
            await dialog.remove_children()
            return await asked.foresee(db, wish)

        monkeypatch.setattr(forking, "foresee", left_first)
        await pilot.press("x")
        await until(pilot, lambda: len(asked.foreseen) == 2 and isinstance(pilot.app.screen, RunScreen))
        await pilot.press("comma")
        await sees(pilot, "as of event 91")


async def test_a_run_that_goes_on_is_forked_where_it_was(tmp_path: Path, asked: Asked) -> None:
    """At the head of a live run the point is the event it stood at, and the state is that of then."""
    path = await store(tmp_path / "runs.db", research())
    async with forking_at(path, research(), "legal") as (pilot, dialog):
        head = len(research().events)
        await sees(pilot, f"at event {head}", "legal.output")
        assert dialog.point.version == head
        assert not dialog.has_class("-replay")


@pytest.mark.parametrize("size", [(120, 40), (80, 24)])
def test_the_dialog_looks_so(
    tmp_path: Path, asked: Asked, snap_compare: Any, monkeypatch: pytest.MonkeyPatch, size: tuple[int, int]
) -> None:
    """Colours, rules and room at both sizes of the pictures."""
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    path = asyncio.run(store(tmp_path / "runs.db", research("completed")))
    app = TagentApp(path, TAgentConfig(), "7f3a19c2", at=88, now=lambda: NOW)

    async def before(pilot: Pilot[None]) -> None:
        await until(pilot, lambda: isinstance(pilot.app.screen, RunScreen) and pilot.app.screen.moment is not None)
        pilot.app.screen.query_one("#steps").go_to(Subject("report"))  # type: ignore[attr-defined]
        await pilot.press("F")
        await sees(pilot, "Fork company_research", "Would run again")
        await pilot.press("end", "enter", *"Cite eight.")
        await sees(pilot, "+ 1 lines")
        await until(pilot, lambda: "Cite eight." in str(asked.foreseen[-1]) and not pilot.app.screen.looking)  # type: ignore[attr-defined]
        await misses(pilot, "looking at")
        for box in pilot.app.screen.query(TextArea):
            box._pause_blink(visible=box.has_focus)  # the picture must not hang on where the cursor is in its blinking
        await pilot.pause()

    assert snap_compare(app, terminal_size=size, run_before=before)


PIPELINE = """
from engine import Pipeline

def one():
    return 1

def two(one):
    return one + 1

pipeline = Pipeline("sums").step("one", run=one).step("two", run=two, depends_on=["one"])
"""


async def test_a_real_fork_from_the_dialog_to_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An edited output is foreseen and forked by processes of their own; the fork ends with what follows from it."""
    (tmp_path / "sums_module.py").write_text(PIPELINE)
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "runs.db"
    words = ["--db", str(path), "run", "sums_module:pipeline", "--json"]
    subprocess.run([sys.executable, "-P", "-m", "tagent_tui", *words], check=True, capture_output=True, timeout=60)
    async with await Log.open(path, readonly=True) as log:
        run = (await log.runs(limit=1))[0].id
    async with opened(path) as pilot:
        screen = RunScreen(run)
        await pilot.app.push_screen(screen)
        await until(pilot, lambda: screen.looks > 0)
        screen.step_tree.go_to(Subject("one"))
        await pilot.press("F")
        await sees(pilot, "Fork sums", "change   one.output")
        await pilot.press("end", "0")
        await sees(pilot, "◦ two  depends on one")
        await pilot.press("f5")
        await sees(pilot, "COMPLETED  sums", "one  ≠ edited")
    async with await Log.open(path, readonly=True) as log:
        made = (await log.runs(limit=1))[0]
        assert (made.parent, made.status) == (run, "completed")
        done = [one for one in await log.events(made.id, step="two") if one.event.type == "step.completed"]
        assert await log.value(done[-1].event.output) == 11
