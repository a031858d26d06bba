"""Parity of volumes: pieces from which lost ones are made again, by the code of zfec. No I/O."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from bundler.errors import UsageError

STRIPE = 64 * 1024
"""Bytes of each piece that are worked on at a time."""

Read = Callable[[int, int], bytes]
"""Reads bytes of a piece, by size and offset."""


def require_parity() -> Any:
    """Return the library for parity. Raises UsageError if it is not installed."""
    try:
        import zfec
    except ImportError:
        cause = "parity volumes need the library zfec"
        raise UsageError("--parity", cause, "pip install 'timoni-bundler[parity]'") from None
    return zfec


def parity_count(data: int, percent: int) -> int:
    """Return the number of parity volumes for `data` volumes, at least one."""
    return max(-(-data * percent // 100), 1)


def parity_pieces(pieces: Sequence[Read], count: int, piece: int) -> Iterator[list[bytes]]:
    """Yield the parity pieces, a stripe of each at a time."""
    encoder = require_parity().Encoder(len(pieces), len(pieces) + count)
    numbers = range(len(pieces), len(pieces) + count)
    for offset in range(0, piece, STRIPE):
        size = min(STRIPE, piece - offset)
        yield encoder.encode([_filled(read, size, offset) for read in pieces], numbers)


def data_pieces(pieces: Mapping[int, Read], data: int, parity: int, piece: int) -> Iterator[list[bytes]]:
    """Yield all data pieces, a stripe of each at a time, from `data` pieces numbered from 0."""
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
