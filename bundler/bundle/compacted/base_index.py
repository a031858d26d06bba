"""The base as an exporter knows it: files by digest and by path, tar headers, where each stands."""

from __future__ import annotations

import hashlib
import re
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate
from pathlib import Path
from typing import NamedTuple

from bundler.bundle.compacted.base_content import BaseContent, inflated
from bundler.bundle.compacted.compact_format import BaseBlob
from bundler.bundle.inventory import Required
from bundler.compact.recipes import Space, SpaceRange, SpaceSizes, decode_recipe, encode_recipe
from bundler.compact.tar_parts import EntryNames, TarCutter, TarPart
from bundler.errors import BundlerError, LocalError
from bundler.oci import BlobSource, Digest

_CHANGING = re.compile(rb"[0-9a-f]{6,}|[0-9]+")
"""Parts of a name that differ from version to version."""
_MOST_FILES = 100_000
"""Files of the base that are looked at: each takes some 500 bytes of memory."""


class BaseLayers(NamedTuple):
    """The layers of the base that new layers are compared with, and where their bytes come from."""

    candidates: Mapping[Digest, Sequence[Required]]
    """For each new layer, layers of the base, the likeliest first."""
    source: BlobSource
    """Gives the bytes of a layer of the base; raises a BundlerError for one that is gone."""


class SpacePlace(NamedTuple):
    """Bytes of the base space."""

    offset: int
    size: int


class OldEntry(NamedTuple):
    """An entry of a layer of the base."""

    header: SpacePlace
    file: SpacePlace | None
    """Its content; None for an entry without."""


class IndexedLayer(NamedTuple):
    """One layer of the base."""

    blob: Required
    start: int
    size: int
    names: dict[bytes, OldEntry]
    alike: dict[bytes, OldEntry]
    """By the name without what changes in it."""

    def entry(self, name: bytes) -> OldEntry | None:
        """Return the old version of an entry."""
        return self.names.get(name) or self.alike.get(_unchanging(name))


class BaseIndex:
    """The base space as an exporter builds it, layer by layer, and what is where in it."""

    def __init__(self, folder: Path, base: BaseLayers) -> None:
        self.content = BaseContent(folder)
        self.files: dict[bytes, SpacePlace] = {}
        """By sha256."""
        self._base = base
        self._layers: dict[Digest, IndexedLayer | None] = {}
        self._left = _MOST_FILES

    def layers_for(self, blob: Digest) -> list[IndexedLayer]:
        """Return the layers of the base that a new layer is compared with."""
        layers = (self._layer(candidate) for candidate in self._base.candidates.get(blob, ()))
        return [layer for layer in layers if layer]

    def only_used(
        self, layers: Sequence[bytes], prefixes: Sequence[bytes], sizes: SpaceSizes
    ) -> tuple[list[bytes], list[bytes], tuple[BaseBlob, ...]]:
        """Return the recipes for a base space of the layers that they read, and what it is made of."""
        recipes = [list(decode_recipe(recipe, sizes)) for recipe in (*layers, *prefixes)]
        indexed = [layer for layer in self._layers.values() if layer and layer.size]
        starts = [layer.start for layer in indexed]
        sources = (source for recipe in recipes for piece in recipe for source in piece.sources)
        read = (source.offset for source in sources if source.space is Space.BASE)
        used = sorted({bisect_right(starts, offset) - 1 for offset in read})
        blobs = tuple(base_blob(indexed[number]) for number in used)
        begins = accumulate((blob.content for blob in blobs), initial=0)
        distances = {number: begin - starts[number] for number, begin in zip(used, begins, strict=False)}

        def moved(piece: SpaceRange) -> SpaceRange:
            if piece.space is not Space.BASE or not piece.size:
                return piece
            number = bisect_right(starts, piece.offset) - 1
            return piece._replace(offset=piece.offset + distances[number])

        encoded = [encode_recipe(piece.with_ranges(moved) for piece in recipe) for recipe in recipes]
        return encoded[: len(layers)], encoded[len(layers) :], blobs

    def finish(self) -> None:
        """Give up everything but the content."""
        self._layers, self.files = {}, {}

    def old_file(self, layers: Iterable[IndexedLayer], name: bytes) -> SpacePlace | None:
        """Return the content of the old version of a file."""
        files = (entry.file for layer in layers if (entry := layer.entry(name)) and entry.file)
        return next(files, None)

    def old_header(self, layers: Iterable[IndexedLayer], name: bytes) -> SpacePlace | None:
        """Return the header of the old version of an entry."""
        return next((entry.header for layer in layers if (entry := layer.entry(name))), None)

    def goes_on(self, offset: int, data: bytes) -> bool:
        """Return True if these bytes stand at an offset of the space, in one layer."""
        layers = [layer for layer in self._layers.values() if layer]
        end = next((each.start + each.size for each in reversed(layers) if each.start <= offset), 0)
        return offset + len(data) <= end and self.content.peek(offset, len(data)) == data

    def _layer(self, blob: Required) -> IndexedLayer | None:
        if blob.digest not in self._layers:
            before = self.content.size
            try:
                self._layers[blob.digest] = self._indexed(blob)
            except LocalError:
                raise
            except BundlerError:
                # It is gone, or is not gzip: what is new is carried whole.
                self._layers[blob.digest] = None
                self.content.cut(before)
            else:
                # Ranges of two layers must not become one.
                self.content.append(b"\0")
            self.content.whole()
        return self._layers[blob.digest]

    def _indexed(self, blob: Required) -> IndexedLayer:
        layer = IndexedLayer(blob, self.content.size, 0, {}, {})
        files: dict[bytes, SpacePlace] = {}
        reading = _Reading(layer, files, self.content.size)
        cutter = TarCutter()
        for data in inflated(self._base.source.chunks(blob), f"blob {blob.digest}"):
            self.content.append(data)
            for part, piece, last in cutter.feed(data):
                if len(layer.names) < self._left:
                    reading.take(part, piece, last=last)
        self._left -= len(layer.names)
        for digest, place in files.items():
            self.files.setdefault(digest, place)
        return layer._replace(size=self.content.size - layer.start)


class _Reading:
    """One layer of the base while it is read."""

    def __init__(self, layer: IndexedLayer, files: dict[bytes, SpacePlace], offset: int) -> None:
        self._layer, self._files, self._offset = layer, files, offset
        self._names = EntryNames()
        self._header, self._name = SpacePlace(offset, 0), b""
        self._file, self._digest = offset, hashlib.sha256()
        self._in_header = self._in_file = False

    def take(self, part: TarPart, data: bytes, *, last: bool) -> None:
        start, self._offset = self._offset, self._offset + len(data)
        if part is TarPart.HEADER:
            self._take_header(data, start)
        elif part is TarPart.FILE:
            if not self._in_file:
                self._file, self._digest, self._in_file = start, hashlib.sha256(), True
            self._digest.update(data)
            if last:
                self._in_file = False
                place = SpacePlace(self._file, self._offset - self._file)
                self._files.setdefault(self._digest.digest(), place)
                self._put(OldEntry(self._header, place))

    def _take_header(self, data: bytes, start: int) -> None:
        self._header = SpacePlace(self._header.offset if self._in_header else start, 0)
        self._header = self._header._replace(size=self._offset - self._header.offset)
        name = self._names.see(data)
        self._in_header = name is None
        if name is not None:
            self._name = name
            self._put(OldEntry(self._header, None))

    def _put(self, entry: OldEntry) -> None:
        self._layer.names[self._name] = entry
        self._layer.alike.setdefault(_unchanging(self._name), entry)
        if entry.file and not self._layer.alike[_unchanging(self._name)].file:
            self._layer.alike[_unchanging(self._name)] = entry


def _unchanging(name: bytes) -> bytes:
    return _CHANGING.sub(b"", name)


def base_blob(layer: IndexedLayer) -> BaseBlob:
    """Return how a compact file names a layer of the base."""
    blob = layer.blob
    return BaseBlob(blob.media_type, blob.digest, blob.size, blob.repository, layer.size)
