"""Compact format 1 at the level of bytes: the mark, the head, the sections. No I/O.

A compact file is a mark, then zstd frames, then the digest frame and the seek table of a bundle file.
The first frame is the head: sizes, `compact.json`, `bundle.json`, and the statement with its signatures.
Four sections follow, each cut into frames of its own: blobs that are carried as they are, recipes, the
header space, the content space. Every size follows from the head.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from bundler.bundle.inventory import Inventory
from bundler.compact.codecs import GZIP_HEADER, LONGEST_HEADER, GzipRecipe, codec
from bundler.errors import ContentError
from bundler.limits import MIB, Limits
from bundler.oci import Digest, strict_json
from bundler.oci.document import adapter_of, checked, read_document
from bundler.oci.grammar import Size

COMPACT_FILE = "compact.json"
COMPACT_FORMAT = 1

SECTION_FRAME = 8 * MIB
"""Bytes of one frame of the first three sections, at most."""
GROUP = 32 * MIB
"""Bytes of one frame of the content space, at most: files in it are each other's dictionary."""
HEAD_SIZES = struct.Struct("<IIII")
"""Bytes of `compact.json`, `bundle.json`, `statement.json`, `statement.sig`; the last two may be 0."""


@dataclass(frozen=True, slots=True)
class CompactLayer:
    """A layer that is made again."""

    blob: Size
    """Its number among the `blobs` of `bundle.json`, from 0."""
    codec: Size
    """Number of the codec."""
    content: Size
    """Bytes of what is in the gzip stream."""
    recipe: Size
    """Bytes of its recipe."""
    header: str | None = None
    """The gzip header in hexadecimal, where it is not the usual one."""


@dataclass(frozen=True, slots=True)
class CompactHead:
    """Content of `compact.json`."""

    compact: int
    """Version of the compact format."""
    layers: tuple[CompactLayer, ...]
    """In the order of `bundle.json`."""
    headers: Size
    """Bytes of the header space."""
    content: Size
    """Bytes of the content space."""


def encode_head(head: CompactHead) -> bytes:
    """Return the bytes of `compact.json`."""
    layers = [
        {
            "blob": layer.blob,
            "codec": layer.codec,
            "content": layer.content,
            "recipe": layer.recipe,
            **({"header": layer.header} if layer.header else {}),
        }
        for layer in head.layers
    ]
    return strict_json.canonical(
        {"compact": head.compact, "layers": layers, "headers": head.headers, "content": head.content}
    )


def decode_head(data: bytes, limits: Limits) -> CompactHead:
    """Read `compact.json`.

    Raises: ContentError for what is malformed, not spelled canonically, over a limit, or newer.
    """
    head = read_document(CompactHead, checked(data, item=COMPACT_FILE, limits=limits), parts=(CompactLayer,))
    if head.compact != COMPACT_FORMAT:
        cause = f"compact format {head.compact}; this program reads format {COMPACT_FORMAT}"
        raise ContentError(COMPACT_FILE, cause, "use a newer timoni-bundler here")
    if encode_head(head) != data:
        raise ContentError(COMPACT_FILE, "not spelled as canonical JSON")
    if head.headers > limits.compact_headers:
        cause = f"{head.headers:,} bytes of tar headers, over the limit of {limits.compact_headers:,}"
        raise ContentError(COMPACT_FILE, cause)
    return head


def compact_schema() -> dict[str, Any]:
    """Return the JSON Schema of `compact.json`."""
    described: dict[str, Any] = adapter_of(CompactHead, CompactLayer).json_schema()
    return described


def gzip_recipe(layer: CompactLayer) -> GzipRecipe:
    """Return how a layer's gzip stream is made. Raises ContentError for a header that is none."""
    if layer.header is None:
        return GzipRecipe(codec(layer.codec).number, GZIP_HEADER)
    try:
        header = bytes.fromhex(layer.header)
    except ValueError:
        header = b""
    if not 10 <= len(header) <= LONGEST_HEADER or header == GZIP_HEADER:
        raise ContentError(COMPACT_FILE, "a gzip header that is none")
    return GzipRecipe(codec(layer.codec).number, header)


class FrameSection(NamedTuple):
    """Bytes that are cut into frames of their own."""

    size: int
    frame: int
    """Bytes of each frame but the last."""

    def frames(self) -> Iterator[int]:
        """Yield the size of each frame."""
        yield from (min(self.frame, self.size - start) for start in range(0, self.size, self.frame))


class FrameLayout(NamedTuple):
    """The position of everything, computed from the head."""

    head: int
    """Bytes of the head frame's content."""
    carried: dict[Digest, int]
    """Blobs that are carried as they are, with their offsets in the first section."""
    layers: dict[Digest, tuple[CompactLayer, int]]
    """Layers with the offsets of their recipes in the second section."""
    sections: tuple[FrameSection, FrameSection, FrameSection, FrameSection]

    @property
    def frames(self) -> list[int]:
        """The content sizes of all frames, in file order."""
        return [self.head, *(size for section in self.sections for size in section.frames())]


def layout_of(head_size: int, head: CompactHead, inventory: Inventory) -> FrameLayout:
    """Compute the layout. Raises ContentError for layers that are not those of the inventory."""
    numbers = [layer.blob for layer in head.layers]
    if numbers != sorted(set(numbers)) or (numbers and numbers[-1] >= len(inventory.blobs)):
        raise ContentError(COMPACT_FILE, "its layers are not in the order of bundle.json")
    layers: dict[Digest, tuple[CompactLayer, int]] = {}
    recipes = 0
    for layer in head.layers:
        layers[inventory.blobs[layer.blob].digest] = (layer, recipes)
        recipes += layer.recipe
    carried: dict[Digest, int] = {}
    size = 0
    for blob in inventory.content:
        if blob.digest not in layers:
            carried[blob.digest] = size
            size += blob.size
    sections = (
        FrameSection(size, SECTION_FRAME),
        FrameSection(recipes, SECTION_FRAME),
        FrameSection(head.headers, SECTION_FRAME),
        FrameSection(head.content, GROUP),
    )
    return FrameLayout(head_size, carried, layers, sections)
