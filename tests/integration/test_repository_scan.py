"""Scanning real trees: odd names, links, pipes, depth, changes under way."""

import os
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from engine.templates.repository import scan as scanning
from engine.templates.repository.dependencies import dependencies
from engine.templates.repository.kinds import Mark
from engine.templates.repository.listing import File, Listing
from engine.templates.repository.names import bytes_of
from engine.templates.repository.scan import INSIDE, OUTSIDE, Scan, scan
from engine.templates.repository.walk import Descent, read_up_to, walk
from store import values
from tests import trees


class Lines:
    """Takes the place of the run's log."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, dict[str, Any]]] = []

    def log(self, text: str, *, level: str = "info", **fields: Any) -> None:
        self.lines.append((text, fields))


def scanned(root: Path) -> Scan:
    """A scan's output as a later step gets it: through the store's encoding."""
    result: Scan = values.decode(values.encode(scan(str(root), Lines())))  # type: ignore[arg-type]
    return result


def files_of(result: Scan) -> dict[str, File]:
    return {file.path: file for file in Listing.of(result["files"])}


def open_files() -> int:
    return len(list(Path("/dev/fd").iterdir()))


def skipped(result: Scan) -> dict[str, str]:
    return {path: group for path, group, _ in result["skipped"]["examples"]}


def test_files_are_listed_with_what_they_hold(tmp_path: Path) -> None:
    """Sizes, lines, languages and marks of an ordinary tree, in path order."""
    trees.write(
        tmp_path,
        {"b/x.py": "a\nb\n", "a.md": "# A\n", "b/pic.png": b"\x89PNG\0\0", "empty.py": "", "tests/test_x.py": "import x\n"},
    )
    result = scanned(tmp_path)
    assert [(f.path, f.size, f.lines, f.language) for f in Listing.of(result["files"])] == [
        ("a.md", 4, 1, "Markdown"),
        ("b/pic.png", 6, 0, ""),
        ("b/x.py", 4, 2, "Python"),
        ("empty.py", 0, 0, "Python"),
        ("tests/test_x.py", 9, 1, "Python"),
    ]
    assert files_of(result)["b/x.py"].marks & Mark.TESTED
    assert files_of(result)["b/pic.png"].marks & Mark.BINARY
    assert result["summary"] == "5 files (1 binary), 4 lines; found by walking the folders (not a git repository)"


def test_an_empty_folder_is_a_tree(tmp_path: Path) -> None:
    """Nothing in a folder is a result, not an error."""
    assert scanned(tmp_path)["files"]["name"] == []


@pytest.mark.parametrize("missing", ["nowhere", "file.txt"])
def test_what_is_no_folder_is_refused(tmp_path: Path, missing: str) -> None:
    """A missing folder or a file gets one sentence that says what to give."""
    trees.write(tmp_path, {"file.txt": ""})
    with pytest.raises(NotADirectoryError, match="give the folder to report on"):
        scan(str(tmp_path / missing), Lines())  # type: ignore[arg-type]


def test_odd_names_come_through(tmp_path: Path) -> None:
    """Every odd name is listed, read and found again by its text, and no output holds a lone surrogate."""
    trees.odd_names(tmp_path)
    result = scanned(tmp_path)
    assert {bytes_of(path) for path in files_of(result)} == set(trees.ODD_NAMES)
    values.encode(result).decode("utf-8")
    assert "$str" not in values.encode(result).decode()
    assert all(file.size == 20 and file.lines == 1 for file in Listing.of(result["files"]))


def test_links_are_recorded_and_never_followed(tmp_path: Path) -> None:
    """Links to files, folders, parents, themselves and nothing are counted; nothing behind them is read."""
    trees.links(tmp_path / "tree", tmp_path / "outside")
    result = scanned(tmp_path / "tree")
    assert list(files_of(result)) == ["inside.py"]
    assert result["todos"]["count"] == 0
    where = {path: group for path, group, _ in result["links"]["examples"]}
    assert where == {"to-file": OUTSIDE, "to-folder": OUTSIDE, "up": OUTSIDE, "loop": INSIDE, "broken": INSIDE, "kept": INSIDE}


def test_a_link_to_the_tree_is_the_tree(tmp_path: Path) -> None:
    """The folder asked about may itself be a link."""
    trees.write(tmp_path / "real", {"a.py": "x\n"})
    (tmp_path / "link").symlink_to("real")
    result = scanned(tmp_path / "link")
    assert list(files_of(result)) == ["a.py"]
    assert result["name"] == "real"


@pytest.mark.parametrize(
    ("link", "target", "outside"),
    [
        (b"a", b"b", False),
        (b"a/b", b"../c", False),
        (b"a/b", b"../../c", True),
        (b"a", b"x/../../y", True),
        (b"a", b"/top/x", False),
        (b"a", b"/top/../etc", True),
        (b"a", b"/topping", True),
        (b"a", b".", False),
    ],
)
def test_where_links_lead(link: bytes, target: bytes, outside: bool) -> None:
    """Inside or outside is told from the link's text alone."""
    assert scanning.leads_outside(link, target, b"/top") is outside


def test_pipes_and_sockets_are_never_opened(tmp_path: Path) -> None:
    """A named pipe, whose opening would block, and a socket are named as skipped."""
    trees.specials(tmp_path)
    result = scanned(tmp_path)
    assert list(files_of(result)) == ["plain.py"]
    assert skipped(result) == {"pipe.py": "a named pipe", "socket.py": "a socket"}


def test_a_pipe_that_takes_a_file_s_place_is_not_waited_for(tmp_path: Path) -> None:
    """Reading what was a file a moment ago does not block on a pipe."""
    os.mkfifo(tmp_path / "a")
    with Descent(str(tmp_path)) as descent, pytest.raises(FileNotFoundError):
        descent.read(b"a", 100)


def test_unreadable_files_and_folders_are_named() -> None:
    """What may not be read is skipped with the reason; the rest is read."""
    with tempfile.TemporaryDirectory() as name:
        root = trees.write(Path(name), {"open.py": "x\n", "closed.py": "x\n", "folder/in.py": "x\n"})
        root.chmod(0o755)
        (root / "closed.py").chmod(0)
        (root / "folder").chmod(0)
        with trees.as_nobody():
            result = scanned(root)
        (root / "folder").chmod(0o755)
    assert list(files_of(result)) == ["open.py"]
    assert skipped(result) == {"closed.py": "no permission to read it", "folder": "no permission to read it"}


def test_large_files_are_named_and_not_counted(tmp_path: Path) -> None:
    """Past the limit a text is listed without lines and named; a large binary is just binary."""
    trees.write(tmp_path, {"big.log": b"x\n" * (scanning.MAX_READ // 2 + 1), "big.bin": b"\0" * (scanning.MAX_READ + 1)})
    result = scanned(tmp_path)
    assert files_of(result)["big.log"].marks & Mark.UNCOUNTED
    assert files_of(result)["big.bin"].marks & Mark.BINARY
    assert skipped(result) == {"big.log": "larger than 5 MB: lines not counted"}


def test_a_file_that_grows_while_it_is_read_ends() -> None:
    """Reading stops at the limit even if the file never does."""
    source, sink = os.pipe()
    stop = threading.Event()

    def grow() -> None:
        while not stop.is_set():
            try:
                os.write(sink, b"x" * 1_000)
            except BrokenPipeError:
                return

    writer = threading.Thread(target=grow)
    writer.start()
    try:
        assert read_up_to(source, 100_000) is None
    finally:
        stop.set()
        os.close(source)
        writer.join(10)
        os.close(sink)
    assert not writer.is_alive()


def test_files_that_vanish_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that is gone when its turn comes is skipped with that reason."""
    trees.write(tmp_path, {"a.py": "x\n", "b.py": "x\n"})

    def walk_and_remove(descent: Descent) -> Any:
        found = walk(descent)
        (tmp_path / "b.py").unlink()
        return found

    monkeypatch.setattr(scanning, "walk", walk_and_remove)
    result = scanned(tmp_path)
    assert list(files_of(result)) == ["a.py"]
    assert skipped(result) == {"b.py": "it was gone when its turn came"}


def test_a_folder_replaced_by_a_link_is_not_entered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder that became a link to somewhere else after it was listed is not followed."""
    trees.write(tmp_path / "tree", {"sub/a.py": "x\n", "sub2/b.py": "x\n"})
    trees.write(tmp_path / "outside", {"a.py": "# FIXME: not yours\n"})

    def walk_and_replace(descent: Descent) -> Any:
        found = walk(descent)
        (tmp_path / "tree/sub").rename(tmp_path / "gone")
        (tmp_path / "tree/sub").symlink_to(tmp_path / "outside")
        return found

    monkeypatch.setattr(scanning, "walk", walk_and_replace)
    result = scanned(tmp_path / "tree")
    assert list(files_of(result)) == ["sub2/b.py"]
    assert result["todos"]["count"] == 0
    assert list(skipped(result).values()) == ["it lies behind a symbolic link or a file"]


def test_depth_beyond_every_limit(tmp_path: Path) -> None:
    """A chain of folders longer than the system's longest path is read as deep as is promised, and the rest is named."""
    trees.deep(tmp_path, 40)
    result = scanned(tmp_path)
    found = Listing.of(result["files"])
    assert len(found) == 20
    assert max(len(file.path) for file in found) > 4_000
    assert all(file.lines == 1 for file in found)
    assert list(skipped(result).values()) == ["its path is longer than 4,096 bytes"]


def test_many_levels_need_few_descriptors(tmp_path: Path) -> None:
    """Hundreds of levels are walked while only a few folders are open at once, and all are closed at the end."""
    trees.deep(tmp_path, 300, name=b"d")
    before = open_files()
    most = 0
    with Descent(str(tmp_path)) as descent:
        paths = walk(descent).paths
        for path in paths:
            descent.status(path)
            most = max(most, open_files())
    assert len(paths) == 300
    assert most - before < 40
    assert open_files() == before


def test_installed_and_made_folders_are_left_out(tmp_path: Path) -> None:
    """Without git, what tools install or can make again is not entered, and that is said by name."""
    trees.write(
        tmp_path,
        {
            "a.py": "x\n",
            "node_modules/m/i.js": "x\n",
            "sub/__pycache__/a.pyc": b"\0",
            "env/pyvenv.cfg": "home = x\n",
            "env/lib/b.py": "x\n",
            "target/CACHEDIR.TAG": "Signature\n",
            "target/x.rs": "x\n",
            ".hg/store": "x\n",
        },
    )
    result = scanned(tmp_path)
    assert list(files_of(result)) == ["a.py"]
    assert dict(map(tuple, result["left_out"]["by"])) == {
        "node_modules": 1,
        "__pycache__": 1,
        "a virtual environment": 1,
        "a cache": 1,
        ".hg": 1,
    }


def test_the_root_itself_is_never_left_out(tmp_path: Path) -> None:
    """Asking for a folder that would be left out elsewhere reports on it."""
    trees.write(tmp_path / "node_modules", {"i.js": "x\n"})
    assert list(files_of(scanned(tmp_path / "node_modules"))) == ["i.js"]


def test_two_scans_of_a_tree_are_equal(tmp_path: Path) -> None:
    """The same tree gives the same output, byte for byte."""
    trees.big(tmp_path, 300)
    assert values.encode(scanned(tmp_path)) == values.encode(scanned(tmp_path))


def test_a_listing_past_the_limit_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When there are more files than are listed, the report can say how many were."""
    trees.write(tmp_path, {f"f{n:02}.py": "x\n" for n in range(20)})
    for module in ("scan", "walk"):
        monkeypatch.setattr(f"engine.templates.repository.{module}.MAX_FILES", 10)
    result = scanned(tmp_path)
    assert list(files_of(result)) == [f"f{n:02}.py" for n in range(10)]
    assert result["skipped"]["by"][0][0] == "only the first 10 files were listed"


def test_text_past_the_total_is_listed_unread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When enough text has been read, the rest is listed without lines, with the reason."""
    trees.write(tmp_path, {"a.py": "x\n" * 100, "b.py": "x\n"})
    monkeypatch.setattr(scanning, "MAX_TOTAL", 100)
    result = scanned(tmp_path)
    assert [file.lines for file in Listing.of(result["files"])] == [100, 0]
    assert "b.py" in skipped(result)


def test_progress_is_told_now_and_then(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The log gets the number of files first, then a line every so many files."""
    trees.write(tmp_path, {f"f{n}.py": "x\n" for n in range(25)})
    monkeypatch.setattr(scanning, "_REPORT_FILES", 10)
    log = Lines()
    scan(str(tmp_path), log)  # type: ignore[arg-type]
    assert [text.partition(";")[0] for text, _ in log.lines] == ["25 files to read", "read 10 of 25 files", "read 20 of 25 files"]
    assert log.lines[1][1] == {"done": 10, "total": 25}


def test_tests_are_matched_to_code(tmp_path: Path) -> None:
    """A file counts as tested by a test's name, by a test's import, by its folder in Go and by tests inside it in Rust."""
    trees.write(
        tmp_path,
        {
            "by_name.py": "x\n",
            "by_import.py": "x\n",
            "alone.py": "x\n",
            "pkg/__init__.py": "x\n",
            "tests/test_by_name.py": "from by_import import x\nimport pkg\n",
            "go/a.go": "x\n",
            "go/b_test.go": "x\n",
            "src/lib.rs": "#[cfg(test)]\nmod tests {}\n",
            "web/button/index.ts": "x\n",
            "web/button/button.test.ts": "x\n",
            "java/User.java": "x\n",
            "java/UserTest.java": "x\n",
        },
    )
    marked = {path for path, file in files_of(scanned(tmp_path)).items() if file.marks & Mark.TESTED}
    assert marked == {
        "by_name.py",
        "by_import.py",
        "pkg/__init__.py",
        "go/a.go",
        "src/lib.rs",
        "web/button/index.ts",
        "java/User.java",
    }


def test_manifests_of_a_tree_are_read(tmp_path: Path) -> None:
    """Manifests are read where the scan found them, with locks beside or above; vendored ones and links are not."""
    trees.write(
        tmp_path,
        {
            "requirements.txt": "flask\n",
            "setup.py": "raise SystemExit('never run')\n",
            "web/package.json": '{"dependencies": {"a": "1"}}',
            "web/yarn.lock": "x\n",
            "web/deep/package.json": '{"dependencies": {"b": "1"}}',
            "vendor/x/package.json": '{"dependencies": {"c": "1"}}',
            "tests/fixtures/package.json": "{",
            "empty/setup.cfg": "[metadata]\nname = x\n",
        },
    )
    (tmp_path / "Gemfile").symlink_to("/etc/passwd")
    result = dependencies(str(tmp_path), scanned(tmp_path))
    assert [(one["path"], one["locked"], one["aside"], one["problem"]) for one in result["manifests"]] == [
        ("requirements.txt", False, False, None),
        ("tests/fixtures/package.json", False, True, "it does not parse"),
        ("web/deep/package.json", True, False, None),
        ("web/package.json", True, False, None),
    ]
    assert result["unread"] == ["setup.py"]
    assert result["summary"] == "3 dependencies declared in 4 manifests (JavaScript, Python)"


def test_a_manifest_that_is_gone_is_told(tmp_path: Path) -> None:
    """A manifest that vanished or turned into a pipe after the scan is reported and not waited for."""
    trees.write(tmp_path, {"Gemfile": "gem 'a'\n", "go.mod": "module x\n"})
    result = scanned(tmp_path)
    (tmp_path / "Gemfile").unlink()
    os.mkfifo(tmp_path / "Gemfile")
    (tmp_path / "go.mod").unlink()
    problems = {one["path"]: one["problem"] for one in dependencies(str(tmp_path), result)["manifests"]}
    assert problems == {"Gemfile": "it is no regular file any more", "go.mod": "it was gone when its turn came"}


@pytest.mark.torture
def test_a_big_tree_is_scanned_in_time_and_bounds(tmp_path: Path) -> None:
    """Twenty thousand files are scanned in seconds, and the output stays small."""
    trees.big(tmp_path, 20_000)
    start = time.monotonic()
    result = scanned(tmp_path)
    assert time.monotonic() - start < 60
    assert len(files_of(result)) > 20_000
    assert len(values.encode(result)) < 2_500_000
