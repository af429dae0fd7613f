"""The terminal around the app: whether there is one, signals that must leave it as it was, and its end.

Apart from the app because these hold when the app does not: a signal while it starts, a terminal that is gone, an event loop
that hangs. Textual alone restores nothing on SIGTERM and SIGHUP.
"""

from __future__ import annotations

import os
import re
import select
import signal
import sys
import termios
import threading
import time
import tty
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

ANSWER = 0.08
"""Seconds a terminal has to answer how wide its marks are; a later answer is taken for what it is, a cursor position."""

GRACE = 4.0
"""Seconds the app has to leave by itself after a signal; then the terminal is restored from here and the process ends."""

_MODES_OFF = "\x1b[?2004l\x1b[?7h\x1b[?2048l\x1b[?1000l\x1b[?1002l\x1b[?1003l\x1b[?1006l\x1b[?1015l\x1b[?1004l"
LEAVE = _MODES_OFF + "\x1b[<u\x1b[?1049l\x1b[?25h\x1b[0m"
"""What undoes everything Textual switches on: paste and wrap modes, mouse, keyboard protocol, alternate screen, cursor, focus."""


def is_terminal() -> bool:
    """Whether a person sits at both ends and the terminal can place a cursor."""
    streams = (sys.__stdin__, sys.__stdout__)
    if os.environ.get("TERM", "") in ("dumb", "unknown"):
        return False
    try:
        return all(stream is not None and stream.isatty() for stream in streams)
    except ValueError:
        return False


def draws_on_stdout() -> None:
    """Textual draws on stderr; where that was sent elsewhere, let it draw where the person looks. What it cannot encode is `?`."""
    if sys.__stderr__ is None or not sys.__stderr__.isatty():
        sys.__stderr__ = sys.__stdout__  # type: ignore[misc]
    if sys.__stderr__ is not None:
        sys.__stderr__.reconfigure(errors="replace")


def draws_narrow(marks: str) -> bool:
    """Whether the terminal draws each of these marks in one cell; asked of the terminal itself, True if it does not answer.

    Where East Asian width is in force a terminal draws many of them in two, whatever the tables say. What a person types while
    it is asked is lost, so it is asked once, before anything is drawn, and for `ANSWER` seconds at most.
    """
    kept = _settings()
    if kept is None:
        return True
    try:
        tty.setcbreak(0, termios.TCSANOW)
        os.write(1, f"\r{marks}\x1b[6n\r\x1b[K".encode())
        column = _cursor_column()
    except (OSError, termios.error, UnicodeError):
        return True
    finally:
        _restore(kept)
    return column is None or column == len(marks) + 1


def _cursor_column() -> int | None:
    """The column in the answer to a cursor position request, from 1."""
    answer = b""
    deadline = time.monotonic() + ANSWER
    while (left := deadline - time.monotonic()) > 0:
        if not select.select([0], [], [], left)[0]:
            return None
        answer += os.read(0, 64)
        found = re.search(rb"\x1b\[\d+;(\d+)R", answer)
        if found is not None:
            return int(found[1])
    return None


def is_gone() -> bool:
    """Whether the terminal hung up: asking for its settings fails."""
    try:
        termios.tcgetattr(0)
    except (termios.error, OSError, ValueError):
        return True
    return False


@contextmanager
def guarded(leave: Callable[[int], None]) -> Iterator[None]:
    """While inside, SIGTERM and SIGHUP call `leave(signum)` and must end the block within `GRACE` seconds."""
    kept = _settings()

    def asked(signum: int, frame: FrameType | None) -> None:
        del frame
        last_resort(signum, kept)
        leave(signum)

    before = {one: signal.signal(one, asked) for one in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)
        _restore(kept)


def last_resort(signum: int, kept: list[Any] | None) -> None:
    """End the process by ourselves if it is still here after `GRACE` seconds, the terminal restored as far as it can be."""

    def end() -> None:
        _restore(kept)
        with suppress(OSError, termios.error):
            termios.tcflush(0, termios.TCOFLUSH)  # a terminal that nobody reads would hold up the next line
            os.set_blocking(2, False)
            os.write(2, LEAVE.encode())
        with suppress(OSError):
            os.set_blocking(2, True)
        os._exit(128 + signum)

    timer = threading.Timer(GRACE, end)
    timer.daemon = True
    timer.start()


def _settings() -> list[Any] | None:
    try:
        return termios.tcgetattr(0)
    except (termios.error, OSError, ValueError):
        return None


def _restore(kept: list[Any] | None) -> None:
    if kept is None:
        return
    try:
        termios.tcsetattr(0, termios.TCSANOW, kept)
    except (termios.error, OSError, ValueError):
        return
