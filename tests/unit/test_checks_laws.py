"""What holds for whatever is written as a pipeline, sense or nonsense: laws of the checks, by hypothesis."""

from __future__ import annotations

import contextlib
import inspect
import json
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from engine import Dep, ExecutionMode, Pipeline, PipelineStep, RetryPolicy
from engine.definition import Approval, Budget, Definition
from engine.errors import PipelineFileError
from engine.fields import PIPELINE, STEP
from engine.files import parse
from engine.params import Param
from engine.schema import file_schema

FAST = settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
OPTIONS = [name for name in inspect.signature(PipelineStep).parameters if name not in ("name", "goal", "run", "switch")]

words = st.sampled_from(
    [
        "a",
        "b",
        "all",
        "first",
        "soft",
        "list",
        "otherwise",
        "post",
        "steps.a.output",
        "params.n > 1",
        "item",
        "output",
        "[1]",
        "t:f",
        "",
    ]
)
junk = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 3) | st.floats() | words | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(words, inner, max_size=2),
    max_leaves=4,
)
odd = (
    junk
    | st.builds(Dep, step=junk, type=words, paths=junk, when=junk, wait=junk)
    | st.builds(Approval, message=junk, timeout=junk, default=junk)
    | st.builds(Budget, cost=junk, tokens=junk, action=words)
    | st.builds(RetryPolicy, max_retries=junk, delay=junk, backoff=junk)
    | st.builds(lambda: Pipeline("nested", params={"a": Param("integer")}).step("a", "g"))
    | st.sampled_from([len, int, print, object(), ExecutionMode.PARALLEL_MERGE, b"x", {1: 2}])
)
listed = {"depends_on", "constraints", "read_data", "fallback_models"}


def body(a: Any = 1, item: Any = 2) -> None: ...


@st.composite
def nonsense(draw: Any) -> Pipeline:
    """Steps whose options are anything at all, where Python takes them."""
    made = Pipeline(
        "p", on_failure=draw(words), params=draw(st.dictionaries(words, odd | st.builds(Param, type=words, minimum=junk)))
    )
    made.budget = draw(odd)
    for name in draw(st.lists(words | st.sampled_from(["a", "b"]), min_size=1, max_size=3)):
        options = {}
        for option in draw(st.lists(st.sampled_from(OPTIONS), unique=True, max_size=4)):
            options[option] = draw(st.lists(odd, max_size=2)) if option in listed else draw(odd)
        switch = draw(st.none() | st.dictionaries(words, odd, max_size=2))
        made.step(name, draw(st.none() | words | odd), run=draw(st.sampled_from([None, None, body, 3])), switch=switch, **options)
    return made


@given(made=nonsense())
@FAST
def test_nonsense_is_told_and_never_crashes(made: Pipeline) -> None:
    """Either everything wrong is told in sentences, or the pipeline has plain values that read back."""
    found = made.problems([], model=None) + made.problems()
    assert all("\n" not in problem.where and problem.message for problem in found)
    if not found:
        definition = made.define()
        assert Definition.from_json(definition.to_json()) == definition
        assert Definition.from_json(definition.to_json()).to_json() == definition.to_json()
        made.hints()


def without_null(value: Any) -> bool:
    """Whether there is no null anywhere: the reader takes it for a field that is not there, an editor underlines it."""
    if isinstance(value, dict | list):
        return all(without_null(item) for item in (value.values() if isinstance(value, dict) else value))
    return value is not None


@given(
    steps=st.lists(st.dictionaries(st.sampled_from([*STEP, "odd"]), junk.filter(without_null), max_size=4), max_size=2),
    whole=st.dictionaries(st.sampled_from(list(PIPELINE)), junk.filter(without_null), max_size=2),
)
@FAST
def test_a_file_of_nonsense_is_told_and_what_is_taken_fits_the_schema(steps: list[dict[str, Any]], whole: dict[str, Any]) -> None:
    """A file is read, or refused in sentences; one without problems is valid by the published schema too."""
    tree = {"name": "p", "steps": [{"name": "a", "goal": "g"}, *({"name": "b", "goal": "g", **step} for step in steps)], **whole}
    with contextlib.suppress(PipelineFileError):
        parse(json.dumps(tree), json=True).check()
        assert not list(Draft202012Validator(file_schema()).iter_errors(tree))
