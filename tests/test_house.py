"""What the house promises about itself: contracts, the public API, documents that are current."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

import bundler
from bundler import errors
from bundler.__main__ import run
from bundler.cli.main import COMMANDS
from tests.source_code import ROOT, SourceFile, source_files

README = (ROOT / "README.md").read_text()
DOCUMENTED = "".join(path.read_text() for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))))


def test_import_contracts_are_kept() -> None:
    checked = subprocess.run(
        [Path(sys.executable).parent / "lint-imports"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stdout


@pytest.mark.parametrize("name", bundler.__all__)
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(bundler, name).__doc__


def test_every_exit_code_is_in_the_readme() -> None:
    codes = {kind.exit_code for kind in errors.BundlerError.__subclasses__()} | {0, 1, 8}
    assert {int(code) for code in re.findall(r"^\| (\d+) \|", README, re.MULTILINE)} == codes


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_and_every_option_documentation(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([name, "--help"]) == 0
    shown = capsys.readouterr().out
    assert "Usage: timoni-bundler" in shown
    options = set(re.findall(r"^  (?:-\w, )?(--[a-z-]+)", shown, re.MULTILINE)) - {
        "--help",
        "--output",
    }
    assert {option for option in options if option not in DOCUMENTED} == set()


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["UsageError", "AuthError", "TargetRefusedError", "NetworkError"])
def test_an_error_that_somebody_can_do_something_about_says_what(kind: str) -> None:
    silent = [
        f"{file.path}:{call.lineno}"
        for file in source_files()
        for call in ast.walk(file.tree)
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == kind
        if len(call.args) == 2 and not call.keywords
    ]
    assert silent == []


def test_the_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--help"]) == 0
    shown = capsys.readouterr().out
    assert [name for name in COMMANDS if f"\n  {name} " not in shown] == []


def test_every_room_of_the_house_is_in_the_table() -> None:
    table = (ROOT / "CONTRIBUTING.md").read_text()
    rooms = {
        f"{path.name}/" if path.is_dir() else path.name
        for path in (ROOT / "bundler").iterdir()
        if path.name not in ("__init__.py", "__pycache__", "py.typed")
    }
    assert sorted(room for room in rooms if f"`{room}`" not in table) == []


@pytest.mark.parametrize("document", sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]), ids=str)
def test_every_relative_link_leads_somewhere(document: Path) -> None:
    links = re.findall(r"\]\((?!https?:|#)([^)#]+)", document.read_text())
    assert [link for link in links if not (document.parent / link).exists()] == []


# --- counts: a ceiling may be lowered, never raised ----------------------------------------------------

MOST_LINES = 320
MOST_FILES_IN_A_FOLDER = 15
MOST_CHARACTERS_OF_A_TEST_NAME = 60
IMPORTS = 0.08
"""Share of all lines that are imports."""
VAGUE = {
    "again",
    "along",
    "deed",
    "found",
    "judge",
    "known",
    "one",
    "own",
    "said",
    "sealed",
    "there",
    "told",
    "wanted",
}
"""Names of variables, parameters and fields that do not say what they hold."""
UNPLAIN = {
    "As", "How", "If", "In", "It", "Of", "On", "So", "Something", "That", "There", "These", "This", "Those",
    "What", "When", "Where", "Whether", "Which", "Who", "Whose", "Why", "With",
}  # fmt: skip
"""First words of docstrings that begin with a clause instead of a verb or a noun."""


def twice(names: Counter[str]) -> list[str]:
    return sorted(name for name, times in names.items() if times > 1)


def test_no_file_of_the_package_is_long() -> None:
    assert [file.path for file in source_files() if file.text.count("\n") > MOST_LINES] == []


def test_no_folder_of_the_package_is_full() -> None:
    folders = Counter(str(Path(file.path).parent) for file in source_files())
    assert [folder for folder, files in folders.items() if files > MOST_FILES_IN_A_FOLDER] == []


def test_no_module_name_occurs_twice() -> None:
    names = Counter(Path(file.path).stem for file in source_files())
    assert twice(names) == ["__init__"]


def test_no_class_name_occurs_twice() -> None:
    definitions = (node for file in source_files() for node in file.definitions())
    assert twice(Counter(node.name for node in definitions if isinstance(node, ast.ClassDef))) == []


def test_few_lines_are_imports() -> None:
    lines = sum(len(file.text.splitlines()) for file in source_files())
    assert sum(file.import_lines() for file in source_files()) / lines <= IMPORTS


def names_given_in(tree: ast.AST) -> Iterator[str]:
    """Yield all names that are assigned: parameters, variables, and fields without their underscore."""
    for node in ast.walk(tree):
        if isinstance(node, ast.arg):
            yield node.arg
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.attr.lstrip("_")


def test_no_variable_has_a_vague_name() -> None:
    assigned = [(file.path, name) for file in source_files() for name in names_given_in(file.tree)]
    assert [f"{path}: {name}" for path, name in assigned if name in VAGUE] == []


@pytest.mark.slow
def test_test_names_are_short() -> None:
    tests = (node for file in source_files(ROOT / "tests", "test_*.py") for node in file.definitions())
    names = {node.name for node in tests if isinstance(node, ast.FunctionDef)}
    longest = MOST_CHARACTERS_OF_A_TEST_NAME
    assert [name for name in names if name.startswith("test_") and len(name) > longest] == []


def test_docstrings_begin_plainly() -> None:
    docstrings = [
        (f"{file.path}:{getattr(node, 'lineno', 1)}", ast.get_docstring(node))
        for file in source_files()
        for node in file.definitions()
    ]
    assert [place for place, text in docstrings if text and text.split()[0].strip(",:") in UNPLAIN] == []


def test_docstrings_of_properties_say_what_is_returned() -> None:
    properties = [
        (f"{file.path}:{node.lineno}", ast.get_docstring(node) or "")
        for file in source_files()
        for node in file.definitions()
        if isinstance(node, ast.FunctionDef)
        and any(
            isinstance(name, ast.Name) and name.id in ("property", "cached_property")
            for name in node.decorator_list
        )
    ]
    assert [place for place, text in properties if text and not text.startswith("Return ")] == []


QUESTION = re.compile(r"_?(are|can|does|fits|goes|has|holds|is|may|needs|speaks|turns|was)(_|$)")
"""Names of functions that read as questions."""


def test_a_function_that_reads_as_a_question_changes_no_object() -> None:
    changing = [
        f"{file.path}: {function.name}"
        for file in source_files()
        for function in file.definitions()
        if isinstance(function, ast.FunctionDef) and QUESTION.match(function.name)
        for node in ast.walk(function)
        if isinstance(node, ast.Attribute)
        and isinstance(node.ctx, ast.Store)
        and isinstance(node.value, ast.Name)
        and node.value.id in {argument.arg for argument in function.args.args}
    ]
    assert changing == []


# --- purity: who may do I/O, ask for the working directory, or read a clock ----------------------------

CLAIM = re.compile(r"(?:^|[.;,] )(?:[Nn]o I/O|Pure)\b|\bwithout I/O\b")
CONTRACTS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
PURE = next(contract for contract in CONTRACTS if contract["name"] == "Pure modules do no I/O")


def test_every_module_that_claims_no_io_is_held_to_it() -> None:
    claims = [file.module for file in source_files() if CLAIM.search(ast.get_docstring(file.tree) or "")]
    held = tuple(f"{module}." for module in PURE["source_modules"])
    assert [module for module in claims if not f"{module}.".startswith(held)] == []


PLACES = {"absolute", "resolve", "cwd", "getcwd", "home", "expanduser", "abspath", "realpath"}
CLOCKS = {
    "time": {"time", "time_ns", "monotonic", "perf_counter", "sleep", "localtime", "ctime"},
    "datetime": {"now", "utcnow", "today"},
    "date": {"today"},
}
EXCEPTIONS = {
    # where a relative path leads is asked where files are opened or compared, and nowhere else
    "bundle/unpacked.py": ["resolve"],  # the name of the folder that `.` is
    "deltas/base.py": ["absolute"],  # the store remembers where a bundle was written
    "deltas/chain.py": ["absolute"],  # a base is looked for beside the delta
    "folders.py": ["absolute"],  # the parent that exists already has the free bytes
    "exporter/fetch/store_location.py": ["resolve", "resolve"],  # one store for one output
    "exporter/output/finish.py": ["absolute"],  # the store remembers where a bundle was written
    "page/page_file.py": ["resolve", "resolve"],  # a page inside the bundle that it shows is refused
    "importer/several/find_bundles.py": ["resolve"],  # a file named in several ways is read once
    "volumes/volume_sets.py": ["resolve"],  # one folder named twice is searched once
    # clocks: defaults that a caller replaces, and time-outs of sockets
    "session.py": ["time"],  # the system's clock, unless one is passed in
    "registry/settings.py": ["monotonic", "sleep"],  # defaults of the settings
    "registry/http/bodies.py": ["monotonic", "monotonic", "monotonic"],
    "registry/http/exchange.py": ["monotonic", "monotonic"],
    "registry/http/rate_limit.py": ["monotonic", "sleep"],  # defaults that a caller replaces
    "registry/http/status.py": ["time"],  # Retry-After as a date is a moment of this machine's clock
    "registry/http/trace.py": ["monotonic"],
    "registry/large_bodies.py": ["monotonic", "monotonic"],
    "server/paced_socket.py": ["monotonic"],
    "trust/ssh_keygen.py": ["localtime", "localtime"],  # ssh-keygen reads times in the local zone
}
"""Below `bundler/cli`: who asks for the working directory or reads a clock, and why."""


def surroundings(file: SourceFile) -> list[str]:
    """List the calls that ask for a directory of the process, and the clocks that are named."""
    nodes = [*ast.walk(file.tree)]
    called = [node.func for node in nodes if isinstance(node, ast.Call) and not node.args]
    places = [name.attr for name in called if isinstance(name, ast.Attribute) and name.attr in PLACES]
    attributes = [(node.value, node.attr) for node in nodes if isinstance(node, ast.Attribute)]
    clocks = [name for of, name in attributes if isinstance(of, ast.Name) and name in CLOCKS.get(of.id, ())]
    return sorted(places + clocks)


def test_few_modules_know_their_surroundings() -> None:
    below = [file for file in source_files() if not file.path.startswith(("cli/", "demo.py", "__main__.py"))]
    found = {file.path: Counter(surroundings(file)) for file in below}
    assert [path for path, names in found.items() if not names <= Counter(EXCEPTIONS.get(path, ()))] == []


def test_no_group_of_a_pattern_is_possessive() -> None:
    """Python 3.11.0 to 3.11.4, among them Debian's, goes wrong where an iteration of one fails half way."""
    possessive = re.compile(r"\)(?:[*+?]|\{[0-9,]+\})\+|\(\?>")
    patterns = [
        (path.name, node.value)
        for path in sorted((ROOT / "bundler").rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and possessive.search(node.value)
    ]
    assert patterns == []
