"""The matches of encoder B: two hash tables, and what it takes for a better match. Pure.

See docs/go-deflate.md, 3.3. Positions are absolute; `data[0]` is the byte at `base`.
"""

from bundler.compact.deflate_blocks import LONGEST_MATCH, MATCH, agreement

_REACH, _MARGIN = 32_768, 11
_NONE = -1 << 62


class MatchFinder:
    """The input of one stream as far as matches can reach back, and the block that is parsed."""

    def __init__(self) -> None:
        self.data = bytearray()
        """The block, behind some bytes before it."""
        self.base = 0
        self.start = 0
        """The position at which the block begins."""
        self._shorts: dict[int, int] = {}
        self._longs: dict[int, int] = {}
        self._longs_before: dict[int, int] = {}

    @property
    def block(self) -> bytes:
        """Return the bytes of the block."""
        return bytes(self.data[self.start - self.base :])

    def next_block(self) -> None:
        """Begin an empty block behind this one; forget what is out of reach."""
        self.start = self.base + len(self.data)
        excess = len(self.data) - _REACH
        if excess > 0:
            del self.data[:excess]
            self.base += excess

    def _hashes(self, position: int) -> tuple[int, int]:
        at = position - self.base
        word = int.from_bytes(self.data[at : at + 7], "little")
        return (
            ((word & 0xFFFFFFFF) * 2654435761 & 0xFFFFFFFF) >> 17,
            ((word << 8) * 58295818150454627 & 0xFFFFFFFFFFFFFFFF) >> 49,
        )

    def _put(self, position: int) -> None:
        short, _ = self._hashes(position)
        self._shorts[short] = position
        self._put_long(position)

    def _put_long(self, position: int) -> None:
        _, long = self._hashes(position)
        self._longs_before[long] = self._longs.get(long, _NONE)
        self._longs[long] = position

    def _near(self, position: int, earlier: int) -> bool:
        """Tell whether two positions are near each other, and four bytes agree."""
        if earlier < 0 or position - earlier >= _REACH:
            return False
        here, before = position - self.base, earlier - self.base
        return self.data[here : here + 4] == self.data[before : before + 4]

    def _long(self, position: int, earlier: int, most: int = 1 << 30) -> int:
        rest = min(most, self.base + len(self.data) - position)
        return agreement(self.data, position - self.base, earlier - self.base, rest)

    def _cap(self, position: int, earlier: int) -> int:
        return self._long(position, earlier, LONGEST_MATCH)

    def parse(self) -> list[int]:
        """Return the tokens of the block; none at all where it has no match."""
        tokens: list[int] = []
        end = self.base + len(self.data)
        limit = end - _MARGIN
        position = done = self.start
        repeated = 1
        while scanned := self._scan(position, done, repeated, limit):
            position, earlier, following = scanned
            position, earlier, length = self._extended(position, earlier, done, limit)
            tokens += self.data[done - self.base : position - self.base]
            repeated = position - earlier
            tokens += _match_tokens(length, repeated)
            position += length
            done = position
            if following >= position:
                position = following + 1
            if position >= limit:
                for place in range(following + 1, end - 8, 2):
                    self._put(place)
                break
            for place in range(following + 1, position - 1, 2):
                self._put(place)
                self._put_long(place + 1)
        if tokens:
            tokens += self.data[done - self.base :]
        return tokens

    def _scan(self, position: int, done: int, repeated: int, limit: int) -> tuple[int, int, int] | None:
        """Find the next match; return its position, where it was before, and the position scanned next."""
        following = position
        while True:
            position = following
            following = position + 1 + (position - done >> 7)
            if following > limit:
                return None
            short, long = self._hashes(position)
            seen = self._shorts.get(short, _NONE)
            last, before = self._longs.get(long, _NONE), self._longs_before.get(long, _NONE)
            self._shorts[short] = position
            self._longs_before[long] = last
            self._longs[long] = position
            if last < 0 or position - last >= _REACH:
                pass  # the one before it is not looked at
            elif self._near(position, last):
                self._put(following)
                if self._near(position, before) and self._cap(position, before) > self._cap(position, last):
                    last = before
                return position, last, following
            elif self._near(position, before):
                self._put(following)
                return position, before, following
            if self._near(position, seen):
                return (*self._better(position, seen, following, repeated), following)

    def _better(self, position: int, seen: int, following: int, repeated: int) -> tuple[int, int]:
        """Look for a longer match one position on, and at the following one."""
        length = self._cap(position, seen)
        _, long = self._hashes(following)
        last, before = self._longs.get(long, _NONE), self._longs_before.get(long, _NONE)
        self._put(following)
        after = position + 1
        if self._near(after, after - repeated) and self._cap(after, after - repeated) > length:
            return after, after - repeated
        best = (position, seen)
        if last >= 0 and following - last < _REACH:
            if self._near(following, last) and self._cap(following, last) > length:
                length, best = self._cap(following, last), (following, last)
            if self._near(following, before) and self._cap(following, before) > length:
                best = (following, before)
        return best

    def _extended(self, position: int, earlier: int, done: int, limit: int) -> tuple[int, int, int]:
        """Extend a match: by a better one that ends where it ends, then backwards."""
        length = self._long(position, earlier)
        if position + length < limit:
            _, long = self._hashes(position + length)
            place = position + 2
            last, before = self._longs.get(long, _NONE), self._longs_before.get(long, _NONE)
            if last >= 0 and place - (last - length + 2) < _REACH:
                for candidate in (last, before):
                    start = candidate - length + 2
                    if candidate >= 0 and 0 <= start < place and place - start < _REACH:
                        longer = self._long(place, start)
                        if longer > length:
                            position, earlier, length = place, start, longer
        data, base = self.data, self.base
        while earlier > 0 and position > done and data[earlier - 1 - base] == data[position - 1 - base]:
            earlier -= 1
            position -= 1
            length += 1
        return position, earlier, length


def _match_tokens(length: int, distance: int) -> list[int]:
    """Return the tokens of a match of any length."""
    tokens = []
    while length > 0:
        part = length if length <= LONGEST_MATCH else LONGEST_MATCH if length > 261 else 255
        tokens.append(MATCH | (part - 3) << 16 | (distance - 1))
        length -= part
    return tokens
