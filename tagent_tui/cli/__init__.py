"""The command line: the verbs of `tagent-tui`, each in a module that is imported when its verb is used."""

from tagent_tui.cli.root import main

__all__ = ["main"]
