"""The simulated world of a seed: what its steps do, which of their touches fail, and a list of every touch there was.

Everything is a hash of the seed, the step's path and the attempt, so that a run that crashed finds the same world again. Who is
asked in which order changes nothing but the list.
"""

import hashlib
from collections import Counter
from typing import Any

from engine import PipelineStep, RetryPolicy, StepContext
from engine.models.errors import ModelError, ModelErrorKind
from engine.models.port import ModelReply, ModelRequest
from store.events import Usage

RETRY = RetryPolicy(max_retries=2, backoff="fixed", delay=0.3, jitter=0.0)


def chance(*parts: object) -> float:
    """A number in [0, 1) for these words."""
    return int.from_bytes(hashlib.blake2b("/".join(map(str, parts)).encode(), digest_size=6).digest(), "big") / 2**48


class World:
    """One run's world. `touches` has (life, path, attempt, name): a life ends when a driver dies."""

    def __init__(self, seed: int) -> None:
        self.seed, self.life = seed, 0
        self.touches: list[tuple[int, str, int, str]] = []

    def irreversible(self, path: str, name: str) -> bool:
        """Whether a touch must not come twice."""
        return chance(self.seed, "safety", path, name) < 0.15

    def touch(self, path: str, attempt: int, name: str) -> int:
        """Something happens outside; what can be done again may fail after it did."""
        self.touches.append((self.life, path, attempt, name))
        if not self.irreversible(path, name) and chance(self.seed, "touch", path, attempt, name) < 0.06:
            raise OSError(f"{name} of {path} failed in attempt {attempt}")
        return int(chance(self.seed, "value", path, name) * 100)

    @property
    def counts(self) -> Counter[tuple[str, int, str]]:
        """How often each touch came."""
        return Counter((path, attempt, name) for _, path, attempt, name in self.touches)


WORLDS: dict[int, World] = {}
"""The worlds of the runs under way, by the param `world`."""


class SimulatedModel:
    """A model that answers by hash and is sometimes not there."""

    async def complete(self, request: ModelRequest) -> ModelReply:
        text = str(request.messages[-1]["content"])
        if chance("absent", text) < 0.12:
            raise ModelError(ModelErrorKind.UNAVAILABLE, "the simulated model is not there")
        return ModelReply(str(int(chance("answer", text) * 100)), Usage("sim", 7, 3, 0.001))

    async def aclose(self) -> None:
        """Nothing is open."""


async def work(ctx: StepContext) -> Any:
    """What every step does: a few effects by its path's hash, then it fails, hangs or returns what its inputs add up to."""
    world, path, attempt = WORLDS[ctx.params["world"]], ctx.step, ctx.attempt
    seed = world.seed

    async def touch(name: str) -> int:
        async def touched() -> int:
            return world.touch(path, attempt, name)

        safety = "irreversible" if world.irreversible(path, name) else "idempotent"
        return int(await ctx.once(name, touched, safety=safety))

    total = sum(value.get("n", 0) for value in ctx.inputs.values() if isinstance(value, dict))
    for number in range(int(chance(seed, "effects", path) * 3)):
        total += await touch(f"touch {number}")
    if chance(seed, "sleeps", path) < 0.2:
        await ctx.sleep(0.2)
    if chance(seed, "asks", path) < 0.15:
        total += int(await ctx.model(f"{seed} {path} {attempt}: how many?"))
    if chance(seed, "adds", path) < 0.1:
        await ctx.add_step(PipelineStep(f"added_{path.partition('[')[0]}", run=work, retry=RETRY, timeout=5.0))
    if chance(seed, "fails", path, attempt) < 0.15:
        raise ValueError(f"{path} fails in attempt {attempt}")
    if chance(seed, "hangs", path, attempt) < 0.04:
        await ctx.sleep(60.0)
    last = ctx.given.get("output")
    n = last["n"] + 1 if isinstance(last, dict) else int(chance(seed, "n", path) * 6) if "iteration" in ctx.given else total % 50
    return {"n": n, "items": list(range(int(chance(seed, "items", path) * 5))), "go": chance(seed, "go", path) < 0.7}


async def pooled(outputs: list[Any]) -> dict[str, Any]:
    """A merge that comes to the like of what a step returns."""
    return {"n": sum(value.get("n", 0) for value in outputs if isinstance(value, dict)), "items": [1, 2]}


async def undo(ctx: StepContext, output: Any) -> str:
    """A compensation: one touch."""

    async def touched() -> int:
        return WORLDS[ctx.params["world"]].touch(ctx.step, ctx.attempt, "undo")

    await ctx.once("undo", touched)
    return "undone"
