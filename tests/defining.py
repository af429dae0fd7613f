"""Pipelines of every shape for hypothesis: any options that go together, functions only as names."""

from __future__ import annotations

from typing import Any

from hypothesis import assume
from hypothesis import strategies as st

from engine import Agent, ConditionDSL, Dep, Pipeline, RetryPolicy
from engine.definition import CHECKPOINTS, MERGES, Approval, Budget
from engine.kinds import FunctionName
from engine.params import Param
from engine.policies import BreakerPolicy

texts = st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=20)
plain_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**20), 10**20) | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts | st.sampled_from(["type", "default"]), inner, max_size=3),
    max_leaves=8,
)
functions = st.sampled_from(["tools:one", "a.b:C.d"]).map(FunctionName)
seconds = st.floats(0.1, 1e6) | st.integers(1, 1000)
RETRIES = st.builds(
    RetryPolicy,
    max_retries=st.integers(0, 9),
    backoff=st.sampled_from(["exponential", "linear", "fixed"]),
    delay=st.sampled_from([0, 0.5, 1.0, 3]),
    jitter=st.sampled_from([0, 0.1, 1]),
    on=st.sampled_from([(), ("timeout",), ("OSError", "model.rate_limit")]),
    never=st.sampled_from([(), ("ValueError",)]),
)
breakers = st.builds(BreakerPolicy, failures=st.integers(0, 9), seconds=seconds)
limits = st.dictionaries(
    st.sampled_from(["models", "tools"]),
    st.dictionaries(st.sampled_from(["m-1", "a b"]), st.just({"concurrent": 2}) | st.just({"concurrent": 1, "per_minute": 9})),
    max_size=2,
)
budgets = st.builds(
    Budget,
    cost=st.floats(0.01, 100),
    tokens=st.none() | st.integers(1, 9),
    calls=st.none() | st.integers(1, 9),
    seconds=st.none() | seconds,
    action=st.sampled_from(["warn", "pause", "fail"]),
)
approvals = (
    st.just(True)
    | texts
    | st.builds(Approval, message=texts, timeout=st.none() | seconds, default=st.sampled_from(["approve", "reject"]))
)
systems = texts.filter(lambda text: text.strip() and "${{" not in text)
configs = st.sampled_from([{}, {"temperature": 0, "stop": ["END"]}, {"max_tokens": 9, "model_params": {"top_k": 1}}])
agents = st.builds(
    Agent,
    st.none() | texts.filter(bool),
    system=st.none() | systems,
    tools=st.lists(functions, max_size=1),
    tools_filter=st.none() | st.lists(st.sampled_from(["one", "web_*"]), max_size=2),
    fallback_models=st.lists(texts.filter(bool), max_size=1),
    config=configs,
    timeout=st.none() | seconds,
    budget=st.none() | budgets | st.floats(0.01, 10),
    max_turns=st.none() | st.integers(1, 99),
)
declarations = (
    st.builds(Param, type=st.sampled_from(["string", "any"]), default=texts, description=texts)
    | st.builds(Param, type=st.just("integer"), minimum=st.none() | st.integers(-9, 0), choices=st.just((1, 2)))
    | st.builds(Param, type=st.just("number"), default=st.integers(0, 9), maximum=st.just(9.5))
    | st.just(Param("object", default={"type": "string"}))
    | st.just(Param())
)


AGENTS = ("critic", "friend")


def _conditions(names: list[str]) -> st.SearchStrategy[Any]:
    """Conditions on the steps of these names, written in each of the ways."""
    simple: list[Any] = ["params.p == 1", "shared.s and not attempt > 2", 'exists(params.p) or params.p in [1, "a: b # c"]', "true"]
    for name in names:
        path = f'steps["{name}"].output.score'
        simple += [f"{path} > 3", f'step_failed("{name}")', {"operator": "equals", "left": f"${name}.result", "right": ["x", 1]}]
        simple += [ConditionDSL.greater_than(path, 1) | ConditionDSL.step_skipped(name)]
    return st.sampled_from(simple)


@st.composite
def _dependencies(draw: Any, names: list[str]) -> list[str | Dep]:
    found: list[str | Dep] = []
    for name in draw(st.lists(st.sampled_from(names), unique=True, max_size=3)) if names else []:
        kind = draw(st.sampled_from(["plain", "hard", "soft", "data", "validation"]))
        if kind == "plain":
            found.append(name)
        elif kind == "data":
            found.append(Dep(name, "data", paths=("items[0].url", '["a b"]')))
        elif kind == "validation":
            found.append(Dep(name, "validation", when=draw(st.sampled_from(["output.score > 0.5", "not output"]))))
        else:
            found.append(Dep(name, kind, wait=kind == "hard" or draw(st.booleans())))
    return found


@st.composite
def _body(draw: Any, needs: list[str | Dep]) -> dict[str, Any]:
    kind = draw(st.sampled_from(["goal", "run", "merge", "each", "again", "pipeline"]))
    if kind == "merge" and needs:
        merge = draw(st.none() | st.sampled_from(MERGES) | functions)
        return {"execution_mode": "parallel_merge", "merge": merge}
    found: dict[str, Any] = {"execution_mode": draw(st.sampled_from(["serial", "concurrent"]))}
    found |= {"goal": f"g{draw(texts)}".replace("${{", "")} if kind == "goal" else {"run": draw(functions)}
    if kind == "goal":
        found["tools"] = draw(st.lists(functions, max_size=2))
        found["tools_filter"] = draw(st.none() | st.lists(st.sampled_from(["one", "web_*"]), max_size=2))
        found["max_turns"] = draw(st.none() | st.integers(1, 99))
    if kind in ("goal", "run"):
        found["agent"], found["system"] = draw(st.none() | st.sampled_from(AGENTS)), draw(st.none() | systems)
    if kind == "pipeline":
        nested = Pipeline("nested", params={"q": 1}).step("x", run=draw(functions)).step("y", "g", depends_on=["x"])
        inside = draw(st.sampled_from(["self", "other.yaml", "mod:name"]) | st.just(nested))
        found = {**found, "run": None, "pipeline": inside, "params": {"q": draw(st.just("${{ params.p }}") | plain_values)}}
    if kind == "each":
        found |= {"for_each": draw(st.sampled_from(["[1, 2]", "${{ params.p }}", "params.p + [3]"])), "item_failures": "keep"}
        found |= {"max_concurrent": draw(st.none() | st.integers(1, 9))}
    elif kind == "again":
        found |= {
            "while_": draw(st.sampled_from(["not output.done", "iteration < 3"])),
            "max_iterations": draw(st.integers(1, 999)),
        }
    return found


@st.composite
def _options(draw: Any, names: list[str], needs: list[str | Dep]) -> dict[str, Any]:
    choices: dict[str, st.SearchStrategy[Any]] = {
        "timeout": seconds,
        "total_timeout": seconds,
        "fallback_models": st.lists(texts.filter(bool), max_size=2),
        "config": configs,
        "constraints": st.lists(texts, max_size=2),
        "model": texts.filter(bool),
        "irreversible": st.booleans(),
        "skip": st.sampled_from(["settle", "propagate"]),
        "compensate": functions,
        "approval": approvals,
        "budget": budgets | st.floats(0.01, 10),
        "read_data": st.just(["params.p", "shared.s[0]"]),
        "enabled": st.booleans(),
        "checkpoint": st.booleans() | st.sampled_from(["a", "tidy state", "x.y-1"]),
        "output_schema": st.just({"type": "object", "properties": {"score": {"type": "number"}}}),
        "max_retries": st.integers(0, 5),
        "retry": RETRIES,
        "condition": _conditions([dep if isinstance(dep, str) else dep.step for dep in needs]),
    }
    found = {key: draw(choices[key]) for key in draw(st.lists(st.sampled_from(list(choices)), unique=True, max_size=5))}
    if "condition" in found:
        found["condition_mode"] = draw(st.sampled_from(["pre", "post"]))
    if needs:
        found["join"] = draw(st.sampled_from(["all", "any", "first"]) | st.integers(1, len(needs)))
    return found


@st.composite
def pipelines(draw: Any) -> Pipeline:
    """A pipeline in which nothing is wrong."""
    params = {"p": draw(plain_values), **draw(st.dictionaries(st.sampled_from("abcde"), plain_values | declarations, max_size=3))}
    made = Pipeline(
        draw(st.sampled_from(["p", "no", "a-b_1"])),
        draw(texts),
        params=params,
        on_failure=draw(st.sampled_from(["continue", "fail_fast"])),
        budget=draw(st.none() | budgets),
        breaker=draw(st.none() | breakers),
        limits=draw(st.none() | limits),
        checkpoints=draw(st.lists(st.sampled_from(CHECKPOINTS), unique=True)),
        tools=draw(st.lists(functions, max_size=1)),
        agents={name: draw(agents) for name in AGENTS},
    )
    made.constraint(*draw(st.lists(texts, max_size=2))).shared("s", draw(plain_values))
    names: list[str] = []
    for name in draw(st.lists(st.sampled_from(["a", "b", "yes", "on", "null", "x-1", "_z"]), unique=True, min_size=1, max_size=5)):
        needs = draw(_dependencies(names))
        made.step(name, depends_on=needs, **{**draw(_body(needs)), **draw(_options(names, needs))})
        names.append(name)
    if draw(st.booleans()):
        made.steps[-1].final = True
    if draw(st.booleans()):
        made.step("stands-in", "Mend ${{ steps." + "a" + ".error }}" if names == ["a"] else "Mend it")
        made.steps[0].fallback = "stands-in"
    if draw(st.booleans()):
        made.step(
            "route", switch={"right": draw(_conditions([])), "left": "params.p == 2", "none": "otherwise"}, depends_on=names[0]
        )
        made.step("none", "n").step("right", "r").step("left", "l")
    assume(made.problems() == [])
    return made
