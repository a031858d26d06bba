"""A large blob over several connections."""

from __future__ import annotations

import gzip
import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bundler.limits import KIB
from bundler.registry import blob_ranges
from bundler.registry.blob_ranges import fast_chunks
from bundler.registry.repository import Repository
from bundler.workers import Lanes
from tests.builders import a_module, descriptor_of, noise, push_to
from tests.doubles import (
    ALWAYS,
    Answer,
    FakeClock,
    Fault,
    MemoryRegistry,
    Reply,
    Seen,
    Wire,
    changed,
    cut_after,
    flipped,
    says,
    with_headers,
)
from tests.flows import PATIENT, exported, registries_for
from tests.registries import RealRegistry

DATA = noise("ranges", 3_000_001)
BLOB = descriptor_of(DATA)
SEGMENT = 128 * KIB


@pytest.fixture(autouse=True)
def _always_worth_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Short ranges, and every connection counts as slow."""
    monkeypatch.setattr(blob_ranges, "SEGMENT", SEGMENT)
    monkeypatch.setattr(blob_ranges, "WORTH", -1.0)


@pytest.fixture
def server() -> Iterator[MemoryRegistry]:
    content = a_module("1.0.0")
    content.add_blob(DATA)
    with MemoryRegistry({"app": content}) as running:
        yield running


@pytest.fixture
def repository(server: MemoryRegistry, clock: FakeClock) -> Repository:
    """A repository with time for the waits of all threads: the tests' clock adds them up."""
    limits = PATIENT._replace(blob_seconds=3600.0)
    return registries_for(clock, limits=limits).source(server.repository("app"))


def read(repository: Repository, offset: int = 0, lanes: int = 8) -> bytes:
    """All bytes from an offset, by a task that holds its lane; every lane is free again afterwards."""
    shared = Lanes(lanes)
    with shared.held():
        data = b"".join(fast_chunks(repository, BLOB, offset, shared))
    assert [shared.take_spare() for _ in range(lanes + 1)] == [True] * lanes + [False]
    return data


def ranges_of(server: MemoryRegistry) -> list[str]:
    return [seen.headers["Range"] for seen in server.asked("GET", "/blobs/") if seen.headers["Range"]]


def in_ranges(fault: Fault, *, after: int = 0) -> Fault:
    """A fault in the answers to ranges inside the blob, behind the first few; other answers stay right."""
    numbers, to_the_end = itertools.count(), f"-{len(DATA) - 1}"

    def chosen(wire: Wire, request: Seen, answer: Answer) -> bool:
        asked = request.headers["Range"]
        if asked and not asked.endswith(to_the_end) and next(numbers) >= after:
            return fault(wire, request, answer)
        wire.send(request, answer())
        return True

    return chosen


def test_the_rest_of_a_slow_blob_comes_in_ranges(server: MemoryRegistry, repository: Repository) -> None:
    assert read(repository) == DATA
    asked = ranges_of(server)
    assert len(asked) == len(set(asked)) > 10
    assert all(
        int(end) - int(start) < SEGMENT for start, _, end in (line[6:].partition("-") for line in asked)
    )


def test_a_resumed_blob_comes_in_ranges_too(server: MemoryRegistry, repository: Repository) -> None:
    assert read(repository, 500_000) == DATA[500_000:]
    assert len(ranges_of(server)) > 10


def test_a_lane_that_is_not_free_is_not_used(server: MemoryRegistry, repository: Repository) -> None:
    assert read(repository, lanes=1) == DATA
    assert len(server.asked("GET", "/blobs/")) == 1


def test_a_small_blob_is_one_request(
    server: MemoryRegistry, repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blob_ranges, "SEGMENT", len(DATA) // 4)
    assert read(repository) == DATA
    assert len(server.asked("GET", "/blobs/")) == 1


def etags() -> Fault:
    """Another ETag in each answer."""
    numbers = itertools.count()
    return changed(lambda reply: reply._replace(headers={**reply.headers, "ETag": f'"{next(numbers)}"'}))


def whole(reply: Reply) -> Reply:
    return Reply(200, {}, DATA)


def compressed(reply: Reply) -> Reply:
    return reply._replace(
        headers={**reply.headers, "Content-Encoding": "gzip"}, body=gzip.compress(reply.body)
    )


ODD: dict[str, Callable[[], Fault]] = {
    "the whole blob": lambda: changed(whole),
    "another range": lambda: with_headers(Content_Range="bytes 0-1/2"),
    "no Content-Range": lambda: with_headers(Content_Range=""),
    "another ETag": etags,
    "compressed on the way": lambda: changed(compressed),
    "not satisfiable": lambda: says(416),
    "refused": lambda: says(403),
    "not there": lambda: says(404),
    "an outage": lambda: says(503),
}


@pytest.mark.slow
@pytest.mark.parametrize("after", [0, 1, 5])
@pytest.mark.parametrize("odd", ODD)
def test_an_odd_answer_to_a_range_ends_in_one_connection(
    odd: str, after: int, server: MemoryRegistry, repository: Repository
) -> None:
    server.on("GET", "/blobs/", in_ranges(ODD[odd](), after=after), times=ALWAYS)
    assert read(repository) == DATA


def test_an_encoding_of_the_blobs_own_bytes_costs_no_range(
    server: MemoryRegistry, repository: Repository
) -> None:
    server.on("GET", "/blobs/", with_headers(Content_Encoding="gzip"), times=ALWAYS)
    assert read(repository) == DATA
    assert len(ranges_of(server)) > 10


def test_a_range_that_breaks_off_is_resumed_alone(server: MemoryRegistry, repository: Repository) -> None:
    server.on("GET", "/blobs/", in_ranges(cut_after(50_000), after=3), times=8)
    assert read(repository) == DATA
    assert len(ranges_of(server)) < 60


@pytest.mark.slow
def test_a_range_that_lies_costs_another_download(server: MemoryRegistry, tmp_path: Path) -> None:
    server.repositories["app"] = a_module("1.0.0", size=2_000_000)
    server.on("GET", "/blobs/", in_ranges(changed(flipped)), times=ALWAYS)
    report = exported(tmp_path / "b.tar.zst", str(server.repository("app")))
    assert report.exit_code == 0
    assert report.traffic.retries in {1, 2}  # the second of two large layers may find no lane free


@pytest.mark.slow
def test_a_real_registry_answers_ranges(
    source_registry: RealRegistry, fresh: Callable[[str], str], clock: FakeClock
) -> None:
    content, path = a_module("1.0.0", size=2_000_000), fresh("app")
    push_to(source_registry.base, path, content)
    large = max(content.blobs.values(), key=len)
    source, lanes = registries_for(clock).source(source_registry.repository(path)), Lanes(8)
    with lanes.held():
        assert b"".join(fast_chunks(source, descriptor_of(large), 0, lanes)) == large
    asked = [access for access in source_registry.accesses(path) if "/blobs/sha256" in access.target]
    assert sum(access.status == 206 for access in asked) > 5
