"""Going through a tree without leaving it: folders are opened one from another, and no symbolic link is ever followed.

Opening by directory descriptor instead of by path is what makes that hold while somebody changes the tree, and what makes
paths longer than the system's limit readable. Nothing recurses, so depth costs no stack.
"""

import os
import stat
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

MAX_FILES = 100_000
MAX_FOLDERS = 100_000
MAX_PATH = 4_096
"""Bytes of a path below the root; what lies deeper is named as skipped."""
_MAX_OPEN = 32
_LEFT_OUT = frozenset(
    [
        *(b".git", b".hg", b".svn", b".bzr", b"CVS", b"node_modules", b"bower_components", b"__pycache__", b".venv", b"venv"),
        *(b".tox", b".nox", b".eggs", b".cache", b".mypy_cache", b".pytest_cache", b".ruff_cache", b".gradle", b".terraform"),
        *(b".next", b".nuxt", b".parcel-cache", b".yarn", b".direnv", b".hypothesis", b".idea"),
    ]
)
# A folder that holds one of these says itself that it can be made again.
_MADE_AGAIN = {b"pyvenv.cfg": "a virtual environment", b"CACHEDIR.TAG": "a cache"}
_HEAD = 8_192
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(slots=True)
class Walked:
    """Files (and links, and whatever else is no folder) as sorted paths, and the folders not entered with the reason."""

    paths: list[bytes] = field(default_factory=list)
    left_out: list[tuple[bytes, str]] = field(default_factory=list)
    unread: list[tuple[bytes, str]] = field(default_factory=list)
    full: bool = False


class Descent:
    """The open folders between the root and the one in use; asking for another closes only what the two do not share.

    At most `_MAX_OPEN` descriptors are held (macOS allows 256 a process); ancestors beyond that are opened again when needed.
    """

    def __init__(self, root: str) -> None:
        self._root = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._names: list[bytes] = []
        self._held: list[int | None] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._close_beyond(0)
        os.close(self._root)

    def open(self, folder: bytes) -> int:
        """The descriptor of a folder below the root (`b""` is the root), valid until the next call; raises OSError."""
        wanted = folder.split(b"/") if folder else []
        shared = 0
        for ours, theirs in zip(self._names, wanted, strict=False):
            if ours != theirs:
                break
            shared += 1
        self._close_beyond(shared)
        start = next((depth for depth in range(shared, 0, -1) if self._held[depth - 1] is not None), 0)
        # Ancestors whose descriptor was given up are opened again on the way down.
        self._close_beyond(start)
        for depth in range(start, len(wanted)):
            self._held.append(os.open(wanted[depth], _FOLDER, dir_fd=self._last()))
            self._names.append(wanted[depth])
            self._give_up(depth - _MAX_OPEN)
        return self._last()

    def status(self, path: bytes) -> os.stat_result:
        """What stands at a path, a link as itself; raises OSError."""
        folder, name = _split(path)
        return os.stat(name, dir_fd=self.open(folder), follow_symlinks=False)

    def target(self, path: bytes) -> bytes:
        """What a symbolic link says, unfollowed; raises OSError."""
        folder, name = _split(path)
        return os.readlink(name, dir_fd=self.open(folder))

    def read(self, path: bytes, limit: int) -> bytes | None:
        """A regular file's content as `read_up_to` gives it; to be asked only of what `status` called regular. Raises OSError."""
        folder, name = _split(path)
        descriptor = os.open(name, _FILE, dir_fd=self.open(folder))
        try:
            # Somebody may have put a pipe there since; opened without blocking, it is closed again unread.
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise FileNotFoundError(path)
            return read_up_to(descriptor, limit)
        finally:
            os.close(descriptor)

    def _last(self) -> int:
        return self._root if not self._held or self._held[-1] is None else self._held[-1]

    def _give_up(self, depth: int) -> None:
        if depth >= 0 and (descriptor := self._held[depth]) is not None:
            os.close(descriptor)
            self._held[depth] = None

    def _close_beyond(self, depth: int) -> None:
        while len(self._held) > depth:
            self._names.pop()
            if (descriptor := self._held.pop()) is not None:
                os.close(descriptor)


def _split(path: bytes) -> tuple[bytes, bytes]:
    folder, _, name = path.rstrip(b"/").rpartition(b"/")
    return folder, name


def read_up_to(descriptor: int, limit: int) -> bytes | None:
    """Everything up to the end, the first 8 KiB if they are binary, None past `limit` bytes: a file may grow while it is read."""
    parts = [os.read(descriptor, _HEAD)]
    size = len(parts[0])
    if b"\0" in parts[0] and parts[0][:2] not in (b"\xff\xfe", b"\xfe\xff"):
        return parts[0]
    while parts[-1] and size <= limit:
        parts.append(os.read(descriptor, limit + 1 - size))
        size += len(parts[-1])
    return b"".join(parts) if size <= limit else None


def walk(descent: Descent) -> Walked:
    """Every file below the root, without what is version control's, installed or made again by tools."""
    found = Walked()
    waiting = [b""]
    folders = 0
    while waiting and not found.full:
        folder = waiting.pop()
        folders += 1
        try:
            inside = _entries(descent.open(folder))
        except OSError as error:
            found.unread.append((folder, why(error)))
            continue
        if folder and (made := next((_MADE_AGAIN[name] for name, _ in inside if name in _MADE_AGAIN), None)):
            found.left_out.append((folder, made))
            continue
        prefix = folder + b"/" if folder else b""
        deeper = []
        for name, is_folder in inside:
            path = prefix + name
            if is_folder and name in _LEFT_OUT:
                found.left_out.append((path, "left out by its name"))
            elif len(path) > MAX_PATH:
                found.unread.append((path, f"its path is longer than {MAX_PATH:,} bytes"))
            elif is_folder:
                deeper.append(path)
            else:
                found.paths.append(path)
        waiting += reversed(deeper)
        found.full = len(found.paths) > MAX_FILES or folders >= MAX_FOLDERS
    found.paths.sort()
    del found.paths[MAX_FILES:]
    return found


def _entries(folder: int) -> list[tuple[bytes, bool]]:
    with os.scandir(folder) as entries:
        return sorted((os.fsencode(entry.name), entry.is_dir(follow_symlinks=False)) for entry in entries)


def why(error: OSError) -> str:
    """The reason a file or folder could not be read, in words."""
    match error:
        case PermissionError():
            return "no permission to read it"
        case FileNotFoundError():
            return "it was gone when its turn came"
        case NotADirectoryError():
            return "it lies behind a symbolic link or a file"
        case _:
            return f"it could not be read ({error.strerror or type(error).__name__})"
