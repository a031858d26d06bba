"""What changed since another bundle, as a page lists it."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from bundler.bundle.difference import Difference, TagChange, TagState, difference
from bundler.bundle.inventory import roots_of
from bundler.bundle.links import read_link
from bundler.bundle.reader import Bundle
from bundler.bundle.state import ManifestPool
from bundler.errors import printable
from bundler.oci.content import shortened
from bundler.oci.referrer import is_belonging_tag
from bundler.page.contents import ChangeRow, ChangesPart
from bundler.selection.versions import version_order


def changes_since(old: Bundle, new: Bundle, pool: ManifestPool) -> ChangesPart:
    """Compare two bundles by their inventories and manifests."""
    found = difference(old, new, pool)
    referrers = _referrers(old, pool) | _referrers(new, pool)
    every = list(_ordered(found))
    told = [(name, change) for name, change in every if not _belongs(change.reference, referrers)]
    there = sum(1 for root in roots_of(new.inventory) if not _belongs(root.tag or root.digest, referrers))
    # A delta names only what changed: of the others, only the number is known.
    delta = new.inventory.kind == "delta"
    return ChangesPart(
        printable(old.name),
        found.old_id,
        tuple(_row(name, change) for name, change in told),
        found.unchanged if delta else there - sum(1 for _, change in told if change.new),
        len(every) - len(told),
        found.added_bytes,
        found.removed_bytes,
    )


def _referrers(bundle: Bundle, pool: ManifestPool) -> set[str]:
    return {
        manifest.blob.digest for manifest in read_link(bundle, pool).manifests.values() if manifest.subject
    }


def _ordered(found: Difference) -> Iterator[tuple[str, TagChange]]:
    for entry in found.repositories:
        for change in sorted(entry.changes, key=lambda change: version_order(change.reference)):
            yield entry.name, change


def _belongs(reference: str, referrers: Collection[str]) -> bool:
    """Whether it is a signature or the like, by a tag named after a digest, or as a referrer without tag."""
    return is_belonging_tag(reference) or reference in referrers


def _row(name: str, change: TagChange) -> ChangeRow:
    there = change.new or change.old
    size = there.size if there else 0
    return ChangeRow(change.change, name, change.reference, _told(change.old), _told(change.new), size)


def _told(state: TagState | None) -> str:
    if state is None:
        return ""
    return f"{printable(state.version or '', 60)} {shortened(state.digest)}".strip()
