"""Between two real registries, and read by programs that are not ours."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import requests

from bundler.oci.digest import sha256
from bundler.oci.manifest import ACCEPTED
from tests.builders import SHAPES, a_module, push_to
from tests.flows import exported, imported
from tests.registries import RealRegistry, require

Fresh = Callable[[str], str]

# What Distribution 2.8 itself refuses to take, or to take in this form.
NOT_IN_DISTRIBUTION = {"empty index", "not distributed"}


def _manifest(registry: RealRegistry, path: str, reference: str) -> requests.Response:
    headers = {"Accept": ", ".join(ACCEPTED)}
    return requests.get(f"{registry.base}/v2/{path}/manifests/{reference}", headers=headers, timeout=300)


@pytest.mark.slow
@pytest.mark.parametrize("shape", sorted(set(SHAPES) - NOT_IN_DISTRIBUTION))
def test_every_manifest_arrives_byte_identical_under_every_tag(
    shape: str, source_registry: RealRegistry, target_registry: RealRegistry, fresh: Fresh, tmp_path: Path
) -> None:
    content, path = SHAPES[shape](), fresh("app")
    push_to(source_registry.base, path, content)
    report = exported(tmp_path / "b.tar.zst", source_registry.repository(path))
    assert report.failures == ()
    assert imported(tmp_path / "b.tar.zst", f"{target_registry.host}/mirror").exit_code == 0
    for tag, digest in content.tags.items():
        assert sha256(_manifest(target_registry, f"mirror/{path}", tag).content) == digest
    for digest, (media_type, data) in content.manifests.items():
        answer = _manifest(target_registry, f"mirror/{path}", digest)
        assert (answer.content, answer.headers["Content-Type"]) == (data, media_type)


@pytest.mark.slow
def test_skopeo_reads_the_target(
    source_registry: RealRegistry, target_registry: RealRegistry, fresh: Fresh, tmp_path: Path
) -> None:
    content, path = a_module("1.0.0"), fresh("app")
    push_to(source_registry.base, path, content)
    exported(tmp_path / "b.tar.zst", source_registry.repository(path))
    imported(tmp_path / "b.tar.zst", target_registry.host)
    reference = f"docker://{target_registry.repository(path)}:1.0.0"
    seen = subprocess.run(
        [require("skopeo"), "inspect", "--raw", "--tls-verify=false", reference],
        capture_output=True, check=True,
    )  # fmt: skip
    assert sha256(seen.stdout) == content.tags["1.0.0"]


def test_skopeo_copies_from_the_unpacked_layout_by_its_full_name(
    source_registry: RealRegistry, fresh: Fresh, tmp_path: Path
) -> None:
    path, layout = fresh("image"), tmp_path / "layout"
    content = SHAPES["two layers"]()
    push_to(source_registry.base, path, content)
    exported(tmp_path / "b.tar.zst", source_registry.repository(path))
    layout.mkdir()
    subprocess.run([require("tar"), "--zstd", "-xf", tmp_path / "b.tar.zst", "-C", layout], check=True)
    name = f"oci:{layout}:{source_registry.repository(path)}:1.0.0"
    subprocess.run([require("skopeo"), "copy", "-q", name, f"dir:{tmp_path / 'copy'}"], check=True)
    assert sha256((tmp_path / "copy" / "manifest.json").read_bytes()) == content.tags["1.0.0"]
