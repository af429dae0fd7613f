"""Places of a run: a word in, the version it means out. Whatever takes `--at`, and the prompt of a replay, asks here.

Stands apart so that a place is said in the same words everywhere. Reads only; nothing of a run is executed to find a place in it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Container, Sequence
from datetime import datetime, time, timedelta

from engine.errors import CheckpointNotFoundError, NoSuchStepError, PlaceError, suggestion
from store import Log
from store.errors import VersionRangeError
from store.events import (
    CheckpointMade,
    EditApplied,
    Recorded,
    RunId,
    StepCancelled,
    StepCompleted,
    StepFailed,
    StepRefused,
    StepReused,
    StepSkipped,
    StepStarted,
)

SAY = "an event's number, a checkpoint, STEP:start, STEP:end, before:STEP, after:STEP, a time as 14:03:22 or +90s, or end"
"""What can be said."""

ENDS = frozenset(cls.type for cls in (StepCompleted, StepFailed, StepRefused, StepSkipped, StepCancelled, StepReused, EditApplied))

_NUMBER = re.compile(r"[+-]?\d{1,15}")
_ELAPSED = re.compile(r"\+(\d{1,9}(?:\.\d{1,6})?)(ms|s|m|h)")
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_CLOCK = re.compile(r"(\d{1,2}):(\d{2})(?::(\d{2})(?:\.(\d{1,6}))?)?")
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}[T ]\d{2}:.+")
_BOUNDARY = re.compile(r"(?P<side>before|after):(?P<step>.+)|(?P<path>.+):(?P<edge>start|end)")
_NUMBERED = re.compile(r"(.+)#([1-9]\d{0,8})")
"""`NAME#2`: the second that was made with this name."""


async def version_at(log: Log, run: RunId, word: int | str, *, here: int | None = None) -> int:
    """The version that a place means; what it can be is said by `SAY`. A time is that of the last event by then.

    Of a step its latest attempt counts, of a name the newest checkpoint (`NAME#2`: the second one). `here` is where somebody stands
    who moves: then `+10` and `-3` are from there, and beyond the ends are the ends. Raises `PlaceError`, `CheckpointNotFoundError`,
    `NoSuchStepError`, `VersionRangeError`.
    """
    text, head = str(word).strip(), await log.head(run)
    if text in ("end", "$"):
        return head
    if (version := number(text, here, head)) is not None:
        if 0 <= version <= head:
            return version
        raise VersionRangeError(f"Run {run} has versions 1 to {head}; {version} is not one of them.")
    if (version := await _at_time(log, run, text, head)) is not None:
        if version or here is not None:
            return max(version, 1)
        raise PlaceError(f"Run {run} had not begun at {text}; say {SAY}.")
    if (boundary := _BOUNDARY.fullmatch(text)) is not None:
        return await _at_boundary(log, run, boundary)
    return await _at_checkpoint(log, run, text)


async def span(log: Log, run: RunId, since: int | str | None, until: int | str | None) -> tuple[int, int | None]:
    """The versions between two places: after the first, up to the second. What is at either is between them.

    A time that is said in whole seconds begins with its second and ends with it.
    """
    after, upto = 0, None if until is None else await version_at(log, run, until)
    if since is not None:
        text, head = str(since).strip(), await log.head(run)
        before = await _at_time(log, run, text, head, begin=True)
        after = before if before is not None else max(await version_at(log, run, since) - 1, 0)
    return after, upto


def number(text: str, here: int | None, head: int) -> int | None:
    """`204`, `96,310`, and from `here` also `+10` and `-3`, within the run then; None if it is none of these."""
    word = text.strip().replace(",", "").replace("_", "")
    if not _NUMBER.fullmatch(word) or (here is None and word[0] in "+-"):
        return None
    if here is None:
        return int(word)
    return min(max(here + int(word) if word[0] in "+-" else int(word), 1), head)


def moment(text: str, start: float, end: float, *, begin: bool = False) -> float | None:
    """A time as unix seconds: `HH:MM[:SS[.fff]]`, ISO 8601, or `+90s` (`ms`, `m`, `h`) after the start; None if it is none.

    A bare time of day is local, on the run's first day, or on the next if it was before the start. Without a fraction it is the
    end of that second, so that everything that happened in it is behind; with `begin` its beginning.
    """
    rest = 0.0 if begin else 0.999999
    word = text.strip()
    if (elapsed := _ELAPSED.fullmatch(word)) is not None:
        return start + float(elapsed[1]) * _UNITS[elapsed[2]]
    if _DATE.fullmatch(word):
        try:
            at = datetime.fromisoformat(word)
        except ValueError:
            return None
        return at.timestamp() + (0.0 if at.microsecond else rest)
    found = _CLOCK.fullmatch(word)
    return None if found is None else _today(found, start, end, rest)


def _today(found: re.Match[str], start: float, end: float, rest: float) -> float | None:
    hours, minutes, seconds, fraction = (found.group(i) or "0" for i in range(1, 5))
    if int(hours) > 23 or int(minutes) > 59 or int(seconds) > 59:
        return None
    began = datetime.fromtimestamp(start)
    at = datetime.combine(began.date(), time(int(hours), int(minutes), int(seconds), int(fraction.ljust(6, "0"))))
    if at < began.replace(microsecond=0) and at + timedelta(days=1) <= datetime.fromtimestamp(end):
        at += timedelta(days=1)
    return at.timestamp() + (rest if found.group(4) is None else 0.0)


async def _at_time(log: Log, run: RunId, text: str, head: int, *, begin: bool = False) -> int | None:
    """The last version at a time (with `begin` before it), 0 before the run began; None if the text is no time."""
    if moment(text, 0.0, 0.0) is None:
        return None
    first, last = await log.events(run, upto=1), await log.events(run, after=head - 1)
    at = moment(text, first[0].at, last[-1].at, begin=begin)
    return None if at is None else await log.locate(run, at=math.nextafter(at, -math.inf) if begin else at)


async def _at_boundary(log: Log, run: RunId, boundary: re.Match[str]) -> int:
    step = boundary["step"] or boundary["path"]
    found = await log.events(run, step=step, types={StepStarted.type, *ENDS})
    if not found and step not in (known := (await log.state(run)).steps):
        raise NoSuchStepError(f"Run {run} has no step {step!r}{suggestion(step, list(known)) or '; show lists them.'}")
    started = max((one.version for one in found if type(one.event) is StepStarted), default=0)
    ended = max((one.version for one in found if _ends(one)), default=0)
    if "before" in (boundary["side"], boundary["edge"]) or boundary["edge"] == "start":
        if boundary["side"] and (started or ended):
            return (started or ended) - 1
        if started:
            return started
        raise PlaceError(f"The step {step!r} of run {run} {'never' if ended else 'has not'} started; say another place.")
    if ended > started:
        return ended
    since = f", it started at event {started}" if started else ""
    raise PlaceError(f"The step {step!r} of run {run} has not ended{since}; say another place.")


def _ends(one: Recorded) -> bool:
    """Whether an event of a step settles it: an edit does where it gave it an output."""
    if isinstance(one.event, EditApplied):
        return one.event.output is not None
    return one.event.type in ENDS


async def _at_checkpoint(log: Log, run: RunId, text: str) -> int:
    name = text.removeprefix("@")
    numbered = _NUMBERED.fullmatch(name)
    wanted, count = (numbered[1], int(numbered[2])) if numbered else (name, 0)
    made = await log.events(run, types={CheckpointMade.type})
    versions = [one.version for one in made if one.event.name == wanted]
    if versions and count <= len(versions):
        return versions[count - 1]
    if versions:
        raise CheckpointNotFoundError(
            f"Run {run} made the checkpoint {wanted!r} {_times(len(versions))}, not {count} times; give a lower number."
        )
    if not re.match(r"[^\W\d]", wanted):
        raise PlaceError(f"{text!r} is no place of a run; say {SAY}.")
    steps = (await log.state(run)).steps
    raise CheckpointNotFoundError(f"Run {run} has no checkpoint {wanted!r}{_instead(wanted, [e.event.name for e in made], steps)}")


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def _instead(wanted: str, names: Sequence[str], steps: Container[str]) -> str:
    """What was probably meant, or what there is."""
    if wanted in steps:
        return f"; for the step say {wanted}:start or {wanted}:end."
    known = list(dict.fromkeys(names))
    if near := suggestion(wanted, known):
        return near
    return f"; it has {', '.join(known[-5:])}." if known else f"; say {SAY}."
