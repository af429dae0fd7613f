"""Two questions to git, asked so that a hostile repository cannot make it run anything or reach the network.

Stands apart because every option here is a defence: hooks, fsmonitor, pagers, signature programs, external diffs and text
converters can all be named by a repository's own configuration, and a partial clone fetches what it lacks while it is read.
"""

import os
import shutil
import subprocess
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path

LIST_TIMEOUT = 60.0
LOG_TIMEOUT = 30.0
_MAX_OUTPUT = 128 * 1024 * 1024
_DEFENCES = (
    "--no-pager",
    "--no-replace-objects",
    "--literal-pathspecs",
    *("-c", "core.fsmonitor=false"),
    *("-c", "core.hooksPath=/dev/null"),
    *("-c", "core.sshCommand=false"),
    *("-c", "credential.helper="),
    *("-c", "diff.external="),
    *("-c", "log.showSignature=false"),
    *("-c", "protocol.allow=never"),
    *("-c", "safe.bareRepository=explicit"),
    *("-c", "submodule.recurse=false"),
)
_KEPT = ("PATH", "HOME", "XDG_CONFIG_HOME", "TMPDIR", "GIT_CEILING_DIRECTORIES", "GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM")


class GitSilentError(Exception):
    """git is not installed, does not take this folder for a work tree, or did not answer; the message says which."""


def listed(root: Path) -> list[bytes]:
    """Paths below `root` that git tracks or would track (ignored files left out), sorted, each once, relative to `root`."""
    top = _ask(root, "rev-parse", "--show-toplevel", timeout=LIST_TIMEOUT).rstrip(b"\n")
    if not root.is_relative_to(os.fsdecode(top)):
        raise GitSilentError("its git work tree is somewhere else")
    answer = _ask(root, "ls-files", "-z", "--cached", "--others", "--exclude-standard", timeout=LIST_TIMEOUT)
    return sorted({path for path in answer.split(b"\0") if _is_inside(path)})


@dataclass(frozen=True, slots=True)
class Commit:
    """One commit: short id, author's date (`2024-05-31`) and name, subject, changed paths relative to the folder asked about."""

    short: str
    date: str
    author: str
    subject: str
    paths: tuple[bytes, ...]


def logged(root: Path, count: int) -> list[Commit]:
    """The last `count` commits that touched `root`, newest first."""
    layout = "--format=%x00%h%x00%as%x00%an%x00%s%x00"
    plain = ("--no-show-signature", "--no-ext-diff", "--no-textconv", "--no-renames", "--no-color", "--no-mailmap", "--no-notes")
    answer = _ask(root, "log", "-z", f"-n{count}", *plain, "--name-only", "--relative", layout, "--", ".", timeout=LOG_TIMEOUT)
    return commits_in(answer)


def commits_in(answer: bytes) -> list[Commit]:
    """Reads fields by place between zero bytes, which no message, author or path can hold; the first path follows a line end."""
    tokens = answer.split(b"\0")
    commits: list[Commit] = []
    at = 0
    while at + 4 < len(tokens):
        if not tokens[at]:
            at += 1
            continue
        short, date, author, subject = (token.decode("utf-8", "replace") for token in tokens[at : at + 4])
        at += 4
        paths: list[bytes] = []
        if at + 1 < len(tokens) and not tokens[at] and tokens[at + 1].startswith(b"\n"):
            end = tokens.index(b"", at + 1)
            paths = [tokens[at + 1][1:], *tokens[at + 2 : end]]
            at = end
        commits.append(Commit(short, date, author, subject, tuple(paths)))
    return commits


def is_shallow(root: Path) -> bool:
    """Whether the history was cut when the repository was cloned."""
    return _ask(root, "rev-parse", "--is-shallow-repository", timeout=LIST_TIMEOUT).strip() == b"true"


def _is_inside(path: bytes) -> bool:
    return bool(path) and not path.startswith(b"/") and b".." not in path.split(b"/")


def _ask(root: Path, *question: str, timeout: float) -> bytes:
    program = shutil.which("git")
    if program is None or not Path(program).is_absolute():
        raise GitSilentError("git is not installed")
    with tempfile.TemporaryFile() as errors:
        try:
            process = subprocess.Popen(
                [program, *_DEFENCES, *question],
                cwd=root,
                env=_environment(),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
            )
        except OSError as error:
            raise GitSilentError(f"git could not be started ({error.strerror})") from error
        answer, ended = _read(process, timeout)
        errors.seek(0)
        complaint = errors.read(2_000).decode("utf-8", "replace")
    if not ended:
        raise GitSilentError(f"git took longer than {timeout:.0f} s")
    if len(answer) > _MAX_OUTPUT:
        raise GitSilentError(f"git listed more than {_MAX_OUTPUT >> 20} MiB")
    if process.returncode:
        raise GitSilentError(_in_short(complaint))
    return answer


def _read(process: subprocess.Popen[bytes], timeout: float) -> tuple[bytes, bool]:
    """What the process wrote, a byte past the limit at most, and whether it ended in time."""
    late = threading.Event()

    def stop() -> None:
        late.set()
        process.kill()

    timer = threading.Timer(timeout, stop)
    timer.daemon = True
    timer.start()
    with process:
        assert process.stdout is not None  # noqa: S101 - it was asked for as a pipe
        answer = process.stdout.read(_MAX_OUTPUT + 1)
        if len(answer) > _MAX_OUTPUT:
            process.kill()
    timer.cancel()
    return answer, not late.is_set()


def _environment() -> dict[str, str]:
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    return kept | {
        "LC_ALL": "C",
        "GIT_ALLOW_PROTOCOL": "none",
        "GIT_NO_LAZY_FETCH": "1",
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_PAGER": "cat",
        "GIT_TERMINAL_PROMPT": "0",
    }


def _in_short(complaint: str) -> str:
    if "not a git repository" in complaint or "must be run in a work tree" in complaint:
        return "not a git repository"
    if "dubious ownership" in complaint:
        return "git does not trust this repository, which belongs to another user"
    if "does not have any commits" in complaint:
        return "no commits yet"
    first = complaint.strip().partition("\n")[0].removeprefix("fatal: ")
    return f"git refused: {first[:200]}" if first else "git refused"
