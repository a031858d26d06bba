"""Large blobs straight into the bundle: written once, gone on with, given up with their tags."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from bundler.bundle.reader import open_bundle
from bundler.errors import LocalError
from bundler.exporter import OnDrift
from bundler.exporter.fetch import fetch_plan
from bundler.limits import MIB
from bundler.registry import blob_ranges
from bundler.reporting.json_report import Report
from bundler.volumes.continued_file import begin_continued
from tests.builders import Content, manifest_document, noise, packed, push_to
from tests.doubles import (
    ALWAYS,
    FakeClock,
    Fault,
    MemoryRegistry,
    changed,
    cut_after,
    extra,
    flipped,
    reset_after,
    says,
    short,
)
from tests.flows import PATIENT, exported, registries_for
from tests.registries import RealRegistry

pytestmark = pytest.mark.slow

SIZE = 3 * MIB
LARGE = 5
"""Large blobs of the source: the third is of a tag of its own."""


@pytest.fixture(autouse=True)
def _large_from_one_mebibyte(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch_plan, "STREAMED", MIB)


class Source(NamedTuple):
    """A registry with tags of large blobs."""

    registry: MemoryRegistry
    digests: list[str]
    """Digests of the large blobs, in the order in which a bundle has them."""

    @property
    def name(self) -> str:
        return f"{self.registry.host}/app"

    def asked_from(self, first: int) -> list[tuple[str, int]]:
        """Each large blob that was asked for since, with the offset from which on."""
        asked = []
        for seen in self.registry.asked("GET", "/blobs/")[first:]:
            digest = seen.path.rsplit("/", 1)[1]
            if digest in self.digests:
                start = re.match(r"bytes=([0-9]+)-", seen.headers["Range"] or "bytes=0-")
                assert start
                asked.append((digest, int(start[1])))
        return asked

    @property
    def asked(self) -> int:
        return len(self.registry.asked("GET", "/blobs/"))


@pytest.fixture
def source() -> Iterator[Source]:
    content = Content()
    config = content.add_blob(b"{}")
    blobs = [content.add_blob(noise(f"large {number}", SIZE + number)) for number in range(LARGE)]
    small = content.add_blob(noise("small", 3000))
    for number, blob in enumerate(blobs):
        content.add_manifest(manifest_document(config, [small, blob]), f"1.{number}.0")
    inventory, _ = packed({"h.example/app": content})
    digests = [str(blob.digest) for blob in inventory.blobs if blob.size >= SIZE]
    with MemoryRegistry({"app": content}) as registry:
        yield Source(registry, digests)


@pytest.fixture
def whole(source: Source, tmp_path: Path) -> bytes:
    """The bundle, as an export by way of a store writes it."""
    out = tmp_path / "with store" / "b.tar.zst"
    out.parent.mkdir()
    assert exported(out, source.name, store=tmp_path / "store").exit_code == 0
    return out.read_bytes()


def written_by(run: Callable[[], Report]) -> int:
    """Bytes that a run gave to the disk."""

    def written() -> int:
        match = re.search(r"wchar: ([0-9]+)", Path("/proc/self/io").read_text())
        assert match
        return int(match[1])

    before = written()
    assert run().exit_code == 0
    return written() - before


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# --- once ----------------------------------------------------------------------------------------------


def test_large_blobs_are_written_once(source: Source, tmp_path: Path, whole: bytes) -> None:
    out = tmp_path / "out" / "b.tar.zst"
    out.parent.mkdir()
    written = written_by(lambda: exported(out, source.name))
    assert len(whole) < written < 1.05 * len(whole)
    assert out.read_bytes() == whole
    assert names(out.parent) == ["b.tar.zst", "b.tar.zst.sha256"]


def test_where_tags_are_asked_again_blobs_are_stored_first(
    source: Source, tmp_path: Path, whole: bytes
) -> None:
    out = tmp_path / "out.tar.zst"
    written = written_by(lambda: exported(out, source.name, on_drift=OnDrift.WARN))
    assert written > 1.9 * len(whole)
    assert out.read_bytes() == whole


def test_each_is_asked_for_once(source: Source, tmp_path: Path) -> None:
    assert exported(tmp_path / "b.tar.zst", source.name).exit_code == 0
    assert source.asked_from(0) == [(digest, 0) for digest in source.digests]


def test_ranges_go_on_from_blob_to_blob(
    source: Source, tmp_path: Path, whole: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blob_ranges, "WORTH", -1.0)
    monkeypatch.setattr(blob_ranges, "SEGMENT", 128 * 1024)
    first = source.asked
    assert exported(tmp_path / "b.tar.zst", source.name, jobs=8).exit_code == 0
    assert (tmp_path / "b.tar.zst").read_bytes() == whole
    asked = source.asked_from(first)
    assert len(asked) == len(set(asked)) > 80
    # Only the first was begun over one connection.
    assert sum(start == 0 for _, start in asked) == LARGE


# --- interrupted ---------------------------------------------------------------------------------------

CUTS = [500, 4000, SIZE // 2, 2 * SIZE + 1000, 3 * SIZE - 1000, 4 * SIZE, 5 * SIZE + 1000]


@pytest.mark.parametrize("left", CUTS)
def test_what_an_interrupted_run_wrote_is_gone_on_with(
    left: int, source: Source, tmp_path: Path, whole: bytes
) -> None:
    """Case 117."""
    out, first = tmp_path / "b.tar.zst", source.asked
    (tmp_path / ".b.tar.zst.tmp").write_bytes(whole[:left])
    assert exported(out, source.name).exit_code == 0
    assert out.read_bytes() == whole
    asked = source.asked_from(first)
    assert len(asked) == len({digest for digest, _ in asked})
    # A frame that is not whole, of 2 MiB at most, is all that comes again.
    had = sum(start for _, start in asked) + (LARGE - len(asked)) * SIZE
    assert left - had < 2 * MIB + 5000
    assert not list(tmp_path.glob(".*"))


def test_it_writes_only_what_is_missing(source: Source, tmp_path: Path, whole: bytes) -> None:
    out, left = tmp_path / "b.tar.zst", 4 * SIZE
    (tmp_path / ".b.tar.zst.tmp").write_bytes(whole[:left])
    assert written_by(lambda: exported(out, source.name)) < len(whole) - left + 2 * MIB + 20_000


@pytest.mark.parametrize("at", [100, 2000, SIZE, SIZE + 1_000_000, 3 * SIZE])
def test_damage_in_it_is_found(at: int, source: Source, tmp_path: Path, whole: bytes) -> None:
    damaged = bytearray(whole[: 4 * SIZE])
    damaged[at] ^= 1
    (tmp_path / ".b.tar.zst.tmp").write_bytes(damaged)
    assert exported(tmp_path / "b.tar.zst", source.name).exit_code == 0
    assert (tmp_path / "b.tar.zst").read_bytes() == whole


@pytest.mark.parametrize("left", [b"", b"\0" * 70_000, b"precious", b"\x28\xb5\x2f\xfd junk"])
def test_something_else_in_its_place_is_replaced(
    left: bytes, source: Source, tmp_path: Path, whole: bytes
) -> None:
    (tmp_path / ".b.tar.zst.tmp").write_bytes(left)
    assert exported(tmp_path / "b.tar.zst", source.name).exit_code == 0
    assert (tmp_path / "b.tar.zst").read_bytes() == whole
    assert not list(tmp_path.glob(".*"))


def test_bytes_of_another_bundle_are_moved_not_fetched(source: Source, tmp_path: Path, whole: bytes) -> None:
    out, first = tmp_path / "b.tar.zst", source.asked
    (tmp_path / ".b.tar.zst.tmp").write_bytes(whole[: 4 * SIZE])
    report = exported(out, source.name + ":1.0.0", source.name + ":1.1.0", source.name + ":1.2.0")
    assert report.exit_code == 0
    with open_bundle(out) as bundle:
        needed = {str(blob.digest) for blob in bundle.inventory.content}
        assert all(list(chunks) for _, chunks in bundle.everything())
    # The last of the five was not there, and the fourth in part.
    for digest, start in source.asked_from(first):
        assert digest in needed
        assert digest in source.digests[3:]
        assert start > 0 or digest == source.digests[4]
    assert names(tmp_path / "with store") == ["b.tar.zst", "b.tar.zst.sha256"]
    assert not list(tmp_path.glob("*.store")) + list(tmp_path.glob(".*"))


def test_a_planted_link_is_not_followed(source: Source, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    (tmp_path / ".b.tar.zst.tmp").symlink_to(victim)
    with pytest.raises(LocalError, match="it is a link"):
        exported(tmp_path / "b.tar.zst", source.name)
    assert victim.read_bytes() == b"precious"


def test_a_file_that_others_can_write_to_is_refused(source: Source, tmp_path: Path, whole: bytes) -> None:
    left = tmp_path / ".b.tar.zst.tmp"
    left.write_bytes(whole[: 2 * SIZE])
    left.chmod(0o666)
    with pytest.raises(LocalError, match="other users can write to it"):
        exported(tmp_path / "b.tar.zst", source.name)


def test_a_file_that_a_run_is_writing_is_left_alone(source: Source, tmp_path: Path, whole: bytes) -> None:
    """Case 132."""
    other = begin_continued(tmp_path / "b.tar.zst")
    other.write(whole[: 2 * SIZE])
    for name in (source.name, source.name + ":1.0.0"):
        with pytest.raises(LocalError, match="another run is writing it"):
            exported(tmp_path / "b.tar.zst", name)
    other.keep()
    assert (tmp_path / ".b.tar.zst.tmp").read_bytes() == whole[: 2 * SIZE]


def test_a_finished_export_leaves_nothing_behind(source: Source, tmp_path: Path, whole: bytes) -> None:
    out = tmp_path / "b.tar.zst"
    assert exported(out, source.name).exit_code == 0
    (tmp_path / ".b.tar.zst.tmp").write_bytes(whole[:SIZE])
    assert exported(out, source.name).unchanged
    assert not list(tmp_path.glob(".*"))


# --- faults --------------------------------------------------------------------------------------------


def on_blob(source: Source, number: int, fault: Fault, times: float = ALWAYS) -> None:
    source.registry.on("GET", f"/blobs/{source.digests[number]}", fault, times=times)


@pytest.mark.parametrize("fault", [cut_after(100_000), reset_after(MIB)])
def test_a_break_is_gone_on_with(fault: Fault, source: Source, tmp_path: Path, whole: bytes) -> None:
    """Case 27."""
    on_blob(source, 2, fault, times=1)
    first = source.asked
    assert exported(tmp_path / "b.tar.zst", source.name).exit_code == 0
    assert (tmp_path / "b.tar.zst").read_bytes() == whole
    again = [start for digest, start in source.asked_from(first) if digest == source.digests[2]]
    assert again[0] == 0
    assert all(again[1:])


@pytest.mark.parametrize("spoil", [flipped, short, extra])
def test_wrong_bytes_are_asked_for_again_alone(
    spoil: Callable[..., object], source: Source, tmp_path: Path, whole: bytes
) -> None:
    """Case 29."""
    on_blob(source, 2, changed(spoil), times=1)  # type: ignore[arg-type]
    first = source.asked
    report = exported(tmp_path / "b.tar.zst", source.name)
    assert (report.exit_code, report.traffic.retries) == (0, 1)
    assert (tmp_path / "b.tar.zst").read_bytes() == whole
    asked = Counter(digest for digest, _ in source.asked_from(first))
    assert asked == Counter(source.digests) + Counter([source.digests[2]])


GONE: dict[str, tuple[Fault, int]] = {
    "not there": (says(404), 4),
    "an outage": (says(503), 5),
    "refused": (says(403), 3),
    "wrong bytes": (changed(flipped), 6),
}


@pytest.mark.parametrize("gone", GONE)
def test_a_blob_that_fails_costs_its_tags(gone: str, source: Source, tmp_path: Path) -> None:
    """Case 13."""
    fault, code = GONE[gone]
    on_blob(source, 2, fault)
    out = tmp_path / "b.tar.zst"
    report = exported(out, source.name)
    assert (report.exit_code, [failure.exit_code for failure in report.failures]) == (8, [code])
    assert report.blobs is not None
    assert report.blobs.failed == 1
    with open_bundle(out) as bundle:
        held = {str(blob.digest) for blob, _ in bundle.everything()}
    assert held & {*source.digests} == {*source.digests} - {source.digests[2]}
    asked = Counter(digest for digest, _ in source.asked_from(0))
    assert all(asked[digest] == 1 for digest in source.digests if digest != source.digests[2])
    # It is there again: nothing else is fetched.
    source.registry._rules.clear()
    first = source.asked
    assert exported(out, source.name).exit_code == 0
    assert {digest for digest, _ in source.asked_from(first)} == {source.digests[2]}
    assert names(tmp_path) == ["b.tar.zst", "b.tar.zst.sha256"]


def test_a_small_blob_that_fails_costs_no_large_one_twice(source: Source, tmp_path: Path) -> None:
    content = source.registry.repositories["app"]
    odd = content.add_blob(noise("odd", 5000))
    content.add_manifest(manifest_document(content.add_blob(b"{}"), [odd]), "2.0.0")
    source.registry.on("GET", str(odd["digest"]), says(404), times=ALWAYS)
    out = tmp_path / "b.tar.zst"
    assert exported(out, source.name).exit_code == 8
    source.registry._rules.clear()
    first = source.asked
    assert exported(out, source.name).exit_code == 0
    assert source.asked == first + 1


def test_where_there_is_no_room_to_give_up_the_cause_is_told(
    source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bundler.exporter.output import streamed_output

    def full(needs: object) -> None:
        raise LocalError(str(tmp_path), "full")

    monkeypatch.setattr(streamed_output, "check_disk", full)
    on_blob(source, 2, says(404))
    with pytest.raises(Exception, match=source.digests[2]):
        exported(tmp_path / "b.tar.zst", source.name)
    source.registry._rules.clear()
    first = source.asked
    assert exported(tmp_path / "b.tar.zst", source.name).exit_code == 0
    assert not {digest for digest, _ in source.asked_from(first)} & {*source.digests[:2]}


def test_a_blob_comes_from_the_next_repository_that_has_it(source: Source, tmp_path: Path) -> None:
    source.registry.repositories["other"] = source.registry.repositories["app"]
    source.registry.on("GET", f"/app/blobs/{source.digests[1]}", says(404), times=ALWAYS)
    report = exported(tmp_path / "b.tar.zst", source.name, f"{source.registry.host}/other")
    assert report.exit_code == 0


def test_an_error_of_the_disk_ends_the_run_and_keeps_what_came(
    source: Source, tmp_path: Path, whole: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cases 114, 115."""
    from bundler.durable import WholeFile

    write, room = WholeFile.write, [2 * SIZE]

    def until_full(self: WholeFile, data: bytes | memoryview) -> None:
        room[0] -= len(data)
        if room[0] < 0 and self.path.name == "b.tar.zst":
            raise LocalError(str(self.path), "can't write: No space left on device")
        write(self, data)

    out = tmp_path / "b.tar.zst"
    with monkeypatch.context() as patched:
        patched.setattr(WholeFile, "write", until_full)
        with pytest.raises(LocalError, match="No space left"):
            exported(out, source.name)
    assert not out.exists()
    first = source.asked
    assert exported(out, source.name).exit_code == 0
    assert out.read_bytes() == whole
    assert source.digests[0] not in {digest for digest, _ in source.asked_from(first)}


def test_time_in_which_the_reader_waits_is_not_the_registrys(
    source: Source, clock: FakeClock, tmp_path: Path
) -> None:
    """Case 38: a pipe may be read as slowly as its reader likes."""
    known = registries_for(clock, limits=PATIENT._replace(blob_seconds=1.0, blob_rate=1 << 30))
    repository = known.source(source.registry.repository("app"))
    from bundler.oci import Descriptor, Digest

    digest = Digest(source.digests[0])
    data = source.registry.repositories["app"].blobs[digest]
    read = b""
    for chunk in repository.chunks_from(Descriptor("", digest, len(data)), 0):
        clock.sleep(100.0)
        read += chunk
    assert read == data


def test_a_real_registry_is_read_straight_into_the_bundle(
    source_registry: RealRegistry, fresh: Callable[[str], str], source: Source, tmp_path: Path, whole: bytes
) -> None:
    path = fresh("app")
    push_to(source_registry.base, path, source.registry.repositories["app"])
    name = str(source_registry.repository(path))
    bundles = [tmp_path / "straight.tar.zst", tmp_path / "stored.tar.zst", tmp_path / "resumed.tar.zst"]
    assert exported(bundles[0], name).exit_code == 0
    assert exported(bundles[1], name, store=tmp_path / "another").exit_code == 0
    (tmp_path / ".resumed.tar.zst.tmp").write_bytes(bundles[0].read_bytes()[: 2 * SIZE + MIB])
    assert exported(bundles[2], name).exit_code == 0
    assert len({bundle.read_bytes() for bundle in bundles}) == 1
    blobs = [access for access in source_registry.accesses(path) if access.method == "GET"]
    assert sum(any(digest in access.target for digest in source.digests) for access in blobs) == 5 + 5 + 3
