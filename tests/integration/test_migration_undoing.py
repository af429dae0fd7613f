"""A run that undoes what it did is past being changed: it ends as it was recorded."""

import asyncio
from pathlib import Path

import pytest

from engine import EngineError, Pipeline
from tests.driving import engine_at, until


async def test_a_run_that_undoes_what_it_did_does_not_migrate(tmp_path: Path) -> None:
    """A changed pipeline is refused once compensation began; as recorded the run goes on and undoes what is left."""
    undone: list[str] = []
    hold = True

    def works() -> str:
        return "done"

    def breaks() -> None:
        raise ValueError("it breaks")

    async def undoes(output: str) -> None:
        while hold:
            await asyncio.sleep(0.01)
        undone.append(output)

    pipeline = Pipeline("p").step("a", run=works, compensate=undoes)
    pipeline.step("b", run=breaks, depends_on="a", max_retries=0)
    async with engine_at(tmp_path / "runs.db") as engine:
        run = await engine.start(pipeline)

        async def undoing() -> bool:
            return (await engine.view(run)).undoing is not None

        await until(undoing, "the compensation")
    async with engine_at(tmp_path / "runs.db") as engine:
        changed = pipeline.copy().step("c", run=works)
        with pytest.raises(EngineError, match="cannot migrate any more"):
            await engine.resume(run, changed, on_change="migrate")
        hold = False
        await engine.resume(run, pipeline)
        assert (await engine.result(run)).status == "failed"
    assert undone == ["done"]
