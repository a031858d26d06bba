"""The estimate of encoder B: the bits that a block would take in codes of its own, in 32-bit floats. Pure.

The sum decides whether a block goes on in older codes, so the roundings of the producer's processor can
show in the output. See docs/go-deflate.md, 3.7.
"""

import struct
from collections.abc import Sequence
from enum import IntEnum
from fractions import Fraction


class Rounding(IntEnum):
    """The places where the producer's processor rounded a product and a sum once (3.7)."""

    EACH = 0
    """Each product and each sum: amd64 as shipped."""
    SUMS_FUSED = 1
    """amd64 built for v3 or v4."""
    ALL_FUSED = 2
    """arm64, ppc64le, s390x, riscv64."""


def estimated_bits(literals: Sequence[int], distances: Sequence[int], tokens: int, rounding: Rounding) -> int:
    """Return the bits without extra bits; `tokens` counts the end of the last block too."""
    total, inverse = 0.0, _f32(1 / tokens)
    for count in literals[:256]:
        total = _added(total, count, inverse, rounding)
    total = _f32(total + 15)
    for count in literals[257:]:
        total = _added(total, count, inverse, rounding)
    inverse = _f32(1 / sum(distances))
    for count in distances:
        total = _added(total, count, inverse, rounding)
    return int(total)


def _added(total: float, count: int, inverse: float, rounding: Rounding) -> float:
    if not count:
        return total
    bits = min(15.0, max(1.0, -_log(_f32(count * inverse), rounding)))
    if rounding is Rounding.EACH:
        return _f32(total + _f32(bits * count))
    return _fused(bits, count, total)


_F32 = struct.Struct("<f")
_U32 = struct.Struct("<I")


def _f32(value: float) -> float:
    """Round a double to the nearest 32-bit float; harmless after one operation on two of these."""
    rounded: float = _F32.unpack(_F32.pack(value))[0]
    return rounded


def _bits_of(value: float) -> int:
    bits: int = _U32.unpack(_F32.pack(value))[0]
    return bits


def _of_bits(bits: int) -> float:
    value: float = _F32.unpack(_U32.pack(bits))[0]
    return value


_A, _B, _C = _of_bits(0xBEB08FF9), _of_bits(0x40019420), _of_bits(0x3F2CC4C7)


def _fused(factor: float, multiplier: float, addend: float) -> float:
    """Return the product and sum rounded once."""
    exact = Fraction(factor) * Fraction(multiplier) + Fraction(addend)
    near = _f32(float(exact))
    # The double may have rounded to a tie that the exact value is not; its neighbours decide.
    bits = _bits_of(near)
    near_by = [_of_bits(bits + step) for step in (0, -1, 1) if 0 <= bits + step < 1 << 32]
    return min(near_by, key=lambda value: (abs(Fraction(value) - exact), _bits_of(value) & 1))


def _log(value: float, rounding: Rounding) -> float:
    """Return the logarithm of a positive 32-bit float to base 2, as the producer's processor made it."""
    bits = _bits_of(value)
    exponent = (bits >> 23 & 255) - 128
    w = _of_bits(bits & ~(255 << 23) | 127 << 23)
    step = _fused(_A, w, _B) if rounding else _f32(_f32(_A * w) + _B)
    if rounding is Rounding.ALL_FUSED:
        return _f32(exponent + _fused(step, w, -_C))
    return _f32(exponent + _f32(_f32(step * w) - _C))
