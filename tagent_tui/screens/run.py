"""The run screen: its keys, and what they do to the view.

One screen for the present and the past, because a replay is the same fold and the same widgets: only where the state comes from
differs. The run belongs to its driver: leaving the screen changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from textual import on
from textual.app import SuspendNotSupported
from textual.binding import Binding, BindingType
from textual.widgets import Input

from store.errors import StoreError
from store.state import RunState, RunStatus, StepStatus
from tagent_tui import pager
from tagent_tui.numbers import plural
from tagent_tui.places import next_of, previous_of
from tagent_tui.rows import Ink, Row, Seg
from tagent_tui.screens.branching import BranchingScreen
from tagent_tui.screens.runkeys import run_keys
from tagent_tui.view.describe import FAILURE_TYPES
from tagent_tui.view.detail import Subject
from tagent_tui.view.logrows import NO_FILTER, read_filter
from tagent_tui.widgets.bars import Footer, Rows
from tagent_tui.widgets.later import later
from tagent_tui.widgets.lines import LineView

_ASKS = {
    "search": ("/", "words in this pane; n and N go on"),
    "filter": ("&", "words, step:NAME, type:step.failed"),
    "budget": ("$", "the most it may cost in all, in US dollars"),
    "goto": (":", "an event, +10, -3, STEP:end, 10:12:18, +90s, end"),
}
CHILDREN = 1000
"""Child runs among which that of a step is looked for."""


class RunScreen(BranchingScreen):
    """One run. `at` opens it in the past, at that event."""

    BINDINGS: ClassVar[list[BindingType]] = [
        *(Binding(str(pane), f"pane({pane})", f"pane {pane}", show=False, id=f"run.pane-{pane}") for pane in (1, 2, 3)),
        Binding("4", "pane(4)", "waterfall and resources", show=False, id="run.metrics"),
        Binding("z", "maximise", "one pane alone, and back", show=False, id="run.maximise"),
        Binding("right_square_bracket", "failure(1)", "next failure", show=False, id="run.next-failure"),
        Binding("left_square_bracket", "failure(-1)", "previous failure", show=False, id="run.previous-failure"),
        Binding("slash", "ask('search')", "search in this pane", show=False, id="run.search"),
        Binding("n", "again(1)", "next match", show=False, id="run.search-next"),
        Binding("N", "again(-1)", "previous match", show=False, id="run.search-previous"),
        Binding("ampersand", "ask('filter')", "narrow the log", show=False, id="run.filter"),
        Binding("f", "follow", "go to the end of the log and stay there", show=False, id="run.follow"),
        Binding("l,right", "tab(1)", "next tab of the details", show=False, id="run.tab-next"),
        Binding("h,left", "tab(-1)", "previous tab of the details", show=False, id="run.tab-previous"),
        Binding("b", "ask('budget')", "give the run another budget", show=False, id="run.budget"),
        Binding("y", "copy", "copy what is selected", show=False, id="run.copy"),
        Binding("v", "pager", "all of it in the pager", show=False, id="run.pager"),
        Binding("escape", "back", "back", show=False, id="run.back"),
    ]

    def __init__(self, run_id: str, at: int | None = None) -> None:
        super().__init__(run_id, at)
        self._asking = ""
        self._words: tuple[str, ...] = ()

    # What applies now

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Only what works now is a key."""
        present, past = self.present, self.past is not None
        scene = self.scene() if present is not None else None
        if scene is None:
            return action in ("back", "simulate_key") or not hasattr(self, f"action_{action}")
        state, status = scene.state, scene.status
        match action:
            case "event" | "boundary" | "go_to":
                return past
            case "end_of":
                return past and not self._asking
            case "replay":
                return not past
            case "pause":
                return not past and status is RunStatus.RUNNING and not state.pausing
            case "resume":
                stands = status in (RunStatus.PAUSED, RunStatus.INTERRUPTED, RunStatus.PENDING) or self._waits_for_child(state)
                return not past and stands and not self.card_shown and not self._fresh()
            case "cancel":
                return not past and not status.ended and not state.cancelling
            case "queue":
                return bool(self.waits()) and not self.card.typing
            case "approve":
                return self.card_shown and not self.card.typing
            case "reject":
                return self.card_shown and not self.card.typing and self.card.wait is not None and self.card.wait.kind == "approval"
            case "skip_step":
                return not past and self.may_skip()
            case "retry_step":
                return not past and self.may_retry()
            case "doubt":
                return not past and self._doubtful() is not None
            case "follow":
                return not past and not self.log_view.following
            case "failure":
                return self._failures()
            case "again":
                return bool(self._words)
            case "ask" if parameters == ("budget",):
                return not past and not status.ended and self.over_budget() is not None
            case "tab":
                return self.detail_pane.view.has_focus
            case "pager":
                return self.pane == 2 or self.detail_pane.view.has_focus
        return True

    def _waits_for_child(self, state: RunState) -> bool:
        """Whether a parked child run is what it waits for, and nobody drives it: once the child goes on, it can too."""
        alive = self.present is not None and self.present.alive
        return not alive and not state.status.ended and any(effect.parked for effect in state.open.values())

    def _failures(self) -> bool:
        """Whether there is a failure to go to."""
        state = self.present.state if self.present is not None else None
        return state is not None and bool(state.failures or state.counts[StepStatus.IN_DOUBT])

    def key_state(self) -> object:
        """What the keys depend on besides the look."""
        state = self.present.state if self.present is not None else None
        told = state and (state.pausing, state.cancelling)
        return (
            self._asking,
            bool(self._words),
            told,
            self.past is not None,
            self._doubtful(),
            self.log_view.following,
            self._failures(),
            (self.card_shown, self.card.wait, self.card.typing, len(self.waits()), self.may_skip(), self.may_retry()),
            self.over_budget(),
        )

    def show_run_keys(self) -> None:
        """The footer, for the pane with the keys."""
        scene = self.scene()
        footer = self.query("#footer")  # gone already where the screen is being left
        if scene is None or not footer:
            return
        right = list(self.wants_somebody(scene)) if not self.narrow else []
        if self.past is not None and not self.narrow and not right:
            left = self.past.head - scene.state.version
            right = [Seg(f"{plural(left, 'event')} to the end" if left else "the last event", Ink.MUTED)]
        asks = self.card.wait is not None and self.card.wait.kind == "question"
        keys = run_keys(self, self.pane, past=self.past is not None, failed=scene.glyphs.failed, question=asks)
        footer.first(Footer).show(keys, right)

    def show_title(self, scene: Any) -> None:
        """The bar above; in the past the footer says how far the end is."""
        super().show_title(scene)
        if self.past is not None:
            self.show_run_keys()

    async def on_footer_pressed(self, message: Footer.Pressed) -> None:
        """A footer entry was clicked: it is the key, of two the second."""
        message.key = message.key.split()[-1]
        await super().on_footer_pressed(message)

    # Panes

    def action_pane(self, pane: int) -> None:
        """Go to a pane."""
        if pane == 4 and self.step_tree.subject is not None:
            self.metrics.go_to(self.step_tree.subject.step)
        self.show_pane(pane)

    def action_maximise(self) -> None:
        """One pane alone, and back."""
        if self.pane == 4:
            self.show_pane(1)
            return
        self.maximised = not self.maximised
        self.show_pane(self.pane)

    def action_tab(self, by: int) -> None:
        """The next or previous tab of the details."""
        self.detail_pane.turn(by)

    @on(LineView.Opened, "#steps")
    async def _step_opened(self) -> None:
        child = await self._child()
        if child is None:
            self.show_pane(2)
        else:
            await self.host.open_run(child)

    async def _child(self) -> str | None:
        """The child run under the cursor: of an effect, or the newest of a step that runs a pipeline or waits for its child."""
        present, subject = self.present, self.step_tree.subject
        if present is None or subject is None:
            return None
        line = self.step_tree.lines.effect(subject)
        if line is not None:
            return f"{present.run}.{line.version}" if line.kind == "child" else None
        state = present.state
        parked = any(effect.parked and effect.step == subject.step for effect in state.open.values())
        if not parked and (subject.step not in state.steps or state.steps[subject.step].kind != "p"):
            return None
        rows = await present.log.runs(caller=present.run, limit=CHILDREN)
        return next((row.id for row in rows if row.caller_step == subject.step), None)

    @on(LineView.Opened, "#waterfall")
    def _bar_opened(self) -> None:
        step = self.metrics.step
        if step is not None:
            self.step_tree.go_to(Subject(step))
        self.show_pane(1)

    @on(LineView.Opened, "#log")
    def _line_opened(self, message: LineView.Opened) -> None:
        lines = self.log_view.lines
        recorded = lines.get(lines.version(message.index)) if lines.count() else None
        if recorded is not None and recorded.step is not None:
            self.step_tree.go_to(Subject(recorded.step, getattr(recorded.event, "request", recorded.version)))
            self.show_pane(1)

    def action_back(self) -> None:
        """Out of what one went into last: the typed line, the filter, one pane, the past, the run."""
        if self._asking:
            self._stop_asking()
        elif self.card_back():
            return
        elif self.log_view.lines.filter.on:
            self.log_view.narrow(NO_FILTER)
            self.show_look()
        elif self.maximised or (self.pane == 4 and not self.narrow):
            self.action_maximise()
        elif self.past is not None:
            self.leave_past()
        elif len(self.app.screen_stack) > 1:
            self.app.pop_screen()

    def action_follow(self) -> None:
        """Go to the end of the log and stay there."""
        self.log_view.follow()

    # Finding

    def action_failure(self, way: int) -> None:
        """The next failure: of the past, of the log, or of the steps."""
        if self.past is not None:
            self.jump_failure(way)
        elif self.log_view.has_focus:
            later(self, "jump", self._failure_line, way)
        else:
            found = self.step_tree.lines.find(self.step_tree.cursor, way, self.step_tree.lines.failed)
            subject = self.step_tree.lines.subject(found) if found is not None else None
            if subject is None:
                self.host.say("No step failed in the end.")
                return
            self.step_tree.go_to(subject)
            self.metrics.go_to(subject.step)

    async def _failure_line(self, way: int) -> None:
        present, lines = self.present, self.log_view.lines
        if present is None or not lines.count():
            return
        here = lines.version(self.log_view.cursor)
        found = await (next_of if way > 0 else previous_of)(present.log, present.run, FAILURE_TYPES, here)
        if found is None:
            self.host.say("No failure after this line." if way > 0 else "No failure before this line.")
        else:
            self.log_view.move_to(min(lines.index(found), lines.count() - 1))

    def action_ask(self, what: str) -> None:
        """Type words to search for, a filter, or where to go."""
        sign, placeholder = _ASKS[what]
        self._asking = what
        self.add_class("-asking")
        asked = self.query_one("#asked", Rows)
        asked.styles.width = 3
        asked.show([Row([Seg(sign, Ink.STRONG, bold=True)])])
        line = self.query_one("#ask", Input)
        line.value = self.log_view.lines.filter.text if what == "filter" else ""
        line.placeholder = f"{', '.join(reversed(self.names))}, {placeholder}" if what == "goto" and self.names else placeholder
        line.focus()

    def action_go_to(self) -> None:
        """Type where to go."""
        self.action_ask("goto")

    def _stop_asking(self) -> None:
        self._asking = ""
        self.remove_class("-asking")
        self.show_pane(self.pane)

    @on(Input.Submitted, "#ask")
    async def _asked(self, message: Input.Submitted) -> None:
        what, text = self._asking, message.value
        self._stop_asking()
        if what == "goto":
            later(self, "jump", self.go_where, text)
        elif what == "budget":
            self.set_budget(text)
        elif what == "filter":
            names: Mapping[str, object] = self.present.state.steps if self.present is not None else {}
            self.log_view.narrow(read_filter(text, names))
            self.show_pane(3)
        elif what == "search":
            self._words = tuple(text.lower().split())
            self.action_again(1)

    def action_again(self, way: int) -> None:
        """The next place with the words that were searched for."""
        if self._words:
            later(self, "search", self._search, self._words, way)

    async def _search(self, words: Sequence[str], way: int) -> None:
        found: bool | None
        if self.pane == 3:
            found = await self.log_view.search(words, way)
        elif self.pane == 2:
            found = self.detail_pane.view.find(words, way)
        elif self.pane == 4:
            found = self._find_bar(words, way)
        else:
            index = self.step_tree.lines.find(self.step_tree.cursor, way, lambda subject: _named(subject.step, words))
            found = index is not None
            if index is not None:
                self.step_tree.move_to(index)
        if found is False:
            self.host.say(f"Nothing more with {' '.join(words)!r}.")

    def _find_bar(self, words: Sequence[str], way: int) -> bool:
        names, start = self.metrics.lines.names, self.metrics.view.cursor
        for offset in range(1, len(names) + 1):
            index = (start + way * offset) % len(names)
            if _named(names[index], words):
                self.metrics.view.move_to(index)
                return True
        return False

    # Taking along

    def action_copy(self) -> None:
        """Copy the line or the text with the keys, made safe, to the clipboard (OSC 52)."""
        text = self._selected_text()
        if text:
            self.app.copy_to_clipboard(text)
            self.host.say(f"Copied {plural(len(text), 'character')}.")

    def _selected_text(self) -> str:
        if self.pane == 2:
            return self.detail_pane.view.document.text().strip()
        view = {1: self.step_tree, 3: self.log_view}.get(self.pane, self.metrics.view)
        if not view.source.count():
            return ""
        row = view.source.row(view.cursor, 400)
        return "".join(seg.text for seg in (*row.left, Seg("  "), *row.right)).strip()

    def action_pager(self) -> None:
        """All of what the details show the first part of."""
        later(self, "pager", self._page)

    async def _page(self) -> None:
        subject = self.step_tree.subject
        if subject is None or self.details is None:
            return
        try:
            text = await self.details.whole(self.scene(), subject, self.detail_pane.tab)
            lines = list(pager.safe_lines(text)) if text is not None else self.detail_pane.view.document.text().split("\n")
            pager.page(self.app, lines)
        except (StoreError, OSError) as error:
            self.host.say(str(error), wrong=True)
        except SuspendNotSupported:
            self.host.say("There is no terminal to show a pager in.", wrong=True)


def _named(name: str, words: Sequence[str]) -> bool:
    return all(word in name.lower() for word in words)
