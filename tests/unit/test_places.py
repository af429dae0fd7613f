"""Words for places of a run: numbers, times, and what is found in a log by value."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from engine import CheckpointNotFoundError, EngineError
from engine.errors import NoSuchStepError, PlaceError
from engine.replay.places import moment, number, version_at
from engine.replay.view import view
from store import Log
from store.errors import StoreError, VersionRangeError
from store.events import (
    CheckpointMade,
    EditApplied,
    Event,
    Failure,
    Payload,
    Recorded,
    RunAttached,
    RunId,
    StepCompleted,
    StepFailed,
    StepRetryScheduled,
    StepSkipped,
    StepStarted,
)
from tests.stores import ME, branch, lead

RUN = RunId("run")
START = 1_760_050_000.0
"""22:46:40 UTC."""

EVENTS: list[tuple[float, Event, str | None, int]] = [
    (1, RunAttached(1, 1.0), None, 0),  # 2
    (2, StepStarted(), "a", 1),  # 3
    (3, CheckpointMade("draft"), "a", 1),  # 4
    (4, StepFailed(Failure("error", "no")), "a", 1),  # 5
    (5, StepRetryScheduled(0.0), "a", 1),  # 6
    (10, StepStarted(), "a", 2),  # 7
    (20, CheckpointMade("draft"), "a", 2),  # 8
    (30, StepCompleted(), "a", 2),  # 9
    (40, CheckpointMade("end"), None, 0),  # 10
    (50, StepSkipped("no"), "b", 0),  # 11
    (60, StepStarted(), "c", 1),  # 12
]


@pytest.fixture
async def log(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Log]:
    """A store with a run of the events above; step d has not begun."""
    import time

    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    async with await Log.open(":memory:") as log:
        lease = await lead(log, steps=["a", "b", "c", "d"], at=START)
        batch = [Recorded(place, START + at, event, step, n) for place, (at, event, step, n) in enumerate(EVENTS, 2)]
        lease.append(batch)
        await lease.flush()
        yield log


@pytest.mark.parametrize(
    ("word", "version"),
    [
        (5, 5),
        (0, 0),
        ("12", 12),
        (" 1_0 ", 10),
        ("end", 12),
        ("$", 12),
        ("@end", 10),
        ("draft", 8),
        ("@draft", 8),
        ("draft#1", 4),
        ("@draft#2", 8),
        ("a:start", 7),
        ("before:a", 6),
        ("a:end", 9),
        ("after:a", 9),
        ("b:end", 11),
        ("before:b", 10),
        ("c:start", 12),
        ("+10s", 7),
        ("+9.5s", 6),
        ("+500ms", 1),
        ("+1m", 12),
        ("+1h", 12),
        ("22:46:50", 7),
        ("22:47", 7 + 1),
        ("22:46:49.9", 6),
        ("23:59", 12),
        ("2025-10-09T22:46:43", 4),
        ("2025-10-09 22:46:43+00:00", 4),
        ("2025-10-10T00:46:43+02:00", 4),
    ],
)
async def test_what_a_word_means(log: Log, word: int | str, version: int) -> None:
    """Each form leads to its version; the latest attempt and the newest checkpoint count; a whole second is over."""
    assert await version_at(log, RUN, word) == version


@pytest.mark.parametrize(
    ("word", "kind", "said"),
    [
        (13, VersionRangeError, "Run run has versions 1 to 12; 13 is not one of them."),
        ("99", VersionRangeError, "99 is not one of them"),
        ("-1", PlaceError, "'-1' is no place of a run; say an event's number, a checkpoint, STEP:start"),
        ("+5", PlaceError, "'+5' is no place"),
        ("", PlaceError, "'' is no place"),
        ("@", PlaceError, "'@' is no place"),
        ("24:00", PlaceError, "'24:00' is no place"),
        ("2025-13-09T22:46:43", PlaceError, "is no place"),
        ("2020-01-01T00:00:00", PlaceError, "Run run had not begun at 2020-01-01T00:00:00; say an event's number"),
        ("10:00", PlaceError, "Run run had not begun at 10:00"),
        ("drfat", CheckpointNotFoundError, "Run run has no checkpoint 'drfat'; did you mean 'draft'?"),
        ("other", CheckpointNotFoundError, "Run run has no checkpoint 'other'; it has draft, end."),
        ("draft#3", CheckpointNotFoundError, "made the checkpoint 'draft' 2 times, not 3 times; give a lower number."),
        ("@end#2", CheckpointNotFoundError, "made the checkpoint 'end' once, not 2 times"),
        ("a", CheckpointNotFoundError, "Run run has no checkpoint 'a'; for the step say a:start or a:end."),
        ("x:end", NoSuchStepError, "Run run has no step 'x'; show lists them."),
        ("before:aa", NoSuchStepError, "Run run has no step 'aa'; did you mean 'a'?"),
        ("c:end", PlaceError, "The step 'c' of run run has not ended, it started at event 12; say another place."),
        ("d:end", PlaceError, "The step 'd' of run run has not ended; say another place."),
        ("before:d", PlaceError, "The step 'd' of run run has not started; say another place."),
        ("b:start", PlaceError, "The step 'b' of run run never started; say another place."),
    ],
)
async def test_a_word_that_leads_nowhere_is_one_sentence(log: Log, word: int | str, kind: type[Exception], said: str) -> None:
    """What is wrong and what can be said instead."""
    with pytest.raises(kind, match=r".") as caught:
        await version_at(log, RUN, word)
    assert said in str(caught.value)
    assert str(caught.value)[-1] in ".?"
    assert "\n" not in str(caught.value)
    assert isinstance(caught.value, EngineError | StoreError)


@pytest.mark.parametrize(
    ("word", "version"),
    [("+3", 8), ("-2", 3), ("-90", 1), ("+90", 12), ("0", 1), ("9999", 12), ("10:00", 1), ("+10s", 7), ("draft", 8)],
)
async def test_from_where_somebody_stands(log: Log, word: str, version: int) -> None:
    """A playhead at 5 moves by distances and stops at the ends; everything else means the same."""
    assert await version_at(log, RUN, word, here=5) == version


async def test_an_edited_output_ends_a_step_and_other_edits_do_not(log: Log) -> None:
    """In a fork the edit is where the step completed; an edit of its goal is no end."""
    lease = await branch(log, "fork", "run", 9, 12, at=START + 90)
    await lease.release()
    lease = await log.acquire(RunId("fork"), driver=ME)
    edits = [EditApplied("a.output", output=Payload()), EditApplied("a.goal")]
    lease.append([Recorded(lease.head + 1 + n, START + 91, edit, "a", 2) for n, edit in enumerate(edits)])
    await lease.flush()
    assert await version_at(log, RunId("fork"), "a:end") == 11
    assert await version_at(log, RunId("fork"), "draft") == 8
    await lease.release()


async def test_a_view_takes_the_same_words(log: Log) -> None:
    """The state at a place is the fold up to it; without one it is now."""
    assert (await view(log, RUN, "draft#1")).version == 4
    assert (await view(log, RUN, 3)).steps["a"].status.word == "running"
    assert (await view(log, RUN)).version == 12


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("204", 204),
        (" 96,310 ", 300),
        ("+10", 60),
        ("-3", 47),
        ("-900", 1),
        ("0", 1),
        ("", None),
        ("12.5", None),
        ("x", None),
        ("1" * 30, None),
        ("10:12", None),
    ],
)
def test_where_numbers_lead(text: str, version: int | None) -> None:
    """A number or a distance from here, kept inside the run; without a here only a number."""
    assert number(text, 50, 300) == version


def test_where_times_lead(monkeypatch: pytest.MonkeyPatch) -> None:
    """A time is on the run's first day, or on the next when the run went past midnight; nonsense is refused."""
    import time

    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    assert moment("22:50:00", START, START + 9_000) == pytest.approx(START + 200, abs=1)
    assert moment("00:10", START, START + 9_000) == pytest.approx(START + 5_000, abs=1)
    assert moment("22:46:40.5", START, START + 9_000) == START + 0.5
    assert moment("+1.5m", START, START + 9_000) == START + 90
    for wrong in ("", "24:00", "10:60", "10:10:99", "ten", "1:2:3:4", "10-12", "+s", "+9", "90s", "2025-10-09", "2025-10-09T99:00"):
        assert moment(wrong, START, START + 9_000) is None
