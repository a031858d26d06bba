"""Reading one repository."""

from __future__ import annotations

import json
from collections.abc import Iterator
from urllib.parse import parse_qs, urlsplit

import pytest

from bundler.errors import IntegrityError, NotFoundError
from bundler.oci.content import read_all
from bundler.oci.digest import Digest
from bundler.oci.manifest import ACCEPTED
from bundler.oci.reference import RepositoryName, Tag
from bundler.registry.quirks import ListedPage
from bundler.registry.repository import Repository, digest_like
from tests.builders import a_module, descriptor_of, noise
from tests.doubles import (
    ALWAYS,
    FakeClock,
    LoopbackServer,
    MemoryRegistry,
    Reply,
    Seen,
    changed,
    cut_after,
    flipped,
    says,
    with_headers,
)
from tests.flows import PATIENT, registries_for

DATA = noise("client", 5_000_000)
BLOB = descriptor_of(DATA)


@pytest.fixture
def server() -> Iterator[MemoryRegistry]:
    content = a_module("1.0.0", "1.1.0")
    content.add_blob(DATA)
    with MemoryRegistry({"app": content}) as running:
        yield running


@pytest.fixture
def repository(server: MemoryRegistry, clock: FakeClock) -> Repository:
    return registries_for(clock, limits=PATIENT).source(server.repository("app"))


def test_tags_are_listed_by_one_request(server: MemoryRegistry, repository: Repository) -> None:
    assert repository.tags().tags == ("1.0.0", "1.1.0")
    assert [seen.target for seen in server.seen] == ["/v2/app/tags/list?n=1000"]


@pytest.mark.parametrize(("count", "requests"), [(2, 1), (3, 2), (4, 1)])
def test_a_list_of_more_tags_than_asked_for_is_whole(count: int, requests: int, clock: FakeClock) -> None:
    """Distribution 2 knows no `n`: only a page of exactly that many may be cut."""
    content = a_module(*(f"1.{number}.0" for number in range(count)))
    with MemoryRegistry({"app": content}) as server:
        known = registries_for(clock, limits=PATIENT._replace(page_size=3))
        assert len(known.source(server.repository("app")).tags().tags) == count
        assert len(server.seen) == requests


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


@pytest.mark.parametrize(
    ("length", "asked", "expected"),
    [
        (1000, 1000, True), (1001, 1000, False), (100, 1000, True), (50, 1000, True), (64, 1000, True),
        (27, 1000, False), (0, 1000, False), (10, 1000, True), (20, 1000, False), (999, 1000, False),
    ],
)  # fmt: skip
def test_a_page_of_a_round_length_may_be_cut(length: int, asked: int, expected: bool) -> None:
    assert ListedPage(length, asked, length, says_distribution=True).may_be_cut is expected


@pytest.mark.parametrize(
    ("length", "longest", "expected"),
    [(7, 7, True), (20, 20, True), (27, 27, True), (999, 999, True), (27, 28, False), (3, 3, False)],
)
def test_a_page_of_any_length_may_be_cut_until_a_longer_came(
    length: int, longest: int, expected: bool
) -> None:
    assert ListedPage(length, 1000, longest, says_distribution=False).may_be_cut is expected


@pytest.mark.parametrize("cut_at", [4, 7, 20, 30, 37, 99, 250, 999])
def test_no_tag_is_lost_wherever_a_list_is_cut(cut_at: int, clock: FakeClock) -> None:
    tags = [f"1.{number:04}.0" for number in range(2 * cut_at + 1)]

    def cut(request: Seen) -> Reply:
        last = parse_qs(urlsplit(request.target).query).get("last", [""])[0]
        page = [tag for tag in tags if tag > last][:cut_at]
        return Reply(200, {}, json.dumps({"name": "app", "tags": page}).encode())

    with LoopbackServer(cut) as server:
        source = registries_for(clock, limits=PATIENT).source(RepositoryName(f"{server.host}/app"))
        assert source.tags().tags == tuple(tags)
        # The last page is shorter than the others, which is proof that it is whole.
        assert len(server.seen) == 3


@pytest.mark.parametrize(("count", "requests"), [(0, 1), (3, 1), (4, 2), (40, 2)])
def test_a_list_that_is_whole_costs_one_request_more_at_most(
    count: int, requests: int, clock: FakeClock
) -> None:
    def whole(request: Seen) -> Reply:
        return Reply(
            200, {}, json.dumps({"name": "app", "tags": [f"1.{n}.0" for n in range(count)]}).encode()
        )

    with LoopbackServer(whole) as server:
        known = registries_for(clock, limits=PATIENT)
        assert len(known.source(RepositoryName(f"{server.host}/app")).tags().tags) == count
        assert len(server.seen) == requests


def test_a_longer_list_before_spares_the_question(clock: FakeClock) -> None:
    def whole(request: Seen) -> Reply:
        count = 40 if "/long/" in request.target else 30
        return Reply(
            200, {}, json.dumps({"name": "app", "tags": [f"1.{n}.0" for n in range(count)]}).encode()
        )

    with LoopbackServer(whole) as server:
        known = registries_for(clock, limits=PATIENT)
        for name in ("long", "short"):
            known.source(RepositoryName(f"{server.host}/{name}")).tags()
        assert [seen.path.split("/")[2] for seen in server.seen] == ["long", "long", "short"]


@pytest.mark.parametrize("understands_last", [True, False])
def test_a_list_cut_below_n_is_asked_for_once_more(understands_last: bool, clock: FakeClock) -> None:
    tags = [f"1.{number:02}.0" for number in range(37 if understands_last else 25)]

    def cut(request: Seen) -> Reply:
        last = parse_qs(urlsplit(request.target).query).get("last", [""])[0]
        rest = [tag for tag in tags if tag > last] if understands_last else tags
        return Reply(200, {}, json.dumps({"name": "app", "tags": rest[:25]}).encode())

    with LoopbackServer(cut) as server:
        source = registries_for(clock, limits=PATIENT).source(RepositoryName(f"{server.host}/app"))
        assert source.tags().tags == tuple(tags)
        assert len(server.seen) == 2


def test_a_blob_that_is_compressed_on_the_way_is_told_as_that(
    server: MemoryRegistry, repository: Repository
) -> None:
    server.on("GET", "/blobs/", says(200, b"shorter", Content_Encoding="gzip"), times=ALWAYS)
    with pytest.raises(IntegrityError, match="Content-Encoding gzip, which was not asked for"):
        read_all(repository, BLOB)


def test_an_encoding_of_the_blobs_own_bytes_does_no_harm(
    server: MemoryRegistry, repository: Repository
) -> None:
    server.on("GET", "/blobs/", with_headers(Content_Encoding="gzip"), times=ALWAYS)
    assert read_all(repository, BLOB) == DATA
