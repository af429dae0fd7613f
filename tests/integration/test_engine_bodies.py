"""Function steps end to end: what a body is given, what it may do, what it may return, and what stays its own affair."""

import asyncio
import contextlib
import dataclasses
import datetime
import decimal
import enum
import functools
import math
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import msgspec
import pydantic
import pytest

from engine import Pipeline, PipelineValidationError, StepContext
from store.errors import StoreFullError
from tests.driving import drive, engine_at, history


@pytest.fixture(params=["memory", "file"])
def db(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A store in memory, and one in a file."""
    return ":memory:" if request.param == "memory" else str(tmp_path / "runs.db")


async def test_a_pipeline_runs_to_its_end(db: str) -> None:
    """Async and sync bodies, serial and concurrent, get their inputs by name and their outputs are the result."""

    async def numbers() -> list[int]:
        return [1, 2, 3]

    def total(numbers: list[int]) -> int:
        return sum(numbers)

    async def largest(ctx: StepContext) -> int:
        return max(ctx.inputs["numbers"])

    async def report(total: int, largest: int, unit: str = "m") -> str:
        return f"{total} {unit}, at most {largest}"

    pipeline = (
        Pipeline("sums", params={"unit": "km"})
        .step("numbers", run=numbers)
        .step("total", run=total, depends_on="numbers", execution_mode="concurrent")
        .step("largest", run=largest, depends_on="numbers", execution_mode="concurrent")
        .step("report", run=report, depends_on=["total", "largest"])
    )
    result = await drive(pipeline, db)
    assert result.success, result.summary
    assert result.final_output == "6 km, at most 3"
    assert result.step_outputs == {"numbers": [1, 2, 3], "total": 6, "largest": 3, "report": "6 km, at most 3"}
    assert result.summary == "sums completed: 4 of 4 steps completed."
    assert result.failed_steps == []
    assert result.total_cost == 0.0


async def test_params_given_go_before_defaults_of_the_pipeline_and_of_the_function() -> None:
    """A parameter is looked up among dependencies, then params given, then the pipeline's, then the function's default."""

    def body(a: int, b: int, c: int, d: int = 4, *, e: int) -> list[int]:
        return [a, b, c, d, e]

    pipeline = Pipeline("p", params={"b": 2, "c": 3, "e": 5}).step("a", run=lambda: 1).step("x", run=body, depends_on=["a"])
    assert (await drive(pipeline, params={"c": 30})).final_output == [1, 2, 30, 4, 5]


async def test_a_name_that_nothing_gives_is_refused_before_anything_runs() -> None:
    """The problem names the step, the parameter and what to do, and no run is recorded."""

    def body(missing: int) -> None: ...

    async with engine_at() as engine:
        with pytest.raises(PipelineValidationError, match="'missing' is neither a dependency nor a param"):
            await engine.start(Pipeline("p").step("x", run=body))
        assert await engine.runs() == []


class Colour(enum.Enum):
    RED = "red"


@dataclasses.dataclass
class Point:
    x: int
    y: float


class Model(pydantic.BaseModel):
    name: str
    tags: list[str] = []


class Struct(msgspec.Struct):
    value: bytes


@pytest.mark.parametrize(
    ("returned", "kept"),
    [
        (None, None),
        (True, True),
        (2**70, 2**70),
        (-(2**63), -(2**63)),
        (1.5, 1.5),
        (math.inf, math.inf),
        ("\ud800 lone", "\ud800 lone"),
        ("\x00\x1b[31m", "\x00\x1b[31m"),
        (b"\x00\xff", b"\x00\xff"),
        ((1, (2,)), [1, [2]]),
        ({3: "a", (1, 2): "b"}, {3: "a", (1, 2): "b"}),
        ({"$int": 1}, {"$int": 1}),
        ({"s": {2, 1}}, {"s": [1, 2]}),
        (Point(1, 2.5), {"x": 1, "y": 2.5}),
        (Model(name="n"), {"name": "n", "tags": []}),
        (Struct(b"x"), {"value": b"x"}),
        (Colour.RED, "red"),
        (datetime.date(2024, 2, 29), "2024-02-29"),
        (decimal.Decimal("1.10"), "1.10"),
        (Path("/a/b"), "/a/b"),
        ("x" * 3_000_000, "x" * 3_000_000),
    ],
    ids=lambda value: type(value).__name__,
)
async def test_what_a_body_returns_comes_back_as_plain_values(returned: object, kept: object, tmp_path: Path) -> None:
    """Any value with a plain meaning is recorded and read back, by the next step and from the store."""

    def same(first: Any) -> bool:
        return bool(first == kept)

    pipeline = Pipeline("p").step("first", run=lambda: returned).step("same", run=same, depends_on="first")
    result = await drive(pipeline, tmp_path / "runs.db")
    assert result.success, result.summary
    assert result.output("first") == kept
    assert result.output("same") is True


def _loop_in_itself() -> Any:
    value: list[Any] = []
    value.append(value)
    return value


def _deep() -> Any:
    value: Any = 1
    for _ in range(5000):
        value = [value]
    return value


class Trap:
    """A dataclass look-alike that raises when it is looked at."""

    model_fields: ClassVar[dict[str, Any]] = {}

    def model_dump(self) -> Any:
        raise OSError("will not be dumped")


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (object, "is a builtins.object, which cannot be kept as JSON"),
        (_loop_in_itself, "nested deeper than 200 levels or contains itself"),
        (_deep, "nested deeper than 200 levels"),
        (lambda: {"a": [print]}, r"The value at \.a\[0\]"),
        (Trap, "will not be dumped"),
        (lambda: (i for i in range(3)), "generator"),
        (lambda: threading.Lock(), "lock"),
    ],
    ids=["object", "recursive", "deep", "inside", "trap", "generator", "lock"],
)
async def test_what_cannot_be_kept_fails_the_step_in_one_sentence(make: Callable[[], Any], said: str) -> None:
    """The step fails with where and what, and is not tried again when it would be the same."""
    result = await drive(Pipeline("p").step("x", run=make, max_retries=0))
    assert not result.success
    with pytest.raises(AssertionError, match=said):
        raise AssertionError(result.failures[0].message)


async def test_a_value_that_cannot_be_kept_is_not_tried_again() -> None:
    """An output of the wrong kind fails at once although retries are left."""
    result = await drive(Pipeline("p").step("x", run=object))
    assert (result.failures[0].kind, result.failures[0].attempts) == ("output", 1)


async def test_changing_an_input_changes_nothing_elsewhere(db: str) -> None:
    """Inputs, params and shared values are copies: what one step does to them no other step, attempt or result sees."""
    seen: list[Any] = []

    def make() -> dict[str, list[int]]:
        return {"list": [1]}

    def spoil(make: dict[str, list[int]], given: list[int], ctx: StepContext) -> None:
        make["list"].append(2)
        given.append(9)
        ctx.params["given"].append(10)
        ctx.shared["table"]["x"] = 1
        ctx.inputs["make"]["list"].append(3)

    def look(make: Any, given: Any, ctx: StepContext) -> Any:
        seen.append([make, given, dict(ctx.params), dict(ctx.shared)])
        return make

    pipeline = (
        Pipeline("p", params={"given": [1]})
        .shared("table", {})
        .step("make", run=make)
        .step("spoil", run=spoil, depends_on="make")
        .step("look", run=look, depends_on=["make", "spoil"])
    )
    result = await drive(pipeline, db)
    assert result.success, result.summary
    assert seen == [[{"list": [1]}, [1], {"given": [1]}, {"table": {}}]]
    assert result.output("make") == {"list": [1]}


async def test_shared_values_and_inputs_cannot_be_assigned() -> None:
    """Setting `ctx.shared[...]`, `ctx.params[...]` or `ctx.inputs[...]` is refused with Python's own words."""

    def body(ctx: Any) -> list[str]:
        said = []
        for held in (ctx.shared, ctx.params, ctx.inputs):
            with pytest.raises(TypeError) as refused:
                held["x"] = 1
            said.append(str(refused.value))
        return said

    result = await drive(Pipeline("p").shared("x", 0).step("x", run=body))
    assert all("does not support item assignment" in text for text in result.final_output)


async def test_printing_is_recorded_line_by_line_with_its_step(db: str) -> None:
    """What async and sync bodies print becomes log events of their step: whole lines, stderr as warnings, a rest at the end."""

    async def talks() -> None:
        import sys

        print("one\ntwo", end="")
        print(" more")
        print("careful", file=sys.stderr)
        print("no end", end="")

    def whispers(ctx: StepContext) -> None:
        print("from a thread")
        ctx.log("said", level="debug", count=3)

    pipeline = Pipeline("p").step("talks", run=talks).step("whispers", run=whispers)
    _, events = await history(pipeline, db)
    lines = [(e.step, e.event.stream, e.event.level, e.event.text) for e in events if e.event.type == "log.written"]
    assert lines == [
        ("talks", "stdout", "info", "one"),
        ("talks", "stdout", "info", "two more"),
        ("talks", "stderr", "warning", "careful"),
        ("talks", "stdout", "info", "no end"),
        ("whispers", "stdout", "info", "from a thread"),
        ("whispers", "log", "debug", "said"),
    ]
    fields = [e.event.fields for e in events if e.event.type == "log.written" and e.event.fields]
    assert bytes(fields[0].json) == b'{"count":3}'


async def test_a_log_line_whose_fields_cannot_be_kept_tells_the_body() -> None:
    """The body that logs what is no plain value hears of it, in a thread too; what it logs later is another matter."""

    def sync_body(ctx: StepContext) -> None:
        ctx.log("x", what=object())

    async def async_body(ctx: StepContext) -> None:
        ctx.log("x", what=object())

    for body in (sync_body, async_body):
        result = await drive(Pipeline("p").step("x", run=body, max_retries=0))
        assert "cannot be kept as JSON" in result.failures[0].message


async def test_artifacts_are_kept_with_the_run(db: str) -> None:
    """Text and bytes made by async and sync bodies come back with the result, whatever their size."""
    large = os.urandom(200_000)

    async def writes(ctx: StepContext) -> None:
        await ctx.artifact("report.md", "# Grüße", "text/markdown")

    def writes_too(ctx: Any) -> None:
        ctx.artifact("raw.bin", large, "application/octet-stream")

    result = await drive(Pipeline("p").step("a", run=writes).step("b", run=writes_too), db)
    assert result.artifacts == {"report.md": "# Grüße".encode(), "raw.bin": large}


async def test_effects_answer_alike_in_async_and_sync_bodies(db: str) -> None:
    """Time, chance, ids, sleeps and `once` work with `await` in an async body and without it in a plain one."""

    def double(number: int, *, plus: int = 0) -> int:
        return number * 2 + plus

    async def triple(number: int) -> int:
        return number * 3

    async def waits(ctx: StepContext) -> list[Any]:
        await ctx.sleep(0.01)
        kinds = [await ctx.now(), await ctx.random(), await ctx.uuid()]
        return [*kinds, await ctx.once("d", double, 2, plus=1), await ctx.once("t", triple, 2, safety="irreversible")]

    def works(ctx: Any) -> list[Any]:
        ctx.sleep(0.01)
        kinds = [ctx.now(), ctx.random(), ctx.uuid()]
        return [*kinds, ctx.once("d", double, 2, plus=1), ctx.once("t", triple, 2, safety="irreversible")]

    result, events = await history(Pipeline("p").step("waits", run=waits).step("works", run=works), db)
    for name in ("waits", "works"):
        now, chance, identity, *rest = result.output(name)
        assert now > 1e9
        assert 0 <= chance < 1
        assert len(identity) == 36
        assert rest == [5, 6]
        kinds = [e.event.kind for e in events if e.event.type == "effect.requested" and e.step == name]
        assert kinds == ["sleep", "now", "random", "uuid", "once", "once"]


async def test_bodies_of_every_callable_kind_run() -> None:
    """Partials, bound methods, callable objects (unhashable ones too), lambdas, and functions that return awaitables."""

    class Counter:
        __hash__ = None  # type: ignore[assignment]

        def __init__(self) -> None:
            self.calls = 0

        def __call__(self, base: int) -> int:
            return base + 1

        async def method(self, base: int) -> int:
            return base + 2

    async def async_add(base: int, more: int) -> int:
        return base + more

    def gives_awaitable(base: int) -> Any:
        return async_add(base, 7)

    bodies = [Counter(), Counter().method, functools.partial(async_add, more=3), lambda base: base + 4, gives_awaitable]
    pipeline = Pipeline("p", params={"base": 10})
    for number, body in enumerate(bodies):
        pipeline.step(f"s{number}", run=body)
    result = await drive(pipeline)
    assert result.success, result.summary
    assert list(result.step_outputs.values()) == [11, 12, 13, 14, 17]


async def test_a_plain_function_that_returns_a_coroutine_may_await_its_effects() -> None:
    """A lambda around an async function is not seen to be async; its coroutine awaits effects on the loop and blocks nothing."""

    async def asks(ctx: Any, more: int) -> list[Any]:
        await ctx.sleep(0.001)
        await ctx.artifact("a", "text")
        return [await ctx.once("add", lambda: 1 + more), 0 <= await ctx.random() < 1]

    async with asyncio.timeout(10):
        result = await drive(Pipeline("p").step("x", run=lambda ctx: asks(ctx, 2)))
    assert result.final_output == [3, True]
    assert result.artifacts == {"a": b"text"}


async def test_changing_the_directory_is_the_bodys_own_affair(tmp_path: Path) -> None:
    """A body that changes the working directory stops nothing: the run goes on and its store, named relatively, stays whole."""
    (tmp_path / "elsewhere").mkdir()

    def wander() -> None:
        os.chdir(tmp_path / "elsewhere")

    with contextlib.chdir(tmp_path):
        result = await drive(Pipeline("p").step("wander", run=wander).step("after", run=lambda: 1), "runs.db")
    assert result.success
    assert (tmp_path / "runs.db").exists()
    assert list((tmp_path / "elsewhere").iterdir()) == []


async def test_a_full_disk_stops_the_driver_and_the_run_can_be_resumed(tmp_path: Path) -> None:
    """When a commit fails for want of space the driver says so, nothing acknowledged is lost, and a later driver goes on."""
    calls: list[str] = []
    pipeline = Pipeline("p").step("a", run=lambda: calls.append("a")).step("b", run=lambda: calls.append("b") or "x" * 2_000_000)
    async with engine_at(tmp_path / "runs.db") as engine:
        await engine.log.writer.call(lambda connection: connection.execute("PRAGMA max_page_count = 150"))
        run = await engine.start(pipeline)
        with pytest.raises(StoreFullError, match="full"):
            await engine.wait(run)
    async with engine_at(tmp_path / "runs.db") as engine:
        assert (await engine.view(run)).steps["a"].status.word == "completed"
        await engine.resume(run, pipeline)
        assert (await engine.result(run)).success
    assert calls == ["a", "b", "b"]
