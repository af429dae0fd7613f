"""The first step: list the tree, read every file once, and write down what all later steps need.

Kept apart from the analyses because it alone touches the files: they are opened one at a time, by descriptor, never
followed through a link, never if they are anything but regular files.
"""

from __future__ import annotations

import os
import stat
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

from engine.templates.repository import git
from engine.templates.repository.contents import MARKERS, Hit, Remark, inspect
from engine.templates.repository.kinds import FOREIGN, Mark, is_code, marks_of
from engine.templates.repository.listing import Columns, File, Listing
from engine.templates.repository.names import counted, text_of
from engine.templates.repository.walk import MAX_FILES, Descent, walk, why

if TYPE_CHECKING:
    from engine.context import SyncStepContext

MAX_READ = 5_000_000
"""Bytes of one file; a larger one is listed, its lines are not counted."""
MAX_TOTAL = 2_000_000_000
"""Bytes of text in all, some twenty seconds' worth; what comes after is listed unread."""
_TOO_LARGE = f"larger than {MAX_READ // 1_000_000} MB: lines not counted"
_REPORT_FILES = 5_000
_REPORT_BYTES = 250_000_000
_KEPT_HITS = 5_000
_KEPT_REMARKS = 200
_KEPT_EXAMPLES = 20
INSIDE, OUTSIDE = "inside", "outside"
_URGENCY = {marker: rank for rank, marker in enumerate(("FIXME", "XXX", "HACK", "TODO"))}


class Tally(TypedDict):
    """A count, how it divides into groups, and a bounded number of examples: path, group, what there is to say of it."""

    count: int
    by: list[tuple[str, int]]
    examples: list[tuple[str, str, str]]


class Todos(TypedDict):
    """Markers: how many in all, by marker, by file (index, count), and the kept ones (file index, line, marker, text)."""

    count: int
    by: list[tuple[str, int]]
    by_file: list[tuple[int, int]]
    kept: list[tuple[int, int, str, str]]


class Scan(TypedDict):
    """What the scan writes down. File indices count the rows of `files`; paths are as `names.text_of` writes them."""

    summary: str
    name: str
    git: bool
    source: str
    files: Columns
    todos: Todos
    remarks: list[tuple[int, int, str, str]]
    skipped: Tally
    links: Tally
    left_out: Tally


@dataclass(slots=True)
class _Found:
    """What reading has brought so far."""

    files: list[File] = field(default_factory=list)
    hits: list[tuple[int, Hit]] = field(default_factory=list)
    hits_in: list[tuple[int, int]] = field(default_factory=list)
    hit_counts: Counter[str] = field(default_factory=Counter)
    remarks: list[tuple[int, Remark]] = field(default_factory=list)
    skipped: list[tuple[bytes, str]] = field(default_factory=list)
    links: list[tuple[bytes, bytes]] = field(default_factory=list)
    imported: set[bytes] = field(default_factory=set)
    read: int = 0


def scan(root: str, ctx: SyncStepContext) -> Scan:
    """List and read the tree at `root`; raises NotADirectoryError if there is none."""
    top = os.path.realpath(root)
    try:
        descent = Descent(top)
    except OSError as error:
        raise NotADirectoryError(
            f"{root!r} is not a folder that can be read ({error.strerror}); give the folder to report on"
        ) from error
    with descent:
        found = _Found()
        paths, source, left_out = _listed(Path(top), descent, found)
        ctx.log(f"{counted(len(paths), 'file')} to read; {source}", files=len(paths))
        _read_all(descent, paths, found, ctx)
    _mark_tested(found)
    return _written(os.fsencode(top), source, left_out, found)


def _listed(top: Path, descent: Descent, found: _Found) -> tuple[list[bytes], str, list[tuple[bytes, str]]]:
    try:
        paths = git.listed(top)
        if paths:
            found.skipped += [(path, "past the limit on the number of files") for path in paths[MAX_FILES:]]
            return paths[:MAX_FILES], "listed by git, ignored files left out", []
        reason = "git lists no files here"
    except git.GitSilentError as error:
        reason = str(error)
    walked = walk(descent)
    found.skipped += walked.unread
    if walked.full:
        found.skipped.append((b"", f"only the first {MAX_FILES:,} files were listed"))
    return walked.paths, f"found by walking the folders ({reason})", walked.left_out


def _read_all(descent: Descent, paths: list[bytes], found: _Found, ctx: SyncStepContext) -> None:
    names = {_stem(part) for path in paths for part in path.split(b"/")[-2:]}
    reported = 0
    for done, path in enumerate(paths, 1):
        try:
            _read_one(descent, path, found, names)
        except OSError as error:
            found.skipped.append((path, why(error)))
        if done % _REPORT_FILES == 0 or found.read - reported > _REPORT_BYTES:
            reported = found.read
            ctx.log(f"read {done:,} of {len(paths):,} files", done=done, total=len(paths))


def _read_one(descent: Descent, path: bytes, found: _Found, names: set[bytes]) -> None:
    status = descent.status(path)
    if stat.S_ISLNK(status.st_mode):
        found.links.append((path, descent.target(path)))
        return
    if not stat.S_ISREG(status.st_mode):
        found.skipped.append((path, _other_kind(status.st_mode)))
        return
    shown = text_of(path)
    marks = marks_of(shown)
    # Empty is also what the kernel says of its own files, some of which never end.
    unread = "" if found.read <= MAX_TOTAL else f"more than {MAX_TOTAL // 1_000_000_000} GB of text in all: lines not counted"
    unread = unread if status.st_size <= MAX_READ else _TOO_LARGE
    content = descent.read(path, 0 if unread else MAX_READ) if status.st_size else b""
    if content is None:
        found.files.append(File(shown, status.st_size, 0, "", marks | Mark.UNCOUNTED))
        found.skipped.append((path, unread or _TOO_LARGE))
        return
    found.read += len(content)
    inside = inspect(shown.rpartition("/")[2], content, marks)
    index = len(found.files)
    found.files.append(File(shown, status.st_size, inside.lines, inside.language, inside.marks))
    found.hits += [(index, hit) for hit in inside.hits]
    if inside.hit_counts:
        found.hits_in.append((index, inside.hit_counts.total()))
        found.hit_counts += inside.hit_counts
    found.remarks += [(index, remark) for remark in inside.remarks]
    found.imported |= inside.imported & names


def _other_kind(mode: int) -> str:
    match stat.S_IFMT(mode):
        case stat.S_IFDIR:
            return "another repository (a submodule or a nested one)"
        case stat.S_IFIFO:
            return "a named pipe"
        case stat.S_IFSOCK:
            return "a socket"
        case _:
            return "a device"


def _stem(name: bytes) -> bytes:
    return name.lstrip(b".").partition(b".")[0]


def _mark_tested(found: _Found) -> None:
    """Marks code that a test is named after or imports by name; Go's tests belong to their whole folder."""
    tests = [file for file in found.files if file.marks & Mark.TEST and is_code(file.language)]
    stems = {_tested_stem(file.name) for file in tests} | {word.decode("utf-8", "replace") for word in found.imported}
    go_folders = {file.path.rpartition("/")[0] for file in tests if file.language == "Go"}
    for index, file in enumerate(found.files):
        if file.marks & (Mark.TEST | FOREIGN) or not is_code(file.language):
            continue
        folder = file.path.rpartition("/")[0]
        stem = file.name.partition(".")[0]
        if stem in ("__init__", "index", "mod"):
            stem = folder.rpartition("/")[2]
        if stem in stems or (file.language == "Go" and folder in go_folders):
            found.files[index] = file._replace(marks=file.marks | Mark.TESTED)


def _tested_stem(name: str) -> str:
    stem = name.partition(".")[0]
    for end in ("_tests", "_test", "_spec", "Tests", "Test", "Spec"):
        if stem.endswith(end):
            return stem.removesuffix(end)
    return stem.removeprefix("test_")


def _written(top: bytes, source: str, left_out: list[tuple[bytes, str]], found: _Found) -> Scan:
    listing = Listing(found.files)
    binary = sum(bool(file.marks & Mark.BINARY) for file in listing)
    lines = sum(file.lines for file in listing)
    skipped = f", {len(found.skipped):,} not read" if found.skipped else ""
    kept = sorted(found.hits, key=lambda row: (_URGENCY[row[1].marker], row[0], row[1].line))[:_KEPT_HITS]
    return Scan(
        summary=f"{counted(len(listing), 'file')} ({binary:,} binary), {counted(lines, 'line')}{skipped}; {source}",
        name=text_of(top.rpartition(b"/")[2]) or "/",
        git=source.startswith("listed by git"),
        source=source,
        files=listing.columns(),
        todos=Todos(
            count=found.hit_counts.total(),
            by=[(marker, found.hit_counts[marker]) for marker in MARKERS if found.hit_counts[marker]],
            by_file=sorted(found.hits_in, key=lambda row: (-row[1], row[0]))[:_KEPT_EXAMPLES],
            kept=[(index, *hit) for index, hit in kept],
        ),
        remarks=_kept_remarks(found.remarks),
        skipped=_tally([(path, reason, reason) for path, reason in found.skipped]),
        links=_tally([(path, OUTSIDE if leads_outside(path, to, top) else INSIDE, text_of(to)) for path, to in found.links]),
        left_out=_tally([(path, _left_out_as(path, reason), reason) for path, reason in left_out]),
    )


def _left_out_as(path: bytes, reason: str) -> str:
    return reason if reason.startswith("a ") else text_of(path.rpartition(b"/")[2])


def _kept_remarks(remarks: list[tuple[int, Remark]]) -> list[tuple[int, int, str, str]]:
    taken: Counter[str] = Counter()
    kept = []
    for index, remark in remarks:
        taken[remark.kind] += 1
        if taken[remark.kind] <= _KEPT_REMARKS:
            kept.append((index, *remark))
    return kept


def _tally(rows: list[tuple[bytes, str, str]]) -> Tally:
    """Counts by the second column, the group; the third is what the examples say."""
    counts = Counter(group for _, group, _ in rows)
    shown: Counter[str] = Counter()
    examples: list[tuple[str, str, str]] = []
    for path, group, text in rows:
        shown[group] += 1
        if shown[group] <= _KEPT_EXAMPLES and len(examples) < 5 * _KEPT_EXAMPLES:
            examples.append((text_of(path), group, text[:300]))
    return Tally(count=len(rows), by=sorted(counts.items(), key=lambda row: (-row[1], row[0])), examples=examples)


def leads_outside(link: bytes, target: bytes, top: bytes) -> bool:
    """Whether a link's target, by its text alone, lies outside the tree at `top`; nothing is followed to find out."""
    if target.startswith(b"/"):
        return not (os.path.normpath(target) + b"/").startswith(top.rstrip(b"/") + b"/")
    depth = link.count(b"/")
    for part in target.split(b"/"):
        depth += -1 if part == b".." else part not in (b"", b".")
        if depth < 0:
            return True
    return False
