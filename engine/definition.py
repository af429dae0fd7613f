"""A pipeline as plain values: what a run pins, what screens and resumes read, with no Python function in it.

Stands apart from `pipeline.py` so that looking at a run never needs the user's code.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import Enum
from typing import Any

import msgspec

from engine.policies import RetryPolicy
from store import values

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,99}")
MAX_STEPS = 100_000
MAX_NESTING = 16
"""Pipelines written one inside the other."""


class ExecutionMode(Enum):
    """How a step runs beside others.

    SERIAL: one after another, in definition order among the ready ones; the chain waits while one of them runs, waits for a
    retry or is in doubt. CONCURRENT: together, up to the run's limit. Neither waits for the other kind.
    """

    SERIAL = "serial"
    CONCURRENT = "concurrent"


class DependencyType(Enum):
    """What a dependency asks of the step it names. HARD: it must not have failed."""

    HARD = "hard"


class Dep(msgspec.Struct, frozen=True):
    """A dependency on `step`; in files a bare name is the same as `Dep(name)`."""

    step: str
    type: str = "hard"


class StepDefinition(msgspec.Struct, frozen=True, omit_defaults=True):
    """A step as plain values. `run` is `module:qualname`, `source` the hash of the function's text (not part of the pin).

    `pipeline` is a nested definition, or the word by which one is found when the step runs; `params` is what its runs are given.
    """

    name: str
    goal: str | None = None
    run: str | None = None
    source: str | None = None
    depends_on: tuple[Dep, ...] = ()
    execution_mode: ExecutionMode = ExecutionMode.SERIAL
    constraints: tuple[str, ...] = ()
    timeout: float | None = None
    retry: RetryPolicy = RetryPolicy()
    output_schema: dict[str, Any] | None = None
    model: str | None = None
    irreversible: bool = False
    final: bool = False
    pipeline: Definition | str | None = None
    params: dict[str, Any] = {}

    @property
    def kind(self) -> str:
        """`g` for a goal step, `f` for a function step, `p` for one that runs another pipeline."""
        if self.pipeline is not None:
            return "p"
        return "g" if self.run is None else "f"

    def pinned(self) -> StepDefinition:
        """See `Definition.pinned`."""
        nested = self.pipeline.pinned() if isinstance(self.pipeline, Definition) else self.pipeline
        return msgspec.structs.replace(self, source=None, pipeline=nested)


class Definition(msgspec.Struct, frozen=True, omit_defaults=True):
    """A pipeline as plain values: what a run pins. `params` are the defaults."""

    name: str
    description: str = ""
    steps: tuple[StepDefinition, ...] = ()
    constraints: tuple[str, ...] = ()
    params: dict[str, Any] = {}
    shared: dict[str, Any] = {}

    def pinned(self) -> Definition:
        """The definition without the hashes of functions' texts: what must not change unnoticed."""
        return msgspec.structs.replace(self, steps=tuple(step.pinned() for step in self.steps))

    def walk(self, place: str = "steps") -> Iterator[tuple[str, StepDefinition]]:
        """Every step and every nested pipeline's, with its place (`steps.child.pipeline.steps.x`)."""
        for step in self.steps:
            yield f"{place}.{step.name}", step
            if isinstance(step.pipeline, Definition):
                yield from step.pipeline.walk(f"{place}.{step.name}.pipeline.steps")

    def to_json(self) -> bytes:
        """Canonical JSON text; `from_json` reads it back."""
        return values.encode(msgspec.to_builtins(self, builtin_types=(bytes,)))

    @staticmethod
    def from_json(text: bytes) -> Definition:
        """The definition that `to_json` wrote."""
        return msgspec.convert(values.decode(text), Definition)
