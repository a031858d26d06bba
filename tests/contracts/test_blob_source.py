"""One suite for everything that gives blobs: memory, store, bundle, unpacked bundle, real registry."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from bundler.bundle.reader import open_bundle
from bundler.errors import IntegrityError, NotFoundError
from bundler.oci.content import BlobSource, read_all
from bundler.oci.digest import Descriptor
from bundler.oci.reference import RepositoryName
from bundler.store.blob_store import Store
from tests.builders import Content, MemoryStore, a_bundle, an_image, descriptor_of, noise, push_to
from tests.doubles import FakeClock
from tests.flows import registries_for
from tests.registries import RealRegistry, require

KINDS = ("memory", "store", "bundle", "unpacked", "registry")
Make = Callable[[Content], BlobSource]


@pytest.fixture
def content() -> Content:
    """One image with a layer of several megabytes."""
    made = an_image(layers=2)
    large = made.add_blob(noise("large", 5_000_000))
    config = made.add_blob(b"{}")
    made.add_manifest(
        {
            "schemaVersion": 2,
            "mediaType": made.manifests[made.tags["1.0.0"]][0],
            "config": config,
            "layers": [large],
        },
        "2.0.0",
    )
    return made


@pytest.fixture(params=KINDS)
def source(
    request: pytest.FixtureRequest, content: Content, tmp_path: Path, fresh: Callable[[str], str]
) -> Iterator[BlobSource]:
    with ExitStack() as stack:
        yield _made(request, content, tmp_path, fresh("app"), stack)


def _made(
    request: pytest.FixtureRequest, content: Content, folder: Path, path: str, stack: ExitStack
) -> BlobSource:
    if request.param == "memory":
        return MemoryStore(content)
    if request.param == "store":
        store = stack.enter_context(Store(folder / "store"))
        for digest, data in content.everything():
            store.add_bytes(Descriptor("", digest, len(data)), data)
        return store
    if request.param == "registry":
        registry: RealRegistry = request.getfixturevalue("source_registry")
        push_to(registry.base, path, content)
        return registries_for(FakeClock()).source(RepositoryName(registry.repository(path)))
    bundle = a_bundle(folder / "b.tar.zst", {"h.example/app": content})
    if request.param == "unpacked":
        subprocess.run([require("tar"), "--zstd", "-xf", bundle, "-C", folder], check=True)
        bundle = folder
    return stack.enter_context(open_bundle(bundle))


def descriptors(content: Content) -> list[Descriptor]:
    return [Descriptor("", digest, len(data)) for digest, data in content.blobs.items()]


@pytest.mark.slow
def test_every_blob_comes_whole(source: BlobSource, content: Content) -> None:
    for blob in descriptors(content):
        assert read_all(source, blob) == content.blobs[blob.digest]


@pytest.mark.slow
def test_a_blob_can_be_read_again_and_by_many_threads(source: BlobSource, content: Content) -> None:
    wanted = descriptors(content) * 4
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda blob: read_all(source, blob), wanted))
    assert found == [content.blobs[blob.digest] for blob in wanted]


@pytest.mark.slow
def test_a_blob_may_be_left_in_the_middle(source: BlobSource, content: Content) -> None:
    large = max(descriptors(content), key=lambda blob: blob.size)
    assert content.blobs[large.digest].startswith(next(iter(source.chunks(large))))
    assert read_all(source, large) == content.blobs[large.digest]


@pytest.mark.slow
@pytest.mark.parametrize("difference", [-1, 1])
def test_a_wrong_size_is_an_integrity_error(source: BlobSource, content: Content, difference: int) -> None:
    blob = descriptors(content)[0]
    with pytest.raises(IntegrityError):
        read_all(source, Descriptor("", blob.digest, blob.size + difference))


@pytest.mark.slow
def test_a_blob_that_is_not_there_is_an_error_that_names_it(source: BlobSource) -> None:
    absent = descriptor_of(b"absent")
    with pytest.raises((NotFoundError, IntegrityError), match=absent.digest.encoded):
        read_all(source, absent)
