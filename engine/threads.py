"""Worker threads for plain functions: as many as are busy, never fewer than needed, never in the way of the process's end.

`asyncio.to_thread` shares a bounded pool, which functions that hang or wait would exhaust, and joins it at exit. These are
daemon threads that are reused when idle (starting one costs about 60 us, reusing one about 25).
"""

from __future__ import annotations

import asyncio
import contextvars
import queue
import threading
from collections.abc import Callable
from typing import Any

Job = tuple[asyncio.AbstractEventLoop, "asyncio.Future[Any]", contextvars.Context, Callable[[], Any]]


class Threads:
    """A pool without an upper bound; the number of steps running at once bounds it, and hung ones are left behind."""

    def __init__(self) -> None:
        self._idle: list[queue.SimpleQueue[Job | None]] = []
        self._closed = False

    async def run(self, function: Callable[[], Any]) -> Any:
        """Call `function` in a worker thread, in a copy of the caller's context, and return what it returns."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Any] = loop.create_future()
        job: Job = (loop, future, contextvars.copy_context(), function)
        if self._idle:
            self._idle.pop().put(job)
        else:
            jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
            threading.Thread(target=self._work, args=(jobs,), name="step", daemon=True).start()
            jobs.put(job)
        value, error = await future
        if error is not None:
            raise error
        return value

    def _work(self, jobs: queue.SimpleQueue[Job | None]) -> None:
        while (job := jobs.get()) is not None:
            loop, future, context, function = job
            try:
                result: tuple[Any, BaseException | None] = context.run(function), None
            except BaseException as error:  # a body may raise SystemExit; it must not end the thread unseen
                result = None, error
            try:
                loop.call_soon_threadsafe(self._done, jobs, future, *result)
            except RuntimeError:  # the loop is closed: nobody waits any more
                return
            del job, loop, future, context, function, result

    def _done(
        self, jobs: queue.SimpleQueue[Job | None], future: asyncio.Future[Any], value: Any, error: BaseException | None
    ) -> None:
        if self._closed:
            jobs.put(None)
        else:
            self._idle.append(jobs)
        if not future.done():
            future.set_result((value, error))  # as a value: a future may not carry StopIteration, nor a task GeneratorExit

    def close(self) -> None:
        """Let idle threads end; busy ones end with their function, or with the process."""
        self._closed = True
        while self._idle:
            self._idle.pop().put(None)
