"""skopeo as a client that nobody here wrote."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from bundler.oci import sha256
from bundler.server.served_content import read_only
from bundler.session import Session
from tests.builders import SHAPES, a_bundle
from tests.server.client import Client, served, tag_digest, writable_registry


@pytest.fixture(scope="module")
def skopeo() -> str:
    """Its path; without it the test is skipped, and fails in continuous integration."""
    found = shutil.which("skopeo")
    if found:
        return found
    if os.environ.get("CI") == "true":
        pytest.fail("skopeo is not installed: the registry can't be tested with it")
    pytest.skip("skopeo is not installed: the registry can't be tested with it")


def copy(skopeo: str, source: str, target: str) -> None:
    """All of an image, digests unchanged."""
    options = ["--all", "--preserve-digests", "--src-tls-verify=false", "--dest-tls-verify=false"]
    command = [skopeo, "--insecure-policy", "copy", *options, source, target]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    "shape", ["module", "index", "docker image", "docker list", "artifact", "two layers"]
)
def test_skopeo_copies_from_one_registry_to_another(tmp_path: Path, skopeo: str, shape: str) -> None:
    content = SHAPES[shape]()
    with writable_registry(tmp_path / "a") as one, writable_registry(tmp_path / "b") as other:
        one.push("team/app", content)
        for tag, digest in content.tags.items():
            copy(
                skopeo, f"docker://{one.address}/team/app:{tag}", f"docker://{other.address}/mirror/app:{tag}"
            )
            assert tag_digest(other, "mirror/app", tag) == digest


@pytest.mark.parametrize("shape", ["index", "docker image", "docker list"])
def test_skopeo_reads_a_bundle_file(tmp_path: Path, skopeo: str, shape: str) -> None:
    content = SHAPES[shape]()
    path = a_bundle(tmp_path / "bundle.tar.zst", {"ghcr.io/team/app": content})
    with read_only(path, Session()) as served_content, served(served_content) as client:
        for tag, digest in content.tags.items():
            copy(skopeo, f"docker://{client.address}/team/app:{tag}", f"dir:{tmp_path / 'out'}")
            assert sha256((tmp_path / "out" / "manifest.json").read_bytes()) == digest


def test_skopeo_lists_the_tags(registry: Client, skopeo: str) -> None:
    registry.push("team/app", SHAPES["module"]())
    command = [skopeo, "list-tags", "--tls-verify=false", f"docker://{registry.address}/team/app"]
    assert '"1.1.0"' in subprocess.run(command, capture_output=True, text=True, check=True).stdout
