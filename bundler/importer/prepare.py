"""Everything that an import finds out before its first write: part → names → tags there → plan → probe."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import partial
from typing import NamedTuple, TypeVar

from bundler.bundle.inventory import Inventory, Root
from bundler.bundle.reader import Bundle
from bundler.bundle.stream import BundleStream
from bundler.errors import AuthError, BundlerError, TargetRefusedError
from bundler.importer.destination import WHOLE, Destination, names_at, take_part
from bundler.importer.filtered_indexes import RootsToImport, filter_indexes
from bundler.importer.import_plan import ImportPlan, OnConflict, PlannedTag, plan_import
from bundler.importer.policy_check import PolicyCheck
from bundler.importer.prune import Gone
from bundler.importer.required import AvailableContent, Target, find_required
from bundler.importer.resume import ask_for_tags
from bundler.ledger.ledger import ImportRecord, Incoming
from bundler.oci import Digest, Manifest, Manifests, RegistryName, RepositoryName, bottom_up
from bundler.registry.blob_uploads import BegunUpload
from bundler.session import Session


def incoming(bundle: Bundle | BundleStream, destination: Destination) -> Incoming:
    """Return what the ledger wants to know of an import."""
    selection = "" if destination.part == WHOLE else repr(destination.part)
    return Incoming(bundle.id, bundle.inventory, bundle.proven, destination.prefix, selection)


def arrange(
    inventory: Inventory,
    manifests: Mapping[Digest, Manifest],
    destination: Destination,
    session: Session,
    *,
    on_conflict: OnConflict,
    content: AvailableContent | None,
    policy: PolicyCheck | None = None,
    gone: Sequence[Gone] = (),
    record: ImportRecord | None = None,
) -> ImportPlan:
    """Plan what is to be done at the target; with a `record`, ask the target whether it will take it.

    For a delta, `content` provides the blobs that it leaves out.

    Raises UsageError for names that can't be, NotFoundError for a delta whose base did not come, and what
    keeps the target from being asked.
    """
    taken = take_part(inventory, manifests, destination.part)
    names = names_at(destination, taken)
    if policy:
        policy.check(inventory, manifests, {**names, **{tag.source: tag.repository for tag in gone}})
    roots = [Root(names[root.repository], root.tag, root.digest) for root in taken.roots]
    to_import = RootsToImport(roots, manifests)
    if destination.filter_indexes:
        to_import = filter_indexes(roots, manifests)
    existing_tags = ask_for_tags(to_import.roots, session, to_import.wholes)
    to_import = to_import.keeping(existing_tags.points_to)
    whole = {root: root.digest for root in to_import.roots}
    existing_tags = existing_tags._replace(points_to=whole | dict(existing_tags.points_to))
    complete = partial(_complete, inventory, content, Target(session, destination))
    plan = complete(plan_import(to_import, existing_tags, on_conflict))
    if record:
        answers = probe(plan, session)
        if answers.refused:
            plan = complete(plan_import(to_import, existing_tags, on_conflict, answers.refused))
        new = frozenset[RepositoryName]() if record.may_have_left_blobs else plan.new
        plan = plan._replace(begun=answers.begun, new=new)
    left_out = tuple((names.get(name, name), decision) for name, decision in taken.left_out)
    return plan._replace(names=names, left_out=left_out)


def _complete(
    inventory: Inventory, content: AvailableContent | None, target: Target, plan: ImportPlan
) -> ImportPlan:
    return find_required(plan, inventory, content, target) if content and inventory.required else plan


Item = TypeVar("Item")

Kind = tuple[RegistryName, str, str, str]
"""Registry, and the media types of manifest, config and artifact."""

PlacedManifest = tuple[RepositoryName, Manifest]
"""A manifest, and a repository at the target that is to have it."""


class Answers(NamedTuple):
    """The answers of a target before anything is written."""

    refused: dict[Root, BundlerError]
    """The roots that it will not take, and why."""
    begun: dict[RepositoryName, BegunUpload]
    """Uploads that it has agreed to."""


def probe(plan: ImportPlan, session: Session) -> Answers:
    """Ask the target whether it takes what is planned. Raises: what keeps it from being asked."""
    names = {name for upload in plan.uploads for name in upload.repositories}
    steps = [step for step in plan.to_push if step.root.repository in names]
    begun: dict[RepositoryName, BegunUpload] = {}

    def begin(name: RepositoryName) -> None:
        begun[name] = session.registries.target(name).begin()

    closed = dict(_refusals("permission to push", names, begin, session))
    offered: dict[Kind, PlacedManifest] = {}
    for step in steps:
        if step.root.repository not in closed:
            for kind, manifest in _kinds(step, plan.manifests):
                offered.setdefault(kind, (step.root.repository, manifest))
    refused = dict(_refusals("kinds accepted", offered, lambda kind: _offer(offered[kind], session), session))
    answers = {
        step.root: closed.get(step.root.repository)
        or next((refused[kind] for kind, _ in _kinds(step, plan.manifests) if kind in refused), None)
        for step in steps
    }
    return Answers({root: error for root, error in answers.items() if error}, begun)


def _refusals(
    label: str, items: Collection[Item], ask: Callable[[Item], None], session: Session
) -> Iterator[tuple[Item, BundlerError]]:
    for item, answer in session.each(label, items, ask):
        if isinstance(answer, TargetRefusedError | AuthError):
            yield item, answer

        # Any other trouble shows itself, or has passed, when it is really sent.


def _offer(placed: PlacedManifest, session: Session) -> None:
    name, manifest = placed
    session.registries.target(name).offer(manifest)


def _kinds(step: PlannedTag, manifests: Manifests) -> Iterator[tuple[Kind, Manifest]]:
    """Yield the kinds that a root needs: its own, or those below its index.

    An index is not offered: without its children, some registries call it invalid (zot).
    """
    registry = step.root.repository.registry
    for manifest in bottom_up([step.root.digest], manifests):
        if not manifest.children:
            config = manifest.config.blob.media_type if manifest.config else ""
            yield (registry, manifest.blob.media_type, config, manifest.artifact_type), manifest
