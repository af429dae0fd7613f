"""Which versions of a lineage are rows of which run."""

from __future__ import annotations

from store.lineage import Segment, segments


def test_a_run_of_its_own_is_one_segment() -> None:
    """A run that was not forked holds all its versions."""
    assert segments([(1, "run", None, None)]) == [Segment(1, "run", 1, None)]


def test_a_fork_begins_where_its_parent_is_left() -> None:
    """Parent up to the point, then the fork."""
    assert segments([(1, "run", None, 5), (2, "fork", 5, None)]) == [Segment(1, "run", 1, 5), Segment(2, "fork", 6, None)]


def test_forks_of_forks_are_a_chain() -> None:
    """Each ancestor gives the stretch between its own beginning and the point where it was left."""
    found = segments([(1, "a", None, 5), (2, "b", 5, 9), (3, "c", 9, None)])
    assert found == [Segment(1, "a", 1, 5), Segment(2, "b", 6, 9), Segment(3, "c", 10, None)]


def test_a_point_before_the_parents_beginning_skips_it() -> None:
    """A fork of a fork at a version that lies in the grandparent leaves the parent out."""
    assert segments([(1, "a", None, 5), (2, "b", 5, 3), (3, "c", 3, None)]) == [Segment(1, "a", 1, 3), Segment(3, "c", 4, None)]
    assert segments([(1, "a", None, 5), (2, "b", 5, 5), (3, "c", 5, None)]) == [Segment(1, "a", 1, 5), Segment(3, "c", 6, None)]
