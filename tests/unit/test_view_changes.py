"""What one event changed, and how a replay says it; wishes of which only the newest counts."""

from __future__ import annotations

import asyncio

from store.projector import evolve, project
from store.state import RunState, StepStatus
from tagent_tui.newest import Newest
from tagent_tui.rows import Ink, Row
from tagent_tui.view.changes import Change, changes, remember, status_changes
from tagent_tui.view.describe import Around
from tagent_tui.view.document import Para, content_of
from tagent_tui.view.happening import Happening, event
from tagent_tui.view.outline import NO_OUTLINE, read_outline
from tagent_tui.view.scene import look_back
from tests.acceptance.made_runs import Made, in_doubt, research


def at(made: Made, version: int) -> tuple[RunState, list[Change], dict[str, tuple[StepStatus, StepStatus]]]:
    """The state after an event of a made run, and what the event changed."""
    state = project(made.events[: version - 1])
    recorded = made.events[version - 1]
    before = remember(state, [recorded.step] if recorded.step else [])
    evolve(state, recorded)
    outline = read_outline(made.blobs[state.definition]) if state.definition else NO_OUTLINE
    return state, changes(before, state, outline), status_changes(before, state)


def said(change: Change) -> str:
    """A change as text."""
    return f"{change.where}: {''.join(s.text for s in change.before)} -> {''.join(s.text for s in change.after)}"


def version_of(made: Made, kind: str, step: str, nth: int = 0) -> int:
    """The version of the nth event of a type of a step."""
    return [one.version for one in made.events if one.event.type == kind and one.step == step][nth]


def test_a_failure_changes_a_status_and_totals() -> None:
    """The table leads with the status, in red where it failed, then the totals of the run."""
    made = research()
    _, found, statuses = at(made, version_of(made, "step.failed", "legal"))
    assert statuses == {"legal": (StepStatus.RUNNING, StepStatus.FAILED)}
    assert [said(change) for change in found] == [
        "legal: ● running -> ✗ failed",
        "run.running: 3 -> 2",
        "run.settled: 2 of 9 -> 3 of 9",
        "run.failures: 1 -> 2",
    ]
    assert found[0].after[1].ink is Ink.ERROR


def test_a_retry_says_attempt_and_due_time() -> None:
    """A second start says which attempt it is, of how many."""
    made = research()
    _, found, _ = at(made, version_of(made, "step.started", "legal", 1))
    assert "legal.attempt: 1 of 4 -> 2 of 4" in [said(change) for change in found]


def test_an_answer_changes_cost_and_tokens() -> None:
    """A model's answer moves the step's calls and cost and the run's totals, and no status."""
    made = research()
    _, found, statuses = at(made, version_of(made, "effect.succeeded", "reviews"))
    lines = [said(change) for change in found]
    assert statuses == {}
    assert "reviews.model calls: 0 -> 1" in lines
    assert "run.tokens: 508 -> 4,900" in lines
    assert "run.in flight: 2 -> 1" in lines or "run.in flight: 1 -> 0" in lines


def test_the_first_event_changes_the_run() -> None:
    """Before the first event there is an empty state to compare with."""
    made = research()
    _, found, _ = at(made, 1)
    assert [said(change) for change in found] == ["run.settled: 0 of 0 -> 0 of 9"]


def test_a_log_line_changes_nothing_but_its_count() -> None:
    """What is only written changes no status."""
    made = research()
    _, found, statuses = at(made, version_of(made, "log.written", "reviews"))
    assert [said(change) for change in found] == ["run.logs: 7 -> 8"]
    assert statuses == {}


def test_the_event_tab_leads_with_type_cause_and_table() -> None:
    """Type, number and class first, then the cause with the time before, then before and after."""
    made = research()
    version = version_of(made, "effect.succeeded", "pages")
    state, found, statuses = at(made, version)
    recorded = made.events[version - 1]
    scene = look_back(state, NO_OUTLINE, changed=statuses)
    content = content_of(b'{"page": 0}')
    happening = Happening(recorded, made.events[version - 2], [], found, content)
    parts = event(scene, happening, Around(lambda v: made.events[v - 1]))
    lines = ["".join(seg.text for seg in part.left) if isinstance(part, Row) else part.lines[0].text for part in parts]
    assert lines[0].startswith(f"effect.succeeded   version {version}   seq 0   fact")
    assert lines[3].startswith(f"cause   {version - 1} effect.requested  1.2 s before  read_page")
    assert "What it changed" in lines
    assert lines[-1] == "{"
    assert any(isinstance(part, Para) and part.keys for part in parts)


def test_doubt_is_shown_as_decided() -> None:
    """A decision says that it is one, and an event that changes nothing says so."""
    made = in_doubt()
    state, found, statuses = at(made, len(made.events))
    parts = event(look_back(state, NO_OUTLINE), Happening(made.events[-1], None, [made.events[-1]], found))
    text = "\n".join("".join(seg.text for seg in part.left) for part in parts if isinstance(part, Row))
    assert "decision" in text
    assert "decided with it: 8 effect.in_doubt" in text
    assert statuses == {"charge": (StepStatus.RUNNING, StepStatus.IN_DOUBT)}
    quiet = event(look_back(state, NO_OUTLINE), Happening(made.events[1], None, [], []))
    assert any(
        isinstance(part, Row) and "It changed nothing" in part.left[0].text for part in quiet if isinstance(part, Row) and part.left
    )


async def test_only_the_newest_wish_is_granted() -> None:
    """A thousand wishes while one is granted become one more, the last."""
    granted: list[int] = []
    release = asyncio.Event()

    async def grant(wish: int) -> None:
        granted.append(wish)
        await release.wait()

    wishes: Newest[int] = Newest(grant, 0.0)
    runner = asyncio.create_task(wishes.run())
    wishes.want(0)
    while not granted:
        await asyncio.sleep(0)
    for number in range(1, 1_001):
        wishes.want(number)
    release.set()
    while len(granted) < 2:
        await asyncio.sleep(0)
    for _ in range(20):
        await asyncio.sleep(0)
    runner.cancel()
    assert granted == [0, 1_000]
    assert wishes.granted == 2
