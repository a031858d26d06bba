"""Bundle → Verified, or an error: every byte, and that what the tags need is there, and nothing else."""

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, NamedTuple, cast

from bundler.bundle.closure import check_closure
from bundler.bundle.inventory import Inventory
from bundler.bundle.reader import Bundle
from bundler.bundle.sealing import check_sidecar, sidecar_of
from bundler.errors import BUNDLE, PIPE, ContentError, errors_of
from bundler.limits import Limits
from bundler.oci import Descriptor, Digest, HeldManifests, Manifest, parse_manifest
from bundler.oci.graph import sparse
from bundler.reporting.progress import counted
from bundler.session import Session
from bundler.trust.statement_verifier import expired

if TYPE_CHECKING:
    from bundler.bundle.compacted.compact_reader import CompactFile


class Verified(NamedTuple):
    """A bundle whose every byte was proven. Only `verify_bundle` makes one; `push` takes nothing else.

    Of a compact delta without its base, layers that need the base are not proven.
    """

    bundle: Bundle
    manifests: Mapping[Digest, Manifest]
    warnings: tuple[str, ...]
    unproven: int = 0
    """Layers of a compact delta that can be proven only with its base."""


def verify_bundle(bundle: Bundle, session: Session | None = None) -> Verified:
    """Read all of it. Raises IntegrityError or ContentError that says what is wrong and where."""
    session = session or Session()
    manifests = _read_whole(bundle, session)
    unproven = len(cast("CompactFile", bundle).needing_base) if bundle.is_compact else 0
    return Verified(bundle, manifests, tuple(_warnings(bundle, session, unproven)), unproven)


def _read_whole(bundle: Bundle, session: Session) -> Mapping[Digest, Manifest]:
    """Read every byte; return the manifests, which name nothing that is missing."""
    content = list(bundle.inventory.content)
    with errors_of(bundle.path):
        collector = ManifestCollector(bundle.inventory, session.limits)
        with session.progress.step("verifying", len(content), sum(blob.size for blob in content)) as step:
            for blob, chunks in bundle.everything():
                collector.take(blob, chunks)
                step.advance(items=1, size=blob.size)
        check_closure(bundle.inventory, collector.manifests, session.limits)
    return collector.manifests


def _warnings(bundle: Bundle, session: Session, unproven: int) -> Iterator[str]:
    """Yield what was not verified. Raises IntegrityError for a sidecar that states another digest."""
    if (
        bundle.signed_statement
        and not bundle.proven
        and (problem := expired(bundle.signed_statement.statement, session.clock()))
    ):
        yield f"{bundle.path}: {problem}; nobody checked its signatures"
    if unproven:
        names = " and ".join(bundle.inventory.base)
        yield (
            f"{bundle.path}: {counted(unproven, 'layer')} not verified; name {names} with --with, or a "
            "registry that has it with --against"
        )
    # Each volume of a set has its own digest in it, and beside a pipe there is nothing.
    if (
        bundle.sha256
        and not bundle.volumes
        and str(bundle.path) != PIPE
        and not check_sidecar(bundle.path, bundle.sha256)
    ):
        yield f"{sidecar_of(bundle.path)}: not there; the bundle was checked without it"


class ManifestCollector:
    """The manifests of a bundle, kept as its blobs pass; other blobs are left to be read."""

    def __init__(self, inventory: Inventory, limits: Limits) -> None:
        self.manifests: dict[Digest, Manifest] = {}
        self._manifests = {blob.digest for blob in inventory.manifests}
        self._omitted = frozenset(inventory.omitted)
        self._limits = limits
        self._held = HeldManifests(limits)
        if (total := sum(blob.size for blob in inventory.manifests)) > limits.manifests:
            raise ContentError(
                BUNDLE, f"{total:,} bytes of manifests, over the limit of {limits.manifests:,}"
            )

    def take(self, blob: Descriptor, chunks: Iterable[bytes]) -> bool:
        """Keep it if it is a manifest. Raises ContentError for one that can't be read."""
        if blob.digest not in self._manifests:
            return False
        data = b"".join(chunks)
        manifest = parse_manifest(data, blob.media_type, blob.digest, limits=self._limits)
        self._held.add(manifest)
        self.manifests[blob.digest] = sparse(manifest, self._omitted)
        return True
