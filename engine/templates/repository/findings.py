"""Ranking: from what the analyses saw to the few places a developer should look at first.

Pure. A score says how much a look is worth, from 0 to 100; the bands are below. What is many is capped by kind and by file, so
that a thousand markers cannot hide one private key.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator
from typing import TypedDict

from engine.templates.repository.analyses import History, Largest, Tested, TodoReport
from engine.templates.repository.dependencies import Dependencies, Manifest
from engine.templates.repository.kinds import Mark
from engine.templates.repository.listing import File, Listing
from engine.templates.repository.names import counted
from engine.templates.repository.scan import OUTSIDE, Scan

MAX_FINDINGS = 40
MAX_PER_FILE = 3
# Bands: 80 and more: act today; 60: a defect; 40: a risk; 20: a burden; below: good to know.
_MOST = {"marker": 12, "long file": 5, "untested": 5, "heavy file": 4, "long line": 3, "hot spot": 4, "link": 3, "token": 8}
_MOST_OTHERWISE = 6
_LONG_FILE = 1_000
_HEAVY_FILE = 1_000_000
_UNTESTED_LINES = 200
_HOT = 10


class Finding(TypedDict):
    """One place to look at. `line` counts from 1; `score` is 0 to 100."""

    path: str
    line: int
    reason: str
    kind: str
    score: int


class Findings(TypedDict):
    """Findings, best first; `not_shown` says how many more of a kind there are."""

    summary: str
    findings: list[Finding]
    not_shown: list[tuple[str, int]]


def findings(
    scan: Scan, largest: Largest, todos: TodoReport, history: History, dependencies: Dependencies, tests: Tested
) -> Findings:
    """Everything worth a look, ranked."""
    files = Listing.of(scan["files"]).files
    found = [
        *_remarks(scan, files),
        *_names(scan, files),
        *_links(scan),
        *_markers(todos),
        *_sizes(largest, history),
        *_untested(tests),
        *_manifests(dependencies),
    ]
    kept, not_shown = ranked(found)
    extra = max(0, todos["count"] - len(todos["rows"]))
    counts = Counter(dict(not_shown)) + Counter({"marker": extra})
    return Findings(
        summary=f"{counted(len(kept), 'finding')} shown" + (f", {counts.total():,} more counted" if counts else "")
        if kept
        else "nothing to look at",
        findings=kept,
        not_shown=sorted(counts.items()),
    )


def ranked(found: list[Finding]) -> tuple[list[Finding], list[tuple[str, int]]]:
    """Sorted by score, then place; at most so many of a kind, of a file and in all. Second: how many were cut, by kind."""
    kept: list[Finding] = []
    kinds: Counter[str] = Counter()
    files: Counter[str] = Counter()
    cut: Counter[str] = Counter()
    for finding in sorted(found, key=lambda one: (-one["score"], one["path"], one["line"], one["kind"])):
        kind, path = finding["kind"], finding["path"]
        if len(kept) >= MAX_FINDINGS or kinds[kind] >= _MOST.get(kind, _MOST_OTHERWISE) or files[path] >= MAX_PER_FILE:
            cut[kind] += 1
            continue
        kinds[kind] += 1
        files[path] += 1
        kept.append(finding)
    return kept, sorted(cut.items())


def _finding(path: str, line: int, kind: str, score: float, reason: str) -> Finding:
    return Finding(path=path, line=line, reason=reason, kind=kind, score=max(0, min(100, round(score))))


def _aside(file: File) -> bool:
    return bool(file.marks & (Mark.TEST | Mark.SAMPLE))


def _remarks(scan: Scan, files: list[File]) -> Iterator[Finding]:
    for index, line, kind, detail in scan["remarks"]:
        file = files[index]
        match kind:
            case "private key":
                yield _finding(file.path, line, kind, 45 if _aside(file) else 95, "holds a private key; take it out and replace it")
            case "token":
                yield _finding(file.path, line, kind, 40 if _aside(file) else 90, f"looks like {detail}; revoke it and take it out")
            case "conflict":
                yield _finding(file.path, line, kind, 40 if _aside(file) else 92, detail)
            case "broken":
                yield _finding(file.path, line, kind, 15 if _aside(file) else 75, detail)
            case _:
                yield _finding(file.path, line, kind, 8 if _aside(file) else 18, f"{detail}: hard to review and to compare")


def _names(scan: Scan, files: list[File]) -> Iterator[Finding]:
    """Files whose name says that they hold secrets; what is ignored by git never gets here."""
    for file in files:
        if not file.size or _aside(file) or file.marks & Mark.VENDORED:
            continue
        if re.fullmatch(r"\.env(?:\.(?:local|prod|production|staging))?", file.name):
            where = "git does not ignore it" if scan["git"] else "keep it out of what is shared"
            yield _finding(file.path, 1, "secret file", 65, f"an environment file, which often holds secrets; {where}")
        elif re.fullmatch(r"id_(?:rsa|dsa|ecdsa|ed25519)|.*\.(?:p12|pfx|jks|keystore)", file.name):
            yield _finding(file.path, 1, "secret file", 60, "a key store or private key by its name; keep it out of what is shared")


def _links(scan: Scan) -> Iterator[Finding]:
    for path, where, target in scan["links"]["examples"]:
        if where == OUTSIDE:
            yield _finding(path, 1, "link", 30, f"a symbolic link that leads out of the tree, to {target}: not followed")


def _markers(todos: TodoReport) -> Iterator[Finding]:
    for row in todos["rows"]:
        said = f": {row['text']}" if row["text"] else " without a word"
        yield _finding(row["path"], row["line"], "marker", 12 + 5 * row["weight"], f"{row['marker']}{said}")


def _sizes(largest: Largest, history: History) -> Iterator[Finding]:
    lines = {path: count for path, count, _, _ in largest["by_lines"]}
    for path, count, language, _ in largest["by_lines"]:
        if count >= _LONG_FILE:
            yield _finding(
                path, 1, "long file", 20 + 8 * math.log2(count / _LONG_FILE), f"{count:,} lines of {language} in one file"
            )
    for path, size, what in largest["by_bytes"]:
        if size >= _HEAVY_FILE and what in ("binary", "not read"):
            megabytes = size / 1_000_000
            yield _finding(
                path, 1, "heavy file", 16 + 6 * math.log2(megabytes), f"{megabytes:,.1f} MB, {what}: every copy carries it"
            )
    for path, commits in history["changed"]:
        if commits >= _HOT and lines.get(path, 0) >= _LONG_FILE // 2:
            share = commits / history["looked_at"]
            often = f"changed in {commits} of the last {history['looked_at']} commits"
            yield _finding(path, 1, "hot spot", 34 + 40 * share, f"{often} and {lines[path]:,} lines long: where work piles up")


def _untested(tests: Tested) -> Iterator[Finding]:
    if not tests["untested"] or tests["code_lines"] < _UNTESTED_LINES:
        return
    first, _, _ = tests["untested"][0]
    if not tests["test_files"]:
        said = f"no test files beside {tests['code_lines']:,} lines of code"
        yield _finding(first, 1, "untested", 55, f"{said}; this is the longest file to begin with")
    elif tests["test_lines"] * 20 < tests["code_lines"]:
        said = f"{tests['test_lines']:,} lines of test for {tests['code_lines']:,} of code"
        yield _finding(first, 1, "untested", 48, f"{said}; this is the longest file that no test names")
    # Where few files are matched by name, tests are organised another way, and a missing name says nothing.
    elif tests["matched"] * 6 >= tests["code_files"]:
        for path, lines, language in tests["untested"]:
            if lines >= _UNTESTED_LINES:
                reason = f"{lines:,} lines of {language}, and no test is named after it or imports it"
                yield _finding(path, 1, "untested", 26 + 5 * math.log2(lines / _UNTESTED_LINES), reason)


def _manifests(dependencies: Dependencies) -> Iterator[Finding]:
    for manifest in dependencies["manifests"]:
        less = 0.4 if manifest["aside"] else 1.0
        for finding in (*_insecure(manifest), *_unbounded(manifest), *_twice(manifest)):
            yield Finding(**(finding | {"score": round(finding["score"] * less)}))
        if problem := manifest["problem"]:
            yield _finding(manifest["path"], 1, "manifest", 50 * less, f"dependencies could not be read: {problem}")


def _insecure(manifest: Manifest) -> Iterator[Finding]:
    for name, spec, _, line in manifest["declared"]:
        if "http://" in spec:
            yield _finding(
                manifest["path"], line, "insecure source", 70, f"{name} comes over http, which anybody on the way can change"
            )


def _unbounded(manifest: Manifest) -> Iterator[Finding]:
    """One finding a manifest: twenty loose lines are one habit."""
    loose = [(name, line) for name, spec, group, line in manifest["declared"] if is_unbounded(manifest["ecosystem"], spec, group)]
    if not loose:
        return
    names = ", ".join(name for name, _ in loose[:5]) + (f" and {len(loose) - 5} more" if len(loose) > 5 else "")
    locked = "; a lock file holds them for now" if manifest["locked"] else " and no lock file: tomorrow's install may differ"
    score = 22 if manifest["locked"] else min(58, 44 + 2 * len(loose))
    accept = "accepts" if len(loose) == 1 else "accept"
    reason = f"{len(loose)} of {counted(len(manifest['declared']), 'dependency')} {accept} any version ({names}){locked}"
    yield _finding(manifest["path"], loose[0][1], "unpinned", score, reason)


def is_unbounded(ecosystem: str, spec: str, group: str) -> bool:
    """Whether any future version would be accepted: nothing said, a wildcard, or a branch instead of a revision."""
    if group in ("build", "peer", "managed", "optional"):
        return False
    bare = spec.strip()
    if bare in ("", "*", "latest", "x", ">=0", ">= 0", "+", "LATEST", "RELEASE", "latest.release"):
        return True
    if re.match(r"(?:git\+|git:|git@|github:)", bare):
        return not re.search(r"[@#](?:[0-9a-f]{7,40}|v?\d[\w.]*|semver:.*)(?:#|$)", bare)
    return False


def _twice(manifest: Manifest) -> Iterator[Finding]:
    """The same name twice in one group with different wishes."""
    seen: dict[tuple[str, str], tuple[str, int]] = {}
    for name, spec, group, line in manifest["declared"]:
        key = (re.sub(r"[-_.]+", "-", name).lower() if manifest["ecosystem"] == "Python" else name, group)
        if key in seen and seen[key][0] != spec and manifest["ecosystem"] not in ("Java", ".NET", "Rust"):
            before, first = seen[key]
            reason = f"{name} is declared twice: {spec or 'any version'} here, {before or 'any version'} in line {first}"
            yield _finding(manifest["path"], line, "declared twice", 56, reason)
        seen.setdefault(key, (spec, line))
