"""Asking the command line for a fork: what it is given, and what is made of its answers; with real processes of a stand-in."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import pytest

from tagent_tui import forking
from tagent_tui.view.editing import Wish
from tagent_tui.view.foreseen import Again, Foreseen

WISH = Wish("7f3a", 9, (("a.output", '"-x=1"'), ("params.n", "3")), ("b",), "-why")


def stands_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str) -> Path:
    """A program in the place of `tagent-tui`; where it writes its process id."""
    program, noted = tmp_path / "program.py", tmp_path / "pid"
    program.write_text(f"import os, sys, time\nopen({str(noted)!r}, 'w').write(str(os.getpid()))\n{body}\n")
    monkeypatch.setattr(forking, "COMMAND", (sys.executable, str(program)))
    return noted


def test_values_are_one_word_each() -> None:
    """No value, step or reason can pass for an option, and nothing goes through a shell."""
    words = forking.arguments(Path("/x/runs.db"), WISH._replace(definition="migrate"), "--dry-run")
    assert words == [
        "--db", "/x/runs.db", "fork", "7f3a", "--at", "9", '--set=a.output="-x=1"', "--set=params.n=3", "--again=b",
        "--reason=-why", "--definition=migrate", "--dry-run", "--json",
    ]  # fmt: skip


async def test_what_was_foreseen_is_read_past_what_modules_print(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The object is found after lines of the user's own."""
    said = '{"schema": 1, "data": {"again": [{"step": "a", "why": "it was changed"}], "kept": ["b"]}}'
    stands_in(tmp_path, monkeypatch, f"print('hello')\nprint({said!r})")
    assert await forking.foresee(tmp_path / "runs.db", WISH) == Foreseen([Again("a", "it was changed")], kept=["b"])


REFUSED = """sys.stderr.write('{"error": {"code": "x", "message": "No step a.", "hint": "Try b."}}'); sys.exit(3)"""


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (REFUSED, "No step a. Try b."),
        ("sys.exit(3)", "tagent-tui fork ended with code 3 and said nothing; try it in a shell."),
        ("print('[]')", "tagent-tui fork ended with code 0 and said nothing; try it in a shell."),
        ("""print('{"data": {"again": 3}}')""", "What tagent-tui fork --dry-run said cannot be read"),
    ],
)
async def test_a_refusal_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str, sentence: str) -> None:
    """Whatever went wrong over there, there is a sentence for it."""
    stands_in(tmp_path, monkeypatch, body)
    with pytest.raises(forking.NotForkedError) as refused:
        await forking.foresee(tmp_path / "runs.db", WISH)
    assert str(refused.value).startswith(sentence)
    assert "\n" not in str(refused.value)


async def test_a_question_that_is_not_wanted_any_more_ends_its_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cancelled, nothing is left running."""
    noted = stands_in(tmp_path, monkeypatch, "time.sleep(60)")
    asking = asyncio.create_task(forking.foresee(tmp_path / "runs.db", WISH))
    async with asyncio.timeout(20):
        while not noted.exists() or not noted.read_text():
            await asyncio.sleep(0.02)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    with pytest.raises(ProcessLookupError):
        os.kill(int(noted.read_text()), 0)


async def test_one_that_hangs_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a while it is ended, and the sentence says what may be the reason."""
    stands_in(tmp_path, monkeypatch, "time.sleep(60)")
    monkeypatch.setattr(forking, "PATIENCE", 0.3)
    with pytest.raises(forking.NotForkedError, match=r"said nothing within 0.3 s"):
        await forking.make(tmp_path / "runs.db", WISH)


async def test_a_fork_that_was_made_has_an_id(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is the run's; an answer without one is told."""
    stands_in(tmp_path, monkeypatch, 'print(\'{"data": {"run_id": "9c00", "pid": 7}}\')')
    assert await forking.make(tmp_path / "runs.db", WISH) == "9c00"
    stands_in(tmp_path, monkeypatch, 'print(\'{"data": {"pid": 7}}\')')
    with pytest.raises(forking.NotForkedError, match="did not say which run"):
        await forking.make(tmp_path / "runs.db", WISH)


async def test_a_value_that_no_process_takes_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One word of a command line has a limit; beyond it there is a sentence, not a crash."""
    stands_in(tmp_path, monkeypatch, "print('{}')")
    with pytest.raises(forking.NotForkedError, match="could not be started: Argument list too long"):
        await forking.foresee(tmp_path / "runs.db", WISH._replace(sets=(("a.output", "x" * 200_000),)))
