"""The format of volumes: one bundle cut into numbered files, each of which describes itself. No I/O.

A volume is a piece of the bundle's bytes, and behind it a block of 1,024 bytes: JSON, filled up with
spaces; the sha256 of that; 16 bytes of magic. `head -c -1024` gives the piece. Parity volumes have a
piece of the same length, made of all data pieces (docs/volumes.md).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import asdict, replace

from bundler.errors import ContentError, IntegrityError, printable
from bundler.oci import strict_json
from bundler.oci.grammar import DocumentValue, document_value

FORMAT = 1

TRAILER = 1024
"""Bytes behind the piece."""

MAGIC = b"timoni-volume-1\n"

MOST = 999
"""Data volumes, or parity volumes, of one set."""

MOST_WITH_PARITY = 256
"""Volumes of a set with parity: its arithmetic is on bytes."""

_TEXT = TRAILER - len(MAGIC) - 32

_DEPTH = 8

_SHA256 = re.compile("[0-9a-f]{64}")


@document_value
class Volume(DocumentValue):
    """Description of one volume and its set. Data volumes come first, then those of parity."""

    set: str
    """sha256 of the whole bundle file; the same in all volumes of a set."""
    number: int
    """Number of this volume, from 1."""
    data: int
    """Data volumes of the set."""
    parity: int
    """Parity volumes of the set."""
    piece: int
    """Bytes of every piece but the last data piece."""
    total: int
    """Bytes of the bundle file."""
    sha256: str
    """sha256 of the piece."""

    @property
    def is_parity(self) -> bool:
        """Return True for a volume that holds parity and no part of the bundle itself."""
        return self.number > self.data

    @property
    def offset(self) -> int:
        """Return the offset of its piece in the bundle."""
        return (self.number - 1) * self.piece

    @property
    def size(self) -> int:
        """Return the bytes of its piece."""
        return self.piece if self.is_parity else min(self.piece, self.total - self.offset)

    @property
    def shared(self) -> Volume:
        """Return the values that all volumes of a set share; the same bundle cut otherwise is another set."""
        return replace(self, number=1, sha256="")

    @property
    def name(self) -> str:
        """Return the name for messages: `volume 3 of 5`."""
        if self.is_parity:
            return f"parity volume {self.number - self.data} of {self.parity}"
        return f"volume {self.number} of {self.data}"


def file_name(bundle: str, volume: int, data: int) -> str:
    """Return the file name of a volume: `NAME.tar.zst.003`, `NAME.tar.zst.p01`."""
    return f"{bundle}.{volume:03}" if volume <= data else f"{bundle}.p{volume - data:02}"


def bundle_name(file: str, volume: Volume) -> str:
    """Return the bundle's name in that of a volume, if it has one of the usual kind."""
    suffix = file_name("", volume.number, volume.data)
    return file[: -len(suffix)] if file.lower().endswith(suffix) else file


def encode_trailer(volume: Volume) -> bytes:
    """Return the last bytes of a volume."""
    text = strict_json.canonical({"format": FORMAT, **asdict(volume)}).ljust(_TEXT)
    return text + hashlib.sha256(text).digest() + MAGIC


def is_trailer(block: bytes) -> bool:
    """Return True if a file that ends with this block is a volume."""
    return len(block) == TRAILER and block.endswith(MAGIC)


def decode_trailer(block: bytes, size: int, name: str) -> Volume:
    """Read the description of a volume file of `size` bytes. Raises IntegrityError, ContentError."""
    text = block[:_TEXT]
    if hashlib.sha256(text).digest() != block[_TEXT : _TEXT + 32]:
        raise IntegrityError(name, "this volume is damaged: its trailer does not have its digest", _AGAIN)
    try:
        names = frozenset({"format", *Volume.__dataclass_fields__})
        document = strict_json.loads(text, item=name, depth=_DEPTH, names=names)
        volume = Volume(**{key: document[key] for key in Volume.__dataclass_fields__})
    except (LookupError, TypeError) as error:
        raise ContentError(name, printable(f"not a volume of format {FORMAT}: {error}")) from None
    _check(volume, document.get("format"), name)
    if size != volume.size + TRAILER:
        cause = f"{volume.name} is {size:,} bytes long instead of {volume.size + TRAILER:,}"
        raise IntegrityError(name, cause, _AGAIN)
    return volume


_AGAIN = "carry it again, make it again from the bundle, or `timoni-bundler volumes repair`"


def _check(volume: Volume, written: object, name: str) -> None:
    if written != FORMAT:
        cause = f"volume format {printable(str(written), 20)}; this program reads {FORMAT}"
        raise ContentError(name, cause, "use a newer timoni-bundler here")
    numbers = (volume.number, volume.data, volume.parity, volume.piece, volume.total)
    sound = all(type(number) is int for number in numbers) and all(
        type(text) is str and _SHA256.fullmatch(text) for text in (volume.set, volume.sha256)
    )
    if not (
        sound
        and 0 < volume.data <= MOST
        and volume.parity >= 0
        and (not volume.parity or volume.data + volume.parity <= MOST_WITH_PARITY)
        and (volume.data > 1 or volume.piece == volume.total)
        and 0 < volume.number <= volume.data + volume.parity
        and (volume.data - 1) * volume.piece < volume.total <= volume.data * volume.piece < 1 << 62
    ):
        raise ContentError(name, "its trailer describes a set that can't exist")


def needed(missing: Sequence[int], data: int) -> str:
    """Return numbers as `volume 3 of 5` or `volumes 1, 3 of 5`."""
    shown = sorted(missing)[:20]
    text = ", ".join(map(str, shown)) + (f" and {len(missing) - 20} more" if len(missing) > 20 else "")
    return f"volume{'s' * (len(missing) > 1)} {text} of {data}"
