"""The branch tree of a run: it, what it was forked from, and all forks, each with what was edited.

It owns the list. The store is read in the background; a look that finds nothing new changes nothing on screen.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from store.events import RunId
from tagent_tui.family import read_family
from tagent_tui.rows import Ink, Row, Seg
from tagent_tui.screens.base import FedScreen
from tagent_tui.shapes import chip
from tagent_tui.text import one_line
from tagent_tui.view.branches import Branch, arrange, branch_row, header, title
from tagent_tui.widgets.bars import Rule, Sheet
from tagent_tui.widgets.later import later
from tagent_tui.widgets.lines import LineView


class BranchRows:
    """The tree as rows."""

    def __init__(self, screen: BranchesScreen) -> None:
        self._screen = screen

    def count(self) -> int:
        """How many runs there are."""
        return len(self._screen.branches)

    def row(self, index: int, width: int) -> Row:
        """One run."""
        branch, host = self._screen.branches[index], self._screen.host
        return branch_row(branch, width, host.now(), host.glyphs, here=branch.kin.run.id == self._screen.run)


class BranchesScreen(FedScreen):
    """The tree around `run`; `branches` is what is shown."""

    CSS = "BranchesScreen #branch-head, BranchesScreen #branch-rule { height: 1; } BranchesScreen #branch-head { margin-top: 1; }"
    FOOTER: ClassVar[Sequence[tuple[str, str]]] = (
        ("list.open", "open"),
        ("branches.parent", "the parent there"),
        ("branches.diff", "diff with the parent"),
        ("branches.back", "back"),
        ("app.quit", "quit"),
        ("app.help", "help"),
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("r", "parent", "replay the parent at the event it was forked at", show=False, id="branches.parent"),
        Binding("D", "diff", "compare the fork with its parent", show=False, id="branches.diff"),
        Binding("escape", "back", "back", show=False, id="branches.back"),
    ]

    def __init__(self, run: RunId) -> None:
        super().__init__()
        self.run = run
        self.branches: list[Branch] = []
        self.view = LineView(BranchRows(self), id="branches")

    def compose_body(self) -> ComposeResult:
        """Names of the columns, the tree."""
        yield Sheet(id="branch-head")
        yield Rule(id="branch-rule")
        yield self.view

    def on_mount(self) -> None:
        """The tree has the keys."""
        self.query_one("#branch-head", Sheet).show_layout(lambda width: [header(width)])
        self.view.focus()
        self._show_title()

    async def look(self) -> None:
        """Read the family again."""
        later(self, "family", self._read)

    async def _read(self) -> None:
        log = self.host.feed.log
        if log is None:
            return
        found = arrange(await read_family(log, self.run))
        if found == self.branches:
            return
        first, chosen = not self.branches, self._chosen()
        self.branches = found
        wanted = self.run if first or chosen is None else chosen.kin.run.id
        self.view.rows_changed()
        at = next((index for index, one in enumerate(found) if one.kin.run.id == wanted), 0)
        self.view.move_to(at)
        self._show_title()

    def second(self) -> None:
        """Ages moved."""
        self.view.rows_ticked()

    def _chosen(self) -> Branch | None:
        return self.branches[self.view.cursor] if self.view.cursor < len(self.branches) else None

    def _show_title(self) -> None:
        name = (
            one_line(self.branches[0].kin.run.pipeline, 80, self.host.glyphs).segs(Ink.STRONG, bold=True) if self.branches else []
        )
        said = [Seg(f"   {title(self.branches)}" if self.branches else "", Ink.MUTED)]
        self.title_bar.show(chip("branches"), Row([*name, *said]))
        self.refresh_bindings()
        self.call_after_refresh(self.show_keys)

    @on(LineView.Moved, "#branches")
    def _moved(self) -> None:
        self.refresh_bindings()
        self.call_after_refresh(self.show_keys)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Only a fork has a parent."""
        del parameters
        chosen = self._chosen() if action in ("parent", "diff") else None
        return action not in ("parent", "diff") or (chosen is not None and chosen.kin.run.parent is not None)

    @on(LineView.Opened, "#branches")
    async def _opened(self) -> None:
        chosen = self._chosen()
        if chosen is not None:
            await self.host.open_run(chosen.kin.run.id)

    async def action_parent(self) -> None:
        """The parent, as it stood where this fork left it."""
        chosen = self._chosen()
        if chosen is not None and chosen.kin.run.parent is not None:
            await self.host.open_run(chosen.kin.run.parent, chosen.kin.run.parent_version)

    async def action_diff(self) -> None:
        """The parent and the fork beside each other."""
        chosen = self._chosen()
        if chosen is not None and chosen.kin.run.parent is not None:
            await self.host.open_diff(chosen.kin.run.parent, chosen.kin.run.id)

    def action_back(self) -> None:
        """Back to where it was asked for."""
        self.app.pop_screen()
