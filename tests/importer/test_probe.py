"""A target that will not take something says so before the first blob, and what helps is named."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bundler.oci.reference import RepositoryName
from bundler.registry.quirks import missing_hint, type_hint
from bundler.reporting.json_report import Report
from tests.builders import a_bundle, a_module, an_artifact
from tests.doubles import ALWAYS, FaultProxy, says
from tests.flows import imported
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
