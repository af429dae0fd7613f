"""The runs screen as a whole, as text: what stands where, at both sizes of the design's pictures."""

from __future__ import annotations

from pathlib import Path

from textual.pilot import Pilot

from store.log import Log
from tests.acceptance import made_runs
from tests.acceptance.made_runs import BASE, write
from tests.acceptance.piloting import NOW, opened, sees, simple, text

AT_80 = """\

 / filter   status any   pipeline any                     5 runs · newest first

   run   pipeline             now                      steps         age   cost
────────────────────────────────────────────────────────────────────────────────
▌● 0e0e  nightly_audit        starts                   ────     0/1  now      –
 ◐ 0d0d  repository_report    interrupted · R resumes  ────     0/1   4m      –
 ✓ 7f3a  company_research     completed                ━━━━     9/9  59m  $0.04
 ◆ 7d0b  checkout             waits for you            ━───     1/3  59m      –
 ✗ 7f3b  company_research     1 step failed · legal    ━━━━     9/9   1h  $0.04












 enter open  n new  / filter  s status  p pipeline  ctrl+p commands  ? help"""

AT_120 = """\

 / filter   status any   pipeline any                                                             5 runs · newest first

   run   pipeline              now                                  steps              age      time   tokens      cost
────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────
▌● 0e0e  nightly_audit         starts                               ────────     0/1   now     2.0 s        –         –
 ◐ 0d0d  repository_report     interrupted · R resumes              ────────     0/1    4m     0.0 s        –         –
 ✓ 7f3a  company_research      completed                            ━━━━━━━━     9/9   59m    1m 57s      16k     $0.04
 ◆ 7d0b  checkout              waits for you                        ━━╸─────     1/3   59m    30.5 s        –         –
 ✗ 7f3b  company_research      1 step failed · legal                ━━━━━━━━     9/9    1h    1m 57s      16k     $0.04"""


async def picture(path: Path, size: tuple[int, int]) -> list[str]:
    """The screen over five runs of every kind, without its title row, which names the file."""
    async with await Log.open(path) as log:
        for made in (
            made_runs.research("failed", run="7f3b19c2"),
            made_runs.in_doubt(base=BASE + 20),
            made_runs.research("completed", base=BASE + 30),
            simple(0x0D0D, name="repository_report", ended=False),
        ):
            await (await write(log, made)).release()
        lease = await write(log, simple(0x0E0E, name="nightly_audit", ended=False), alive=True)
        async with opened(path, size, now=NOW) as pilot:
            await sees(pilot, "5 runs", "waits for you")
            found = shown(pilot)
        await lease.release()
    return found


def shown(pilot: Pilot[None]) -> list[str]:
    """The lines below the title row."""
    return text(pilot).splitlines()[1:]


async def test_the_screen_at_80_by_24(tmp_path: Path) -> None:
    """Every cell below the title row is where it belongs."""
    assert "\n".join(await picture(tmp_path / "runs.db", (80, 24))) == AT_80


async def test_the_list_at_120_by_40(tmp_path: Path) -> None:
    """With the room there are time, tokens and cost, and the peek below."""
    found = await picture(tmp_path / "runs.db", (120, 40))
    assert "\n".join(found[:10]) == AT_120
    assert found[23] == "─" * 120
    assert found[24].startswith(" ● nightly_audit  0e0ecafe   started")
