"""Everything that an import finds out before its first write: part → names → survey → plan → probe."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from bundler.bundle.inventory import Inventory, Root
from bundler.importer.border import Border
from bundler.importer.destination import Destination, names_at, take_part
from bundler.importer.plan import ImportPlan, OnConflict, plan_import
from bundler.importer.probe import probe
from bundler.importer.required import Content, Target, check_order, find_required
from bundler.importer.survey import survey
from bundler.oci.content import Digest
from bundler.oci.manifest import Manifest
from bundler.progress import Progress
from bundler.registry.registries import Registries


def arrange(
    inventory: Inventory,
    manifests: Mapping[Digest, Manifest],
    destination: Destination,
    registries: Registries,
    *,
    on_conflict: OnConflict,
    content: Content | None,
    border: Border | None = None,
    may_write: bool,
    jobs: int,
    progress: Progress,
) -> ImportPlan:
    """What is to be done at the target; with `may_write`, it is asked whether it will take it.

    Of a delta, `content` is where the blobs come from that it leaves out.

    Raises UsageError for names that can't be, NotFoundError for a delta whose base did not come, and what
    keeps the target from being asked.
    """
    check_order(inventory, destination)
    taken = take_part(inventory, manifests, destination.part)
    names = names_at(destination, taken)
    if border:
        border.check(inventory, manifests, names)
    roots = [Root(names[root.repository], root.tag, root.digest) for root in taken.roots]
    standing = survey(roots, registries, jobs=jobs, progress=progress)
    complete = partial(_complete, inventory, content, Target(registries, destination, jobs, progress))
    plan = complete(plan_import(roots, manifests, standing, on_conflict))
    if may_write and (refused := probe(plan, registries, jobs=jobs, progress=progress)):
        plan = complete(plan_import(roots, manifests, standing, on_conflict, refused))
    left_out = tuple((names.get(name, name), decision) for name, decision in taken.left_out)
    return plan._replace(names=names, left_out=left_out)


def _complete(inventory: Inventory, content: Content | None, target: Target, plan: ImportPlan) -> ImportPlan:
    return find_required(plan, inventory, content, target) if content and inventory.required else plan
