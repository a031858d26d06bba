"""C. Damaged bundles: cases 43 to 55."""

from __future__ import annotations

import errno
import gzip
import io
import os
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bundler.bundle.reader import open_bundle
from bundler.bundle.sealing import sidecar_of
from bundler.bundle.stream import BundleStream
from bundler.errors import ContentError, IntegrityError, LocalError
from bundler.importer import Verified, verify_bundle
from bundler.limits import DEFAULT_LIMITS
from tests.builders import (
    Content,
    a_bundle,
    a_module,
    an_index,
    framed,
    manifest_document,
    members_of,
    noise,
    tar_of,
)

NAME = "h.example/app"


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The bytes of a bundle with one version of a module."""
    path = tmp_path_factory.mktemp("small") / "b.tar.zst"
    return a_bundle(path, {NAME: a_module("1.0.0", size=300)}).read_bytes()


@pytest.fixture(scope="session")
def large(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The bytes of a bundle of several frames and blocks that don't compress."""
    content = Content()
    layers = [content.add_blob(noise(f"l{number}", 3_000_000)) for number in range(2)]
    content.add_manifest(manifest_document(content.add_blob(b"{}"), layers), "1.0.0")
    path = tmp_path_factory.mktemp("large") / "b.tar.zst"
    return a_bundle(path, {NAME: content}).read_bytes()


def streamed(data: bytes) -> None:
    """Read it as a pipe is read, to its proven end."""
    stream = BundleStream(io.BytesIO(data), DEFAULT_LIMITS)
    stream.open()
    for _ in stream.blobs():
        pass


def verified(path: Path, data: bytes) -> Verified:
    path.write_bytes(data)
    with open_bundle(path) as bundle:
        return verify_bundle(bundle)


def flipped(data: bytes, place: int, bit: int) -> bytes:
    changed = bytearray(data)
    changed[place] ^= 1 << bit
    return bytes(changed)


# --- cut, flipped, zeroed ----------------------------------------------------------------------------


@given(st.data())
def test_a_bundle_cut_anywhere_is_truncated(small: bytes, tmp_path: Path, data: st.DataObject) -> None:
    """Case 43."""
    size = data.draw(st.integers(4, len(small) - 1))
    with pytest.raises(IntegrityError, match="truncated"):
        streamed(small[:size])
    with pytest.raises(IntegrityError, match="truncated"):
        verified(tmp_path / "b.tar.zst", small[:size])


@pytest.mark.parametrize("part", range(8))
def test_a_bit_flipped_anywhere_is_found_without_a_sidecar(small: bytes, part: int) -> None:
    """Case 44."""
    unnoticed, without_advice = [], []
    for place in range(part, len(small), 8):
        try:
            streamed(flipped(small, place, place // 8 % 8))
            unnoticed.append(place)
        except IntegrityError as error:
            if not error.next_step:
                without_advice.append(str(error))
        except ContentError:
            pass
    assert unnoticed == []
    assert without_advice == []


@given(st.data())
def test_a_bit_flipped_anywhere_is_found_with_a_sidecar(
    small: bytes, tmp_path: Path, data: st.DataObject
) -> None:
    """Case 44."""
    path = a_bundle(tmp_path / "b.tar.zst", {NAME: a_module("1.0.0", size=300)})
    damaged = flipped(small, data.draw(st.integers(0, len(small) - 1)), data.draw(st.integers(0, 7)))
    with pytest.raises((IntegrityError, ContentError)):
        verified(path, damaged)


@given(st.data())
def test_a_flip_that_is_noticed_by_nobody_has_changed_no_blob(small: bytes, data: st.DataObject) -> None:
    """Case 44."""
    damaged = flipped(small, data.draw(st.integers(0, len(small) - 1)), data.draw(st.integers(0, 7)))
    expected = dict(a_module("1.0.0", size=300).everything())
    stream = BundleStream(io.BytesIO(damaged), DEFAULT_LIMITS)
    try:
        stream.open()
        assert {blob.digest: b"".join(chunks) for blob, chunks in stream.blobs()} == expected
    except (IntegrityError, ContentError):
        pass


def zeroed(data: bytes, start: int) -> bytes:
    return data[:start] + bytes(4096) + data[start + 4096 :]


def repeated(data: bytes, start: int) -> bytes:
    return data[: start + 4096] + data[start:]


def swapped(data: bytes, start: int) -> bytes:
    first, second = data[start : start + 4096], data[start + 4096 : start + 8192]
    return data[:start] + second + first + data[start + 8192 :]


@pytest.mark.parametrize("damage", [zeroed, repeated, swapped])
@pytest.mark.parametrize("start", [0, 4096, 65_536, 3_000_000, 5_990_000])
def test_a_block_that_is_zeroed_repeated_or_swapped_is_found(
    damage: Callable[[bytes, int], bytes], start: int, large: bytes, tmp_path: Path
) -> None:
    """Case 45."""
    assert start + 8192 < len(large)
    # Blocks that were moved may also look like a frame that somebody forged, or like no bundle.
    with pytest.raises((IntegrityError, ContentError)):
        verified(tmp_path / "b.tar.zst", damage(large, start))


# --- something else ----------------------------------------------------------------------------------


def _zip() -> bytes:
    with io.BytesIO() as file:
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr("a", "b")
        return file.getvalue()


def _tar() -> bytes:
    with io.BytesIO() as file:
        with tarfile.open(fileobj=file, mode="w") as archive:
            archive.addfile(tarfile.TarInfo("something else"))
        return file.getvalue()


KINDS = {
    "an empty file": b"",
    "text": b"hello, this is a README\n",
    "gzip": gzip.compress(b"a", mtime=0),
    "zip": _zip(),
    "a plain tar": _tar(),
    "xz": b"\xfd7zXZ\x00rest",
    "bzip2": b"BZh91AY",
    "unknown data": bytes(range(128, 256)),
}


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_no_bundle_is_refused_by_its_kind(kind: str, tmp_path: Path) -> None:
    """Case 46."""
    with pytest.raises(ContentError) as error:
        verified(tmp_path / "b.tar.zst", KINDS[kind])
    assert error.value.cause == f"not a bundle (found {kind})"


def test_another_archive_in_zstd_is_no_bundle(tmp_path: Path) -> None:
    """Case 46."""
    with pytest.raises(ContentError, match="does not begin with bundle"):
        verified(tmp_path / "b.tar.zst", framed(_tar()))


@pytest.mark.parametrize("junk", [b"\0", b"\n", b"junk" * 1000, b"\x50\x2a\x4d\x18\x04\0\0\0junk"])
def test_junk_after_the_end_is_refused(junk: bytes, small: bytes, tmp_path: Path) -> None:
    """Case 49."""
    for read in (streamed, lambda data: verified(tmp_path / "b.tar.zst", data)):
        with pytest.raises(ContentError, match="follows after its end"):
            read(small + junk)


def test_two_bundles_in_one_file_are_refused(small: bytes, tmp_path: Path) -> None:
    """Case 47."""
    for read in (streamed, lambda data: verified(tmp_path / "b.tar.zst", data)):
        with pytest.raises(ContentError, match="another archive follows"):
            read(small + small)


# --- one blob more or less ---------------------------------------------------------------------------


def test_a_blob_missing_in_the_archive_is_refused(tmp_path: Path) -> None:
    """Case 50."""
    members = members_of({NAME: a_module("1.0.0")})
    with pytest.raises((IntegrityError, ContentError)):
        verified(tmp_path / "b.tar.zst", framed(tar_of(members[:-1])))


def test_a_blob_too_many_in_the_archive_is_refused(tmp_path: Path) -> None:
    """Case 50."""
    members = members_of({NAME: a_module("1.0.0")})
    with pytest.raises(ContentError):
        verified(tmp_path / "b.tar.zst", framed(tar_of([*members, ("blobs/sha256/" + "0" * 64, b"more")])))


@pytest.fixture
def unpacked(tmp_path: Path) -> Path:
    for name, data in members_of({NAME: an_index()}):
        (tmp_path / "d" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "d" / name).write_bytes(data)
    return tmp_path / "d"


def test_a_blob_missing_in_a_directory_is_named(unpacked: Path) -> None:
    """Case 50."""
    digest = next(iter(an_index().blobs))
    (unpacked / digest.path).unlink()
    with open_bundle(unpacked) as bundle, pytest.raises(IntegrityError, match=digest.encoded):
        verify_bundle(bundle)


def test_a_blob_cut_in_a_directory_is_named(unpacked: Path) -> None:
    """Case 50."""
    digest, data = next(iter(an_index().blobs.items()))
    (unpacked / digest.path).write_bytes(data[:-1])
    with open_bundle(unpacked) as bundle, pytest.raises(IntegrityError, match="truncated"):
        verify_bundle(bundle)


# --- sidecar -----------------------------------------------------------------------------------------


def sidecar_says(tmp_path: Path, text: str | None) -> Verified:
    path = a_bundle(tmp_path / "b.tar.zst", {NAME: a_module("1.0.0")})
    right = sidecar_of(path).read_text()
    sidecar_of(path).unlink()
    if text is not None:
        sidecar_of(path).write_text(text.replace("RIGHT", right.split()[0]), newline="")
    with open_bundle(path) as bundle:
        return verify_bundle(bundle)


@pytest.mark.parametrize(
    "text",
    ["RIGHT  b.tar.zst\n", "RIGHT  b.tar.zst\r\n", "RIGHT *b.tar.zst", "RIGHT\n", "RIGHT  other name.zst\n"],
)
def test_a_right_sidecar_is_accepted_in_every_usual_spelling(text: str, tmp_path: Path) -> None:
    """Case 51."""
    assert sidecar_says(tmp_path, text).warnings == ()


@pytest.mark.parametrize("name", ["b.tar.zst", "/srv/out/b.tar.zst"])
def test_of_several_lines_the_bundles_own_counts(name: str, tmp_path: Path) -> None:
    """Case 51."""
    other = "0" * 64
    assert sidecar_says(tmp_path, f"{other}  a.tar.zst\nRIGHT  {name}\n").warnings == ()
    with pytest.raises(IntegrityError, match=f"says {other}"):
        sidecar_says(tmp_path, f"RIGHT  a.tar.zst\n{other}  {name}\n")
    with pytest.raises(IntegrityError, match=f"says {other}"):
        sidecar_says(tmp_path, f"RIGHT  {name}\n{other}  {name}\n")


def test_a_missing_sidecar_is_a_warning(tmp_path: Path) -> None:
    """Case 51."""
    (warning,) = sidecar_says(tmp_path, None).warnings
    assert "b.tar.zst.sha256: not there" in warning


@pytest.mark.parametrize(
    "text", ["0" * 64 + "  b.tar.zst\n", "", "\n", "no digest\n", "RIGHT0  b.tar.zst\n", "\x1b[31m"]
)
def test_a_wrong_sidecar_is_an_integrity_error(text: str, tmp_path: Path) -> None:
    """Case 51."""
    with pytest.raises(IntegrityError) as error:
        sidecar_says(tmp_path, text)
    assert "b.tar.zst.sha256" in str(error.value)
    assert str(error.value).isprintable()


# --- the disk ----------------------------------------------------------------------------------------


def test_a_disk_that_can_not_be_read_is_a_local_error(
    small: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Case 53."""
    (tmp_path / "b.tar.zst").write_bytes(small)

    def broken(*_: object) -> int:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with open_bundle(tmp_path / "b.tar.zst") as bundle:
        monkeypatch.setattr(os, "pread", broken)
        with pytest.raises(LocalError, match="disk reports an error"):
            verify_bundle(bundle)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_bundle_without_permission_is_a_local_error(small: bytes, tmp_path: Path) -> None:
    """Case 53."""
    (tmp_path / "b.tar.zst").write_bytes(small)
    (tmp_path / "b.tar.zst").chmod(0)
    with pytest.raises(LocalError, match="permission"):
        open_bundle(tmp_path / "b.tar.zst")


def test_a_newer_format_is_refused_before_anything_else(tmp_path: Path) -> None:
    """Case 55."""
    members = members_of({NAME: a_module("1.0.0")})
    members[0] = ("bundle.json", members[0][1].replace(b'"format":1', b'"format":2'))
    with pytest.raises(ContentError, match="bundle format 2; this program reads format 1"):
        verified(tmp_path / "b.tar.zst", framed(tar_of(members)))


def test_every_damage_ends_in_one_line_of_the_command(small: bytes, tmp_path: Path) -> None:
    (tmp_path / "b.tar.zst").write_bytes(small[:700])
    ended = subprocess.run(
        [sys.executable, "-m", "bundler", "verify", tmp_path / "b.tar.zst"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ended.returncode == IntegrityError.exit_code
    assert "truncated" in ended.stderr
    assert "Traceback" not in ended.stderr
