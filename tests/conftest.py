"""Torture tests run when asked for (`-m torture`); the suite has a short form of each."""

import os

import pytest


@pytest.fixture(autouse=True, scope="session")
def _no_settings_of_the_machine(tmp_path_factory: pytest.TempPathFactory) -> None:
    """What somebody has configured for themselves reaches no test."""
    for name in [name for name in os.environ if name.startswith("TAGENT_")]:
        del os.environ[name]
    os.environ["XDG_CONFIG_HOME"] = str(tmp_path_factory.mktemp("config"))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what is marked as torture unless the command line chooses by mark or names the test."""
    if config.getoption("markexpr") or any("::" in str(argument) for argument in config.args):
        return
    config.hook.pytest_deselected(items=[item for item in items if item.get_closest_marker("torture")])
    items[:] = [item for item in items if not item.get_closest_marker("torture")]
