"""Pictures of pipelines and runs: every step and edge is in them, and no text breaks out of its label."""

import re

from hypothesis import HealthCheck, given, settings

from engine import Dep, Pipeline
from engine.drawing import dot, edges_of, mermaid, nodes_of
from tests.defining import pipelines


def fine() -> int:
    return 1


def made() -> Pipeline:
    """A pipeline with every kind of node and edge."""
    return (
        Pipeline("p")
        .step("a", 'Say "hi"', fallback="c")
        .step("b", run=fine, depends_on=[Dep("a", "data", paths=("q[0]",))], compensate=fine)
        .step("c", "Say it again")
        .step("m", execution_mode="parallel_merge", depends_on=["a", Dep("b", "soft", wait=False)], merge="deep")
        .step("route", switch={"x": 'steps.m.output["<i>"] > 1', "y": "otherwise"}, depends_on="m")
        .step("x", "x", for_each="steps.m.output")
        .step("y", run=fine, while_="iteration < 3", approval=True, enabled=False)
        .step("z", run=fine, depends_on=["b", Dep("x", "validation", when="output")], join=1, condition="true")
    )


def test_mermaid_shows_nodes_by_kind_and_edges_by_type() -> None:
    """Functions, goals, merges and switches have shapes of their own; soft edges are dashed; conditions are labels."""
    assert mermaid(made().define()).splitlines() == [
        "%% p",
        "flowchart TD",
        '    n0(["a"])',
        '    n1["b"]',
        '    n2["b/compensate"]',
        '    n3(["c"])',
        '    n4[/"m<br/>merge: deep"\\]',
        '    n5{"route"}',
        '    n6(["x"])',
        '    n7["y<br/>asks for approval<br/>disabled"]',
        '    n8["z<br/>if true<br/>1 of 2"]',
        '    n0 -.->|"if it fails"| n3',
        '    n0 -->|"data: q#91;0#93;"| n1',
        '    n1 -.->|"if the run fails"| n2',
        "    n0 --> n4",
        '    n1 -.->|"soft, does not wait"| n4',
        "    n4 --> n5",
        '    n5 -->|"if steps.m.output#91;#34;#60;i#62;#34;#93; #62; 1"| n6',
        '    n5 -->|"otherwise"| n7',
        '    n6 -->|"each of steps.m.output"| n6',
        '    n7 -->|"while iteration #60; 3"| n7',
        "    n1 --> n8",
        '    n6 -->|"valid: output"| n8',
    ]


def test_who_carries_out_a_step_stands_below_its_name() -> None:
    """The name of its agent, in both kinds of pictures."""
    definition = Pipeline("p").agent("critic", "m").step("judge", "Judge", agent="critic").define()
    assert '    n0(["judge<br/>by critic"])' in mermaid(definition).splitlines()
    assert 'label="judge\\nby critic"' in dot(definition)


def test_statuses_of_a_run_are_classes() -> None:
    """A node has the class of its step's status, and only the classes that are used are defined."""
    statuses = {"a": "completed", "b": "failed", "b/compensate": "completed"}
    drawn = mermaid(made().define(), statuses)
    assert '    n0(["a"]):::completed\n    n1["b"]:::failed\n    n2["b/compensate"]:::completed\n' in drawn
    assert [line.split()[1] for line in drawn.splitlines() if "classDef" in line] == ["completed", "failed"]
    assert '    "a" [label="a", shape=ellipse, class="completed", fillcolor="#d7f0d7"];' in dot(made().define(), statuses)


def test_dot_has_the_same_nodes_and_edges() -> None:
    """Names are quoted, texts escaped, the compensation is dashed."""
    drawn = dot(made().define()).splitlines()
    assert drawn[0] == 'digraph "p" {'
    assert '    "b/compensate" [label="b/compensate", shape=box, style="filled,dashed"];' in drawn
    assert '    "route" -> "x" [label="if steps.m.output[\\"<i>\\"] > 1"];' in drawn
    assert '    "z" [label="z\\nif true\\n1 of 2", shape=box];' in drawn
    assert drawn[-1] == "}"


QUOTED = r'"(?:[^"\\]|\\.)*"'


@given(made=pipelines())
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_every_node_and_edge_is_drawn_and_nothing_breaks_out(made: Pipeline) -> None:
    """With the quoted texts taken out, each line is a node or an edge of the grammar, and there are as many as there are."""
    definition = made.define()
    nodes, edges = list(nodes_of(definition)), list(edges_of(definition))
    lines = mermaid(definition).splitlines()[2:]
    bare = [re.sub(r'"[^"]*"', "T", line) for line in lines]
    assert all(
        re.fullmatch(r"    n\d+(\[T\]|\[\[T\]\]|\(\[T\]\)|\[/T\\\]|\{T\})|    n\d+ (-->|-\.->)(\|T\|)? n\d+", line) for line in bare
    ), bare
    assert len(lines) == len(nodes) + len(edges)
    lines = dot(definition).splitlines()[3:-1]
    bare = [re.sub(QUOTED, "T", line) for line in lines]
    assert all(
        re.fullmatch(r"    T (\[label=T, shape=\w+(, style=T)?\]|-> T \[label=T(, style=dashed)?\]);", line) for line in bare
    ), bare
    assert [re.findall(QUOTED, line)[0] for line in lines[: len(nodes)]] == [f'"{node.name}"' for node in nodes]
