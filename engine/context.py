"""What a step's body is given: its inputs, and the effects through which it touches the world.

Two faces of one thing: `StepContext` for async functions (effects are awaited), `SyncStepContext` for plain functions, which run
in a worker thread and hand each effect over to the loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import copy
import functools
import inspect
import random
import time
import uuid
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, Protocol, TypeVar, cast

import msgspec

from engine.answers import Answer, Asked
from engine.asking import ELSEWHERE, Asking
from engine.children import Children
from engine.commands import checkpoint_name
from engine.effects import Effects
from engine.errors import AttemptClosedError, EffectFailedError, ExpressionError, OutputInvalidError
from engine.exchange import Exchange
from engine.memory import Remembering, RunMemory, Space
from engine.messaging import Messaging
from engine.models import replies
from engine.models.port import ModelRequest
from engine.models.schemas import misfit_of_type, schema_of
from engine.pipeline import Pipeline
from engine.steering import Steerer, Steering
from engine.tooling import Toolbox, Tooling
from engine.within import effect_within
from store import values
from store.blobs import ChainCache, chain
from store.events import Payload, Safety

T = TypeVar("T")


class Surroundings(Protocol):
    """What the context needs of the driver besides recording effects."""

    @property
    def exchange(self) -> Exchange: ...
    @property
    def steerer(self) -> Steerer: ...
    @property
    def children(self) -> Children: ...
    def write_log(self, step: str, attempt: int, text: str, level: str, stream: str, fields: Mapping[str, Any]) -> None: ...
    def make_artifact(self, step: str, attempt: int, name: str, content: bytes, media_type: str) -> None: ...
    def make_checkpoint(self, step: str, attempt: int, name: str, metadata: Mapping[str, Any]) -> None: ...
    def was_simulated(self, step: str) -> bool: ...
    async def in_thread(self, function: Callable[[], Any]) -> Any: ...
    @property
    def asking(self) -> Asking: ...
    @property
    def tools(self) -> Toolbox: ...


class StepContext(Remembering, Messaging, Steering, Tooling):
    """The run as one attempt of a step sees it. All values are copies: changing them changes nothing outside the step.

    `inputs` maps each dependency to its output, `params` are the run's, `shared` is read-only. `given` has the words of
    the moment: `item` and `index` in a `for_each`, `output` (of the last one) and `iteration` in a `while_`. `data` is what
    `read_data` names, by path. Effects (`model`, `once`, `sleep`,
    `now`, `random`, `uuid`) are recorded: after a crash the body runs again from its start and gets what they answered.
    """

    _around: Surroundings

    def __init__(
        self,
        *,
        run_id: str,
        step: str,
        attempt: int,
        seed: int,
        inputs: Mapping[str, Any],
        params: Mapping[str, Any],
        shared: Mapping[str, Any],
        effects: Effects,
        surroundings: Surroundings,
        given: Mapping[str, Any] | None = None,
        names: Mapping[str, Any] | None = None,
        read_data: Sequence[str] = (),
    ) -> None:
        self.given, self._names, self._paths = given or {}, names or {}, read_data
        self._steerer = surroundings.steerer
        self.run_id, self.step, self.attempt = run_id, step, attempt
        self.inputs, self.params, self.shared = inputs, params, shared
        self._seed, self._effects, self._around = seed, effects, surroundings
        self._said = ChainCache()

    @property
    def data(self) -> dict[str, Any]:
        """The values that the step's `read_data` names, by path; those that are not there are left out."""
        from engine.expressions import parse

        found = {}
        for path in self._paths:
            with contextlib.suppress(ExpressionError):
                found[path] = parse(path).evaluate({**self._names, **self.given})
        return found

    def log(self, text: str, *, level: str = "info", **fields: Any) -> None:
        """Write a line into the run's log; `fields` are JSON-like values shown with it."""
        self._around.write_log(self.step, self.attempt, str(text), level, "log", fields)

    def simulated(self, step: str) -> bool:
        """Whether a dependency's output came (in part) from a simulated model."""
        return self._around.was_simulated(step)

    async def artifact(self, name: str, content: str | bytes, media_type: str = "text/plain") -> None:
        """Keep a named piece of content with the run; one of the same name and step replaces it in what is shown."""
        raw = content if isinstance(content, bytes) else content.encode("utf-8", "backslashreplace")
        self._around.make_artifact(self.step, self.attempt, name, raw, media_type)

    async def checkpoint(self, name: str, **metadata: Any) -> None:
        """Give this place of the run a name, to look at it or fork from it later; `metadata` are values kept with it.

        The newest of a name counts. Raises `EngineError` for a name that could be taken for another place.
        """
        self._around.make_checkpoint(self.step, self.attempt, checkpoint_name(name), metadata)

    async def now(self) -> float:
        """Unix seconds, recorded."""
        answer = await self._effects.perform("now", "now", None, Safety.PURE, lambda _: Answer(time.time()))
        return float(answer)

    async def random(self) -> float:
        """A number in [0, 1), recorded."""
        source = lambda _: Answer(random.random())  # noqa: S311, E731 - not for secrets; recorded like any effect
        return float(await self._effects.perform("random", "random", None, Safety.PURE, source))

    async def uuid(self) -> str:
        """A random UUID as text, recorded."""
        return str(await self._effects.perform("uuid", "uuid", None, Safety.PURE, lambda _: Answer(str(uuid.uuid4()))))

    async def sleep(self, seconds: float) -> None:
        """Wait `seconds` from when it was first asked: a crash in between does not start the wait over."""

        async def wait(asked: Asked) -> Answer:
            await asyncio.sleep(max(0.0, min(asked.at + seconds - time.time(), seconds)))
            return Answer(None)

        await self._effects.perform("sleep", "sleep", {"seconds": seconds}, Safety.PURE, wait)

    async def once(
        self,
        key: str,
        function: Callable[..., Any],
        *args: Any,
        safety: Safety | str = Safety.IDEMPOTENT,
        timeout: float | None = None,
        **kwargs: Any,
    ) -> Any:
        """Call any function as an effect named `key`, and return what it returned, as plain values.

        `safety` says what may be done when a crash leaves its outcome unknown: `pure`, `read` and `idempotent` are called again,
        `irreversible` waits for somebody to say. A plain function runs in a worker thread. Raises `EffectFailedError` if it raised,
        and, with the kind `timeout`, if it took longer than `timeout` seconds: an irreversible one may have happened then, so it is
        refused from there on, and the step is not tried again.
        """
        safe = Safety(safety)

        async def call(_: Asked) -> Answer:
            bound = functools.partial(function, *args, **kwargs)
            work = bound() if inspect.iscoroutinefunction(function) else self._around.in_thread(bound)
            return Answer(await effect_within(timeout, work, key, again=safe is not Safety.IRREVERSIBLE))

        arguments = {"args": list(args), "kwargs": kwargs} if kwargs else {"args": list(args)} if args else None
        return await self._effects.perform("once", key, arguments, safe, call)

    async def child(self, pipeline: Pipeline | str, params: Mapping[str, Any] | None = None) -> Any:
        """Run another pipeline as a child run, given `params`, and return its final output.

        `pipeline` is a `Pipeline`, or a word by which one is found: `self`, `module:name` or a file. After a crash the same child
        is driven on. Raises `EffectFailedError` (kind `child`) when it failed or was cancelled.
        """
        return await self._around.children.ask(self._effects, self.step, self.attempt, pipeline, params or {})

    async def model(
        self,
        prompt: str | Sequence[Mapping[str, Any]],
        *,
        schema: Any = None,
        model: str | None = None,
        system: str | None = None,
        timeout: float | None = None,
        **params: Any,
    ) -> Any:
        """Ask a language model and return its text, or, with `schema`, the value that fits it (one repair is asked for).

        `prompt` is text or a list of chat messages; `model` and `system` override the step's; `params` go to the provider
        (`temperature`, ...), before those of the step's `config`; `timeout` (seconds) overrides `model_timeout`. Where the model
        cannot answer but another may, the fallback models are asked in turn, each an effect of its own. Raises `EffectFailedError`
        when the call failed and `OutputInvalidError` when the repaired answer still does not fit.
        """
        messages = [{"role": "user", "content": prompt}] if isinstance(prompt, str) else [dict(message) for message in prompt]
        told = self._around.asking.system(self.step) if system is None else system
        if told and not (system is None and any(message.get("role") == "system" for message in messages)):
            messages.insert(0, {"role": "system", "content": told})
        wanted = None if schema is None else schema_of(schema)
        names = self._around.asking.names(self.step, model)
        config = self._around.asking.config(self.step)
        seconds = config.model_timeout if timeout is None else timeout
        request = ModelRequest(names[0], messages, wanted, {**config.params(), **params}, self._seed, seconds)
        name, answer, messages = await self._answered(names, request)
        if wanted is None:
            return answer["text"]
        value = _read(answer["text"], wanted, schema)
        if isinstance(value, replies.ReplyProblem):
            repaired = replies.repair_messages(messages, answer["text"], value)
            left = names[names.index(name) :]
            name, answer, _ = await self._answered(left, msgspec.structs.replace(request, messages=repaired))
            value = _read(answer["text"], wanted, schema)
        if isinstance(value, replies.ReplyProblem):
            raise OutputInvalidError(f"{name} gave no valid answer, also after one repair: {value}")
        return value

    def inside(self, effects: Effects, loop: asyncio.AbstractEventLoop | None) -> StepContext | SyncStepContext:
        """The context that a call of a tool is given: the same, with other effects; plain for a function in a thread of `loop`."""
        made = copy.copy(self)
        made._effects, made._offered, made._said = effects, None, ChainCache()
        return made if loop is None else SyncStepContext(made, loop)

    async def _ask_one_of(self, names: Sequence[str], request: ModelRequest) -> tuple[str, Any]:
        """The answer of the first model that can give one, and its name. Raises what the last one failed with."""
        name, *left = names
        try:
            return name, await self._ask(msgspec.structs.replace(request, model=name))
        except EffectFailedError as error:
            if not left or error.kind not in ELSEWHERE:
                raise
            self.log(f"{error} {left[0]} is asked instead.", level="warning")
        return await self._ask_one_of(left, request)

    async def _ask(self, request: ModelRequest) -> Any:
        # What the cache knows is not stored again, so it is used only where the request is recorded without a wait in between.
        # Without it every turn stores the whole conversation anew: 8.9 ms at turn 1,000, with it 3.6.
        head, blobs = chain(request.messages, None if self._effects.replaying else self._said)
        arguments = {
            "model": request.model,
            "messages": {"chain": head, "count": len(request.messages)},
            "params": request.params,
            "schema": request.output_schema,
            "seed": request.seed,
        }
        payload, blob = values.pack({key: value for key, value in arguments.items() if value})
        stored: tuple[Payload, list[tuple[str, bytes]]] = (payload, list(blobs))
        if payload.blob is not None and blob is not None:
            stored[1].append((payload.blob, blob))

        async def ask(_: Asked) -> Answer:
            return await self._around.asking.ask((self.step, self.attempt), request)

        return await self._effects.perform("model", request.model, None, Safety.READ, ask, stored=stored, paid=True)


def _read(text: str, wanted: dict[str, Any], schema: Any) -> Any | replies.ReplyProblem:
    """The value in a model's text, or why it does not fit; a type's own validators are not in its JSON Schema and are asked too."""
    value = replies.read(text, wanted)
    if isinstance(value, replies.ReplyProblem) or isinstance(schema, dict):
        return value
    problem = misfit_of_type(value, schema)
    return value if problem is None else replies.ReplyProblem(f"At {problem.place}: {problem.text}")


class SyncStepContext:
    """The same for a plain function in a worker thread: effects are called without `await`."""

    def __init__(self, context: StepContext, loop: asyncio.AbstractEventLoop) -> None:
        self._context, self._loop = context, loop
        self.run_id, self.step, self.attempt = context.run_id, context.step, context.attempt
        self.inputs, self.params, self.shared = context.inputs, context.params, context.shared

    def _wait(self, effect: Coroutine[Any, Any, T]) -> T:
        if _on(self._loop):  # a plain function that returned a coroutine: there the effect is awaited; waiting here would never end
            return cast("T", effect)
        try:
            asked = asyncio.run_coroutine_threadsafe(effect, self._loop)
        except RuntimeError as error:  # the loop is closed: a thread that was left behind goes on
            effect.close()
            raise AttemptClosedError(f"step {self.step!r}: its driver has ended; its effects are refused") from error
        return asked.result()

    def __getattr__(self, name: str) -> Any:
        """The effects that remember and talk: the methods of `StepContext`, without `await`."""
        return _plain(getattr(self._context, name), self._wait)

    def space(self, name: str) -> Any:
        """See `StepContext.space`; the space's methods work without `await`."""
        return Waiting(self._context.space(name), self._wait)

    def log(self, text: str, *, level: str = "info", **fields: Any) -> None:
        """See `StepContext.log`."""
        kept = values.decode(values.encode(fields)) if fields else {}  # here, where the body hears what cannot be kept
        self._loop.call_soon_threadsafe(functools.partial(self._context.log, str(text), level=level, **kept))

    def simulated(self, step: str) -> bool:
        """See `StepContext.simulated`."""
        return self._context.simulated(step)

    def artifact(self, name: str, content: str | bytes, media_type: str = "text/plain") -> None:
        """See `StepContext.artifact`."""
        return self._wait(self._context.artifact(name, content, media_type))

    def now(self) -> float:
        """See `StepContext.now`."""
        return self._wait(self._context.now())

    def random(self) -> float:
        """See `StepContext.random`."""
        return self._wait(self._context.random())

    def uuid(self) -> str:
        """See `StepContext.uuid`."""
        return self._wait(self._context.uuid())

    def sleep(self, seconds: float) -> None:
        """See `StepContext.sleep`."""
        return self._wait(self._context.sleep(seconds))

    def once(
        self,
        key: str,
        function: Callable[..., Any],
        *args: Any,
        safety: Safety | str = Safety.IDEMPOTENT,
        timeout: float | None = None,
        **kwargs: Any,
    ) -> Any:
        """See `StepContext.once`."""
        return self._wait(self._context.once(key, function, *args, safety=safety, timeout=timeout, **kwargs))

    def child(self, pipeline: Pipeline | str, params: Mapping[str, Any] | None = None) -> Any:
        """See `StepContext.child`."""
        return self._wait(self._context.child(pipeline, params))

    def model(self, prompt: str | Sequence[Mapping[str, Any]], **options: Any) -> Any:
        """See `StepContext.model`."""
        return self._wait(self._context.model(prompt, **options))


class Waiting:
    """An object of effects as a plain function uses it: its async methods are called without `await`."""

    def __init__(self, held: RunMemory | Space, wait: Callable[[Coroutine[Any, Any, Any]], Any]) -> None:
        self._held, self._wait = held, wait

    def __getattr__(self, name: str) -> Any:
        return _plain(getattr(self._held, name), self._wait)


def _plain(member: Any, wait: Callable[[Coroutine[Any, Any, Any]], Any]) -> Any:
    if isinstance(member, RunMemory):
        return Waiting(member, wait)
    if not inspect.iscoroutinefunction(member):
        return member
    return functools.wraps(member)(lambda *args, **kwargs: wait(member(*args, **kwargs)))


def _on(loop: asyncio.AbstractEventLoop) -> bool:
    try:
        return asyncio.get_running_loop() is loop
    except RuntimeError:
        return False
