"""What a run's events add up to: the state of a run and its steps, and which transitions are legal.

The rules about state live here, in `projector.py` and in the engine's scheduler, and nowhere else. A state is small: statuses,
counts, times, cost and references to outputs; contents are read when somebody looks. What depends on the clock or on who
is alive (`interrupted`, `ready`, `waiting` of a run) is derived by the functions at the end, never folded.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from enum import IntEnum

import msgspec

from store.events import Spent


class RunStatus(IntEnum):
    """Statuses of a run; INTERRUPTED and WAITING are shown, never folded.

    What is asked of a status is worked out once: a step asks seven times (2% of it, in memory).
    """

    PENDING = 0
    RUNNING = 1
    PAUSED = 2
    WAITING = 3
    COMPLETED = 4
    FAILED = 5
    CANCELLED = 6
    INTERRUPTED = 7

    @functools.cached_property
    def word(self) -> str:
        """The status as it is written everywhere outside memory."""
        return self.name.lower()

    @functools.cached_property
    def ended(self) -> bool:
        """Whether no event can follow but a fork's."""
        return RunStatus.COMPLETED <= self <= RunStatus.CANCELLED


class StepStatus(IntEnum):
    """Statuses of a step; READY is shown, never folded. WAITING: a retry is due later, or a person has to approve it."""

    PENDING = 0
    READY = 1
    RUNNING = 2
    WAITING = 3
    COMPLETED = 4
    FAILED = 5
    SKIPPED = 6
    CANCELLED = 7
    TIMED_OUT = 8
    IN_DOUBT = 9

    @functools.cached_property
    def word(self) -> str:
        """The status as it is written everywhere outside memory."""
        return self.name.lower()

    @functools.cached_property
    def settled(self) -> bool:
        """Whether nothing will happen to the step any more, unless it is reset."""
        return StepStatus.COMPLETED <= self <= StepStatus.TIMED_OUT


_P, _R, _W, _C, _F, _S, _X, _T, _D = (
    StepStatus.PENDING,
    StepStatus.RUNNING,
    StepStatus.WAITING,
    StepStatus.COMPLETED,
    StepStatus.FAILED,
    StepStatus.SKIPPED,
    StepStatus.CANCELLED,
    StepStatus.TIMED_OUT,
    StepStatus.IN_DOUBT,
)

STEP_TRANSITIONS: dict[str, frozenset[tuple[StepStatus, StepStatus]]] = {
    "step.started": frozenset({(_P, _R), (_W, _R)}),
    "step.completed": frozenset({(_R, _C)}),
    "step.failed": frozenset({(_R, _F), (_R, _T)}),
    "step.refused": frozenset({(_P, _F), (_W, _F)}),
    "step.retry_scheduled": frozenset({(_F, _W), (_T, _W)}),
    "step.skipped": frozenset({(_P, _S), (_R, _S), (_W, _S), (_D, _S)}),
    "approval.requested": frozenset({(_P, _W)}),
    "approval.given": frozenset({(_W, _P), (_W, _W)}),
    "approval.expired": frozenset({(_W, _P), (_W, _W)}),
    "step.cancelled": frozenset({(_P, _X), (_R, _X), (_W, _X), (_D, _X)}),
    "step.reset": frozenset({(s, _P) for s in StepStatus}),
    "step.reused": frozenset({(_P, _C), (_R, _C)}),
    "effect.in_doubt": frozenset({(_R, _D), (_D, _D)}),
    "effect.resolved": frozenset({(_D, _R), (_D, _D)}),
}
"""Which event may take a step from where to where: what the scheduler may decide; the projector folds whatever is recorded."""


class Try(msgspec.Struct, array_like=True, gc=False):
    """One attempt that ended without success: when, how, and one sentence why (cut at 200 characters)."""

    attempt: int
    started_at: float
    ended_at: float
    status: StepStatus
    reason: str


class Approval(msgspec.Struct, array_like=True, gc=False):
    """What a step that needs a person's word asked, and what was said: `answer` is `asked`, `approved` or `rejected`."""

    requested_at: float
    message: str = ""
    due: float | None = None
    default: bool = False
    answer: str = "asked"
    note: str = ""


class StepState(msgspec.Struct, array_like=True, gc=False):
    """One step. Times are unix seconds, None while not reached; `output` is a version of this run's lineage.

    `started_at` is the latest attempt's, `first_started_at` the first's; `due` is set while a retry waits. `cost` adds what is
    known and `unpriced` counts model calls whose price is not. `tries` holds the attempts before the latest.

    `verdict` is what its conditions came to, recorded at version `evaluated`; `refused` are dependencies whose contents do not do.
    `items` makes it a group: how many children `NAME[0]`, `NAME[1]`, ... it has by now. `inputs` are the versions of what the
    attempt was given, where that is not simply the outputs. `passes`: it was skipped and its dependants may run all the same.
    `partial` is the version of what it published last. `disabled` says why it is to be skipped when its turn comes. `wish` is what
    a person asked for it and is not carried out yet. `nested`: it belongs to another step, as a group's child or a compensation.
    `tried` is the last attempt of any child that it had before it was reset, `spared` how many attempts an open breaker refused.
    `edited`: somebody gave it its output in a fork.
    `marked` is the kind and attempt of the last checkpoint that was made of it by itself.
    """

    kind: str = "f"
    status: StepStatus = StepStatus.PENDING
    attempt: int = 0
    first_started_at: float | None = None
    started_at: float | None = None
    ended_at: float | None = None
    due: float | None = None
    output: int | None = None
    output_size: int = 0
    reason: str | None = None
    failure_kind: str | None = None
    retryable: bool = True
    retry_after: float | None = None
    cost: float = 0.0
    unpriced: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    calls: int = 0
    effects: int = 0
    simulated: bool = False
    reused: bool = False
    first_attempt: int = 1
    tries: tuple[Try, ...] = ()
    verdict: str = ""
    evaluated: int | None = None
    refused: tuple[str, ...] = ()
    items: int | None = None
    inputs: dict[str, int] | None = None
    passes: bool = False
    partial: int | None = None
    approval: Approval | None = None
    disabled: str | None = None
    wish: str = ""
    failure_classes: tuple[str, ...] = ()
    nested: bool = False
    spared: int = 0
    tried: int = 0
    edited: bool = False
    marked: tuple[str, int] | None = None


class OpenEffect(msgspec.Struct, array_like=True, gc=False):
    """An effect requested and not yet settled. `safety` is the word of `Safety`; `in_doubt` once decided so.

    `answer` is the version of the signal that brought a person's answer to it. `parked` says why the child run behind it rests
    (`paused`, `waiting`), None while it does not; `spent` is what is counted of it so far, a model each.
    """

    step: str
    attempt: int
    kind: str
    name: str
    safety: str
    requested_at: float
    in_doubt: bool = False
    answer: int | None = None
    parked: str | None = None
    spent: tuple[Spent, ...] = ()


class ArtifactRef(msgspec.Struct, array_like=True, gc=False):
    """An artifact: its content is the blob `blob` of `size` bytes."""

    name: str
    media_type: str
    blob: str
    size: int
    step: str
    version: int


class Breaker(msgspec.Struct, array_like=True, gc=False):
    """How often in a row a model or tool failed, and when last."""

    failures: int
    failed_at: float


def breaker_key(kind: str, name: str) -> str:
    """The key of a `model` or `tool` in `RunState.breakers`."""
    return f"{kind} {name}"


class RunState(msgspec.Struct, array_like=True):
    """A run as its events up to `version` make it. Free of the run's own id, so that forks share their ancestors' snapshots.

    `steps` keeps definition order. `counts` has one entry a `StepStatus`. `inbox` is the cursor: the last signal recorded.
    `open` are effects in flight or in doubt, by the version of their request. `groups` counts steps that run as groups of children,
    `approvals` those that wait for a person's word, `added` those that were added at run time. `wishes` are the paths of steps with
    a `wish`. `reached` names the budgets that are used up (`SCOPE:WHAT`), `budget` the limits somebody set anew and
    `budget_action` what follows of them. `undoing` are the
    compensations of a run that failed, in order. `memory` is the run's own: by key, the version of the request that put a value
    there. `roles` are those it offers; `breakers` are models and tools whose last call failed. `nested` counts the steps that
    belong to another step, `nested_settled` the settled of them. `reopened_at`: when it was last opened again after its end.
    `away` are the seconds between the points and the beginnings of its forks, which did not pass in it.
    `halted`: it was paused at once, so what was running is not and is driven again on resume.
    """

    version: int = 0
    status: RunStatus = RunStatus.PENDING
    pipeline: str = ""
    description: str = ""
    definition: str = ""
    target: str | None = None
    cwd: str | None = None
    seed: int = 0
    created_at: float = 0.0
    attached_at: float | None = None
    ended_at: float | None = None
    last_at: float = 0.0
    reason: str | None = None
    inbox: int = 0
    pausing: bool = False
    halted: bool = False
    cancelling: bool = False
    cost: float = 0.0
    unpriced: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    calls: int = 0
    effects: int = 0
    logs: int = 0
    failures: int = 0
    simulated: bool = False
    attaches: int = 0
    unknown: int = 0
    parent: str | None = None
    parent_version: int | None = None
    steps: dict[str, StepState] = {}
    counts: list[int] = msgspec.field(default_factory=lambda: [0] * len(StepStatus))
    open: dict[int, OpenEffect] = {}
    artifacts: list[ArtifactRef] = []
    groups: int = 0
    approvals: int = 0
    added: int = 0
    wishes: list[str] = []
    reached: list[str] = []
    budget: dict[str, float] = {}
    undoing: list[str] | None = None
    memory: dict[str, int] = {}
    roles: list[str] = []
    breakers: dict[str, Breaker] = {}
    caller: str | None = None
    caller_step: str | None = None
    depth: int = 0
    nested: int = 0
    nested_settled: int = 0
    reopened_at: float | None = None
    away: float = 0.0
    budget_action: str | None = None

    def lasted(self, now: float) -> float:
        """Seconds from the beginning to the end, or to `now`; without those between a fork's point and the fork."""
        return (self.ended_at if self.ended_at is not None else now) - self.created_at - self.away

    @property
    def tokens(self) -> int:
        """Tokens of all model calls, both ways."""
        return self.prompt_tokens + self.completion_tokens

    @property
    def total(self) -> int:
        """How many steps there are, without those that belong to another."""
        return len(self.steps) - self.nested

    @property
    def settled(self) -> int:
        """How many of `total` nothing more will happen to."""
        return sum(self.counts[_C:_D]) - self.nested_settled


def shown_status(state: RunState, alive: bool) -> RunStatus:
    """The status to show, given whether a driver holds the run's lease now."""
    if waits_for_person(state):
        return RunStatus.WAITING
    resting = state.status is RunStatus.PAUSED and not working(state)
    if alive or resting or state.status.ended or state.status is RunStatus.PENDING:
        return state.status
    return RunStatus.INTERRUPTED


def waits_for_person(state: RunState) -> bool:
    """Whether nothing more can happen until somebody approves, answers, or resolves an effect in doubt, here or in a child run.

    A child run that was paused alone waits for somebody too.
    """
    counts = state.counts
    if not (state.open or state.approvals or counts[_D]):
        return False  # asked at every commit: the usual case first
    if state.status.ended or counts[StepStatus.WAITING] > state.approvals:
        return False
    if counts[StepStatus.RUNNING] == state.groups:
        return bool(counts[StepStatus.IN_DOUBT] or state.approvals)
    if working(state):
        return False
    reasons = {effect.parked for effect in state.open.values()} - {None}
    asked = any(effect.kind.startswith("ask") for effect in state.open.values())
    return bool(counts[StepStatus.IN_DOUBT] or state.approvals or asked or "waiting" in reasons or (reasons and not state.pausing))


def working(state: RunState) -> int:
    """How many steps are under way, without groups and without those that only wait for people or for parked child runs."""
    if state.halted:
        return 0
    running = state.counts[_R] - state.groups
    return running - len(resting_steps(state, timed=True)) if state.open else running


def resting_steps(state: RunState, *, timed: bool = False) -> set[str]:
    """The running steps that go on only once a person answers or a parked child run does: those with no other effect open.

    With `timed` also those whose question has an answer of its own when its time is up.
    """
    if not state.open:
        return set()
    resting = {effect.step for effect in state.open.values() if _rests(effect, timed)}
    return resting - {effect.step for effect in state.open.values() if not _rests(effect, timed)} if resting else resting


def _rests(effect: OpenEffect, timed: bool) -> bool:
    if effect.parked is not None:
        return True
    if effect.answer is not None or effect.safety == "pure":  # one that is taken from a recording waits for nobody
        return False
    return effect.kind == "ask" or (timed and effect.kind == "ask_until")


def group_of(path: str) -> str | None:
    """The group a child's path belongs to: `each` for `each[3]`; None for a step of its own."""
    if path[-1:] != "]":
        return None
    group, _, index = path[:-1].rpartition("[")
    return group if group and index.isdecimal() else None


def children_of(state: RunState, group: str) -> Iterator[str]:
    """The paths of the children a group has; one that was not started yet has none, however many items it is to be run for."""
    for index in range(state.steps[group].items or 0):
        path = child_of(group, index)
        if path in state.steps:
            yield path


def child_of(group: str, index: int) -> str:
    """The path of a group's child."""
    return f"{group}[{index}]"


COMPENSATE = "/compensate"
"""What stands behind a step's name in the path of its compensation."""


def owner_of(path: str) -> str | None:
    """The step that a child or a compensation belongs to; None for a step of its own."""
    if path.endswith(COMPENSATE):
        return path.removesuffix(COMPENSATE)
    return group_of(path)
