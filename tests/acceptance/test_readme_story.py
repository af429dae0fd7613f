"""The README's story as its reader would live it: every command of the block, in a shell, against a server that counts."""

from __future__ import annotations

import itertools
import re
import shlex
from pathlib import Path

from tests.integration.openai_server import OpenAIServer, openai_server
from tests.integration.test_documents import blocks
from tests.shell import Shell

WORDS = """
from engine import Pipeline

pipeline = Pipeline("story")
names = ["plan", "search", "read", "facts", "check", "sort", "judge", "table", "report"]
for before, name in zip([None, *names], names[:6]):
    pipeline.step(name, goal=f"Do your part: {name}", depends_on=[before] if before else [])
pipeline.step("judge", goal="JUDGE", depends_on=["sort"])
pipeline.step("table", goal="Draw a table", depends_on=["sort"])
pipeline.step("report", goal="Report", depends_on=["judge", "table"])
"""
GUESS, MENDED = "Judge as you like", "Judge only what the facts say"


def story() -> list[tuple[list[str], list[str]]]:
    """The commands of the block that begins with `Go back`, each with the lines it is said to print."""
    block = next(text for text in blocks("README.md", "console") if "tagent-tui fork last --set" in text)
    told: list[tuple[list[str], list[str]]] = []
    for line in block.splitlines():
        if line.startswith("$ "):
            told.append((shlex.split(line[2:], comments=True)[1:], []))
        elif told:
            told[-1][1].append(line)
    return told


def alike(line: str) -> str:
    """A printed line without what is another one each time: ids, numbers, prices, times."""
    return re.sub(r"\b[0-9a-f]{12}\b|[$]?[0-9][0-9.,]*", "N", line)


def test_the_story_of_the_readme(tmp_path: Path) -> None:
    """Nine goals, the seventh wrong: its mended fork pays for two, what is reused for one, and all of it is as printed."""
    shell = Shell(tmp_path)
    words = tmp_path / "words.py"
    words.write_text(WORDS.replace("JUDGE", GUESS))
    with openai_server() as server:
        shell.env |= {"TAGENT_API_BASE": server.base_url, "TAGENT_API_KEY": "key", "TAGENT_MODEL": "openai/gpt-4o-mini"}
        assert shell.tui("run", "words:pipeline", "-q").code == 0
        first = shell.tui("runs", "--json").data[0]["run_id"]
        paid = [server.count]
        for command, printed in story():
            if command[0] == "replay":
                continue  # it opens the screen, whose tests press these keys
            if "--reuse" in command:
                words.write_text(WORDS.replace("JUDGE", MENDED).replace('goal="Report"', 'goal="Report briefly"'))
            done = shell.tui(*(word.replace("7c1e", first[:8]) for word in command))
            assert done.code == (4 if command[0] == "diff" else 0), (command, done.out, done.err)
            if printed:
                assert [alike(line) for line in (done.out + done.err).splitlines()] == [alike(line) for line in printed]
            paid.append(server.count)
        _costs(server, paid)
        assert len(shell.tui("runs", "--json").data) == 3


def _costs(server: OpenAIServer, paid: list[int]) -> None:
    asked = [request.text for request in server.requests]
    assert [now - before for before, now in itertools.pairwise(paid)] == [0, 0, 2, 0, 1, 0], paid
    assert MENDED in asked[9]
    assert "Goal: Report" in asked[10]
    assert "Report briefly" in asked[11]
