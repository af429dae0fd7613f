"""What the run screen asks a person, and what the person answers: the card, the queue, and the commands to one step.

Apart from the commands to the whole run because these are about the step under the cursor, and because a card may stand in place of
the details whatever else is shown.
"""

from __future__ import annotations

from typing import Any, ClassVar

from textual import on
from textual.binding import Binding, BindingType
from textual.widgets import Input

from store.state import StepState, StepStatus
from tagent_tui.rows import Ink, Seg
from tagent_tui.screens.commanding import CommandScreen
from tagent_tui.screens.confirm import ConfirmScreen
from tagent_tui.screens.runframe import FOCUS
from tagent_tui.view.asking import Wait, waits_of
from tagent_tui.view.card import Asked, Card, value_of
from tagent_tui.view.detail import Subject
from tagent_tui.view.scene import Scene
from tagent_tui.widgets.card import CardPane
from tagent_tui.widgets.later import later

_FAILED = (StepStatus.FAILED, StepStatus.TIMED_OUT)


class AnswerScreen(CommandScreen):
    """Adds the card. `put_back` are waits the reader put back into the queue: they are shown again when asked for."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("a", "queue", "show what waits for you, the next one", show=False, id="run.queue"),
        Binding("A", "approve", "approve the step, or answer its question", show=False, id="run.approve"),
        # one key, in one list: of keys bound in two classes Textual keeps those of the subclass, whether they apply or not
        Binding("R", "reject", "reject the step", show=False, id="run.reject"),
        Binding("R", "resume", "go on with the run", show=False, id="run.resume"),
        Binding("S", "skip_step", "skip this step", show=False, id="run.skip"),
        Binding("t", "retry_step", "try this failed step again", show=False, id="run.retry"),
    ]

    def __init__(self, run_id: str, at: int | None = None) -> None:
        super().__init__(run_id, at)
        self.put_back: set[Wait] = set()
        self._read: Asked | None = None

    # The card

    @property
    def card(self) -> CardPane:
        """The card's pane."""
        return self.query_one("#asking-card", CardPane)

    @property
    def card_shown(self) -> bool:
        """Whether a card is seen now."""
        return self.has_class("-card") and (self.pane == 2 or not self.has_class("-single"))

    def focus_of(self, pane: int) -> str:
        """The card has the keys of the details while it stands in their place."""
        return "#card" if pane == 2 and self.has_class("-card") else FOCUS[pane]

    def waits(self) -> list[Wait]:
        """What waits for somebody now; nothing in the past."""
        return waits_of(self.present.state) if self.present is not None and self.past is None else []

    def show_detail(self, scene: Scene) -> None:
        """The details, or in their place the card of the step under the cursor."""
        super().show_detail(scene)
        wait = self._wait_here()
        if wait is None:
            self._take_away()
        elif self._read is not None and self._read.wait == wait:
            self._put(scene, self._read)
        else:
            later(self, "card", self._read_card, wait)

    def _wait_here(self) -> Wait | None:
        """What the card is about: what is being answered, else what the step under the cursor waits for."""
        found = [wait for wait in self.waits() if wait.kind != "doubt"]
        if self.card.typing and self.card.wait in found:
            return self.card.wait
        subject = self.step_tree.subject
        here = [wait for wait in found if subject is not None and wait.step == subject.step and wait not in self.put_back]
        return here[0] if here else None

    async def _read_card(self, wait: Wait) -> None:
        scene = self.scene()
        if self.details is None or scene is None:
            return
        self._read = await self.details.asked(scene, wait)
        if self._wait_here() == wait:
            self._put(scene, self._read)

    def _put(self, scene: Scene, asked: Asked) -> None:
        found = self.waits()
        place = found.index(asked.wait) + 1 if asked.wait in found else 1
        fresh = not self.has_class("-card")
        self.add_class("-card")
        self.card.show(Card(scene, asked, place, len(found)))
        if fresh:
            if self.pane == 2:
                self.query_one("#card").focus()
            self.call_after_refresh(self.show_look)

    def _take_away(self) -> None:
        if not self.has_class("-card"):
            return
        inside = self.focused is not None and self.focused in self.card.query("*")
        self.remove_class("-card")
        self.card.hide()
        if inside:
            self.show_pane(self.pane if self.narrow else 1)

    # The queue

    def action_queue(self) -> None:
        """The next thing that waits for somebody, whichever step it is of."""
        found = self.waits()
        if not found:
            return
        shown = self.card.wait if self.card_shown else None
        wait = found[(found.index(shown) + 1) % len(found)] if shown in found else found[0]
        self.put_back.discard(wait)
        self.step_tree.go_to(Subject(wait.step))
        if wait.kind == "doubt":
            self.action_doubt()
        else:
            self.show_pane(2)

    def wants_somebody(self, scene: Scene) -> list[Seg]:
        """How many wait for a person, and the key that shows them; nothing beside the only card."""
        found = self.waits()
        if not found or all(wait.kind == "doubt" for wait in found):
            return super().wants_somebody(scene)
        if self.card_shown and len(found) == 1:
            return []
        count = f"{len(found):,} {'waits' if len(found) == 1 else 'wait'} for you"
        return [
            Seg(f"{scene.glyphs.person} {count}", Ink.WARNING),
            Seg("  a", Ink.STRONG, bold=True),
            Seg(" next" if self.card_shown else " show", Ink.MUTED),
        ]

    def card_back(self) -> bool:
        """Leave the line that is typed on, or put the card back into the queue; whether there was one."""
        if self.card.has_class("-typing"):
            self.card.rest()
            self.query_one("#card").focus()
            return True
        if self.card_shown and self.card.wait is not None:
            self.put_back.add(self.card.wait)
            self.show_look()
            return True
        return False

    # Answers

    def action_approve(self) -> None:
        """Approve what the card shows; of a question, begin to type the answer."""
        wait = self.card.wait
        if wait is None or not self.card.awake:
            return
        if wait.kind == "approval":
            self._tell("approve", {"step": wait.step, "approved": True})
            return
        choices = self._read.choices if self._read is not None else ()
        self.card.ask("your answer", f"a number from 1 to {len(choices)}" if choices else "JSON, or text")

    def action_reject(self) -> None:
        """Reject the step, after a note."""
        if self.card.wait is not None and self.card.awake:
            self.card.ask("why it is rejected", "optional, kept with the decision")

    @on(Input.Submitted, "#card-input")
    def _typed(self, message: Input.Submitted) -> None:
        message.stop()
        wait = self.card.wait
        if wait is None or not self.card.awake:
            return
        if wait.kind == "approval":
            body: dict[str, Any] = {"approved": False, "note": message.value.strip()}
            self._tell("approve", {"step": wait.step, **body})
        else:
            try:
                value = value_of(message.value, self._read.choices if self._read is not None else ())
            except ValueError as error:
                self.card.complain(str(error))
                return
            self._tell("answer", {"step": wait.step, "request": wait.request, "value": value})
        self.card.rest()
        self.query_one("#card").focus()

    # One step

    def chosen_step(self) -> tuple[str, StepState] | None:
        """The step under the cursor."""
        subject = self.step_tree.subject
        if self.present is None or subject is None or subject.part:
            return None
        step = self.present.state.steps.get(subject.step)
        return (subject.step, step) if step is not None else None

    def may_skip(self) -> bool:
        """Whether the step under the cursor can be skipped."""
        chosen = self.chosen_step()
        return chosen is not None and self.present is not None and not (chosen[1].status.settled or self.present.state.status.ended)

    def may_retry(self) -> bool:
        """Whether the step under the cursor failed and can be tried again."""
        chosen = self.chosen_step()
        if chosen is None or self.present is None or chosen[1].status not in _FAILED:
            return False
        state = self.present.state
        return state.undoing is None and state.status.word in ("running", "paused", "failed")

    def action_skip_step(self) -> None:
        """Skip the step, after asking."""
        chosen = self.chosen_step()
        if chosen is None:
            return
        name = chosen[0]
        sentence = "It is stopped if it runs, and counts as skipped; what depends on it runs without its output."
        dialog = ConfirmScreen(f"Skip {name}?", sentence, yes="skip it", no="leave it")
        self.app.push_screen(dialog, lambda yes: self._tell("skip", {"step": name}) if yes else None)

    def action_retry_step(self) -> None:
        """Try a failed step again."""
        chosen = self.chosen_step()
        if chosen is not None:
            self._tell("retry", {"step": chosen[0]})
