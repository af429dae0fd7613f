"""What a path alone says about a file: its language, and whether it is a test, somebody else's or made by a program.

Kept apart from reading because the tables are long, and because a path can be judged without touching the disk."""

from enum import IntFlag

_EXTENSIONS = {
    "Assembly": "asm s",
    "Batch": "bat cmd",
    "C": "c h",
    "C#": "cs",
    "C++": "cc cpp cxx hh hpp hxx ipp",
    "CMake": "cmake",
    "COBOL": "cob cbl",
    "CSS": "css less sass scss",
    "CSV": "csv tsv",
    "Clojure": "clj cljc cljs",
    "Crystal": "cr",
    "Dart": "dart",
    "Elixir": "ex exs",
    "Elm": "elm",
    "Erlang": "erl hrl",
    "F#": "fs fsi fsx",
    "Fortran": "f f90 f95 for",
    "Go": "go",
    "GraphQL": "graphql gql",
    "Groovy": "groovy gradle",
    "HCL": "tf hcl tfvars",
    "HTML": "htm html xhtml",
    "Haskell": "hs",
    "INI": "cfg conf ini properties",
    "JSON": "json jsonc json5 jsonl ndjson ipynb",
    "Java": "java",
    "JavaScript": "cjs js jsx mjs",
    "Julia": "jl",
    "Kotlin": "kt kts",
    "Lisp": "el lisp scm rkt",
    "Lua": "lua",
    "Markdown": "md mdx markdown",
    "Nim": "nim",
    "Nix": "nix",
    "OCaml": "ml mli",
    "Objective-C": "m mm",
    "PHP": "php",
    "Pascal": "pas",
    "Perl": "pl pm",
    "PowerShell": "ps1 psm1",
    "Protocol Buffers": "proto",
    "Python": "py pyi pyx",
    "R": "r",
    "Ruby": "rb rake gemspec",
    "Rust": "rs",
    "SQL": "sql",
    "SVG": "svg",
    "Scala": "scala sc",
    "Shell": "sh bash zsh fish ksh",
    "Solidity": "sol",
    "Svelte": "svelte",
    "Swift": "swift",
    "TOML": "toml",
    "TeX": "tex sty bib",
    "Template": "erb j2 jinja jinja2 mustache tmpl tpl",
    "Text": "adoc log rst txt",
    "TypeScript": "cts mts ts tsx",
    "Vim script": "vim",
    "Visual Basic": "vb vbs",
    "Vue": "vue",
    "XML": "csproj plist props targets xml xsd xsl",
    "YAML": "yaml yml",
    "Zig": "zig",
}
_NAMES = {
    "cmakelists.txt": "CMake",
    "dockerfile": "Dockerfile",
    "containerfile": "Dockerfile",
    "gemfile": "Ruby",
    "rakefile": "Ruby",
    "vagrantfile": "Ruby",
    "gnumakefile": "Makefile",
    "makefile": "Makefile",
    "justfile": "Makefile",
    "jenkinsfile": "Groovy",
    "go.mod": "Go module",
    "cargo.lock": "TOML",
    "poetry.lock": "TOML",
    "uv.lock": "TOML",
    "composer.lock": "JSON",
    "pipfile": "TOML",
    "pipfile.lock": "JSON",
    "license": "Text",
    "readme": "Text",
    "copying": "Text",
}
_SHEBANGS = {
    "bash": "Shell",
    "dash": "Shell",
    "lua": "Lua",
    "node": "JavaScript",
    "perl": "Perl",
    "php": "PHP",
    "python": "Python",
    "ruby": "Ruby",
    "sh": "Shell",
    "zsh": "Shell",
}
_BY_EXTENSION = {extension: language for language, row in _EXTENSIONS.items() for extension in row.split()}
OTHER_TEXT = "Other text"
_NOT_CODE = frozenset({"CSV", "Go module", "HTML", "INI", "JSON", "Markdown", OTHER_TEXT, "Protocol Buffers", "SVG", "TOML", "TeX"})
_NOT_CODE |= {"Template", "Text", "XML", "YAML"}


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_VENDORED = _words(
    "bower_components external externals node_modules site-packages third-party third_party thirdparty vendor vendored _vendor"
)
_TEST_FOLDERS = _words("test tests __tests__ spec specs testing testdata fixtures __fixtures__ e2e")
_SAMPLE_FOLDERS = _words("doc docs example examples sample samples fixtures testdata __fixtures__")
_LOCKS = _words(
    "bun.lock cargo.lock composer.lock deno.lock flake.lock gemfile.lock go.sum mix.lock npm-shrinkwrap.json package-lock.json "
    "packages.lock.json pdm.lock pipfile.lock pnpm-lock.yaml podfile.lock poetry.lock pubspec.lock uv.lock yarn.lock"
)
_MADE_ENDINGS = tuple(_words(".min.js .min.css .js.map .css.map .pb.go _pb2.py _pb2.pyi _pb2_grpc.py .g.dart .designer.cs"))


class Mark(IntFlag):
    """What is known of one file beyond its size; one number per file in the scan's output."""

    BINARY = 1
    UNCOUNTED = 2
    TEST = 4
    VENDORED = 8
    GENERATED = 16
    MINIFIED = 32
    TESTED = 64
    SAMPLE = 128


FOREIGN = Mark.VENDORED | Mark.GENERATED | Mark.MINIFIED
"""Nobody writes these files by hand here; remarks about them help nobody."""


def is_code(language: str) -> bool:
    """Whether lines of this language are program text: what a test-to-code ratio counts."""
    return bool(language) and language not in _NOT_CODE


def is_lock(name: str) -> bool:
    """Whether the file name is a package manager's record of exact versions."""
    return name.lower() in _LOCKS


def language_of(name: str, first_line: bytes = b"") -> str:
    """The language by file name, then by `#!` line; `Other text` if neither tells."""
    lower = name.lower()
    if known := _NAMES.get(lower):
        return known
    stem, dot, extension = lower.rpartition(".")
    if dot and (known := _BY_EXTENSION.get(extension)):
        return known
    if stem.startswith("dockerfile") or lower.startswith("dockerfile."):
        return "Dockerfile"
    return _by_shebang(first_line) or OTHER_TEXT


def _by_shebang(line: bytes) -> str | None:
    if not line.startswith(b"#!"):
        return None
    words = line[2:].split()
    if words and words[0].endswith(b"/env"):
        words = [word for word in words[1:] if not word.startswith(b"-") and b"=" not in word]
    command = words[0].rpartition(b"/")[2].decode("ascii", "replace") if words else ""
    return _SHEBANGS.get(command.rstrip("0123456789."))


def marks_of(path: str) -> Mark:
    """What the path says: test, vendored, generated or sample."""
    *folders, name = path.lower().split("/")
    marks = Mark(0)
    if _is_test(folders, name):
        marks |= Mark.TEST
    if not _SAMPLE_FOLDERS.isdisjoint(folders):
        marks |= Mark.SAMPLE
    if not _VENDORED.isdisjoint(folders):
        marks |= Mark.VENDORED
    if name in _LOCKS or name.endswith(_MADE_ENDINGS):
        marks |= Mark.GENERATED
    return marks


def _is_test(folders: list[str], name: str) -> bool:
    if not _TEST_FOLDERS.isdisjoint(folders):
        return True
    stem, _, extension = name.partition(".")
    return (
        stem.startswith("test_")
        or stem.endswith(("_test", "_tests", "_spec"))
        or stem == "conftest"
        or extension.startswith(("test.", "spec."))
        or (extension in {"java", "kt", "scala", "cs", "swift"} and stem.endswith(("test", "tests")))
    )
