"""What uploads are made of: bodies sent as they are read, the sizes of their pieces, their addresses."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from urllib.parse import urlencode, urlsplit

from bundler.limits import MIB

CHUNK_UPLOAD = 4 * MIB
"""Bytes of one PATCH where a registry takes no single PUT; ghcr.io refuses more."""
LARGEST_PIECE = 64 * MIB
"""Bytes of one PATCH that a registry may ask for."""

_NUMBER = re.compile("[0-9]{1,18}")


class Body:
    """An upload that is sent as it is read."""

    def __init__(self, size: int, chunks: Iterable[bytes], count: Callable[..., None]) -> None:
        self._size = size
        self._chunks = chunks
        self._count = count

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self._chunks:
            self._count(sent=len(chunk))
            yield chunk


def piece_size(least: str, usual: int) -> int:
    """Bytes of one PATCH where a registry wants them to be no less: what lies on S3 does."""
    return min(max(CHUNK_UPLOAD, int(least)), LARGEST_PIECE) if _NUMBER.fullmatch(least) else usual


def pieces(chunks: Iterable[bytes], size: int) -> Iterator[bytes]:
    """The same bytes in pieces of `size`, the last one as it comes."""
    waiting = bytearray()
    for chunk in chunks:
        waiting += chunk
        while len(waiting) >= size:
            yield bytes(waiting[:size])
            del waiting[:size]
    if waiting:
        yield bytes(waiting)


def with_query(url: str, **more: str) -> str:
    """The address with more in its query; what is there stays as it is written, signed perhaps."""
    parts = urlsplit(url)
    query = "&".join(part for part in (parts.query, urlencode(more)) if part)
    return parts._replace(query=query, fragment="").geturl()
