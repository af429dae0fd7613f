"""The repository report as a pipeline: run by the real engine over real trees."""

import importlib
import json
import shutil
import socket
from pathlib import Path
from typing import Any

import pytest

from engine import Engine, PipelineResult, PipelineValidationError
from engine.models.errors import ModelError, ModelErrorKind
from engine.templates.repository.pipeline import ARTIFACT, Judgement, build
from engine.templates.repository.report import SIMULATED
from tests import trees
from tests.driving import Scripted

STEPS = ["scan", "languages", "largest", "todos", "history", "dependencies", "tests", "findings", "judge", "report"]


async def ran(root: Path, *, judge: bool = True) -> PipelineResult:
    async with Engine(":memory:", tee=False) as engine:
        run = await engine.start(build(str(root), judge=judge), model="offline" if judge else None)
        return await engine.result(run)


def report_of(result: PipelineResult) -> str:
    content: Any = result.artifacts[ARTIFACT]
    return content.decode() if isinstance(content, bytes) else str(content)


def sample(root: Path) -> Path:
    """A small repository with something of every kind to find."""
    return trees.repository(
        root,
        {
            "app.py": "# FIXME: deadlock when the write fails\n" + "x = 1\n" * 300,
            "conflict.py": "<<<<<<< a\n1\n=======\n2\n>>>>>>> b\n",
            "broken.json": "{",
            "requirements.txt": "flask\n",
            "pic.png": b"\x89PNG\0",
        },
    )


def test_every_step_can_be_found_again_by_name(tmp_path: Path) -> None:
    """Each function step is named by module and function, so another process can resume it."""
    definition = build(str(tmp_path)).define([])
    assert [step.name for step in definition.steps] == STEPS
    for step in definition.steps:
        if step.run is not None:
            module, _, name = step.run.partition(":")
            assert callable(getattr(importlib.import_module(module), name))
    assert json.loads(json.dumps(definition.params)) == {"root": str(tmp_path)}


def test_the_root_is_made_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run resumed from elsewhere reads the same tree."""
    monkeypatch.chdir(tmp_path)
    assert build(".").params == {"root": str(tmp_path)}


def test_the_analyses_run_together_between_scan_and_findings(tmp_path: Path) -> None:
    """The six analyses wait for the scan alone and are concurrent; the findings wait for all of them."""
    steps = {step.name: step for step in build(str(tmp_path)).define([]).steps}
    analyses = STEPS[1:7]
    assert all([dep.step for dep in steps[name].depends_on] == ["scan"] for name in analyses)
    assert {steps[name].execution_mode.value for name in analyses} == {"concurrent"}
    assert [dep.step for dep in steps["findings"].depends_on] == ["scan", *analyses]


def test_judging_needs_a_model_and_the_rest_does_not(tmp_path: Path) -> None:
    """Without a model the judging step is refused before anything runs; without that step no model is asked for."""
    with pytest.raises(PipelineValidationError, match="no model is configured"):
        build(str(tmp_path)).define([], model=None)
    assert [step.name for step in build(str(tmp_path), judge=False).define([], model=None).steps] == [
        s for s in STEPS if s != "judge"
    ]


async def test_a_run_reports_with_places_and_reasons(tmp_path: Path) -> None:
    """A run ends completed, with ranked findings that have path, line and reason, and a report that lists them."""
    result = await ran(sample(tmp_path))
    assert result.status == "completed"
    final = result.final_output
    found = [(one["path"], one["line"], one["kind"]) for one in final["findings"]]
    assert found[:2] == [("conflict.py", 1, "conflict"), ("broken.json", 1, "broken")]
    assert ("app.py", 1, "marker") in found
    assert all(one["reason"] for one in final["findings"])
    report = report_of(result)
    assert "| `conflict.py:1` | a merge conflict that was not resolved |" in report
    assert "FIXME: deadlock when the write fails" in report
    assert final["artifact"] == ARTIFACT


async def test_simulated_text_is_labelled_and_no_finding(tmp_path: Path) -> None:
    """What the offline model makes up stands in its labelled section only, and reaches neither findings nor summary."""
    result = await ran(sample(tmp_path))
    judgement = result.step_outputs["judge"]
    Judgement.model_validate(judgement)
    report = report_of(result)
    before, _, after = report.partition("## Judgement (simulated)")
    assert SIMULATED in after
    assert judgement["headline"] in after
    assert judgement["headline"] not in before
    assert judgement["headline"] not in json.dumps(result.final_output)


async def test_without_judging_the_findings_are_the_same(tmp_path: Path) -> None:
    """Leaving the judging step out takes its section from the report and nothing else."""
    root = sample(tmp_path)
    judged, plain = await ran(root), await ran(root, judge=False)
    assert plain.final_output == judged.final_output
    assert "Judgement" not in report_of(plain)
    assert report_of(plain).split("\n## ")[:2] == report_of(judged).split("\n## ")[:2]


async def test_the_same_tree_gives_the_same_report(tmp_path: Path) -> None:
    """Two runs over one tree write the same text; only a model's judgement may differ, by the run's seed."""
    root = sample(tmp_path)
    assert report_of(await ran(root, judge=False)) == report_of(await ran(root, judge=False))


async def test_no_network_is_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The whole demo runs while every connection is refused."""

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a connection was asked for")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    assert (await ran(sample(tmp_path))).status == "completed"


async def test_odd_trees_are_reported_whole(tmp_path: Path) -> None:
    """Odd names, links, pipes, depth and binaries make a completed run and a report without a raw control character."""
    root = tmp_path / "tree"
    root.mkdir()
    trees.odd_names(root)
    trees.links(root / "links", tmp_path / "outside")
    trees.specials(root / "specials")
    trees.deep(root, 25)
    trees.write(root, {"blob.bin": b"\0\1\2", "bad.py": b"\xff\xfe\x00"})
    result = await ran(root)
    assert result.status == "completed"
    report = report_of(result)
    assert all(line.isprintable() for line in report.split("\n"))
    assert "not yours" not in report


async def test_a_judge_that_fails_costs_no_report(tmp_path: Path) -> None:
    """The run has failed and says which step, and the report is there all the same, with its findings and no judgement."""
    trees.write(tmp_path, {"a.py": b"# TODO: mend\n"})
    async with Engine(":memory:", tee=False) as engine:
        engine._models["gone"] = Scripted(ModelError(ModelErrorKind.BAD_REQUEST, "gone is not there"))
        result = await engine.result(await engine.start(build(str(tmp_path)), model="gone"))
    assert (result.status, result.failed_steps) == ("failed", ["judge"])
    assert "# TODO" not in report_of(result)
    assert "a.py" in report_of(result)
    assert result.step_metadata["report"]["status"] == "completed"


async def test_an_empty_folder_is_reported(tmp_path: Path) -> None:
    """Nothing to report on is a short report."""
    result = await ran(tmp_path, judge=False)
    assert result.final_output["findings"] == []
    assert "Nothing here asks for a look." in report_of(result)


async def test_a_missing_folder_fails_with_one_sentence(tmp_path: Path) -> None:
    """A folder that is not there fails the scan once, without retries, and says what to give."""
    result = await ran(tmp_path / "nowhere", judge=False)
    assert result.status == "failed"
    assert "scan" in result.failed_steps
    assert "give the folder to report on" in str(result.failures)


async def test_what_was_read_is_known_when_the_tree_is_gone(tmp_path: Path) -> None:
    """A run is proved, and forked at every event, without the folder it was made from; what it read is in its log."""
    root = sample(tmp_path / "tree")
    pipeline = build(str(root))
    async with Engine(":memory:", tee=False) as engine:
        run = await engine.start(pipeline, model="offline")
        report = report_of(await engine.result(run))
        shutil.rmtree(root)
        assert (await engine.verify(run, pipeline)).divergence is None
        reads = {item.event.name for item in await engine.events(run, types={"effect.requested"})}
        assert reads >= {"tree", "history", "manifests"}
        ended = {item.version for item in await engine.events(run, types={"effect.succeeded"})}
        for version in range(max(ended), await engine.log.head(run) + 1):
            fork = await engine.fork(run, version, {"report.again": True}, pipeline=pipeline)
            assert report_of(await engine.result(fork)) == report
        again = await engine.fork(run, 2, {"findings.again": True}, pipeline=pipeline)
        assert report_of(await engine.result(again)) == report
