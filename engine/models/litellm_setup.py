"""litellm, imported when first needed and made to behave as a guest: silent, offline by itself, without tasks of its own.

Stands apart because its import costs 2-3 s and 170-200 MB, and because what it does at import (a price list from the network, a
`.env` file, log handlers on stderr) has to be prevented before that.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import os
import threading
import weakref
from collections.abc import Coroutine, Iterator
from types import ModuleType
from typing import Any, ClassVar

from engine.models.errors import ModelError, ModelErrorKind

_ENVIRONMENT = {
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",  # otherwise the import fetches a price list
    "LITELLM_MODE": "PRODUCTION",  # otherwise the import reads a .env file into the environment
}
_LOGGERS = ("LiteLLM", "LiteLLM Router", "LiteLLM Proxy")
_lock = threading.Lock()


def loaded() -> ModuleType:
    """The module. Takes seconds the first time, so where a loop runs, `ready` comes before. Raises `ModelError`."""
    with _lock:
        return _load()


async def ready() -> None:
    """Returns when `loaded` takes no time any more; the loop goes on meanwhile."""
    if not is_loaded():
        await asyncio.to_thread(loaded)


def is_loaded() -> bool:
    """Whether litellm has been needed in this process."""
    return _load.cache_info().currsize > 0


@functools.cache
def _load() -> ModuleType:
    os.environ.update(_ENVIRONMENT)
    try:
        import litellm
        from litellm.litellm_core_utils.logging_worker import GLOBAL_LOGGING_WORKER
    except ImportError as error:
        raise ModelError(
            ModelErrorKind.BAD_REQUEST, f"litellm cannot be imported ({error}); install tagent-tui again, or use the model offline."
        ) from error
    litellm.suppress_debug_info = True
    litellm.telemetry = False
    litellm.redact_messages_in_exceptions = True
    litellm.num_retries = 0
    litellm.disable_aiohttp_transport = True  # httpx closes its connections with the client; aiohttp left sockets behind
    for name in _LOGGERS:
        logger = logging.getLogger(name)
        logger.handlers[:] = [logging.NullHandler()]
        logger.propagate = False
    # litellm's own logging of each call, which our log makes needless: a task that outlives the call, and coroutines that are never
    # awaited when the loop changes.
    vars(GLOBAL_LOGGING_WORKER)["ensure_initialized_and_enqueue"] = _drop
    return litellm


def _drop(async_coroutine: Coroutine[Any, Any, Any]) -> None:
    async_coroutine.close()


class Connections:
    """The HTTP clients that litellm keeps for one event loop, counted, so that closing never hits somebody else's call."""

    _by_loop: ClassVar[weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Connections]] = weakref.WeakKeyDictionary()

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._suffix = f"-{id(loop)}"
        self._in_use = 0
        self._close_when_idle = False

    @classmethod
    def here(cls) -> Connections:
        """Those of the running loop. A new loop at an old one's address does not get the dead clients litellm kept for that."""
        loop = asyncio.get_running_loop()
        found = cls._by_loop.get(loop)
        if found is None:
            found = cls._by_loop[loop] = cls(loop)
            found._forgotten()
        return found

    @contextlib.contextmanager
    def in_use(self) -> Iterator[None]:
        """Around one call."""
        self._in_use += 1
        try:
            yield
        finally:
            self._in_use -= 1

    async def close(self) -> None:
        """Closes them now, or when the last call under way has ended."""
        self._close_when_idle = True
        await self.settle()

    async def settle(self) -> None:
        """To be awaited after a call: does what `close` left to do."""
        if self._close_when_idle and self._in_use == 0:
            self._close_when_idle = False
            for client in self._forgotten():
                await client.close()

    def _forgotten(self) -> list[Any]:
        """The loop's clients, taken out of litellm's cache."""
        cache = loaded().in_memory_llm_clients_cache
        keys = [key for key in cache.cache_dict if str(key).endswith(self._suffix)]
        for key in keys:
            cache.ttl_dict.pop(key, None)
        clients = [cache.cache_dict.pop(key) for key in keys]
        return [client for client in clients if hasattr(client, "close")]
