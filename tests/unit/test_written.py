"""Lines and artifacts of an attempt that runs again are recorded once."""

from engine.written import Written
from store.events import ArtifactMade, Event, LogWritten, Payload, Recorded


def recorded(event: Event, attempt: int = 1) -> Recorded:
    """As it stands in the log."""
    return Recorded(1, 0.0, event, "a", attempt)


def test_what_was_recorded_is_not_recorded_again() -> None:
    """Each recorded line answers for one line; the next equal one is new, and so is another stream, step or attempt."""
    written = Written()
    for _ in range(2):
        written.remember(recorded(LogWritten("x")))
    assert [written.again(("a", 1), LogWritten("x")) for _ in range(3)] == [True, True, False]
    written.remember(recorded(LogWritten("y")))
    assert not written.again(("a", 1), LogWritten("y", stream="stdout"))
    assert not written.again(("a", 2), LogWritten("y"))
    assert not written.again(("b", 1), LogWritten("y"))
    written.forget(("a", 1))
    assert not written.again(("a", 1), LogWritten("y"))


def test_artifacts_are_told_apart_by_name_and_content() -> None:
    """The same content under the same name is recorded already; another content is not."""
    written = Written()
    written.remember(recorded(ArtifactMade("r", "text/plain", Payload(size=1, blob="aa"))))
    assert not written.again(("a", 1), ArtifactMade("r", "text/plain", Payload(size=1, blob="bb")))
    assert not written.again(("a", 1), ArtifactMade("q", "text/plain", Payload(size=1, blob="aa")))
    assert written.again(("a", 1), ArtifactMade("r", "text/plain", Payload(size=1, blob="aa")))
