"""Inputs bent in the ways that readers stumble over; the same for the same random numbers."""

from __future__ import annotations

import re
from collections.abc import Callable
from random import Random

LONGEST = 1 << 16
"""Bytes of one input: what is large by count is tried in tests of its own."""

_WORDS = (
    b"", b"\0", b"\n", b"\r\n", b"\x1b[31m", b"../", b"/", b"\\", b"@", b":", b",", b";", b'"', b"<", b">",
    b"%00", b"-1", b"0", b"1e999", b"NaN", b"9" * 40, b"true", b"null", b"[]", b"{}", b"[" * 70, b"{" * 70,
    b"\xff\xfe", b"\xe2\x80\xae", b"\xf0\x9f\x92\xa9", b"\xc0\xaf", b"\xed\xa0\x80", b"sha512:", b"md5:",
    b"http://", b"https://registry.example@elsewhere.example/", b"file:///etc/passwd",
    b"//elsewhere.example/", b"https://registry.example\\@elsewhere.example", b"[::1%25lo]", b"0x7f.1",
    b"localhost",
    b'{"a":1,"a":2}', b"&a [*a, *a]", b"<<: *a", b"!!python/object:os.system", b"${NAME}", b"$$",
    b"\x28\xb5\x2f\xfd", b"\x50\x2a\x4d\x18", b"ustar\x0000", b"x" * 300,
)  # fmt: skip
_TOKEN = re.compile(rb'"[^"]*"|[0-9]+|[A-Za-z_]+|[\[\]{}:,;=<>@/&-]')


def mutated(data: bytes, random: Random, others: list[bytes]) -> bytes:
    """The input with one to four changes."""
    for _ in range(random.randint(1, 4)):
        # Cut each time: fifty times fifty times the same would fill the memory before anything is tried.
        data = random.choice(_WAYS)(data, random, others)[:LONGEST]
    return data


def _flip(data: bytes, random: Random, others: list[bytes]) -> bytes:
    if not data:
        return b"\0"
    place = random.randrange(len(data))
    return data[:place] + bytes([data[place] ^ 1 << random.randrange(8)]) + data[place + 1 :]


def _put(data: bytes, random: Random, others: list[bytes]) -> bytes:
    place = random.randint(0, len(data))
    return data[:place] + random.choice(_WORDS) + data[place + random.choice((0, 0, 1, 4)) :]


def _cut(data: bytes, random: Random, others: list[bytes]) -> bytes:
    first, second = sorted(random.randint(0, len(data)) for _ in range(2))
    return data[:first] + data[second:]


def _repeat(data: bytes, random: Random, others: list[bytes]) -> bytes:
    first, second = sorted(random.randint(0, len(data)) for _ in range(2))
    part = data[first:second]
    return data[:first] + part * random.choice((2, 3, 50)) + data[second:]


def _splice(data: bytes, random: Random, others: list[bytes]) -> bytes:
    other = random.choice(others)
    return data[: random.randint(0, len(data))] + other[random.randint(0, len(other)) :]


def _another_token(data: bytes, random: Random, others: list[bytes]) -> bytes:
    """One word of a text for another one of it, or for something odd."""
    found = list(_TOKEN.finditer(data[:8192]))
    if not found:
        return _flip(data, random, others)
    token = random.choice(found)
    new = random.choice((random.choice(found)[0], random.choice(_WORDS), b'"' + random.choice(_WORDS) + b'"'))
    return data[: token.start()] + new + data[token.end() :]


_WAYS: tuple[Callable[[bytes, Random, list[bytes]], bytes], ...] = (
    _flip, _put, _cut, _repeat, _splice, _another_token, _another_token,
)  # fmt: skip
