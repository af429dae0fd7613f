"""What of a run can be edited in a fork, as texts to type in, and the typed texts as what a command line takes.

Apart from the dialog because every rule here is a function of values: how a value is shown so that nothing in it reaches the
terminal, when a text is no change, when it is no JSON.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, NamedTuple

from tagent_tui.glyphs import UNICODE, Glyphs
from tagent_tui.rows import BLANK, Ink, Row, Seg, Tint
from tagent_tui.text import Line, lines, one_line, typed_lines, wrap
from tagent_tui.view.effects import effect_name

TYPED_MOST = 60_000
"""Bytes of a value beyond which it is not edited here: one argument of a process holds 128 KiB, and escapes double a text."""

FIRST = ("goal", "constraints", "condition", "model")
"""Fields of a step that people edit most, offered before the others."""


class Form(Enum):
    """How a text is read: as it is, as JSON, as JSON if it is that and else as it is; or there is nothing to type."""

    TEXT = "text"
    JSON = "JSON"
    EITHER = "JSON or text"
    NOTHING = ""


class Target(NamedTuple):
    """Something that can be edited: its path on the command line, what it is, and its present value as text.

    `held`: there is a present value. `whole`: it is in `text`; else it is too large to be edited here.
    """

    path: str
    word: str
    text: str = ""
    form: Form = Form.EITHER
    held: bool = True
    whole: bool = True


class Effect(NamedTuple):
    """The effect whose value may be edited: the version of its request, its kind and name, its value as JSON text."""

    version: int
    kind: str
    name: str
    value: bytes | None


class Editable(NamedTuple):
    """What was read about a step at some event. `fields` are plain values of its definition; the rest is JSON text.

    `output` is None where it has none yet.
    """

    step: str | None = None
    fields: Mapping[str, Any] = {}
    output: bytes | None = None
    params: Mapping[str, bytes] = {}
    model: str | None = None
    budget: Mapping[str, float] = {}
    effect: Effect | None = None


def targets_of(found: Editable) -> list[Target]:
    """What can be edited, what somebody most likely wants first."""
    out: list[Target] = []
    if found.effect is not None:
        one = found.effect
        out.append(_target(f"effects.{one.version}.value", f"result of {effect_name(one.kind, one.name)}", one.value))
    if found.step is not None:
        output = _target(f"{found.step}.output", "output", found.output)
        order = sorted(found.fields, key=lambda name: (FIRST.index(name) if name in FIRST else len(FIRST), name))
        fields = [_target(f"{found.step}.{name.rstrip('_')}", "in its definition", _json(found.fields[name])) for name in order]
        goal = [one for one in fields if one.path.endswith(".goal")]
        again = Target(found.step, "run it again", form=Form.NOTHING)
        out += [*goal, output, *(one for one in fields if one not in goal), again]
    out += [_target(f"params.{name}", "param", value) for name, value in found.params.items()]
    out.append(_target("model", "model of the run", _json(found.model) if found.model else None))
    out.append(_target("budget", "budget of the run", _json(dict(found.budget)) if found.budget else None))
    return out


def _json(value: Any) -> bytes:
    return json.dumps(value).encode()


def _target(path: str, word: str, value: bytes | None) -> Target:
    if value is None or value == b"null":
        return Target(path, word, held=value is not None)
    if len(value) > TYPED_MOST:
        return Target(path, word, whole=False)
    text, form = shown(value)
    return Target(path, word, text, form)


def shown(value: bytes) -> tuple[str, Form]:
    """JSON text as it is edited: a string is itself, all else is indented JSON.

    What holds a character that one would not see, or that could drive a terminal, is JSON with escapes: nothing is lost, and
    nothing acts.
    """
    try:
        plain = json.loads(value)
    except (ValueError, RecursionError):
        return value.decode("ascii", "backslashreplace"), Form.EITHER
    if isinstance(plain, str) and _harmless(plain):
        return plain, Form.TEXT
    text = json.dumps(plain, ensure_ascii=False, indent=2)
    if not _harmless(text):
        text = json.dumps(plain, indent=2).replace("\x7f", "\\u007f")
    return text, Form.JSON if isinstance(plain, dict | list | str) else Form.EITHER


def _harmless(text: str) -> bool:
    return typed_lines(text) == text


@dataclass
class Change:
    """One thing that is being edited, as typed so far."""

    target: Target
    text: str

    @property
    def made(self) -> bool:
        """Whether it is other than before; to run again is a change by itself."""
        return self.target.form is Form.NOTHING or self.text != self.target.text

    @property
    def wrong(self) -> str:
        """Why the text cannot be a value, in one sentence; empty when it can."""
        if self.target.form is Form.NOTHING or not self.made:
            return ""
        if self.target.form is Form.EITHER and not self.text.strip():
            return f"{self.target.path} has no value; type one, or leave it out."
        if self.target.form is not Form.JSON:
            return ""
        try:
            json.loads(self.text)
        except json.JSONDecodeError as error:
            return f"{self.target.path} is no JSON at line {error.lineno}, column {error.colno}: {error.msg}."
        except (ValueError, RecursionError):
            return f"{self.target.path} is no JSON that can be read."
        return ""

    @property
    def said(self) -> str:
        """The value as the command line takes it. A text goes as a JSON string: one that looks like a number stays a text."""
        return json.dumps(self.text) if self.target.form is Form.TEXT else self.text


class Wish(NamedTuple):
    """A fork that is wanted: of which run after which event, (path, value) pairs, steps to run again, why.

    `definition` says what holds where the pipeline changed: `recorded`, `migrate`, or empty where that is to be refused.
    """

    run: str
    version: int
    sets: tuple[tuple[str, str], ...] = ()
    again: tuple[str, ...] = ()
    reason: str = ""
    definition: str = ""


@dataclass
class Draft:
    """The changes collected so far, and which of them is being edited."""

    changes: list[Change] = field(default_factory=list)
    reason: str = ""
    definition: str = ""
    at: int = 0

    @property
    def current(self) -> Change | None:
        """The change that is being edited."""
        return self.changes[self.at] if 0 <= self.at < len(self.changes) else None

    @property
    def made(self) -> list[Change]:
        """Those that change something."""
        return [one for one in self.changes if one.made]

    def add(self, target: Target) -> None:
        """Begin to edit something; what is edited already is only gone to."""
        found = next((index for index, one in enumerate(self.changes) if one.target == target), None)
        if found is None:
            self.changes.append(Change(target, target.text))
            found = len(self.changes) - 1
        self.at = found

    def remove(self) -> None:
        """Leave the current one as it was."""
        if self.current is not None:
            del self.changes[self.at]
            self.at = max(min(self.at, len(self.changes) - 1), 0)

    @property
    def wrong(self) -> str:
        """The first thing that is wrong."""
        return next((one.wrong for one in self.changes if one.wrong), "")

    def wish(self, run: str, version: int) -> Wish:
        """What is typed as a wish."""
        sets = tuple((one.target.path, one.said) for one in self.made if one.target.form is not Form.NOTHING)
        again = tuple(one.target.path for one in self.made if one.target.form is Form.NOTHING)
        return Wish(run, version, sets, again, self.reason.strip(), self.definition)


# Rows


def change_row(change: Change, glyphs: Glyphs = UNICODE) -> Row:
    """One collected change: its path, what it is, and how far it differs from what held."""
    name = one_line(change.target.path, 120, glyphs).segs(Ink.STRONG)
    left = [Seg("change   ", Ink.MUTED), *name, Seg("   "), *one_line(change.target.word, 80, glyphs).segs(Ink.MUTED)]
    right = [Seg(f"{glyphs.failed} {change.target.form.value}", Ink.ERROR)] if change.wrong else counts(change, glyphs)
    return Row(left, right, None, tuple(range(1, len(name) + 1)))


def counts(change: Change, glyphs: Glyphs = UNICODE) -> list[Seg]:
    """`- 2  + 3 lines`, or that nothing is different yet."""
    if change.target.form is Form.NOTHING:
        return [Seg("runs again", Ink.MUTED)]
    if not change.made:
        return [Seg("not changed yet", Ink.MUTED)]
    if not change.target.text:
        return [Seg("new", Ink.MUTED)]
    away, fresh = differing(change)
    return [Seg(f"- {len(away)}", Ink.ERROR), Seg("  "), Seg(f"+ {len(fresh)}", Ink.SUCCESS), Seg(" lines", Ink.MUTED)]


def differing(change: Change) -> tuple[set[int], set[int]]:
    """The lines of the present value that go, and those of the typed one that come, from 0."""
    before, after = change.target.text.split("\n"), change.text.split("\n")
    away: set[int] = set()
    fresh: set[int] = set()
    for tag, low, high, first, last in difflib.SequenceMatcher(None, before, after, autojunk=False).get_opcodes():
        if tag != "equal":
            away.update(range(low, high))
            fresh.update(range(first, last))
    return away, fresh


def target_row(target: Target, glyphs: Glyphs = UNICODE) -> Row:
    """Something that can be edited, in the list of what can: its path, what it is, its present value."""
    path = one_line(target.path, 120, glyphs).segs()
    left = [*path, Seg("  "), *one_line(target.word, 80, glyphs).segs(Ink.MUTED)]
    if target.form is Form.NOTHING:
        return Row(left, (), None, tuple(range(len(path))))
    value = one_line(target.text[:200].strip() or "none yet", 40, glyphs).text if target.whole else "too large to edit here"
    return Row(left, [Seg(value, Ink.MUTED)], None, tuple(range(len(path))))


def before_rows(change: Change, width: int, height: int, glyphs: Glyphs = UNICODE) -> list[Row]:
    """The present value in `height` rows, lines that go marked; from a little above the first of them."""
    if change.target.form is Form.NOTHING:
        return [Row([Seg("runs with what it was given")])]
    if not change.target.text:
        return [Row([Seg("it is empty" if change.target.held else "there is none yet", Ink.MUTED)])]
    away = differing(change)[0]
    rows: list[Row] = []
    first: int | None = None
    for index, line in enumerate(lines(change.target.text, glyphs=glyphs).lines):
        if index in away and first is None:
            first = len(rows)
        rows += _before(line, width, gone=index in away)
        if first is not None and len(rows) > first + height:
            break
    start = min(max((first or 0) - 2, 0), max(len(rows) - height, 0))
    return rows[start : start + height]


def _before(line: Line, width: int, *, gone: bool) -> list[Row]:
    ink, tint = (Ink.ERROR, Tint.REMOVED) if gone else (Ink.MUTED, None)
    pieces = wrap(line, max(width - 2, 1)) or [line]
    return [
        Row([Seg("- " if gone and not index else "  ", ink), *piece.segs(ink)], (), tint) if piece.text or gone else BLANK
        for index, piece in enumerate(pieces)
    ]


def adds(targets: Sequence[Target]) -> str:
    """What else can be edited, in a few words: `goal, output, params, model`."""
    words = [one.path.partition(".")[0] if one.word == "param" else one.path.rpartition(".")[2] for one in targets]
    named = ["run again" if one.form is Form.NOTHING else word for one, word in zip(targets, words, strict=True)]
    return ", ".join(dict.fromkeys("result" if word == "value" else word for word in named))
