"""What select found: roots with all that belongs to them, manifests, and what went wrong. No I/O."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from bundler.bundle.inventory import Inventory, Root, bundle_order
from bundler.deltas.state import Base, delta_inventory, full_inventory
from bundler.errors import BundlerError, ContentError
from bundler.exporter.resolve.source_reader import FEWER, RUN
from bundler.limits import Limits
from bundler.oci.content import Digest
from bundler.oci.graph import HeldManifests, bottom_up, needed_by, reached, sparse
from bundler.oci.manifest import Manifest
from bundler.oci.platform import sparse_index
from bundler.oci.reference import RepositoryName, Tag
from bundler.reporting.json_report import Failure, ImagesReport, failure
from bundler.selection.choose import Choice
from bundler.selection.sources import ALONE, Include

Subject = tuple[RepositoryName, Digest]
"""A manifest in the repository where something may belong to it."""


class Resolution:
    """Roots that were chosen, and what belongs to their manifests; a failing root takes along its own."""

    def __init__(self, limits: Limits, omitted: frozenset[Digest] = frozenset()) -> None:
        self.chosen: dict[Root, None] = {}
        self.belongings: dict[Subject, dict[Root, None]] = {}
        self.manifests: dict[Digest, Manifest] = {}
        self.along: dict[RepositoryName, Include] = {}
        self.asked: set[Subject] = set()
        """What was asked for its belongings."""
        self.unasked: dict[Subject, BundlerError] = {}
        """Of which something that may belong to it could not be asked or had."""
        self.decided: list[tuple[RepositoryName, Choice]] = []
        """What the rules of each source said."""
        self.failed: list[tuple[Root, Failure]] = []
        self.failures: list[Failure] = []
        """Of whole repositories, and of names that are no tags."""
        self.warnings: list[str] = []
        self.drifted: dict[str, None] = {}  # tags that moved, during this run or since the lock file
        self.images: list[ImagesReport] = []
        """What each module runs, as far as it can be read."""
        self.broken: dict[Digest, BundlerError] = {}
        """Children of indexes that could not be had."""
        self._limits = limits
        self._left_out = omitted
        self._bytes = 0
        self._held = HeldManifests(limits, RUN)
        self._tags: dict[tuple[RepositoryName, Tag], Digest] = {}

    # --- taking in -------------------------------------------------------------------------------

    def join(self, name: RepositoryName, along: Include) -> None:
        """Say what goes along with the tags of a repository."""
        known = self.along.get(name)
        self.along[name] = along if known is None else known.joined(along)

    def choose(self, root: Root) -> None:
        """Take a root that was asked for; a tag that has another digest already stays what it is."""
        if root.tag and self._tags.setdefault((root.repository, root.tag), root.digest) != root.digest:
            root = root._replace(tag=None)
        self.chosen[root] = None

    def wish(self, name: RepositoryName) -> Include:
        """What goes along with the tags of a repository."""
        return self.along.get(name, ALONE)

    def take(self, name: RepositoryName, manifest: Manifest) -> BundlerError | None:
        """Keep a manifest of this repository; of an index, the children for the wished platforms.

        The result is why it can't be taken. Raises ContentError when a limit of the run is reached.
        """
        try:
            chosen = sparse_index(manifest, self.wish(name).platforms)
        except ContentError as error:
            return error
        self._keep(manifest, sparse(chosen, self._left_out))
        return None

    def _keep(self, manifest: Manifest, kept: Manifest) -> None:
        digest = manifest.blob.digest
        known = self.manifests.get(digest)
        if known is None:
            self._bytes += manifest.blob.size
            self._held.add(manifest)
            self.warnings += _elsewhere(manifest)
        else:  # two repositories have it, with two wishes
            either = {*known.children, *kept.children}
            kept = kept._replace(children=tuple(child for child in manifest.children if child in either))
        self.manifests[digest] = kept
        if self._bytes > self._limits.manifests or len(self.manifests) > self._limits.graph_nodes:
            limits = self._limits
            cause = f"more than {limits.graph_nodes:,} manifests or {limits.manifests:,} bytes of them"
            raise ContentError(RUN, cause, FEWER)

    def fail(self, root: Root, error: BundlerError, item: str = "") -> None:
        """A root can't be had, or not all of it: leave it out, and say why."""
        self.chosen.pop(root, None)
        self.failed.append((root, failure(error, item or str(root))))

    # --- what came of it -------------------------------------------------------------------------

    def whole(self, root: Root) -> Iterator[Root]:
        """A root, and all that belongs to it and its children, down to signatures of signatures."""
        seen = {root: None}
        waiting = [root]
        while waiting:
            one = waiting.pop()
            yield one
            for digest in reached(one.digest, self.manifests):
                for more in self.belongings.get((one.repository, digest), ()):
                    if more not in seen:
                        seen[more] = None
                        waiting.append(more)

    @property
    def roots(self) -> list[Root]:
        """Everything that is carried under a name of its own, in the order of the bundle."""
        found = {one: None for root in self.chosen for one in self.whole(root)}
        return sorted(found, key=bundle_order)

    def drop(self, lacking: Mapping[Root, BundlerError]) -> None:
        """Leave out every chosen root that lacks something, or to which something belongs that does."""
        for root in list(self.chosen):
            if found := next((one for one in self.whole(root) if one in lacking), None):
                self.fail(root, lacking[found])

    def size_of(self, *roots: Root) -> int:
        """Return the bytes of all that the roots need, each blob once."""
        return sum(needed_by([root.digest for root in roots], self.manifests).values())

    def carried(self) -> list[Manifest]:
        """Every manifest that the roots reach."""
        return list(bottom_up((root.digest for root in self.roots), self.manifests))

    @property
    def complete(self) -> bool:
        """Whether nothing failed."""
        return not self.failed and not self.failures

    def inventory(self, base: Base | None = None) -> Inventory:
        """The inventory of all that is carried; with a base, of what it lacks."""
        if base is None:
            return full_inventory(self.roots, self.manifests)
        return delta_inventory(self.roots, self.manifests, base, complete=self.complete)


def _elsewhere(manifest: Manifest) -> list[str]:
    """A line for each layer that registries don't hold."""
    return [
        f"manifest {manifest.blob.digest}: its layer {layer.blob.digest} is not distributable: not fetched"
        for layer in manifest.layers
        if not layer.distributed
    ]
