"""What belongs to a tag is found, whatever the registry offers for finding it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bundler.bundle.inventory import roots_of
from bundler.bundle.reader import open_bundle
from bundler.oci.digest import Digest
from bundler.oci.manifest import OCI_MANIFEST
from bundler.reporting.json_report import Report
from bundler.selection.sources import Include
from tests.builders import (
    a_module,
    a_signed_module,
    an_index,
    dumped,
    index_document,
    sign_by_subject,
    sign_by_tag,
)
from tests.doubles import ALWAYS, Fault, MemoryRegistry, says
from tests.flows import exported

Fresh = Callable[[str], str]


@pytest.fixture(params=["API", "fallback tags"])
def registry(request: pytest.FixtureRequest) -> Iterator[MemoryRegistry]:
    """A registry with the Referrers API, and one without."""
    with MemoryRegistry({"app": a_signed_module()}, referrers=request.param == "API") as server:
        yield server


def carried(bundle: Path) -> set[Digest]:
    """Every manifest that a bundle holds."""
    with open_bundle(bundle) as opened:
        return {blob.digest for blob in opened.inventory.manifests}


def tags_in(bundle: Path) -> set[str]:
    """Every tag that a bundle holds."""
    with open_bundle(bundle) as opened:
        return {root.tag for root in roots_of(opened.inventory) if root.tag}


def causes(report: Report) -> str:
    """All that went wrong."""
    return "\n".join(f"{item.item}: {item.cause}" for item in report.failures)


@pytest.mark.slow
def test_all_that_belongs_to_a_tag_goes_along(registry: MemoryRegistry, tmp_path: Path) -> None:
    content = registry.repositories["app"]
    report = exported(tmp_path / "b.tar.zst", f"{registry.host}/app")
    assert causes(report) == ""
    assert carried(tmp_path / "b.tar.zst") == set(content.manifests)
    assert tags_in(tmp_path / "b.tar.zst") == set(content.tags)


@pytest.mark.parametrize(("version", "manifests"), [("1.0.0", 2), ("1.1.0", 3), ("1.2.0", 9), ("1.3.0", 1)])
def test_of_one_version_only_what_belongs_to_it(version: str, manifests: int, tmp_path: Path) -> None:
    with MemoryRegistry({"app": a_signed_module()}) as server:
        assert exported(tmp_path / "b.tar.zst", f"{server.host}/app:{version}").exit_code == 0
    assert len(carried(tmp_path / "b.tar.zst")) == manifests


def test_without_the_api_one_question_and_the_tag_list_suffice(tmp_path: Path) -> None:
    with MemoryRegistry({"app": a_signed_module(), "other": a_signed_module()}) as server:
        exported(tmp_path / "b.tar.zst", f"{server.host}/app", f"{server.host}/other")
        assert len(server.asked("GET", "referrers")) == 1
        assert len(server.asked("GET", "tags/list")) == 2 + 2  # and the question whether that was all
        assert len(server.asked("GET", "manifests")) == len(
            {(seen.path) for seen in server.asked("GET", "manifests")}
        )


def test_with_the_api_what_only_it_knows_is_found_over_all_pages(tmp_path: Path) -> None:
    content = a_module("1.0.0")
    signatures = {sign_by_subject(content, content.tags["1.0.0"], text, listed=False) for text in "abc"}
    with MemoryRegistry({"app": content}, referrers=True) as server:
        exported(tmp_path / "b.tar.zst", f"{server.host}/app:1.0.0")
    assert carried(tmp_path / "b.tar.zst") == {content.tags["1.0.0"], *signatures}


def test_children_of_an_index_have_belongings_too(tmp_path: Path) -> None:
    content = an_index(of=2)
    child = next(digest for digest in content.manifests if digest not in content.tags.values())
    signature = sign_by_tag(content, child)
    with MemoryRegistry({"app": content}) as server:
        exported(tmp_path / "b.tar.zst", f"{server.host}/app:latest")
    assert signature in carried(tmp_path / "b.tar.zst")


def test_no_referrers_leaves_them_out_and_asks_for_none(registry: MemoryRegistry, tmp_path: Path) -> None:
    along = Include(referrers=False)
    report = exported(tmp_path / "b.tar.zst", f"{registry.host}/app", along=along)
    assert tags_in(tmp_path / "b.tar.zst") == {"1.0.0", "1.1.0", "1.2.0", "1.3.0"}
    assert registry.asked("GET", "referrers") == []
    reasons = {tag.reason for entry in report.repositories for tag in entry.tags if tag.status == "skipped"}
    assert reasons == {"it belongs to another manifest, and --no-referrers is given"}


@pytest.mark.parametrize("status", [500, 403, 429])
def test_could_not_ask_is_a_failure_and_no_absence(status: int, tmp_path: Path) -> None:
    """Case 23."""
    with MemoryRegistry({"app": a_module("1.0.0")}, referrers=True) as server:
        server.on("GET", "referrers", says(status), times=ALWAYS)
        report = exported(tmp_path / "b.tar.zst", f"{server.host}/app")
    assert "what is attached to it could not be read" in causes(report)
    assert not (tmp_path / "b.tar.zst").exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    "answer",
    [
        says(404, "404 page not found"),
        says(405),
        says(401),
        says(303, Location="https://example.com/login"),
        says(200, "<!DOCTYPE html><p>hello"),
    ],
)
def test_every_answer_that_denies_the_api_leads_to_the_tags(answer: Fault, tmp_path: Path) -> None:
    """Case 23."""
    content = a_signed_module()
    with MemoryRegistry({"app": content}, referrers=True) as server:
        server.on("GET", "referrers", answer, times=ALWAYS)
        assert exported(tmp_path / "b.tar.zst", f"{server.host}/app").exit_code == 0
        assert len(server.asked("GET", "referrers")) == 1
    assert carried(tmp_path / "b.tar.zst") == set(content.manifests)


def test_404_for_one_subject_does_not_end_questions_for_others(tmp_path: Path) -> None:
    content = a_signed_module()
    with MemoryRegistry({"app": content}, referrers=True) as server:
        server.on("GET", "referrers", says(404, '{"errors": [{"code": "MANIFEST_UNKNOWN"}]}'))
        assert exported(tmp_path / "b.tar.zst", f"{server.host}/app").exit_code == 0
        assert len(server.asked("GET", "referrers")) > 4


def test_a_fallback_tag_taken_for_the_digest_is_not_a_list(tmp_path: Path) -> None:
    content = a_module("1.0.0")
    digest = content.tags["1.0.0"]
    content.tags[digest.replace(":", "-")] = digest
    with MemoryRegistry({"app": content}) as server:
        assert exported(tmp_path / "b.tar.zst", f"{server.host}/app:1.0.0").exit_code == 0
    assert tags_in(tmp_path / "b.tar.zst") == {"1.0.0"}


def test_a_list_with_a_gap_is_carried_and_the_gap_reported(tmp_path: Path) -> None:
    content = a_module("1.0.0")
    subject = content.tags["1.0.0"]
    kept, gone = (sign_by_subject(content, subject, text) for text in ("kept", "gone"))
    del content.manifests[gone]
    with MemoryRegistry({"app": content}) as server:
        report = exported(tmp_path / "b.tar.zst", f"{server.host}/app:1.0.0")
    assert report.exit_code == 0
    assert any("what is left of it" in warning for warning in report.warnings)
    assert carried(tmp_path / "b.tar.zst") == {subject, kept}


def test_a_signature_that_breaks_on_the_way_takes_its_tag_along(tmp_path: Path) -> None:
    content = a_module("1.0.0", "1.1.0")
    signature = sign_by_tag(content, content.tags["1.0.0"])
    blob = content.parsed()[signature].layers[0].blob.digest
    with MemoryRegistry({"app": content}) as server:
        server.on("GET", f"blobs/{blob}", says(404), times=ALWAYS)
        report = exported(tmp_path / "b.tar.zst", f"{server.host}/app")
    assert report.exit_code == 8
    assert tags_in(tmp_path / "b.tar.zst") == {"1.1.0"}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "taken"),
    [("signature", {"1.0.0", "1.1.0", "1.2.0"}), ("sbom", {"1.2.0"}), ("attestation", {"1.2.0"})],
)
def test_a_tag_without_what_is_required_fails(kind: str, taken: set[str], tmp_path: Path) -> None:
    along = Include(require=frozenset({kind}))
    with MemoryRegistry({"app": a_signed_module()}) as server:
        report = exported(tmp_path / "b.tar.zst", f"{server.host}/app", globs=("1.*",), along=along)
    versions = {tag for tag in tags_in(tmp_path / "b.tar.zst") if not tag.startswith("sha256-")}
    assert (report.exit_code, versions) == (8, taken)
    assert f"it has no {kind}, which is required" in causes(report)


def test_a_repository_whose_list_is_refused_is_asked_by_name(tmp_path: Path) -> None:
    content = a_signed_module()
    with MemoryRegistry({"app": content}) as server:
        server.on("GET", "tags/list", says(405), times=ALWAYS)
        assert exported(tmp_path / "b.tar.zst", f"{server.host}/app:1.0.0").exit_code == 0
    assert len(carried(tmp_path / "b.tar.zst")) == 2


@pytest.mark.slow
def test_the_same_content_is_the_same_bytes_however_chosen(tmp_path: Path) -> None:
    with MemoryRegistry({"app": a_signed_module()}) as server:
        exported(tmp_path / "a.tar.zst", f"{server.host}/app")
        exported(tmp_path / "b.tar.zst", f"{server.host}/app", globs=("1.*",))
    assert (tmp_path / "a.tar.zst").read_bytes() == (tmp_path / "b.tar.zst").read_bytes()


@pytest.mark.parametrize("lied", ["refers to another", "refers to nothing"])
def test_a_referrer_with_a_wrong_subject_is_refused(lied: str, tmp_path: Path) -> None:
    """Case 23."""
    content = a_module("1.0.0", "1.1.0")
    signature = sign_by_subject(content, content.tags["1.1.0"], listed=False)
    wrong = signature if lied == "refers to another" else content.tags["1.1.0"]
    entry = {"mediaType": OCI_MANIFEST, "digest": wrong, "size": len(content.manifests[wrong][1])}
    with MemoryRegistry({"app": content}, referrers=True) as server:
        path = f"/v2/app/referrers/{content.tags['1.0.0']}"
        server.on("GET", path, says(200, dumped(index_document(entry)).decode()), times=ALWAYS)
        report = exported(tmp_path / "b.tar.zst", f"{server.host}/app")
    assert [item.exit_code for item in report.failures] == [7]
    assert "listed as a referrer of" in causes(report)
    assert tags_in(tmp_path / "b.tar.zst") == {"1.1.0"}


@pytest.mark.parametrize("suffix", ["", ".sig", ".att", "of nothing"])
def test_a_module_named_like_an_attachment_is_judged(suffix: str, tmp_path: Path) -> None:
    content = a_module("1.0.0")
    sign_by_subject(content, content.tags["1.0.0"], listed=False)
    tag = f"{content.tags['1.0.0'].replace(':', '-')}{suffix}"
    if suffix == "of nothing":
        tag = f"sha256-{'0' * 64}"
    content.tags[tag] = a_module("6.6.6").tags["6.6.6"]
    content.manifests |= a_module("6.6.6").manifests
    content.blobs |= a_module("6.6.6").blobs
    with MemoryRegistry({"app": content}, referrers=True) as server:
        along = Include(require=frozenset({"signature"}))
        report = exported(tmp_path / "b.tar.zst", f"{server.host}/app", along=along)
    assert report.exit_code == 8
    assert [item.item for item in report.failures] == [f"{server.host}/app:{tag}"]
    assert {tag.reference for tag in report.repositories[0].tags if tag.status == "exported"} >= {"1.0.0"}
    assert tags_in(tmp_path / "b.tar.zst") == {"1.0.0"}


def test_an_attachment_that_misstates_its_subject_fails_its_tag(tmp_path: Path) -> None:
    content = a_module("1.0.0", "1.1.0")
    sign_by_subject(content, content.tags["1.0.0"], stated={"size": 7})
    with MemoryRegistry({"app": content}) as server:
        report = exported(tmp_path / "b.tar.zst", f"{server.host}/app")
        assert "it states its subject" in causes(report)
        assert tags_in(tmp_path / "b.tar.zst") == {"1.1.0"}
        alone = exported(tmp_path / "c.tar.zst", f"{server.host}/app", along=Include(referrers=False))
        assert (alone.exit_code, tags_in(tmp_path / "c.tar.zst")) == (0, {"1.0.0", "1.1.0"})
