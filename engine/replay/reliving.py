"""The attempts of a recorded run lived through again, each under what held when it ran: params, model, policies of its fork.

Stands apart from verifying, which walks the log and asks about decisions: here alone is the user's code executed.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from engine.asking import Asking, handed_down, rules_of
from engine.bodies import bodies_of, with_added
from engine.children import Children
from engine.circumstances import Circumstances
from engine.config import TAgentConfig
from engine.definition import Definition
from engine.exchange import Exchange
from engine.graph import COMPENSATE, base_of
from engine.pipeline import Pipeline
from engine.preparing import Preparing
from engine.record import Added
from engine.recordings import NOTHING_KNOWN, Recordings, taken_in
from engine.replay.attempts import ProvingExecutor, Witness, relived
from engine.replay.decisions import Decisions, Divergence
from engine.tape import EFFECT_TYPES
from engine.threads import Threads
from engine.tooling import Toolbox
from engine.wishes import SKIPPED_BY_COMMAND
from store import Log
from store.events import Recorded, RunForked, RunId, StepFailed, StepSkipped

OUTCOMES = frozenset({"step.completed", "step.failed", "step.skipped", "step.reused"})


class ReadLease:
    """A run that is only read, where a lease is looked for."""

    def __init__(self, run: RunId) -> None:
        self.run = run
        self.row = self.token = 0

    async def flush(self) -> None:
        """Nothing waits to be written."""


class Past:
    """The place of a `Record`: the fold as it stands, and the attempt that is lived through again."""

    def __init__(self, decisions: Decisions) -> None:
        self._decisions = decisions
        self.running: dict[str, int] = {}
        self.at = 0.0

    @property
    def state(self) -> Any:
        """The state at the event before the one that is asked about."""
        return self._decisions.state

    @property
    def plan(self) -> Any:
        """The plan as it stood there."""
        return self._decisions.plan

    def now(self) -> float:
        """When that event was recorded."""
        return self.at

    clock = now


class Reliving:
    """What lives attempts of one run through again. `whole` are all circumstances of the run, `events` its record.

    `attempts` counts them; `gone` are steps of which some were left out, because the pipeline no longer has what they ran.
    """

    def __init__(
        self, log: Log, past: Past, config: TAgentConfig, definition: Definition, pipeline: Pipeline, whole: Circumstances,
        added: Sequence[Added], folder: Path, events: Sequence[Recorded], run: RunId,
    ) -> None:  # fmt: skip
        self._log, self._past, self._config, self._definition, self._whole, self._run = log, past, config, definition, whole, run
        self._bodies = bodies_of((*definition.steps, *(step for step, _ in added)), with_added(pipeline, added, folder))
        self._threads = Threads()
        self._forks = [item.version for item in events if isinstance(item.event, RunForked)]
        self._own: dict[tuple[str, int], list[Recorded]] = {}
        for item in events:
            if item.step is not None and item.attempt:
                self._own.setdefault((item.step, item.attempt), []).append(item)
        self._driver: tuple[Circumstances, ProvingExecutor, Witness] | None = None
        self.attempts = 0
        self.gone: set[str] = set()

    async def attempt(self, started: Recorded, preparing: Preparing, found: Circumstances) -> Divergence | None:
        """The first thing in which the attempt that starts here differs from its record; `found` holds now."""
        path, attempt = started.step or "", started.attempt
        own = [item for item in self._own[path, attempt] if item.version > started.version]
        outcome = next((item for item in own if item.event.type in OUTCOMES), None)
        if outcome is not None and getattr(outcome.event, "source", None) is not None:
            return None  # taken from the parent: it was not lived through here
        if outcome is not None and _came_from_outside(outcome):
            outcome = None
        if self._is_gone(path):
            self.gone.add(base_of(path))
            return None
        executor, witness = self._driven(found)
        task = await preparing.task(path, attempt, [item for item in own if item.event.type in EFFECT_TYPES])
        task.left = None
        task.step = msgspec.structs.replace(task.step, timeout=None, total_timeout=None)
        task.known = self._known(own[-1].version if own else started.version, task.tape)
        self._past.running = {path: attempt}
        self.attempts += 1
        return await relived(executor, witness, task, started, outcome)

    def _is_gone(self, path: str) -> bool:
        """Whether what a step ran then is no longer in the pipeline: a later migration took it away."""
        step = self._past.plan.step_of(path)
        if step.pipeline is not None:
            return isinstance(step.pipeline, Definition) and base_of(path) not in self._bodies.nested  # a word is found as it runs
        name = path if path.endswith(COMPENSATE) else base_of(path)
        return bool(step.functions.keys() & {"run", "merge"}) and name not in self._bodies.functions

    def _known(self, version: int, tape: Sequence[Recorded]) -> Recordings:
        """What was known of the parent when an attempt ended: what it took of it, which its own record says, and the policies."""
        if not self._forks or version < self._forks[0]:
            around = self._whole.around
            return Recordings(taken_in(tape), around, forked=True) if self._whole.settings.get("in_fork") else NOTHING_KNOWN
        return Recordings(taken_in(tape), self._whole.policies(version), forked=True)

    def _driven(self, found: Circumstances) -> tuple[ProvingExecutor, Witness]:
        """What drives attempts while these circumstances hold."""
        if self._driver is None or self._driver[0] is not found:
            self._driver = (found, *self._made(found))
        return self._driver[1:]

    def _made(self, found: Circumstances) -> tuple[ProvingExecutor, Witness]:
        past, bodies, lease = self._past, self._bodies, ReadLease(self._run)
        children = Children(
            self._run, None, bodies.nested,  # type: ignore[arg-type]
            lambda step: handed_down(past.plan.definition, found.settings, step),
        )  # fmt: skip
        most = int(found.settings.get("max_iterations") or self._config.max_iterations)
        rules = rules_of(self._definition, found.settings, self._config)
        witness = Witness(
            self._log, lease, past, dict(bodies.functions),  # type: ignore[arg-type]
            exchange=Exchange(self._log, lease, past.state, past.now, memories=self._config.memories),  # type: ignore[arg-type]
            asking=Asking(rules, None, lambda path: past.plan.step_of(path), None), children=children,  # type: ignore[arg-type]
            tools=Toolbox(self._definition, bodies.tools, most, bodies.agents),
            threads=self._threads, changed=lambda: None, fail=lambda error: None,
        )  # fmt: skip
        return ProvingExecutor(self._definition, witness.bodies, bodies.schemas, witness, witness, self._threads), witness

    def close(self) -> None:
        """End the threads that are idle."""
        self._threads.close()


def _came_from_outside(outcome: Recorded) -> bool:
    """An end that the body did not come to by itself: somebody skipped its step, or its time ran out."""
    event = outcome.event
    if isinstance(event, StepSkipped):
        return event.reason == SKIPPED_BY_COMMAND
    return isinstance(event, StepFailed) and event.failure.kind == "timeout"
