"""What a tool takes, read off its function's signature: the JSON Schema of its arguments, and JSON arguments as it takes them.

Stands apart from the mark because types are looked at here, and pydantic is loaded where they are.
"""

from __future__ import annotations

import functools
import inspect
import typing
from collections.abc import Callable, Iterator, Mapping
from types import SimpleNamespace
from typing import Any, NamedTuple

import msgspec

from engine.kinds import FunctionName
from engine.models.errors import OutputSchemaError
from engine.models.schemas import schema_of
from engine.references import reference, source_hash
from engine.tools import MARK, ToolDefinition, ToolMark, is_name
from store import values
from store.errors import ValueEncodingError

CONTEXTS = ("StepContext", "SyncStepContext")
BY_NAME = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


class ToolError(Exception):
    """A function cannot be a tool: `flaws` are what is wrong, each with a parameter's name, or empty where it is the whole."""

    def __init__(self, *flaws: tuple[str, str]) -> None:
        self.flaws = flaws
        super().__init__("; ".join(f"its parameter {place!r} {said}" if place else f"it {said}" for place, said in flaws))


class ArgumentsError(Exception):
    """Arguments that fit the schema do not fit the type they are of."""


class Signature(NamedTuple):
    """What a function takes: its parameters and their types by name, the parameter that is given the context, and how it runs."""

    parameters: Mapping[str, inspect.Parameter]
    types: Mapping[str, Any]
    context: str | None
    is_async: bool


def name_of(function: Any) -> str:
    """The name a function has as a tool: the one its author gives it, or its own."""
    mark = mark_of(function)
    own = getattr(function, "__qualname__", None) or getattr(function, "__name__", None) or type(function).__name__
    return mark.name or str(own).rpartition(".")[2]


def mark_of(function: Any) -> ToolMark:
    """What its author says of it as a tool."""
    mark = getattr(function, MARK, None)
    return mark if isinstance(mark, ToolMark) else ToolMark()


def tool_of(function: Any) -> ToolDefinition:
    """A function as a tool; of one that was not imported only its name. Raises `ToolError`."""
    try:
        return _tool_of(function)
    except TypeError:  # a callable object that cannot be hashed
        return _tool_of.__wrapped__(function)


@functools.lru_cache(maxsize=1024)  # types are read once: pydantic takes about 0.3 ms a function
def _tool_of(function: Any) -> ToolDefinition:
    name = name_of(function)
    if isinstance(function, FunctionName):
        return ToolDefinition(name, function.text)
    if not callable(function):
        raise ToolError(("", f"is {function!r}, which cannot be called; give a function"))
    if not is_name(name):
        raise ToolError(("", f"has the name {name[:80]!r}, which no model can call; give it one with @tool(name=...)"))
    mark = mark_of(function)
    described = mark.description if mark.description is not None else inspect.getdoc(getattr(function, "func", function)) or ""
    return ToolDefinition(
        name, reference(function), described, _schema(signature_of(function)), mark.safety, mark.permission,
        None if mark.timeout is None else float(mark.timeout), source_hash(function),
    )  # fmt: skip


def signature_of(function: Callable[..., Any]) -> Signature:
    """What a function takes. Raises `ToolError` with the parameters that no JSON can give."""
    try:
        parameters = inspect.signature(function).parameters
    except (ValueError, TypeError):
        raise ToolError(("", "has no signature to read its parameters from; wrap it in a function")) from None
    is_async = inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(getattr(function, "__call__", None))  # noqa: B004
    context: str | None = None
    taken: dict[str, inspect.Parameter] = {}
    flaws = []
    for name, parameter in parameters.items():
        if parameter.kind not in BY_NAME:
            said = "by position only" if parameter.kind is inspect.Parameter.POSITIONAL_ONLY else "any number of values"
            flaws.append((name, f"takes {said}, which a model cannot give; write parameters with names and types"))
        elif name == "ctx" or _is_context(parameter.annotation):
            if context is not None:
                flaws.append((name, f"is a second context beside {context!r}; keep one"))
            context = name
        elif parameter.annotation is inspect.Parameter.empty:
            flaws.append((name, f"has no type, so no model can know what to give; write {name}: str"))
        else:
            taken[name] = parameter
    types = _types(function, taken, flaws)
    if flaws:
        raise ToolError(*flaws)
    return Signature(taken, types, context, is_async)


def _is_context(annotation: Any) -> bool:
    """By its name: annotations may be text, and a context's module is loaded by who runs steps alone."""
    said = annotation if isinstance(annotation, str) else getattr(annotation, "__name__", "")
    return said.rpartition(".")[2].strip("'\" ") in CONTEXTS


def _types(
    function: Callable[..., Any], parameters: Mapping[str, inspect.Parameter], flaws: list[tuple[str, str]]
) -> dict[str, Any]:
    """The types of the parameters; those that are not found are added to the flaws."""
    found = inspect.unwrap(function)
    holder = found if hasattr(found, "__globals__") else getattr(found, "func", getattr(type(found), "__call__", found))  # noqa: B004
    names = getattr(inspect.unwrap(holder), "__globals__", {})
    resolved = {}
    for name, parameter in parameters.items():
        one = SimpleNamespace(__annotations__={name: parameter.annotation})
        try:
            resolved[name] = typing.get_type_hints(one, names, {}, include_extras=True)[name]
        except Exception as error:  # the text of an annotation is the user's own code
            flaws.append((name, f"has the type {parameter.annotation!r}, which is not found ({error}); import it"))
    return resolved


def _schema(signature: Signature) -> dict[str, Any]:
    """One object of what the parameters may be given, each as the schema of its type says."""
    properties: dict[str, Any] = {}
    definitions: dict[str, Any] = {}
    flaws = []
    for name, kind in signature.types.items():
        try:
            schema = {} if kind is Any else dict(schema_of(kind))
        except OutputSchemaError as error:
            flaws.append((name, f"has a type that has no JSON Schema: {str(error).rstrip('.')}"))
            continue
        own = schema.pop("$defs", {})
        clashing = {key for key, held in own.items() if definitions.get(key, held) != held}
        renamed = {f"#/$defs/{key}": f"#/$defs/{name}.{key}" for key in clashing}
        definitions.update({f"{name}.{key}" if key in clashing else key: _pointing(held, renamed) for key, held in own.items()})
        properties[name] = _pointing(schema, renamed) | _default(signature.parameters[name])
    if flaws:
        raise ToolError(*flaws)
    needed = [name for name, one in signature.parameters.items() if one.default is one.empty]
    found: dict[str, Any] = {"type": "object", "properties": properties, "additionalProperties": False}
    return found | ({"required": needed} if needed else {}) | ({"$defs": definitions} if definitions else {})


def _pointing(schema: Any, renamed: Mapping[str, str]) -> Any:
    """The schema with references to other names."""
    if not renamed:
        return schema
    if isinstance(schema, list):
        return [_pointing(item, renamed) for item in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        key: renamed.get(item, item) if key == "$ref" and isinstance(item, str) else _pointing(item, renamed)
        for key, item in schema.items()
    }


def _default(parameter: inspect.Parameter) -> dict[str, Any]:
    """What is used where nothing is given, if JSON has a word for it."""
    if parameter.default is parameter.empty:
        return {}
    try:
        plain = msgspec.json.decode(values.encode(parameter.default))
    except (ValueEncodingError, RecursionError, msgspec.MsgspecError):
        return {}
    return {"default": plain}


def converted(function: Callable[..., Any], arguments: Mapping[str, Any]) -> dict[str, Any]:
    """JSON arguments as the function takes them: models, Structs and dates instead of plain values. Raises `ArgumentsError`."""
    kinds = signature_of(function).types
    found = {}
    for name, value in arguments.items():
        kind = kinds.get(name, Any)  # one that there is no more is told by the call itself
        found[name] = value if kind is Any else _converted(name, value, kind)
    return found


def _converted(name: str, value: Any, kind: Any) -> Any:
    import pydantic

    try:
        if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
            return msgspec.convert(value, kind)
        return _adapter(kind).validate_json(msgspec.json.encode(value))
    except msgspec.ValidationError as error:
        raise ArgumentsError(f"{name}: {error}") from None
    except pydantic.ValidationError as error:
        raise ArgumentsError(f"{name}: {'; '.join(_told(error))}") from None


def _told(error: Any) -> Iterator[str]:
    for one in error.errors(include_url=False, include_context=False)[:3]:
        place = ".".join(map(str, one["loc"]))
        yield f"at {place}: {one['msg']}" if place else one["msg"]


def _adapter(kind: Any) -> Any:
    try:
        return _adapter_of(kind)
    except TypeError:  # Annotated with something that cannot be hashed
        return _adapter_of.__wrapped__(kind)


@functools.lru_cache(maxsize=1024)
def _adapter_of(kind: Any) -> Any:
    import pydantic

    return pydantic.TypeAdapter(kind)
