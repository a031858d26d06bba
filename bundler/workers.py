"""Work beside the caller: many pieces at full width, or one after the other a little behind."""

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from itertools import islice
from queue import SimpleQueue
from typing import TypeVar

from bundler.errors import BundlerError, LocalError

DEFAULT_JOBS = 16
"""Requests under way at a time: enough to hide a far registry's latency, few enough to be polite."""

AHEAD = 4
"""Items for each job that are handed out before they are due."""

Item = TypeVar("Item")

Result = TypeVar("Result")


def tried(work: Callable[[], Result]) -> Result | BundlerError:
    """Return the result of `work`, or its error as a value. Raises LocalError, and what is none of ours."""
    try:
        return work()
    except LocalError:
        raise
    except BundlerError as error:
        # As a value it is its words: what its frames and causes hold would live as long as it does.
        error.__cause__ = error.__context__ = None
        return error.with_traceback(None)


def each(
    items: Iterable[Item], work: Callable[[Item], Result], *, jobs: int
) -> Iterator[tuple[Item, Result | BundlerError]]:
    """Yield pairs of item and result of `work`, at most `jobs` at a time, as they are finished.

    A BundlerError is a result: one failing item costs one item. A LocalError (disk full, no
    permission) would fail for all others too, so it stops everything, as does any other exception.
    """
    pool = ThreadPoolExecutor(max_workers=max(1, jobs))
    waiting, futures = iter(items), dict[Future[Result | BundlerError], Item]()
    done = SimpleQueue[Future[Result | BundlerError]]()

    def submit(count: int) -> None:
        for item in islice(waiting, count):
            future = pool.submit(tried, partial(work, item))
            futures[future] = item
            future.add_done_callback(done.put)

    try:
        # A few ahead, and not all at once: a future is larger than most items.
        submit(AHEAD * max(1, jobs))
        while futures:
            # Popped, so that a long run doesn't hold every result until its end.
            future = done.get()
            item, result = futures.pop(future), future.result()
            submit(1)
            yield item, result
    finally:
        # Not waited for: after an interrupt, a thread may sit in a read for a long time.
        pool.shutdown(wait=False, cancel_futures=True)


def ordered(items: Iterable[Item], work: Callable[[Item], Result], *, threads: int) -> Iterator[Result]:
    """Yield the results of `work` by a few threads, a few items ahead, in the items' order."""
    pool = ThreadPoolExecutor(threads)
    under_way: deque[Future[Result]] = deque()
    try:
        for item in items:
            under_way.append(pool.submit(work, item))
            if len(under_way) > threads:
                yield under_way.popleft().result()
        while under_way:
            yield under_way.popleft().result()
    finally:
        # Not waited for: left half read, this generator may end in one of the pool's own threads.
        pool.shutdown(wait=False, cancel_futures=True)


class Lanes:
    """Connections that may be open: one for each task, and spare ones while no task waits."""

    def __init__(self, count: int) -> None:
        self._free = max(1, count)
        self._changed = threading.Condition()
        self._tasks = 0

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold a lane for a task; wait until one is free."""
        with self._changed:
            self._tasks += 1
            try:
                self._changed.wait_for(lambda: self._free)
            finally:
                self._tasks -= 1
            self._free -= 1
        try:
            yield
        finally:
            self.give_back()

    def take_spare(self) -> bool:
        """Take another lane if one is free and no task waits; return whether that was so."""
        with self._changed:
            spare = self._free > 0 and not self._tasks
            self._free -= spare
            return spare

    def give_back(self) -> None:
        """Return a lane."""
        with self._changed:
            self._free += 1
            self._changed.notify()


class InOrder:
    """Calls carried out by one other thread in the order in which they come, a few behind the caller.

    An error of a call is raised by a later one, or by `finish`.
    """

    def __init__(self, behind: int = 2) -> None:
        self._behind = behind
        self._pool = ThreadPoolExecutor(1)
        self._waiting: deque[Future[object]] = deque()

    def call(self, work: Callable[[], object]) -> None:
        """Have `work` done; wait first if too many are waiting."""
        while len(self._waiting) > self._behind:
            self._waiting.popleft().result()
        self._waiting.append(self._pool.submit(work))

    def wait(self) -> None:
        """Wait for all that were given so far."""
        while self._waiting:
            self._waiting.popleft().result()

    def finish(self) -> None:
        """Wait for all of them, and take no more."""
        self.wait()
        self._pool.shutdown(wait=False)

    def give_up(self) -> None:
        """Leave out what has not begun. Not waited for: it may write into a pipe that nobody reads."""
        self._pool.shutdown(wait=False, cancel_futures=True)


class Room:
    """Bytes that may be in memory at a time, of all that was read and is not yet passed on."""

    def __init__(self, size: int) -> None:
        self.free = size
        self.lock = threading.Lock()
        self.freed = threading.Condition(self.lock)

    def take(self, size: int) -> None:
        """Take room; wait until there is as much."""
        with self.lock:
            self.freed.wait_for(lambda: self.free >= size)
            self.free -= size

    def give_back(self, size: int) -> None:
        """Return room."""
        with self.lock:
            self.free += size
            self.freed.notify_all()


class Relay:
    """Bytes from the thread that reads them to one that passes them on, as far behind as the room allows.

    An iterator for the second thread. It ends when the first calls `end`, which says that they are proven;
    after `break_off` it raises what that was given.
    """

    def __init__(self, room: Room) -> None:
        self._room = room
        self._chunks: deque[bytes] = deque()
        self._arrived = threading.Condition(room.lock)
        self._ended = self._left = False
        self._broken: BundlerError | None = None

    def put(self, chunk: bytes) -> None:
        """Add bytes; wait until there is room for them. Nothing happens if nobody reads any more."""
        with self._room.lock:
            self._room.freed.wait_for(lambda: self._left or self._room.free >= len(chunk))
            if not self._left:
                self._room.free -= len(chunk)
                self._chunks.append(chunk)
                self._arrived.notify()

    def end(self) -> None:
        """Say that these were all bytes, and that they are right."""
        with self._room.lock:
            self._ended = True
            self._arrived.notify()

    def break_off(self, error: BundlerError) -> None:
        """Say that no more will come, unless all came."""
        with self._room.lock:
            if not self._ended:
                self._ended, self._broken = True, error
                self._arrived.notify()

    def leave(self) -> None:
        """Say that nobody reads any more."""
        with self._room.lock:
            self._left = True
            self._room.free += sum(map(len, self._chunks))
            self._chunks.clear()
            self._room.freed.notify_all()

    def __iter__(self) -> Iterator[bytes]:
        while True:
            with self._room.lock:
                self._arrived.wait_for(lambda: self._chunks or self._ended)
                if self._broken:
                    raise self._broken
                if not self._chunks:
                    return
                chunk = self._chunks.popleft()
                self._room.free += len(chunk)
                self._room.freed.notify_all()
            yield chunk
