"""What a fork takes from the run it was forked from instead of doing it again: outcomes of attempts, whole, in recorded order.

The parent's events after the fork's point are no history of the fork but a tape. A step that no edit reaches comes to what it came
to there, and leaves what it left: memory, artifacts, added steps. What an edit reaches runs, and takes only effects whose identity
is recorded (`recordings`). Stands apart from the runtime, which asks whose turn it is and records what comes of it.
"""

from __future__ import annotations

import heapq
import itertools
import math
from collections import deque
from collections.abc import Collection, Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from engine.circumstances import Circumstances
from engine.commands import Fact
from engine.definition import Definition
from engine.edits import Edit
from engine.graph import Plan, base_of
from engine.parental import JUST_BEFORE, LEFT_BEHIND, NOTHING_TAKEN, OUTCOMES, Source, Taken, Tape, tape_of
from engine.record import Record
from engine.recordings import RECORDING, Done, Policy, Recordings, done_for_good, done_in
from engine.tape import EFFECT_TYPES as EFFECTS
from engine.tape import Identity, identity_of
from store import Log, codec, values
from store.events import (
    ApprovalGiven,
    EditApplied,
    EffectFailed,
    EffectRequested,
    EffectSucceeded,
    Event,
    Recorded,
    RunForked,
    RunId,
    RunMigrated,
    StepCompleted,
    StepEvaluated,
    StepFailed,
    StepRetryScheduled,
    StepReused,
    StepSkipped,
    StepStarted,
)
from store.state import RunState, StepStatus

if TYPE_CHECKING:
    from engine.looks import Seen


class Turn(NamedTuple):
    """What comes next on the tape. An attempt comes to what it came to, or, with nothing taken, runs; an approval (attempt 0) is
    answered; a step that waits to be tried again need not wait any longer (what is taken is the start of that attempt); something
    that the attempt left besides is left here too. A look comes to what it came to here (`seen`), when it did there."""

    path: str
    attempt: int
    taken: Taken
    seen: Seen | None = None


class Taking:
    """The tapes of one fork. `affected` are the steps that an edit reaches, or what ran live here: they take no outcomes.

    `anew` are those of them that somebody wants to ask again: they take only what was done for good. `stale` are tools that are no
    longer what they were in a run: (run, step, name); what they returned there is not taken."""

    def __init__(
        self, log: Log, run: RunId, sources: Sequence[Source], tape: Tape, affected: set[str], policies: Sequence[Policy] = (),
        edited: dict[str, dict[Identity, Done]] | None = None, *, addressed: bool = False, anew: Collection[str] = (),
        stale: Collection[tuple[RunId, str, str]] = (),
    ) -> None:  # fmt: skip
        self.affected = affected
        self._log, self._run, self._sources, self._tape = log, run, sources, tape
        self.policies, self._edited, self._addressed, self._anew = policies, edited or {}, addressed, anew
        self._stale = stale
        self._waiting: list[tuple[float, int, Turn]] = []
        self._offered = itertools.count()
        self._requests: dict[tuple[RunId, int], int] = {}
        self._had: dict[tuple[str, int, Any], list[int]] = {}
        self._held: set[str] = set()

    async def recall(self, names: Collection[str]) -> None:
        """What attempts of these steps left here before this driver came, or when the fork was made: it is not left again."""
        for item in await self._log.events(self._run, after=self._sources[0].after, types=LEFT_BEHIND | EFFECTS):
            ended = getattr(item.event, "source", None)
            if item.step in names and (item.actor == RECORDING or ended is not None):
                self._had.setdefault((item.step or "", item.attempt, _said(item.event, ended)), []).append(item.version)

    def offer(self, path: str, attempt: int) -> bool:
        """Take in an attempt that starts; False where it has to run."""
        if base_of(path) in self.affected:
            return False
        taken = self._tape.outcomes.get((path, attempt), NOTHING_TAKEN)
        left = self._tape.left.get((path, attempt), ()) if taken.source is not None else ()
        for one in (*(one for one in left if not self._has(path, attempt, one)), taken):
            heapq.heappush(self._waiting, (one.version, next(self._offered), Turn(path, attempt, one)))
        return True

    def hold(self, path: str, attempt: int, seen: Seen) -> bool:
        """Keep what a look came to until its turn; False where it has none, and is taken in at once."""
        if base_of(path) in self.affected:
            return False
        if isinstance(seen[0], StepEvaluated):
            looks = self._tape.looks.get(path)
            taken = looks.popleft() if looks else None
        else:
            taken = self._tape.outcomes.get((path, attempt))
        if taken is None:
            return False
        heapq.heappush(self._waiting, (taken.version, next(self._offered), Turn(path, attempt, taken, seen)))
        self._held.add(path)
        return True

    def holds(self, path: str) -> bool:
        """Whether a look at a step has been taken and waits for its turn."""
        return path in self._held

    def _has(self, path: str, attempt: int, left: Taken) -> bool:
        assert left.source is not None  # noqa: S101 - what was left stands on a tape
        here = left.source.run, int(left.version)
        had = self._had.get((path, attempt, _said(left.event, getattr(left.event, "source", None) or here)))
        if not had:
            return False
        self._requests[here] = had.pop(0)
        return True

    def _answer(self, state: RunState) -> Turn | None:
        """The first approval that is waited for and was given in the parent."""
        if not state.approvals:
            return None
        asked = [path for path, step in state.steps.items() if step.approval is not None and step.approval.answer == "asked"]
        found = [
            Turn(path, 0, self._tape.outcomes[path, 0])
            for path in asked
            if base_of(path) not in self.affected and (path, 0) in self._tape.outcomes
        ]
        return min(found, key=lambda turn: turn.taken.version, default=None)

    def _retries(self, state: RunState) -> list[Turn]:
        """The steps that wait to be tried again and were in the parent: there it was waited for."""
        if state.counts[StepStatus.WAITING] <= state.approvals:
            return []
        late = ((path, step.attempt + 1) for path, step in state.steps.items() if step.due is not None and step.due > state.last_at)
        known = (key for key in late if base_of(key[0]) not in self.affected and key in self._tape.starts)
        return [Turn(*key, self._tape.starts[key]) for key in known]

    def next(self, state: RunState) -> list[Turn]:
        """What comes next, in the order of the tape; attempts are taken off.

        More than one where nothing was decided between them: they were recorded in one commit.
        """
        first = self._waiting[0][0] if self._waiting else math.inf
        answer = self._answer(state)
        others = [*self._retries(state), *([answer] if answer is not None else [])]
        other = min(others, key=lambda turn: turn.taken.version, default=None)
        if other is not None and other.taken.version < first - JUST_BEFORE:
            return [other]
        found = [turn for turn in others if turn.taken.version == first - JUST_BEFORE]
        while self._waiting and (not found or _shares(found[-1], self._waiting[0][2])):
            found.append(heapq.heappop(self._waiting)[2])
        return found

    def looks_of_the_point(self) -> list[str]:
        """Steps whose looks the parent recorded right behind the event that this run was forked at: maybe in its commit."""
        first = {looks[0].version: path for path, looks in self._tape.looks.items() if looks and base_of(path) not in self.affected}
        waiting = {version for version, _, _ in self._waiting}
        at = next(at for at in itertools.count(self._sources[0].after + 1) if at not in waiting)
        found: list[str] = []
        while at in first:
            found.append(first[at])
            at += 1
        return found

    def rest(self, record: Record) -> tuple[list[Fact], list[Turn]]:
        """What the parent recorded in one commit with the event that this run was forked at: nothing was decided between them.

        What is recorded of attempts, and looks.
        """
        if not self._waiting or self._waiting[0][0] != self._sources[0].after + 1:
            return [], []
        facts, others = self.come(self.next(record.state), record)
        for turn in others:
            if turn.seen is None:
                heapq.heappush(self._waiting, (turn.taken.version, next(self._offered), turn))
        return facts, [turn for turn in others if turn.seen is not None]

    def come(self, turns: Sequence[Turn], record: Record) -> tuple[list[Fact], list[Turn]]:
        """What is recorded of these turns, and looks and what runs because it came to nothing; what was stopped is neither."""
        facts: list[Fact] = []
        live: list[Turn] = []
        for turn in turns:
            if turn.seen is not None:
                self._held.discard(turn.path)
                live.append(turn)
                continue
            if not self.stands(record.state, turn):
                continue
            event = turn.taken.event
            if event is None:
                live.append(turn)
            elif turn.attempt and event.type in LEFT_BEHIND | EFFECTS:
                facts.append((self._copied(turn, record.state.version + len(facts) + 1), turn.path, turn.attempt))
            else:
                passes = record.plan.step_of(turn.path).skip != "propagate"
                facts.append(fact_of(turn, record.now(), passes=passes))
        return facts, live

    def _copied(self, turn: Turn, version: int) -> Event:
        """What an attempt left, as it is recorded here; `version` is the one it gets."""
        at, source, event = turn.taken
        copied: Event = event
        assert source is not None  # noqa: S101 - what was left stands on a tape
        if isinstance(event, EffectRequested):
            self._requests[source.run, int(at)] = version
        elif isinstance(event, EffectSucceeded | EffectFailed):
            request = self._requests.get((source.run, event.request), event.request)
            copied = msgspec.structs.replace(event, request=request, source=event.source or (source.run, int(at)))
        return copied

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
            found = done_for_good(source.run, recorded) if anew else done_in(source.run, recorded, same)
            base = base_of(path)
            done.update(
                (key, one) for key, one in found.items() if key[0] != "tool" or (source.run, base, key[1]) not in self._stale
            )
        if self._addressed:  # a message was put into the fork: what was received after its point came of another mail
            point = self._sources[0].after
            done = {key: held for key, held in done.items() if key[0] != "receive" or held.source[1] <= point}
        done.update(self._edited.get(path, {}))
        return Recordings(done, self.policies, forked=True)


def _shares(one: Turn, other: Turn) -> bool:
    """Whether two turns were recorded in one commit: in one, looks come last."""
    return other.taken.version - one.taken.version in (1, JUST_BEFORE) and (one.seen is None or other.seen is not None)


def _said(event: Any, ended: tuple[str, int] | None) -> Any:
    """What two records of the same thing, in two runs, have in common."""
    if isinstance(event, EffectRequested):
        return identity_of(event)
    return ended if ended is not None else codec.encode(event)


def fact_of(turn: Turn, now: float, *, passes: bool) -> Fact:
    """What is recorded of what comes next, where that is no thing left besides."""
    path, attempt, (at, source, event) = turn.path, turn.attempt, turn.taken
    assert source is not None  # noqa: S101 - only what stands on a tape is taken
    if isinstance(event, StepStarted):
        return StepRetryScheduled(now), path, attempt - 1
    if not attempt:
        return ApprovalGiven(event.approved, getattr(event, "note", "nobody answered in time")), path, 0
    here = getattr(event, "source", None) or (source.run, int(at))
    if isinstance(event, StepFailed):
        return StepFailed(event.failure, here), path, attempt
    if isinstance(event, StepSkipped):
        return StepSkipped(event.reason, event.cause, passes), path, attempt
    return StepReused(here, event.output, event.closes), path, attempt


async def taking_of(log: Log, run: RunId, state: RunState, plan: Plan, found: Circumstances) -> Taking | None:
    """The tapes of a run as it stands, under its circumstances; None for one that was not forked."""
    if state.parent is None or state.parent_version is None:
        return None
    sources: list[Source] = []
    affected: set[str] = set()
    stale: set[tuple[RunId, str, str]] = set()
    whole = Tape({}, {}, {}, {})
    line, past, point = run, state, math.inf
    while past.parent is not None and past.parent_version is not None:
        parent, version = RunId(past.parent), past.parent_version
        own = await log.events(line, after=version, types={"run.forked", "edit.applied", "run.migrated", *OUTCOMES})
        forked = next(item.event for item in own if isinstance(item.event, RunForked))
        undone = {name for _, names in _edits(own, plan, point) for name in names}
        barred = plan.descendants({name for name in _roots(own, point) - undone if name in plan.place})
        if not sources:
            affected = barred
        source = Source(parent, version, forked.reuse_upto)
        point = min(point, version)  # what came after it in any of them is no history of this run
        later = await log.events(parent, after=int(point), upto=source.upto, types={"edit.applied", "run.migrated"})
        _add(whole, await tape_of(log, source), barred, _edits(later, plan, point))
        sources.append(source)
        stale |= {(parent, *one) for one in await _changed_tools(log, await log.state(parent, version), plan)}
        begun = (await log.segments(parent))[-1].first  # maybe after the point, which stands in what it shares with its own parent
        line, past = parent, await log.state(parent, max(version, begun))
    addressed = any(edit.kind == "message" for _, edit in found.edits)
    anew = {edit.step or "" for version, edit in found.edits if edit.kind == "again" and version > state.parent_version}
    given = await _edited(log, run, found.edits)
    return Taking(log, run, sources, whole, affected, found.policies(), given, addressed=addressed, anew=anew, stale=stale)


async def _changed_tools(log: Log, past: RunState, plan: Plan) -> set[tuple[str, str]]:
    """The tools, by step and name, that are other ones than in the definition a run had then; their functions' texts count."""
    present = plan.definition
    if not present.tools and not any(step.tools for step in present.steps):
        return set()
    then = Definition.from_json(await log.blob(past.definition))
    old = {(step.name, one.name): one for step in then.steps for one in then.tools_of(step)}
    new = {(step.name, one.name): one for step in present.steps for one in present.tools_of(step)}
    return {key for key, one in new.items() if key in old and old[key] != one}


def _add(whole: Tape, tape: Tape, barred: set[str], edits: Sequence[tuple[int, set[str]]]) -> None:
    """Put an older tape behind those read so far: not of steps that are `barred`, nor what came of edits that stand on it."""

    def fits(path: str, version: float) -> bool:
        base = base_of(path)
        return base not in barred and not any(at < version and base in names for at, names in edits)

    for key in tape.outcomes.keys() - whole.outcomes.keys():
        if fits(key[0], tape.outcomes[key].version):
            whole.outcomes[key] = tape.outcomes[key]
            whole.left[key] = tape.left.get(key, [])
    for path in tape.looks.keys() - whole.looks.keys():
        if looks := deque(look for look in tape.looks[path] if fits(path, look.version)):
            whole.looks[path] = looks
    for key, taken in tape.starts.items():
        if fits(key[0], taken.version):
            whole.starts.setdefault(key, taken)


def _edits(recorded: Iterable[Recorded], plan: Plan, after: float) -> list[tuple[int, set[str]]]:
    """The edits and migrations after a version, with all that they reach."""
    return [
        (item.version, plan.descendants({name for name in _changed(item) if name in plan.place}))
        for item in recorded
        if item.version > after and isinstance(item.event, EditApplied | RunMigrated)
    ]


def _roots(recorded: Iterable[Recorded], point: float) -> set[str]:
    """The steps that were changed in a fork until a version of it, or that ran there."""
    found: set[str] = set()
    for item in recorded:
        if item.version <= point:
            found |= _changed(item)
        if item.step is not None and (isinstance(item.event, StepCompleted) or _failed_here(item.event)):
            found.add(base_of(item.step))
    return found


def _changed(item: Recorded) -> set[str]:
    """The steps that an event says are others now."""
    if not isinstance(item.event, EditApplied | RunMigrated):
        return set()
    added = item.event.added if isinstance(item.event, RunMigrated) else ()
    return {*item.event.changed, *added, *([base_of(item.step)] if item.step is not None else [])}


def _failed_here(event: Any) -> bool:
    return isinstance(event, StepFailed) and event.source is None


async def _edited(log: Log, run: RunId, edits: Sequence[tuple[int, Edit]]) -> dict[str, dict[Identity, Done]]:
    """Effects whose values were edited, by the path of their step."""
    found: dict[str, dict[Identity, Done]] = {}
    for version, edit in edits:
        if edit.kind == "effect" and edit.request is not None:
            (request,) = await log.events(run, after=edit.request - 1, upto=edit.request)
            done = Done((run, version), values.pack(edit.value)[0])
            found.setdefault(request.step or "", {})[identity_of(request.event)] = done
    return found
