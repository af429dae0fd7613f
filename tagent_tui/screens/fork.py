"""The dialog of a fork: what is changed, what it would run again, what cannot be undone; then it is made.

It owns the draft. What would run again is asked of the command line in a process of its own, after every change and never waited
for: an answer to an older draft is dropped, its process ended.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import ClassVar, NamedTuple, cast

from textual import events, on
from textual.app import ComposeResult, SuspendNotSupported
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.screen import ModalScreen
from textual.widgets import Input, TextArea

from tagent_tui import editor, forking
from tagent_tui.keys import behind, footer_keys
from tagent_tui.rows import Ink, Row, Seg, Tint, fit
from tagent_tui.screens.base import Host
from tagent_tui.screens.confirm import stand_on_pane
from tagent_tui.screens.forkrows import ChangeRows, ForeseenRows
from tagent_tui.screens.pick import PickScreen
from tagent_tui.shapes import Tab
from tagent_tui.text import one_line
from tagent_tui.view.clock import time_of_day
from tagent_tui.view.editing import Draft, Form, Target, adds, before_rows, differing
from tagent_tui.view.foreseen import Ground
from tagent_tui.widgets.bars import Footer, Rows, Rule, Sheet, TabRow
from tagent_tui.widgets.fields import Mark
from tagent_tui.widgets.later import later
from tagent_tui.widgets.lines import LineView
from tagent_tui.widgets.typing import ValueBox

DEBOUNCE = 0.5
"""Seconds without a key after which it is foreseen again: a process that takes about as long to start."""

DEFINITIONS = ("", "recorded", "migrate")
"""What holds where the pipeline changed: it is refused, the recorded one holds, or what there is now."""

WIDE, TALL, CHANGES_SHOWN = 100, 34, 4


class Point(NamedTuple):
    """Where a run is forked: its id, what it is called, the event and its time (unix seconds)."""

    run: str
    pipeline: str
    version: int
    at: float


class ForkScreen(ModalScreen[str | None]):
    """Dismissed with the id of the fork that was made, or None."""

    CSS_PATH: ClassVar[str] = "fork.tcss"
    FOOTER: ClassVar[Sequence[tuple[str, str]]] = (
        ("fork.next", "next field"),
        ("fork.editor", "edit in $EDITOR"),
        ("fork.add", "add a change"),
        ("fork.remove", "leave it out"),
        ("fork.make", "fork and run"),
        ("fork.definition", "definition"),
        ("fork.back", "back"),
        ("app.help-in-form", "help"),
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("tab", "app.focus_next", "next field", show=False, id="fork.next"),
        Binding("shift+tab", "app.focus_previous", "previous field", show=False, id="fork.previous"),
        Binding("f5,ctrl+enter", "make", "make the fork and run it", show=False, id="fork.make"),
        Binding("ctrl+s", "make(False)", "make the fork and leave it to be driven later", show=False, id="fork.make-only"),
        Binding(
            "f3",
            "definition",
            "if the pipeline changed: take the recorded one, or what there is now",
            show=False,
            id="fork.definition",
        ),
        Binding("f4,e", "editor", "edit the value in $EDITOR", show=False, id="fork.editor"),
        Binding("ctrl+n,a", "add", "change something else too", show=False, id="fork.add"),
        Binding("x", "remove", "leave this change out", show=False, id="fork.remove"),
        Binding("escape", "back", "back; nothing is made", show=False, id="fork.back"),
        Binding("f1,question_mark", "app.help", "all keys that apply here", show=False, id="app.help-in-form"),
    ]

    def __init__(self, point: Point, targets: Sequence[Target], ground: Ground, draft: Draft | None = None) -> None:
        super().__init__()
        self.point, self.targets, self.ground = point, targets, ground
        self.draft = draft or Draft()
        self.foreseen = ForeseenRows(ground, lambda: self.host.glyphs)
        self.trouble = ""
        self.looking = self.making = False
        self._asked: object = None
        first = next((one for one in targets if one.whole), None)
        if first is not None:
            self.draft.add(first)

    @property
    def host(self) -> Host:
        """The app."""
        return cast("Host", self.app)

    def compose(self) -> ComposeResult:
        """The changes, before and after, what is foreseen, the reason, the keys."""
        with Vertical(id="fork"):
            yield Rule(id="dialog-rule")
            yield LineView(ChangeRows(self.draft, lambda: self.host.glyphs), id="fork-changes")
            with Horizontal(id="fork-value"):
                with Vertical(id="fork-before-side"):
                    yield TabRow(id="fork-before-head")
                    yield Sheet(id="fork-before")
                with Vertical(id="fork-after-side"):
                    yield TabRow(id="fork-after-head")
                    yield ValueBox(id="fork-after")
            yield LineView(self.foreseen, id="fork-foreseen")
            with Horizontal(id="fork-why"):
                yield Rows(id="fork-label")
                yield Mark(id="fork-mark")
                yield Input(id="fork-reason", value=self.draft.reason, placeholder="why, for whoever reads the log", compact=True)
            yield Rows(id="fork-said")
            yield Rows(id="fork-keys")
        yield Footer(id="footer")

    def on_mount(self) -> None:
        """The keys go to the value."""
        stand_on_pane(self)
        self.query_one("#fork-foreseen", LineView).marked = False
        self.query_one("#fork-label", Rows).show([Row([Seg("reason")])])
        self._turn_to()
        self.box.focus()
        self._foresee(0.0)

    @property
    def box(self) -> ValueBox:
        """Where the value is typed."""
        return self.query_one("#fork-after", ValueBox)

    @property
    def changes(self) -> LineView:
        """The changes."""
        return self.query_one("#fork-changes", LineView)

    @property
    def there(self) -> bool:
        """Whether the parts are mounted, and not on their way out: what was asked may be answered after the dialog was left."""
        return self.is_mounted and self in self.app.screen_stack and bool(self.query("#fork-keys"))

    # Showing

    def on_resize(self) -> None:
        """Before beside after where there is room."""
        self.set_class(self.app.size.width < WIDE, "-narrow")
        self.set_class(self.app.size.height >= TALL, "-tall")
        self._show()

    def _turn_to(self) -> None:
        """Show the value of the change that is edited now."""
        current = self.draft.current
        self.box.disabled = current is None or current.target.form is Form.NOTHING
        self.box.put(current.text if current is not None else "")
        self.changes.rows_changed()
        self.changes.move_to(self.draft.at)
        self._show()

    def _show(self) -> None:
        if not self.there:
            return
        self.changes.styles.height = min(max(len(self.draft.changes), 1), CHANGES_SHOWN)
        self._show_title()
        self._show_value()
        self._show_said()
        self._show_keys()

    def _show_title(self) -> None:
        point, glyphs = self.point, self.host.glyphs
        name = one_line(point.pipeline, 40, glyphs).segs(Ink.STRONG, bold=True)
        title = [Seg("Fork ", Ink.STRONG, bold=True), *name, Seg(f" {self.ground.run}", Ink.STRONG, bold=True)]
        right = [Seg("at event ", Ink.MUTED), Seg(f"{point.version:,}", Ink.ACCENT, bold=True)]
        if not self.has_class("-narrow"):
            right.append(Seg(f" {glyphs.sep} {time_of_day(point.at)} {glyphs.sep} the original is not touched", Ink.MUTED))
        self.query_one("#dialog-rule", Rule).show(title, right, ink=Ink.ACCENT)

    def _show_value(self) -> None:
        current, glyphs = self.draft.current, self.host.glyphs
        typing = self.focused is self.box
        before = self.query_one("#fork-before-head", TabRow)
        before.show([Tab("", "Before")], 0, [Seg("recorded", Ink.MUTED)] if current is not None else [])
        right = [Seg(current.target.form.value if current is not None else "", Ink.MUTED)]
        self.query_one("#fork-after-head", TabRow).show([Tab("", "After")], 0, right, focused=typing)
        self.box.mark(differing(current)[1] if current is not None and current.target.text else frozenset())
        sheet = self.query_one("#fork-before", Sheet)
        height = max(sheet.size.height, 1)
        sheet.show_layout(lambda width: before_rows(current, width, height, glyphs) if current is not None else ())

    def _show_said(self) -> None:
        glyphs, wrong = self.host.glyphs, self.draft.wrong or self.trouble
        said: list[Seg] = []
        if wrong:
            sentences = [line.strip() for line in wrong.splitlines() if line.strip()]  # the first says how many follow
            told = "; ".join(sentences[1:] or sentences)
            said = [Seg(f"{glyphs.failed} ", Ink.ERROR), *one_line(told, 300, glyphs).segs(Ink.ERROR)]
        elif self.draft.definition and not self.making and not self.looking:
            which = "as it was recorded" if self.draft.definition == "recorded" else "as it is now"
            said = [Seg("the pipeline ", Ink.MUTED), Seg(which), Seg("  F3", Ink.STRONG, bold=True), Seg(" the other", Ink.MUTED)]
        elif self.making:
            said = [Seg("the fork is being made", Ink.ACCENT)]
        elif self.looking:
            said = [Seg("looking at what would run again", Ink.MUTED)]
        self.query_one("#fork-said", Rows).show([Row(said, () if wrong else self._more())])

    def _more(self) -> list[Seg]:
        """What else could be changed."""
        left = [one for one in self.targets if all(one is not held.target for held in self.draft.changes)]
        words = one_line(f" adds {adds(left)}", 200, self.host.glyphs).segs(Ink.MUTED)
        room = 36 if self.has_class("-narrow") else 64
        return fit([Seg("a", Ink.STRONG, bold=True), *words], room, self.host.glyphs.ellipsis) if left else []

    def _show_keys(self) -> None:
        ready = not self.draft.wrong and not self.making
        make = "F5" if self.has_class("-narrow") else "ctrl+enter"
        first = [Seg(f" {make}  fork and run ", Ink.ACCENT if ready else Ink.MUTED, bold=ready, reverse=ready)]
        only = [Seg(" ctrl+s ", Ink.STRONG, bold=True, tint=Tint.PANEL_QUIET), Seg(" fork, do not run ", tint=Tint.PANEL_QUIET)]
        back = [Seg(" esc ", Ink.STRONG, bold=True, tint=Tint.PANEL_QUIET), Seg(" go back ", tint=Tint.PANEL_QUIET)]
        narrow = self.has_class("-narrow")
        keys = [*first, Seg("  "), *back] if narrow else [*first, Seg("  "), *only, Seg("  "), *back]
        self.query_one("#fork-keys", Rows).show([Row(keys)])
        self.query_one("#fork-mark", Mark).light(isinstance(self.focused, Input))
        self.query_one("#footer", Footer).show(footer_keys(self, self.FOOTER))

    @on(events.DescendantFocus)
    def _focus_moved(self) -> None:
        self.refresh_bindings()
        self.call_after_refresh(self._show)

    async def on_footer_pressed(self, message: Footer.Pressed) -> None:
        """A footer entry was clicked: it is the key."""
        active = behind(self, message.key)
        if active is not None:
            await self.app.run_action(active.binding.action, active.node)

    # Changing

    @on(TextArea.Changed, "#fork-after")
    def _typed(self) -> None:
        current = self.draft.current
        if current is not None and not self.box.disabled and self.box.text != current.text:
            current.text = self.box.text
            self.changes.rows_changed()
            self._foresee()

    @on(Input.Changed, "#fork-reason")
    def _reasoned(self, message: Input.Changed) -> None:
        self.draft.reason = message.value

    @on(Input.Submitted, "#fork-reason")
    def _entered(self) -> None:
        self.app.action_focus_next()

    @on(LineView.Moved, "#fork-changes")
    def _moved(self, message: LineView.Moved) -> None:
        if message.index != self.draft.at and message.index < len(self.draft.changes):
            self.draft.at = message.index
            self._turn_to()

    @on(LineView.Opened, "#fork-changes")
    def _opened(self) -> None:
        (self.box if not self.box.disabled else self.query_one("#fork-reason")).focus()

    def action_add(self) -> None:
        """Pick what else is changed."""
        self.app.push_screen(PickScreen(self.targets, self.host.glyphs), self._add)

    def _add(self, target: Target | None) -> None:
        if target is None:
            return
        if not target.whole:
            self.host.say(f"{target.path} is too large to be edited here.", wrong=True)
            return
        self.draft.add(target)
        self._turn_to()
        (self.changes if self.box.disabled else self.box).focus()
        self._foresee()

    def action_remove(self) -> None:
        """Leave the change out that the cursor is on."""
        self.draft.remove()
        self._turn_to()
        self.changes.focus()
        self._foresee()

    def action_editor(self) -> None:
        """Edit the value in the reader's own editor."""
        current = self.draft.current
        if current is None or current.target.form is Form.NOTHING:
            return
        try:
            text = editor.edit(self.app, current.text, ".json" if current.target.form is Form.JSON else ".txt")
        except SuspendNotSupported:
            self.host.say("There is no terminal to show an editor in.", wrong=True)
        except (OSError, ValueError) as error:
            self.host.say(f"The editor could not be started: {error}; look at $EDITOR.", wrong=True)
        else:
            self.box.put(text)

    # Foreseeing and making

    def _foresee(self, wait: float = DEBOUNCE) -> None:
        """Ask what would run again, when nobody types; what is asked now is not answered any more."""
        self.trouble, self.looking = "", not self.draft.wrong
        later(self, "foresee", self._look_ahead, wait)
        self._show()

    async def _look_ahead(self, wait: float) -> None:
        await asyncio.sleep(wait)
        wish = self.draft.wish(self.point.run, self.point.version)._replace(reason="")
        if self.draft.wrong or (wish == self._asked and self.foreseen.found is not None):
            self.looking = False
            self._show()
            return
        try:
            self.foreseen.found, self._asked = await forking.foresee(self.host.feed.path, wish), wish
        except forking.NotForkedError as error:
            self.trouble = str(error)
        self.looking = False
        if self.there:
            self.query_one("#fork-foreseen", LineView).rows_changed()
            self._show()

    def action_definition(self) -> None:
        """Which definition the fork goes on under, where the pipeline there is now is not the recorded one."""
        self.draft.definition = DEFINITIONS[(DEFINITIONS.index(self.draft.definition) + 1) % len(DEFINITIONS)]
        self._foresee(0.0)

    def action_make(self, run: bool = True) -> None:
        """Make the fork, unless something is wrong with what is typed; with `run` it is driven at once."""
        if self.making or self.draft.wrong:
            return
        self.making, self.trouble = True, ""
        later(self, "make", self._make, run, exclusive=False)
        self._show()

    async def _make(self, run: bool) -> None:
        try:
            made = await forking.make(self.host.feed.path, self.draft.wish(self.point.run, self.point.version), run=run)
        except forking.NotForkedError as error:
            self.trouble, self.making = str(error), False
            self._show()
            return
        self.dismiss(made)

    def action_back(self) -> None:
        """Leave; a fork that is being made is waited for."""
        if not self.making:
            self.dismiss(None)
