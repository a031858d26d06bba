"""The secrets that tests use, searched for in all that the program leaves: in every test, after every test.

`conftest` gives one to every run by the environment. A new test that needs a secret takes one of these.
"""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import zstandard

SECRETS = ("correct-horse", "battery-staple", "very-secret", "TOPSECRET")
PLANTED = "planted.example planted:correct-horse"
"""A line of credentials for a host that nobody asks."""
WRITTEN_BY_TESTS = re.compile(
    r"creds.*|netrc|htpasswd|auth\.json|config\.json|docker-credential-.*|.*\.(strace|calls)|strace.*"
)
"""Files in which tests keep secrets on purpose, or what a trace saw of them."""
MOST_OF_A_FILE = 4 << 20
MOST_OF_A_TEST = 32 << 20
"""Bytes that are searched: what is larger is content, not words."""


def _spellings(secret: str) -> Iterator[bytes]:
    yield secret.encode()
    yield quote(secret, safe="").replace("-", "%2D").encode()
    yield secret.encode().hex().encode()
    for before in (b"", b"x", b"xx"):
        # Base64 of something with the secret in it, at each of the three alignments.
        encoded = base64.b64encode(before + secret.encode())
        yield encoded[4 if before else 0 : -4]


_ANY = re.compile(b"|".join(re.escape(spelling) for secret in SECRETS for spelling in _spellings(secret)))


def assert_none_in(data: bytes | str, where: str) -> None:
    """Fail where a secret is in it, in any of its spellings."""
    if found := _ANY.search(data.encode("utf-8", "replace") if isinstance(data, str) else data):
        raise AssertionError(f"{where} shows a secret: {found[0]!r}")


def assert_none_below(folder: Path) -> None:
    """Fail where a file of a test has one, or a file's name."""
    room = MOST_OF_A_TEST
    for path in folder.rglob("*"):
        assert_none_in(path.name, "a file's name")
        if path.is_symlink() or not path.is_file() or WRITTEN_BY_TESTS.fullmatch(path.name):
            continue
        size = path.stat().st_size
        if size <= MOST_OF_A_FILE and (room := room - size) >= 0:
            assert_none_in(_content(path), str(path))


def _content(path: Path) -> bytes:
    try:
        data = path.read_bytes()
    except OSError:
        return b""  # a test took the right to read it
    if path.name.endswith(".zst"):
        reader = zstandard.ZstdDecompressor().stream_reader(io.BytesIO(data), read_across_frames=True)
        try:
            return data + reader.read(MOST_OF_A_FILE)
        except zstandard.ZstdError:
            return data
    return data
