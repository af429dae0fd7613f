"""Conversations as chains: each message once, however often it is sent."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from store import ChainCache, chain, values

said = st.lists(
    st.fixed_dictionaries({"role": st.sampled_from(["user", "assistant"]), "content": st.text(max_size=9)}), min_size=1, max_size=8
)


def unchained(head: str, contents: dict[str, bytes]) -> list[object]:
    """The messages of a chain, read link by link."""
    found: list[object] = []
    link: str | None = head
    while link is not None:
        node = json.loads(contents[link])
        found.insert(0, values.decode(contents[node["item"]]))
        link = node["prev"]
    return found


@given(st.lists(said, min_size=1, max_size=6))
def test_a_chain_gives_its_messages_back(conversations: list[list[dict[str, str]]]) -> None:
    """Whatever was said and in whatever order the cache sees it, the head leads to exactly those messages."""
    cache, contents = ChainCache(), dict[str, bytes]()
    for messages in conversations:
        head, fresh = chain(messages, cache)
        contents.update(fresh)
        assert unchained(head, contents) == messages
        assert head == chain(messages)[0], "the name depends on what was said alone"


def test_only_what_is_new_is_returned() -> None:
    """A conversation that grew by two messages gives two messages and two links."""
    cache = ChainCache()
    messages = [{"role": "user", "content": f"message {number}"} for number in range(50)]
    assert len(chain(messages, cache)[1]) == 100
    grown = [*messages, {"role": "assistant", "content": "a"}, {"role": "user", "content": "b"}]
    assert len(chain(grown, cache)[1]) == 4
    assert chain(grown, cache)[1] == []


def test_a_message_changed_in_place_is_noticed() -> None:
    """The cache compares what is said, not which objects say it."""
    cache = ChainCache()
    messages = [{"role": "user", "content": "one"}, {"role": "user", "content": "two"}, {"role": "user", "content": "three"}]
    before = chain(messages, cache)[0]
    messages[1]["content"] = "TWO"
    head, fresh = chain(messages, cache)
    assert head != before
    assert len(fresh) == 4
    assert head == chain(messages)[0]


def test_a_step_more_costs_the_same_however_long() -> None:
    """The bytes a turn adds do not grow with the conversation: turn 1,000 as turn 100."""
    cache, messages, sizes = ChainCache(), list[dict[str, str]](), list[int]()
    for number in range(1000):
        messages.append({"role": "user", "content": f"turn {number:04} " + "x" * 200})
        sizes.append(sum(len(content) for _, content in chain(messages, cache)[1]))
    assert sizes[999] == sizes[99]


def test_an_empty_conversation_is_refused() -> None:
    """There is no chain of nothing."""
    with pytest.raises(ValueError, match="at least one message"):
        chain([])
