"""Frames of a compact file: made in order, the head first, and found again by the seek table."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, NamedTuple

import zstandard

from bundler.bundle import bundle_format
from bundler.bundle.compacted import compact_format
from bundler.errors import BUNDLE, ContentError
from bundler.limits import MIB, Limits
from bundler.oci import CHUNK
from bundler.volumes.volume_reader import BundleBytes
from bundler.workers import ordered

if TYPE_CHECKING:
    from bundler.trust.statement import SignedStatement

_HEAD_LEVEL, _LARGE_HEAD_LEVEL = 19, 9
"""zstd levels of a head of up to 1 MiB, and of a larger one, whatever the level of the file."""
_SMALL_LEVEL = 12
"""A higher level takes a hundred megabytes for each frame that is made at a time."""


# --- writing ---


class HeadFrame(NamedTuple):
    """The first frame, and the bytes of its content."""

    frame: bytes
    content: int


def encode_head(compact: bytes, inventory: bytes, signed_statement: SignedStatement | None) -> HeadFrame:
    """Return the head: at one level, so that a signature added later makes the same bytes."""
    signed = [data for _, data in signed_statement.files()] if signed_statement else [b"", b""]
    parts = [compact, inventory, *signed]
    content = compact_format.HEAD_SIZES.pack(*map(len, parts)) + b"".join(parts)
    level = _HEAD_LEVEL if len(content) <= MIB else _LARGE_HEAD_LEVEL
    ((size, frame),) = compressed([content], compact_format.GROUP, level)
    return HeadFrame(frame, size)


def compressed(contents: Iterable[bytes], most: int, level: int) -> Iterator[tuple[int, bytes]]:
    """Yield each content's size and frame, in order. One thread makes a frame: the bytes are fixed."""
    local = threading.local()
    # Versions of a file lie far apart, and differ every few lines: long matches are looked for often.
    distant = {"enable_ldm": True, "ldm_min_match": 32, "ldm_hash_rate_log": 3, "ldm_hash_log": 20}
    parameters = zstandard.ZstdCompressionParameters.from_level(
        level,
        window_log=most.bit_length() - 1,
        write_checksum=True,
        write_content_size=True,
        **(distant if most == compact_format.GROUP else {}),
    )

    def compress(content: bytes) -> tuple[int, bytes]:
        if not hasattr(local, "compressor"):
            local.compressor = zstandard.ZstdCompressor(compression_params=parameters)
        compressor: zstandard.ZstdCompressor = local.compressor
        return len(content), compressor.compress(content)

    threads = 1 if level > _SMALL_LEVEL else 2
    return ordered(contents, compress, threads=min(os.cpu_count() or 1, threads))


# --- reading ---


def seek_table_in(pieces: BundleBytes, limits: Limits) -> list[bundle_format.Frame]:
    """Return the frames that the end of a file lists. Raises IntegrityError, ContentError."""
    size = pieces.size
    footer = pieces.read_at(bundle_format.SEEK_TABLE_FOOTER, max(size - bundle_format.SEEK_TABLE_FOOTER, 0))
    length = bundle_format.seek_table_size(footer)
    if length is None or not length <= min(size, bundle_format.seek_table_size_of(limits.frames)):
        raise bundle_format.truncated("it does not end with a seek table")
    frames = bundle_format.parse_seek_table(pieces.read_at(length, size - length))
    if (
        len(bundle_format.COMPACT_MARK)
        + sum(frame.compressed for frame in frames)
        + bundle_format.DIGEST_FRAME
        + length
        != size
    ):
        raise bundle_format.damaged("its frames are not as long as the file")
    if not frames or any(not 0 < frame.content <= compact_format.LARGEST_GROUP for frame in frames):
        raise ContentError(BUNDLE, "its seek table lists a frame of a size that the format does not allow")
    return frames


def proven_whole(pieces: BundleBytes, end: int) -> str:
    """Return the sha256 of a file whose frames end at `end`. Raises IntegrityError for changed bytes."""
    digest, passed = hashlib.sha256(), pieces.checking()
    for data in raw_bytes(pieces, 0, end):
        digest.update(data)
        passed(data)
    expected = bundle_format.digest_frame(digest.digest())
    rest = b"".join(raw_bytes(pieces, end, pieces.size))
    if rest[: len(expected)] != expected:
        pieces.diagnose()
        raise bundle_format.damaged("its bytes are not those that were written")
    digest.update(rest)
    passed(rest)
    pieces.check(digest.hexdigest())
    return digest.hexdigest()


def raw_bytes(pieces: BundleBytes, start: int, end: int) -> Iterator[bytes]:
    """Yield the bytes of a file from `start` to `end`. Raises IntegrityError where it is shorter."""
    while start < end:
        data = pieces.read_at(min(CHUNK, end - start), start)
        if not data:
            raise bundle_format.truncated()
        start += len(data)
        yield data
