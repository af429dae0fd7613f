"""What one file's bytes say."""

import time

import pytest

from engine.templates.repository.contents import LONG_LINE, MAX_HITS, Contents, inspect
from engine.templates.repository.kinds import Mark

AWS = b"AKIA" + b"QWERTYUIOPASDFGH"
GITHUB = b"ghp_" + b"abcdefghijklmnopqrstuvwxyz0123456789"
KEY = b"-----BEGIN RSA PRIVATE " + b"KEY-----\nMIIEowIBAAKCAQEAq2J8n5\n-----END\n"

UNMARKED = Mark(0)


def looked(content: bytes, name: str = "a.py", marks: Mark = UNMARKED) -> Contents:
    return inspect(name, content, marks)


def kinds(found: Contents) -> list[tuple[int, str]]:
    return [(remark.line, remark.kind) for remark in found.remarks]


@pytest.mark.parametrize(
    ("content", "lines"), [(b"", 0), (b"a", 1), (b"a\n", 1), (b"a\nb", 2), (b"\n\n", 2), (b"\xef\xbb\xbfa\r\nb\r\n", 2)]
)
def test_lines_are_counted(content: bytes, lines: int) -> None:
    """A last line counts with or without its end."""
    assert looked(content).lines == lines


def test_binary_content_is_not_looked_into() -> None:
    """A zero byte makes a file binary: no lines, no markers."""
    found = looked(b"# TODO: x\n\0\n")
    assert found.marks & Mark.BINARY
    assert (found.lines, found.hits, found.remarks) == (0, [], [])


def test_utf16_is_text() -> None:
    """Text in UTF-16 with its mark is read as text in spite of its zero bytes."""
    found = looked("x = 1\n# FIXME: ünï\n".encode("utf-16"))
    assert not found.marks & Mark.BINARY
    assert [(hit.line, hit.marker, hit.text) for hit in found.hits] == [(2, "FIXME", "ünï")]


@pytest.mark.parametrize(
    ("line", "text"),
    [
        (b"# TODO: mend this", "mend this"),
        (b"x = 1  # TODO mend this", "mend this"),
        (b"# TODO(ada): mend this", "(ada): mend this"),
        (b"// [TODO]: mend this", "mend this"),
        (b"/* TODO mend this */", "mend this"),
        (b" * TODO mend this", "mend this"),
        (b"<!-- TODO: mend this -->", "mend this"),
        (b'"""TODO mend this"""', "mend this"),
        (b"-- TODO mend this", "mend this"),
        (b"call() # see TODO: mend this", "mend this"),
        (b"# TODO: caf\xe9", "caf\ufffd"),
        (b"#TODO", ""),
        (b'x = "a"  # TODO: mend this', "mend this"),
        (b"x = 'a'  # don't TODO: mend this", "mend this"),
    ],
)
def test_markers_in_comments_are_found(line: bytes, text: str) -> None:
    """A marker that opens a comment or is followed by a colon or a bracket counts, with what it says."""
    found = looked(b"x = 0\n" + line + b"\ny = 1\n")
    assert [(hit.line, hit.marker, hit.text) for hit in found.hits] == [(2, "TODO", text)]


@pytest.mark.parametrize(
    "line",
    [
        b'MARKERS = ("TODO", "FIXME")',
        b're.compile(r"TODO|FIXME")',
        b"# finds TODO/FIXME in comments",
        b"# no TODO is left",
        b"TODO = 1",
        b"TODOS: list",
        b"# XXXX",
        b"mktemp /tmp/XXX.foo",
        b"show('`TODO`')",
        b"todo: lower case",
        b'write("a.py", b"# TODO: x")',
        b"write('a.py', '# TODO: x')",
    ],
)
def test_words_that_only_name_a_marker_do_not_count(line: bytes) -> None:
    """A mention, an identifier or a string is nothing left for later."""
    assert not looked(line + b"\n").hits


def test_prose_counts_only_what_opens_a_line() -> None:
    """In running text a marker counts at the start of a line or before a colon."""
    found = looked(b"We keep a TODO list.\n- [x] TODO ship it\n## TODO\nNote TODO: this\n", "a.md")
    assert [hit.line for hit in found.hits] == [2, 3, 4]


def test_a_line_counts_once_and_lines_stay_right() -> None:
    """Several markers in one line are one, and later line numbers are not shifted by it."""
    found = looked(b"# TODO: a TODO: b FIXME: c\n\n\n# HACK: d\n")
    assert [(hit.line, hit.marker) for hit in found.hits] == [(1, "TODO"), (4, "HACK")]


def test_many_markers_are_counted_and_some_kept() -> None:
    """All are counted by marker, a bounded number is kept."""
    found = looked(b"# TODO: a\n" * 400 + b"# FIXME: b\n")
    assert dict(found.hit_counts) == {"TODO": 400, "FIXME": 1}
    assert len(found.hits) == MAX_HITS


@pytest.mark.parametrize(
    "content",
    [
        b"TODO " * 900_000,
        b"# TODO:" * 600_000,
        b"<<<<<<< a\n" * 400_000 + b">>>>>>> b\n",
        b"ghp_" * 1_000_000,
        b"#" * 4_000_000 + b"TODO",
    ],
    ids=["one line", "one line of comments", "conflict starts", "token starts", "hashes"],
)
def test_hostile_content_costs_no_more_than_its_length(content: bytes) -> None:
    """Four megabytes made to be slow are read in a moment: nothing here is quadratic."""
    start = time.process_time()
    looked(content)
    assert time.process_time() - start < 5


@pytest.mark.parametrize("marks", [Mark.VENDORED, Mark.GENERATED])
def test_markers_of_others_do_not_count(marks: Mark) -> None:
    """Markers in vendored or generated files are not ours to mend."""
    assert not looked(b"# TODO: x\n", marks=marks).hits


@pytest.mark.parametrize(
    "head",
    [b"# Code generated by protoc. DO NOT EDIT.\n", b"// @generated\n", b"# This file was automatically generated by x\n"],
)
def test_generated_files_say_so_at_their_start(head: bytes) -> None:
    """A file that says it was generated is marked, and its markers do not count."""
    found = looked(head + b"# TODO: x\n")
    assert found.marks & Mark.GENERATED
    assert not found.hits


def test_talking_of_generated_files_generates_nothing() -> None:
    """A docstring about events that are generated by something leaves the file ours."""
    assert not looked(b'"""Events generated by the engine."""\n').marks & Mark.GENERATED


@pytest.mark.parametrize(
    ("secret", "kind"), [(AWS, "token"), (GITHUB, "token"), (KEY, "private key"), (KEY.replace(b"\n", b"\\n"), "private key")]
)
def test_secrets_are_placed_and_never_quoted(secret: bytes, kind: str) -> None:
    """A secret is reported by its line, and no part of it is kept."""
    found = looked(b"x = 1\nkey = '" + secret + b"'\n")
    assert kinds(found)[0] == (2, kind)
    assert not any(part in str(found) for part in ("QWERTY", "abcdefgh", "MIIE"))


@pytest.mark.parametrize(
    "line",
    [
        b"AKIA" + b"IOSFODNN7EXAMPLE",
        b"ghp_" + b"x" * 36,
        b'if "-----BEGIN RSA PRIVATE KEY-----" in text:',
        b"AKIAlowercaseishere1",
        b"my_ghp_" + b"a" * 10,
    ],
)
def test_samples_of_secrets_are_none(line: bytes) -> None:
    """Documentation's placeholders and code that looks for keys raise no alarm."""
    assert not looked(line + b"\n").remarks


def test_a_marker_beside_a_secret_keeps_quiet() -> None:
    """The text after a marker is withheld when it looks like a secret."""
    found = looked(b"# TODO: rotate " + GITHUB + b"\n")
    assert found.hits[0].text == "(text withheld: the line looks like a secret)"


def test_merge_conflicts_are_found_at_their_start() -> None:
    """The three marks in order are a conflict, in the first line as well."""
    conflict = b"<<<<<<< HEAD\na\n=======\nb\n>>>>>>> other\n"
    assert kinds(looked(conflict)) == [(1, "conflict")]
    assert kinds(looked(b"x\n" + conflict, "a.md")) == [(2, "conflict")]
    assert kinds(looked(conflict.replace(b"\n", b"\r\n"))) == [(1, "conflict")]


@pytest.mark.parametrize(
    "content", [b"Title\n=======\ntext\n", b">>>>>>> quoted\n", b"<<<<<<< a\nb\n>>>>>>> c\n", b"x <<<<<<< y\n"]
)
def test_single_marks_are_no_conflict(content: bytes) -> None:
    """Underlined headings and quoted mail are no conflicts."""
    assert not looked(content, "a.md").remarks


def test_endless_lines_are_told_once_and_minified_ones_marked() -> None:
    """An endless line in a program is a remark; a script made of them is minified."""
    assert kinds(looked(b"x = 1\ny = '" + b"a" * LONG_LINE + b"'\n")) == [(2, "long line")]
    minified = looked(b"var a=1;" * 2_000, "a.js")
    assert minified.marks & Mark.MINIFIED
    assert not minified.remarks


@pytest.mark.parametrize(
    ("name", "content", "line"),
    [
        ("a.json", b'{\n"a": ,\n}', 2),
        ("a.json", b'{"a": "\xff"}', 1),
        ("a.toml", b"a = 1\nb =\n", 2),
        ("a.toml", b"a = 1\na = 2\n", 2),
        ("Pipfile", b"[a\n", 1),
        ("a.toml", b"\xff = 1", 1),
    ],
)
def test_broken_files_are_found_with_their_line(name: str, content: bytes, line: int) -> None:
    """JSON and TOML that does not parse is reported where it stops."""
    assert kinds(looked(content, name)) == [(line, "broken")]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("tsconfig.json", b'{\n// comment\n"a": 1,\n}'),
        ("lines.json", b'{"a": 1}\n{"a": 2}\n'),
        ("template.json", b'{"a": {{ value }}}'),
        ("deep.json", b"[" * 200_000),
        ("number.json", b"1" * 5_000),
        ("good.json", b'{"a": [1, 2.5, null]}'),
        ("deep.toml", b"a = " + b"[" * 20_000),
        ("good.toml", b"a = 1\n"),
        ("empty.json", b""),
    ],
)
def test_dialects_and_extremes_are_not_called_broken(name: str, content: bytes) -> None:
    """Comments, several documents, templates, depth and length are no errors of the file."""
    assert not looked(content, name).remarks


def test_what_tests_import_is_collected() -> None:
    """The names on a test's import lines are known afterwards, in several languages."""
    python = looked(b"import os\nfrom engine.pipeline import Pipeline\n\nx = important\n", "test_a.py", Mark.TEST)
    assert {b"engine", b"pipeline", b"Pipeline"} <= python.imported
    assert b"important" not in python.imported
    script = looked(b"import {\n a,\n} from './foo-bar'\nconst x = require('./other')\n", "a.test.js", Mark.TEST)
    assert {b"foo-bar", b"other"} <= script.imported
