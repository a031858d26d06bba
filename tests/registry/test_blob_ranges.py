"""A large blob over several connections."""

from __future__ import annotations

import gzip
import itertools
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from bundler.errors import NotFoundError
from bundler.limits import KIB
from bundler.oci import Descriptor
from bundler.registry import blob_ranges
from bundler.registry.blob_ranges import BlobRun, WantedBlob, fast_chunks
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


# --- several blobs, one after the other ----------------------------------------------------------------

MANY = [noise(f"blob {number}", size) for number, size in enumerate((700_001, 300_000, 900_000, 500_000))]


@pytest.fixture
def many(server: MemoryRegistry) -> list[Descriptor]:
    for data in MANY:
        server.repositories["app"].add_blob(data)
    return [descriptor_of(data) for data in MANY]


def read_run(wanted: list[WantedBlob], lanes: int = 8) -> list[bytes]:
    """All blobs of a run; every lane is free again afterwards."""
    shared = Lanes(lanes)
    with shared.held(), closing(BlobRun(wanted, shared)) as run:
        read = [b"".join(run.chunks(item.blob, item.offset)) for item in wanted]
    assert [shared.take_spare() for _ in range(lanes + 1)] == [True] * lanes + [False]
    return read


@pytest.mark.parametrize("lanes", [1, 2, 8, 16])
def test_blobs_of_a_run_come_whole(lanes: int, many: list[Descriptor], repository: Repository) -> None:
    assert read_run([WantedBlob(blob, [repository]) for blob in many], lanes) == MANY


def test_ranges_of_the_next_blob_are_asked_for_ahead(
    many: list[Descriptor], server: MemoryRegistry, repository: Repository
) -> None:
    read_run([WantedBlob(blob, [repository]) for blob in many])
    asked = [(seen.path, seen.headers["Range"]) for seen in server.asked("GET", "/blobs/")]
    assert len(asked) == len(set(asked))
    assert sum(not header for _, header in asked) == 1


def test_short_blobs_bring_the_next_ones_in_ranges(server: MemoryRegistry, repository: Repository) -> None:
    short = [noise(f"short {number}", 2 * SEGMENT) for number in range(6)]
    for data in short:
        server.repositories["app"].add_blob(data)
    assert read_run([WantedBlob(descriptor_of(data), [repository]) for data in short]) == short
    assert ranges_of(server).count(f"bytes=0-{SEGMENT - 1}") == 5


def test_what_is_had_of_blobs_of_a_run_is_not_asked_for(
    many: list[Descriptor], server: MemoryRegistry, repository: Repository
) -> None:
    had = [0, 300_000, 450_000, 10]
    wanted = [WantedBlob(blob, [repository], offset) for blob, offset in zip(many, had, strict=True)]
    shared = Lanes(8)
    with shared.held(), closing(BlobRun(wanted, shared)) as run:
        for number in (0, 2, 3):  # the second is all there
            read = b"".join(run.chunks(many[number], had[number]))
            assert read == MANY[number][had[number] :]
    assert not server.asked("GET", many[1].digest)


def test_an_offset_other_than_foreseen_is_right_too(many: list[Descriptor], repository: Repository) -> None:
    shared = Lanes(8)
    with shared.held(), closing(BlobRun([WantedBlob(blob, [repository]) for blob in many], shared)) as run:
        read = [b"".join(run.chunks(blob, 1000 * number)) for number, blob in enumerate(many)]
    assert read == [data[1000 * number :] for number, data in enumerate(MANY)]


@pytest.mark.slow
@pytest.mark.parametrize("after", [0, 3, 9])
@pytest.mark.parametrize("odd", ODD)
def test_odd_answers_in_a_run_end_in_one_connection(
    odd: str, after: int, many: list[Descriptor], server: MemoryRegistry, repository: Repository
) -> None:
    ends = tuple(f"-{len(data) - 1}" for data in MANY)
    numbers = itertools.count()
    fault = ODD[odd]()

    def chosen(wire: Wire, request: Seen, answer: Answer) -> bool:
        asked = request.headers["Range"]
        if asked and not asked.endswith(ends) and next(numbers) >= after and odd != "the whole blob":
            return fault(wire, request, answer)
        wire.send(request, answer())
        return True

    server.on("GET", "/blobs/", chosen, times=ALWAYS)
    assert read_run([WantedBlob(blob, [repository]) for blob in many]) == MANY


def test_a_blob_of_a_run_comes_from_where_it_is(
    many: list[Descriptor], server: MemoryRegistry, repository: Repository, clock: FakeClock
) -> None:
    server.repositories["empty"] = a_module("1.0.0")
    limits = PATIENT._replace(blob_seconds=3600.0)
    empty = registries_for(clock, limits=limits).source(server.repository("empty"))
    assert read_run([WantedBlob(blob, [empty, repository]) for blob in many]) == MANY


def test_a_blob_that_is_nowhere_is_said_to_be(many: list[Descriptor], repository: Repository) -> None:
    gone = descriptor_of(noise("gone", 600_000))
    wanted = [WantedBlob(blob, [repository]) for blob in (many[0], gone, many[1])]
    shared = Lanes(8)
    with shared.held(), closing(BlobRun(wanted, shared)) as run:
        assert b"".join(run.chunks(many[0], 0)) == MANY[0]
        with pytest.raises(NotFoundError):
            list(run.chunks(gone, 0))
        assert b"".join(run.chunks(many[1], 0)) == MANY[1]
    assert [shared.take_spare() for _ in range(9)] == [True] * 8 + [False]


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
