"""The form for a new run: the demo on a folder, or a pipeline with its parameters, started in a driver process.

It owns the fields. Errors stand under their field at once, are counted in the tab row and repeated in the footer; the start
key is muted until none is left.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.widgets import Input

from tagent_tui import drive
from tagent_tui.launching import Form, check, command, launch
from tagent_tui.rows import BLANK, Ink, Row, Seg, Tint
from tagent_tui.screens.base import FedScreen
from tagent_tui.shapes import Tab, chip
from tagent_tui.text import one_line, typed
from tagent_tui.widgets.bars import Rows, TabRow
from tagent_tui.widgets.fields import Choice, Field
from tagent_tui.widgets.later import later

FIELDS = ("target", "folder", "model", "params")
NAMES = {"target": "pipeline", "params": "parameters"}
"""How a field is named to people, where that is not its id."""


class LaunchScreen(FedScreen):
    """The form."""

    FOOTER: ClassVar[Sequence[tuple[str, str]]] = (
        ("form.next", "next field"),
        ("form.start", "start"),
        ("form.cancel", "cancel"),
        ("app.help-in-form", "help"),
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("tab", "app.focus_next", "next field", show=False, id="form.next"),
        Binding("shift+tab", "app.focus_previous", "previous field", show=False, id="form.previous"),
        Binding("f5,ctrl+enter", "start", "start the run", show=False, id="form.start"),
        Binding("escape", "cancel", "leave the form", show=False, id="form.cancel"),
        Binding("f1", "app.help", "all keys that apply here", show=False, id="app.help-in-form"),
    ]

    def __init__(self, folder: Path, *, target: str = "", model: str = "") -> None:
        super().__init__()
        self._folder = str(folder) if typed(str(folder)) == str(folder) else "."
        self._target, self._model = target, model
        self._touched: set[str] = set()
        self._starting = False
        self._refused = ""

    def compose_body(self) -> ComposeResult:
        """The fields, the same from a shell, and what the start needs."""
        yield TabRow(id="tabs")
        with VerticalScroll(id="form", can_focus=False):
            yield Choice("run", ("the demo", "a pipeline"), id="what", index=1 if self._target else 0)
            yield Field("pipeline *", "file or module:name", value=self._target, placeholder="pipeline.yaml", id="target")
            yield Field("folder *", "folder", value=self._folder, id="folder")
            yield Field("model", "text", value=self._model, placeholder="offline", id="model")
            yield Field("parameters", "name=value", placeholder="company=Acme since=2023", id="params")
            yield Rows(id="same")

    def on_mount(self) -> None:
        """The keys go to the first choice."""
        self.query_one("#what", Choice).focus()
        self._show()

    def field(self, name: str) -> Field:
        """The field with this id."""
        return self.query_one(f"#{name}", Field)

    @property
    def form(self) -> Form:
        """The fields as typed."""
        typed = {name: self.field(name).value for name in FIELDS}
        return Form(demo=self.query_one("#what", Choice).index == 0, **typed)

    @property
    def errors(self) -> dict[str, str]:
        """What is wrong, by field."""
        wrong = check(self.form)
        if self._refused:
            wrong["folder" if self.form.demo else "target"] = self._refused
        return wrong

    @on(Input.Changed)
    def _typed(self, message: Input.Changed) -> None:
        field = message.input.parent and message.input.parent.parent
        if field is not None and field.id and self.is_mounted:
            initial = {"folder": self._folder, "target": self._target, "model": self._model}
            if message.value != initial.get(field.id, ""):
                self._touched.add(field.id)
        self._refused = ""
        self._show()

    @on(Input.Submitted)
    def _entered(self) -> None:
        self.app.action_focus_next()

    @on(Choice.Changed)
    def _chose(self) -> None:
        self._refused = ""
        self._show()

    def _show(self) -> None:
        if not self.is_mounted:
            return
        form, wrong = self.form, self.errors
        for name in FIELDS:
            field = self.field(name)
            field.display = not (form.demo and name in ("target", "params"))
            field.complain(wrong.get(name, "") if name in self._touched or self._refused else "")
        shown = {name: text for name, text in wrong.items() if name in self._touched or self._refused}
        right = [Seg(f"{len(shown)} to correct", Ink.ERROR)] if shown else []
        self.query_one("#tabs", TabRow).show([Tab("1", "What runs")], 0, right, focused=True)
        self.field("model").input.placeholder = "offline" if form.demo else "the configured one"
        self._show_same(form, wrong)
        what = "the demo" if form.demo else "a pipeline"
        apart = [Seg("it runs in a process of its own", Ink.MUTED)]
        self.title_bar.show(chip("new run"), Row([Seg(what, Ink.STRONG, bold=True)], apart))
        first = next(iter(shown.items()), None)
        complaint = (
            [Seg(f"{self.host.glyphs.failed} {NAMES.get(first[0], first[0])} ", Ink.ERROR), Seg(first[1], Ink.MUTED)]
            if first
            else []
        )
        self.show_keys([Seg("starting", Ink.ACCENT)] if self._starting else complaint)

    def _show_same(self, form: Form, wrong: dict[str, str]) -> None:
        ready = not wrong and not self._starting
        start = [Seg(" F5 ", Ink.STRONG if ready else Ink.MUTED, bold=ready, tint=Tint.PANEL_QUIET)]
        start += [Seg(" start ", Ink.TEXT if ready else Ink.MUTED, tint=Tint.PANEL_QUIET), Seg("  ")]
        leave = [Seg(" esc ", Ink.STRONG, bold=True, tint=Tint.PANEL_QUIET), Seg(" cancel ", tint=Tint.PANEL_QUIET)]
        named = [Seg(", ".join(NAMES.get(name, name) for name in wrong), Ink.ERROR if self._touched else Ink.MUTED)]
        needs = [Seg("start needs a valid ", Ink.MUTED), *named] if wrong else []
        same = [Seg("same as   ", Ink.MUTED), *one_line(command(form), 400, self.host.glyphs).segs()]
        self.query_one("#same", Rows).show([Row(same), BLANK, Row([*start, *leave]), Row(needs)])

    def action_cancel(self) -> None:
        """Leave; nothing was started."""
        self.dismiss(None)

    def action_start(self) -> None:
        """Start, or say everything that is wrong."""
        if self._starting:
            return
        if self.errors:
            self._touched.update(FIELDS)
            self._show()
            first = next(name for name in FIELDS if name in self.errors)
            self.field(first).input.focus()
            return
        self._starting = True
        self._show()
        later(self, "start", self._start, exclusive=False)

    async def _start(self) -> None:
        wanted = launch(self.form)
        try:
            run_id = await drive.start(
                self.host.feed.path, wanted.target, wanted.params, wanted.model, wanted.folder, self.host.config
            )
        except drive.NotStartedError as error:
            self._refused = str(error)
            return
        finally:
            self._starting = False
            self._show()
        self.host.feed.poke()
        self.dismiss(None)
        await self.host.open_run(run_id)
