"""A target that will not take something says so before the first blob, and what helps is named."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bundler.oci import RepositoryName
from bundler.oci.manifest import DOCKER_MANIFEST
from bundler.oci.platform import parse_platform
from bundler.registry.quirks import missing_hint, type_hint
from bundler.reporting.json_report import Report
from bundler.selection.sources import Include
from tests.builders import Content, a_bundle, a_module, an_artifact, an_index, index_document
from tests.doubles import ALWAYS, FaultProxy, MemoryRegistry, says
from tests.flows import exported, imported
from tests.registries import RealRegistry

Fresh = Callable[[str], str]
ERROR = '{{"errors": [{{"code": "{}", "message": "{}"}}]}}'


@pytest.fixture
def proxy(target_registry: RealRegistry) -> Iterator[FaultProxy]:
    """Before a real registry."""
    with FaultProxy(target_registry.host) as server:
        yield server


def carried(proxy: FaultProxy, folder: Path, *paths: str) -> Report:
    """Import a module into each path."""
    contents = {f"h.example/{path}": a_module("1.0.0", "1.1.0", name=path) for path in paths}
    return imported(a_bundle(folder / "b.tar.zst", contents), proxy.host)


def test_a_repository_that_must_be_created_gets_no_blob(
    proxy: FaultProxy, fresh: Fresh, tmp_path: Path
) -> None:
    missing, there = fresh("missing"), fresh("there")
    words = ERROR.format("NAME_UNKNOWN", "The repository does not exist in the registry with id '1'")
    proxy.on("POST", f"/{missing}/blobs/uploads/", says(404, words), times=ALWAYS)
    report = carried(proxy, tmp_path, missing, there)
    assert report.exit_code == 8
    assert {item.item.partition(":1.")[0] for item in report.failures} == {f"{proxy.host}/{missing}"}
    assert f"aws ecr create-repository --repository-name {missing}" in report.failures[0].next_step
    assert proxy.asked("PUT", missing) == []
    assert len(proxy.asked("POST", missing)) == 1


@pytest.mark.parametrize("status", [405, 415])
def test_a_refused_artifact_type_is_known_before_blobs_are_sent(
    status: int, proxy: FaultProxy, fresh: Fresh, tmp_path: Path
) -> None:
    path = fresh("app")
    proxy.on("PUT", f"/{path}/manifests/", says(status, ERROR.format("UNSUPPORTED", "no")), times=ALWAYS)
    report = carried(proxy, tmp_path, path)
    assert report.exit_code == 10
    assert "media type" in report.failures[0].next_step
    assert proxy.asked("PUT", "uploads") == []


def test_another_kind_goes_through_all_the_same(proxy: FaultProxy, fresh: Fresh, tmp_path: Path) -> None:
    module, artifact = fresh("app"), fresh("artifact")
    proxy.on("PUT", f"/{module}/manifests/", says(415), times=ALWAYS)
    contents = {f"h.example/{module}": a_module("1.0.0"), f"h.example/{artifact}": an_artifact()}
    report = imported(a_bundle(tmp_path / "b.tar.zst", contents), proxy.host)
    statuses = {entry.name.rpartition("/")[2]: entry.tags[0].status for entry in report.repositories}
    assert statuses == {"app": "failed", "artifact": "pushed"}


ZOT = says(415, ERROR.format("MANIFEST_INVALID", "manifest invalid"))
"""The words of zot for Docker types, and for an index whose children it does not have."""


def refusing_as_zot(proxy: FaultProxy, path: str, *contents: Content) -> None:
    """Have the target refuse every Docker image, as zot does by default."""
    for content in contents:
        for digest, (media_type, _) in content.manifests.items():
            if media_type == DOCKER_MANIFEST:
                proxy.on("PUT", f"/{path}/manifests/{digest}", ZOT, times=ALWAYS)


@pytest.mark.parametrize("nested", [False, True])
def test_a_docker_list_is_refused_before_its_blobs(
    nested: bool, proxy: FaultProxy, fresh: Fresh, tmp_path: Path
) -> None:
    path, content = fresh("app"), an_index(docker=True, tag="1.0.0")
    if nested:
        media_type, data = content.manifests[content.tags["1.0.0"]]
        child = {"mediaType": media_type, "digest": content.tags.pop("1.0.0"), "size": len(data)}
        content.add_manifest(index_document(child), "1.0.0")
    refusing_as_zot(proxy, path, content)
    report = imported(a_bundle(tmp_path / "b.tar.zst", {f"h.example/{path}": content}), proxy.host)
    assert report.exit_code == 10
    assert 'zot: "compat": ["docker2s2"]' in report.failures[0].next_step
    assert proxy.asked("PUT", "uploads") == []


def test_a_refused_list_leaves_the_modules_beside_it(proxy: FaultProxy, fresh: Fresh, tmp_path: Path) -> None:
    path, content = fresh("app"), a_module("1.0.0")
    lists = an_index(docker=True, tag="docker")
    refusing_as_zot(proxy, path, lists)
    both = Content(
        content.tags | lists.tags, content.manifests | lists.manifests, content.blobs | lists.blobs
    )
    report = imported(a_bundle(tmp_path / "b.tar.zst", {f"h.example/{path}": both}), proxy.host)
    statuses = {tag.reference: tag.status for tag in report.repositories[0].tags}
    assert statuses == {"1.0.0": "pushed", "docker": "failed"}


def test_an_index_is_not_offered_without_its_children(
    proxy: FaultProxy, fresh: Fresh, tmp_path: Path
) -> None:
    path, content = fresh("app"), an_index(tag="1.0.0")
    proxy.on("PUT", f"/{path}/manifests/1.0.0", ZOT)
    report = imported(a_bundle(tmp_path / "b.tar.zst", {f"h.example/{path}": content}), proxy.host)
    # It is refused once, when everything that it needs is there.
    assert len(proxy.asked("PUT", "uploads")) == len(content.blobs)
    assert report.exit_code == 10


def test_a_sparse_index_that_zot_calls_invalid_is_recognised(
    proxy: FaultProxy, fresh: Fresh, tmp_path: Path
) -> None:
    path, content = fresh("app"), an_index(tag="1.0.0")
    entries = json.loads(content.manifests[content.tags["1.0.0"]][1])["manifests"]
    with MemoryRegistry({path: content}) as source:
        along = Include(platforms=(parse_platform(f"linux/{entries[0]['platform']['architecture']}"),))
        exported(tmp_path / "b.tar.zst", f"{source.host}/{path}", along=along)
    proxy.on("PUT", f"/{path}/manifests/{content.tags['1.0.0']}", ZOT, times=ALWAYS)
    report = imported(tmp_path / "b.tar.zst", proxy.host)
    assert report.failures[0].next_step.startswith("import it with --filter-indexes")


@pytest.mark.slow
@pytest.mark.parametrize("status", [400, 409, 415, 422])
def test_running_again_is_no_advice_for_a_refusal(
    status: int, proxy: FaultProxy, fresh: Fresh, tmp_path: Path
) -> None:
    path = fresh("app")
    content = a_module("1.0.0", "1.1.0")
    words = ERROR.format("MANIFEST_INVALID", "manifest invalid")
    refused = f"/{path}/manifests/(1.1.0|{content.tags['1.1.0']})"
    proxy.on("PUT", refused, says(status, words), times=ALWAYS)
    report = imported(a_bundle(tmp_path / "b.tar.zst", {f"h.example/{path}": content}), proxy.host)
    assert {item.exit_code for item in report.failures} == {10}
    assert all(item.next_step and "run the import again" not in item.next_step for item in report.failures)


def test_who_may_not_push_is_told_before_the_first_blob(
    proxy: FaultProxy, fresh: Fresh, tmp_path: Path
) -> None:
    path = fresh("app")
    proxy.on("POST", "", says(403, ERROR.format("DENIED", "requested access is denied")), times=ALWAYS)
    report = carried(proxy, tmp_path, path)
    assert (report.exit_code, proxy.asked("PUT")) == (3, [])


@pytest.mark.parametrize(
    ("name", "words", "hint"),
    [
        (
            "123456789012.dkr.ecr.eu-west-1.amazonaws.com/org/app",
            "",
            "aws ecr create-repository --repository-name org/app --region eu-west-1",
        ),
        ("public.ecr.aws/alias/app", "", "aws ecr-public create-repository --repository-name app"),
        ("harbor.example/team/app", "project team not found", "create the Harbor project team"),
        ("quay.io/org/app", "", "create the Quay organisation org"),
        ("registry.gitlab.com/group/app", "", "create the GitLab project group"),
        ("acme.jfrog.io/docker-local/app", "", "create the Artifactory repository docker-local"),
        ("registry.example/app", "405 Method not allowed", "read-only"),
        ("registry.example/app", "what?", "create the repository or project first"),
    ],
)
def test_each_kind_of_registry_has_its_own_advice(name: str, words: str, hint: str) -> None:
    assert hint in missing_hint(RepositoryName.parse(name), words)


@pytest.mark.parametrize(
    ("name", "hint"),
    [("quay.io/org/app", "ALLOWED_OCI_ARTIFACT_TYPES"), ("registry.example/app", "media type")],
)
def test_each_kind_of_registry_has_its_own_setting_for_types(name: str, hint: str) -> None:
    assert hint in type_hint(RepositoryName.parse(name), "")


DIGEST_REFUSED = says(400, ERROR.format("DIGEST_INVALID", "provided digest did not match uploaded content"))


def test_a_digest_that_is_refused_for_a_moment_is_sent_again(
    proxy: FaultProxy, fresh: Fresh, tmp_path: Path
) -> None:
    proxy.on("PUT", f"/{(path := fresh('app'))}/manifests/1.0.0", DIGEST_REFUSED, times=2)
    assert carried(proxy, tmp_path, path).exit_code == 0


def test_a_digest_that_is_refused_for_good_is_a_refusal(
    proxy: FaultProxy, fresh: Fresh, tmp_path: Path
) -> None:
    path = fresh("app")
    proxy.on("PUT", f"/{path}/manifests/1.0.0", DIGEST_REFUSED, times=ALWAYS)
    report = carried(proxy, tmp_path, path)
    assert report.exit_code in (8, 10)
    assert "what changes manifests on the way" in report.failures[0].next_step
    assert len(proxy.asked("PUT", f"/{path}/manifests/1.0.0")) == 3
