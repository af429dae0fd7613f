"""The direction of the house, seen from outside: what importing a package drags in."""

from __future__ import annotations

import subprocess
import sys

import pytest


def modules_after(statement: str) -> set[str]:
    """The top-level modules loaded by a fresh interpreter that runs `statement`."""
    code = f"{statement}\nimport sys\nprint('\\n'.join(sorted({{name.split('.')[0] for name in sys.modules}})))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    return set(done.stdout.split())


def test_importing_the_engine_does_not_load_the_expression_language() -> None:
    """It is loaded by the first pipeline that is checked or step that evaluates: about 8 of 80 ms."""
    code = "import engine, sys; print(*(name for name in sys.modules if name.startswith(('engine.expressions', 'engine.checks'))))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.split() == []


@pytest.mark.parametrize(
    ("statement", "absent"),
    [
        ("import store", {"engine", "tagent_tui", "litellm", "textual", "pydantic"}),
        ("import engine", {"tagent_tui", "litellm", "textual", "psutil", "ruamel"}),
        ("import tagent_tui.cli", {"litellm", "textual"}),
        ("import tagent_tui.app", {"litellm"}),
    ],
)
def test_importing_a_package_loads_nothing_above_it_and_nothing_heavy(statement: str, absent: set[str]) -> None:
    """Lower layers load no higher one, and the heavy libraries come only with the first use."""
    assert modules_after(statement) & absent == set()


@pytest.mark.parametrize("module", ["engine.replay.view", "tagent_tui.cli.looking", "tagent_tui.screens.run"])
def test_looking_at_a_run_loads_nothing_that_executes_one(module: str) -> None:
    """State at a place, the verbs that show it and the replay screen work without executor, effects, drivers or models."""
    code = f"import {module}, sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    drives = {f"engine.{name}" for name in ("engine", "runtime", "executor", "effects", "context", "driver", "surroundings")}
    assert set(done.stdout.split()) & (drives | {"litellm"}) == set()
