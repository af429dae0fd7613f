"""The settings: one frozen object, built once, each value knowing where it came from.

Stands apart because this is the only place that reads settings from flags, the environment and files, in that order of precedence:
flag, `TAGENT_*`, `./tagent.toml` (or `--config`), the user's file, default. All that is wrong is reported at once.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

import msgspec
import pydantic
from pydantic import Field

from engine.errors import EngineError
from engine.model_config import ModelConfig, problems_of_config
from engine.policies import BreakerPolicy, Limits, limits_of

PROJECT_FILE = "tagent.toml"
USER_FILE = "config.toml"
APP = "tagent-tui"
MAX_BYTES = 1_000_000
PREFIX = "TAGENT_"
TABLES = ("ui", "breaker", "limits")
TABLES_OF_NAMES = ("ui.keys", "limits.models", "limits.tools", "model_params")
"""Settings that no variable can hold."""
"""Settings that are tables in a file."""


class UiConfig(pydantic.BaseModel, frozen=True, extra="forbid", defer_build=True):
    """How the screens look: colours, the set of marks, and other keys for bindings (binding id -> keys)."""

    theme: Literal["auto", "dark", "light"] = "auto"
    glyphs: Literal["auto", "unicode", "ascii"] = "auto"
    keys: dict[str, str] = {}


class BreakerConfig(pydantic.BaseModel, frozen=True, extra="forbid", defer_build=True):
    """When a model or tool is left alone: after `failures` in a row (0: never), for `seconds`."""

    failures: Annotated[int, Field(ge=0, le=1_000)] = BreakerPolicy().failures
    seconds: Annotated[float, Field(ge=0, le=86_400, allow_inf_nan=False)] = BreakerPolicy().seconds

    def policy(self) -> BreakerPolicy:
        """The same as the engine's own value."""
        return BreakerPolicy(self.failures, self.seconds)


class LimitConfig(pydantic.BaseModel, frozen=True, extra="forbid", defer_build=True):
    """Calls at a time, and calls begun in any 60 seconds, of all drivers of one store together."""

    concurrent: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    per_minute: Annotated[int, Field(ge=1, le=1_000_000)] | None = None


class LimitsConfig(pydantic.BaseModel, frozen=True, extra="forbid", defer_build=True):
    """Limits by the name a model or tool is asked by."""

    models: dict[str, LimitConfig] = {}
    tools: dict[str, LimitConfig] = {}

    def plain(self) -> Limits:
        """The same as the engine's own values."""
        return limits_of(self.model_dump(exclude_none=True))


def _values_of(given: Any) -> Any:
    """Settings given in Python may be the engine's own values."""
    return msgspec.to_builtins(given) if isinstance(given, msgspec.Struct | dict) else given


def _names(given: Any) -> Any:
    """One name, or several with commas between, as the environment and flags write them."""
    return [name.strip() for name in given.split(",") if name.strip()] if isinstance(given, str) else given


def _address(text: str) -> str:
    try:
        address = urlsplit(text)
        known = address.scheme in ("http", "https") and bool(address.hostname) and (address.port is None or address.port > 0)
    except ValueError:
        known = False
    if not known:
        raise ValueError("an address such as http://localhost:8000/v1")
    if address.username or address.password:
        raise ValueError("an address without a name or password in it (set TAGENT_API_KEY in the environment)")
    return text


_Text = Annotated[str, Field(min_length=1)]
_Count = Annotated[int, Field(ge=1, le=10_000)]


def _model_params(given: dict[str, Any]) -> dict[str, Any]:
    """Refuse what is ours to set. The message becomes part of the sentence."""
    for place, message in problems_of_config(ModelConfig(model_params=given)):
        raise ValueError(f"a mapping without {place.removeprefix('model_params.')} ({message})")
    return given


class TAgentConfig(pydantic.BaseModel, frozen=True, extra="forbid", defer_build=True):
    """All settings. `budget` is in US dollars, `model_timeout` in seconds; None means not set (for `db`: the user's own store).

    `temperature` to `model_params` say how models are asked where neither pipeline nor step says it (`engine.model_config`).
    `memories` says whether runs keep what they learn and are offered what others learned.
    """

    model: _Text | None = None
    api_base: Annotated[str, pydantic.AfterValidator(_address)] | None = None
    api_key: Annotated[pydantic.SecretStr | None, Field(exclude=True, repr=False)] = None
    fallback_models: Annotated[list[_Text], pydantic.BeforeValidator(_names)] = []
    model_timeout: Annotated[float, Field(gt=0, le=86_400, allow_inf_nan=False)] = 120.0
    temperature: Annotated[float, Field(ge=0, le=2, allow_inf_nan=False)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] | None = None
    max_tokens: Annotated[int, Field(ge=1, le=10_000_000)] | None = None
    stop: Annotated[list[_Text], pydantic.BeforeValidator(_names)] = []
    reasoning_effort: _Text | None = None
    model_params: Annotated[dict[str, Any], pydantic.AfterValidator(_model_params)] = {}
    breaker: Annotated[BreakerConfig, pydantic.BeforeValidator(_values_of)] = Field(default_factory=BreakerConfig)
    limits: Annotated[LimitsConfig, pydantic.BeforeValidator(_values_of)] = Field(default_factory=LimitsConfig)
    max_concurrent_steps: _Count = 5
    max_iterations: _Count = 20
    max_depth: Annotated[int, Field(ge=1, le=100)] = 16
    budget: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    output_format: Literal["text", "json", "markdown"] = "text"
    verbose: bool = False
    memories: bool = True
    db: _Text | None = None
    ui: UiConfig = Field(default_factory=UiConfig)  # built when first asked for: 15 ms that importing does not pay

    def asked(self) -> ModelConfig:
        """How models are asked by these settings; `model_timeout` is not among it, it stays with who drives."""
        stop = tuple(self.stop)
        return ModelConfig(self.temperature, self.top_p, self.max_tokens, stop, self.reasoning_effort, None, self.model_params)


class Setting(msgspec.Struct, frozen=True):
    """One row of `config show`: the dotted key, the value (a secret is only said to be set), and where it came from."""

    key: str
    value: Any
    origin: str


class Loaded(msgspec.Struct, frozen=True):
    """The settings and, for each dotted key that was set, its origin: `flag`, a variable's name, or a file's path."""

    config: TAgentConfig
    origins: dict[str, str]

    def rows(self) -> list[Setting]:
        """Every setting in the order of definition."""
        return [Setting(key, value, self.origins.get(key, "default")) for key, value in _flattened(self.config)]


class ConfigError(EngineError):
    """Settings cannot be used; `problems` holds one sentence for each."""

    code = "config"

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        super().__init__("\n".join(problems))


def default_db(environ: Mapping[str, str]) -> Path:
    """The store when nobody names one: `TAGENT_DB`, else `runs.db` in the user's folder for application files."""
    import platformdirs

    named = environ.get("TAGENT_DB")
    return Path(named).expanduser() if named else Path(platformdirs.user_data_dir(APP, appauthor=False)) / "runs.db"


def default_user_dir() -> Path:
    """The folder of the user's settings file."""
    import platformdirs

    return Path(platformdirs.user_config_dir(APP, appauthor=False))


def load(
    flags: Mapping[str, Any], environ: Mapping[str, str], cwd: Path, user_dir: Path, config_path: Path | None = None
) -> Loaded:
    """The settings from all sources. `config_path` is a file that takes the place of `cwd/tagent.toml` and has to exist.

    Flags are by field name (`ui.theme` for nested ones); None means not given. Raises `ConfigError` with all problems.
    """
    project = config_path or cwd / PROJECT_FILE
    sources = [
        _from_file(user_dir / USER_FILE, required=False),
        _from_file(project, required=config_path is not None),
        _from_environment(environ),
        _Source("flag", _nested({key: value for key, value in flags.items() if value is not None}), lax=True),
    ]
    problems = [problem for source in sources for problem in source.problems()]
    if problems:
        raise ConfigError(problems)
    settings: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for source in sources:
        for key, value in source.values():
            _put(settings, key, value)
            origins[key] = source.origin_of(key)
    return Loaded(TAgentConfig.model_validate(settings), origins)


def configured() -> TAgentConfig:
    """The settings of a process that is given none: its environment's, `./tagent.toml`'s, the user's. Raises `ConfigError`."""
    return load({}, os.environ, Path.cwd(), default_user_dir()).config


class _Source:
    """What one source says, checked by itself so that every problem can name it.

    `lax` sources (the environment, flags) write numbers and booleans as text; files have types and mean them.
    """

    def __init__(self, origin: str, table: dict[str, Any], *, lax: bool, broken: Sequence[str] = ()) -> None:
        self.origin = origin
        self._table = table
        self._lax = lax
        self._broken = broken

    def origin_of(self, key: str) -> str:
        return _variable(key) if self.origin == PREFIX else self.origin

    def values(self) -> Iterator[tuple[str, Any]]:
        """Dotted key and value of all that is set."""
        for key, value in self._table.items():
            if key in TABLES:
                yield from ((f"{key}.{name}", item) for name, item in value.items())
            else:
                yield key, value

    def problems(self) -> list[str]:
        """One sentence for each thing that is wrong here."""
        found, table = list(self._broken), dict(self._table)
        if not self._lax:
            found += [self._secret(key) for key in table if _is_secret(key)]
            table = {key: value for key, value in table.items() if not _is_secret(key)}
        try:
            TAgentConfig.model_validate(table, strict=not self._lax)
        except pydantic.ValidationError as error:
            found += [self._sentence(item) for item in error.errors(include_url=False)]
        return found

    def _secret(self, key: str) -> str:
        return (
            f"{self.origin}: {key} is a secret and is not read from files; remove it there and set TAGENT_API_KEY (or the "
            f"provider's own variable) in the environment."
        )

    def _sentence(self, error: Any) -> str:
        place = ".".join(str(part) for part in error["loc"])
        where = self.origin_of(place)
        named = where if self.origin == PREFIX else f"{where}: {place}"
        if error["type"] == "extra_forbidden":
            return f"{where}: there is no setting {place}{_suggestion(place)}"
        return f"{named} has to be {_expected(error)}, not {_shown(error['input'], place)}."


def _from_file(path: Path, *, required: bool) -> _Source:
    import tomllib  # here, because most processes that import the engine read no file

    source = str(path)
    try:
        if path.stat().st_size > MAX_BYTES:
            return _broken(source, f"is larger than {MAX_BYTES:,} bytes and is not read; a settings file is a few lines of TOML")
        table = tomllib.loads(path.read_bytes().decode("utf-8-sig").replace("\r\n", "\n"))
    except FileNotFoundError:
        return (
            _broken(source, "does not exist; create it or name another with --config")
            if required
            else _Source(source, {}, lax=False)
        )
    except IsADirectoryError:
        return _broken(source, "is a folder; name a TOML file")
    except OSError as error:
        return _broken(source, f"cannot be read ({error.strerror or error}); check its permissions")
    except UnicodeDecodeError as error:
        return _broken(source, f"is not UTF-8 text (byte {error.start}); save it as UTF-8")
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        return _broken(source, f"is not valid TOML ({str(error) or 'nested too deeply'}); correct it there")
    return _Source(source, _with_full_paths(table, path.parent), lax=False)


def _broken(source: str, reason: str) -> _Source:
    return _Source(source, {}, lax=False, broken=[f"{source} {reason}."])


def _with_full_paths(table: dict[str, Any], folder: Path) -> dict[str, Any]:
    """A store named in a file is meant from that file's folder, wherever the command is given."""
    db = table.get("db")
    if not isinstance(db, str) or not db or db == ":memory:":
        return table
    return {**table, "db": str(folder / Path(db).expanduser())}


def _from_environment(environ: Mapping[str, str]) -> _Source:
    """The `TAGENT_*` variables that are settings; an empty one is not set. Others are left alone, misspelt ones are reported."""
    known = {_variable(key): key for key, _ in _flattened(TAgentConfig()) if key not in TABLES_OF_NAMES}
    table = {known[name]: value for name, value in environ.items() if name in known and value}
    unknown = [name for name in environ if name.startswith(PREFIX) and name not in known]
    misspelt = [(name, close[0]) for name in unknown if (close := difflib.get_close_matches(name, known, 1, 0.85))]
    broken = [f"{name} is no setting; did you mean {close}?" for name, close in misspelt]
    return _Source(PREFIX, _nested(table), lax=True, broken=broken)


def _variable(key: str) -> str:
    return PREFIX + key.upper().replace(".", "_")


def _nested(table: Mapping[str, Any]) -> dict[str, Any]:
    nested: dict[str, Any] = {}
    for key, value in table.items():
        _put(nested, key, value)
    return nested


def _put(table: dict[str, Any], key: str, value: Any) -> None:
    first, _, rest = key.partition(".")
    if rest:
        table[first] = {**table.get(first, {}), rest: value}
    else:
        table[first] = value


def _flattened(config: TAgentConfig) -> Iterator[tuple[str, Any]]:
    for key in TAgentConfig.model_fields:
        value = getattr(config, key)
        if isinstance(value, pydantic.BaseModel):
            yield from ((f"{key}.{name}", _shown_plain(getattr(value, name))) for name in type(value).model_fields)
        else:
            yield key, "set" if isinstance(value, pydantic.SecretStr) else value


def _shown_plain(value: Any) -> Any:
    """A table of limits as it stands in a file."""
    limits = isinstance(value, dict) and all(isinstance(limit, LimitConfig) for limit in value.values())
    return {name: limit.model_dump(exclude_none=True) for name, limit in value.items()} if limits else value


def _is_secret(key: str) -> bool:
    lowered = key.lower()
    return lowered.endswith(("key", "token", "password", "secret")) and lowered not in TAgentConfig.model_fields.keys() - {
        "api_key"
    }


def _suggestion(place: str) -> str:
    if place.startswith(("limits.models.", "limits.tools.")):
        return f"; a limit has {' and '.join(LimitConfig.model_fields)}."
    known = [key for key, _ in _flattened(TAgentConfig())]
    close = difflib.get_close_matches(place, known, 1) or difflib.get_close_matches(f"ui.{place}", known, 1)
    return f"; did you mean {close[0]}?" if close else f" (there are: {', '.join(known)})."


_PLAIN = {
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "string": "text",
    "dict": "a table",
    "list": "a list",
    "model": "a table",
}


def _expected(error: Any) -> str:
    context = error.get("ctx", {})
    match error["type"]:
        case "literal_error":
            return str(context["expected"]).replace("'", "")
        case "greater_than_equal":
            return f"at least {context['ge']:g}"
        case "less_than_equal":
            return f"at most {context['le']:g}"
        case "greater_than":
            return f"more than {context['gt']:g}"
        case "string_too_short":
            return "some text"
        case "value_error":
            return str(context["error"])
        case "finite_number":
            return "a finite number"
        case kind:
            return _PLAIN.get(kind.split("_")[0], str(error["msg"]).lower())


def _shown(value: Any, place: str) -> str:
    """The offending value; nothing of it where it may be a secret."""
    if place.startswith(("api_key", "api_base", "model_params")):
        return "what is there"
    shown = repr(value)
    return shown if len(shown) <= 60 else f"{shown[:57]}..."
