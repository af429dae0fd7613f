"""A step as the user writes it: options and a Python function, and what can be read off that function.

Stands apart from `pipeline.py` so that the checks can look at steps without knowing pipelines.
"""

from __future__ import annotations

import difflib
import functools
import hashlib
import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

import msgspec

from engine.definition import Definition, Dep, ExecutionMode, StepDefinition
from engine.models.schemas import schema_of
from engine.policies import RetryPolicy
from store import values
from store.errors import ValueEncodingError

SELF = "self"
"""The word for the pipeline that the step stands in."""


class Nested(Protocol):
    """A pipeline in a step of another."""

    def plain(self) -> Definition:
        """It as plain values, once it was checked."""
        ...


class PipelineStep:
    """A step of a pipeline: a goal for a model, a Python function (`run`) or another pipeline, and its options.

    `timeout` is in seconds for one attempt; `max_retries` N means N + 1 attempts; `output_schema` is a pydantic model (or
    anything with fields) or a JSON Schema. `irreversible=True` marks a body that must never run twice unasked: without `retry` or
    `max_retries` it is not tried again. `pipeline` is a `Pipeline`, which becomes part of this one's definition, or a word by which
    one is found when the step runs (`self`, `module:name`, a file); it is run as a child run that is given `params`.
    """

    def __init__(
        self,
        name: str,
        goal: str | None = None,
        *,
        run: Callable[..., Any] | None = None,
        depends_on: Iterable[str | Dep] | str = (),
        execution_mode: ExecutionMode | str = ExecutionMode.SERIAL,
        constraints: Iterable[str] = (),
        timeout: float | None = None,
        max_retries: int | None = None,
        retry: RetryPolicy | None = None,
        output_schema: Any = None,
        model: str | None = None,
        irreversible: bool = False,
        final: bool = False,
        pipeline: Nested | str | None = None,
        params: Mapping[str, Any] | None = None,
    ) -> None:
        self.name, self.goal, self.run = name, goal, run
        self.depends_on = [depends_on] if isinstance(depends_on, str) else list(depends_on)
        self.execution_mode = execution_mode
        self.constraints: list[Any] = list(constraints)
        self.timeout, self.max_retries, self.retry = timeout, max_retries, retry
        self.output_schema, self.model = output_schema, model
        self.irreversible, self.final = irreversible, final
        self.pipeline, self.params = pipeline, dict(params or {})

    @property
    def dependencies(self) -> list[Dep]:
        """`depends_on` with bare names made dependencies."""
        return [dep if isinstance(dep, Dep) else Dep(str(dep)) for dep in self.depends_on]

    def policy(self) -> RetryPolicy:
        """The retry policy: `retry`, with `max_retries` over it if given; irreversible bodies have none unless said."""
        policy = self.retry or RetryPolicy(max_retries=0 if self.irreversible else RetryPolicy().max_retries)
        return policy if self.max_retries is None else msgspec.structs.replace(policy, max_retries=self.max_retries)

    def define(self) -> StepDefinition:
        """The step as plain values; to be asked only of a step that was checked."""
        return StepDefinition(
            name=self.name,
            goal=self.goal,
            run=None if self.run is None else reference(self.run),
            source=None if self.run is None else source_hash(self.run),
            depends_on=tuple(self.dependencies),
            execution_mode=ExecutionMode(self.execution_mode),
            constraints=tuple(self.constraints),
            timeout=None if self.timeout is None else float(self.timeout),
            retry=self.policy(),
            output_schema=None if self.output_schema is None else schema_of(self.output_schema),
            model=self.model,
            irreversible=self.irreversible,
            final=self.final,
            pipeline=self.pipeline if self.pipeline is None or isinstance(self.pipeline, str) else self.pipeline.plain(),
            params=plain(self.params),
        )


def reference(function: Callable[..., Any]) -> str:
    """`module:qualname` of a function; a lambda or a local one cannot be found by it: then only its own process can run it."""
    target = inspect.unwrap(function)
    name = getattr(target, "__qualname__", None) or type(target).__qualname__
    return f"{getattr(target, '__module__', None) or type(target).__module__}:{name}"


def source_hash(function: Callable[..., Any]) -> str | None:
    """Hash of a function's text as it was when first asked for, None where there is none to read."""
    try:
        return _source_hash(function)
    except TypeError:  # a callable object that cannot be hashed
        return _source_hash.__wrapped__(function)


@functools.lru_cache(maxsize=4096)  # finding and cutting the text out costs 50 us and more, of 75 a step is defined in
def _source_hash(function: Callable[..., Any]) -> str | None:
    try:
        text = inspect.getsource(inspect.unwrap(function))
    except (OSError, TypeError):
        return None
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def plain(value: Any) -> Any:
    """A value as it is read back from a recording."""
    return values.decode(values.encode(value))


def encodable(value: Any) -> str | None:
    """Why a value cannot be kept, None when it can."""
    try:
        values.encode(value)
    except ValueEncodingError as error:
        return str(error)
    return None


def suggestion(word: str, known: Sequence[str]) -> str:
    """`; did you mean 'x'?` for the nearest known word, else nothing."""
    near = difflib.get_close_matches(str(word), known, 1, 0.6)
    return f"; did you mean {near[0]!r}?" if near else ""


def free_parameters(body: Callable[..., Any] | inspect.Signature) -> list[inspect.Parameter]:
    """The parameters a body (or its signature) asks for by name, without `ctx`, `*args` and `**kwargs`."""
    signature = body if isinstance(body, inspect.Signature) else inspect.signature(body)
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return [p for p in signature.parameters.values() if p.kind in kinds and p.name != "ctx"]
