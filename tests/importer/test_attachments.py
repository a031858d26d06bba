"""Belongings at the target: everybody who looks for a signature finds it, and nobody's is lost."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests

from bundler.oci.digest import Digest
from bundler.oci.manifest import ACCEPTED
from bundler.reporting.json_report import Report
from tests.builders import (
    Content,
    a_module,
    a_signed_module,
    index_document,
    push_to,
    sign_by_subject,
    sign_by_tag,
)
from tests.doubles import MemoryRegistry
from tests.flows import exported, imported
from tests.registries import RealRegistry

Fresh = Callable[[str], str]


def carry(content: Content, path: str, target: RealRegistry, folder: Path, *, api: bool = False) -> Report:
    """Export from a registry in memory, and import into a real one."""
    with MemoryRegistry({path: content}, referrers=api) as server:
        assert exported(folder / "b.tar.zst", f"{server.host}/{path}").exit_code == 0
    return imported(folder / "b.tar.zst", target.host)


def at(target: RealRegistry, path: str, reference: str) -> tuple[Digest, Any]:
    """What a plain reader finds under a tag or digest: its digest and its document."""
    url = f"{target.base}/v2/{path}/manifests/{reference}"
    answer = requests.get(url, headers={"Accept": ", ".join(ACCEPTED)}, timeout=300)
    answer.raise_for_status()
    return Digest(answer.headers["Docker-Content-Digest"]), answer.json()


def listed(target: RealRegistry, path: str, subject: Digest) -> set[str]:
    """What a reader that only knows the fallback tag finds."""
    return {entry["digest"] for entry in at(target, path, subject.replace(":", "-"))[1]["manifests"]}


def statuses(report: Report) -> set[str]:
    """What became of the tags."""
    return {tag.status for entry in report.repositories for tag in entry.tags}


@pytest.mark.slow
def test_every_tag_and_signature_arrives_under_its_own_digest(
    target_registry: RealRegistry, fresh: Fresh, tmp_path: Path
) -> None:
    content, path = a_signed_module(), fresh("app")
    assert carry(content, path, target_registry, tmp_path).exit_code == 0
    assert {tag: at(target_registry, path, tag)[0] for tag in content.tags} == content.tags
    assert {at(target_registry, path, digest)[0] for digest in content.manifests} == set(content.manifests)


@pytest.mark.slow
def test_a_fallback_tag_reader_finds_what_only_the_api_knew(
    target_registry: RealRegistry, fresh: Fresh, tmp_path: Path
) -> None:
    content, path = a_module("1.0.0"), fresh("app")
    subject = content.tags["1.0.0"]
    signatures = {sign_by_subject(content, subject, text, listed=False) for text in "ab"}
    assert carry(content, path, target_registry, tmp_path, api=True).exit_code == 0
    entries = at(target_registry, path, subject.replace(":", "-"))[1]["manifests"]
    assert {entry["digest"] for entry in entries} == signatures
    assert {entry["artifactType"] for entry in entries} == {"application/vnd.dev.sigstore.bundle.v0.3+json"}
    assert {entry["annotations"]["text"] for entry in entries} == {"a", "b"}


@pytest.mark.slow
@pytest.mark.parametrize("api", [True, False])
def test_a_second_import_writes_nothing(
    api: bool, target_registry: RealRegistry, fresh: Fresh, tmp_path: Path
) -> None:
    content, path = a_module("1.0.0"), fresh("app")
    sign_by_subject(content, content.tags["1.0.0"], listed=not api)
    carry(content, path, target_registry, tmp_path, api=api)
    before = len(target_registry.accesses(path))
    assert imported(tmp_path / "b.tar.zst", target_registry.host).unchanged
    assert {access.method for access in target_registry.accesses(path)[before:]} <= {"HEAD", "GET"}


@pytest.mark.slow
@pytest.mark.parametrize("api", [True, False])
def test_signatures_that_the_target_has_already_stay_listed(
    api: bool, target_registry: RealRegistry, fresh: Fresh, tmp_path: Path
) -> None:
    """Case 104."""
    ours, theirs, path = a_module("1.0.0"), a_module("1.0.0"), fresh("app")
    subject = ours.tags["1.0.0"]
    signatures = {
        sign_by_subject(ours, subject, "ours", listed=not api),
        sign_by_subject(theirs, subject, "theirs"),
    }
    push_to(target_registry.base, path, theirs)
    report = carry(ours, path, target_registry, tmp_path, api=api)
    assert report.exit_code == 0
    assert listed(target_registry, path, subject) == signatures
    assert api or "merged" in statuses(report)
    before = len(target_registry.accesses(path))
    assert imported(tmp_path / "b.tar.zst", target_registry.host).unchanged
    assert {access.method for access in target_registry.accesses(path)[before:]} <= {"HEAD", "GET"}


@pytest.mark.slow
@pytest.mark.parametrize("entries", [None, []])
@pytest.mark.parametrize("api", [True, False])
def test_a_list_whose_last_entry_went_is_a_list(
    api: bool, entries: list[object] | None, target_registry: RealRegistry, fresh: Fresh, tmp_path: Path
) -> None:
    """Case 104."""
    ours, theirs, path = a_module("1.0.0"), a_module("1.0.0"), fresh("app")
    subject = ours.tags["1.0.0"]
    signature = sign_by_subject(ours, subject, listed=not api)
    theirs.add_manifest(index_document() | {"manifests": entries}, subject.replace(":", "-"))
    push_to(target_registry.base, path, theirs)
    assert carry(ours, path, target_registry, tmp_path, api=api).exit_code == 0
    assert listed(target_registry, path, subject) == {signature}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("ours", "theirs", "status"),
    [
        (("a", "b"), ("a",), "moved"),
        (("a",), ("a", "b"), "present"),
        (("a",), ("b",), "failed"),
    ],
)
def test_a_cosign_list_is_replaced_only_by_one_that_has_it_all(
    ours: tuple[str, ...],
    theirs: tuple[str, ...],
    status: str,
    target_registry: RealRegistry,
    fresh: Fresh,
    tmp_path: Path,
) -> None:
    path, contents = fresh("app"), (a_module("1.0.0"), a_module("1.0.0"))
    for content, texts in zip(contents, (ours, theirs), strict=True):
        sign_by_tag(content, content.tags["1.0.0"], "sig", *texts)
    push_to(target_registry.base, path, contents[1])
    report = carry(contents[0], path, target_registry, tmp_path)
    assert statuses(report) == {"present", status}


@pytest.mark.slow
def test_subjects_precede_referrers_and_signatures_the_tag(
    target_registry: RealRegistry, fresh: Fresh, tmp_path: Path
) -> None:
    content, path = a_module("1.0.0"), fresh("app")
    subject = content.tags["1.0.0"]
    signature = sign_by_subject(content, subject)
    carry(content, path, target_registry, tmp_path)
    puts = [
        access.target.rpartition("/")[2]
        for access in target_registry.accesses(path)
        if access.method == "PUT" and "/manifests/" in access.target and access.status == 201
    ]
    listing = content.tags[subject.replace(":", "-")]
    assert puts == [subject, signature, subject.replace(":", "-"), "1.0.0"]
    assert listing not in puts


@pytest.mark.slow
def test_a_run_killed_before_the_list_is_completed_by_the_next(
    target_registry: RealRegistry, fresh: Fresh, tmp_path: Path
) -> None:
    content, path = a_module("1.0.0"), fresh("app")
    subject = content.tags["1.0.0"]
    signature = sign_by_subject(content, subject, listed=False)
    push_to(target_registry.base, path, content)  # all but the list
    assert carry(content, path, target_registry, tmp_path, api=True).exit_code == 0
    assert listed(target_registry, path, subject) == {signature}


@pytest.mark.slow
def test_the_documents_of_merged_lists_stay_what_they_were(
    target_registry: RealRegistry, fresh: Fresh, tmp_path: Path
) -> None:
    ours, theirs, path = a_module("1.0.0"), a_module("1.0.0"), fresh("app")
    subject = ours.tags["1.0.0"]
    sign_by_subject(ours, subject, "ours")
    sign_by_subject(theirs, subject, "theirs")
    tag = subject.replace(":", "-")
    document = {**json.loads(theirs.manifests[theirs.tags[tag]][1]), "annotations": {"kept": "yes"}}
    theirs.add_manifest(document, tag)
    push_to(target_registry.base, path, theirs)
    carry(ours, path, target_registry, tmp_path)
    merged = at(target_registry, path, tag)[1]
    assert merged["annotations"] == {"kept": "yes"}
    assert merged["manifests"][:1] == document["manifests"]
