"""What one command knows: its global flags, the settings, the store it works on, and where it writes.

Stands apart so that a verb asks for what it needs and nothing is read before: settings and store are opened on first use.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Coroutine
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from tagent_tui.cli.exits import Exit, RefusedError
from tagent_tui.cli.output import Output

if TYPE_CHECKING:
    from engine.config import Loaded, TAgentConfig
    from store import Log

T = TypeVar("T")


class Session:
    """The global flags, merged from before and after the verb (the later one wins), and what follows from them."""

    def __init__(self) -> None:
        self.flags: dict[str, Any] = {}
        self.settings: dict[str, Any] = {}

    def take(self, flags: dict[str, Any]) -> None:
        """Add flags that were given."""
        self.flags |= {name: value for name, value in flags.items() if value not in (None, False)}
        self.__dict__.pop("output", None)

    @property
    def json(self) -> bool:
        """Whether a program reads what we write."""
        return bool(self.flags.get("json"))

    @property
    def debug(self) -> bool:
        """Whether tracebacks are shown."""
        return bool(self.flags.get("debug"))

    @property
    def yes(self) -> bool:
        """Whether every question is answered with yes."""
        return bool(self.flags.get("yes"))

    @cached_property
    def output(self) -> Output:
        """Where this command writes."""
        flags = self.flags
        quiet, verbose = bool(flags.get("quiet")), bool(flags.get("verbose"))
        return Output(json=self.json, quiet=quiet, verbose=verbose, color=flags.get("color") or "auto")

    @property
    def asks(self) -> bool:
        """Whether somebody can be asked: a terminal at both ends, and no `--json` or `--no-input`."""
        import sys

        if self.json or self.flags.get("no_input"):
            return False
        return sys.stdin is not None and sys.stdin.isatty() and self.output.err.terminal

    @cached_property
    def loaded(self) -> Loaded:
        """The settings with their origins. Raises `ConfigError`."""
        from engine.config import default_user_dir, load

        path = self.flags.get("config")
        flags = {"db": self.flags.get("db"), "verbose": self.flags.get("verbose"), **self.settings}
        return load(flags, os.environ, Path.cwd(), default_user_dir(), Path(path) if path else None)

    @property
    def config(self) -> TAgentConfig:
        """The settings."""
        return self.loaded.config

    @property
    def db(self) -> str:
        """The store's path, or `:memory:`."""
        from engine.config import default_db

        named = self.config.db
        if named == ":memory:":
            return named
        return str(Path(named).expanduser().absolute() if named else default_db(os.environ).absolute())

    def stored(self) -> str:
        """The store's path, for verbs that make no sense without a file."""
        db = self.db
        if db == ":memory:":
            raise RefusedError("--db :memory: keeps nothing that this verb could work on; name a file")
        return db

    async def reading(self) -> Log:
        """The store, opened for reading. A store that does not exist yet has no runs: exit code 3."""
        from store import Log

        db = self.stored()
        if not os.path.lexists(db):
            raise RefusedError(
                f"there is no store at {db} yet, so there are no runs; start one with tagent-tui demo or name another with --db",
                exit=Exit.NOT_FOUND,
                code="not_found",
            )
        return await Log.open(db, readonly=True)

    async def writing(self) -> Log:
        """The store, opened for writing, which must exist."""
        from store import Log

        await (await self.reading()).close()
        return await Log.open(self.stored(), create=False)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a verb's asynchronous part."""
        return asyncio.run(work)
