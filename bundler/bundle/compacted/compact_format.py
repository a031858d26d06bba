"""Compact format 1 at the level of bytes: the mark, the head, the sections. No I/O.

A compact file is a mark, then zstd frames, then the digest frame and the seek table of a bundle file.
The first frame is the head: sizes, `compact.json`, `bundle.json`, and the statement with its signatures.
Five sections follow, each cut into frames of its own: manifests, other blobs that are carried as they are,
recipes, the header space, the content space. Every size follows from the head. Manifests are compressed
against `bundle.json`, which has the digests in them already. A delta names base blobs: its recipes read
their unpacked bytes, and frames of the two spaces are compressed against them.
"""

import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, NamedTuple

from bundler.bundle.inventory import Inventory, Required, descriptor
from bundler.compact.codecs import GZIP_HEADER, LONGEST_HEADER, GzipRecipe, codec
from bundler.compact.recipes import SpaceSizes
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
LARGEST_GROUP = 128 * MIB
"""Bytes of a frame of the content space that has a prefix, and of its prefix: one large file."""
SHORTEST_PREFIX = 8
"""Bytes of a prefix, at least: zstd takes no shorter one."""
INFLATION = 1032
"""Bytes that one byte of DEFLATE can become, at most."""
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
class BaseBlob(Required):
    """A gzip blob of the base whose content is read."""

    content: Size
    """Bytes of what is in it."""


@dataclass(frozen=True, slots=True)
class CompactGroup:
    """A frame of the header space or the content space."""

    size: Size
    """Bytes of its content."""
    prefix: Size = 0
    """Bytes of the base space that stand before it for the compression."""
    recipe: Size = 0
    """Bytes of the recipe of the prefix."""


@dataclass(frozen=True, slots=True)
class CompactHead:
    """Content of `compact.json`."""

    compact: int
    """Version of the compact format."""
    layers: tuple[CompactLayer, ...]
    """In the order of `bundle.json`."""
    headers: tuple[CompactGroup, ...]
    """The frames of the header space."""
    content: tuple[CompactGroup, ...]
    """The frames of the content space."""
    base: tuple[BaseBlob, ...] = ()
    """In a delta: the blobs that make up the base space, in their order there."""

    @property
    def spaces(self) -> SpaceSizes:
        """Return the bytes of each space."""
        headers, content = (sum(group.size for group in groups) for groups in (self.headers, self.content))
        return SpaceSizes(headers, content, sum(blob.content for blob in self.base))

    @property
    def groups(self) -> tuple[CompactGroup, ...]:
        """Return the frames of both spaces, in file order."""
        return (*self.headers, *self.content)


def inventory_prefix(inventory: bytes) -> bytes:
    """Return what manifests are compressed behind: the end of `bundle.json`, or all of it."""
    return inventory[-SECTION_FRAME:]


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
    base = [
        {**descriptor(blob), "repository": blob.repository, "content": blob.content} for blob in head.base
    ]
    return strict_json.canonical(
        {
            "compact": head.compact,
            "layers": layers,
            "headers": [_encoded_group(group) for group in head.headers],
            "content": [_encoded_group(group) for group in head.content],
            **({"base": base} if base else {}),
        }
    )


def _encoded_group(group: CompactGroup) -> dict[str, int]:
    prefixed = {"prefix": group.prefix, "recipe": group.recipe} if group.prefix else {}
    return {"size": group.size, **prefixed}


def decode_head(data: bytes, limits: Limits) -> CompactHead:
    """Read `compact.json`.

    Raises: ContentError for what is malformed, not spelled canonically, over a limit, or newer.
    """
    head = read_document(
        CompactHead,
        checked(data, item=COMPACT_FILE, limits=limits),
        parts=(CompactLayer, BaseBlob, CompactGroup),
    )
    if head.compact != COMPACT_FORMAT:
        cause = f"compact format {head.compact}; this program reads format {COMPACT_FORMAT}"
        raise ContentError(COMPACT_FILE, cause, "use a newer timoni-bundler here")
    if encode_head(head) != data:
        raise ContentError(COMPACT_FILE, "not spelled as canonical JSON")
    if head.spaces.headers > limits.compact_headers:
        cause = f"{head.spaces.headers:,} bytes of tar headers, over the limit of {limits.compact_headers:,}"
        raise ContentError(COMPACT_FILE, cause)
    _check_groups(head.headers, SECTION_FRAME, SECTION_FRAME)
    _check_groups(head.content, GROUP, LARGEST_GROUP)
    lengths = (*(layer.recipe for layer in head.layers), *(group.recipe for group in head.groups))
    longest = max(lengths, default=0)
    if longest > limits.compact_recipe:
        cause = f"a recipe of {longest:,} bytes, over the limit of {limits.compact_recipe:,}"
        raise ContentError(COMPACT_FILE, cause)
    if any(blob.content > INFLATION * blob.size for blob in head.base):
        raise ContentError(COMPACT_FILE, "a base blob with more in it than its bytes can hold")
    return head


def _check_groups(groups: Iterable[CompactGroup], largest: int, largest_prefixed: int) -> None:
    for group in groups:
        most = largest_prefixed if group.prefix else largest
        if not 0 < group.size <= most or group.prefix > largest_prefixed:
            raise ContentError(COMPACT_FILE, "a group of a size that the format does not allow")
        if 0 < group.prefix < SHORTEST_PREFIX or bool(group.prefix) != bool(group.recipe):
            raise ContentError(COMPACT_FILE, "a group with a prefix that is none")


def compact_schema() -> dict[str, Any]:
    """Return the JSON Schema of `compact.json`."""
    described: dict[str, Any] = adapter_of(CompactHead, CompactLayer, BaseBlob, CompactGroup).json_schema()
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

    frames: tuple[int, ...]
    """Bytes of each frame."""
    starts: tuple[int, ...]
    """Where each frame begins in the section; its end is the last one."""

    @classmethod
    def of(cls, frames: Iterable[int]) -> "FrameSection":
        """Return the section that is cut into frames of these sizes."""
        sizes = tuple(frames)
        return cls(sizes, tuple(accumulate(sizes, initial=0)))

    @property
    def size(self) -> int:
        """Return the bytes of the section."""
        return self.starts[-1]


def evenly(size: int, frame: int) -> Iterable[int]:
    """Yield the sizes of frames of `frame` bytes, the last one shorter."""
    return (min(frame, size - start) for start in range(0, size, frame))


class FrameLayout(NamedTuple):
    """The position of everything, computed from the head."""

    head: int
    """Bytes of the head frame's content."""
    carried: Mapping[Digest, int]
    """Manifests and other blobs that are carried as they are, with their offsets in `sections[0]`."""
    layers: Mapping[Digest, tuple[CompactLayer, int]]
    """Layers with the offsets of their recipes in `sections[1]`."""
    prefixes: tuple[int, ...]
    """Offsets there of the recipes of the prefixes, for the groups of both spaces in order."""
    sections: tuple[FrameSection, FrameSection, FrameSection, FrameSection]
    manifest_frames: int
    """Frames of `sections[0]` that hold manifests."""

    @property
    def frames(self) -> list[int]:
        """Return the content sizes of all frames, in file order."""
        return [self.head, *(size for section in self.sections for size in section.frames)]


def layout_of(head_size: int, head: CompactHead, inventory: Inventory) -> FrameLayout:
    """Compute the layout. Raises ContentError for layers that are not those of the inventory."""
    numbers = [layer.blob for layer in head.layers]
    if numbers != sorted(set(numbers)) or (numbers and numbers[-1] >= len(inventory.blobs)):
        raise ContentError(COMPACT_FILE, "its layers are not in the order of bundle.json")
    if head.base and inventory.kind == "full":
        raise ContentError(COMPACT_FILE, "a full bundle with base blobs")
    layers: dict[Digest, tuple[CompactLayer, int]] = {}
    recipes = 0
    for layer in head.layers:
        layers[inventory.blobs[layer.blob].digest] = (layer, recipes)
        recipes += layer.recipe
    prefixes = tuple(accumulate((group.recipe for group in head.groups), initial=recipes))
    whole = [blob for blob in inventory.content if blob.digest not in layers]
    starts = accumulate((blob.size for blob in whole), initial=0)
    carried = {blob.digest: start for blob, start in zip(whole, starts, strict=False)}
    manifests = sum(blob.size for blob in inventory.manifests)
    manifest_frames = [*evenly(manifests, SECTION_FRAME)]
    others = sum(blob.size for blob in whole) - manifests
    sections = (
        FrameSection.of([*manifest_frames, *evenly(others, SECTION_FRAME)]),
        FrameSection.of(evenly(prefixes[-1], SECTION_FRAME)),
        FrameSection.of(group.size for group in head.headers),
        FrameSection.of(group.size for group in head.content),
    )
    return FrameLayout(head_size, carried, layers, prefixes, sections, len(manifest_frames))
