"""How a run begins: what was ordered, as its first event and the contents it refers to. Pure.

Stands apart from the engine because a run that somebody starts and a child run that another run calls begin alike.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Any

import msgspec

from engine.answers import Blob
from engine.definition import Definition
from engine.pipeline import Pipeline
from engine.recordings import Policy
from store import values
from store.events import BudgetSet, Recorded, RunCreated, RunId


def new_id() -> RunId:
    """A run id: 12 random hex digits, so that a few of them already name a run."""
    return RunId(secrets.token_hex(6))


class Order(msgspec.Struct, frozen=True):
    """A run to make. `settings` are kept for every later driver; `caller` (run, step) and `depth` are those of a child run.

    `budget` is what it may use besides what its definition says, `policies` are those of the fork that called it."""

    run: RunId
    definition: Definition
    pipeline: Pipeline
    params: dict[str, Any]
    settings: dict[str, Any]
    target: str | None = None
    cwd: str | None = None
    caller: tuple[RunId, str] | None = None
    depth: int = 0
    budget: BudgetSet | None = None
    policies: Sequence[Policy] = ()


def first(order: Order, now: float, seed: int, engine: str) -> tuple[Recorded, list[Blob]]:
    """The run's first event, and the contents to store with it."""
    definition = order.definition
    text = definition.to_json()
    digest = values.digest(text)
    params, params_blob = values.pack(order.params)
    settings, settings_blob = values.pack(order.settings)
    caller, step = order.caller or (None, None)
    created = RunCreated(
        pipeline=definition.name,
        definition=digest,
        steps=[step.name for step in definition.steps],
        kinds="".join(step.kind for step in definition.steps),
        description=definition.description,
        params=params,
        config=settings,
        target=order.target,
        cwd=order.cwd,
        seed=seed,
        engine=engine,
        caller=caller,
        caller_step=step,
        depth=order.depth,
    )
    packed = ((params, params_blob), (settings, settings_blob))
    blobs = [(payload.blob, content) for payload, content in packed if payload.blob is not None and content is not None]
    return Recorded(1, now, created, actor="user" if caller is None else "caller"), [(digest, text), *blobs]
