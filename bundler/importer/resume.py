"""Continuing where an earlier import stopped: what the target has already is asked, and not sent again.

Nothing about an interrupted import is remembered here. The target is asked for every tag before the plan is
made, and for every blob before it is sent.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from typing import TypeVar

from bundler.attachments.referrers import is_attachment_tag, is_fallback_tag, is_referrers_index
from bundler.bundle.inventory import Root
from bundler.errors import BundlerError, NotFoundError
from bundler.importer.import_plan import ExistingTags
from bundler.oci import Descriptor, Digest, Manifest, RepositoryName
from bundler.session import Session

Answer = TypeVar("Answer")


def ask_for_tags(
    roots: Sequence[Root], session: Session, filtered: Collection[Digest] = frozenset()
) -> ExistingTags:
    """Return what each root's tag points to; where it is another attachment or index, its manifest too.

    An index counts if ours is among the `filtered`.

    A repository whose first root is absent is asked for its tags: if it does not exist, nothing else is
    asked. Raises: the first error, because a target that cannot be asked must not be written to.
    """
    firsts = {root.repository: root for root in reversed(roots)}
    existing = dict(_asked(firsts.values(), session, lambda root: points_to(root, session)))
    absent = [root for root in firsts.values() if existing[root] is None]
    exists = dict(_asked(absent, session, lambda root: _exists(root.repository, session)))
    new = frozenset(root.repository for root, repository_exists in exists.items() if not repository_exists)
    others = [root for root in roots if root not in existing and root.repository not in new]
    existing |= dict.fromkeys(root for root in roots if root.repository in new)
    existing |= dict(_asked(others, session, lambda root: points_to(root, session)))
    different = [
        root
        for root, digest in existing.items()
        if digest and digest != root.digest and (is_attachment_tag(root.tag) or root.digest in filtered)
    ]
    manifests = dict(_asked(different, session, lambda root: _attached_at(root, session)))
    lists = {root: manifest for root, manifest in manifests.items() if manifest}
    return ExistingTags(existing | dict.fromkeys(manifests.keys() - lists.keys()), lists, new)


def _asked(
    roots: Collection[Root], session: Session, work: Callable[[Root], Answer]
) -> Iterator[tuple[Root, Answer]]:
    for root, answer in session.each("looking at the target", roots, work):
        if isinstance(answer, BundlerError):
            raise answer
        yield root, answer


def _exists(name: RepositoryName, session: Session) -> bool:
    """Return False only if the registry says that it has no such repository."""
    try:
        session.registries.source(name).tags()
    except NotFoundError:
        return False
    except BundlerError:
        return True  # whatever keeps the list from being read, tags and blobs can be asked for
    return True


def ask_for_tag(root: Root, session: Session) -> ExistingTags:
    """Return what one root's tag points to at this moment."""
    digest = points_to(root, session)
    if digest and digest != root.digest and is_attachment_tag(root.tag):
        manifest = _attached_at(root, session)
        return ExistingTags({root: digest}, {root: manifest}) if manifest else ExistingTags({root: None})
    return ExistingTags({root: digest})


def points_to(root: Root, session: Session) -> Digest | None:
    """Return the digest at the target that a root's tag points to, or the root's own if it is there."""
    return session.registries.target(root.repository).digest_of(root.tag or root.digest)


def serves_other_bytes(digest: Digest) -> str:
    """Return the cause where the target names a digest, and gives other bytes for it."""
    return f"the target says {digest}, but the bytes that it serves are others"


def _attached_at(root: Root, session: Session) -> Manifest | None:
    """Return the manifest under an attachment tag.

    None where a registry takes a fallback tag for the subject's digest (GitLab).
    """
    manifest = session.registries.target(root.repository).manifest_at(root.tag or root.digest)
    return None if manifest and is_fallback_tag(root.tag) and not is_referrers_index(manifest) else manifest


def has_blob(blob: Descriptor, name: RepositoryName, session: Session) -> bool:
    """Return True if a repository at the target has a blob and lets it be read, so that it is not sent."""
    target = session.registries.target(name)
    return target.has(blob) and target.readable(blob)
