"""The colours: two themes (dark, light), and from an ink to a terminal style.

Apart from the stylesheet because rows are painted by the line widgets, not by CSS; both read the same table. The values are
those of the design language: text at least 4.5:1 on every surface it stands on, graphics 3:1, held by a test.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from rich.color import Color
from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip
from textual.theme import Theme

from tagent_tui.glyphs import to_ascii
from tagent_tui.rows import Ink, Seg, Tint

DARK = {
    "background": "#0E1116",
    "surface": "#161B22",
    "pane": "#12161C",
    "panel": "#1D2733",
    "panel-quiet": "#181E26",
    "hairline": "#2B323C",
    "guide": "#49525F",
    "foreground": "#D3D9E2",
    "text-strong": "#F4F6F9",
    "text-muted": "#8A94A3",
    "accent": "#62AEF7",
    "success": "#6FB98A",
    "error": "#F27878",
    "warning": "#E2B155",
    "replay": "#B99AF5",
    "graph": "#52749C",
    "graph-quiet": "#3D5068",
    "tint-removed": "#2A171B",
    "tint-added": "#12251C",
    "tint-waiting": "#28210F",
    "replay-background": "#110E1A",
    "replay-surface": "#1F1830",
    "replay-panel": "#2A2142",
    "replay-changed": "#231C38",
    "replay-pane": "#181326",
}

LIGHT = {
    "background": "#FBFBFA",
    "surface": "#F0F1F2",
    "pane": "#F6F6F5",
    "panel": "#DFEAF7",
    "panel-quiet": "#ECEFF2",
    "hairline": "#D3D7DC",
    "guide": "#A9B0B9",
    "foreground": "#22272E",
    "text-strong": "#07090C",
    "text-muted": "#5A6472",
    "accent": "#0F61B5",
    "success": "#23713F",
    "error": "#B3261E",
    "warning": "#865400",
    "replay": "#6B3FC4",
    "graph": "#4A7FB5",
    "graph-quiet": "#8FAFD0",
    "tint-removed": "#FBE9E7",
    "tint-added": "#E4F3E8",
    "tint-waiting": "#FBF1D9",
    "replay-background": "#FAF7FF",
    "replay-surface": "#EFE8FB",
    "replay-panel": "#E7DEF9",
    "replay-changed": "#EBE2FA",
    "replay-pane": "#F3EEFC",
}

DARK_NAME = "tagent-dark"
LIGHT_NAME = "tagent-light"

_OWN = ("primary", "secondary", "background", "surface", "panel", "foreground", "accent", "success", "error", "warning")


def _theme(name: str, colours: dict[str, str], *, dark: bool) -> Theme:
    return Theme(
        name=name,
        primary=colours["accent"],
        secondary=colours["graph"],
        accent=colours["accent"],
        success=colours["success"],
        error=colours["error"],
        warning=colours["warning"],
        foreground=colours["foreground"],
        background=colours["background"],
        surface=colours["surface"],
        panel=colours["panel"],
        dark=dark,
        variables={
            **{key: value for key, value in colours.items() if key not in _OWN},
            "input-cursor-background": colours["accent"],
            "input-cursor-foreground": colours["background"],
            "input-selection-background": colours["panel"],
            "scrollbar": colours["hairline"],
            "scrollbar-background": colours["background"],
        },
    )


THEMES = (_theme(DARK_NAME, DARK, dark=True), _theme(LIGHT_NAME, LIGHT, dark=False))

_INKS = {
    Ink.TEXT: "foreground",
    Ink.STRONG: "text-strong",
    Ink.MUTED: "text-muted",
    Ink.ACCENT: "accent",
    Ink.SUCCESS: "success",
    Ink.ERROR: "error",
    Ink.WARNING: "warning",
    Ink.REPLAY: "replay",
    Ink.GRAPH: "graph",
    Ink.GRAPH_QUIET: "graph-quiet",
    Ink.HAIRLINE: "hairline",
    Ink.GUIDE: "guide",
}

_TINTS = {
    Tint.SURFACE: ("surface", "replay-surface"),
    Tint.PANE: ("pane", "replay-pane"),
    Tint.PANEL: ("panel", "replay-panel"),
    Tint.PANEL_QUIET: ("panel-quiet", "replay-surface"),
    Tint.REMOVED: ("tint-removed", "tint-removed"),
    Tint.ADDED: ("tint-added", "tint-added"),
    Tint.WAITING: ("tint-waiting", "tint-waiting"),
    Tint.CHANGED: ("panel-quiet", "replay-changed"),
}


@dataclass(frozen=True)
class Palette:
    """From inks and tints to terminal styles. `replay` takes violet for the accent; without `colour` only bold and reverse.

    With `ascii` every mark is swapped for its ASCII one when it is painted, wherever it came from.
    """

    dark: bool = True
    replay: bool = False
    colour: bool = True
    ascii: bool = False

    def hex(self, ink: Ink) -> str:
        """The colour of an ink as `#RRGGBB`."""
        table = DARK if self.dark else LIGHT
        return table["replay" if self.replay and ink is Ink.ACCENT else _INKS[ink]]

    def ground(self, tint: Tint | None) -> str:
        """The colour of a tint as `#RRGGBB`; None is the pane's own background."""
        table = DARK if self.dark else LIGHT
        if tint is None:
            return table["replay-background" if self.replay else "background"]
        return table[_TINTS[tint][self.replay]]

    def style(self, ink: Ink, *, bold: bool = False, reverse: bool = False, tint: Tint | None = None) -> Style:
        """The style of a piece of text on a tint (None: on the pane's own background)."""
        return _style(self, ink, bold, reverse, tint)

    def strip(self, segs: Iterable[Seg], width: int, tint: Tint | None = None, *, selected: bool = False) -> Strip:
        """The pieces painted into exactly `width` cells. `selected` matters only without colour: the row is reversed."""
        reverse_row = selected and not self.colour
        painted = [
            Segment(
                _in_ascii(seg.text) if self.ascii else seg.text,
                _style(self, seg.ink, seg.bold, seg.reverse != reverse_row, seg.tint or tint),
            )
            for seg in segs
        ]
        return Strip(painted).adjust_cell_length(width, _style(self, Ink.TEXT, False, reverse_row, tint))


_ASCII_MARKS = to_ascii()


def _in_ascii(text: str) -> str:
    return text if text.isascii() else text.translate(_ASCII_MARKS)


@lru_cache(maxsize=2048)
def _style(palette: Palette, ink: Ink, bold: bool, reverse: bool, tint: Tint | None) -> Style:
    if not palette.colour:
        return Style(bold=bold, reverse=reverse)
    ink_colour = Color.parse(palette.hex(ink))
    ground = Color.parse(palette.ground(tint))
    if reverse:
        return Style(color=ground, bgcolor=ink_colour, bold=bold)
    return Style(color=ink_colour, bgcolor=ground, bold=bold)
