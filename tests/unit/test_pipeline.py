"""A pipeline as it is written, and as plain values that a run pins."""

import functools
from typing import Any

from engine import Dep, ExecutionMode, Pipeline, RetryPolicy
from engine.definition import Definition, StepDefinition
from engine.references import reference, source_hash


def body(x: int) -> int:
    return x


async def other() -> int:
    return 1


class Thing:
    def method(self) -> int:
        return 1

    def __call__(self) -> int:
        return 2


def test_steps_chain_and_become_plain_values() -> None:
    """Options of a step are in its definition, with what was said as short words spelled out."""
    pipeline = (
        Pipeline("p", "Why", params={"x": (1, 2)})
        .shared("s", {"k": {1}})
        .constraint("short", "kind")
        .step("a", run=body, timeout=3, max_retries=1, execution_mode="concurrent", irreversible=True)
        .step("g", "Say", depends_on=["a", Dep("a2")], constraints=["c"], model="m", final=True)
        .step("a2", run=other, retry=RetryPolicy(backoff="fixed"), depends_on="a", output_schema={"type": "integer"})
    )
    definition = pipeline.define()
    a, g, a2 = definition.steps
    assert (definition.name, definition.description, definition.constraints) == ("p", "Why", ("short", "kind"))
    assert (definition.params, definition.shared) == ({"x": [1, 2]}, {"s": {"k": [1]}})
    assert (a.kind, a.run, a.timeout, a.execution_mode, a.irreversible) == (
        "f",
        f"{__name__}:body",
        3.0,
        ExecutionMode.CONCURRENT,
        True,
    )
    assert a.retry == RetryPolicy(max_retries=1)
    assert (g.kind, g.goal, g.depends_on, g.model, g.final) == ("g", "Say", (Dep("a"), Dep("a2")), "m", True)
    assert (a2.retry.backoff, a2.depends_on, a2.output_schema) == ("fixed", (Dep("a"),), {"type": "integer"})


def test_a_definition_reads_back_from_its_json() -> None:
    """The text is canonical: equal definitions have equal text, and it gives the same definition."""
    pipeline = Pipeline("p", params={"b": 2**90, "a": b"\x00", "c": {1: "\ud800"}}).step(
        "a", run=body, retry=RetryPolicy(delay=0.5)
    )
    definition = pipeline.define(["x"])
    text = definition.to_json()
    assert Definition.from_json(text) == definition
    assert Definition.from_json(text).to_json() == text
    assert pipeline.copy().define(["x"]).to_json() == text


def test_the_cases_of_a_switch_stay_in_their_order() -> None:
    """The first case that holds is chosen, so a definition and a step that are read back ask them as they were written."""
    definition = Pipeline("p").step("r", switch={"z": "params.n > 1", "a": "params.n > 0", "m": "otherwise"}, run=body)
    for name in ("z", "a", "m"):
        definition.step(name, run=body)
    made = definition.define()
    for read in (Definition.from_json(made.to_json()).steps[0], StepDefinition.from_json(made.steps[0].to_json())):
        assert list(read.switch or ()) == ["z", "a", "m"]
        assert read == made.steps[0]


def test_the_text_of_a_function_is_no_part_of_the_pin() -> None:
    """`pinned` leaves out the hashes of functions' texts, and nothing else."""
    definition = Pipeline("p").step("a", run=body).define()
    assert definition.steps[0].source == source_hash(body)
    assert definition.pinned().steps[0].source is None
    assert definition.pinned().steps[0].run == definition.steps[0].run


def test_a_copy_is_not_reached_by_later_changes() -> None:
    """Steps, params, shared values and constraints of a copy stand when the original changes."""
    pipeline = Pipeline("p", params={"x": 1}).shared("s", 1).constraint("c").step("a", run=body)
    before = pipeline.copy()
    pipeline.steps[0].timeout = 9
    pipeline.step("b", run=body).shared("t", 2).constraint("d")
    pipeline.params["x"] = 2
    assert [step.name for step in before.steps] == ["a"]
    assert before.steps[0].timeout is None
    assert (before.params, before.shared_values, before.constraints) == ({"x": 1}, {"s": 1}, ["c"])


def test_functions_of_every_kind_have_a_reference() -> None:
    """Plain, wrapped, bound, partial and callable objects: what can be found by it, or at least tells what it was."""

    @functools.wraps(body)
    def wrapped(*arguments: Any) -> Any:
        return body(*arguments)

    assert reference(body) == reference(wrapped) == f"{__name__}:body"
    assert reference(Thing().method) == f"{__name__}:Thing.method"
    assert reference(Thing()) == f"{__name__}:Thing"
    assert reference(functools.partial(body, 1)) == "functools:partial"
    assert "<lambda>" in reference(lambda: 1)
    assert source_hash(functools.partial(body, 1)) is None
    assert source_hash(body) != source_hash(other)
