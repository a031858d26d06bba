"""DEFLATE blocks as both of Go's encoders write them: bits, codes, headers. Pure.

`docs/go-deflate.md` specifies every bit; section numbers are those of that page. A token is a literal
byte, or `MATCH | (length - 3) << 16 | (distance - 1)`.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

LITERALS, DISTANCES = 286, 30
"""Symbols of the two codes."""
END_OF_BLOCK = 256
LONGEST_MATCH = 258
LARGEST_STORED = 65_535
"""Bytes of a stored block."""
MATCH = 1 << 31

_LENGTH_BASES = (0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 20, 24, 28, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 255)  # fmt: skip  # noqa: E501
_LENGTH_EXTRAS = (0,) * 8 + tuple(extra for extra in range(1, 6) for _ in range(4)) + (0,)
_DISTANCE_EXTRAS = (0, 0, *(extra for extra in range(14) for _ in range(2)))
_DISTANCE_BASES = tuple(sum(1 << extra for extra in _DISTANCE_EXTRAS[:symbol]) for symbol in range(DISTANCES))
_CODE_LENGTH_ORDER = (16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15)
_REPEAT, _ZEROS, _MANY_ZEROS = 16, 17, 18
_REPEAT_BITS = {_REPEAT: 2, _ZEROS: 3, _MANY_ZEROS: 7}


def _column_of_each_length() -> tuple[int, ...]:
    columns = [0] * 256
    for column, (base, extra) in enumerate(zip(_LENGTH_BASES, _LENGTH_EXTRAS, strict=True)):
        columns[base : base + (1 << extra)] = [column] * len(columns[base : base + (1 << extra)])
    return tuple(columns)


_COLUMNS = _column_of_each_length()
_SYMBOLS = tuple(symbol for symbol, extra in enumerate(_DISTANCE_EXTRAS) for _ in range(1 << extra))
"""The symbol of each distance, less one."""


class BitWriter:
    """Bits appended from the least significant one on."""

    def __init__(self) -> None:
        self._done = bytearray()
        self._bits = 0
        self._count = 0

    def put(self, value: int, count: int) -> None:
        """Append the low `count` bits of `value`, which has no others."""
        self._bits |= value << self._count
        self._count += count
        if self._count >= 4096:
            self._spill()

    def align(self) -> None:
        """Append zero bits up to a byte border."""
        self._count += -self._count % 8
        self._spill()

    def raw(self, data: bytes) -> None:
        """Append whole bytes, on a byte border."""
        self._done += data

    def taken(self) -> bytes:
        """Return the whole bytes that are complete, and forget them."""
        self._spill()
        data = bytes(self._done)
        self._done.clear()
        return data

    def _spill(self) -> None:
        whole = self._count // 8
        self._done += (self._bits & ((1 << 8 * whole) - 1)).to_bytes(whole, "little")
        self._bits >>= 8 * whole
        self._count -= 8 * whole


class HuffmanCode(NamedTuple):
    """Lengths of all symbols, and their values with the bits in the order of writing."""

    lengths: Sequence[int]
    values: Sequence[int]


def _reversed(value: int, count: int) -> int:
    return int(f"{value:0{count}b}"[::-1], 2) if count else 0


def _with_values(lengths: Sequence[int]) -> HuffmanCode:
    """Give each symbol its canonical value (1.6)."""
    values, value = [0] * len(lengths), 0
    for length in range(1, 16):
        value *= 2
        for symbol, symbol_length in enumerate(lengths):
            if symbol_length == length:
                values[symbol] = _reversed(value, length)
                value += 1
    return HuffmanCode(lengths, values)


def code_of(counts: Sequence[int], limit: int) -> HuffmanCode:
    """Make the code of these counts, no length over `limit`, ties as Go breaks them (1.5)."""
    order = sorted((symbol for symbol, count in enumerate(counts) if count), key=lambda s: (counts[s], s))
    lengths, n = [0] * len(counts), len(order)
    if n <= 2:
        for symbol in order:
            lengths[symbol] = 1
        return _with_values(lengths)
    # An item is twice its weight, plus one for a leaf: sorting puts packages before leaves.
    leaves = [2 * counts[symbol] + 1 for symbol in order]
    rows = [leaves]
    while len(rows) < min(limit, n - 1):
        pairs = zip(rows[-1][::2], rows[-1][1::2], strict=False)
        rows.append(sorted([*(2 * ((first >> 1) + (second >> 1)) for first, second in pairs), *leaves]))
    taken, k = [0], 2 * n - 2
    for row in reversed(rows):
        count = sum(item & 1 for item in row[:k])
        taken.append(count)
        k = 2 * (k - count)
    # taken: none, then the last row's leaves, and so on to the first row's.
    by_row = [0, *taken[:0:-1]]
    heavy = n
    for length in range(1, len(rows) + 1):
        below = len(rows) - length
        for _ in range(by_row[below + 1] - by_row[below]):
            heavy -= 1
            lengths[order[heavy]] = length
    return _with_values(lengths)


def _fixed_literals() -> HuffmanCode:
    lengths = [8] * 144 + [9] * 112 + [7] * 24 + [8] * 6
    values = [*range(48, 192), *range(400, 512), *range(24), *range(192, 198)]
    return HuffmanCode(lengths, [_reversed(*pair) for pair in zip(values, lengths, strict=True)])


FIXED_LITERALS = _fixed_literals()
FIXED_DISTANCES = HuffmanCode([5] * DISTANCES, [_reversed(symbol, 5) for symbol in range(DISTANCES)])


def counts_of(tokens: Iterable[int]) -> tuple[list[int], list[int]]:
    """Count literals with length symbols, and distance symbols."""
    literals, distances = [0] * LITERALS, [0] * DISTANCES
    for token in tokens:
        if token < MATCH:
            literals[token] += 1
        else:
            literals[257 + _COLUMNS[token >> 16 & 0xFF]] += 1
            distances[_SYMBOLS[token & 0x7FFF]] += 1
    return literals, distances


def cost(counts: Sequence[int], code: HuffmanCode) -> int:
    """Return the bits that these symbols take in a code; a missing code counts nothing."""
    return sum(count * length for count, length in zip(counts, code.lengths, strict=False))


def extra_bits(literals: Sequence[int], distances: Sequence[int]) -> int:
    """Return the extra bits of all lengths and distances."""
    lengths = sum(count * extra for count, extra in zip(literals[257:], _LENGTH_EXTRAS, strict=True))
    return lengths + sum(count * extra for count, extra in zip(distances, _DISTANCE_EXTRAS, strict=True))


def fixed_size(literals: Sequence[int], distances: Sequence[int]) -> int:
    """Return the bits of a block in the fixed codes, without extra bits."""
    return 3 + cost(literals, FIXED_LITERALS) + 5 * sum(distances)


class BlockHeader(NamedTuple):
    """The header of a dynamic block (1.7)."""

    literals: int
    """Code lengths of the first code that are written."""
    distances: int
    runs: tuple[tuple[int, int], ...]
    """Symbols of the code-length code, with their extra values."""
    code: HuffmanCode
    code_lengths: int
    """Lengths of the code-length code that are written."""
    size: int
    """Bits."""

    def write(self, out: BitWriter) -> None:
        """Write it."""
        out.put(4, 3)
        out.put(self.literals - 257, 5)
        out.put(self.distances - 1, 5)
        out.put(self.code_lengths - 4, 4)
        for symbol in _CODE_LENGTH_ORDER[: self.code_lengths]:
            out.put(self.code.lengths[symbol], 3)
        for symbol, extra in self.runs:
            out.put(self.code.values[symbol], self.code.lengths[symbol])
            out.put(extra, _REPEAT_BITS.get(symbol, 0))


def _runs_of(lengths: Sequence[int]) -> Iterable[tuple[int, int]]:
    at = 0
    while at < len(lengths):
        value, count = lengths[at], 1
        while at + count < len(lengths) and lengths[at + count] == value:
            count += 1
        at += count
        if value:
            yield value, 0
            count -= 1
            while count >= 3:
                yield _REPEAT, min(6, count) - 3
                count -= min(6, count)
        else:
            while count >= 11:
                yield _MANY_ZEROS, min(138, count) - 11
                count -= min(138, count)
            if count >= 3:
                yield _ZEROS, count - 3
                count = 0
        yield from [(value, 0)] * count


def header_of(literals: Sequence[int], distances: Sequence[int]) -> BlockHeader:
    """Make the header for these code lengths, which are cut into runs as one sequence."""
    runs = tuple(_runs_of([*literals, *distances]))
    counts = [0] * 19
    for symbol, _ in runs:
        counts[symbol] += 1
    code = code_of(counts, 7)
    n = 19
    while n > 4 and not counts[_CODE_LENGTH_ORDER[n - 1]]:
        n -= 1
    repeats = sum(counts[symbol] * bits for symbol, bits in _REPEAT_BITS.items())
    return BlockHeader(
        len(literals), len(distances), runs, code, n, 17 + 3 * n + cost(counts, code) + repeats
    )


class DynamicCodes(NamedTuple):
    """The two codes made for one block, and their header."""

    literals: HuffmanCode
    distances: HuffmanCode
    header: BlockHeader


def dynamic_codes(literals: Sequence[int], distances: list[int]) -> DynamicCodes:
    """Make the codes of a block; where it has no match, count one distance of 1 (2.6)."""
    if not any(distances):
        distances[0] = 1
    first, second = code_of(literals, 15), code_of(distances, 15)
    nlit = max(symbol for symbol, count in enumerate(literals) if count) + 1
    ndist = max(symbol for symbol, count in enumerate(distances) if count) + 1
    return DynamicCodes(first, second, header_of(first.lengths[:nlit], second.lengths[:ndist]))


def write_tokens(
    out: BitWriter, tokens: Iterable[int], literals: HuffmanCode, distances: HuffmanCode
) -> None:
    """Write tokens in two codes."""
    put = out.put
    lengths, values = literals
    for token in tokens:
        if token < MATCH:
            put(values[token], lengths[token])
            continue
        length, distance = token >> 16 & 0xFF, token & 0x7FFF
        column, symbol = _COLUMNS[length], _SYMBOLS[distance]
        put(values[257 + column], lengths[257 + column])
        put(length - _LENGTH_BASES[column], _LENGTH_EXTRAS[column])
        put(distances.values[symbol], distances.lengths[symbol])
        put(distance - _DISTANCE_BASES[symbol], _DISTANCE_EXTRAS[symbol])


def write_end_of_block(out: BitWriter, literals: HuffmanCode) -> None:
    """Write the end of a block in its code."""
    out.put(literals.values[END_OF_BLOCK], literals.lengths[END_OF_BLOCK])


def write_fixed(out: BitWriter, tokens: Iterable[int]) -> None:
    """Write a whole block in the fixed codes."""
    out.put(2, 3)
    write_tokens(out, tokens, FIXED_LITERALS, FIXED_DISTANCES)
    write_end_of_block(out, FIXED_LITERALS)


def write_stored(out: BitWriter, data: bytes) -> None:
    """Write a stored block of at most 65,535 bytes."""
    out.put(0, 3)
    out.align()
    out.raw(len(data).to_bytes(2, "little") + (len(data) ^ 0xFFFF).to_bytes(2, "little") + data)


def stored_size(size: int) -> int:
    """Return the bits that a stored block counts, whatever aligning adds."""
    return 8 * (size + 5)


def agreement(data: bytes | bytearray, first: int, second: int, most: int) -> int:
    """Return for how many bytes two places of `data` agree, at most `most`; the places may overlap."""
    n = 0
    while n < most:
        step = min(32, most - n)
        if data[first + n : first + n + step] != data[second + n : second + n + step]:
            break
        n += step
    else:
        return most
    while data[first + n] == data[second + n]:
        n += 1
    return n
