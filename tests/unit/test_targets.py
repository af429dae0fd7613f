"""Finding pipelines from what a user typed, and telling what is wrong with the code that was found."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.errors import PipelineFileError, PipelineValidationError, TargetError, TargetNotFoundError
from engine.targets import Loaded, load

FLOW = """
from engine.pipeline import Pipeline
def step(company): return company
pipeline = Pipeline("ready", params={"company": "Acme"}).step("a", run=step)
def build(count=1, *, name="made"):
    made = Pipeline(name)
    for index in range(count):
        made.step(f"s{index}", goal="g")
    return made
def gauge(count=1): return Pipeline("gauge").step("a", run=lambda: count)
def needy(company): return Pipeline(company)
async def later(): return pipeline
def wrong(): return 3
def raises(): raise ValueError("no luck")
number = 3
class Box:
    inner = pipeline
"""


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A folder with a module `flow`, whose traces in this process are taken away again."""
    path, modules = list(sys.path), set(sys.modules)
    (tmp_path / "flow.py").write_text(FLOW)
    yield tmp_path
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        if (getattr(sys.modules[name], "__file__", None) or "").startswith(str(tmp_path)):
            del sys.modules[name]


def names(loaded: Loaded) -> list[str]:
    return [loaded.pipeline.name, *(step.name for step in loaded.pipeline.steps)]


def test_a_module_and_a_name_find_a_pipeline(folder: Path) -> None:
    """`module:name` gives the pipeline of that name, and says how to find it again."""
    loaded = load("flow:pipeline", cwd=folder)
    assert names(loaded) == ["ready", "a"]
    assert (loaded.target, loaded.cwd) == ("flow:pipeline", str(folder))
    assert names(load("flow:Box.inner", cwd=folder)) == ["ready", "a"]


def test_a_function_makes_the_pipeline_with_the_params_it_names(folder: Path) -> None:
    """A function is called with those params that are its arguments, others are left for the run."""
    assert names(load("flow:build", cwd=folder)) == ["made", "s0"]
    assert names(load("flow:build", cwd=folder, params={"count": 2, "name": "x", "other": 1})) == ["x", "s0", "s1"]


def test_what_a_function_takes_is_known_to_its_pipeline(folder: Path) -> None:
    """Params of the function that makes the pipeline are no mistake, others are; a copy of the pipeline knows the same."""
    loaded = load("flow:gauge", cwd=folder)
    assert loaded.problems(["count"]) == loaded.pipeline.copy().problems(["count"]) == []
    with pytest.raises(PipelineValidationError, match=r"'gauge': params\.cuont: nothing asks for it; did you mean 'count'"):
        loaded.check(["cuont"])


def test_the_folder_stays_importable(folder: Path) -> None:
    """A step may import its neighbours while it runs, so the folder stays first on the path."""
    load("flow:pipeline", cwd=folder)
    assert sys.path[0] == str(folder)


@pytest.mark.parametrize(
    ("target", "kind", "told"),
    [
        ("flow:pipelin", TargetNotFoundError, "There is no 'pipelin' in the module flow; did you mean 'pipeline'?"),
        ("flow:zzz", TargetNotFoundError, "it has pipeline."),
        ("flow:Box.other", TargetNotFoundError, "without 'other'"),
        ("flow:number", TargetError, "flow:number is a int, not a pipeline"),
        ("flow:later", TargetError, "flow:later is a function, not a pipeline"),
        ("flow:wrong", TargetError, "flow:wrong() returned a int"),
        ("flow:needy", TargetError, "flow:needy() needs 'company'; give it with -p company=..."),
        ("flow:raises", TargetError, "flow:raises() failed at flow.py:14: ValueError: no luck"),
        ("nowhere:pipeline", TargetNotFoundError, "There is no module nowhere in "),
        ("flow.py", TargetError, "say which pipeline in it: flow:NAME"),
        ("flow", TargetError, "say which pipeline in it: flow:NAME"),
        ("dmeo", TargetNotFoundError, "did you mean 'demo'?"),
        ("", TargetNotFoundError, "There is no pipeline ''"),
        ("a b", TargetNotFoundError, "There is no pipeline 'a b'"),
        ("nothing.yaml", TargetNotFoundError, "There is no file nothing.yaml"),
        ("sub/nothing", TargetNotFoundError, "There is no file sub/nothing"),
        (".", PipelineFileError, ".: is a directory"),
        ("notes.txt", TargetError, "is not a pipeline file"),
    ],
)
def test_a_target_that_is_none_gives_one_sentence(folder: Path, target: str, kind: type[Exception], told: str) -> None:
    """What is wrong with a target is told in one line, with what to do."""
    (folder / "notes.txt").write_text("x")
    with pytest.raises(kind) as caught:
        load(target, cwd=folder)
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "?." not in str(caught.value)


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("import nothing_like_it\n", "Importing bad failed at bad.py:1: ModuleNotFoundError: No module named 'nothing_like_it'"),
        ("x = 1\nraise RuntimeError('boom')\n", "Importing bad failed at bad.py:2: RuntimeError: boom"),
        ("def f(:\n", "Importing bad failed at bad.py:1: SyntaxError"),
        ("import sys\nsys.exit(3)\n", "it called sys.exit(3) at bad.py:2; keep that under if __name__ == '__main__'"),
        ("\0", "Importing bad failed at "),
        ("# -*- coding: latin-99 -*-\n", "Importing bad failed at "),
    ],
)
def test_code_that_fails_while_imported_is_told_with_its_place(folder: Path, source: str, told: str) -> None:
    """The last line of the traceback and the user's own line are told, and the exception is kept."""
    (folder / "bad.py").write_text(source)
    with pytest.raises(TargetError) as caught:
        load("bad:pipeline", cwd=folder)
    assert told in str(caught.value)
    assert caught.value.__cause__ is not None


def test_what_a_module_prints_while_imported_stays_off_stdout(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Standard output belongs to results; a module's chatter goes to stderr."""
    (folder / "chatty.py").write_text("print('hello')\n" + FLOW)
    load("chatty:pipeline", cwd=folder)
    assert capsys.readouterr() == ("", "hello\n")


def test_a_module_named_like_a_loaded_one_is_refused(folder: Path) -> None:
    """A user's own store.py would be shadowed by ours, so it is told instead of running the wrong code."""
    (folder / "store.py").write_text(FLOW)
    with pytest.raises(TargetError, match=r"store\.py has the name of a module that is already loaded"):
        load("store:pipeline", cwd=folder)


FILE = "name: x\nsteps:\n  - {name: a, run: tools:a}\n  - {name: b, run: tools:missing}\n  - {name: c, run: absent:c}\n"


def test_a_file_finds_its_functions_beside_it(folder: Path, tmp_path: Path) -> None:
    """Functions come from modules in the file's own folder, and the path is kept absolute."""
    inner = folder / "inner"
    inner.mkdir()
    (inner / "beside.py").write_text("def a(): return 1\n")
    (inner / "f.yaml").write_text("name: x\nsteps:\n  - {name: a, run: beside:a}\n")
    loaded = load("inner/f.yaml", cwd=folder)
    assert loaded.pipeline.steps[0].run is not None
    assert loaded.pipeline.steps[0].run() == 1
    assert (loaded.target, loaded.cwd) == (str(inner / "f.yaml"), str(folder))
    assert loaded.pipeline.define().steps[0].run == "beside:a"


def test_functions_that_cannot_be_found_are_told_together_with_their_lines(folder: Path) -> None:
    """Every unfindable function of a file is a problem of its own."""
    (folder / "tools.py").write_text("a = 3\n")
    (folder / "f.yaml").write_text(FILE)
    with pytest.raises(PipelineFileError) as caught:
        load("f.yaml", cwd=folder)
    told = [str(problem) for problem in caught.value.problems]
    assert told[0].startswith("f.yaml:3 steps.a.run: tools:a is a int, which cannot be called")
    assert told[1].startswith("f.yaml:4 steps.b.run: There is no 'missing' in the module tools")
    assert told[2].startswith("f.yaml:5 steps.c.run: There is no module absent in ")


def test_problems_of_a_file_keep_their_lines_when_the_run_is_checked(folder: Path) -> None:
    """A parameter nobody gives is told with the line of its step."""
    (folder / "wants.py").write_text("def a(company): return company\n")
    (folder / "f.yaml").write_text("name: x\nsteps:\n  - {name: a, run: wants:a}\n")
    loaded = load("f.yaml", cwd=folder)
    assert [str(problem) for problem in loaded.problems([])] == [
        "f.yaml:3 steps.a.run: parameter 'company' is neither a dependency nor a param; give it with -p company=..."
    ]
    assert loaded.problems(["company"]) == []


def test_functions_of_nested_pipelines_and_named_files_are_looked_at_when_a_file_is_loaded(folder: Path) -> None:
    """Inner functions are found beside the file; a named file that is missing or wrong is told, one that names itself is fine."""
    (folder / "inner_tools.py").write_text("def x(): return 1\n")
    (folder / "outer.yaml").write_text(
        "name: outer\nsteps:\n"
        "  - {name: inline, pipeline: {steps: [{name: x, run: 'inner_tools:x'}]}}\n"
        "  - {name: again, pipeline: outer.yaml}\n"
        "  - {name: good, pipeline: other.yaml}\n"
    )
    (folder / "other.yaml").write_text("name: other\nsteps: [{name: back, pipeline: outer.yaml}]\n")
    steps = load("outer.yaml", cwd=folder).pipeline.steps
    assert steps[0].pipeline.steps[0].run() == 1
    of_other = "[{name: back, pipeline: gone.yaml}, {name: x, dpends_on: [], goal: Say}]"
    (folder / "other.yaml").write_text(f"name: other\nsteps: {of_other}\n")
    with pytest.raises(PipelineFileError) as refused:
        load("outer.yaml", cwd=folder)
    assert [str(problem) for problem in refused.value.problems] == [
        "other.yaml:2 steps.x: has the unknown field 'dpends_on'; did you mean 'depends_on'?",
        "other.yaml:2 steps.back.pipeline: There is no file gone.yaml; check the path.",
    ]


def test_tools_of_a_file_are_found_and_checked_when_it_is_loaded(folder: Path) -> None:
    """Functions named as tools are found beside the file, inside nested pipelines too; what is wrong with them, or with a
    filter whose names are known only now, is told with file and line.
    """
    (folder / "shop_tools.py").write_text(
        "from engine import tool\n"
        "@tool(name='search', safety='read')\ndef look(q: str) -> str: return q\n"
        "def untyped(q): return q\n"
        "number = 3\n"
    )
    text = (
        "name: shop\ntools: shop_tools:look\nsteps:\n"
        "  - {name: buy, goal: Buy, tools_filter: [search]}\n"
        "  - {name: inside, pipeline: {tools: ['shop_tools:look'], steps: [{name: x, goal: X}]}}\n"
    )
    (folder / "shop.yaml").write_text(text)
    loaded = load("shop.yaml", cwd=folder)
    assert loaded.problems(model="m") == []
    definition = loaded.pipeline.define(model="m")
    (found,) = definition.tools
    assert (found.name, found.safety, found.run) == ("search", "read", "shop_tools:look")
    assert definition.steps[1].pipeline.tools == (found,)
    (folder / "lost.yaml").write_text("name: x\nsteps:\n  - {name: a, goal: A, tools: ['shop_tools:lok', 'shop_tools:number']}\n")
    with pytest.raises(PipelineFileError) as refused:
        load("lost.yaml", cwd=folder)
    assert [str(problem) for problem in refused.value.problems] == [
        "lost.yaml:3 steps.a.tools: There is no 'lok' in the module shop_tools; did you mean 'look'?",
        "lost.yaml:3 steps.a.tools: shop_tools:number is a int, which cannot be called; name a function.",
    ]
    (folder / "wrong.yaml").write_text(text.replace("[search]", "[look]").replace("Buy,", "Buy, tools: ['shop_tools:untyped'],"))
    assert [str(problem) for problem in load("wrong.yaml", cwd=folder).problems(model="m")] == [
        "wrong.yaml:4 steps.buy.tools.untyped.q: has no type, so no model can know what to give; write q: str",
        "wrong.yaml:4 steps.buy.tools_filter: has 'look', which is no tool; there are search, untyped",
    ]
