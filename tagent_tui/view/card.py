"""The card of what waits for a person: what is asked, what exactly would run, and what about it one would not see.

Apart from the widget because a card is rows of values. Warnings are computed here from the texts themselves, never taken from a
model or a step; every text is shown whole or says that it is a part.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from tagent_tui.numbers import duration, plural, size
from tagent_tui.rows import BLANK, Ink, Row, Seg, Tint, rpad
from tagent_tui.text import Line, lines, one_line, strange, wrap
from tagent_tui.view.asking import Wait
from tagent_tui.view.document import Content, more_row
from tagent_tui.view.scene import Scene

LABEL = 10
"""Cells of the labels at the left."""

_FOLLOWERS = 3


class Asked(NamedTuple):
    """What a wait is about, read from the store. `texts` are what would run or be read, each with its label."""

    wait: Wait
    texts: Sequence[tuple[str, Content]] = ()
    question: str = ""
    choices: Sequence[object] = ()


class Card(NamedTuple):
    """A card as it is shown: what is asked, its place in the queue, and how long it has been seen."""

    scene: Scene
    asked: Asked
    place: int
    total: int


def rows(card: Card, width: int) -> list[Row]:
    """The card in `width` cells, without the keys and the line to type on."""
    found = [_title(card, width), BLANK]
    found += list(_approval(card, width) if card.asked.wait.kind == "approval" else _question(card, width))
    return found


def _title(card: Card, width: int) -> Row:
    wait, scene = card.asked.wait, card.scene
    glyphs = scene.glyphs
    name = "Approval" if wait.kind == "approval" else "Question"
    segs = [Seg(f"{glyphs.person} ", Ink.WARNING), Seg(name, Ink.WARNING, bold=True)]
    if card.total > 1:
        segs.append(Seg(f" {card.place} of {card.total}", Ink.WARNING))
    segs += [Seg("   "), *one_line(wait.step, 80, glyphs).segs(Ink.STRONG, bold=True)]
    if width >= 44:
        segs.append(Seg(f"   waiting {duration(max(0.0, scene.now - wait.since))}", Ink.MUTED))
    right = []
    if wait.due is not None:
        left = duration(max(0.0, wait.due - scene.now))
        right = [Seg("approves itself in " if wait.default else "rejects itself in ", Ink.MUTED), Seg(left)]
    return Row(segs, right)


def _approval(card: Card, width: int) -> Iterator[Row]:
    scene, asked = card.scene, card.asked
    step = scene.outline.step(asked.wait.step)
    if step.runs:
        segs = one_line(step.runs, 200, scene.glyphs).segs(Ink.STRONG, bold=True)
        yield _labelled("function", [*segs, *([Seg("   irreversible", Ink.ERROR)] if step.irreversible else [])])
    for label, text in (
        ("condition", step.condition),
        ("for each", step.each),
        ("while", step.again),
        ("fallback", step.fallback),
    ):
        if text:
            yield _labelled(label, one_line(text, 400, scene.glyphs).segs())
    yield from _wrapped("reason", asked.wait.text, width, scene)
    for label, content in asked.texts:
        yield BLANK
        yield from _exact(label, content, width, scene)
    yield from _warnings([content.text for _, content in asked.texts] + [asked.wait.text], scene)
    yield BLANK
    yield _labelled("then", _then(scene, asked.wait.step))


def _question(card: Card, width: int) -> Iterator[Row]:
    scene, asked = card.scene, card.asked
    yield from _wrapped("asks", asked.question or asked.wait.text, width, scene)
    for index, choice in enumerate(asked.choices, 1):
        if index == 1:
            yield BLANK
        text = choice if isinstance(choice, str) else json.dumps(choice, ensure_ascii=False, default=repr)
        yield _labelled("choices" if index == 1 else "", [Seg(f"{index}  ", Ink.STRONG, bold=True), *one_line(text, 400).segs()])
    yield from _warnings([asked.question, *map(str, asked.choices)], scene)


def _labelled(label: str, segs: Sequence[Seg]) -> Row:
    return Row([Seg(label.ljust(LABEL), Ink.MUTED), *segs])


def _wrapped(label: str, text: str, width: int, scene: Scene) -> Iterator[Row]:
    """Foreign text in full, its label before the first line."""
    if not text:
        return
    for number, line in enumerate(lines(text, glyphs=scene.glyphs).lines):
        for piece, part in enumerate(wrap(line, max(width - LABEL, 8)) or [Line("")]):
            yield _labelled(label if not number and not piece else "", part.segs())


def _exact(label: str, content: Content, width: int, scene: Scene) -> Iterator[Row]:
    """A text exactly as it would be used, with line numbers, on a surface of its own."""
    shown = lines(content.text, glyphs=scene.glyphs)
    count = len(shown.lines)
    yield _labelled(label, [Seg(f"exactly as it would be used, {plural(count, 'line')}, {size(content.size)}", Ink.MUTED)])
    digits = max(2, len(str(count)))
    for number, line in enumerate(shown.lines, 1):
        for piece, part in enumerate(wrap(line, max(width - digits - 2, 8)) or [Line("")]):
            lead = rpad(str(number) if not piece else "", digits)
            yield Row([Seg(f"{lead}  ", Ink.MUTED), *part.segs()], (), Tint.SURFACE)
    if content.cut or shown.cut:
        yield more_row(content.size)


def _warnings(texts: Sequence[str], scene: Scene) -> Iterator[Row]:
    """What about the texts a reader would not see."""
    found = [strange(text) for text in texts]
    hidden = sum(one.hidden for one in found)
    turning = list(dict.fromkeys(code for one in found for code in one.reordering))
    mark = Seg("! ", Ink.WARNING, bold=True)
    shown = "<...>" if scene.glyphs.ascii else "⟨…⟩"
    if hidden:
        yield BLANK
        noun = plural(hidden, "invisible or control character")
        yield Row([mark, Seg(f"{noun}, shown as "), Seg(shown, Ink.WARNING)])
    if turning:
        yield Row([mark, Seg("text that changes the reading order ("), Seg(", ".join(turning[:4]), Ink.WARNING), Seg(")")])


def _then(scene: Scene, name: str) -> list[Seg]:
    """What goes on once it is approved."""
    segs = [*one_line(name, 60, scene.glyphs).segs(), Seg(" goes on", Ink.MUTED)]
    after = scene.outline.after.get(name, ())
    for index, one in enumerate(after[:_FOLLOWERS]):
        segs += [Seg(", " if index else "; ", Ink.MUTED), *one_line(one, 60, scene.glyphs).segs()]
    if after:
        more = f" and {len(after) - _FOLLOWERS:,} more" if len(after) > _FOLLOWERS else ""
        segs.append(Seg(f"{more} {'waits' if len(after) == 1 else 'wait'} for it", Ink.MUTED))
    return segs


def value_of(typed: str, choices: Sequence[object]) -> object:
    """What an answer means: the choice of that text, or of that number in the list, else JSON, else the text.

    A `ValueError` says what is wrong.
    """
    text = typed.strip()
    if choices:
        chosen = [choice for choice in choices if text in (choice, json.dumps(choice, ensure_ascii=False, default=repr))]
        if chosen:
            return chosen[0]
        if text.isdecimal() and 1 <= int(text) <= len(choices):
            return choices[int(text) - 1]
        raise ValueError(f"type a number from 1 to {len(choices)}")
    try:
        return json.loads(text)
    except ValueError:
        return typed
