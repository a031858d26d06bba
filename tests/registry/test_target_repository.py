"""Writing to one repository of a real registry."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from bundler.errors import IntegrityError, TargetRefusedError
from bundler.limits import MIB
from bundler.oci.content import verified
from bundler.oci.reference import Tag
from bundler.registry.blob_uploads import TRIED_WHOLE, Arrival
from bundler.registry.quirks import MissingContentError
from bundler.registry.target_repository import TargetRepository
from tests.builders import Content, a_module, an_image, descriptor_of, noise, push_to
from tests.doubles import ALWAYS, FakeClock, FaultProxy, says, with_headers
from tests.flows import registries_for
from tests.registries import RealRegistry, running_second_registry

Fresh = Callable[[str], str]
DATA = noise("target", 50_000)
BLOB = descriptor_of(DATA)


@pytest.fixture
def proxy(target_registry: RealRegistry) -> Iterator[FaultProxy]:
    with FaultProxy(target_registry.host) as running:
        yield running


@pytest.fixture
def path(fresh: Fresh) -> str:
    return fresh("app")


@pytest.fixture
def target(proxy: FaultProxy, path: str, clock: FakeClock) -> TargetRepository:
    return registries_for(clock).target(proxy.repository(path))


def chunks(offset: int) -> Iterator[bytes]:
    return iter([DATA[offset:]])


def chunks_of(data: bytes) -> Callable[[int], Iterator[bytes]]:
    return lambda offset: iter([data[offset:]])


def test_an_upload_is_a_question_less_post_and_put(target: TargetRepository, proxy: FaultProxy) -> None:
    assert target.add(BLOB, chunks) is Arrival.NAMED
    assert [seen.method for seen in proxy.seen] == ["POST", "PUT"]
    assert proxy.seen[1].headers["Content-Length"] == str(BLOB.size)
    assert proxy.seen[1].body == DATA


def test_where_a_post_takes_the_bytes_a_blob_is_one_request(path: str, clock: FakeClock) -> None:
    small, medium, large = (descriptor_of(noise("whole", size)) for size in (10, 300_000, 2 * MIB))
    with running_second_registry() as host, FaultProxy(host) as proxy:
        target = registries_for(clock).target(proxy.repository(path))
        for blob in (small, medium, large):
            assert target.add(blob, chunks_of(noise("whole", blob.size))) is Arrival.NAMED
            assert target.has(blob)
        assert [seen.method for seen in proxy.asked("POST|PUT")] == ["POST", "POST", "POST", "PUT"]


def test_where_a_post_takes_no_bytes_one_blob_finds_that_out(
    target: TargetRepository, proxy: FaultProxy
) -> None:
    for size in (TRIED_WHOLE, TRIED_WHOLE - 1):
        data = noise("posted", size)
        assert target.add(descriptor_of(data), chunks_of(data)) is Arrival.NAMED
    assert [len(seen.body) for seen in proxy.asked("POST")] == [TRIED_WHOLE, 0]


@pytest.mark.parametrize("status", [400, 405, 413, 415])
def test_where_a_post_with_bytes_is_refused_it_takes_two(
    status: int, target: TargetRepository, proxy: FaultProxy
) -> None:
    proxy.on("POST", "digest=", says(status), times=ALWAYS)
    assert target.add(BLOB, chunks) is Arrival.NAMED
    assert [seen.method for seen in proxy.seen] == ["POST", "POST", "PUT"]


def test_a_mount_sends_no_bytes(proxy: FaultProxy, fresh: Fresh, clock: FakeClock) -> None:
    known = registries_for(clock)
    first, second = proxy.repository(fresh("first")), proxy.repository(fresh("second"))
    known.target(first).add(BLOB, chunks)
    assert known.target(second).add(BLOB, chunks, mount_from=first) is Arrival.LENT
    assert known.target(second).has(BLOB)


def test_wrong_bytes_are_never_finalised(target: TargetRepository, proxy: FaultProxy) -> None:
    wrong = [DATA[:-1], b"!"]
    with pytest.raises(IntegrityError):
        target.add(BLOB, lambda offset: verified(BLOB, wrong))
    assert not target.has(BLOB)
    assert proxy.asked("PUT") == []  # its body never came to an end


@pytest.mark.parametrize("by_digest", [True, False])
def test_what_a_tag_points_to_is_one_head(
    by_digest: bool, target: TargetRepository, target_registry: RealRegistry, path: str, proxy: FaultProxy
) -> None:
    content = an_image()
    assert target.digest_of(Tag("1.0.0")) is None
    push_to(target_registry.base, path, content)
    digest = content.tags["1.0.0"]
    assert target.digest_of(digest if by_digest else Tag("1.0.0")) == digest
    assert [seen.method for seen in proxy.seen] == ["HEAD", "HEAD"]


def test_a_registry_that_omits_the_digest_is_asked_for_bytes(
    target: TargetRepository, target_registry: RealRegistry, path: str, proxy: FaultProxy
) -> None:
    content = an_image()
    push_to(target_registry.base, path, content)
    proxy.on("HEAD|GET", "", with_headers(Docker_Content_Digest=""), times=ALWAYS)
    assert target.digest_of(Tag("1.0.0")) == content.tags["1.0.0"]


def test_a_manifest_is_sent_as_its_exact_bytes_and_type(
    target: TargetRepository, target_registry: RealRegistry, path: str, proxy: FaultProxy
) -> None:
    content = a_module("1.0.0")
    push_to(target_registry.base, path, Content(blobs=content.blobs))
    (manifest,) = content.parsed().values()
    target.put_manifest(manifest, Tag("1.0.0"))
    assert proxy.seen[0].body == manifest.data
    assert proxy.seen[0].headers["Content-Type"] == manifest.blob.media_type
    assert target.digest_of(Tag("1.0.0")) == manifest.blob.digest


def test_a_manifest_whose_blobs_are_missing_is_told_apart(target: TargetRepository) -> None:
    (manifest,) = a_module("1.0.0").parsed().values()
    with pytest.raises(MissingContentError, match="BLOB_UNKNOWN") as error:
        target.put_manifest(manifest, Tag("1.0.0"))
    assert isinstance(error.value, TargetRefusedError)
