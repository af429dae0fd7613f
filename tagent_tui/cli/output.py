"""Where the command line writes: results on stdout, everything else on stderr, JSON or text from the same values.

Stands apart so that the rules hold for every verb: foreign text passes the sanitiser on its way to a terminal, colour only where
somebody looks, a closed pipe ends the writing and not the work.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import sys
from collections.abc import Iterable, Sequence
from typing import Any, TextIO

import msgspec

from tagent_tui.cli.exits import Fault, RefusedError
from tagent_tui.glyphs import Glyphs, choose
from tagent_tui.rows import Ink, Row, Seg, beside
from tagent_tui.text import one_line

SCHEMA = 1
"""The version of every JSON object we write."""

WIDE = 160
"""Cells of a line where no terminal says how wide it is."""

_SGR = {
    Ink.MUTED: "90",
    Ink.ACCENT: "34",
    Ink.SUCCESS: "32",
    Ink.ERROR: "31",
    Ink.WARNING: "33",
    Ink.REPLAY: "35",
    Ink.GRAPH: "34",
    Ink.GUIDE: "90",
    Ink.HAIRLINE: "90",
}


_IN_ASCII = str.maketrans({"–": "-", "·": "-", "…": "~", "→": ">"})
"""Marks of ours inside texts, for a stream that has ASCII only; foreign letters are escaped when they are written."""


class Stream:
    """One of the two streams: whether a person looks at it, and writing that survives a reader who left."""

    def __init__(self, stream: TextIO | None, color: str) -> None:
        self._stream = stream if stream is not None else io.StringIO()
        self.open = stream is not None
        self.terminal = _is_terminal(self._stream)
        plain = bool(os.environ.get("NO_COLOR")) or os.environ.get("TERM", "") in ("dumb", "unknown", "")
        self.colored = color == "always" or (color == "auto" and self.terminal and not plain)
        self.width = shutil.get_terminal_size((WIDE, 24)).columns if self.terminal else WIDE
        self.movable = self.terminal and os.environ.get("TERM", "") not in ("dumb", "unknown", "")
        self.glyphs: Glyphs = choose(encoding=getattr(stream, "encoding", None) or "ascii")
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")

    def redirect(self, stream: TextIO) -> None:
        """Write there from now on: the same place behind another descriptor."""
        self._stream.flush()
        self._stream = stream

    def write(self, text: str) -> None:
        """Write and flush; once the reader has left, nothing more is written."""
        if not self.open:
            return
        try:
            self._stream.write(text)
            self._stream.flush()
        except BrokenPipeError:
            self._leave()
        except OSError as error:  # the terminal hung up, or the disk behind a redirection is full
            self._leave()
            raise _unwritable(error) from None

    def write_bytes(self, content: bytes) -> None:
        """Write content as it is: JSON is UTF-8 whatever the locale says."""
        buffer = getattr(self._stream, "buffer", None)
        if buffer is None:
            self.write(content.decode("utf-8", "replace"))
            return
        if not self.open:
            return
        try:
            self._stream.flush()
            buffer.write(content)
            buffer.flush()
        except BrokenPipeError:
            self._leave()
        except OSError as error:
            self._leave()
            raise _unwritable(error) from None

    def _leave(self) -> None:
        """Let the interpreter's last flush go nowhere."""
        self.open = False
        try:
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, self._stream.fileno())
            os.close(null)
        except (OSError, ValueError):
            return

    def safe(self, text: str) -> str:
        """One line of foreign text as it may stand here: sanitised for a terminal, else as it is."""
        return shown(text, self.glyphs) if self.terminal else text

    def paint(self, segs: Iterable[Seg]) -> str:
        """Pieces of a row as text, coloured where this stream is."""
        painted = "".join(_sgr(seg) if self.colored else seg.text for seg in segs).rstrip(" ")
        return painted.translate(_IN_ASCII) if self.glyphs.ascii else painted

    def row(self, row: Row, *, margin: int = 1, widest: int = WIDE) -> None:
        """Write a row as wide as the terminal, but at most `widest` cells."""
        width = max(20, min(self.width, widest) - 2 * margin)
        self.write(" " * margin + self.paint(beside(row.left, row.right, width, ellipsis=self.glyphs.ellipsis)) + "\n")

    def line(self, segs: Sequence[Seg]) -> None:
        """Write pieces as one line: cut at the width of a terminal, whole elsewhere."""
        if self.terminal:
            self.row(Row(segs), margin=0, widest=self.width)
        else:
            self.segs(segs)

    def segs(self, segs: Iterable[Seg]) -> None:
        """Write pieces as one line, not cut."""
        self.write(self.paint(segs) + "\n")


class Output:
    """Both streams and what was asked of them."""

    def __init__(self, *, json: bool = False, quiet: bool = False, verbose: bool = False, color: str = "auto") -> None:
        self.json, self.quiet, self.verbose = json, quiet, verbose
        self.out = Stream(sys.stdout, color)
        self.err = Stream(sys.stderr, color)

    def guard(self) -> None:
        """Keep stdout for results: from now on what user code or its child processes print there goes to stderr."""
        if not self.out.open or sys.stdout is None:
            return
        try:
            kept = os.dup(1)
            os.dup2(2, 1)
        except OSError:
            return
        self.out.redirect(os.fdopen(kept, "w", encoding=sys.stdout.encoding, errors="backslashreplace"))

    def line(self, text: str = "") -> None:
        """A line of a result; text of ours or already safe."""
        self.out.write(text + "\n")

    def text(self, text: str) -> None:
        """Foreign text as a result: each of its lines safe on a terminal, as it is elsewhere."""
        if not self.out.terminal:
            self.out.write(text if text.endswith("\n") else text + "\n")
            return
        for line in text.removesuffix("\n").split("\n"):
            self.out.write(shown(line, self.out.glyphs) + "\n")

    def note(self, text: str) -> None:
        """A line about what happens, on stderr; not when quiet."""
        if not self.quiet:
            self.err.write(shown(text, self.err.glyphs) + "\n")

    def note_segs(self, segs: Iterable[Seg]) -> None:
        """The same with colours."""
        if not self.quiet:
            self.err.segs(segs)

    def document(self, value: object) -> None:
        """The one JSON object of a verb."""
        self.out.write_bytes(as_json({"schema": SCHEMA, "data": value}) + b"\n")

    def record(self, value: object) -> None:
        """One object of a JSON stream, on a line of its own."""
        self.out.write_bytes(as_json(value) + b"\n")

    def fault(self, fault: Fault) -> None:
        """An error: one sentence, or under `--json` one object."""
        if self.json:
            told = {"code": fault.code, "message": fault.message, "hint": fault.hint}
            self.err.write_bytes(as_json({"error": told}) + b"\n")
            return
        for index, line in enumerate(fault.message.split("\n")):
            self.err.write(("tagent-tui: " if index == 0 else "") + shown(line, self.err.glyphs) + "\n")


def shown(text: str, glyphs: Glyphs) -> str:
    """One line of foreign text, safe and whole: what is named instead of drawn may make it longer."""
    return one_line(text, 20 * len(text) + 20, glyphs).text


def as_json(value: object) -> bytes:
    """One line of JSON; stored JSON (`msgspec.Raw`) goes through undecoded."""
    try:
        return msgspec.json.encode(value)
    except UnicodeEncodeError:  # half a surrogate pair in a plain text
        return json.dumps(_scrubbed(value), ensure_ascii=True).encode()


def _scrubbed(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _scrubbed(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_scrubbed(item) for item in value]
    if isinstance(value, msgspec.Raw):
        return msgspec.json.decode(value)
    return value


def _sgr(seg: Seg) -> str:
    codes = [
        code
        for code in (_SGR.get(seg.ink, ""), "1" if seg.bold or seg.ink is Ink.STRONG else "", "7" if seg.reverse else "")
        if code
    ]
    return f"\x1b[{';'.join(codes)}m{seg.text}\x1b[0m" if codes and seg.text.strip() else seg.text


def _unwritable(error: OSError) -> RefusedError:
    return RefusedError(f"the output cannot be written ({error.strerror or error}); send it elsewhere", code="output")


def _is_terminal(stream: TextIO) -> bool:
    try:
        return stream.isatty()
    except ValueError:
        return False
