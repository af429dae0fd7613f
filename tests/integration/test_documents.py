"""What the documents say works: their examples run, and CI runs the README's own command."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
READMES = ["README.md", "store/README.md", "engine/README.md", "tagent_tui/README.md"]


def blocks(name: str, language: str) -> list[str]:
    """The fenced blocks of a language in a document, in order."""
    return re.findall(rf"^```{language}\n(.*?)^```$", (ROOT / name).read_text(encoding="utf-8"), re.M | re.S)


RUN_HERE = [name for name in READMES if name != "engine/README.md"]  # whose own test also holds what they print
EXAMPLES = [(name, index, text) for name in RUN_HERE if (ROOT / name).exists() for index, text in enumerate(blocks(name, "python"))]


@pytest.mark.parametrize(("name", "index", "text"), EXAMPLES, ids=[f"{name}-{index}" for name, index, _ in EXAMPLES])
def test_python_examples_run_as_written(name: str, index: int, text: str, tmp_path: Path) -> None:
    """Every Python example of a README runs in a folder of its own without error or warning."""
    shutil.copy(ROOT / "README.md", tmp_path)
    script = tmp_path / f"example_{index}.py"
    script.write_text(text, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-W", "error::RuntimeWarning", str(script)], cwd=tmp_path, capture_output=True, text=True, timeout=60,
        env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_the_readme_opens_with_two_commands() -> None:
    """The README's first two shell blocks are one command each: set up and run the demo, set up and pass the tests."""
    demo, tests = blocks("README.md", "sh")[:2]
    assert demo.count("\n") == tests.count("\n") == 1
    assert demo.rstrip().endswith("tagent-tui demo")
    assert "pytest" in tests


def test_pictures_and_links_of_the_readmes_exist() -> None:
    """Every package has its README, and none points at a file that is not there."""
    missing = [name for name in READMES if not (ROOT / name).exists()]
    for name in sorted(set(READMES) - set(missing)):
        base = (ROOT / name).parent
        for link in re.findall(r"\]\(([^)#:]+)\)", (ROOT / name).read_text(encoding="utf-8")):
            if not (base / link).exists():
                missing.append(f"{name}: {link}")
    assert missing == []
