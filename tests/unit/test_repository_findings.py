"""The analyses as values, and what ranks where."""

import json
from typing import Any

import pytest

from engine.templates.repository import analyses
from engine.templates.repository.dependencies import Dependencies, Manifest
from engine.templates.repository.findings import MAX_FINDINGS, MAX_PER_FILE, Finding, findings, is_unbounded, ranked
from engine.templates.repository.kinds import Mark
from engine.templates.repository.listing import File, Listing
from engine.templates.repository.scan import OUTSIDE, Scan, Tally, Todos
from tests.trees import scanned

UNMARKED = Mark(0)
NO_HISTORY = analyses.History(summary="", note="", commits=[], looked_at=0, since="", authors=[], changed=[])
NO_DEPENDENCIES = Dependencies(summary="", manifests=[], unread=[], left_out=0)


def code(path: str, lines: int = 10, marks: Mark = UNMARKED, size: int = 100) -> File:
    return File(path, size, lines, "Python", marks)


def found_in(scan: Scan, **parts: Any) -> list[Finding]:
    given = {
        "largest": analyses.largest(scan),
        "todos": analyses.todos(scan),
        "history": NO_HISTORY,
        "dependencies": NO_DEPENDENCIES,
        "tests": analyses.tested(scan),
    } | parts
    return findings(scan, **given)["findings"]


def declared(*rows: tuple[str, str, str, int], ecosystem: str = "Python", **parts: Any) -> Dependencies:
    manifest = Manifest(path="m", ecosystem=ecosystem, locked=False, aside=False, declared=list(rows), problem=None)
    return Dependencies(summary="", manifests=[manifest | parts], unread=[], left_out=0)  # type: ignore[list-item]


def test_a_listing_survives_its_columns() -> None:
    """Files come back from the columns as they went in, through JSON, deep folders included."""
    files = [code("a.py"), code("b/c/d.py", 3, Mark.TEST), File("b/x.bin", 7, 0, "", Mark.BINARY), code("/".join("f" * 300) + "/g")]
    columns = json.loads(json.dumps(Listing(files).columns()))
    assert Listing.of(columns).files == files
    assert len(columns["folders"]) == 1 + 2 + 300


def test_languages_leave_out_what_nobody_writes_here() -> None:
    """Lines are summed by language; vendored, generated and binary files are counted apart."""
    scan = scanned(
        code("a.py", 10),
        code("b.py", 5),
        code("vendor/c.py", 100, Mark.VENDORED),
        File("d.md", 9, 3, "Markdown", Mark(0)),
        File("e", 9, 0, "", Mark.BINARY),
    )
    result = analyses.languages(scan)
    assert [(row["name"], row["files"], row["lines"]) for row in result["rows"]] == [("Python", 2, 15), ("Markdown", 1, 3)]
    assert (result["foreign_files"], result["foreign_lines"], result["binary_files"], result["binary_bytes"]) == (1, 100, 1, 9)
    assert result["summary"] == "15 lines of code (Python 15)"


def test_largest_files_by_lines_and_by_bytes() -> None:
    """The longest are own programs, the heaviest anything; equal ones stand in path order."""
    scan = scanned(code("b.py", 5), code("a.py", 5), code("v.py", 99, Mark.VENDORED), File("x.bin", 9_000, 0, "", Mark.BINARY))
    result = analyses.largest(scan)
    assert [row[0] for row in result["by_lines"]] == ["a.py", "b.py"]
    assert result["by_bytes"][0] == ("x.bin", 9_000, "binary")


def test_tests_are_set_against_code() -> None:
    """The ratio is test lines to code lines; samples are not asked to have tests."""
    scan = scanned(
        code("a.py", 100, Mark.TESTED), code("b.py", 50), code("docs/c.py", 50, Mark.SAMPLE), code("test_a.py", 40, Mark.TEST)
    )
    result = analyses.tested(scan)
    assert (result["code_lines"], result["test_lines"], result["ratio"], result["matched"]) == (200, 40, 0.2, 1)
    assert result["untested"] == [("b.py", 50, "Python")]
    assert result["areas"] == [(".", 150, 40), ("docs", 50, 0)]


def test_an_empty_tree_has_nothing_to_say() -> None:
    """Every analysis of an empty tree ends in a plain sentence, and nothing is found."""
    scan = scanned()
    summaries = [analyses.languages(scan), analyses.largest(scan), analyses.todos(scan), analyses.tested(scan)]
    assert [one["summary"] for one in summaries] == [
        "no program text",
        "no program files",
        "nothing is marked as left for later",
        "no program text to test",
    ]
    assert found_in(scan) == []


@pytest.mark.parametrize(
    ("marker", "text", "marks", "weight"),
    [
        ("TODO", "write more examples", Mark(0), 2),
        ("TODO", "", Mark(0), 1),
        ("FIXME", "this is a race on shutdown", Mark(0), 8),
        ("FIXME", "deadlock when the write fails", Mark(0), 10),
        ("TODO", "write more examples", Mark.TEST, 0),
        ("HACK", "temporary until the next version", Mark(0), 5),
    ],
)
def test_alarming_words_weigh_more(marker: str, text: str, marks: Mark, weight: int) -> None:
    """A marker weighs by its kind and its words, and less in tests."""
    assert analyses.weight_of(marker, text, marks) == weight


def test_a_thousand_markers_do_not_hide_a_key() -> None:
    """However many markers there are, the key comes first, and the markers are capped and counted."""
    kept = [(0, line, "FIXME", "deadlock when it fails") for line in range(1, 1_001)]
    files = [code("a.py", 2_000), code("b.py"), *(code(f"c{n}.py") for n in range(50))]
    kept += [(2 + n, 1, "FIXME", "deadlock when it fails") for n in range(50)]
    todos = Todos(count=1_050, by=[("FIXME", 1_050)], by_file=[(0, 1_000)], kept=kept)
    scan = scanned(*files, todos=todos, remarks=[(1, 7, "private key", "a private key")])
    result = findings(scan, analyses.largest(scan), analyses.todos(scan), NO_HISTORY, NO_DEPENDENCIES, analyses.tested(scan))
    first = result["findings"][0]
    assert (first["path"], first["line"], first["kind"], first["score"]) == ("b.py", 7, "private key", 95)
    kinds = [one["kind"] for one in result["findings"]]
    assert kinds.count("marker") == 12
    assert sum(one["path"] == "a.py" for one in result["findings"]) <= MAX_PER_FILE
    assert dict(result["not_shown"])["marker"] == 1_050 - 12


def test_ranking_is_by_score_then_place_and_bounded() -> None:
    """The order does not depend on the order of arrival, and there is an end."""
    many = [Finding(path=f"{n:03}", line=1, reason="", kind=f"k{n % 20}", score=n % 7) for n in range(200)]
    kept, cut = ranked(many)
    again, _ = ranked(list(reversed(many)))
    assert kept == again
    assert len(kept) == MAX_FINDINGS
    assert len(kept) + sum(count for _, count in cut) == 200
    assert [(-one["score"], one["path"]) for one in kept] == sorted((-one["score"], one["path"]) for one in kept)


@pytest.mark.parametrize("kind", ["private key", "token", "conflict", "broken", "long line"])
def test_remarks_in_tests_and_samples_count_less(kind: str) -> None:
    """The same remark in a test scores lower than in a program."""
    scan = scanned(code("a.py"), code("tests/a.py", marks=Mark.TEST), remarks=[(0, 1, kind, "x"), (1, 1, kind, "x")])
    scores = {one["path"]: one["score"] for one in found_in(scan) if one["kind"] == kind}
    assert scores["a.py"] > scores["tests/a.py"]


def test_every_finding_has_a_place_and_a_reason() -> None:
    """Path, line from 1, a reason and a score from 0 to 100 are there for every kind."""
    scan = scanned(
        code("a.py", 9_000),
        code(".env"),
        code("b.py", 8_000),
        File("x.bin", 9_000_000, 0, "", Mark.BINARY),
        links=Tally(count=1, by=[(OUTSIDE, 1)], examples=[("l", OUTSIDE, "/etc")]),
        todos=Todos(count=1, by=[("TODO", 1)], by_file=[(0, 1)], kept=[(1, 3, "TODO", "")]),
        remarks=[(2, 2, "broken", "JSON that does not parse")],
    )
    history = analyses.History(**(NO_HISTORY | {"looked_at": 20, "changed": [("a.py", 15)]}))  # type: ignore[typeddict-item]
    rows = (("p", "http://h/p", "", 4), ("q", "", "", 5), ("r", "1", "", 6), ("r", "2", "", 7))
    found = found_in(scan, history=history, dependencies=declared(*rows))
    assert {one["kind"] for one in found} == {
        *("secret file", "link", "marker", "broken", "long file", "heavy file", "hot spot"),
        *("untested", "insecure source", "unpinned", "declared twice"),
    }
    assert all(one["path"] and one["line"] >= 1 and one["reason"] and 0 <= one["score"] <= 100 for one in found)


def test_no_tests_at_all_is_one_finding() -> None:
    """A tree without tests is told once, at its longest file."""
    found = found_in(scanned(code("a.py", 300), code("b.py", 400)))
    assert [(one["path"], one["kind"]) for one in found] == [("b.py", "untested")]


def test_missing_tests_are_told_only_where_names_match() -> None:
    """Where tests are named after files, the long files without one are told; where they are not, names say nothing."""
    matched = [code(f"m{n}.py", 100, Mark.TESTED) for n in range(5)]
    tests = code("tests/all.py", 500, Mark.TEST)
    told = found_in(scanned(*matched, code("long.py", 800), code("short.py", 50), tests))
    assert [one["path"] for one in told] == ["long.py"]
    assert found_in(scanned(*(code(f"m{n}.py", 300) for n in range(7)), tests)) == []


@pytest.mark.parametrize(
    ("ecosystem", "spec", "group", "loose"),
    [
        ("Python", "", "", True),
        ("Python", ">=1", "", False),
        ("Python", "", "build", False),
        ("JavaScript", "*", "", True),
        ("JavaScript", "latest", "dev", True),
        ("JavaScript", "*", "peer", False),
        ("JavaScript", "workspace:*", "", False),
        ("Python", "git+https://h/x.git", "", True),
        ("Python", "git+https://h/x.git@v1.2", "", False),
        ("Python", "git+https://h/x.git@0123456789abcdef", "", False),
        ("Java", "managed", "", False),
        ("Go", "v1.2.3", "", False),
    ],
)
def test_which_versions_are_loose(ecosystem: str, spec: str, group: str, loose: bool) -> None:
    """Loose is what any future version or commit would satisfy."""
    assert is_unbounded(ecosystem, spec, group) is loose


def test_loose_versions_are_one_finding_a_manifest() -> None:
    """Twenty loose versions are one finding at the first, worth less when a lock file holds them."""
    rows = [(f"p{n}", "", "", n + 3) for n in range(20)]
    scan = scanned()
    loose = found_in(scan, dependencies=declared(*rows))
    assert [(one["line"], one["kind"]) for one in loose] == [(3, "unpinned")]
    assert "20 of 20 dependencies accept any version (p0, p1, p2, p3, p4 and 15 more)" in loose[0]["reason"]
    assert found_in(scan, dependencies=declared(*rows, locked=True))[0]["score"] < loose[0]["score"]


def test_declared_twice_knows_names_and_groups() -> None:
    """Python's spellings of a name are one; different groups and equal wishes are no conflict."""
    twice = found_in(scanned(), dependencies=declared(("A_b", "==1", "", 1), ("a-B", "==2", "", 2)))
    assert [(one["line"], one["kind"]) for one in twice] == [(2, "declared twice")]
    assert not found_in(scanned(), dependencies=declared(("a", "==1", "", 1), ("a", "==2", "dev", 2), ("a", "==1", "", 3)))


def test_unreadable_manifests_are_told() -> None:
    """A manifest that could not be read is a finding with the reason."""
    found = found_in(scanned(), dependencies=declared(problem="it does not parse"))
    assert found[0]["reason"] == "dependencies could not be read: it does not parse"
