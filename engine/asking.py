"""Asking models: which one, whether it may be asked now, and for how long.

Stands apart from the runtime, which drives, and from the context, whose effects around these calls are what is recorded.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from engine.answers import Answer
from engine.definition import Definition, StepDefinition
from engine.errors import EngineError
from engine.graph import base_of
from engine.limits import Caller, Gate
from engine.model_config import UNSET, ModelConfig, config_in
from engine.models.errors import ModelError, ModelErrorKind
from engine.models.litellm_failures import sentence
from engine.models.port import Model, ModelRequest
from engine.policies import BreakerPolicy, Limits, merged
from engine.within import OutOfTimeError, within

if TYPE_CHECKING:
    from engine.config import TAgentConfig

ELSEWHERE = frozenset(
    {"circuit", "timeout"}
    | {f"model.{kind}" for kind in ("timeout", "unavailable", "rate_limit", "unknown_model", "context_window")}
)
"""Kinds of failures that another model may not have; a request that is wrong would be as wrong there."""


Models = Callable[[str], Model]
"""Finds a model by its name."""


class AskingRules(msgspec.Struct, frozen=True):
    """What a run asks models by: the model and those asked instead of it, the breaker, limits, and seconds a call may take.

    `config` is the pipeline's before that of the settings.
    """

    model: str | None = None
    fallback_models: tuple[str, ...] = ()
    breaker: BreakerPolicy = BreakerPolicy()
    limits: Limits = {}
    timeout: float = 120.0
    config: ModelConfig = UNSET


def rules_of(definition: Definition, settings: Mapping[str, Any], config: TAgentConfig) -> AskingRules:
    """What the run was started with (`settings`), and for the rest the pipeline's word before this process's settings."""
    return AskingRules(
        settings.get("model"),
        tuple(settings.get("fallback_models") or ()),
        definition.breaker or config.breaker.policy(),
        merged(config.limits.plain(), definition.limits),
        config.model_timeout,
        definition.config.over(config_in(settings)),
    )


def handed_down(definition: Definition, settings: Mapping[str, Any], step: str) -> dict[str, Any]:
    """The model and the configuration by which a child run that a step calls asks, where it does not say so itself."""
    own = next((held for held in definition.steps if held.name == base_of(step)), None)
    around = definition.config.over(config_in(settings))
    if own is None:
        return {"model": settings.get("model"), "config": around.plain()}
    return {"model": own.model or settings.get("model"), "config": own.config.over(around).plain()}


def asked_by(definition: Definition, model: str | None, fallback_models: Sequence[str]) -> dict[str, str]:
    """The models that steps may ask, nested pipelines' too, each with the place of the first step that does."""
    users: dict[str, str] = {}
    for place, step in definition.walk():
        if step.kind == "g" or step.merge == "model":
            for name in filter(None, (step.model or model, *(step.fallback_models or fallback_models))):
                users.setdefault(name, place)
    return users


class Asking:
    """Asks the models of one run; the effect around each call records it."""

    def __init__(self, rules: AskingRules, models: Models, step_of: Callable[[str], StepDefinition], gate: Gate) -> None:
        self._rules, self._models, self._step_of, self._gate = rules, models, step_of, gate

    @property
    def model(self) -> str | None:
        """The run's model."""
        return self._rules.model

    def names(self, step: str, model: str | None) -> list[str]:
        """The model a step asks (the call's, the step's, the run's), and those it asks instead, in order."""
        defined = self._step_of(step)
        name = model or defined.model or self._rules.model
        if name is None:
            raise EngineError(f"Step {step!r} asks a model but none is configured; give --model NAME or --offline.")
        return list(dict.fromkeys((name, *(defined.fallback_models or self._rules.fallback_models))))

    def config(self, step: str) -> ModelConfig:
        """How a step asks models."""
        return self._step_of(step).config.over(self._rules.config)

    def system(self, step: str) -> str | None:
        """What a step's models are told before all else."""
        return self._step_of(step).system

    async def ask(self, caller: Caller, request: ModelRequest) -> Answer:
        """One call of a model, unrecorded. Raises `ModelError`, and `CircuitOpenError` where it is left alone."""
        async with self._gate.admitted("model", request.model, caller):
            seconds = self._rules.timeout if request.timeout is None else request.timeout
            asked = msgspec.structs.replace(request, timeout=seconds)
            model = self._models(request.model)
            if (ready := getattr(model, "ready", None)) is not None:
                await ready()  # what it has to load first takes none of the time it has
            try:
                reply = await within(seconds, model.complete(asked))
            except OutOfTimeError:
                kind = ModelErrorKind.TIMEOUT
                raise ModelError(kind, sentence(kind, request.model, f"{seconds:g} s")) from None
        value: dict[str, Any] = {"text": reply.text, "finish_reason": reply.finish_reason}
        if reply.tool_calls:
            value["tool_calls"] = reply.tool_calls
        return Answer(value, msgspec.structs.replace(reply.usage, model=request.model), reply.simulated)
