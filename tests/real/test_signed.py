"""A repository signed in both of cosign's ways, from a real registry without Referrers API, both ways in."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import requests

from bundler.oci.digest import Digest
from bundler.oci.manifest import ACCEPTED
from tests.builders import Content, a_signed_module, push_to
from tests.flows import exported, imported
from tests.registries import RealRegistry
from tests.server.client import writable_registry

Fresh = Callable[[str], str]
HEADERS = {"Accept": ", ".join(ACCEPTED)}


def referrers_in(content: Content) -> dict[Digest, set[Digest]]:
    """Every subject with its referrers, as the content itself says."""
    found: dict[Digest, set[Digest]] = {}
    for digest, manifest in content.parsed().items():
        if manifest.subject:
            found.setdefault(manifest.subject.digest, set()).add(digest)
    return found


def listed(url: str) -> set[str]:
    """The digests that an index lists."""
    answer = requests.get(url, headers=HEADERS, timeout=300)
    answer.raise_for_status()
    return {entry["digest"] for entry in answer.json()["manifests"]}


@pytest.mark.slow
def test_without_the_api_fallback_tags_show_every_signature(
    source_registry: RealRegistry, target_registry: RealRegistry, fresh: Fresh, tmp_path: Path
) -> None:
    content, path = a_signed_module(), fresh("app")
    push_to(source_registry.base, path, content)
    report = exported(tmp_path / "b.tar.zst", source_registry.repository(path), globs=("1.*",))
    assert (report.exit_code, report.warnings) == (0, ())
    assert imported(tmp_path / "b.tar.zst", target_registry.host).exit_code == 0
    base = f"{target_registry.base}/v2/{path}/manifests"
    for digest in content.manifests:
        assert requests.get(f"{base}/{digest}", headers=HEADERS, timeout=300).status_code == 200
    for subject, signatures in referrers_in(content).items():
        assert listed(f"{base}/{subject.replace(':', '-')}") == signatures
    assert set(target_registry.tags(path)) == set(content.tags)


@pytest.mark.slow
def test_with_the_api_both_readers_find_every_signature(
    source_registry: RealRegistry, fresh: Fresh, tmp_path: Path
) -> None:
    content, path = a_signed_module(), fresh("app")
    push_to(source_registry.base, path, content)
    exported(tmp_path / "b.tar.zst", source_registry.repository(path), globs=("1.*",))
    with writable_registry(tmp_path / "target") as client:
        assert imported(tmp_path / "b.tar.zst", client.address).exit_code == 0
        base = f"http://{client.address}/v2/{path}"
        for subject, signatures in referrers_in(content).items():
            assert listed(f"{base}/referrers/{subject}") == signatures
            assert listed(f"{base}/manifests/{subject.replace(':', '-')}") == signatures
        assert imported(tmp_path / "b.tar.zst", client.address).unchanged


@pytest.mark.slow
def test_from_a_registry_with_the_api_into_one_without(
    target_registry: RealRegistry, fresh: Fresh, tmp_path: Path
) -> None:
    content, path = a_signed_module(), fresh("app")
    with writable_registry(tmp_path / "source") as client:
        client.push(path, content)
        exported(tmp_path / "b.tar.zst", f"{client.address}/{path}", globs=("1.*",))
    assert imported(tmp_path / "b.tar.zst", target_registry.host).exit_code == 0
    for subject, signatures in referrers_in(content).items():
        url = f"{target_registry.base}/v2/{path}/manifests/{subject.replace(':', '-')}"
        assert listed(url) == signatures
