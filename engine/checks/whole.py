"""The rules in their order: the pipeline, each step, then what concerns several.

Stands apart as the one list of what is asked of a pipeline.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from engine.agents import played
from engine.checks import agents, bodies, conditions, options, params, structure, tools
from engine.checks.links import Links
from engine.definition import CHECKPOINTS, FAILURE_POLICIES, MAX_STEPS, NAME
from engine.errors import Problem, suggestion
from engine.model_config import UNSET
from engine.params import Param
from engine.steps import PipelineStep, encodable


class Asked(msgspec.Struct):
    """A pipeline's parts. `given` are the names (or names and values) of a run's params, None where they are not known yet.

    `params` are the defaults, `declared` the types, `made_of` the params of a function that made the pipeline; `model` is the
    configured model, None when there is none. `agents` are the pipeline's, `around` those of pipelines it stands in.
    """

    name: Any
    steps: list[PipelineStep]
    params: Mapping[str, Any] = {}
    declared: Mapping[str, Param] = {}
    shared: Mapping[str, Any] = {}
    made_of: tuple[str, ...] = ()
    on_failure: Any = "continue"
    budget: Any = None
    given: list[str] | Mapping[str, Any] | None = None
    model: str | None = "unchecked"
    breaker: Any = None
    limits: Any = None
    checkpoints: list[Any] = []
    config: Any = UNSET
    tools: list[Any] = []
    description: Any = ""
    constraints: list[Any] = []
    unfit: Mapping[str, Any] = {}
    agents: Mapping[str, Any] = {}
    around: Mapping[str, Any] = {}

    @property
    def known(self) -> list[str] | None:
        """The names of all params there will be, None where that is not known."""
        return None if self.given is None else list(dict.fromkeys([*self.params, *self.declared, *self.given]))

    @property
    def readable(self) -> list[str] | None:
        """The params a condition may read: those, or where they are not known yet what the pipeline says that there are."""
        if self.given is not None:
            return self.known
        if not self.declared and not self.params:
            return None
        asked = (name for step in self.steps for name in params.asked_by_function(step)[0])
        return list(dict.fromkeys([*self.params, *self.declared, *self.made_of, *asked]))


def problems(asked: Asked) -> list[Problem]:
    """All problems of a pipeline's parts, in definition order; see `Pipeline.problems`."""
    found = list(_of_pipeline(asked))
    known = agents.Known(asked.agents, asked.around, asked.tools)
    links = Links(asked.steps)
    found += [*tools.Shelf(asked.tools).flaws, *known.flaws]
    seen: set[str] = set()
    readable, declared = asked.readable, bool(asked.params or asked.declared)
    for written, step in zip(asked.steps, played(asked.steps, known.sound), strict=True):
        where = f"steps.{step.name}"
        found += structure.of_name(step, where, seen)
        found += agents.of_agent(written, where, known)
        sound = written.agent is None or str(written.agent) in known.sound
        found += bodies.of_body(step, where, links.steps, asked.known, asked.model, known_agent=sound)
        found += structure.of_dependencies(step, where, links)
        found += options.of_options(step, where)
        found += tools.of_tools(written, where, known.shelf(written), known.tools(written))
        found += conditions.of_conditions(step, where, links, readable, declared=declared)
        if isinstance(step.name, str):
            seen.add(step.name)
    return found + list(structure.of_steps(asked.steps, links))


def _of_pipeline(asked: Asked) -> Iterator[Problem]:
    if not isinstance(asked.name, str) or not NAME.fullmatch(asked.name):
        yield Problem("name", f"{asked.name!r} is not a name; use a letter, then letters, digits, '_' or '-'")
    if not isinstance(asked.description, str):
        yield Problem("description", f"is {asked.description!r}; give text")
    yield from (Problem("constraints", f"{one!r} is not text") for one in asked.constraints if not isinstance(one, str))
    yield from options.of_unfit(asked.unfit, "")
    if not asked.steps:
        yield Problem("steps", "the pipeline has no steps; add one with .step(...)")
    if len(asked.steps) > MAX_STEPS:
        yield Problem("steps", f"{len(asked.steps)} steps are more than {MAX_STEPS}; split the pipeline")
    for title, held in (("params", asked.params), ("shared", asked.shared)):
        for key, value in held.items():
            if why := encodable(value):
                yield Problem(f"{title}.{key}", why)
    yield from params.of_declarations(asked.declared, asked.params)
    if asked.given is not None:
        yield from params.of_values(asked.declared, asked.params, asked.given)
    if asked.on_failure not in FAILURE_POLICIES:
        near = suggestion(str(asked.on_failure), FAILURE_POLICIES)
        yield Problem("on_failure", f"is {asked.on_failure!r}; use {' or '.join(FAILURE_POLICIES)}{near}")
    for message in options.of_budget(asked.budget):
        yield Problem("budget", message)
    for word in asked.checkpoints:
        yield from options.of_word(word, CHECKPOINTS, "checkpoints")
    yield from options.of_calls(asked.breaker, asked.limits)
    yield from options.of_config(asked.config, "config")
