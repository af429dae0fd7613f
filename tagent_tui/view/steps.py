"""The step tree: one row a step, and below an unfolded step one row for each thing it did to the world.

Apart from the tree widget, which asks for the rows on screen only: a row is made from a look at the run (`Scene`) in constant
time, so a run of 10,000 steps costs what fits on the screen.
"""

from __future__ import annotations

from typing import assert_never

from store.state import OpenEffect, RunStatus, StepState, StepStatus
from tagent_tui.numbers import UNKNOWN, duration, plural, span, step_cost
from tagent_tui.rows import Ink, Row, Seg, Tint, rpad
from tagent_tui.text import one_line
from tagent_tui.view.clock import time_of_day
from tagent_tui.view.effects import EffectLine, effect_name, written
from tagent_tui.view.families import depth_of, short_name
from tagent_tui.view.outline import implied, unmet
from tagent_tui.view.scene import Scene, step_mark, step_span

DONE, TO_GO = "done", "to go"
"""The parts of a long group that are one row each."""

_NOT_HELD = "its condition does not hold: "
"""What the engine says before the condition a step was skipped for: the condition itself has to survive a narrow pane."""

NAME_CAP = 200
NOTE_CAP = 300
_QUIET = frozenset({StepStatus.PENDING, StepStatus.READY, StepStatus.SKIPPED, StepStatus.CANCELLED, StepStatus.WAITING})
_GAVE_UP = frozenset({StepStatus.FAILED, StepStatus.TIMED_OUT})
_NAMES_SHOWN = 3


def step_row(scene: Scene, name: str, width: int, *, unfolded: bool = False) -> Row:
    """The row of one step, for a pane with `width` cells inside its margins; one that belongs to another stands below it."""
    step = scene.state.steps.get(name)
    if step is None:
        return Row((Seg("    " + one_line(name, NAME_CAP).text, Ink.MUTED),))
    mark = scene.step_mark(name, step)
    fold = " " if not folds(step) else scene.glyphs.open if unfolded else scene.glyphs.shut
    left = [Seg("  " * depth_of(name) + fold + " ", Ink.MUTED), mark.seg(), Seg(" ")]
    named = len(left)
    quiet = step.status in _QUIET and mark.ink is not Ink.WARNING
    left += one_line(short_name(name), NAME_CAP, scene.glyphs).segs(Ink.MUTED if quiet else Ink.TEXT)
    strong = tuple(range(named, len(left)))
    change = scene.changed.get(name)
    if change is not None:
        left += [Seg("  "), *became(change, scene)]
    said = note(scene, name, step)
    if said:
        left += [Seg("  "), *said]
    tint = Tint.CHANGED if change is not None else None
    return Row(left, _figures(scene, name, step, width), tint, strong, scene.asks(name, step))


def folds(step: StepState) -> bool:
    """Whether there is something to unfold below a step: its children, or what it did to the world."""
    return bool(step.effects or step.items)


def unmarked(row: Row) -> Row:
    """A row of the tree for a place where nothing unfolds: without its fold mark and the cell for it."""
    return row._replace(left=[Seg(row.left[0].text[:-2]), *row.left[1:]], strong=())


def part_row(scene: Scene, group: str, part: str, width: int, *, unfolded: bool = False) -> Row:
    """`107 items done`, `30 items to go`: the children of a long group that are one row."""
    family, glyphs = scene.family(group), scene.glyphs
    done = part == DONE
    noun = "iteration" if scene.outline.step(group).again else "item"
    mark = Seg(glyphs.completed, Ink.SUCCESS) if done else Seg(glyphs.pending, Ink.MUTED)
    said = f"{plural(len(family.done if done else family.to_go), noun)} {'done' if done else 'to go'}"
    fold = glyphs.open if unfolded else glyphs.shut
    left = [Seg(f"  {fold} ", Ink.MUTED), mark, Seg(" "), Seg(said, Ink.TEXT if done else Ink.MUTED)]
    right = [Seg(rpad(step_cost(family.done_cost), 8), Ink.MUTED)] if done and family.done_cost and width >= 44 else []
    return Row(left, right, None, (3,))


def became(change: tuple[StepStatus, StepStatus], scene: Scene) -> list[Seg]:
    """`● → ✗`: what the event did to a status."""
    before, after = (step_mark(status, scene.glyphs) for status in change)
    return [Seg(f"{before.glyph} {scene.glyphs.became} ", Ink.MUTED), after.seg()]


def _figures(scene: Scene, name: str, step: StepState, width: int) -> list[Seg]:
    """Tries, time and cost, right-aligned in fixed columns; a narrow pane keeps the time."""
    spent, made, cost = step_span(scene, step), tries(scene, name, step), _cost(scene, name, step)
    if width < 22 or not (spent or made or cost):
        return []
    segs = [Seg(rpad(duration(spent[1] - spent[0]) if spent else "", 8))]
    if width >= 34 and made:
        segs.insert(0, Seg(rpad(made, 6), Ink.MUTED))
    if width >= 44:
        segs.append(Seg(rpad(cost, 8), Ink.MUTED))
    return segs


def tries(scene: Scene, name: str, step: StepState) -> str:
    """`2/4`: said once a step was tried again, waits for that, or failed."""
    made = step.attempt - step.first_attempt + 1
    if made <= 1 and step.status not in _GAVE_UP and step.due is None:
        return ""
    if not step.attempt:
        return ""
    allowed = scene.outline.step(name).tries
    return str(max(made, 0)) if allowed is None else f"{max(made, 0)}/{max(allowed, made)}"


def _cost(scene: Scene, name: str, step: StepState) -> str:
    if step.first_started_at is None and not step.reused:
        return ""
    cost = step.cost + (scene.family(name).cost if step.items else 0.0)
    return step_cost(cost) if cost else UNKNOWN


def note(scene: Scene, name: str, step: StepState) -> list[Seg]:
    """What a step waits for, does, or ended with, in a few words; the reason comes first, so that it survives a narrow pane."""
    match step.status:
        case StepStatus.PENDING | StepStatus.READY:
            return [Seg(_pending(scene, name, step), Ink.MUTED)]
        case StepStatus.RUNNING:
            return _running(scene, name, step)
        case StepStatus.WAITING:
            return _waiting(scene, name, step)
        case StepStatus.COMPLETED:
            return _completed(scene, name, step)
        case StepStatus.FAILED | StepStatus.TIMED_OUT:
            return _failed(scene, name, step)
        case StepStatus.SKIPPED:
            return _reason("skipped", step, Ink.MUTED, scene)
        case StepStatus.CANCELLED:
            return _reason("cancelled", step, Ink.MUTED, scene)
        case StepStatus.IN_DOUBT:
            return _reason("in doubt", step, Ink.WARNING, scene)
        case _:
            assert_never(step.status)


def _pending(scene: Scene, name: str, step: StepState) -> str:
    if step.disabled and not scene.status.ended:
        return f"will be skipped: {one_line(step.disabled, NOTE_CAP, scene.glyphs).text}"
    missing = unmet(scene.state, scene.outline, name, _NAMES_SHOWN + 1)
    if missing:
        return needs(scene, name, missing)
    decider = implied(scene.state, scene.outline, name)
    if decider:
        shown = one_line(decider, 60, scene.glyphs).text
        return f"stands in if {shown} fails" if decider == scene.outline.step(name).rescues else f"if {shown} chooses it"
    start = scene.starts.get(name)
    if scene.replay:
        return f"starts at event {start:,}" if start is not None else ""
    if scene.status.ended or step.nested:
        return ""
    if scene.outline.step(name).condition and not step.verdict:
        return "its condition is looked at"
    return "ready"


def needs(scene: Scene, name: str, missing: list[str]) -> str:
    """`needs a, b`, or where not all of them are wanted `needs 2 of a, b, c`."""
    step = scene.outline.step(name)
    if step.required is None or step.required >= len(step.needs):
        return f"needs {names(missing, scene)}"
    return f"needs {step.required} of {names(list(step.needs[: _NAMES_SHOWN + 1]), scene)}"


def names(found: list[str], scene: Scene) -> str:
    """`a, b, c` with an ellipsis where there are more."""
    more = [scene.glyphs.ellipsis] if len(found) > _NAMES_SHOWN else []
    return ", ".join([*(one_line(name, 60, scene.glyphs).text for name in found[:_NAMES_SHOWN]), *more])


def _running(scene: Scene, name: str, step: StepState) -> list[Seg]:
    said = scene.lives.get(name)
    effect = scene.flight.get(name)
    if effect is not None and scene.asks(name, step):
        return [Seg("asks you: ", Ink.WARNING), *one_line(effect.name, NOTE_CAP, scene.glyphs).segs(Ink.WARNING)]
    if step.items is not None:
        return _progress(scene, name, step)
    if scene.status is RunStatus.INTERRUPTED:
        return [Seg("was under way", Ink.WARNING)]
    words = one_line(said, NOTE_CAP, scene.glyphs).segs(Ink.MUTED) if said else _under_way(effect, scene)
    if not step.simulated:
        return words
    return [*words, Seg(f" {scene.glyphs.sep} simulated" if words else "simulated", Ink.MUTED)]


def _progress(scene: Scene, name: str, step: StepState) -> list[Seg]:
    """`109 of 142 · ✗ 2`: how far a group is; of one that goes on while something holds, which iteration it is in."""
    family, glyphs = scene.family(name), scene.glyphs
    if scene.outline.step(name).again:
        said = f"iteration {family.count:,}" if not step.status.settled else plural(family.count, "iteration")
    else:
        said = f"{family.settled:,} of {step.items:,}"
    segs = [Seg(said, Ink.MUTED)]
    for count, mark, ink in ((family.failed, glyphs.failed, Ink.ERROR), (family.waiting, glyphs.waiting, Ink.MUTED)):
        if count:
            segs += [Seg(f" {glyphs.sep} ", Ink.MUTED), Seg(mark, ink), Seg(f" {count:,}", Ink.MUTED)]
    return segs


def _completed(scene: Scene, name: str, step: StepState) -> list[Seg]:
    said = _whence(step, scene)
    if step.items is None:
        return said
    words = _progress(scene, name, step)
    return [*words, Seg(f" {scene.glyphs.sep} ", Ink.MUTED), *said] if said else words


def _whence(step: StepState, scene: Scene) -> list[Seg]:
    """Where an outcome comes from that no work of this run made: somebody's edit, the run it was forked from, a simulation."""
    if step.edited:
        return [Seg(f"{scene.glyphs.differs} edited", Ink.REPLAY)]
    if step.reused:
        return [Seg(f"{scene.glyphs.equal} reused", Ink.MUTED)]
    return [Seg("simulated", Ink.MUTED)] if step.simulated else []


def _under_way(effect: OpenEffect | None, scene: Scene) -> list[Seg]:
    if effect is None:
        return []
    if effect.parked is not None:
        why = "waits for somebody" if effect.parked == "waiting" else "is paused"
        return one_line(f"{effect_name(effect.kind, effect.name)} {why}", NOTE_CAP, scene.glyphs).segs(Ink.WARNING)
    return one_line(effect_name(effect.kind, effect.name), NOTE_CAP, scene.glyphs).segs(Ink.MUTED)


def _waiting(scene: Scene, name: str, step: StepState) -> list[Seg]:
    reason = one_line(step.reason or "", NOTE_CAP, scene.glyphs).text
    if scene.asks(name, step):
        return [Seg("waits for your approval", Ink.WARNING)]
    if step.due is None:
        return [Seg(reason, Ink.MUTED)]
    left = step.due - scene.now
    if scene.status in (RunStatus.INTERRUPTED, RunStatus.PAUSED):
        when = f"retry due {time_of_day(step.due)}"
    else:
        when = f"retry in {span(left)}" if left > 0 else "retry due"
    return [Seg(f"{when} {scene.glyphs.sep} {reason}" if reason else when, Ink.MUTED)]


def _failed(scene: Scene, name: str, step: StepState) -> list[Seg]:
    reason = one_line(step.reason or "failed", NOTE_CAP, scene.glyphs).segs(Ink.ERROR)
    made = step.attempt - step.first_attempt + 1
    allowed = scene.outline.step(name).tries
    if made > 1 and allowed is not None and made >= allowed:
        reason.append(Seg(", gave up", Ink.ERROR))
    fallback = scene.outline.step(name).fallback
    stands_in = scene.state.steps.get(fallback) if fallback else None
    if stands_in is not None and stands_in.status is StepStatus.COMPLETED:
        words = one_line(fallback, 60, scene.glyphs).segs(Ink.MUTED)
        reason += [Seg(f" {scene.glyphs.sep} ", Ink.MUTED), *words, Seg(" stands in", Ink.MUTED)]
    return reason


def _reason(word: str, step: StepState, ink: Ink, scene: Scene) -> list[Seg]:
    if not step.reason:
        return [Seg(word, ink)]
    condition = step.reason.removeprefix(_NOT_HELD)
    if condition != step.reason:
        return [Seg(f"{word} unless ", ink), *one_line(condition, NOTE_CAP, scene.glyphs).segs(ink)]
    return [Seg(f"{word}: ", ink), *one_line(step.reason, NOTE_CAP, scene.glyphs).segs(ink)]


def effect_row(scene: Scene, line: EffectLine, width: int, *, depth: int = 1) -> Row:
    """The row of one effect below its step."""
    mark = step_mark(line.status, scene.glyphs)
    said = one_line(effect_name(line.kind, line.name), NAME_CAP, scene.glyphs)
    left = [Seg("  " * (depth + 1), Ink.MUTED), mark.seg(), Seg(" "), *said.segs()]
    strong = tuple(range(3, len(left)))
    words = effect_note(line, scene)
    if words:
        left += [Seg("  "), *words]
    return Row(left, _effect_figures(scene, line, width), None, strong)


def effect_note(line: EffectLine, scene: Scene) -> list[Seg]:
    """Why it failed, or what it used, and what a tool was given; `simulated` and `irreversible` are always said."""
    words: list[Seg] = []
    if line.reason:
        words += one_line(line.reason, NOTE_CAP, scene.glyphs).segs(Ink.ERROR if line.failed else Ink.WARNING)
    said = [f"try {line.attempt}"] if line.attempt > 1 else []
    if line.kind == "child":
        said.append(f"run {scene.glyphs.ellipsis}.{line.version}")
    if line.usage is not None or line.spent:
        said.append(plural(line.tokens, "tok", "tok"))
    if line.simulated:
        said.append("simulated")
    if line.safety == "irreversible":
        said.append("irreversible")
    if line.source is not None:
        said.append("reused")
    if said:
        words.append(Seg(("  " if words else "") + f" {scene.glyphs.sep} ".join(said), Ink.MUTED))
    if line.kind == "tool" and not line.reason and (given := written(line.arguments)):
        words += [Seg("  " if words else ""), *one_line(given, NOTE_CAP, scene.glyphs).segs(Ink.MUTED)]
    return words


def _effect_figures(scene: Scene, line: EffectLine, width: int) -> list[Seg]:
    if width < 22:
        return []
    end = line.ended_at if line.ended_at is not None else scene.now
    segs = [Seg(rpad(duration(max(0.0, end - line.requested_at)), 8), Ink.MUTED)]
    if width >= 44:
        cost = None if line.simulated else line.cost
        segs.append(Seg(rpad(step_cost(cost) if cost else UNKNOWN, 8), Ink.MUTED))
    return segs
