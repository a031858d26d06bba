"""Layers as Go packs them, and modules of them."""

from __future__ import annotations

import io
import random
import tarfile

from bundler.compact.codecs import GZIP_HEADER, CodecNumber, GzipRecipe, gzip_again
from tests.builders import TIMONI_CONFIG, TIMONI_LAYER, Content, manifest_document


def a_layer(files: dict[str, bytes], codec: CodecNumber = CodecNumber.GO_A) -> bytes:
    """A layer as Go packs it."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, data in sorted(files.items()):
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return b"".join(gzip_again(GzipRecipe(codec, GZIP_HEADER), [buffer.getvalue()]))


def real_module(versions: int = 6) -> Content:
    """A module in which each version changes one file of twenty; two generations of Go packed it."""
    content, chance = Content(), random.Random(7)
    files = {f"templates/{number}.cue": chance.randbytes(300).hex().encode() for number in range(20)}
    for version in range(versions):
        files[f"templates/{version}.cue"] += b"// changed\n"
        codec = CodecNumber.GO_A if version < versions // 2 else CodecNumber.GO_B
        layer = content.add_blob(a_layer(files, codec), TIMONI_LAYER)
        config = content.add_blob(b'{"v":%d}' % version, TIMONI_CONFIG)
        content.add_manifest(manifest_document(config, [layer]), f"1.{version}.0")
    return content
