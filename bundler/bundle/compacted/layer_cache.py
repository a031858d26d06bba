"""Layers of a compact file that were made last: making one again takes longer than reading it."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator

from bundler.oci import Descriptor, Digest


class LayerCache:
    """The layers that were made last, whole and verified. Safe for any number of threads."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._kept: OrderedDict[Digest, list[bytes]] = OrderedDict()
        self._size = 0

    def through(self, blob: Descriptor, made: Callable[[Descriptor], Iterator[bytes]]) -> Iterator[bytes]:
        """Yield a layer's bytes: kept ones, or those of `made`, which are kept if they are few enough."""
        with self._lock:
            kept = self._kept.get(blob.digest)
            if kept is not None:
                self._kept.move_to_end(blob.digest)
        if kept is not None or blob.size > self._most // 4:
            yield from made(blob) if kept is None else kept
            return
        chunks: list[bytes] = []
        for chunk in made(blob):
            chunks.append(chunk)
            yield chunk
        with self._lock:
            if blob.digest not in self._kept:
                self._kept[blob.digest] = chunks
                self._size += blob.size
            while self._size > self._most:
                _, dropped = self._kept.popitem(last=False)
                self._size -= sum(map(len, dropped))
