"""The step that reads every manifest of a tree, and what it says of them: declared, bounded or not, locked or not.

Apart from `manifests.py` so that the formats stay functions of text.
"""

from __future__ import annotations

import os
import stat
from typing import TypedDict

from engine.templates.repository import manifests
from engine.templates.repository.kinds import Mark, is_lock
from engine.templates.repository.listing import File, Listing
from engine.templates.repository.names import bytes_of, counted
from engine.templates.repository.scan import Scan
from engine.templates.repository.walk import Descent, why

MAX_MANIFESTS = 200
MAX_TOTAL = 3_000


class Manifest(TypedDict):
    """One manifest; `declared` rows are (name, spec, group, line); `problem` says why it was not read. `aside`: test or sample."""

    path: str
    ecosystem: str
    locked: bool
    aside: bool
    declared: list[tuple[str, str, str, int]]
    problem: str | None


class Dependencies(TypedDict):
    """All manifests in path order, and those that are code (`setup.py`), which is not run to find out."""

    summary: str
    manifests: list[Manifest]
    unread: list[str]
    left_out: int


def dependencies(root: str, scan: Scan) -> Dependencies:
    """Read the manifests that the scan found, vendored ones left out."""
    listing = [file for file in Listing.of(scan["files"]) if not file.marks & Mark.VENDORED]
    wanted = [(file, known[0]) for file in listing if (known := manifests.reader_of(file.name))]
    locked = {file.path.rpartition("/")[0] for file in listing if is_lock(file.name)}
    read: list[Manifest] = []
    total = 0
    with Descent(os.path.realpath(root)) as descent:
        for file, ecosystem in wanted[:MAX_MANIFESTS]:
            manifest = _manifest(descent, file, ecosystem, _is_locked(file, locked))
            del manifest["declared"][max(0, MAX_TOTAL - total) :]
            total += len(manifest["declared"])
            read.append(manifest)
    # A `setup.cfg` or a project file that configures tools only declares nothing.
    told = [manifest for manifest in read if manifest["declared"] or manifest["problem"]]
    unread = [file.path for file in listing if file.name == "setup.py"][:MAX_MANIFESTS]
    return Dependencies(summary=_summary(told, total), manifests=told, unread=unread, left_out=max(0, len(wanted) - MAX_MANIFESTS))


def _manifest(descent: Descent, file: File, ecosystem: str, locked: bool) -> Manifest:
    declared: list[manifests.Declared] = []
    problem: str | None = None
    try:
        declared = manifests.read(file.name, _content(descent, bytes_of(file.path)))
    except manifests.UnreadableManifestError as error:
        problem = str(error)
    except OSError as error:
        problem = why(error)
    return Manifest(
        path=file.path,
        ecosystem=ecosystem,
        locked=locked,
        aside=bool(file.marks & (Mark.TEST | Mark.SAMPLE)),
        declared=[(row.name, row.spec, row.group, row.line) for row in declared],
        problem=problem,
    )


def _content(descent: Descent, path: bytes) -> bytes:
    if not stat.S_ISREG(descent.status(path).st_mode):
        raise manifests.UnreadableManifestError("it is no regular file any more")
    content = descent.read(path, manifests.MAX_SIZE)
    if content is None:
        raise manifests.UnreadableManifestError(f"it is larger than {manifests.MAX_SIZE // 1_000} kB")
    return content


def _is_locked(file: File, locked: set[str]) -> bool:
    """Whether a lock file lies beside the manifest or above it, as in a workspace."""
    folder = file.path.rpartition("/")[0]
    while folder not in locked and folder:
        folder = folder.rpartition("/")[0]
    return folder in locked


def _summary(read: list[Manifest], total: int) -> str:
    if not read:
        return "no dependencies are declared"
    systems = ", ".join(sorted({manifest["ecosystem"] for manifest in read}))
    return f"{counted(total, 'dependency')} declared in {counted(len(read), 'manifest')} ({systems})"
