"""Referrers made findable where the target has no Referrers API: listed under the fallback tag.

Source: distribution-spec 1.1, "Pushing Manifests with Subject".
"""

from collections.abc import Callable, Collection, Iterator
from contextlib import suppress

from bundler.attachments import referrers
from bundler.bundle.inventory import Root
from bundler.errors import AuthError, BundlerError, IntegrityError, TargetRefusedError
from bundler.importer.import_plan import SENT, Action, Listing, PlannedTag, plan_tag
from bundler.importer.push import ContentPush, SparseIndexRefusedError
from bundler.importer.resume import ask_for_tag, points_to, serves_other_bytes
from bundler.importer.roll_back import moves_of
from bundler.ledger.ledger import ImportRecord
from bundler.oci import Manifest, RepositoryName, bottom_up
from bundler.registry import quirks
from bundler.registry.target_repository import TargetRepository
from bundler.session import Session

TRIES = 3
"""Times that a list is written again because somebody else wrote it in between."""


def make_findable(listing: Listing, session: Session, record: ImportRecord) -> PlannedTag | None:
    """See to it that the target lists these referrers; the list before goes into the rollback file.

    Returns what was done to a list that was there.

    Raises: IntegrityError if the target does not list them in the end.
    """
    expected = {referrer.blob.digest for referrer in listing.referrers}
    by_api = session.registries.source(listing.repository).referrers(listing.subject)
    if by_api is not None:
        if missing := expected - {descriptor.digest for descriptor in by_api}:
            cause = f"the target's Referrers API does not list {min(missing)}, which was just pushed"
            raise IntegrityError(f"{listing.repository}@{listing.subject}", cause, "run the import again")
        return None
    target, extended = session.registries.target(listing.repository), None
    for _ in range(TRIES):
        index = _current(listing, target)
        needed = _with(listing, index)
        if needed is index:
            return extended
        tag = referrers.fallback_tag(listing.subject)
        if index:
            root = Root(listing.repository, tag, needed.blob.digest)
            extended = PlannedTag(root, Action.MERGE, index.blob.digest, needed)
            record.moves(moves_of([extended]))
        target.put_manifest(needed, tag)
    cause = f"the target does not keep {referrers.fallback_tag(listing.subject)}, which lists its referrers"
    raise IntegrityError(f"{listing.repository}@{listing.subject}", cause, "run the import again")


def _current(listing: Listing, target: TargetRepository) -> Manifest | None:
    """Return the list that is there; some registries take the tag for the subject's digest (GitLab)."""
    index = target.manifest_at(referrers.fallback_tag(listing.subject))
    return index if index and referrers.is_referrers_index(index, listing.subject) else None


def _with(listing: Listing, index: Manifest | None) -> Manifest:
    entries = [referrers.entry_of(referrer) for referrer in listing.referrers]
    return referrers.index_of(entries) if index is None else referrers.extended(index, entries)


def _next_step(error: BundlerError) -> str:
    """Return what helps a tag that is held back; a refusal would be the same again."""
    if isinstance(error, TargetRefusedError | AuthError):
        return error.next_step or quirks.AT_TARGET
    return "run the import again"


WAVES = ("tags of signatures", "versions", "tags that move")


class Tags:
    """The last part of an import. `ready` first, then `move`."""

    def __init__(self, push: ContentPush, record: ImportRecord) -> None:
        self._push = push
        self._record = record
        self._failed = push.outcome.failed
        self._lacking: dict[RepositoryName, BundlerError] = {}
        """Repositories that lack something of what they need, and what."""
        self._read: dict[Root, None] = {}
        """The tags that were read back with their manifests."""

    def ready(self) -> list[PlannedTag]:
        """Return the steps whose repository has everything; the others have failed, or are held back."""
        steps = list(self._push.plan.to_push)
        for step in steps:
            if error := next(self._missing(step), None):
                self._failed[step.root] = error
                self._lacks(step, error)
        for step in steps:
            if (error := self._held_back(step)) and step.root not in self._failed:
                self._failed[step.root] = error
        return [step for step in steps if step.root not in self._failed]

    def _lacks(self, step: PlannedTag, error: BundlerError) -> None:
        # A refused index concerns its own tags: everything else of the repository is whole.
        if not isinstance(error, SparseIndexRefusedError):
            self._lacking.setdefault(step.root.repository, error)

    def _held_back(self, step: PlannedTag) -> BundlerError | None:
        error = self._lacking.get(step.root.repository)
        if error is None:
            return None
        cause = f"not moved, because content is missing in the repository: {error.item}: {error.cause}"
        return type(error)(str(step.root), cause, _next_step(error))

    def _missing(self, step: PlannedTag) -> Iterator[BundlerError]:
        name = step.root.repository
        for manifest in (step.manifest, *bottom_up([step.root.digest], self._push.plan.manifests)):
            for digest in (manifest.blob.digest, *(blob.digest for blob in manifest.blobs)):
                if error := self._push.lost.get((name, digest)):
                    yield error

    def move(self, steps: list[PlannedTag]) -> None:
        """Move signatures, then versions, then moving tags like `latest`; then read all of them back.

        In a new repository, each is read back before the next of these begins.
        """
        tagged = [step for step in steps if step.root.tag]
        for number, label in enumerate(WAVES):
            wave = [step for step in tagged if step.wave == number]
            self._note(self._each(label, wave, self._tag))
        self._make_findable()
        changed = self._push.outcome.changed
        current = (changed.get(step.root, step) for step in tagged if step.root not in self._failed)
        moved = [step for step in current if step.action in SENT and step.root not in self._read]
        self._note(self._each("reading back", moved, self._read_back))

    def _each(
        self, label: str, steps: Collection[PlannedTag], work: Callable[[PlannedTag], None]
    ) -> Iterator[tuple[PlannedTag, BundlerError | None]]:
        return self._push.session.each(label, steps, work)

    def _note(self, results: Iterator[tuple[PlannedTag, BundlerError | None]]) -> None:
        for step, done in results:
            if isinstance(done, BundlerError):
                self._failed[step.root] = done

    def _tag(self, step: PlannedTag) -> None:
        """Set a tag. If somebody else moved it meanwhile, the conflict rule decides again."""
        root, push = step.root, self._push
        if error := self._held_back(step):
            raise error
        existing = ask_for_tag(root, push.session)
        if existing.points_to[root] != step.previous:
            step = plan_tag(root, push.plan.manifests[root.digest], existing, push.plan.on_conflict)
            push.outcome.changed[root] = step
            if step.action not in SENT:
                return
            self._record.moves(moves_of([step]))
        if push.goes_directly(step):
            self._set_directly(step)
        else:
            push.put(root.repository, step.manifest, root.tag or root.digest)

    def _set_directly(self, step: PlannedTag) -> None:
        """Send a manifest under its new tag, and read it back; if it is not there, no later tag moves."""
        root, push, reference = step.root, self._push, step.root.tag or step.root.digest
        try:
            if step.action is not Action.PUSH:  # somebody created the tag meanwhile: it moves to proven bytes
                push.bring(root.repository, step.manifest)
            push.put(root.repository, step.manifest, reference)
            self._read_back(step)
        except BundlerError as error:
            if not self._is_about_the_tag(step, error):
                self._lacks(step, error)
            raise
        self._read[root] = None

    def _is_about_the_tag(self, step: PlannedTag, error: BundlerError) -> bool:
        """Return whether the target has the manifest all the same, by its digest."""
        if isinstance(error, SparseIndexRefusedError):
            return False
        if isinstance(error, TargetRefusedError) and quirks.has_another_reason(error):
            return False
        if isinstance(error, TargetRefusedError | IntegrityError):
            with suppress(BundlerError):
                self._push.bring(step.root.repository, step.manifest)
                return True
        return False

    def _read_back(self, step: PlannedTag) -> None:
        root, expected = step.root, step.manifest.blob.digest
        target = self._push.session.registries.target(root.repository)
        if not target.shows(root.tag or root.digest, expected) and not _has_ours(step, target):
            digest = points_to(root, self._push.session)
            cause = f"when read back, it points to {digest or 'nothing'} instead of {expected}"
            if digest == expected:
                cause = serves_other_bytes(expected)
            raise IntegrityError(str(root), cause, "run the import again")

    def _make_findable(self) -> None:
        """List referrers at the target whose index the bundle does not have."""

        def make(listing: Listing) -> None:
            if extended := make_findable(listing, self._push.session, self._record):
                self._push.outcome.extended[extended.root] = extended

        arrived = map(self._arrived, self._push.plan.listings)
        listings = [listing for listing in arrived if listing.referrers]
        for listing, done in self._push.session.each("lists of referrers", listings, make):
            if isinstance(done, BundlerError):
                root = Root(listing.repository, None, listing.referrers[0].blob.digest)
                self._failed[root] = done

    def _arrived(self, listing: Listing) -> Listing:
        """Return the listing without what the target did not take."""
        name = listing.repository
        kept = (
            referrer
            for referrer in listing.referrers
            if (name, referrer.blob.digest) not in self._push.lost
            and Root(name, None, referrer.blob.digest) not in self._failed
        )
        return listing._replace(referrers=tuple(kept))


def _has_ours(step: PlannedTag, target: TargetRepository) -> bool:
    """Return True for a list that somebody extended meanwhile, with all of ours in it."""
    tag = step.root.tag
    if tag is None or not referrers.is_attachment_tag(tag):
        return False
    now = target.manifest_at(tag)
    if now is None:
        return False
    return (
        referrers.lists_all_of(now, step.manifest)
        if referrers.is_fallback_tag(tag)
        else referrers.has_all_of(now, step.manifest)
    )


def finish(push: ContentPush, record: ImportRecord, *, fully: bool) -> None:
    """Send manifests, confirm that everything is there, then move the tags."""
    push.call_off()
    with push.phase("manifests"):
        push.put_manifests()
        push.confirm()
        if fully:
            push.confirm_fully()
    tags = Tags(push, record)
    ready = tags.ready()
    with push.phase("tags"):
        record.moves(moves_of(ready))
        tags.move(ready)
