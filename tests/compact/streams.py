"""Inputs for the encoders: every shape and every border that their specification has, by name."""

from __future__ import annotations

import random
from collections.abc import Callable

SIZES = (0, 1, 3, 4, 5, 31, 32, 33, 127, 128, 129, 261, 1_024, 1_025, 16_384, 32_768, 65_274, 65_275, 65_534,
         65_535, 65_536, 65_537, 98_304, 131_069, 131_070, 131_071, 163_840)  # fmt: skip


def _words(chance: random.Random) -> list[bytes]:
    return [bytes(chance.choices(b'abcdefghij \n{}:"', k=chance.randint(1, 12))) for _ in range(200)]


def _text(chance: random.Random, size: int) -> bytes:
    words = _words(chance)
    return b"".join(chance.choice(words) for _ in range(size + 1))


def _few_values(chance: random.Random, size: int) -> bytes:
    return bytes(chance.choices(range(chance.randint(1, 40)), k=size))


def _bell(chance: random.Random, size: int) -> bytes:
    spread = chance.uniform(1, 60)
    return bytes(int(abs(chance.gauss(0, spread))) & 255 for _ in range(size))


def _repeated(chance: random.Random, size: int) -> bytes:
    period = chance.randbytes(chance.choice([1, 2, 3, 7, 258, 4_096, 32_767, 32_768, 32_769]))
    return period * (size // len(period) + 1)


def _mixed(chance: random.Random, size: int) -> bytes:
    words, data = _words(chance), bytearray()
    while len(data) < size:
        data += chance.choice(
            [
                chance.randbytes(chance.randint(1, 3_000)),
                bytes(chance.randint(1, 3_000)),
                b"".join(chance.choices(words, k=chance.randint(1, 400))),
                bytes(data[-chance.randint(1, len(data) + 1) :][: chance.randint(1, 5_000)]),
            ]
        )
    return bytes(data)


SHAPES: dict[str, Callable[[random.Random, int], bytes]] = {
    "zeros": lambda _, size: bytes(size),
    "noise": lambda chance, size: chance.randbytes(size),
    "text": _text,
    "few": _few_values,
    "bell": _bell,
    "repeated": _repeated,
    "mixed": _mixed,
}


def stream(name: str) -> bytes:
    """Return the input called `SHAPE-SIZE-SEED`: the same bytes in every version of Python."""
    shape, size, seed = name.split("-")
    return SHAPES[shape](random.Random(int(seed)), int(size))[: int(size)]


NAMES = tuple(
    f"{shape}-{size}-{seed}"
    for shape in SHAPES
    for size in SIZES
    for seed in range(1 if size > 40_000 else 2)
)
