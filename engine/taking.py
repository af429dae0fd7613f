"""What a fork takes from the run it was forked from instead of doing it again: outcomes of attempts, whole, in recorded order.

The parent's events after the fork's point are no history of the fork but a tape. A step that no edit reaches comes to what it came
to there, and leaves what it left: memory, artifacts, added steps. What an edit reaches runs, and takes only effects whose identity
is recorded (`recordings`). Stands apart from the runtime, which asks whose turn it is and records what comes of it.
"""

from __future__ import annotations

import heapq
import itertools
import math
from collections.abc import Collection, Iterable, Sequence
from typing import Any, NamedTuple

import msgspec

from engine.commands import Fact
from engine.edits import Edit
from engine.graph import Plan, base_of
from engine.record import Record
from engine.recordings import OWN, Done, Policy, Recordings, done_for_good, done_in, policy_of
from engine.tape import EFFECT_TYPES as EFFECTS
from engine.tape import Identity, identity_of
from store import Log, values
from store.events import (
    ApprovalGiven,
    EditApplied,
    EffectRequested,
    EffectSucceeded,
    Recorded,
    RunForked,
    RunId,
    RunMigrated,
    StepCompleted,
    StepFailed,
    StepRetryScheduled,
    StepReused,
    StepSkipped,
    StepStarted,
)
from store.state import RunState, StepStatus

OUTCOMES = frozenset({"step.completed", "step.reused", "step.failed", "step.skipped", "step.cancelled"})
ANSWERS = frozenset({"approval.given", "approval.expired"})
LEFT_BEHIND = frozenset({"artifact.made", "step.added", "step.enabled", "step.published", "checkpoint.made"})


class Source(NamedTuple):
    """Events of `run` with `after` < version <= `upto` are a tape."""

    run: RunId
    after: int
    upto: int


class Taken(NamedTuple):
    """An outcome on the tape, or (`event` None) a mark that the attempt came to none before that version; `source` is its tape."""

    version: float
    source: Source | None = None
    event: Any = None


class Turn(NamedTuple):
    """What comes next on the tape. An attempt comes to what it came to, or, with nothing taken, runs; an approval (attempt 0) is
    answered; a step that waits to be tried again need not wait any longer (what is taken is the start of that attempt)."""

    path: str
    attempt: int
    taken: Taken
    tape: Sequence[Recorded] = ()


NOTHING_TAKEN = Taken(math.inf)


class Taking:
    """The tapes of one fork. `affected` are the steps that an edit reaches, or what ran live here: they take no outcomes.

    `anew` are those of them that somebody wants to ask again: they take only what was done for good."""

    def __init__(
        self,
        log: Log,
        sources: Sequence[Source],
        outcomes: dict[tuple[str, int], Taken],
        starts: dict[tuple[str, int], Taken],
        affected: set[str],
        policies: Sequence[Policy] = (),
        edited: dict[str, dict[Identity, Done]] | None = None,
        *,
        addressed: bool = False,
        anew: Collection[str] = (),
    ) -> None:
        self.affected = affected
        self._log, self._sources, self._outcomes, self._starts = log, sources, outcomes, starts
        self._policies, self._edited, self._addressed = policies, edited or {}, addressed
        self._anew = anew
        self._waiting: list[tuple[float, int, Turn]] = []
        self._offered = itertools.count()

    def offer(self, path: str, attempt: int, tape: Sequence[Recorded]) -> bool:
        """Take in an attempt that starts; False where it has to run."""
        if base_of(path) in self.affected:
            return False
        taken = self._outcomes.get((path, attempt), NOTHING_TAKEN)
        heapq.heappush(self._waiting, (taken.version, next(self._offered), Turn(path, attempt, taken, tape)))
        return True

    def _answer(self, state: RunState) -> Turn | None:
        """The first approval that is waited for and was given in the parent."""
        if not state.approvals:
            return None
        asked = [path for path, step in state.steps.items() if step.approval is not None and step.approval.answer == "asked"]
        found = [
            Turn(path, 0, self._outcomes[path, 0])
            for path in asked
            if base_of(path) not in self.affected and (path, 0) in self._outcomes
        ]
        return min(found, key=lambda turn: turn.taken.version, default=None)

    def _retry(self, state: RunState) -> Turn | None:
        """The first step that waits to be tried again and was in the parent: there it was waited for."""
        if state.counts[StepStatus.WAITING] <= state.approvals:
            return None
        late = ((path, step.attempt + 1) for path, step in state.steps.items() if step.due is not None and step.due > state.last_at)
        known = (key for key in late if base_of(key[0]) not in self.affected and key in self._starts)
        return min((Turn(*key, self._starts[key]) for key in known), key=lambda turn: turn.taken.version, default=None)

    def next(self, state: RunState) -> list[Turn]:
        """What comes next, in the order of the tape; attempts are taken off.

        More than one where nothing was decided between them: they were recorded in one commit.
        """
        first = self._waiting[0][0] if self._waiting else None
        others = [turn for turn in (self._answer(state), self._retry(state)) if turn is not None]
        other = min(others, key=lambda turn: turn.taken.version, default=None)
        if other is not None and (first is None or other.taken.version < first):
            return [other]
        found: list[Turn] = []
        while self._waiting and (not found or self._waiting[0][0] == found[-1].taken.version + 1):
            found.append(heapq.heappop(self._waiting)[2])
        return found

    async def come(self, turns: Sequence[Turn], record: Record) -> tuple[list[Fact], list[Turn]]:
        """What is recorded of these turns, and those that run because they came to nothing; what was stopped is neither."""
        left = [await self.left_behind(turn) for turn in turns]
        facts: list[Fact] = []
        live: list[Turn] = []
        for turn, behind in zip(turns, left, strict=True):
            if not self.stands(record.state, turn):
                continue
            if turn.taken.event is None:
                live.append(turn)
                continue
            passes = record.plan.step_of(turn.path).skip != "propagate"
            facts += facts_of_turn(turn, behind, record.state.version + len(facts), record.now(), passes=passes)
        return facts, live

    def stands(self, state: RunState, turn: Turn) -> bool:
        """Whether a turn still has its object: the attempt runs, the step waits."""
        step = state.steps.get(turn.path)
        if step is None:
            return False
        if not turn.attempt or isinstance(turn.taken.event, StepStarted):
            return step.status is StepStatus.WAITING
        return step.status is StepStatus.RUNNING and step.attempt == turn.attempt

    def went_live(self, plan: Plan, path: str) -> None:
        """A step runs here: what depends on it cannot take what was made of another outcome."""
        base = base_of(path)
        if base not in self.affected and base in plan.place:
            self.affected |= plan.descendants({base})

    async def recordings(self, path: str, attempt: int) -> Recordings:
        """The effects that an attempt which runs may take."""
        done: dict[Identity, Done] = {}
        same = None if base_of(path) in self.affected else attempt
        for source in reversed(self._sources):
            recorded = await self._log.events(source.run, upto=source.upto, step=path, types=EFFECTS)
            anew = base_of(path) in self._anew
            done.update(done_for_good(source.run, recorded) if anew else done_in(source.run, recorded, same))
        if self._addressed:  # a message was put into the fork: what was received after its point came of another mail
            point = self._sources[0].after
            done = {key: held for key, held in done.items() if key[0] != "receive" or held.source[1] <= point}
        done.update(self._edited.get(path, {}))
        return Recordings(done, self._policies, forked=True)

    async def left_behind(self, turn: Turn) -> list[Recorded]:
        """What an attempt left on the tape besides its outcome: of its effects those that changed the run itself."""
        source = turn.taken.source
        if source is None or not turn.attempt or isinstance(turn.taken.event, StepStarted):
            return []
        found = await self._log.events(
            source.run, after=source.after, upto=int(turn.taken.version) - 1, step=turn.path, attempt=turn.attempt,
            types=LEFT_BEHIND | EFFECTS,
        )  # fmt: skip
        own = {item.version for item in found if isinstance(item.event, EffectRequested) and item.event.kind in OWN}
        early = {item.event.request for item in found if item.event.type in EFFECTS - {"effect.requested"}}
        early = {request for request in early if request <= source.after}
        return [item for item in found if item.event.type in LEFT_BEHIND or item.version in own or _of(item, own | early)]


def _of(item: Recorded, requests: Collection[int]) -> bool:
    return isinstance(item.event, EffectSucceeded) and item.event.request in requests


def facts_of_turn(turn: Turn, left: Iterable[Recorded], version: int, now: float, *, passes: bool) -> list[Fact]:
    """What is recorded of what comes next; `version` is that of the last event before."""
    path, attempt, (at, source, event), _ = turn
    assert source is not None  # noqa: S101 - only what stands on a tape is taken
    if isinstance(event, StepStarted):
        return [(StepRetryScheduled(now), path, attempt - 1)]
    if not attempt:
        return [(ApprovalGiven(event.approved, getattr(event, "note", "nobody answered in time")), path, 0)]
    facts: list[Fact] = []
    requests: dict[int, int] = {}
    for item in left:
        copied = item.event
        if isinstance(copied, EffectRequested):
            requests[item.version] = version + len(facts) + 1
        elif isinstance(copied, EffectSucceeded):
            here = copied.source or (source.run, item.version)
            copied = msgspec.structs.replace(copied, request=requests.get(copied.request, copied.request), source=here)
        facts.append((copied, path, attempt))
    here = getattr(event, "source", None) or (source.run, int(at))
    if isinstance(event, StepFailed):
        return [*facts, (StepFailed(event.failure, here), path, attempt)]
    if isinstance(event, StepSkipped):
        return [*facts, (StepSkipped(event.reason, event.cause, passes), path, attempt)]
    return [*facts, (StepReused(here, event.output, event.closes), path, attempt)]


async def taking_of(log: Log, run: RunId, state: RunState, plan: Plan, edits: Sequence[tuple[int, Edit]]) -> Taking | None:
    """The tapes of a run as it stands; None for one that was not forked."""
    if state.parent is None or state.parent_version is None:
        return None
    sources: list[Source] = []
    affected: set[str] = set()
    outcomes: dict[tuple[str, int], Taken] = {}
    starts: dict[tuple[str, int], Taken] = {}
    line, past = run, state
    while past.parent is not None and past.parent_version is not None:
        parent, version = RunId(past.parent), past.parent_version
        own = await log.events(line, after=version, types={"run.forked", "edit.applied", "run.migrated", *OUTCOMES})
        forked = next(item.event for item in own if isinstance(item.event, RunForked))
        barred = plan.descendants({name for name in _roots(own) if name in plan.place})
        if not sources:
            affected = barred
        source = Source(parent, version, forked.reuse_upto)
        for found, all_of_it in zip(await _outcomes(log, source), (outcomes, starts), strict=True):
            for key, taken in found.items():
                if base_of(key[0]) not in barred:
                    all_of_it.setdefault(key, taken)
        sources.append(source)
        line, past = parent, await log.state(parent, version)
    addressed = any(edit.kind == "message" for _, edit in edits)
    anew = {edit.step or "" for version, edit in edits if edit.kind == "again" and version > state.parent_version}
    given = await _edited(log, run, edits)
    policies = policies_of(run, edits)
    return Taking(log, sources, outcomes, starts, affected, policies, given, addressed=addressed, anew=anew)


def _roots(recorded: Iterable[Recorded]) -> set[str]:
    """The steps that were changed in a fork, or that ran there."""
    found: set[str] = set()
    for item in recorded:
        event = item.event
        if isinstance(event, EditApplied | RunMigrated):
            found.update(event.changed)
            found.update(event.added if isinstance(event, RunMigrated) else ())
        if item.step is not None and (isinstance(event, EditApplied | StepCompleted) or _failed_here(event)):
            found.add(base_of(item.step))
    return found


def _failed_here(event: Any) -> bool:
    return isinstance(event, StepFailed) and event.source is None


async def _outcomes(log: Log, source: Source) -> tuple[dict[tuple[str, int], Taken], dict[tuple[str, int], Taken]]:
    """What attempts came to on a tape, and their starts: the first word of each, what follows is about their steps.

    Approvals stand at attempt 0.
    """
    found: dict[tuple[str, int], Taken] = {}
    starts: dict[tuple[str, int], Taken] = {}
    for item in await log.events(source.run, after=source.after, upto=source.upto, types=OUTCOMES | ANSWERS | {StepStarted.type}):
        path, event = item.step or "", item.event
        if isinstance(event, StepStarted):
            starts[path, item.attempt] = Taken(item.version, source, event)
            continue
        if event.type in ANSWERS:
            found.setdefault((path, 0), Taken(item.version, source, event))
        elif item.attempt:
            cancelled = event.type == "step.cancelled"
            found.setdefault((path, item.attempt), Taken(item.version, source, None if cancelled else event))
    return found, starts


def policies_of(run: RunId, edits: Sequence[tuple[int, Edit]]) -> list[Policy]:
    """What the edits of a fork say about its effects, oldest first."""
    return [policy_of(edit.name, edit.value, (run, version)) for version, edit in edits if edit.kind == "policy"]


async def _edited(log: Log, run: RunId, edits: Sequence[tuple[int, Edit]]) -> dict[str, dict[Identity, Done]]:
    """Effects whose values were edited, by the path of their step."""
    found: dict[str, dict[Identity, Done]] = {}
    for version, edit in edits:
        if edit.kind == "effect" and edit.request is not None:
            (request,) = await log.events(run, after=edit.request - 1, upto=edit.request)
            done = Done((run, version), values.pack(edit.value)[0])
            found.setdefault(request.step or "", {})[identity_of(request.event)] = done
    return found
