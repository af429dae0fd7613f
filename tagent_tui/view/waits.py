"""Why a run waits, or why it ended as it did: at most a few sentences, each about one step.

Apart from the tree because the tree says what is; this says what has to happen before something else can.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from engine.breakers import Open, Trial, verdict
from store.state import RunState, RunStatus, StepState, StepStatus
from tagent_tui.numbers import limit, plural, size
from tagent_tui.rows import Ink, Row, Seg
from tagent_tui.text import first_line, one_line
from tagent_tui.view.asking import waiting_for_person
from tagent_tui.view.clock import time_of_day
from tagent_tui.view.outline import Outline, shown_step_status, unmet
from tagent_tui.view.scene import Scene, step_mark

LIMIT = 3
AFTER_LIMIT = 999
SCAN = 20_000
READY_LIMIT = HELD_LIMIT = 1_000
"""Steps that are looked at for a sentence; at more, nobody reads which they are."""


def title(scene: Scene) -> str:
    """What the block below the tree is about."""
    if scene.status is RunStatus.FAILED:
        return "why it failed"
    if scene.status is RunStatus.COMPLETED:
        return "what it made"
    return "why it waits"


def rows(scene: Scene, most: int = LIMIT) -> list[Row]:
    """The sentences, the most urgent first; none when nothing holds the run up."""
    return list(islice(_sentences(scene), most))


def _sentences(scene: Scene) -> Iterator[Row]:
    if scene.status is RunStatus.COMPLETED:
        yield from _made(scene)
        return
    if scene.status is RunStatus.FAILED:
        yield from _blamed(scene)
        return
    yield from _in_doubt(scene)
    yield from _asked(scene)
    yield from _children(scene)
    yield from _budgets(scene)
    yield from _run_waits(scene)
    if not scene.state.status.ended:
        yield from _breakers(scene)
        yield from _retries(scene)
        yield from _held(scene)


def _row(mark: Seg, name: str, words: list[Seg], scene: Scene) -> Row:
    named = one_line(name, 60, scene.glyphs).segs() if name else []
    return Row([mark, Seg(" "), *named, Seg("  " if named else ""), *words])


def _made(scene: Scene) -> Iterator[Row]:
    for artifact in scene.state.artifacts[::-1]:
        words = [*first_line(artifact.name, 120, scene.glyphs).segs(), Seg(f"  {size(artifact.size)}", Ink.MUTED)]
        words += [Seg("  by ", Ink.MUTED), *one_line(artifact.step, 60, scene.glyphs).segs(Ink.MUTED)] if artifact.step else []
        yield Row([Seg(scene.glyphs.completed, Ink.SUCCESS), Seg(" "), *words])


def _blamed(scene: Scene) -> Iterator[Row]:
    state = scene.state
    for name, step in _with(state, StepStatus.FAILED, StepStatus.TIMED_OUT):
        mark = step_mark(step.status, scene.glyphs).seg()
        skipped = _after(state, scene.outline, name)
        yield _row(mark, name, first_line(step.reason or "failed", 300, scene.glyphs).segs(Ink.ERROR), scene)
        if skipped:
            yield Row([Seg("  "), Seg(f"{_steps(skipped)} {'does' if skipped == 1 else 'do'} not run because of it", Ink.MUTED)])
    if state.reason and not (state.counts[StepStatus.FAILED] or state.counts[StepStatus.TIMED_OUT]):
        yield Row([Seg(scene.glyphs.failed, Ink.ERROR), Seg(" "), *first_line(state.reason, 300, scene.glyphs).segs(Ink.ERROR)])


def _in_doubt(scene: Scene) -> Iterator[Row]:
    for effect in [effect for effect in scene.state.open.values() if effect.in_doubt]:
        words = [*one_line(effect.name or effect.kind, 60, scene.glyphs).segs(Ink.WARNING)]
        words.append(Seg(" may have happened", Ink.MUTED))
        key = [Seg("  d", Ink.STRONG, bold=True), Seg(" say", Ink.MUTED)]
        yield _row(Seg(scene.glyphs.in_doubt, Ink.WARNING), effect.step, words, scene)._replace(right=key)


def _asked(scene: Scene) -> Iterator[Row]:
    """What waits for a person's word: approvals with their message, questions with their text."""
    for wait in waiting_for_person(scene.state):
        mark = Seg(scene.glyphs.person, Ink.WARNING)
        what = "wants to run" if wait.request is None else "asks"
        words = [Seg(f"{what}: " if wait.text else what, Ink.MUTED), *first_line(wait.text, 300, scene.glyphs).segs()]
        key = [Seg("  a", Ink.STRONG, bold=True), Seg(" show", Ink.MUTED)]
        yield _row(mark, wait.step, words, scene)._replace(right=key)


def _budgets(scene: Scene) -> Iterator[Row]:
    """The run waits until one of its budgets is raised."""
    state = scene.state
    if not state.pausing or state.status.ended:
        return
    for what in [reached[1:] for reached in state.reached if reached.startswith(":")]:
        most = state.budget.get(what, scene.outline.budget.get(what))
        said = f" the budget of {limit(what, most)} is used up" if most is not None else f" the budget of {what} is used up"
        yield Row(
            [Seg(scene.glyphs.person, Ink.WARNING), Seg(said), Seg("  b", Ink.STRONG, bold=True), Seg(" raises it", Ink.MUTED)]
        )


def _children(scene: Scene) -> Iterator[Row]:
    """Child runs that somebody has to look after."""
    for request, effect in scene.state.open.items():
        if effect.parked is not None and not scene.state.status.ended:
            why = "waits for somebody" if effect.parked == "waiting" else "is paused"
            words = [Seg(f"child {scene.glyphs.ellipsis}.{request} {why}", Ink.WARNING)]
            key = [Seg("  enter", Ink.STRONG, bold=True), Seg(" opens it", Ink.MUTED)]
            yield _row(Seg(scene.glyphs.person, Ink.WARNING), effect.step, words, scene)._replace(right=key)


def _run_waits(scene: Scene) -> Iterator[Row]:
    """The run itself waits: for a driver, for somebody to go on, for what is under way before it pauses."""
    state, running = scene.state, scene.state.counts[StepStatus.RUNNING] - scene.state.groups
    paused = Seg(scene.glyphs.paused, Ink.MUTED)
    key = Seg("  R", Ink.STRONG, bold=True)
    if scene.status is RunStatus.INTERRUPTED:
        gone = [Seg(scene.glyphs.interrupted, Ink.WARNING), Seg(" its driver is gone", Ink.WARNING)]
        yield Row([*gone, key, Seg(" goes on; nothing recorded is done again", Ink.MUTED)])
    elif state.pausing and any(reached.startswith(":") for reached in state.reached):
        return
    elif (state.pausing or scene.status is RunStatus.PAUSED) and running:
        yield Row([paused, Seg(f" it pauses when {_steps(running)} under way ended", Ink.MUTED)])
    elif scene.status is RunStatus.PAUSED:
        yield Row([paused, Seg(" it is paused", Ink.MUTED), key, Seg(" goes on", Ink.MUTED)])


def _breakers(scene: Scene) -> Iterator[Row]:
    """Models and tools that failed again and again: left alone until when, or tried by one call."""
    for key, held in scene.state.breakers.items():
        kind, _, name = key.partition(" ")
        found = verdict(scene.state, kind, name, scene.now, scene.outline.breaker)
        words = [Seg(f"failed {held.failures} times in a row", Ink.MUTED)]
        if isinstance(found, Open):
            when = Seg(f" left alone until {time_of_day(found.until)}", Ink.MUTED)
            yield _row(Seg(scene.glyphs.failed, Ink.WARNING), f"{kind} {name}", words, scene)._replace(right=[when])
        elif isinstance(found, Trial):
            yield _row(
                Seg(scene.glyphs.waiting, Ink.MUTED), f"{kind} {name}", [*words, Seg("; one call tries it", Ink.MUTED)], scene
            )
        elif held.failures > 1:
            yield _row(Seg(scene.glyphs.waiting, Ink.MUTED), f"{kind} {name}", words, scene)


def _retries(scene: Scene) -> Iterator[Row]:
    for name, step in _with(scene.state, StepStatus.WAITING):
        if step.due is None:
            continue
        reason = first_line(step.reason or "", 200, scene.glyphs).segs(Ink.MUTED)
        when = Seg(f" goes on at {time_of_day(step.due)}", Ink.MUTED)
        yield _row(Seg(scene.glyphs.waiting, Ink.MUTED), name, reason, scene)._replace(right=[when])


def _held(scene: Scene) -> Iterator[Row]:
    """Pending steps that wait only for what is under way, in definition order; steps that wait for their turn are one sentence."""
    state = scene.state
    yield from _looked_at(scene)
    ready = _ready(scene)
    if ready:
        yield ready
    for name, _ in islice(_with(state, StepStatus.PENDING), HELD_LIMIT):
        missing = unmet(state, scene.outline, name, 3)
        pending = Seg(scene.glyphs.pending, Ink.MUTED)
        if missing and all(_under_way(state, one) for one in missing):
            followers = _after(state, scene.outline, name)
            words = [Seg(_join(scene.outline, name), Ink.MUTED)]
            for index, one in enumerate(missing[:2]):
                words += [Seg(", " if index else "", Ink.MUTED), *one_line(one, 60, scene.glyphs).segs()]
            words.append(Seg(" and more" if len(missing) > 2 else "", Ink.MUTED))
            if followers:
                words.append(Seg(f"; {_steps(followers)} {'comes' if followers == 1 else 'come'} after it", Ink.MUTED))
            yield _row(pending, name, words, scene)


def _join(outline: Outline, name: str) -> str:
    """`held by `, or how many of its needs a step wants."""
    step = outline.step(name)
    return "held by " if step.required is None else f"needs {step.required} of {len(step.needs)}; held by "


def _looked_at(scene: Scene) -> Iterator[Row]:
    """Steps whose dependencies are there and whose condition is being looked at."""
    for name, step in islice(_with(scene.state, StepStatus.PENDING), HELD_LIMIT):
        condition = scene.outline.step(name).condition
        if condition and not step.verdict and shown_step_status(scene.state, scene.outline, name, step) is StepStatus.READY:
            words = [Seg("looks whether ", Ink.MUTED), *one_line(condition, 200, scene.glyphs).segs()]
            yield _row(Seg(scene.glyphs.ready, Ink.MUTED), name, words, scene)


def _ready(scene: Scene) -> Row | None:
    state = scene.state
    found = (name for name, step in _with(state, StepStatus.PENDING) if _is_ready(scene, name, step))
    names = list(islice(found, READY_LIMIT))
    if not names:
        return None
    mark = Seg(scene.glyphs.ready, Ink.MUTED)
    if len(names) == 1:
        return _row(mark, names[0], [Seg("is ready and waits for its turn", Ink.MUTED)], scene)
    count = f"{READY_LIMIT:,} or more" if len(names) >= READY_LIMIT else f"{len(names):,}"
    return Row([mark, Seg(f" {count} steps", Ink.TEXT), Seg(" are ready and wait for their turn", Ink.MUTED)])


def _is_ready(scene: Scene, name: str, step: StepState) -> bool:
    looked_at = step.verdict or not scene.outline.step(name).condition
    return bool(looked_at) and shown_step_status(scene.state, scene.outline, name, step) is StepStatus.READY


def _under_way(state: RunState, name: str) -> bool:
    step = state.steps.get(name)
    return step is not None and step.status in (StepStatus.RUNNING, StepStatus.WAITING, StepStatus.IN_DOUBT)


def _with(state: RunState, *statuses: StepStatus) -> Iterator[tuple[str, StepState]]:
    """The steps with one of these statuses; nothing is looked at when the counts say there is none."""
    if not any(state.counts[status] for status in statuses):
        return
    for name, step in islice(state.steps.items(), SCAN):
        if step.status in statuses:
            yield name, step


def _after(state: RunState, outline: Outline, name: str) -> int:
    """How many steps come after this one, directly or not; counted up to `AFTER_LIMIT`."""
    seen: set[str] = set()
    stack = list(outline.after.get(name, ()))
    while stack and len(seen) < AFTER_LIMIT:
        one = stack.pop()
        if one not in seen and one in state.steps:
            seen.add(one)
            stack += outline.after.get(one, ())
    return len(seen)


def _steps(count: int) -> str:
    return f"{AFTER_LIMIT:,} or more steps" if count >= AFTER_LIMIT else plural(count, "step")
