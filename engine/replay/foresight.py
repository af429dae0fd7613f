"""What a fork would run again, and what that cost in the past: for `--dry-run` and the dialog. Reads, makes nothing.

Stands apart from planning because it judges from the parent's whole life, which the fork itself does not need.
"""

from __future__ import annotations

import msgspec

from engine.graph import Plan, base_of
from engine.parental import OUTCOMES
from engine.replay.forking import Fork
from store import Log
from store.events import EffectRequested, Safety
from store.state import RunState, StepStatus, children_of


class Again(msgspec.Struct, frozen=True):
    """A step that would run: why, and what it used in the parent (`cost` in US dollars, `seconds` of its last attempt).

    `known` is false where the parent never ran it, so that nothing is known of its price. `asks` are its irreversible effects in
    the parent, each of which is asked about before it is done once more.
    """

    step: str
    why: str
    known: bool
    cost: float
    unpriced: int
    tokens: int
    calls: int
    seconds: float
    asks: list[str]


class Foreseen(msgspec.Struct, frozen=True):
    """What a fork after event `version` of `parent` would do: `again` runs, `taken` comes to what it came to, `kept` is its past.

    `changes` are sentences about the definition.
    """

    parent: str
    version: int
    again: list[Again]
    taken: list[str]
    kept: list[str]
    changes: list[str]

    @property
    def cost(self) -> float:
        """What the steps that would run again cost in the past; effects that are taken will cost nothing, so it is a most."""
        return sum(step.cost for step in self.again)


async def foreseen(log: Log, fork: Fork) -> Foreseen:
    """What a planned fork would run again."""
    past = await log.state(fork.parent)
    state = await log.state(fork.parent, fork.version)
    plan = Plan(fork.definition, 1, fork.added)
    tape = await log.events(fork.parent, after=fork.version, types=OUTCOMES)
    settled = {base_of(item.step or "") for item in tape if item.event.type in ("step.completed", "step.reused", "step.failed")}
    risky: dict[str, list[str]] = {}
    for item in await log.events(fork.parent, types={EffectRequested.type}):
        if item.event.safety is Safety.IRREVERSIBLE:
            risky.setdefault(base_of(item.step or ""), []).append(f"{item.event.kind} {item.event.name}")
    found = Foreseen(fork.parent, fork.version, [], [], [], list(fork.sentences))
    for name in plan.names:
        held = state.steps.get(name)
        done = held is not None and held.status.settled and held.status not in (StepStatus.FAILED, StepStatus.TIMED_OUT)
        if name in fork.affected:
            found.again.append(_again(past, name, _why(fork, plan, name), risky.get(name, [])))
        elif done:
            found.kept.append(name)
        elif name in settled or (name in past.steps and past.steps[name].status.settled):
            found.taken.append(name)
        else:
            found.again.append(_again(past, name, "it was not finished", risky.get(name, [])))
    return found


def _why(fork: Fork, plan: Plan, name: str) -> str:
    for dep in plan.deps[name]:
        if dep.step in fork.affected or dep.step in fork.edited:
            return f"it depends on {dep.step}"
    if name in fork.remembered:
        return f"it read what {fork.remembered[name]} had put into the run's memory"
    return "it was changed"


def _again(past: RunState, name: str, why: str, asks: list[str]) -> Again:
    step = past.steps.get(name)
    if step is None or not step.attempt:
        return Again(name, why, False, 0.0, 0, 0, 0, 0.0, asks)
    all_of_it = [step, *(past.steps[child] for child in children_of(past, name))]
    return Again(
        name, why, True, sum(one.cost for one in all_of_it), sum(one.unpriced for one in all_of_it),
        sum(one.prompt_tokens + one.completion_tokens for one in all_of_it), sum(one.calls for one in all_of_it),
        (step.ended_at or past.last_at) - (step.started_at or past.last_at), list(dict.fromkeys(asks)),
    )  # fmt: skip
