"""Torture tests run when asked for (`-m torture`); the suite has a short form of each."""

import pytest


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what is marked as torture unless the command line chooses by mark or names the test."""
    if config.getoption("markexpr") or any("::" in str(argument) for argument in config.args):
        return
    config.hook.pytest_deselected(items=[item for item in items if item.get_closest_marker("torture")])
    items[:] = [item for item in items if not item.get_closest_marker("torture")]
