"""Format 1 at the level of bytes: ustar members, zstd frames, the seek table. No I/O.

A bundle is one tar stream cut into independent zstd frames. Every byte of it follows from the
inventory and the blobs, so a reader compares with what must stand there and interprets nothing.
Sources: POSIX.1-2017 pax, "ustar Interchange Format"; RFC 8878; zstd, contrib/seekable_format.
"""

import struct
from collections.abc import Iterable
from typing import NamedTuple

from bundler.errors import BUNDLE, ContentError, IntegrityError
from bundler.limits import MIB

BLOCK = 512

END_OF_ARCHIVE = bytes(2 * BLOCK)

FRAME_CONTENT = 8 * MIB
"""Bytes of tar stream in one frame, at most: what a reader must hold to get at any blob."""

PIECE = 2 * MIB
"""A larger member gets frames of its own, each of this much, so that readers need no more memory."""

ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"

DIGEST_MAGIC = struct.pack("<I", 0x184D2A51)

SEEK_TABLE_MAGIC = struct.pack("<I", 0x184D2A5E)

SEEKABLE_MAGIC = struct.pack("<I", 0x8F92EAB1)

SKIPPABLE_MAGICS = tuple(struct.pack("<I", 0x184D2A50 + low) for low in range(16))

# Single segment, checksum, no dictionary, reserved bits clear: the window is the content's size.
_DESCRIPTOR_MASK = 0b0011_1111

_DESCRIPTOR = 0b0010_0100

_SIZE_FIELD = {0: 1, 1: 2, 2: 4, 3: 8}

COMPACT_MARK = struct.pack("<II", 0x184D2A52, 30) + b"timoni-bundler compact bundle\n"
"""The skippable frame that a compact file begins with."""

COMPACT_LEVEL = 3
"""zstd level of a compact file where nobody says another."""

_AGAIN = "carry the file again"


# --- ustar -----------------------------------------------------------------------------------------


def member_header(name: str, size: int) -> bytes:
    """Return the header of a regular member: mode 644, no owner, no time; long names by one pax record."""
    if len(name) <= 100:
        return _header(name, size, b"0")
    record = f" path={name}\n"
    length = len(record) + 3
    data = f"{length}{record}".encode()
    return _header("pax", len(data), b"x") + data + padding(len(data)) + _header(name[:100], size, b"0")


def _header(name: str, size: int, kind: bytes) -> bytes:
    octal = b"%011o\0" % size if size < 8**11 else b"\x80" + size.to_bytes(11, "big")
    fields = (
        name.encode("ascii").ljust(100, b"\0"), b"0000644\0", b"0000000\0" * 2, octal, b"00000000000\0",
        b" " * 8, kind, bytes(100), b"ustar\0" b"00", bytes(64), b"0000000\0" * 2, bytes(167),
    )  # fmt: skip
    plain = b"".join(fields)
    return plain[:148] + b"%06o\0 " % sum(plain) + plain[156:]


def damaged(cause: str) -> IntegrityError:
    """Return the error for bytes that are not those that were written."""
    return IntegrityError(BUNDLE, f"damaged: {cause}", _AGAIN)


def truncated(cause: str = "the file ends too early") -> IntegrityError:
    """Return the error for missing bytes."""
    return IntegrityError(BUNDLE, f"truncated: {cause}", _AGAIN)


def padding(size: int) -> bytes:
    """Return the zeros behind a member's data."""
    return bytes(-size % BLOCK)


def member_size(name: str, size: int) -> int:
    """Return the bytes that a member takes in the tar stream."""
    return len(member_header(name, 0)) + size + -size % BLOCK


def first_member_size(header: bytes, name: str) -> int:
    """Return the size in the first member's header. Raises ContentError unless it is that member."""
    size = size_in(header)
    if size < 0 or header != member_header(name, size):
        raise ContentError(BUNDLE, f"its archive does not begin with {name}: not made by this program")
    return size


def size_in(header: bytes) -> int:
    """Return the size that a header of a small member says; -1 if it says none."""
    try:
        return int(header[124:135], 8)
    except ValueError:
        return -1


def is_named(header: bytes, name: str) -> bool:
    """Return True if a header gives this name to its member."""
    return header[:100] == name.encode("ascii").ljust(100, b"\0")


# --- frames ----------------------------------------------------------------------------------------


def cuts(sizes: Iterable[int], metadata: int) -> list[int]:
    """Return the ends of all frames as offsets in the tar stream, from the members' sizes there.

    The first `metadata` members get frames to themselves. The end of the archive counts as one more.
    """
    ends: list[int] = []
    start = offset = 0
    for number, size in enumerate((*sizes, len(END_OF_ARCHIVE))):
        large = size > PIECE
        if offset > start and (large or number == metadata or offset + size - start > FRAME_CONTENT):
            ends.append(offset)
            start = offset
        offset += size
        while large and offset - start > PIECE:
            start += PIECE
            ends.append(start)
        if large and offset > start:
            ends.append(offset)
            start = offset
    return [*ends, offset]


class Frame(NamedTuple):
    """One entry of the seek table: sizes in bytes."""

    compressed: int
    content: int


def frame_content(header: bytes, most: int = FRAME_CONTENT) -> tuple[int, int]:
    """Return the length of a frame's header, and of its content, from its first 13 bytes.

    Raises ContentError for a frame that format 1 has no place for: another window, a dictionary, a
    missing checksum, too much content.
    """
    if header[:4] in SKIPPABLE_MAGICS:
        raise ContentError(BUNDLE, "a skippable frame where format 1 allows none")
    if header[:4] != ZSTD_MAGIC:
        raise damaged("no zstd frame begins where one should")
    descriptor = header[4]
    if descriptor & _DESCRIPTOR_MASK != _DESCRIPTOR:
        raise ContentError(BUNDLE, "a zstd frame with another window, a dictionary or no checksum")
    width = _SIZE_FIELD[descriptor >> 6]
    content = int.from_bytes(header[5 : 5 + width], "little") + (256 if width == 2 else 0)
    if content > most:
        raise ContentError(BUNDLE, f"a zstd frame of {content:,} bytes, over the format's {most:,}")
    if not content:
        raise ContentError(BUNDLE, "an empty zstd frame")
    return 5 + width, content


def block_size(header: bytes) -> tuple[int, bool]:
    """Return the bytes of the block behind a three-byte block header, and whether it is the last one."""
    value = int.from_bytes(header, "little")
    kind, size = value >> 1 & 3, value >> 3
    if kind == 3:
        raise damaged("a zstd block of a reserved type")
    return 1 if kind == 1 else size, bool(value & 1)


# --- digest ----------------------------------------------------------------------------------------

DIGEST_FRAME = 40
"""Bytes of the skippable frame behind the last frame of content."""


def digest_frame(sha256: bytes) -> bytes:
    """Return the skippable frame that holds the sha256 of all bytes before it.

    The frames' own checksums speak of their content only, and some bits of a compressed block have no
    meaning: with this frame a damaged bit is found wherever it is, also in a pipe.
    """
    return DIGEST_MAGIC + struct.pack("<I", len(sha256)) + sha256


# --- seek table ------------------------------------------------------------------------------------


def seek_table(frames: Iterable[Frame]) -> bytes:
    """Return the skippable frame that ends a bundle."""
    entries = b"".join(struct.pack("<II", frame.compressed, frame.content) for frame in frames)
    footer = struct.pack("<IB", len(entries) // 8, 0) + SEEKABLE_MAGIC
    return SEEK_TABLE_MAGIC + struct.pack("<I", len(entries) + len(footer)) + entries + footer


SEEK_TABLE_FOOTER = 9


def seek_table_size(footer: bytes) -> int | None:
    """Return the length of the seek table, from the last nine bytes of a file; None without one."""
    if len(footer) != SEEK_TABLE_FOOTER or footer[5:] != SEEKABLE_MAGIC:
        return None
    return seek_table_size_of(int.from_bytes(footer[:4], "little"))


def seek_table_size_of(frames: int) -> int:
    """Return the bytes of a seek table of so many frames."""
    return 8 + 8 * frames + SEEK_TABLE_FOOTER


def parse_seek_table(table: bytes) -> list[Frame]:
    """Return the frames. Raises IntegrityError unless re-encoding them gives the same bytes."""
    entries = table[8:-SEEK_TABLE_FOOTER]
    frames = [Frame(*pair) for pair in struct.iter_unpack("<II", entries[: len(entries) & -8])]
    if seek_table(frames) != table:
        raise damaged("its seek table contradicts itself")
    return frames
