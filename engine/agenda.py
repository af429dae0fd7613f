"""What waits to be decided: an index over plan and state, rebuilt from any state and advanced by each event. Pure.

Stands apart from the decisions (`scheduler.py`) because this only finds who is concerned: what an event makes ready is found from
that event's dependants, so 10,000 steps cost 10,000 times one. Everything is kept by place in the definition, so that an index that
was rebuilt gives the same next decision as one that grew.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterable

from engine.definition import StepDefinition
from engine.graph import COMPENSATE, Plan, base_of
from engine.joins import FAILURES, verdict
from store.events import (
    ApprovalExpired,
    ApprovalGiven,
    ApprovalRequested,
    EditApplied,
    Recorded,
    RunAttached,
    RunCompensating,
    RunMigrated,
    RunReopened,
    StepAdded,
    StepCancelled,
    StepCompleted,
    StepEnabled,
    StepEvaluated,
    StepFailed,
    StepRefused,
    StepReset,
    StepRetryScheduled,
    StepReused,
    StepSkipped,
    StepStarted,
)
from store.state import RunState, StepState, StepStatus, child_of, group_of

PENDING, RUNNING, WAITING, IN_DOUBT = StepStatus.PENDING, StepStatus.RUNNING, StepStatus.WAITING, StepStatus.IN_DOUBT
COMPLETED, SKIPPED = StepStatus.COMPLETED, StepStatus.SKIPPED


class Group:
    """A running group: how many children it has gone through, and which of them, or of those behind, have not settled."""

    __slots__ = ("active", "taken")

    def __init__(self) -> None:
        self.taken = 0
        self.active: set[int] = set()


class Agenda:
    """Queues of what is to be decided next. Call `note` after each event is folded.

    `missing` counts for each pending step the dependencies it still waits for, `spare` how many more may come to nothing; `ready`
    and `ready_serial` are places of steps that may start, `late` of those whose retry is due but which have no room; `chain` has
    the serial steps under way; `looking` are steps whose outputs somebody has to look at, `turns` the places of the serial ones
    among them: their turn has come, and later ones do not take it.
    """

    def __init__(self, plan: Plan, state: RunState) -> None:
        self.plan = plan
        self.doubts: deque[int] = deque()
        self.resets: deque[tuple[str, str]] = deque()
        self.build(state)

    def build(self, state: RunState) -> None:
        """Make the index from nothing but plan and state."""
        self.missing: dict[str, int] = {}
        self.implied: dict[str, int] = {}
        self.spare: dict[str, int] = {}
        self.ready: list[int] = []
        self.ready_serial: list[int] = []
        self.chain: set[str] = set()
        self.late: list[int] = []
        self.timers: list[tuple[float, int]] = []
        self.deadlines: list[tuple[float, int]] = []
        self.failed: list[int] = []
        self.final: set[str] = set()
        self.skips: list[int] = []
        self.refusals: list[int] = []
        self.asks: list[int] = []
        self.losers: list[int] = []
        self.drops: list[int] = []
        self.looking: dict[str, None] = {}
        self.turns: list[int] = []
        self.groups: dict[str, Group] = {}
        self.cancels: deque[str] | None = None
        self.fallen: tuple[str, deque[str]] | None = None
        self.stale = False
        steps = state.steps
        for name, step in steps.items():
            if name in self.plan.place and all(dep.step in steps for dep in self.plan.deps[name]):
                self._place(state, name, step)
            elif group_of(name) in self.plan.place:
                self._place_child(name, step)
        for name in self.groups:
            self._open(state, name)

    def _place(self, state: RunState, name: str, step: StepState) -> None:
        status, key = step.status, self.plan.place[name]
        if status is PENDING:
            self._count(state, name, step)
        elif status in FAILURES:
            heapq.heappush(self.failed, key)
        elif name in self.plan.serial and not status.settled:
            self.chain.add(name)
        if status is WAITING:
            self._place_waiting(step, key)
        elif status is RUNNING and step.items is not None:
            self.groups[name] = Group()

    def _place_waiting(self, step: StepState, key: int) -> None:
        if step.due is not None:
            heapq.heappush(self.timers, (step.due, key))
        elif step.approval is not None and step.approval.answer == "rejected":
            heapq.heappush(self.refusals, key)
        elif step.approval is not None and step.approval.due is not None:
            heapq.heappush(self.deadlines, (step.approval.due, key))

    def _place_child(self, path: str, step: StepState) -> None:
        if step.status in FAILURES:
            heapq.heappush(self.failed, self.plan.key(path))
        elif step.status is WAITING and step.due is not None:
            heapq.heappush(self.timers, (step.due, self.plan.key(path)))

    def _open(self, state: RunState, name: str) -> None:
        """Count what a running group has under way, and take up what it may take up now."""
        group = self.groups[name]
        for index in range(state.steps[name].items or 0):
            path = child_of(name, index)
            status = state.steps[path].status
            decided = status.settled and (status not in FAILURES or path in self.final)
            if not decided and status is not PENDING:
                group.active.add(index)
        self._take_up(state, name)

    # -- counting dependencies

    def _count(self, state: RunState, name: str, step: StepState) -> None:
        own, deps = len(self.plan.needs[name]), self.plan.deps[name]
        needed = self.plan.required(name)
        met = unmet = 0
        implied = len(deps) - own
        blocked = False
        for index, dep in enumerate(deps):
            found = verdict(self.plan, state, name, dep, self.final)
            if index < own:
                met += found is True
                unmet += found is False
            else:
                implied -= found is True
                blocked = blocked or found is False
        self.missing[name], self.spare[name] = needed - met, own - needed - unmet
        if implied:
            self.implied[name] = implied
        if blocked or self.spare[name] < 0:
            heapq.heappush(self.skips, self.plan.place[name])
        elif self.missing[name] <= 0 and not implied:
            self._push(state, name, step)

    def _tell(self, state: RunState, name: str) -> None:
        """A step has settled for good: count it for each that depends on it, or on what it stands in for."""
        plan, steps, missing = self.plan, state.steps, self.missing
        completed = steps[name].status is COMPLETED
        for dependant in plan.dependants[name]:
            if dependant not in missing:
                continue
            if completed and dependant in plan.simple and not steps[dependant].refused:  # the usual case, in one go
                missing[dependant] -= 1
                if missing[dependant] <= 0 and self.spare[dependant] >= 0:
                    self._push(state, dependant, steps[dependant])
            else:
                self._tell_one(state, dependant, name)
        rescued = self.plan.rescues.get(name)
        if rescued is not None and state.steps[rescued].status in FAILURES:
            self._tell(state, rescued)

    def _tell_one(self, state: RunState, dependant: str, name: str) -> None:
        if name in state.steps[dependant].refused:
            return  # counted when it was refused
        if dependant in self.plan.simple:
            own, found = True, self._simple_verdict(state, dependant, name)
        else:
            deps = self.plan.deps[dependant]
            place = next(index for index, dep in enumerate(deps) if dep.step == name)
            own, found = place < len(self.plan.needs[dependant]), verdict(self.plan, state, dependant, deps[place], self.final)
            if own and deps[place].type == "soft" and not deps[place].wait:
                return  # counted from the beginning
        if found is None:
            return
        if found and own:
            self.missing[dependant] -= 1
        elif found:
            self.implied[dependant] -= 1
        elif own:
            self.spare[dependant] -= 1
        if (not found and not own) or self.spare[dependant] < 0:
            heapq.heappush(self.skips, self.plan.place[dependant])
        elif found and self.missing[dependant] <= 0 and not self.implied.get(dependant):
            self._push(state, dependant, state.steps[dependant])

    def _simple_verdict(self, state: RunState, dependant: str, name: str) -> bool | None:
        """The verdict on a hard, data or validation dependency with nothing standing in for it, without searching for it."""
        held = state.steps[name]
        if held.status is COMPLETED:
            return name not in state.steps[dependant].refused
        if held.status is SKIPPED and held.passes:
            return next(
                verdict(self.plan, state, dependant, dep, self.final) for dep in self.plan.deps[dependant] if dep.step == name
            )
        return False if held.status.settled else None

    def _push(self, state: RunState, name: str, step: StepState) -> None:
        """All that a step needs is there: on to its conditions, its approval, or its start."""
        key = self.plan.place[name]
        if name in self.plan.prompt and not step.disabled:
            heapq.heappush(self.ready_serial if name in self.plan.serial else self.ready, key)
            return
        definition = self.plan.steps[name]
        if definition.join == "first":
            heapq.heappush(self.losers, key)
        if step.disabled or not definition.enabled or step.verdict == "skip":
            heapq.heappush(self.skips, key)
        elif step.verdict == "fail":
            heapq.heappush(self.refusals, key)
        elif not step.verdict and name in self.plan.looks:
            self.looking[name] = None
            if name in self.plan.serial:
                heapq.heappush(self.turns, key)
        elif definition.approval is not None and step.approval is None:
            heapq.heappush(self.asks, key)
        else:
            heapq.heappush(self.ready_serial if name in self.plan.serial else self.ready, key)

    def comes_after_a_look(self, key: int) -> bool:
        """Whether the turn is that of an earlier serial step which somebody looks at."""
        while self.turns and self.plan.path(self.turns[0]) not in self.looking:
            heapq.heappop(self.turns)
        return bool(self.turns) and self.turns[0] < key

    # -- advancing

    def note(self, state: RunState, recorded: Recorded) -> None:
        """Take in an event that was just folded into `state`."""
        kind, path = type(recorded.event), recorded.step
        if path is None:
            self._note_run(state, recorded)
        elif kind is StepStarted:
            self._note_start(state, path)
        elif kind is StepCompleted or kind is StepReused:
            self.looking.pop(path, None)
            self._settle(state, path)
            if recorded.event.closes:
                self._close(state, recorded.event.closes)
        elif kind is StepFailed or kind is StepRefused:
            self.looking.pop(path, None)
            if COMPENSATE not in path and self.plan.knows(path):
                heapq.heappush(self.failed, self.plan.key(path))
        elif kind is StepRetryScheduled:
            self.stale |= path in self.final  # somebody asked for it: what was counted as failed is open again
            if COMPENSATE not in path:
                heapq.heappush(self.timers, (recorded.event.due, self.plan.key(path)))
            if path in self.plan.serial:
                self.chain.add(path)
        elif kind is StepSkipped or kind is StepCancelled:
            self.looking.pop(path, None)
            self._settle(state, path)
        elif kind is StepReset:
            self.stale = True
        elif kind in _RARE:
            self._note_rare(state, path, recorded)

    def _note_run(self, state: RunState, recorded: Recorded) -> None:
        kind = type(recorded.event)
        if kind is RunAttached:
            self.doubts.extend(request for request, effect in state.open.items() if effect.safety == "irreversible")
        elif kind is RunMigrated or kind is EditApplied:
            self._reset(state, recorded.event.changed, _RESETS[kind])
        elif kind is RunReopened or kind is RunCompensating:
            self.stale = True

    def _reset(self, state: RunState, changed: Iterable[str], reason: str, kept: str | None = None) -> None:
        """What was changed starts over, and all that depends on it; not `kept`, which was given its output."""
        self.stale = True
        known = {name for name in changed if name in self.plan.place}
        found = self.plan.descendants(known, lambda name: name in state.steps and state.steps[name].status in FAILURES)
        self.resets.extend((name, reason) for name in sorted(found - {kept}, key=self.plan.place.__getitem__))

    def _note_start(self, state: RunState, path: str) -> None:
        if path in self.plan.serial:
            self.chain.add(path)
        if path in self.missing:
            del self.missing[path], self.spare[path]
        if state.steps[path].items is not None:
            self.groups[path] = Group()
            self._open(state, path)

    def _note_rare(self, state: RunState, path: str, recorded: Recorded) -> None:
        event = recorded.event
        if isinstance(event, StepAdded):
            self.plan.add(StepDefinition.from_json(event.definition), event.before)
            self.stale = True
            for name in event.before:  # a look under way has seen too little
                self.looking.pop(name, None)
        elif isinstance(event, StepEnabled):
            self.stale = True
        elif isinstance(event, EditApplied):
            edited = base_of(path)
            self._reset(state, [*event.changed, edited], _RESETS[EditApplied], None if event.output is None else edited)
        elif isinstance(event, StepEvaluated):
            self.looking.pop(path, None)
            if path in self.groups:
                self._take_up(state, path)
            elif path in self.plan.place and state.steps[path].status is PENDING:
                self._count(state, path, state.steps[path])
        elif isinstance(event, ApprovalRequested):
            if event.due is not None:
                heapq.heappush(self.deadlines, (event.due, self.plan.key(path)))
            if path in self.plan.serial:
                self.chain.add(path)
        else:
            self._note_answer(state, path)

    def _note_answer(self, state: RunState, path: str) -> None:
        """A step's approval was given or refused: it goes on, or is refused."""
        step = state.steps[path]
        if step.status is WAITING:
            heapq.heappush(self.refusals, self.plan.key(path))
            return
        self.chain.discard(path)
        if step.status is PENDING:
            self._count(state, path, step)  # what it needs may be tried again meanwhile

    def _close(self, state: RunState, branches: list[str]) -> None:
        """Branches that were not chosen are skipped, also those that needed nothing more to start."""
        for name in branches:
            if name in self.missing and self.missing[name] <= 0 and not self.implied.get(name):
                self.looking.pop(name, None)
                self._push(state, name, state.steps[name])

    def _settle(self, state: RunState, path: str) -> None:
        """A step or child will not run any more, however it ended."""
        self.chain.discard(path)
        if path in self.missing:
            del self.missing[path], self.spare[path]
        if path in self.plan.place:
            self.groups.pop(path, None)
            self._tell(state, path)
        elif (group := group_of(path)) is not None:
            self._settle_child(state, group, int(path[len(group) + 1 : -1]))

    def has_room(self, state: RunState, path: str) -> bool:
        """Whether a step that waits for its retry may run beside what runs: in the chain of serial ones, in its group."""
        if path in self.plan.serial:
            return not any(state.steps[name].status in _BUSY for name in self.chain)
        group = group_of(path)
        if group is None:
            return True
        if group not in self.groups:
            return False
        active = self.groups[group].active
        return sum(state.steps[child_of(group, index)].status in _BUSY for index in active) < self.plan.width(group)

    def _settle_child(self, state: RunState, name: str, index: int) -> None:
        group = self.groups.get(name)
        if group is not None:
            group.active.discard(index)
            self._take_up(state, name)

    def _take_up(self, state: RunState, name: str) -> None:
        """Let the next children of a group be ready, as many as it may have under way; a look is wanted when none is left."""
        group, held = self.groups[name], state.steps[name]
        items, most = held.items or 0, self.plan.width(name)
        while group.taken < items and len(group.active) < most:
            child = state.steps[child_of(name, group.taken)]
            group.taken += 1
            if child.status is PENDING:
                group.active.add(group.taken - 1)
                heapq.heappush(self.ready, self.plan.place[name] + group.taken)
        if group.taken >= items and not group.active and held.status is RUNNING:
            self.looking[name] = None

    def give_up(self, state: RunState, path: str) -> None:
        """A failed step has no retry to come: it counts as settled from here."""
        self.final.add(path)
        group = group_of(path)
        if group is not None and self.plan.steps[group].item_failures == "fail" and group in self.groups:
            heapq.heappush(self.drops, self.plan.place[group])
        self._settle(state, path)


_BUSY = (RUNNING, IN_DOUBT)
_RESETS: dict[type, str] = {RunMigrated: "the definition changed", EditApplied: "an edit reached it"}
_RARE = frozenset({EditApplied, StepAdded, StepEnabled, StepEvaluated, ApprovalRequested, ApprovalGiven, ApprovalExpired})
