"""What holds for every pipeline and its files: laws of reading and writing, by hypothesis."""

import json

from hypothesis import HealthCheck, given, settings

from engine import Pipeline
from engine.files import parse
from tests.defining import pipelines

FAST = settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@given(made=pipelines())
@FAST
def test_any_pipeline_survives_a_file(made: Pipeline) -> None:
    """Written as YAML or JSON and read back, a pipeline is the same definition, the cases of its switches in their order."""
    definition = made.define()
    for text, as_json in ((made.to_yaml(), False), (made.to_json(), True)):
        back = parse(text, json=as_json)
        assert back.problems() == []
        again = back.pipeline.define()
        assert again == definition
        assert [list(step.switch or ()) for step in again.steps] == [list(step.switch or ()) for step in definition.steps]


@given(made=pipelines())
@FAST
def test_what_is_written_is_written_alike_again(made: Pipeline) -> None:
    """A file that was read is written as the same text: nothing grows or moves by passing through."""
    assert parse(made.to_yaml()).pipeline.to_yaml() == made.to_yaml()
    assert json.loads(parse(made.to_json(), json=True).pipeline.to_json()) == json.loads(made.to_json())
