"""The base blobs that a compact delta reads: found in bundles or in a registry, proven, and handed to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple, cast

from bundler.bundle.reader import Bundle
from bundler.errors import BundlerError, NotFoundError, UsageError, errors_of
from bundler.folders import check_disk
from bundler.mapping import KEPT, target_name
from bundler.mapping import Mapping as NameMapping
from bundler.oci import BlobSource, Digest, Prefix, RepositoryName
from bundler.session import Session

if TYPE_CHECKING:
    from bundler.bundle.compacted.compact_format import BaseBlob
    from bundler.bundle.compacted.compact_reader import CompactFile


class BaseRegistry(NamedTuple):
    """A registry that has the base, under the names that an import gives."""

    prefix: Prefix
    mapping: NameMapping = KEPT

    def name_of(self, repository: RepositoryName) -> RepositoryName | None:
        """Return the name of a repository of the base; None if it can't be there."""
        with suppress(UsageError):
            return target_name(repository, self.prefix, self.mapping)
        return None


def provide_base(
    bundle: Bundle, session: Session, *, beside: Sequence[Bundle] = (), registry: BaseRegistry | None = None
) -> None:
    """Give a compact delta what it reads of its base: from bundles, else from a registry.

    The registry is asked for all blobs before the first one is fetched, and nothing is written there. Does
    nothing for any other bundle.

    Raises: NotFoundError that names the base if a blob is nowhere, IntegrityError for one with other bytes.
    """
    if not bundle.is_compact:
        return
    compact = cast("CompactFile", bundle)
    with errors_of(bundle.path):
        needed = compact.base_blobs()
    if not needed:
        return
    homes: dict[Digest, Bundle] = {}
    for other in beside:
        homes |= {blob.digest: other for blob in other.inventory.content if blob.digest not in homes}
    missing = _missing([blob for blob in needed if blob.digest not in homes], registry, session)
    if missing:
        raise _nowhere(missing, compact, registry)
    used = {id(homes[blob.digest]): homes[blob.digest] for blob in needed if blob.digest in homes}
    for home in used.values():
        others = [other for other in beside if other is not home]
        provide_base(home, session, beside=others, registry=registry)
    check_disk([compact.base_need()])
    sources = {
        blob.digest: homes.get(blob.digest) or _registry_source(blob, registry, session) for blob in needed
    }
    _fetch(compact, sources, session)


def _fetch(compact: CompactFile, sources: Mapping[Digest, BlobSource], session: Session) -> None:
    blobs = compact.base_blobs()
    with session.progress.step("base", len(blobs), sum(blob.size for blob in blobs)) as step:
        for blob in compact.take_base(sources):
            step.advance(items=1, size=blob.size)


def _missing(blobs: Sequence[BaseBlob], registry: BaseRegistry | None, session: Session) -> list[BaseBlob]:
    """Return the blobs that the registry lacks. Raises what keeps it from being asked."""
    if registry is None:
        return list(blobs)
    lacking: list[BaseBlob] = []
    place = registry

    def there(blob: BaseBlob) -> bool:
        name = place.name_of(blob.repository)
        return name is not None and session.registries.source(name).has(blob)

    for blob, answer in session.each("what the bundle builds on", blobs, there):
        if isinstance(answer, BundlerError):
            raise answer
        if not answer:
            lacking.append(blob)
    return lacking


def _registry_source(blob: BaseBlob, registry: BaseRegistry | None, session: Session) -> BlobSource:
    name = registry.name_of(blob.repository) if registry else None
    assert name, "it was asked for this blob"
    return session.registries.source(name)


def _nowhere(
    missing: Sequence[BaseBlob], compact: CompactFile, registry: BaseRegistry | None
) -> NotFoundError:
    names = " and ".join(compact.inventory.base)
    lacks = f"{registry.prefix} lacks" if registry else "nothing that was named has"
    first = missing[0].digest
    cause = f"needs bundle {names}: {lacks} {len(missing)} of the blobs that it reads, the first {first}"
    if registry:
        next_step = "import that bundle first, or name its file with --with, or bring the portable delta"
    else:
        next_step = "name its file with --with, or a registry that has it; or use the portable delta"
    return NotFoundError(str(compact.path), cause, next_step)
