"""The report as text."""

from itertools import pairwise
from typing import Any

from markdown_it import MarkdownIt

from engine.templates.repository import analyses
from engine.templates.repository.dependencies import Dependencies, Manifest
from engine.templates.repository.findings import Finding, Findings
from engine.templates.repository.kinds import Mark
from engine.templates.repository.listing import File
from engine.templates.repository.report import SIMULATED, render, sized
from engine.templates.repository.scan import OUTSIDE, Tally
from tests.trees import scanned

HOSTILE = "evil|`*_[x](http://h)<b>\u202e\x1b[31m\n# not a heading"


def rendered(judgement: dict[str, Any] | None = None, *, simulated: bool = False, text: str = "plain") -> str:
    scan = scanned(
        File(f"{text}.py", 5_000, 1_200, "Python", Mark(0)),
        File("b.bin", 2_000_000, 0, "", Mark.BINARY),
        name=text,
        skipped=Tally(count=2, by=[("a named pipe", 2)], examples=[(f"{text}/p", "a named pipe", "a named pipe")]),
        links=Tally(count=1, by=[(OUTSIDE, 1)], examples=[("l", OUTSIDE, text)]),
        left_out=Tally(count=1, by=[(text, 1)], examples=[(text, text, "left out by its name")]),
    )
    history = analyses.History(
        summary="1 commit since 2024-05-31 by 1 author",
        note="",
        commits=[analyses.CommitRow(id="abc", date="2024-05-31", author=text, subject=text)],
        looked_at=1,
        since="2024-05-31",
        authors=[(text, 1)],
        changed=[(text, 2)],
    )
    manifest = Manifest(path=text, ecosystem="Python", locked=False, aside=False, declared=[(text, text, text, 1)], problem=None)
    found = [Finding(path=f"{text}.py", line=7, reason=text, kind="marker", score=50)]
    return render(
        scan,
        analyses.languages(scan),
        analyses.largest(scan),
        analyses.TodoReport(summary="", count=2, by=[("TODO", 2)], by_file=[(text, 2)], rows=[]),
        history,
        Dependencies(summary="1 dependency declared", manifests=[manifest], unread=[text], left_out=0),
        analyses.tested(scan),
        Findings(summary="1 finding shown", findings=found, not_shown=[("marker", 3)]),
        judgement,
        simulated=simulated,
    )


def headings(report: str) -> list[str]:
    tokens = MarkdownIt("gfm-like").parse(report)
    return [after.content for before, after in pairwise(tokens) if before.type == "heading_open"]


def test_a_report_has_its_parts_in_order() -> None:
    """Title, facts, ranked findings with path, line and reason, then the tables, then what was not looked at."""
    report = rendered()
    assert headings(report) == [
        *("Repository report: plain", "Findings", "Languages", "Largest files", "Left for later"),
        *("History", "Dependencies", "Tests", "What was not looked at"),
    ]
    assert "| 1 | 50 | `plain.py:7` | plain |" in report
    assert "so that no kind drowns the others: marker (3)." in report
    assert "- A named pipe: `plain/p` and 1 more." in report
    assert "- 1 symbolic link, recorded and not followed (1 out of the tree)." in report


def test_foreign_text_cannot_shape_the_report() -> None:
    """Names, subjects and versions full of markup leave headings, tables and links as they are, and show what is invisible."""
    tokens = MarkdownIt("gfm-like").parse(rendered(text=HOSTILE))
    plain = MarkdownIt("gfm-like").parse(rendered(text="plain"))
    assert [token.type for token in tokens] == [token.type for token in plain]
    inside = {child.type for token in tokens for child in token.children or ()}
    assert inside <= {"text", "text_special", "code_inline", "softbreak"}
    report = rendered(text=HOSTILE)
    assert "\u202e" not in report
    assert "\x1b" not in report
    assert "⟨U+202E⟩" in report


def test_a_judgement_has_its_own_section() -> None:
    """A real judgement is quoted in one section, without touching the findings."""
    judgement = {"headline": "Mend it", "priorities": [{"title": "First", "why": HOSTILE}]}
    report = rendered(judgement)
    assert "Judgement" in headings(report)
    assert SIMULATED not in report
    assert "> **Mend it**" in report
    assert report.split("## Judgement")[0] == rendered().split("## Languages")[0]


def test_a_simulated_judgement_says_so() -> None:
    """What the offline model made up is labelled in its heading and its text, and stands nowhere else."""
    report = rendered({"headline": "UNIQUE", "priorities": []}, simulated=True)
    assert "Judgement (simulated)" in headings(report)
    assert f"The text below is {SIMULATED}." in report
    assert report.count("UNIQUE") == 1
    assert "UNIQUE" not in report.split("## Judgement")[0]


def test_a_malformed_judgement_is_still_shown() -> None:
    """A judgement without its fields does not break the report."""
    assert "## Judgement" in rendered({})
    assert "## Judgement" in rendered({"headline": None, "priorities": None})


def test_an_empty_tree_makes_a_short_report() -> None:
    """Where there is nothing, the report says so and leaves the empty tables out."""
    scan = scanned()
    nothing = analyses.History(summary="no history: why", note="why", commits=[], looked_at=0, since="", authors=[], changed=[])
    report = render(
        scan,
        analyses.languages(scan),
        analyses.largest(scan),
        analyses.todos(scan),
        nothing,
        Dependencies(summary="no dependencies are declared", manifests=[], unread=[], left_out=0),
        analyses.tested(scan),
        Findings(summary="nothing to look at", findings=[], not_shown=[]),
    )
    assert headings(report) == ["Repository report: tree", "Findings", "History", "Dependencies", "What was not looked at"]
    assert "Nothing here asks for a look." in report
    assert "| ---" not in report


def test_sizes_are_for_people() -> None:
    """Bytes are told in the unit that keeps them short."""
    assert [sized(n) for n in (0, 999, 1_000, 5_340_000, 2_000_000_000)] == ["0 B", "999 B", "1.0 kB", "5.3 MB", "2.0 GB"]
