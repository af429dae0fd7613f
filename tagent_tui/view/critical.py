"""The critical path of a run: which steps decided how long it took, from dependencies and times; and that as a sentence.

Apart from the waterfall because the path is a fact about the run, and the drawing only colours it.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from store.state import RunState, StepState, StepStatus
from tagent_tui.numbers import UNKNOWN, duration, percent
from tagent_tui.rows import Ink, Row, Seg
from tagent_tui.text import one_line
from tagent_tui.view.outline import Outline
from tagent_tui.view.scene import Scene, step_span


class Path(NamedTuple):
    """`done` are the steps of the path that ran or run, in order; `ahead` those still to come after the last of them."""

    done: tuple[str, ...] = ()
    ahead: tuple[str, ...] = ()


NO_PATH = Path()


def critical_path(state: RunState, outline: Outline) -> Path:
    """Back from the step that ended last (one under way counts as ending now) over what each of them waited for.

    A serial step also waits for the serial lane: the step there that ended last before it started.
    """
    last = _last(state)
    if last is None:
        return NO_PATH
    lane = _serial_lane(state, outline)
    path, seen = [last], {last}
    while (before := _waited_for(state, outline, lane, path[-1])) is not None and before not in seen:
        path.append(before)
        seen.add(before)
    return Path(tuple(reversed(path)), () if state.status.ended else tuple(_ahead(state, outline, last)))


def _last(state: RunState) -> str | None:
    """The step that ended last; of those under way the one that began first."""
    found: tuple[float, float, str] | None = None
    for name, step in state.steps.items():
        if step.first_started_at is None or step.nested:
            continue
        end = float("inf") if not step.status.settled or step.ended_at is None else step.ended_at
        key = (end, -step.first_started_at, name)
        if found is None or key[:2] > found[:2]:
            found = key
    return found[2] if found else None


def _serial_lane(state: RunState, outline: Outline) -> dict[str, str]:
    """For each serial step the one that ran before it in the lane."""
    ran = [
        (step.first_started_at, index, name)
        for index, (name, step) in enumerate(state.steps.items())
        if step.first_started_at is not None and not step.nested and outline.step(name).serial
    ]
    ran.sort()
    return {later[2]: earlier[2] for earlier, later in pairwise(ran)}


def _waited_for(state: RunState, outline: Outline, lane: dict[str, str], name: str) -> str | None:
    """What ended last of all that had to end before the step could start."""
    started = state.steps[name].first_started_at or 0.0
    candidates = [*outline.step(name).needs, *([lane[name]] if name in lane else [])]
    best: tuple[float, str] | None = None
    for one in candidates:
        step = state.steps.get(one)
        ended = _ended(step)
        if step is not None and ended is not None and ended <= started and (best is None or ended > best[0]):
            best = (ended, one)
    return best[1] if best else None


def _ended(step: StepState | None) -> float | None:
    return step.ended_at if step is not None and step.first_started_at is not None and step.status.settled else None


AHEAD_LIMIT = 2_000
"""Steps still to come that are looked at; a path of more says nothing a person could read."""


def _ahead(state: RunState, outline: Outline, name: str) -> list[str]:
    """The longest chain of unstarted steps that hangs on a step."""
    depth: dict[str, int] = {}
    stack = [(name, False)]
    while stack and len(depth) < AHEAD_LIMIT:
        one, done = stack.pop()
        followers = [f for f in outline.after.get(one, ()) if _to_come(state, f)]
        if done:
            depth[one] = 1 + max((depth.get(f, 0) for f in followers), default=0)
        elif one not in depth:
            depth[one] = 0
            stack.append((one, True))
            stack += [(f, False) for f in followers if f not in depth]
    chain: list[str] = []
    while True:
        followers = [f for f in outline.after.get(chain[-1] if chain else name, ()) if _to_come(state, f)]
        following = max(followers, key=lambda f: depth.get(f, 0), default=None)
        if following is None or len(chain) >= AHEAD_LIMIT or following in chain:
            return chain
        chain.append(following)


def _to_come(state: RunState, name: str) -> bool:
    step = state.steps.get(name)
    return step is not None and step.status is StepStatus.PENDING


NAMES_SHOWN = 12


def path_row(scene: Scene, path: Path) -> Row:
    """The path as a sentence: each step with its time, what is to come after it, and which step weighs most."""
    segs: list[Seg] = []
    shown = path.done if len(path.done) <= NAMES_SHOWN else (*path.done[:4], *path.done[-4:])
    for index, name in enumerate(shown):
        if index:
            segs.append(Seg(f" {scene.glyphs.became} ", Ink.MUTED))
        if len(shown) < len(path.done) and index == 4:
            segs.append(Seg(f"{len(path.done) - len(shown):,} more {scene.glyphs.became} ", Ink.MUTED))
        segs += one_line(name, 60, scene.glyphs).segs(Ink.ACCENT, bold=True)
        segs.append(Seg(" " + duration(_seconds(scene, name)), Ink.MUTED))
    for name in path.ahead[:NAMES_SHOWN]:
        segs += [Seg(f" {scene.glyphs.became} ", Ink.MUTED), *one_line(name, 60, scene.glyphs).segs()]
    return Row(segs, weight(scene, path.done))


def path_time(scene: Scene, path: Path) -> str:
    """From the start of the path's first step to the end of its last."""
    spans = [step_span(scene, scene.state.steps[name]) for name in path.done if name in scene.state.steps]
    known = [one for one in spans if one is not None]
    return duration(max(end for _, end in known) - min(start for start, _ in known)) if known else UNKNOWN


def weight(scene: Scene, path: Sequence[str]) -> list[Seg]:
    """`pages is 71 % of the time and 72 % of the cost`; nothing for a path of one step."""
    total = run_seconds(scene)
    if len(path) < 2 or total <= 0:
        return []
    heaviest = max(path, key=lambda name: _seconds(scene, name))
    share = percent(min(_seconds(scene, heaviest) / total, 1.0))
    segs = [
        *one_line(heaviest, 40, scene.glyphs).segs(Ink.MUTED),
        Seg(" is ", Ink.MUTED),
        Seg(share),
        Seg(" of the time", Ink.MUTED),
    ]
    if scene.state.cost > 0 and scene.state.steps[heaviest].cost > 0:
        cost = percent(scene.state.steps[heaviest].cost / scene.state.cost)
        segs += [Seg(" and ", Ink.MUTED), Seg(cost), Seg(" of the cost", Ink.MUTED)]
    return segs


def run_seconds(scene: Scene) -> float:
    """How long the run took, or has taken by now."""
    state = scene.state
    return max(0.0, state.lasted(scene.now))


def _seconds(scene: Scene, name: str) -> float:
    step = scene.state.steps.get(name)
    spent = step_span(scene, step) if step is not None else None
    return spent[1] - spent[0] if spent else 0.0
