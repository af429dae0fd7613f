"""`check`, `export`, `import` and `backup`: the store as a file."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

import click

from store import Log, audit
from store.errors import StoreError
from tagent_tui.cli.exits import Exit, RefusedError
from tagent_tui.cli.session import Session
from tagent_tui.cli.verbs import StoredWord, verb
from tagent_tui.numbers import plural, size

KEPT = 100
"""Findings of a check that the store's trail keeps."""


@verb("check")
def check(session: Session) -> int:
    """Check every stored byte: the file's structure, a checksum for each event, gaps, missing contents."""
    return session.run(_check(session))


@verb("export")
@click.argument("runs", metavar="RUN...", nargs=-1, required=True, type=StoredWord())
@click.option("-o", "--output", "target", metavar="FILE", required=True, help="The file to write.")
def export(session: Session, runs: tuple[str, ...], target: str) -> int:
    """Write runs, and what they were forked from, into one portable file."""
    return session.run(_export(session, runs, target))


@verb("import")
@click.argument("file")
def import_(session: Session, file: str) -> int:
    """Take in the runs of an exported file. They can be looked at; nothing of theirs is executed."""
    return session.run(_import(session, file))


@verb("backup")
@click.argument("file")
def backup(session: Session, file: str) -> int:
    """Copy the store into FILE while it is in use."""
    return session.run(_backup(session, file))


COMMANDS = {"check": check, "export": export, "import": import_, "backup": backup}


async def _check(session: Session) -> int:
    async with await session.reading() as log:
        findings = await log.check()
        count = len(await log.runs(limit=1_000_000))
    if findings:
        await _remember(session, audit.DAMAGE, {"findings": [_finding(one.run, one.version, one.what) for one in findings[:KEPT]]})
    if session.json:
        told = [{"run_id": one.run, "version": one.version, "seq": one.seq, "what": one.what} for one in findings]
        session.output.document({"store": log.path, "runs": count, "findings": told})
    elif findings:
        for one in findings:
            session.output.text(_finding(one.run, one.version, one.what))
    else:
        session.output.text(f"{log.path} is whole: {plural(count, 'run')} checked")
    if findings:
        if not session.json:
            session.output.note(f"{plural(len(findings), 'finding')}; restore a backup, or export the runs that are whole")
        return Exit.STORE
    return Exit.OK


def _finding(run: str | None, version: int | None, what: str) -> str:
    where = f"run {run}" if run else "store"
    return f"{where}{f' event {version}' if version else ''}: {what}"


async def _export(session: Session, wanted: tuple[str, ...], target: str) -> int:
    from store.bundle import export_runs

    overwrite = _overwrites(session, target)
    async with await session.reading() as log:
        rows = [await log.find(one) for one in wanted]
        ids = list(dict.fromkeys(row.id for row in rows))
        await export_runs(log, ids, Path(target), overwrite=overwrite)
    await _remember(session, audit.EXPORT, {"file": target, "runs": ids})
    return _written(session, target, {"runs": ids}, f"{plural(len(ids), 'run')} written to {target}")


async def _import(session: Session, file: str) -> int:
    from store.unbundling import import_bundle

    if not Path(file).exists():
        raise RefusedError(f"there is no file {file}; check the path", exit=Exit.NOT_FOUND, code="not_found")
    async with await Log.open(session.stored()) as log:
        runs = await import_bundle(log, Path(file))
    if session.json:
        session.output.document({"file": file, "runs": list(runs)})
        return Exit.OK
    for run in runs:
        session.output.line(run)
    session.output.note(f"{plural(len(runs), 'run')} taken in from {file}" if runs else f"all runs of {file} are here already")
    return Exit.OK


async def _backup(session: Session, file: str) -> int:
    overwrite = _overwrites(session, file)
    async with await session.reading() as log:
        await log.backup(Path(file), overwrite=overwrite)
    await _remember(session, audit.BACKUP, {"file": file})
    return _written(session, file, {"store": log.path}, f"{log.path} copied to {file}")


async def _remember(session: Session, action: str, detail: dict[str, object]) -> None:
    """Add to the store's trail, where the store can be written; a copy of one that cannot is as good."""
    with suppress(StoreError, RefusedError):
        async with await session.writing() as log:
            await audit.note(log.writer, action, detail)


def _overwrites(session: Session, target: str) -> bool:
    """Whether an existing file may be replaced: only when somebody says so."""
    path = Path(target)
    if path.is_dir():
        raise RefusedError(f"{target} is a folder; name a file in it")
    if not path.absolute().parent.is_dir():
        raise RefusedError(f"there is no folder {path.parent} to write to; make it first")
    if not os.path.lexists(path):
        return False
    if session.yes:
        return True
    if session.asks and click.confirm(f"{target} exists. Replace it?", err=True):
        return True
    raise RefusedError(f"{target} exists; choose another file, or replace it with --yes")


def _written(session: Session, target: str, about: dict[str, object], said: str) -> int:
    written = Path(target).stat().st_size
    if session.json:
        session.output.document({"file": target, "bytes": written, **about})
    else:
        session.output.note(f"{said} ({size(written)})")
    return Exit.OK
