"""The report as Markdown: values in, text out, the same text for the same tree.

Every piece of foreign text (names, markers, subjects, versions, a model's words) goes through `names.markdown` or `names.code`
here, so nothing found in a tree can add markup, links or invisible characters. No dates but the history's own.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from engine.templates.repository.analyses import History, Languages, Largest, Tested, TodoReport
from engine.templates.repository.dependencies import Dependencies, Manifest
from engine.templates.repository.findings import Findings
from engine.templates.repository.names import code, counted, markdown, shortened, shortened_path
from engine.templates.repository.scan import Scan, Tally

SIMULATED = "simulated by the offline model: not a finding"
_PATH = 110
_REASON = 260
_ROWS = 12
_HEAVY = 8
_NAMES = 12


def render(
    scan: Scan,
    languages: Languages,
    largest: Largest,
    todos: TodoReport,
    history: History,
    dependencies: Dependencies,
    tests: Tested,
    findings: Findings,
    judgement: dict[str, Any] | None = None,
    *,
    simulated: bool = False,
) -> str:
    """The whole report; without a judgement it has one section less and says nothing less about the tree."""
    sections = [
        f"# Repository report: {markdown(scan['name'])}",
        _facts(scan, languages, history, dependencies, tests),
        _findings(findings),
        _judgement(judgement, simulated) if judgement is not None else "",
        _languages(languages),
        _largest(largest),
        _todos(todos),
        _history(history),
        _dependencies(dependencies),
        _tests(tests),
        _skipped(scan, languages),
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def sized(count: int) -> str:
    """Bytes for people: `812 B`, `3.4 kB`, `12.0 MB`."""
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= scale:
            return f"{count / scale:,.1f} {unit}"
    return f"{count} B"


def _path(path: str, line: int | None = None) -> str:
    return code(shortened_path(path, _PATH) + (f":{line}" if line else ""), in_table=True)


def _words(text: str, limit: int = _REASON) -> str:
    return markdown(shortened(text, limit))


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Heads that end in `:` are for numbers, which stand right."""
    marks = ["---:" if head.endswith(":") else "---" for head in heads]
    lines = [[head.removesuffix(":") for head in heads], marks, *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _facts(scan: Scan, languages: Languages, history: History, dependencies: Dependencies, tests: Tested) -> str:
    said = (scan["summary"], languages["summary"], tests["summary"], history["summary"], dependencies["summary"])
    return " ".join(f"{markdown(fact[:1].upper() + fact[1:])}." for fact in said)


def _findings(findings: Findings) -> str:
    if not findings["findings"]:
        return "## Findings\n\nNothing here asks for a look."
    rows = [
        (str(rank), str(one["score"]), _path(one["path"], one["line"]), _words(one["reason"]))
        for rank, one in enumerate(findings["findings"], 1)
    ]
    table = _table(("#:", "score:", "where", "what"), rows)
    text = f"## Findings\n\nThe most worthwhile first; the score goes from 0 to 100.\n\n{table}"
    if not findings["not_shown"]:
        return text
    more = ", ".join(f"{markdown(kind)} ({count:,})" for kind, count in findings["not_shown"])
    return f"{text}\n\nNot in this table, so that no kind drowns the others: {more}."


def _judgement(judgement: dict[str, Any], simulated: bool) -> str:
    """A model's words, quoted: whatever they are, they stay inside the quotation."""
    lines = [f"**{_words(str(judgement.get('headline', '')))}**"]
    for rank, priority in enumerate(judgement.get("priorities") or [], 1):
        title, why = (_words(str(priority.get(key, "")), 600) for key in ("title", "why"))
        lines.append(f"{rank}. **{title}**: {why}")
    label = f"The text below is {SIMULATED}." if simulated else "A model wrote the text below from the findings above."
    quoted = "\n>\n".join(f"> {line}" for line in lines)
    return f"## Judgement{' (simulated)' if simulated else ''}\n\n{label}\n\n{quoted}"


def _languages(languages: Languages) -> str:
    total = sum(row["lines"] for row in languages["rows"]) or 1
    rows = [
        (markdown(row["name"]), f"{row['files']:,}", f"{row['lines']:,}", f"{100 * row['lines'] / total:.1f}%", sized(row["bytes"]))
        for row in languages["rows"][:_ROWS]
    ]
    if not rows:
        return ""
    text = f"## Languages\n\n{_table(('language', 'files:', 'lines:', 'share:', 'size:'), rows)}"
    if rest := languages["rows"][_ROWS:]:
        text += f"\n\nAnd {len(rest)} more with {sum(row['lines'] for row in rest):,} lines."
    return text


def _largest(largest: Largest) -> str:
    parts = []
    if largest["by_lines"]:
        rows = [
            (_path(path), f"{lines:,}", markdown(language), "yes" if tested else "")
            for path, lines, language, tested in largest["by_lines"][:_ROWS]
        ]
        parts.append(_table(("longest program files", "lines:", "language", "a test names it"), rows))
    if largest["by_bytes"]:
        sizes = [(_path(path), sized(size), markdown(what)) for path, size, what in largest["by_bytes"][:_HEAVY]]
        parts.append(_table(("heaviest files", "size:", "kind"), sizes))
    return "## Largest files\n\n" + "\n\n".join(parts) if parts else ""


def _todos(todos: TodoReport) -> str:
    if not todos["count"]:
        return ""
    said = ", ".join(f"{count:,} {marker}" for marker, count in todos["by"])
    text = f"## Left for later\n\n{said}; vendored, generated and minified files are not counted, nor words in running text."
    rows = [(_path(path), f"{count:,}") for path, count in todos["by_file"][:_ROWS] if count > 1]
    if not rows:
        return text
    return f"{text}\n\n{_table(('where they gather', 'markers:'), rows)}"


def _history(history: History) -> str:
    if not history["commits"]:
        return f"## History\n\n{markdown(history['summary'][:1].upper() + history['summary'][1:])}."
    rows = [
        (row["date"], code(row["id"]), _words(row["author"], 40), _words(row["subject"], 100)) for row in history["commits"][:_ROWS]
    ]
    note = f"; {markdown(history['note'])}" if history["note"] else ""
    parts = [f"## History\n\n{history['summary'][:1].upper()}{history['summary'][1:]}{note}."]
    parts.append(_table(("date", "commit", "author", "subject"), rows))
    if history["changed"]:
        changed = [(_path(path), f"{count:,}") for path, count in history["changed"][:_ROWS]]
        parts.append(_table((f"changed most since {history['since']}", "commits:"), changed))
    return "\n\n".join(parts)


def _dependencies(dependencies: Dependencies) -> str:
    lines = [f"## Dependencies\n\n{dependencies['summary'][:1].upper()}{dependencies['summary'][1:]}."]
    rows = [
        (_path(one["path"]), one["ecosystem"], f"{len(one['declared']):,}", "yes" if one["locked"] else "no", _declared(one))
        for one in dependencies["manifests"][:_ROWS]
    ]
    if rows:
        lines.append(_table(("manifest", "for", "declares:", "locked", "which"), rows))
    if (more := len(dependencies["manifests"]) - len(rows) + dependencies["left_out"]) > 0:
        lines.append(f"And {more:,} more manifests.")
    if dependencies["unread"]:
        shown = ", ".join(code(shortened_path(path, _PATH)) for path in dependencies["unread"][:3])
        lines.append(f"Not read, because only running it would tell: {shown}.")
    return "\n\n".join(lines)


def _declared(manifest: Manifest) -> str:
    if manifest["problem"]:
        return _words(manifest["problem"])
    names = list(dict.fromkeys(row[0] for row in manifest["declared"]))
    more = f" and {len(names) - _NAMES} more" if len(names) > _NAMES else ""
    return ", ".join(_words(name, 50) for name in names[:_NAMES]) + more


def _tests(tests: Tested) -> str:
    if not tests["code_files"] and not tests["test_files"]:
        return ""
    text = f"## Tests\n\n{tests['summary'][:1].upper()}{tests['summary'][1:]}."
    if tests["test_files"]:
        text += f" {tests['matched']:,} of {tests['code_files']:,} program files are named or imported by a test."
    rows = [(_path(name), f"{lines:,}", f"{test:,}") for name, lines, test in tests["areas"][:_ROWS]]
    return f"{text}\n\n{_table(('folder', 'code lines:', 'test lines:'), rows)}"


def _skipped(scan: Scan, languages: Languages) -> str:
    lines = [f"- The files were {markdown(scan['source'])}."]
    if scan["left_out"]["count"]:
        groups = ", ".join(f"{code(name)} ({count:,})" for name, count in scan["left_out"]["by"][:_ROWS])
        lines.append(f"- Folders not entered: {groups}.")
    if scan["links"]["count"]:
        counts = dict(scan["links"]["by"])
        outside = f" ({counts['outside']:,} out of the tree)" if counts.get("outside") else ""
        lines.append(f"- {counted(scan['links']['count'], 'symbolic link')}, recorded and not followed{outside}.")
    if languages["binary_files"]:
        lines.append(
            f"- {counted(languages['binary_files'], 'binary file')} ({sized(languages['binary_bytes'])}): listed, not read."
        )
    if languages["foreign_files"]:
        foreign = f"{counted(languages['foreign_files'], 'file')} with {counted(languages['foreign_lines'], 'line')}"
        lines.append(f"- Vendored, generated or minified, so in no table of languages, markers or tests: {foreign}.")
    lines += _reasons(scan["skipped"])
    return "## What was not looked at\n\n" + "\n".join(lines)


def _reasons(skipped: Tally) -> list[str]:
    lines = []
    for reason, count in skipped["by"][:_ROWS]:
        paths = [path for path, group, _ in skipped["examples"] if group == reason and path][:3]
        shown = f": {', '.join(code(shortened_path(path, _PATH)) for path in paths)}" if paths else ""
        more = f" and {count - len(paths):,} more" if paths and count > len(paths) else ""
        lines.append(f"- {markdown(reason[:1].upper() + reason[1:])}{shown}{more}.")
    return lines
