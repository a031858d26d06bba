"""The CUE files in a module's layer, read in memory and within bounds. No I/O.

Sources: POSIX.1-2017 pax, "ustar Interchange Format"; RFC 1952. Go writes a name that no ustar header can
hold into a member before the one it is about: such pairs are passed over, as is everything that is no
plain file.
"""

import zlib
from collections.abc import Iterator
from typing import NamedTuple

from bundler.errors import ContentError
from bundler.limits import MIB

_BLOCK = 512

_GZIP = 16 + zlib.MAX_WBITS

_MOST_GZIP_MEMBERS = 16

_FILES = (b"0", b"\0")

_ABOUT_THE_NEXT = (b"x", b"L", b"K")

_TEMPLATES = "templates/"


class LayerLimits(NamedTuple):
    """Limits of one layer."""

    unpacked: int = 64 * MIB
    """Bytes of the whole archive."""
    members: int = 20_000
    """Files, folders and all else."""


def layer_files(data: bytes, limits: LayerLimits) -> dict[str, bytes]:
    """Return a layer's `.cue` files by path: those at the top, and those below `templates/`.

    Raises ContentError: no gzip, no tar, damaged, or over a limit.
    """
    archive = _unpacked(data, limits.unpacked)
    return {path: archive[start:end] for path, start, end in _members(archive, limits) if _wanted(path)}


def layer_readme(data: bytes, limits: LayerLimits) -> str:
    """Return the text of a layer's README.md; empty if it has none. Raises ContentError."""
    archive = _unpacked(data, limits.unpacked)
    for path, start, end in _members(archive, limits):
        if path.lower() == "readme.md":
            return archive[start:end].decode("utf-8", "replace")
    return ""


def _unpacked(data: bytes, limit: int) -> bytes:
    """Return the joint content of one or a few gzip members."""
    parts: list[bytes] = []
    for _ in range(_MOST_GZIP_MEMBERS):
        part, data = _member(data, limit - sum(map(len, parts)))
        parts.append(part)
        if not data:
            return b"".join(parts)
    raise ContentError("module layer", f"more than {_MOST_GZIP_MEMBERS} gzip members")


def _member(data: bytes, left: int) -> tuple[bytes, bytes]:
    """Return the content of a gzip member, at most `left` bytes, and the bytes behind it."""
    unpacker = zlib.decompressobj(_GZIP)
    try:
        part = unpacker.decompress(data, left + 1)
    except zlib.error as error:
        raise ContentError("module layer", f"damaged gzip data: {error}") from error
    if len(part) > left:
        raise ContentError("module layer", "unpacks to more bytes than the limit")
    if not unpacker.eof:
        raise ContentError("module layer", "its gzip data ends too early")
    return part, unpacker.unused_data


def _members(archive: bytes, limits: LayerLimits) -> Iterator[tuple[str, int, int]]:
    """Yield path, start and end of each plain file whose name is in its own header."""
    at, members, renamed = 0, 0, False
    while archive[at : at + _BLOCK].strip(b"\0"):
        header, members = archive[at : at + _BLOCK], members + 1
        if members > limits.members:
            raise ContentError("module layer", f"more than {limits.members:,} members")
        start = at + _BLOCK
        end = start + _size(header)
        if end > len(archive):
            raise ContentError("module layer", "its archive ends too early")
        kind = header[156:157]
        if kind in _FILES and not renamed:
            yield _path(header), start, end
        renamed = kind in _ABOUT_THE_NEXT
        at = end + -end % _BLOCK


def _size(header: bytes) -> int:
    """Return the size in a header whose checksum is right."""
    try:
        expected, size = (int(header[a:b].strip(b" \0") or b"0", 8) for a, b in ((148, 156), (124, 136)))
    except ValueError:
        expected, size = -1, -1
    if size < 0 or sum(header[:148]) + 8 * ord(" ") + sum(header[156:]) != expected:
        raise ContentError("module layer", "not a tar archive, or damaged")
    return size


def _path(header: bytes) -> str:
    name, prefix = (header[a:b].partition(b"\0")[0] for a, b in ((0, 100), (345, 500)))
    return b"/".join(filter(None, (prefix, name))).decode("utf-8", "replace").removeprefix("./")


def _wanted(path: str) -> bool:
    below = path.removeprefix(_TEMPLATES)
    plain = not {"", ".", ".."} & set(path.split("/"))
    return plain and path.endswith(".cue") and (below != path or "/" not in path)
