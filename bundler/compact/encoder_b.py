"""Encoder B: the DEFLATE streams of Go 1.27 at the default level. Pure.

Two hash tables, input blocks of 65,535 bytes, codes that later blocks go on in. See docs/go-deflate.md,
section 3.
"""

from collections.abc import Sequence

from bundler.compact import deflate_blocks
from bundler.compact.float_estimate import Rounding, estimated_bits
from bundler.compact.match_finder import MatchFinder

_BLOCK, _FEW = 65_535, 250


class BlockCounts:
    """The symbols of one block, counted."""

    def __init__(self, literals: list[int], distances: list[int], tokens: int, raw: int) -> None:
        self.literals = literals
        self.distances = distances
        self.tokens = tokens
        """Tokens, with the end of the last block."""
        self.raw = raw
        """Bits that it takes stored."""
        self.extra = deflate_blocks.extra_bits(literals, distances)
        self.fixed = deflate_blocks.fixed_size(literals, distances) + self.extra
        """Bits that it takes in the fixed codes."""

    def lacks_code_in(self, codes: deflate_blocks.DynamicCodes) -> bool:
        """Return True if a symbol has no code."""
        return _lacks(self.literals, codes.literals) or _lacks(self.distances, codes.distances)

    def size_in(self, codes: deflate_blocks.DynamicCodes) -> int:
        """Return the bits that it takes in these codes, without their header."""
        return (
            deflate_blocks.cost(self.literals, codes.literals)
            + deflate_blocks.cost(self.distances, codes.distances)
            + self.extra
        )


class EncoderB:
    """One raw DEFLATE stream."""

    def __init__(self, rounding: Rounding = Rounding.EACH) -> None:
        self._out = deflate_blocks.BitWriter()
        self._finder = MatchFinder()
        self._rounding = rounding
        self._open: deflate_blocks.DynamicCodes | None = None
        """The block whose end is still owed: later ones may go on in its codes."""
        self._literal_only = False

    def write(self, data: bytes) -> bytes:
        """Take input, in pieces of any size; return the output that is complete so far."""
        view = memoryview(data)
        while view:
            if len(self._finder.block) == _BLOCK:
                self._encode(last=False)
            room = _BLOCK - len(self._finder.block)
            self._finder.data += view[:room]
            view = view[room:]
        return self._out.taken()

    def finish(self) -> bytes:
        """End the stream; return the rest of the output."""
        if self._finder.block:
            self._encode(last=True)
        self._out.put(3, 3)
        self._out.put(0, 7)
        self._out.align()
        return self._out.taken()

    def _encode(self, *, last: bool) -> None:
        """Encode one input block in the form that its size and its tokens call for (3.2)."""
        block = self._finder.block
        size = len(block)
        if last and size <= 32:
            self._stored(block)
        elif last and size < 128:
            self._literal_block(block, last=last)
        else:
            tokens = self._finder.parse()
            if not tokens:
                self._stored(block)
            elif len(tokens) > size - (size >> 4):
                self._literal_block(block, last=last)
            else:
                self._token_block(tokens, block, last=last)
        self._finder.next_block()

    def _close(self) -> None:
        if self._open:
            deflate_blocks.write_end_of_block(self._out, self._open.literals)
        self._open = None

    def _stored(self, block: bytes) -> None:
        self._close()
        deflate_blocks.write_stored(self._out, block)

    def _token_block(self, tokens: list[int], block: bytes, *, last: bool) -> None:
        """Write a block with matches (3.6)."""
        literals, distances = deflate_blocks.counts_of(tokens)
        literals[256] = 1
        counts = BlockCounts(literals, distances, len(tokens) + last, deflate_blocks.stored_size(len(block)))
        if self._open and (self._literal_only or counts.lacks_code_in(self._open)):
            self._close()
        if self._open and self._continue_block(counts, tokens, block):
            return
        if not self._open and self._begin_block(counts, tokens, block):
            return
        assert self._open is not None
        deflate_blocks.write_tokens(self._out, tokens, self._open.literals, self._open.distances)
        if last:
            self._close()

    def _continue_block(self, counts: BlockCounts, tokens: list[int], block: bytes) -> bool:
        """Decide whether the open codes serve; return True if the block was written in another form."""
        assert self._open is not None
        codes = self._open
        tokens_alone = estimated_bits(counts.literals, counts.distances, counts.tokens, self._rounding)
        fresh = codes.header.size + tokens_alone + counts.extra
        fresh += codes.literals.lengths[256] + (fresh >> 7)
        keep = counts.size_in(codes)
        if fresh < keep:
            self._close()
        return self._write_smaller(
            counts, tokens, block, min(fresh, keep), fixed=counts.fixed + 7, of_all=None
        )

    def _begin_block(self, counts: BlockCounts, tokens: list[int], block: bytes) -> bool:
        """Make codes for the block; return True if it was written in another form."""
        codes = deflate_blocks.dynamic_codes(counts.literals, counts.distances)
        size = codes.header.size + counts.size_in(codes)
        if self._write_smaller(counts, tokens, block, size, fixed=counts.fixed - 1, of_all=counts.fixed):
            return True
        codes.header.write(self._out)
        self._open, self._literal_only = codes, False
        return False

    def _write_smaller(
        self,
        counts: BlockCounts,
        tokens: list[int],
        block: bytes,
        size: int,
        *,
        fixed: int,
        of_all: int | None,
    ) -> bool:
        """Write the block fixed or stored where that is smaller than `size`; return True if so.

        With few tokens the fixed codes count as `fixed`; the stored form wins over `of_all`, or `size`.
        """
        few = counts.tokens < _FEW and fixed < size
        if counts.raw <= (of_all if few and of_all is not None else size):
            self._stored(block)
        elif few:
            self._close()
            deflate_blocks.write_fixed(self._out, tokens)
        else:
            return False
        return True

    def _literal_block(self, block: bytes, *, last: bool) -> None:
        """Write a block without matches (3.8)."""
        counts = [block.count(value) for value in range(256)]
        size, raw = len(block), deflate_blocks.stored_size(len(block))
        if size > 1024 and sum((256 * count - size) ** 2 for count in counts) < 131_072 * size:
            return self._stored(block)
        code = deflate_blocks.code_of([*counts, 1], 15)
        need = deflate_blocks.cost([*counts, 1], code) + (self._open.header.size if self._open else 560)
        need += need >> 7
        if raw <= need:
            return self._stored(block)
        if self._open and (
            _lacks(counts, self._open.literals) or need < deflate_blocks.cost(counts, self._open.literals)
        ):
            self._close()
        if not self._open:
            nothing = deflate_blocks.HuffmanCode([0] * 30, [0] * 30)
            self._open = deflate_blocks.DynamicCodes(
                code, nothing, deflate_blocks.header_of(code.lengths, [1])
            )
            self._literal_only = True
            self._open.header.write(self._out)
        deflate_blocks.write_tokens(self._out, block, self._open.literals, self._open.distances)
        if last:
            self._close()
        return None


def _lacks(counts: Sequence[int], code: deflate_blocks.HuffmanCode) -> bool:
    return any(count and not length for count, length in zip(counts, code.lengths, strict=False))
