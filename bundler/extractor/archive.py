"""tar+gzip archives that others made, read with suspicion: files and directories below one place.

What a layer holds was written by anybody, with Go's, GNU's or another tar. So only what can mean one
thing passes: ustar and GNU headers, long names by pax `path` or GNU `L`, regular files, directories.
Everything else is refused by name: links, devices, sparse files, names that lead elsewhere. The
bytes have their digest already; what is wrong here was made so.
Sources: POSIX.1-2017 pax, "pax Interchange Format"; GNU tar, "Basic Tar Format"; RFC 1952.
"""

from __future__ import annotations

import io
import re
import zlib
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from bundler.bundle.bundle_format import BLOCK, padding
from bundler.errors import ContentError, printable
from bundler.limits import KIB, Limits
from bundler.oci import CHUNK

LONGEST_EXTENSION = 64 * KIB
"""Bytes of a pax header or a GNU long name."""

LONGEST_PATH = 1024

LONGEST_NAME = 255
"""Bytes of a path, and of one name in it."""

_GZIP = 16 + zlib.MAX_WBITS

_POSIX, _GNU = b"ustar\x0000", b"ustar  \0"

_FILE, _OLD_FILE, _FOLDER, _PAX, _GNU_NAME = b"0", b"\0", b"5", b"x", b"L"

_KINDS = {
    b"1": "a hard link", b"2": "a symbolic link", b"3": "a character device", b"4": "a block device",
    b"6": "a pipe", b"7": "a contiguous file", b"S": "a sparse file", b"K": "a link with a long name",
    b"g": "a global pax header",
}  # fmt: skip

_OCTAL = re.compile(rb" *([0-7]+)[ \0]*")

_RECORD = re.compile(rb"([1-9][0-9]{0,6}) ([^=]+)=")

_HARMLESS = re.compile(
    rb"[amc]time|[ug]id|[ug]name|comment"
    rb"|SCHILY\.(?:dev|ino|nlink|fflags|acl\..*|xattr\..*)|LIBARCHIVE\.(?:creationtime|xattr\..*)"
)
"""pax records that change neither a name nor a byte of content."""


class Allowance:
    """The bytes that the archives of one version may take unpacked, all together."""

    def __init__(self, limits: Limits) -> None:
        self._most = self._left = limits.unpacked

    def spend(self, size: int) -> None:
        """Count unpacked bytes. Raises ValueError over the limit."""
        self._left -= size
        if self._left < 0:
            raise ValueError(f"more than the limit of {self._most:,} bytes unpacked")


class ArchiveEntry(NamedTuple):
    """A file, or a directory, of an archive."""

    path: str
    """Relative path, `/` between its names; empty for the place itself."""
    is_folder: bool
    size: int


class Archive:
    """A tar+gzip archive, read once. `item` names it in errors; all are ContentError."""

    def __init__(self, item: str, chunks: Iterable[bytes], allowance: Allowance) -> None:
        self._item = item
        self._file = io.BufferedReader(_Inflated(iter(chunks), allowance), CHUNK)

    def entries(self) -> Iterator[tuple[ArchiveEntry, Iterator[bytes]]]:
        """Yield every entry with its bytes; when this ends well, the archive did."""
        name: bytes | None = None
        while (block := self._exactly(BLOCK)) != bytes(BLOCK):
            header = self._checked(_header, block)
            if header.kind in (_PAX, _GNU_NAME):
                if name is not None:
                    raise self._refused(header.name, "two headers of a name, one behind the other")
                name = self._long_name(header)
                continue
            name = header.name if name is None else name
            entry = self._entry(name, header)
            data = self._data(entry.size)
            yield entry, data
            for _ in data:
                pass
            self._exactly(len(padding(entry.size)))
            name = None
        self._end(pending=name is not None)

    def _entry(self, name: bytes, header: _Header) -> ArchiveEntry:
        is_folder = header.kind == _FOLDER
        if not is_folder and header.kind not in (_FILE, _OLD_FILE):
            raise self._refused(name, f"it is {_KINDS.get(header.kind, 'of an unknown kind')}")
        if is_folder and header.size:
            raise self._refused(name, "a directory with content")
        try:
            return ArchiveEntry(_path(name, is_folder=is_folder), is_folder, header.size)
        except ValueError as error:
            raise self._refused(name, str(error)) from error

    def _long_name(self, header: _Header) -> bytes | None:
        if header.size > LONGEST_EXTENSION:
            raise self._refused(header.name, f"a header of {header.size:,} bytes before it")
        data = self._exactly(header.size)
        self._exactly(len(padding(header.size)))
        return data.removesuffix(b"\0") if header.kind == _GNU_NAME else self._checked(_pax_path, data)

    def _data(self, size: int) -> Iterator[bytes]:
        while size:
            chunk = self._exactly(min(size, CHUNK))
            size -= len(chunk)
            yield chunk

    def _end(self, *, pending: bool) -> None:
        """Raise ContentError unless a second block of zeros and nothing but zeros follow."""
        if pending:
            raise ContentError(self._item, "it ends after a header with a long name")
        if self._exactly(BLOCK) != bytes(BLOCK):
            raise ContentError(self._item, "its archive has data after its end")
        while chunk := self._checked(self._file.read, CHUNK):
            if chunk != bytes(len(chunk)):
                raise ContentError(self._item, "its archive has data after its end")

    def _exactly(self, size: int) -> bytes:
        data: bytes = self._checked(self._file.read, size)
        if len(data) < size:
            raise ContentError(self._item, "its archive ends too early")
        return data

    def _checked(self, function: Any, argument: Any) -> Any:
        try:
            return function(argument)
        except (ValueError, zlib.error) as error:
            raise ContentError(self._item, f"not an archive of files: {error}") from error

    def _refused(self, name: bytes, cause: str) -> ContentError:
        shown = printable(name.decode("utf-8", "backslashreplace"), 200)
        return ContentError(self._item, f"its entry {shown!r} is refused: {cause}")


class _Inflated(io.RawIOBase):
    """Content of one gzip member, unpacked as it is read; nothing may follow it."""

    def __init__(self, chunks: Iterator[bytes], allowance: Allowance) -> None:
        self._chunks = chunks
        self._allowance = allowance
        self._gzip = zlib.decompressobj(_GZIP)
        self._waiting = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        # First with what waits inside zlib, even if there is no input left.
        while not (data := self._gzip.decompress(self._waiting, len(buffer))) and not self._gzip.eof:
            self._waiting = self._gzip.unconsumed_tail or next(self._chunks, b"")
            if not self._waiting:
                raise ValueError("its gzip stream ends too early")
        self._waiting = self._gzip.unconsumed_tail
        if self._gzip.eof and (self._gzip.unused_data or any(self._chunks)):
            raise ValueError("its gzip stream has data after its end")
        self._allowance.spend(len(data))
        buffer[: len(data)] = data
        return len(data)


# --- headers -----------------------------------------------------------------------------------------


class _Header(NamedTuple):
    name: bytes
    kind: bytes
    size: int


def _header(block: bytes) -> _Header:
    """Read a header block. Raises ValueError."""
    form, prefix = block[257:265], block[345:500].rstrip(b"\0")
    # GNU keeps times and maps of sparse files where POSIX has the prefix; star its own at the end.
    if form not in (_POSIX, _GNU) or any(block[500:]) or (form == _GNU and prefix):
        raise ValueError("a header that is not ustar or plain GNU")
    if sum(block) - sum(block[148:156]) + 8 * ord(" ") != _number(block[148:156]):
        raise ValueError("a header with a wrong checksum")
    name = block[:100].rstrip(b"\0")
    return _Header(b"/".join((prefix, name)) if prefix else name, block[156:157], _number(block[124:136]))


def _number(field: bytes) -> int:
    match = _OCTAL.fullmatch(field)
    if not match:
        raise ValueError("a header with a malformed number")
    return int(match[1], 8)


def _pax_path(data: bytes) -> bytes | None:
    """Return the `path` of a pax header, if it has one. Raises ValueError for records that change more."""
    path: bytes | None = None
    start = 0
    while start < len(data):
        match = _RECORD.match(data, start)
        end = start + int(match[1]) if match else 0
        if not match or not match.end() < end <= len(data) or data[end - 1 : end] != b"\n":
            raise ValueError("a malformed pax header")
        key, value = match[2], data[match.end() : end - 1]
        if key == b"path" and path is None:
            path = value
        elif not _HARMLESS.fullmatch(key):
            raise ValueError(f"a pax header with {printable(key.decode('latin-1'), 60)!r}")
        start = end
    return path


def _path(name: bytes, *, is_folder: bool) -> str:
    """Return a name as a path below one place. Raises ValueError for one that could lead elsewhere."""
    if is_folder and name in (b".", b"./"):
        return ""
    path = name.decode("utf-8").removeprefix("./")
    path = path.removesuffix("/") if is_folder else path
    if not path.isprintable() or "\\" in path:
        raise ValueError("control characters or a backslash in its name")
    if {"", ".", ".."} & set(path.split("/")):
        raise ValueError("its name is not a plain path below the directory")
    if len(name) > LONGEST_PATH or max(len(part.encode()) for part in path.split("/")) > LONGEST_NAME:
        raise ValueError("its name is too long")
    return path
