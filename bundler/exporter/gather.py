"""Plan and fetch, again where a tag moved meanwhile and that is wanted."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from bundler.bundle.state import Base
from bundler.errors import BundlerError
from bundler.exporter.disk import disk_needs
from bundler.exporter.drift import ROUNDS, OnDrift, moved_tags, note_drift, settle
from bundler.exporter.fetch import fetch
from bundler.exporter.output import Output
from bundler.exporter.pinned import Pinned
from bundler.exporter.plan import ExportPlan, plan_export
from bundler.exporter.room import check_disk
from bundler.oci.content import Descriptor
from bundler.progress import Progress
from bundler.registry.registries import Registries
from bundler.store import Store


class Gathered(NamedTuple):
    """Everything that could be had is in the store."""

    pinned: Pinned
    plan: ExportPlan
    missing: Mapping[Descriptor, BundlerError]


def gather(
    pinned: Pinned,
    again: Callable[[], Pinned],
    registries: Registries,
    store: Store,
    out: Output,
    *,
    base: Base | None,
    on_drift: OnDrift,
    jobs: int,
    progress: Progress,
) -> Gathered:
    """Fetch all that is pinned and that the base lacks; `again` selects anew where tags moved.

    Raises LocalError: no room.
    """
    for left in reversed(range(ROUNDS)):
        plan = plan_against(pinned, base, store)
        check_disk(disk_needs(pinned, plan, out, store, pinned.inventory(base)))
        missing = fetch(plan, pinned.carried(), registries, store, jobs=jobs, progress=progress)
        moved = moved_tags(pinned, on_drift, registries, jobs=jobs, progress=progress)
        note_drift(moved, pinned)
        if not (moved and left and on_drift is OnDrift.REFETCH):
            break  # what is selected has been fetched
        known, pinned = pinned.drifted, again()
        pinned.drifted |= known
    settle(moved, on_drift, pinned)
    return Gathered(pinned, plan, missing)


def plan_against(pinned: Pinned, base: Base | None, store: Store) -> ExportPlan:
    """What has to be fetched: neither what the store has, nor what the base brought."""
    homes = base.homes() if base else {}
    return plan_export(pinned.roots, pinned.manifests, lambda blob: blob.digest in homes or store.has(blob))
