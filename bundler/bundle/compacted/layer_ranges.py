"""A layer as ranges of the spaces, found while its content passes."""

import hashlib
from collections.abc import Iterable, Sequence

from bundler.bundle.compacted.base_index import BaseIndex, IndexedLayer, SpacePlace
from bundler.bundle.compacted.spaces import ContentSpace, HeaderSpace
from bundler.compact.recipes import RangeList, Space, SpaceRange
from bundler.compact.tar_parts import BLOCK, EntryNames, TarChunk, TarPart, without_size


class _OpenEntry:
    """An entry of a layer whose file and padding are still to come."""

    def __init__(self, header: bytes, old: SpacePlace | None) -> None:
        self.header = header
        self.old = old
        self.file: SpaceRange | None = None
        self.padding = b""

    @property
    def lacking(self) -> int:
        """Return the bytes of padding that are still to come."""
        return -self.file.size % BLOCK - len(self.padding) if self.file else 0


class LayerRanges:
    """The ranges of one layer, found while its content passes."""

    def __init__(self, headers: HeaderSpace, content: ContentSpace, base: BaseIndex | None = None) -> None:
        self.collected = RangeList()
        self._headers = headers
        self._content = content
        self._base = base
        self._old: Sequence[IndexedLayer] = ()
        self._names, self._name = EntryNames(), b""
        self._header = b""
        self._entry: _OpenEntry | None = None
        self._start = content.size
        self._digest = hashlib.sha256()

    def compare_with(self, layers: Sequence[IndexedLayer]) -> None:
        """Look for old versions in these layers of the base."""
        self._old = layers

    def take(self, parts: Iterable[TarChunk]) -> None:
        """Take the next parts of the content."""
        for part, data, last in parts:
            if part is TarPart.HEADER:
                self._header += data
                if (name := self._names.see(data)) is not None:
                    self._name = name
                    self._end_header()
                continue
            self._end_header()
            if part is TarPart.FILE:
                self._file(data, last=last)
            elif self._entry and self._entry.lacking:
                self._entry.padding += data
            else:
                self._end_entry()
                self._padding(data)

    def end(self) -> None:
        """Take what waited for more."""
        self._end_header()
        self._end_entry()

    def _end_header(self) -> None:
        header, self._header = self._header, b""
        if not header:
            return
        self._end_entry()
        if self._continue_base(header):
            return
        old = self._base.old_header(self._old, self._name) if self._base else None
        if self._base and old and self._base.content.peek(*old) == header:
            self.collected.add(Space.BASE, old.offset, old.size)
        else:
            self._entry = _OpenEntry(header, old)

    def _end_entry(self) -> None:
        """Add the entry that waited: as one where its header says no more than its file, else as ranges."""
        entry, self._entry = self._entry, None
        if entry is None:
            return
        file = entry.file or SpaceRange(Space.CONTENT, 0, 0)
        whole = not any(entry.padding) and len(entry.padding) == -file.size % BLOCK
        header = without_size(entry.header[-BLOCK:], file.size) if whole else None
        if header is not None:
            self._put_header(entry.header[:-BLOCK], None)
            if (offset := self._headers.keep(header, entry.old)) is not None:
                self.collected.add_entry(offset, file)
                return
            entry.header = entry.header[-BLOCK:]
        self._put_header(entry.header, entry.old)
        self.collected.add(*file)
        self._padding(entry.padding)

    def _put_header(self, header: bytes, old: SpacePlace | None) -> None:
        """Add a header as it is."""
        if not header:
            return
        if (offset := self._headers.keep(header, old)) is not None:
            self.collected.add(Space.HEADERS, offset, len(header))
        else:
            self._file(header, last=True)

    def _padding(self, data: bytes) -> None:
        if any(data):
            self._file(data, last=True)
        elif not self._continue_base(data):
            self.collected.add(Space.ZEROS, 0, len(data))

    def _continue_base(self, data: bytes) -> bool:
        """Take bytes that stand in the base behind those of the last range."""
        last = self.collected.ranges[-1] if self._base and self.collected.ranges else None
        if self._base is None or not isinstance(last, SpaceRange) or last.space is not Space.BASE:
            return False
        end = last.offset + last.size
        if not self._base.goes_on(end, data):
            return False
        self.collected.add(Space.BASE, end, len(data))
        return True

    def _file(self, data: bytes, *, last: bool) -> None:
        self._content.write(data)
        self._digest.update(data)
        if not last:
            return
        digest, start = self._digest.digest(), self._start
        if self._base and (same := self._base.files.get(digest)):
            self._content.cut(start)
            place = SpaceRange(Space.BASE, *self._nearest(same, digest))
        else:
            old = self._base.old_file(self._old, self._name) if self._base else None
            kept = self._content.keep(start, digest, old)
            place = SpaceRange(Space.CONTENT, kept.start, kept.size)
        self._start, self._digest = self._content.size, hashlib.sha256()
        if self._entry and self._entry.file is None:
            self._entry.file = place
        else:
            self._end_entry()
            self.collected.add(*place)

    def _nearest(self, same: SpacePlace, digest: bytes) -> SpacePlace:
        """Return where the base has a file: under the same name, if it is the same there."""
        assert self._base
        old = self._base.old_file(self._old, self._name)
        if old and old != same and old.size == same.size:
            old_hash = hashlib.sha256()
            for chunk in self._base.content.chunks(*old):
                old_hash.update(chunk)
            return old if old_hash.digest() == digest else same
        return same
