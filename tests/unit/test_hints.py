"""Hints say what is worth knowing about a pipeline that is right; they keep nothing from running."""

from engine import Pipeline


def fine() -> int:
    return 1


def told(pipeline: Pipeline) -> list[str]:
    """The hints as texts, of a pipeline in which nothing is wrong."""
    assert pipeline.problems([]) == []
    return [str(hint) for hint in pipeline.hints()]


def test_the_longest_chain_is_named() -> None:
    """No run is shorter than its longest chain, the branches of a switch included."""
    pipeline = (
        Pipeline("p")
        .step("a", run=fine, switch={"b": "otherwise"})
        .step("b", run=fine)
        .step("c", run=fine, depends_on="b")
        .step("d", run=fine, depends_on="a")
    )
    assert "steps: the longest chain has 3 of 4 steps: a -> b -> c" in told(pipeline)


def test_steps_that_run_together_and_those_that_could_are_told_apart() -> None:
    """Concurrent steps that do not need each other run together; serial ones could."""
    concurrent = (
        Pipeline("p")
        .step("a", run=fine)
        .step("b", run=fine, depends_on="a", execution_mode="concurrent")
        .step("c", run=fine, depends_on="a", execution_mode="concurrent")
    )
    assert told(concurrent)[1:] == ["steps: b and c can run together"]
    serial = Pipeline("p").step("a", run=fine).step("b", run=fine)
    assert told(serial) == [
        "steps: a and b do not need each other but run one after another; execution_mode: concurrent lets them run together"
    ]


def test_an_output_that_nobody_uses_is_told_where_another_step_is_the_result() -> None:
    """Without a final step every sink is part of the result; with one, a sink beside it is not."""
    pipeline = Pipeline("p").step("a", run=fine).step("b", run=fine, depends_on="a").step("c", run=fine, depends_on="a")
    assert not [hint for hint in told(pipeline) if "nobody" in hint]
    pipeline.steps[1].final = True
    assert told(pipeline)[-1] == "steps.c: nobody uses its output, and another step is final; name it in depends_on, or remove it"


def test_a_disabled_step_is_told_with_what_comes_after_it() -> None:
    """Whether a body enables it cannot be seen, so this is a hint and no problem."""
    pipeline = Pipeline("p").step("a", run=fine, enabled=False).step("b", run=fine, depends_on="a")
    assert told(pipeline) == ["steps.a: is skipped, and b goes without its output, unless a step before it calls ctx.enable('a')"]


def test_long_lists_are_cut() -> None:
    """A chain of thirty steps is told by its ends, a row of thirty by its first."""
    pipeline = Pipeline("p").step("start", run=fine, execution_mode="concurrent")
    for index in range(30):
        pipeline.step(f"c{index}", run=fine, depends_on=f"c{index - 1}" if index else (), execution_mode="concurrent")
    chain, together = told(pipeline)
    assert chain == "steps: the longest chain has 30 of 31 steps: c0 -> c1 -> c2 -> c3 -> c4 -> c5 -> c6 -> ... -> c29"
    assert together == "steps: start and c0 can run together"
