"""The files of a tree as columns of equal length: what the scan writes down once and every analysis reads.

Columns because fifty thousand small objects are ten times the text of the same values in arrays; folders are a table of
(parent, name), so a deep tree is not written down once for each file in it.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple, TypedDict

from engine.templates.repository.kinds import Mark


class Columns(TypedDict):
    """The JSON form. Folder 0 is the root; `language` is an index into `languages`; `marks` is a `Mark` as a number."""

    parents: list[int]
    folders: list[str]
    languages: list[str]
    folder: list[int]
    name: list[str]
    size: list[int]
    lines: list[int]
    language: list[int]
    marks: list[int]


class File(NamedTuple):
    """One file; `path` as `names.text_of` writes it, `lines` 0 where they were not counted (then `marks` says why)."""

    path: str
    size: int
    lines: int
    language: str
    marks: Mark

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.path.rpartition("/")[2]


@dataclass(slots=True)
class Listing:
    """The files in path order."""

    files: list[File] = field(default_factory=list)

    def __iter__(self) -> Iterator[File]:
        return iter(self.files)

    def __len__(self) -> int:
        return len(self.files)

    def columns(self) -> Columns:
        """The listing as plain values."""
        folders = _Folders()
        languages: dict[str, int] = {}
        return Columns(
            folder=[folders.index(file.path.rpartition("/")[0]) for file in self.files],
            name=[file.name for file in self.files],
            size=[file.size for file in self.files],
            lines=[file.lines for file in self.files],
            language=[languages.setdefault(file.language, len(languages)) for file in self.files],
            marks=[int(file.marks) for file in self.files],
            parents=folders.parents,
            folders=folders.names,
            languages=list(languages),
        )

    @classmethod
    def of(cls, columns: Columns) -> "Listing":
        """The listing that `columns` was made from."""
        prefixes: list[str] = [""]
        for parent, name in zip(columns["parents"][1:], columns["folders"][1:], strict=True):
            prefixes.append(f"{prefixes[parent]}{name}/")
        languages = columns["languages"]
        rows = zip(
            columns["folder"],
            columns["name"],
            columns["size"],
            columns["lines"],
            columns["language"],
            columns["marks"],
            strict=True,
        )
        return cls([File(prefixes[at] + name, size, lines, languages[of], Mark(m)) for at, name, size, lines, of, m in rows])


class _Folders:
    """Folders numbered as they are met, a parent always before its children."""

    def __init__(self) -> None:
        self.parents = [0]
        self.names = [""]
        self._known = {"": 0}

    def index(self, path: str) -> int:
        missing: list[str] = []
        while path not in self._known:
            path, _, name = path.rpartition("/")
            missing.append(name)
        at = self._known[path]
        for name in reversed(missing):
            path = f"{path}/{name}" if path else name
            self.parents.append(at)
            self.names.append(name)
            at = self._known[path] = len(self.names) - 1
        return at
