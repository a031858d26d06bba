"""Large blobs straight into pipes, volumes and signed bundles."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from bundler.bundle.reader import open_bundle
from bundler.errors import BundlerError, IntegrityError, NotFoundError, UsageError
from bundler.exporter import export_bundle, output_to, plan_bundle, store_location_of
from bundler.exporter.fetch import fetch_plan
from bundler.exporter.output.output_file import StatementSource, StreamOutput
from bundler.importer import verify_bundle
from bundler.limits import MIB
from bundler.oci.reference import parse_reference
from bundler.reporting.json_report import Report
from bundler.selection.sources import selection_of
from bundler.session import Session
from bundler.trust.bundle_signing import Terms
from bundler.volumes.volume_writer import Cut, split
from tests.builders import Content, manifest_document, noise
from tests.doubles import ALWAYS, FakeClock, MemoryRegistry, says
from tests.flows import exported, registries_for
from tests.trust.keys import NOW, a_key, signing

pytestmark = pytest.mark.slow

SIZE = 3 * MIB

DAY = 24 * 3600


@pytest.fixture(autouse=True)
def _large_from_one_mebibyte(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch_plan, "STREAMED", MIB)


class Source(NamedTuple):
    """A registry with tags of large blobs."""

    registry: MemoryRegistry
    folder: Path

    @property
    def name(self) -> str:
        return f"{self.registry.host}/app"

    @property
    def large_asked(self) -> int:
        """Requests for large blobs so far."""
        blobs = self.registry.repositories["app"].blobs
        asked = (seen.path.rsplit("/", 1)[1] for seen in self.registry.asked("GET", "/blobs/"))
        sizes = {str(digest): len(data) for digest, data in blobs.items()}
        return sum(sizes[digest] >= SIZE for digest in asked)

    def whole(self) -> Path:
        """The bundle as it is written by way of a store."""
        (self.folder / "whole").mkdir()
        out = self.folder / "whole" / "b.tar.zst"
        exported(out, self.name, store=self.folder / "store")
        return out


@pytest.fixture
def source(tmp_path: Path) -> Iterator[Source]:
    content = Content()
    config = content.add_blob(b"{}")
    for number in range(3):
        layers = [content.add_blob(noise(f"large {number}", SIZE + number)), content.add_blob(b"small")]
        content.add_manifest(manifest_document(config, layers), f"1.{number}.0")
    with MemoryRegistry({"app": content}) as registry:
        yield Source(registry, tmp_path)


def export(source: Source, out: object, store: Path | None = None) -> Report:
    session = Session(registries_for(FakeClock()), jobs=4)
    selection = selection_of([parse_reference(source.name)])
    location = store_location_of(out, store)  # type: ignore[arg-type]
    return export_bundle(selection, out, location, session)  # type: ignore[arg-type]


# --- pipes -----------------------------------------------------------------------------------------------


def into_pipe(source: Source, run: Callable[[StreamOutput], object]) -> bytes:
    """What arrives at the other end."""
    reading, writing = os.pipe()
    arrived: list[bytes] = []

    def read() -> None:
        with os.fdopen(reading, "rb") as file:
            arrived.append(file.read())

    reader = threading.Thread(target=read)
    reader.start()
    try:
        run(StreamOutput(descriptor=writing))
    finally:
        os.close(writing)
        reader.join()
    return arrived[0]


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder for temporary files."""
    folder = tmp_path / "scratch"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    return folder


def test_a_pipe_needs_no_store(source: Source, scratch: Path) -> None:
    assert into_pipe(source, lambda out: export(source, out)) == source.whole().read_bytes()
    assert not list(scratch.iterdir())


def test_only_small_blobs_are_kept_beside_a_pipe(source: Source, scratch: Path) -> None:
    out = StreamOutput(descriptor=-1)
    session = Session(registries_for(FakeClock()))
    selection = selection_of([parse_reference(source.name)])
    _, plan, disk = plan_bundle(selection, out, store_location_of(out), session)
    assert plan.fetch_bytes > 3 * SIZE
    assert disk < 10_000
    assert not list(scratch.iterdir())


def test_a_compact_pipe_still_needs_one() -> None:
    out = output_to("-", compact=3)
    with pytest.raises(UsageError, match="needs a directory for its blobs"):
        store_location_of(out)


def test_a_failing_blob_leaves_a_pipe_without_an_end(source: Source, scratch: Path) -> None:
    """Case 13."""
    large = max(source.registry.repositories["app"].blobs.items(), key=lambda item: len(item[1]))[0]
    source.registry.on("GET", f"/blobs/{large}", says(404), times=ALWAYS)
    told: list[BundlerError] = []

    def run(out: StreamOutput) -> None:
        with pytest.raises(NotFoundError) as raised:
            export(source, out)
        told.append(raised.value)

    arrived = source.folder / "arrived.tar.zst"
    arrived.write_bytes(into_pipe(source, run))
    assert "the bundle has no end" in told[0].cause
    assert "--store DIR" in told[0].next_step
    with pytest.raises(IntegrityError, match="truncated"), open_bundle(arrived) as bundle:
        verify_bundle(bundle)
    assert not list(scratch.iterdir())


# --- volumes ---------------------------------------------------------------------------------------------

CUT = Cut(2 * MIB)


def volumes_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.is_file()}


@pytest.fixture
def volumes(source: Source) -> dict[str, bytes]:
    """The volumes into which the bundle is cut."""
    folder = source.folder / "volumes"
    folder.mkdir()
    split(source.whole(), folder, CUT)
    return volumes_of(folder)


def into_volumes(source: Source, folder: Path) -> dict[str, bytes]:
    assert export(source, output_to(str(folder / "b.tar.zst"), cut=CUT)).exit_code == 0
    return volumes_of(folder)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "out"
    folder.mkdir()
    return folder


def test_volumes_are_written_once(source: Source, folder: Path, volumes: dict[str, bytes]) -> None:
    before = source.large_asked
    assert into_volumes(source, folder) == volumes
    assert source.large_asked == before + 3


@pytest.mark.parametrize("named", [0, 2])
@pytest.mark.parametrize("left", [1, 3, 4])
def test_volumes_of_an_interrupted_run_are_gone_on_with(
    left: int, named: int, source: Source, folder: Path, volumes: dict[str, bytes]
) -> None:
    """The last of them in part; some may have their names. Case 117."""
    for number, (name, data) in enumerate(volumes.items()):
        if number < left:
            piece = data[: CUT.piece] if number < left - 1 else data[: CUT.piece // 2]
            file, held = (name, data) if number < min(named, left - 1) else (f".{name}.tmp", piece)
            (folder / file).write_bytes(held)
    before = source.large_asked
    assert into_volumes(source, folder) == volumes
    assert source.large_asked == before + {1: 3, 3: 2, 4: 1}[left]


def test_volumes_cut_otherwise_before_do_no_harm(
    source: Source, folder: Path, volumes: dict[str, bytes]
) -> None:
    whole = (source.folder / "whole" / "b.tar.zst").read_bytes()
    (folder / ".b.tar.zst.001.tmp").write_bytes(whole[: 5 * MIB])
    (folder / ".b.tar.zst.002.tmp").write_bytes(whole[5 * MIB : 6 * MIB])
    assert into_volumes(source, folder) == volumes


def test_a_failing_blob_costs_its_tags_in_volumes_too(source: Source, folder: Path) -> None:
    large = max(source.registry.repositories["app"].blobs.items(), key=lambda item: len(item[1]))[0]
    source.registry.on("GET", f"/blobs/{large}", says(404), times=ALWAYS)
    before = source.large_asked
    assert export(source, output_to(str(folder / "b.tar.zst"), cut=CUT)).exit_code == 8
    assert source.large_asked == before + 4  # the one that fails twice
    with open_bundle(folder / "b.tar.zst.001") as bundle:
        assert sum(blob.size >= SIZE for blob, _ in bundle.everything()) == 2
    assert not [path for path in folder.iterdir() if path.name.startswith(".")]


# --- signed ----------------------------------------------------------------------------------------------


def signed_export(source: Source, out: Path, key: StatementSource) -> Report:
    return export(source, output_to(str(out), signing=key))


@pytest.fixture
def ssh_key(tmp_path: Path) -> Path:
    """A key pair."""
    return a_key(tmp_path, "key")


@pytest.fixture
def half(source: Source, ssh_key: Path) -> tuple[Path, bytes]:
    """A signed bundle that an interrupted run left, and the whole of it."""
    out = source.folder / "signed.tar.zst"
    assert signed_export(source, out, signing(ssh_key, Terms(), NOW)).exit_code == 0
    whole = out.read_bytes()
    out.unlink()
    (source.folder / ".signed.tar.zst.tmp").write_bytes(whole[: 2 * SIZE])
    return out, whole


def test_a_signed_bundle_is_gone_on_with_as_it_was_signed(
    half: tuple[Path, bytes], source: Source, ssh_key: Path
) -> None:
    out, whole = half
    before = source.large_asked
    assert signed_export(source, out, signing(ssh_key, Terms(), NOW + 3600)).exit_code == 0
    assert out.read_bytes() == whole
    assert source.large_asked == before + 2


@pytest.mark.parametrize(
    ("terms", "now"),
    [(Terms(), NOW + DAY), (Terms(sequence=NOW + 5), NOW), (Terms(job=None), NOW - 5)],
    ids=["a day later", "another number", "a clock that went back"],
)
def test_otherwise_it_is_signed_anew_and_nothing_fetched_twice(
    terms: Terms, now: int, half: tuple[Path, bytes], source: Source, ssh_key: Path
) -> None:
    out, whole = half
    before = source.large_asked
    report = signed_export(source, out, signing(ssh_key, terms, now))
    assert report.exit_code == 0
    assert out.read_bytes() != whole
    assert source.large_asked == before + 2
    with open_bundle(out) as bundle:
        assert bundle.signed_statement
        assert bundle.signed_statement.statement.sequence == (terms.sequence or now)


def test_an_unsigned_beginning_is_not_gone_on_with_signed(source: Source, ssh_key: Path) -> None:
    out = source.folder / "signed.tar.zst"
    (source.folder / ".signed.tar.zst.tmp").write_bytes(source.whole().read_bytes()[: 2 * SIZE])
    assert signed_export(source, out, signing(ssh_key, Terms(), NOW)).exit_code == 0
    with open_bundle(out) as bundle:
        assert bundle.signed_statement
        verify_bundle(bundle)


def test_a_number_stays_above_that_of_what_is_replaced(
    half: tuple[Path, bytes], source: Source, ssh_key: Path
) -> None:
    """A later run finished meanwhile: what is left of the earlier one must not take its place."""
    out, _ = half
    left = source.folder / ".signed.tar.zst.tmp"
    aside = left.read_bytes()
    content = source.registry.repositories["app"]
    tag = content.tags.pop(next(reversed(content.tags)))
    assert signed_export(source, out, signing(ssh_key, Terms(), NOW + 100)).exit_code == 0
    content.tags[type(next(iter(content.tags)))("1.2.0")] = tag
    left.write_bytes(aside)
    assert signed_export(source, out, signing(ssh_key, Terms(), NOW + 50)).exit_code == 0
    with open_bundle(out) as bundle:
        assert bundle.signed_statement
        assert bundle.signed_statement.statement.sequence >= NOW + 100
