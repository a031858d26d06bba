"""Reading one repository."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterator

import pytest

from bundler.errors import ContentError, IntegrityError, NotFoundError
from bundler.oci.content import read_all
from bundler.oci.digest import Digest
from bundler.oci.manifest import ACCEPTED
from bundler.oci.reference import Tag
from bundler.registry.repository import Repository, digest_like
from tests.builders import a_module, descriptor_of, noise
from tests.doubles import (
    ALWAYS,
    MemoryRegistry,
    Reply,
    changed,
    cut_after,
    flipped,
    says,
    with_headers,
)

DATA = noise("client", 5_000_000)
BLOB = descriptor_of(DATA)


@pytest.fixture
def server() -> Iterator[MemoryRegistry]:
    content = a_module("1.0.0", "1.1.0")
    content.add_blob(DATA)
    with MemoryRegistry({"app": content}) as running:
        yield running


def test_tags_are_listed_by_one_request_and_a_question(
    server: MemoryRegistry, repository: Repository
) -> None:
    assert repository.tags().tags == ("1.0.0", "1.1.0")
    first = "/v2/app/tags/list?n=1000"
    assert [seen.target for seen in server.seen] == [first, f"{first}&last=1.0.0"]


def test_a_manifest_is_asked_for_in_all_its_types(server: MemoryRegistry, repository: Repository) -> None:
    repository.manifest(Tag("1.0.0"))
    assert server.seen[0].headers["Accept"] == ", ".join(ACCEPTED)
    assert server.seen[0].headers["Accept-Encoding"] == "identity"


@pytest.mark.parametrize("by_digest", [True, False])
def test_a_manifest_is_its_exact_bytes(
    by_digest: bool, server: MemoryRegistry, repository: Repository
) -> None:
    content = server.repositories["app"]
    digest = content.tags["1.0.0"]
    found = repository.manifest(digest if by_digest else Tag("1.0.0"))
    assert (found.manifest.data, found.manifest.blob.digest, found.warnings) == (
        content.manifests[digest][1],
        digest,
        (),
    )


def test_wrong_bytes_under_a_digest_are_asked_for_three_times(
    server: MemoryRegistry, repository: Repository
) -> None:
    server.on("GET", "/manifests/", changed(flipped), times=ALWAYS)
    with pytest.raises(IntegrityError):
        repository.manifest(server.repositories["app"].tags["1.0.0"])
    assert len(server.seen) == 3


def test_a_missing_digest_header_is_no_matter(server: MemoryRegistry, repository: Repository) -> None:
    server.on("GET", "/manifests/", with_headers(Docker_Content_Digest=""))
    assert repository.manifest(Tag("1.0.0")).warnings == ()


def test_a_manifest_that_is_not_there_is_not_found(repository: Repository) -> None:
    with pytest.raises(NotFoundError, match="MANIFEST_UNKNOWN"):
        repository.manifest(Tag("9.9.9"))


def test_a_blob_goes_on_from_any_offset(server: MemoryRegistry, repository: Repository) -> None:
    assert b"".join(repository.chunks_from(BLOB, 4_999_000)) == DATA[4_999_000:]
    assert server.seen[0].headers["Range"] == "bytes=4999000-4999999"


def test_a_blob_that_is_complete_is_not_asked_for(server: MemoryRegistry, repository: Repository) -> None:
    assert b"".join(repository.chunks_from(BLOB, len(DATA))) == b""
    assert server.seen == []


def test_a_blob_that_breaks_again_and_again_but_moves_arrives(
    server: MemoryRegistry, repository: Repository
) -> None:
    server.on("GET", "/blobs/", cut_after(600_000), times=8)
    assert read_all(repository, BLOB) == DATA


@pytest.mark.parametrize("status", [400, 403, 404])
def test_a_blob_that_is_refused_says_by_whom(
    status: int, server: MemoryRegistry, repository: Repository
) -> None:
    server.on("GET", "/blobs/", says(status))
    with pytest.raises(Exception, match=f"{server.host}/v2/app/blobs/.*{status}"):
        read_all(repository, BLOB)


def test_a_digest_is_computed_by_the_algorithm_asked_for() -> None:
    wanted = descriptor_of(DATA, algorithm="sha512").digest
    assert digest_like(wanted, DATA) == wanted
    assert digest_like("nonsense", DATA) == BLOB.digest
    assert Digest.parse(digest_like("", DATA))


def test_a_blob_that_is_compressed_on_the_way_is_told_as_that(
    server: MemoryRegistry, repository: Repository
) -> None:
    server.on("GET", "/blobs/", says(200, b"shorter", Content_Encoding="gzip"), times=ALWAYS)
    with pytest.raises(IntegrityError, match="Content-Encoding gzip, which was not asked for"):
        read_all(repository, BLOB)


def compressed(reply: Reply) -> Reply:
    return reply._replace(
        headers={**reply.headers, "Content-Encoding": "gzip"}, body=gzip.compress(reply.body)
    )


@pytest.mark.parametrize("path", ["/tags/list", "/manifests/", "/referrers/"])
def test_a_document_that_is_compressed_on_the_way_is_told(
    path: str, server: MemoryRegistry, repository: Repository
) -> None:
    server.on("GET", path, changed(compressed), times=ALWAYS)
    digest = server.repositories["app"].tags["1.0.0"]
    server.referrers = True
    ask: dict[str, Callable[[], object]] = {
        "/tags/list": repository.tags,
        "/manifests/": lambda: repository.manifest(digest),
        "/referrers/": lambda: repository.referrers(digest),
    }
    with pytest.raises(ContentError, match=f"{path}.*Content-Encoding gzip, which was not asked for"):
        ask[path]()


@pytest.mark.parametrize("path", ["/tags/list", "/manifests/"])
def test_an_encoding_that_a_document_does_not_have_does_no_harm(
    path: str, server: MemoryRegistry, repository: Repository
) -> None:
    server.on("GET", path, with_headers(Content_Encoding="gzip"), times=ALWAYS)
    assert repository.tags().tags == ("1.0.0", "1.1.0")
    assert repository.manifest(Tag("1.0.0"))


def test_an_encoding_of_the_blobs_own_bytes_does_no_harm(
    server: MemoryRegistry, repository: Repository
) -> None:
    server.on("GET", "/blobs/", with_headers(Content_Encoding="gzip"), times=ALWAYS)
    assert read_all(repository, BLOB) == DATA
