"""The benchmarks run, small: they are not timed here, only seen to work."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"
SCRIPTS = sorted(path.name for path in BENCHMARKS.glob("[a-z]*.py") if path.name != "run.py")


def test_there_are_benchmarks_of_every_part() -> None:
    """Store, engine, imports and UI each have at least one."""
    assert {name.partition("_")[0].removesuffix(".py") for name in SCRIPTS} >= {"store", "engine", "imports", "ui"}


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_benchmark_comes_to_its_end_and_says_what_it_measured(script: str) -> None:
    """With `--small` it exits 0 and prints named JSON lines, each measurement with its gate."""
    command = [sys.executable, str(BENCHMARKS / "run.py"), "--small", script.removesuffix(".py")]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=180)
    assert ran.returncode == 0, ran.stderr
    lines = [json.loads(line) for line in ran.stdout.splitlines()]
    measured = [line for line in lines if "ours" in line or "reached" in line]
    assert measured
    assert all(line["name"] for line in lines)


def test_an_unknown_benchmark_is_said_to_be_unknown() -> None:
    """A name that no benchmark begins with is a usage error, not an empty success."""
    ran = subprocess.run([sys.executable, str(BENCHMARKS / "run.py"), "nothing"], capture_output=True, text=True, timeout=60)
    assert ran.returncode == 2
    assert "no benchmark begins with nothing" in ran.stderr
