"""Keys as people write them, and lists of keys made from the bindings that apply.

Apart from the screens so that the footer, the help and the palette never name a key that a binding does not have: all
three read the active bindings, whose ids can be given other keys in the configuration.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple, Protocol

from textual.binding import ActiveBinding, BindingsMap
from textual.dom import DOMNode
from textual.keys import format_key

from tagent_tui.shapes import Key

_WRITTEN = {
    "escape": "esc",
    "enter": "enter",
    "space": "space",
    "up": "up",
    "down": "down",
    "left": "left",
    "right": "right",
    "pageup": "page up",
    "pagedown": "page down",
    "backspace": "backspace",
    "delete": "delete",
    "home": "home",
    "end": "end",
    "tab": "tab",
    "shift+tab": "shift+tab",
}

PANE_ORDER = ("list",)
"""Prefixes of ids whose bindings are told after the screen's own: moving about is the same everywhere."""


class Told(NamedTuple):
    """One line of the help: the keys, what they do, the id to remap them by."""

    keys: str
    does: str
    id: str


class _Bound(Protocol):
    @property
    def active_bindings(self) -> dict[str, ActiveBinding]: ...


def written(key: str) -> str:
    """A key as it is written: `ctrl+d`, `G`, `?`, `esc`; function keys in capitals."""
    *modifiers, last = key.split("+")
    name = _WRITTEN.get(last) or (last.upper() if len(last) > 1 and last[0] == "f" and last[1:].isdigit() else "")
    return "+".join([*modifiers, name or format_key(last)])


def key_of(screen: _Bound, binding_id: str) -> str:
    """The first key that does this now, as it is written; empty if none does."""
    for active in screen.active_bindings.values():
        if active.binding.id == binding_id and active.enabled:
            return written(active.binding.key)
    return ""


def footer_keys(screen: _Bound, wanted: Sequence[tuple[str, str]]) -> list[Key]:
    """The footer's entries for (binding id, word) pairs, in that order, without those that do not apply now."""
    first: dict[str, str] = {}
    for active in screen.active_bindings.values():
        if active.enabled and active.binding.id:
            first.setdefault(active.binding.id, written(active.binding.key))
    return [Key(first[binding_id], word) for binding_id, word in wanted if binding_id in first]


def told(screen: _Bound) -> list[Told]:
    """Every active binding that has an id and a description, keys of one id together; moving about comes last."""
    keys: dict[str, list[str]] = {}
    does: dict[str, str] = {}
    for active in screen.active_bindings.values():
        binding = active.binding
        if not active.enabled or not binding.id or not binding.description:
            continue
        name = written(binding.key)
        if name not in keys.setdefault(binding.id, []):
            keys[binding.id].append(name)
        does[binding.id] = binding.description
    rows = [Told("  ".join(keys[one]), does[one], one) for one in keys]
    return sorted(rows, key=lambda row: (row.id.split(".")[0] in PANE_ORDER, row.id.startswith("app.")))


def unknown_ids(keymap: Mapping[str, str], nodes: Iterable[type[DOMNode]]) -> list[str]:
    """The ids of a keymap that no binding of these classes, or of those they are made from, has; to be named to the user."""
    known: set[str] = set()
    for one in (base for node in nodes for base in node.__mro__):
        for bindings in BindingsMap(vars(one).get("BINDINGS", ())).key_to_bindings.values():
            known.update(binding.id for binding in bindings if binding.id)
    return sorted(one for one in keymap if one not in known)


def behind(screen: _Bound, key: str) -> ActiveBinding | None:
    """The binding a written key has now. (A simulated key press would not do: sent from a screen it never reaches the app.)"""
    for active in screen.active_bindings.values():
        if active.enabled and written(active.binding.key) == key:
            return active
    return None
