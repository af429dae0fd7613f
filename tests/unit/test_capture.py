"""What user code prints is given to its attempt, line by line; what nobody's attempt prints goes where it always went."""

import contextlib
import contextvars
import io
import sys
import threading
from collections.abc import Iterator

from engine import capture


class Lines:
    """A writer that keeps what it is given."""

    def __init__(self) -> None:
        self.kept: list[tuple[str, str]] = []

    def __call__(self, line: str, stream: str) -> None:
        self.kept.append((stream, line))


@contextlib.contextmanager
def captured(*, tee: bool) -> Iterator[io.StringIO]:
    """Caught, over a standard output that is a string."""
    with contextlib.redirect_stdout(io.StringIO()) as plain, capture.captured(tee=tee):
        yield plain


def inside(lines: Lines) -> None:
    """Make the rest of this context an attempt of `lines`."""
    capture.writing.set(lines)


def test_lines_are_whole_and_a_rest_is_written_at_the_end() -> None:
    """Text in pieces becomes lines; what has no end is written when the attempt ends; empty lines count."""
    lines = Lines()

    def attempt() -> None:
        inside(lines)
        sys.stdout.write("a")
        sys.stdout.write("b\n\nc")
        assert lines.kept == [("stdout", "ab"), ("stdout", "")]
        capture.finish(lines)

    with captured(tee=False) as plain:
        contextvars.copy_context().run(attempt)
    assert lines.kept == [("stdout", "ab"), ("stdout", ""), ("stdout", "c")]
    assert plain.getvalue() == ""


def test_with_tee_it_is_shown_as_well() -> None:
    """The text goes both ways, unchanged."""
    lines = Lines()

    def attempt() -> None:
        inside(lines)
        print("shown")

    with captured(tee=True) as plain:
        contextvars.copy_context().run(attempt)
    assert plain.getvalue() == "shown\n"
    assert lines.kept == [("stdout", "shown")]


def test_outside_an_attempt_nothing_is_caught() -> None:
    """Printing between attempts, and in threads of nobody's, passes through."""
    with captured(tee=False) as plain:
        print("outside")
        thread = threading.Thread(target=print, args=("thread",))
        thread.start()
        thread.join()
    assert plain.getvalue() == "outside\nthread\n"


def test_attempts_are_told_apart_though_they_interleave() -> None:
    """Two attempts that print by turns, in pieces, each get their own lines."""
    one, two = Lines(), Lines()
    first, second = contextvars.copy_context(), contextvars.copy_context()
    first.run(inside, one)
    second.run(inside, two)
    with captured(tee=False):
        for piece in ("a", "b", "\n"):
            first.run(sys.stdout.write, piece)
            second.run(sys.stdout.write, piece.upper())
    assert (one.kept, two.kept) == ([("stdout", "ab")], [("stdout", "AB")])


def test_an_endless_line_is_cut() -> None:
    """Text without an end is written in pieces, so that memory does not grow with it."""
    lines = Lines()

    def attempt() -> None:
        inside(lines)
        for _ in range(5):
            sys.stdout.write("x" * 10_000)
        capture.finish(lines)

    with captured(tee=False):
        contextvars.copy_context().run(attempt)
    assert len(lines.kept) == 3
    assert sum(len(text) for _, text in lines.kept) == 50_000


def test_the_streams_are_put_back_once_the_last_user_ends() -> None:
    """Nested and overlapping uses share one replacement, which goes with the last of them."""
    before = sys.stdout
    with capture.captured(tee=False):
        outer = sys.stdout
        with capture.captured(tee=True):
            assert sys.stdout is outer
        assert sys.stdout is outer is not before
    assert sys.stdout is before


def test_the_stand_in_is_a_text_stream() -> None:
    """What user code asks of `sys.stdout` besides writing is answered."""
    lines = Lines()

    def attempt() -> tuple[bool, bool, str]:
        inside(lines)
        sys.stdout.flush()
        sys.stdout.writelines(["x\n", "y\n"])
        return sys.stdout.writable(), sys.stdout.isatty(), sys.stdout.encoding

    with captured(tee=False):
        assert contextvars.copy_context().run(attempt) == (True, False, "utf-8")
    assert [text for _, text in lines.kept] == ["x", "y"]
