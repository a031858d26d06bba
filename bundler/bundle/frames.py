"""Unpacked frames that others will ask for soon: of one bundle, or of all that are read together."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable

from bundler.bundle.format import FRAME_CONTENT

KEPT = 3 * FRAME_CONTENT
"""Bytes, however many bundles share them: a chain of a year must not take a year's memory."""


class Frames:
    """As many of the last frames as there is room for."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: OrderedDict[tuple[object, int], bytes] = OrderedDict()
        self._size = 0

    def get(self, bundle: object, number: int, unpacked: Callable[[int], bytes]) -> bytes:
        """A frame of a bundle; one thread unpacks it, the others find the result."""
        key = bundle, number
        with self._lock:
            if key not in self._kept:
                self._kept[key] = unpacked(number)
                self._size += len(self._kept[key])
            self._kept.move_to_end(key)
            while self._size > KEPT:
                self._size -= len(self._kept.popitem(last=False)[1])
            return self._kept[key]
