"""Encoder A: the DEFLATE streams of Go 1.7 to 1.26 at the default level. Pure.

Hash chains over four bytes, lazy matching, blocks of 16,384 tokens. See docs/go-deflate.md, section 2.
"""

from bundler.compact import deflate_blocks

_WINDOW, _REACH, _AHEAD, _TOKENS = 65_536, 32_768, 262, 16_384
_CHAIN, _NICE, _LAZY, _NEAR = 128, 128, 16, 4_096
_NONE = -1 << 62


class EncoderA:
    """One raw DEFLATE stream. Positions are absolute; `_window[0]` is the byte at `_base`."""

    def __init__(self) -> None:
        self._out = deflate_blocks.BitWriter()
        self._window = bytearray()
        self._base = 0
        self._next = 0
        self._end = 0
        self._head: dict[int, int] = {}
        self._chain = [_NONE] * _REACH
        self._match = (3, 0)
        self._pending = False
        self._block = 0
        self._tokens: list[int] = []

    def write(self, data: bytes) -> bytes:
        """Take input, in pieces of any size; return the output that is complete so far."""
        view = memoryview(data)
        while view:
            if self._end == self._base + _WINDOW:
                while self._end - self._next >= _AHEAD:
                    self._step()
                del self._window[:_REACH]
                self._base += _REACH
            part = view[: self._base + _WINDOW - self._end]
            self._window += part
            self._end += len(part)
            view = view[len(part) :]
        return self._out.taken()

    def finish(self) -> bytes:
        """End the stream; return the rest of the output."""
        while self._next < self._end:
            self._step()
        if self._pending:
            self._add(self._window[self._next - 1 - self._base])
        if self._tokens:
            self._end_block()
        self._out.put(1, 3)
        self._out.align()
        self._out.raw(b"\x00\x00\xff\xff")
        return self._out.taken()

    def _insert(self, position: int) -> int:
        """Enter a position into its chain; return the candidate that stood there before."""
        if position + 4 > self._end:
            return _NONE
        at = position - self._base
        word = int.from_bytes(self._window[at : at + 4])
        key = (word * 0x1E35A7BD & 0xFFFFFFFF) >> 15
        candidate = self._head.get(key, _NONE)
        self._chain[position % _REACH] = candidate
        self._head[key] = position
        return candidate

    def _step(self) -> None:
        """Handle one position (2.4)."""
        i = self._next
        candidate = self._insert(i)
        length, distance = self._match
        self._match = (3, 0)
        if candidate >= max(i - _REACH, self._base) and length < _LAZY and self._end - i > length:
            self._search(candidate)
        if length >= 4 and self._match[0] <= length:
            for position in range(i + 1, i + length - 1):
                self._insert(position)
            self._next = i + length - 1
            self._pending = False
            self._match = (3, 0)
            self._add(deflate_blocks.MATCH | (length - 3) << 16 | (distance - 1))
        else:
            if self._pending:
                self._add(self._window[i - 1 - self._base])
            self._next = i + 1
            self._pending = True

    def _search(self, candidate: int) -> None:
        """Find the best match at the current position (2.5)."""
        i, base, window, chain = self._next, self._base, self._window, self._chain
        most = min(deflate_blocks.LONGEST_MATCH, self._end - i)
        stop, best, current = min(_NICE, most), 3, i - base
        lowest = max(i - _REACH, base)
        for _ in range(_CHAIN):
            earlier = candidate - base
            if window[earlier + best] == window[current + best]:
                length = deflate_blocks.agreement(window, earlier, current, most)
                if length > best and (length > 4 or i - candidate <= _NEAR):
                    best = length
                    self._match = (length, i - candidate)
                    if length >= stop:
                        return
            if candidate == i - _REACH:
                return
            candidate = chain[candidate % _REACH]
            if candidate < lowest:
                return

    def _add(self, token: int) -> None:
        self._tokens.append(token)
        if len(self._tokens) == _TOKENS:
            self._end_block()

    def _end_block(self) -> None:
        """Write the block that ends before the next position, in the smallest form (2.6)."""
        out, tokens, size = self._out, self._tokens, self._next - self._block
        storable = self._block >= self._base and size <= deflate_blocks.LARGEST_STORED
        literals, distances = deflate_blocks.counts_of(tokens)
        literals[256] += 1
        codes = deflate_blocks.dynamic_codes(literals, distances)
        extra = deflate_blocks.extra_bits(literals, distances) if storable else 0
        fixed = deflate_blocks.fixed_size(literals, distances) + extra
        dynamic = (
            codes.header.size
            + deflate_blocks.cost(literals, codes.literals)
            + deflate_blocks.cost(distances, codes.distances)
            + extra
        )
        if storable and deflate_blocks.stored_size(size) < min(fixed, dynamic):
            deflate_blocks.write_stored(
                out, bytes(self._window[self._block - self._base : self._next - self._base])
            )
        elif dynamic < fixed:
            codes.header.write(out)
            deflate_blocks.write_tokens(out, tokens, codes.literals, codes.distances)
            deflate_blocks.write_end_of_block(out, codes.literals)
        else:
            deflate_blocks.write_fixed(out, tokens)
        self._tokens = []
        self._block = self._next
