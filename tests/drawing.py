"""Plans and steps drawn at random: every mode, join, dependency type and option of a definition, in sensible combinations.

Apart from the laws because more than one test drives what is drawn. `random` may be hypothesis's, which shrinks what it draws.
"""

import graphlib
from random import Random

import msgspec

from engine.definition import OTHERWISE, Approval, Budget, Definition, Dep, ExecutionMode, StepDefinition
from engine.graph import Plan
from engine.policies import RetryPolicy

CONDITION = "params.go == true"


def plan(random: Random, most: int = 10) -> Plan:
    """A plan of up to `most` steps, listed in any order."""
    count = random.randint(1, most)
    steps = [_step(random, number) for number in range(count)]
    _bind(random, steps)
    if random.random() < 0.5:
        random.shuffle(steps)
    definition = Definition(
        "drawn",
        steps=tuple(steps),
        on_failure=random.choice(["continue", "continue", "fail_fast"]),
        budget=budget(random) if random.random() < 0.15 else None,
    )
    return Plan(definition, random.randint(1, 4))


def added(random: Random, name: str, needs: list[str]) -> StepDefinition:
    """A step that is added at run time to those that are there."""
    step = msgspec.structs.replace(_alone(random, name), depends_on=_deps(random, needs))
    return _joined(random, step)


def budget(random: Random) -> Budget:
    """Calls or seconds, with any action."""
    action = random.choice(["warn", "pause", "fail"])
    return Budget(calls=random.randint(1, 4), action=action) if random.random() < 0.5 else Budget(seconds=20.0, action=action)


def _step(random: Random, number: int) -> StepDefinition:
    needs = random.sample([f"s{before}" for before in range(number)], min(number, random.choice([0, 1, 1, 2, 3])))
    return _joined(random, msgspec.structs.replace(_alone(random, f"s{number}"), depends_on=_deps(random, needs)))


def _alone(random: Random, name: str) -> StepDefinition:
    def chance(share: float) -> bool:
        return random.random() < share

    many = random.choice(["items", "while"]) if chance(0.25) else ""
    mode = random.choice(["serial", "concurrent", "concurrent", "conditional", "parallel_merge"])
    return StepDefinition(
        name,
        run=f"tests:{name}",
        execution_mode=ExecutionMode(mode),
        retry=RetryPolicy(max_retries=random.choice([0, 0, 1, 2]), backoff="fixed", delay=random.choice([0.0, 5.0]), jitter=0.0),
        condition=CONDITION if mode == "conditional" or chance(0.15) else None,
        skip="propagate" if chance(0.3) else "settle",
        for_each="params.items" if many == "items" else None,
        max_concurrent=random.choice([None, 1, 2]) if many == "items" else None,
        item_failures=random.choice(["fail", "keep"]),
        while_=CONDITION if many == "while" else None,
        compensate="tests:undo" if chance(0.2) else None,
        approval=Approval("may it?", random.choice([None, 3.0]), random.choice(["approve", "reject"])) if chance(0.15) else None,
        budget=budget(random) if chance(0.05) else None,
        enabled=not chance(0.08),
    )


def _deps(random: Random, needs: list[str]) -> tuple[Dep, ...]:
    kinds = ["hard", "hard", "hard", "soft", "soft", "data", "validation"]
    return tuple(Dep(need, kind, wait=kind != "soft" or random.random() < 0.7) for need in needs for kind in [random.choice(kinds)])


def _joined(random: Random, step: StepDefinition) -> StepDefinition:
    if not step.depends_on or random.random() < 0.55:
        return step
    return msgspec.structs.replace(step, join=random.choice(["any", "first", random.randint(1, len(step.depends_on))]))


def _waits_for_itself(steps: list[StepDefinition]) -> bool:
    """Whether some step would wait for itself: what needs a step that has a stand-in needs that too."""
    standin = {step.name: step.fallback for step in steps if step.fallback is not None}
    graph: dict[str, set[str]] = {step.name: set() for step in steps}
    for step in steps:
        for dep in step.depends_on:
            needed: str | None = dep.step
            while needed is not None:
                graph[step.name].add(needed)
                needed = standin.get(needed)
        for name in (step.fallback, *(step.switch or ())):
            if name is not None:
                graph[name].add(step.name)
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError:
        return True
    return False


def _bind(random: Random, steps: list[StepDefinition]) -> None:
    """Let some steps stand in for earlier ones, and some choose between later ones; each is bound once."""
    free = set(range(len(steps)))
    for number, step in enumerate(steps):
        later = [other for other in sorted(free) if other > number]
        if later and random.random() < 0.25:
            other = random.choice(later)
            if step.name not in [dep.step for dep in steps[other].depends_on]:
                steps[number] = msgspec.structs.replace(steps[number], fallback=steps[other].name)
                if _waits_for_itself(steps):
                    steps[number] = step
                else:
                    free.discard(other)
        elif len(later) > 1 and not step.many and random.random() < 0.2:
            branches = random.sample(later, 2)
            cases = {steps[branches[0]].name: CONDITION, steps[branches[1]].name: OTHERWISE}
            steps[number] = msgspec.structs.replace(steps[number], switch=cases)
            if _waits_for_itself(steps):
                steps[number] = step
            else:
                free.difference_update(branches)
