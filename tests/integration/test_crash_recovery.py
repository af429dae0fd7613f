"""A driver killed by SIGKILL after any event, and the run resumed in a new process: the same end, and nothing recorded done twice.

The witness is a side file that every effect appends a line to. Here a spread of events; `-m torture` tries every one.
"""

import json
import os
import random
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.crashing import ROOT

SMALL, SIXTY = "tests.pipelines.crashing:small", "tests.pipelines.crashing:sixty"
NESTED = "tests.pipelines.crashing:nested"
FULL, UNDONE = "tests.pipelines.crashing:full", "tests.pipelines.crashing:undone"
ONCE_ONLY = ("pays 1 pay", "posts 1 body", "each[0] 1 item")


def stories(
    target: str, folder: Path, deaths: list[list[int]], *, exact: bool = True, params: dict[str, Any] | None = None
) -> list[dict[str, Any]]:
    """Live through each list of deaths in a process that forks the drivers; the first story has none."""
    how = {"CRASH": "exact" if exact else "commit", "CRASH_PARAMS": json.dumps(params or {})}
    environment = {**os.environ, **how, "PYTHONPATH": str(ROOT)}
    words = [",".join(map(str, versions)) for versions in [[], *deaths]]
    done = subprocess.run(
        [sys.executable, "-m", "tests.crashing", target, str(folder), *words],
        env=environment, capture_output=True, text=True, check=False, cwd=ROOT,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert all(story["code"] == 0 for story in told), ([story["deaths"] for story in told if story["code"]], done.stderr)
    return told


def fixed(story: dict[str, Any]) -> dict[str, Any]:
    """The outputs that are the same in every run; the simulated answer hangs on the run's seed."""
    return {name: output for name, output in story["end"]["outputs"].items() if name != "judge"}


def judge_story(story: dict[str, Any], whole: dict[str, Any], *, exact: bool = True) -> None:
    """Hold one story to the promises."""
    about = f"killed at {story['deaths']}"
    assert story["end"]["status"] == whole["end"]["status"], (about, story["end"])
    assert fixed(story) == fixed(whole), about
    last = story["last"]
    assert last["gapless"], about
    for number, crash in enumerate(story["crashes"]):
        lives = len(story["crashes"]) - number
        if crash["code"] == 0:  # the run had ended before that event came
            continue
        assert crash["code"] == -9, about
        assert crash["gapless"], about
        assert crash["head"] == crash["version"] if exact else crash["head"] >= crash["version"], about
        later = Counter(last["touched"])
        later.subtract(crash["touched"])
        for name, count in later.items():
            step = name.split()[0]
            settled = crash["settled"].get(name, 0)
            known = max(last["requested"].get(name, 0), last["settled"].get(name, 0))
            if not known and not settled:  # asked in a life between that died before even its request was durable
                known = 1
            assert count <= (known - settled) * lives, f"{about}: {name} was done {count} times more after the crash"
            assert not count or step not in crash["done"], f"{about}: {name} was done again, its step had completed"
    once = {name: count for name, count in last["touched"].items() if once_only(name)}
    assert len(once) == len([name for name in whole["last"]["touched"] if once_only(name)]), about
    assert set(once.values()) <= {1}, f"{about}: {once}"


def once_only(name: str) -> bool:
    """Whether it must happen once in each run, a child run's among them."""
    return name.rpartition("/")[2] in ONCE_ONLY


def spread(head: int, count: int) -> list[int]:
    """So many events, evenly from the first to the last."""
    return sorted({1, head, *(round(1 + number * (head - 1) / (count - 1)) for number in range(count))})


def try_all(target: str, folder: Path, deaths: list[list[int]], *, exact: bool = True) -> list[dict[str, Any]]:
    """Live through and judge; returns the stories."""
    whole, *told = stories(target, folder, deaths, exact=exact)
    assert whole["end"]["status"] == ("failed" if target == UNDONE else "completed"), whole
    assert len(told) == len(deaths)
    for story in told:
        judge_story(story, whole, exact=exact)
    return told


def head_of(target: str, folder: Path) -> int:
    """How many events the run has when nothing kills it."""
    return int(stories(target, folder, [])[0]["last"]["head"])


def test_killed_across_a_small_run_it_goes_on(tmp_path: Path) -> None:
    """Gathered, equal, raced, sync, irreversible, flaky and goal steps: killed at events all over it, nothing later durable."""
    head = head_of(SMALL, tmp_path / "whole")
    told = try_all(SMALL, tmp_path / "each", [[version] for version in spread(head, 18)])
    assert any(story["end"]["doubts"] for story in told)


def test_killed_across_a_run_and_its_child_runs_it_goes_on(tmp_path: Path) -> None:
    """Children of steps and bodies, two calls deep: killed at events of all of them, each resumed through its caller."""
    head = head_of(NESTED, tmp_path / "whole")
    told = try_all(NESTED, tmp_path / "each", [[version] for version in spread(head, 14)])
    assert any(story["end"]["doubts"] for story in told)


def test_killed_after_a_commit_it_goes_on(tmp_path: Path) -> None:
    """The same right after the commit that holds the event, as a real crash would leave it."""
    head = head_of(SMALL, tmp_path / "whole")
    try_all(SMALL, tmp_path / "each", [[version] for version in spread(head, 8)], exact=False)


def test_killed_again_and_again_it_goes_on(tmp_path: Path) -> None:
    """Three drivers die one after another, each a little further on; the fourth finishes."""
    drawn = random.Random(4)
    deaths = [sorted(drawn.sample(range(2, 130), 3)) for _ in range(6)]
    try_all(SMALL, tmp_path / "each", deaths)


def try_the_demo(folder: Path, judge: bool, count: int | None) -> None:
    """Kill the bundled report over a small tree of real files at so many events (None: at each)."""
    tree = folder / "tree"
    tree.mkdir()
    for number in range(4):
        (tree / f"module{number}.py").write_text(f"def f():  # TODO: {number}\n    return {number}\n")
    (tree / "pyproject.toml").write_text('[project]\nname = "x"\ndependencies = ["click>=8"]\n')
    params = {"root": str(tree), "judge": judge}
    head = int(stories("demo", folder / "whole", [], params=params)[0]["last"]["head"])
    deaths = [[version] for version in (range(1, head + 2) if count is None else spread(head, count))]
    whole, *told = stories("demo", folder / "each", deaths, params=params)
    assert len(told) == len(deaths)
    for story in told:
        judge_story(story, whole)
        assert set(story["end"]["outputs"]) == set(whole["end"]["outputs"])
        assert judge or story["end"]["artifacts"] == whole["end"]["artifacts"]


def test_the_demo_killed_goes_on(tmp_path: Path) -> None:
    """The bundled report, killed at events all over it: every step's output and the report are the same."""
    try_the_demo(tmp_path, judge=False, count=7)


@pytest.mark.torture
@pytest.mark.parametrize("judge", [True, False], ids=["judged", "plain"])
def test_the_demo_killed_at_every_event_goes_on(tmp_path: Path, judge: bool) -> None:
    """The same at every event index, with and without the judging step."""
    try_the_demo(tmp_path, judge, None)


def test_killed_across_sixty_steps_it_goes_on(tmp_path: Path) -> None:
    """A generated graph of sixty steps with retries and concurrency, killed at events all over it."""
    head = head_of(SIXTY, tmp_path / "whole")
    try_all(SIXTY, tmp_path / "each", [[version] for version in spread(head, 7)])


def test_killed_across_every_kind_of_step_it_goes_on(tmp_path: Path) -> None:
    """Groups, a loop, a switch, stand-ins, joins, typed dependencies and a step added at run time, killed at events all over it."""
    head = head_of(FULL, tmp_path / "whole")
    try_all(FULL, tmp_path / "each", [[version] for version in spread(head, 14)])


def test_killed_while_it_undoes_what_it_did_it_goes_on(tmp_path: Path) -> None:
    """A failed run whose compensations are killed at events all over it undoes each step, last first, and stays failed."""
    head = head_of(UNDONE, tmp_path / "whole")
    told = try_all(UNDONE, tmp_path / "each", [[version] for version in spread(head, 8)])
    assert all(story["last"]["done"][-2:] == ["second/compensate", "first/compensate"] for story in told)


@pytest.mark.torture
@pytest.mark.parametrize("exact", [True, False], ids=["exact", "commit"])
@pytest.mark.parametrize("target", [SMALL, SIXTY, NESTED, FULL, UNDONE], ids=["small", "sixty", "nested", "full", "undone"])
def test_killed_at_every_event(target: str, exact: bool, tmp_path: Path) -> None:
    """Every event index of the run, and some beyond (runs differ in length by what wins a race)."""
    head = head_of(target, tmp_path / "whole")
    try_all(target, tmp_path / "each", [[version] for version in range(1, head + 6)], exact=exact)


@pytest.mark.torture
def test_killed_at_many_pairs_and_triples(tmp_path: Path) -> None:
    """Two and three deaths at drawn events, two hundred times."""
    drawn = random.Random(11)
    deaths = [sorted(drawn.sample(range(1, 140), drawn.choice([2, 3]))) for _ in range(200)]
    try_all(SMALL, tmp_path / "each", deaths)
