"""No network while a run is proved: whatever tries to reach out is refused, C libraries included.

Stands apart because an audit hook cannot be taken out again: there is one for the process, and it does nothing unless it is on.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from typing import Any

REFUSED = frozenset({"socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr", "socket.sendto"})

_on = 0
_hooked = False


class NetworkRefusedError(OSError):
    """Something was asked of the network while a run is proved from its record."""


@contextlib.contextmanager
def no_network() -> Iterator[None]:
    """While inside, the process reaches no network, in whatever thread."""
    global _on, _hooked
    if not _hooked:
        sys.addaudithook(_hook)
        _hooked = True
    _on += 1
    try:
        yield
    finally:
        _on -= 1


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    if _on and event in REFUSED:
        raise NetworkRefusedError(
            f"{event} is refused while a run is verified; make it an effect (ctx.once), so that it is recorded"
        )
