"""What user code prints, caught line by line and given to the attempt that printed it.

Stands apart because it replaces `sys.stdout`, `sys.stderr` and `os._exit` for the process: once, while runs are driven, and put
back after. Text printed outside a step goes where it always went. Child processes write to the terminal's own descriptors and are
not caught.
"""

from __future__ import annotations

import contextlib
import contextvars
import functools
import io
import os
import sys
from collections.abc import Callable, Iterator
from typing import NoReturn, TextIO

Writer = Callable[[str, str], None]
"""(line, `stdout` or `stderr`)"""

writing: contextvars.ContextVar[Writer | None] = contextvars.ContextVar("writing", default=None)
"""Where the lines of the running attempt go; None outside one."""

PARTIAL_LIMIT = 16_384
"""Characters after which a line without an end is written as one."""

INTERRUPTED = 130
"""The code of a process that a step ended as if all were well."""

_users = 0


class _Stream(io.TextIOBase):
    """Stands in for one of the process's streams."""

    def __init__(self, stream: str, original: TextIO, *, tee: bool) -> None:
        self._stream, self._original, self._tee = stream, original, tee
        self._partial: dict[Writer, str] = {}
        self._cut: set[Writer] = set()

    def write(self, text: str) -> int:
        writer = writing.get()
        if writer is None:
            return self._original.write(text)
        if self._tee:
            self._original.write(text)
        pending = self._partial.pop(writer, "") + text
        if writer in self._cut:
            self._cut.discard(writer)
            pending = pending.removeprefix("\n")  # the end of the line that was cut, not an empty one
        *lines, rest = pending.split("\n")
        for line in lines:
            writer(line, self._stream)
        if len(rest) > PARTIAL_LIMIT:
            writer(rest, self._stream)
            self._cut.add(writer)
        elif rest:
            self._partial[writer] = rest
        return len(text)

    def finish(self, writer: Writer) -> None:
        """Write out a last line that has no end."""
        rest = self._partial.pop(writer, "")
        self._cut.discard(writer)
        if rest:
            writer(rest, self._stream)

    def flush(self) -> None:
        if not self._original.closed:
            self._original.flush()

    def writable(self) -> bool:
        return True

    def isatty(self) -> bool:
        return writing.get() is None and self._original.isatty()

    def fileno(self) -> int:
        return self._original.fileno()

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return "utf-8"

    @property
    def buffer(self) -> object:
        return self._original.buffer


@contextlib.contextmanager
def captured(*, tee: bool) -> Iterator[None]:
    """Catch what attempts print while this is open; with `tee` it is shown as well. Nested uses share the outermost."""
    global _users
    _users += 1
    originals = sys.stdout, sys.stderr
    if _users == 1:
        os._exit = _told(os._exit, os.getpid(), originals[1])  # type: ignore[assignment]  # its parameter has a name
        sys.stdout, sys.stderr = _Stream("stdout", originals[0], tee=tee), _Stream("stderr", originals[1], tee=tee)
    try:
        yield
    finally:
        _users -= 1
        if _users == 0:
            os._exit = getattr(os._exit, "__wrapped__", os._exit)
            if isinstance(sys.stdout, _Stream):
                sys.stdout = originals[0]
            if isinstance(sys.stderr, _Stream):
                sys.stderr = originals[1]


def _told(leave: Callable[[int], NoReturn], pid: int, original: TextIO) -> Callable[[int], NoReturn]:
    """`os._exit` that says so when a step ends the process under its run; silent in the forked children that end by it."""

    @functools.wraps(leave)
    def told(status: int) -> NoReturn:
        if writing.get() is not None and os.getpid() == pid:
            with contextlib.suppress(OSError, ValueError):
                original.write(f"A step ended this process with os._exit({status}); the run is interrupted and can be resumed.\n")
                original.flush()
            status = status or INTERRUPTED
        leave(status)

    return told


def finish(writer: Writer) -> None:
    """The attempt behind `writer` ended: its unfinished lines are written."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, _Stream):
            stream.finish(writer)
