"""The content of one export: a resolution against its base, with the inventory of the resulting bundle."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from bundler.bundle.inventory import Inventory, RepositoryEntry, Root, is_empty, only_deselects
from bundler.deltas.state import Base, delta_inventory, full_inventory, renewing_inventory
from bundler.errors import BundlerError
from bundler.exporter.resolve.resolution import AskedSources, Findings, Resolution, Resolved


class ExportContent(NamedTuple):
    """A resolution, its findings, and the inventory; with a base, of what the base lacks."""

    resolution: Resolution
    findings: Findings
    asked: AskedSources
    base: Base | None
    inventory: Inventory
    news: tuple[RepositoryEntry, ...] = ()
    """With a base, what changed since it."""

    @classmethod
    def of(cls, resolved: Resolved, base: Base | None) -> ExportContent:
        """Compute the inventory: once for each resolution."""
        resolution, findings, asked = resolved
        roots, manifests = resolution.roots, resolution.manifests
        if base is None:
            return cls(resolution, findings, asked, None, full_inventory(roots, manifests))
        base = base.completed(manifests)
        scope = asked.scope(resolution, findings, base.roots)
        inventory = delta_inventory(roots, manifests, base, scope)
        news = inventory.repositories
        if base.renews and not is_empty(inventory):
            inventory = renewing_inventory(roots, manifests, inventory, base, scope)
        return cls(resolution, findings, asked, base, inventory, news)

    def without(self, lacking: Mapping[Root, BundlerError]) -> ExportContent:
        """Leave out every chosen root that lacks something; the same object where none does."""
        resolved = Resolved(self.resolution, self.findings, self.asked)
        remaining = resolved.without(lacking)
        return self if remaining is resolved else ExportContent.of(remaining, self.base)

    def noting(self, findings: Findings) -> ExportContent:
        """Return the content with more findings that leave out nothing."""
        return self._replace(findings=self.findings + findings)

    @property
    def has_news(self) -> bool:
        """Return whether the base lacks anything of it, or has anything that is gone.

        A receipt keeps what is no longer selected: that alone would make a delta every night.
        """
        if self.base and self.base.by_receipt:
            return not only_deselects(self.inventory)
        return not is_empty(self.inventory)

    @property
    def whole_inventory(self) -> Inventory:
        """Return the inventory of the full bundle, also where there is a base."""
        if self.base is None:
            return self.inventory
        return full_inventory(self.resolution.roots, self.resolution.manifests)
