"""One call from a script: run a pipeline or a goal to its end and get the result.

Stands apart from `Engine`, which is for long-lived use. The synchronous form works inside a running event loop too (a notebook):
it then drives in a thread of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import threading
from collections.abc import Callable, Coroutine, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.alone import alone
from engine.engine import Engine
from engine.errors import EngineError, suggestion
from engine.pipeline import Pipeline, need_pipeline
from engine.result import PipelineResult

if TYPE_CHECKING:
    from engine.config import TAgentConfig


def run_agent(
    goal_or_pipeline: str | Pipeline,
    config: TAgentConfig | None = None,
    *,
    params: Mapping[str, Any] | None = None,
    db: str | Path | None = None,
    only: str | None = None,
    inputs: Mapping[str, Any] | None = None,
    **overrides: Any,
) -> PipelineResult:
    """Run a pipeline, or a goal as a pipeline of one goal step, to its end and return the result.

    `db` is the store's file, `":memory:"` to keep nothing, or None for the user's store; `overrides` are settings by name (`model`,
    `api_base`, `api_key`, `max_concurrent_steps`, ...) over `config`, or over those of the environment, `./tagent.toml` and the
    user's file where there is none. `only` runs one step alone, with `inputs` as the outputs of
    what it depends on (by step).
    """
    if isinstance(goal_or_pipeline, str):
        return _wait(run_goal(goal_or_pipeline, config, params=params, db=db, **overrides))
    need_pipeline(goal_or_pipeline, "run_agent", "a Pipeline, or a goal as text")
    return _wait(run_pipeline(goal_or_pipeline, config, params=params, db=db, only=only, inputs=inputs, **overrides))


async def run_pipeline(
    pipeline: Pipeline,
    config: TAgentConfig | None = None,
    *,
    params: Mapping[str, Any] | None = None,
    db: str | Path | None = None,
    only: str | None = None,
    inputs: Mapping[str, Any] | None = None,
    **overrides: Any,
) -> PipelineResult:
    """Run a pipeline to its end and return the result; see `run_agent`."""
    need_pipeline(pipeline, "run_pipeline")
    if inputs is not None and only is None:
        raise EngineError("inputs are outputs of other steps for one that runs alone; give only=STEP, or remove them.")
    if only is not None:
        pipeline = alone(pipeline, only, inputs)
    async with Engine(db, _settings(config, overrides)) as engine:
        return await engine.result(await engine.start(pipeline, params))


async def run_goal(
    goal: str,
    config: TAgentConfig | None = None,
    *,
    params: Mapping[str, Any] | None = None,
    db: str | Path | None = None,
    output_schema: Any = None,
    tools: Iterable[Callable[..., Any]] = (),
    **overrides: Any,
) -> PipelineResult:
    """Run one goal, whose model may call `tools`, as a pipeline of one step, `answer`, and return the result; see `run_agent`."""
    pipeline = Pipeline("goal", goal[:200], tools=tools).step("answer", goal, output_schema=output_schema)
    return await run_pipeline(pipeline, config, params=params, db=db, **overrides)


def _settings(config: TAgentConfig | None, overrides: Mapping[str, Any]) -> TAgentConfig:
    import pydantic

    from engine.config import TAgentConfig, configured

    config = configured() if config is None else config
    known = list(TAgentConfig.model_fields)
    unknown = [name for name in overrides if name not in known]
    if unknown:
        raise EngineError(f"There is no setting {unknown[0]!r}{suggestion(unknown[0], known)}; known are {', '.join(known)}.")
    held = {name: getattr(config, name) for name in config.model_fields_set}
    try:
        return TAgentConfig(**{**held, **overrides})
    except pydantic.ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise EngineError(f"The setting {place!r} cannot be {first.get('input')!r}: {first['msg']}.") from None


def _wait(work: Coroutine[Any, Any, PipelineResult]) -> PipelineResult:
    return _in_thread(work) if _inside_a_loop() else asyncio.run(work)


def _inside_a_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _in_thread(work: Coroutine[Any, Any, PipelineResult]) -> PipelineResult:
    """Drive in a thread of its own; an interrupt of the caller stops the run there (it can be resumed) before it goes on."""
    loops: list[tuple[asyncio.AbstractEventLoop, asyncio.Task[Any] | None]] = []
    outcome: list[PipelineResult | BaseException] = []
    stopped, done = threading.Event(), threading.Event()

    async def announced() -> PipelineResult:
        loops.append((asyncio.get_running_loop(), asyncio.current_task()))
        if stopped.is_set():
            work.close()
            raise asyncio.CancelledError
        return await work

    def drive() -> None:
        try:
            outcome.append(asyncio.run(announced()))
        except BaseException as error:  # carried over to the caller's thread
            outcome.append(error)
        finally:
            done.set()

    thread = threading.Thread(target=contextvars.copy_context().run, args=(drive,), name="tagent-run")
    try:
        thread.start()
        done.wait()
    except BaseException:
        stopped.set()
        for loop, task in loops:
            if task is not None:
                with contextlib.suppress(RuntimeError):  # its loop has just ended by itself
                    loop.call_soon_threadsafe(task.cancel)
        if thread.ident is not None:
            done.wait()
        raise
    if isinstance(outcome[0], BaseException):
        raise outcome[0]
    return outcome[0]
