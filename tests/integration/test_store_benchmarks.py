"""The store's benchmarks run: small, and only to see that they work; their numbers mean nothing here."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1] / "benchmarks"


@pytest.mark.parametrize("name", ["store_append.py", "store_fold.py", "store_seek.py", "store_bytes.py"])
def test_a_benchmark_runs_small(name: str) -> None:
    """Each prints one JSON line a measurement, with its median, spread, ratio or gate."""
    done = subprocess.run([sys.executable, FOLDER / name, "--small"], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    measured = [line for line in lines if "unit" in line]
    assert measured
    for line in measured:
        assert {"name", "unit", "ours", "ours_min", "ours_max", "repeats", "gate", "reached"} <= line.keys()
        assert line["ours"] > 0
