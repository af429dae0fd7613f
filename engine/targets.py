"""Finding a pipeline from the word a user typed: `module:name`, a pipeline file, or `demo`.

Stands apart because it is the one place that imports the user's code, and only for somebody who asked to run it. What
goes wrong in that code while it is imported is told in one sentence; the original exception is kept as the cause.
"""

from __future__ import annotations

import contextlib
import importlib
import inspect
import sys
import traceback
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec

from engine.errors import PipelineFileError, PipelineValidationError, Problem, TargetError, TargetNotFoundError, suggestion
from engine.fields import FUNCTIONS
from engine.files import ENDINGS, PipelineFile, read
from engine.kinds import REFERENCE, FunctionName
from engine.pipeline import Pipeline

TEMPLATES: Mapping[str, str] = {"demo": "engine.templates.repository.pipeline:build"}
"""Targets that come with the product, and the function that makes each; `root` is the folder they were asked from if not given."""


class Loaded(msgspec.Struct, frozen=True):
    """A pipeline and how it is found again: `target` with paths made absolute, `cwd` the folder it was asked from."""

    pipeline: Pipeline
    target: str
    cwd: str
    file: PipelineFile | None = None

    def problems(self, params: Iterable[str] | None = None, *, model: str | None = "unchecked") -> list[Problem]:
        """Everything wrong with the pipeline; with file and line where it came from a file."""
        found = self.pipeline.problems(params, model=model)
        return found if self.file is None else [self.file.locate(problem) for problem in found]

    def check(self, params: Iterable[str] | None = None, *, model: str | None = "unchecked") -> None:
        """Raise `PipelineValidationError` (`PipelineFileError` for a file) with all problems if there are any."""
        found = self.problems(params, model=model)
        if found and self.file is not None:
            raise PipelineFileError(self.file.file, found)
        if found:
            raise PipelineValidationError(self.pipeline.name, found)


def load(target: str, *, cwd: Path | str, params: Mapping[str, Any] | None = None) -> Loaded:
    """The pipeline behind `target`, asked from the folder `cwd`, which stays importable: a run needs its modules to its end.

    `params` reach a function that makes a pipeline, by name. Raises `TargetError` (`TargetNotFoundError` where there is
    nothing) or `PipelineFileError`.
    """
    folder = Path(cwd).absolute()
    given = dict(params or {})
    if target in TEMPLATES:
        ours = Path(__file__).parents[1]  # not their folder: an `engine` or `store` there is read by the demo, not imported
        return Loaded(_made(TEMPLATES[target], {"root": str(folder), **given}, ours), target, str(folder))
    if _is_file(target, folder):
        return _load_file(target, folder)
    if not REFERENCE.fullmatch(target):
        raise _not_understood(target, folder)
    _importable(folder)
    return Loaded(_made(target, given, folder), target, str(folder))


def find(reference: str, folder: Path) -> Any:
    """What `module:qualname` names, imported; modules of `folder` come first."""
    module_name, _, qualname = reference.partition(":")
    found: Any = _import(module_name, folder)
    for part in qualname.split("."):
        try:
            found = getattr(found, part)
        except AttributeError:
            raise TargetNotFoundError(_no_such_name(module_name, part, found)) from None
    return found


def _is_file(target: str, folder: Path) -> bool:
    if target.lower().endswith(ENDINGS):
        return True
    return bool(target) and ":" not in target and ("/" in target or (folder / target).exists())


def _load_file(target: str, folder: Path) -> Loaded:
    path = folder / target
    if path.suffix.lower() == ".py":
        raise TargetError(f"{target} is Python; say which pipeline in it: {path.stem}:NAME.")
    if path.suffix.lower() not in ENDINGS and path.is_file():
        raise TargetError(f"{target} is not a pipeline file; its name should end in {', '.join(ENDINGS)}.")
    file = read(path, target)
    _importable(folder)
    _importable(path.parent.absolute())
    found = file.problems()
    missing = [*_link(file, file.pipeline, path.parent.absolute()), *referred(file, path.absolute())]
    if found or missing:
        raise PipelineFileError(target, [*found, *missing])
    return Loaded(file.pipeline, str(path.absolute()), str(folder), file)


def referred(file: PipelineFile, path: Path, seen: Sequence[Path] = ()) -> list[Problem]:
    """What is wrong with the files that steps name as their pipelines, and with those they name: known before anything runs."""
    found: list[Problem] = []
    for place, word in _named_files(file.pipeline):
        other = path.parent / word
        if other in (*seen, path):
            continue
        try:
            read_other = read(other, word)
        except (TargetNotFoundError, PipelineFileError) as error:
            found.append(file.locate(Problem(place, str(error))))
        else:
            found += [*read_other.problems(), *referred(read_other, other, [*seen, path])]
    return found


def _named_files(pipeline: Pipeline, prefix: str = "") -> Iterator[tuple[str, str]]:
    for step in pipeline.steps:
        place = f"{prefix}steps.{step.name}.pipeline"
        if isinstance(step.pipeline, Pipeline):
            yield from _named_files(step.pipeline, f"{place}.")
        elif isinstance(step.pipeline, str) and step.pipeline.lower().endswith(ENDINGS):
            yield place, step.pipeline


def _link(file: PipelineFile, pipeline: Pipeline, folder: Path, prefix: str = "") -> list[Problem]:
    """Put functions where their names stand; what could not be found is told together."""
    missing: list[Problem] = []
    known: dict[str, Any] = {}

    def found(name: Any, place: str) -> Any:
        if not isinstance(name, FunctionName) or name.text == FunctionName.UNREAD:
            return name
        try:
            if name.text not in known:
                known[name.text] = find(name.text, folder)
            if not callable(known[name.text]):
                raise TargetError(f"{name} is {_kind(known[name.text])}, which cannot be called; name a function.")
            return known[name.text]
        except TargetError as error:
            missing.append(file.locate(Problem(f"{prefix}{place}", str(error))))
            return name

    pipeline.tools = [found(name, "tools") for name in pipeline.tools]
    for title, agent in pipeline.agents.items():
        agent.tools = [found(name, f"agents.{title}.tools") for name in agent.tools]
    for step in pipeline.steps:
        place = f"steps.{step.name}"
        if isinstance(step.pipeline, Pipeline):
            missing += _link(file, step.pipeline, folder, f"{prefix}{place}.pipeline.")
        for field in FUNCTIONS:
            setattr(step, field, found(getattr(step, field), f"{place}.{field}"))
        step.tools = [found(name, f"{place}.tools") for name in step.tools]
    return missing


def _made(reference: str, params: Mapping[str, Any], folder: Path) -> Pipeline:
    """The pipeline that `module:name` is, or that the function of that name returns."""
    found = find(reference, folder)
    if isinstance(found, Pipeline):
        return found
    if not callable(found) or inspect.iscoroutinefunction(found):
        raise TargetError(f"{reference} is {_kind(found)}, not a pipeline; name a Pipeline or a function that returns one.")
    made, names = _call(reference, found, params, folder)
    if not isinstance(made, Pipeline):
        raise TargetError(f"{reference}() returned {_kind(made)}, not a pipeline; let it return a Pipeline.")
    made.maker_params = names
    return made


def _call(reference: str, function: Any, params: Mapping[str, Any], folder: Path) -> tuple[Any, tuple[str, ...]]:
    """What the function returns, and the names it takes."""
    try:
        wanted = inspect.signature(function).parameters.values()
    except (ValueError, TypeError):
        raise TargetError(
            f"{reference} is {_kind(function)}, not a pipeline; name a Pipeline or a function that returns one."
        ) from None
    named = [p for p in wanted if p.kind in (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)]
    for parameter in named:
        if parameter.default is inspect.Parameter.empty and parameter.name not in params:
            raise TargetError(f"{reference}() needs {parameter.name!r}; give it with -p {parameter.name}=... or a default.")
    try:
        with contextlib.redirect_stdout(sys.stderr):
            made = function(**{parameter.name: params[parameter.name] for parameter in named if parameter.name in params})
    except (Exception, SystemExit) as error:  # the user's own code, which may raise anything
        raise TargetError(_blame(f"{reference}() failed", error, folder)) from error
    return made, tuple(parameter.name for parameter in named)


def _importable(folder: Path) -> None:
    """Put the folder first on the import path, for good."""
    if sys.path[:1] != [str(folder)]:
        with contextlib.suppress(ValueError):
            sys.path.remove(str(folder))
        sys.path.insert(0, str(folder))
    importlib.invalidate_caches()


def _import(name: str, folder: Path) -> ModuleType:
    _refuse_shadowed(name.partition(".")[0], folder)
    try:
        with contextlib.redirect_stdout(sys.stderr):
            return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise TargetError(_blame(f"Importing {name} failed", error, folder)) from error
        raise TargetNotFoundError(
            f"There is no module {name} in {folder} or among the installed packages; check the name, or start from its folder."
        ) from None
    except (Exception, SystemExit) as error:  # the user's own code, which may raise anything
        raise TargetError(_blame(f"Importing {name} failed", error, folder)) from error


def _refuse_shadowed(top: str, folder: Path) -> None:
    """A module of that name may be loaded already, from elsewhere: then the user's own would silently not be the one that runs."""
    own = next((path for path in (folder / f"{top}.py", folder / top / "__init__.py") if path.is_file()), None)
    loaded = sys.modules.get(top)
    if own is None or loaded is None:
        return
    origin = getattr(loaded, "__file__", None)
    if origin is None or Path(origin).resolve() != own.resolve():
        raise TargetError(f"{own} has the name of a module that is already loaded ({origin or 'built in'}); rename it.")


def _blame(what: str, error: BaseException, folder: Path) -> str:
    """`what` with the last place of the user's code and the last line of the traceback."""
    if isinstance(error, SyntaxError) and error.filename:
        place, reason = f"{_near(error.filename, folder)}:{error.lineno}", f"{type(error).__name__}: {error.msg}"
    else:
        frames = [f for f in traceback.extract_tb(error.__traceback__) if not f.filename.startswith("<frozen")]
        users = [f for f in frames if f.filename != __file__ and "importlib" not in f.filename]
        place = f"{_near(users[-1].filename, folder)}:{users[-1].lineno}" if users else "its start"
        reason = traceback.format_exception_only(error)[-1].strip()
    if isinstance(error, SystemExit):
        return f"{what}: it called sys.exit({error.code!r}) at {place}; keep that under if __name__ == '__main__'."
    return f"{what} at {place}: {reason[:500]}; mend it, or see all with --debug."


def _near(filename: str, folder: Path) -> str:
    try:
        return str(Path(filename).relative_to(folder))
    except ValueError:
        return filename


def _no_such_name(module: str, part: str, holder: Any) -> str:
    if not isinstance(holder, ModuleType):
        return f"{module} has a {_kind(holder)} without {part!r}; check the name."
    pipelines = [name for name, value in vars(holder).items() if isinstance(value, Pipeline)]
    names = [name for name in vars(holder) if not name.startswith("_")]
    hint = suggestion(part, names) or (f"; it has {', '.join(sorted(pipelines)[:5])}" if pipelines else "; check the name")
    return f"There is no {part!r} in the module {module}{hint}{'' if hint.endswith('?') else '.'}"


def _not_understood(target: str, folder: Path) -> TargetError:
    if (folder / f"{target}.py").is_file():
        return TargetError(f"{target} is a module; say which pipeline in it: {target}:NAME.")
    near = suggestion(target, list(TEMPLATES))
    forms = f"a pipeline file ({', '.join(ENDINGS)}), module:name, or {' or '.join(TEMPLATES)}"
    return TargetNotFoundError(f"There is no pipeline {target!r}{near}; give {forms}.")


def _kind(value: Any) -> str:
    return f"a {type(value).__name__}" if not inspect.isclass(value) else f"the class {value.__name__}"
