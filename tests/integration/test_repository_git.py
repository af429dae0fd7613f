"""Real repositories: what is listed, what history says, and that a hostile one makes nothing run."""

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from engine.templates.repository import git
from engine.templates.repository.analyses import History, history
from engine.templates.repository.git import Commit, GitSilentError, commits_in
from engine.templates.repository.listing import Listing
from engine.templates.repository.scan import Scan, scan
from tests import trees


class Quiet:
    """Takes the place of the run's log."""

    def log(self, text: str, **fields: Any) -> None:
        del text, fields


def scanned(root: Path) -> Scan:
    return scan(str(root), Quiet())  # type: ignore[arg-type]


def paths(result: Scan) -> list[str]:
    return [file.path for file in Listing.of(result["files"])]


def told(root: Path) -> History:
    return history(str(root), scanned(root))


def commit(root: Path, subject: str, files: dict[str, str | bytes], date: str = "2024-05-31T12:00:00+00:00") -> None:
    trees.write(root, files)
    trees.git(root, "add", "-A")
    trees.git(root, "commit", "-q", "--allow-empty", "--allow-empty-message", "-m", subject, date=date)


def test_git_says_which_files_count(tmp_path: Path) -> None:
    """Tracked and new files are listed, ignored ones are not, and git's own folder never is."""
    root = trees.repository(tmp_path, {"a.py": "x\n", ".gitignore": "*.log\nbuild/\n"})
    trees.write(root, {"new.py": "x\n", "a.log": "x\n", "build/x.py": "x\n", "node_modules/m.js": "x\n"})
    result = scanned(root)
    assert paths(result) == [".gitignore", "a.py", "new.py", "node_modules/m.js"]
    assert result["git"]
    assert result["source"] == "listed by git, ignored files left out"


def test_a_folder_inside_a_repository_is_reported_alone(tmp_path: Path) -> None:
    """Below the top of a work tree only that folder's files and history count, with paths relative to it."""
    root = trees.repository(tmp_path, {"top.py": "x\n", "sub/a.py": "x\n"})
    commit(root, "Second", {"sub/a.py": "y\n"})
    commit(root, "Elsewhere", {"top.py": "y\n"})
    result = scanned(root / "sub")
    assert paths(result) == ["a.py"]
    seen = history(str(root / "sub"), result)
    assert [row["subject"] for row in seen["commits"]] == ["Second", "First"]
    assert seen["changed"] == [("a.py", 2)]


def test_an_ignored_folder_is_walked(tmp_path: Path) -> None:
    """Where git lists nothing, the folders are walked, and the report can say why."""
    root = trees.repository(tmp_path, {".gitignore": "installed/\n"})
    trees.write(root, {"installed/a.py": "x\n"})
    result = scanned(root / "installed")
    assert paths(result) == ["a.py"]
    assert result["source"] == "found by walking the folders (git lists no files here)"


def test_tracked_but_gone_submodules_and_links(tmp_path: Path) -> None:
    """A deleted file, a submodule and a tracked link are told and not read."""
    inner = trees.repository(tmp_path / "inner", {"x.py": "# TODO: inner\n"})
    root = trees.repository(tmp_path / "root", {"a.py": "x\n", "gone.py": "x\n"})
    (root / "link").symlink_to("/etc/passwd")
    trees.git(root, "submodule", "add", "-q", str(inner), "module")
    trees.repository(root / "nested", {"y.py": "x\n"})
    commit(root, "Second", {})
    (root / "gone.py").unlink()
    result = scanned(root)
    assert paths(result) == [".gitmodules", "a.py"]
    assert result["links"]["count"] == 1
    assert {path: group for path, group, _ in result["skipped"]["examples"]} == {
        "gone.py": "it was gone when its turn came",
        "module": "another repository (a submodule or a nested one)",
        "nested": "another repository (a submodule or a nested one)",
    }


def test_a_tracked_folder_that_became_a_link_is_not_entered(tmp_path: Path) -> None:
    """Git lists files below a folder that is a link now; nothing behind it is read."""
    root = trees.repository(tmp_path / "root", {"sub/a.py": "x\n", "z.py": "x\n"})
    trees.write(tmp_path / "outside", {"a.py": "# FIXME: not yours\n"})
    (root / "sub/a.py").unlink()
    (root / "sub").rmdir()
    (root / "sub").symlink_to(tmp_path / "outside")
    result = scanned(root)
    assert paths(result) == ["z.py"]
    assert result["todos"]["count"] == 0


def test_odd_names_come_through_git(tmp_path: Path) -> None:
    """Names with line ends, quotes and bytes that are no UTF-8 are listed and found in history alike."""
    root = tmp_path / "root"
    root.mkdir()
    trees.git(root, "init", "-q")
    trees.odd_names(root, b"1\n")
    commit(root, "First", {})
    trees.odd_names(root, b"2\n")
    commit(root, "Second", {})
    result = scanned(root)
    assert len(paths(result)) == len(trees.ODD_NAMES)
    changed = history(str(root), result)["changed"]
    assert {path for path, _ in changed} == set(paths(result))


def test_history_names_commits_authors_and_busy_files(tmp_path: Path) -> None:
    """Commits come newest first with date, author and subject; files that still exist are counted; sweeping commits are not."""
    root = trees.repository(tmp_path, {"a.py": "0\n", "b.py": "0\n"})
    commit(root, "Mend a\n\nwith a body", {"a.py": "1\n"}, date="2024-06-01T00:00:00+00:00")
    commit(root, "", {"a.py": "2\n", "gone.py": "1\n"}, date="2024-06-02T00:00:00+00:00")
    commit(root, "Sweep", {f"many/{n}.py": "1\n" for n in range(150)} | {"a.py": "3\n"}, date="2024-06-03T00:00:00+00:00")
    (root / "gone.py").unlink()
    commit(root, "Remove", {}, date="2024-06-04T00:00:00+00:00")
    seen = told(root)
    assert [(row["date"], row["author"], row["subject"]) for row in seen["commits"]] == [
        ("2024-06-04", "Ada", "Remove"),
        ("2024-06-03", "Ada", "Sweep"),
        ("2024-06-02", "Ada", ""),
        ("2024-06-01", "Ada", "Mend a"),
        ("2024-05-31", "Ada", "First"),
    ]
    assert seen["changed"] == [("a.py", 3)]
    assert seen["summary"] == "5 commits since 2024-05-31 by 1 author"
    assert seen["authors"] == [("Ada", 5)]
    assert "ada@example.org" not in str(seen)


def test_commits_are_read_by_place() -> None:
    """Empty subjects and authors, merges without files and paths that begin with a line end are told apart."""
    answer = (
        b"\0a1\x002024-01-01\0Ada\0one\0\0\nx.py\0\ny.py\0\0a2\x002024-01-02\0\0\0\0\0a3\x002024-01-03\0\x01\x02\0\xff\0\0\n\nodd\0"
    )
    assert commits_in(answer) == [
        Commit("a1", "2024-01-01", "Ada", "one", (b"x.py", b"\ny.py")),
        Commit("a2", "2024-01-02", "", "", ()),
        Commit("a3", "2024-01-03", "\x01\x02", "\ufffd", (b"\nodd",)),
    ]
    assert commits_in(b"") == []
    assert commits_in(b"\0cut") == []


def test_without_a_repository_one_line_says_so(tmp_path: Path) -> None:
    """No repository, no commits and no commits here are three plain sentences, not errors."""
    trees.write(tmp_path / "plain", {"a.py": "x\n"})
    assert told(tmp_path / "plain")["summary"] == "no history: not a git repository"
    trees.write(tmp_path / "new", {"a.py": "x\n"})
    trees.git(tmp_path / "new", "init", "-q")
    assert told(tmp_path / "new")["summary"] == "no history: no commits yet"
    assert paths(scanned(tmp_path / "new")) == ["a.py"]
    root = trees.repository(tmp_path / "repo", {"a.py": "x\n"})
    trees.write(root, {"new/b.py": "x\n"})
    assert told(root / "new")["summary"] == "no history: no commit touched this folder"


def test_without_git_the_folders_are_walked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where git is not installed, the tree is walked without its folder, and one line says so."""
    root = trees.repository(tmp_path, {"a.py": "x\n"})
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    result = scanned(root)
    assert paths(result) == ["a.py"]
    assert result["source"] == "found by walking the folders (git is not installed)"
    assert history(str(root), result)["summary"] == "no history: git is not installed"


def test_a_program_called_git_in_the_tree_is_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A relative entry in PATH does not let a tree bring its own git."""
    trees.write(tmp_path, {"git": f"#!/bin/sh\ntouch {tmp_path}/ran\n"})
    (tmp_path / "git").chmod(0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", ".")
    scanned(tmp_path)
    assert not (tmp_path / "ran").exists()


def test_a_shallow_clone_says_so(tmp_path: Path) -> None:
    """History that was cut when cloning is not taken for all there is."""
    origin = trees.repository(tmp_path / "origin", {"a.py": "1\n"})
    commit(origin, "Second", {"a.py": "2\n"})
    trees.git(tmp_path, "clone", "-q", "--depth", "1", f"file://{origin}", "copy")
    seen = told(tmp_path / "copy")
    assert len(seen["commits"]) == 1
    assert seen["note"] == "the clone is shallow: older history is not here"


def test_the_surroundings_do_not_redirect_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Variables left over from a hook or another repository are not passed on."""
    other = trees.repository(tmp_path / "other", {"other.py": "x\n"})
    root = trees.repository(tmp_path / "root", {"a.py": "x\n"})
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(other))
    assert paths(scanned(root)) == ["a.py"]


def test_git_that_hangs_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A git that does not answer in time is ended, and the folders are walked."""
    trees.write(tmp_path / "bin", {"git": "#!/bin/sh\nexec sleep 600\n"})
    (tmp_path / "bin/git").chmod(0o755)
    trees.write(tmp_path / "tree", {"a.py": "x\n"})
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:{os.environ['PATH']}")
    monkeypatch.setattr(git, "LIST_TIMEOUT", 0.3)
    result = scanned(tmp_path / "tree")
    assert paths(result) == ["a.py"]
    assert result["source"] == "found by walking the folders (git took longer than 0 s)"


def test_git_that_floods_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A git that complains at length and never stops writing is ended at the limit."""
    # One process and no children: what the test starts is what `listed` ends.
    trees.write(tmp_path / "bin", {"git": "#!/bin/sh\nhead -c 3000000 /dev/zero >&2\nexec yes\n"})
    (tmp_path / "bin/git").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:{os.environ['PATH']}")
    monkeypatch.setattr(git, "_MAX_OUTPUT", 1_000_000)
    with pytest.raises(GitSilentError, match="listed more than"):
        git.listed(tmp_path)


def hostile(root: Path, witness: Path) -> None:
    """A repository whose every hook, filter and program writes a witness file when it runs."""
    script = root / ".git" / "evil.sh"
    trees.write(root, {".git/evil.sh": f'#!/bin/sh\necho "$0 $@" >> {witness}\ncat\n'})
    script.chmod(0o755)
    hooks = root / ".git/hooks"
    hooks.mkdir(exist_ok=True)
    for name in ("post-index-change", "fsmonitor-watchman", "reference-transaction", "post-checkout"):
        (hooks / name).symlink_to(script)
    trees.write(root, {".gitattributes": "* filter=evil diff=evil\n"})
    settings = {
        "core.fsmonitor": script,
        "core.hooksPath": hooks,
        "core.pager": script,
        "core.sshCommand": script,
        "core.editor": script,
        "core.askPass": script,
        "core.alternateRefsCommand": script,
        "pager.log": script,
        "gpg.program": script,
        "log.showSignature": "true",
        "diff.external": script,
        "diff.evil.textconv": script,
        "diff.evil.command": script,
        "filter.evil.clean": script,
        "filter.evil.smudge": script,
        "filter.evil.process": script,
        "filter.evil.required": "true",
        "alias.log": f"!{script}",
        "alias.ls-files": f"!{script}",
        "uploadpack.packObjectsHook": script,
        "credential.helper": script,
        "extensions.partialClone": "origin",
        "remote.origin.url": f"ext::{script}",
        "remote.origin.promisor": "true",
        "remote.origin.uploadpack": script,
        "protocol.ext.allow": "always",
        "protocol.allow": "always",
    }
    trees.git(root, "config", "core.repositoryFormatVersion", "1")
    for name, value in settings.items():
        trees.git(root, "config", name, str(value))


@pytest.mark.parametrize("url", ["ext::{script}", "file://{root}", "ssh://host/x", "{root}"])
def test_a_hostile_repository_makes_nothing_run(tmp_path: Path, url: str) -> None:
    """Hooks, filters, pagers, signature programs, converters, helpers and remotes of a repository are never called."""
    root = trees.repository(tmp_path / "root", {"a.py": "x\n", "b.txt": "1\n"})
    commit(root, "Second", {"a.py": "y\n"})
    witness = tmp_path / "witness"
    hostile(root, witness)
    trees.git(root, "config", "remote.origin.url", url.format(script=root / ".git/evil.sh", root=tmp_path))
    trees.write(root, {"a.py": "changed, so that git would want to compare\n"})
    # An object that is not there is what a partial clone would fetch.
    tree = trees.git(root, "rev-parse", "HEAD~1^{tree}").strip()
    witness.unlink(missing_ok=True)
    (root / ".git/objects" / tree[:2] / tree[2:]).unlink()
    result = scanned(root)
    history(str(root), result)
    assert {".gitattributes", "a.py", "b.txt"} <= set(paths(result))
    assert not witness.exists(), witness.read_text()


def test_the_hostile_repository_is_hostile(tmp_path: Path) -> None:
    """Asked without our defences, the same repository does run its programs: the test above can fail."""
    root = trees.repository(tmp_path / "root", {"a.py": "x\n"})
    witness = tmp_path / "witness"
    hostile(root, witness)
    witness.unlink(missing_ok=True)
    subprocess.run(["git", "status"], cwd=root, check=False, capture_output=True, timeout=60)
    assert witness.exists()


def test_a_work_tree_set_elsewhere_is_not_followed(tmp_path: Path) -> None:
    """A repository that claims a work tree somewhere else gets its own folders walked, and nothing of the other is listed."""
    root = trees.repository(tmp_path / "root", {"a.py": "x\n"})
    trees.write(tmp_path / "elsewhere", {"secret.py": "x\n"})
    trees.git(root, "config", "core.worktree", str(tmp_path / "elsewhere"))
    result = scanned(root)
    assert paths(result) == ["a.py"]
    assert result["source"] == "found by walking the folders (its git work tree is somewhere else)"


def test_scanning_leaves_the_repository_as_it_was(tmp_path: Path) -> None:
    """Neither the index nor anything else below `.git` is written."""
    root = trees.repository(tmp_path, {"a.py": "x\n"})
    os.utime(root / "a.py", (1, 1))

    def state() -> dict[str, tuple[int, int]]:
        return {str(p): (p.stat().st_mtime_ns, p.stat().st_size) for p in (root / ".git").rglob("*")}

    before = state()
    told(root)
    assert state() == before
