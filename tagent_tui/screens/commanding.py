"""What the run screen tells a run: pause, go on, cancel, what became of an effect in doubt.

Apart from the keys of the view because these reach the run: through its driver's inbox, or through a new driver.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from textual.binding import Binding, BindingType

from store.state import OpenEffect, RunStatus, StepStatus
from tagent_tui import command, drive
from tagent_tui.numbers import plural
from tagent_tui.present import Present
from tagent_tui.screens.cancel import CancelScreen
from tagent_tui.screens.confirm import ConfirmScreen
from tagent_tui.screens.doubt import DoubtScreen
from tagent_tui.screens.replay import ReplayScreen
from tagent_tui.widgets.later import later

_GOES_ON = frozenset({"approve", "answer", "skip", "retry", "budget", "resolve"})
"""Commands after which a run has something to do."""


class CommandScreen(ReplayScreen):
    """Adds the commands. What they say is a toast; what they do is seen when it is recorded."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("p", "pause", "pause: start nothing new", show=False, id="run.pause"),
        Binding("x", "cancel", "cancel the run", show=False, id="run.cancel"),
        Binding("d", "doubt", "say what became of an effect in doubt", show=False, id="run.doubt"),
    ]

    def _fresh(self) -> bool:
        """A run whose driver is about to take it."""
        return self.present is not None and self.present.alive and self.present.state.status is RunStatus.PENDING

    def action_pause(self) -> None:
        """Start nothing new; what runs is let finish."""
        self._tell("pause")

    def action_resume(self) -> None:
        """Go on: its driver is told, or a new one is started."""
        present = self.present
        if present is not None and present.alive:
            self._tell("resume")
        elif present is not None:
            later(self, "tell", self._drive_on, present.run)

    async def _drive_on(self, run: str) -> None:
        try:
            await drive.resume(self.host.feed.path, run)
            self.host.say(f"Run {run[:8]} goes on in a new driver.")
        except drive.NotStartedError as error:
            self.host.say(str(error), wrong=True)
        self.host.feed.poke()

    def over_budget(self) -> str | None:
        """What the run has used up of its budget (`cost`, ...), None while it may go on."""
        state = self.present.state if self.present is not None else None
        return next((reached[1:] for reached in state.reached if reached[0] == ":"), None) if state is not None else None

    def set_budget(self, typed: str) -> None:
        """Give the run another budget of what it used up."""
        what = self.over_budget() or "cost"
        try:
            amount = float(typed.strip().lstrip("$").replace(",", ""))
        except ValueError:
            self.host.say(f"{typed.strip()!r} is not a number; nothing was changed.", wrong=True)
            return
        self._tell("budget", {what: amount})

    def action_cancel(self) -> None:
        """Cancel the run, or the step under the cursor where there is one to cancel; after asking."""
        if self.present is None:
            return
        state = self.present.state
        running = state.counts[StepStatus.RUNNING] - state.groups
        sentence = (
            f"{plural(running, 'step')} under way will be stopped and nothing new starts. What is recorded stays; it cannot go on."
        )
        subject = self.step_tree.subject
        step = state.steps.get(subject.step) if subject is not None and not subject.part else None
        if subject is None or step is None or step.status.settled:
            dialog = ConfirmScreen(f"Cancel {state.pipeline}?", sentence, yes="cancel the run", no="let it go on")
            self.app.push_screen(dialog, lambda yes: self._tell("cancel") if yes else None)
            return
        self.app.push_screen(CancelScreen(state.pipeline, subject.step, sentence), lambda what: self._cancel(what, subject.step))

    def _cancel(self, what: str | None, step: str) -> None:
        if what is not None:
            self._tell("cancel", {"step": step} if what == "step" else None)

    def action_doubt(self) -> None:
        """Say what became of an effect in doubt."""
        effect = self._doubtful()
        if effect is not None:
            self.app.push_screen(DoubtScreen(effect), lambda outcome: self._resolve(effect, outcome))

    def _doubtful(self) -> OpenEffect | None:
        """The effect in doubt of the selected step, or the first one."""
        if self.present is None or self.present.state.status.ended:
            return None
        found = [effect for effect in self.present.state.open.values() if effect.in_doubt]
        subject = self.step_tree.subject
        return next(
            (effect for effect in found if subject is not None and effect.step == subject.step), found[0] if found else None
        )

    def _resolve(self, effect: OpenEffect, outcome: str | None) -> None:
        if outcome is not None:
            self._tell("resolve", {"step": effect.step, "outcome": outcome})

    def _tell(self, kind: str, body: Mapping[str, Any] | None = None) -> None:
        if self.present is not None:
            later(self, "tell", self._told, self.present.run, kind, body, exclusive=False)

    async def _told(self, run: str, kind: str, body: Mapping[str, Any] | None) -> None:
        try:
            self.host.say(await command.tell(self.host.feed.path, run, kind, body))
            if kind in _GOES_ON and self.present is not None:
                await self._go_on(self.present, run)
        except command.RefusedError as error:
            self.host.say(str(error), wrong=True)
        self.host.feed.poke()

    async def _go_on(self, present: Present, run: str) -> None:
        """After what it waited for was said: a run that nobody drives is driven on."""
        row = await present.log.find(run)
        if row.status == RunStatus.RUNNING.word and not row.alive():
            await self._drive_on(run)
