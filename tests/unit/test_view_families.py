"""Groups, their children and compensations: what they add up to, which lines the tree has, and what waits for a person."""

from __future__ import annotations

import re

import msgspec
import pytest

from engine import Pipeline
from store.events import RunCompensating, RunFailed, StepAdded, StepCompleted, StepStarted
from store.projector import project
from store.state import Breaker, RunState, owner_of
from tagent_tui.rows import cells
from tagent_tui.text import strange
from tagent_tui.view import waits
from tagent_tui.view.asking import waits_of
from tagent_tui.view.card import Asked, Card, rows, value_of
from tagent_tui.view.clock import time_of_day
from tagent_tui.view.detail import Subject
from tagent_tui.view.document import Content
from tagent_tui.view.families import Families, roots, short_name
from tagent_tui.view.outline import read_outline, unmet
from tagent_tui.view.scene import Scene, look
from tagent_tui.view.steps import step_row
from tagent_tui.view.treelines import StepLines
from tests.acceptance.asking_runs import deploying, used_up
from tests.acceptance.made_runs import HOSTILE, Made, in_doubt


def seen(made: Made) -> Scene:
    """A look at a made run while it is driven."""
    state = project(made.events)
    return look(state, read_outline(made.blobs[state.definition]), alive=True, now=made.at)


def text(row: object) -> str:
    """A row's left part as text."""
    return "".join(seg.text for seg in row.left)  # type: ignore[attr-defined]


def listed(lines: StepLines) -> list[Subject]:
    """All lines."""
    return [subject for index in range(lines.count()) if (subject := lines.subject(index)) is not None]


def test_children_are_not_counted_as_steps_of_the_run() -> None:
    """Nine steps are nine, however many children two of them have."""
    state = project(deploying(1000).events)
    assert (state.total, len(state.steps)) == (9, 1011)
    assert state.settled == 2
    assert roots(state) == [name for name in state.steps if "[" not in name]


def test_a_family_adds_up_once_a_version() -> None:
    """Done, under way and to come; the same version is not counted again, the next one is."""
    made = deploying(142)
    state, families = project(made.events), Families()
    family = families.of(state, "pages")
    assert (family.count, len(family.done), family.failed, family.waiting, len(family.to_go)) == (142, 107, 2, 1, 30)
    assert families.of(state, "pages") is family
    made.add(StepCompleted(), "pages[10]", 1)
    project(made.events[-1:], state)
    assert len(families.of(state, "pages").done) == 108


def test_long_groups_fold_into_parts_and_short_ones_do_not() -> None:
    """Of 142 children the done ones are one line; of 4 each has its own."""
    lines = StepLines()
    lines.look(seen(deploying(142)))
    assert Subject("pages", None, "done") in listed(lines)
    assert Subject("pages[0]") not in listed(lines)
    assert Subject("pages[3]") in listed(lines)
    lines.open(Subject("pages", None, "done"), True)
    assert Subject("pages[0]") in listed(lines)
    short = StepLines()
    short.look(seen(deploying(4)))
    assert [subject.step for subject in listed(short)][1:6] == ["pages", "pages[0]", "pages[1]", "pages[2]", "pages[3]"]


def test_a_child_that_is_not_shown_is_found_where_it_is_folded() -> None:
    """The line of a folded child is its group's, and folding is remembered."""
    lines = StepLines()
    lines.look(seen(deploying(142)))
    assert lines.index(Subject("pages[0]")) == lines.index(Subject("pages"))
    lines.open(Subject("pages"), False)
    assert lines.index(Subject("pages[3]")) == lines.index(Subject("pages"))
    assert lines.above(Subject("pages[3]")) == Subject("pages")
    assert lines.above(Subject("pages")) is None


def test_a_compensation_stands_below_its_step() -> None:
    """While a run is undone, `compensate` is nested under what it undoes, and is no step of the run."""
    made = deploying(4)
    made.add(RunCompensating(["plan/compensate"], "publish failed"))
    made.add(StepStarted(), "plan/compensate", 1)
    scene = seen(made)
    lines = StepLines()
    lines.look(scene)
    assert listed(lines)[:2] == [Subject("plan"), Subject("plan/compensate")]
    assert text(step_row(scene, "plan/compensate", 60)).startswith("    ● compensate")
    assert scene.state.total == 9


def test_an_added_step_has_its_place_and_its_needs() -> None:
    """A step added at run time is in the tree, and who now depends on it says so."""
    made = deploying(4)
    added = StepAdded("extra", '{"name":"extra","run":"m:extra","depends_on":[{"step":"polish"}]}', before=["publish"])
    made.add(added, "polish[1]", 1)
    state = project(made.events)
    outline = read_outline(made.blobs[state.definition], [added])
    assert unmet(state, outline, "extra") == ["polish"]
    assert unmet(state, outline, "publish") == ["score", "deploy", "extra"]
    assert "extra" in roots(state)


@pytest.mark.parametrize(("path", "said"), [("each[12]", "#12"), ("pay/compensate", "compensate"), ("plain", "plain")])
def test_nested_steps_have_short_names(path: str, said: str) -> None:
    """Below its own step, a step needs no full path."""
    assert short_name(path) == said


@pytest.mark.parametrize(
    ("path", "owner"),
    [
        ("each[3]", "each"),
        ("pay/compensate", "pay"),
        ("plain", None),
        ("", None),
        ("[/x]", None),
        ("[3]", None),
        ("x]", None),
        ("x[y]", None),
    ],
)
def test_only_children_and_compensations_have_an_owner(path: str, owner: str | None) -> None:
    """A damaged log may hold any name; one that only looks like a child's belongs to nobody."""
    assert owner_of(path) == owner


def test_a_join_is_met_by_as_many_as_it_wants() -> None:
    """`score` wants two of three: with two there it needs nothing more."""
    made = deploying(4)
    scene = seen(made)
    assert "needs 2 of pages, polish, ask" in text(step_row(scene, "score", 100))
    for path in ("pages", "polish"):
        made.add(StepCompleted(), path, 1)
    assert unmet(project(made.events), scene.outline, "score") == []


def test_what_waits_is_in_the_order_it_came_up() -> None:
    """Questions, approvals and doubts are one queue; nothing waits in a run that ended."""
    made = deploying(4)
    assert [(wait.kind, wait.step) for wait in waits_of(project(made.events))] == [("question", "ask"), ("approval", "deploy")]
    assert [wait.kind for wait in waits_of(project(in_doubt().events))] == ["doubt"]
    made.add(RunFailed("no"))
    assert waits_of(project(made.events)) == []
    assert waits_of(RunState()) == []


def test_the_block_below_the_tree_says_what_is_waited_for() -> None:
    """Approvals and questions come first, a used-up budget says how much it was."""
    said = [text(row) for row in waits.rows(seen(deploying(4)))]
    assert said[0].startswith("◆ ask  asks: Which register")
    assert said[1].startswith("◆ deploy  wants to run: I need a clean folder")
    assert "the budget of $0.50 is used up  b raises it" in text(waits.rows(seen(used_up()))[0])


@pytest.mark.parametrize("width", [8, 20, 40, 61, 120])
@pytest.mark.parametrize("hostile", HOSTILE)
def test_a_card_shows_hostile_texts_whole_and_safe(hostile: str, width: int) -> None:
    """Nothing of a text is left out or acts on the terminal, at any width."""
    scene = seen(deploying(4))
    for wait in waits_of(scene.state):
        asked = Asked(wait._replace(text=hostile), [("plan", Content(hostile, len(hostile)))], hostile, [hostile])
        for row in rows(Card(scene, asked, 1, 2), width):
            assert all(char >= " " for char in text(row))
        shown = [row for row in rows(Card(scene, asked, 1, 2), width) if row.tint is not None]
        assert all(cells(row.left) <= max(width, 12) for row in shown)


@pytest.mark.parametrize(
    ("given", "hidden", "codes"),
    [
        ("plain\ttext\n", 0, ()),
        ("a\x1b[31m", 1, ()),
        ("\u202etxt\u202c", 2, ("U+202E", "U+202C")),
        ("zero\u200bwidth", 1, ()),
        ("漢字", 0, ()),
    ],
)
def test_what_one_would_not_see_is_counted(given: str, hidden: int, codes: tuple[str, ...]) -> None:
    """Named characters are counted, and those that change the reading order told by their code."""
    found = strange(given)
    assert (found.hidden, found.reordering) == (hidden, codes)


@pytest.mark.parametrize(
    ("typed", "choices", "value"),
    [
        ("2", ["DE", "FR"], "FR"),
        ("FR", ["DE", "FR"], "FR"),
        ("2", [2, 3], 2),
        ("1", ["2", "1"], "1"),
        ("3", [2, 1], ValueError),
        ('{"a": 1}', (), {"a": 1}),
        ("plain words", (), "plain words"),
        ("12", (), 12),
    ],
)
def test_an_answer_is_a_choice_or_json_or_text(typed: str, choices: list[object], value: object) -> None:
    """What is a choice means that, else a number that in the list; without choices JSON is read, and text is text."""
    if value is ValueError:
        with pytest.raises(ValueError, match="type a number from 1 to 2"):
            value_of(typed, choices)
    else:
        assert value_of(typed, choices) == value


def test_an_answer_that_is_no_choice_is_refused() -> None:
    """What is none of the choices is not sent."""
    with pytest.raises(ValueError, match="from 1 to 2"):
        value_of("3", ["DE", "FR"])


def test_a_model_that_is_left_alone_says_until_when() -> None:
    """Counted while it is asked all the same, then left alone until a time, then tried by one call."""
    made = deploying(142)
    definition = msgspec.json.decode(made.blobs[project(made.events).definition])
    outline = read_outline(msgspec.json.encode({**definition, "breaker": {"failures": 3, "seconds": 60.0}}))
    said = []
    for failures, later in ((1, 0.0), (2, 0.0), (3, 10.0), (3, 70.0)):
        state = project(made.events)
        state.breakers = {"model gpt-4.1": Breaker(failures, made.at)}
        rows_ = waits.rows(look(state, outline, alive=True, now=made.at + later), 9)
        said.append(
            next((f"{text(row)}|{''.join(seg.text for seg in row.right)}" for row in rows_ if "gpt-4.1" in text(row)), None)
        )
    until = time_of_day(made.at + 60.0)
    assert said == [
        None,
        "◇ model gpt-4.1  failed 2 times in a row|",
        f"✗ model gpt-4.1  failed 3 times in a row| left alone until {until}",
        "◇ model gpt-4.1  failed 3 times in a row; one call tries it|",
    ]


def test_a_branch_knows_who_chooses_it() -> None:
    """As the definition is written, cases in their order; what is damaged there is passed over."""
    made = Pipeline("p").step("a", run=len, switch={"c": "output > 1", "b": "otherwise"}).step("b", run=len).step("c", run=len)
    text_of = made.plain().to_json()
    outline = read_outline(text_of)
    assert [outline.step(name).route for name in "abc"] == ["", "a", "a"]
    for damaged in (b"3", b"[3]", b"[[]]", b"[[[1], 2]]", b"null"):
        assert read_outline(re.sub(rb'"switch":\[.*?\]\]', b'"switch":' + damaged, text_of)).step("b").route == ""
