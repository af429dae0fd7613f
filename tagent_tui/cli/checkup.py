"""What `doctor` looks at, one function a topic, each giving remarks.

Stands apart because it knows of many things (versions, file systems, environment variables) that nothing else here should know.
"""

from __future__ import annotations

import os
import platform
import shutil
import sqlite3
import sys
from collections.abc import Iterator, Mapping
from enum import Enum
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

from engine.config import TAgentConfig
from engine.errors import EngineError
from store import Log
from store.errors import StoreError
from tagent_tui.cli.exits import Exit
from tagent_tui.cli.session import Session
from tagent_tui.numbers import size

PACKAGES = ("aiosqlite", "click", "litellm", "msgspec", "platformdirs", "psutil", "pydantic", "rich", "ruamel.yaml", "textual")
BANNED = {"litellm": ("1.82.7", "1.82.8")}
"""Releases that carried malicious code."""
TOO_NEW = {"litellm": (1, 98)}
"""From here on calls with tools fail for want of a package that is not declared."""
TOO_OLD = {"litellm": (1, 86, 2)}
WAL_RESET_FIXED = (3, 51, 3)
NETWORK = frozenset(
    {
        "nfs",
        "nfs4",
        "cifs",
        "smb",
        "smbfs",
        "smb2",
        "smb3",
        "afpfs",
        "9p",
        "fuse.sshfs",
        "fuse.s3fs",
        "fuse.rclone",
        "webdav",
        "davfs",
        "ceph",
        "glusterfs",
    }
)
SYNCED = ("Dropbox", "OneDrive", "Google Drive", "GoogleDrive", "Mobile Documents", "iCloud", "Nextcloud", "ownCloud", "Syncthing")
KEYS: Mapping[str, tuple[str, ...]] = {
    "anthropic": ("ANTHROPIC_API_KEY",),
    "azure": ("AZURE_API_KEY",),
    "bedrock": ("AWS_ACCESS_KEY_ID", "AWS_PROFILE"),
    "cohere": ("COHERE_API_KEY",),
    "deepseek": ("DEEPSEEK_API_KEY",),
    "gemini": ("GEMINI_API_KEY", "GOOGLE_API_KEY"),
    "groq": ("GROQ_API_KEY",),
    "mistral": ("MISTRAL_API_KEY",),
    "openai": ("OPENAI_API_KEY",),
    "openrouter": ("OPENROUTER_API_KEY",),
    "xai": ("XAI_API_KEY",),
}
"""The environment variables a provider's key is looked for in; providers that run here (ollama) need none."""
BARE_OPENAI = ("gpt-", "o1", "o3", "o4", "chatgpt")


class Level(Enum):
    """How much a remark matters. WRONG: something will not work."""

    FINE = "fine"
    NOTE = "note"
    DOUBT = "doubt"
    WRONG = "wrong"


class Remark(NamedTuple):
    """One line of the checkup. `exit` is the command's exit code if the level is WRONG."""

    level: Level
    topic: str
    text: str
    exit: Exit = Exit.FAILED


async def checkup(session: Session) -> list[Remark]:
    """All remarks, topic by topic."""
    remarks = [*_python(), *_sqlite(), *_packages(), *_origins()]
    try:
        config, db = session.config, session.db
    except EngineError as error:
        return [*remarks, *(Remark(Level.WRONG, "settings", line, Exit.USAGE) for line in str(error).split("\n")), *_terminal()]
    remarks += [*_settings(session), *_model(config, os.environ)]
    return [*remarks, *await _store(db), *_terminal()]


def _python() -> Iterator[Remark]:
    told = f"Python {platform.python_version()} on {platform.system()} {platform.machine()}"
    if sys.version_info[:2] in ((3, 11), (3, 12), (3, 13)):
        yield Remark(Level.FINE, "python", told)
    else:
        yield Remark(Level.DOUBT, "python", f"{told}; 3.11, 3.12 and 3.13 are tested")


def _sqlite() -> Iterator[Remark]:
    version = sqlite3.sqlite_version
    if sqlite3.sqlite_version_info >= WAL_RESET_FIXED:
        yield Remark(Level.FINE, "sqlite", f"SQLite {version}")
    else:
        yield Remark(
            Level.NOTE,
            "sqlite",
            f"SQLite {version}; before 3.51.3 two connections that checkpoint at once can damage a file, so only our writer does: "
            "do not open the store for writing with other programs while runs are driven",
        )


def _packages() -> Iterator[Remark]:
    found: dict[str, str] = {}
    for name in ("tagent-tui", *PACKAGES):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            yield Remark(Level.WRONG, "packages", f"{name} is not installed; install tagent-tui again")
    for name, version in found.items():
        yield from judged(name, version)
    yield Remark(Level.FINE, "packages", ", ".join(f"{name} {version}" for name, version in found.items()))


def judged(name: str, version: str) -> Iterator[Remark]:
    """What is known to be wrong with a release of a package."""
    numbers = _numbers(version)
    if version in BANNED.get(name, ()):
        yield Remark(Level.WRONG, "packages", f"{name} {version} carried malicious code; remove it now and change the keys it saw")
    elif name in TOO_NEW and numbers >= TOO_NEW[name]:
        bound = ".".join(map(str, TOO_NEW[name]))
        yield Remark(Level.WRONG, "packages", f"{name} {version} fails calls with tools; install a version below {bound}")
    elif name in TOO_OLD and numbers < TOO_OLD[name]:
        bound = ".".join(map(str, TOO_OLD[name]))
        yield Remark(Level.WRONG, "packages", f"{name} {version} is too old; install {bound} or later")


def _numbers(version: str) -> tuple[int, ...]:
    numbers = []
    for part in version.split("."):
        digits = "".join(char for char in part if char.isdigit())
        if not digits:
            break
        numbers.append(int(digits))
    return tuple(numbers)


def _origins() -> Iterator[Remark]:
    """Our three packages have to come from one place; a module of the user's with such a name would stand before them."""
    import engine
    import store
    import tagent_tui

    homes = {module.__name__: Path(module.__file__ or "").parent.parent for module in (tagent_tui, engine, store)}
    if len(set(homes.values())) > 1:
        where = ", ".join(f"{name} from {home}" for name, home in homes.items())
        yield Remark(Level.WRONG, "origin", f"our packages come from different places ({where}); rename what shadows them")
    else:
        yield Remark(Level.FINE, "origin", f"tagent_tui, engine and store from {homes['tagent_tui']}")
    home = homes["tagent_tui"].resolve()
    for name in ("engine", "store"):
        for own in (Path.cwd() / f"{name}.py", Path.cwd() / name / "__init__.py"):
            if own.is_file() and home not in own.resolve().parents:
                yield Remark(
                    Level.DOUBT, "origin", f"{own} has the name of our package; python -c and -m here import yours: rename it"
                )


def _settings(session: Session) -> Iterator[Remark]:
    origins = session.loaded.origins
    if origins:
        yield Remark(Level.FINE, "settings", ", ".join(f"{key} from {origin}" for key, origin in sorted(origins.items())))
    else:
        yield Remark(Level.FINE, "settings", "all as by default")


def _model(config: TAgentConfig, environ: Mapping[str, str]) -> Iterator[Remark]:
    """Whether goal steps have a model and that model a key; the key itself is never looked at."""
    model = config.model
    if model is None:
        yield Remark(
            Level.NOTE,
            "model",
            'none configured: goal steps need --model NAME, TAGENT_MODEL, model = "..." in tagent.toml, or --offline',
        )
        return
    if model == "offline":
        yield Remark(Level.NOTE, "model", "offline: every answer is simulated and labelled so")
        return
    provider = model.partition("/")[0] if "/" in model else "openai" if model.startswith(BARE_OPENAI) else ""
    at = f" at {config.api_base}" if config.api_base else ""
    wanted = KEYS.get(provider)
    if config.api_key is not None or environ.get("TAGENT_API_KEY"):
        yield Remark(Level.FINE, "model", f"{model}{at}; a key is set in TAGENT_API_KEY")
    elif wanted is None:
        yield Remark(Level.FINE, "model", f"{model}{at}; no key is set, and none is known to be needed")
    elif any(environ.get(name) for name in wanted):
        yield Remark(Level.FINE, "model", f"{model}{at}; a key is set in {next(name for name in wanted if environ.get(name))}")
    else:
        yield Remark(
            Level.DOUBT, "model", f"{model}{at} has no key; set {' or '.join(wanted)} or TAGENT_API_KEY in the environment"
        )


async def _store(db: str) -> list[Remark]:
    if db == ":memory:":
        return [Remark(Level.NOTE, "store", "in memory: nothing is kept")]
    path = Path(db)
    remarks = list(_place(path))
    if not os.path.lexists(path):
        return [Remark(Level.NOTE, "store", f"{db} is not there yet; the first run makes it"), *remarks]
    try:
        async with await Log.open(path, readonly=True) as log:
            rows = await log.runs(limit=1)
    except StoreError as error:
        return [Remark(Level.WRONG, "store", str(error), Exit.STORE), *remarks]
    last = f"; the last run is {rows[0].id}" if rows else "; no runs yet"
    remarks.insert(0, Remark(Level.FINE, "store", f"{db}, {size(path.stat().st_size)}{last}; tagent-tui check reads every byte"))
    if path.stat().st_mode & 0o077:
        remarks.append(Remark(Level.DOUBT, "store", f"others may read {db}; chmod 600 it"))
    return remarks


def _place(path: Path) -> Iterator[Remark]:
    """Network and synced folders break what SQLite needs of a disk."""
    folder = next(one for one in (path.parent, *path.parents) if one.exists())
    kind = filesystem(folder)
    if kind in NETWORK:
        yield Remark(
            Level.DOUBT,
            "store",
            f"{folder} is on a network file system ({kind}), where locks and power loss are not safe; use a local disk",
        )
    if synced := [word for word in SYNCED if word in str(path)]:
        yield Remark(
            Level.DOUBT, "store", f"{folder} looks like a synced folder ({synced[0]}), which may damage a store in use; use another"
        )
    free = shutil.disk_usage(folder).free
    if free < 100_000_000:
        yield Remark(Level.DOUBT, "store", f"only {size(free)} are free at {folder}; make room")
    if not os.access(folder, os.W_OK):
        yield Remark(Level.WRONG, "store", f"{folder} may not be written; change its permissions or use --db", Exit.STORE)


def filesystem(folder: Path) -> str:
    """The kind of file system a folder is on; empty where that cannot be told."""
    import psutil

    try:
        mounts = [(part.mountpoint, part.fstype) for part in psutil.disk_partitions(all=True)]
    except (OSError, psutil.Error, RuntimeError):
        return ""
    real = folder.resolve()
    holding = [(mount, kind) for mount, kind in mounts if real == Path(mount) or Path(mount) in real.parents]
    return max(holding, key=lambda found: len(found[0]))[1].lower() if holding else ""


def _terminal() -> Iterator[Remark]:
    from tagent_tui import terminal
    from tagent_tui.glyphs import choose

    term, encoding = os.environ.get("TERM", ""), getattr(sys.stdout, "encoding", None) or "unknown"
    if not terminal.is_terminal():
        yield Remark(
            Level.NOTE, "terminal", f"none here (TERM={term or 'not set'}, {encoding}); the screens need one, the verbs do not"
        )
        return
    columns, lines = shutil.get_terminal_size()
    marks = "ASCII" if choose(encoding=encoding).ascii else "Unicode"
    told = f"{term}, {columns}x{lines}, {encoding}, {marks} marks{', NO_COLOR' if os.environ.get('NO_COLOR') else ''}"
    level = Level.FINE if columns >= 80 and lines >= 24 else Level.DOUBT
    yield Remark(level, "terminal", told + ("" if level is Level.FINE else "; the screens want 80x24"))
