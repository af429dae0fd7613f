"""A run that failed and its fork that did not, for comparing.

Apart from the tests because the shell, the screen and its pictures need the same runs. The fork is made with `Log.fork`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from store.events import (
    EditApplied,
    RunAttached,
    RunCompleted,
    RunFailed,
    RunForked,
    RunId,
    StepCompleted,
    StepEvaluated,
    StepReset,
    StepSkipped,
    StepStarted,
)
from store.log import Log
from store.projector import project
from store.runs import RunSummary
from tests.acceptance.made_runs import BASE, DEAD, Made, write

A, B = "7d12c0de", "7e41c0de"

SHOP: dict[str, Any] = {
    "name": "ecommerce_analysis",
    "steps": [
        {"name": "plan", "goal": "Plan it", "depends_on": []},
        {"name": "product", "run": "shop:product", "depends_on": [{"step": "plan"}]},
        {"name": "market", "run": "shop:market", "for_each": "steps.plan.output", "depends_on": [{"step": "plan"}]},
        {"name": "prices", "run": "shop:prices", "depends_on": [{"step": "product"}]},
        {"name": "competitors", "goal": "Find them", "depends_on": [{"step": "prices"}]},
        {"name": "opportunity", "goal": "Judge it", "depends_on": [{"step": "prices"}]},
        {"name": "report", "goal": "Write it", "depends_on": [{"step": "competitors"}]},
        {"name": "archive", "run": "shop:archive", "depends_on": [{"step": "opportunity"}]},
    ],
}

_HEAD = ["# Opportunity", "", "The market grows by 11 % a year and has no clear", "leader in the mid price range.", ""]
_NEXT = ["", "## What to do next", ""]
_TAIL = ["", "## Sources", ""]
BEFORE = "\n".join(
    [
        *_HEAD,
        *("Competitors: unknown (the step failed).", "Score: 3.1 of 5, low confidence."),
        *_NEXT,
        *("1. Find out who the competitors are.", "2. Do not set a price yet.", "3. Keep the bundle small."),
        *_TAIL,
        "4 sources, 1 primary",
    ]
)
AFTER = "\n".join(
    [
        *_HEAD,
        *("Competitors: 7, three of them with the same bundle.", "Score: 4.2 of 5, good confidence."),
        *_NEXT,
        *(
            "1. Price the bundle at 89, below the median of 94.",
            "3. Keep the bundle small.",
            "4. Watch Globex: it cut its price twice.",
        ),
        *_TAIL,
        "11 sources, 6 primary",
    ]
)


def ask(made: Made, step: str, text: str, answer: Any, tokens: tuple[int, int], took: float) -> None:
    """A goal step from start to end."""
    made.add(StepStarted(), step, 1)
    request = made.ask(step, 1, [{"role": "system", "content": "Answer briefly."}, {"role": "user", "content": text}])
    made.answer(request, step, 1, str(answer), tokens, after=took)
    made.add(StepCompleted(made.pack(answer)), step, 1)


def past(run: str = A) -> Made:
    """What both have: four steps, one of them a group of six."""
    made = Made(run)
    made.create(SHOP, params=made.pack({"shop": "Acme"}), target="shop:pipeline")
    ask(made, "plan", "Plan it", ["a", "b", "c", "d", "e", "f"], (900, 80), 6.1)
    made.add(StepStarted(), "product", 1)
    made.add(StepCompleted(made.pack({"name": "Bundle"})), "product", 1, after=48.0)
    made.add(StepEvaluated("run", items=6, values=made.pack(["a", "b", "c", "d", "e", "f"])), "market")
    made.add(StepStarted(), "market", 1)
    for index in range(6):
        made.add(StepStarted(), f"market[{index}]", 1)
        made.add(StepCompleted(made.pack(index)), f"market[{index}]", 1, after=20.7)
    made.add(StepCompleted(made.pack(list(range(6)))), "market", 1)
    made.add(StepStarted(), "prices", 1)
    made.add(StepCompleted(made.pack([89, 94, 99])), "prices", 1, after=31.2)
    return made


def failed() -> tuple[Made, int]:
    """The run A, and at which event its fork begins."""
    made = past()
    point = made.version
    made.add(StepStarted(), "competitors", 1)
    request = made.ask("competitors", 1, [{"role": "user", "content": "Find the competitors of Acme."}])
    made.answer(request, "competitors", 1, "try later", (40_000, 6_000), after=98.0)
    made.fail("competitors", 1, "HTTP 429", took=2.0)
    made.add(StepSkipped("competitors failed", "competitors"), "report")
    ask(made, "opportunity", "Judge the chances.\nCompetitors: unknown.", BEFORE, (2_100, 600), 22.4)
    made.add(StepStarted(), "archive", 1)
    made.add(StepCompleted(made.pack(True)), "archive", 1, after=0.2)
    made.add(RunFailed("1 step failed: competitors", ["competitors"]))
    return made, point


def forked(parent: Made, point: int) -> Made:
    """The run B: A's past up to `point`, an edit, and what came after it."""
    made = Made(B, BASE + 900)
    made.events = parent.events[:point]
    made.add(RunForked(parent.run, point, parent.version))
    made.add(RunAttached(4300, BASE + 900, "desk", 1), after=0.1)
    prompt = made.pack("Write it, with the competitors")
    made.add(EditApplied("report.prompt", prompt, changed=["report"]), "report")
    made.events[-1] = made.events[-1].__class__(made.version, made.at, made.events[-1].event, "report", 0, None, "you")
    made.add(StepReset("an edit reached it"), "report")
    ask(made, "competitors", "Find the competitors of Acme in the list.", "Globex and six more", (4_000, 900), 10.4)
    ask(made, "opportunity", "Judge the chances.\nCompetitors: seven.", AFTER, (2_000, 460), 20.9)
    ask(made, "report", "Write it, with the competitors", "# Report\n\nAll is well.\n", (3_500, 600), 9.7)
    made.add(StepStarted(), "archive", 1)
    made.add(StepCompleted(made.pack(True)), "archive", 1, after=0.2)
    made.add(RunCompleted())
    return made


async def write_fork(log: Log, parent: Made, made: Made, point: int) -> None:
    """Put a fork into the store; its first own event is `run.forked` after `point`."""
    own = made.events[point:]
    lease = await log.fork(RunId(made.run), RunId(parent.run), point, own[:1], {**made.blobs}.items(), driver=DEAD)
    lease.append(own[1:], row=RunSummary.of(project(made.events)))
    await lease.flush()
    await lease.release()


async def write_pair(path: Path) -> Path:
    """A store with the run that failed and its fork."""
    async with await Log.open(path) as log:
        parent, point = failed()
        await (await write(log, parent)).release()
        await write_fork(log, parent, forked(parent, point), point)
    return path
