"""File names as text, both ways, and foreign text made safe to put into Markdown.

A file name is bytes; an output is JSON. Everything that is written down uses `text_of`, everything that opens a file
again uses `bytes_of`, so a name that is not UTF-8 survives the way through the store."""

import re
import unicodedata

_ESCAPED = re.compile(r"\\\\|\\x([0-9a-f]{2})")
_SPELLED = {"\n": "LF", "\r": "CR", "\t": "TAB", "\x1b": "ESC", "\x07": "BEL", "\x00": "NUL", "\x08": "BS"}
# The characters Markdown gives a meaning in running text or in a table cell; `.` and `-` have one only at a line's start.
_MARKDOWN = re.compile(r"([\\`*_\[\]<>|~#&!$])")
# Where renderers would make a link of plain text: an escape put there stops them and shows nothing.
_LINKED = re.compile(r"(?i)(?:(?<=http)|(?<=https)|(?<=ftp)|(?<=mailto))(?=:)|(?<=www)(?=\.)|(?=@\w)")


def text_of(name: bytes) -> str:
    """The name as valid Unicode: bytes that are not UTF-8 become `\\xNN`, a backslash becomes two."""
    return name.replace(b"\\", b"\\\\").decode("utf-8", "backslashreplace")


def bytes_of(text: str) -> bytes:
    """The name that `text_of` made this text from."""
    parts: list[bytes] = []
    end = 0
    for match in _ESCAPED.finditer(text):
        parts.append(text[end : match.start()].encode())
        parts.append(bytes.fromhex(match[1]) if match[1] else b"\\")
        end = match.end()
    parts.append(text[end:].encode())
    return b"".join(parts)


def visible(text: str) -> str:
    """The text with every control, format (bidi, zero-width), separator and surrogate character named: `⟨ESC⟩`, `⟨U+202E⟩`."""
    return text if text.isprintable() else "".join(c if _plain(c) else f"⟨{_spell(c)}⟩" for c in text)


def _plain(char: str) -> bool:
    return char.isprintable() or unicodedata.category(char) == "Zs"


def _spell(char: str) -> str:
    return _SPELLED.get(char) or f"U+{ord(char):04X}"


def shortened(text: str, limit: int) -> str:
    """At most `limit` characters, cut at the end, with `…` where something was cut."""
    return text if len(text) <= limit else text[: limit - 1] + "…"


def shortened_path(path: str, limit: int) -> str:
    """At most `limit` characters, cut in the middle: the file's own name is what a reader looks for."""
    if len(path) <= limit:
        return path
    tail = (limit - 1) * 2 // 3
    return f"{path[: limit - 1 - tail]}…{path[-tail:]}"


def counted(count: int, noun: str) -> str:
    """`1 file`, `2,000 files`, `3 dependencies`."""
    plural = f"{noun[:-1]}ies" if noun.endswith("y") else f"{noun}s"
    return f"{count:,} {noun if count == 1 else plural}"


def markdown(text: str) -> str:
    """Foreign text as one line of Markdown that shows exactly these characters: no markup, no link, no table cell."""
    return _LINKED.sub("\\\\", _MARKDOWN.sub(r"\\\1", visible(text)))


def code(text: str, *, in_table: bool = False) -> str:
    """Foreign text as a Markdown code span; in a table cell a pipe needs an escape that elsewhere would show."""
    shown = visible(text)
    fence = "`" * (max((len(run) for run in re.findall(r"`+", shown)), default=0) + 1)
    pad = " " if not shown or "`" in (shown[0], shown[-1]) or shown != shown.strip() else ""
    return f"{fence}{pad}{shown.replace('|', chr(92) + '|') if in_table else shown}{pad}{fence}"
