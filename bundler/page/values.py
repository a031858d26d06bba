"""Contents of a report page as values; nothing is HTML yet. No I/O.

Texts out of a bundle are whatever their author wrote, made one line of bounded length.
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple

from bundler.reporting.bundle_outcome import CompactReport


class FileFacts(NamedTuple):
    """The file that the page describes."""

    name: str
    """File name without its folder: a page is the same wherever it is made."""
    id: str
    sha256: str | None
    """sha256 of the file; None for a directory, and for a file that was not read as a whole."""
    size: int | None
    """Bytes of the file; None for a directory."""
    format: int
    kind: str
    """`full` or `delta`."""
    volumes: int = 0
    """Number of volumes; 0 for one file or a directory."""
    base: tuple[str, ...] = ()
    """Ids of the bundles that a delta adds to."""
    required: int = 0
    """Bytes that the tags of a delta need, and that its base brought."""


class Proof(NamedTuple):
    """Proofs made just before the page."""

    every_byte: bool
    sidecar: bool
    """True if a `.sha256` file beside the bundle, or its volumes, confirmed its digest."""
    unproven: int = 0
    """Layers of a compact delta that can be proven only with its base; all that is stored was checked."""


class LabelledFact(NamedTuple):
    """A fact that is proven about the bundle's origin: `Signed by`, `carrier@example.org`."""

    label: str
    value: str


class Marks(NamedTuple):
    """Number of attachments of a tag, by kind."""

    signatures: int = 0
    sboms: int = 0
    attestations: int = 0


class TagRow(NamedTuple):
    """One tag, or one manifest taken by digest."""

    reference: str
    digest: str
    version: str
    """Version that the artifact states; empty if none, as are the next three."""
    created: str
    revision: str
    source: str
    size: int
    """Bytes of everything that it needs."""
    new_size: int
    """Bytes of it that no earlier tag of its repository needs."""
    marks: Marks


class RepositoryPart(NamedTuple):
    """One repository of a bundle."""

    name: str
    kind: str
    """Kind of its content, in a word or two."""
    tags: tuple[TagRow, ...]
    """All tags, in the order of versions."""
    attachments: int
    """Signatures, SBOMs and all else that belongs to other manifests."""
    size: int
    """Distinct bytes of everything that it holds."""
    shared_size: int
    """Bytes of it that another repository needs too."""
    gone: tuple[str, ...] = ()
    """Tags that a delta says are gone at the source; attachments are not listed one by one."""
    deselected: tuple[str, ...] = ()
    """Tags that a delta says are no longer selected, in the same form."""


class Namer(NamedTuple):
    """A repository in which tags name an image."""

    repository: str
    first: str
    last: str
    tags: int
    """Number of tags."""


ImageState = Literal["carried", "other", "absent", "unclear"]


class ImageRow(NamedTuple):
    """A container image that modules run."""

    reference: str
    state: ImageState
    """In the file; under this tag, but with another digest; not in the file; not a usable name."""
    namers: tuple[Namer, ...]


class UnknownImage(NamedTuple):
    """A place that may name an image, and can't be read."""

    place: str
    reason: str
    tags: int
    """Number of tags that have it."""


class ImagesPart(NamedTuple):
    """The container images that the Timoni modules run."""

    modules: int
    """Tags that are Timoni modules."""
    rows: tuple[ImageRow, ...]
    unknown: tuple[UnknownImage, ...]


Change = Literal["added", "removed", "moved"]


class ChangeRow(NamedTuple):
    """One tag that is not the same in both bundles."""

    change: Change
    repository: str
    reference: str
    old: str
    """Version and shortened digest; empty for a new tag."""
    new: str
    size: int
    departure: str = ""
    """Why a delta removes it: `gone at the source` or `no longer selected`; empty for other changes."""


class ChangesPart(NamedTuple):
    """Changes since another bundle."""

    old_name: str
    old_id: str
    rows: tuple[ChangeRow, ...]
    unchanged: int
    attachments: int
    """Number of changes of signatures, SBOMs and other attachments."""
    added_size: int
    removed_size: int


class Sizes(NamedTuple):
    """Bytes of the whole."""

    listed: int
    """Bytes if every tag were carried alone."""
    distinct: int
    """Bytes of every part, counted once."""


class PageContents(NamedTuple):
    """A report page."""

    title: str
    file: FileFacts
    proof: Proof
    origin: tuple[LabelledFact, ...]
    """Proven facts about who made the bundle; empty if there are none."""
    claimed: tuple[LabelledFact, ...]
    """Unproven facts: the bundle has a signature that nobody has checked."""
    sizes: Sizes
    blobs: int
    left_out: int
    """Parts of images, for other platforms, that were left out on purpose."""
    repositories: tuple[RepositoryPart, ...]
    images: ImagesPart
    changes: tuple[ChangesPart, ...]
    compact: CompactReport | None = None
    """What a full compact bundle saves."""


MOST_COLUMNS = 60
"""Columns that can still be told apart on a sheet of paper."""

_GAP = 0.25
"""Part of a column's width that stays empty."""

_WIDEST = 6.0
"""Percent: two versions are no two walls."""


class Segment(NamedTuple):
    """A piece of a bar: its start and its length."""

    start: str
    length: str


class Bar(NamedTuple):
    """A bar of one or two pieces."""

    alone: Segment
    shared: Segment


class Column(NamedTuple):
    """One tag: bytes that it adds, and above them those that an earlier tag has. Heights from the ground."""

    left: str
    width: str
    new_top: str
    new_height: str
    old_top: str
    old_height: str


def percent(part: float, whole: float) -> str:
    """Return a share as `12.34%`; nothing of nothing is `0.00%`."""
    return f"{100 * part / whole if whole else 0:.2f}%"


def bar_of(part: int, whole: int) -> Segment:
    """Return a bar from the left."""
    return Segment("0", percent(part, whole))


def repository_bar(entry: RepositoryPart, widest: int) -> Bar:
    """Return a bar of the bytes that a repository has alone, then of shared ones, against the largest one."""
    unshared = entry.size - entry.shared_size
    return Bar(
        bar_of(unshared, widest), Segment(percent(unshared, widest), percent(entry.shared_size, widest))
    )


def columns(tags: Sequence[TagRow]) -> list[Column]:
    """Return a column for each of the newest tags, oldest first."""
    shown = tags[-MOST_COLUMNS:]
    highest = max((tag.size for tag in shown), default=0)
    step = min(100 / len(shown), _WIDEST) if shown else 0
    return [_column(tag, number * step, step * (1 - _GAP), highest) for number, tag in enumerate(shown)]


def _column(tag: TagRow, left: float, width: float, highest: int) -> Column:
    old = tag.size - tag.new_size
    return Column(
        f"{left:.2f}%",
        f"{width:.2f}%",
        percent(highest - tag.new_size, highest),
        percent(tag.new_size, highest),
        percent(highest - tag.size, highest),
        percent(old, highest),
    )
