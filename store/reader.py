"""Reading connections: one question, one answer, no transaction left open.

Stands apart because a reader that holds a transaction across an await keeps the write-ahead log from being folded back (one did,
and it grew to 98 MiB): here a query is read whole in one hop, and whoever wants much asks page by page.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from store import trouble
from store.blobs import unhex32
from store.connections import READ, SETTINGS, uri
from store.errors import StoreUnusableError

if TYPE_CHECKING:
    import aiosqlite

Row = tuple[Any, ...]


_UNREADABLE_TEXT = "decode to UTF-8"
"""How sqlite3 says that a stored text is none."""


def _lenient(text: bytes) -> str:
    return text.decode("utf-8", "replace")


class Reader(Protocol):
    """The seam between a file and memory."""

    async def all(self, sql: str, parameters: Sequence[Any] = ()) -> list[Row]:
        """All rows of a query; bound it with LIMIT."""

    async def close(self) -> None:
        """End the connection."""


class FileReader:
    """Reads a file through aiosqlite, `mode=ro` and `query_only`; connects when first asked."""

    def __init__(self, path: Path, patience: float, options: str = READ) -> None:
        self._path = path
        self._patience = patience
        self.options = options
        self._connection: aiosqlite.Connection | None = None
        self._connecting: asyncio.Future[aiosqlite.Connection] | None = None
        self._closed = False

    async def all(self, sql: str, parameters: Sequence[Any] = ()) -> list[Row]:
        try:
            connection = self._connection or await self._connect()
            return await connection.execute_fetchall(sql, parameters)  # type: ignore[return-value]
        except UnicodeDecodeError as error:
            raise trouble.translate(error, str(self._path)) from error
        except ValueError as error:  # how aiosqlite says that the connection was closed
            raise StoreUnusableError(f"{self._path} was closed; open it again.") from error
        except sqlite3.OperationalError as error:
            if _UNREADABLE_TEXT not in str(error) or connection.text_factory is _lenient:
                raise trouble.translate(error, str(self._path)) from error
            connection.text_factory = _lenient  # a flipped byte; from here on damaged text is shown, if 3 times slower
            return await self.all(sql, parameters)
        except sqlite3.Error as error:
            raise trouble.translate(error, str(self._path)) from error

    async def _connect(self) -> aiosqlite.Connection:
        """The connection, made once for all who ask; one of them that is cancelled does not leave it half made."""
        if self._closed:
            raise StoreUnusableError(f"{self._path} was closed; open it again.")
        if self._connecting is None or (self._connecting.done() and self._connection is None):
            self._connecting = asyncio.ensure_future(self._made())
            self._connecting.add_done_callback(lambda done: done.cancelled() or done.exception())  # told to whoever still waits
        return await asyncio.shield(self._connecting)

    async def _made(self) -> aiosqlite.Connection:
        import aiosqlite

        connection = await aiosqlite.connect(uri(self._path, self.options), uri=True, isolation_level=None, cached_statements=256)
        for setting in (f"busy_timeout = {int(self._patience * 1000)}", "query_only = ON", *SETTINGS):
            await connection.execute_fetchall(f"PRAGMA {setting}")
        await connection.create_function("unhex32", 1, unhex32, deterministic=True)
        self._connection = connection
        return connection

    async def close(self) -> None:
        self._closed = True
        if self._connecting is not None:
            await asyncio.wait([self._connecting])
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()


class InlineReader:
    """Reads `:memory:` on the writer's own connection; commits never interleave, as both run on the loop's thread."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection
        connection.create_function("unhex32", 1, unhex32, deterministic=True)

    async def all(self, sql: str, parameters: Sequence[Any] = ()) -> list[Row]:
        try:
            return self.connection.execute(sql, parameters).fetchall()
        except sqlite3.ProgrammingError as error:
            raise StoreUnusableError("The memory store was closed; open a new one.") from error
        except sqlite3.Error as error:
            raise trouble.translate(error, ":memory:") from error

    async def close(self) -> None:
        return
