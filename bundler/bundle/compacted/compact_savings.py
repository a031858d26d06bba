"""A compact bundle beside the portable one: what it saves, by repository and producer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from bundler.bundle.bundle_format import COMPACT_LEVEL
from bundler.bundle.bundle_output import SourceOnBase
from bundler.bundle.compacted.base_content import temporary_folder
from bundler.bundle.compacted.compact_writer import CompactWriter, WrittenCompact
from bundler.bundle.inventory import Inventory
from bundler.bundle.manifest_pool import ManifestPool, chain_entry_of
from bundler.bundle.writer import WrittenBundle, write_bundle
from bundler.limits import Limits
from bundler.oci import BlobSource, Descriptor, Digest, Manifests, needed_by
from bundler.reporting.bundle_outcome import CompactReport, CompactShare
from bundler.reporting.progress import SILENCE, Progress, Step
from bundler.trust.statement import SignedStatement


def write_compact(
    write: Callable[[bytes], object],
    inventory: Inventory,
    source: BlobSource,
    step: Step,
    signed_statement: SignedStatement | None = None,
    *,
    folder: Path,
    limits: Limits,
    level: int = COMPACT_LEVEL,
) -> WrittenBundle:
    """Write a bundle in its compact form, as `write_bundle` writes the portable one.

    `folder` has room for the files of all layers, unpacked, each once; for the layers of a base, too.
    """
    base = source.layers() if isinstance(source, SourceOnBase) else None
    with CompactWriter(folder, limits, level, base) as writer:
        written = writer.write(write, inventory, source, step, signed_statement)
    pool = ManifestPool(limits)
    available = chain_entry_of(written.bundle.bundle_id, inventory, inventory.manifests, source, pool)
    portable = write_bundle(len, inventory, source, SILENCE, signed_statement)
    report = compact_report(written, inventory, available.manifests, portable.size)
    return written.bundle._replace(compact=report)


def compact_report(
    written: WrittenCompact, inventory: Inventory, manifests: Manifests, portable_size: int
) -> CompactReport:
    """Return what a compact bundle saves, by repository and producer."""
    homes: dict[Digest, str] = {}
    for entry in inventory.repositories:
        roots = [digest for digest in entry.roots() if digest in manifests]
        for digest in needed_by(roots, manifests):
            homes.setdefault(digest, entry.name)
    sums: dict[tuple[str, str, int | None], list[int]] = {}
    compressed_part = written.content.compressed / max(written.content.content, 1)
    for layer in written.layers:
        codec = int(layer.recipe.codec) if layer.recipe else None
        kind = homes.get(layer.blob.digest, ""), layer.producer, codec
        saved = layer.blob.size - round(layer.fresh * compressed_part) if layer.recipe else 0
        for place, number in enumerate((1, layer.blob.size, saved)):
            sums.setdefault(kind, [0, 0, 0])[place] += number
    shares = tuple(CompactShare(*kind, *numbers) for kind, numbers in sums.items())
    size = written.bundle.size
    return CompactReport(portable_size, size, portable_size - size, shares)


def planned_savings(
    inventory: Inventory,
    manifests: Manifests,
    blobs: BlobSource,
    has: Callable[[Descriptor], bool],
    progress: Progress,
    *,
    folder: Path | None,
    limits: Limits,
    level: int,
) -> CompactReport:
    """Return what a compact bundle would save, as far as `blobs` has its content already.

    The content is taken apart as for writing, in a file without a name in `folder`, by default where
    the system keeps temporary files; nothing is kept.
    """
    available = tuple(blob for blob in inventory.blobs if has(blob))
    lacking = [blob for blob in inventory.blobs if not has(blob)]
    part, source = replace(inventory, blobs=available), _WithManifests(manifests, blobs)
    with (
        progress.step("taking layers apart", len(available), sum(blob.size for blob in available)) as step,
        CompactWriter(folder or temporary_folder(), limits, level) as writer,
    ):
        written = writer.write(len, part, source, step)
    portable = write_bundle(len, part, source, SILENCE)
    report = compact_report(written, inventory, manifests, portable.size)
    return replace(report, missing=len(lacking), missing_bytes=sum(blob.size for blob in lacking))


class _WithManifests:
    """Blobs of a store, and manifests that it need not have. A BlobSource."""

    def __init__(self, manifests: Manifests, blobs: BlobSource) -> None:
        self._manifests = manifests
        self._blobs = blobs

    def chunks(self, blob: Descriptor) -> Iterator[bytes]:
        """Yield a blob's bytes."""
        manifest = self._manifests.get(blob.digest)
        return self._blobs.chunks(blob) if manifest is None else iter([manifest.data])
