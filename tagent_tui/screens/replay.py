"""The run screen in the past: the same panes on the state after some event, and a timeline to move along.

Apart from the frame because moving is its own: every key is a wish for a version, and only the newest wish counts.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import ClassVar

from textual import on
from textual.binding import Binding, BindingType
from textual.worker import Worker

from engine.errors import EngineError
from engine.replay.places import version_at
from store.errors import StoreError
from tagent_tui.chart import read_names, read_starts, read_timeline
from tagent_tui.past import Moment, Past
from tagent_tui.places import next_of, previous_of
from tagent_tui.screens.runlook import RunLook
from tagent_tui.view.describe import FAILURE_TYPES, STEP_TYPES
from tagent_tui.view.detail import Subject, Tab
from tagent_tui.view.timeline import Timeline
from tagent_tui.widgets.later import later
from tagent_tui.widgets.lines import LineView
from tagent_tui.widgets.timeline import TimelineView


class ReplayScreen(RunLook):
    """Adds the replay mode. `past` is None while the run is shown as it is; `names` are the checkpoints of one that is replayed."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("r", "replay", "replay: look at the past", show=False, id="run.replay"),
        Binding("full_stop", "event(1)", "one event on", show=False, id="replay.next", key_display="."),
        Binding("comma", "event(-1)", "one event back", show=False, id="replay.previous", key_display=","),
        Binding("greater_than_sign", "boundary(1)", "to the next change of a step", show=False, id="replay.step-next"),
        Binding("less_than_sign", "boundary(-1)", "to the last change of a step", show=False, id="replay.step-previous"),
        Binding("colon", "go_to", "go to an event, +/-N, a checkpoint, STEP:end or a time", show=False, id="replay.goto"),
        Binding("home", "end_of(0)", "the first event", show=False, id="replay.first", priority=True),
        Binding("end", "end_of(1)", "the last event", show=False, id="replay.last", priority=True),
    ]

    def __init__(self, run_id: str, at: int | None = None) -> None:
        super().__init__(run_id)
        self.past: Past | None = None
        self._enter_at = at
        self._timeline: Timeline | None = None
        self._moving: Worker[None] | None = None
        self.names: list[str] = []

    async def opened(self) -> None:
        """Opened in the past, if that was asked for."""
        if self.past is not None:
            self.leave_past()
        if self._enter_at is not None:
            at, self._enter_at = self._enter_at, None
            self.enter_past(at)

    def grew(self, head: int) -> None:
        """The run goes on while its past is looked at: the end moves, the playhead does not."""
        if self.past is not None:
            self.past.grow(head)
            if self._timeline is not None:
                self._timeline = self._timeline._replace(head=head)
                self._show_timeline()

    def on_screen_resume(self) -> None:
        """Shown again: forks may have been made of this run meanwhile."""
        super().on_screen_resume()
        if self.past is not None:
            later(self, "chart", self._read_chart, self.past)

    # In and out

    def enter_past(self, at: int) -> None:
        """Stand at an event."""
        present = self.present
        if present is None or present.state.version < 1 or self.past is not None:
            return
        self.past = Past(present.log, present.run, present.state.version, self._reached, self._refused)
        self._moving = later(self, "past", self.past.keep_up)
        later(self, "chart", self._read_chart, self.past)
        self.past.go(at)

    def leave_past(self) -> None:
        """Back to the run as it is."""
        if self._moving is not None:
            self._moving.cancel()
        self.past, self.moment, self._timeline, self.names, self.starts = None, None, None, [], {}
        self.remove_class("-replay")
        self.detail_pane.chosen = None
        self.log_view.stand_at(None)
        for step in self.step_tree.lines.unfolded:
            self._stale.add(step)
        self._shown_elsewhere()

    async def _read_chart(self, past: Past) -> None:
        timeline = await read_timeline(past.log, past.run, past.head)
        names = await read_names(past.log, past.run, timeline)
        starts = await read_starts(past.log, past.run, len(self.present.state.steps) if self.present is not None else 0)
        if past is self.past:
            self._timeline, self.names, self.starts = timeline, names, starts
            self._show_timeline()
            self.show_look()

    async def _reached(self, reached: Moment) -> None:
        """Show the moment that was wished for."""
        if self.past is None:
            return
        first, self.moment = self.moment is None, reached
        self.add_class("-replay")
        if reached.event.step is not None and self.detail_pane.chosen in (None, Tab.EVENT):
            self.step_tree.go_to(Subject(reached.event.step, getattr(reached.event.event, "request", reached.version)))
        self.log_view.stand_at(reached.version)
        for step in self.step_tree.lines.unfolded:
            await self.unfold(step)
        if first:
            self._shown_elsewhere()
        self._show_timeline()
        self.show_look()

    def _refused(self, why: str) -> None:
        self.host.say(why, wrong=True)

    def _shown_elsewhere(self) -> None:
        """Another time, another ground: everything is painted again."""
        self.show_all()
        for widget in self.query("*"):
            widget.refresh()

    def _show_timeline(self) -> None:
        if self.moment is not None and self.past is not None:
            event = self.moment.event
            known = self._timeline or Timeline(self.past.head, event.at, event.at)
            self.query_one("#timeline", TimelineView).put(known, self.moment)

    # Moving

    def key_state(self) -> object:
        """Keys at the ends of the run lead nowhere."""
        return None

    def action_replay(self) -> None:
        """Look at the past: from the line of the log if the keys are there, else from the last event."""
        if self.present is None:
            return
        at = self.present.state.version
        if self.log_view.has_focus and not self.log_view.following and self.log_view.lines.count():
            at = self.log_view.lines.version(self.log_view.cursor)
        self.enter_past(at)

    def action_event(self, by: int) -> None:
        """One event on or back."""
        if self.past is not None:
            self.past.go(self.past.target + by)

    def action_end_of(self, which: int) -> None:
        """The first or the last event."""
        if self.past is not None:
            self.past.go(self.past.head if which else 1)

    def action_boundary(self, way: int) -> None:
        """To where a step changes next, or did last."""
        self.jump(STEP_TYPES, way)

    def jump_failure(self, way: int) -> None:
        """To the next failure, or the last."""
        self.jump(FAILURE_TYPES, way)

    def jump(self, types: Collection[str], way: int) -> None:
        """To the next event of some types, or the last."""
        if self.past is not None:
            later(self, "jump", self._jump, self.past, types, way)

    async def _jump(self, past: Past, types: Collection[str], way: int) -> None:
        find = next_of if way > 0 else previous_of
        found = await find(past.log, past.run, types, past.target)
        if found is not None and found <= past.head:
            past.go(found)
        elif types is FAILURE_TYPES:
            self.host.say("No failure after this event." if way > 0 else "No failure before this event.")

    async def go_where(self, text: str) -> None:
        """`:204`, `:+10`, `:-3`, `:end`, `:10:12:18`, `:+90s`, `:search:end`, `:tidy`."""
        past = self.past
        if past is None:
            return
        try:
            past.go(await version_at(past.log, past.run, text, here=past.target))
        except (EngineError, StoreError) as error:
            self.host.say(str(error), wrong=True)

    @on(TimelineView.Picked)
    async def _picked(self, message: TimelineView.Picked) -> None:
        timeline = self._timeline
        if timeline is not None and self.past is not None:
            at = timeline.start + (timeline.end - timeline.start) * message.share
            self.past.go(await self.past.log.locate(self.past.run, at=at))

    @on(LineView.Moved, "#log")
    def _log_moved(self, message: LineView.Moved) -> None:
        """In the past, the log's cursor is the playhead."""
        if self.past is not None and self.moment is not None and self.log_view.lines.count():
            self.past.go(self.log_view.lines.version(message.index))
