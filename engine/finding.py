"""Finding the pipeline of a recorded run again: from where it was started, or through the run that called it.

Stands apart from the engine because it only reads: what a log says of a target, and the user's code behind it.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from engine import targets
from engine.alone import as_begun
from engine.definition import Definition
from engine.errors import TargetError
from engine.graph import base_of
from engine.pinning import pipeline_of
from engine.pipeline import Pipeline
from store import Log
from store.errors import RunNotFoundError
from store.events import RunId
from store.state import RunState


async def find_again(log: Log, run: RunId, state: RunState, params: Mapping[str, Any], retarget: str | None = None) -> Pipeline:
    """The pipeline of a run as it is now; raises `TargetError` where only whoever started or called the run has it."""
    target = retarget or state.target
    if target is not None:
        found = targets.load(target, cwd=Path(state.cwd or "."), params=dict(params)).pipeline
        return as_begun(found, Definition.from_json(await log.blob(state.definition)))
    recorded = Definition.from_json(await log.blob(state.definition))
    missing = [place.removeprefix("steps.") for place, step in recorded.walk() if step.functions]
    missing += [f"tools.{one.name}" for one in recorded.tools]
    missing += [f"agents.{name}.tools.{one.name}" for name, agent in recorded.agents.items() for one in agent.tools]
    if not missing:
        return pipeline_of(recorded, functools.partial(targets.find, folder=Path(state.cwd or ".")))
    if state.caller is None:
        raise TargetError(
            f"Run {run} was started from Python, so its functions ({', '.join(missing[:3])}) can be found only there; "
            f"resume it with Engine.resume(run, pipeline) or name where they are: --target module:name."
        )
    nested = await _in_its_caller(log, state.caller, state.caller_step)
    if nested is None:
        raise TargetError(
            f"Run {run} was called by a function of run {state.caller}, so its own ({', '.join(missing[:3])}) can be found only "
            f"there; resume {state.caller}, which drives it on, or name where they are: --target module:name."
        )
    return nested


async def _in_its_caller(log: Log, caller: str, step: str | None) -> Pipeline | None:
    """The nested pipeline of the step that called, where it has one."""
    try:
        state = await log.state(RunId(caller))
    except RunNotFoundError:  # a child that was imported alone
        return None
    created = (await log.events(RunId(caller), limit=1))[0].event
    pipeline = await find_again(log, RunId(caller), state, await log.value(created.params) or {})
    return pipeline.nested(base_of(step or ""))
