"""The run in its frame: what is followed, and one look at it shown in every pane.

Apart from the keys because showing has one rule: everything on screen comes from one `Scene`, made when something changed.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from textual import on

from store.errors import RunAmbiguousError, RunNotFoundError
from store.log import Log
from store.signals import Sample
from store.state import RunStatus, StepStatus
from tagent_tui.details import Details
from tagent_tui.past import Moment
from tagent_tui.present import PULL, Present
from tagent_tui.rows import Ink, Row, Seg
from tagent_tui.screens.runframe import PANES, RunFrame
from tagent_tui.shapes import Tab, chip
from tagent_tui.text import safe
from tagent_tui.view import detail, happening, title
from tagent_tui.view.about import decided
from tagent_tui.view.describe import Around
from tagent_tui.view.detail import Subject
from tagent_tui.view.document import Part
from tagent_tui.view.scene import Scene
from tagent_tui.widgets.bars import Rule, TabRow
from tagent_tui.widgets.later import later
from tagent_tui.widgets.lines import LineView
from tagent_tui.widgets.log import EventLog
from tagent_tui.widgets.panes import DetailPane, Look, proposed_tab
from tagent_tui.widgets.tree import StepTree

SLOW = 0.5
"""Seconds between two looks of what is expensive to say: metrics, reasons, unfolded steps."""


def short_id(run: str) -> str:
    """Enough of a run's id to know it by; of a child run all that tells it from its callers."""
    top, dot, below = run.partition(".")
    return f"{top[:8]}{dot}{below}"


class RunLook(RunFrame):
    """One run on a screen. `moment` is where a replay stands, None while the run is shown as it is."""

    def __init__(self, run_id: str) -> None:
        super().__init__()
        self.wanted = run_id
        self.present: Present | None = None
        self.details: Details | None = None
        self.moment: Moment | None = None
        self.starts: dict[str, int] = {}
        self.samples: list[Sample] = []
        self.looks = 0
        """How many looks were shown: the measure of work in tests."""
        self._slow_at = 0.0
        self._stale: set[str] = set()
        self._keys_for: object = None

    def on_mount(self) -> None:
        """The tree has the keys."""
        self.detail_pane.fetch = self._fetch
        self.step_tree.focus()
        self.title_bar.show(chip("live"), Row([Seg(safe(self.wanted), Ink.MUTED)]))

    # Following

    async def look(self) -> None:
        """Read on; show it."""
        log = self.host.feed.log
        if log is None:
            if self.host.feed.trouble:
                self.title_bar.show(chip("live"), Row([Seg(safe(self.host.feed.trouble), Ink.ERROR)]))
            return
        if self.present is None or self.present.log is not log:
            if not await self._open(log):
                return
        elif self.present is not None:
            await self._read_on(self.present)
        self.show_look()

    async def _open(self, log: Log) -> bool:
        try:
            self.present = await Present.open(log, self.wanted)
        except (RunNotFoundError, RunAmbiguousError) as error:
            self.host.say(str(error), wrong=True)
            self.app.pop_screen()
            return False
        state = self.present.state
        self.details = Details(log, self.present.run)
        lines = self.log_view.lines
        lines.step_of = state.steps.get
        self.log_view.open(log, self.present.run, state.version, state.steps)
        await self.opened()
        return True

    async def opened(self) -> None:
        """The run was found and read."""

    def grew(self, head: int) -> None:
        """The run has `head` events now."""

    async def _read_on(self, present: Present) -> None:
        batch = await present.pull()
        if not batch:
            return
        self.log_view.take(batch)
        self.grew(present.state.version)
        self._stale.update(one.step for one in batch if one.step in self.step_tree.lines.unfolded)
        if any(one.step is None for one in batch):
            await present.look_at_driver()
        if len(batch) >= PULL:
            self.host.feed.poke()

    def second(self) -> None:
        """Ask again who drives the run; where somebody does, clocks moved. An ended run stands still."""
        if self.present is not None and not self.present.state.status.ended:
            later(self, "driver", self._ask_driver, self.present)

    async def _ask_driver(self, present: Present) -> None:
        before = present.alive
        await present.look_at_driver()
        if present.alive or before:
            self.show_look()

    # Showing

    def scene(self) -> Scene | None:
        """The look that everything on screen is made from."""
        if self.present is None:
            return None
        if self.replaying and self.moment is not None:
            return self.moment.scene(self.present.outline, self.starts, self.host.glyphs)
        return self.present.scene(self.host.now(), self.host.glyphs)

    def show_look(self) -> None:
        """Show the run everywhere."""
        scene = self.scene()
        if scene is None or not self.whole:
            return
        self.looks += 1
        self.steps_pane.look(scene)
        self.show_title(scene)
        self.show_detail(scene)
        self.log_pane.say()
        self._show_slow(scene)
        self._show_around(scene)
        self.spin(self._moving_now(scene))

    def _moving_now(self, scene: Scene) -> bool:
        """Whether a driver lives that has something to do."""
        alive = self.present is not None and self.present.alive and not scene.replay
        return alive and (scene.status is RunStatus.RUNNING or bool(scene.state.counts[StepStatus.RUNNING]))

    def show_title(self, scene: Scene) -> None:
        """The bar above."""
        present, width = self.present, self.size.width
        if present is None:
            return
        state = present.state
        ended = None
        if scene.replay and (state.status.ended or not present.alive):
            status = present.scene(self.host.now(), self.host.glyphs).status
            ended = (status, state.lasted(state.last_at))
        first = title.first_row(
            scene, short_id(present.run), width, spinner=self.host.spinner() if self._moving_now(scene) else "", ended=ended
        )
        second = None if self.has_class("-low") else title.second_row(scene, width)
        self.title_bar.show(title.mode_chip(scene), first, second)

    def show_detail(self, scene: Scene) -> None:
        """The detail pane: at once what needs no reading, else a wish."""
        pane, subject = self.detail_pane, self.step_tree.subject
        if subject is None or self.present is None:
            return
        line = self.step_tree.lines.effect(subject)
        tab = pane.choose(detail.tabs_of(scene, subject, line), proposed_tab(scene, subject, line))
        look = Look(scene, subject, tab, self._depends_on(scene, subject, tab), self._upto, self._touched(subject))
        parts = self._at_once(look)
        if parts is None:
            pane.want(look)
        else:
            pane.put(look, parts)

    @property
    def _upto(self) -> int | None:
        return self.moment.version if self.replaying and self.moment is not None else None

    def _touched(self, subject: Subject) -> int:
        return self.present.touched.get(subject.step, 0) if self.present is not None else 0

    def _depends_on(self, scene: Scene, subject: Subject, tab: detail.Tab) -> object:
        """What the text under a tab depends on; while it is the same, nothing is read."""
        step = scene.state.steps.get(subject.step)
        if step is None:
            return subject, tab
        answer = step.approval.answer if step.approval is not None else ""
        base = (subject, tab, scene.replay, step.status, step.attempt, step.output, step.items, answer)
        match tab:
            case detail.Tab.INPUT:
                outputs = [
                    scene.state.steps[one].output for one in scene.outline.step(subject.step).needs[:50] if one in scene.state.steps
                ]
                return *base, *outputs
            case detail.Tab.PROMPT | detail.Tab.MESSAGES:
                return *base, step.calls, step.effects, scene.lives.get(subject.step), self._upto
            case detail.Tab.EVENTS:
                return *base, self._touched(subject), self._upto
            case detail.Tab.EVENT | detail.Tab.OUTPUT | detail.Tab.ERROR:
                return *base, self._upto if subject.effect is not None else None, len(scene.state.artifacts)

    def _at_once(self, look: Look) -> Sequence[Part] | None:
        """The parts that are made from what is known; None where the store has to be asked."""
        scene, subject = look.scene, look.subject
        if look.tab is detail.Tab.EVENT and self.moment is not None and self.present is not None:
            earlier = self.moment.around
            around = Around(lambda version: earlier.get(version) or self.log_view.lines.get(version), scene.state.steps.get)
            return happening.event(scene, self.moment.happening(self.present.outline, scene.glyphs), around)
        step = scene.state.steps.get(subject.step)
        unsaid = look.tab is detail.Tab.OUTPUT and subject.effect is None and not decided(scene, subject.step)
        if unsaid and (step is None or step.output is None):
            live = scene.lives.get(subject.step, "")
            head = detail.heading(scene, subject)
            return [
                head,
                Row(()),
                *detail.standing(scene, subject.step, live=live),
                *detail.artifacts(scene.state, subject.step, scene),
            ]
        return None

    async def _fetch(self, look: Look) -> Sequence[Part]:
        if self.details is None:
            return ()
        return await self.details.parts(look.scene, look.subject, look.tab, look.upto, touched=look.touched)

    def _show_slow(self, scene: Scene) -> None:
        """What is expensive to say, at most twice a second."""
        now = time.monotonic()
        if now - self._slow_at < SLOW:
            return
        self.show_slow(scene)

    def show_all(self) -> None:
        """Show the run now, also what is expensive to say."""
        scene = self.scene()
        if scene is not None and self.whole:
            self.show_slow(scene)
            self.show_look()

    def show_slow(self, scene: Scene) -> None:
        """What is expensive to say, now."""
        self._slow_at = time.monotonic()
        self.steps_pane.say_waits(scene)
        if self.pane == 4:
            later(self, "metrics", self._show_metrics, scene)
        for step in self._stale:
            later(self, f"unfold-{step}", self.unfold, step)
        self._stale = set()

    async def _show_metrics(self, scene: Scene) -> None:
        present = self.present
        if present is None:
            return
        after = self.samples[-1].at if self.samples else 0.0
        self.samples += await present.log.samples(present.run, after)
        shown = [one for one in self.samples if one.at <= scene.now] if scene.replay else self.samples
        self.metrics.look(scene, shown)

    async def unfold(self, step: str) -> None:
        """Read what a step did to the world, and show it below the step."""
        if self.details is not None:
            lines = await self.details.effects(step, self._upto, touched=self._touched(Subject(step)))
            self.step_tree.unfold(step, lines)

    def _show_around(self, scene: Scene) -> None:
        """Tabs, position and keys: what frames the panes."""
        if self.narrow:
            self.query_one("#panes", TabRow).show(
                [Tab(str(index), name) for index, name in enumerate(PANES, 1)],
                self.pane - 1,
                self.wants_somebody(scene),
                focused=True,
            )
            self.call_after_refresh(self._show_position)
        focus = self.focused.id if self.focused is not None else None
        shown = (
            scene.status,
            scene.replay,
            self.pane,
            focus,
            self.maximised,
            self.narrow,
            self.log_view.lines.filter.on,
            self.key_state(),
        )
        if shown != self._keys_for:
            self._keys_for = shown
            self.refresh_bindings()
            self.call_after_refresh(self.show_run_keys)

    def key_state(self) -> object:
        """What else the keys depend on."""
        return None

    def show_run_keys(self) -> None:
        """The footer."""
        scene = self.scene()
        self.show_keys(self.wants_somebody(scene) if scene is not None and not self.narrow else ())

    def wants_somebody(self, scene: Scene) -> list[Seg]:
        """The one thing that wants a person, or in a replay what changed."""
        if scene.replay:
            changed = len(scene.changed)
            return [Seg(f"{changed} {'row' if changed == 1 else 'rows'} changed", Ink.ACCENT)] if changed and self.narrow else []
        doubtful = sum(effect.in_doubt for effect in scene.state.open.values()) if not scene.state.status.ended else 0
        if not doubtful:
            return []
        return [
            Seg(f"{scene.glyphs.in_doubt} {doubtful} in doubt", Ink.WARNING),
            Seg("  d", Ink.STRONG, bold=True),
            Seg(" say", Ink.MUTED),
        ]

    def _show_position(self) -> None:
        """Which part of the pane is seen, in the rule below it; asked after the layout, when heights are known."""
        if not self.whole:
            return
        view = {1: self.step_tree, 2: self.query_one(self.focus_of(2), LineView), 3: self.log_view, 4: self.metrics.view}[self.pane]
        shown, count = view.window, view.source.count()
        place = f"{shown.start + 1:,}{self.host.glyphs.dash}{shown.stop:,} of {count:,}" if count else ""
        left = self.log_pane.title("") if self.pane == 3 else []
        right = [*self.log_pane.news(), Seg("  ")] if self.pane == 3 and self.log_pane.news() else []
        self.query_one("#position", Rule).show(left, [*right, Seg(place, Ink.MUTED)] if place else right)

    def spun(self) -> None:
        """The spinner turned: the title, and the clocks of what runs."""
        scene = self.scene()
        if scene is not None and self.whole:
            self.show_title(scene)
            self.step_tree.lines.scene = scene
            self.step_tree.rows_ticked()

    # What the panes say

    @on(StepTree.Moved, "#steps")
    def _step_chosen(self) -> None:
        scene = self.scene()
        if scene is not None:
            self.show_detail(scene)
            self._show_around(scene)

    @on(LineView.Moved, "#detail, #waterfall")
    def _scrolled(self) -> None:
        if self.narrow:
            self._show_position()

    @on(StepTree.Unfold)
    def _unfold_wanted(self, message: StepTree.Unfold) -> None:
        later(self, f"unfold-{message.step}", self.unfold, message.step)

    @on(EventLog.Changed, "#log")
    def _log_changed(self) -> None:
        self.log_pane.say()
        scene = self.scene()
        if scene is not None:
            self._show_around(scene)

    @on(DetailPane.TabChosen)
    def _tab_chosen(self, message: DetailPane.TabChosen) -> None:
        self.detail_pane.chosen = message.tab
        scene = self.scene()
        if scene is not None:
            self.show_detail(scene)
