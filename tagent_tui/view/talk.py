"""What runs tell each other, in a few words: what was sent to whom, what came from where, which version of a space was seen.

Apart from the other words of events because these stand in the arguments and outcomes of effects, and only where those are inline.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from store import values
from store.errors import ValueEncodingError
from store.events import EffectRequested, EffectSucceeded, Event, Payload
from tagent_tui.view.effects import written


def asked_words(event: EffectRequested) -> list[str]:
    """What a request says beside its kind and name."""
    if event.kind == "tool":
        return [said] if (said := written(event.arguments)) else []
    if event.kind not in ("space", "send", "receive", "wait_for"):
        return []
    given = _inline(event.arguments)
    match event.kind:
        case "space":
            return [f"{given['op']} {given.get('key', '')}".strip()] if "op" in given else []
        case "send":
            words = [str(given.get("type", "")), f"priority {given['priority']}" if "priority" in given else ""]
            return [word for word in [*words, _answers(given)] if word and word != "data"]
        case "receive":
            return [word for word in (_answers(given), _limit(given)) if word]
        case _:
            return [word for word in (str(given.get("pipeline", "")), _limit(given)) if word]


def answered_words(asked: Event, event: EffectSucceeded) -> list[str]:
    """What an outcome says beside how long it took."""
    if not isinstance(asked, EffectRequested) or asked.kind not in ("space", "send", "receive", "wait_for"):
        return []
    if asked.kind in ("receive", "wait_for") and bytes(event.value.json) == b"null":
        return ["nothing came"]
    if asked.kind == "send":
        sent = _value(event.value)
        return [sent] if isinstance(sent, str) else []
    found = _inline(event.value)
    if asked.kind == "space":
        if "version" not in found:
            return []
        return ["somebody was first"] if found["version"] is None else [f"version {found['version']}"]
    return [f"from {found['sender']}"] if found.get("sender") else []


def _answers(given: Mapping[str, Any]) -> str:
    return f"answers {given['reply_to']}" if given.get("reply_to") else ""


def _limit(given: Mapping[str, Any]) -> str:
    return f"at most {given['timeout']:g} s" if isinstance(given.get("timeout"), int | float) else ""


def _value(payload: Payload) -> Any:
    try:
        return values.decode(payload.json) if payload.json else None
    except ValueEncodingError:
        return None


def _inline(payload: Payload) -> dict[str, Any]:
    value = _value(payload)
    return value if isinstance(value, dict) else {}
