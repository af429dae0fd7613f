"""Work that waits, started from a widget or screen: in a group where the newest stands in for the ones before it.

Apart from Textual's own call for two reasons. A worker that is given a coroutine and cancelled before it begins leaves it
unawaited, of which Python warns; given the function, there is nothing to leave. And a store that fails is a sentence, not
the end of the app.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

from textual.dom import DOMNode
from textual.worker import Worker

from store.errors import StoreError
from tagent_tui.text import safe


def later(
    node: DOMNode, group: str, work: Callable[..., Coroutine[Any, Any, None]], *arguments: object, exclusive: bool = True
) -> Worker[None]:
    """Run `work(*arguments)` in the background while `node` lives; with `exclusive` it cancels what runs in its group."""
    begin: Callable[[], Coroutine[None, None, None]] = partial(_guarded, node, work, *arguments)
    return node.run_worker(begin, group=group, exclusive=exclusive)


async def _guarded(node: DOMNode, work: Callable[..., Coroutine[Any, Any, None]], *arguments: object) -> None:
    try:
        await work(*arguments)
    except StoreError as error:
        node.app.notify(safe(str(error)), severity="error", markup=False)
