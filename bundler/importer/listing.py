"""Referrers made findable where the target has no Referrers API: listed under the fallback tag.

Source: distribution-spec 1.1, "Pushing Manifests with Subject".
"""

from __future__ import annotations

from bundler.errors import IntegrityError
from bundler.importer.merge import entry_of, extended, index_of
from bundler.importer.plan import Listing
from bundler.oci.manifest import Manifest
from bundler.oci.referrer import fallback_tag, is_referrers_index
from bundler.registry.registries import Registries
from bundler.registry.target import TargetRepository

TRIES = 3
"""Times that a list is written again because somebody else wrote it in between."""


def make_findable(listing: Listing, registries: Registries) -> None:
    """See to it that the target lists these referrers. Raises IntegrityError if it does not in the end."""
    wanted = {referrer.blob.digest for referrer in listing.referrers}
    by_api = registries.source(listing.repository).referrers(listing.subject)
    if by_api is not None:
        if missing := wanted - {found.digest for found in by_api}:
            cause = f"the target's Referrers API does not list {min(missing)}, which it was sent"
            raise IntegrityError(f"{listing.repository}@{listing.subject}", cause, "run the import again")
        return
    target = registries.target(listing.repository)
    for _ in range(TRIES):
        index = _current(listing, target)
        needed = _with(listing, index)
        if needed is index:
            return
        target.put_manifest(needed, fallback_tag(listing.subject))
    cause = f"the target does not keep {fallback_tag(listing.subject)}, which lists its referrers"
    raise IntegrityError(f"{listing.repository}@{listing.subject}", cause, "run the import again")


def _current(listing: Listing, target: TargetRepository) -> Manifest | None:
    """The list that is there; some registries take the tag for the subject's digest (GitLab)."""
    found = target.manifest_at(fallback_tag(listing.subject))
    return found if found and is_referrers_index(found, listing.subject) else None


def _with(listing: Listing, index: Manifest | None) -> Manifest:
    entries = [entry_of(referrer) for referrer in listing.referrers]
    return index_of(entries) if index is None else extended(index, entries)
