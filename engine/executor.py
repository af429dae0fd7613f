"""One attempt of one step: a value in (`StepTask`), a value out (`Outcome`), the body in between.

The only place where user code is called, and the only one that catches everything it may raise: a step that fails is an event,
not an exception. Nothing outside knows that attempts run in this process.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import traceback
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from engine import capture
from engine.answers import Answer, Asked, Recorder
from engine.context import StepContext, Surroundings, SyncStepContext
from engine.definition import Definition, StepDefinition
from engine.effects import Effects
from engine.errors import (
    AttemptClosedError,
    ConditionFailedError,
    DivergenceError,
    EffectFailedError,
    ExpressionError,
    InputMissingError,
    OutputInvalidError,
)
from engine.failures import failure_of
from engine.goals import merge, run_goal
from engine.models.schemas import misfit
from engine.names import Decoded
from engine.reads import asks
from engine.recordings import NOTHING_KNOWN, Recordings
from engine.threads import Threads
from engine.unrecorded import NoEffects
from engine.within import OutOfTimeError, within
from store import values
from store.errors import ValueEncodingError
from store.events import Failure, Payload, Recorded, Safety

DETAIL_LIMIT = 16_384
"""Characters of a traceback that are kept, from its end."""

ASK_LIMIT = 8_000
"""Characters of one dependency's output that a yes-or-no question to a model is given."""


class StepTask(msgspec.Struct):
    """One attempt to run: what, at which path, with which inputs, params and words of the moment (JSON text by name).

    `tape` is what the attempt did before if it is driven again, `known` what is recorded elsewhere and not done again, `names` what
    its expressions see. `left` are the seconds left of the step's `total_timeout`.
    """

    run_id: str
    step: StepDefinition
    path: str
    attempt: int
    inputs: Mapping[str, bytes]
    params: Mapping[str, bytes]
    given: Mapping[str, bytes]
    names: Mapping[str, Any]
    seed: int
    tape: Sequence[Recorded] = ()
    known: Recordings = NOTHING_KNOWN
    left: float | None = None


class Completed(msgspec.Struct):
    """The attempt returned; the blob has to be stored with the payload. `closes` are the branches its switch did not choose."""

    output: Payload
    blob: bytes | None = None
    closes: list[str] | None = None


class Skipped(msgspec.Struct):
    """The attempt found that the step is not to be run: a model said so."""

    reason: str


class Failed(msgspec.Struct):
    """The attempt failed."""

    failure: Failure
    blob: tuple[str, bytes] | None = None


Outcome = Completed | Failed | Skipped


NO_EFFECTS = NoEffects()


class _SkippedError(Exception):
    """The step's condition does not hold."""


class Shape(NamedTuple):
    """The names of a body's parameters, those that have no default, whether one is `ctx`, whether it is async."""

    names: tuple[str, ...]
    needed: frozenset[str]
    wants_context: bool
    is_async: bool


def shape(body: Callable[..., Any]) -> Shape:
    """What a body takes, and whether it is async."""
    try:
        return _shape_of(body)
    except TypeError:  # a callable object that cannot be hashed
        return _shape_of.__wrapped__(body)


@functools.lru_cache(maxsize=4096)
def _shape_of(body: Callable[..., Any]) -> Shape:
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    parameters = [one for one in inspect.signature(body).parameters.values() if one.kind in kinds]
    names = tuple(one.name for one in parameters if one.name != "ctx")
    needed = frozenset(one.name for one in parameters if one.default is one.empty)
    is_async = inspect.iscoroutinefunction(body) or inspect.iscoroutinefunction(getattr(body, "__call__", None))  # noqa: B004
    return Shape(names, needed, any(one.name == "ctx" for one in parameters), is_async)


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
        self._askers: dict[str, bool] = {}
        self._shared = {name: values.encode(value) for name, value in definition.shared.items()}

    async def run(self, task: StepTask) -> Outcome:
        """Run one attempt to its end, once its start is durable; raises only `CancelledError`, and `StoreError` before the body."""
        gated = bool(task.tape) or self._may_ask(task.step)
        effects = self._effects(task) if gated else NO_EFFECTS
        writer = functools.partial(self._printed, task.path, task.attempt, asyncio.get_running_loop())
        await self._recorder.flush()  # here, so that all above is made while the disk works (a chain's step: 30 of 370 us)
        token = capture.writing.set(writer)
        try:
            timed = task.step.timeout is not None or task.left is not None
            value = await (self._timed(task, effects) if timed else self._body(task, effects))
            if task.tape:
                self._tell_unmade(task.path, task.attempt, effects)
            return _completed(task, value)
        except _SkippedError as skipped:
            return Skipped(str(skipped))
        except asyncio.CancelledError:
            if _cancelling():
                raise
            return _safe(Failed(Failure("error", "CancelledError: the body cancelled itself")), effects)
        except OutOfTimeError:
            return _safe(Failed(_out_of_time(task)), effects)
        except BaseException as error:  # user code may raise anything, SystemExit included
            return _safe(_failed(error), effects)
        finally:
            effects.close()
            capture.finish(writer)
            capture.writing.reset(token)

    def _effects(self, task: StepTask) -> Effects:
        async def permit(asked: Asked) -> Answer:
            return Answer(await self._around.steerer.answer(asked.version, None))

        return Effects(self._recorder, task.path, task.attempt, task.tape, task.known, permit if task.known.forked else None)

    def _may_ask(self, step: StepDefinition) -> bool:
        """Whether an attempt of the step is given anything to ask the world by: a context, a goal, a pipeline, a gate around it."""
        found = self._askers.get(step.name)
        if found is None:
            body = self._bodies.get(step.name)
            bare = body is not None and step.run is not None and not step.irreversible and not asks(step)
            found = self._askers[step.name] = not bare or body is None or shape(body).wants_context
        return found

    async def _timed(self, task: StepTask, effects: Effects) -> Any:
        limits = [seconds for seconds in (task.step.timeout, task.left) if seconds is not None]
        if min(limits) <= 0:
            raise OutOfTimeError
        return await within(min(limits), self._body(task, effects))

    def _tell_unmade(self, step: str, attempt: int, effects: Effects) -> None:
        for event in effects.unmade:
            text = f"driven again this attempt did not ask for {event.kind} {event.name!r}; its code or what it looks at changed"
            self._around.write_log(step, attempt, text, "warning", "log", {})

    def _body(self, task: StepTask, effects: Effects) -> Coroutine[Any, Any, Any]:
        step = task.step
        if not step.irreversible:
            return self._call(task, effects)

        async def issue(_: Asked) -> Answer:
            return Answer(await self._call(task, effects))

        return effects.perform("body", task.path, None, Safety.IRREVERSIBLE, issue)

    async def _call(self, task: StepTask, effects: Effects) -> Any:
        step, inputs, params = task.step, Decoded(task.inputs), Decoded(task.params)
        if asks(step):
            await _judge(step, task, self._context(task, inputs, params, effects))
        body = self._bodies.get(step.name)
        if body is None:
            return await self._without_function(task, inputs, params, effects)
        names, needed, wants_context, is_async = shape(body)
        if step.run is None:  # a merge
            merge_all = functools.partial(body, [inputs[dep.step] for dep in step.depends_on if dep.step in inputs])
            return await merge_all() if is_async else await self._threads.run(merge_all)
        arguments: dict[str, Any] = {}
        for name in names:
            if name in task.inputs:
                arguments[name] = inputs[name]
            elif name in task.given:
                arguments[name] = values.decode(task.given[name])
            elif name in task.params:
                arguments[name] = params[name]
            elif name in needed:
                raise InputMissingError(
                    f"there is nothing to give its parameter {name!r}: {name} came to no output; give it a default"
                )
        if wants_context:
            context = self._context(task, inputs, params, effects)
            arguments["ctx"] = context if is_async else SyncStepContext(context, asyncio.get_running_loop())
        if is_async:
            return await body(**arguments)
        value = await self._threads.run(functools.partial(body, **arguments))
        return await value if inspect.isawaitable(value) else value

    async def _without_function(self, task: StepTask, inputs: Decoded, params: Decoded, effects: Effects) -> Any:
        """The attempt of a step that has no function of the user's: a pipeline, a goal, a merge, or nothing but a switch."""
        step = task.step
        if step.kind == "p":
            from engine.expressions import map_templates

            given = map_templates(step.params, lambda template, _: template.render({**task.names, **Decoded(task.given)}))
            return await self._around.children.of_step(effects, step, task.path, task.attempt, given)
        if step.kind == "s":
            return None
        context = self._context(task, inputs, params, effects)
        if step.kind == "m":
            return await merge(context, step, inputs)
        schema = self._schemas.get(step.name, step.output_schema)
        return await run_goal(context, step, self._definition, schema, task.names)

    def _context(self, task: StepTask, inputs: Decoded, params: Decoded, effects: Effects) -> StepContext:
        return StepContext(
            run_id=task.run_id,
            step=task.path,
            attempt=task.attempt,
            seed=task.seed,
            inputs=inputs,
            params=params,
            shared=Decoded(self._shared),
            effects=effects,
            surroundings=self._around,
            given=Decoded(task.given),
            names=task.names,
            read_data=task.step.read_data,
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


def _out_of_time(task: StepTask) -> Failure:
    timeout, left = task.step.timeout, task.left
    if left is None or (timeout is not None and timeout < left):
        return Failure("timeout", f"timed out after {timeout:g} s")
    return Failure("timeout", f"ran out of its {task.step.total_timeout:g} s for all attempts", retryable=False)


def _safe(failed: Failed, effects: Effects) -> Failed:
    """An attempt that leaves an irreversible effect without an outcome is not tried again: that could do it twice."""
    unsettled = effects.unsettled
    if not unsettled:
        return failed
    message = f"{failed.failure.message}; {', '.join(map(repr, unsettled))} has no known outcome, so it is not tried again"
    return Failed(msgspec.structs.replace(failed.failure, message=message, retryable=False), failed.blob)


async def _judge(step: StepDefinition, task: StepTask, context: StepContext) -> None:
    """Ask the model what the condition asks it; raises `_SkippedError` if the condition does not hold."""
    from engine.expressions import parse

    condition = parse(step.condition or "true")
    answers = {}
    for question in condition.asks_model:
        answers[question] = bool(await context.model(_yes_or_no(question, context), schema={"type": "boolean"}))
    if not condition.holds(task.names, answers):
        raise _SkippedError(f"its condition does not hold: {condition.text}")


def _yes_or_no(question: str, context: StepContext) -> str:
    parts = [f"Answer with true or false and nothing else: {question}"]
    parts += [f"Output of step {name!r}:\n{values.encode(output).decode()[:ASK_LIMIT]}" for name, output in context.inputs.items()]
    return "\n\n".join(parts)


def _completed(task: StepTask, value: Any) -> Outcome:
    step = task.step
    if step.switch is None and (step.condition is None or step.condition_mode == "pre"):
        return _packed(step, value)
    from engine.expressions import parse
    from engine.looks import choose

    try:
        output = values.decode(values.encode(value))
        names = {**task.names, "output": output, "attempt": task.attempt}
        if step.condition is not None and step.condition_mode == "post" and not parse(step.condition).holds(names):
            raise ConditionFailedError(f"the output does not satisfy {step.condition}")
        closes: list[str] = []
        if step.switch is not None:
            chosen = choose(step, names)
            value = chosen if step.kind == "s" else value
            closes = [branch for branch in step.switch if branch != chosen]
    except (ValueEncodingError, RecursionError) as error:
        return Failed(Failure("output", str(error), retryable=False))
    except ConditionFailedError as error:
        return Failed(Failure("condition", str(error)))
    except ExpressionError as error:
        return Failed(Failure("condition", str(error), retryable=False))
    outcome = _packed(step, value)
    return msgspec.structs.replace(outcome, closes=closes) if isinstance(outcome, Completed) else outcome


def _packed(step: StepDefinition, value: Any) -> Completed | Failed:
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
    if isinstance(error, ExpressionError):
        return Failed(msgspec.structs.replace(failure, kind="condition", retryable=False))
    if isinstance(error, OutputInvalidError):
        return Failed(msgspec.structs.replace(failure, kind="output"))
    if isinstance(error, InputMissingError):
        return Failed(msgspec.structs.replace(failure, kind="input", message=str(error), retryable=False))
    if isinstance(error, EffectFailedError | AttemptClosedError):
        return Failed(failure)
    text = "".join(traceback.format_exception(error)).encode("utf-8", "backslashreplace").decode()
    detail, blob = values.pack(text[-DETAIL_LIMIT:])
    packed = (detail.blob, blob) if detail.blob is not None and blob is not None else None
    return Failed(msgspec.structs.replace(failure, detail=detail), packed)
