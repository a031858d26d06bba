"""Tags pinned to digests: one request per tag; the digest is computed from what came."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress

from bundler.bundle.inventory import Root
from bundler.errors import BundlerError, IntegrityError, NotFoundError
from bundler.exporter.pinned import Pinned
from bundler.exporter.reading import Reading
from bundler.exporter.tags import Wanted
from bundler.oci.content import Digest
from bundler.oci.reference import Tag
from bundler.registry.client import PinnedManifest


def pin(
    wanted: Iterable[Wanted],
    known: Mapping[Wanted, PinnedManifest],
    reading: Reading,
    pinned: Pinned,
    *,
    label: str = "manifests",
) -> dict[Wanted, Root | BundlerError]:
    """Read what is wanted, keep the manifests, and give each one its root; in the order of `wanted`.

    As wanted, not as they come: the order of the bundle must not depend on the network.
    """
    items = list(dict.fromkeys(wanted))
    found: dict[Wanted, Root | BundlerError] = {}
    for want in items:
        if want in known:
            found[want] = _kept(want, known[want], pinned)
    unknown = [want for want in items if want not in known]
    for want, answer in reading.each(label, unknown, lambda want: _read(want, reading)):
        root = answer if isinstance(answer, BundlerError) else _kept(want, answer, pinned)
        if isinstance(root, BundlerError):
            reading.failing.add(root)
        found[want] = root
    return {want: found[want] for want in items}


def _read(want: Wanted, reading: Reading) -> PinnedManifest:
    if want.digest is None or not want.strict:
        return reading.manifest(want.repository, want.digest or want.tag or Tag("latest"))
    answer = reading.manifest(want.repository, want.tag or want.digest)
    now = answer.manifest.blob.digest
    if now == want.digest:
        return answer
    cause = f"it must be {want.digest}, and the tag points to {now}"
    if reading.locked:
        with suppress(NotFoundError):
            locked = reading.manifest(want.repository, want.digest)
            warnings = (*locked.warnings, f"{want}: {cause}; taken by its digest")
            return locked._replace(warnings=warnings, moved=True)
    raise IntegrityError(str(want), cause, "the tag was moved: pin it anew, or find out who moved it")


def _kept(want: Wanted, answer: PinnedManifest, pinned: Pinned) -> Root | BundlerError:
    if error := pinned.take(want.repository, answer.manifest):
        return error
    pinned.warnings += answer.warnings
    if answer.moved:
        pinned.drifted[str(want)] = None
    return Root(want.repository, want.tag, answer.manifest.blob.digest)


def nowhere(want: Wanted) -> Root:
    """The root of something that could not be had."""
    return Root(want.repository, want.tag, want.digest or Digest(""))
