"""Parity volumes: from any as many volumes as there are data volumes, the others are made again.

Reed-Solomon over bytes: byte N of every piece, short ones filled up with zeros, is one code word. The only
module that knows zfec.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from bundler.errors import UsageError

STRIPE = 64 * 1024
"""Bytes of each piece that are worked on at a time."""
Read = Callable[[int, int], bytes]
"""Bytes of a piece, by size and offset."""


def require_parity() -> Any:
    """The library. Raises UsageError where it is not installed."""
    try:
        import zfec
    except ImportError:
        cause = "parity volumes need the library zfec"
        raise UsageError("--parity", cause, "pip install 'timoni-bundler[parity]'") from None
    return zfec


def parity_count(data: int, percent: int) -> int:
    """Parity volumes for so many data volumes: at least one."""
    return max(-(-data * percent // 100), 1)


def encoded(pieces: Sequence[Read], count: int, piece: int) -> Iterator[list[bytes]]:
    """The parity pieces, a stripe of each at a time."""
    encoder = require_parity().Encoder(len(pieces), len(pieces) + count)
    numbers = range(len(pieces), len(pieces) + count)
    for offset in range(0, piece, STRIPE):
        size = min(STRIPE, piece - offset)
        yield encoder.encode([_filled(read, size, offset) for read in pieces], numbers)


def decoded(pieces: Mapping[int, Read], data: int, parity: int, piece: int) -> Iterator[list[bytes]]:
    """All data pieces, a stripe of each at a time; `pieces` by number from 0, as many as `data`."""
    chosen = sorted(pieces)[:data]
    decoder = require_parity().Decoder(data, data + parity)
    # What is at hand itself must stand in its own place.
    order = _in_place(chosen, data)
    for offset in range(0, piece, STRIPE):
        size = min(STRIPE, piece - offset)
        yield decoder.decode([_filled(pieces[number], size, offset) for number in order], order)


def _in_place(chosen: Sequence[int], data: int) -> list[int]:
    others = iter([number for number in chosen if number >= data])
    return [number if number in chosen else next(others) for number in range(data)]


def _filled(read: Read, size: int, offset: int) -> bytes:
    return read(size, offset).ljust(size, b"\0")
