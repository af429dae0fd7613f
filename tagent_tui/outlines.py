"""Reading a run's outline from the store: its pinned definition, and the steps that were added to it while it ran.

Apart from `view/outline.py`, which makes it of values, because this waits for the store.
"""

from __future__ import annotations

from store.errors import StoreError
from store.events import RunId, StepAdded
from store.log import Log
from store.state import RunState
from tagent_tui.view.outline import NO_OUTLINE, Outline, read_outline


async def outline_from(log: Log, run: RunId, state: RunState | None) -> Outline:
    """Who needs whom in a run as it stands; nothing where its definition is not to be had."""
    if state is None or not state.definition:
        return NO_OUTLINE
    try:
        text = await log.blob(state.definition)
        found = await log.events(run, types={StepAdded.type}, upto=state.version) if state.added else []
    except StoreError:
        return NO_OUTLINE
    return read_outline(text, [recorded.event for recorded in found if isinstance(recorded.event, StepAdded)])
