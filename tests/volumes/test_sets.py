"""Sets of volumes that are not as they were made: twice there, cut otherwise, renamed, lost, mixed up."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from bundler.__main__ import run
from bundler.bundle.reader import open_bundle
from bundler.errors import ContentError, IntegrityError, LocalError, NotFoundError, UsageError
from bundler.importer import verify_bundle
from bundler.volumes.repair import check_volumes, complaint, repair
from bundler.volumes.volume_format import MAGIC, TRAILER, encode_trailer
from bundler.volumes.volume_sets import find_volumes, open_set
from bundler.volumes.volume_writer import Cut, split
from tests.builders import a_bundle, a_module, add_version, noise
from tests.doubles import MemoryRegistry
from tests.processes import bundler, small_disk
from tests.trust.keys import a_key
from tests.volumes.cuts import SIZE, cut, damage, moved, read

MODULE = {"h.example/app": a_module("1.0.0", size=100_000)}


def test_of_a_volume_that_is_there_twice_the_whole_one_is_read(tmp_path: Path) -> None:
    data = noise("twice", 3 * SIZE)
    files = cut(tmp_path, data)
    again = tmp_path / "again"
    again.mkdir()
    shutil.copy(files[1], again)
    damage(files[1])
    assert read(files[0], again) == read(again, files[0].parent) == data


@contextmanager
def without_rights(folder: Path) -> Iterator[None]:
    """Read as somebody whom modes hold back, also where the tests are run by root."""
    for place in (folder, *folder.parents):
        if place.stat().st_uid == os.geteuid() and len(place.parts) > 2:
            place.chmod(place.stat().st_mode | 0o755)
    before = os.geteuid()
    if before == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(before)


@pytest.mark.parametrize("what", ["volume", "folder"])
def test_a_volume_that_can_t_be_read_is_not_called_missing(what: str, tmp_path: Path) -> None:
    files = cut(tmp_path, noise("unreadable", 3 * SIZE))
    elsewhere = moved(tmp_path / "elsewhere", files[1])
    assert read(files[0], elsewhere)
    with without_rights(tmp_path):
        pass
    (elsewhere if what == "folder" else elsewhere / files[1].name).chmod(0)
    try:
        with without_rights(files[0].parent), pytest.raises(LocalError, match="ermission denied"):
            open_set(files[0], [elsewhere])
    finally:
        elsewhere.chmod(0o755)


def test_the_same_bundle_cut_otherwise_is_another_set(tmp_path: Path) -> None:
    data = noise("otherwise", 3 * SIZE)
    files = cut(tmp_path, data)
    other = tmp_path / "other"
    other.mkdir()
    split(tmp_path / "x.tar.zst", other, Cut(2 * SIZE))
    found = find_volumes(files[0].parent, [other])
    assert list(found) == files
    for file in (*files[:2], other / "x.tar.zst.001"):
        file.unlink()
    with pytest.raises(IntegrityError, match="volumes 1, 2 of 4 are"):
        open_set(files[0].parent, [other])


def test_another_cut_of_the_same_bundle_is_not_written_over(tmp_path: Path) -> None:
    files = cut(tmp_path, noise("again", 3 * SIZE))
    before = [file.read_bytes() for file in files]
    with pytest.raises(UsageError, match="another set: the same bundle, cut into 4 and 0"):
        split(tmp_path / "x.tar.zst", files[0].parent, Cut(2 * SIZE))
    assert [file.read_bytes() for file in files] == before
    assert sorted(files[0].parent.iterdir()) == files


def test_a_repair_writes_over_no_volume_that_has_another_s_name(tmp_path: Path) -> None:
    files = cut(tmp_path, noise("swapped", 3 * SIZE), parity=50)
    second = files[1].read_bytes()
    files[2].unlink()
    files[1].rename(files[2])
    with pytest.raises(UsageError, match=r"is volume 2 of 4"):
        repair(check_volumes(files[0]), files[0].parent)
    assert files[2].read_bytes() == second
    assert not files[1].exists()


def test_a_repair_writes_over_no_volume_of_another_set(tmp_path: Path) -> None:
    files = cut(tmp_path, noise("new", 3 * SIZE), parity=50)
    files[0].unlink()
    (tmp_path / "old").mkdir()
    older = cut(tmp_path / "old", noise("old", 3 * SIZE))
    before = older[0].read_bytes()
    with pytest.raises(UsageError, match="another set"):
        repair(check_volumes(files[1]), older[0].parent)
    assert older[0].read_bytes() == before
    assert sorted(older[0].parent.iterdir()) == older


def test_a_broken_copy_is_replaced_and_a_strangers_file_is_kept(tmp_path: Path) -> None:
    files = cut(tmp_path, noise("broken", 3 * SIZE), parity=50)
    whole = files[1].read_bytes()
    for length in (0, 5000, len(whole) - 1):
        files[1].write_bytes(whole[:length])
        split(tmp_path / "x.tar.zst", files[0].parent, Cut(SIZE, 50))
        assert files[1].read_bytes() == whole
        files[1].write_bytes(whole[:length])
        repair(check_volumes(files[0].parent), files[0].parent)
        assert files[1].read_bytes() == whole
    files[1].write_bytes(b"somebody's letter")
    with pytest.raises(UsageError, match="not a volume"):
        split(tmp_path / "x.tar.zst", files[0].parent, Cut(SIZE, 50))
    with pytest.raises(UsageError, match="not a volume"):
        repair(check_volumes(files[0].parent), files[0].parent)
    assert files[1].read_bytes() == b"somebody's letter"


def test_what_is_lacking_is_said_as_it_is(tmp_path: Path) -> None:
    files = cut(tmp_path, noise("lacking", 4 * SIZE), parity=40)
    files[1].unlink()
    damage(files[2])
    lacks = str(complaint(check_volumes(files[0])))
    assert (
        "volumes 2, 3 of 5 are missing or damaged; the others are here; `timoni-bundler volumes repair`"
        in lacks
    )
    files[3].unlink()
    assert "carry 1 of them again" in str(complaint(check_volumes(files[0])))
    with pytest.raises(
        IntegrityError, match=r"4 good .* 5 are needed; carry 1 of these again.* volume 2 of 5"
    ):
        repair(check_volumes(files[0]), files[0].parent)


def test_a_volume_of_a_newer_format_beside_a_set_does_not_matter(tmp_path: Path) -> None:
    data = noise("beside", 2 * SIZE)
    files = cut(tmp_path, data)
    text = json.dumps({"format": 2}).encode().ljust(TRAILER - len(MAGIC) - 32)
    newer = files[0].with_name("a.tar.zst.001")
    newer.write_bytes(text + hashlib.sha256(text).digest() + MAGIC)
    assert read(files[0].parent) == data
    for file in files:
        file.unlink()
    with pytest.raises(ContentError, match="format"):
        open_set(newer)


def test_lost_parity_is_told_too(tmp_path: Path) -> None:
    files = cut(tmp_path, noise("lost parity", 2 * SIZE), parity=100)
    files[-1].unlink()
    damage(files[-2])
    lacks = str(complaint(check_volumes(files[0])))
    assert "parity volumes 2, 3 of 3: missing or damaged; the bundle is whole without" in lacks


def test_volumes_that_name_another_bundle_than_they_make_are_6(tmp_path: Path) -> None:
    bundle = a_bundle(tmp_path / "b.tar.zst", {"h.example/app": a_module("1.0.0", size=100_000)})
    split(bundle, tmp_path, Cut(SIZE))
    for file in tmp_path.glob("*.00*"):
        said = replace(find_volumes(file)[file], set=hashlib.sha256(b"another").hexdigest())
        file.write_bytes(file.read_bytes()[:-TRAILER] + encode_trailer(said))
    with (
        open_bundle(tmp_path / "b.tar.zst.001") as opened,
        pytest.raises(IntegrityError, match="the volumes say that they make"),
    ):
        verify_bundle(opened)


def test_a_wrong_digest_in_a_trailer_is_found_by_verify(tmp_path: Path) -> None:
    bundle = a_bundle(tmp_path / "b.tar.zst", {"h.example/app": a_module("1.0.0", size=100_000)})
    split(bundle, tmp_path, Cut(SIZE))
    last = sorted(tmp_path.glob("*.00*"))[-1]
    stated = replace(find_volumes(last)[last], sha256=hashlib.sha256(b"another").hexdigest())
    last.write_bytes(last.read_bytes()[:-TRAILER] + encode_trailer(stated))
    with (
        open_bundle(tmp_path / "b.tar.zst.001") as opened,
        pytest.raises(IntegrityError, match="is damaged; the others are here"),
    ):
        verify_bundle(opened)


# --- what a set is called -----------------------------------------------------------------------------


@pytest.fixture
def volumes(tmp_path: Path) -> list[Path]:
    """A small bundle in volumes, and not as one file."""
    bundle = a_bundle(
        tmp_path / "b.tar.zst", {"h.example/app": a_module("1.0.0", size=100_000)}, sidecar=False
    )
    split(bundle, tmp_path, Cut(SIZE, 30))
    bundle.unlink()
    return sorted(tmp_path.iterdir())


def test_a_set_answers_to_its_bundle_name_and_to_a_lost_volume(volumes: list[Path]) -> None:
    with open_bundle(volumes[0].with_suffix("")) as opened:
        assert (opened.name, opened.volumes) == ("b.tar.zst", 4)
    volumes[0].unlink()
    for name in ("b.tar.zst.001", "b.tar.zst"):
        with pytest.raises(IntegrityError, match="volume 1 of 4 is missing"):
            open_bundle(volumes[0].with_name(name))
    with pytest.raises(NotFoundError, match="not there"):
        open_bundle(volumes[0].with_name("c.tar.zst"))
    repair(check_volumes(volumes[0]), volumes[0].parent)
    assert volumes[0].exists()


def test_a_file_that_is_no_volume_does_not_mean_those_beside_it(volumes: list[Path]) -> None:
    (other := volumes[0].with_name("notes.txt")).write_text("notes")
    with pytest.raises(UsageError, match="not a volume"):
        check_volumes(other)


def test_volumes_on_another_medium_may_be_of_more_sets(volumes: list[Path], tmp_path: Path) -> None:
    medium = moved(tmp_path / "stick", volumes[1])
    older = a_bundle(tmp_path / "o.tar.zst", {"h.example/app": a_module("0.1.0")})
    split(older, medium, Cut(SIZE))
    older.unlink()
    Path(f"{older}.sha256").unlink()
    with open_bundle(tmp_path, volumes_in=[medium]) as opened:
        verify_bundle(opened)


def test_a_chain_in_volumes_is_a_base_by_its_last_link(tmp_path: Path) -> None:
    content = a_module("1.0.0", size=50_000)
    with MemoryRegistry({"app": content}) as registry:
        source = f"{registry.host}/app"
        for number, version in enumerate(("1.1.0", "1.2.0", "1.3.0")):
            out, before = tmp_path / f"{number}.tar.zst", tmp_path / f"{number - 1}.tar.zst.001"
            base = ["--base", str(before)] if number else []
            assert run(["export", source, "-o", str(out), "--volume-size", "64KiB", "-q", *base]) == 0
            add_version(content, version, size=50_000)
    with open_bundle(out) as last:
        assert [list(entry.tags) for entry in last.inventory.repositories] == [["1.2.0"]]
        assert last.volumes > 0


READERS = {
    "verify": ["-q"],
    "inspect": [],
    "extract": ["app:1.0.0", "-q", "-o", "{out}/app.oci.tar"],
    "report": ["-q", "-o", "{out}/report.html"],
    "merge": ["-q", "-o", "{out}/whole.tar.zst"],
    "diff": ["{volume}"],
}


@pytest.mark.slow
@pytest.mark.parametrize("command", READERS)
def test_every_command_reads_volumes_on_several_media(
    command: str, volumes: list[Path], tmp_path: Path
) -> None:
    medium = moved(tmp_path / "stick", volumes[1], volumes[2])
    out = tmp_path / "out"
    out.mkdir()
    words = [word.format(out=out, volume=volumes[3]) for word in READERS[command]]
    done = bundler(command, str(volumes[0]), *words, "--volumes-in", str(medium))
    assert done.returncode == 0, done.stderr


def test_a_copy_that_broke_off_is_named_by_the_check(volumes: list[Path], tmp_path: Path) -> None:
    volumes[1].write_bytes(volumes[1].read_bytes()[:-1])
    (tmp_path / "b.tar.zst.txt").write_text("notes")
    done = bundler("volumes", "check", str(tmp_path), "-q")
    assert done.returncode == 6
    assert [line for line in done.stdout.splitlines() if not line.endswith("OK")] == [
        f"{volumes[1]}: its end is missing: the copy was interrupted"
    ]


@pytest.mark.slow
def test_volumes_are_not_signed_and_not_cut_again(
    volumes: list[Path], tmp_path_factory: pytest.TempPathFactory
) -> None:
    key = a_key(tmp_path_factory.mktemp("key"), "key")
    before = {path: path.read_bytes() for path in volumes[0].parent.iterdir()}
    for name in (volumes[0], volumes[0].parent):
        refused = bundler("sign", str(name), "--key", str(key), "-q")
        assert refused.returncode == 2
        assert f"{name}: it is in volumes; sign the bundle before it is cut" in refused.stderr
    again = bundler("volumes", "split", str(volumes[0]), "--volume-size", "1MiB")
    assert (again.returncode, "already split into volumes" in again.stderr) == (2, True)
    assert {path: path.read_bytes() for path in volumes[0].parent.iterdir()} == before


def test_one_volume_made_again_needs_room_for_that_one_alone(tmp_path: Path) -> None:
    bundle = a_bundle(tmp_path / "b.tar.zst", {"h.example/app": a_module("1.0.0", size=150_000)})
    whole = tmp_path / "whole"
    whole.mkdir()
    split(bundle, whole, Cut(SIZE, 50))
    with small_disk(tmp_path / "stick", 3 * SIZE):
        with pytest.raises(LocalError, match="are needed, and"):
            split(bundle, tmp_path / "stick", Cut(SIZE, 50))
        for file in (sorted(whole.iterdir())[number] for number in (1, -1)):
            only = find_volumes(file)[file].number
            split(bundle, tmp_path / "stick", Cut(SIZE, 50), only)
            (made,) = (tmp_path / "stick").iterdir()
            assert (made.name, made.read_bytes()) == (file.name, file.read_bytes())
            made.unlink()


@pytest.mark.slow
def test_long_work_on_volumes_shows_how_far_it_is(volumes: list[Path], tmp_path: Path) -> None:
    volumes[1].unlink()
    done = bundler("volumes", "repair", str(tmp_path))
    assert ("checking: " in done.stderr, "making again: " in done.stderr) == (True, True)
    assert bundler("volumes", "check", str(tmp_path), "-q").stderr == ""


@pytest.mark.slow
def test_only_a_bundle_is_cut(tmp_path: Path) -> None:
    (tmp_path / "letter.tar.zst").write_bytes(b"")
    refused = bundler("volumes", "split", str(tmp_path / "letter.tar.zst"), "--volume-size", "1MiB")
    assert (refused.returncode, len(list(tmp_path.iterdir()))) == (7, 1)
