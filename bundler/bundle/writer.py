"""Writing a bundle from an inventory and its blobs: to a file, or into a pipe.

Frames are compressed by a pool of threads, one thread each, so the bytes depend on the content
alone, not on the machine.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import zstandard

from bundler.bundle import bundle_format
from bundler.bundle.inventory import INVENTORY_FILE, Inventory, bundle_id, encode, encode_index
from bundler.errors import BundlerError, ContentError
from bundler.layout import INDEX_FILE, LAYOUT, LAYOUT_FILE
from bundler.limits import Limits
from bundler.oci import BlobSource, Digest
from bundler.oci.document import checked
from bundler.reporting.bundle_outcome import CompactReport
from bundler.reporting.progress import Step
from bundler.workers import InOrder, ordered

if TYPE_CHECKING:
    from bundler.trust.statement import SignedStatement


LEVEL = 3

WINDOW_LOG = bundle_format.FRAME_CONTENT.bit_length() - 1
"""One frame is one window, so every match in it is in reach."""


class WrittenBundle(NamedTuple):
    """A written bundle: its id, and the file's sha256 and size in bytes."""

    bundle_id: Digest
    sha256: str
    size: int
    compact: CompactReport | None = None
    """Of a compact one: what it saves."""


def files_of(inventory: Inventory, signed: SignedStatement | None = None) -> list[tuple[str, bytes]]:
    """Return the members that describe the others, in file order."""
    return [
        (INVENTORY_FILE, encode(inventory)),
        *(signed.files() if signed else ()),
        (LAYOUT_FILE, LAYOUT),
        (INDEX_FILE, encode_index(inventory)),
    ]


def check_readable(inventory: Inventory, limits: Limits) -> None:
    """Raise ContentError for more than a reader takes; to be known before anything is fetched."""
    for name, data in files_of(inventory):
        try:
            checked(data, item="selection", limits=limits)
        except ContentError as error:
            cause = f"its {name} would be {error.cause}"
            raise ContentError(error.item, cause, "export fewer repositories or tags at a time") from None


def largest_size(inventory: Inventory) -> int:
    """Return the bytes that the bundle can have at most: what incompressible blobs would take."""
    files = sum(bundle_format.member_size(name, len(data)) for name, data in files_of(inventory))
    tar = files + sum(member.length for member in inventory.members)
    return tar + tar // 1000 + 64 * 1024


def write_bundle(
    write: Callable[[bytes], object],
    inventory: Inventory,
    source: BlobSource,
    step: Step,
    signed: SignedStatement | None = None,
) -> WrittenBundle:
    """Write the bundle by calls of `write`, in order, without ever seeking.

    Raises what `source` raises for a blob that it does not have whole, when all before it is written.
    """
    files = files_of(inventory, signed)
    sizes = [bundle_format.member_size(name, len(data)) for name, data in files]
    sizes += [member.length for member in inventory.members]
    broken: list[BundlerError] = []
    stream = _until_broken(_tar(files, inventory, source, step), broken)
    contents = _cut(stream, bundle_format.cuts(sizes, len(files) + len(inventory.manifests)))
    digest, frames = hashlib.sha256(), []
    beside = InOrder()

    def pass_on(data: bytes) -> None:
        digest.update(data)
        write(data)

    try:
        for content_size, frame in _compressed(contents):
            frames.append(bundle_format.Frame(len(frame), content_size))
            beside.call(partial(pass_on, frame))
        beside.finish()
        if broken:
            raise broken[0]
    except BaseException:
        beside.give_up()
        raise
    end = bundle_format.digest_frame(digest.digest()) + bundle_format.seek_table(frames)
    pass_on(end)
    size = sum(frame.compressed for frame in frames) + len(end)
    return WrittenBundle(bundle_id(files[0][1]), digest.hexdigest(), size)


def _tar(
    files: Iterable[tuple[str, bytes]], inventory: Inventory, source: BlobSource, step: Step
) -> Iterator[bytes]:
    for name, data in files:
        yield from (bundle_format.member_header(name, len(data)), data, bundle_format.padding(len(data)))
    for member in inventory.members:
        yield member.header
        for chunk in member.stored(source):
            step.advance(size=len(chunk))
            yield chunk
        yield member.padding
        step.advance(items=1)
    yield bundle_format.END_OF_ARCHIVE


def _until_broken(stream: Iterator[bytes], broken: list[BundlerError]) -> Iterator[bytes]:
    """Pass the stream on; keep an error that ends it: what came before is on its way through the threads."""
    try:
        yield from stream
    except BundlerError as error:
        broken.append(error)


def _cut(stream: Iterable[bytes], ends: Iterable[int]) -> Iterator[bytearray]:
    """Yield the stream in contents of frames."""
    waiting, offset = bytearray(), 0
    ending = iter(ends)
    end = next(ending)
    for chunk in stream:
        view = memoryview(chunk)
        while len(view) >= (room := end - offset - len(waiting)):
            waiting += view[:room]
            yield waiting
            offset, waiting, view = end, bytearray(), view[room:]
            end = next(ending, -1)
            if end < 0:
                return
        waiting += view


def _compressed(contents: Iterable[bytearray]) -> Iterator[tuple[int, bytes]]:
    """Yield each content's size and frame, in order."""
    local = threading.local()

    def compress(content: bytearray) -> tuple[int, bytes]:
        if not hasattr(local, "compressor"):
            local.compressor = zstandard.ZstdCompressor(compression_params=_parameters())
        compressor: zstandard.ZstdCompressor = local.compressor
        return len(content), compressor.compress(content)

    return ordered(contents, compress, threads=min(os.cpu_count() or 1, 4))


def _parameters() -> zstandard.ZstdCompressionParameters:
    # Long-distance matching gains nothing while a frame is one window, and slows long blobs.
    return zstandard.ZstdCompressionParameters.from_level(
        LEVEL, window_log=WINDOW_LOG, write_checksum=True, write_content_size=True
    )
