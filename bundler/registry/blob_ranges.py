"""A large blob over several connections at once: ranges of it, side by side, yielded in order.

A content network often gives each connection a few megabytes a second, whatever the link could carry.
One connection begins; where it is slow and others are free, ranges further on are asked for beside it,
more of them as long as that brings more bytes. Anything odd (200, another length or ETag) ends in one
connection again. Whoever reads the bytes verifies them: a range that lies is a wrong digest.
Source: RFC 9110, sections 14.2, 14.4 and 8.8.3.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

from bundler.errors import BundlerError
from bundler.limits import MIB
from bundler.oci import Descriptor
from bundler.registry.http.retry import TransientError
from bundler.registry.repository import Repository
from bundler.workers import Lanes

SEGMENT = 2 * MIB
"""Bytes of a range."""

MOST = 16
"""Ranges of one blob under way, or waiting to be yielded."""

WORTH = 3.0
"""Seconds that one connection must still need, for others to be opened beside it."""

_FIRST = 4
"""Ranges under way as soon as one of them was answered well."""

_MORE = 1.2
"""Times as many bytes a second as before that twice the connections must bring, to be doubled again."""


class _OddRangeError(BundlerError):
    """An answer to a range that one connection would not give; never leaves this module."""


def fast_chunks(repository: Repository, blob: Descriptor, offset: int, lanes: Lanes) -> Iterator[bytes]:
    """Yield the bytes from `offset` on, as `Repository.chunks_from` does, over spare lanes too.

    The caller holds one lane. Raises as `Repository.chunks_from`.
    """
    clock = repository.host.settings.clock
    position, begun, beside = offset, clock(), None
    plain, may_widen = repository.chunks_from(blob, offset), True
    for chunk in plain:
        if beside is None and may_widen:
            spent, left = clock() - begun, blob.size - position - 4 * SEGMENT
            if position - offset >= SEGMENT and left > 0 and left * spent > WORTH * (position - offset):
                beside = _SideBySide.begun(repository, blob, position + 2 * SEGMENT, lanes)
        elif beside is not None and position + len(chunk) < beside.position:
            beside.widen()
        elif beside is not None:
            # What follows in this connection is not needed if the first range has come.
            cut = beside.position - position
            yield chunk[:cut]
            if beside.has_first():
                plain.close()
                yield from beside.chunks()
                return
            beside, may_widen = None, False
            yield chunk[cut:]
            position += len(chunk)
            continue
        position += len(chunk)
        yield chunk


class _SideBySide:
    """The rest of a blob from `position` on, in ranges."""

    def __init__(self, repository: Repository, blob: Descriptor, position: int, lanes: Lanes) -> None:
        self.position = position
        self._repository = repository
        self._blob = blob
        self._lanes = lanes
        self._spare = 0
        self._next = position
        self._width = _FIRST
        self._pool = ThreadPoolExecutor(MOST)
        self._waiting: deque[Future[bytes]] = deque()
        self._etag: str | None = None
        self._end = repository.host.deadline(repository.host.settings.limits.blob_deadline(blob.size))

    @classmethod
    def begun(
        cls, repository: Repository, blob: Descriptor, position: int, lanes: Lanes
    ) -> _SideBySide | None:
        """Return the ranges, the first of them asked for; None where no lane is free for it."""
        if not lanes.take_spare():
            return None
        beside = cls(repository, blob, position, lanes)
        beside._spare = 1
        beside._submit()
        return beside

    def widen(self) -> None:
        """Ask for further ranges, if the first has come well; each is delivered after what is read now."""
        first = self._waiting[0]
        if first.done() and first.exception() is None:
            self._widen()

    def has_first(self) -> bool:
        """Wait for the first range; return whether it came."""
        try:
            self._waiting[0].result()
        except BundlerError:
            self._finish()
            return False
        return True

    def chunks(self) -> Iterator[bytes]:
        """Yield the rest of the blob, by one connection from where a range is odd or fails."""
        try:
            yield from self._ranges()
        except BundlerError:
            if self.position >= self._blob.size or self._end.passed:
                raise
        finally:
            self._finish()
        if self.position < self._blob.size:
            yield from self._repository.chunks_from(self._blob, self.position)

    def _ranges(self) -> Iterator[bytes]:
        clock = self._repository.host.settings.clock
        since, came, best = clock(), 0, 0.0
        self._widen()
        while self._waiting:
            data = self._waiting.popleft().result()
            while self._spare > max(0, len(self._waiting) - 1):
                self._give_back()
            self.position += len(data)
            came += len(data)
            if came >= self._width * SEGMENT:
                rate = came / max(clock() - since, 1e-9)
                if rate > best * _MORE:
                    self._width, best = min(2 * self._width, MOST), rate
                since, came = clock(), 0
            self._widen()
            yield data

    def _widen(self) -> None:
        """Ask for further ranges. Each holds a lane until it is yielded: that bounds the memory, too."""
        while self._next < self._blob.size and len(self._waiting) < self._width:
            if self._waiting:  # the caller's own lane is in use
                if not self._lanes.take_spare():
                    return
                self._spare += 1
            self._submit()

    def _submit(self) -> None:
        start, end = self._next, min(self._next + SEGMENT, self._blob.size)
        self._next = end
        self._waiting.append(self._pool.submit(self._range, start, end))

    def _range(self, start: int, end: int) -> bytes:
        """Return a range, resumed where it breaks off."""
        data = bytearray()

        def attempt() -> None:
            for chunk in self._opened(start + len(data), end):
                data.extend(chunk)
                self._repository.host.traffic.count(received=len(chunk))
                if self._end.passed or len(data) > end - start:
                    raise _OddRangeError(str(self._blob.digest), "too slow, or too long")
            if len(data) < end - start:
                raise TransientError(f"blob {self._blob.digest}", f"it broke off at {start + len(data):,}")

        self._repository.host.retrying(attempt)
        return bytes(data)

    def _opened(self, start: int, end: int) -> Iterator[bytes]:
        answer = self._repository.open_range(self._blob, start, end)
        etag = answer.headers.get("ETag", "")
        if self._etag is None:
            self._etag = etag
        fits = answer.headers.get("Content-Range", "").strip() == f"bytes {start}-{end - 1}/{self._blob.size}"
        if answer.status != 206 or not fits or answer.is_compressed(end - start) or etag != self._etag:
            answer.close()
            raise _OddRangeError(str(self._blob.digest), "an odd answer to a range")
        return answer.chunks()

    def _give_back(self) -> None:
        self._spare -= 1
        self._lanes.give_back()

    def _finish(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._waiting.clear()
        while self._spare:
            self._give_back()
