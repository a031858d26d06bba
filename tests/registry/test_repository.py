"""Reading one repository."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from urllib.parse import parse_qs, urlsplit

import pytest

from bundler.errors import IntegrityError, NotFoundError
from bundler.oci.content import read_all
from bundler.oci.digest import Digest
from bundler.oci.manifest import ACCEPTED
from bundler.oci.reference import RepositoryName, Tag
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

Respond = Callable[[Seen], Reply]
DISTRIBUTION = {"Docker-Distribution-Api-Version": "registry/2.0"}
DATA = noise("client", 5_000_000)
BLOB = descriptor_of(DATA)


@pytest.fixture
def server() -> Iterator[MemoryRegistry]:
    content = a_module("1.0.0", "1.1.0")
    content.add_blob(DATA)
    with MemoryRegistry({"app": content}) as running:
        yield running


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


def tags_cut_at(length: int, tags: list[str], **headers: str) -> Respond:
    """Answer with at most so many tags after `last`, and without a Link."""

    def cut(request: Seen) -> Reply:
        last = parse_qs(urlsplit(request.target).query).get("last", [""])[0]
        page = [tag for tag in tags if tag > last][:length]
        return Reply(200, headers, json.dumps({"name": "app", "tags": page}).encode())

    return cut


def tags_and_requests(respond: Respond, clock: FakeClock) -> tuple[list[str], int]:
    """Return the tags that are found in a list, and the number of requests."""
    with LoopbackServer(respond) as server:
        source = registries_for(clock, limits=PATIENT).source(RepositoryName(f"{server.host}/app"))
        return list(source.tags().tags), len(server.seen)


@pytest.mark.parametrize("cut_at", [1, 2, 3, 7, 20, 37, 99, 250, 999, 1000])
def test_no_tag_is_lost_wherever_a_list_is_cut(cut_at: int, clock: FakeClock) -> None:
    tags = [f"1.{number:04}.0" for number in range(2 * cut_at + 1)]
    # Three pages, and one request more, which brings nothing.
    assert tags_and_requests(tags_cut_at(cut_at, tags), clock) == (tags, 4)


@pytest.mark.parametrize("cut_at", [10, 16, 25, 32, 50, 64, 75, 100, 128, 256, 500, 1000])
def test_no_tag_is_lost_where_a_proxy_cuts_a_list(cut_at: int, clock: FakeClock) -> None:
    tags = [f"1.{number:04}.0" for number in range(2 * cut_at + 1)]
    assert tags_and_requests(tags_cut_at(cut_at, tags, **DISTRIBUTION), clock) == (tags, 4)


def test_what_cut_one_list_is_asked_on_for_every_list(clock: FakeClock) -> None:
    long, short = [f"1.{number:02}.0" for number in range(11)], ["1", "2", "3"]
    cut_at_10, cut_at_2 = tags_cut_at(10, long, **DISTRIBUTION), tags_cut_at(2, short, **DISTRIBUTION)
    with LoopbackServer(lambda seen: (cut_at_10 if "/long/" in seen.path else cut_at_2)(seen)) as server:
        known = registries_for(clock, limits=PATIENT)
        found = [known.source(RepositoryName(f"{server.host}/{name}")) for name in ("long", "short")]
        assert [list(repository.tags().tags) for repository in found] == [long, short]


@pytest.mark.parametrize("count", [1, 3, 4, 9, 20, 27, 999, 1001])
def test_distributions_family_is_taken_at_its_word(count: int, clock: FakeClock) -> None:
    tags = [f"1.{number:04}.0" for number in range(count)]
    assert tags_and_requests(tags_cut_at(count, tags, **DISTRIBUTION), clock) == (tags, 1)


def test_no_tag_is_lost_where_pages_have_as_many_bytes(clock: FakeClock) -> None:
    """The second page is shorter than the first, and not the last."""
    tags = ["a1", "a2", "a3", "b" * 100, "c1", "c2"]

    def cut(request: Seen) -> Reply:
        last = parse_qs(urlsplit(request.target).query).get("last", [""])[0]
        rest = [tag for tag in tags if tag > last]
        page = [tag for number, tag in enumerate(rest) if len("".join(rest[: number + 1])) < 104]
        return Reply(200, {}, json.dumps({"name": "app", "tags": page}).encode())

    assert tags_and_requests(cut, clock)[0] == tags


@pytest.mark.parametrize(("count", "requests"), [(0, 1), (1, 2), (3, 2), (40, 2), (1500, 2)])
@pytest.mark.parametrize("understands_last", [True, False])
def test_a_list_that_is_whole_costs_one_request_more_at_most(
    count: int, requests: int, understands_last: bool, clock: FakeClock
) -> None:
    tags = [f"1.{number:04}.0" for number in range(count)]
    whole = tags_cut_at(count, tags)
    respond = whole if understands_last else (lambda seen: whole(seen._replace(target="/")))
    assert tags_and_requests(respond, clock) == (tags, requests)


@pytest.mark.parametrize("status", [400, 404, 405, 501])
def test_a_list_is_whole_where_going_on_is_refused(status: int, clock: FakeClock) -> None:
    whole, tags = tags_cut_at(2, ["1.0.0", "1.1.0"]), ["1.0.0", "1.1.0"]
    found = tags_and_requests(lambda seen: Reply(status) if "last=" in seen.target else whole(seen), clock)
    assert found == (tags, 2)


def test_a_list_with_links_costs_no_request_more(clock: FakeClock) -> None:
    first = Reply(200, {"Link": '</v2/app/tags/list?page=2>; rel="next"'}, b'{"tags": ["1.0.0", "1.1.0"]}')
    second = Reply(200, {}, b'{"tags": ["1.2.0"]}')
    found = tags_and_requests(lambda seen: second if "page=2" in seen.target else first, clock)
    assert found == (["1.0.0", "1.1.0", "1.2.0"], 2)


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
