"""What differs between the pipeline a run was recorded with and the one it would go on with, named."""

from typing import Any

import msgspec
import pytest

from engine.changes import compare
from engine.definition import Definition, Dep, ExecutionMode, StepDefinition
from engine.policies import RetryPolicy

A = StepDefinition("a", run="m:a", source="1")
B = StepDefinition("b", run="m:b", depends_on=(Dep("a"),), source="2")
G = StepDefinition("g", goal="Judge", depends_on=(Dep("b"),))
RECORDED = Definition("p", steps=(A, B, G), params={"n": 1}, shared={"s": 1}, constraints=("short",))


def changed(step: StepDefinition, **fields: Any) -> Definition:
    """The recorded definition with one step changed."""
    return msgspec.structs.replace(
        RECORDED, steps=tuple(msgspec.structs.replace(s, **fields) if s.name == step.name else s for s in RECORDED.steps)
    )


def test_the_same_pipeline_has_no_changes() -> None:
    """A definition compared with itself, also after a trip through JSON, differs in nothing."""
    changes = compare(RECORDED, Definition.from_json(RECORDED.to_json()))
    assert (changes.sentences, changes.steps, changes.sources) == ([], [], [])


@pytest.mark.parametrize(
    ("step", "fields"),
    [
        (A, {"run": "m:other"}),
        (A, {"timeout": 3.0}),
        (A, {"retry": RetryPolicy(max_retries=1)}),
        (A, {"execution_mode": ExecutionMode.CONCURRENT}),
        (A, {"irreversible": True}),
        (A, {"final": True}),
        (A, {"output_schema": {"type": "object"}}),
        (A, {"run": None, "goal": "Find"}),
        (B, {"depends_on": ()}),
        (B, {"depends_on": (Dep("a", "soft"),)}),
        (G, {"goal": "Judge well"}),
        (G, {"model": "other"}),
        (G, {"constraints": ("long",)}),
    ],
)
def test_every_changed_field_of_a_step_is_named(step: StepDefinition, fields: dict[str, Any]) -> None:
    """The sentence names the step and each of its fields that differs, and the step counts as changed."""
    changes = compare(RECORDED, changed(step, **fields))
    assert changes.steps == [step.name]
    assert len(changes.sentences) == 1
    assert repr(step.name) in changes.sentences[0]
    assert all(field in changes.sentences[0] for field in fields)


def test_cases_in_another_order_are_another_switch() -> None:
    """The first case that holds is chosen, so their order is part of what they mean."""
    first, other = {"b": "params.n > 1", "g": "params.n > 0"}, {"g": "params.n > 0", "b": "params.n > 1"}
    old = Definition("p", steps=(StepDefinition("a", switch=first),))
    new = Definition("p", steps=(StepDefinition("a", switch=other),))
    assert compare(old, new).sentences == ["step 'a' has another switch"]
    assert compare(old, Definition.from_json(old.to_json())).sentences == []


def test_a_changed_function_text_alone_is_no_change_of_the_pipeline() -> None:
    """Another source hash is told apart: it neither stops a resume nor resets a step."""
    changes = compare(RECORDED, changed(A, source="9"))
    assert (changes.sentences, changes.steps, changes.sources) == ([], [], ["a"])


def test_added_removed_renamed_and_reordered_steps_are_named() -> None:
    """A renamed step is one removed and one added; another order is a change of its own."""
    renamed = msgspec.structs.replace(RECORDED, steps=(A, msgspec.structs.replace(B, name="bb"), G))
    changes = compare(RECORDED, renamed)
    assert (changes.added, changes.removed) == (["bb"], ["b"])
    assert changes.sentences[:2] == ["step 'bb' was added", "step 'b' was removed"]
    swapped = compare(RECORDED, msgspec.structs.replace(RECORDED, steps=(B, A, G)))
    assert swapped.sentences == ["the steps stand in another order"]


@pytest.mark.parametrize(
    ("field", "value"), [("name", "q"), ("description", "d"), ("params", {"n": 2}), ("shared", {}), ("constraints", ())]
)
def test_changes_of_the_whole_pipeline_are_named(field: str, value: Any) -> None:
    """Name, description, default params, shared values and constraints are each a sentence."""
    changes = compare(RECORDED, msgspec.structs.replace(RECORDED, **{field: value}))
    assert changes.sentences == [f"the pipeline has another {field}"]


def test_values_json_has_no_word_for_are_no_change() -> None:
    """NaN, bytes and large integers among params and shared values compare equal after a trip through the store."""
    odd = msgspec.structs.replace(RECORDED, params={"n": float("nan"), "b": b"\x00", "i": 2**99}, shared={"k": {3: "\ud800"}})
    assert compare(Definition.from_json(odd.to_json()), odd).sentences == []


def test_new_constraints_change_every_goal_step() -> None:
    """Constraints are part of what each goal step is told, so all of them count as changed; function steps do not."""
    changes = compare(RECORDED, msgspec.structs.replace(RECORDED, constraints=("long",)))
    assert changes.steps == ["g"]
