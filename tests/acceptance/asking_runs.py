"""Made runs that want somebody: an approval, a question, a used-up budget; and groups, long and short.

Apart from the other made runs because the tree, the card and the block below the tree need the same few.
"""

from __future__ import annotations

from store.events import (
    ApprovalRequested,
    BudgetReached,
    EffectRequested,
    EffectSucceeded,
    Failure,
    Safety,
    StepCompleted,
    StepEvaluated,
    StepFailed,
    StepRetryScheduled,
    StepSkipped,
    StepStarted,
    Usage,
)
from tests.acceptance.made_runs import BASE, Made

NOTES = "rm -rf build\x1b[2J \x1b[1;31m&& ./export.sh \\\n  --to /srv/registers \u202etxt.hs\u202c \\\n  --note ok\x07"

DEPLOY = {
    "name": "deploy_site",
    "description": "Acme Robotics",
    "budget": {"cost": 0.5},
    "steps": [
        {"name": "plan", "run": "acme:plan"},
        {"name": "pages", "run": "acme:page", "depends_on": [{"step": "plan"}], "for_each": "steps.plan.output",
         "execution_mode": "concurrent"},
        {"name": "polish", "run": "acme:polish", "depends_on": [{"step": "plan"}], "while_": "not output.done",
         "execution_mode": "concurrent"},
        {"name": "ask", "run": "acme:ask", "depends_on": [{"step": "plan"}], "execution_mode": "concurrent"},
        {"name": "deploy", "run": "acme:deploy", "depends_on": [{"step": "plan"}], "irreversible": True,
         "approval": {"message": "I need a clean folder for the register export."}, "execution_mode": "concurrent"},
        {"name": "translate", "run": "acme:translate", "depends_on": [{"step": "plan"}], "condition": "params.lang != 'en'"},
        {"name": "score", "run": "acme:score", "depends_on": [{"step": "pages"}, {"step": "polish"}, {"step": "ask"}], "join": 2},
        {"name": "publish", "run": "acme:publish", "depends_on": [{"step": "score"}, {"step": "deploy"}], "fallback": "later"},
        {"name": "later", "run": "acme:later"},
    ],
}  # fmt: skip


def deploying(items: int = 142, *, approval: bool = True, question: bool = True, run: str = "7f3a19c2") -> Made:
    """A live run: a long group with failures and a retry, iterations, an approval, a question, a skip, a join."""
    made = Made(run, BASE)
    made.create(DEPLOY, params=made.pack({"lang": "en"}))
    made.add(StepStarted(), "plan", 1, after=0.1)
    made.add(StepCompleted(made.pack(NOTES)), "plan", 1, after=3.2)
    made.add(StepEvaluated("skip", "its condition does not hold: params.lang != 'en'"), "translate")
    made.add(StepSkipped("its condition does not hold: params.lang != 'en'", None, True), "translate")
    made.add(StepEvaluated("run", items=items, values=made.pack(list(range(items)))), "pages")
    made.add(StepStarted(), "pages", 1)
    _children(made, items)
    made.add(StepEvaluated("run", items=1), "polish")
    made.add(StepStarted(), "polish", 1)
    made.add(StepStarted(), "polish[0]", 1)
    made.add(StepCompleted(made.pack({"done": False})), "polish[0]", 1, after=1.5)
    made.add(StepEvaluated("run", items=2), "polish")
    made.add(StepStarted(), "polish[1]", 1)
    if question:
        made.add(StepStarted(), "ask", 1)
        asked = made.pack({"question": "Which register shall be exported first?", "choices": ["DE", "FR", "both"]})
        made.add(
            EffectRequested("ask", "Which register shall be exported first?", "q", Safety.READ, arguments=asked),
            "ask",
            1,
            after=0.4,
        )
    if approval:
        made.add(ApprovalRequested("I need a clean folder for the register export.", made.at + 600), "deploy", after=1.0)
    return made


def _children(made: Made, items: int) -> None:
    """Most are done at a price, two failed, one waits to be tried again, two run, the rest is to come."""
    for index in range(items - 30 if items > 40 else items // 2):
        path = f"pages[{index}]"
        made.add(StepStarted(), path, 1)
        request = made.ask(path, 1, [{"role": "user", "content": f"Read page {index}"}])
        made.add(EffectSucceeded(request, made.pack("read"), Usage("gpt-4.1", 900, 60, cost=0.0026)), path, 1, after=0.3)
        if index in (3, 7):
            made.add(StepFailed(Failure("error", "HTTP 404")), path, 1, after=0.2)
        elif index == 9:
            made.add(StepFailed(Failure("error", "HTTP 429", True)), path, 1, after=0.2)
            made.add(StepRetryScheduled(made.at + 400), path, 1)
        elif index not in (10, 11):
            made.add(StepCompleted(made.pack({"page": index})), path, 1, after=0.1)


def used_up(run: str = "7b0d6e7a") -> Made:
    """A run that stands because its budget is used up."""
    made = deploying(4, approval=False, question=False, run=run)
    made.add(BudgetReached("", "cost", 0.5, 0.512, "pause"))
    return made
