"""All benchmarks, one after another, each in an interpreter of its own: `python tests/benchmarks/run.py [--small] [NAME ...]`.

Results go to stdout, a JSON line each; what missed its gate is said once more at the end, on stderr. A missed gate is a result,
not a failure: the exit code is 1 only when a benchmark broke.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ORDER = ("store_*.py", "engine_*.py", "imports.py", "ui_*.py")


def scripts(names: list[str]) -> list[Path]:
    """The benchmarks in their order; with names, those that begin with one of them."""
    found = [path for pattern in ORDER for path in sorted(HERE.glob(pattern))]
    return [path for path in found if not names or path.name.startswith(tuple(names))]


def ran(script: Path, options: list[str]) -> tuple[bool, list[dict[str, Any]]]:
    """Whether a benchmark came to its end, and its lines, which are shown as they come."""
    lines = []
    with subprocess.Popen([sys.executable, str(script), *options], stdout=subprocess.PIPE, text=True, cwd=HERE) as process:
        assert process.stdout is not None
        for line in process.stdout:
            print(line, end="", flush=True)
            lines.append(json.loads(line))
    return process.returncode == 0, lines


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--small", action="store_true", help="small sizes, to see that all of it works; the numbers mean nothing")
    parser.add_argument("names", nargs="*", metavar="NAME", help="only benchmarks whose file begins so (engine, ui_watch, ...)")
    asked = parser.parse_args()
    chosen = scripts(asked.names)
    if not chosen:
        parser.error(f"no benchmark begins with {' or '.join(asked.names)}")
    broken, missed = [], []
    for script in chosen:
        whole, lines = ran(script, ["--small"] if asked.small else [])
        missed += [f"{line['name']}: {line.get('ratio', line.get('ours'))}, {line.get('gate')}" for line in lines if _missed(line)]
        if not whole:
            broken.append(script.name)
    if missed and not asked.small:
        print("gates missed:", *missed, sep="\n  ", file=sys.stderr)
    if broken:
        print("broken:", *broken, sep="\n  ", file=sys.stderr)
    return 1 if broken else 0


def _missed(line: dict[str, Any]) -> bool:
    return line.get("reached") is False


if __name__ == "__main__":
    sys.exit(main())
