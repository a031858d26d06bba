"""A bundle in volumes: read in place, in any order, and what is lost is named and made again."""

from __future__ import annotations

import hashlib
import json
import random
import shutil
import struct
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bundler.bundle.reader import open_bundle
from bundler.errors import BundlerError, ContentError, UsageError
from bundler.importer import verify_bundle
from bundler.volumes.repair import check_volumes, complaint, repair
from bundler.volumes.volume_format import MAGIC, TRAILER, decode_trailer, encode_trailer
from bundler.volumes.volume_reader import OneFile
from bundler.volumes.volume_sets import find_volumes, open_set
from tests.builders import a_bundle, a_module, noise
from tests.doubles import MemoryRegistry
from tests.processes import bundler
from tests.server.client import writable_registry
from tests.sweeps import LoadedProgram
from tests.volumes.cuts import SIZE, cut, damage, read

# --- the format --------------------------------------------------------------------------------------


@settings(max_examples=25)
@given(length=st.integers(1, 5 * SIZE), seed=st.integers(0, 3))
def test_volumes_are_read_as_one_in_any_order_and_by_any_name(
    length: int, seed: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("v")
    data = noise(f"volumes {seed}", length)
    files = cut(folder, data)
    assert all(file.stat().st_size < SIZE for file in files)
    names = random.Random(seed).sample(range(1000), len(files))
    renamed = [
        file.rename(file.with_name(f"{number}.bin")) for file, number in zip(files, names, strict=True)
    ]
    assert read(renamed[0]) == data
    assert b"".join(file.read_bytes()[:-TRAILER] for file in renamed) == data


@pytest.mark.slow
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_any_volumes_may_be_lost_or_damaged_up_to_the_parity(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("v")
    content = noise("parity", data.draw(st.integers(1, 6 * SIZE)))
    files = cut(folder, content, parity=data.draw(st.sampled_from([10, 50, 100])))
    before = {file: file.read_bytes() for file in files}
    parity = sum(file.name.count(".p") for file in files)
    for file in data.draw(st.lists(st.sampled_from(files), unique=True, min_size=1, max_size=parity)):
        if data.draw(st.booleans()) and len(before[file]) > TRAILER:
            damaged = bytearray(before[file])
            damaged[data.draw(st.integers(0, len(damaged) - TRAILER - 1))] ^= 1
            file.write_bytes(damaged)
        elif len(list(files[0].parent.iterdir())) > 1:
            file.unlink()
    repair(check_volumes(files[0].parent), files[0].parent)
    assert {file: file.read_bytes() for file in files} == before


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(where=st.integers(0, 2 * SIZE - 1), bit=st.integers(0, 7))
def test_any_flipped_bit_is_found_and_its_volume_named(
    where: int, bit: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    files = cut(tmp_path_factory.mktemp("v"), noise("flip", 2 * (SIZE - 1 - TRAILER)))
    number, offset = divmod(where, SIZE)
    data = bytearray(files[number].read_bytes())
    data[offset % len(data)] ^= 1 << bit
    files[number].write_bytes(data)
    with pytest.raises(BundlerError, match=r"volume [12] of 2 is |not a volume|damaged"):
        whole_set(files[0].parent)


def whole_set(folder: Path) -> None:
    """Raise what is wrong with a set."""
    if wrong := complaint(check_volumes(folder)):
        raise wrong
    open_set(folder).close()


WRONG: dict[str, dict[str, object]] = {
    "a number that can't be": {"number": 9},
    "too many": {"data": 10**6},
    "a size that can't be": {"total": 1 << 63},
    "a piece that can't be": {"piece": 0},
    "no numbers": {"data": True},
    "more parity than there can be": {"parity": 256},
    "parity longer than the only volume": {"parity": 1, "piece": 1 << 50},
    "a newer format": {"format": 2},
    "a digest that is none": {"set": "x"},
    "a digest of other letters": {"set": "\x1b" * 64},
    "a piece beyond the whole": {"piece": 1 << 40},
}


@pytest.mark.parametrize("name", WRONG)
def test_a_volume_that_says_what_can_not_be_is_refused(name: str, tmp_path: Path) -> None:
    (file,) = cut(tmp_path, b"some bytes")
    block = file.read_bytes()[-TRAILER:]
    document = json.loads(block[: -len(MAGIC) - 32]) | WRONG[name]
    text = json.dumps(document).encode().ljust(TRAILER - len(MAGIC) - 32)
    with pytest.raises(ContentError):
        decode_trailer(text + hashlib.sha256(text).digest() + MAGIC, file.stat().st_size, "v")


@pytest.mark.parametrize("text", [b"[" * 976, b'{"format":1,"format":1}', b"[]", b"\xff", b"null"])
def test_a_volume_that_says_nothing_is_refused(text: bytes) -> None:
    text = text.ljust(TRAILER - len(MAGIC) - 32)
    with pytest.raises(ContentError):
        decode_trailer(text + hashlib.sha256(text).digest() + MAGIC, TRAILER + 1, "v")


@pytest.mark.slow
@pytest.mark.parametrize("changed", [{"parity": 1}, {"data": 3, "total": 3 * SIZE - 3100}])
def test_volumes_that_say_otherwise_of_their_set_are_of_another(
    changed: dict[str, Any], tmp_path: Path
) -> None:
    files = cut(tmp_path, b"x" * (2 * SIZE - 2 * TRAILER - 2))
    second = replace(find_volumes(files[1])[files[1]], **changed)
    files[1].write_bytes(files[1].read_bytes()[:-TRAILER] + encode_trailer(second))
    for name in ("volumes check", "volumes repair", "inspect"):
        ended = bundler(*name.split(), str(tmp_path / "volumes"))
        assert (ended.returncode, "found volumes of 2 sets" in ended.stderr) == (2, True), ended


def test_the_name_of_a_volume_is_shown_as_one_clean_line(tmp_path: Path) -> None:
    (file,) = cut(tmp_path, b"some bytes")
    file.rename(file.with_name("\x1b[31m\u202ered\n.001"))
    ended = bundler("volumes", "check", str(file.parent))
    assert ended.returncode == 0
    assert ended.stdout == f"{file.parent}/.[31m.red..001: volume 1 of 1 OK\n"


def test_a_trailer_is_what_the_page_says(tmp_path: Path) -> None:
    (file,) = cut(tmp_path, b"some bytes")
    (volume,) = find_volumes(file).values()
    block = file.read_bytes()[10:]
    assert block == encode_trailer(volume)
    assert block[-16:] == b"timoni-volume-1\n"
    assert volume.set == volume.sha256 == hashlib.sha256(b"some bytes").hexdigest()
    assert struct.calcsize("1024s") == len(block)


# --- a real bundle -----------------------------------------------------------------------------------


@pytest.fixture
def registry() -> Iterator[MemoryRegistry]:
    """A module of some 300 kB."""
    with MemoryRegistry({"app": a_module("1.0.0", "1.1.0", "1.2.0", size=80_000)}) as server:
        yield server


def export(registry: MemoryRegistry, out: Path, *more: str) -> None:
    """An export in volumes."""
    done = bundler("export", f"{registry.host}/app", "-o", str(out), "--volume-size", "64KiB", "-q", *more)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_volumes_are_written_directly_and_imported_in_place(registry: MemoryRegistry, tmp_path: Path) -> None:
    out = tmp_path / "v"
    out.mkdir()
    export(registry, out / "b.tar.zst")
    names = {path.name for path in out.iterdir()}
    assert names == {f"b.tar.zst.00{number}" for number in range(1, len(names) + 1)}
    assert len(names) == 6
    with writable_registry(tmp_path / "registry") as client:
        done = bundler("import", str(out), "--to", client.address, "-q")
        assert done.returncode == 0, done.stderr
        assert client.get("/v2/app/tags/list").json()["tags"] == ["1.0.0", "1.1.0", "1.2.0"]
    assert {path.name for path in out.iterdir()} == names


@pytest.mark.slow
def test_volumes_on_several_media_are_one_set(registry: MemoryRegistry, tmp_path: Path) -> None:
    export(registry, tmp_path / "b.tar.zst")
    stick = tmp_path / "stick"
    stick.mkdir()
    shutil.move(tmp_path / "b.tar.zst.002", stick)
    missing = bundler("verify", str(tmp_path / "b.tar.zst.001"), "-q")
    assert missing.returncode == 6
    assert "volume 2 of 6 is missing; the others are here" in missing.stderr
    found = bundler("verify", str(tmp_path / "b.tar.zst.001"), "--volumes-in", str(stick), "-q")
    assert found.returncode == 0, found.stderr


@pytest.mark.slow
def test_a_damaged_volume_is_named_and_made_again_alone(registry: MemoryRegistry, tmp_path: Path) -> None:
    export(registry, tmp_path / "b.tar.zst")
    third = tmp_path / "b.tar.zst.003"
    data = bytearray(third.read_bytes())
    data[1000] ^= 4
    third.write_bytes(data)
    damaged = bundler("verify", str(third), "-q")
    assert damaged.returncode == 6
    assert "volume 3 of 6 is damaged; the others are here" in damaged.stderr
    times = {path: path.stat().st_mtime_ns for path in tmp_path.glob("b.tar.zst.00[124-6]")}
    export(registry, tmp_path / "b.tar.zst")
    assert {path: path.stat().st_mtime_ns for path in times} == times
    assert bundler("verify", str(third), "-q").returncode == 0


@pytest.mark.slow
def test_one_volume_is_cut_again_from_the_bundle(tmp_path: Path) -> None:
    bundle = a_bundle(tmp_path / "b.tar.zst", {"h.example/app": a_module("1.0.0", size=100_000)})
    again = tmp_path / "again"
    again.mkdir()
    assert bundler("volumes", "split", str(bundle), "--volume-size", "64KiB").returncode == 0
    only = ["--volume-size", "64KiB", "--only", "2", "-o", str(again)]
    assert bundler("volumes", "split", str(bundle), *only).returncode == 0
    assert [path.name for path in again.iterdir()] == ["b.tar.zst.002"]
    assert (again / "b.tar.zst.002").read_bytes() == (tmp_path / "b.tar.zst.002").read_bytes()
    (tmp_path / "b.tar.zst.002").unlink()
    with open_bundle(tmp_path / "b.tar.zst.001", volumes_in=[again]) as opened:
        verify_bundle(opened)


@pytest.mark.slow
def test_two_sets_in_one_folder_are_told_apart_by_volume_name(
    registry: MemoryRegistry, tmp_path: Path
) -> None:
    export(registry, tmp_path / "one.tar.zst", "--tag", "1.0.0")
    export(registry, tmp_path / "two.tar.zst")
    with pytest.raises(UsageError, match="2 sets"):
        open_bundle(tmp_path)
    with open_bundle(tmp_path / "one.tar.zst.001") as bundle:
        assert set(bundle.inventory.repositories[0].tags) == {"1.0.0"}


@pytest.mark.slow
def test_volumes_of_another_content_are_not_written_over(registry: MemoryRegistry, tmp_path: Path) -> None:
    export(registry, tmp_path / "b.tar.zst", "--tag", "1.0.0")
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    size = ["--volume-size", "64KiB", "-q"]
    registry.seen.clear()
    refused = bundler("export", f"{registry.host}/app", "-o", str(tmp_path / "b.tar.zst"), *size)
    assert refused.returncode == 2
    assert "another set" in refused.stderr
    assert {path: path.read_bytes() for path in before} == before
    assert [seen for seen in registry.seen if "/blobs/" in seen.path] == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "what"),
    [
        (["--volume-size", "10"], "less than"),
        (["--volume-size", "big"], "not a size"),
        (["--parity", "10"], "only volumes have parity"),
    ],
)
def test_sizes_that_can_not_be_meant_are_2(options: list[str], what: str, tmp_path: Path) -> None:
    refused = bundler("export", "127.0.0.1:1/app", "-o", str(tmp_path / "b.tar.zst"), *options)
    assert refused.returncode == 2
    assert what in refused.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_volume_that_is_read_only_is_only_read(registry: MemoryRegistry, tmp_path: Path) -> None:
    export(registry, tmp_path / "b.tar.zst")
    file = OneFile(tmp_path / "b.tar.zst.001")
    try:
        assert file.size < SIZE
    finally:
        file.close()


# --- struck ------------------------------------------------------------------------------------------

CHANGES = "write,fsync,rename,?renameat,?renameat2,?unlink,unlinkat"


@pytest.mark.parametrize("fault", ["signal=KILL", "error=ENOSPC", "error=EIO"])
def test_a_set_struck_while_written_is_completed_by_the_next_run(
    fault: str, registry: MemoryRegistry, program: LoadedProgram, tmp_path: Path
) -> None:
    """Case 117."""

    def command(folder: Path) -> list[str]:
        size = ["--volume-size", "128KiB", "--parity", "40"]
        return ["export", f"{registry.host}/app", "-o", str(folder / "b.tar.zst"), *size, "-q"]

    whole = tmp_path / "whole"
    whole.mkdir()
    points = program.points_of(whole, *command(whole), calls=CHANGES)
    expected = {path.name: path.read_bytes() for path in whole.iterdir()}
    assert set(expected) == {f"b.tar.zst.{end}" for end in ("001", "002", "003", "p01", "p02")}
    own = [point for point in points if "b.tar.zst." in point.path and ".store" not in point.path]
    assert len(own) > 20
    for number, point in enumerate(own):
        folder = tmp_path / str(number)
        folder.mkdir()
        assert program.struck(folder, point, fault, *command(folder)).code in (-9, 9), point
        for path in folder.glob("b.tar.zst.*"):
            assert path.is_dir() or path.read_bytes() == expected[path.name], (point, path)
        assert program.traced(tmp_path / "log", *command(folder), options=("-e", "trace=none")).code == 0
        assert {path.name: path.read_bytes() for path in folder.iterdir()} == expected, point


@pytest.mark.parametrize(
    ("name", "fault"), [("split", "signal=KILL"), ("repair", "signal=KILL"), ("repair", "error=ENOSPC")]
)
def test_a_struck_cut_or_repair_spoils_nothing_and_is_completed(
    name: str, fault: str, program: LoadedProgram, tmp_path: Path
) -> None:
    """Case 117."""
    cut(tmp_path, a_bundle(tmp_path / "x", {"h.example/app": a_module(size=50_000)}).read_bytes(), parity=60)
    good = {path.name: path.read_bytes() for path in (tmp_path / "volumes").iterdir()}
    rest = {path: data for path, data in good.items() if path in ("x.tar.zst.002", "x.tar.zst.p01")}
    assert len(good) == 5

    def prepared(number: object) -> list[str]:
        folder = tmp_path / str(number)
        shutil.copytree(tmp_path / "volumes", folder)
        (folder / "x.tar.zst.001").unlink()
        damage(folder / "x.tar.zst.003")
        size = ["--volume-size", str(SIZE), "--parity", "60", "-o"]
        return {
            "split": ["volumes", "split", str(tmp_path / "x.tar.zst"), *size, str(folder)],
            "repair": ["volumes", "repair", str(folder)],
        }[name]

    points = program.points_of(tmp_path / "whole", *prepared("whole"), calls=CHANGES)
    assert len(points) >= 9
    for number, point in enumerate(points):
        command = prepared(number)
        folder = tmp_path / str(number)
        assert program.struck(folder, point, fault, *command).code in (-9, 9), point
        assert {path: (folder / path).read_bytes() for path in rest} == rest
        assert program.traced(tmp_path / "log", *command, options=("-e", "trace=none")).code == 0
        assert {path.name: path.read_bytes() for path in folder.iterdir()} == good, point
