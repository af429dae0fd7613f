"""What may happen to a pending step, said once more: a slow and simple reading of the rules, to hold the scheduler against.

Nothing here asks `joins.py` or `agenda.py`. Every question is answered by walking over the whole state.
"""

from engine.definition import Dep, StepDefinition
from engine.graph import COMPENSATE, Plan
from store.state import RunState, RunStatus, StepStatus, group_of

FAILED = (StepStatus.FAILED, StepStatus.TIMED_OUT)
BUSY = (StepStatus.RUNNING, StepStatus.IN_DOUBT)
UNDER_WAY = (StepStatus.RUNNING, StepStatus.WAITING, StepStatus.IN_DOUBT)


class Oracle:
    """A run's rules over one moment of it."""

    def __init__(self, plan: Plan, state: RunState) -> None:
        self.plan, self.state = plan, state
        self.steps = {name: plan.steps[name] for name in plan.names}
        self.stands_in_for = {step.fallback: name for name, step in self.steps.items() if step.fallback is not None}
        self.chooser = {branch: name for name, step in self.steps.items() for branch in step.switch or ()}

    def lost(self, path: str) -> bool:
        """Whether a step has failed and no retry is to come."""
        held = self.state.steps[path]
        if held.status not in FAILED:
            return False
        return not held.retryable or held.attempt - held.first_attempt + 1 > self.plan.step_of(path).retry.max_retries

    def settled(self, name: str) -> bool:
        """Whether a step ended for good, or what stands in for it did."""
        held = self.state.steps[name]
        if self.lost(name):
            standin = self.steps[name].fallback
            return standin is None or self.settled(standin)
        return held.status in (StepStatus.COMPLETED, StepStatus.SKIPPED, StepStatus.CANCELLED)

    def outcome(self, name: str) -> str:
        """How a settled step counts for those that depend on it: `output`, `absent` (it was not wanted) or `none`."""
        held = self.state.steps[name]
        if held.status is StepStatus.COMPLETED:
            return "output"
        if held.status is StepStatus.SKIPPED:
            return "absent" if held.passes else "none"
        standin = self.steps[name].fallback
        return self.outcome(standin) if held.status in FAILED and standin is not None else "none"

    def met(self, name: str, dep: Dep) -> bool | None:
        """Whether a dependency is met, cannot be met, or is open."""
        if dep.step in self.state.steps[name].refused:
            return False
        if dep.type == "soft" and not dep.wait:
            return True
        if dep.type == "soft" and self.chooser.get(name) != dep.step:
            return True if self.settled(dep.step) else None
        if not self.settled(dep.step):
            return None
        outcome = self.outcome(dep.step)
        let_by = dep.type == "hard" and self.steps[name].join == "all" and self.chooser.get(name) != dep.step
        return outcome == "output" or (let_by and outcome == "absent")

    def implied(self, name: str) -> list[bool | None]:
        """The same for what a step waits for as a stand-in or a branch."""
        found: list[bool | None] = []
        if name in self.stands_in_for:
            failed = self.stands_in_for[name]
            status = self.state.steps[failed].status
            done = status in (StepStatus.COMPLETED, StepStatus.SKIPPED, StepStatus.CANCELLED)
            found.append(True if self.lost(failed) else False if done else None)
        if name in self.chooser and self.chooser[name] not in [dep.step for dep in self.steps[name].depends_on]:
            found.append(self.met(name, Dep(self.chooser[name])))
        return found

    def stand(self, name: str) -> str:
        """Where a pending step stands: `impossible`, `waiting`, `skip`, `fail`, `look`, `ask` or `ready`."""
        step, held = self.steps[name], self.state.steps[name]
        own, implied = [self.met(name, dep) for dep in step.depends_on], self.implied(name)
        wanted = {"all": len(own), "any": min(1, len(own)), "first": min(1, len(own))}.get(str(step.join), step.join)
        assert isinstance(wanted, int)
        if own.count(True) + own.count(None) < wanted or False in implied:
            return "impossible"
        if own.count(True) < wanted or None in implied:
            return "waiting"
        if held.disabled or not step.enabled or held.verdict == "skip":
            return "skip"
        if held.verdict == "fail":
            return "fail"
        if self.looked_at(step) and held.verdict != "run":
            return "look"
        if step.approval is not None and (held.approval is None or held.approval.answer != "approved"):
            return "ask"
        return "ready"

    @staticmethod
    def looked_at(step: StepDefinition) -> bool:
        """Whether contents are judged before the step starts."""
        contents = any(dep.type in ("data", "validation") for dep in step.depends_on)
        return contents or step.condition is not None or step.for_each is not None or step.while_ is not None

    # -- who may be under way

    def leaves(self) -> list[str]:
        """What counts in the limit: attempts that run or are in doubt."""
        return [path for path, held in self.state.steps.items() if held.status in BUSY and not self.grouped(path)]

    def grouped(self, path: str) -> bool:
        """Whether a path is a group's own."""
        return path in self.steps and self.steps[path].many

    def chain(self, among: tuple[StepStatus, ...]) -> list[str]:
        """The serial steps of these statuses."""
        return [name for name in self.plan.serial if self.state.steps[name].status in among]

    def children(self, name: str, among: tuple[StepStatus, ...]) -> list[str]:
        """The children of a group of these statuses."""
        return [path for path, held in self.state.steps.items() if group_of(path) == name and held.status in among]

    def width(self, name: str) -> int:
        """How many children of a group may be under way."""
        return 1 if self.steps[name].while_ is not None else self.steps[name].max_concurrent or self.plan.limit

    def may_start(self, path: str, now: float) -> str | None:
        """Why a path may not start now, None when it may."""
        state, held = self.state, self.state.steps[path]
        if state.status is not RunStatus.RUNNING or state.pausing or state.cancelling:
            return "the run does not start anything"
        if (state.undoing is not None) != path.endswith(COMPENSATE):
            return "the run is undoing what it did"
        if held.status is StepStatus.WAITING:
            return self._may_retry(path, now)
        if held.status is not StepStatus.PENDING:
            return f"it is {held.status.word}"
        if not self._room(path):
            return "the limit is reached"
        if path.endswith(COMPENSATE):
            place = state.undoing.index(path) if state.undoing else 0
            return None if all(state.steps[before].status.settled for before in (state.undoing or [])[:place]) else "not its turn"
        group = group_of(path)
        if group is not None:
            running = state.steps[group].status is StepStatus.RUNNING
            return None if running and len(self.children(group, UNDER_WAY)) < self.width(group) else "its group has no room"
        if path in self.plan.serial and self.chain(UNDER_WAY):
            return "another serial step is under way"
        if path in self.plan.serial and any(self._keeps_turn(name) for name in self.plan.serial if self._before(name, path)):
            return "an earlier serial step is looked at"
        stand = self.stand(path)
        return None if stand == "ready" else stand

    def _before(self, one: str, other: str) -> bool:
        return self.plan.place[one] < self.plan.place[other]

    def _keeps_turn(self, name: str) -> bool:
        return self.state.steps[name].status is StepStatus.PENDING and self.stand(name) == "look"

    def _may_retry(self, path: str, now: float) -> str | None:
        """A retry goes beside others that wait for theirs (somebody may have asked for it), not beside what runs."""
        held, group = self.state.steps[path], group_of(path)
        if held.due is None or held.due > now or not self._room(path):
            return "its retry is not due"
        if path in self.plan.serial and self.chain(BUSY):
            return "another serial step runs"
        if group is None:
            return None
        running = self.state.steps[group].status is StepStatus.RUNNING
        return None if running and len(self.children(group, BUSY)) < self.width(group) else "its group has no room"

    def _room(self, path: str) -> bool:
        return len(self.leaves()) < self.plan.limit

    # -- the end

    def _needless(self, name: str) -> bool:
        """What it stood in for, or what that stood in for, completed after all."""
        if name not in self.stands_in_for:
            return False
        rescued = self.stands_in_for[name]
        return self.state.steps[rescued].status is StepStatus.COMPLETED or self._needless(rescued)

    def verdict(self) -> str:
        """How a run whose steps have all settled ends."""
        if self.state.cancelling:
            return "cancelled"
        if any(self.lost(name) and self.outcome(name) != "output" and not self._needless(name) for name in self.plan.names):
            return "failed"
        return "completed"
