"""One suite for everything that takes blobs: memory, store, real registry."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from bundler.errors import IntegrityError, NetworkError
from bundler.oci.content import BlobSink, BlobSource, read_all, verified
from bundler.oci.digest import Descriptor
from bundler.store.blob_store import Store
from tests.builders import MemoryStore, descriptor_of, noise
from tests.doubles import FakeClock
from tests.flows import registries_for
from tests.registries import RealRegistry

KINDS = ("memory", "store", "registry")
DATA = noise("sink", 3_000_000)
BLOB = descriptor_of(DATA)


class Place:
    """A sink, and the source that reads what it took."""

    def __init__(self, sink: BlobSink, source: BlobSource) -> None:
        self.sink = sink
        self.source = source


@pytest.fixture(params=KINDS)
def place(request: pytest.FixtureRequest, tmp_path: Path, fresh: Callable[[str], str]) -> Iterator[Place]:
    with ExitStack() as stack:
        if request.param == "registry":
            registry: RealRegistry = request.getfixturevalue("target_registry")
            known, name = registries_for(FakeClock()), registry.repository(fresh("app"))
            yield Place(known.target(name), known.source(name))
            return
        store = MemoryStore() if request.param == "memory" else stack.enter_context(Store(tmp_path / "store"))
        yield Place(store, store)


def offered(data: bytes, blob: Descriptor = BLOB) -> Callable[[int], Iterator[bytes]]:
    """Verified chunks, as every source gives them."""
    chunks = [data[start : start + 500_000] for start in range(0, len(data), 500_000)]
    return lambda offset: verified(blob, chunks if not offset else [data[offset:]])


def test_what_was_added_is_there_and_comes_back(place: Place) -> None:
    assert not place.sink.has(BLOB)
    place.sink.add(BLOB, offered(DATA))
    assert place.sink.has(BLOB)
    assert read_all(place.source, BLOB) == DATA


@pytest.mark.parametrize("wrong", [DATA[:-1], DATA + b"!", DATA[:-1] + b"\0", b""])
def test_wrong_bytes_are_an_integrity_error_and_never_there(place: Place, wrong: bytes) -> None:
    with pytest.raises(IntegrityError):
        place.sink.add(BLOB, offered(wrong))
    assert not place.sink.has(BLOB)


def test_a_source_that_fails_leaves_no_blob(place: Place) -> None:
    def fails(offset: int) -> Iterator[bytes]:
        yield DATA[:100]
        raise NetworkError("the source", "is gone")

    with pytest.raises(NetworkError, match="is gone"):
        place.sink.add(BLOB, fails)
    assert not place.sink.has(BLOB)


def test_adding_twice_is_no_error(place: Place) -> None:
    place.sink.add(BLOB, offered(DATA))
    place.sink.add(BLOB, offered(DATA))
    assert read_all(place.source, BLOB) == DATA


def test_the_empty_blob_can_be_added(place: Place) -> None:
    empty = descriptor_of(b"")
    place.sink.add(empty, offered(b"", empty))
    assert place.sink.has(empty)


@pytest.mark.slow
def test_many_blobs_can_be_added_at_once(place: Place) -> None:
    blobs = {descriptor_of(data): data for data in (noise(str(number), 20_000) for number in range(12))}
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda item: place.sink.add(item[0], offered(item[1], item[0])), blobs.items()))
    assert all(read_all(place.source, blob) == data for blob, data in blobs.items())
