"""Pipelines from files: what is read, what is refused and where, and what is written."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.definition import Dep
from engine.dumping import dump
from engine.errors import EngineError, PipelineFileError, TargetNotFoundError
from engine.files import parse, read
from engine.kinds import FunctionName
from engine.model_config import ModelConfig
from engine.pipeline import Pipeline
from engine.policies import BreakerPolicy, Limit, RetryPolicy

WHOLE = """
name: research
description: Who are they?
params: {company: Acme, zip: "012", flag: no, when: 2024-01-01, deep: {a: [1, {b: null}]}}
constraints: [Be brief]
shared: {limit: 3}
config: {model_timeout: 30}
breaker: {failures: 5, seconds: 0.5}
limits: {models: {gpt-4.1: {concurrent: 4, per_minute: 60}}, tools: {search: {concurrent: 1}}}
steps:
  - name: search
    goal: Find facts
    timeout: 30
    total_timeout: 90
    max_retries: 1
    model: ollama/llama3.2
    fallback_models: [gpt-4.1, offline]
    config: {temperature: 0, max_tokens: 500, stop: END, model_params: {top_k: 3}}
  - name: count
    run: tools:count
    depends_on: search
    execution_mode: concurrent
    irreversible: true
  - name: report
    goal: |
      Write the report.
        Keep it short.
    constraints: Cite sources
    depends_on: [search, {step: count, type: hard}]
    retry: {max_retries: 2, backoff: fixed, delay: 0.5, factor: 1, max_delay: 9, jitter: 0, on: [timeout, OSError], never: output}
    output_schema: {type: object, properties: {score: {type: number}}}
    final: true
"""


def test_every_field_reaches_the_pipeline() -> None:
    """All fields of a pipeline and its steps are read, in the file's words."""
    file = parse(WHOLE)
    assert file.problems() == []
    made = file.pipeline
    assert (made.name, made.description, made.constraints) == ("research", "Who are they?", ["Be brief"])
    assert made.params == {"company": "Acme", "zip": "012", "flag": "no", "when": "2024-01-01", "deep": {"a": [1, {"b": None}]}}
    assert made.shared_values == {"limit": 3}
    search, count, report = made.steps
    assert (search.goal, search.timeout, search.max_retries, search.model) == ("Find facts", 30, 1, "ollama/llama3.2")
    assert (search.total_timeout, search.fallback_models) == (90, ["gpt-4.1", "offline"])
    assert search.config == ModelConfig(0, max_tokens=500, stop=("END",), model_params={"top_k": 3})
    assert made.config == ModelConfig(model_timeout=30)
    assert made.breaker == BreakerPolicy(5, 0.5)
    assert made.define().limits == {"models": {"gpt-4.1": Limit(4, 60)}, "tools": {"search": Limit(1)}}
    assert isinstance(count.run, FunctionName)
    assert (count.run.text, count.depends_on, count.execution_mode, count.irreversible) == (
        "tools:count",
        ["search"],
        "concurrent",
        True,
    )
    assert (report.goal, report.constraints) == ("Write the report.\n  Keep it short.\n", ["Cite sources"])
    assert report.depends_on == ["search", Dep("count", "hard")]
    assert report.retry == RetryPolicy(2, "fixed", 0.5, 1, 9, 0, ("timeout", "OSError"), ("output",))
    assert (report.output_schema, report.final) == ({"type": "object", "properties": {"score": {"type": "number"}}}, True)


def test_reading_imports_nothing() -> None:
    """A file's functions stay names: nothing it names is imported, and calling one says so."""
    file = parse("name: x\nsteps:\n  - {name: a, run: antigravity:fly}\n")
    assert "antigravity" not in sys.modules
    with pytest.raises(EngineError, match="not imported"):
        file.pipeline.steps[0].run()  # type: ignore[misc]


@pytest.mark.parametrize("as_json", [False, True])
def test_what_is_written_reads_back_the_same(as_json: bool) -> None:
    """A definition written as YAML or JSON is the same definition when it is read."""
    definition = parse(WHOLE).pipeline.define()
    assert parse(dump(definition, json=as_json), json=as_json).pipeline.define() == definition


def test_ambiguous_words_are_written_in_quotes() -> None:
    """What other YAML readers would take for a number, a truth or a date is quoted."""
    text = Pipeline("x", params={"a": "no", "b": "012", "c": "1:30", "d": "2024-01-01", "e": "true"}).step("s", "g").to_yaml()
    for word in ("'no'", "'012'", "'1:30'", "'2024-01-01'", "'true'"):
        assert word in text


X = "name: x\nsteps:\n"
A = X + "  - name: a\n    goal: g\n    "

texts = st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=30)
plain_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**20), 10**20) | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=10,
)


@given(description=texts, params=st.dictionaries(texts, plain_values, max_size=3), goal=texts.filter(str.strip), rule=texts)
@settings(max_examples=100, deadline=None)
def test_any_text_survives_a_file(description: str, params: dict[str, Any], goal: str, rule: str) -> None:
    """Texts and values of any kind survive writing and reading, in both formats."""
    goal = goal.replace("${{", "")
    made = Pipeline("x", description, params=params).constraint(rule).step("s", goal or "g")
    for as_json in (False, True):
        text = dump(made.define(), json=as_json)
        back = parse(text, json=as_json)
        assert back.flaws == []
        assert back.pipeline.define() == made.define()


@pytest.mark.parametrize("value", [b"bytes", {1: 2}, "\ud800", {"a": [b""]}])
def test_a_value_a_file_has_no_word_for_is_refused(value: object) -> None:
    """Bytes, keys that are not text and half characters are named by their place instead of being written wrongly."""
    with pytest.raises(EngineError, match=r"params\.v.* cannot be written"):
        Pipeline("x", params={"v": value}).step("s", "g").to_yaml()


def test_a_function_without_a_module_name_is_refused() -> None:
    """A lambda cannot be named in a file, and the step is said."""
    with pytest.raises(EngineError, match=r"'s' runs .*lambda.*, which a file cannot name"):
        Pipeline("x").step("s", run=lambda: 1).to_json()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "f.yaml:1: is empty"),
        ("# nothing\n", "f.yaml:1: is empty"),
        ("hello", "f.yaml:1: is the text 'hello'; write a mapping"),
        ("- a\n", "f.yaml:1: is a list"),
        ("name: x\n", "f.yaml:1 steps: is missing"),
        (X + "", "f.yaml:1 steps: is missing"),
        ("name: x\nsteps: []\n", "f.yaml:2 steps: is an empty list"),
        ("name: x\nsteps: {a: 1}\n", "f.yaml:2 steps: is a mapping; write a list"),
        (X + "  - a\n", "f.yaml:3 steps[0]: is the text 'a'"),
        (X + "  - goal: g\n", "f.yaml:3 steps[0]: has no name"),
        (X + "  - name: 012\n    goal: g\n", "f.yaml:3 steps.012.name: is the text '012', which is not a step name"),
        (X + "  - name: 12\n    goal: g\n", "f.yaml:3 steps[0].name: is the number 12, not text"),
        ("name: 12\nsteps:\n  - {name: a, goal: g}\n", "f.yaml:1 name: is the number 12, not text; put it in quotes"),
        ("steps:\n  - {name: a, goal: g}\n", "f.yaml:1 name: is missing"),
        ("name: x\nstep: 1\nsteps:\n  - {name: a, goal: g}\n", "f.yaml:2: has the unknown field 'step'; did you mean 'steps'?"),
        (A + "timout: 3\n", "f.yaml:5 steps.a: has the unknown field 'timout'; did you mean 'timeout'?"),
        (A + "condition: 3\n", "f.yaml:5 steps.a.condition: is the number 3; write a condition as text, or a mapping"),
        (A + "timeout: ten\n", "f.yaml:5 steps.a.timeout: is the text 'ten'; write a number"),
        (A + "timeout: .nan\n", "f.yaml:5 steps.a.timeout: is nan"),
        (A + "final: yes\n", "f.yaml:5 steps.a.final: is the text 'yes'; write true or false"),
        (X + "  - name: a\n    goal: 3\n", "f.yaml:4 steps.a.goal: is the number 3, not text; put it in quotes"),
        (X + "  - name: a\n    run: os.system\n", "f.yaml:4 steps.a.run: is 'os.system', which names no function"),
        (A + "depends_on: [b]\n", "f.yaml:5 steps.a.depends_on: there is no step 'b'"),
        (A + "depends_on: [{stp: b}]\n", "f.yaml:5 steps.a.depends_on[0]: has the unknown field 'stp'"),
        (A + "retry: {backof: 1}\n", "f.yaml:5 steps.a.retry: has the unknown field 'backof'; did you mean 'backoff'?"),
        (A + "retry: {delay: soon}\n", "f.yaml:5 steps.a.retry.delay: is the text 'soon'; write a number"),
        (A + "retry: {delay: -1}\n", "f.yaml:5 steps.a.retry: delay is -1"),
        (A + "output_schema: text\n", "f.yaml:5 steps.a.output_schema: is the text 'text'"),
        (X + "  - {name: a, goal: g}\n  - {name: a, goal: g}\n", "f.yaml:4 steps.a: is defined twice"),
        (
            X + "  - {name: a, goal: g, depends_on: b}\n  - {name: b, goal: g, depends_on: a}\n",
            "f.yaml:2 steps: these wait for each other",
        ),
        ("name: x\nparams: [1]\nsteps:\n  - {name: a, goal: g}\n", "f.yaml:2 params: is a list; write a mapping"),
    ],
)
def test_a_bad_file_gives_one_sentence_with_its_line(text: str, told: str) -> None:
    """Each single problem is told once, with file, line and place."""
    with pytest.raises(PipelineFileError) as caught:
        parse(text, "f.yaml").check()
    assert str(caught.value).startswith(told)
    assert len(caught.value.problems) == 1


def test_all_problems_are_told_at_once_in_the_order_of_the_lines() -> None:
    """Problems of the text and of the pipeline come together, sorted by line."""
    text = "name: 3\nparams: 1\nsteps:\n  - name: a\n    goal: g\n    depends_on: c\n    final: 1\n  - name: b\n    gaol: g\n"
    with pytest.raises(PipelineFileError) as caught:
        parse(text, "f.yaml").check()
    places = [problem.where for problem in caught.value.problems]
    assert places == [
        "f.yaml:1 name",
        "f.yaml:2 params",
        "f.yaml:6 steps.a.depends_on",
        "f.yaml:7 steps.a.final",
        "f.yaml:8 steps.b",
        "f.yaml:9 steps.b",
    ]
    assert str(caught.value).startswith("f.yaml has 6 problems:\n  f.yaml:1 name")


def test_a_missing_file_is_not_found(tmp_path: Path) -> None:
    """A path without a file is told apart from a file that is wrong."""
    with pytest.raises(TargetNotFoundError, match=r"There is no file .*nothing\.yaml"):
        read(tmp_path / "nothing.yaml")


def test_a_directory_and_a_pipe_are_refused_without_waiting(tmp_path: Path) -> None:
    """What is not a regular file is refused; a named pipe does not block."""
    os.mkfifo(tmp_path / "pipe.yaml")
    for name, told in ((".", "is a directory"), ("pipe.yaml", "is not a regular file")):
        with pytest.raises(PipelineFileError, match=told):
            read(tmp_path / name)


def test_the_ending_decides_the_format(tmp_path: Path) -> None:
    """A .json file is read as JSON, strictly."""
    (tmp_path / "f.json").write_text('{"name": "x", "steps": [{"name": "a", "goal": "g"}]}')
    assert read(tmp_path / "f.json").problems() == []
    (tmp_path / "f.json").write_text("name: x\n")
    with pytest.raises(PipelineFileError, match=r"f\.json:1: is not JSON"):
        read(tmp_path / "f.json")


NESTED = """
name: outer
steps:
  - name: inline
    params: {n: 3}
    pipeline:
      params: {n: 1}
      steps:
        - {name: x, run: "tools:x"}
        - name: deeper
          pipeline: {name: deepest, steps: [{name: y, run: "tools:y"}]}
  - {name: file, pipeline: other.yaml, params: {a: [1]}}
  - {name: again, pipeline: self}
"""


@pytest.mark.parametrize("as_json", [False, True], ids=["yaml", "json"])
def test_pipelines_inside_a_file_survive_it(as_json: bool) -> None:
    """Inline mappings (named after their step unless they say), files and words are read, and written to read the same."""
    pipeline = parse(NESTED).pipeline
    inline, file, again = pipeline.define().steps
    assert (inline.pipeline.name, inline.pipeline.steps[1].pipeline.name, inline.params) == ("inline", "deepest", {"n": 3})
    assert (file.pipeline, file.params, again.pipeline) == ("other.yaml", {"a": [1]}, "self")
    assert parse(dump(pipeline.define(), json=as_json), json=as_json).pipeline.define() == pipeline.define()


def test_what_is_wrong_inside_has_its_line_and_place() -> None:
    """A nested pipeline's unknown field, wrong kind and missing dependency are told with file, line and the way in."""
    text = NESTED.replace("{name: x, run", "{name: x, tiemout: 3, depends_on: z, run").replace("pipeline: self", "pipeline: 3")
    assert [str(problem) for problem in parse(text).problems()] == [
        "pipeline.yaml:9 steps.inline.pipeline.steps.x: has the unknown field 'tiemout'; did you mean 'timeout'?",
        "pipeline.yaml:9 steps.inline.pipeline.steps.x.depends_on: there is no step 'z'",
        "pipeline.yaml:13 steps.again.pipeline: is the number 3; write self, module:name, a file, or a mapping with steps:",
    ]


@pytest.mark.parametrize("number", [float("inf"), float("-inf"), float("nan")])
def test_json_has_no_word_for_what_is_no_finite_number(number: float) -> None:
    """It is refused with its place instead of becoming null; YAML has a word for it."""
    definition = Pipeline("p", params={"n": [number]}).step("a", "Say a").define()
    with pytest.raises(EngineError, match=r"The value at params\.n\[0\] cannot be written"):
        dump(definition, json=True)
    assert repr(parse(dump(definition)).pipeline.params["n"]) == repr([number])
