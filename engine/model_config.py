"""How models are asked, as a step, a pipeline and the settings may say it: each stands before what is around it. Pure.

Stands apart because the definition, the checks, the files and the settings all know it, and none of them asks a model.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from engine.errors import suggestion
from store import values
from store.errors import ValueEncodingError

RESERVED = frozenset(
    {"api_base", "api_key", "base_url", "custom_llm_provider", "fallbacks", "max_retries", "messages", "mock_response", "model"}
    | {"num_retries", "request_timeout", "stream", "timeout"}
)
"""Parameters of a model call that are ours to set; a request that brings them is refused."""

LEFT_OUT = RESERVED | {"n", "response_format", "tools", "tool_choice"}
"""Parameters that no configuration sets either: what a step asks for comes from its goal, its schema and its tools."""


class ModelConfig(msgspec.Struct, frozen=True, omit_defaults=True):
    """How models are asked. What is None (or empty) is as around it: a step's before its pipeline's before the settings'.

    `model_timeout` are the seconds one call may take. `model_params` go to the provider by its own names (`top_k`, `num_ctx`).
    """

    temperature: float | None = None
    top_p: float | None = None
    max_tokens: int | None = None
    stop: tuple[str, ...] = ()
    reasoning_effort: str | None = None
    model_timeout: float | None = None
    model_params: dict[str, Any] = {}

    def params(self) -> dict[str, Any]:
        """What goes to the provider with every call."""
        own = {"stop": list(self.stop)} if self.stop else {}
        named = {name: getattr(self, name) for name in NAMED if getattr(self, name) is not None}
        return {**self.model_params, **named, **own}

    def plain(self) -> dict[str, Any]:
        """It as plain values, without what it does not say."""
        found: dict[str, Any] = msgspec.to_builtins(self)
        return found

    def over(self, around: ModelConfig) -> ModelConfig:
        """This one, and for what it does not say the one around it."""
        said = {name: getattr(self, name) for name in self.__struct_fields__ if getattr(self, name) not in (None, (), {})}
        return msgspec.structs.replace(around, **{**said, "model_params": {**around.model_params, **self.model_params}})


NAMED = ("temperature", "top_p", "max_tokens", "reasoning_effort")
"""Parameters of providers that have a place of their own."""

UNSET = ModelConfig()


def config_of(given: ModelConfig | Mapping[str, Any] | None) -> Any:
    """What was written as a mapping as what it stands for; what cannot be one is left for the checks to tell of."""
    if isinstance(given, Mapping):
        if any(key not in ModelConfig.__struct_fields__ for key in given):
            return given
        try:
            return msgspec.convert(dict(given), ModelConfig)
        except msgspec.ValidationError:
            return given
    return UNSET if given is None else given


def config_in(settings: Mapping[str, Any]) -> ModelConfig:
    """The configuration that a run was started with."""
    return msgspec.convert(settings.get("config") or {}, ModelConfig)


def problems_of_config(config: object) -> Iterator[tuple[str, str]]:
    """What is wrong with a configuration, each with its place in it."""
    if not isinstance(config, ModelConfig):
        yield from _problems_as_written(config)
        return
    for name, most in (("temperature", 2.0), ("top_p", 1.0)):
        if (held := getattr(config, name)) is not None and not (_number(held) and 0 <= held <= most):
            yield name, f"is {held!r}; give a number from 0 to {most:g}"
    if config.max_tokens is not None and not (type(config.max_tokens) is int and 1 <= config.max_tokens <= 10_000_000):
        yield "max_tokens", f"is {config.max_tokens!r}; give a whole number from 1 to 10,000,000"
    if config.model_timeout is not None and not (_number(config.model_timeout) and 0 < config.model_timeout <= 86_400):
        yield "model_timeout", f"is {config.model_timeout!r}; give seconds greater than 0, at most 86400"
    if config.reasoning_effort is not None and not (isinstance(config.reasoning_effort, str) and config.reasoning_effort):
        yield "reasoning_effort", f"is {config.reasoning_effort!r}; give the provider's word, such as 'low'"
    if not isinstance(config.stop, tuple | list) or not all(isinstance(text, str) and text for text in config.stop):
        yield "stop", f"is {config.stop!r}; give a list of texts"
    yield from _of_params(config.model_params)


def _problems_as_written(config: object) -> Iterator[tuple[str, str]]:
    if not isinstance(config, Mapping):
        yield "", f"is {config!r}; give a mapping with {', '.join(ModelConfig.__struct_fields__)}"
        return
    known = ModelConfig.__struct_fields__
    strange = [key for key in config if key not in known]
    for key in strange:
        near = suggestion(str(key), known) or f"; give {', '.join(known)}, and what else the provider knows below model_params"
        yield str(key), f"is nothing that can be set{near}"
    for key in (key for key in config if key in known):
        try:
            msgspec.convert({key: config[key]}, ModelConfig)
        except msgspec.ValidationError as error:
            said = str(error).partition(" - at ")[0]
            yield str(key), f"is {config[key]!r}: {said[:1].lower()}{said[1:]}"


def _of_params(params: object) -> Iterator[tuple[str, str]]:
    if not isinstance(params, Mapping):
        yield "model_params", f"is {params!r}; give a mapping of the provider's names to values"
        return
    for name, value in params.items():
        place = f"model_params.{name}"
        if not isinstance(name, str) or not name:
            yield "model_params", f"has the name {name!r}; give texts"
        elif name in LEFT_OUT:
            yield place, "is not set here: the engine sets it itself"
        elif name in (*NAMED, "stop"):
            yield place, f"has a place of its own; write it beside model_params as {name}"
        else:
            try:
                values.encode(value)
            except ValueEncodingError as error:
                yield place, str(error)


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
