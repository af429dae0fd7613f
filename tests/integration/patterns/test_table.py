"""The table of patterns in the engine's README says what the tests show."""

from __future__ import annotations

import importlib
from pathlib import Path

README = Path(__file__).parents[3] / "engine" / "README.md"
HERE = "tests.integration.patterns"


def rows() -> list[list[str]]:
    """The cells of the table: number, name, supported, with, test."""
    text = README.read_text("utf-8").partition("## Control flow, pattern by pattern")[2].partition("\n## ")[0]
    lines = [line.strip("|").split("|") for line in text.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in cells] for cells in lines[1:]]


def patterns() -> dict[str, int]:
    """The number of the pattern that each test is of."""
    modules = [importlib.import_module(f"{HERE}.{file.stem}") for file in Path(__file__).parent.glob("test_*.py")]
    return {name: held.pattern for module in modules for name, held in vars(module).items() if hasattr(held, "pattern")}


def test_the_table_has_all_patterns_once() -> None:
    """The rows are numbered from 1 to 43, and each has a name of its own."""
    assert [int(row[0]) for row in rows()] == list(range(1, 44))
    assert len({row[1] for row in rows()}) == 43


def test_each_supported_pattern_has_its_test_and_no_other_has_one() -> None:
    """A row that says `directly` or `by combination` names the test of its number; one that says no gives its reason instead."""
    supported = {row[4].strip("`"): int(row[0]) for row in rows() if row[2] in ("directly", "by combination")}
    assert supported == patterns()
    assert all(row[2].startswith("no: ") and not row[3] and not row[4] for row in rows() if int(row[0]) not in supported.values())
