"""One attempt of one step: a value in (`StepTask`), a value out (`Outcome`), the body in between.

The only place where user code is called, and the only one that catches everything it may raise: a step that fails is an event,
not an exception. Nothing outside knows that attempts run in this process.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import traceback
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from engine import capture
from engine.context import StepContext, Surroundings, SyncStepContext
from engine.definition import Definition, StepDefinition
from engine.effects import Answer, Effects, Recorder
from engine.errors import AttemptClosedError, DivergenceError, EffectFailedError, OutputInvalidError
from engine.failures import failure_of
from engine.goals import run_goal
from engine.models.schemas import misfit
from engine.tape import Done, Identity
from engine.threads import Threads
from store import values
from store.errors import ValueEncodingError
from store.events import Failure, Payload, Recorded, Safety

DETAIL_LIMIT = 16_384
"""Characters of a traceback that are kept, from its end."""

LEAVE_SECONDS = 1.0
"""How long a body that was cancelled may take to clean up; one that goes on is left behind, its effects refused."""


class StepTask(msgspec.Struct):
    """One attempt to run: what, with which inputs and params (JSON text by name), what it did before if it is driven again, and
    what earlier attempts did for good."""

    run_id: str
    step: StepDefinition
    attempt: int
    inputs: Mapping[str, bytes]
    params: Mapping[str, bytes]
    seed: int
    tape: Sequence[Recorded] = ()
    done: Mapping[Identity, Done] = {}


class Completed(msgspec.Struct):
    """The attempt returned; the blob has to be stored with the payload."""

    output: Payload
    blob: bytes | None = None


class Failed(msgspec.Struct):
    """The attempt failed."""

    failure: Failure
    blob: tuple[str, bytes] | None = None


Outcome = Completed | Failed


class Copies(Mapping[str, Any]):
    """Recorded values by name, each decoded when it is first looked at: copies that nobody else holds."""

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


class _TimedOutError(Exception):
    """The step's own timeout, told apart from any `TimeoutError` its body may raise."""


def _shape(body: Callable[..., Any]) -> tuple[tuple[str, ...], bool, bool]:
    """(parameter names, whether one is `ctx`, whether the body is async)."""
    try:
        return _shape_of(body)
    except TypeError:  # a callable object that cannot be hashed
        return _shape_of.__wrapped__(body)


@functools.lru_cache(maxsize=4096)
def _shape_of(body: Callable[..., Any]) -> tuple[tuple[str, ...], bool, bool]:
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    names = tuple(p.name for p in inspect.signature(body).parameters.values() if p.kind in kinds)
    is_async = inspect.iscoroutinefunction(body) or inspect.iscoroutinefunction(getattr(body, "__call__", None))  # noqa: B004
    return tuple(name for name in names if name != "ctx"), "ctx" in names, is_async


class Executor:
    """Runs attempts of one run's steps. `bodies` maps step names to functions (goal steps have none), `schemas` to output types."""

    def __init__(
        self,
        definition: Definition,
        bodies: Mapping[str, Callable[..., Any]],
        schemas: Mapping[str, Any],
        recorder: Recorder,
        surroundings: Surroundings,
        threads: Threads,
    ) -> None:
        self._definition, self._bodies, self._schemas = definition, bodies, schemas
        self._recorder, self._around, self._threads = recorder, surroundings, threads
        self._shared = {name: values.encode(value) for name, value in definition.shared.items()}

    async def run(self, task: StepTask) -> Outcome:
        """Run one attempt to its end, once its start is durable; raises only `CancelledError`, and `StoreError` before the body."""
        step = task.step
        effects = Effects(self._recorder, step.name, task.attempt, task.tape, task.done)
        writer = functools.partial(self._printed, step.name, task.attempt, asyncio.get_running_loop())
        await self._recorder.flush()  # here, so that all above is made while the disk works (a chain's step: 30 of 370 us)
        token = capture.writing.set(writer)
        try:
            if step.timeout is None:
                value = await self._body(task, effects)
            else:
                value = await _within(step.timeout, self._body(task, effects))
            self._tell_unmade(step.name, task.attempt, effects)
            return _completed(step, value)
        except asyncio.CancelledError:
            if _cancelling():
                raise
            return _safe(Failed(Failure("error", "CancelledError: the body cancelled itself")), effects)
        except _TimedOutError:
            return _safe(Failed(Failure("timeout", f"timed out after {step.timeout:g} s")), effects)
        except BaseException as error:  # user code may raise anything, SystemExit included
            return _safe(_failed(error), effects)
        finally:
            effects.close()
            capture.finish(writer)
            capture.writing.reset(token)

    def _tell_unmade(self, step: str, attempt: int, effects: Effects) -> None:
        for event in effects.unmade:
            text = f"driven again this attempt did not ask for {event.kind} {event.name!r}; its code or what it looks at changed"
            self._around.write_log(step, attempt, text, "warning", "log", {})

    def _body(self, task: StepTask, effects: Effects) -> Coroutine[Any, Any, Any]:
        step = task.step
        if not step.irreversible:
            return self._call(task, effects)

        async def issue(_: float) -> Answer:
            return Answer(await self._call(task, effects))

        return effects.perform("body", step.name, None, Safety.IRREVERSIBLE, issue)

    async def _call(self, task: StepTask, effects: Effects) -> Any:
        step, inputs, params = task.step, Copies(task.inputs), Copies(task.params)
        if step.pipeline is not None:
            return await self._around.children.of_step(effects, step, task.attempt)
        body = self._bodies.get(step.name)
        if body is None:
            schema = self._schemas.get(step.name, step.output_schema)
            return await run_goal(self._context(task, inputs, params, effects), step, self._definition, schema)
        names, wants_context, is_async = _shape(body)
        arguments: dict[str, Any] = {}
        for name in names:
            if name in task.inputs:
                arguments[name] = inputs[name]
            elif name in task.params:
                arguments[name] = params[name]
        if wants_context:
            context = self._context(task, inputs, params, effects)
            arguments["ctx"] = context if is_async else SyncStepContext(context, asyncio.get_running_loop())
        if is_async:
            return await body(**arguments)
        value = await self._threads.run(functools.partial(body, **arguments))
        return await value if inspect.isawaitable(value) else value

    def _context(self, task: StepTask, inputs: Copies, params: Copies, effects: Effects) -> StepContext:
        return StepContext(
            run_id=task.run_id,
            step=task.step.name,
            attempt=task.attempt,
            seed=task.seed,
            inputs=inputs,
            params=params,
            shared=Copies(self._shared),
            effects=effects,
            surroundings=self._around,
        )

    def _printed(self, step: str, attempt: int, loop: asyncio.AbstractEventLoop, line: str, stream: str) -> None:
        level = "info" if stream == "stdout" else "warning"
        write = functools.partial(self._around.write_log, step, attempt, line, level, stream, {})
        try:
            on_loop = asyncio.get_running_loop() is loop
        except RuntimeError:
            on_loop = False
        if on_loop:
            write()
        else:
            loop.call_soon_threadsafe(write)


def _cancelling() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


async def _within(seconds: float, work: Awaitable[Any]) -> Any:
    """What `work` returns or raises within `seconds`; raises `_TimedOutError` even if it swallows its cancellation and goes on."""
    inner = asyncio.ensure_future(_caught(work))
    try:
        done, _ = await asyncio.wait({inner}, timeout=seconds)
        if not done:
            raise _TimedOutError
    except BaseException:
        inner.cancel()
        await asyncio.wait({inner}, timeout=LEAVE_SECONDS)
        raise
    value, error = inner.result()
    if error is not None:
        raise error
    return value


async def _caught(work: Awaitable[Any]) -> tuple[Any, BaseException | None]:
    """A task that raised SystemExit would take the loop with it."""
    try:
        return await work, None
    except BaseException as error:  # carried over to the attempt
        return None, error


def _safe(failed: Failed, effects: Effects) -> Failed:
    """An attempt that leaves an irreversible effect without an outcome is not tried again: that could do it twice."""
    unsettled = effects.unsettled
    if not unsettled:
        return failed
    message = f"{failed.failure.message}; {', '.join(map(repr, unsettled))} has no known outcome, so it is not tried again"
    return Failed(msgspec.structs.replace(failed.failure, message=message, retryable=False), failed.blob)


def _completed(step: StepDefinition, value: Any) -> Outcome:
    try:
        payload, blob = values.pack(value)
    except (ValueEncodingError, RecursionError) as error:
        return Failed(Failure("output", str(error), retryable=False))
    if step.output_schema is not None and step.goal is None:
        text = blob if blob is not None else bytes(payload.json)
        problem = misfit(values.decode(text), step.output_schema)
        if problem is not None:
            message = f"The output does not fit the schema at {problem.place}: {problem.text}"
            return Failed(Failure("output", message, retryable=False))
    return Completed(payload, blob)


def _failed(error: BaseException) -> Failed:
    failure = failure_of(error)
    if isinstance(error, DivergenceError):
        return Failed(msgspec.structs.replace(failure, kind="divergence", retryable=False))
    if isinstance(error, OutputInvalidError):
        return Failed(msgspec.structs.replace(failure, kind="output"))
    if isinstance(error, EffectFailedError | AttemptClosedError):
        return Failed(failure)
    text = "".join(traceback.format_exception(error)).encode("utf-8", "backslashreplace").decode()
    detail, blob = values.pack(text[-DETAIL_LIMIT:])
    packed = (detail.blob, blob) if detail.blob is not None and blob is not None else None
    return Failed(msgspec.structs.replace(failure, detail=detail), packed)
