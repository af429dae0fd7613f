"""Small pipelines drawn from a seed, of everything a definition has, over the outputs of `worlds.work`."""

from random import Random
from typing import Any

from engine import Pipeline
from engine.definition import OTHERWISE, Approval, Dep
from tests.simulation.worlds import RETRY, pooled, undo, work

MODES = ["serial", "concurrent", "concurrent", "conditional", "parallel_merge"]


def drawn(random: Random, racy: bool) -> Pipeline:
    """A pipeline of two to seven steps; one that is not `racy` comes to the same whatever ends first."""
    pipeline = Pipeline(
        "simulated", params={"world": 0}, on_failure=random.choice(["continue", "fail_fast"] if racy else ["continue"])
    )
    count = random.randint(2, 7)
    options = [_options(random, number, racy) for number in range(count)]
    free = set(range(1, count))
    for number in range(count):
        later = [other for other in sorted(free) if other > number and not options[other]["depends_on"]]
        if later and random.random() < 0.25:
            free.discard(later[0])
            options[number]["fallback"] = f"s{later[0]}"
        elif len(later) > 1 and "for_each" not in options[number] and "while_" not in options[number] and random.random() < 0.3:
            free.difference_update(later[:2])
            options[number]["switch"] = {f"s{later[0]}": "output.n > 20", f"s{later[1]}": OTHERWISE}
    for number in range(count):
        body = None if "merge" in options[number] else work
        pipeline.step(f"s{number}", run=body, retry=RETRY, timeout=5.0, **options[number])
    return pipeline


def changed(random: Random, pipeline: Pipeline) -> Pipeline:
    """The pipeline with another step at its end, and one of its steps another or, where nothing hangs on it, gone."""
    other = pipeline.copy()
    if random.random() < 0.5:
        last = other.steps[-1].name
        other.step(f"t{random.randrange(10**6)}", run=work, retry=RETRY, depends_on=[last], execution_mode="concurrent")
    step = random.choice(other.steps)
    needed = {name for one in other.steps for name in (*(dep.step for dep in one.dependencies), one.fallback, *(one.switch or ()))}
    if step.name not in needed and random.random() < 0.4 and len(other.steps) > 1:
        other.steps.remove(step)
    else:
        step.timeout = 6.0 + random.randint(0, 3)
    return other


def _options(random: Random, number: int, racy: bool) -> dict[str, Any]:
    names = random.sample([f"s{before}" for before in range(number)], min(number, random.choice([0, 1, 1, 2, 3])))
    found: dict[str, Any] = {"depends_on": [_dep(random, name, racy) for name in names]}
    mode = random.choice(MODES if names else MODES[:-1])
    found["execution_mode"] = mode
    first = next((name for name in names), None)
    if mode == "conditional" or random.random() < 0.1:
        found["condition"] = "true" if first is None else f"exists(steps.{first}.output.n) and steps.{first}.output.n != 7"
    if mode == "parallel_merge":
        found["merge"] = pooled
    elif random.random() < 0.2:
        found["for_each"] = "[1, 2, 3]" if first is None else f"steps.{first}.output.items"
        found["max_concurrent"] = random.choice([None, 1, 2])
        found["item_failures"] = random.choice(["fail", "keep"]) if racy else "keep"
    elif random.random() < 0.15:
        found["while_"] = "output.n < 4"
    if racy and len(names) > 1 and random.random() < 0.5:
        found["join"] = random.choice(["any", "first", 1])
    if random.random() < 0.2:
        found["compensate"] = undo
    if random.random() < 0.1:
        found["approval"] = Approval("may it?", random.choice([None, 2.0]), random.choice(["approve", "reject"]))
    if random.random() < 0.3:
        found["skip"] = "propagate"
    if random.random() < 0.05:
        found["enabled"] = False
    return found


def _dep(random: Random, name: str, racy: bool) -> Dep:
    kind = random.choice(["hard", "hard", "soft", "data", "validation"])
    if kind == "data":
        return Dep(name, "data", paths=(random.choice(["n", "n", "missing"]),))
    if kind == "validation":
        return Dep(name, "validation", when="output.n > 5")
    return Dep(name, kind, wait=not (racy and kind == "soft" and random.random() < 0.3))
