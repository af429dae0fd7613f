"""Whole runs by seed over the real engine, in simulated time: undisturbed, and with drivers that die and people who command.

A seed that fails is named and can be lived again alone: `SEED=123 pytest tests/simulation`. `-m torture` lives 20,000.
"""

import os
from pathlib import Path

import pytest

from engine.graph import Plan, base_of
from engine.replay.decisions import Decisions
from engine.scheduler import Schedule
from store.events import Recorded, RunMigrated, StepAdded
from store.projector import evolve
from store.state import RunState, RunStatus, StepStatus
from tests.simulation.lives import Story, lived

BLOCK = 100
ONLY = os.environ.get("SEED")
BLOCKS = [int(ONLY)] if ONLY else range(0, 1000, BLOCK)


def follows(story: Story) -> None:
    """Every recorded decision is the one that a schedule made from the events before it comes to, and no version is missing."""
    state, added = RunState(), 0
    plan = Plan(story.definitions[1], story.limit)
    for number, recorded in enumerate(story.events, 1):
        assert recorded.version == number
        if recorded.event.decision and not owed(recorded):
            decided = Schedule(plan, state).decide(state, recorded.at)
            assert decided == (recorded.event, recorded.step, recorded.attempt), (decided, recorded)
        evolve(state, recorded)
        if isinstance(recorded.event, StepAdded | RunMigrated):
            added += isinstance(recorded.event, StepAdded)
            definition = story.definitions[max(version for version in story.definitions if version <= number)]
            plan = Plan(definition, story.limit, story.added[:added])


def owed(recorded: Recorded) -> bool:
    """Whether a decision comes of a look, or of a takeover or a migration in whose commit it is."""
    reset = recorded.event.type == "step.reset" and recorded.event.reason == "the definition changed"
    return reset or recorded.event.type in ("step.evaluated", "effect.in_doubt")


def adds_up(story: Story) -> None:
    """The result says what the state says, and everything has settled."""
    result, state = story.result, story.state
    assert state.status.ended
    assert state.settled + state.nested_settled == len(state.steps)
    assert not (state.reason or "").startswith("deadlock"), state.reason
    assert result.success == (state.status is RunStatus.COMPLETED)
    completed = {name for name, step in state.steps.items() if step.status is StepStatus.COMPLETED and not step.nested}
    assert set(result.step_outputs) == completed
    assert result.failed_steps == [
        name for name, step in state.steps.items() if step.status in (StepStatus.FAILED, StepStatus.TIMED_OUT) and not step.nested
    ]


def done_once(story: Story) -> None:
    """What a driver had recorded the outcome of is not done again by a later one, and what is irreversible is done once."""
    requests: dict[int, tuple[str, int, str, str]] = {}
    known: dict[tuple[str, int, str], int] = {}
    irreversible: set[tuple[str, int, str]] = set()
    for recorded in story.events:
        event, place = recorded.event, (recorded.step or "", recorded.attempt)
        if event.type == "effect.requested":
            requests[recorded.version] = (*place, event.name, event.safety.value)
            if event.safety.value == "irreversible":
                irreversible.add((*place, event.name))
        elif event.type in ("effect.succeeded", "effect.failed"):
            path, attempt, name, _ = requests[event.request]
            known[path, attempt, name] = life_of(story, recorded)
    for life, path, attempt, name in story.world.touches:
        assert life <= known.get((path, attempt, name), life), f"{name} of {path} was done again in life {life}"
    for place in irreversible:
        assert story.world.counts[place] <= 1, f"{place} was done {story.world.counts[place]} times"


def forks_take(story: Story) -> None:
    """A fork with no edit, at whatever event, comes to the same and does nothing of itself."""
    for fork in story.forks:
        where = f"fork at {fork.version} of {len(story.events)}"
        assert not fork.touched, f"{where} touched {fork.touched}"
        assert not fork.live, f"{where} did {fork.live}"
        assert (fork.state.status, fork.state.reason) == (story.state.status, story.state.reason), where
        assert fork.result.step_outputs == story.result.step_outputs, where
        assert statuses(fork.state) == statuses(story.state), where


def edits_reach(story: Story) -> None:
    """A fork with an edited output runs what depends on it and nothing else; what does not comes to what it came to."""
    fork = story.edited
    if fork is None or fork.step is None:
        return
    plan = Plan(story.definitions[max(story.definitions)], story.limit, story.added)
    reached = plan.descendants({fork.step})
    where = f"{fork.step} edited"
    ran = {base_of(path) for _, path, _, _ in fork.touched if not path.endswith("/compensate")}
    assert {name for name in ran if name in plan.place} <= reached - {fork.step}, where
    for name in plan.names:
        if name not in reached:
            assert fork.state.steps[name].status == story.state.steps[name].status, f"{where}: {name}"
            assert fork.result.step_outputs.get(name) == story.result.step_outputs.get(name), f"{where}: {name}"


def proves(story: Story) -> None:
    """Every decision follows when it is asked again; of some seeds every attempt asks and comes to what it did, forks included."""
    decisions = Decisions(story.definitions, story.limit)
    for place, item in enumerate(story.events):
        assert decisions.check(item, story.events[place + 1 :]) is None
        decisions.fold(item)
    assert decisions.rest() is None
    assert [proof.divergence for proof in story.proofs] == [None] * len(story.proofs)


def statuses(state: RunState) -> dict[str, str]:
    """Every step's status in a word."""
    return {name: step.status.word for name, step in state.steps.items()}


def life_of(story: Story, recorded: Recorded) -> int:
    """How many drivers had died before an event."""
    return sum(recorded.version > version for version in story.deaths)


def alike(one: Story, other: Story) -> None:
    """Both came to the same: every step's status and output, and the run's."""
    told = [
        (story.result.status, story.result.step_outputs, {name: held.status.word for name, held in story.state.steps.items()})
        for story in (one, other)
    ]
    assert told[0] == told[1]


def judge(seed: int, folder: Path | None = None) -> None:
    """Live a seed twice, in memory or in a folder, and hold both lives to the laws."""
    calm_db, wild_db = (":memory:", ":memory:") if folder is None else (folder / f"{seed}-calm.db", folder / f"{seed}-wild.db")
    try:
        calm, wild = lived(seed, disturbed=False, db=calm_db), lived(seed, disturbed=True, db=wild_db)
        for story in (calm, wild):
            adds_up(story)
            follows(story)
            done_once(story)
            proves(story)
        forks_take(calm)
        edits_reach(calm)
        if not calm.racy:
            alike(calm, wild)
    except BaseException as error:
        error.add_note(f"seed {seed}: SEED={seed} pytest tests/simulation")
        raise


@pytest.mark.parametrize("first", BLOCKS)
def test_a_thousand_seeds(first: int) -> None:
    """Each seed ends, alike with and without crashes, decides what follows and does nothing twice that is recorded."""
    for seed in range(first, first + (1 if ONLY else BLOCK)):
        judge(seed)


@pytest.mark.parametrize("seed", [831, 1377, 50520, 51718, 70123, 70160, 70922, 71791, 100374])
def test_seeds_that_failed_once(seed: int) -> None:
    """Forks of racy runs whose looks, retries and added steps came in another order than in the parent, and late migrations."""
    judge(seed)


def test_seeds_on_a_file(tmp_path: Path) -> None:
    """The same over a store in a file, where commits are under way while the run goes on."""
    for seed in range(30_000, 30_015):
        judge(seed, tmp_path)


@pytest.mark.torture
@pytest.mark.parametrize("first", range(1000, 21_000, 1000))
def test_twenty_thousand_seeds(first: int) -> None:
    """The same for twenty thousand more."""
    for seed in range(first, first + 1000):
        judge(seed)
