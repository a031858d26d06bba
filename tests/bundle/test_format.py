"""Format 1 at the level of bytes."""

from __future__ import annotations

import contextlib
import io
import struct
import tarfile
from itertools import pairwise

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from bundler.bundle.bundle_format import (
    BLOCK,
    END_OF_ARCHIVE,
    FRAME_CONTENT,
    PIECE,
    Frame,
    block_size,
    cuts,
    first_member_size,
    frame_content,
    member_header,
    member_size,
    padding,
    parse_seek_table,
    seek_table,
    seek_table_size,
)
from bundler.errors import ContentError, IntegrityError

LONG = "blobs/sha512/" + "a" * 128
names = st.sampled_from(["bundle.json", "blobs/sha256/" + "0" * 64, "x" * 100, "x" * 101, LONG])


# --- ustar -------------------------------------------------------------------------------------------


@given(st.lists(st.tuples(names, st.binary(max_size=1500)), max_size=6))
def test_members_are_read_by_an_independent_tar(members: list[tuple[str, bytes]]) -> None:
    stream = b"".join(member_header(name, len(data)) + data + padding(len(data)) for name, data in members)
    with tarfile.open(fileobj=io.BytesIO(stream + END_OF_ARCHIVE)) as archive:
        found = [(entry.name, archive.extractfile(entry)) for entry in archive]
    assert [(name, file.read() if file else None) for name, file in found] == members
    assert len(stream) == sum(member_size(name, len(data)) for name, data in members)


def test_a_header_holds_no_time_no_owner_and_plain_rights() -> None:
    entry = tarfile.TarInfo.frombuf(member_header("a", 5), "ascii", "strict")
    assert (entry.mtime, entry.uid, entry.gid, entry.uname, entry.gname) == (0, 0, 0, "", "")
    assert (entry.mode, entry.isreg()) == (0o644, True)


@pytest.mark.parametrize("size", [0, 8**11 - 1, 8**11, 1 << 40])
def test_sizes_over_8_gigabytes_are_written_as_gnu_tar_does(size: int) -> None:
    assert tarfile.TarInfo.frombuf(member_header("a", size), "ascii", "strict").size == size


@given(st.integers(0, 10_000))
def test_padding_fills_whole_blocks(size: int) -> None:
    assert (size + len(padding(size))) % BLOCK == 0
    assert len(padding(size)) < BLOCK


def test_the_first_member_tells_its_size() -> None:
    assert first_member_size(member_header("bundle.json", 77), "bundle.json") == 77


@pytest.mark.parametrize(
    "field", [slice(124, 135), slice(148, 156), slice(0, 11), slice(156, 157), slice(100, 107)]
)
@pytest.mark.parametrize("byte", [b"\xff", b"-", b" ", b"9", b"_"])
def test_a_first_header_that_is_bent_anywhere_is_refused(field: slice, byte: bytes) -> None:
    """Case 60."""
    header = bytearray(member_header("bundle.json", 77))
    header[field] = byte * len(header[field])
    with pytest.raises(ContentError):
        first_member_size(bytes(header), "bundle.json")


# --- frames ------------------------------------------------------------------------------------------

sizes = st.lists(
    st.integers(1, 40).map(lambda blocks: blocks * BLOCK)
    | st.sampled_from([PIECE - BLOCK, PIECE, PIECE + BLOCK, FRAME_CONTENT, FRAME_CONTENT + BLOCK, 3 * PIECE]),
    min_size=1,
    max_size=30,
)


@given(sizes, st.integers(1, 8))
def test_every_frame_fits_the_format_and_all_bytes_are_in_one(members: list[int], metadata: int) -> None:
    ends = cuts(members, metadata)
    assert ends[-1] == sum(members) + len(END_OF_ARCHIVE)
    assert all(0 < second - first <= FRAME_CONTENT for first, second in pairwise([0, *ends]))


@given(sizes)
def test_a_large_member_shares_no_frame(members: list[int]) -> None:
    ends, offset = {0, *cuts(members, 1)}, 0
    for size in members:
        if size > PIECE:
            assert {offset, offset + size} <= ends
        offset += size


def test_the_metadata_has_frames_of_its_own() -> None:
    assert cuts([BLOCK] * 5, 3) == [3 * BLOCK, 5 * BLOCK + len(END_OF_ARCHIVE)]


def _frame(**parameters: int | bool) -> bytes:
    made = zstandard.ZstdCompressionParameters.from_level(3, **({"write_checksum": True} | parameters))
    return zstandard.ZstdCompressor(compression_params=made).compress(b"content" * 100)


def test_the_frames_written_are_the_frames_read() -> None:
    frame = _frame(write_content_size=True)
    header, content = frame_content(frame[:13])
    assert content == 700
    size, last = block_size(frame[header : header + 3])
    assert last
    assert header + 3 + size + 4 == len(frame)


@pytest.mark.parametrize(
    "frame",
    [
        _frame(write_checksum=False),
        _frame(write_content_size=False),
        b"\x50\x2a\x4d\x18" + bytes(9),
        b"\x28\xb5\x2f\xfd\x25" + bytes(8),
        b"\x28\xb5\x2f\xfd\xa4" + struct.pack("<Q", FRAME_CONTENT + 1),
        b"\x28\xb5\x2f\xfd\x24\x00" + bytes(7),
    ],
    ids=["no checksum", "no size", "skippable", "dictionary", "too large", "empty"],
)
def test_a_frame_that_the_format_has_no_place_for_is_refused(frame: bytes) -> None:
    """Case 62."""
    with pytest.raises(ContentError):
        frame_content(frame[:13])


def test_what_is_no_frame_at_all_is_damage() -> None:
    with pytest.raises(IntegrityError, match="no zstd frame"):
        frame_content(b"PK\x03\x04" + bytes(9))
    with pytest.raises(IntegrityError, match="reserved type"):
        block_size(b"\x06\x00\x00")


# --- seek table --------------------------------------------------------------------------------------

frames = st.lists(st.builds(Frame, st.integers(0, (1 << 32) - 1), st.integers(0, (1 << 32) - 1)), max_size=40)


@given(frames)
def test_a_seek_table_is_read_as_it_was_written(entries: list[Frame]) -> None:
    table = seek_table(entries)
    assert parse_seek_table(table) == entries
    assert seek_table_size(table[-9:]) == len(table)


@given(frames, st.data())
def test_a_bent_seek_table_is_refused_or_means_something_else(
    entries: list[Frame], data: st.DataObject
) -> None:
    table = bytearray(seek_table(entries))
    table[data.draw(st.integers(0, len(table) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    with contextlib.suppress(IntegrityError, struct.error):
        assert parse_seek_table(bytes(table)) != entries


@pytest.mark.parametrize("footer", [b"", b"\0" * 9, seek_table([])[-9:-1]])
def test_a_file_that_does_not_end_with_a_seek_table_is_seen(footer: bytes) -> None:
    assert seek_table_size(footer) is None
