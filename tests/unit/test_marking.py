"""Checkpoints that a pipeline makes by itself: where each stands, that none is made twice, and what can be named."""

from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from engine import Pipeline
from engine.commands import facts_of, refusal
from engine.definition import CHECKPOINTS, Approval, Definition, StepDefinition
from engine.errors import CheckpointNameError, CommandRefusedError
from engine.files import parse
from engine.graph import Plan
from engine.marking import before
from engine.policies import RetryPolicy
from engine.record import Record
from engine.written import Written
from store.events import (
    ApprovalGiven,
    CheckpointMade,
    Failure,
    Payload,
    Recorded,
    RunAttached,
    RunCreated,
    StepCompleted,
    StepFailed,
    StepReset,
    StepReused,
    StepStarted,
)
from store.projector import evolve, project
from store.state import RunState
from tests.deciding import Run, plan_of, step


class Kept:
    """What a lease is asked to keep."""

    def __init__(self) -> None:
        self.commits: list[list[Recorded]] = []

    def append(self, batch: Sequence[Recorded], blobs: Any = (), **_: Any) -> None:
        self.commits.append(list(batch))

    def snapshot(self, state: RunState) -> None:
        """Nothing is kept."""


def begun(*steps: StepDefinition, points: Sequence[str] = CHECKPOINTS, now: float = 1000.0) -> Record:
    """A run of these steps that a driver has taken up, which makes checkpoints at these points."""
    plan = Plan(Definition("p", steps=steps, checkpoints=tuple(points)), 5)
    state = project([Recorded(1, 1000.0, RunCreated("p", "0" * 64, list(plan.names)), actor="user")])
    record = Record(Kept(), state, plan, lambda: now)  # type: ignore[arg-type]
    record.commit([(RunAttached(1, 1.0), None, 0)])
    return record


def told(record: Record) -> list[list[str]]:
    """All commits as types and steps, checkpoints by name."""
    kept: Any = record.lease
    return [[_word(one) for one in batch] for batch in kept.commits]


def _word(one: Recorded) -> str:
    if isinstance(one.event, CheckpointMade):
        return f"{one.event.kind} {one.event.name}"
    return f"{one.event.type} {one.step or ''}".strip()


FAILED = Failure("error", "it broke")


def test_a_step_is_marked_where_it_has_completed_and_nothing_follows_yet() -> None:
    """With `checkpoint` the mark comes right behind the completion, by the step's name or another, before what that starts."""
    record = begun(
        msgspec.structs.replace(step("a"), checkpoint=True), msgspec.structs.replace(step("b", "a"), checkpoint="tidy"), points=()
    )
    record.commit([(StepCompleted(), "a", 1)])
    record.commit([(StepReused(("other", 9)), "b", 1)])
    assert told(record)[1:] == [
        ["step.completed a", "step a", "step.started b"],
        ["step.reused b", "step tidy", "run.completed"],
    ]


def test_approvals_and_irreversible_steps_are_marked_before_they_begin() -> None:
    """The mark stands before the request and before the start, with the cause of what it precedes."""
    record = begun(msgspec.structs.replace(step("pay"), approval=Approval(), irreversible=True))
    record.commit([(ApprovalGiven(True), "pay", 0)])
    assert told(record) == [
        ["run.attached", "approval approval.pay", "approval.requested pay"],
        ["approval.given pay", "irreversible irreversible.pay", "step.started pay"],
    ]
    kept: Any = record.lease
    assert [one.causation for one in kept.commits[1]] == [None, 5, 5]
    assert [one.attempt for one in kept.commits[1]] == [0, 1, 1]


def test_a_failure_is_marked_when_no_retry_follows() -> None:
    """A failure that is tried again is none; the last one is, before what is skipped for it; the end is marked behind the end."""
    record = begun(step("a", retry=RetryPolicy(max_retries=1, delay=0, jitter=0)), step("b", "a"))
    record.commit([(StepFailed(FAILED), "a", 1)])
    record.commit([(StepFailed(FAILED), "a", 2)])
    assert told(record)[1:] == [
        ["step.failed a", "step.retry_scheduled a", "step.started a"],
        ["step.failed a", "failure failure.a", "step.skipped b", "run.failed", "end end"],
    ]


def test_a_step_that_was_rejected_has_failed_for_good() -> None:
    """A refusal is a decision, and is marked like a failure."""
    record = begun(msgspec.structs.replace(step("a"), approval=Approval()), points=["failure"])
    record.commit([(ApprovalGiven(False), "a", 0)])
    assert told(record)[1] == ["approval.given a", "step.refused a", "failure failure.a", "run.failed"]


@pytest.mark.parametrize("point", CHECKPOINTS)
def test_each_point_is_chosen_by_itself(point: str) -> None:
    """Only what was asked for is marked."""
    record = begun(msgspec.structs.replace(step("a"), approval=Approval(), irreversible=True), points=[point])
    record.commit([(ApprovalGiven(True), "a", 0)])
    record.commit([(StepFailed(FAILED), "a", 1)])
    kept: Any = record.lease
    assert [e.event.kind for batch in kept.commits for e in batch if isinstance(e.event, CheckpointMade)] == [point]


def test_a_mark_that_is_recorded_is_not_made_again() -> None:
    """A log that ends at a mark (a fork there) goes on with what it precedes; a new attempt, or a reset, has its own."""
    definition = msgspec.structs.replace(step("pay"), irreversible=True)
    plan = Plan(Definition("p", steps=(definition,), checkpoints=("irreversible",)), 5)
    state = project([Recorded(1, 1.0, RunCreated("p", "0" * 64, ["pay"]))])
    mark = before(plan, state, StepStarted(), "pay", 1)
    assert mark == CheckpointMade("irreversible.pay", "irreversible")
    evolve(state, Recorded(2, 1.0, mark, "pay", 1))
    assert before(plan, state, StepStarted(), "pay", 1) is None
    assert before(plan, state, StepStarted(), "pay", 2) is not None
    evolve(state, Recorded(3, 1.0, StepReset(), "pay", 1))
    assert before(plan, state, StepStarted(), "pay", 1) is not None


def test_a_pipeline_without_checkpoints_records_none() -> None:
    """Nothing is asked for, so nothing is added."""
    assert not plan_of(step("a")).marking
    record = begun(step("a"), points=())
    record.commit([(StepCompleted(), "a", 1)])
    assert told(record)[1] == ["step.completed a", "run.completed"]


def test_a_checkpoint_is_told_apart_by_name_kind_and_metadata() -> None:
    """What an attempt recorded before a crash answers once for the same; other metadata, or one made by itself, is another."""
    written = Written()
    made = CheckpointMade("here", metadata=Payload(7, msgspec.Raw(b'{"n":1}')))
    written.remember(Recorded(1, 0.0, CheckpointMade("here", "irreversible"), "a", 1))
    written.remember(Recorded(2, 0.0, made, "a", 1))
    assert not written.again(("a", 1), CheckpointMade("here"))
    assert [written.again(("a", 1), made) for _ in range(2)] == [True, False]


def test_the_command_becomes_a_checkpoint_also_after_the_end() -> None:
    """A signal and the checkpoint, with what was said of it; a run that has ended can be marked too."""
    run = Run(plan_of(step("a")))
    run.attach()
    run.complete("a")
    assert refusal(run.state, "checkpoint", {"name": "done"}) is None
    facts, blobs = facts_of(run.state, "checkpoint", {"name": "done", "metadata": {"note": "x" * 2000}}, 4, strict=True)
    assert [event.type for event, _, _ in facts] == ["signal.received", "checkpoint.made"]
    assert facts[1][0].metadata.blob in {hash for hash, _ in blobs}
    bare, _ = facts_of(run.state, "checkpoint", {"name": "done"}, strict=True)
    assert bare[1][0] == CheckpointMade("done")


@pytest.mark.parametrize("name", ["", " ", "12", "7up", "a:start", "@a", "a#2", "a ", "a\nb", "x" * 101, None, 3, ["a"]])
def test_a_name_that_could_be_another_place_is_refused(name: Any) -> None:
    """No number, time, boundary or nothing at all: as a command, on a step, and in a file, in a sentence."""
    run = Run(plan_of(step("a")))
    with pytest.raises(CommandRefusedError, match="is no name of a checkpoint; give a letter"):
        facts_of(run.state, "checkpoint", {"name": name}, strict=True)
    found = Pipeline("p").step("x", run=test_each_point_is_chosen_by_itself, checkpoint=name).problems(["point"])
    assert [problem.where for problem in found] == ["steps.x.checkpoint"]


def test_metadata_are_values_by_name() -> None:
    """Anything else is refused."""
    with pytest.raises(CommandRefusedError, match="values by name"):
        facts_of(Run(plan_of(step("a"))).state, "checkpoint", {"name": "a", "metadata": [1]}, strict=True)
    assert issubclass(CheckpointNameError, Exception)


FILE = """
name: p
checkpoints: [approval, end]
steps:
  - {name: a, goal: g, checkpoint: true}
  - {name: b, goal: g, checkpoint: tidy state, depends_on: a}
"""


@pytest.mark.parametrize("as_json", [False, True])
def test_a_file_says_the_same(as_json: bool) -> None:
    """Both options are read and written in the file's words; a bare word is a list of one."""
    definition = parse(FILE).pipeline.define()
    assert definition.checkpoints == ("approval", "end")
    assert [one.checkpoint for one in definition.steps] == [True, "tidy state"]
    text = parse(FILE).pipeline.to_json() if as_json else parse(FILE).pipeline.to_yaml()
    assert parse(text, json=as_json).pipeline.define() == definition
    assert parse(FILE.replace("[approval, end]", "end")).pipeline.checkpoints == ["end"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            FILE.replace("[approval, end]", "[aproval]"),
            "checkpoints: is 'aproval'; use approval, irreversible, failure or end; did",
        ),
        (FILE.replace("[approval, end]", "[1]"), "checkpoints[0]: is the number 1, not text"),
        (FILE.replace("true", "3"), "steps.a.checkpoint: is the number 3; write true or a name"),
        (FILE.replace("tidy state", "'12'"), "steps.b.checkpoint: is '12'; give True or a name"),
    ],
)
def test_a_wrong_word_is_told_with_its_line(text: str, said: str) -> None:
    """What is wrong, where, and what was probably meant."""
    found = [str(problem) for problem in parse(text, "f.yaml").problems()]
    assert len(found) == 1
    assert found[0].startswith("f.yaml:")
    assert said in found[0]


def test_a_part_brings_its_checkpoints_along() -> None:
    """Included and joined pipelines mark where either does; copies are apart."""
    one = Pipeline("one", checkpoints="end").step("a", "g")
    two = Pipeline("two", checkpoints=["failure", "end"]).step("b", "g")
    assert one.then(two).checkpoints == ["end", "failure"]
    assert one.checkpoints == ["end"]


def test_a_driver_that_takes_over_after_any_commit_makes_the_same_marks() -> None:
    """Whichever commit was the last before a crash, what follows is marked as it would have been, each once."""
    steps = (
        msgspec.structs.replace(step("a"), approval=Approval(), irreversible=True, checkpoint=True),
        step("b", "a", retry=RetryPolicy(max_retries=1, delay=0, jitter=0)),
    )
    script: list[tuple[Any, str, int]] = [
        (ApprovalGiven(True), "a", 0),
        (StepCompleted(), "a", 1),
        (StepFailed(FAILED), "b", 1),
        (StepFailed(FAILED), "b", 2),
    ]
    wanted = ["approval.a", "irreversible.a", "a", "failure.b", "end"]
    for crashed in range(len(script) + 1):
        record = begun(*steps)
        kept: Any = record.lease
        created = Recorded(1, 1000.0, RunCreated("p", "0" * 64, ["a", "b"]), actor="user")
        for place, fact in enumerate(script):
            if place == crashed:
                state = project([created, *(one for batch in kept.commits for one in batch)])
                record = Record(kept, state, Plan(record.plan.definition, 5), lambda: 1000.0)
                record.commit([(RunAttached(2, 2.0), None, 0)])
            record.commit([fact])
        assert [e.event.name for batch in kept.commits for e in batch if isinstance(e.event, CheckpointMade)] == wanted, crashed
