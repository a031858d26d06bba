"""D. Hostile bundles: cases 56 to 79. A reader that knows what must come refuses everything else."""

from __future__ import annotations

import io
import json
import os
import socket
import struct
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Literal

import pytest
import zstandard

from bundler.bundle.bundle_format import (
    END_OF_ARCHIVE,
    FRAME_CONTENT,
    ZSTD_MAGIC,
    member_header,
    member_size,
    padding,
)
from bundler.bundle.inventory import descriptor, encode, take_inventory
from bundler.bundle.reader import open_bundle
from bundler.bundle.stream import BundleStream
from bundler.errors import BundlerError, ContentError, IntegrityError, LocalError
from bundler.importer import verify_bundle
from bundler.limits import DEFAULT_LIMITS, MIB
from bundler.oci.strict_json import canonical
from tests.builders import (
    Content,
    a_bundle,
    a_module,
    an_image,
    descriptor_of,
    document_of,
    frame_of,
    framed,
    index_document,
    manifest_document,
    members_of,
    packed,
    tar_of,
    with_seek_table,
)

NAME = "h.example/app"


@pytest.fixture
def members() -> list[tuple[str, bytes]]:
    """What a good bundle holds."""
    return members_of({NAME: a_module("1.0.0")})


def refused(data: bytes, folder: Path) -> BundlerError:
    """The error that file and pipe both end with."""
    (folder / "in").mkdir(exist_ok=True)
    (folder / "in" / "b.tar.zst").write_bytes(data)
    with pytest.raises((ContentError, IntegrityError)), open_bundle(folder / "in" / "b.tar.zst") as bundle:
        verify_bundle(bundle)
    with pytest.raises((ContentError, IntegrityError)) as error:
        streamed(io.BytesIO(data))
    assert str(error.value).isprintable()
    # Nothing was created, inside or outside.
    assert [path.name for path in folder.rglob("*")] == ["in", "b.tar.zst"]
    return error.value


def streamed(file: io.BytesIO) -> None:
    stream = BundleStream(file, DEFAULT_LIMITS)
    stream.open()
    for _ in stream.blobs():
        pass


def foreign(entry: tarfile.TarInfo, data: bytes = b"", form: Literal[0, 1, 2] = tarfile.GNU_FORMAT) -> bytes:
    """A member as another program writes it."""
    return entry.tobuf(form, "utf-8", "surrogateescape") + data + padding(len(data))


# --- members -----------------------------------------------------------------------------------------

NAMES = [
    "../x", "/etc/passwd", "./index.json", "blobs\\sha256\\x", "blobs/sha256/../../x", "x\0y", "a" * 300,
    "blobs/sha256/" + "A" * 64, "INDEX.JSON", "blobs/sha256/" + "0" * 64 + "\n", "\x1b[31mred", "blobs/",
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("place", [0, 1, 2, 3, -1])
def test_a_member_of_another_name_is_refused_and_nothing_written(
    name: str, place: int, members: list[tuple[str, bytes]], tmp_path: Path
) -> None:
    """Case 56."""
    parts = [member_header(own, len(data)) + data + padding(len(data)) for own, data in members]
    data = members[place][1]
    entry = tarfile.TarInfo(name)
    entry.size = len(data)
    parts[place] = foreign(entry, data)
    assert refused(framed(b"".join(parts) + END_OF_ARCHIVE), tmp_path).exit_code == 7


TYPES = [tarfile.LNKTYPE, tarfile.SYMTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.DIRTYPE,
         tarfile.FIFOTYPE,
         tarfile.CONTTYPE, tarfile.GNUTYPE_SPARSE, tarfile.GNUTYPE_LONGNAME, tarfile.XHDTYPE, tarfile.XGLTYPE,
         b"\0",
         b"V", b"Z"]  # fmt: skip


@pytest.mark.parametrize("kind", TYPES)
def test_a_member_that_is_no_regular_file_is_refused(
    kind: bytes, members: list[tuple[str, bytes]], tmp_path: Path
) -> None:
    """Case 57."""
    entry = tarfile.TarInfo(members[3][0])
    entry.type, entry.linkname, entry.size = kind, "/etc/passwd", len(members[3][1])
    stream = tar_of(members[:3])[: -len(END_OF_ARCHIVE)] + foreign(entry, members[3][1]) + tar_of(members[4:])
    assert refused(framed(stream), tmp_path).exit_code == 7


@pytest.mark.parametrize("double", [0, 1, 2, 3, 5])
def test_a_member_twice_is_refused(double: int, members: list[tuple[str, bytes]], tmp_path: Path) -> None:
    """Case 58."""
    assert refused(framed(tar_of([*members[: double + 1], *members[double:]])), tmp_path).exit_code == 7
    assert refused(framed(tar_of([*members, members[double]])), tmp_path).exit_code == 7


def test_members_in_another_order_are_refused(members: list[tuple[str, bytes]], tmp_path: Path) -> None:
    """Case 58."""
    assert refused(framed(tar_of([*members[:-2], members[-1], members[-2]])), tmp_path).exit_code == 7


@pytest.mark.parametrize(
    "field", [slice(124, 136), slice(148, 156), slice(100, 108), slice(136, 148), slice(345, 400)]
)
@pytest.mark.parametrize("byte", [b"\xff", b"-", b"8", b"\x80"])
def test_a_header_field_that_no_export_writes_is_refused(
    field: slice, byte: bytes, members: list[tuple[str, bytes]], tmp_path: Path
) -> None:
    """Cases 60, 64."""
    stream = bytearray(tar_of(members))
    start = sum(member_size(name, len(data)) for name, data in members[:4])
    stream[start : start + 512][field] = byte
    for place in range(field.start, field.stop):
        stream[start + place] = byte[0]
    assert refused(framed(bytes(stream)), tmp_path).exit_code == 7


def test_padding_that_is_not_zero_is_refused(members: list[tuple[str, bytes]], tmp_path: Path) -> None:
    """Case 60."""
    stream = bytearray(tar_of(members))
    stream[-len(END_OF_ARCHIVE) - 1] = 1
    assert refused(framed(bytes(stream)), tmp_path).exit_code == 7


# --- floods: memory stays flat -----------------------------------------------------------------------


def _repeated(start: bytes, filling: bytes, times: int) -> Iterable[tuple[bytes, int]]:
    yield frame_of(start), len(start)
    frame = frame_of(filling)
    for _ in range(times):
        yield frame, len(filling)


def _long_name_header(good: list[tuple[str, bytes]]) -> bytes:
    entry = tarfile.TarInfo("././@LongLink")
    entry.type, entry.size = tarfile.GNUTYPE_LONGNAME, 400 * MIB
    return with_seek_table(_repeated(tar_of(good[:3])[:-1024] + foreign(entry), b"a" * FRAME_CONTENT, 50))


def _pax_header(good: list[tuple[str, bytes]]) -> bytes:
    entry = tarfile.TarInfo("pax")
    entry.type, entry.size = tarfile.XHDTYPE, 400 * MIB
    return with_seek_table(_repeated(foreign(entry), b"a" * FRAME_CONTENT, 50))


def _million_members(good: list[tuple[str, bytes]]) -> bytes:
    members = member_header("x", 0) * (FRAME_CONTENT // 512)
    return with_seek_table(_repeated(tar_of(good[:3])[:-1024], members, 61))


def _huge_inventory(good: list[tuple[str, bytes]]) -> bytes:
    return with_seek_table(_repeated(member_header("bundle.json", 400 * MIB), b" " * FRAME_CONTENT, 50))


def _huge_index(good: list[tuple[str, bytes]]) -> bytes:
    start = tar_of(good[:2])[:-1024] + member_header("index.json", 400 * MIB)
    return with_seek_table(_repeated(start, b" " * FRAME_CONTENT, 50))


def _deep_inventory(good: list[tuple[str, bytes]]) -> bytes:
    return framed(tar_of([("bundle.json", b"[" * 8_000_000 + b"]" * 8_000_000)]))


def _rle_frame(claimed: int, blocks: int) -> bytes:
    """A frame that says it has `claimed` bytes, and blocks of 128 KiB each from 4 bytes."""
    header = ZSTD_MAGIC + b"\xa4" + struct.pack("<I", claimed)
    block = ((128 * 1024) << 3 | 1 << 1).to_bytes(3, "little") + b"x"
    last = (1 << 3 | 1 << 1 | 1).to_bytes(3, "little") + b"x"
    return header + block * blocks + last + b"\0\0\0\0"


def _bomb(good: list[tuple[str, bytes]]) -> bytes:
    return _rle_frame(8 * MIB, 100_000)


def _window(good: list[tuple[str, bytes]]) -> bytes:
    return ZSTD_MAGIC + b"\x84" + b"\xa8" + struct.pack("<I", 100) + b"\x19\0\0" + b"abc" + b"\0\0\0\0"


def _dictionary(good: list[tuple[str, bytes]]) -> bytes:
    return ZSTD_MAGIC + b"\x25\x01\x10" + b"\x01\0\0" + b"\0" * 4


def _skippable(good: list[tuple[str, bytes]]) -> bytes:
    frame = frame_of(tar_of(good))
    return frame + (b"\x50\x2a\x4d\x18" + struct.pack("<I", 4) + b"junk") * 1000 + with_seek_table([])


def _leading_skippable(good: list[tuple[str, bytes]]) -> bytes:
    return b"\x50\x2a\x4d\x18" + struct.pack("<I", 4) + b"junk" + framed(tar_of(good))


def _empty_frames(good: list[tuple[str, bytes]]) -> bytes:
    return with_seek_table([(frame_of(tar_of(good)), len(tar_of(good))), *[(frame_of(b""), 0)] * 100_000])


def _tiny_frames(good: list[tuple[str, bytes]]) -> bytes:
    return with_seek_table([(frame_of(tar_of(good)[:-1024]), 0), *[(frame_of(b"\0"), 1)] * 100_000])


def _two_frames_in_one(good: list[tuple[str, bytes]]) -> bytes:
    stream = tar_of(good)
    joined = frame_of(stream[:512]) + frame_of(stream[512:])
    return with_seek_table([(joined, len(stream))])


def _many_blobs(good: list[tuple[str, bytes]]) -> bytes:
    content = an_image()
    inventory = take_inventory(content.roots(NAME), content.parsed())
    document = json.loads(encode(inventory))
    digests = (f"sha256:{number:064x}" for number in range(150_000))
    document["blobs"] = [{"mediaType": "x", "digest": digest, "size": 0} for digest in digests]
    return framed(tar_of([("bundle.json", canonical(document))]))


FLOODS: dict[str, Callable[[list[tuple[str, bytes]]], bytes]] = {
    "59 pax header": _pax_header,
    "59 GNU long name": _long_name_header,
    "61 a million members": _million_members,
    "62 bomb": _bomb,
    "62 window": _window,
    "62 dictionary": _dictionary,
    "62 stray skippable frames": _skippable,
    "62 leading skippable frame": _leading_skippable,
    "62 empty frames": _empty_frames,
    "62 tiny frames": _tiny_frames,
    "62 two frames in one": _two_frames_in_one,
    "65 inventory of 400 MiB": _huge_inventory,
    "65 index of 400 MiB": _huge_index,
    "65 inventory of one deep list": _deep_inventory,
    "65 inventory of 150,000 blobs": _many_blobs,
}
MOST = 200 * MIB


@pytest.mark.slow
@pytest.mark.parametrize("name", FLOODS)
def test_a_flood_is_refused_in_flat_memory(
    name: str, members: list[tuple[str, bytes]], tmp_path: Path
) -> None:
    """Cases 59, 61, 62, 65."""
    path = tmp_path / "b.tar.zst"
    path.write_bytes(FLOODS[name](members))
    script = f"""
import resource, sys
resource.setrlimit(resource.RLIMIT_CPU, (30, 30))
from bundler.__main__ import run
code = run(["verify", {str(path)!r}])
# Not ru_maxrss: that counts what the parent held before this program was started.
peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(int(peak.split()[1]) * 1024)
sys.exit(code)
"""
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert ended.returncode in (6, 7), ended.stderr
    assert "Traceback" not in ended.stderr
    assert int(ended.stdout.splitlines()[-1]) < MOST


# --- the documents inside ----------------------------------------------------------------------------

INDEXES: dict[str, Callable[[bytes], bytes]] = {
    "deep": lambda good: good.replace(b'"schemaVersion":2', b'"x":' + b"[" * 10_000 + b"]" * 10_000),
    "long number": lambda good: good.replace(b'"schemaVersion":2', b'"schemaVersion":' + b"2" * 5000),
    "NaN": lambda good: good.replace(b'"schemaVersion":2', b'"schemaVersion":NaN'),
    "duplicate keys": lambda good: good.replace(b'"schemaVersion":2', b'"manifests":[],"schemaVersion":2'),
    "UTF-16": lambda good: good.decode().encode("utf-16"),
    "half a letter": lambda good: good.replace(b'"schemaVersion":2', b'"x":"\\ud83d","schemaVersion":2'),
    "null": lambda good: b"null",
    "empty": lambda good: b"",
}


@pytest.mark.parametrize("name", INDEXES)
def test_a_hostile_index_is_refused(name: str, members: list[tuple[str, bytes]], tmp_path: Path) -> None:
    """Case 65."""
    members[2] = ("index.json", INDEXES[name](members[2][1]))
    assert refused(framed(tar_of(members)), tmp_path).exit_code == 7


@pytest.mark.parametrize("field", ["size", "digest"])
def test_a_blob_that_the_inventory_describes_wrongly_is_refused(
    field: str, members: list[tuple[str, bytes]], tmp_path: Path
) -> None:
    """Case 66."""
    document = json.loads(members[0][1])
    document["blobs"][0][field] = {"size": 1, "digest": "sha256:" + "1" * 64}[field]
    members[0] = ("bundle.json", canonical(document))
    assert refused(framed(tar_of(members)), tmp_path).exit_code in (6, 7)


def in_a_bundle(document: dict[str, object], media_type: str, *, as_type: str = "") -> bytes:
    """A bundle whose only manifest is this document, listed as of another type."""
    content = Content()
    content.add_manifest(document, "1.0.0", media_type=media_type)
    (digest, (_, data)) = next(iter(content.manifests.items()))
    entry = descriptor(descriptor_of(data, as_type or media_type))
    inventory = {
        "format": 1, "kind": "full", "manifests": [entry], "blobs": [],
        "repositories": [{"name": NAME, "tags": {"1.0.0": digest}, "untagged": []}],
    }  # fmt: skip
    annotations = dict.fromkeys(
        ("org.opencontainers.image.ref.name", "io.containerd.image.name"), f"{NAME}:1.0.0"
    )
    index = index_document({**entry, "annotations": annotations})
    layout = b'{"imageLayoutVersion":"1.0.0"}\n'
    files = [("bundle.json", canonical(inventory)), ("oci-layout", layout)]
    return framed(tar_of([*files, ("index.json", canonical(index)), (digest.path, data)]))


def verdict(data: bytes, folder: Path) -> BundlerError:
    (folder / "b.tar.zst").write_bytes(data)
    with pytest.raises(BundlerError) as error, open_bundle(folder / "b.tar.zst") as bundle:
        verify_bundle(bundle)
    return error.value


OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"


def test_a_manifest_that_poses_as_an_index_is_refused(tmp_path: Path) -> None:
    """Case 68."""
    document = manifest_document(document_of(descriptor_of(b"{}", "x")), [])
    assert verdict(in_a_bundle(document, OCI_MANIFEST, as_type=OCI_INDEX), tmp_path).exit_code == 7


def test_a_wrong_embedded_blob_is_refused(tmp_path: Path) -> None:
    """Case 71."""
    document = manifest_document({**document_of(descriptor_of(b"{}", "x")), "data": "b3RoZXI="}, [])
    error = verdict(in_a_bundle(document, OCI_MANIFEST), tmp_path)
    assert error.exit_code == 7
    assert "data is not the content" in str(error)


def test_a_needed_blob_that_the_inventory_lacks_is_named(tmp_path: Path) -> None:
    """Case 50."""
    blob = descriptor_of(b"{}", "x")
    error = verdict(in_a_bundle(manifest_document(document_of(blob), []), OCI_MANIFEST), tmp_path)
    assert error.exit_code == 6
    assert blob.digest in str(error)


def test_a_blob_that_nothing_needs_is_refused(tmp_path: Path) -> None:
    """Case 50."""
    content = a_module("1.0.0")
    inventory, _ = packed({NAME: content})
    extra = descriptor_of(b"extra", "x")
    document = json.loads(encode(inventory))
    document["blobs"].append(descriptor(extra))
    members = members_of({NAME: content})
    members[0] = ("bundle.json", canonical(document))
    error = verdict(framed(tar_of([*members, (extra.digest.path, b"extra")])), tmp_path)
    assert (error.exit_code, "no tag needs" in str(error)) == (7, True)


def test_sha256_content_under_a_sha512_name_is_refused(
    members: list[tuple[str, bytes]], tmp_path: Path
) -> None:
    """Case 72."""
    old = descriptor_of(members[4][1]).digest
    new = "sha512:" + old.encoded * 2
    members[0] = ("bundle.json", members[0][1].replace(old.encode(), new.encode()))
    members[4] = (f"blobs/sha512/{old.encoded * 2}", members[4][1])
    assert refused(framed(tar_of(members)), tmp_path).exit_code in (6, 7)


@pytest.mark.parametrize("depth", [8, 9])
def test_indexes_may_be_nested_to_the_limit_and_no_deeper(depth: int, tmp_path: Path) -> None:
    from tests.builders import an_index_of_indexes

    path = a_bundle(tmp_path / "b.tar.zst", {NAME: an_index_of_indexes(depth)})
    with open_bundle(path) as bundle:
        if depth <= DEFAULT_LIMITS.index_depth:
            assert len(verify_bundle(bundle).manifests) == depth + 1
        else:
            with pytest.raises(ContentError, match="nested"):
                verify_bundle(bundle)


# --- directories and odd files -----------------------------------------------------------------------


@pytest.fixture
def unpacked(members: list[tuple[str, bytes]], tmp_path: Path) -> Path:
    for name, data in members:
        (tmp_path / "d" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "d" / name).write_bytes(data)
    return tmp_path / "d"


def _link(path: Path) -> None:
    path.rename(path.with_suffix(".real"))
    path.symlink_to(path.with_suffix(".real"))


def _socket(path: Path) -> None:
    path.unlink()
    with socket.socket(socket.AF_UNIX) as made:
        # A socket's address must be short: bound from inside the folder.
        folder = os.open(path.parent, os.O_RDONLY)
        made.bind(f"/proc/self/fd/{folder}/s")
        os.close(folder)
    (path.parent / "s").rename(path)


def _pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize("replace", [_link, _socket, _pipe, _directory])
@pytest.mark.parametrize("place", [0, 2, 4])
def test_a_directory_with_something_odd_in_it_is_refused_at_once(
    replace: Callable[[Path], None], place: int, unpacked: Path, members: list[tuple[str, bytes]]
) -> None:
    """Case 78."""
    replace(unpacked / members[place][0])
    with pytest.raises((ContentError, LocalError)), open_bundle(unpacked) as bundle:
        verify_bundle(bundle)


def test_the_content_of_a_file_that_is_no_bundle_is_not_shown(tmp_path: Path) -> None:
    """Case 79."""
    (tmp_path / "shadow").write_text("root:$6$salt$secret:19000:0:99999:7:::\n")
    error = verdict((tmp_path / "shadow").read_bytes(), tmp_path)
    assert "root:" not in str(error)
    assert "secret" not in str(error)


def test_the_tools_of_this_file_make_bundles_that_are_accepted(
    members: list[tuple[str, bytes]], tmp_path: Path
) -> None:
    (tmp_path / "b.tar.zst").write_bytes(framed(tar_of(members)))
    with open_bundle(tmp_path / "b.tar.zst") as bundle:
        assert verify_bundle(bundle).manifests
    assert zstandard.ZstdDecompressor().decompress(frame_of(b"x")) == b"x"
