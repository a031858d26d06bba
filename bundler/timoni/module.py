"""Packs a module version into the artifact that `timoni mod push` makes of it, byte for byte. No I/O.

As Timoni 0.27 and later do, built with Go up to 1.26. Sources: Timoni, internal/oci; Go, archive/tar;
go-containerregistry, v1/empty; `docs/go-deflate.md`.
"""

import json
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from bundler.compact.codecs import GZIP_HEADER, CodecNumber, GzipRecipe, gzip_again
from bundler.errors import ContentError
from bundler.oci import Descriptor, Manifest, parse_manifest, sha256
from bundler.oci.manifest import CREATED, OCI_MANIFEST, REVISION, TIMONI_CONTENT_TYPE, VERSION

CONFIG_TYPE = "application/vnd.timoni.config.v1+json"

LAYER_TYPE = "application/vnd.timoni.content.v1.tar+gzip"

SOURCE = "org.opencontainers.image.source"

CONFIG = (
    b'{"architecture":"","created":"0001-01-01T00:00:00Z","os":"",'
    b'"rootfs":{"type":"layers","diff_ids":null},"config":{}}'
)
"""The config of every module: an empty image's, so that all share one blob of 115 bytes."""

VENDOR = "cue.mod"

_GZIP = GzipRecipe(CodecNumber.GO_A, GZIP_HEADER)

_BLOCK = 512


class PackedModule(NamedTuple):
    """One version, ready to be pushed: the blobs first, then the manifest."""

    manifest: Manifest
    blobs: Mapping[Descriptor, bytes]
    """Config, vendor layer, module layer."""


def pack_module(
    files: Mapping[str, bytes], *, version: str, created: str, source: str, revision: str
) -> PackedModule:
    """Return the artifact of a module version, the same for the same arguments.

    `files` are the module's files by path, without what its `timoni.ignore` leaves out; `created` is a
    time as RFC 3339 has it. Raises ContentError for a path that no plain ustar header can hold.
    """
    vendored = {path: data for path, data in files.items() if path.split("/")[0] == VENDOR}
    own_files = {path: data for path, data in files.items() if path not in vendored}
    config, layers = _blob(CONFIG_TYPE, CONFIG), [_layer(vendored), _layer(own_files)]
    annotations = {CREATED: created, REVISION: revision, SOURCE: source, VERSION: version}
    kinds = ("module/vendor", "module")
    document = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": _fields(config[0]),
        "layers": [
            {**_fields(blob), "annotations": {TIMONI_CONTENT_TYPE: kind}}
            for (blob, _), kind in zip(layers, kinds, strict=True)
        ],
        "annotations": dict(sorted(annotations.items())),
    }
    data = _as_go(document)
    return PackedModule(parse_manifest(data, OCI_MANIFEST, sha256(data)), dict([config, *layers]))


def _layer(files: Mapping[str, bytes]) -> tuple[Descriptor, bytes]:
    return _blob(LAYER_TYPE, gzip(b"".join(archive(files))))


def _blob(media_type: str, data: bytes) -> tuple[Descriptor, bytes]:
    return Descriptor(media_type, sha256(data), len(data)), data


def _fields(blob: Descriptor) -> dict[str, str | int]:
    return {"mediaType": blob.media_type, "size": blob.size, "digest": blob.digest}


def _as_go(document: object) -> bytes:
    """Return JSON as Go writes it: no spaces, and letters with a meaning in HTML escaped."""
    text = json.dumps(document, separators=(",", ":"), ensure_ascii=False)
    for letter in "<>&\u2028\u2029":
        text = text.replace(letter, f"\\u{ord(letter):04x}")
    return text.encode()


def gzip(data: bytes) -> bytes:
    """Return one gzip member without name and time, as Go writes it at its default level."""
    return b"".join(gzip_again(_GZIP, [data]))


# --- tar -------------------------------------------------------------------------------------------


def archive(files: Mapping[str, bytes]) -> Iterator[bytes]:
    """Yield a tar archive of files and their directories, in the order of a walk through the tree."""
    folders = {"/".join(parts[:depth]) for parts in map(_parts, files) for depth in range(1, len(parts))}
    yield _header("./", 0, folder=True)
    for path in sorted({*files, *folders}, key=_parts):
        if path in folders:
            yield _header(f"{path}/", 0, folder=True)
            continue
        data = files[path]
        yield _header(path, len(data), folder=False)
        yield data
        yield bytes(-len(data) % _BLOCK)
    yield bytes(2 * _BLOCK)


def _parts(path: str) -> tuple[str, ...]:
    return tuple(path.split("/"))


def _header(name: str, size: int, *, folder: bool) -> bytes:
    """Return a ustar header: POSIX.1-2017 pax, "ustar Interchange Format"."""
    prefix, last = _split(name)
    mode, kind = (b"0000755\0", b"5") if folder else (b"0000644\0", b"0")
    fields = (
        last.ljust(100, b"\0"), mode, b"0000000\0" * 2, b"%011o\0" % size, b"00000000000\0",
        b" " * 8, kind, bytes(100), b"ustar\0" b"00", bytes(64), b"0000000\0" * 2, prefix.ljust(155, b"\0"),
        bytes(12),
    )  # fmt: skip
    plain = b"".join(fields)
    return plain[:148] + b"%06o\0 " % sum(plain) + plain[156:]


def _split(name: str) -> tuple[bytes, bytes]:
    """Return prefix and name: a long path is cut at the last slash that fits, as Go cuts it."""
    encoded = name.encode()
    if len(encoded) <= 100 and name.isascii():
        return b"", encoded
    cut = encoded.rstrip(b"/").rfind(b"/", 0, 156)
    prefix, last = encoded[:cut], encoded[cut + 1 :]
    if not name.isascii() or cut <= 0 or len(last) > 100:
        raise ContentError(name, "a path that is too long for a ustar header", "shorten it")
    return prefix, last
