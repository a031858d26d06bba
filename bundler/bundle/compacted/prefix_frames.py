"""zstd frames that are compressed behind a prefix: bytes that both sides have, and the frame does not hold.

python-zstandard takes a dictionary only, which it indexes anew and at low effort; the standard library
of Python 3.14 and its backport refer to a prefix, as `zstd --patch-from` does.
"""

import sys
from collections.abc import Callable, Iterator

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    # At its start, the command said that it is not installed.
    if sys.modules.get("backports.zstd", sys) is None:
        del sys.modules["backports.zstd"]
    from backports import zstd

from bundler.bundle import bundle_format
from bundler.bundle.compacted import compact_format
from bundler.oci import CHUNK

LARGEST_WINDOW_LOG = 27
"""Standard decoders refuse larger windows."""
_SMALLEST_WINDOW_LOG = 10
_LEVEL_OF_LARGE = 5
"""The least level of a large file: at 3 and 4, each block of a long match costs some 200 bytes."""


def compressed_behind(prefix: bytes | bytearray) -> Callable[[bytes, int], bytes]:
    """Return a function that makes the frame of a content at a level; matches reach back into `prefix`.

    `prefix` has at least 8 bytes. It is copied here, so that its caller can give it up before the content
    is read.
    """
    dictionary = zstd.ZstdDict(prefix, is_raw=True)
    prefix_size = len(prefix)

    def compress(content: bytes, level: int) -> bytes:
        large = len(content) > compact_format.GROUP
        window = (prefix_size + len(content)).bit_length()
        parameter = zstd.CompressionParameter
        options: dict[int, int] = {
            parameter.compression_level: _LEVEL_OF_LARGE if large and level < _LEVEL_OF_LARGE else level,
            parameter.window_log: min(max(window, _SMALLEST_WINDOW_LOG), LARGEST_WINDOW_LOG),
            parameter.enable_long_distance_matching: 1,
            parameter.checksum_flag: 1,
            parameter.dict_id_flag: 0,
        }
        compressor = zstd.ZstdCompressor(options=options, zstd_dict=dictionary.as_prefix)
        return compressor.compress(content, zstd.ZstdCompressor.FLUSH_FRAME)

    return compress


def unpacked_behind(prefix: bytes | bytearray) -> Callable[[bytes, int], Iterator[bytes]]:
    """Return a function that yields the content, of a size, of exactly one frame, its checksum checked.

    It raises IntegrityError. `prefix` is copied here, so that its caller can give it up.
    """
    dictionary = zstd.ZstdDict(prefix, is_raw=True)

    def unpack(frame: bytes, size: int) -> Iterator[bytes]:
        options: dict[int, int] = {zstd.DecompressionParameter.window_log_max: LARGEST_WINDOW_LOG}
        decompressor = zstd.ZstdDecompressor(zstd_dict=dictionary.as_prefix, options=options)
        made, waiting = 0, frame
        try:
            while not decompressor.eof:
                data = decompressor.decompress(waiting, min(CHUNK, size - made + 1))
                waiting, made = b"", made + len(data)
                if made > size or (not data and decompressor.needs_input):
                    break
                yield data
        except zstd.ZstdError as error:
            raise bundle_format.damaged(str(error)) from error
        if made != size or not decompressor.eof or decompressor.unused_data:
            raise bundle_format.damaged("a frame is not of the size that it says")

    return unpack
