"""What starts a driver from the run list: the demo, the form, the starter pipeline, resuming.

Apart from the list because none of it is about rows: each ends in a process that is not this one, or in a sentence why not.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from tagent_tui import drive
from tagent_tui.launching import OFFLINE
from tagent_tui.screens.base import FedScreen
from tagent_tui.widgets.later import later

Work = Callable[[Any], Awaitable[str | None]]
"""Starts something; the id of a new run, or None if there is none to open."""


class Starting(FedScreen):
    """A screen that can start runs. `starting` says that one is on its way; a second is not started meanwhile."""

    def __init__(self) -> None:
        super().__init__()
        self.starting = False

    def action_new(self) -> None:
        """The form for a new run."""
        from tagent_tui.screens.launch import LaunchScreen

        here = self._here()
        if here is not None:
            self.app.push_screen(LaunchScreen(here))

    def action_init(self) -> None:
        """A starter pipeline in this folder, and the form that starts it."""
        here = self._here()
        if here is not None:
            self._begin(self._write_starter, here)

    def action_demo(self) -> None:
        """The demo on this folder, in a driver process of its own."""
        here = self._here()
        if here is not None:
            self._begin(self._start_demo, here)

    def resume_run(self, run_id: str) -> None:
        """Drive a run on, in a driver process of its own."""
        self._begin(self._resume, run_id)

    def _here(self) -> Path | None:
        try:
            return Path.cwd()
        except OSError:
            self.host.say("The folder this was opened in is gone; open the UI in another one to start runs.", wrong=True)
            return None

    def _begin(self, work: Work, argument: Path | str) -> None:
        if not self.starting:
            self.starting = True
            self.show_keys()
            later(self, "start", self._tell, work, argument, exclusive=False)

    async def _tell(self, work: Work, argument: Path | str) -> None:
        try:
            run_id = await work(argument)
        except drive.NotStartedError as error:
            self.host.say(str(error), wrong=True)
            return
        finally:
            self.starting = False
            self.host.feed.poke()
        if run_id is not None:
            await self.host.open_run(run_id)

    async def _write_starter(self, here: Path) -> None:
        from tagent_tui.screens.launch import LaunchScreen

        written = await drive.write_starter(here)
        self.host.say(f"{' and '.join(path.name for path in written)} are in {at_home(here)} now; look at them, then start.")
        await self.app.push_screen(LaunchScreen(here, target=written[0].name, model=OFFLINE))

    async def _start_demo(self, here: Path) -> str:
        return await drive.start(self.host.feed.path, "demo", {"root": str(here)}, OFFLINE, here, self.host.config)

    async def _resume(self, run_id: str) -> None:
        await drive.resume(self.host.feed.path, run_id, self.host.config)


def at_home(path: Path) -> str:
    """The path as people write it, with `~` for their home."""
    try:
        return f"~/{path.absolute().relative_to(Path.home())}"
    except (ValueError, RuntimeError):
        return str(path)
