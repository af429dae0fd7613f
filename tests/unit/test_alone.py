"""One step by itself: the pipeline made for it, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from engine import Dep, Pipeline, PipelineValidationError, run_agent
from engine.alone import alone


def find() -> list[str]:
    raise AssertionError("what is given is not found again")


def rate(find: list[str], params_name: str = "x") -> dict[str, Any]:
    return {"found": len(find)}


def report(rate: dict[str, Any]) -> str:
    return f"{rate['found']} found"


def pipeline() -> Pipeline:
    """Three steps in a row, the middle one with a fallback."""
    return (
        Pipeline("research")
        .step("find", run=find)
        .step("rate", run=rate, depends_on=["find"], fallback="plain")
        .step("plain", run=find)
        .step("report", run=report, depends_on=["rate"])
    )


def test_a_step_is_given_what_it_depends_on() -> None:
    """The step runs as it is, and its output is the run's; what it depends on returns what was given."""
    result = run_agent(pipeline(), db=":memory:", only="rate", inputs={"find": ["a", "b"]})
    assert result.success
    assert result.final_output == {"found": 2}
    assert set(result.step_outputs) == {"find", "rate"}


def test_outputs_of_other_steps_can_be_given_for_conditions() -> None:
    """A condition reads an output of a step further up, if it is given."""
    made = pipeline()
    made.steps[3].condition = "steps.find.output[0] == 'a'"
    result = run_agent(made, db=":memory:", only="report", inputs={"rate": {"found": 3}, "find": ["a"]})
    assert result.final_output == "3 found"


def test_the_original_is_left_as_it_is() -> None:
    """The trial is another pipeline."""
    made = pipeline()
    alone(made, "rate", {"find": []})
    assert [step.name for step in made.steps] == ["find", "rate", "plain", "report"]
    assert made.steps[1].fallback == "plain"


def test_soft_dependencies_may_be_left_out() -> None:
    """A soft dependency that is not given has no output."""
    made = Pipeline("soft").step("find", run=find).step("rate", run=lambda find=None: find, depends_on=[Dep("find", "soft")])
    assert run_agent(made, db=":memory:", only="rate").final_output is None


def test_a_switch_alone_shows_which_branch_it_chooses() -> None:
    """Branches are there and do nothing; the one that is not chosen is skipped."""
    made = (
        Pipeline("switch")
        .step("find", run=find)
        .step("route", switch={"many": "len(steps.find.output) > 2", "few": "otherwise"}, depends_on=["find"])
        .step("many", run=find)
        .step("few", run=find)
    )
    result = run_agent(made, db=":memory:", only="route", inputs={"find": [1, 2, 3]})
    assert result.step_metadata["many"]["status"] == "completed"
    assert result.step_metadata["few"]["status"] == "skipped"


@pytest.mark.parametrize(
    ("only", "inputs", "said"),
    [
        ("rte", {}, "there is no step 'rte'; did you mean 'rate'?"),
        ("rate", {}, "inputs.find: rate depends on it; give its output"),
        ("rate", {"find": [], "fnd": 1}, "there is no step 'fnd'; did you mean 'find'?"),
        ("rate", {"find": [], "rate": 1}, "it is the step that is to run"),
    ],
)
def test_what_is_missing_or_unknown_is_said(only: str, inputs: dict[str, Any], said: str) -> None:
    """All that is wrong is told before anything runs."""
    with pytest.raises(PipelineValidationError) as caught:
        alone(pipeline(), only, inputs)
    assert said in str(caught.value)
