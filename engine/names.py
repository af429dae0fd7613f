"""What expressions see of a run: `steps`, `params`, `shared`, and the words of the moment (`item`, `output`, ...). Pure.

Stands apart because conditions are judged in three places over the same names: before a step starts, in its attempt, and when a
group is gathered. Outputs are decoded when an expression reads them, not before.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from engine.graph import COMPENSATE, Plan, base_of
from engine.joins import provider
from store import values
from store.state import RunState, StepState, StepStatus


class Decoded(Mapping[str, Any]):
    """Recorded values by name, each decoded when it is first looked at: copies that nobody else holds."""

    __slots__ = ("_texts", "_values")

    def __init__(self, texts: Mapping[str, bytes]) -> None:
        self._texts = texts
        self._values: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._values:
            self._values[name] = values.decode(self._texts[name])
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._texts)

    def __len__(self) -> int:
        return len(self._texts)

    def __repr__(self) -> str:
        return repr(dict(self))


class _Step(Mapping[str, Any]):
    """A step as an expression sees it; `output` is there only if it has one, `error` only if it has not done what it should."""

    def __init__(self, held: StepState, text: bytes | None) -> None:
        self._text = text
        self._plain: dict[str, Any] = {"status": held.status.word, "attempts": held.attempt}
        if held.status is not StepStatus.COMPLETED and held.reason:
            self._plain["error"] = held.reason

    def __getitem__(self, name: str) -> Any:
        if name == "output" and self._text is not None:
            return self._output
        return self._plain[name]

    @functools.cached_property
    def _output(self) -> Any:
        return values.decode(self._text or b"null")

    def __iter__(self) -> Iterator[str]:
        yield from self._plain
        if self._text is not None:
            yield "output"

    def __len__(self) -> int:
        return len(self._plain) + (self._text is not None)


class _Steps(Mapping[str, Any]):
    """The steps as an expression sees them, each made when it is read."""

    def __init__(self, plan: Plan, state: RunState, outputs: Mapping[str, bytes]) -> None:
        self._plan, self._state, self._outputs = plan, state, outputs

    def __getitem__(self, name: str) -> Any:
        if name not in self._plan.place:
            raise KeyError(name)
        return _Step(self._state.steps[provider(self._plan, self._state, name)], self._outputs.get(name))

    def __iter__(self) -> Iterator[str]:
        return iter(self._plan.names)

    def __len__(self) -> int:
        return len(self._plan.names)


def names_of(
    plan: Plan,
    state: RunState,
    outputs: Mapping[str, bytes],
    params: Mapping[str, Any],
    more: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The names of a moment. `outputs` are JSON texts by step, `more` the words that are there besides."""
    return {"steps": _Steps(plan, state, outputs), "params": params, "shared": plan.definition.shared, **(more or {})}


def known_texts(plan: Plan, state: RunState, names: Iterable[str]) -> dict[str, int]:
    """The versions of the outputs of `names` that there are by now."""
    found = {}
    for name in names:
        if name in plan.place and name in state.steps:
            version = state.steps[provider(plan, state, name)].output
            if version is not None:
                found[name] = version
    return found


def given_versions(plan: Plan, state: RunState, path: str) -> dict[str, int]:
    """The versions of what the attempt at `path` is given, by dependency: fixed when it was started."""
    steps = state.steps
    if path in plan.plain:
        plain = {}
        for need in plan.needs[path]:
            if (version := steps[need].output) is not None:
                plain[need] = version
        return plain
    base = base_of(path)
    held = steps[base]
    if path.endswith(COMPENSATE):
        return {} if held.output is None else {"output": held.output}
    if held.inputs is not None:
        return held.inputs
    return known_texts(plan, state, plan.needs[base])
