"""What manifests declare, format by format."""

import pytest

from engine.templates.repository.manifests import MAX_DECLARED, MAX_SIZE, UnreadableManifestError, read, reader_of

PYPROJECT = """\
[build-system]
requires = ["hatchling>=1.25"]

[project]
dependencies = [
    "requests[socks]>=2 ; python_version > '3'",
    "rich",
    "tool @ git+https://user:password@host/tool.git@v1",
]

[project.optional-dependencies]
test = ["pytest ~= 8.0"]

[dependency-groups]
dev = ["ruff", {include-group = "test"}]

[tool.poetry.dependencies]
python = "^3.11"
httpx = {version = "^0.27", extras = ["http2"]}
both = [{version = "1", python = "3.8"}, {version = "2"}]

[tool.poetry.group.docs.dependencies]
sphinx = "*"
"""


def rows(name: str, text: str) -> list[tuple[str, str, str, int]]:
    return [tuple(row) for row in read(name, text.encode())]


def test_pyproject() -> None:
    """Every place a pyproject.toml declares in is read, with extras, groups, markers and lines; a password is not kept."""
    assert rows("pyproject.toml", PYPROJECT) == [
        ("requests", ">=2", "if python_version > '3'", 6),
        ("rich", "", "", 7),
        ("tool", "git+https://host/tool.git@v1", "", 8),
        ("pytest", "~= 8.0", "test", 12),
        ("ruff", "", "dev", 15),
        ("hatchling", ">=1.25", "build", 2),
        ("httpx", "^0.27", "", 19),
        ("both", "1 or 2", "", 20),
        ("sphinx", "*", "docs", 23),
    ]


def test_uv_sources_are_versions_from_elsewhere() -> None:
    """A name that the workspace provides is not one that accepts any version."""
    text = '[project]\ndependencies = ["ours"]\n[tool.uv.sources]\nours = {workspace = true}\n'
    assert rows("pyproject.toml", text) == [("ours", "managed", "", 2)]


def test_requirements() -> None:
    """Options are left out, links, continuations, markers, hashes and unsafe indexes are understood."""
    text = (
        "# comment\n"
        "-r other.txt\n"
        "--index-url http://ada:secret@index.local/simple\n"
        "flask\n"
        'foo==1; python_version < "3"\n'
        "bar>=1,\\\n"
        "    <2  # why\n"
        "baz==1 --hash=sha256:00\n"
        "git+https://ada:secret@host/x.git#egg=named\n"
        "https://host/path/thing-1.0.zip\n"
        "./local\n"
        "=nonsense\n"
        "\n"
    )
    assert rows("requirements-dev.txt", text) == [
        ("package index", "http://index.local/simple", "", 3),
        ("flask", "", "", 4),
        ("foo", "==1", 'if python_version < "3"', 5),
        ("bar", ">=1,<2", "", 6),
        ("baz", "==1", "", 8),
        ("named", "git+https://host/x.git#egg=named", "", 9),
        ("thing-1.0.zip", "https://host/path/thing-1.0.zip", "", 10),
    ]


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        (
            "package.json",
            '{\n "dependencies": {"a": "*",\n  "b": "^1"},\n "devDependencies": {"a": "2"}\n}',
            [("a", "*", "", 2), ("b", "^1", "", 3), ("a", "2", "dev", 4)],
        ),
        ("package.json", '{"dependencies": ["a"], "devDependencies": {"b": 1}}', [("b", "", "dev", 1)]),
        ("composer.json", '{"require": {"php": ">=8", "a/b": "^1"}}', [("a/b", "^1", "", 1)]),
        (
            "Cargo.toml",
            '[dependencies]\nserde = "1"\nours.workspace = true\n[dev-dependencies]\nx = {git = "https://h/x", rev = "abc1234"}\n'
            '[target."cfg(unix)".dependencies]\nlibc = {version = "0.2"}\n',
            [("serde", "1", "", 2), ("ours", "managed", "", 3), ("x", "https://h/x@abc1234", "dev", 5), ("libc", "0.2", "", 7)],
        ),
        (
            "go.mod",
            "module example.com/m\n\ngo 1.22\n\nrequire example.com/a v1.2.3\nrequire (\n\texample.com/b/v2 v2.0.0 // indirect\n)\n"
            "replace example.com/c => ../c\n",
            [("example.com/a", "v1.2.3", "", 5), ("example.com/b/v2", "v2.0.0", "indirect", 7)],
        ),
        (
            "Gemfile",
            "source 'https://rubygems.org'\ngem 'rails', '~> 7', '< 8'\ngroup :test do\n  gem \"rspec\"\nend\ngem 'x', git: 'https://h/x'\n",
            [("rails", "~> 7, < 8", "", 2), ("rspec", "", "test", 4), ("x", "https://h/x", "", 6)],
        ),
        (
            "pom.xml",
            "<project>\n<dependencies>\n<dependency>\n<groupId>g</groupId><artifactId>a</artifactId><version>1</version>\n"
            "<exclusions><exclusion><groupId>z</groupId></exclusion></exclusions></dependency>\n"
            "<dependency><groupId>h</groupId><artifactId>b</artifactId><scope>test</scope></dependency>\n</dependencies></project>",
            [("g:a", "1", "", 3), ("h:b", "managed", "test", 6)],
        ),
        (
            "app.csproj",
            '<Project><ItemGroup><PackageReference Include="A" Version="1.0"/>\n'
            '<PackageReference Include="B"><Version>2</Version></PackageReference></ItemGroup></Project>',
            [("A", "1.0", "", 1), ("B", "2", "", 2)],
        ),
        (
            "build.gradle",
            "dependencies {\n  implementation 'g:a:1.0'\n  testImplementation(\"g:b\")\n}\n",
            [("g:a", "1.0", "", 2), ("g:b", "managed", "test", 3)],
        ),
        (
            "setup.cfg",
            "[options]\ninstall_requires =\n    a>=1\n    file: other.txt\n[options.extras_require]\nx = b\n",
            [("a", ">=1", "", 3), ("b", "", "x", 6)],
        ),
        ("Pipfile", '[packages]\na = "*"\n[dev-packages]\nb = {version = "==1"}\n', [("a", "*", "", 2), ("b", "==1", "dev", 4)]),
    ],
)
def test_formats(name: str, text: str, expected: list[tuple[str, str, str, int]]) -> None:
    """Names, versions, groups and lines are read as they stand."""
    assert rows(name, text) == expected


BOMB = (
    '<?xml version="1.0"?><!DOCTYPE p [<!ENTITY a "xx"><!ENTITY b "&a;&a;">]>'
    "<project><dependency><groupId>&b;</groupId></dependency></project>"
)


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("pom.xml", BOMB.encode(), "document type"),
        ("pom.xml", b'<!DOCTYPE p SYSTEM "file:///etc/passwd"><project/>', "document type"),
        ("pom.xml", b"<project>", "does not parse"),
        ("pyproject.toml", b"[a", "does not parse"),
        ("pyproject.toml", b"a = 1\n" * 20_000, "larger than 60 kB"),
        ("package.json", b"[1]", "holds no object"),
        ("package.json", b"{", "does not parse"),
        ("package.json", b"1" * 5_000, "does not parse"),
        ("package.json", b'{"a":' * 60_000, "nested too deep"),
        ("package.json", b"\xff", "not UTF-8"),
        ("package.json", b" " * (MAX_SIZE + 1), "larger than 300 kB"),
        ("setup.cfg", b"no section\n", "does not parse"),
        ("other.txt", b"", "no manifest"),
    ],
)
def test_unreadable_manifests_say_why(name: str, content: bytes, why: str) -> None:
    """What cannot be read safely or at all is refused in one sentence; entities are never expanded."""
    with pytest.raises(UnreadableManifestError, match=why):
        read(name, content)


def test_hostile_names_are_bounded_and_encodable() -> None:
    """Lone surrogates from JSON escapes and endless names do not get out."""
    found = read("package.json", b'{"dependencies": {"a\\ud800": "1", "' + b"n" * 5_000 + b'": "2"}}')
    assert found[0].name == "a\\ud800"
    assert len(found[1].name) == 200
    assert [row.name.encode() for row in found]


def test_endless_manifests_are_cut() -> None:
    """A manifest of thousands of lines gives a bounded number of declarations."""
    assert len(read("requirements.txt", b"".join(b"p%d\n" % n for n in range(5_000)))) == MAX_DECLARED


@pytest.mark.parametrize(
    ("name", "ecosystem"),
    [
        ("requirements.txt", "Python"),
        ("requirements-dev.txt", "Python"),
        ("dev_requirements.in", "Python"),
        ("constraints.txt", "Python"),
        ("Gemfile", "Ruby"),
        ("x.csproj", ".NET"),
    ],
)
def test_manifests_are_known_by_name(name: str, ecosystem: str) -> None:
    """The file name tells the ecosystem."""
    found = reader_of(name)
    assert found is not None
    assert found[0] == ecosystem


@pytest.mark.parametrize("name", ["setup.py", "notes.txt", "myrequirements.txt", "requirements.md", "package-lock.json"])
def test_other_files_are_no_manifests(name: str) -> None:
    """Code, prose and lock files are not read as manifests."""
    assert reader_of(name) is None
