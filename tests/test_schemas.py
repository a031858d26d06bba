"""The published schemas: those of the types, valid, and true of what the program writes."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest

import bundler
from bundler.__main__ import run as main
from bundler.cli.main import COMMANDS
from bundler.oci.digest import Digest
from tests.builders import a_bundle, a_module
from tests.processes import bundler as run
from tests.schema_checks import valid
from tests.source_code import ROOT

SCHEMAS = sorted((ROOT / "schemas").glob("*.schema.json"))


@pytest.mark.slow
def test_the_schemas_are_those_of_the_types() -> None:
    command = [sys.executable, str(ROOT / "schemas" / "generate.py"), "--check"]
    checked = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.slow
@pytest.mark.parametrize("schema", SCHEMAS, ids=lambda path: path.name)
def test_every_schema_is_a_schema(schema: Path) -> None:
    jsonschema.Draft202012Validator.check_schema(json.loads(schema.read_text()))


@pytest.mark.parametrize("schema", SCHEMAS, ids=lambda path: path.name)
def test_every_schema_is_printed_by_its_name(schema: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in (schema.name, schema.name.removesuffix(".schema.json")):
        assert main(["schema", name]) == 0
        assert capsys.readouterr().out == schema.read_text()


def test_the_schemas_are_listed_and_a_wrong_name_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schema"]) == 0
    names = capsys.readouterr().out.split()
    assert names == [path.name.removesuffix(".schema.json") for path in SCHEMAS]
    assert main(["schema", "nonsense"]) == 2
    assert "name one of: bundle, " in capsys.readouterr().err


@pytest.mark.parametrize("command", COMMANDS)
def test_a_schema_that_a_help_names_is_there(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    main([command, "--help"])
    shown = " ".join(capsys.readouterr().out.split())
    for name in re.findall(r"`timoni-bundler schema ([a-z-]+)`", shown):
        assert (ROOT / "schemas" / f"{name}.schema.json").exists()
    assert "schemas/" not in shown


@pytest.mark.slow
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


STATEMENT = {
    "bundle": "sha256:" + "0" * 64, "job": "nightly", "sequence": 1, "time": "2026-01-31T09:00:00Z",
}  # fmt: skip
WIDER: list[dict[str, object]] = [
    {"expires": None},
    {"bundle": "sha512:" + "0" * 128},
    {"sequence": 1 << 62},
    {"sequence": -1},
    {"job": "-x"},
    {"time": "2026-01-31T09:00:00+01:00"},
    {"more": 1},
]


@pytest.mark.parametrize("change", WIDER, ids=str)
def test_the_schema_of_a_statement_is_as_narrow_as_the_page(change: dict[str, object]) -> None:
    valid("statement", STATEMENT)
    valid("statement", {**STATEMENT, "expires": "2027-01-31T09:00:00Z"})
    with pytest.raises(jsonschema.ValidationError):
        valid("statement", {**STATEMENT, **change})
