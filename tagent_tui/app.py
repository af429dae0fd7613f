"""The terminal app: one store, followed; screens over it. It reads and signals; it never drives a run itself.

Apart from the command line so that `tagent-tui runs` and the others never import Textual: only `run_app` is called from
there, when there is a terminal.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual import events
from textual.app import App, SystemCommand
from textual.binding import Binding, BindingType
from textual.css.query import NoMatches
from textual.screen import Screen
from textual.worker import WorkerFailed

from store.errors import StoreError
from tagent_tui import terminal, theme
from tagent_tui.feed import Feed, Pace, open_to_read
from tagent_tui.glyphs import ASCII, PROBE, Glyphs, choose
from tagent_tui.keys import told, unknown_ids, written
from tagent_tui.numbers import plural
from tagent_tui.screens.base import SPIN, FedScreen
from tagent_tui.screens.runs import RunsScreen
from tagent_tui.text import lines, typed, typed_lines

UNNAMED = ("list.", "app.palette")
"""Beginnings of binding ids that are no commands: moving about, and the list of commands itself."""

NOT_A_TERMINAL = 2
"""Exit code when there is no terminal to draw on: the caller prints help."""

if TYPE_CHECKING:
    from engine.config import TAgentConfig


class TagentApp(App[None]):
    """The app. `signalled` is the signal that ended it, 0 if none did."""

    CSS_PATH = "app.tcss"
    TITLE = "tagent-tui"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("q", "leave", "quit; runs go on", show=False, id="app.quit"),
        Binding("?", "help", "all keys that apply here", show=False, id="app.help"),
        Binding("ctrl+p", "command_palette", "commands by name", show=False, id="app.palette"),
        Binding("ctrl+c", "leave", show=False, system=True),
        Binding("ctrl+z", "suspend_process", "to the shell and back with fg", show=False, id="app.suspend"),
    ]

    def __init__(
        self,
        db_path: str | Path,
        config: TAgentConfig | None = None,
        run_id: str | None = None,
        *,
        at: int | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        super().__init__(ansi_color=True if "NO_COLOR" in os.environ else None)
        self.config = config
        self.feed = Feed(db_path)
        self.glyphs: Glyphs = choose(config.ui.glyphs if config is not None else "auto", encoding=_encoding())
        self.signalled = 0
        self._run_id = run_id
        self._at = at
        self._now = now
        for one in theme.THEMES:
            self.register_theme(one)
        self.theme = theme.LIGHT_NAME if _wants_light(config.ui.theme if config is not None else "auto") else theme.DARK_NAME

    def get_theme_variable_defaults(self) -> dict[str, str]:
        """Our variables, for themes that do not set them."""
        return dict(theme.DARK)

    def get_default_screen(self) -> Screen[None]:
        """The runs list."""
        return RunsScreen()

    async def on_mount(self) -> None:
        """Open the run that was asked for, above the list."""
        self._apply_keymap()
        # Back from the shell the terminal shows the shell's text: everything has to be painted, not only what changed.
        self.app_resume_signal.subscribe(self, lambda _: self.screen.refresh(layout=True))
        if self._run_id is not None:
            await self.open_run(self._run_id, self._at)

    def on_ready(self) -> None:
        """The screen stands: follow the log from here. A signal that came before there was anything to end is heeded now."""
        if self.signalled:
            self.exit()
            return
        self.feed.listen(self._news)
        self.set_interval(1.0, self._second)
        self.run_worker(self.feed.run(), name="feed", exit_on_error=True)

    async def open_run(self, run_id: str, at: int | None = None) -> None:
        """The run's own screen, above this one; in its past, if `at` is an event."""
        from tagent_tui.screens.run import RunScreen

        await self.push_screen(RunScreen(run_id, at))

    async def open_diff(self, a: str, b: str) -> None:
        """Two runs beside each other, above this screen."""
        from tagent_tui.screens.diff import DiffScreen

        await self.push_screen(DiffScreen(a, b))

    # What screens ask of the app

    def now(self) -> float:
        """Unix time in seconds."""
        return self._now()

    def spinner(self) -> str:
        """The spinner's mark at this moment."""
        frames = self.glyphs.spinner
        return frames[int(self._now() / SPIN) % len(frames)]

    def say(self, sentence: str, *, wrong: bool = False) -> None:
        """One sentence in a toast; what it quotes is made safe here."""
        shown = "\n".join(line.text for line in lines(sentence, total=2_000).lines)
        self.notify(shown, severity="error" if wrong else "information", markup=False)

    async def on_event(self, event: events.Event) -> None:
        """What is pasted anywhere loses its control characters on the way; only a box of several lines keeps its breaks."""
        if isinstance(event, events.Paste):
            from textual.widgets import TextArea

            event.text = (typed_lines if isinstance(self.focused, TextArea) else typed)(event.text)
        await super().on_event(event)

    # News

    async def _news(self) -> None:
        screen = self.screen
        if isinstance(screen, FedScreen):
            try:
                await screen.look()
            except StoreError as error:
                self.feed.trouble = str(error)
            except NoMatches:
                if screen.is_running:
                    raise  # a screen that is being left has lost its widgets, and that is all right

    def _second(self) -> None:
        if terminal.is_gone() and not self.is_headless:
            self.leave(1)
            return
        screen = self.screen
        if isinstance(screen, FedScreen):
            screen.second()

    def on_app_focus(self, event: events.AppFocus) -> None:
        """Looked at again: up to date at once, and at full pace."""
        del event
        screen = self.screen
        self.feed.set_pace(screen.PACE if isinstance(screen, FedScreen) else Pace.LIVE)
        self.feed.poke()

    def on_app_blur(self, event: events.AppBlur) -> None:
        """Nobody looks: once a second is enough."""
        del event
        self.feed.set_pace(Pace.UNFOCUSED)

    # Leaving

    def leave(self, signum: int) -> None:
        """Leave because of a signal; safe to call from a signal handler."""
        self.signalled = signum
        loop = self._loop
        if loop is not None and loop.is_running():
            loop.call_soon_threadsafe(self.exit)

    def action_leave(self) -> None:
        """Quit at once: runs belong to their drivers and go on."""
        self.exit()

    def action_help(self) -> None:
        """All keys that apply here."""
        from tagent_tui.screens.help import HelpScreen

        if not isinstance(self.screen, HelpScreen):
            self.push_screen(HelpScreen(told(self.screen)))

    @property
    def defect(self) -> BaseException | None:
        """What ended the app against its will, for the command line to put into one sentence."""
        found = self._exception
        return found.error if isinstance(found, WorkerFailed) else found

    def _handle_exception(self, error: Exception) -> None:
        """While the app is left its screens lose their widgets before their work is cancelled: not finding one is no defect."""
        cause = error.error if isinstance(error, WorkerFailed) else error
        if not (self._exit and isinstance(cause, NoMatches)):
            super()._handle_exception(error)

    def _print_error_renderables(self) -> None:
        """Textual would print a traceback with the values of all variables, which may hold what nobody should read."""
        self._exit_renderables.clear()

    # Keys and commands

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        """The palette: everything a key does here, by name, and the two themes."""
        named: set[str] = set()
        for active in screen.active_bindings.values():
            binding, node = active.binding, active.node
            if (
                active.enabled
                and binding.id
                and binding.description
                and not binding.id.startswith(UNNAMED)
                and binding.id not in named
            ):
                named.add(binding.id)

                async def run(action: str = binding.action, node: object = node) -> None:
                    await self.run_action(action, node)  # type: ignore[arg-type]

                yield SystemCommand(binding.description, f"{written(binding.key)}  {binding.id}", run)
        yield SystemCommand("dark theme", "colours", lambda: setattr(self, "theme", theme.DARK_NAME))
        yield SystemCommand("light theme", "colours", lambda: setattr(self, "theme", theme.LIGHT_NAME))

    def _apply_keymap(self) -> None:
        keymap: Mapping[str, str] = self.config.ui.keys if self.config is not None else {}
        if not keymap:
            return
        self.set_keymap(dict(keymap))
        wrong = unknown_ids(keymap, _bound_classes())
        if wrong:
            self.say(f"ui.keys names no binding: {', '.join(wrong)}; ? shows the ids", wrong=True)


def run_app(db_path: str | Path, config: TAgentConfig | None = None, run_id: str | None = None, *, at: int | None = None) -> int:
    """Open the UI on a store until the user leaves; the exit code. Without a terminal nothing is started (2).

    With `run_id` that run's screen opens first; with `at` it opens as the run stood at that event.
    A defect of ours is raised once the terminal is as it was.
    """
    if not terminal.is_terminal():
        return NOT_A_TERMINAL
    terminal.draws_on_stdout()
    app = TagentApp(db_path, config, run_id, at=at)
    with terminal.guarded(app.leave):
        asked_for = config is not None and config.ui.glyphs == "unicode"
        if not app.glyphs.ascii and not asked_for and not terminal.draws_narrow(PROBE):
            app.glyphs = ASCII
        goodbye = asyncio.run(_until_left(app))
    if app.defect is not None:
        raise app.defect
    if app.signalled:
        return 128 + app.signalled
    if goodbye:
        print(goodbye)
    return app.return_code or 0


async def _until_left(app: TagentApp) -> str:
    """The app until it ends, then the store closed; what to say after it."""
    if app.signalled:
        return ""
    try:
        await app.run_async()
    finally:
        await app.feed.close()
    return await _still_running(app.feed.path)


async def _still_running(path: Path) -> str:
    if not path.exists():
        return ""
    try:
        async with await open_to_read(path) as log:
            rows = await log.runs(status="running", limit=200)
    except StoreError:
        return ""
    alive = sum(row.alive() for row in rows)
    return f"{plural(alive, 'run')} still running; tagent-tui shows {'it' if alive == 1 else 'them'} again." if alive else ""


def _bound_classes() -> list[type]:
    from tagent_tui.screens.branches import BranchesScreen
    from tagent_tui.screens.diff import DiffScreen
    from tagent_tui.screens.fork import ForkScreen
    from tagent_tui.screens.launch import LaunchScreen
    from tagent_tui.screens.run import RunScreen
    from tagent_tui.widgets.metrics import Metrics
    from tagent_tui.widgets.tree import StepTree

    return [TagentApp, RunsScreen, RunScreen, DiffScreen, LaunchScreen, ForkScreen, BranchesScreen, StepTree, Metrics]


def _encoding() -> str:
    stream = sys.__stdout__
    return (stream.encoding if stream is not None else None) or "ascii"


def _wants_light(option: str) -> bool:
    """Light if asked for, or if the terminal says (`COLORFGBG`, its last number) that its ground is white."""
    if option in ("light", "dark"):
        return option == "light"
    return os.environ.get("COLORFGBG", "").rpartition(";")[2] in ("7", "15")
