"""An estimate of tokens for where nobody counted them.

Stands apart because the offline model and servers that report no usage have to be estimated by the same rule.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from engine.models.port import Message

BYTES_PER_TOKEN = 4
TOKENS_PER_MESSAGE = 4


def tokens_in(text: str) -> int:
    """One token for every four bytes of UTF-8, rounded up: near the truth for English, and the same everywhere."""
    return math.ceil(len(text.encode("utf-8", "replace")) / BYTES_PER_TOKEN)


def tokens_in_messages(messages: Sequence[Message]) -> int:
    """The tokens of the contents, and four a message for its role and borders."""
    return sum(TOKENS_PER_MESSAGE + tokens_in(str(message.get("content") or "")) for message in messages)
