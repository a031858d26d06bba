"""One bundle of a kit as the other side sees it, and the order in which bundles are imported. No I/O."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from bundler.bundle.inventory import Inventory
from bundler.oci import Digest


class KitBundle(NamedTuple):
    """One bundle of a kit; of its inventory, what other bundles and people need to know."""

    id: Digest
    kind: str
    """`full` or `delta`."""
    base: tuple[Digest, ...]
    states: tuple[Digest | None, Digest | None]
    """In a delta: IDs of the full bundles that it makes, and that its bases make."""
    tags: int
    """Number of tags, and of manifests taken by digest."""
    files: tuple[str, ...] = ()
    """Every file that holds a part of it, parity volumes included; an import names the first."""

    def builds_on(self, other: KitBundle) -> bool:
        """Return True if the other bundle must be imported before this one."""
        state, base_state = other.states[0], self.states[1]
        return other.id in self.base or (base_state is not None and base_state in (other.id, state))


def kit_bundle(id_: Digest, inventory: Inventory) -> KitBundle:
    """Return what a kit says of a bundle with this inventory; its files are not known yet."""
    tags = sum(len(entry.tags) + len(entry.untagged) for entry in inventory.repositories)
    states = inventory.state, inventory.base_state
    return KitBundle(id_, inventory.kind, inventory.base, states, tags)


def in_order(bundles: Sequence[KitBundle]) -> tuple[KitBundle, ...]:
    """Return the bundles, each behind those that it builds on; apart from that, the order is kept."""
    waiting = list(bundles)
    ordered: list[KitBundle] = []
    while waiting:
        # What bundles say of their states are claims: a ring of them is taken as it is named.
        free = (bundle for bundle in waiting if not any(map(bundle.builds_on, waiting)))
        ordered.append(next(free, waiting[0]))
        waiting.remove(ordered[-1])
    return tuple(ordered)


def bases_elsewhere(bundle: KitBundle, bundles: Sequence[KitBundle]) -> tuple[Digest, ...]:
    """Return the IDs of the bundles that a delta builds on and that are not in the kit."""
    below = [other for other in bundles if bundle.builds_on(other)]
    if bundle.states[1] in {id_ for other in below for id_ in (other.id, other.states[0]) if id_}:
        return ()
    held = {other.id for other in below}
    return tuple(base for base in bundle.base if base not in held)
