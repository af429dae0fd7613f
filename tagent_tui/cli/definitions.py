"""`init`, `validate`, `graph` and `schema`: pipelines before they run, and as pictures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from engine import targets
from engine.definition import Definition
from engine.errors import PipelineFileError
from engine.fields import FUNCTIONS
from engine.files import ENDINGS, PipelineFile, read
from engine.kinds import FunctionName
from tagent_tui.cli.exits import Exit, RefusedError
from tagent_tui.cli.params import pairs_of
from tagent_tui.cli.session import Session
from tagent_tui.cli.verbs import StoredWord, verb
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
    named = [getattr(step, field) for step in pipeline.steps for field in FUNCTIONS]
    holders = (pipeline, *pipeline.agents.values(), *pipeline.steps)
    named += [tool for holder in holders for tool in holder.tools]
    functions = list(dict.fromkeys(name.text for name in named if isinstance(name, FunctionName)))
    hints = [found.locate(hint) for hint in pipeline.hints()]
    if session.json:
        told = {"file": file, "pipeline": pipeline.name, "steps": len(pipeline.steps), "valid": True, "not_imported": functions}
        session.output.document({**told, "hints": [str(hint) for hint in hints]})
        return Exit.OK
    session.output.text(f"{file} is valid: {pipeline.name}, {plural(len(pipeline.steps), 'step')}")
    for hint in hints:
        session.output.note(f"hint: {hint}")
    if functions:
        session.output.note(f"not checked, because that would run their code: {', '.join(functions)}; --import does")
    return Exit.OK


@verb("schema")
def schema(session: Session) -> int:
    """Print the JSON Schema of pipeline files; editors that have it complete and check them while you type."""
    from engine.schema import file_schema

    if session.json:
        session.output.document(file_schema())
        return Exit.OK
    session.output.out.write(json.dumps(file_schema(), indent=2, ensure_ascii=False) + "\n")
    session.output.note("save it beside your files and begin them with: # yaml-language-server: $schema=pipeline.schema.json")
    return Exit.OK


@verb("graph")
@click.argument("target", metavar="TARGET|RUN", type=StoredWord())
@click.option("--format", "form", type=click.Choice(["mermaid", "dot"]), default="mermaid", show_default=True, help="How.")
@click.option("-p", "words", multiple=True, metavar="K=V", help="A param of the function that makes the pipeline.")
def graph(session: Session, target: str, form: str, words: tuple[str, ...]) -> int:
    """Draw a pipeline (a file, module:name or demo) or a run, with the statuses of its steps, as Mermaid or DOT.

    A pipeline in Python is imported, which runs its code; a file is only read.
    """
    from engine import drawing

    definition, statuses = _drawn(session, target, pairs_of(words))
    text = (drawing.mermaid if form == "mermaid" else drawing.dot)(definition, statuses)
    if session.json:
        session.output.document({"pipeline": definition.name, "format": form, "text": text})
        return Exit.OK
    for line in text.splitlines():
        session.output.out.write(session.output.out.safe(line) + "\n")
    return Exit.OK


COMMANDS = {"init": init, "validate": validate, "graph": graph, "schema": schema}


def _drawn(session: Session, target: str, params: dict[str, Any]) -> tuple[Definition, dict[str, str] | None]:
    """What the word names: a pipeline, or a run with the statuses of its steps."""
    if target.lower().endswith(ENDINGS):
        return _read(target).pipeline.define(), None
    if ":" in target or target in targets.TEMPLATES:
        loaded = targets.load(target, cwd=Path.cwd(), params=params)
        loaded.check()
        return loaded.pipeline.define(), None
    return session.run(_of_run(session, target))


async def _of_run(session: Session, run: str) -> tuple[Definition, dict[str, str]]:
    async with await session.reading() as log:
        state = await log.state((await log.find(run)).id)
        definition = Definition.from_json(await log.blob(state.definition))
    return definition, {name: step.status.word for name, step in state.steps.items()}


def _read(file: str) -> PipelineFile:
    found = read(Path(file), file)
    wrong = [*found.problems(), *targets.referred(found, Path(file).absolute())]
    if wrong:
        raise PipelineFileError(file, wrong)
    return found


def _imported(file: str) -> PipelineFile:
    loaded = targets.load(file if "/" in file else f"./{file}", cwd=Path.cwd())
    if loaded.file is None:
        raise RefusedError(f"{file} is not a pipeline file; its name should end in {', '.join(ENDINGS)}")
    loaded.check()
    return loaded.file
