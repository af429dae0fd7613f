"""What a run came to, computed from its log: the value scripts get back.

Stands apart from the engine because any process can compute it from the store, whoever drove the run.
"""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

from engine.definition import Definition
from engine.errors import DependencyError, StepExecutionError, StepTimeoutError
from engine.graph import base_of
from engine.merging import merged
from engine.outputs import OUTPUTS
from engine.spending import SPENDING, by_model
from store import Log
from store.events import RunId, Spent
from store.memories import Memories, Memory
from store.state import RunState, RunStatus, StepState, StepStatus, shown_status

M = TypeVar("M")


class StepFailure(msgspec.Struct, frozen=True):
    """Why a step failed: its kind and sentence, after how many attempts."""

    step: str
    kind: str
    message: str
    attempts: int


class PipelineResult(msgspec.Struct, frozen=True):
    """A run's outcome. Costs are US dollars; None where a model call's price is not known. Times are seconds.

    `final_output` is the output of the step marked final, or of the only step nothing depends on, or a mapping of all such steps.
    `step_outputs` are by step; those of a group's children stand in the group's, `step_metadata` has the children too.
    `artifacts` maps names to content. `simulated` is true when any model answer was simulated.
    `saved_memories` is what the run remembered for others, `learned_facts` the texts of kind `fact` among them.
    """

    run_id: str
    pipeline_name: str
    status: str
    success: bool
    execution_time: float
    total_cost: float | None
    cost_per_step: dict[str, float | None]
    token_usage: dict[str, dict[str, int]]
    step_outputs: dict[str, Any]
    step_metadata: dict[str, dict[str, Any]]
    final_output: Any
    failed_steps: list[str]
    failures: list[StepFailure]
    artifacts: dict[str, bytes]
    summary: str
    simulated: bool = False
    learned_facts: list[str] = []
    saved_memories: list[Memory] = []

    @property
    def steps_executed(self) -> list[str]:
        """The steps and children of groups that ran, in the order in which they first started."""
        ran = {name: held["started_at"] for name, held in self.step_metadata.items() if held["started_at"] is not None}
        return sorted(ran, key=lambda name: float(ran[name]))

    @property
    def timings(self) -> dict[str, float]:
        """Seconds from each step's first start to its end, waits and retries included."""
        ended = {name: held for name, held in self.step_metadata.items() if held["started_at"] is not None and held["ended_at"]}
        return {name: held["ended_at"] - held["started_at"] for name, held in ended.items()}

    @property
    def merged_data(self) -> dict[str, Any]:
        """All outputs as one mapping: those that are mappings merged deep, in definition order; every other by its step's name."""
        mappings = [value if isinstance(value, dict) else {name: value} for name, value in self.step_outputs.items()]
        whole: dict[str, Any] = merged("deep", {str(place): value for place, value in enumerate(mappings)})
        return whole

    def output(self, step: str, model: type[M] | None = None) -> Any:
        """A step's output, as `model` (a pydantic or msgspec class, or any annotation) if given.

        Raises `StepExecutionError` or a kind of it when the step has none.
        """
        if step not in self.step_metadata:
            raise StepExecutionError(f"There is no step {step!r} in {self.pipeline_name}; it has {', '.join(self.step_metadata)}.")
        if step not in self.step_outputs:
            raise self._why_not(step)
        value = self.step_outputs[step]
        if model is None:
            return value
        if isinstance(model, type) and issubclass(model, msgspec.Struct):
            return msgspec.convert(value, model)
        import pydantic

        return pydantic.TypeAdapter(model).validate_python(value)

    def _why_not(self, step: str) -> StepExecutionError:
        held = self.step_metadata[step]
        sentence = f"Step {step!r} of run {self.run_id} has no output: it {_how(held['status'])}"
        sentence += f" ({held['reason']})." if held.get("reason") else "."
        kinds: dict[str, type[StepExecutionError]] = {"timed_out": StepTimeoutError, "skipped": DependencyError}
        return kinds.get(held["status"], StepExecutionError)(sentence)


_HOW = {"pending": "has not started", "skipped": "was skipped", "cancelled": "was cancelled", "timed_out": "timed out"}


def _how(status: str) -> str:
    """A step's status as the end of a sentence."""
    return _HOW.get(status, status if status in ("failed", "completed") else f"is {status.replace('_', ' ')}")


async def result_of(log: Log, run: RunId, *, alive: bool = False) -> PipelineResult:
    """The result of a run as its log has it now; a run that has not ended has the outputs it has."""
    state = await log.state(run)
    definition = Definition.from_json(await log.blob(state.definition))
    steps = {name: step for name, step in state.steps.items() if base_of(name) == name}
    outputs = await _outputs(log, run, {step.output: name for name, step in steps.items() if step.output is not None})
    failures = [
        StepFailure(name, step.failure_kind or "error", step.reason or "failed", step.attempt)
        for name, step in steps.items()
        if step.status in (StepStatus.FAILED, StepStatus.TIMED_OUT)
    ]
    status = shown_status(state, alive)
    saved = await Memories(log).of_run(run)
    return PipelineResult(
        run_id=run,
        pipeline_name=state.pipeline,
        status=status.word,
        success=status is RunStatus.COMPLETED,
        execution_time=state.lasted(state.last_at),
        total_cost=None if state.unpriced else state.cost,
        cost_per_step={name: None if step.unpriced else step.cost for name, step in state.steps.items()},
        token_usage=await _usage(log, run, state),
        step_outputs=outputs,
        step_metadata={name: _metadata(step) for name, step in state.steps.items()},
        final_output=_final(definition, outputs),
        failed_steps=[failure.step for failure in failures],
        failures=failures,
        artifacts={ref.name: await log.blob(ref.blob) for ref in state.artifacts},
        summary=summary(state, status),
        simulated=state.simulated,
        learned_facts=[memory.text for memory in saved if memory.kind == "fact"],
        saved_memories=saved,
    )


async def _outputs(log: Log, run: RunId, names: dict[int, str]) -> dict[str, Any]:
    """The outputs at these versions by step, in the order of the steps; one pass over the log, however many there are."""
    found: dict[str, Any] = dict.fromkeys(names.values())
    if names:
        for recorded in await log.events(run, after=min(names) - 1, upto=max(names), types=OUTPUTS):
            if recorded.version in names:
                found[names[recorded.version]] = await log.value(recorded.event.output)
    return found


def _metadata(step: StepState) -> dict[str, Any]:
    return {
        "status": step.status.word,
        "attempts": step.attempt,
        "started_at": step.first_started_at,
        "ended_at": step.ended_at,
        "reason": step.reason,
        "calls": step.calls,
        "tokens": step.prompt_tokens + step.completion_tokens,
        "simulated": step.simulated,
    }


async def _usage(log: Log, run: RunId, state: RunState) -> dict[str, dict[str, int]]:
    """Tokens by model, those of child runs among them."""
    totals: dict[str, dict[str, int]] = {}
    if not state.calls:
        return totals
    for used in await spent_by(log, run, state):
        counts = {"calls": used.calls, "prompt_tokens": used.prompt_tokens, "completion_tokens": used.completion_tokens}
        totals[used.model] = counts
    return totals


async def spent_by(log: Log, run: RunId, state: RunState) -> tuple[Spent, ...]:
    """What a run and its child runs used, by model; only runs that called one are read for it."""
    return by_model(await log.events(run, types=SPENDING)) if state.calls else ()


async def final_output(log: Log, run: RunId, state: RunState) -> Any:
    """See `PipelineResult.final_output`; reads no other outputs."""
    definition = Definition.from_json(await log.blob(state.definition))
    names = _finals(definition)
    wanted = {name: state.steps[name].output for name in (*names, *_standins(definition)) if name in state.steps}
    return _final(definition, {name: await log.output(run, version) for name, version in wanted.items() if version is not None})


def _standins(definition: Definition) -> dict[str, str]:
    """What each fallback stands in for."""
    return {step.fallback: step.name for step in definition.steps if step.fallback is not None}


def _finals(definition: Definition) -> list[str]:
    """The step marked final, or those that nothing comes after.

    A fallback comes after nothing: it is what it stands in for. A switch is followed by its branches.
    """
    marked = [step.name for step in definition.steps if step.final]
    followed = {dep.step for step in definition.steps for dep in step.depends_on}
    followed |= {step.name for step in definition.steps if step.switch} | set(_standins(definition))
    return marked[:1] or [step.name for step in definition.steps if step.name not in followed]


def _final(definition: Definition, outputs: dict[str, Any]) -> Any:
    finals, stand_ins = _finals(definition), _standins(definition)
    found = {stand_ins[name]: output for name, output in outputs.items() if name in stand_ins} | outputs
    if len(finals) == 1:
        return found.get(finals[0])
    return {name: found[name] for name in finals if name in found}


def summary(state: RunState, status: RunStatus) -> str:
    """One sentence: how it ended, of how many steps, and why if it failed."""
    done = state.counts[StepStatus.COMPLETED]
    sentence = f"{state.pipeline} {_VERBS[status]}: {done} of {len(state.steps)} steps completed"
    return f"{sentence}; {state.reason}." if state.reason else f"{sentence}."


_VERBS = {
    RunStatus.PENDING: "has not started",
    RunStatus.RUNNING: "is running",
    RunStatus.PAUSED: "is paused",
    RunStatus.WAITING: "waits for somebody",
    RunStatus.COMPLETED: "completed",
    RunStatus.FAILED: "failed",
    RunStatus.CANCELLED: "was cancelled",
    RunStatus.INTERRUPTED: "was interrupted",
}
