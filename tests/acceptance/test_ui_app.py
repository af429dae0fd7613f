"""The app around the screens: keys and their names, help, palette, colours, a store in trouble, what is imported."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from textual.command import CommandPalette
from textual.events import AppBlur, AppFocus, Paste

from engine.config import TAgentConfig, UiConfig
from tagent_tui.feed import Pace
from tagent_tui.screens.confirm import ConfirmScreen
from tagent_tui.screens.help import HelpScreen
from tagent_tui.screens.runs import RunsScreen
from tests.acceptance.made_runs import HOSTILE
from tests.acceptance.piloting import app_of, misses, opened, sees, simple, store, text, until


async def test_help_shows_all_keys_that_apply_here(tmp_path: Path) -> None:
    """`?` lists keys, what they do and their ids; esc closes it."""
    path = await store(tmp_path / "runs.db", simple(1))
    async with opened(path) as pilot:
        await sees(pilot, "1 run ·")
        await pilot.press("question_mark")
        await sees(pilot, "quit; runs go on", "app.quit", "half a page down", "list.half-down", "runs.filter")
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(pilot.app.screen, RunsScreen))


async def test_help_on_a_small_screen_scrolls(tmp_path: Path) -> None:
    """At 40x10 the help is usable: its last line can be reached."""
    path = await store(tmp_path / "runs.db", simple(1))
    async with opened(path, (40, 10)) as pilot:
        await pilot.press("question_mark")
        await sees(pilot, "Keys")
        await until(pilot, lambda: 0 < pilot.app.screen.query_one("#help-lines").size.height < 10)
        await pilot.press("G")
        await sees(pilot, "open the row")


async def test_keys_can_be_given_other_keys(tmp_path: Path) -> None:
    """A keymap in the settings moves a key; footer and help show the new one, the old one does nothing."""
    path = await store(tmp_path / "runs.db", simple(1), simple(2, name="other"))
    config = TAgentConfig(ui=UiConfig(keys={"runs.status": "x", "list.down": "t"}))
    async with opened(path, config=config) as pilot:
        await sees(pilot, "x status", "2 runs")
        await pilot.press("s")
        await sees(pilot, "status any")
        await pilot.press("t")
        assert isinstance(pilot.app.screen, RunsScreen)
        assert pilot.app.screen.view.cursor == 1
        await pilot.press("x")
        await sees(pilot, "status running")


async def test_a_keymap_that_names_nothing_is_said(tmp_path: Path) -> None:
    """An id that no binding has is told in a toast, not ignored."""
    config = TAgentConfig(ui=UiConfig(keys={"runs.stauts": "x"}))
    async with opened(tmp_path / "none.db", config=config) as pilot:
        await sees(pilot, "names no binding: runs.stauts")


async def test_the_palette_runs_commands_by_name(tmp_path: Path) -> None:
    """ctrl+p finds what the keys do and does it."""
    path = await store(tmp_path / "runs.db", simple(1))
    async with opened(path) as pilot:
        await sees(pilot, "1 run ·")
        await pilot.press("ctrl+p")
        await until(pilot, lambda: isinstance(pilot.app.screen, CommandPalette))
        await pilot.press(*"start a run")
        await sees(pilot, "runs.new")
        await pilot.press("down", "enter")
        await sees(pilot, "NEW RUN")


async def test_both_themes(tmp_path: Path) -> None:
    """The theme of the settings is used, and every painted ground is one of its surfaces."""
    path = await store(tmp_path / "runs.db", simple(1))
    for looks, ground in ((UiConfig(theme="light"), "#fbfbfa"), (UiConfig(theme="dark"), "#0e1116")):
        async with opened(path, config=TAgentConfig(ui=looks)) as pilot:
            await sees(pilot, "1 run ·")
            assert ground in pilot.app.export_screenshot().lower()


async def test_no_color(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With NO_COLOR no row has a colour; the selected row and the mode are reversed."""
    monkeypatch.setenv("NO_COLOR", "1")
    path = await store(tmp_path / "runs.db", simple(1), simple(2))
    async with opened(path) as pilot:
        await sees(pilot, "2 runs")
        screen = pilot.app.screen
        assert isinstance(screen, RunsScreen)
        view, bar = screen.view, screen.title_bar
        styles = [segment.style for strip in (view.render_line(0), view.render_line(1), bar.render_line(0)) for segment in strip]
        assert all(style is not None and style.color is None and style.bgcolor is None for style in styles)
        selected, other, title = (
            [bool(segment.style and segment.style.reverse) for segment in strip]
            for strip in (view.render_line(0), view.render_line(1), bar.render_line(0))
        )
        assert all(selected)
        assert not any(other)
        assert title[0]


async def test_ascii_screens_are_ascii(tmp_path: Path) -> None:
    """With the ASCII set nothing else is drawn by the runs screen, its help and the form."""
    path = await store(tmp_path / "runs.db", simple(1), simple(2, ended=False))
    async with opened(path, config=TAgentConfig(ui=UiConfig(glyphs="ascii"))) as pilot:
        await sees(pilot, "2 runs - newest first")
        assert text(pilot).isascii()
        await pilot.press("question_mark")
        await sees(pilot, "Keys")
        assert text(pilot).isascii()
        await pilot.press("escape", "n")
        await sees(pilot, "NEW RUN", "same as")
        assert text(pilot).isascii(), [char for char in text(pilot) if not char.isascii()]


async def test_a_store_that_cannot_be_used(tmp_path: Path) -> None:
    """A file that is no store of ours is said in a sentence, is left as it is, and nothing can be started on it."""
    path = tmp_path / "notes.txt"
    path.write_text("dear diary\n" * 100)
    async with opened(path) as pilot:
        await sees(pilot, "This store cannot be used.", "notes.txt", "q quit")
        assert "n new" not in text(pilot)
        await pilot.press("n", "d", "R", "enter")
        assert isinstance(pilot.app.screen, RunsScreen)
    assert path.read_text() == "dear diary\n" * 100


async def test_a_store_that_is_mended_opens_by_itself(tmp_path: Path) -> None:
    """When the file is replaced by a good one the list appears, and when it is deleted the empty page."""
    path, other = tmp_path / "runs.db", tmp_path / "other.db"
    path.write_text("not a database")
    await store(other, simple(1))
    async with opened(path) as pilot:
        await sees(pilot, "This store cannot be used.")
        other.replace(path)
        await sees(pilot, "1 run · newest first")
        for left in tmp_path.iterdir():
            if left.is_file():
                left.unlink()
        await sees(pilot, "No runs yet.")


async def test_toasts_are_text(tmp_path: Path) -> None:
    """What a toast quotes is never markup and has no control characters."""
    async with opened(tmp_path / "none.db") as pilot:
        for hostile in HOSTILE:
            app_of(pilot).say(hostile, wrong=True)
        await sees(pilot, "[bold red]not markup", "⟨ESC⟩")
        assert not {"\x1b", "\u202e"} & set(text(pilot))


async def test_a_question_wants_an_answer(tmp_path: Path) -> None:
    """enter does nothing, y and n answer; the sentence wraps and hostile words in it are harmless."""
    async with opened(tmp_path / "none.db", (50, 16)) as pilot:
        answers: list[bool | None] = []
        for key in ("y", "n", "escape"):
            sentence = f"This stops {HOSTILE[0]} and everything it does; what it did so far stays."
            pilot.app.push_screen(ConfirmScreen("Cancel the run?", sentence, yes="cancel it"), answers.append)
            await sees(pilot, "Cancel the run?", "y  cancel it", "stays.")
            await pilot.press("enter")
            assert isinstance(pilot.app.screen, ConfirmScreen)
            await pilot.press(key)
            await until(pilot, lambda: isinstance(pilot.app.screen, RunsScreen))
        assert answers == [True, False, False]


async def test_help_over_help_is_one_help(tmp_path: Path) -> None:
    """`?` in the help closes it and opens no second one."""
    async with opened(tmp_path / "none.db") as pilot:
        await pilot.press("question_mark")
        await until(pilot, lambda: isinstance(pilot.app.screen, HelpScreen))
        await pilot.press("question_mark")
        await until(pilot, lambda: isinstance(pilot.app.screen, RunsScreen))


async def test_out_of_focus_looks_less_often(tmp_path: Path) -> None:
    """A terminal without the focus is looked at once a second, and at once again when it has it."""
    path = await store(tmp_path / "runs.db", simple(1))
    async with opened(path) as pilot:
        await sees(pilot, "1 run ·")
        feed = app_of(pilot).feed
        pilot.app.post_message(AppBlur())
        await until(pilot, lambda: feed._pace is Pace.UNFOCUSED)
        updates = feed.updates
        pilot.app.post_message(AppFocus())
        await until(pilot, lambda: feed._pace is Pace.LIVE and feed.updates > updates)


def test_opening_the_ui_imports_nothing_heavy() -> None:
    """The app's import brings neither the model library nor plots, nor a second UI toolkit's worth of widgets."""
    code = "import sys, tagent_tui.app; print(*sorted(sys.modules))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env={**os.environ})
    heavy = {"litellm", "textual_plotext", "ruamel.yaml", "openai", "tagent_tui.screens.run", "tagent_tui.screens.launch"}
    assert not set(found.stdout.split()) & heavy


async def test_leaving_the_filter_keeps_the_list_alive(tmp_path: Path) -> None:
    """Typing `q` into the filter types it; after esc it quits."""
    path = await store(tmp_path / "runs.db", simple(1, name="query"), simple(2))
    async with opened(path) as pilot:
        await sees(pilot, "2 runs")
        await pilot.press("slash", "q")
        await misses(pilot, "0002")
        await pilot.press("escape")
        await sees(pilot, "0002")
        await pilot.press("q")
        await until(pilot, lambda: not pilot.app.is_running or pilot.app._exit)


@pytest.mark.parametrize("keys", [("slash",), ("n", "tab"), ("ctrl+p",)])
async def test_pasted_escape_sequences_do_not_reach_the_terminal(tmp_path: Path, keys: tuple[str, ...]) -> None:
    """Whatever is pasted into the filter, the form or the palette is drawn without control characters."""
    path = await store(tmp_path / "runs.db", simple(1))
    async with opened(path) as pilot:
        await sees(pilot, "1 run ·")
        await pilot.press(*keys)
        await pilot.pause()
        pilot.app.post_message(Paste("before\x1b]52;c;aGFjaw==\x07\x9b31m\u202eafter"))
        await sees(pilot, "before]52;c;aGFjaw==31mafter")
        assert not [char for char in text(pilot) if (ord(char) < 32 and char != "\n") or char in "\x7f\x9b\u202e"]
