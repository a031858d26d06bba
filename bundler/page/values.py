"""What a report page says, as values; nothing is spelled as HTML yet. No I/O.

Texts out of a bundle are whatever their author wrote, made one line of bounded length.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple


class FileFacts(NamedTuple):
    """Which file it is."""

    name: str
    """Without its folder: a page is the same wherever it is made."""
    id: str
    sha256: str | None
    """Of the file; None for a directory, and where the file was not read as a whole."""
    size: int | None
    """Bytes of the file; None for a directory."""
    format: int
    kind: str
    """`full` or `delta`."""
    volumes: int = 0
    """How many it lies in; 0 for one file or a directory."""
    base: tuple[str, ...] = ()
    """Ids of the bundles that a delta adds to."""
    required: int = 0
    """Bytes that the tags of a delta need, and that its base brought."""


class Proof(NamedTuple):
    """What was proven just before the page was made."""

    every_byte: bool
    sidecar: bool
    """Whether a `.sha256` lay beside the file, or volumes say it; it agreed, or there would be no page."""


class LabelledFact(NamedTuple):
    """Something proven of the bundle's origin: `Signed by`, `carrier@example.org`."""

    label: str
    value: str


class Marks(NamedTuple):
    """How many things that vouch for a tag go along with it."""

    signatures: int = 0
    sboms: int = 0
    attestations: int = 0


class TagRow(NamedTuple):
    """One tag, or one manifest taken by digest."""

    reference: str
    digest: str
    version: str
    """What the artifact itself says; empty if nothing, as are the next three."""
    created: str
    revision: str
    source: str
    size: int
    """Bytes of all that it needs."""
    new_size: int
    """Those of them that no earlier tag of its repository needs."""
    marks: Marks


class RepositoryPart(NamedTuple):
    """One repository."""

    name: str
    kind: str
    """What it holds, in a word or two."""
    tags: tuple[TagRow, ...]
    """All of them, in the order of versions."""
    belongings: int
    """Signatures, SBOMs and all else that belongs to other manifests."""
    size: int
    """Distinct bytes of all that it holds."""
    shared_size: int
    """Those of them that another repository needs too."""
    gone: tuple[str, ...] = ()
    """Tags that a delta says are gone; signatures and the like are not told one by one."""


class Namer(NamedTuple):
    """A repository in which tags name an image."""

    repository: str
    first: str
    last: str
    tags: int
    """How many."""


ImageState = Literal["carried", "other", "absent", "unclear"]


class ImageRow(NamedTuple):
    """A container image that modules run."""

    reference: str
    state: ImageState
    """In the file; under this tag, but with another digest; not in the file; a name that can't be meant."""
    namers: tuple[Namer, ...]


class UnknownImage(NamedTuple):
    """Something that may name an image, and can't be read."""

    place: str
    reason: str
    tags: int
    """In how many."""


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
    """Version and digest, short; empty if it is new."""
    new: str
    size: int


class ChangesPart(NamedTuple):
    """What changed since another bundle."""

    old_name: str
    old_id: str
    rows: tuple[ChangeRow, ...]
    unchanged: int
    belongings: int
    """Changes of signatures, SBOMs and the like: counted, not told one by one."""
    added_size: int
    removed_size: int


class Sizes(NamedTuple):
    """Bytes of the whole."""

    listed: int
    """If every tag were carried alone."""
    distinct: int
    """Every part once."""


class PageContents(NamedTuple):
    """A report page."""

    title: str
    file: FileFacts
    proof: Proof
    origin: tuple[LabelledFact, ...]
    """What is proven of who made the bundle; empty if nothing is."""
    claimed: tuple[LabelledFact, ...]
    """What is only said of it: there is a signature, and nobody has checked it."""
    sizes: Sizes
    blobs: int
    left_out: int
    """Parts of images, for other platforms, that were left out on purpose."""
    repositories: tuple[RepositoryPart, ...]
    images: ImagesPart
    changes: tuple[ChangesPart, ...]


MOST_COLUMNS = 60
"""Columns that can still be told apart on a sheet of paper."""

_GAP = 0.25
"""Of a column's room that stays empty."""

_WIDEST = 6.0
"""Percent: two versions are no two walls."""


class Segment(NamedTuple):
    """A piece of a bar: where it begins, and how long it is."""

    start: str
    length: str


class Bar(NamedTuple):
    """A bar of one or two pieces."""

    own: Segment
    shared: Segment


class Column(NamedTuple):
    """One tag: what it adds, and above it what an earlier tag has already. Heights from the ground."""

    left: str
    width: str
    new_top: str
    new_height: str
    old_top: str
    old_height: str


def percent(part: float, whole: float) -> str:
    """`12.34%`; nothing of nothing is `0.00%`."""
    return f"{100 * part / whole if whole else 0:.2f}%"


def bar_of(part: int, whole: int) -> Segment:
    """A bar from the left."""
    return Segment("0", percent(part, whole))


def repository_bar(entry: RepositoryPart, widest: int) -> Bar:
    """What a repository has alone, then what another needs too, against the largest repository."""
    own = entry.size - entry.shared_size
    return Bar(bar_of(own, widest), Segment(percent(own, widest), percent(entry.shared_size, widest)))


def columns(tags: Sequence[TagRow]) -> list[Column]:
    """A column for each of the newest tags, oldest first."""
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
