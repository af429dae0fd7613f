"""Odd source trees on disk, for the tests of the repository report and for trying it by hand.

Each maker writes what its name says below a folder and returns nothing a test would not look at. By hand:
`python -m tests.trees FOLDER 20000` makes a big tree with odd names, binary files and links.
"""

import contextlib
import os
import random
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

from engine.templates.repository.listing import File, Listing
from engine.templates.repository.scan import Scan, Tally, Todos

ODD_NAMES = (
    b"two\nlines.py",
    b"tab\there.py",
    b"latin-\xe9\xff.py",
    b"back\\slash.py",
    b"bell\x07 escape\x1b[31mred.py",
    b"right-\xe2\x80\xaeto-left.py",
    b"pipe|tick`star*.md",
    b"<script>alert(1)<.md",
    b" leading and trailing ",
    b"-rf",
    b"$(touch x).sh",
    b"\xf0\x9f\x90\x8d.py",
    b"%s%n.c",
    b"n" * 255,
)


def write(root: Path, files: dict[str, str | bytes]) -> Path:
    """Write files by relative path; text is UTF-8."""
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return root


def scanned(*files: File, **parts: Any) -> Scan:
    """A scan's output as if a tree held these files; any part of it can be given."""
    empty = Tally(count=0, by=[], examples=[])
    made = Scan(
        summary=f"{len(files)} files",
        name="tree",
        git=False,
        source="found by walking the folders (no reason)",
        files=Listing(list(files)).columns(),
        todos=Todos(count=0, by=[], by_file=[], kept=[]),
        remarks=[],
        skipped=empty,
        links=empty,
        left_out=empty,
    )
    return cast(Scan, made | parts)


def odd_names(root: Path, content: bytes = b"# TODO: rename this\n") -> None:
    """One file of every odd name, all with the same content."""
    for name in ODD_NAMES:
        Path(os.fsdecode(os.fsencode(root) + b"/" + name)).write_bytes(content)


def links(root: Path, outside: Path) -> None:
    """Links to a file and a folder outside, to the parent, to itself, to nothing, and one that stays inside."""
    root.mkdir(parents=True, exist_ok=True)
    write(outside, {"secret.txt": "TODO: not yours\n", "deeper/secret.py": "# FIXME: not yours\n"})
    write(root, {"inside.py": "x = 1\n"})
    (root / "to-file").symlink_to(outside / "secret.txt")
    (root / "to-folder").symlink_to(outside / "deeper")
    (root / "up").symlink_to("..")
    (root / "loop").symlink_to("loop")
    (root / "broken").symlink_to("nowhere")
    (root / "kept").symlink_to("inside.py")


def specials(root: Path) -> None:
    """A named pipe and a socket beside an ordinary file; opening the pipe would block for ever."""
    write(root, {"plain.py": "x = 1\n"})
    os.mkfifo(root / "pipe.py")
    # A socket's path is limited to about a hundred bytes, so it is bound from inside the folder.
    before = Path.cwd()
    os.chdir(root)
    try:
        with socket.socket(socket.AF_UNIX) as made:
            made.bind("socket.py")
    finally:
        os.chdir(before)


def deep(root: Path, levels: int, name: bytes = b"d" * 200) -> None:
    """A chain of folders made one from another, longer than any path the system takes at once, with a file in each."""
    at = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    try:
        for _ in range(levels):
            os.mkdir(name, dir_fd=at)
            below = os.open(name, os.O_RDONLY | os.O_DIRECTORY, dir_fd=at)
            os.close(at)
            at = below
            with os.fdopen(os.open("here.py", os.O_WRONLY | os.O_CREAT, dir_fd=at), "wb") as file:
                file.write(b"x = 1\n")
    finally:
        os.close(at)


def git(root: Path, *words: str, date: str = "2024-05-31T12:00:00+00:00") -> str:
    """Run git in `root` as a fixed person at a fixed time, with no configuration but its own."""
    fixed = {"GIT_AUTHOR_NAME": "Ada", "GIT_AUTHOR_EMAIL": "ada@example.org", "GIT_AUTHOR_DATE": date}
    same = {name.replace("AUTHOR", "COMMITTER"): value for name, value in fixed.items()}
    environment = {"PATH": os.environ["PATH"], "HOME": str(root), "GIT_CONFIG_NOSYSTEM": "1", **fixed, **same}
    command = ["git", "-c", "init.defaultBranch=main", "-c", "protocol.file.allow=always", *words]
    return subprocess.run(command, cwd=root, env=environment, check=True, capture_output=True, text=True, timeout=60).stdout


def repository(root: Path, files: dict[str, str | bytes]) -> Path:
    """A git repository with the files in one commit."""
    root.mkdir(parents=True, exist_ok=True)
    git(root, "init", "-q")
    write(root, files)
    git(root, "add", "-A")
    git(root, "commit", "-q", "-m", "First")
    return root


@contextlib.contextmanager
def as_nobody() -> Iterator[None]:
    """Give up the administrator's right to read everything, where the tests have it."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def big(root: Path, count: int, seed: int = 7) -> None:
    """About `count` files in nested folders: mostly small programs, some binaries, data, odd names, links and one flat folder."""
    chance = random.Random(seed)
    root.mkdir(parents=True, exist_ok=True)
    odd_names(root)
    write(root, {"pyproject.toml": '[project]\nname = "big"\ndependencies = ["requests", "rich>=13"]\n'})
    flat = root / "flat"
    flat.mkdir()
    folders = [root]
    for number in range(count):
        if number % 25 == 0:
            parent = chance.choice(folders[-200:])
            folders.append(parent / f"part{number}")
            folders[-1].mkdir()
        folder = flat if number % 5 == 0 else chance.choice(folders[-40:])
        name, content = _made(chance, number)
        (folder / name).write_bytes(content)
    (root / "away").symlink_to("/etc")


def _made(chance: random.Random, number: int) -> tuple[str, bytes]:
    kind = chance.random()
    lines = int(chance.paretovariate(1.1) * 20) % 4_000
    body = b"".join(b"    value_%d = compute(%d, 'some text here')\n" % (i, i * number) for i in range(lines))
    if kind < 0.55:
        marker = b"    # TODO: value %d is wrong\n" % number if chance.random() < 0.1 else b""
        return f"module{number}.py", b"def run():\n" + body + marker
    if kind < 0.65:
        return f"test_module{number - 1}.py", b"import os\n\ndef test_it():\n" + body
    if kind < 0.75:
        return f"view{number}.ts", b"export function view() {\n" + body + b"}\n"
    if kind < 0.85:
        return f"blob{number}.bin", chance.randbytes(lines * 40 + 1)
    if kind < 0.95:
        return f"page{number}.md", b"# Page\n\n" + b"Some words of prose.\n" * lines
    return f"values{number}.json", b'{"values": [' + b", ".join(b"%d" % i for i in range(lines)) + b"]}\n"


if __name__ == "__main__":
    big(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 20_000)
