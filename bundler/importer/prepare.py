"""Everything that an import finds out before its first write: part → names → survey → plan → probe."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from functools import partial
from typing import TypeVar

from bundler.attachments.referrers import is_attachment_tag, is_fallback_tag, is_referrers_index
from bundler.bundle.inventory import Inventory, Root
from bundler.bundle.reader import Bundle
from bundler.bundle.stream import BundleStream
from bundler.errors import AuthError, BundlerError, TargetRefusedError
from bundler.importer.destination import WHOLE, Destination, names_at, take_part
from bundler.importer.import_plan import ExistingTags, ImportPlan, OnConflict, PlannedTag, plan_import
from bundler.importer.policy_check import PolicyCheck
from bundler.importer.required import AvailableContent, Target, find_required
from bundler.ledger.ledger import Incoming
from bundler.oci.content import Digest
from bundler.oci.manifest import Manifest
from bundler.oci.reference import RegistryName
from bundler.registry.registries import Registries
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
    may_write: bool,
) -> ImportPlan:
    """What is to be done at the target; with `may_write`, it is asked whether it will take it.

    Of a delta, `content` is where the blobs come from that it leaves out.

    Raises UsageError for names that can't be, NotFoundError for a delta whose base did not come, and what
    keeps the target from being asked.
    """
    taken = take_part(inventory, manifests, destination.part)
    names = names_at(destination, taken)
    if policy:
        policy.check(inventory, manifests, names)
    roots = [Root(names[root.repository], root.tag, root.digest) for root in taken.roots]
    existing_tags = survey(roots, session)
    complete = partial(_complete, inventory, content, Target(session, destination))
    plan = complete(plan_import(roots, manifests, existing_tags, on_conflict))
    if may_write and (refused := probe(plan, session)):
        plan = complete(plan_import(roots, manifests, existing_tags, on_conflict, refused))
    left_out = tuple((names.get(name, name), decision) for name, decision in taken.left_out)
    return plan._replace(names=names, left_out=left_out)


def _complete(
    inventory: Inventory, content: AvailableContent | None, target: Target, plan: ImportPlan
) -> ImportPlan:
    return find_required(plan, inventory, content, target) if content and inventory.required else plan


Answer = TypeVar("Answer")


def survey(roots: Iterable[Root], session: Session) -> ExistingTags:
    """What each root's tag points to; of a tag that holds other belongings than ours, the manifest too.

    Raises the first error: a target that can't be asked must not be written to.
    """
    registries = session.registries

    def asked(
        label: str, wanted: Collection[Root], work: Callable[[Root], Answer]
    ) -> Iterator[tuple[Root, Answer]]:
        for root, answer in session.each(label, wanted, work):
            if isinstance(answer, BundlerError):
                raise answer
            yield root, answer

    existing = dict(asked("looking at the target", list(roots), lambda root: points_to(root, registries)))
    others = [
        root
        for root, digest in existing.items()
        if digest and digest != root.digest and is_attachment_tag(root.tag)
    ]
    there = dict(asked("signatures at the target", others, lambda root: _manifest_at(root, registries)))
    own = {root: found for root, found in there.items() if found and _is_its_own(root, found)}
    return ExistingTags(existing | dict.fromkeys(there.keys() - own.keys()), own)


def points_to(root: Root, registries: Registries) -> Digest | None:
    """What a root's tag points to at the target, or whether the digest is there."""
    return registries.target(root.repository).digest_of(root.tag or root.digest)


def _manifest_at(root: Root, registries: Registries) -> Manifest | None:
    return registries.target(root.repository).manifest_at(root.tag or root.digest)


def _is_its_own(root: Root, manifest: Manifest) -> bool:
    """False where a registry took a fallback tag for the subject's digest (GitLab)."""
    return not is_fallback_tag(root.tag) or is_referrers_index(manifest)


Item = TypeVar("Item")

Kind = tuple[RegistryName, str, str, str]
"""Registry, and the media types of manifest, config and artifact."""


def probe(plan: ImportPlan, session: Session) -> dict[Root, BundlerError]:
    """The roots that the target will not take, and why. Raises what keeps it from being asked."""
    registries = session.registries
    names = {name for upload in plan.uploads for name in upload.repositories}
    steps = [step for step in plan.to_push if step.root.repository in names]
    closed = dict(
        _refusals("permission to push", names, lambda name: registries.target(name).probe(), session)
    )
    offered: dict[Kind, PlannedTag] = {}
    for step in steps:
        if step.root.repository not in closed and not step.manifest.children:
            offered.setdefault(_kind(step), step)
    kinds = dict(
        _refusals("kinds accepted", offered, lambda kind: _offer(offered[kind], registries), session)
    )
    found = {step.root: closed.get(step.root.repository) or kinds.get(_kind(step)) for step in steps}
    return {root: error for root, error in found.items() if error}


def _refusals(
    label: str, items: Collection[Item], ask: Callable[[Item], None], session: Session
) -> Iterator[tuple[Item, BundlerError]]:
    for item, answer in session.each(label, items, ask):
        if isinstance(answer, TargetRefusedError | AuthError):
            yield item, answer

        # Any other trouble shows itself, or has passed, when it is really sent.


def _offer(step: PlannedTag, registries: Registries) -> None:
    registries.target(step.root.repository).offer(step.manifest)


def _kind(step: PlannedTag) -> Kind:
    manifest: Manifest = step.manifest
    config = manifest.config.blob.media_type if manifest.config else ""
    return (step.root.repository.registry, manifest.blob.media_type, config, manifest.artifact_type)
