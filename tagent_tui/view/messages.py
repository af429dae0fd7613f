"""A conversation with a model as it is shown: who said what, and the answer with what it took.

Apart from the other details because messages come in every shape a provider or a recording may have. An answer of a simulated
model says so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from store.state import StepStatus
from tagent_tui.numbers import duration, plural, step_cost, tokens
from tagent_tui.rows import BLANK, Ink, Row, Seg, cells
from tagent_tui.text import first_line, one_line
from tagent_tui.view.document import LABEL, Para, Part, json_text, text_part
from tagent_tui.view.effects import EffectLine
from tagent_tui.view.scene import Scene

_ROLES = {"assistant": "model"}


def messages(scene: Scene, found: Sequence[Mapping[str, Any]], *, whole: bool = False) -> list[Part]:
    """A conversation, who said it at the left. Without `whole`, instructions are one line: the prompt tab has all of them."""
    parts: list[Part] = []
    for message in found:
        role = str(message.get("role", "?"))
        quiet = role == "system"
        label = Seg(one_line(_ROLES.get(role, role), 8, scene.glyphs).text, Ink.MUTED if quiet else Ink.STRONG, bold=not quiet)
        text = said(message)
        parts += [BLANK] if parts else []
        if quiet and not whole:
            line = first_line(text, 200, scene.glyphs)
            size = [Seg(f"  {plural(len(text), 'character')}", Ink.MUTED)]
            parts.append(Row([label, Seg(" " * (LABEL - cells([label]))), *line.segs(Ink.MUTED)], size))
            continue
        if text or not message.get("tool_calls"):
            parts.append(text_part(text, Ink.MUTED if quiet else Ink.TEXT, label=label, indent=LABEL, glyphs=scene.glyphs))
            label = Seg("", Ink.MUTED)
        parts += _calls(message, label, scene)
    return parts


def _calls(message: Mapping[str, Any], label: Seg, scene: Scene) -> list[Part]:
    calls = message.get("tool_calls")
    parts: list[Part] = []
    for call in calls if isinstance(calls, list) else ():
        asked = call.get("function", call) if isinstance(call, dict) else {}
        named = asked if isinstance(asked, dict) else {}
        line = one_line(f"calls {named.get('name', '?')}({named.get('arguments', '')})", 1000, scene.glyphs)
        parts.append(Para([line], Ink.TEXT, label if label.text else None, LABEL))
        label = Seg("", Ink.MUTED)
    return parts


def said(message: Mapping[str, Any]) -> str:
    """The text of a message, whatever form its content has."""
    content = message.get("content")
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return "\n".join(str(part.get("text", json_text(part))) if isinstance(part, dict) else str(part) for part in content)
    return "" if content is None else json_text(content)


def reply(scene: Scene, line: EffectLine, text: str, *, calls: Any = None, live: str = "") -> list[Part]:
    """What the model answered or called, with what that took; while it answers, what is known of it, with a cursor."""
    label = Seg("model", Ink.STRONG, bold=True)
    glyphs = scene.glyphs
    if line.ended_at is None:
        shown = one_line(live, glyphs=glyphs) if live else one_line("", glyphs=glyphs)
        return [BLANK, Para([shown], Ink.TEXT, label, LABEL, tail=(Seg(glyphs.cursor, Ink.ACCENT),))]
    if line.failed or line.status is StepStatus.IN_DOUBT:
        return [BLANK, text_part(line.reason or "failed", Ink.ERROR, label=label, indent=LABEL, glyphs=glyphs)]
    parts: list[Part] = [BLANK]
    if text or not calls:
        parts.append(text_part(text, label=label, indent=LABEL, glyphs=glyphs))
        label = Seg("", Ink.MUTED)
    parts += _calls({"tool_calls": calls}, label, scene)
    said_of = [duration(line.ended_at - line.requested_at)]
    if line.usage is not None:
        said_of.append(f"{tokens(line.usage.prompt_tokens)} in, {tokens(line.usage.completion_tokens)} out")
        if line.usage.cost is not None and not line.simulated:
            said_of.append(step_cost(line.usage.cost))
    said_of += ["simulated"] if line.simulated else []
    parts.append(Row([Seg(" " * LABEL), Seg(f" {glyphs.sep} ".join(said_of), Ink.MUTED)]))
    return parts
