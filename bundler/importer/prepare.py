"""Everything that an import finds out before its first write: part → names → survey → plan → probe."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import partial
from typing import NamedTuple, TypeVar

from bundler.attachments.referrers import is_attachment_tag, is_fallback_tag, is_referrers_index
from bundler.bundle.inventory import Inventory, Root
from bundler.bundle.reader import Bundle
from bundler.bundle.stream import BundleStream
from bundler.errors import AuthError, BundlerError, NotFoundError, TargetRefusedError
from bundler.importer.destination import WHOLE, Destination, names_at, take_part
from bundler.importer.import_plan import ExistingTags, ImportPlan, OnConflict, PlannedTag, plan_import
from bundler.importer.policy_check import PolicyCheck
from bundler.importer.prune import Gone
from bundler.importer.required import AvailableContent, Target, find_required
from bundler.ledger.ledger import ImportRecord, Incoming
from bundler.oci import Digest, RegistryName, RepositoryName
from bundler.oci.manifest import Manifest
from bundler.registry.blob_uploads import BegunUpload
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
    existing_tags = survey(roots, session)
    complete = partial(_complete, inventory, content, Target(session, destination))
    plan = complete(plan_import(roots, manifests, existing_tags, on_conflict))
    if record:
        answers = probe(plan, session)
        if answers.refused:
            plan = complete(plan_import(roots, manifests, existing_tags, on_conflict, answers.refused))
        new = frozenset[RepositoryName]() if record.may_have_left_blobs else plan.new
        plan = plan._replace(begun=answers.begun, new=new)
    left_out = tuple((names.get(name, name), decision) for name, decision in taken.left_out)
    return plan._replace(names=names, left_out=left_out)


def _complete(
    inventory: Inventory, content: AvailableContent | None, target: Target, plan: ImportPlan
) -> ImportPlan:
    return find_required(plan, inventory, content, target) if content and inventory.required else plan


Answer = TypeVar("Answer")


def survey(roots: Sequence[Root], session: Session) -> ExistingTags:
    """Return what each root's tag points to; of another attachment tag, its manifest too.

    A repository whose first root is absent is asked for its tags: if it does not exist, nothing else is
    asked. Raises: the first error, because a target that cannot be asked must not be written to.
    """
    registries = session.registries
    firsts = {root.repository: root for root in reversed(roots)}
    existing = dict(_asked(firsts.values(), session, lambda root: points_to(root, registries)))
    absent = [root for root in firsts.values() if existing[root] is None]
    exists = dict(_asked(absent, session, lambda root: _exists(root.repository, registries)))
    new = frozenset(root.repository for root, there in exists.items() if not there)
    others = [root for root in roots if root not in existing and root.repository not in new]
    existing |= dict.fromkeys(root for root in roots if root.repository in new)
    existing |= dict(_asked(others, session, lambda root: points_to(root, registries)))
    different = [
        root
        for root, digest in existing.items()
        if digest and digest != root.digest and is_attachment_tag(root.tag)
    ]
    manifests = dict(_asked(different, session, lambda root: _attached_at(root, registries)))
    lists = {root: manifest for root, manifest in manifests.items() if manifest}
    return ExistingTags(existing | dict.fromkeys(manifests.keys() - lists.keys()), lists, new)


def _asked(
    roots: Collection[Root], session: Session, work: Callable[[Root], Answer]
) -> Iterator[tuple[Root, Answer]]:
    for root, answer in session.each("looking at the target", roots, work):
        if isinstance(answer, BundlerError):
            raise answer
        yield root, answer


def _exists(name: RepositoryName, registries: Registries) -> bool:
    """Return False only if the registry says that it has no such repository."""
    try:
        registries.source(name).tags()
    except NotFoundError:
        return False
    except BundlerError:
        return True  # whatever keeps the list from being read, tags and blobs can be asked for
    return True


def look_again(root: Root, registries: Registries) -> ExistingTags:
    """Return what one root's tag points to at this moment."""
    digest = points_to(root, registries)
    if digest and digest != root.digest and is_attachment_tag(root.tag):
        found = _attached_at(root, registries)
        return ExistingTags({root: digest}, {root: found}) if found else ExistingTags({root: None})
    return ExistingTags({root: digest})


def points_to(root: Root, registries: Registries) -> Digest | None:
    """Return the digest at the target that a root's tag points to, or the root's own if it is there."""
    return registries.target(root.repository).digest_of(root.tag or root.digest)


def _attached_at(root: Root, registries: Registries) -> Manifest | None:
    """Return the manifest under an attachment tag.

    None where a registry takes a fallback tag for the subject's digest (GitLab).
    """
    manifest = registries.target(root.repository).manifest_at(root.tag or root.digest)
    return None if manifest and is_fallback_tag(root.tag) and not is_referrers_index(manifest) else manifest


Item = TypeVar("Item")

Kind = tuple[RegistryName, str, str, str]
"""Registry, and the media types of manifest, config and artifact."""


class Answers(NamedTuple):
    """The answers of a target before anything is written."""

    refused: dict[Root, BundlerError]
    """The roots that it will not take, and why."""
    begun: dict[RepositoryName, BegunUpload]
    """Uploads that it has agreed to."""


def probe(plan: ImportPlan, session: Session) -> Answers:
    """Ask the target whether it takes what is planned. Raises: what keeps it from being asked."""
    registries = session.registries
    names = {name for upload in plan.uploads for name in upload.repositories}
    steps = [step for step in plan.to_push if step.root.repository in names]
    begun: dict[RepositoryName, BegunUpload] = {}

    def begin(name: RepositoryName) -> None:
        begun[name] = registries.target(name).begin()

    closed = dict(_refusals("permission to push", names, begin, session))
    offered: dict[Kind, PlannedTag] = {}
    for step in steps:
        if step.root.repository not in closed and not step.manifest.children:
            offered.setdefault(_kind(step), step)
    kinds = dict(
        _refusals("kinds accepted", offered, lambda kind: _offer(offered[kind], registries), session)
    )
    answers = {step.root: closed.get(step.root.repository) or kinds.get(_kind(step)) for step in steps}
    return Answers({root: error for root, error in answers.items() if error}, begun)


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
