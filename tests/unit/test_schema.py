"""The published schema takes what the reader takes and refuses what it refuses."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from jsonschema import Draft202012Validator

from engine import Pipeline
from engine.documents import read_json, read_yaml
from engine.errors import PipelineFileError
from engine.fields import PIPELINE, STEP
from engine.files import parse
from engine.schema import file_schema
from tagent_tui.starter import FILES
from tests.defining import pipelines

VALIDATOR = Draft202012Validator(file_schema())


def plain(text: str, as_json: bool = False) -> Any:
    """The values of a text, as an editor sees them."""
    root, flaws = read_json(text) if as_json else read_yaml(text)
    assert root is not None
    assert not flaws
    return root.plain()


def step(fields: str) -> str:
    """A file with one goal step that has these fields, and one to depend on."""
    return f"name: p\nsteps:\n  - {{name: a, goal: g}}\n  - {{name: x, goal: g, {fields}}}\n"


def test_it_is_a_schema() -> None:
    """The text itself is valid JSON Schema, and has a word for every field that is read."""
    Draft202012Validator.check_schema(file_schema())
    assert list(file_schema()["properties"]) == list(PIPELINE)
    assert list(file_schema()["$defs"]["step"]["properties"]) == list(STEP)
    assert all(field["description"] for field in file_schema()["$defs"]["step"]["properties"].values())


@given(made=pipelines())
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_every_valid_pipeline_fits(made: Pipeline) -> None:
    """Whatever is written as a file is valid by the schema, in both formats."""
    for text, as_json in ((made.to_yaml(), False), (made.to_json(), True)):
        errors = list(VALIDATOR.iter_errors(plain(text, as_json)))
        assert not errors, errors[0].message


@pytest.mark.parametrize(
    "text",
    [
        FILES["pipeline.yaml"],
        step("depends_on: a, join: 1, approval: false"),
        step("depends_on: [{step: a, type: data, paths: b}]"),
        step("condition: true"),
        step("while: {operator: not, conditions: [{operator: matches, left: output.x, right: y}]}"),
        step("switch: {a: otherwise}"),
        step("budget: {cost: 1, action: warn}"),
        "name: p\nparams: {a: {type: integer, default: 3, choices: [1, 3]}, b: {type: of a thing, c: 1}, d: 1}\n"
        "steps:\n  - {name: m, goal: g}\n  - {name: x, execution_mode: parallel_merge, depends_on: m, merge: tools:one}\n",
    ],
)
def test_a_file_that_is_read_fits(text: str) -> None:
    """The short forms and the long ones."""
    assert parse(text).problems() == []
    assert not list(VALIDATOR.iter_errors(plain(text)))


@pytest.mark.parametrize(
    "text",
    [
        "steps: []\nname: p\n",
        "name: p\n",
        "name: 1\nsteps: [{name: a, goal: g}]\n",
        "name: p\nsteps: [{name: a}]\n",
        "name: p\nsteps: [{goal: g}]\n",
        "name: p\nsteps: [{name: a, goal: g, run: 't:f'}]\n",
        "name: p\nsteps: [{name: 1a, goal: g}]\n",
        "name: p\nsteps: [{name: a, goal: ''}]\n",
        "name: p\nsteps: [{name: a, run: os.system}]\n",
        "name: p\non_failure: stop\nsteps: [{name: a, goal: g}]\n",
        "name: p\nbudget: {}\nsteps: [{name: a, goal: g}]\n",
        "name: p\nparams: {a: {type: string, defualt: 1}}\nsteps: [{name: a, goal: g}]\n",
        "name: p\nparams: {a: {type: number, minimum: low}}\nsteps: [{name: a, goal: g}]\n",
        step("timout: 1"),
        step("timeout: 0"),
        step("timeout: ten"),
        step("max_retries: -1"),
        step("execution_mode: parallel"),
        step("depends_on: [{type: soft}]"),
        step("depends_on: [{step: a, type: sofft}]"),
        step("depends_on: [3]"),
        step("depends_on: a, join: 0"),
        step("depends_on: a, join: most"),
        step("condition: 3"),
        step("condition: {operator: equls, left: 1, right: 2}"),
        step("condition: {operator: equals, left: 1}"),
        step("condition: {operator: and, conditions: []}"),
        step("while: true, max_iterations: 0"),
        step("for_each: [1, 2]"),
        step("for_each: '[1]', max_concurrent: 0"),
        step("for_each: '[1]', item_failures: skip"),
        step("switch: {}"),
        step("approval: 3"),
        step("approval: {timeout: 0}"),
        step("approval: {default: maybe}"),
        step("budget: -1"),
        step("budget: {cots: 1}"),
        step("budget: {tokens: 1.5}"),
        step("retry: {jitter: 2}"),
        step("retry: {backoff: random}"),
        step("final: yes"),
        step("skip: never"),
        step("compensate: undo"),
        step("read_data: [1]"),
        step("merge: depe, execution_mode: parallel_merge"),
    ],
)
def test_a_file_that_is_refused_does_not_fit(text: str) -> None:
    """Shapes that the reader or the checks refuse are underlined in an editor too."""
    with pytest.raises(PipelineFileError):
        parse(text).check()
    assert list(VALIDATOR.iter_errors(plain(text)))
