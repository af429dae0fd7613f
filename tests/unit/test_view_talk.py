"""What runs tell each other, as the words of events."""

from __future__ import annotations

from typing import Any

import pytest

from store.events import EffectRequested, EffectSucceeded, Payload, Recorded, Safety
from store.values import pack
from tagent_tui.view.describe import Around, say


def asked(kind: str, name: str, arguments: Any) -> Recorded:
    """A request as recorded."""
    return Recorded(1, 100.0, EffectRequested(kind, name, "h", Safety.IDEMPOTENT, arguments=pack(arguments)[0]), "s", 1)


@pytest.mark.parametrize(
    ("request_", "value", "said", "answered"),
    [
        (asked("space", "board", {"op": "put", "key": "a", "value": 1}), {"version": 4}, "space board · put a", "version 4"),
        (asked("space", "board", {"op": "keys"}), ["a"], "space board · keys", ""),
        (asked("space", "b", {"op": "compare_and_set"}), {"version": None}, "space b · compare_and_set", "somebody was first"),
        (asked("send", "judge", {"type": "query", "priority": 2, "body": 1}), "r/7", "send judge · query · priority 2", "r/7"),
        (asked("send", "judge", {"type": "data", "reply_to": "r/7"}), "r/9", "send judge · answers r/7", "r/9"),
        (asked("receive", "receive", {"timeout": 2.5}), {"sender": "r", "body": 1}, "receive · at most 2.5 s", "from r"),
        (asked("receive", "query", None), None, "receive query", "nothing came"),
        (asked("wait_for", "run.*", {"pipeline": "p"}), {"sender": "x"}, "wait_for run.* · p", "from x"),
        (asked("memory", "put total", {"key": "total", "value": 1}), None, "memory put total", ""),
        (asked("tool", "look", {"at": "\x1b"}), [1], 'tool look · {"at":"\\u001b"}', ""),
        (asked("tool", "look", {}), [1], "tool look", ""),
        (asked("tool", "look", {"at": "x" * 2000}), [1], "tool look", ""),
        (asked("space", "board", "x" * 2000), "x" * 2000, "space board", ""),
        (asked("send", "\x1b[31m", {"type": {"\x1b": 1}, "priority": [1]}), {}, "send ⟨ESC⟩[31m · {'\\x1b': 1} · priority [1]", ""),
    ],
)  # fmt: skip
def test_what_is_said_of_talk(request_: Recorded, value: Any, said: str, answered: str) -> None:
    """The request names what matters beside its kind and name, the outcome what came of it; odd recordings are shown."""
    outcome = Recorded(2, 100.5, EffectSucceeded(1, pack(value)[0]), "s", 1)
    assert say(request_).text.text == said
    told = say(outcome, Around(earlier=lambda _: request_)).text.text
    assert told.split(" · ")[1:] == ["0.5 s", *([answered] if answered else [])]


def test_an_outcome_that_is_no_json_says_nothing_more() -> None:
    """A damaged outcome is shown without words of its own."""
    import msgspec

    outcome = Recorded(2, 100.5, EffectSucceeded(1, Payload(4, msgspec.Raw(b"{oops"))), "s", 1)
    assert say(outcome, Around(earlier=lambda _: asked("receive", "receive", None))).text.text == "receive · 0.5 s"
