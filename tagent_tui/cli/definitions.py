"""`init` and `validate`: pipeline files before they run."""

from __future__ import annotations

from pathlib import Path

import click

from engine import targets
from engine.fields import FunctionName
from engine.files import ENDINGS, PipelineFile, read
from tagent_tui.cli.exits import Exit, RefusedError
from tagent_tui.cli.session import Session
from tagent_tui.cli.verbs import verb
from tagent_tui.numbers import plural


@verb("init")
@click.argument("folder", metavar="[DIR]", default=".")
def init(session: Session, folder: str) -> int:
    """Write a commented starter pipeline and its functions into DIR (default: here)."""
    from tagent_tui.starter import FILES

    root = Path(folder)
    taken = [str(root / name) for name in FILES if (root / name).is_symlink() or (root / name).exists()]
    if taken:
        raise RefusedError(f"{' and '.join(taken)} {'is' if len(taken) == 1 else 'are'} there already; choose another folder")
    try:
        root.mkdir(parents=True, exist_ok=True)
        for name, text in FILES.items():
            with (root / name).open("x", encoding="utf-8") as opened:
                opened.write(text)
    except OSError as error:
        raise RefusedError(f"{folder} cannot be written to ({error.strerror}); choose another folder") from None
    if session.json:
        session.output.document({"files": [str(root / name) for name in FILES]})
        return Exit.OK
    for name in FILES:
        session.output.text(str(root / name))
    session.output.note(f"next: tagent-tui run {root / 'pipeline.yaml'} --offline")
    return Exit.OK


@verb("validate")
@click.argument("file")
@click.option("--import", "imported", is_flag=True, help="Import the named Python modules too, which runs their code.")
def validate(session: Session, file: str, imported: bool) -> int:
    """Check a pipeline file without running it; all problems are told at once, with their lines."""
    if not file.lower().endswith(ENDINGS) and not Path(file).exists() and ":" in file:
        raise RefusedError(f"validate reads pipeline files; tagent-tui run {file} --dry-run checks a pipeline in Python")
    found = _imported(file) if imported else _read(file)
    pipeline = found.pipeline
    functions = [step.run.text for step in pipeline.steps if isinstance(step.run, FunctionName)]
    if session.json:
        told = {"file": file, "pipeline": pipeline.name, "steps": len(pipeline.steps), "valid": True, "not_imported": functions}
        session.output.document(told)
        return Exit.OK
    session.output.text(f"{file} is valid: {pipeline.name}, {plural(len(pipeline.steps), 'step')}")
    if functions:
        session.output.note(f"not checked, because that would run their code: {', '.join(functions)}; --import does")
    return Exit.OK


COMMANDS = {"init": init, "validate": validate}


def _read(file: str) -> PipelineFile:
    found = read(Path(file), file)
    found.check()
    return found


def _imported(file: str) -> PipelineFile:
    loaded = targets.load(file if "/" in file else f"./{file}", cwd=Path.cwd())
    if loaded.file is None:
        raise RefusedError(f"{file} is not a pipeline file; its name should end in {', '.join(ENDINGS)}")
    loaded.check()
    return loaded.file
