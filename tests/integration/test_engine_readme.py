"""The examples of the engine's README run as they stand and print what they say."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.crashing import ROOT

EXAMPLES = re.findall(r"```python\n(.*?)```", (ROOT / "engine" / "README.md").read_text(), re.DOTALL)


@pytest.mark.parametrize("number", range(len(EXAMPLES)))
def test_an_example_prints_what_it_says(number: int, tmp_path: Path) -> None:
    """Run in an empty folder, an example ends well and its output is the text after each `# prints: `."""
    (tmp_path / "example.py").write_text(EXAMPLES[number])
    done = subprocess.run(
        [sys.executable, "-W", "error", "example.py"],
        cwd=tmp_path, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)}, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == re.findall(r"# prints: (.*)$", EXAMPLES[number], re.MULTILINE)


def test_there_are_examples() -> None:
    """The README shows steps, files, plans, effects, tools, agents, conditions, failures, messages, children, forks, diff."""
    assert len(EXAMPLES) == 15
