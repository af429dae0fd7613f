"""Who holds a run: processes by pid and start time, and the kernel lock that dies with its process.

Stands apart from the lease because it is all the store knows of the operating system. A POSIX record lock is dropped by the kernel
when its process ends, however it ends, and is not inherited by forked children; within one process it does not conflict, so a
registry stands in front of it.
"""

from __future__ import annotations

import os
import sys
import threading
from contextlib import suppress
from functools import cache
from pathlib import Path

import msgspec

from store.errors import RunConflictError
from store.values import digest

_CLOCK_SLACK = 2.0
"""Seconds two readings of a process's start may differ: it is derived from the boot time, which clock adjustments move."""

_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_")

_held: set[tuple[object, str]] = set()
_guard = threading.Lock()


@cache
def _host() -> str:
    import platform

    return platform.node()


class HeldElsewhereError(RunConflictError):
    """Another process holds the kernel's lock (it may be about to end: its threads do not end all at once)."""


class Driver(msgspec.Struct, frozen=True):
    """A process that drives runs: `started` is its start in unix seconds, so that a reused pid is not mistaken for it."""

    pid: int
    started: float
    host: str

    @classmethod
    def current(cls) -> Driver:
        """This process."""
        import psutil

        return cls(os.getpid(), psutil.Process().create_time(), _host())

    def alive(self) -> bool:
        """Whether that very process lives on this host (one on another host counts as gone; a zombie too)."""
        import psutil

        if self.host != _host():
            return False
        try:
            process = psutil.Process(self.pid)
            same = abs(process.create_time() - self.started) <= _CLOCK_SLACK
            return bool(same and process.status() != psutil.STATUS_ZOMBIE)
        except psutil.Error:
            return False


class RunLock:
    """The lock of one run. `take` returns it or raises `RunConflictError`."""

    __slots__ = ("_handle", "_key", "_path")

    def __init__(self, key: tuple[object, str], path: Path | None, handle: int | None) -> None:
        self._key = key
        self._path = path
        self._handle = handle

    def release(self) -> None:
        """Let go; the file goes first, so that nobody can lock a file that is about to vanish unseen."""
        if self._path is not None and self._handle is not None:
            if _same_file(self._handle, self._path):
                self._path.unlink(missing_ok=True)
                with suppress(OSError):
                    self._path.parent.rmdir()
            os.close(self._handle)
            self._handle = None
        with _guard:
            _held.discard(self._key)


def take(store: str | int, folder: Path | None, run: str, *, force: bool = False) -> RunLock:
    """Lock `run`. `store` names the file (or the memory store) in this process; `folder` is where lock files live, None in memory.

    `force` takes it from a process that lives but is stuck: its lock file is set aside, and the token fences what it writes.
    """
    key = (store, run)
    with _guard:
        if key in _held:
            raise RunConflictError(f"Run {run} is already driven in this process; wait for it, or pause or cancel it.")
        _held.add(key)
    if folder is None:
        return RunLock(key, None, None)
    try:
        path = folder / f"{file_name(run)}.lock"
        folder.mkdir(mode=0o700, exist_ok=True)
        if force:
            path.unlink(missing_ok=True)
        return RunLock(key, path, _lock_file(path, run))
    except BaseException:
        with _guard:
            _held.discard(key)
        raise


def _lock_file(path: Path, run: str) -> int:
    while True:
        try:
            handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        except FileNotFoundError:  # the last holder removed the folder meanwhile
            path.parent.mkdir(mode=0o700, exist_ok=True)
            continue
        try:
            _lock(handle)
        except OSError as error:
            os.close(handle)
            raise HeldElsewhereError(f"Run {run} is driven by another process; pause or cancel it, or wait for its end.") from error
        if _same_file(handle, path):
            return handle
        os.close(handle)  # the holder before us removed it between our opening and our locking


def _lock(handle: int) -> None:
    if sys.platform == "win32":
        import msvcrt

        msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
    else:
        import fcntl

        fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _same_file(handle: int, path: Path) -> bool:
    try:
        mine, there = os.fstat(handle), path.stat()
    except OSError:
        return False
    return (mine.st_dev, mine.st_ino) == (there.st_dev, there.st_ino)


def file_name(run: str) -> str:
    """A run's id as a file name: escaped, or its hash when long; never a path."""
    name = "".join(chr(byte) if chr(byte) in _PLAIN else f"%{byte:02X}" for byte in run.encode())
    return name if len(name) <= 120 else digest(run.encode())
