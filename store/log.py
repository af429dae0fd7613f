"""The log: one SQLite file (or memory) that holds every event of every run. The seam the rest of the program stands on.

Stands apart as the one place that puts the parts together: the writing thread, the reading connection, leases, lineages, folds. It
knows rows and versions, not pipelines.
"""

from __future__ import annotations

import asyncio
import itertools
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack, overload
from weakref import WeakSet

from store import births, blobs, folding, opening, queries, signals, trouble, values
from store.blobs import Blobs
from store.errors import BlobMissingError, RunNotFoundError, StoreError, StoreReadOnlyError, VersionRangeError
from store.events import Payload, Recorded, RunCreated, RunForked, RunId
from store.lease import Lease
from store.lineage import Lineages, Segment
from store.locks import Driver, HeldElsewhereError, RunLock, take
from store.projector import project
from store.pulse import Pulse, data_version
from store.reader import FileReader, InlineReader, Reader
from store.runs import RunRow
from store.signals import Sample, Signal
from store.state import RunState
from store.telemetry import Telemetry
from store.writer import Writer

if TYPE_CHECKING:
    from types import TracebackType

    from store.history import History
    from store.integrity import Finding
    from store.timeline import Mark

MEMORY = ":memory:"
ENDING = 1.0
"""Seconds a killed process is given to let go of its locks: it looks gone before its last thread is."""

_memories = itertools.count(1)


class Log:
    """A store, open. Make one with `await Log.open(path)`; use it on the loop it was opened on."""

    def __init__(self, path: str, reader: Reader, identity: object, *, readonly: bool) -> None:
        self.path = path
        self.memory = path == MEMORY
        self.readonly = readonly
        self.closed = False
        self.reader = reader
        self.lineages = Lineages(reader)
        self.pulse = Pulse(None if self.memory else reader)
        self._identity = identity
        self._patience = opening.PATIENCE
        self._writer: Writer | None = None
        self._leases: WeakSet[Lease] = WeakSet()
        self._telemetry = Telemetry(lambda: self.writer)
        self._seen: int | None = None

    # --- opening and closing

    @classmethod
    async def open(
        cls, path: str | Path, *, readonly: bool = False, create: bool = True, patience: float = opening.PATIENCE
    ) -> Log:
        """Open a store, making the file (0600) and its folder (0700) if there is none and `create` says so.

        Raises a kind of `StoreUnusableError` for what is not a store of ours, which is left as it is. `patience` is how
        long, in seconds, another process's lock is waited for.
        """
        if str(path) == MEMORY:
            return cls._open_memory()
        file = Path(path).resolve()  # one file has one name, for its locks and for the log that SQLite keeps beside it
        try:
            if readonly:
                options = await asyncio.to_thread(opening.ready_to_read, file, patience)
                return cls(str(file), FileReader(file, patience, options), None, readonly=True)
            opened = asyncio.ensure_future(asyncio.to_thread(opening.ready_to_write, file, patience, create))
            connection = await _or_close(opened)
        except (sqlite3.Error, OSError, UnicodeDecodeError) as error:
            raise trouble.translate(error, str(file)) from error
        found = file.stat()
        log = cls(str(file), FileReader(file, patience), (found.st_dev, found.st_ino), readonly=False)
        log._writer = Writer(connection, str(file), log.pulse.beat, str(file))
        return log

    @classmethod
    def _open_memory(cls) -> Log:
        connection = opening.memory()
        log = cls(MEMORY, InlineReader(connection), next(_memories), readonly=False)
        log._writer = Writer(connection, MEMORY, log.pulse.beat)
        return log

    async def close(self) -> None:
        """Write what is queued, let go of the runs that are still led over this log, and of the file."""
        if self.closed:
            return
        self._telemetry.finish()
        for lease in list(self._leases):
            with suppress(StoreError):
                await lease.release()
        self.closed = True
        await self.pulse.close()
        await self.reader.close()  # before the writer: the last connection folds the write-ahead log back, and only it may
        if self._writer is not None:
            await self._writer.close()

    async def __aenter__(self) -> Log:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.close()

    @property
    def writer(self) -> Writer:
        """The writing thread. Raises `StoreReadOnlyError` in a store opened for reading."""
        if self._writer is None:
            raise StoreReadOnlyError(f"{self.path} was opened for reading only; open it for writing to do this.")
        return self._writer

    # --- writing

    async def create(self, run: RunId, batch: Sequence[Recorded], blobs: Blobs = (), *, driver: Driver) -> Lease:
        """A new run: `batch[0]` is run.created at version 1. Durable, and led by the caller, when it returns."""
        births.refuse_bad_id(run)
        births.refuse_bad_start(batch, 1, RunCreated)
        state = project(batch)
        return await self._lead(run, lambda connection: births.create(connection, run, batch, blobs, state, driver))

    async def fork(
        self, run: RunId, parent: RunId, version: int, batch: Sequence[Recorded], blobs: Blobs = (), *, driver: Driver
    ) -> Lease:
        """A new run that shares the parent's past up to `version`: `batch[0]` is run.forked at `version` + 1."""
        births.refuse_bad_id(run)
        births.refuse_bad_start(batch, version + 1, RunForked)
        state = project(batch, await self.state(parent, version))
        return await self._lead(run, lambda connection: births.fork(connection, run, parent, batch, blobs, state, driver))

    async def acquire(self, run: RunId, *, driver: Driver, force: bool = False) -> Lease:
        """Take the lease of a run nobody drives. Raises `RunConflictError` when a live process holds it, `RunNotFoundError`.

        `force` takes it from a process that lives but is stuck (stopped, hanging): its later writes are refused.
        """
        await self.lineages.of(run)
        deadline = time.monotonic() + ENDING
        while True:
            try:
                return await self._lead(run, lambda connection: births.attach(connection, run, driver, forced=force), force=force)
            except HeldElsewhereError:
                if time.monotonic() > deadline or (await self.find(run)).alive():
                    raise
            await asyncio.sleep(ENDING / 50)

    async def _lead(self, run: RunId, work: Callable[[sqlite3.Connection], births.Held], *, force: bool = False) -> Lease:
        writer = self.writer
        writer.refuse_closed()
        try:
            lock = take(str(self._identity), self._lock_folder, run, force=force)
        except OSError as error:
            raise trouble.translate(error, str(self._lock_folder)) from error
        landing = asyncio.ensure_future(writer.call(work, run))
        try:
            held = await asyncio.shield(landing)
        except asyncio.CancelledError:
            landing.add_done_callback(lambda done: _let_go(done, lock))
            raise
        except BaseException:
            lock.release()
            raise
        lease = Lease(writer, lock, run, *held)
        self._leases.add(lease)
        return lease

    @property
    def _lock_folder(self) -> Path | None:
        return None if self.memory else Path(f"{self.path}-leases")

    async def send(self, run: RunId, kind: str, body: bytes, *, actor: str, at: float) -> int:
        """Put a signal into a run's inbox; durable when it returns its id. Raises `RunNotFoundError`."""
        sent = await self.writer.call(lambda connection: signals.send(connection, run, kind, body, actor, at), run)
        return int(sent)

    def sample(self, run: RunId, at: float, cpu: float, rss: int) -> None:
        """Note what the driver's process uses (percent of a core, bytes); written soon, not history."""
        self._telemetry.sample(run, at, cpu, rss)

    def progress(self, run: RunId, step: str, text: str, at: float) -> None:
        """A step's latest line for watchers; only the newest of a quarter second is written, not history."""
        self._telemetry.line(run, step, text, at)

    # --- reading

    async def find(self, wanted: str) -> RunRow:
        """The run of this id or unique prefix, or for "last" the newest no run called.

        Raises `RunNotFoundError`, `RunAmbiguousError`.
        """
        return await queries.find(self.reader, wanted)

    async def runs(
        self,
        *,
        status: str | None = None,
        pipeline: str | None = None,
        limit: int = 50,
        before: int | None = None,
        parent: RunId | None = None,
        caller: RunId | None = None,
        children: bool = False,
    ) -> list[RunRow]:
        """The newest runs first; the next page is `before` the last one's `row`. `status` is the folded word.

        Child runs are left out, except those of `caller` when it is given, or all with `children`.
        """
        return await queries.runs(self.reader, status, pipeline, limit, before, parent, caller, children)

    async def head(self, run: RunId) -> int:
        """The version of a run's last durable event."""
        found = await self.reader.all("SELECT head FROM runs WHERE id = ?", (run,))
        if not found:
            raise RunNotFoundError(f"There is no run {run} in this store; `runs` lists what there is.")
        return int(found[0][0])

    async def grown(self, run: RunId) -> int:
        """How many events a run and the child runs below it have, all together."""
        return await queries.grown(self.reader, run)

    async def segments(self, run: RunId) -> list[Segment]:
        """Where the events of a run's lineage are. Raises `RunNotFoundError`."""
        return await self.lineages.of(run)

    async def events(
        self,
        run: RunId,
        *,
        after: int = 0,
        upto: int | None = None,
        limit: int | None = None,
        **filters: Unpack[queries.Filters],
    ) -> list[Recorded]:
        """Events of a run's lineage with `after` < version <= `upto`, in order, at most `limit`; a fork's past is its parent's."""
        return await queries.events(self.reader, await self.lineages.of(run), after, upto, limit, filters)

    async def tail(self, after_seq: int, *, limit: int = 1000, **filters: Unpack[queries.Filters]) -> list[tuple[RunId, Recorded]]:
        """The whole log by `seq`, whatever the run."""
        return await queries.tail(self.reader, after_seq, limit, filters)

    @overload
    def follow(self, run: RunId, after: int) -> AsyncIterator[list[Recorded]]: ...
    @overload
    def follow(self, run: None, after: int) -> AsyncIterator[list[tuple[RunId, Recorded]]]: ...
    async def follow(self, run: RunId | None, after: int) -> AsyncIterator[list[Any]]:
        """Batches of what is durable after a version (of a run) or a seq (None: of the whole log), for ever, as it comes."""
        while not self.closed:
            stamp = self.pulse.stamp(run)
            batch: list[Any]
            if run is None:
                batch = await self.tail(after)
                after = batch[-1][1].seq if batch else after
            else:
                batch = await self.events(run, after=after, limit=1000)
                after = batch[-1].version if batch else after
            if batch:
                yield batch
            else:
                await self.pulse.wait(run, stamp)

    async def changed(self) -> bool:
        """Whether anything was committed by anybody since this was last asked (True the first time)."""
        seen = self.pulse.stamp(None) if self.memory else await data_version(self.reader)
        before, self._seen = self._seen, seen
        return seen != before

    async def state(self, run: RunId, at: int | None = None) -> RunState:
        """The state at version `at` (None: now); the caller owns it. Raises `VersionRangeError`, `RunNotFoundError`."""
        state = await folding.fold(self.reader, await self.lineages.of(run), at)
        if at is not None and not 0 <= at <= state.version:
            raise VersionRangeError(f"Run {run} has versions 1 to {await self.head(run)}; {at} is not one of them.")
        return state

    def history(self, run: RunId) -> History:
        """A cursor over a run's states, for scrubbing."""
        from store.history import History

        return History(self.reader, self.lineages, run)

    async def text(self, payload: Payload) -> bytes:
        """A payload's JSON text, fetched if it is a blob."""
        if payload.blob is not None:
            return await self.blob(payload.blob)
        return bytes(payload.json) or b"null"

    async def value(self, payload: Payload) -> Any:
        """A payload's value. Raises `BlobMissingError`, and `ValueEncodingError` for what is no value of ours."""
        return values.decode(await self.text(payload))

    async def blob(self, hash: str) -> bytes:
        """A content by its hash, verified. Raises `BlobMissingError`, `StoreDamagedError`."""
        key = blobs.unhex32(hash)
        found = await self.reader.all(blobs.SELECT, (key,)) if key else []
        if not found:
            raise BlobMissingError(f"The content {hash[:12]} is not in the store; it was removed, or the store is damaged.")
        return blobs.checked(hash, found[0][0])

    async def output(self, run: RunId, version: int) -> Any:
        """The value of the step.completed or step.reused at that version of the lineage."""
        found = await self.events(run, after=version - 1, upto=version)
        payload = getattr(found[0].event, "output", None) if found else None
        if not isinstance(payload, Payload):
            raise VersionRangeError(f"Version {version} of run {run} is not an output of a step.")
        return await self.value(payload)

    async def messages(self, head: str) -> list[dict[str, Any]]:
        """The messages of a conversation chain (`blobs.chain`), oldest first. Raises `BlobMissingError`."""
        return await queries.messages(self.reader, head)

    async def inbox(self, run: RunId, after: int) -> list[Signal]:
        """Signals to a run with an id above `after`, oldest first (at most 1,000)."""
        found = await self.reader.all(signals.SELECT_INBOX, (run, after))
        return [Signal(id, run, kind, body, actor, at) for id, kind, body, actor, at in found]

    async def samples(self, run: RunId, after: float = 0.0) -> list[Sample]:
        """What the driver's process used, oldest first."""
        return [Sample(*row) for row in await self.reader.all(signals.SELECT_SAMPLES, (run, after))]

    async def lives(self, run: RunId) -> dict[str, str]:
        """The latest line of each step, while the run goes on."""
        return dict(await self.reader.all(signals.SELECT_LIVES, (run,)))

    # --- a timeline's questions

    async def marks(self, run: RunId, *, limit: int = 10_000) -> list[Mark]:
        """The events a timeline marks (failures, forks, arrivals, doubts, artifacts, checkpoints, edits), oldest first."""
        from store import timeline

        return await timeline.marks(self.reader, await self.lineages.of(run), await self.head(run), limit)

    async def density(self, run: RunId, buckets: int, start: float, end: float) -> list[int]:
        """How many events fell into each of `buckets` equal slices of time from `start` to `end` (unix seconds)."""
        from store import timeline

        return await timeline.density(self.reader, await self.lineages.of(run), await self.head(run), buckets, (start, end))

    async def locate(self, run: RunId, *, at: float | None = None, step: str | None = None) -> int:
        """The last version at or before a moment (0: the run had not begun), or the first of a step (0: it has none)."""
        from store import timeline

        segments, head = await self.lineages.of(run), await self.head(run)
        if at is not None:
            return (await timeline.versions_at(self.reader, segments, head, [at]))[0]
        return 0 if step is None else await timeline.first_of_step(self.reader, segments, head, step) or 0

    # --- the file as a whole

    async def check(self) -> list[Finding]:
        """Everything that is not as it was written, named: structure, checksums, gaps, missing contents. Empty when whole."""
        from store import integrity

        return await integrity.check(self.reader)

    async def backup(self, target: Path, *, overwrite: bool = False) -> None:
        """Copy the store, as it is at one moment and while it is in use, to a file that is whole or not there."""
        from store import backup

        target = Path(target).absolute()
        if isinstance(self.reader, FileReader):
            path, options = Path(self.path), self.reader.options
            await asyncio.to_thread(backup.copy_file, path, options, self._patience, target, overwrite=overwrite)
        elif isinstance(self.reader, InlineReader):
            backup.copy(self.reader.connection, self.path, target, overwrite=overwrite)


async def _or_close(opened: asyncio.Future[sqlite3.Connection]) -> sqlite3.Connection:
    """The connection that is being opened in a thread; closed when the caller is cancelled meanwhile."""
    try:
        return await asyncio.shield(opened)
    except asyncio.CancelledError:
        opened.add_done_callback(lambda done: None if done.cancelled() or done.exception() else done.result().close())
        raise


def _let_go(done: asyncio.Future[Any], lock: RunLock) -> None:
    """The caller of `create`, `fork` or `acquire` was cancelled: the commit lands all the same, the lock does not stay."""
    lock.release()
    if not done.cancelled():
        done.exception()
