"""Many pieces of work at a time, at full width, with their order and their errors kept."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from typing import TypeVar

from bundler.errors import BundlerError, LocalError

DEFAULT_JOBS = 16
"""Requests under way at a time: enough to hide a far registry's latency, few enough to be polite."""

Item = TypeVar("Item")
Result = TypeVar("Result")


def each(
    items: Iterable[Item], work: Callable[[Item], Result], *, jobs: int
) -> Iterator[tuple[Item, Result | BundlerError]]:
    """`work` done on every item, at most `jobs` at a time; pairs come as they are finished.

    A BundlerError is a result: one failing item costs one item. A LocalError (disk full, no
    permission) would fail for all others too, so it stops everything, as does any other exception.
    """
    pool = ThreadPoolExecutor(max_workers=max(1, jobs))
    try:
        futures: dict[Future[Result], Item] = {pool.submit(work, item): item for item in items}
        for future in as_completed(futures):
            # Popped, so that a long run doesn't hold every result until its end.
            item, result = futures.pop(future), _result(future)
            yield item, result
    finally:
        # Not waited for: after an interrupt, a thread may sit in a read for a long time.
        pool.shutdown(wait=False, cancel_futures=True)


def _result(future: Future[Result]) -> Result | BundlerError:
    error = future.exception()
    if isinstance(error, BundlerError) and not isinstance(error, LocalError):
        return error
    return future.result()
