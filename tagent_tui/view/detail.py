"""What the detail pane says of a step or an effect: output, error, input, prompt, messages, events; and of an event in a replay.

Apart from the pane, which fetches; here fetched values become parts of a text. A value made by a simulated model says so wherever
it stands.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import Enum
from typing import NamedTuple

from store.events import Failure, Recorded
from store.state import RunState, StepState, StepStatus, group_of
from tagent_tui.numbers import duration, rate, size
from tagent_tui.rows import BLANK, Ink, Row, Seg
from tagent_tui.text import one_line
from tagent_tui.view.clock import time_of_day
from tagent_tui.view.describe import NOTHING_AROUND, Around, say
from tagent_tui.view.document import LABEL, Content, Para, Part, text_part, value_part
from tagent_tui.view.effects import EffectLine, effect_name
from tagent_tui.view.outline import unmet
from tagent_tui.view.scene import Scene, step_mark, step_span
from tagent_tui.view.steps import note

EVENTS_SHOWN = 2_000


class Tab(Enum):
    """The tabs of the detail pane, by the word they are shown with."""

    EVENT = "Event"
    OUTPUT = "Output"
    ERROR = "Error"
    INPUT = "Input"
    PROMPT = "Prompt"
    MESSAGES = "Messages"
    EVENTS = "Events"


class Subject(NamedTuple):
    """What the pane is about: a step, one of its effects by the version of its request, or a part of a long group's children."""

    step: str
    effect: int | None = None
    part: str = ""


def tabs_of(scene: Scene, subject: Subject, line: EffectLine | None = None) -> list[Tab]:
    """The tabs that have something to say of the subject."""
    step = scene.state.steps.get(subject.step)
    found = [Tab.EVENT] if scene.replay else []
    if step is None:
        return found or [Tab.OUTPUT]
    if subject.effect is not None:
        asks = line is not None and line.kind == "model"
        return [
            *found,
            Tab.OUTPUT,
            *([Tab.ERROR] if line is not None and line.failed else []),
            Tab.INPUT,
            *([Tab.MESSAGES] if asks else []),
        ]
    found.append(Tab.OUTPUT)
    if step.tries or step.status in (StepStatus.FAILED, StepStatus.TIMED_OUT, StepStatus.WAITING):
        found.append(Tab.ERROR)
    if scene.outline.step(subject.step).needs or is_item(scene, subject.step):
        found.append(Tab.INPUT)
    if step.kind == "g":
        found.append(Tab.PROMPT)
    if step.calls or step.kind == "g":
        found.append(Tab.MESSAGES)
    return [*found, Tab.EVENTS]


def is_item(scene: Scene, path: str) -> bool:
    """Whether a step is run for one item of its group."""
    group = group_of(path)
    return group is not None and bool(scene.outline.step(group).each)


def heading(scene: Scene, subject: Subject, line: EffectLine | None = None, *, model: str = "") -> Row:
    """The first row: what this is about, which try, which model at which pace, and whether it is simulated."""
    glyphs = scene.glyphs
    segs = one_line(subject.step, 100, glyphs).segs(Ink.STRONG, bold=True)
    if line is not None:
        segs.append(Seg(f" {glyphs.chevron} ", Ink.MUTED))
        segs += one_line(effect_name(line.kind, line.name), 100, glyphs).segs(Ink.STRONG, bold=True)
    step = scene.state.steps.get(subject.step)
    if step is None:
        return Row(segs)
    said = [_try(scene, subject.step, step) if line is None else f"try {line.attempt}" if line.attempt > 1 else ""]
    if model and line is None:
        said.append(one_line(model, 60, glyphs).text)
    said.append(_pace(line) if line is not None else "")
    if step.simulated if line is None else line.simulated:
        said.append("simulated")
    return Row([*segs, *(Seg(f"   {word}", Ink.MUTED) for word in said if word)])


def _try(scene: Scene, name: str, step: StepState) -> str:
    made = step.attempt - step.first_attempt + 1
    allowed = scene.outline.step(name).tries
    if made <= 1 and step.status not in (StepStatus.FAILED, StepStatus.TIMED_OUT):
        return ""
    return f"try {made} of {max(allowed, made)}" if allowed is not None else f"try {made}"


def _pace(line: EffectLine) -> str:
    """Tokens written a second, of a call that came back."""
    if line.usage is None or line.ended_at is None or line.ended_at <= line.requested_at or not line.usage.completion_tokens:
        return ""
    return rate(line.usage.completion_tokens / (line.ended_at - line.requested_at)).replace(" /s", " tok/s")


def standing(scene: Scene, name: str, *, live: str = "") -> list[Part]:
    """What to say in place of an output that is not there: how the step stands, and what it is doing."""
    step = scene.state.steps.get(name)
    if step is None:
        return []
    glyphs = scene.glyphs
    mark = scene.step_mark(name, step)
    spent = step_span(scene, step)
    segs = [mark.seg(), Seg(f" {mark.word}", mark.ink if mark.ink is not Ink.MUTED else Ink.TEXT)]
    if spent is not None:
        segs.append(Seg(f"  {duration(spent[1] - spent[0])}", Ink.MUTED))
    parts: list[Part] = [Row(segs)]
    if step.status is StepStatus.RUNNING:
        for effect in [effect for effect in scene.state.open.values() if effect.step == name][:20]:
            words = one_line(effect_name(effect.kind, effect.name), 200, glyphs).segs()
            waited = Seg(f"  {duration(max(0.0, scene.now - effect.requested_at))}", Ink.MUTED)
            parts.append(Row([Seg("  "), mark.seg(), Seg(" "), *words, waited]))
        if live:
            parts += [BLANK, Para([one_line(live, glyphs=glyphs)], Ink.TEXT, tail=(Seg(glyphs.cursor, Ink.ACCENT),))]
        return parts
    missing = unmet(scene.state, scene.outline, name, 200) if step.status is StepStatus.PENDING else []
    if missing:
        for one in missing:
            other = scene.state.steps.get(one)
            held = scene.step_mark(one, other) if other is not None else None
            lead = [held.seg(), Seg(" ")] if held is not None else []
            parts.append(
                Row(
                    [
                        Seg("needs" if one == missing[0] else "     ", Ink.MUTED),
                        Seg("  "),
                        *lead,
                        *one_line(one, 100, glyphs).segs(),
                    ]
                )
            )
        return parts
    words = note(scene, name, step)
    if words:
        parts.append(Row(words))
    return parts


def effect_standing(scene: Scene, line: EffectLine) -> list[Part]:
    """How an effect without a value stands."""
    mark = step_mark(line.status, scene.glyphs)
    end = line.ended_at if line.ended_at is not None else scene.now
    head = Row([mark.seg(), Seg(f" {mark.word}"), Seg(f"  {duration(max(0.0, end - line.requested_at))}", Ink.MUTED)])
    return [head, text_part(line.reason, Ink.ERROR, glyphs=scene.glyphs)] if line.reason else [head]


def output(scene: Scene, subject: Subject, content: Content) -> list[Part]:
    """A value that came out of a step or an effect."""
    return value_part(content, glyphs=scene.glyphs)


def artifacts(state: RunState, name: str, scene: Scene) -> list[Part]:
    """The artifacts a step made, named."""
    found = [one for one in state.artifacts if one.step == name][:50]
    return [
        Row([Seg("artifact  ", Ink.MUTED), *one_line(one.name, 200, scene.glyphs).segs(), Seg(f"  {size(one.size)}", Ink.MUTED)])
        for one in found
    ]


class Failed(NamedTuple):
    """A failure in its place: which try, when, why, and the traceback where one was kept."""

    attempt: int
    at: float
    failure: Failure
    trace: Content | None = None


def caption(name: str, bytes_: int) -> Row:
    """The name and the size over a content."""
    return Row([*one_line(name, 200).segs(Ink.STRONG, bold=True), Seg(f"  {size(bytes_)}", Ink.MUTED)])


def errors(scene: Scene, failures: Sequence[Failed]) -> list[Part]:
    """Why tries failed, the latest first: kind and sentence, then the traceback."""
    parts: list[Part] = []
    for one in failures:
        kind = one_line(one.failure.kind, 60, scene.glyphs).text
        hope = "may be tried again" if one.failure.retryable else "would fail again"
        words = [f"try {one.attempt}" if one.attempt else "", time_of_day(one.at), kind, hope]
        parts += [BLANK] if parts else []
        parts.append(Row([Seg("   ".join(word for word in words if word), Ink.MUTED)]))
        parts.append(text_part(one.failure.message or one.failure.kind, Ink.ERROR, glyphs=scene.glyphs))
        if one.trace is not None:
            parts += [BLANK, *value_part(one.trace, glyphs=scene.glyphs)]
    return parts


def inputs(scene: Scene, found: Sequence[tuple[str, StepState | None, Content | None]]) -> list[Part]:
    """The outputs of the step's dependencies, which are its input."""
    parts: list[Part] = []
    for name, step, content in found:
        parts += [BLANK] if parts else []
        head = one_line(name, 100, scene.glyphs).segs(Ink.STRONG, bold=True)
        if step is not None and step.simulated:
            head.append(Seg("  simulated", Ink.MUTED))
        parts.append(Row(head))
        if content is not None:
            parts += value_part(content, indent=2, glyphs=scene.glyphs)
        else:
            word = scene.step_mark(name, step).word if step is not None else "unknown"
            parts.append(Row([Seg(f"  no output yet: {word}", Ink.MUTED)]))
    return parts


def fields(found: Iterable[tuple[str, str]], scene: Scene) -> list[Part]:
    """Labelled lines of text."""
    return [text_part(text, label=Seg(label, Ink.MUTED), indent=LABEL, glyphs=scene.glyphs) for label, text in found if text]


def event_list(scene: Scene, found: Sequence[Recorded], around: Around = NOTHING_AROUND, *, more: bool = False) -> list[Part]:
    """The events of one step: number, time, type, words."""
    digits = max((len(f"{recorded.version:,}") for recorded in found[-1:]), default=1)
    parts: list[Part] = []
    for recorded in found:
        line = say(recorded, around)
        lead = [Seg(f"{recorded.version:>{digits},}", Ink.MUTED), Seg(f"  {time_of_day(recorded.at)}  ", Ink.MUTED)]
        parts.append(Row([*lead, Seg(line.type, line.ink), Seg("  "), *line.text.segs(Ink.MUTED)]))
    if more:
        parts += [
            BLANK,
            Row(
                [
                    Seg(f"the first {EVENTS_SHOWN:,}; ", Ink.MUTED),
                    Seg("&", Ink.STRONG, bold=True),
                    Seg(" filters the log", Ink.MUTED),
                ]
            ),
        ]
    return parts
