"""What `import engine` costs, in time and in what it drags in; each import in a fresh interpreter.

The limit is the import of what it cannot do without: msgspec, aiosqlite and pydantic. Bytecode is compiled before measuring.
"""

from __future__ import annotations

import os
import subprocess
import sys

from _common import ROOT, arguments, compare, emit, in_turn, report

ENVIRON = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
FORBIDDEN = ("litellm", "textual", "openai", "tiktoken")


def said(code: str) -> str:
    """What a fresh interpreter prints."""
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT, env=ENVIRON).stdout


def seconds(statement: str) -> float:
    """Seconds of a statement in an interpreter of its own, its start not counted."""
    code = f"import time; began = time.perf_counter(); {statement}; print(time.perf_counter() - began)"
    return float(said(code))


def modules(statement: str) -> set[str]:
    """The top-level modules that are there after a statement."""
    code = f"import sys; {statement}; print(*sorted({{name.partition('.')[0] for name in sys.modules}}))"
    return set(said(code).split())


def main() -> None:
    asked = arguments(__doc__ or "")
    repeats = asked.repeats if asked.small else max(9, asked.repeats)
    seconds("import engine")
    found = modules("import engine")
    bad = sorted(found & set(FORBIDDEN))
    emit(name="import_engine_modules", forbidden_found=bad, reached=not bad)

    def bare() -> float:
        return seconds("import msgspec, aiosqlite, pydantic") * 1e3

    def ours() -> float:
        return seconds("import engine") * 1e3

    compare("import_engine_ratio", bare, ours, repeats=repeats, unit="ms", rate=False, limit_is="msgspec, aiosqlite, pydantic")
    [times] = in_turn(repeats, ours)
    report("import_engine", times, unit="ms", gate=100.0)


if __name__ == "__main__":
    main()
