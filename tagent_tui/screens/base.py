"""What every screen shares: how it hears of news in the log, of the passing second, and how it tells its keys.

Apart from the app so that screens do not import it: they know it as the `Host` below.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, Protocol, cast

from textual.app import ComposeResult
from textual.screen import Screen
from textual.timer import Timer

from tagent_tui.feed import Feed, Pace
from tagent_tui.glyphs import Glyphs
from tagent_tui.keys import behind, footer_keys
from tagent_tui.rows import Seg
from tagent_tui.widgets.bars import Footer, TitleBar

if TYPE_CHECKING:
    from engine.config import TAgentConfig

SPIN = 0.15
"""Seconds a frame of the spinner stays: it moves without asking for attention, and costs one line of drawing a frame."""


class Host(Protocol):
    """The app as the screens know it."""

    feed: Feed
    glyphs: Glyphs
    config: TAgentConfig | None

    def now(self) -> float:
        """Unix time in seconds; a test may hold it still."""
        ...

    def spinner(self) -> str:
        """The spinner's mark at this moment."""
        ...

    async def open_run(self, run_id: str, at: int | None = None) -> None:
        """The run's own screen, above the one that is shown; in its past, if `at` is an event."""
        ...

    async def open_diff(self, a: str, b: str) -> None:
        """Two runs compared, on a screen above the one that is shown."""
        ...

    def say(self, sentence: str, *, wrong: bool = False) -> None:
        """One sentence in a toast."""
        ...


class FedScreen(Screen[None]):
    """A screen over the log, with a title bar and a footer. `FOOTER` lists (binding id, word), most used first."""

    FOOTER: ClassVar[Sequence[tuple[str, str]]] = ()
    PACE: ClassVar[Pace] = Pace.LIVE

    def __init__(self) -> None:
        super().__init__()
        self.title_bar = TitleBar(id="title")
        self.footer = Footer(id="footer")
        self._spinning: Timer | None = None

    @property
    def host(self) -> Host:
        """The app."""
        return cast("Host", self.app)

    def compose(self) -> ComposeResult:
        """Title bar above, footer below, the screen's own between."""
        yield self.title_bar
        yield from self.compose_body()
        yield self.footer

    def compose_body(self) -> ComposeResult:
        """What stands between the bars."""
        yield from ()

    async def look(self) -> None:
        """Something in the log may be new: read on, and show it."""

    def second(self) -> None:
        """A second passed: ages and clocks on screen moved."""

    def on_screen_resume(self) -> None:
        """Shown (again): read on at once."""
        self.host.feed.set_pace(self.PACE)
        self.host.feed.poke()

    def spin(self, on: bool) -> None:
        """Whether the spinner turns: only while a driver lives."""
        if on and self._spinning is None:
            self._spinning = self.set_interval(SPIN, self.spun)
        elif not on and self._spinning is not None:
            self._spinning.stop()
            self._spinning = None

    def spun(self) -> None:
        """The spinner turned: draw the title bar again."""

    def show_keys(self, right: Sequence[Seg] = ()) -> None:
        """The footer: the keys of `FOOTER` that apply now, and what wants a person at its right end."""
        if self.is_mounted:
            self.footer.show(footer_keys(self, self.FOOTER), right)

    async def on_footer_pressed(self, message: Footer.Pressed) -> None:
        """A footer entry was clicked: it is the key."""
        active = behind(self, message.key)
        if active is not None:
            await self.app.run_action(active.binding.action, active.node)
