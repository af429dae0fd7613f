"""The command line in a real terminal: progress that moves, questions that are asked, text that cannot reach the terminal."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pexpect
import pytest

from tests.shell import Shell

TIMEOUT = 30


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(tmp_path, {"LANG": "C.UTF-8", "TERM": "xterm-256color"})


@pytest.fixture
def terminal(shell: Shell) -> Iterator[list[pexpect.spawn]]:
    """Processes started in a terminal; ended with the test."""
    started: list[pexpect.spawn] = []
    yield started
    for child in started:
        child.close(force=True)


def start(shell: Shell, started: list[pexpect.spawn], *words: str) -> pexpect.spawn:
    child = pexpect.spawn(
        sys.executable, ["-m", "tagent_tui", *words], cwd=str(shell.folder), env=shell.env, encoding="utf-8",
        timeout=TIMEOUT, dimensions=(30, 90),
    )  # fmt: skip
    started.append(child)
    return child


def ended(child: pexpect.spawn) -> tuple[int | None, str]:
    """The exit code and what was written since the last expectation."""
    child.expect(pexpect.EOF)
    child.close()
    return child.exitstatus, child.before or ""


def test_the_demo_draws_its_report_and_says_what_is_next(shell: Shell, terminal: list[pexpect.spawn]) -> None:
    """Steps appear with their marks, the report stands in columns without its marks, and the next commands are named."""
    (shell.folder / "tree").mkdir()
    (shell.folder / "tree" / "a.py").write_text("# TODO: mend this\nx = 1\n" * 3)
    code, text = ended(start(shell, terminal, "demo", "tree"))
    assert code == 0
    assert "\x1b[32m✓ \x1b[0mscan" in text
    assert "\x1b[1mRepository report: tree\x1b[0m" in text
    assert "| ---" not in text
    assert "Judgement (simulated)" in text
    run = re.search(r"tagent-tui show (\w+), tagent-tui replay", text)
    assert run is not None


ASKING = Path(__file__).parent.parent / "pipelines" / "asking.py"


def test_foreign_text_cannot_reach_the_terminal(shell: Shell, terminal: list[pexpect.spawn]) -> None:
    """A step's output with an escape sequence is shown by name, in the result and in the events."""
    code, text = ended(start(shell, terminal, "run", "flow:talks"))
    assert code == 0
    assert "⟨ESC⟩]0;evil⟨BEL⟩" in text
    assert "\x1b]0;evil" not in text
    shell.tui("run", "flow:fails")
    for words in (["events", "last"], ["show", "last"], ["runs"]):
        _, text = ended(start(shell, terminal, *words))
        assert "\x1b[31mluck" not in text


def test_a_line_moves_while_steps_run_and_ctrl_c_ends_it(shell: Shell, terminal: list[pexpect.spawn]) -> None:
    """What runs is shown in one line that is taken away again; ctrl+c says how to go on."""
    child = start(shell, terminal, "run", "flow:holds")
    child.expect("1 of 3 steps · hold")
    child.sendintr()
    child.expect("interrupted; tagent-tui resume .* goes on")
    code, _ = ended(child)
    assert code == 130


def test_a_second_ctrl_c_leaves_at_once(shell: Shell, terminal: list[pexpect.spawn]) -> None:
    """Whatever hangs, two interrupts end the process."""
    child = start(shell, terminal, "run", "flow:pays")
    child.expect("0 of 1 step · pay")
    child.sendintr()
    child.sendintr()
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 130


def test_resume_asks_what_became_of_an_effect(shell: Shell, terminal: list[pexpect.spawn]) -> None:
    """A person is asked about each effect in doubt, with its arguments; the answer is obeyed."""
    child = start(shell, terminal, "run", "flow:pays")
    child.expect("0 of 1 step · pay")
    child.kill(9)
    child.expect(pexpect.EOF)
    child = start(shell, terminal, "resume", "last")
    child.expect("whether it happened is not known")
    child.expect("12")
    child.expect("What became of pay")
    child.sendline("succeeded")
    child.expect("What did it return")
    child.sendline('{"paid": 5}')
    code, text = ended(child)
    assert code == 0
    assert '"paid": 5' in text


def test_a_run_asks_for_its_approval(shell: Shell, terminal: list[pexpect.spawn]) -> None:
    """A person at the terminal sees what would run and decides there; the run goes on in the same command."""
    (shell.folder / "asking.py").write_text(ASKING.read_text())
    child = start(shell, terminal, "run", "asking:approves")
    child.expect("Deploy the site")
    child.expect("acme")
    child.expect("Approve deploy")
    child.sendline("y")
    code, text = ended(child)
    assert code == 0
    assert "deployed acme" in text


def test_a_run_asks_its_questions(shell: Shell, terminal: list[pexpect.spawn]) -> None:
    """What is no choice is asked again; an empty answer leaves the run waiting."""
    (shell.folder / "asking.py").write_text(ASKING.read_text())
    child = start(shell, terminal, "run", "asking:asks")
    child.expect("Answer for choose")
    child.sendline("green")
    child.expect("type a number from 1 to 2")
    child.sendline("2")
    child.expect("Answer for talk")
    child.sendline("")
    code, text = ended(child)
    assert code == 5
    assert "answer" in text


def test_resume_asks_what_to_do_about_a_changed_pipeline(shell: Shell, terminal: list[pexpect.spawn]) -> None:
    """What changed is listed; stopping leaves the run as it is, migrating goes on."""
    child = start(shell, terminal, "run", "flow:holds")
    child.expect("1 of 3 steps · hold")
    child.sendintr()
    ended(child)
    flow = shell.folder / "flow.py"
    flow.write_text(flow.read_text().replace('.step("last"', '.step("final"'))
    (shell.folder / "go").touch()
    child = start(shell, terminal, "resume", "last")
    child.expect("step 'final' was added")
    child.expect("migrate")
    child.sendline("stop")
    code, _ = ended(child)
    assert code == 5
    child = start(shell, terminal, "resume", "last")
    child.expect("or stop")
    child.sendline("migrate")
    code, text = ended(child)
    assert code == 0
    assert "completed" in text


def test_no_input_never_asks(shell: Shell, terminal: list[pexpect.spawn]) -> None:
    """With --no-input a question becomes its exit code."""
    child = start(shell, terminal, "run", "flow:pays")
    child.expect("0 of 1 step · pay")
    child.kill(9)
    child.expect(pexpect.EOF)
    code, text = ended(start(shell, terminal, "resume", "last", "--no-input"))
    assert code == 5
    assert "--resolve pay=again" in text


def test_a_dumb_terminal_gets_plain_lines(shell: Shell, terminal: list[pexpect.spawn]) -> None:
    """Without cursor movement nothing moves and nothing is coloured."""
    shell.env["TERM"] = "dumb"
    code, text = ended(start(shell, terminal, "run", "flow:fine"))
    assert code == 0
    assert "\x1b" not in text
    assert "+ double" in text
