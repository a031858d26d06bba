"""What the house promises about itself: contracts, the public API, documents that are current."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest

import bundler
from bundler import errors
from bundler.cli.main import COMMANDS
from bundler.oci.content import Digest
from tests.builders import a_bundle, a_module
from tests.processes import bundler as run

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
DOCUMENTED = "".join(path.read_text() for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))))
SCHEMAS = sorted((ROOT / "schemas").glob("*.schema.json"))


def test_import_contracts_are_kept() -> None:
    checked = subprocess.run(
        [Path(sys.executable).parent / "lint-imports"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stdout


@pytest.mark.parametrize("name", bundler.__all__)
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(bundler, name).__doc__


def test_no_file_of_the_package_has_room_for_a_second_duty() -> None:
    long = {path.name for path in (ROOT / "bundler").rglob("*.py") if path.read_text().count("\n") > 320}
    assert long == set()


def test_every_exit_code_is_in_the_readme() -> None:
    codes = {kind.exit_code for kind in errors.BundlerError.__subclasses__()} | {0, 1, 8}
    assert {int(code) for code in re.findall(r"^\| (\d+) \|", README, re.MULTILINE)} == codes


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself_and_every_option_is_in_the_documentation(name: str) -> None:
    shown = run(name, "--help")
    assert shown.returncode == 0
    assert "Usage: timoni-bundler" in shown.stdout
    options = set(re.findall(r"^  (?:-\w, )?(--[a-z-]+)", shown.stdout, re.MULTILINE)) - {
        "--help",
        "--output",
    }
    assert {option for option in options if option not in DOCUMENTED} == set()


@pytest.mark.parametrize("kind", ["UsageError", "AuthError", "TargetRefusedError", "NetworkError"])
def test_an_error_that_somebody_can_do_something_about_says_what(kind: str) -> None:
    silent = [
        f"{path.name}:{call.lineno}"
        for path in (ROOT / "bundler").rglob("*.py")
        for call in ast.walk(ast.parse(path.read_text()))
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == kind
        if len(call.args) == 2 and not call.keywords
    ]
    assert silent == []


def test_the_help_lists_every_command() -> None:
    shown = run("--help").stdout
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


# --- schemas -----------------------------------------------------------------------------------------


def test_the_schemas_are_those_of_the_types() -> None:
    command = [sys.executable, str(ROOT / "schemas" / "generate.py"), "--check"]
    checked = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.parametrize("schema", SCHEMAS, ids=lambda path: path.name)
def test_every_schema_is_a_schema(schema: Path) -> None:
    jsonschema.Draft202012Validator.check_schema(json.loads(schema.read_text()))


def valid(name: str, document: object) -> None:
    """Raise unless the document is what its published schema says."""
    schema = json.loads((ROOT / "schemas" / f"{name}.schema.json").read_text())
    jsonschema.Draft202012Validator(schema).validate(document)


def test_what_a_bundle_says_of_itself_is_what_the_schemas_say(tmp_path: Path) -> None:
    module = a_module("1.0.0", "1.1.0")
    path = a_bundle(tmp_path / "b.tar.zst", {"h.example/app": module})
    valid("contents", json.loads(run("inspect", "--json", str(path)).stdout))
    with bundler.open_bundle(path) as opened:
        for blob in opened.inventory.manifests:
            valid("oci-manifest", json.loads(b"".join(opened.chunks(blob))))
    subprocess.run(["tar", "--zstd", "-xf", path, "-C", tmp_path, "bundle.json"], check=True)
    valid("bundle", json.loads((tmp_path / "bundle.json").read_text()))


def test_the_schemas_refuse_what_the_program_refuses() -> None:
    blob = {"mediaType": "text/plain", "digest": "sha256:" + "0" * 64, "size": -1}
    document = {"format": 1, "kind": "full", "repositories": [], "manifests": [], "blobs": [blob]}
    with pytest.raises(jsonschema.ValidationError):
        valid("bundle", document)
    with pytest.raises(ValueError, match="is not a digest"):
        Digest.parse("sha256:0")
