"""From a name and the settings to a model.

Stands apart so that nobody else knows which models there are; the name `offline` is the only one that simulates.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from engine.models import offline
from engine.models.litellm_model import LitellmModel
from engine.models.port import Model

if TYPE_CHECKING:
    from engine.config import TAgentConfig


def choose(name: str, config: TAgentConfig) -> Model:
    """The model called `name`: the same object for the same name, server, key and timeout.

    Nothing is imported or asked yet; a wrong name or a missing key shows at the first call (or at `LitellmModel.check`).
    """
    if name == offline.NAME:
        return _offline()
    key = config.api_key.get_secret_value() if config.api_key is not None else None
    return _litellm(name, config.api_base, key, config.model_timeout)


@functools.cache
def _offline() -> offline.OfflineModel:
    return offline.OfflineModel()


@functools.lru_cache(maxsize=64)
def _litellm(name: str, api_base: str | None, api_key: str | None, timeout: float) -> LitellmModel:
    return LitellmModel(name, api_base=api_base, api_key=api_key, timeout=timeout)
