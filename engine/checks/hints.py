"""What is worth knowing about a pipeline that is right: its longest chain, what runs together, what nobody uses.

Stands apart from the problems: nothing here keeps a pipeline from running.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from engine.checks.conditions import expressions_of
from engine.checks.links import Links
from engine.definition import ExecutionMode
from engine.errors import Problem
from engine.steps import PipelineStep

SHOWN = 8
"""Names that a sentence lists before it only counts the rest."""


def hints(steps: Sequence[PipelineStep]) -> list[Problem]:
    """The hints for steps in which nothing is wrong: where, what, and what could be done."""
    links = Links(steps)
    order = links.in_order()
    return [*_longest(links, order), *_together(links, order), *_unused(steps, links), *_disabled(steps, links, order)]


def _longest(links: Links, order: list[str]) -> Iterator[Problem]:
    """The chain with the most steps: no run is shorter than that."""
    last: dict[str, str | None] = {}
    length: dict[str, int] = {}
    for name in order:
        before = max(links.before[name], key=lambda earlier: length[earlier], default=None)
        last[name], length[name] = before, 1 + (length[before] if before is not None else 0)
    end: str | None = max(order, key=lambda name: length[name], default=None)
    chain = []
    while end is not None:
        chain.append(end)
        end = last[end]
    if 1 < len(chain) < len(order):
        yield Problem("steps", f"the longest chain has {len(chain)} of {len(order)} steps: {_chain(chain[::-1])}")


def _together(links: Links, order: list[str]) -> Iterator[Problem]:
    """Steps at the same distance from the beginning: none of them waits for another."""
    level: dict[str, int] = {}
    rows: dict[int, list[str]] = {}
    for name in order:
        level[name] = 1 + max((level[earlier] for earlier in links.before[name]), default=-1)
        rows.setdefault(level[name], []).append(name)
    place = {name: index for index, name in enumerate(links.steps)}
    for row in rows.values():
        names = sorted(row, key=lambda name: place[name])
        serial = [name for name in names if ExecutionMode(links.steps[name].execution_mode) is ExecutionMode.SERIAL]
        if len(names) > len(serial) and len(names) > 1:
            yield Problem("steps", f"{_names(names)} can run together")
        if len(serial) > 1:
            said = f"{_names(serial)} do not need each other but run one after another"
            yield Problem("steps", f"{said}; execution_mode: concurrent lets them run together")


def _unused(steps: Sequence[PipelineStep], links: Links) -> Iterator[Problem]:
    """Steps whose output no step reads, where another step is the result of the run."""
    if not any(step.final for step in steps):
        return
    used = {earlier for before in links.before.values() for earlier in before}
    used |= {
        str(found.path[1]) for step in steps for asked in expressions_of(step) for found in asked.references if _of_step(found.path)
    }
    used |= {branch for step in steps for branch in step.switch or ()} | {step.fallback for step in steps if step.fallback}
    for step in steps:
        if not step.final and step.name not in used and step.switch is None:
            yield Problem(
                f"steps.{step.name}", "nobody uses its output, and another step is final; name it in depends_on, or remove it"
            )


def _of_step(path: Sequence[str | int]) -> bool:
    return path[0] == "steps" and len(path) > 1


def _disabled(steps: Sequence[PipelineStep], links: Links, order: list[str]) -> Iterator[Problem]:
    """Steps that begin disabled, with what is skipped with them."""
    for step in steps:
        if not step.enabled:
            after = _after(step.name, links, order)
            rest = f", and {_names(after)} goes without its output" if len(after) == 1 else ""
            rest = f", and {_names(after)} go without its output" if len(after) > 1 else rest
            yield Problem(f"steps.{step.name}", f"is skipped{rest}, unless a step before it calls ctx.enable({step.name!r})")


def _after(name: str, links: Links, order: list[str]) -> list[str]:
    """The steps that wait for a step, directly or not."""
    found = {name}
    for later in order:
        if not found.isdisjoint(links.before[later]):
            found.add(later)
    return [later for later in order if later in found and later != name]


def _chain(names: Sequence[str]) -> str:
    if len(names) <= SHOWN:
        return " -> ".join(names)
    return f"{' -> '.join(names[: SHOWN - 1])} -> ... -> {names[-1]}"


def _names(names: Sequence[str]) -> str:
    if len(names) > SHOWN:
        return f"{', '.join(names[:SHOWN])} and {len(names) - SHOWN} more"
    return f"{', '.join(names[:-1])} and {names[-1]}" if len(names) > 1 else names[0]
