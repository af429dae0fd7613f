"""The settings: what wins, where each value came from, and how everything that is wrong is told at once."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from engine.config import ConfigError, Loaded, TAgentConfig, UiConfig, default_db, load
from engine.policies import BreakerPolicy, Limit


class Sources:
    """A folder with a project file and a user's file, written as given."""

    def __init__(self, folder: Path) -> None:
        self.cwd, self.user = folder / "work", folder / "user"
        self.cwd.mkdir()
        self.user.mkdir()

    def load(
        self,
        *,
        project: str | bytes | None = None,
        user: str | None = None,
        environ: Mapping[str, str] | None = None,
        flags: Mapping[str, Any] | None = None,
        config_path: Path | None = None,
    ) -> Loaded:
        if project is not None:
            self.project_file.write_bytes(project if isinstance(project, bytes) else project.encode())
        if user is not None:
            (self.user / "config.toml").write_text(user)
        return load(flags or {}, environ or {}, self.cwd, self.user, config_path)

    @property
    def project_file(self) -> Path:
        return self.cwd / "tagent.toml"

    def problems(self, **sources: Any) -> list[str]:
        with pytest.raises(ConfigError) as refused:
            self.load(**sources)
        assert str(refused.value) == "\n".join(refused.value.problems)
        for problem in refused.value.problems:
            assert problem[-1] in ".?"
        return refused.value.problems


@pytest.fixture
def sources(tmp_path: Path) -> Sources:
    return Sources(tmp_path)


def test_without_sources_there_are_defaults(sources: Sources) -> None:
    """Nothing given is the default settings, with no model and no budget, each said to be a default."""
    loaded = sources.load()
    assert loaded.config == TAgentConfig()
    assert loaded.config.model is None
    assert loaded.config.max_concurrent_steps == 5
    assert {row.origin for row in loaded.rows()} == {"default"}


def test_the_nearer_source_wins(sources: Sources) -> None:
    """Flag before environment before project file before user file before default, and each value knows its source."""
    files = {
        "project": 'model = "p"\nbudget = 3\nverbose = true',
        "user": 'model = "u"\nbudget = 4\nmax_iterations = 7\nverbose = false',
    }
    loaded = sources.load(**files, environ={"TAGENT_MODEL": "e", "TAGENT_BUDGET": "2.5"}, flags={"model": "f", "budget": None})
    assert (loaded.config.model, loaded.config.budget, loaded.config.verbose, loaded.config.max_iterations) == ("f", 2.5, True, 7)
    origins = {row.key: row.origin for row in loaded.rows()}
    assert origins["model"] == "flag"
    assert origins["budget"] == "TAGENT_BUDGET"
    assert origins["verbose"] == str(sources.project_file)
    assert origins["max_iterations"] == str(sources.user / "config.toml")
    assert origins["model_timeout"] == "default"


def test_nested_settings_are_merged_by_key(sources: Sources) -> None:
    """The screens' settings come from several sources at once, a later one changing only what it names."""
    loaded = sources.load(
        project='[ui]\ntheme = "light"\nkeys = {"run.pause" = "p"}',
        environ={"TAGENT_UI_GLYPHS": "ascii"},
        flags={"ui.theme": "dark"},
    )
    assert loaded.config.ui == UiConfig(theme="dark", glyphs="ascii", keys={"run.pause": "p"})
    assert {row.key: row.origin for row in loaded.rows()}["ui.glyphs"] == "TAGENT_UI_GLYPHS"


def test_a_named_file_takes_the_projects_place(sources: Sources, tmp_path: Path) -> None:
    """`--config FILE` is read instead of ./tagent.toml, and has to exist."""
    named = tmp_path / "named.toml"
    named.write_text('model = "n"')
    assert sources.load(project='model = "p"\nbudget = 1', config_path=named).config == TAgentConfig(model="n")
    (problem,) = sources.problems(config_path=tmp_path / "missing.toml")
    assert problem == f"{tmp_path / 'missing.toml'} does not exist; create it or name another with --config."


def test_a_store_named_in_a_file_is_beside_it(sources: Sources) -> None:
    """A relative store in a file is meant from that file's folder; from the environment and `:memory:` it is taken as it is."""
    assert sources.load(user='db = "mine.db"').config.db == str(sources.user / "mine.db")
    assert sources.load(user='db = "~/mine.db"').config.db == str(Path("~/mine.db").expanduser())
    assert sources.load(user='db = ":memory:"').config.db == ":memory:"
    assert sources.load(environ={"TAGENT_DB": "here.db"}).config.db == "here.db"


def test_all_problems_are_told_at_once(sources: Sources) -> None:
    """Every wrong value of every source is one sentence with the source, the key, what is expected and what was there."""
    problems = sources.problems(
        project='modle = "x"\nmax_concurrent_steps = "5"\nbudget = -1\n[ui]\ntheme = "blue"\nfont = 1',
        user='verbose = 1\nmodel = ""\nmodel_timeout = nan',
        environ={"TAGENT_MAX_ITERATIONS": "many", "TAGENT_MODLE": "x"},
        flags={"max_concurrent_steps": 0},
    )
    file, user = sources.project_file, sources.user / "config.toml"
    assert problems == [
        f"{user}: model has to be some text, not ''.",
        f"{user}: model_timeout has to be a finite number, not nan.",
        f"{user}: verbose has to be true or false, not 1.",
        f"{file}: max_concurrent_steps has to be a whole number, not '5'.",
        f"{file}: budget has to be at least 0, not -1.",
        f"{file}: ui.theme has to be auto, dark or light, not 'blue'.",
        f"{file}: there is no setting ui.font (there are: {ALL_KEYS}).",
        f"{file}: there is no setting modle; did you mean model?",
        "TAGENT_MODLE is no setting; did you mean TAGENT_MODEL?",
        "TAGENT_MAX_ITERATIONS has to be a whole number, not 'many'.",
        "flag: max_concurrent_steps has to be at least 1, not 0.",
    ]


ALL_KEYS = (
    "model, api_base, api_key, fallback_models, model_timeout, temperature, top_p, max_tokens, stop, reasoning_effort, "
    "model_params, breaker.failures, breaker.seconds, limits.models, limits.tools, "
    "max_concurrent_steps, max_iterations, max_depth, budget, output_format, verbose, memories, db, ui.theme, ui.glyphs, ui.keys"
)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"model = ", "is not valid TOML (Invalid value (at end of document)); correct it there."),
        (b'model = "a"\nmodel = "b"', "is not valid TOML (Cannot overwrite a value"),
        (b"\xff\xfem\x00", "is not UTF-8 text (byte 0)"),
        (b"a = " + b"[" * 100_000, "is not valid TOML"),
        (b"#" * 1_000_001, "is larger than 1,000,000 bytes"),
        (b"ui = 3", "ui has to be a table, not 3."),
        (b"ui = {keys = {a = 1}}", "ui.keys.a has to be text, not 1."),
        (b"budget = 1979-05-27", "budget has to be a number, not datetime.date(1979, 5, 27)."),
        (b"max_concurrent_steps = 10001", "max_concurrent_steps has to be at most 10000, not 10001."),
        (b'api_base = "localhost:80"', "api_base has to be an address such as http://localhost:8000/v1, not what is there."),
    ],
)
def test_a_bad_file_is_named(sources: Sources, content: bytes, words: str) -> None:
    """A file that cannot be read, or whose values have the wrong type, is refused with its path and the reason."""
    (problem,) = sources.problems(project=content)
    assert problem.startswith(str(sources.project_file))
    assert words in problem


def test_a_folder_in_a_files_place_is_named(sources: Sources) -> None:
    """A folder called tagent.toml is said to be one."""
    sources.project_file.mkdir()
    assert sources.problems() == [f"{sources.project_file} is a folder; name a TOML file."]


@pytest.mark.parametrize("mark", [b"\xef\xbb\xbf", b""])
def test_a_byte_order_mark_is_let_pass(sources: Sources, mark: bytes) -> None:
    """A file saved with a byte order mark and Windows line ends is read."""
    assert sources.load(project=mark + b'model = "a"\r\nbudget = 1\r\n').config == TAgentConfig(model="a", budget=1)


@pytest.mark.parametrize("key", ["api_key", "openai_api_key", "access_token", "PASSWORD", "client_secret"])
def test_secrets_in_files_are_refused(sources: Sources, key: str) -> None:
    """A secret in a file is refused with where it belongs, and its value is not repeated."""
    (problem,) = sources.problems(user=f'{key} = "sk-123"')
    assert f"{key} is a secret and is not read from files" in problem
    assert "TAGENT_API_KEY" in problem
    assert "sk-123" not in problem


def test_a_password_in_an_address_is_refused(sources: Sources) -> None:
    """An address with a password in it is refused without repeating it."""
    (problem,) = sources.problems(project='api_base = "https://me:hunter2@example.com/v1"')
    assert "without a name or password" in problem
    assert "hunter2" not in problem


def test_the_key_is_used_and_never_shown(sources: Sources) -> None:
    """The key from the environment is in the settings, and in no text made of them."""
    loaded = sources.load(environ={"TAGENT_API_KEY": "sk-123"})
    assert loaded.config.api_key is not None
    assert loaded.config.api_key.get_secret_value() == "sk-123"
    shown = [
        repr(loaded),
        str(loaded.config),
        loaded.config.model_dump_json(),
        repr(loaded.config.model_dump()),
        repr(loaded.rows()),
    ]
    assert not [text for text in shown if "sk-123" in text]
    (row,) = [row for row in loaded.rows() if row.key == "api_key"]
    assert (row.value, row.origin) == ("set", "TAGENT_API_KEY")


def test_foreign_variables_are_left_alone(sources: Sources) -> None:
    """A TAGENT_ variable of some other purpose, and an empty one, change nothing."""
    assert sources.load(environ={"TAGENT_TRACE_ID": "1", "TAGENT_MODEL": "", "MODEL": "x"}).config == TAgentConfig()


def test_the_settings_are_frozen() -> None:
    """Built once, a setting does not change."""
    with pytest.raises(ValueError, match="frozen"):
        TAgentConfig().model = "x"  # type: ignore[misc]


def test_the_store_is_the_users_unless_named() -> None:
    """`TAGENT_DB` names the store; without it, it is runs.db in the user's folder for application files."""
    assert default_db({"TAGENT_DB": "/tmp/x.db"}) == Path("/tmp/x.db")
    assert default_db({"TAGENT_DB": "~/x.db"}) == Path("~/x.db").expanduser()
    assert default_db({}).parts[-2:] == ("tagent-tui", "runs.db")


def test_limits_and_breakers_are_tables_of_a_file(sources: Sources) -> None:
    """A file's tables reach the settings and are shown with where they came from; single values of a breaker may come from the
    environment, names of models with commas between.
    """
    text = (
        '[breaker]\nfailures = 3\n[limits]\nmodels."gpt-4.1" = {concurrent = 4, per_minute = 60}\ntools.search = {concurrent = 1}'
    )
    environ = {"TAGENT_BREAKER_SECONDS": "5", "TAGENT_FALLBACK_MODELS": "a, b"}
    loaded = sources.load(project=text, environ=environ)
    assert loaded.config.breaker.policy() == BreakerPolicy(3, 5.0)
    assert loaded.config.limits.plain() == {"models": {"gpt-4.1": Limit(4, 60)}, "tools": {"search": Limit(1)}}
    assert loaded.config.fallback_models == ["a", "b"]
    shown = {row.key: (row.value, row.origin) for row in loaded.rows()}
    assert shown["limits.models"] == ({"gpt-4.1": {"concurrent": 4, "per_minute": 60}}, str(sources.project_file))
    assert shown["breaker.seconds"] == (5.0, "TAGENT_BREAKER_SECONDS")


def test_wrong_limits_are_named(sources: Sources) -> None:
    """A wrong number and an unknown word in a table of limits are told with their place."""
    problems = sources.problems(project="[limits.models.m]\nconcurrent = 0\nat_once = 1\n[breaker]\nfailures = -1")
    assert [problem.removeprefix(f"{sources.project_file}: ") for problem in problems] == [
        "breaker.failures has to be at least 0, not -1.",
        "limits.models.m.concurrent has to be at least 1, not 0.",
        "there is no setting limits.models.m.at_once; a limit has concurrent and per_minute.",
    ]


def test_python_may_give_the_engines_own_values() -> None:
    """`breaker=BreakerPolicy(...)` and `limits` with `Limit(...)` are taken as settings."""
    config = TAgentConfig(breaker=BreakerPolicy(2, 3), limits={"models": {"m": Limit(per_minute=9)}}, fallback_models="one")  # type: ignore[arg-type]
    assert config.breaker.policy() == BreakerPolicy(2, 3)
    assert config.limits.plain() == {"models": {"m": Limit(per_minute=9)}, "tools": {}}
    assert TAgentConfig(**config.model_dump(mode="json", exclude_unset=True)) == config
