"""Reading what a project says it depends on, format by format: text in, declarations out.

Pure, and only parsers that run nothing: TOML, JSON and INI from the standard library, line patterns for Ruby, Go and Gradle, and
expat with document types refused, so that no entity is ever expanded. A `setup.py` is code and stays unread.
"""

from __future__ import annotations

import configparser
import json
import re
import tomllib
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any, NamedTuple
from xml.parsers import expat

from engine.templates.repository.contents import MAX_TOML

MAX_SIZE = 300_000
MAX_DECLARED = 500
MANAGED = "managed"
"""The spec of what takes its version from elsewhere: a parent, a platform, a workspace."""
_LINE = 400
_TEXT = 200


class Declared(NamedTuple):
    """One declaration: `spec` as written (empty for any version), `group` where it stands (`dev`, an extra), line from 1."""

    name: str
    spec: str
    group: str
    line: int


class UnreadableManifestError(Exception):
    """The manifest is not what its name says; the message is one sentence without the file's text."""


_REQUIREMENT = re.compile(r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)\s*(?:\[[^\]]*\])?\s*(.*)")
_GEM = re.compile(r"""^\s*gem\s*\(?\s*["']([^"']+)["']((?:\s*,\s*["'][^"']*["'])*)(.*)""")
_GEM_GROUP = re.compile(r"^\s*group\s+(\S.*?)\s+do\b")
_GO_LINE = re.compile(r"^\s*(?:require\s+)?([\w.~/-]+\.[\w.~/-]+)\s+(v[\w.+-]+)(\s*//\s*indirect)?")
_GRADLE = re.compile(
    r"""^\s*(\w*(?:[iI]mplementation|[aA]pi|[cC]ompileOnly|[rR]untimeOnly)\w*)\s*\(?\s*["']([^"':]+:[^"':]+)(?::([^"']*))?["']"""
)


def read(name: str, content: bytes) -> list[Declared]:
    """The declarations in a manifest called `name`; raises `UnreadableManifestError`."""
    reader = reader_of(name)
    if reader is None:
        raise UnreadableManifestError(f"{name} is no manifest that is known here")
    if len(content) > MAX_SIZE:
        raise UnreadableManifestError(f"it is larger than {MAX_SIZE // 1_000} kB")
    try:
        text = content.decode("utf-8-sig")
        return [_bounded(found) for found in islice(reader[1](text), MAX_DECLARED)]
    except UnicodeDecodeError as error:
        raise UnreadableManifestError("it is not UTF-8") from error
    except (ValueError, configparser.Error, expat.ExpatError) as error:
        raise UnreadableManifestError("it does not parse") from error
    except RecursionError as error:
        raise UnreadableManifestError("it is nested too deep") from error


def reader_of(name: str) -> tuple[str, Callable[[str], Iterator[Declared]]] | None:
    """The ecosystem and the reader for a file name, None if it is no manifest."""
    lower = name.lower()
    if known := _READERS.get(lower):
        return known
    if re.fullmatch(r"(?:.*[-_.])?(?:requirements|constraints)(?:[-_.].*)?\.(?:txt|in)", lower):
        return "Python", _requirements
    if lower.endswith((".csproj", ".fsproj", ".vbproj")):
        return ".NET", _csproj
    return None


def _bounded(found: Declared) -> Declared:
    """Texts cut to a sane length and without the lone surrogates that JSON escapes can make."""
    name, spec, group = (part[:_TEXT].encode("utf-8", "backslashreplace").decode() for part in found[:3])
    return Declared(name, spec, group, found.line)


def _where(text: str, *needles: str) -> int:
    """The line of the first of `needles` that occurs, 1 if none does: parsers give values without places."""
    for needle in needles:
        if (at := text.find(needle)) >= 0:
            return text.count("\n", 0, at) + 1
    return 1


def _lines(text: str) -> list[str]:
    """Cut to what a declaration needs, which bounds what a pattern can cost."""
    return [line[:_LINE] for line in text.splitlines()]


def _table(value: Any) -> dict[str, Any]:
    return {str(key): item for key, item in value.items()} if isinstance(value, dict) else {}


def _texts(value: Any) -> list[str]:
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []


def _requirement(line: str, group: str, number: int) -> Declared | None:
    """One PEP 508 requirement; the marker after `;` says where it applies, so it belongs to the group."""
    match = _REQUIREMENT.match(line)
    if not match or re.match(r"[:/]|=[^=]", match[2]):
        return None
    spec, _, marker = match[2].partition(" --")[0].partition(";")
    return Declared(match[1], spec.strip(), f"{group} if {marker.strip()}".strip() if marker else group, number)


def _requirements(text: str) -> Iterator[Declared]:
    number, started, pending = 0, 0, ""
    for raw in text.splitlines():
        number += 1
        started = started if pending else number
        line = pending + re.sub(r"(^|\s)#.*", "", raw).strip()
        pending = line.removesuffix("\\") if line.endswith("\\") and len(line) < _LINE else ""
        if pending or not line:
            continue
        if line.startswith("-"):
            if index := re.match(r"(?:--extra-index-url|--index-url|-i|--find-links|-f)[\s=]+(http://\S+)", line):
                yield Declared("package index", _without_password(index[1]), "", started)
            continue
        url = re.match(r"(?:git\+)?(?:https?|ssh|git|file)://\S+", line)
        if url:
            name = re.search(r"#(?:.*&)?egg=([\w.-]+)", raw)
            yield Declared(name[1] if name else _last_part(line), _without_password(url[0]), "", started)
        elif found := _requirement(line, "", started):
            yield found._replace(spec=_without_password(found.spec))


def _without_password(spec: str) -> str:
    return re.sub(r"(://)[^/@\s]*@", r"\1", spec)


def _last_part(url: str) -> str:
    return url.partition("#")[0].rstrip("/").rpartition("/")[2].partition("@")[0].removesuffix(".git") or url


def _toml(text: str) -> dict[str, Any]:
    if len(text) > MAX_TOML:
        raise UnreadableManifestError(f"it is larger than {MAX_TOML // 1_000} kB")
    return tomllib.loads(text)


def _pep508(text: str, rows: Any, group: str) -> Iterator[Declared]:
    for row in _texts(rows):
        if found := _requirement(row, group, _where(text, f'"{row}"', f"'{row}'", row)):
            yield found._replace(spec=_without_password(found.spec.removeprefix("@ ")))


def _pyproject(text: str) -> Iterator[Declared]:
    document = _toml(text)
    sources = _table(_table(_table(document.get("tool")).get("uv")).get("sources"))
    for found in _pyproject_rows(text, document):
        yield found._replace(spec=MANAGED) if not found.spec and found.name in sources else found


def _pyproject_rows(text: str, document: dict[str, Any]) -> Iterator[Declared]:
    project = _table(document.get("project"))
    yield from _pep508(text, project.get("dependencies"), "")
    for extra, rows in _table(project.get("optional-dependencies")).items():
        yield from _pep508(text, rows, extra)
    for group, rows in _table(document.get("dependency-groups")).items():
        yield from _pep508(text, rows, group)
    yield from _pep508(text, _table(document.get("build-system")).get("requires"), "build")
    poetry = _table(_table(document.get("tool")).get("poetry"))
    yield from _by_key(text, poetry.get("dependencies"), "")
    yield from _by_key(text, poetry.get("dev-dependencies"), "dev")
    for group, table in _table(poetry.get("group")).items():
        yield from _by_key(text, _table(table).get("dependencies"), group)


def _pipfile(text: str) -> Iterator[Declared]:
    document = _toml(text)
    yield from _by_key(text, document.get("packages"), "")
    yield from _by_key(text, document.get("dev-packages"), "dev")


def _by_key(text: str, table: Any, group: str) -> Iterator[Declared]:
    """`name = "spec"` or `name = {version = "spec", …}`, as Poetry, Pipenv and Cargo write it."""
    for name, value in _table(table).items():
        if name == "python":
            continue
        wishes = value if isinstance(value, list) else [value]
        spec = " or ".join(wish if isinstance(wish, str) else _described(_table(wish)) for wish in wishes)
        at = re.search(
            rf"""^[ \t]*["']?{re.escape(name)}["']?[ \t]*[.=]|^\[.*[.]["']?{re.escape(name)}["']?\]""", text, re.MULTILINE
        )
        yield Declared(name, _without_password(spec), group, text.count("\n", 0, at.start()) + 1 if at else 1)


def _described(value: dict[str, Any]) -> str:
    for key in ("version", "git", "url", "path"):
        if isinstance(value.get(key), str):
            pin = value.get("rev") or value.get("tag") if key == "git" else None
            return f"{value[key]}@{pin}" if isinstance(pin, str) else str(value[key])
    return MANAGED if value.get("workspace") is True else ""


def _cargo(text: str) -> Iterator[Declared]:
    document = _toml(text)
    places = [document, _table(document.get("workspace")), *map(_table, _table(document.get("target")).values())]
    for place in places:
        for key, group in (("dependencies", ""), ("dev-dependencies", "dev"), ("build-dependencies", "build")):
            yield from _by_key(text, place.get(key), group)


def _setup_cfg(text: str) -> Iterator[Declared]:
    parser = configparser.RawConfigParser(strict=False)
    parser.read_string(text)
    rows = [("", parser.get("options", "install_requires", fallback=""))]
    if parser.has_section("options.extras_require"):
        rows += parser.items("options.extras_require")
    for group, lines in rows:
        yield from _pep508(text, [line.strip() for line in lines.splitlines() if line.strip()], group)


def _json(text: str) -> dict[str, Any]:
    document = json.loads(text)
    if not isinstance(document, dict):
        raise UnreadableManifestError("it holds no object")
    return document


def _package_json(text: str) -> Iterator[Declared]:
    groups = (("dependencies", ""), ("devDependencies", "dev"), ("peerDependencies", "peer"), ("optionalDependencies", "optional"))
    yield from _json_groups(text, groups)


def _composer_json(text: str) -> Iterator[Declared]:
    for found in _json_groups(text, (("require", ""), ("require-dev", "dev"))):
        if "/" in found.name:
            yield found


def _json_groups(text: str, groups: tuple[tuple[str, str], ...]) -> Iterator[Declared]:
    document = _json(text)
    for key, group in groups:
        start = max(text.find(f'"{key}"'), 0)
        for name, spec in _table(document.get(key)).items():
            at = text.find(json.dumps(name, ensure_ascii=False), start)
            line = text.count("\n", 0, at) + 1 if at >= 0 else 1
            yield Declared(name, _without_password(spec) if isinstance(spec, str) else "", group, line)


def _go_mod(text: str) -> Iterator[Declared]:
    inside = False
    for number, line in enumerate(_lines(text), 1):
        if re.match(r"\s*require\s*\(", line):
            inside = True
        elif line.strip() == ")":
            inside = False
        elif (inside or line.startswith("require ")) and (match := _GO_LINE.match(line)):
            yield Declared(match[1], match[2], "indirect" if match[3] else "", number)


def _gemfile(text: str) -> Iterator[Declared]:
    group = ""
    for number, line in enumerate(_lines(text), 1):
        if match := _GEM_GROUP.match(line):
            group = match[1].replace(":", "")[:40]
        elif line.strip() == "end":
            group = ""
        elif match := _GEM.match(line):
            specs = re.findall(r"""["']([^"']*)["']""", match[2])
            source = re.search(r"""(?:git|github|path):\s*["']([^"']+)["']""", match[3])
            yield Declared(match[1], ", ".join(specs) or (_without_password(source[1]) if source else ""), group, number)


def _gradle(text: str) -> Iterator[Declared]:
    for number, line in enumerate(_lines(text), 1):
        if match := _GRADLE.match(line):
            yield Declared(match[2], match[3] or MANAGED, "test" if match[1].startswith("test") else "", number)


class _Elements:
    """Collects the leaf texts of every element of one name, with the line it began on; anything with a document type is refused."""

    def __init__(self, wanted: str) -> None:
        self.wanted = wanted
        self.found: list[tuple[int, list[str], dict[str, str]]] = []
        self._path: list[str] = []
        self._text = ""
        self._parser = expat.ParserCreate()
        self._parser.StartDoctypeDeclHandler = self._refuse
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = self._characters

    def read(self, text: str) -> list[tuple[int, list[str], dict[str, str]]]:
        """(line, names of the ancestors, leaf texts and attributes by name) of each."""
        self._parser.Parse(text.encode(), True)
        return self.found

    def _refuse(self, *_: object) -> None:
        raise UnreadableManifestError("it has a document type, which is not read")

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        local = name.rpartition(":")[2]
        if local == self.wanted:
            self.found.append((self._parser.CurrentLineNumber, list(self._path[-3:]), dict(attributes)))
        self._path.append(local)
        self._text = ""

    def _characters(self, text: str) -> None:
        if len(self._text) < 1_000:
            self._text += text

    def _end(self, name: str) -> None:
        self._path.pop()
        if self._path and self._path[-1] == self.wanted and self._text.strip():
            self.found[-1][2].setdefault(name.rpartition(":")[2], self._text.strip())
        self._text = ""


def _pom(text: str) -> Iterator[Declared]:
    for line, ancestors, fields in _Elements("dependency").read(text):
        managed = "dependencyManagement" in ancestors
        name = f"{fields.get('groupId', '?')}:{fields.get('artifactId', '?')}"
        # Without a version Maven takes the managed one, so none is not "any".
        spec = fields.get("version", MANAGED)
        yield Declared(name, spec, MANAGED if managed else fields.get("scope", ""), line)


def _csproj(text: str) -> Iterator[Declared]:
    for line, _, fields in _Elements("PackageReference").read(text):
        if name := fields.get("Include") or fields.get("Update"):
            yield Declared(name, fields.get("Version", MANAGED), "", line)


_READERS: dict[str, tuple[str, Callable[[str], Iterator[Declared]]]] = {
    "build.gradle": ("Java", _gradle),
    "build.gradle.kts": ("Java", _gradle),
    "cargo.toml": ("Rust", _cargo),
    "composer.json": ("PHP", _composer_json),
    "gemfile": ("Ruby", _gemfile),
    "go.mod": ("Go", _go_mod),
    "package.json": ("JavaScript", _package_json),
    "pipfile": ("Python", _pipfile),
    "pom.xml": ("Java", _pom),
    "pyproject.toml": ("Python", _pyproject),
    "setup.cfg": ("Python", _setup_cfg),
}
