"""Up to where two runs are the same one."""

from __future__ import annotations

from engine.replay.loading import shared_past
from store.lineage import Segment


def test_shared_pasts() -> None:
    """A run shares all with itself, a fork its parent's past up to its point, siblings the shorter of theirs, strangers nothing."""
    root = [Segment(1, "r", 1, None)]
    fork = [Segment(1, "r", 1, 9), Segment(2, "f", 10, None)]
    sibling = [Segment(1, "r", 1, 4), Segment(3, "s", 5, None)]
    below = [Segment(1, "r", 1, 9), Segment(2, "f", 10, 12), Segment(4, "g", 13, None)]
    assert shared_past(root, root, 30, 30) == 30
    assert shared_past(root, fork, 30, 20) == shared_past(fork, root, 20, 30) == 9
    assert shared_past(fork, sibling, 20, 9) == 4
    assert shared_past(fork, below, 20, 15) == 12
    assert shared_past(root, [Segment(7, "x", 1, None)], 5, 5) == 0
