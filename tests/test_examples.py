"""Every example is run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from bundler import merge_bundles, open_bundle, output_to
from bundler.bundle.inventory import roots_of
from bundler.kit.kit_names import XZ_MAGIC
from bundler.oci.reference import RepositoryName, Tag
from bundler.page.page_file import is_page
from bundler.registry.registries import Registries
from bundler.session import Session
from tests.builders import a_module, push_to
from tests.doubles import MemoryRegistry, says
from tests.registries import RealRegistry
from tests.trust.keys import a_key, line

EXAMPLES = Path(__file__).parents[1] / "examples"


def run_example(name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run it as a user would, with the command of this environment first in PATH."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    command = ["sh", str(EXAMPLES / name), *arguments]
    environment = {**os.environ, "PATH": path}
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


@pytest.fixture
def source(source_registry: RealRegistry, fresh: Callable[[str], str]) -> str:
    """A module with two versions in a real registry."""
    path = fresh("app")
    push_to(source_registry.base, path, a_module("1.0.0", "1.1.0"))
    return f"{source_registry.host}/{path}"


@pytest.mark.slow
def test_export_and_import_carry_a_module_across(
    source: str, target_registry: RealRegistry, tmp_path: Path
) -> None:
    bundle = tmp_path / "b.tar.zst"
    exported = run_example("export.sh", source, str(bundle))
    assert exported.returncode == 0, exported.stderr
    assert is_page(tmp_path / "b.tar.zst.html")
    inside = RepositoryName.parse(f"{target_registry.host}/mirror/{source.partition('/')[2]}")
    imported = run_example("import.sh", str(bundle), f"oci://{target_registry.host}/mirror")
    assert imported.returncode == 0, imported.stderr
    assert Registries().target(inside).digest_of(Tag("1.1.0"))


@pytest.mark.slow
def test_a_kit_is_signed_checked_and_verified_inside(source: str, tmp_path: Path) -> None:
    bundle, kit, key = tmp_path / "b.tar.zst", tmp_path / "kit", a_key(tmp_path, "key")
    archive, signers = tmp_path / "timoni-bundler-1.0-linux-x86_64.tar.xz", tmp_path / "signers"
    archive.write_bytes(XZ_MAGIC)
    signers.write_text(line("me@example", key))
    assert run_example("export.sh", source, str(bundle)).returncode == 0
    made = run_example("kit.sh", *map(str, (bundle, key, signers, archive)), "oci://h.example/m", str(kit))
    assert made.returncode == 0, made.stderr
    assert f"{archive.name}\n" in (kit / "SHA256SUMS").read_text()
    with open_bundle(kit / "b.tar.zst") as opened:
        assert opened.signed_statement


@pytest.mark.slow
def test_a_second_night_fetches_nothing_again(source: str, tmp_path: Path) -> None:
    folder = tmp_path / "bundles"
    folder.mkdir()
    for night in range(2):
        ended = run_example("nightly.sh", str(tmp_path / "store"), str(folder), source)
        assert ended.returncode == 0, ended.stderr
        report = json.loads(max(folder.glob("*.report.json")).read_text())
        assert (report["blobs"]["moved"] > 0) is (night == 0)
    assert len(list(folder.glob("*.tar.zst"))) == 1


@pytest.mark.slow
def test_a_night_that_ended_with_8_is_completed_by_a_second_run(tmp_path: Path) -> None:
    folder = tmp_path / "bundles"
    folder.mkdir()
    with MemoryRegistry({"app": a_module("1.0.0", "1.1.0")}) as registry:
        registry.on("GET", "manifests/1.1.0", says(404))
        codes = [
            run_example("nightly.sh", str(tmp_path / "store"), str(folder), f"{registry.host}/app").returncode
            for _ in range(3)
        ]
    assert codes == [8, 0, 0]
    first, second = sorted(folder.glob("*.tar.zst"))
    assert second.name == f"{first.name.removesuffix('.tar.zst')}_2.tar.zst"
    assert merged(first, second) == {"1.0.0", "1.1.0"}


def merged(*bundles: Path) -> set[str | None]:
    """The tags of a chain."""
    out = bundles[0].with_name("all.tar.zst")
    merge_bundles(bundles, output_to(str(out)), Session())
    with open_bundle(out) as opened:
        return {root.tag for root in roots_of(opened.inventory)}


def test_every_example_is_named_in_the_documentation() -> None:
    root = EXAMPLES.parent
    named = "".join(path.read_text() for path in (root / "README.md", *(root / "docs").glob("*.md")))
    assert [path.name for path in EXAMPLES.iterdir() if path.is_file() and path.name not in named] == []
