"""The app in a real terminal: how it comes, how it leaves, and what it leaves behind."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import pexpect
import psutil
import pytest

from store.events import LogWritten, Recorded
from store.log import Log
from tests.acceptance.made_runs import write
from tests.acceptance.piloting import simple, store

Terminal: TypeAlias = "pexpect.spawn[Any]"

LEFT = (b"\x1b[?1049l", b"\x1b[?25h", b"\x1b[?1000l", b"\x1b[?2004l")
"""Alternate screen left, cursor shown, mouse off, bracketed paste off."""


@pytest.fixture
async def path(tmp_path: Path) -> Path:
    """A store with two runs."""
    return await store(tmp_path / "runs.db", simple(1), simple(2, name="report"))


@pytest.fixture
def start(path: Path) -> Iterator[Callable[..., Terminal]]:
    """Starts the UI in a terminal of 80x24; what is left of it at the end is killed."""
    started: list[Terminal] = []

    def begin(*words: str, seen: str | None = "report", **env: str) -> Terminal:
        surroundings = {**os.environ, "TERM": "xterm-256color", "LC_ALL": "C.UTF-8", **env}
        surroundings.pop("NO_COLOR", None)
        child = pexpect.spawn(
            sys.executable, ["-m", "tagent_tui", "--db", str(path), *words], dimensions=(24, 80), env=surroundings, timeout=20
        )  # fmt: skip
        started.append(child)
        if seen is not None:
            child.expect_exact(seen.encode())
        return child

    yield begin
    for child in started:
        child.close(force=True)


def pid_of(child: Terminal) -> int:
    """The process in the terminal."""
    assert child.pid is not None
    return int(child.pid)


def ended(child: Terminal) -> tuple[int | None, bytes]:
    """Wait for the end; exit code and everything written since the last match."""
    child.expect(pexpect.EOF)
    child.wait()
    assert isinstance(child.before, bytes)
    return child.exitstatus, child.before


def echoes(child: Terminal) -> bool:
    """Whether the terminal echoes and edits lines again."""
    flags = termios.tcgetattr(child.child_fd)[3]
    return bool(flags & termios.ECHO) and bool(flags & termios.ICANON) and bool(flags & termios.ISIG)


def gone(pid: int, seconds: float) -> bool:
    """Whether the process ends within so many seconds."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
            return True
        time.sleep(0.02)
    return False


def test_q_leaves_at_once(start: Callable[..., Terminal]) -> None:
    """`q` ends with 0 and leaves the terminal as it was."""
    child = start()
    child.send("q")
    code, rest = ended(child)
    assert code == 0
    assert all(one in rest for one in LEFT)
    assert b"still running" not in rest


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_signals_restore_the_terminal(start: Callable[..., Terminal], signum: int, code: int) -> None:
    """A signal ends the app with 128 plus its number, the alternate screen left, the cursor shown and echo on."""
    child = start()
    assert not echoes(child)
    child.kill(signum)
    assert gone(pid_of(child), 10)
    assert echoes(child)
    found, rest = ended(child)
    assert found == code
    assert all(one in rest for one in LEFT)
    assert b"Traceback" not in rest


def test_a_signal_while_it_starts(start: Callable[..., Terminal]) -> None:
    """A signal at any moment of the start ends the process and leaves echo on."""
    for delay in (0.0, 0.1, 0.2, 0.3, 0.4, 0.6):
        child = start(seen=None)
        time.sleep(delay)  # the moment is what varies; nothing is waited for
        child.kill(signal.SIGTERM)
        child.expect(pexpect.EOF)
        assert gone(pid_of(child), 5), delay
        assert echoes(child), delay


def test_a_terminal_that_nobody_reads(start: Callable[..., Terminal]) -> None:
    """A signal ends the app even while its output is stuck, and echo is on again."""
    child = start(seen=None)
    time.sleep(1.0)  # long enough to start, and nothing it writes is read
    child.kill(signal.SIGTERM)
    assert gone(pid_of(child), 15)
    assert echoes(child)


def test_a_terminal_that_is_closed(start: Callable[..., Terminal]) -> None:
    """When the terminal goes away the process goes too."""
    child = start()
    os.dup2(os.open(os.devnull, os.O_RDWR), child.child_fd)
    assert gone(pid_of(child), 15)


def test_a_terminal_that_is_closed_on_one_who_ignores_it(path: Path) -> None:
    """Even with SIGHUP ignored (nohup) a process without its terminal ends instead of spinning."""
    code = "import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN); from tagent_tui.app import run_app; "
    code += f"run_app({str(path)!r})"
    child = pexpect.spawn(sys.executable, ["-c", code], dimensions=(24, 80), timeout=20, env={**os.environ, "TERM": "xterm"})
    child.expect_exact(b"report")
    os.dup2(os.open(os.devnull, os.O_RDWR), child.child_fd)
    try:
        assert gone(pid_of(child), 15)
    finally:
        if psutil.pid_exists(pid_of(child)):
            os.kill(pid_of(child), signal.SIGKILL)
        os.waitpid(pid_of(child), 0)


def test_stopped_and_continued(start: Callable[..., Terminal]) -> None:
    """ctrl+z gives the shell its terminal back; continued, the app draws again and its keys work."""
    child = start()
    os.kill(pid_of(child), signal.SIGTSTP)
    deadline = time.monotonic() + 10
    while psutil.Process(pid_of(child)).status() != psutil.STATUS_STOPPED:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert echoes(child)
    os.kill(pid_of(child), signal.SIGCONT)
    child.expect_exact(b"\x1b[?1049h")
    child.expect_exact(b"report")
    child.send("q")
    assert ended(child)[0] == 0


@pytest.mark.parametrize("stream", ["stdin", "stdout"])
def test_without_a_terminal_nothing_is_drawn(path: Path, stream: str) -> None:
    """With stdin or stdout not a terminal the app is not started: exit code 2, and not one escape sequence."""
    code = f"import sys; from tagent_tui.app import run_app; sys.exit(run_app({str(path)!r}))"
    piped = {stream: subprocess.PIPE if stream == "stdout" else subprocess.DEVNULL}
    found = subprocess.run(
        [sys.executable, "-c", code], **piped, stderr=subprocess.PIPE, timeout=30, check=False, env={**os.environ, "TERM": "xterm"}
    )  # type: ignore[call-overload]
    assert found.returncode == 2
    assert b"\x1b" not in (found.stdout or b"") + found.stderr


def test_a_dumb_terminal_is_not_drawn_on(start: Callable[..., Terminal]) -> None:
    """A terminal that cannot place a cursor gets words, not escape sequences."""
    child = start(seen=None, TERM="dumb")
    code, rest = ended(child)
    assert code == 2
    assert b"\x1b" not in rest


def test_stderr_elsewhere_does_not_matter(path: Path) -> None:
    """With stderr in a file the app draws on the terminal all the same and the file stays empty."""
    log = path.parent / "err.txt"
    command = f"exec {sys.executable} -m tagent_tui --db {path} 2>{log}"
    child = pexpect.spawn("/bin/sh", ["-c", command], dimensions=(24, 80), timeout=20, env={**os.environ, "TERM": "xterm"})
    child.expect_exact(b"report")
    child.send("q")
    assert ended(child)[0] == 0
    assert log.read_bytes() == b""


def test_a_terminal_without_utf8_gets_ascii(start: Callable[..., Terminal]) -> None:
    """With an encoding that has no marks the ASCII set is drawn by itself."""
    child = start(seen=None, LC_ALL="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0", PYTHONIOENCODING="ascii")
    child.expect_exact(b"report")
    child.send("q")
    code, rest = ended(child)
    assert code == 0
    assert isinstance(child.before, bytes)
    assert rest.isascii()


def test_resizes_do_not_end_it(start: Callable[..., Terminal]) -> None:
    """A storm of real resizes, 1x1 among them, leaves an app that still works."""
    child = start()
    for rows, columns in [(1, 1), (60, 200), (2, 3), (24, 80), (1, 80), (50, 1), (40, 120)] * 3:
        child.setwinsize(rows, columns)
    child.send("?")
    child.expect_exact(b"given other keys")
    child.send("?")
    child.send("q")
    assert ended(child)[0] == 0


async def test_the_goodbye_says_what_is_still_running(path: Path, start: Callable[..., Terminal]) -> None:
    """After leaving, one line on the normal screen says how many runs go on."""
    async with await Log.open(path) as log:
        lease = await write(log, simple(7, ended=False), alive=True)
        await lease.commit([Recorded(lease.head + 1, simple(7).at + 5, LogWritten("still here"), "scan", 1)])
        child = start()
        child.expect_exact(b"1 live")
        child.send("q")
        code, rest = ended(child)
        await lease.release()
    assert code == 0
    assert re.search(rb"\x1b\[\?1049l.*1 run still running", rest, re.DOTALL)


def test_a_store_in_trouble_is_a_sentence(tmp_path: Path) -> None:
    """A file that is no store is shown as a sentence in the app, which can be left."""
    wrong = tmp_path / "wrong.db"
    wrong.write_text("no database")
    child = pexpect.spawn(sys.executable, ["-m", "tagent_tui", "--db", str(wrong)], dimensions=(24, 80), timeout=20)
    child.expect_exact(b"cannot be used")
    child.send("q")
    assert ended(child)[0] == 0


@pytest.mark.parametrize(("width", "mark"), [(1, "✓"), (2, "+")])
def test_a_terminal_that_draws_marks_wide_gets_ascii(path: Path, width: int, mark: str) -> None:
    """The terminal is asked how wide it draws the marks; where one takes two cells the ASCII set is used."""
    child: Terminal = pexpect.spawn(
        sys.executable, ["-m", "tagent_tui", "--db", str(path)], dimensions=(24, 80), timeout=20,
        env={**os.environ, "TERM": "xterm-256color", "LC_ALL": "C.UTF-8"},
    )  # fmt: skip
    child.expect_exact(b"\x1b[6n")
    assert isinstance(child.before, bytes)
    asked = child.before.decode().rpartition("\r")[2]
    child.send(f"\x1b[1;{len(asked) * width + 1}R")
    child.expect_exact(f"{mark}".encode())
    child.send("q")
    assert ended(child)[0] == 0


def test_a_defect_restores_the_terminal_and_is_one_sentence(path: Path) -> None:
    """A defect of ours leaves the terminal as it was and ends with 70 and a sentence, no traceback and no values of variables."""
    code = "from tagent_tui.screens.runs import RunsScreen\n"
    code += "async def look(self):\n    secret = 'sk-hidden'\n    raise ZeroDivisionError('on purpose')\n"
    code += f"RunsScreen.look = look\nimport sys\nfrom tagent_tui.cli import main\nsys.exit(main(['--db', {str(path)!r}]))\n"
    child = pexpect.spawn(sys.executable, ["-c", code], dimensions=(24, 80), timeout=20, env={**os.environ, "TERM": "xterm"})
    found, rest = ended(child)
    assert found == 70
    assert all(one in rest for one in LEFT)
    assert b"on purpose" in rest or b"ZeroDivisionError" in rest
    assert b"Traceback" not in rest
    assert b"sk-hidden" not in rest
