"""Codecs that make a gzip stream again, bit for bit: numbered, frozen, proven when they are loaded.

A codec number stands for one sequence of bits for each input, for ever. The compiled encoders are used where
they were built, else those in Python: both give the same bytes. Never the host's zlib: its output is
another, and changes with its version. Specified in `docs/go-deflate.md`.
"""

import hashlib
import warnings
import zlib
from collections.abc import Callable, Iterable, Iterator
from enum import IntEnum
from functools import cache
from itertools import islice
from typing import NamedTuple, Protocol

from bundler.compact.encoder_a import EncoderA
from bundler.compact.encoder_b import EncoderB
from bundler.compact.float_estimate import Rounding
from bundler.errors import ContentError, LocalError, SlowEncodersWarning

GZIP_HEADER = bytes.fromhex("1f8b08000000000000ff")
"""The header that Go writes where nobody sets a name or a time."""
_FLAGS, _EXTRA, _NAME, _COMMENT, _HEADER_SUM = 3, 4, 8, 16, 2
LONGEST_HEADER = 4_096
"""Bytes of a gzip header that is kept."""
_PIECE = 1 << 20
"""Bytes of content that are inflated at a time."""


class DeflateEncoder(Protocol):
    """One raw DEFLATE stream under way."""

    def write(self, data: bytes, /) -> bytes:
        """Take input; return the output that is complete so far."""

    def finish(self) -> bytes:
        """End the stream; return the rest of the output."""


class CodecNumber(IntEnum):
    """Every codec that a recipe can name."""

    GO_A = 1
    """Go 1.7 to 1.26, default level."""
    GO_B = 2
    """Go 1.27, default level, as amd64 rounds."""
    GO_B_SUMS_FUSED = 3
    """The same, as amd64 built for v3 or v4 rounds."""
    GO_B_ALL_FUSED = 4
    """The same, as arm64, ppc64le, s390x and riscv64 round."""


class Codec(NamedTuple):
    """A proven codec."""

    number: CodecNumber
    new: Callable[[], DeflateEncoder]
    compiled: bool


_IN_PYTHON: dict[CodecNumber, Callable[[], DeflateEncoder]] = {
    CodecNumber.GO_A: EncoderA,
    CodecNumber.GO_B: EncoderB,
    CodecNumber.GO_B_SUMS_FUSED: lambda: EncoderB(Rounding.SUMS_FUSED),
    CodecNumber.GO_B_ALL_FUSED: lambda: EncoderB(Rounding.ALL_FUSED),
}


def _compiled() -> dict[CodecNumber, Callable[[], DeflateEncoder]]:
    try:
        from bundler.compact._godeflate import Encoder
    except ImportError:
        return {}
    return {
        CodecNumber.GO_A: lambda: Encoder("A"),
        CodecNumber.GO_B: lambda: Encoder("B"),
        CodecNumber.GO_B_SUMS_FUSED: lambda: Encoder("B", Rounding.SUMS_FUSED),
        CodecNumber.GO_B_ALL_FUSED: lambda: Encoder("B", Rounding.ALL_FUSED),
    }


@cache
def codec(number: int) -> Codec:
    """Return a codec, after it has given its known answers.

    The first one that is not compiled, or that was compiled wrongly, gives a SlowEncodersWarning.

    Raises: ContentError for a number that this version does not know, LocalError if the answers are wrong.
    """
    try:
        identity = CodecNumber(number)
    except ValueError:
        cause = f"codec number {number} is unknown; this version knows 1 to {max(CodecNumber)}"
        raise ContentError("compact bundle", cause, "use a newer version of this program") from None
    compiled = _compiled().get(identity)
    if compiled and _answer(compiled) == KNOWN_ANSWERS[identity]:
        return Codec(identity, compiled, compiled=True)
    # They were not built, or wrongly by the compiler of this machine.
    _warn_of_slowness()
    if _answer(_IN_PYTHON[identity]) != KNOWN_ANSWERS[identity]:
        raise LocalError(
            f"codec {identity.name}", "it does not give its known answer", "install the program again"
        )
    return Codec(identity, _IN_PYTHON[identity], compiled=False)


@cache
def _warn_of_slowness() -> None:
    warnings.warn(SLOW, SlowEncodersWarning, stacklevel=3)


SLOW = (
    "the compiled encoders are missing or wrong, so compact bundles take much longer; install a wheel for "
    "this machine, or install again where there is a C compiler"
)


def known_input() -> bytes:
    """Return the bytes that every codec is tried on: text, repetition, noise and zeros in 20 kB."""
    noise = b"".join(hashlib.sha256(bytes([turn])).digest() for turn in range(128))
    text = b"".join(
        b"line %d of a file: %s\n" % (turn, noise[turn : turn + 9].hex().encode()) for turn in range(150)
    )
    return text + noise + bytes(3_000) + text[:4_000] + noise[:1_500]


def _answer(new: Callable[[], DeflateEncoder]) -> str:
    encoder = new()
    return hashlib.sha256(encoder.write(known_input()) + encoder.finish()).hexdigest()


_ANSWER_OF_B = "207dc8c0af3ded0d30805b16161cd974de2b9c797dc2f45345b1f72d97543454"
KNOWN_ANSWERS = {
    CodecNumber.GO_A: "d09f6d00a2171f9b5df54b65364818104f5a7bab30cbec5519ea2a356de5d89e",
    CodecNumber.GO_B: _ANSWER_OF_B,
    CodecNumber.GO_B_SUMS_FUSED: _ANSWER_OF_B,
    CodecNumber.GO_B_ALL_FUSED: _ANSWER_OF_B,
}
"""The sha256 of what each codec makes of `known_input`; its rounding does not show there."""


class GzipRecipe(NamedTuple):
    """All that is needed, besides the content, to make a gzip stream again."""

    codec: CodecNumber
    header: bytes
    """The gzip header, as it came."""


def gzip_again(recipe: GzipRecipe, content: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the gzip stream of a content that comes in chunks of any size.

    Raises: ContentError for an unknown codec, LocalError for one that is broken on this machine.
    """
    encoder, check, size = codec(recipe.codec).new(), 0, 0
    yield recipe.header
    for chunk in content:
        check, size = zlib.crc32(chunk, check), size + len(chunk)
        if data := encoder.write(chunk):
            yield data
    yield encoder.finish() + check.to_bytes(4, "little") + (size & 0xFFFFFFFF).to_bytes(4, "little")


def header_size(start: bytes) -> int | None:
    """Return the bytes of the gzip header that `start` begins with; None if there is none that is kept."""
    if len(start) < len(GZIP_HEADER) or start[:3] != GZIP_HEADER[:3]:
        return None
    flags, at = start[_FLAGS], 10
    if flags & _EXTRA:
        at += 2 + int.from_bytes(start[at : at + 2], "little")
    for flag in (_NAME, _COMMENT):
        if flags & flag:
            at = start.find(b"\0", at) + 1
            if at == 0:
                return None
    at += 2 * bool(flags & _HEADER_SUM)
    return at if at <= min(len(start), LONGEST_HEADER) else None


class Candidate:
    """One codec held against a stream: it fits as long as its output is the stream's."""

    def __init__(self, number: CodecNumber) -> None:
        self.number = number
        self._encoder = codec(number).new()
        self._made = bytearray()
        self._stream = bytearray()

    def compare(self, stream: bytes, content: bytes | None) -> bool:
        """Take more of the stream and of its content, None at its end; tell whether it still fits."""
        self._stream += stream
        self._made += self._encoder.finish() if content is None else self._encoder.write(content)
        if content is None:
            return self._made == self._stream
        size = min(len(self._made), len(self._stream))
        fits = self._made[:size] == self._stream[:size]
        del self._made[:size], self._stream[:size]
        return fits


class Recognition:
    """A gzip stream that is read once, and held against every codec while it is.

    Read `content` to its end; then `recipe` says how to make the stream again. A codec that does not fit
    costs one block of its output.
    """

    def __init__(self, chunks: Iterable[bytes], numbers: Iterable[CodecNumber] = CodecNumber) -> None:
        self._chunks = iter(chunks)
        self._candidates = [Candidate(number) for number in numbers]
        self.recipe: GzipRecipe | None = None
        """None where no codec makes exactly this stream."""

    def content(self) -> Iterator[bytes]:
        """Yield the content in chunks of at most 1 MiB; end early where no codec fits."""
        start = self._start()
        at = header_size(start)
        if at is None:
            return
        inflate, check, size, waiting = zlib.decompressobj(-zlib.MAX_WBITS), 0, 0, start[at:]
        while not inflate.eof:
            if not waiting and not (waiting := next(self._chunks, b"")):
                return
            try:
                content = inflate.decompress(waiting, _PIECE)
            except zlib.error:
                return
            left = inflate.unconsumed_tail or inflate.unused_data
            if not self._still_fit(waiting[: len(waiting) - len(left)], content):
                return
            waiting = left
            check, size = zlib.crc32(content, check), size + len(content)
            yield content
        trailer = waiting + b"".join(islice(self._chunks, 2))
        number = self._fitting()
        if number and trailer == check.to_bytes(4, "little") + (size & 0xFFFFFFFF).to_bytes(4, "little"):
            self.recipe = GzipRecipe(number, start[:at])

    def _start(self) -> bytes:
        start = bytearray()
        while len(start) < LONGEST_HEADER and (chunk := next(self._chunks, b"")):
            start += chunk
        return bytes(start)

    def _still_fit(self, stream: bytes, content: bytes) -> bool:
        self._candidates = [each for each in self._candidates if each.compare(stream, content)]
        return bool(self._candidates)

    def _fitting(self) -> CodecNumber | None:
        return next((each.number for each in self._candidates if each.compare(b"", None)), None)


PRODUCERS = {
    CodecNumber.GO_A: "Go 1.7 to 1.26",
    CodecNumber.GO_B: "Go 1.27",
    CodecNumber.GO_B_SUMS_FUSED: "Go 1.27, GOAMD64=v3",
    CodecNumber.GO_B_ALL_FUSED: "Go 1.27, arm64 or other",
}
"""The encoder that each codec follows."""


def unknown_producer(start: bytes) -> str | None:
    """Return what the first bytes of a layer say of its encoder, which no codec follows; None for no layer.

    RFC 1952, 2.3: byte 8 has extra flags (2: best compression, 4: fastest), byte 9 the operating system.
    """
    if start.startswith(b"\x28\xb5\x2f\xfd"):
        return "zstd"
    if start[257:262] == b"ustar":
        return "not compressed"
    if not start.startswith(GZIP_HEADER[:2]):
        return None
    if start[9:10] != b"\xff":
        return "gzip, pigz or another program with zlib"
    if start[8:9] == b"\x04":
        return "Go at its fastest level, or like it"
    return "unknown gzip encoder, or another level of Go"
