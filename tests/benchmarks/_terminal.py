"""A program in a terminal of its own, as a user has it: what it draws, how soon after a key, and what its process uses.

Stands apart because the UI is measured from outside, over the pseudo-terminal, not through Textual's own test driver: the time
to the first frame includes the interpreter's start, and a key counts as painted when its bytes arrive.
"""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil
from _common import ROOT

PATIENCE = 60.0
QUIET = 0.3
"""Seconds without output after which a screen counts as at rest."""


class Terminal:
    """A running program and the terminal it draws on."""

    def __init__(self, arguments: Sequence[str], rows: int = 40, columns: int = 120) -> None:
        self.began = time.perf_counter()
        master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        environ = {**os.environ, "TERM": "xterm-256color", "COLORTERM": "truecolor", "PYTHONPATH": str(ROOT), "LANG": "C.UTF-8"}
        for name in ("NO_COLOR", "LINES", "COLUMNS", "PYTHONDONTWRITEBYTECODE"):
            environ.pop(name, None)
        self._process = subprocess.Popen(
            [sys.executable, *arguments], stdin=slave, stdout=slave, stderr=slave, env=environ, start_new_session=True
        )
        os.close(slave)
        self._fd = master
        self.process = psutil.Process(self._process.pid)

    def read(self, timeout: float) -> bytes:
        """What is drawn next, as it arrives; nothing if nothing is within `timeout` seconds."""
        if not select.select([self._fd], [], [], timeout)[0]:
            return b""
        try:
            return os.read(self._fd, 1 << 20)
        except OSError:  # the program has ended
            return b""

    def until(self, words: bytes) -> float:
        """Seconds since the start until these words were drawn; raises with the end of what was drawn when they never are."""
        drawn = b""
        while words not in drawn:
            if time.perf_counter() - self.began > PATIENCE or self._process.poll() is not None:
                raise TimeoutError(f"{words!r} was not drawn; the last of what was: {drawn[-600:]!r}")
            drawn += self.read(0.1)
        return time.perf_counter() - self.began

    def settle(self) -> None:
        """Wait until nothing more is drawn."""
        ends = time.perf_counter() + PATIENCE
        while self.read(QUIET) and time.perf_counter() < ends:
            pass

    def send(self, keys: bytes) -> None:
        """Keys whose answer, if any, is not measured."""
        os.write(self._fd, keys)
        self.settle()

    def press(self, key: bytes) -> float:
        """Seconds from a key to the first bytes that answer it; raises if nothing is drawn."""
        began = time.perf_counter()
        os.write(self._fd, key)
        if not self.read(5.0):
            raise TimeoutError(f"the key {key!r} drew nothing; the program's status is {self._process.poll()}")
        took = time.perf_counter() - began
        self.settle()
        return took

    def drain(self, seconds: float) -> int:
        """Read along for a while; the bytes drawn."""
        ends, drawn = time.perf_counter() + seconds, 0
        while (left := ends - time.perf_counter()) > 0:
            drawn += len(self.read(left))
        return drawn

    def cpu(self) -> float:
        """Seconds of processor time so far."""
        times = self.process.cpu_times()
        return times.user + times.system

    def megabytes(self) -> float:
        """Resident memory."""
        return self.process.memory_info().rss / 1e6

    def close(self) -> None:
        """End the program."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        os.close(self._fd)


@contextmanager
def opened(*arguments: str) -> Iterator[Terminal]:
    """A Python program in a terminal, ended at the end."""
    terminal = Terminal(arguments)
    try:
        yield terminal
    finally:
        terminal.close()


EMPTY = """
from textual.app import App
from textual.widgets import Static
class Empty(App):
    def compose(self):
        yield Static("hello there")
Empty().run()
"""
"""The smallest Textual app: what the UI cannot go below."""


def empty() -> list[str]:
    """How to start the smallest app; it draws `hello there`."""
    return ["-c", EMPTY]


def runs_list(db: Path) -> list[str]:
    """How a user opens the list of runs."""
    return ["-m", "tagent_tui", "--db", str(db)]


def run_screen(db: Path, run: str) -> list[str]:
    """How a run's own screen is opened."""
    return ["-c", "import sys; from tagent_tui.app import run_app; run_app(sys.argv[1], run_id=sys.argv[2])", str(db), run]
