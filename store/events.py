"""What can happen in a run: one frozen struct per event, and the envelope it is recorded in.

Stands apart because everything else is computed from these: the state, the screens, resume and replay.
An event says only what the envelope (`Recorded`) does not: run, version, time, step and attempt are columns there.
Type names are stable dotted past-tense words, never import paths; `codec.py` alone knows older shapes.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Any, ClassVar, NewType

import msgspec

RunId = NewType("RunId", str)
StepPath = NewType("StepPath", str)
Version = NewType("Version", int)
Seq = NewType("Seq", int)
BlobHash = NewType("BlobHash", str)

INLINE_LIMIT = 1024
"""Bytes of JSON up to which a value stands in its event; a larger one is a blob, stored once by content."""


class Safety(Enum):
    """What may be done with an effect whose outcome is unknown after a crash.

    PURE touches nothing outside (time, random numbers), READ only looks, IDEMPOTENT may be repeated: all three are issued
    again. IRREVERSIBLE is never repeated unasked: it becomes in doubt.
    """

    PURE = "pure"
    READ = "read"
    IDEMPOTENT = "idempotent"
    IRREVERSIBLE = "irreversible"


NO_JSON = msgspec.Raw()
"""A payload without inline text (`bool(payload.json)` is False): the content is in a blob, or there is none."""


class Payload(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """A value as it stands in an event: JSON text (see `values.py`) up to `INLINE_LIMIT`, else the hash of a blob.

    `size` is the length of the JSON text in bytes. `json` is the text itself and is decoded only when somebody looks.
    """

    size: int = 0
    json: msgspec.Raw = NO_JSON
    blob: str | None = None


class Usage(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a model call used: tokens, and US dollars (None: the price is not known, which is not zero)."""

    model: str
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost: float | None = None


class Spent(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a child run used of one model, all its calls together; `cost` adds the calls whose price is known, `unpriced` counts
    the others."""

    model: str
    calls: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost: float = 0.0
    unpriced: int = 0


class Failure(msgspec.Struct, frozen=True, omit_defaults=True):
    """Why something failed: a stable kind, one sentence, and whether asking again may help.

    Kinds in use: `error` (the body raised), `timeout`, `output` (not encodable or not of the schema), `model`, `effect`,
    `child` (a child run failed), `divergence` (a re-driven attempt asked for something else), `definition`. `retry_after` is in
    seconds, `detail` is the traceback, as text.
    """

    kind: str
    message: str
    retryable: bool = True
    retry_after: float | None = None
    detail: Payload | None = None


class Event(msgspec.Struct, frozen=True, omit_defaults=True):
    """Base of all events. `type` is the stable name, `decision` tells decisions from facts, `schema` the payload's version."""

    type: ClassVar[str] = ""
    decision: ClassVar[bool] = False
    schema: ClassVar[int] = 1


class RunCreated(Event, frozen=True, omit_defaults=True):
    """A run exists. `definition` is the blob hash of the normalised pipeline, `steps` its step paths in definition order.

    `kinds` has one letter a step: f (function), g (goal) or p (pipeline). `params` and `config` never hold secrets. `target` says
    how the Python behind the pipeline is found again (`module:name`, a file, a template) and `cwd` from where; `seed` feeds jitter.
    A child run was made by an effect of step `caller_step` of the run `caller`, and is `depth` calls below one nobody called.
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
    """This run shares the parent's events up to `version`; outcomes may be taken from the parent up to `reuse_upto`."""

    type = "run.forked"
    parent: str
    version: int
    reuse_upto: int


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
    """A command came through the inbox: `pause`, `resume`, `cancel`, `resolve`. `inbox` is its id there, 0 if recorded directly."""

    type = "signal.received"
    inbox: int
    kind: str
    body: Payload = Payload()


class StepStarted(Event, frozen=True, omit_defaults=True):
    """Attempt N of a step begins; recorded once an attempt, however often a crash makes it run."""

    type = "step.started"
    decision = True


class StepCompleted(Event, frozen=True, omit_defaults=True):
    """The attempt returned `output`."""

    type = "step.completed"
    output: Payload = Payload()


class StepFailed(Event, frozen=True, omit_defaults=True):
    """The attempt failed; whether another follows is a decision of its own (`step.retry_scheduled`)."""

    type = "step.failed"
    failure: Failure


class StepRetryScheduled(Event, frozen=True, omit_defaults=True):
    """The next attempt starts at `due` (unix seconds, absolute)."""

    type = "step.retry_scheduled"
    decision = True
    due: float


class StepSkipped(Event, frozen=True, omit_defaults=True):
    """The step will not run; `reason` is a sentence, `cause` the step that led to it."""

    type = "step.skipped"
    decision = True
    reason: str
    cause: str | None = None


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
    """The output was taken from an earlier recording: `source` is `(run id, version)`."""

    type = "step.reused"
    decision = True
    source: tuple[str, int]
    output: Payload = Payload()


class EffectRequested(Event, frozen=True, omit_defaults=True):
    """A step is about to touch the world. Its version in the run is the effect's id.

    Identity is step path and attempt (envelope), `kind`, `name`, `arguments_hash` and `occurrence` (from 0, among equal ones), or
    `key` where equal effects run in concurrent branches. Kinds: `model, once, sleep, now, random, uuid, body, child`. A child run's
    id is that of its caller, a dot, and the version of its request.
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

    `spent` is what a child run used by its end, a model each.
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
        StepStarted, StepCompleted, StepFailed, StepRetryScheduled, StepSkipped, StepCancelled, StepReset, StepReused,
        EffectRequested, EffectSucceeded, EffectFailed, EffectInDoubt, EffectResolved, ChildParked, ChildResumed,
        LogWritten, ArtifactMade,
        RunPaused, RunUnpaused, RunCompleted, RunFailed, RunCancelled,
    )
}  # fmt: skip
"""Every type a log of this version holds, by its stable name."""


class Recorded(msgspec.Struct, frozen=True, gc=False):
    """An event in its place: the envelope. `version` counts from 1 in the run, `seq` in the whole log (0: not yet committed).

    `at` is unix seconds: the `now` given to the decision, never before the event it follows. `step` and `attempt` say whose it
    is; `causation` is the version that led to it; `actor` who did it (`driver`, `user`, an inbox sender).
    """

    version: int
    at: float
    event: Any
    step: str | None = None
    attempt: int = 0
    causation: int | None = None
    actor: str = "driver"
    seq: int = 0
