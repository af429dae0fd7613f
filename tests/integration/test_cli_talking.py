"""`mail`, `space` and `memories` over a store in which a run did all of it: text, JSON, and one sentence for each mistake."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.shell import Shell

TALKS = """
from engine import Pipeline

async def all_of_it(ctx):
    await ctx.offer("judge")
    await ctx.send("judge", {"n": float("nan")}, "query", priority=2)
    await ctx.receive("query")
    await ctx.send("nobody", "\\x1b[31mred")
    await ctx.send("judge", "late", expires_in=0)
    await ctx.space("board").put("a", [1])
    await ctx.space("board").put("b", "\\ud800")
    await ctx.space("board").delete("a")
    await ctx.space("board").get("b")
    await ctx.remember("Acme answers \\x1b[2Jlate", tags=["acme"], days=3)
    await ctx.remember("nothing works", kind="failure")
    return 1

talks = Pipeline("talks").step("all", run=all_of_it)
"""


@pytest.fixture(scope="module")
def talked(tmp_path_factory: pytest.TempPathFactory) -> tuple[Shell, str]:
    """A store with one such run, and its id."""
    shell = Shell(tmp_path_factory.mktemp("talked"))
    (shell.folder / "talks.py").write_text(TALKS)
    return shell, shell.run_of("talks:talks")


def test_mail_tells_each_message_and_how_it_stands(talked: tuple[Shell, str]) -> None:
    """Sent, received and expired messages stand in the order of sending, with bodies as they were given."""
    shell, run = talked
    told = shell.tui("mail", run, "--json").data
    assert [(one["to"], one["status"], one["type"], one["priority"]) for one in told] == [
        ("judge", "received", "query", 2),
        ("nobody", "waiting", "data", 0),
        ("judge", "expired", "data", 0),
    ]
    assert told[0]["body"] == {"n": {"$float": "nan"}}
    assert told[0]["taker"] == told[0]["sender"] == run
    lines = shell.tui("mail", "last").out.splitlines()
    assert [line.split()[1] for line in lines] == ["received", "waiting", "expired"]
    assert "\x1b" not in "".join(lines)


def test_space_tells_what_is_in_it_and_who_used_it(talked: tuple[Shell, str]) -> None:
    """The keys that are there with their versions; with --access every read and write with the version it saw or made."""
    shell, run = talked
    assert shell.tui("space", "--json").data == ["board"]
    assert shell.tui("space").out == "board\n"
    assert [(one["key"], one["version"]) for one in shell.tui("space", "board", "--json").data] == [("b", 2)]
    assert shell.tui("space", "board").out.startswith("b  version 2  ")
    accesses = shell.tui("space", "board", "--access", "--json").data
    assert [(one["op"], one["key"], one["version"]) for one in accesses] == [
        ("put", "a", 1),
        ("put", "b", 2),
        ("delete", "a", 3),
        ("get", "b", 2),
    ]
    assert {(one["run"], one["step"]) for one in accesses} == {(run, "all")}
    assert shell.tui("space", "board", "--access").out.splitlines()[3].endswith(f"{run} all  get b  version 2")


def test_memories_are_searched_and_say_where_they_came_from(talked: tuple[Shell, str]) -> None:
    """By words, by kind, or the newest; each with the run and event it came from."""
    shell, run = talked
    assert [one["text"] for one in shell.tui("memories", "--json").data] == ["nothing works", "Acme answers \x1b[2Jlate"]
    (found,) = shell.tui("memories", "is acme late", "--json").data
    assert (found["kind"], found["tags"], found["fields"], found["sources"][0]["run"]) == ("fact", ["acme"], {"days": 3}, run)
    assert [one["kind"] for one in shell.tui("memories", "--kind", "failure", "--json").data] == ["failure"]
    out = shell.tui("memories", "acme").out
    assert out.startswith("fact  Acme answers ")
    assert f"{run} event " in out
    assert "\x1b" not in out
    assert shell.tui("memories", "unheard").err == "no such memories\n"


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["mail", "nothing"], 3, "There is no run nothing"),
        (["space", "nothing"], 3, "there is no space 'nothing'"),
        (["space", "\udcff"], 3, "there is no name"),
        (["memories", "--limit", "0"], 2, "0"),
        (["memories", "\udcff"], 3, "there is no query"),
        (["mail"], 2, "missing argument 'RUN'"),
    ],
)
def test_a_mistake_is_told_in_one_sentence(talked: tuple[Shell, str], words: list[str], code: int, told: str) -> None:
    """A stable exit code and one line on stderr that says what to do."""
    done = talked[0].tui(*words)
    assert (done.code, done.out) == (code, "")
    assert told.lower() in done.err.lower()
    assert done.err.count("\n") == 1


def test_a_store_without_any_says_so(tmp_path: Path) -> None:
    """Where there is nothing yet a note says so, and JSON is an empty list."""
    shell = Shell(tmp_path)
    shell.run_of("flow:fine")
    assert shell.tui("space").err == "no spaces yet\n"
    assert shell.tui("memories").err == "no memories yet\n"
    assert shell.tui("mail", "last").err.startswith("no messages of run ")
    assert shell.tui("mail", "last", "--json").data == shell.tui("space", "--json").data == []
