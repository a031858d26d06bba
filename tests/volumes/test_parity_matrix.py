"""Parity volumes hold what the page on volumes says, to the matrix: computed here without any library."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from bundler.volumes.parity import parity_pieces
from bundler.volumes.volume_format import TRAILER
from tests.builders import noise
from tests.volumes.cuts import SIZE, cut

_POWERS = [1]
while len(_POWERS) < 255:
    doubled = _POWERS[-1] << 1
    _POWERS.append(doubled ^ 0x11D if doubled > 255 else doubled)
_LOGARITHMS = {power: exponent for exponent, power in enumerate(_POWERS)}


def times(left: int, right: int) -> int:
    """Multiply in GF(2^8)."""
    return _POWERS[(_LOGARITHMS[left] + _LOGARITHMS[right]) % 255] if left and right else 0


def product(rows: list[list[int]], columns: list[list[int]]) -> list[list[int]]:
    """Multiply two matrices."""
    result = []
    for row in rows:
        sums = [0] * len(columns[0])
        for factor, line in zip(row, columns, strict=True):
            sums = [total ^ times(factor, item) for total, item in zip(sums, line, strict=True)]
        result.append(sums)
    return result


def inverse(matrix: list[list[int]]) -> list[list[int]]:
    """Invert a matrix by Gauss and Jordan."""
    size = len(matrix)
    wide = [
        [*row, *(int(row_number == column) for column in range(size))]
        for row_number, row in enumerate(matrix)
    ]
    for column in range(size):
        pivot = next(row for row in range(column, size) if wide[row][column])
        wide[column], wide[pivot] = wide[pivot], wide[column]
        unit = _POWERS[-_LOGARITHMS[wide[column][column]] % 255]
        wide[column] = [times(unit, item) for item in wide[column]]
        for row in range(size):
            if row != column and (factor := wide[row][column]):
                pairs = zip(wide[row], wide[column], strict=True)
                wide[row] = [item ^ times(factor, other) for item, other in pairs]
    return [row[size:] for row in wide]


def parity_rows(data: int, parity: int) -> list[list[int]]:
    """Return the rows of the code that give the parity pieces."""
    rows = [[1] + [0] * (data - 1)]
    rows += [[_POWERS[row * column % 255] for column in range(data)] for row in range(data + parity - 1)]
    return product(rows[data:], inverse(rows[:data]))


def parity_of(pieces: list[bytes], parity: int) -> list[bytes]:
    rows = parity_rows(len(pieces), parity)
    columns = [list(piece) for piece in pieces]
    return [bytes(row) for row in product(rows, columns)]


@given(st.integers(1, 9), st.integers(1, 5), st.binary(min_size=1, max_size=20))
@settings(max_examples=30)
def test_parity_is_that_of_the_matrix(data: int, parity: int, seed: bytes) -> None:
    pieces = [noise(f"{seed!r} {number}", len(seed)) for number in range(data)]
    readers = [lambda size, offset, piece=piece: piece[offset : offset + size] for piece in pieces]
    assert next(parity_pieces(readers, parity, len(seed))) == parity_of(pieces, parity)


def test_a_parity_volume_holds_the_parity_of_the_padded_pieces(tmp_path: Path) -> None:
    files = cut(tmp_path, noise("matrix", 2 * SIZE), parity=50)
    volumes, parity = (
        [file for file in files if ".p" not in file.name],
        [file for file in files if ".p" in file.name],
    )
    data = [file.read_bytes()[:-TRAILER].ljust(SIZE, b"\0")[:64] for file in volumes]
    held = [file.read_bytes()[:64] for file in parity]
    assert held == parity_of(data, len(parity))
