"""What a comparison of two runs comes to, as values: the run, its steps, and the events that differ.

Stands apart from `diff.py`, which computes it, because the command line and the screens read these and nothing else. The words are
those of going from A to B: what only A has is missing, what only B has is extra.
"""

from __future__ import annotations

import msgspec

from engine.changes import Changes
from engine.replay.texts import TextDiff, ValueDiff

TOLD = 20
"""Differing events of one step that are told one by one."""


class Moment(msgspec.Struct, frozen=True):
    """An event as it is named: its version and type, whose it is, and what it says in a few words."""

    version: int
    type: str
    step: str | None
    attempt: int
    says: str


class Divergence(msgspec.Struct, frozen=True):
    """A place where the runs differ. `what`: `missing` (only in A), `extra` (only in B), `arguments` (the same thing, asked or
    given otherwise), `outcome` (it came to something else), `other` (each went on with a thing of its own).
    """

    what: str
    a: Moment | None
    b: Moment | None

    @property
    def step(self) -> str | None:
        """Whose events these are."""
        return (self.b or self.a or _NOWHERE).step


_NOWHERE = Moment(0, "", None, 0, "")


class Figures(msgspec.Struct, frozen=True):
    """A step in one run. `seconds` is None where it did not start, `cost` (US dollars) where a price is not known.

    `reused`: it was not done there but taken from another run, by sharing its past or from its recording; so nothing was paid.
    Figures of a group have those of its children in them.
    """

    status: str
    ran: bool = False
    reused: bool = False
    attempts: int = 0
    seconds: float | None = None
    calls: int = 0
    tokens: int = 0
    cost: float | None = 0.0
    simulated: bool = False
    reason: str = ""
    items: int | None = None


class StepTexts(msgspec.Struct, frozen=True):
    """What a step was given, asked models and returned, as texts; `value` has the places at which the outputs differ.

    `unread` are bytes of outputs too large to be compared as values.
    """

    output: TextDiff = TextDiff()
    value: ValueDiff = ValueDiff()
    input: TextDiff = TextDiff()
    prompt: TextDiff = TextDiff()
    unread: int = 0


class StepDiff(msgspec.Struct, frozen=True):
    """A step in both runs; `a` or `b` is None where it is not a step of that run.

    `what`: `same`, `changed`, or in which run alone it ran: `a`, `b`. `events` are its differing events, at most `TOLD`; `more` is
    how many there are besides, `equal` how many say the same in both. `texts` are read only where they are asked for.
    """

    step: str
    what: str
    a: Figures | None
    b: Figures | None
    events: tuple[Divergence, ...] = ()
    more: int = 0
    equal: int = 0
    texts: StepTexts | None = None

    @property
    def reused(self) -> bool:
        """Whether a run did not do it itself, so that its figures say nothing of a saving."""
        return any(one is not None and one.reused for one in (self.a, self.b))

    @property
    def seconds(self) -> float | None:
        """How much longer B took; None where that cannot be said. A step that did not run took nothing."""
        if self.reused or not (ran(self.a) or ran(self.b)):
            return None
        return _took(self.b) - _took(self.a)

    @property
    def tokens(self) -> int | None:
        """How many tokens more B used."""
        return None if self.reused else (self.b or _NOTHING).tokens - (self.a or _NOTHING).tokens

    @property
    def cost(self) -> float | None:
        """How much more B cost, None where a price is not known."""
        return None if self.reused else _less((self.b or _NOTHING).cost, (self.a or _NOTHING).cost)


_NOTHING = Figures("")


def ran(figures: Figures | None) -> bool:
    """Whether a step was begun, or taken from a recording."""
    return figures is not None and figures.ran


def _took(figures: Figures | None) -> float:
    return (figures.seconds or 0.0) if figures is not None else 0.0


def _less(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else one - other


class Total(msgspec.Struct, frozen=True):
    """What a run took: `seconds` from its start to its end, or, where steps were reused, those of the others added up."""

    seconds: float = 0.0
    tokens: int = 0
    cost: float | None = 0.0


class RunSide(msgspec.Struct, frozen=True):
    """One of the two runs. `parent` and `at` say what it was forked from; `total` leaves out steps that either run reused."""

    run: str
    pipeline: str
    status: str
    version: int
    parent: str | None = None
    at: int | None = None
    total: Total = Total()


class RunDiff(msgspec.Struct, frozen=True):
    """What differs between two runs, from A to B.

    `shared` events at their beginning are the same ones. `first` is the first event that differs, None where none does. `steps` are
    all of both, in the order of A's definition. `reused` says that totals leave steps out. `definition` compares the pipelines,
    `params` and `settings` what the runs were started with.
    """

    a: RunSide
    b: RunSide
    shared: int = 0
    first: Divergence | None = None
    steps: tuple[StepDiff, ...] = ()
    reused: bool = False
    definition: Changes = Changes()
    params: ValueDiff = ValueDiff()
    settings: ValueDiff = ValueDiff()

    @property
    def different(self) -> bool:
        """Whether anything differs but by nature."""
        return self.first is not None or bool(self.definition.sentences or self.definition.sources)

    @property
    def differing(self) -> tuple[StepDiff, ...]:
        """The steps that are not the same."""
        return tuple(step for step in self.steps if step.what != "same")

    @property
    def seconds(self) -> float:
        """How much longer B took."""
        return self.b.total.seconds - self.a.total.seconds

    @property
    def tokens(self) -> int:
        """How many tokens more B used."""
        return self.b.total.tokens - self.a.total.tokens

    @property
    def cost(self) -> float | None:
        """How much more B cost, None where a price is not known."""
        return _less(self.b.total.cost, self.a.total.cost)
