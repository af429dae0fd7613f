"""One event as one line: its type, and in a few words what it says that matters.

Apart because the log, the replay and the details say the same words for the same event. The rules are a table with one entry an
event type, held complete by a test; an event of another version of the program says its name.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from store.events import (
    EVENTS,
    ApprovalExpired,
    ApprovalGiven,
    ApprovalRequested,
    ArtifactMade,
    BudgetReached,
    BudgetSet,
    CheckpointMade,
    ChildParked,
    ChildResumed,
    ChildSpent,
    EditApplied,
    EffectFailed,
    EffectInDoubt,
    EffectRequested,
    EffectResolved,
    EffectSucceeded,
    Event,
    LogWritten,
    Recorded,
    RunAttached,
    RunCancelled,
    RunCompensating,
    RunCompleted,
    RunCreated,
    RunFailed,
    RunForked,
    RunMigrated,
    RunPaused,
    RunReopened,
    RunUnpaused,
    Safety,
    SignalReceived,
    StepAdded,
    StepCancelled,
    StepCompleted,
    StepEnabled,
    StepEvaluated,
    StepFailed,
    StepPublished,
    StepRefused,
    StepReset,
    StepRetryScheduled,
    StepReused,
    StepSkipped,
    StepStarted,
    UnknownEvent,
)
from store.state import StepState
from tagent_tui.numbers import duration, limit, plural, size, span, tokens
from tagent_tui.rows import Ink
from tagent_tui.text import Line, first_line
from tagent_tui.view.clock import time_of_day
from tagent_tui.view.effects import ASK, effect_name
from tagent_tui.view.talk import answered_words, asked_words

TEXT_CAP = 400


class Around(NamedTuple):
    """What may be known around an event: an earlier event by its version, and the step it belongs to as it is now."""

    earlier: Callable[[int], Recorded | None] = lambda version: None
    step: Callable[[str], StepState | None] = lambda name: None


NOTHING_AROUND = Around()


class Said(NamedTuple):
    """`type` as it is stored, the ink it is written in, and the words after it."""

    type: str
    ink: Ink
    text: Line


def say(recorded: Recorded, around: Around = NOTHING_AROUND) -> Said:
    """The line of one event. Text that came from outside is safe to draw."""
    event = recorded.event
    rule = RULES.get(type(event))
    words = rule(event, recorded, around) if rule is not None else ""
    name = event.name if isinstance(event, UnknownEvent) else event.type
    return Said(first_line(name, 80).text, ink_of(event), first_line(words, TEXT_CAP))


def ink_of(event: Event) -> Ink:
    """Red for what failed, amber for what wants somebody, quiet for the rest."""
    if isinstance(event, StepFailed | StepRefused | EffectFailed | RunFailed):
        return Ink.ERROR
    if isinstance(event, EffectInDoubt | ApprovalRequested | BudgetReached):
        return Ink.WARNING
    if isinstance(event, EffectRequested) and event.kind == ASK:
        return Ink.WARNING
    if isinstance(event, LogWritten):
        return _LEVELS.get(event.level, Ink.TEXT)
    return Ink.TEXT


_LEVELS = {"warning": Ink.WARNING, "error": Ink.ERROR, "critical": Ink.ERROR}


def is_failure(recorded: Recorded) -> bool:
    """Whether `]` and `[` stop here: a failed step, a failed run, or an effect in doubt."""
    return isinstance(recorded.event, StepFailed | StepRefused | RunFailed | EffectInDoubt)


FAILURE_TYPES = frozenset({"step.failed", "step.refused", "run.failed", "effect.in_doubt"})
STEP_TYPES = frozenset(name for name in EVENTS if name.startswith("step."))
"""Where `<` and `>` stop: the boundaries of steps."""

Words = Callable[[Any, Recorded, Around], str]


def _created(event: RunCreated, recorded: Recorded, around: Around) -> str:
    return f"{event.pipeline} · {plural(len(event.steps), 'step')}"


def _forked(event: RunForked, recorded: Recorded, around: Around) -> str:
    return f"from {event.parent} at event {event.version:,}"


def _attached(event: RunAttached, recorded: Recorded, around: Around) -> str:
    where = f" on {event.host}" if event.host else ""
    why = f" · {event.reason}" if event.reason else ""
    return f"driver {event.pid}{where}{why}"


def _migrated(event: RunMigrated, recorded: Recorded, around: Around) -> str:
    parts = ((event.changed, "changed"), (event.added, "added"), (event.removed, "removed"))
    return ", ".join(f"{len(steps)} {word}" for steps, word in parts if steps) or "no step changed"


def _signal(event: SignalReceived, recorded: Recorded, around: Around) -> str:
    kind, _, refused = event.kind.partition(".")
    said = f"{kind} {event.target}" if event.target is not None else kind
    return f"{said} by {recorded.actor}{', refused' if refused else ''}"


def _added(event: StepAdded, recorded: Recorded, around: Around) -> str:
    return f"{event.name}, before {', '.join(event.before[:3])}" if event.before else event.name


def _enabled(event: StepEnabled, recorded: Recorded, around: Around) -> str:
    return f"{event.target} {'is enabled' if event.on else 'is disabled'}"


def _evaluated(event: StepEvaluated, recorded: Recorded, around: Around) -> str:
    said = _VERDICTS.get(event.verdict, event.verdict)
    if event.items is not None:
        said = f"{said} · {plural(event.items, 'child', 'children')}"
    return f"{said} · {event.reason}" if event.reason else said


_VERDICTS = {"run": "it runs", "skip": "it is skipped", "fail": "it cannot be", "wait": "it waits for others"}


def _approval_requested(event: ApprovalRequested, recorded: Recorded, around: Around) -> str:
    said = event.message or "waits for approval"
    if event.due is None:
        return said
    return f"{said} · {'approved' if event.default else 'rejected'} by itself at {time_of_day(event.due)}"


def _approval_given(event: ApprovalGiven, recorded: Recorded, around: Around) -> str:
    said = f"{'approved' if event.approved else 'rejected'} by {recorded.actor}"
    return f"{said} · {event.note}" if event.note else said


def _approval_expired(event: ApprovalExpired, recorded: Recorded, around: Around) -> str:
    return f"nobody answered in time: {'approved' if event.approved else 'rejected'}"


def _published(event: StepPublished, recorded: Recorded, around: Around) -> str:
    return size(event.output.size)


def _refused(event: StepRefused, recorded: Recorded, around: Around) -> str:
    return event.reason or event.kind


def _reached(event: BudgetReached, recorded: Recorded, around: Around) -> str:
    whose = f" of {event.scope}" if event.scope else ""
    return (
        f"{limit(event.what, event.used)} of {limit(event.what, event.limit)}{whose} · {_ACTIONS.get(event.action, event.action)}"
    )


_ACTIONS = {"warn": "a warning", "pause": "the run pauses", "fail": "it fails"}


def _budget_set(event: BudgetSet, recorded: Recorded, around: Around) -> str:
    limits = {what: getattr(event, what) for what in ("cost", "tokens", "calls", "seconds")}
    return ", ".join(limit(what, most) for what, most in limits.items() if most is not None)


def _compensating(event: RunCompensating, recorded: Recorded, around: Around) -> str:
    return f"{plural(len(event.steps), 'step')} to undo{f' · {event.reason}' if event.reason else ''}"


def _started(event: StepStarted, recorded: Recorded, around: Around) -> str:
    return f"try {recorded.attempt}" if recorded.attempt > 1 else ""


def _completed(event: StepCompleted, recorded: Recorded, around: Around) -> str:
    parts = [took(recorded, around)]
    if event.output.size > len("null"):
        parts.append(size(event.output.size))
    return " · ".join(part for part in parts if part)


def took(recorded: Recorded, around: Around) -> str:
    """How long the attempt this event ends took, if the step as it is now still says when it started."""
    step = around.step(recorded.step or "")
    if step is None or step.started_at is None or step.attempt != recorded.attempt or step.ended_at != recorded.at:
        return ""
    return duration(recorded.at - step.started_at)


def _failed(event: StepFailed, recorded: Recorded, around: Around) -> str:
    return event.failure.message or event.failure.kind


def _retry(event: StepRetryScheduled, recorded: Recorded, around: Around) -> str:
    return f"in {span(event.due - recorded.at)}, at {time_of_day(event.due)}"


def _skipped(event: StepSkipped, recorded: Recorded, around: Around) -> str:
    return event.reason


def _with_reason(event: StepCancelled | StepReset | RunCancelled, recorded: Recorded, around: Around) -> str:
    return event.reason


def _reused(event: StepReused, recorded: Recorded, around: Around) -> str:
    return f"from {event.source[0]} event {event.source[1]:,}"


def _requested(event: EffectRequested, recorded: Recorded, around: Around) -> str:
    words = " · ".join([effect_name(event.kind, event.name), *asked_words(event)])
    return f"{words} · irreversible" if event.safety is Safety.IRREVERSIBLE else words


def _asked(request: int, around: Around) -> str:
    """The name of the effect that was requested there, or where that was."""
    found = around.earlier(request)
    if found is not None and isinstance(found.event, EffectRequested):
        return effect_name(found.event.kind, found.event.name)
    return f"of {request:,}"


def _succeeded(event: EffectSucceeded, recorded: Recorded, around: Around) -> str:
    parts = [_asked(event.request, around)]
    found = around.earlier(event.request)
    if found is not None:
        parts.append(duration(recorded.at - found.at))
        parts += answered_words(found.event, event)
    if event.usage is not None:
        parts.append(f"{tokens(event.usage.prompt_tokens + event.usage.completion_tokens)} tok")
    if event.simulated:
        parts.append("simulated")
    if event.source is not None:
        parts.append("reused")
    return " · ".join(parts)


def _effect_failed(event: EffectFailed, recorded: Recorded, around: Around) -> str:
    return f"{_asked(event.request, around)} · {event.failure.message}"


def _in_doubt(event: EffectInDoubt, recorded: Recorded, around: Around) -> str:
    return f"{_asked(event.request, around)} · no known outcome"


def _resolved(event: EffectResolved, recorded: Recorded, around: Around) -> str:
    said = f"{_asked(event.request, around)} · {event.outcome}"
    return f"{said} · {event.note}" if event.note else said


def _child_parked(event: ChildParked, recorded: Recorded, around: Around) -> str:
    return f"its child run {'waits for somebody' if event.reason == 'waiting' else 'is paused'}"


def _child_resumed(event: ChildResumed, recorded: Recorded, around: Around) -> str:
    return "its child run goes on"


def _child_spent(event: ChildSpent, recorded: Recorded, around: Around) -> str:
    calls = sum(used.calls for used in event.spent)
    cost = sum(used.cost for used in event.spent)
    priced = f" · {limit('cost', cost)}" if cost else ""
    return f"its child run used {plural(calls, 'call')}{priced}"


def _log(event: LogWritten, recorded: Recorded, around: Around) -> str:
    return event.text


def _artifact(event: ArtifactMade, recorded: Recorded, around: Around) -> str:
    return f"{event.name} · {size(event.content.size)}"


def _edited(event: EditApplied, recorded: Recorded, around: Around) -> str:
    return f"{event.target} by {recorded.actor}" + (f" · {event.reason}" if event.reason else "")


def _checkpoint(event: CheckpointMade, recorded: Recorded, around: Around) -> str:
    return event.name if event.kind == "manual" else f"{event.name} · by itself ({event.kind})"


def _plain(event: Event, recorded: Recorded, around: Around) -> str:
    return ""


def _run_failed(event: RunFailed, recorded: Recorded, around: Around) -> str:
    return event.reason


def _unknown(event: UnknownEvent, recorded: Recorded, around: Around) -> str:
    return f"not known to this version · {size(len(event.body))}"


RULES: dict[type[Event], Words] = {
    RunCreated: _created,
    RunForked: _forked,
    RunAttached: _attached,
    RunMigrated: _migrated,
    SignalReceived: _signal,
    StepAdded: _added,
    StepEnabled: _enabled,
    StepEvaluated: _evaluated,
    ApprovalRequested: _approval_requested,
    ApprovalGiven: _approval_given,
    ApprovalExpired: _approval_expired,
    StepStarted: _started,
    StepPublished: _published,
    StepCompleted: _completed,
    StepFailed: _failed,
    StepRefused: _refused,
    StepRetryScheduled: _retry,
    StepSkipped: _skipped,
    StepCancelled: _with_reason,
    StepReset: _with_reason,
    StepReused: _reused,
    EditApplied: _edited,
    CheckpointMade: _checkpoint,
    EffectRequested: _requested,
    EffectSucceeded: _succeeded,
    EffectFailed: _effect_failed,
    EffectInDoubt: _in_doubt,
    EffectResolved: _resolved,
    ChildParked: _child_parked,
    ChildResumed: _child_resumed,
    ChildSpent: _child_spent,
    LogWritten: _log,
    ArtifactMade: _artifact,
    BudgetReached: _reached,
    BudgetSet: _budget_set,
    RunCompensating: _compensating,
    RunReopened: _plain,
    RunPaused: _plain,
    RunUnpaused: _plain,
    RunCompleted: _plain,
    RunFailed: _run_failed,
    RunCancelled: _with_reason,
    UnknownEvent: _unknown,
}
"""Every event type has its words; a test compares this with `events.EVENTS`."""
