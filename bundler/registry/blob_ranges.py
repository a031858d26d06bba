"""Large blobs over several connections at once: ranges of them, side by side, yielded in order.

A content network often gives each connection a few megabytes a second, whatever the link could carry.
One connection begins; where it is slow and others are free, ranges further on are asked for beside it,
more of them as long as that brings more bytes. Where several blobs are read one after the other, the
ranges go on into the next ones, so that the link stays full. Anything odd (200, another length or ETag)
ends in one connection again. Whoever reads the bytes verifies them: a range that lies is a wrong digest.
Source: RFC 9110, sections 14.2, 14.4 and 8.8.3.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from typing import NamedTuple

from bundler.errors import BundlerError, NotFoundError
from bundler.limits import KIB, MIB
from bundler.oci import Descriptor, Digest
from bundler.registry.http.retry import Deadline, TransientError
from bundler.registry.repository import Repository
from bundler.workers import Lanes

SEGMENT = 2 * MIB
"""Bytes of a range."""

MOST = 16
"""Ranges under way, or waiting to be yielded."""

WORTH = 3.0
"""Seconds that one connection must still need, for others to be opened beside it."""

_CHUNK = 128 * KIB

_FIRST = 4
"""Ranges under way as soon as one of them was answered well."""

_MORE = 1.2
"""Times as many bytes a second as before that twice the connections must bring, to be doubled again."""


class _OddRangeError(BundlerError):
    """An answer to a range that one connection would not give; never leaves this module."""


class WantedBlob(NamedTuple):
    """A blob to read from an offset on, and every repository that has it."""

    blob: Descriptor
    repositories: Sequence[Repository]
    offset: int = 0

    @property
    def left(self) -> int:
        """Return the bytes to read."""
        return self.blob.size - self.offset


def fast_chunks(repository: Repository, blob: Descriptor, offset: int, lanes: Lanes) -> Iterator[bytes]:
    """Yield the bytes from `offset` on, as `Repository.chunks_from` does, over spare lanes too.

    The caller holds one lane. Raises as `Repository.chunks_from`.
    """
    with closing(BlobRun([WantedBlob(blob, [repository], offset)], lanes)) as run:
        yield from run.chunks(blob, offset)


class BlobRun:
    """Large blobs that are read in the order in which they are due; no byte is verified.

    The caller holds one lane for all of them, and closes the run in the end.
    """

    def __init__(self, due: Iterable[WantedBlob], lanes: Lanes) -> None:
        self._later = deque(due)
        self._left = sum(other.left for other in self._later)
        self._lanes = lanes
        self._beside: _SideBySide | None = None
        self._may_widen = True

    def close(self) -> None:
        """Ask for nothing beside any more, and give back the lanes."""
        if self._beside:
            self._beside.finish()
            self._beside = None

    def chunks(self, blob: Descriptor, offset: int) -> Iterator[bytes]:
        """Yield the bytes of a blob from `offset` on; those that are due before it are passed over.

        Raises as `Repository.chunks_from`.
        """
        due = self._next()
        while due.blob != blob:
            due = self._next()
        if due.offset != offset or not (self._beside and self._beside.has_first(blob)):
            self.close()
            return self._begun(due._replace(offset=offset))
        return self._in_ranges(due, offset)

    def _next(self) -> WantedBlob:
        due = self._later.popleft()
        self._left -= due.left
        return due

    def _begun(self, due: WantedBlob) -> Iterator[bytes]:
        """Yield a blob over one connection, until there is reason for more of them."""
        repository, plain = _opened(due, due.offset)
        clock = repository.host.settings.clock
        position, begun, cut = due.offset, clock(), due.blob.size
        for chunk in plain:
            came = position - due.offset
            if self._beside is None and self._may_widen and came >= SEGMENT:
                ahead = self._worth_asking(due._replace(offset=position), clock() - begun, came)
                self._beside = _SideBySide.begun(ahead, self._lanes)
                if self._beside and ahead[0].blob == due.blob:
                    cut = ahead[0].offset
            elif self._beside and position + len(chunk) < cut:
                self._beside.widen()
            elif self._beside and cut < due.blob.size:
                # What follows in this connection is not needed if the first range has come.
                before, behind = chunk[: cut - position], chunk[cut - position :]
                yield before
                if self._beside.has_first(due.blob):
                    plain.close()
                    yield from self._in_ranges(due, cut)
                    return
                self.close()
                self._may_widen, position, cut = False, cut + len(behind), due.blob.size
                yield behind
                continue
            position += len(chunk)
            yield chunk

    def _worth_asking(self, due: WantedBlob, spent: float, came: int) -> Sequence[WantedBlob]:
        """Return what to ask for beside this connection, in order; nothing where it would not be worth it.

        That begins a little further on in this blob or, if it is nearly read, with the next one.
        """
        here = due.left - 4 * SEGMENT
        if (max(here, 0) + self._left) * spent <= WORTH * came:
            return ()
        rest = [due._replace(offset=due.offset + 2 * SEGMENT)] if here > 0 else []
        return rest + [later for later in self._later if later.left]

    def _in_ranges(self, due: WantedBlob, position: int) -> Iterator[bytes]:
        """Yield the rest of a blob, by one connection from where a range is odd or fails."""
        assert self._beside
        try:
            for chunk in self._beside.chunks(due, position):
                position += len(chunk)
                yield chunk
        except BundlerError as error:
            self.close()
            self._may_widen = self._may_widen and not isinstance(error, _OddRangeError)
            yield from _opened(due, position)[1]


def _opened(due: WantedBlob, offset: int) -> tuple[Repository, Generator[bytes, None, None]]:
    """Return the first repository that has the blob, and its bytes from `offset` on."""
    *others, last = due.repositories
    for repository in others:
        chunks = repository.chunks_from(due.blob, offset)
        try:
            first = next(chunks, b"")
        except NotFoundError:
            continue
        return repository, _after(first, chunks)
    return last, last.chunks_from(due.blob, offset)


def _after(first: bytes, chunks: Generator[bytes, None, None]) -> Generator[bytes, None, None]:
    yield first
    yield from chunks


def _end_of(due: WantedBlob) -> Deadline:
    host = due.repositories[0].host
    return host.deadline(host.settings.limits.blob_deadline(due.blob.size))


class _Piece(NamedTuple):
    """A range that was asked for."""

    blob: Descriptor
    data: Future[bytearray]


class _SideBySide:
    """Ranges of what is due, under way in threads."""

    def __init__(self, due: Sequence[WantedBlob], lanes: Lanes) -> None:
        self._asking = deque(due)
        self._clock = due[0].repositories[0].host.settings.clock
        self._lanes = lanes
        self._spare = 0
        self._width = _FIRST
        self._pool = ThreadPoolExecutor(MOST)
        self._waiting: deque[_Piece] = deque()
        self._etags: dict[Digest, str] = {}
        self._ends: dict[Digest, Deadline] = {}
        self._since, self._came, self._best = 0.0, 0, 0.0

    @classmethod
    def begun(cls, due: Sequence[WantedBlob], lanes: Lanes) -> _SideBySide | None:
        """Return the ranges, the first of them asked for; None for none, or where no lane is free for it."""
        if not due or not lanes.take_spare():
            return None
        beside = cls(due, lanes)
        beside._spare = 1
        beside._submit()
        return beside

    def widen(self) -> None:
        """Ask for further ranges, if the first has come well; each is delivered after what is read now."""
        first = self._waiting[0].data
        if first.done() and first.exception() is None:
            self._widen()

    def has_first(self, blob: Descriptor) -> bool:
        """Wait for the first range; return whether it came, and is of this blob."""
        if not self._waiting:
            self._widen()
        if not self._waiting or self._waiting[0].blob != blob:
            return False
        try:
            self._waiting[0].data.result()
        except BundlerError:
            return False
        return True

    def chunks(self, due: WantedBlob, position: int) -> Iterator[bytes]:
        """Yield the rest of a blob. Raises BundlerError for a range that is odd or fails."""
        blob, self._since = due.blob, self._since or self._clock()
        # Those before it may have taken long.
        end = self._ends[blob.digest] = _end_of(due)
        while position < blob.size:
            self._widen()
            data = self._waiting[0].data.result()
            self._waiting.popleft()
            while self._spare > max(0, len(self._waiting) - 1):
                self._give_back()
            position += len(data)
            self._measure(len(data))
            self._widen()
            begun = self._clock()
            for offset in range(0, len(data), _CHUNK):
                yield bytes(memoryview(data)[offset : offset + _CHUNK])
            end.excuse(self._clock() - begun)

    def _measure(self, size: int) -> None:
        """Count what came, and double the width while that brings more."""
        self._came += size
        if self._came >= self._width * SEGMENT:
            now = self._clock()
            rate = self._came / max(now - self._since, 1e-9)
            if rate > self._best * _MORE:
                self._width, self._best = min(2 * self._width, MOST), rate
            self._since, self._came = now, 0

    def _widen(self) -> None:
        """Ask for further ranges. Each holds a lane until it is yielded: that bounds the memory, too."""
        while self._asking and len(self._waiting) < self._width:
            if self._waiting:  # the caller's own lane is in use
                if not self._lanes.take_spare():
                    return
                self._spare += 1
            self._submit()

    def _submit(self) -> None:
        due = self._asking.popleft()
        blob, start, end = due.blob, due.offset, min(due.offset + SEGMENT, due.blob.size)
        repository = due.repositories[0]
        self._ends.setdefault(blob.digest, _end_of(due))
        if end < blob.size:
            self._asking.appendleft(due._replace(offset=end))
        data = self._pool.submit(self._range, repository, blob, start, end)
        self._waiting.append(_Piece(blob, data))

    def _range(self, repository: Repository, blob: Descriptor, start: int, end: int) -> bytearray:
        """Return a range, resumed where it breaks off."""
        # Of its final length from the start: growing it would take twice the memory.
        data, had = bytearray(end - start), 0

        def attempt() -> None:
            nonlocal had
            for chunk in self._opened(repository, blob, start + had, end):
                repository.host.traffic.count(received=len(chunk))
                if self._ends[blob.digest].passed or had + len(chunk) > end - start:
                    raise _OddRangeError(str(blob.digest), "too slow, or too long")
                data[had : had + len(chunk)] = chunk
                had += len(chunk)
            if start + had < end:
                raise TransientError(f"blob {blob.digest}", f"it broke off at {start + had:,}")

        repository.host.retrying(attempt)
        return data

    def _opened(self, repository: Repository, blob: Descriptor, start: int, end: int) -> Iterator[bytes]:
        answer = repository.open_range(blob, start, end)
        etag = answer.headers.get("ETag", "")
        fits = answer.headers.get("Content-Range", "").strip() == f"bytes {start}-{end - 1}/{blob.size}"
        same = etag == self._etags.setdefault(blob.digest, etag)
        if answer.status != 206 or not fits or answer.is_compressed(end - start) or not same:
            answer.close()
            raise _OddRangeError(str(blob.digest), "an odd answer to a range")
        return answer.chunks()

    def _give_back(self) -> None:
        self._spare -= 1
        self._lanes.give_back()

    def finish(self) -> None:
        """Forget everything, and give back the lanes."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._waiting.clear()
        self._asking.clear()
        while self._spare:
            self._give_back()
