"""What the driver's process uses, twice a second: telemetry for the screens, not history.

Stands apart because psutil is only needed here and costs 15 ms to import, which a run that is over by then never pays.
"""

from __future__ import annotations

import time
from typing import Any

from store import Log
from store.events import RunId

SAMPLE_SECONDS = 0.5


class Sampler:
    """Samples of one driver, for one run."""

    def __init__(self, log: Log, run: RunId) -> None:
        self._log, self._run = log, run
        self._process: Any = None
        self._last = 0.0

    def tick(self) -> None:
        """Take a sample if one is due; the first one only begins to count."""
        if self._log.memory or time.monotonic() - self._last < SAMPLE_SECONDS:
            return
        self._last = time.monotonic()
        if self._process is None:
            import psutil

            self._process = psutil.Process()
            self._process.cpu_percent()
            return
        process = self._process
        self._log.sample(self._run, time.time(), process.cpu_percent(), process.memory_info().rss)
