"""Every attempt that a real run recorded, driven again twenty times: the same requests, the same outcome, the world untouched."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from engine.definition import Definition
from engine.executor import Completed, Executor, Failed, StepTask
from engine.model_config import UNSET, ModelConfig
from engine.models.port import ModelRequest
from engine.threads import Threads
from store.events import EffectRequested, Recorded
from tests.driving import engine_at
from tests.pipelines.crashing import sixty, small
from tests.recording import Recording

EFFECTS = ("effect.requested", "effect.succeeded", "effect.failed")


class Nobody:
    """Surroundings that keep lines and artifacts to themselves and know no model."""

    def write_log(self, step: str, attempt: int, text: str, level: str, stream: str, fields: Mapping[str, Any]) -> None:
        """Nothing to keep: lines are no effects."""

    def make_artifact(self, step: str, attempt: int, name: str, content: bytes, media_type: str) -> None:
        """The same."""

    def was_simulated(self, step: str) -> bool:
        return False

    @property
    def asking(self) -> Any:
        return self

    exchange = steerer = asking

    async def ask(self, caller: Any, request: ModelRequest) -> Any:
        raise AssertionError("a re-driven attempt asked a model")

    def names(self, step: str, model: str | None) -> list[str]:
        return [model or "offline"]

    def config(self, step: str) -> ModelConfig:
        return UNSET

    async def in_thread(self, function: Any) -> Any:
        return function()


@pytest.mark.parametrize(("make", "lives"), [(small, 20), (sixty, 2)], ids=["small", "sixty"])
async def test_every_recorded_attempt_drives_again_alike(
    make: Any, lives: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No new request, none left out, the recorded output or failure, and no line in the side file, in every life."""
    witness = tmp_path / "witness"
    monkeypatch.setenv("WITNESS", str(witness))
    pipeline = make()
    async with engine_at(tmp_path / "runs.db") as engine:
        run = await engine.start(pipeline, model="offline")
        result = await engine.result(run)
        assert result.success
        state = await engine.view(run)
        definition = Definition.from_json(await engine.log.blob(state.definition))
        events = list(await engine.events(run))
        texts = {e.step: await engine.log.text(e.event.output) for e in events if e.event.type == "step.completed"}
        blobs = {e.event.value.blob for e in events if e.event.type == "effect.succeeded" and e.event.value.blob}
        contents = {str(name): await engine.log.blob(str(name)) for name in blobs}
    attempts: dict[tuple[str, int], list[Recorded]] = {}
    for event in events:
        if event.event.type in EFFECTS and event.step is not None:
            attempts.setdefault((event.step, event.attempt), []).append(event)
    failures = {(e.step, e.attempt): e.event.failure.message for e in events if e.event.type == "step.failed"}
    assert len(attempts) >= 8
    bodies = {step.name: step.run for step in pipeline.steps if step.run is not None}
    steps = {step.name: step for step in definition.steps}
    threads = Threads()
    for (name, attempt), tape in attempts.items():
        witness.write_text("")
        settled = {e.event.request for e in tape if not isinstance(e.event, EffectRequested)}
        in_flight = [e for e in tape if isinstance(e.event, EffectRequested) and e.version not in settled]
        for _ in range(lives):
            recording = Recording(tape)
            recording.blobs = dict(contents)
            executor = Executor(definition, bodies, {}, recording, Nobody(), threads)
            inputs = {dep.step: texts[dep.step] for dep in steps[name].depends_on}
            outcome = await executor.run(StepTask("run", steps[name], name, attempt, inputs, {}, {}, {}, state.seed, tape))
            assert recording.new == [], (name, attempt)
            if isinstance(outcome, Completed):
                assert (outcome.blob or bytes(outcome.output.json)) == texts[name], name
            else:
                assert isinstance(outcome, Failed)
                assert outcome.failure.message == failures[name, attempt], name
        assert in_flight or witness.read_text() == "", name
    threads.close()
