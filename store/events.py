"""What can happen in a run: one frozen struct per event.

Stands apart because everything else is computed from these: the state, the screens, resume and replay.
An event says only what the envelope (`Recorded`) does not: run, version, time, step and attempt are columns there.
Type names are stable dotted past-tense words, never import paths; `codec.py` alone knows older shapes.
"""

from __future__ import annotations

from collections.abc import Mapping

from store.envelope import (
    INLINE_LIMIT,
    NO_JSON,
    BlobHash,
    Event,
    Failure,
    Payload,
    Recorded,
    RunId,
    Safety,
    Seq,
    Spent,
    StepPath,
    Usage,
    Version,
)

__all__ = [  # the words of the envelope, beside the events below
    "INLINE_LIMIT",
    "NO_JSON",
    "BlobHash",
    "Event",
    "Failure",
    "Payload",
    "Recorded",
    "RunId",
    "Safety",
    "Seq",
    "Spent",
    "StepPath",
    "Usage",
    "Version",
]


class RunCreated(Event, frozen=True, omit_defaults=True):
    """A run exists. `definition` is the blob hash of the normalised pipeline, `steps` its step paths in definition order.

    `kinds` has one letter a step: f (function), g (goal), p (pipeline), m (merge) or s (switch). `params` and `config` never hold
    secrets. `target` says how the Python behind the pipeline is found again (`module:name`, a file, a template) and `cwd` from
    where; `seed` feeds jitter. A child run was made by an effect of step `caller_step` of the run `caller`, and is `depth` calls
    below one nobody called.
    """

    type = "run.created"
    pipeline: str
    definition: str
    steps: list[str]
    kinds: str = ""
    description: str = ""
    params: Payload = Payload()
    config: Payload = Payload()
    target: str | None = None
    cwd: str | None = None
    seed: int = 0
    engine: str = ""
    caller: str | None = None
    caller_step: str | None = None
    depth: int = 0


class RunForked(Event, frozen=True, omit_defaults=True):
    """This run shares the parent's events up to `version`; outcomes may be taken from the parent up to `reuse_upto`.

    `target` and `cwd` say where its pipeline is found if not where the parent's is; `reason` is why, in somebody's words. A child
    run is forked with its caller: then `caller` and `caller_step` are set. `away` are the seconds since the point.
    """

    type = "run.forked"
    parent: str
    version: int
    reuse_upto: int
    target: str | None = None
    cwd: str | None = None
    reason: str = ""
    caller: str | None = None
    caller_step: str | None = None
    away: float = 0.0


class RunAttached(Event, frozen=True, omit_defaults=True):
    """A driver took the lease (process `pid`, started at unix time `started`); attempts that were running go on in it."""

    type = "run.attached"
    pid: int
    started: float
    host: str = ""
    token: int = 0
    reason: str = ""


class RunMigrated(Event, frozen=True, omit_defaults=True):
    """The run goes on under another definition; `changed` steps and their dependants are reset by decisions that follow."""

    type = "run.migrated"
    definition: str
    steps: list[str]
    kinds: str = ""
    changed: list[str] = []
    added: list[str] = []
    removed: list[str] = []


class SignalReceived(Event, frozen=True, omit_defaults=True):
    """A command came through the inbox, or (`inbox` is 0) was recorded by the one who gave it while no driver lived.

    `kind` is the command (`pause`, `cancel`, `approve`, ...), with `.refused` behind it where it did not fit the state; `target` is
    the step path it is about, `request` the version of the effect, if any.
    """

    type = "signal.received"
    inbox: int
    kind: str
    body: Payload = Payload()
    target: str | None = None
    request: int | None = None


class StepAdded(Event, frozen=True, omit_defaults=True):
    """A running step added another to the run: `definition` is its normalised JSON, `before` the steps that now depend on it."""

    type = "step.added"
    name: str
    definition: str
    kind: str = "f"
    before: list[str] = []


class StepEnabled(Event, frozen=True, omit_defaults=True):
    """A running step said that the step `target` shall run (`on`), or shall be skipped when its turn comes."""

    type = "step.enabled"
    target: str
    on: bool = True


class StepEvaluated(Event, frozen=True, omit_defaults=True):
    """What a step's conditions came to over the recorded outputs: `run`, `skip`, `fail`, or `wait` (for other dependencies).

    `refused` are dependencies whose contents do not do. `items` counts what the step is to be run for: the items of a `for_each`
    (their values in `values`), or how many iterations of a `while` are due by now. `reason` is a sentence.
    """

    type = "step.evaluated"
    decision = True
    verdict: str
    reason: str = ""
    refused: list[str] = []
    items: int | None = None
    values: Payload = Payload()


class ApprovalRequested(Event, frozen=True, omit_defaults=True):
    """The step waits until a person approves it; at `due` (unix seconds), if set, `default` holds instead of an answer."""

    type = "approval.requested"
    decision = True
    message: str = ""
    due: float | None = None
    default: bool = False


class ApprovalGiven(Event, frozen=True, omit_defaults=True):
    """A person approved the step, or rejected it."""

    type = "approval.given"
    approved: bool
    note: str = ""


class ApprovalExpired(Event, frozen=True, omit_defaults=True):
    """Nobody answered in time; what the definition says for that case holds."""

    type = "approval.expired"
    decision = True
    approved: bool


class StepStarted(Event, frozen=True, omit_defaults=True):
    """Attempt N of a step begins; recorded once an attempt, however often a crash makes it run.

    `inputs` are the versions of what the attempt is given, by dependency, where that is not simply the output of each.
    """

    type = "step.started"
    decision = True
    inputs: dict[str, int] | None = None


class StepPublished(Event, frozen=True, omit_defaults=True):
    """What a running step has so far, for those that do not wait for its end."""

    type = "step.published"
    output: Payload = Payload()


class StepCompleted(Event, frozen=True, omit_defaults=True):
    """The attempt returned `output`; `closes` are the branches that its switch did not choose."""

    type = "step.completed"
    output: Payload = Payload()
    closes: list[str] | None = None


class StepRefused(Event, frozen=True, omit_defaults=True):
    """The step may not run: rejected, or its condition could not be evaluated. It counts as failed; `kind` as in `Failure`."""

    type = "step.refused"
    decision = True
    kind: str
    reason: str


class StepFailed(Event, frozen=True, omit_defaults=True):
    """The attempt failed; whether another follows is a decision of its own (`step.retry_scheduled`).

    `source` is set in a fork where this was taken from a recording instead of trying.
    """

    type = "step.failed"
    failure: Failure
    source: tuple[str, int] | None = None


class StepRetryScheduled(Event, frozen=True, omit_defaults=True):
    """The next attempt starts at `due` (unix seconds, absolute)."""

    type = "step.retry_scheduled"
    decision = True
    due: float


class StepSkipped(Event, frozen=True, omit_defaults=True):
    """The step will not run; `reason` is a sentence, `cause` the step that led to it.

    `passes`: what depends on it may run all the same, with its output absent (it was not wanted, rather than not possible).
    """

    type = "step.skipped"
    decision = True
    reason: str
    cause: str | None = None
    passes: bool = False


class StepCancelled(Event, frozen=True, omit_defaults=True):
    """The step was stopped or will not run because somebody cancelled."""

    type = "step.cancelled"
    decision = True
    reason: str = ""


class StepReset(Event, frozen=True, omit_defaults=True):
    """The step is pending again (an edit or a migration reached it). Attempts do not start over from 1."""

    type = "step.reset"
    decision = True
    reason: str = ""


class StepReused(Event, frozen=True, omit_defaults=True):
    """The output was taken from an earlier recording: `source` is `(run id, version)`. `closes` as in `step.completed`."""

    type = "step.reused"
    decision = True
    source: tuple[str, int]
    output: Payload = Payload()
    closes: list[str] | None = None


class EditApplied(Event, frozen=True, omit_defaults=True):
    """Somebody changed what a fork goes on with. `target` names it: `STEP.output`, `params.NAME`, `effects.N.value`, ...

    `value` is what holds from now, `before` what held, `reason` why, in somebody's words; who it was, the envelope's actor says.
    `changed` are the steps to run again because of it; what depends on them is reset with them by decisions that follow. `output`
    is set where a step's output was edited: the step has completed with it. `request` is the version of the effect whose value was.
    """

    type = "edit.applied"
    target: str
    value: Payload = Payload()
    before: Payload = Payload()
    reason: str = ""
    changed: list[str] = []
    output: Payload | None = None
    request: int | None = None


class CheckpointMade(Event, frozen=True, omit_defaults=True):
    """A place of the run was given a name. `kind` says by whom: `manual`, or what made it by itself (`step`, `approval`, ...)."""

    type = "checkpoint.made"
    name: str
    kind: str = "manual"
    metadata: Payload = Payload()


class EffectRequested(Event, frozen=True, omit_defaults=True):
    """A step is about to touch the world. Its version in the run is the effect's id.

    Identity is step path and attempt (envelope), `kind`, `name`, `arguments_hash` and `occurrence` (from 0, among equal ones), or
    `key` where equal effects run in concurrent branches. Kinds: `model, once, sleep, now, random, uuid, body, ask, child`
    (`ask_until` is a question with a time limit); of what leaves the run or stays in it, `memory, space, offer, send, receive,
    publish, wait_for, remember, recall`. A child run's id is that of its caller, a dot, and the version of its request.
    """

    type = "effect.requested"
    kind: str
    name: str
    arguments_hash: str
    safety: Safety
    occurrence: int = 0
    key: str | None = None
    arguments: Payload = Payload()


class EffectSucceeded(Event, frozen=True, omit_defaults=True):
    """The effect requested at version `request` came back with `value`. `source` is set when it was taken from a recording.

    `spent` is what a child run used besides what `child.spent` said, a model each.
    """

    type = "effect.succeeded"
    request: int
    value: Payload = Payload()
    usage: Usage | None = None
    simulated: bool = False
    source: tuple[str, int] | None = None
    spent: tuple[Spent, ...] = ()


class EffectFailed(Event, frozen=True, omit_defaults=True):
    """The effect requested at version `request` failed; the body may ask again, which is a new request.

    `usage` is set where it was paid for all the same (a model's answer that was cut off), `spent` likewise for a child run.
    """

    type = "effect.failed"
    request: int
    failure: Failure
    usage: Usage | None = None
    source: tuple[str, int] | None = None
    spent: tuple[Spent, ...] = ()


class EffectInDoubt(Event, frozen=True, omit_defaults=True):
    """The irreversible effect requested at version `request` has no outcome and its driver is gone."""

    type = "effect.in_doubt"
    decision = True
    request: int


class EffectResolved(Event, frozen=True, omit_defaults=True):
    """Somebody said what became of an effect in doubt: `succeeded` with `value`, `failed`, or `again` (issue it once more)."""

    type = "effect.resolved"
    request: int
    outcome: str
    value: Payload = Payload()
    note: str = ""


class ChildParked(Event, frozen=True, omit_defaults=True):
    """The child run of the effect requested at version `request` rests: `reason` is `paused`, or `waiting` for somebody."""

    type = "child.parked"
    request: int
    reason: str


class ChildResumed(Event, frozen=True, omit_defaults=True):
    """The parked child run of the effect requested at version `request` is driven on."""

    type = "child.resumed"
    request: int


class ChildSpent(Event, frozen=True, omit_defaults=True):
    """The child run of the effect requested at version `request` used so much more, a model each; its outcome has the rest."""

    type = "child.spent"
    request: int
    spent: tuple[Spent, ...] = ()


class LogWritten(Event, frozen=True, omit_defaults=True):
    """A line the user's code wrote. `stream` is `log`, `stdout` or `stderr`; `level` follows logging's names in lower case."""

    type = "log.written"
    text: str
    level: str = "info"
    stream: str = "log"
    fields: Payload | None = None


class ArtifactMade(Event, frozen=True, omit_defaults=True):
    """A named piece of content, kept in the store (`content.blob`, raw bytes, never inline)."""

    type = "artifact.made"
    name: str
    media_type: str
    content: Payload


class BudgetReached(Event, frozen=True, omit_defaults=True):
    """A budget is used up: `scope` is a step path, or empty for the run; `what` is cost, tokens, calls or seconds.

    `action` says what follows: `warn`, `pause` or `fail`.
    """

    type = "budget.reached"
    decision = True
    scope: str
    what: str
    limit: float
    used: float
    action: str


class BudgetSet(Event, frozen=True, omit_defaults=True):
    """Somebody gave the run another budget, or its caller what is left of its own; None leaves a limit as it was.

    `action` is what follows when it is used up, where that is not as the definition says.
    """

    type = "budget.set"
    cost: float | None = None
    tokens: int | None = None
    calls: int | None = None
    seconds: float | None = None
    action: str | None = None


class RunCompensating(Event, frozen=True, omit_defaults=True):
    """The run has failed; what completed is compensated, one after another in the order of `steps` (paths `NAME/compensate`)."""

    type = "run.compensating"
    decision = True
    steps: list[str]
    reason: str = ""


class RunReopened(Event, frozen=True, omit_defaults=True):
    """A run that had ended goes on, because somebody asked for a step of it again."""

    type = "run.reopened"
    decision = True


class RunPaused(Event, frozen=True, omit_defaults=True):
    """Nothing new is started; what runs is let finish."""

    type = "run.paused"
    decision = True


class RunUnpaused(Event, frozen=True, omit_defaults=True):
    """The run goes on after a pause."""

    type = "run.unpaused"
    decision = True


class RunCompleted(Event, frozen=True, omit_defaults=True):
    """Every step settled and none failed."""

    type = "run.completed"
    decision = True


class RunFailed(Event, frozen=True, omit_defaults=True):
    """Every step settled, or cannot, and `failed` are the steps to blame; `reason` is a sentence."""

    type = "run.failed"
    decision = True
    reason: str
    failed: list[str] = []


class RunCancelled(Event, frozen=True, omit_defaults=True):
    """Somebody cancelled the run."""

    type = "run.cancelled"
    decision = True
    reason: str = ""


class UnknownEvent(Event, frozen=True, omit_defaults=True):
    """A recorded event this version does not know: kept, shown, never executed. `body` is the stored text as it is."""

    type = "unknown"
    name: str
    version: int
    body: str


EVENTS: Mapping[str, type[Event]] = {
    cls.type: cls
    for cls in (
        RunCreated, RunForked, RunAttached, RunMigrated, SignalReceived,
        StepAdded, StepEnabled, StepEvaluated, ApprovalRequested, ApprovalGiven, ApprovalExpired,
        StepStarted, StepPublished, StepCompleted, StepFailed, StepRefused, StepRetryScheduled, StepSkipped, StepCancelled,
        StepReset, StepReused, EditApplied, CheckpointMade,
        EffectRequested, EffectSucceeded, EffectFailed, EffectInDoubt, EffectResolved, ChildParked, ChildResumed,
        ChildSpent, LogWritten, ArtifactMade,
        BudgetReached, BudgetSet, RunCompensating, RunReopened,
        RunPaused, RunUnpaused, RunCompleted, RunFailed, RunCancelled,
    )
}  # fmt: skip
"""Every type a log of this version holds, by its stable name."""
