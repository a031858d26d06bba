"""The referrers API: who refers to whom, in pages, filtered, and what clients do where it is missing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st
from werkzeug import Request

from bundler.bundle.inventory import Root, take_inventory
from bundler.bundle.writer import write_bundle
from bundler.limits import DEFAULT_LIMITS, Limits
from bundler.oci.digest import Digest, sha256
from bundler.oci.manifest import OCI_INDEX, OCI_MANIFEST
from bundler.oci.reference import RepositoryName, RepositoryPath
from bundler.reporting.progress import SILENCE
from bundler.server.read_api import referrers_page
from bundler.server.referrer_index import Referrer
from bundler.server.served_content import read_only
from bundler.session import Session
from tests.builders import (
    EMPTY_TYPE,
    MISSING,
    SHAPES,
    Content,
    Document,
    MemoryStore,
    a_module,
    dumped,
    index_document,
    manifest_document,
)
from tests.server.client import Client, served, writable_registry

SUBJECT: str = MISSING["digest"]
URL = f"/v2/team/app/referrers/{SUBJECT}"
SIGNATURE, SBOM = "application/vnd.test.signature", "application/vnd.test.sbom"


def add_referrer(content: Content, name: str, subject: Document = MISSING, **more: Any) -> Document:
    """A manifest that refers to another; with its descriptor as a list of referrers must have it."""
    config = content.add_blob(b"{}", EMPTY_TYPE)
    annotations = {"name": name}
    blob = content.add_manifest(
        manifest_document(config, [], subject=subject, annotations=annotations, **more)
    )
    return {**blob, "artifactType": more.get("artifactType", EMPTY_TYPE), "annotations": annotations}


def referrers(client: Client, url: str = URL) -> list[Document]:
    """What all pages list."""
    return [entry for page in client.pages(url) for entry in page.json()["manifests"]]


def by_digest(entries: list[Document]) -> list[Document]:
    return sorted(entries, key=lambda entry: str(entry["digest"]))


def test_the_answer_is_an_index_with_types_and_annotations(registry: Client) -> None:
    content = Content()
    expected = [
        add_referrer(content, "typed", artifactType=SIGNATURE),
        add_referrer(content, "untyped"),
    ]
    add_referrer(content, "elsewhere", subject=content.add_image("other"))
    registry.push("team/app", content)
    answer = registry.get(URL)
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, OCI_INDEX)
    assert answer.json() == {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": by_digest(expected)}


@pytest.mark.slow
@pytest.mark.parametrize("artifact_type", ["", SBOM])
def test_an_index_that_refers_has_a_type_only_if_it_says_one(registry: Client, artifact_type: str) -> None:
    content, more = Content(), {"artifactType": artifact_type} if artifact_type else {}
    blob = content.add_manifest(index_document(subject=MISSING, **more))
    registry.push("team/app", content)
    assert referrers(registry) == [{**blob, **more}]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["team/app", "team/unknown"])
def test_nothing_that_refers_is_an_empty_index(registry: Client, name: str) -> None:
    registry.push("team/app", a_module("1.0.0"))
    answer = registry.get(f"/v2/{name}/referrers/{SUBJECT}")
    assert (answer.status_code, answer.json()["manifests"]) == (200, [])
    assert "OCI-Filters-Applied" not in answer.headers


def test_a_filter_is_applied_and_said_so(registry: Client) -> None:
    content = Content()
    wanted = [add_referrer(content, f"sbom {number}", artifactType=SBOM) for number in range(3)]
    add_referrer(content, "signature", artifactType=SIGNATURE)
    registry.push("team/app", content)
    answer = registry.get(URL, params={"artifactType": SBOM})
    assert answer.headers["OCI-Filters-Applied"] == "artifactType"
    assert answer.json()["manifests"] == by_digest(wanted)
    assert registry.get(URL, params={"artifactType": "none/such"}).json()["manifests"] == []


def test_a_push_tells_the_subject_and_is_listed_at_once(registry: Client) -> None:
    content = Content()
    first, second = (add_referrer(content, name) for name in ("first", "second"))
    registry.upload("team/app", b"{}")
    for count, blob in enumerate((first, second), start=1):
        media_type, data = content.manifests[Digest(blob["digest"])]
        answer = registry.put_manifest("team/app", blob["digest"], media_type, data)
        assert answer.headers["OCI-Subject"] == SUBJECT
        assert len(referrers(registry)) == count
    assert referrers(registry, f"/v2/team/other/referrers/{SUBJECT}") == []


def test_a_push_without_a_subject_tells_none(registry: Client) -> None:
    content = a_module("1.0.0")
    registry.push("team/app", content)
    answer = registry.put_manifest("team/app", "1.0.0", *next(iter(content.manifests.values())))
    assert "OCI-Subject" not in answer.headers


@pytest.mark.slow
@pytest.mark.parametrize(
    "subject", ["text", [], {}, {**MISSING, "digest": "sha256:0"}, {**MISSING, "size": -1}]
)
def test_a_malformed_subject_is_refused(registry: Client, subject: object) -> None:
    content = Content()
    config = content.add_blob(b"{}")
    registry.upload("team/app", b"{}")
    data = dumped(manifest_document(config, [], subject=subject))
    answer = registry.put_manifest("team/app", "x", OCI_MANIFEST, data)
    assert registry.error(answer) == (400, "MANIFEST_INVALID")


@pytest.mark.slow
def test_referrers_outlive_a_restart_and_are_served_read_only(tmp_path: Path) -> None:
    content = Content()
    expected = [add_referrer(content, "signature", artifactType=SIGNATURE)]
    with writable_registry(tmp_path) as client:
        client.push("team/app", content)
    with writable_registry(tmp_path) as client:
        assert referrers(client) == expected
    with read_only(tmp_path, Session()) as kept, served(kept) as client:
        assert referrers(client) == expected


def test_an_untagged_referrer_of_a_bundle_is_listed(tmp_path: Path) -> None:
    module = a_module("1.0.0")
    subject = {**MISSING, "digest": module.tags["1.0.0"]}
    signature = add_referrer(module, "signature", subject)
    name = RepositoryName("ghcr.io/team/app")
    roots = [*module.roots(name), Root(name, None, Digest(signature["digest"]))]
    with (tmp_path / "b.tar.zst").open("wb") as file:
        write_bundle(file.write, take_inventory(roots, module.parsed()), MemoryStore(module), SILENCE)
    with read_only(tmp_path / "b.tar.zst", Session()) as content, served(content) as client:
        assert referrers(client, f"/v2/team/app/referrers/{subject['digest']}") == [signature]


def test_without_the_api_it_is_404_and_a_push_tells_no_subject(tmp_path: Path) -> None:
    content = Content()
    blob = add_referrer(content, "signature")
    with writable_registry(tmp_path, referrers=False) as client:
        client.push("team/app", content)
        media_type, data = content.manifests[Digest(blob["digest"])]
        answer = client.put_manifest("team/app", blob["digest"], media_type, data)
        assert "OCI-Subject" not in answer.headers
        assert client.error(client.get(URL)) == (404, "UNSUPPORTED")
        # What a client does then: an index under the fallback tag.
        fallback = SUBJECT.replace(":", "-")
        index = dumped(index_document(blob))
        assert client.put_manifest("team/app", fallback, OCI_INDEX, index).status_code == 201
        assert client.get(f"/v2/team/app/manifests/{fallback}").json()["manifests"] == [blob]


@pytest.mark.slow
def test_the_api_lists_what_a_fallback_tag_lists(tmp_path: Path) -> None:
    content = Content()
    blob = add_referrer(content, "signature")
    content.add_manifest(index_document(blob), SUBJECT.replace(":", "-"))
    with writable_registry(tmp_path, referrers=False) as client:
        client.push("team/app", content)
    with writable_registry(tmp_path) as client:
        assert referrers(client) == [blob]


@pytest.mark.slow
def test_an_unreadable_manifest_is_an_error_and_not_an_absence(tmp_path: Path) -> None:
    content = SHAPES["missing subject"]()
    with writable_registry(tmp_path) as client:
        client.push("team/app", content)
    (tmp_path / content.tags["1.0.0"].path).write_bytes(b"damaged")
    with read_only(tmp_path, Session()) as kept, served(kept) as client:
        assert client.get(URL).status_code == 500


# --- pages -------------------------------------------------------------------------------------------


def many(kinds: list[str], annotation: str = "") -> list[Referrer]:
    """Referrers of these types, in the order of their digests."""
    made = [
        Referrer(digest, Digest(SUBJECT), {"digest": digest, "artifactType": kind, "annotations": annotation})
        for number, kind in enumerate(kinds)
        for digest in [sha256(b"%d" % number)]
    ]
    return sorted(made, key=lambda referrer: referrer.digest)


def all_pages(url: str, known: list[Referrer], limits: Limits) -> list[bytes]:
    """What the pages say, one after the other."""
    bodies = []
    while url:
        page = referrers_page(Request.from_values(url), RepositoryPath("a/b"), Digest(SUBJECT), known, limits)
        bodies.append(page.get_data())
        link = page.headers.get("Link", "")
        assert bool(link) == link.endswith('; rel="next"')
        url = link.removeprefix("<").partition(">")[0]
    return bodies


@given(
    kinds=st.lists(st.sampled_from([SIGNATURE, SBOM, "a b&c=d"]), max_size=30),
    wanted=st.sampled_from(["", SIGNATURE, "a b&c=d"]),
    annotation=st.text(max_size=100),
    size=st.integers(1, 9),
    room=st.integers(1000, 4000),
)
def test_pages_hold_every_referrer_once_and_keep_their_bounds(
    kinds: list[str], wanted: str, annotation: str, size: int, room: int
) -> None:
    known = many(kinds, annotation)
    url = f"/v2/a/b/referrers/{SUBJECT}?" + urlencode({"artifactType": wanted} if wanted else {})
    bodies = all_pages(url, known, Limits(page_size=size, manifest=room))
    pages = [json.loads(body)["manifests"] for body in bodies]
    assert [entry["digest"] for page in pages for entry in page] == [
        referrer.digest for referrer in known if wanted in ("", referrer.artifact_type)
    ]
    for body, page in zip(bodies, pages, strict=True):
        assert len(page) <= size
        assert len(body) <= room or len(page) == 1


def test_one_referrer_that_fills_a_page_has_it_alone() -> None:
    known = many([SIGNATURE] * 3, "x" * 2000)
    bodies = all_pages("/?", known, Limits(manifest=1000))
    assert [len(json.loads(body)["manifests"]) for body in bodies] == [1, 1, 1]


def test_a_thousand_referrers_are_one_page_one_more_is_the_next() -> None:
    bodies = all_pages("/?", many([SBOM] * 1001), DEFAULT_LIMITS)
    assert [len(json.loads(body)["manifests"]) for body in bodies] == [1000, 1]


def test_pages_go_over_the_wire(tmp_path: Path) -> None:
    content = Content()
    expected = [add_referrer(content, str(number)) for number in range(5)]
    with writable_registry(tmp_path, Limits(page_size=2)) as client:
        client.push("team/app", content)
        assert len(client.pages(URL)) == 3
        assert referrers(client) == by_digest(expected)
