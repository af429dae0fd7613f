"""Runs made from event values: rich ones to look at, hostile ones, and generators for very long ones.

Apart from the tests because screens, screenshots and budgets all need the same runs; `write` puts one into a real store.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from store import values
from store.blobs import chain
from store.events import (
    ArtifactMade,
    EffectFailed,
    EffectInDoubt,
    EffectRequested,
    EffectSucceeded,
    Event,
    Failure,
    LogWritten,
    Payload,
    Recorded,
    RunAttached,
    RunCompleted,
    RunCreated,
    RunFailed,
    RunId,
    Safety,
    StepCompleted,
    StepFailed,
    StepRetryScheduled,
    StepSkipped,
    StepStarted,
    Usage,
)
from store.lease import Lease
from store.locks import Driver
from store.log import Log
from store.projector import project
from store.runs import RunSummary
from store.state import RunState

BASE = 1_760_004_547.0
"""2025-10-09 10:09:07 UTC."""

RESEARCH = {
    "name": "company_research",
    "description": "Acme Robotics",
    "steps": [
        {"name": "plan", "goal": "Plan how to research Acme Robotics", "depends_on": []},
        {"name": "search", "run": "acme:search", "depends_on": [{"step": "plan"}]},
        {"name": "pages", "run": "acme:pages", "depends_on": [{"step": "search"}], "execution_mode": "concurrent"},
        {
            "name": "reviews",
            "goal": "Judge the reviews of Acme Robotics and say how far they can be trusted",
            "depends_on": [{"step": "search"}],
            "execution_mode": "concurrent",
        },
        {"name": "social", "run": "acme:social", "depends_on": [{"step": "search"}], "execution_mode": "concurrent"},
        {"name": "legal", "run": "acme:legal", "depends_on": [{"step": "search"}], "execution_mode": "concurrent"},
        {"name": "translate", "run": "acme:translate", "depends_on": [{"step": "legal"}], "execution_mode": "concurrent"},
        {"name": "score", "run": "acme:score", "depends_on": [{"step": "pages"}, {"step": "reviews"}, {"step": "social"}]},
        {"name": "report", "goal": "Write the report on Acme Robotics", "depends_on": [{"step": "score"}], "final": True},
    ],
}


class Made:
    """A run while it is made: its events in order, the contents they refer to, and a clock that only goes on."""

    def __init__(self, run: str, base: float = BASE) -> None:
        self.run = run
        self.events: list[Recorded] = []
        self.blobs: dict[str, bytes] = {}
        self.at = base

    @property
    def version(self) -> int:
        """The version of the last event."""
        return len(self.events)

    def add(self, event: Event, step: str | None = None, attempt: int = 0, *, after: float = 0.0, cause: int | None = None) -> int:
        """Append an event `after` seconds later; its version."""
        self.at += after
        self.events.append(Recorded(self.version + 1, self.at, event, step, attempt, cause))
        return self.version

    def pack(self, value: Any) -> Payload:
        """A value as a payload, its blob kept."""
        payload, blob = values.pack(value)
        if blob is not None and payload.blob is not None:
            self.blobs[payload.blob] = blob
        return payload

    def keep(self, content: bytes) -> str:
        """A content of its own, by its hash."""
        name = values.digest(content)
        self.blobs[name] = content
        return name

    def chain(self, messages: list[dict[str, Any]]) -> dict[str, Any]:
        """A conversation as the store keeps it; what stands in a request's arguments."""
        head, fresh = chain(messages)
        self.blobs.update(fresh)
        return {"chain": head, "count": len(messages)}

    def create(self, definition: dict[str, Any], **options: Any) -> None:
        """`run.created` for a definition, and the driver that takes it."""
        steps = definition["steps"]
        kinds = "".join("g" if step.get("goal") else "f" for step in steps)
        pinned = self.keep(values.encode(definition))
        names = [step["name"] for step in steps]
        self.add(RunCreated(definition["name"], pinned, names, kinds, definition.get("description", ""), **options))
        self.add(RunAttached(4121, BASE, "desk", 1), after=0.01)

    def ask(self, step: str, attempt: int, messages: list[dict[str, Any]], *, model: str = "gpt-4.1", after: float = 0.0) -> int:
        """A request to a model; the version of the request."""
        arguments = self.pack({"model": model, "params": {"temperature": 0.2}, "messages": self.chain(messages)})
        return self.add(
            EffectRequested("model", model, f"h{self.version}", Safety.IDEMPOTENT, arguments=arguments), step, attempt, after=after
        )

    def answer(self, request: int, step: str, attempt: int, text: str, tokens: tuple[int, int], **options: Any) -> int:
        """What a model answered."""
        cost = options.pop("cost", tokens[0] * 2e-6 + tokens[1] * 8e-6)
        simulated = options.pop("simulated", False)
        model = options.pop("model", "gpt-4.1")
        value = self.pack({"text": text, "value": None, "finish_reason": "stop"})
        usage = Usage(model, *tokens, cost=None if simulated else cost)
        return self.add(EffectSucceeded(request, value, usage, simulated), step, attempt, **options)

    def call(self, step: str, attempt: int, name: str, value: Any, *, took: float, safety: Safety = Safety.READ) -> int:
        """A recorded function call that came back."""
        request = self.add(
            EffectRequested("once", name, f"h{self.version}", safety, arguments=self.pack({"args": [name]})), step, attempt
        )
        return self.add(EffectSucceeded(request, self.pack(value)), step, attempt, after=took, cause=request)

    def fail(self, step: str, attempt: int, message: str, *, took: float, retry: float | None = None, **options: Any) -> None:
        """A failed attempt, and the retry it leads to."""
        detail = self.pack(
            f'Traceback (most recent call last):\n  File "acme.py", line 41, in {step}\n    raise Blocked()\n{message}\n'
        )
        failure = Failure(options.pop("kind", "error"), message, retry is not None, detail=detail)
        version = self.add(StepFailed(failure), step, attempt, after=took)
        if retry is not None:
            self.add(StepRetryScheduled(self.at + retry), step, attempt, cause=version)


def research(stage: str = "live", *, run: str = "7f3a19c2", simulated: bool = False, base: float = BASE) -> Made:
    """The run of the pictures, in nine steps. Stages: `live`, `completed`, `failed`."""
    made = Made(run, base)
    made.create(RESEARCH, params=made.pack({"company": "Acme Robotics"}), target="acme:pipeline")
    _planned(made, simulated)
    _searched(made)
    starts = {name: made.add(StepStarted(), name, 1, after=0.05) for name in ("pages", "reviews", "social", "legal")}
    _gathered(made, simulated, starts)
    if stage != "live":
        _finished(made, stage, simulated)
    return made


def _planned(made: Made, simulated: bool) -> None:
    made.add(StepStarted(), "plan", 1, after=0.05)
    asked = [
        {"role": "system", "content": "You plan research. Answer with a short numbered list.\nOne line each.\nNo preamble."},
        {"role": "user", "content": "Plan how to research Acme Robotics"},
    ]
    request = made.ask("plan", 1, asked)
    text = "1. Find their own pages.\n2. Find reviews and social posts.\n3. Check the registers.\n4. Score and report."
    made.answer(request, "plan", 1, text, (412, 96), after=12.2, simulated=simulated)
    made.add(StepCompleted(made.pack(text)), "plan", 1, after=0.1)


def _searched(made: Made) -> None:
    made.add(StepStarted(), "search", 1, after=0.02)
    made.add(LogWritten("8 queries, 142 links"), "search", 1, after=0.3)
    for number in range(8):
        made.call(
            "search", 1, f"web_search {number + 1}", [f"https://acme-robotics.example/{number}/{i}" for i in range(3)], took=4.7
        )
    links = {"links": [{"url": f"https://acme-robotics.example/page/{i}", "rank": i, "kind": "own"} for i in range(40)]}
    made.add(StepCompleted(made.pack(links)), "search", 1, after=0.1)


def _gathered(made: Made, simulated: bool, starts: dict[str, int]) -> None:
    for number in range(6):
        made.call("pages", 1, "read_page", {"page": number, "bytes": 4_200 + number}, took=1.2)
        made.add(LogWritten(f"read page {number + 1} of 12"), "pages", 1)
    made.fail("pages", 1, "HTTP 429 Too Many Requests", took=0.9, retry=2.0)
    made.fail("legal", 1, "HTTP 403 Forbidden: the register refuses robots", took=2.1, retry=2.0)
    made.call("social", 1, "search_posts", {"rows": 31}, took=1.3)
    made.add(StepStarted(), "pages", 2, after=0.4)
    made.add(StepStarted(), "legal", 2, after=0.3)
    made.fail("legal", 2, "HTTP 403 Forbidden: the register refuses robots", took=5.0, retry=4.0)
    made.call("social", 1, "count_followers", 12_400, took=2.2)
    made.add(StepCompleted(made.pack({"posts": 31, "tone": "friendly", "followers": 12_400})), "social", 1, after=0.2)
    asked = [
        {"role": "system", "content": "You judge sources for a company profile. Say what each source is good for."},
        {"role": "user", "content": "Judge the reviews of Acme Robotics.\n\n60 reviews, 41 of them with an order number."},
    ]
    first = made.ask("reviews", 1, asked)
    made.add(StepStarted(), "legal", 3, after=1.2)
    answered = "The reviews with an order number are consistent; 19 others were written within two days of each other."
    made.answer(first, "reviews", 1, answered, (4_180, 212), after=6.3, simulated=simulated)
    made.fail("legal", 3, "HTTP 403 Forbidden: the register refuses robots", took=0.7, retry=8.0)
    made.add(LogWritten("kept 41 of 60 reviews"), "reviews", 1, after=0.2)
    more = [
        *asked,
        {"role": "assistant", "content": answered},
        {"role": "user", "content": "Now answer as JSON, with a score from 0 to 5."},
    ]
    made.ask("reviews", 1, more, after=0.3)
    for number in range(3):
        made.call("pages", 2, "read_page", {"page": 7 + number, "bytes": 5_100}, took=0.9)
    made.add(StepStarted(), "legal", 4, after=4.0)
    made.fail("legal", 4, "HTTP 403 Forbidden: the register refuses robots", took=3.0)
    made.add(StepSkipped("its dependency legal failed", "legal"), "translate")
    made.add(EffectRequested("once", "read_page", f"h{made.version}", Safety.READ), "pages", 2, after=0.4)
    made.fail("pages", 2, "HTTP 429 Too Many Requests", took=0.8, retry=8.0)


def _finished(made: Made, stage: str, simulated: bool) -> None:
    made.add(StepStarted(), "pages", 3, after=8.0)
    made.call("pages", 3, "read_page", {"page": 10, "bytes": 5_100}, took=0.9)
    made.add(StepCompleted(made.pack({"pages": 12, "facts": [f"fact {i}" for i in range(60)]})), "pages", 3, after=3.2)
    request = next(r.version for r in reversed(made.events) if r.step == "reviews" and isinstance(r.event, EffectRequested))
    made.answer(request, "reviews", 1, '{"score": 3.8}', (4_420, 18), after=0.5, simulated=simulated)
    made.add(StepCompleted(made.pack({"score": 3.8, "kept": 41})), "reviews", 1, after=0.1)
    made.add(StepStarted(), "score", 1, after=0.01)
    made.add(StepCompleted(made.pack(3.9)), "score", 1, after=0.4)
    made.add(StepStarted(), "report", 1, after=0.01)
    request = made.ask("report", 1, [{"role": "user", "content": "Write the report on Acme Robotics"}])
    made.answer(request, "report", 1, "# Acme Robotics\n\nA maker of arms.\n", (6_200, 840), after=14.0, simulated=simulated)
    content = b"# Acme Robotics\n\nA maker of arms.\n"
    made.add(ArtifactMade("report.md", "text/markdown", Payload(len(content), blob=made.keep(content))), "report", 1, after=0.1)
    made.add(StepCompleted(made.pack(content.decode())), "report", 1, after=0.1)
    if stage == "completed":
        made.add(RunCompleted())
    else:
        made.add(RunFailed("1 step failed: legal", ["legal"]))


def in_doubt(run: str = "7d0b11aa", base: float = BASE) -> Made:
    """A payment was asked for and its driver died; nobody knows what became of it."""
    made = Made(run, base)
    names = ["cart", "charge", "receipt"]
    steps = [
        {"name": name, "run": f"shop:{name}", "depends_on": [{"step": n} for n in names[:i][-1:]]} for i, name in enumerate(names)
    ]
    made.create({"name": "checkout", "description": "One order", "steps": steps})
    made.add(StepStarted(), "cart", 1, after=0.1)
    made.add(StepCompleted(made.pack({"total": 41.5})), "cart", 1, after=0.4)
    made.add(StepStarted(), "charge", 1)
    request = made.add(
        EffectRequested("once", "charge_card", "h", Safety.IRREVERSIBLE, arguments=made.pack({"amount": 41.5})), "charge", 1
    )
    made.add(RunAttached(4200, BASE + 100, "desk", 2, "resume"), after=30.0)
    made.add(EffectInDoubt(request), "charge", 1)
    return made


HOSTILE = (
    "[/x]",
    "[@click=app.bell]press[/]",
    "[bold red]not markup",
    "\x1b[31mred\x1b]52;c;aGFjaw==\x07",
    "\u202egnp.exe",
    "zero\u200bwidth\ufeff",
    "tab\tand\r\nbreak\x00",
    "wide 漢字 👩‍👩‍👧 e" + "\u0301" * 40,
    "\ud800 lone",
    "x" * 300,
)
"""Texts that have broken terminals or toolkits."""


def hostile(run: str = "bad0bad0", base: float = BASE) -> Made:
    """Every place a person's or a model's text can stand holds a text that should do nothing."""
    made = Made(run, base)
    names = [text.replace("\ud800", "?") for text in HOSTILE]
    steps = [{"name": name, "goal": name, "depends_on": [{"step": n} for n in names[:i]]} for i, name in enumerate(names)]
    made.create({"name": names[1], "description": names[3], "steps": steps})
    for text in names:
        made.add(StepStarted(), text, 1, after=0.1)
        request = made.ask(
            text, 1, [{"role": text, "content": text}, {"role": "user", "content": [{"text": text}, 7, None]}], model=text
        )
        made.add(LogWritten(text, text, text), text, 1)
        made.answer(request, text, 1, text, (1, 1), model=text)
        made.add(ArtifactMade(text, text, Payload(1, blob=made.keep(b"x"))), text, 1)
        made.add(EffectFailed(made.add(EffectRequested(text, text, "h", Safety.READ), text, 1), Failure(text, text)), text, 1)
        made.fail(text, 1, text, took=0.1, retry=0.5, kind=text)
    made.add(LogWritten("1 MB: " + "y\u202e" * 500_000), names[0], 1)
    return made


def many_steps(count: int, *, run: str = "10000aaa", base: float = BASE, settled: float = 0.5) -> Made:
    """A fan of `count` steps after one, the first part of them completed, some of those after a failure, ten under way."""
    made = Made(run, base)
    steps: list[dict[str, Any]] = [{"name": "list", "run": "m:list", "depends_on": []}]
    steps += [
        {"name": f"item_{i:05d}", "run": "m:item", "depends_on": [{"step": "list"}], "execution_mode": "concurrent"}
        for i in range(count - 2)
    ]
    steps.append({"name": "join", "run": "m:join", "depends_on": [{"step": step["name"]} for step in steps[1:]]})
    made.create({"name": "fan", "steps": steps})
    made.add(StepStarted(), "list", 1)
    made.add(StepCompleted(made.pack(count)), "list", 1, after=0.1)
    done = int((count - 2) * settled)
    for i in range(done):
        name = f"item_{i:05d}"
        made.add(StepStarted(), name, 1, after=0.001)
        if i % 500 == 499:
            made.fail(name, 1, f"HTTP 500 at item {i}", took=0.002)
        else:
            made.add(StepCompleted(made.pack({"item": i})), name, 1, after=0.002)
    for i in range(done, min(done + 10, count - 2)):
        made.add(StepStarted(), f"item_{i:05d}", 1)
    return made


def log_lines(first: int, count: int, at: float, step: str = "talk") -> list[Recorded]:
    """`count` log events from version `first` on: one cheap event a millisecond, every thousandth a warning."""
    return [
        Recorded(
            first + i, at + i * 0.001, LogWritten(f"line {first + i}", "warning" if (first + i) % 1000 == 0 else "info"), step, 1
        )
        for i in range(count)
    ]


def long_run(
    count: int, *, run: str = "1000000f", base: float = BASE, batch: int = 20_000
) -> Iterator[tuple[list[Recorded], dict[str, bytes]]]:
    """A run of `count` events in batches, with the contents of each: one step that talks and does not stop."""
    made = Made(run, base)
    made.create({"name": "chatter", "steps": [{"name": "talk", "run": "m:talk", "depends_on": []}]})
    made.add(StepStarted(), "talk", 1)
    yield made.events, made.blobs
    version = made.version + 1
    while version <= count:
        size = min(batch, count - version + 1)
        yield log_lines(version, size, made.at + version * 0.001), {}
        version += size


DEAD = Driver(2**22 + 77, 1.0, "nowhere")
"""A driver that is gone: its run is interrupted unless it ended."""


async def write(log: Log, made: Made, *, alive: bool = False) -> Lease:
    """Put a made run into a store and keep its lease; `alive` says that this process drives it."""
    driver = Driver.current() if alive else DEAD
    run = RunId(made.run)
    lease = await log.create(run, made.events[:1], made.blobs.items(), driver=driver)
    rest = made.events[1:]
    for start in range(0, len(rest), 5_000):
        lease.append(rest[start : start + 5_000])
    state = project(made.events)
    lease.append([], row=RunSummary.of(state))
    await lease.flush()
    lease.snapshot(state)
    await lease.flush()
    return lease


async def write_long(log: Log, count: int, *, run: str = "1000000f") -> Lease:
    """Put a run of `count` events into a store, in batches, with the snapshots a driver would offer."""
    lease: Lease | None = None
    state = RunState()
    for batch, blobs in long_run(count, run=run):
        project(batch, state)
        rest = batch
        if lease is None:
            lease, rest = await log.create(RunId(run), batch[:1], blobs.items(), driver=DEAD), batch[1:]
        lease.append(rest)
        lease.snapshot(state)
        await lease.flush()
    assert lease is not None
    return lease
