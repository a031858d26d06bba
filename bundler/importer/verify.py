"""Bundle → Verified, or an error: every byte, and that what the tags need is there, and nothing else."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from bundler.bundle.inventory import Inventory
from bundler.bundle.reader import Bundle
from bundler.bundle.sealing import check_sidecar, sidecar_of
from bundler.errors import BUNDLE, ContentError, IntegrityError, errors_of
from bundler.limits import Limits
from bundler.oci.content import Descriptor, Digest
from bundler.oci.graph import HeldManifests, Tally, bottom_up, heights, sparse
from bundler.oci.manifest import Manifest, parse_manifest
from bundler.session import Session
from bundler.trust.statement_verifier import expired


class Verified(NamedTuple):
    """A bundle whose every byte was proven. Only `verify_bundle` makes one; `push` takes nothing else."""

    bundle: Bundle
    manifests: Mapping[Digest, Manifest]
    warnings: tuple[str, ...]


def verify_bundle(bundle: Bundle, session: Session | None = None) -> Verified:
    """Read all of it. Raises IntegrityError or ContentError that says what is wrong and where."""
    session = session or Session()
    limits, progress = session.limits, session.progress
    content = list(bundle.inventory.content)
    with errors_of(bundle.path):
        collector = ManifestCollector(bundle.inventory, limits)
        with progress.step("verifying", len(content), sum(blob.size for blob in content)) as step:
            for blob, chunks in bundle.everything():
                collector.take(blob, chunks)
                step.advance(items=1, size=blob.size)
        check_closure(bundle.inventory, collector.manifests, limits)
    warnings: tuple[str, ...] = ()
    if bundle.sealed and not bundle.proven and (problem := expired(bundle.sealed.statement, session.clock())):
        warnings = (f"{bundle.path}: {problem}; nobody checked its signatures",)
    # Each volume of a set has its own digest in it.
    if bundle.sha256 and not bundle.volumes and not check_sidecar(bundle.path, bundle.sha256):
        warnings += (f"{sidecar_of(bundle.path)}: not there; the bundle was checked without it",)
    return Verified(bundle, collector.manifests, warnings)


class ManifestCollector:
    """Keeps the manifests of a bundle as its blobs pass; other blobs are left to be read."""

    def __init__(self, inventory: Inventory, limits: Limits) -> None:
        self.manifests: dict[Digest, Manifest] = {}
        self._wanted = {blob.digest for blob in inventory.manifests}
        self._omitted = frozenset(inventory.omitted)
        self._limits = limits
        self._held = HeldManifests(limits)
        if (total := sum(blob.size for blob in inventory.manifests)) > limits.manifests:
            raise ContentError(
                BUNDLE, f"{total:,} bytes of manifests, over the limit of {limits.manifests:,}"
            )

    def take(self, blob: Descriptor, chunks: Iterable[bytes]) -> bool:
        """Keep it if it is a manifest. Raises ContentError for one that can't be read."""
        if blob.digest not in self._wanted:
            return False
        data = b"".join(chunks)
        manifest = parse_manifest(data, blob.media_type, blob.digest, limits=self._limits)
        self._held.add(manifest)
        self.manifests[blob.digest] = sparse(manifest, self._omitted)
        return True


def check_closure(inventory: Inventory, manifests: Mapping[Digest, Manifest], limits: Limits) -> None:
    """Raise unless the inventory has exactly what its roots reach, in the sizes that they say.

    IntegrityError: something is missing, named with who needs it. ContentError: something is there
    that nothing needs.
    """
    sizes = {blob.digest: blob.size for blob in (*inventory.content, *inventory.required)}
    needed: set[Digest] = set()
    checked: set[Digest] = set()
    tally = Tally(BUNDLE, limits.needs, "blobs that its repositories need")
    for entry in inventory.repositories:
        if max(heights(entry.roots(), manifests).values(), default=0) > limits.index_depth:
            raise ContentError(entry.name, f"indexes nested more than {limits.index_depth} deep")
        for manifest in bottom_up(entry.roots(), manifests):
            tally.add(manifest.descriptors)
            if manifest.blob.digest in checked:
                continue
            checked.add(manifest.blob.digest)
            needed.add(manifest.blob.digest)
            for blob in (*manifest.blobs, *manifest.children):
                needed.add(blob.digest)
                if sizes.get(blob.digest) != blob.size:
                    found = sizes.get(blob.digest)
                    state = "missing" if found is None else f"{found:,} bytes"
                    parent = f"manifest {manifest.blob.digest} of {entry.name}"
                    cause = f"{state}, but {parent} needs {blob.size:,} bytes"
                    raise IntegrityError(f"blob {blob.digest}", cause, "export it again")
    if extra := [digest for digest in sizes if digest not in needed]:
        cause = f"{len(extra)} blobs that no tag needs, the first {extra[0]}"
        raise ContentError(BUNDLE, cause, "this program does not write such bundles")
