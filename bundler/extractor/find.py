"""Finding a version in a bundle by its name or digest, and the result of an extraction."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Literal, NamedTuple

from bundler.bundle.inventory import Inventory, Root, roots_of
from bundler.errors import NotFoundError, UsageError
from bundler.oci import Descriptor, Digest, Tag, glob_in_full


@dataclass(frozen=True, slots=True)
class Extracted:
    """One version that was taken out of a bundle."""

    reference: str
    """`host/repository:tag`, or the digest."""
    digest: str
    """Digest of its manifest or index."""
    path: str
    """Path of the archive or directory."""
    form: Literal["oci-archive", "directory"]
    items: int
    """Blobs of the archive, manifests included; or files of the directory."""
    size: int
    """Bytes of these blobs or files."""
    left_out: tuple[str, ...] = ()
    """Layers that are not archives of files, and so not in the directory: digest and media type."""


SHOWN = 4
"""Names that an error lists."""

_FORM = "write [HOST/]REPOSITORY:TAG or @DIGEST, as `inspect` shows them"


class FoundVersion(NamedTuple):
    """A version that was found in a bundle."""

    name: str
    """`host/repository:tag`, or the digest."""
    tag: Tag | None
    manifest: Descriptor


def find(text: str, inventory: Inventory) -> FoundVersion:
    """Find `[oci://][HOST/]REPOSITORY:TAG`, or `[...]@DIGEST` of any manifest.

    The first parts of a repository may be left out; a name that is whole comes before one that is not.
    Raises UsageError for a malformed or ambiguous one, NotFoundError.
    """
    name, at, digest = text.removeprefix("oci://").partition("@")
    return _by_digest(text, name, digest, inventory) if at else _by_tag(text, name, inventory)


def _by_digest(text: str, name: str, digest: str, inventory: Inventory) -> FoundVersion:
    try:
        parsed = Digest.parse(digest)
    except ValueError as error:
        raise UsageError(text, str(error), _FORM) from error
    manifests = (blob for blob in inventory.manifests if blob.digest == parsed)
    manifest = next(manifests, None)
    if manifest is None or (name and not any(_named(entry.name, name) for entry in inventory.repositories)):
        raise _unknown(text, inventory)
    return FoundVersion(parsed, None, manifest)


def _by_tag(text: str, rest: str, inventory: Inventory) -> FoundVersion:
    name, colon, tag = rest.rpartition(":")
    if not colon or not name or "/" in tag:
        raise UsageError(text, "it has no tag", _FORM)
    matching = [root for root in roots_of(inventory) if root.tag == tag and _named(root.repository, name)]
    roots = [root for root in matching if root.repository == name] or matching
    if not roots:
        raise _unknown(text, inventory)
    if len({root.digest for root in roots}) > 1:
        raise UsageError(text, f"ambiguous: it may be {_listed(map(str, roots))}", "write the whole name")
    return _version(roots[0], inventory)


def _version(root: Root, inventory: Inventory) -> FoundVersion:
    manifest = next(blob for blob in inventory.manifests if blob.digest == root.digest)
    return FoundVersion(str(root), root.tag, manifest)


def _named(repository: str, name: str) -> bool:
    return repository in (name, glob_in_full(name)) or repository.endswith(f"/{name}")


def _listed(names: Iterable[str]) -> str:
    shown = list(names)
    more = f" and {len(shown) - SHOWN} more" if len(shown) > SHOWN else ""
    return ", ".join(shown[:SHOWN]) + more


def of_base(version: FoundVersion, inventory: Inventory) -> NotFoundError | None:
    """Return the error for a version of a delta that needs blobs of its base; None for a full bundle."""
    if not inventory.base:
        return None
    cause = f"this delta leaves a part of it to its base {_listed(inventory.base)}"
    return NotFoundError(version.name, cause, "merge both with `timoni-bundler merge`, and extract from that")


def _unknown(text: str, inventory: Inventory) -> NotFoundError:
    if inventory.base:
        cause = f"not in this bundle, which is a delta on {_listed(inventory.base)}"
        return NotFoundError(text, cause, "extract it from that bundle, or merge both first")
    close = get_close_matches(text, set(_alike(text, inventory)), SHOWN)
    next_step = f"did you mean {_listed(close)}?" if close else "`inspect` shows what is in it"
    return NotFoundError(text, "not in the bundle", next_step)


def _alike(text: str, inventory: Inventory) -> Iterator[str]:
    """Yield the names of the bundle, shortened to as many parts as `text` has."""
    parts = text.count("/") + 1
    for root in roots_of(inventory):
        yield "/".join(str(root).split("/")[-parts:])
