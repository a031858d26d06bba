"""A registry that was garbage-collected while it ran: its cache tells of blobs that are gone.

Source: distribution/distribution#3743.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import requests

from bundler.oci.digest import sha256
from bundler.oci.manifest import OCI_MANIFEST
from tests.builders import Content, a_bundle, a_module, push_to
from tests.flows import imported
from tests.registries import START, RealRegistry, require, running_registry


def _collect(registry: RealRegistry) -> None:
    config = str(registry.folder / "config.yml")
    subprocess.run(
        [require("docker-registry"), "garbage-collect", config, "-m"], capture_output=True, check=True
    )


@pytest.mark.slow
def test_blobs_that_only_a_cache_knows_are_sent_again(tmp_path: Path) -> None:
    """An import was interrupted before its manifests; what it had sent is collected. Case 95."""
    content, kept = a_module("1.0.0", "1.1.0"), a_module("0.9.0", name="other")
    folder = tmp_path / "registry"
    folder.mkdir()
    with running_registry(folder, cache=True) as registry:
        push_to(registry.base, "app", kept)
        push_to(registry.base, "app", Content(blobs=content.blobs))
        _collect(registry)
        addresses = {digest: f"{registry.base}/v2/app/blobs/{digest}" for digest in content.blobs}
        assert {requests.head(one, timeout=START).status_code for one in addresses.values()} == {200}
        report = imported(a_bundle(tmp_path / "b.tar.zst", {"h.example/app": content}), registry.host)
        assert (report.failures, report.blobs.moved) == ((), len(content.blobs))
        for digest, address in addresses.items():
            assert sha256(requests.get(address, timeout=START).content) == digest


def test_a_manifest_whose_blobs_are_there_is_as_it_was(tmp_path: Path) -> None:
    """Case 95."""
    content = a_module("1.0.0")
    folder = tmp_path / "registry"
    folder.mkdir()
    with running_registry(folder, cache=True) as registry:
        bundle = a_bundle(tmp_path / "b.tar.zst", {"h.example/app": content})
        imported(bundle, registry.host)
        _collect(registry)
        assert imported(bundle, registry.host).unchanged
        headers = {"Accept": OCI_MANIFEST}
        answer = requests.get(f"{registry.base}/v2/app/manifests/1.0.0", headers=headers, timeout=START)
        assert sha256(answer.content) == content.tags["1.0.0"]
