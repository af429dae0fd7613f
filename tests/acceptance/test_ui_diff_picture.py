"""The diff screen as a whole: what stands where at both sizes of the design's pictures, and what is tinted."""

from __future__ import annotations

from pathlib import Path

from textual.pilot import Pilot

from tagent_tui.rows import Tint
from tagent_tui.theme import Palette
from tests.acceptance.diff_runs import write_pair
from tests.acceptance.piloting import opened, sees, text

AT_80 = """\
 DIFF  A 7d12 ✗ failed  →  B 7e41 ✓ fork of A at 25
 5 same  ≠ 2 differ  1 only in B                                         2 of 3
 1 Steps   2 Text
─━━━━━━━────────────────────────────────────────────────────────────────────────
 A   B  step                                    A        B    Δ time     Δ cost
────────────────────────────────────────────────────────────────────────────────
 ✓ = ✓  plan                                6.1 s   reused
 ✓ = ✓  product                            48.0 s   reused
 ✓ = ✓  market  6 items                    2m 04s   reused
 ✓ = ✓  prices                             31.2 s   reused
 ─ first divergence  event 28 · edit.applied · report.prompt by you ───────────
 ✗ ≠ ✓  competitors  HTTP 429              1m 40s   10.4 s  - 1m 30s   - $0.113
▌✓ ≠ ✓  opportunity                        22.4 s   20.9 s   - 1.5 s   - $0.001
 – + ✓  report  competitors failed                   9.7 s   + 9.7 s   + $0.012
 ✓ = ✓  archive                             0.2 s    0.2 s






────────────────────────────────────────────────────────────────────────────────
 total  without the reused                 2m 03s   41.2 s  - 1m 21s   - $0.102
 j k pair  n N difference  tab text  = hide the same  h l tab  w words  ? help"""

AT_120 = """\
 DIFF  ecommerce_analysis   A 7d12 ✗ failed  →  B 7e41 ✓ fork of A at 25             B is 1m 21s faster, $0.102 cheaper
 first divergence  event 28 report.prompt by you   5 same   ≠ 2 differ   1 only in B          n next difference  2 of 3
 A  7d12                                time        B  7e41                         time    Δ time  Δ tokens     Δ cost
────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────
 ✓ plan                                6.1 s   =    ✓ plan                        reused
 ✓ product                            48.0 s   =    ✓ product                     reused
 ✓ market  6 items                    2m 04s   =    ✓ market  6 items             reused
 ✓ prices                             31.2 s   =    ✓ prices                      reused
 ─ first divergence  event 28 · edit.applied · report.prompt by you ───────────────────────────────────────────────────
 ✗ competitors  HTTP 429              1m 40s   ≠    ✓ competitors                 10.4 s  - 1m 30s   - 41.1k   - $0.113
▌✓ opportunity                        22.4 s   ≠    ✓ opportunity                 20.9 s   - 1.5 s     - 240   - $0.001
 – report  competitors failed                  +    ✓ report                       9.7 s   + 9.7 s    + 4.1k   + $0.012
 ✓ archive                             0.2 s   =    ✓ archive                      0.2 s
────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────
 total  without the reused            2m 03s                                      41.2 s  - 1m 21s   - 37.2k   - $0.102

 opportunity    Output   Input   Prompt   Events                                       - 5  + 5  lines   w word by word
────────────────━━━━━━──────────────────────────────────────────────────────────────────────────────────────────────────

   1   # Opportunity                                       │   1   # Opportunity
   2                                                       │   2
   3   The market grows by 11 % a year and has no clear    │   3   The market grows by 11 % a year and has no clear
   4   leader in the mid price range.                      │   4   leader in the mid price range.
   5                                                       │   5
   6 - Competitors: unknown (the step failed).             │   6 + Competitors: 7, three of them with the same bundle.
   7 - Score: 3.1 of 5, low confidence.                    │   7 + Score: 4.2 of 5, good confidence.
   8                                                       │   8
   9   ## What to do next                                  │   9   ## What to do next
  10                                                       │  10
  11 - 1. Find out who the competitors are.                │  11 + 1. Price the bundle at 89, below the median of 94.
  12 - 2. Do not set a price yet.                          │
  13   3. Keep the bundle small.                           │  12   3. Keep the bundle small.
                                                           │  13 + 4. Watch Globex: it cut its price twice.
  14                                                       │  14
  15   ## Sources                                          │  15   ## Sources
  16                                                       │  16
  17 - 4 sources, 1 primary                                │  17 + 11 sources, 6 primary


 j k pair  n N difference  tab text  = hide the same  h l tab  w words  o open run  y copy  v pager  esc back  ? help"""


async def picture(pilot: Pilot[None], *words: str) -> str:
    """The comparison of the fork with its parent, on the second difference."""
    await sees(pilot, "2 runs")
    await pilot.press("j", "D")
    await sees(pilot, "first divergence")
    await pilot.press("n")
    await sees(pilot, "2 of 3", *words)
    return text(pilot)


async def test_the_screen_at_80_by_24(tmp_path: Path) -> None:
    """Every cell is where it belongs."""
    async with opened(await write_pair(tmp_path / "runs.db"), (80, 24)) as pilot:
        assert await picture(pilot) == AT_80


async def test_the_screen_at_120_by_40(tmp_path: Path) -> None:
    """Every cell is where it belongs; removed and added lines are tinted, and so is what fills the other side."""
    async with opened(await write_pair(tmp_path / "runs.db")) as pilot:
        assert await picture(pilot, "Competitors: unknown") == AT_120
        strips = pilot.app.screen._compositor.render_strips()
        line = next(index for index, strip in enumerate(strips) if "2. Do not set a price yet." in strip.text)
        grounds = [
            segment.style.bgcolor.name.upper()
            for segment in strips[line]
            if segment.style is not None and segment.style.bgcolor is not None
        ]
        for tint in (Tint.REMOVED, Tint.PANE):
            assert Palette().ground(tint) in grounds
