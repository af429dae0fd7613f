"""The store's own trail: what was done to the file as a whole is kept with it."""

from __future__ import annotations

from pathlib import Path

import pytest

from store import Log, RunId, StoreError, audit
from tests.shell import Shell
from tests.stores import ME, lead


async def test_entries_are_numbered_and_paged(tmp_path: Path) -> None:
    """What was noted comes back in order, a page at a time, over a new opening; a store opened for reading takes none."""
    async with await Log.open(tmp_path / "runs.db") as log:
        assert await audit.trail(log.reader) == []
        for number in range(5):
            await audit.note(log.writer, audit.BACKUP, {"file": f"{number}\udcff", "n": number})
        found = await audit.trail(log.reader, limit=3)
        assert [(one.seq, one.action, one.detail["n"]) for one in found] == [(n + 1, "backup", n) for n in range(3)]
        assert found[0].detail["file"] == "0\udcff"
    async with await Log.open(tmp_path / "runs.db", readonly=True) as log:
        assert [one.seq for one in await audit.trail(log.reader, after=3)] == [4, 5]
        assert all(one.at > 1e9 for one in found)
        with pytest.raises(StoreError, match="for reading only"):
            await audit.note(log.writer, audit.BACKUP, {})


async def test_only_a_forced_takeover_is_kept(tmp_path: Path) -> None:
    """Taking a run by force is on the trail, with whose it was; taking one that nobody drives is not."""
    async with await Log.open(tmp_path / "runs.db") as log:
        await (await lead(log)).release()
        await (await log.acquire(RunId("run"), driver=ME)).release()
        assert await audit.trail(log.reader) == []
        await (await log.acquire(RunId("run"), driver=ME, force=True)).release()
        (entry,) = await audit.trail(log.reader)
    assert (entry.action, entry.detail["run"], entry.detail["pid"]) == ("takeover", "run", ME.pid)


def test_the_shell_keeps_and_shows_the_trail(tmp_path: Path) -> None:
    """Exports, imports and backups leave a line with file and runs, as text and as JSON; what changed nothing leaves none."""
    shell = Shell(tmp_path)
    run = shell.run_of("flow:fine")
    assert "nothing is on the store's trail yet" in shell.tui("events", "--store").err
    assert shell.tui("export", run, "-o", "out.tagent").code == 0
    assert shell.tui("backup", "copy.db").code == 0
    assert shell.tui("import", "out.tagent").code == 0
    assert shell.tui("export", run, "-o", "out.tagent").code == 2
    told = shell.tui("events", "--store", "--json").lines
    assert [(one["seq"], one["action"], one["detail"]) for one in told] == [
        (1, "export", {"file": "out.tagent", "runs": [run]}),
        (2, "backup", {"file": "copy.db"}),
    ]
    assert sorted(told[0]) == ["action", "at", "detail", "seq"]
    lines = shell.tui("events", "--store", "--after", "1").out.splitlines()
    assert len(lines) == 1
    assert "backup" in lines[0]
    assert "file copy.db" in lines[0]
    assert shell.tui("import", "out.tagent", "--db", "other.db").code == 0
    (taken,) = shell.tui("events", "--store", "--json", "--db", "other.db").lines
    assert (taken["action"], taken["detail"]["runs"]) == ("import", [run])
    assert [one["action"] for one in shell.tui("events", "--store", "--json", "--db", "copy.db").lines] == ["export"]
