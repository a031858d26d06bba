"""A target held against a bundle, by asking alone."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from bundler.__main__ import run
from tests.builders import a_bundle, a_module, a_signed_module, push_to, sign_by_subject
from tests.registries import RealRegistry
from tests.schema_checks import valid

Output = pytest.CaptureFixture[str]
Fresh = Callable[[str], str]


@pytest.fixture
def mirrored(target_registry: RealRegistry, fresh: Fresh, tmp_path: Path) -> tuple[Path, str, str]:
    """A bundle, where it was imported to, and its repository there."""
    bundle, prefix = a_bundle(tmp_path / "b.tar.zst", {"h.example/app": a_signed_module()}), fresh("mirror")
    to = f"{target_registry.host}/{prefix}"
    assert run(["import", str(bundle), "--to", to, "-q"]) == 0
    return bundle, to, f"{prefix}/app"


@pytest.mark.slow
def test_a_target_that_has_all_of_it_is_proven_by_reading_only(
    mirrored: tuple[Path, str, str], target_registry: RealRegistry, capsys: Output
) -> None:
    bundle, to, path = mirrored
    before = len(target_registry.accesses(path))
    assert run(["verify", str(bundle), "--against", to, "-q"]) == 0
    assert "has all of it" in capsys.readouterr().out
    assert {access.method for access in target_registry.accesses(path)[before:]} == {"HEAD", "GET"}


@pytest.mark.slow
def test_what_is_missing_or_another_is_named(
    mirrored: tuple[Path, str, str], target_registry: RealRegistry, tmp_path: Path, capsys: Output
) -> None:
    _, to, path = mirrored
    other = a_module("1.0.0", "9.0.0", name="other")
    bundle = a_bundle(tmp_path / "c.tar.zst", {"h.example/app": other})
    assert run(["verify", str(bundle), "--against", to, "-q"]) == 8
    said = capsys.readouterr().err
    assert f"{target_registry.host}/{path}:9.0.0: the target does not have it" in said
    assert f"{target_registry.host}/{path}:1.0.0: the target has {a_signed_module().tags['1.0.0']}" in said


@pytest.mark.slow
def test_a_list_of_referrers_that_was_merged_is_no_difference(
    target_registry: RealRegistry, fresh: Fresh, tmp_path: Path
) -> None:
    ours, theirs, prefix = a_module("1.0.0"), a_module("1.0.0"), fresh("mirror")
    sign_by_subject(ours, ours.tags["1.0.0"], "ours")
    sign_by_subject(theirs, theirs.tags["1.0.0"], "theirs")
    push_to(target_registry.base, f"{prefix}/app", theirs)
    bundle = str(a_bundle(tmp_path / "b.tar.zst", {"h.example/app": ours}))
    to = f"{target_registry.host}/{prefix}"
    assert run(["verify", bundle, "--against", to, "-q"]) == 8
    assert run(["import", bundle, "--to", to, "-q"]) == 0
    assert run(["verify", bundle, "--against", to, "-q"]) == 0


def test_the_names_of_an_import_file_are_asked_for(
    target_registry: RealRegistry, fresh: Fresh, tmp_path: Path, capsys: Output
) -> None:
    bundle = str(a_bundle(tmp_path / "b.tar.zst", {"h.example/app": a_module("1.0.0")}))
    file = tmp_path / "import.yaml"
    file.write_text(
        f"version: 1\nto: {target_registry.host}/{fresh('mirror')}\n"
        "mapping: [{repository: h.example/app, to: other/name}]\n"
    )
    assert run(["import", bundle, "-c", str(file), "-q"]) == 0
    capsys.readouterr()
    assert run(["verify", bundle, "-c", str(file), "-q", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    valid("report", report)
    assert report["repositories"][0]["name"].endswith("/other/name")


def test_a_target_that_is_not_named_anywhere_is_a_usage_error(tmp_path: Path) -> None:
    bundle = str(a_bundle(tmp_path / "b.tar.zst", {"h.example/app": a_module("1.0.0")}))
    (tmp_path / "import.yaml").write_text("version: 1\nflatten: 3\n")
    assert run(["verify", bundle, "-c", str(tmp_path / "import.yaml")]) == 2
