"""The steps that run together after the scan: languages, largest files, markers, history, tests.

All but `history` are pure functions of the scan's output; each returns a one-line summary and bounded rows.
"""

from __future__ import annotations

import math
import os
from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import TypedDict

from engine.templates.repository import git
from engine.templates.repository.kinds import FOREIGN, Mark, is_code
from engine.templates.repository.listing import File, Listing
from engine.templates.repository.names import counted, text_of
from engine.templates.repository.scan import Scan

TOP = 20
COMMITS = 300
SWEEPING = 100
"""A commit that touches more files than this moves or reformats; it says nothing about where work happens."""
_SHOWN_TODOS = 200
_TODOS_PER_FILE = 10
_TEXT = 200
_WEIGHT = {"FIXME": 4, "XXX": 3, "HACK": 3, "TODO": 2}
_GRAVE = (
    "security",
    "vulnerab",
    "race",
    "deadlock",
    "leak",
    "crash",
    "data loss",
    "corrupt",
    "unsafe",
    "injection",
    "overflow",
    "broken",
)
_MILD = (
    "bug",
    "wrong",
    "fail",
    "error",
    "incorrect",
    "temporar",
    "workaround",
    "remove",
    "before release",
    "urgent",
    "slow",
    "thread",
)


class Language(TypedDict):
    """One language's own files: vendored, generated and minified ones are not in it."""

    name: str
    files: int
    lines: int
    bytes: int
    code: bool


class Languages(TypedDict):
    """Languages by lines, and how much was left out because nobody writes it here."""

    summary: str
    rows: list[Language]
    foreign_files: int
    foreign_lines: int
    binary_files: int
    binary_bytes: int


def languages(scan: Scan) -> Languages:
    """Lines and files by language."""
    listing = Listing.of(scan["files"])
    groups: defaultdict[str, list[File]] = defaultdict(list)
    for file in listing:
        if file.language and not file.marks & FOREIGN:
            groups[file.language].append(file)
    rows = [
        Language(name=name, files=len(files), lines=_lines(files), bytes=sum(file.size for file in files), code=is_code(name))
        for name, files in groups.items()
    ]
    rows.sort(key=lambda row: (-row["lines"], row["name"]))
    foreign = [file for file in listing if file.marks & FOREIGN]
    binary = [file for file in listing if file.marks & Mark.BINARY]
    code = [row for row in rows if row["code"]]
    first = ", ".join(f"{row['name']} {row['lines']:,}" for row in code[:3])
    return Languages(
        summary=f"{counted(sum(row['lines'] for row in code), 'line')} of code ({first})" if code else "no program text",
        rows=rows,
        foreign_files=len(foreign),
        foreign_lines=_lines(foreign),
        binary_files=len(binary),
        binary_bytes=sum(file.size for file in binary),
    )


def _lines(files: Iterable[File]) -> int:
    return sum(file.lines for file in files)


class Largest(TypedDict):
    """The longest own program files (path, lines, language, tested or not); the largest of any kind (path, bytes, what)."""

    summary: str
    by_lines: list[tuple[str, int, str, bool]]
    by_bytes: list[tuple[str, int, str]]


def largest(scan: Scan) -> Largest:
    """The files that are long to read, and those that are heavy to keep."""
    listing = Listing.of(scan["files"])
    own = [file for file in listing if is_code(file.language) and not file.marks & FOREIGN]
    own.sort(key=lambda file: (-file.lines, file.path))
    heavy = sorted(listing, key=lambda file: (-file.size, file.path))[:TOP]
    by_lines = [(file.path, file.lines, file.language, bool(file.marks & (Mark.TESTED | Mark.TEST))) for file in own[:TOP]]
    return Largest(
        summary=f"longest: {by_lines[0][0]}, {by_lines[0][1]:,} lines" if by_lines else "no program files",
        by_lines=by_lines,
        by_bytes=[(file.path, file.size, _what(file)) for file in heavy],
    )


def _what(file: File) -> str:
    if file.marks & Mark.BINARY:
        return "binary"
    if file.marks & Mark.UNCOUNTED:
        return "not read"
    origin = "vendored " if file.marks & Mark.VENDORED else "generated " if file.marks & FOREIGN else ""
    return f"{origin}{file.language}" if file.language else "empty"


class TodoRow(TypedDict):
    """One marker; `weight` is higher the more its words say that something is wrong."""

    path: str
    line: int
    marker: str
    text: str
    weight: int


class TodoReport(TypedDict):
    """Markers left in comments of own files: all of them counted, the weightiest kept."""

    summary: str
    count: int
    by: list[tuple[str, int]]
    by_file: list[tuple[str, int]]
    rows: list[TodoRow]


def todos(scan: Scan) -> TodoReport:
    """What was left for later, the most alarming first."""
    files = Listing.of(scan["files"]).files
    found = scan["todos"]
    rows = [
        TodoRow(path=files[at].path, line=line, marker=marker, text=text, weight=weight_of(marker, text, files[at].marks))
        for at, line, marker, text in found["kept"]
    ]
    rows.sort(key=lambda row: (-row["weight"], row["path"], row["line"]))
    counts = ", ".join(f"{count:,} {marker}" for marker, count in found["by"])
    return TodoReport(
        summary=f"{counted(found['count'], 'marker')} ({counts})" if found["count"] else "nothing is marked as left for later",
        count=found["count"],
        by=found["by"],
        by_file=[(files[at].path, count) for at, count in found["by_file"]],
        rows=_spread(rows)[:_SHOWN_TODOS],
    )


def _spread(rows: list[TodoRow]) -> list[TodoRow]:
    """At most so many of one file, so that a file full of them leaves room for others."""
    taken: Counter[str] = Counter()
    kept = []
    for row in rows:
        taken[row["path"]] += 1
        if taken[row["path"]] <= _TODOS_PER_FILE:
            kept.append(row)
    return kept


def weight_of(marker: str, text: str, marks: Mark) -> int:
    """0 to 10: the marker's own weight, more for alarming words, less where there are no words or in tests and samples."""
    lower = text.lower()
    weight = _WEIGHT[marker] + 4 * any(word in lower for word in _GRAVE) + 2 * any(word in lower for word in _MILD)
    weight -= 1 if len(text) < 8 else 0
    return max(0, min(10, weight if not marks & (Mark.TEST | Mark.SAMPLE) else weight - 3))


class CommitRow(TypedDict):
    """One commit, without the author's address."""

    id: str
    date: str
    author: str
    subject: str


class History(TypedDict):
    """The last commits; `changed` are files that still exist with the number of those commits that touched them."""

    summary: str
    note: str
    commits: list[CommitRow]
    looked_at: int
    since: str
    authors: list[tuple[str, int]]
    changed: list[tuple[str, int]]


def history(root: str, scan: Scan) -> History:
    """Who changed what lately; says so in one line where there is no history to read."""
    top = Path(os.path.realpath(root))
    try:
        commits = git.logged(top, COMMITS)
        note = "the clone is shallow: older history is not here" if git.is_shallow(top) else ""
    except git.GitSilentError as error:
        return _no_history(str(error))
    if not commits:
        return _no_history("no commit touched this folder")
    here = {file.path for file in Listing.of(scan["files"])}
    touched = Counter(
        path for commit in commits if len(commit.paths) <= SWEEPING for path in map(text_of, commit.paths) if path in here
    )
    authors = Counter(commit.author for commit in commits)
    more = "at least " if len(commits) == COMMITS else ""
    return History(
        summary=f"{more}{counted(len(commits), 'commit')} since {commits[-1].date} by {counted(len(authors), 'author')}",
        note=note,
        commits=[
            CommitRow(id=commit.short, date=commit.date, author=commit.author[:_TEXT], subject=commit.subject[:_TEXT])
            for commit in commits[:TOP]
        ],
        looked_at=len(commits),
        since=commits[-1].date,
        authors=[(name[:_TEXT], count) for name, count in _most(authors)],
        changed=[(path, count) for path, count in _most(touched) if count > 1],
    )


def _most(counts: Counter[str]) -> list[tuple[str, int]]:
    """Like `most_common`, but equal counts in the order of their names."""
    return sorted(counts.items(), key=lambda row: (-row[1], row[0]))[:TOP]


def _no_history(note: str) -> History:
    return History(summary=f"no history: {note}", note=note, commits=[], looked_at=0, since="", authors=[], changed=[])


class Tested(TypedDict):
    """Program text against test text. `areas` rows: top folder, code lines, test lines. `untested`: path, lines, language."""

    summary: str
    code_files: int
    code_lines: int
    test_files: int
    test_lines: int
    ratio: float | None
    matched: int
    areas: list[tuple[str, int, int]]
    untested: list[tuple[str, int, str]]


def tested(scan: Scan) -> Tested:
    """The test-to-code ratio, and the longest files that no test names."""
    own = [file for file in Listing.of(scan["files"]) if is_code(file.language) and not file.marks & FOREIGN]
    test = [file for file in own if file.marks & Mark.TEST]
    code = [file for file in own if not file.marks & Mark.TEST]
    named = [file for file in code if file.marks & Mark.TESTED]
    untested = sorted(
        (file for file in code if not file.marks & (Mark.TESTED | Mark.SAMPLE)), key=lambda file: (-file.lines, file.path)
    )
    code_lines, test_lines = _lines(code), _lines(test)
    ratio = round(test_lines / code_lines, 2) if code_lines else None
    return Tested(
        summary=_tested_summary(ratio, len(test), len(code)),
        code_files=len(code),
        code_lines=code_lines,
        test_files=len(test),
        test_lines=test_lines,
        ratio=ratio,
        matched=len(named),
        areas=_areas(own),
        untested=[(file.path, file.lines, file.language) for file in untested[:TOP]],
    )


def _tested_summary(ratio: float | None, tests: int, code: int) -> str:
    if ratio is None or not math.isfinite(ratio):
        return "no program text to test"
    return (
        f"{ratio:.2f} lines of test per line of code ({counted(tests, 'test file')}, {counted(code, 'other')})"
        if tests
        else "no test files"
    )


def _areas(files: list[File]) -> list[tuple[str, int, int]]:
    sums: defaultdict[str, list[int]] = defaultdict(lambda: [0, 0])
    for file in files:
        sums[file.path.partition("/")[0] if "/" in file.path else "."][bool(file.marks & Mark.TEST)] += file.lines
    rows = [(name, code, test) for name, (code, test) in sums.items()]
    return sorted(rows, key=lambda row: (-row[1] - row[2], row[0]))[:TOP]
